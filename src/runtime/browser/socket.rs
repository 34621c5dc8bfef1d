//! A WebSocket: chunks of bytes in, chunks of bytes out.
//!
//! Its class may be the browser's, Node's, `ws`, or the in-page emulator's: only what all of them have is used.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::super::endpoint::DialError;
use super::clock::{Timer, now};
use super::dial::{SUB_PROTOCOL, describe};
use crate::error::{Error, ErrorKind};

/// Bytes that the WebSocket may hold before the socket is not ready for more.
const OUTPUT_MARK: u32 = 1024 * 1024;
/// A WebSocket does not say when it has sent something, so it is looked at again.
const OUTPUT_LOOK: Duration = Duration::from_millis(2);
/// "Normal closure", the one code besides 3000 to 4999 that a page may close with.
const NORMAL: u16 = 1000;
/// "No status": the peer's close frame had no code.
const NO_STATUS: u16 = 1005;
/// "Unsupported data".
const UNSUPPORTED: u16 = 1003;
/// "Abnormal closure": there was no close frame.
const ABNORMAL: u16 = 1006;

/// A WebSocket that is or was open. Chunk boundaries mean nothing on either side. Dropping it closes it.
pub(crate) struct Socket {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    timer: Timer,
    has_closed: bool,
    /// Kept alive as long as they may be called.
    _handlers: [Closure<dyn FnMut(JsValue)>; 4],
}

/// Why a socket broke. Not an `io::Error`, of which a page would have to load every kind's text.
#[derive(Debug)]
pub(crate) struct SocketError(String);

/// The error for people of a socket that broke. No system is asked what its errors mean.
pub(crate) fn broken(error: SocketError, _of_system: fn(io::Error, bool) -> Error) -> Error {
    Error::new(ErrorKind::ConnectionLost, error.0)
}

#[derive(Default)]
struct State {
    is_open: bool,
    arrived: VecDeque<Bytes>,
    /// What an `error` event said, if anything: browsers say nothing.
    error: Option<String>,
    /// The error said that the certificate is not to be trusted.
    is_untrusted: bool,
    closed: Option<Closed>,
    waker: Option<Waker>,
}

#[derive(Clone)]
struct Closed {
    code: u16,
    reason: String,
}

thread_local! {
    /// `ws` throws when an error event finds no handler, also long after a socket was dropped.
    static IGNORE: Closure<dyn FnMut()> = Closure::new(|| {});
}

impl Socket {
    /// Listens to `socket`, which was made just now.
    pub(super) fn new(socket: WebSocket) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::new(RefCell::new(State::default()));
        let handlers = [
            on(&state, |state, _| state.is_open = true),
            on(&state, |state, event| state.arrived(&event.unchecked_into::<MessageEvent>().data())),
            on(&state, |state, event| {
                state.error = said(&event, "message");
                state.is_untrusted = is_about_certificate(&event);
            }),
            on(&state, |state, event| {
                let event: CloseEvent = event.unchecked_into();
                state.close(event.code(), event.reason());
            }),
        ];
        let [open, message, error, close] = handlers.each_ref().map(|it| Some(it.as_ref().unchecked_ref()));
        socket.set_onopen(open);
        socket.set_onmessage(message);
        socket.set_onerror(error);
        socket.set_onclose(close);
        Socket { socket, state, timer: Timer::default(), has_closed: false, _handlers: handlers }
    }

    /// Ready when the handshake is over.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        let mut state = self.state.borrow_mut();
        if let Some(closed) = &state.closed {
            return Poll::Ready(Err(refused(closed, &state)));
        }
        if !state.is_open {
            state.wait(cx);
            return Poll::Pending;
        }
        let chosen = self.socket.protocol();
        match chosen == SUB_PROTOCOL {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(no_sub_protocol())),
        }
    }

    /// The next chunk that arrived, `None` when the peer has finished.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, SocketError>> {
        let mut state = self.state.borrow_mut();
        if let Some(chunk) = state.arrived.pop_front() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        if let Some(closed) = &state.closed {
            return Poll::Ready(match closed.code {
                NORMAL | NO_STATUS => Ok(None),
                _ => Err(SocketError(text(closed, state.error.as_deref()))),
            });
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Whether another chunk may be given to [`start_send`](Self::start_send): while the socket is slow
    /// it holds a bounded amount and no more.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if self.socket.buffered_amount() < OUTPUT_MARK || self.state.borrow().closed.is_some() {
            return Poll::Ready(Ok(()));
        }
        match self.timer.poll_until(now() + OUTPUT_LOOK, cx) {
            Poll::Ready(()) | Poll::Pending => Poll::Pending,
        }
    }

    /// Queues a chunk. Call when [`poll_ready`](Self::poll_ready) said so, and flush afterwards.
    pub(crate) fn start_send(&mut self, chunk: Bytes) -> Result<(), SocketError> {
        // Copied: some implementations write a view later, when this memory is another chunk's.
        let copy = Uint8Array::new_from_slice(&chunk);
        self.socket.send_with_js_u8_array(&copy).map_err(|error| SocketError(describe(&error)))
    }

    /// Writes what is queued, which the WebSocket does by itself.
    #[allow(clippy::unused_self, reason = "the same names on every platform")]
    pub(crate) fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Poll::Ready(Ok(()))
    }

    /// Says that nothing follows. Ready when the peer has agreed.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if !self.has_closed {
            self.has_closed = true;
            // Sends what is buffered first. Fails only for a code that may not be used.
            let _ = self.socket.close_with_code(NORMAL);
        }
        let mut state = self.state.borrow_mut();
        if state.closed.is_some() {
            return Poll::Ready(Ok(()));
        }
        state.wait(cx);
        Poll::Pending
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let is_over = self.state.borrow().closed.is_some();
        match is_over {
            true => self.socket.set_onerror(None),
            false => IGNORE.with(|ignore| self.socket.set_onerror(Some(ignore.as_ref().unchecked_ref()))),
        }
        if !self.has_closed && !is_over {
            let _ = self.socket.close_with_code(NORMAL);
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
    }

    fn arrived(&mut self, data: &JsValue) {
        match bytes_of(data) {
            Some(bytes) if bytes.is_empty() => {}
            Some(bytes) => self.arrived.push_back(bytes),
            None => self.close(UNSUPPORTED, "the peer sent a text message where AMQP was expected".into()),
        }
    }

    fn close(&mut self, code: u16, reason: String) {
        self.closed.get_or_insert(Closed { code, reason });
    }
}

/// A handler that writes down what happened and wakes the task.
fn on(state: &Rc<RefCell<State>>, note: fn(&mut State, JsValue)) -> Closure<dyn FnMut(JsValue)> {
    let state = state.clone();
    Closure::new(move |event| {
        let waker = {
            let mut state = state.borrow_mut();
            note(&mut state, event);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    })
}

/// The bytes of a message; `None` for one that has none, which AMQP does not send.
fn bytes_of(data: &JsValue) -> Option<Bytes> {
    if let Some(buffer) = data.dyn_ref::<ArrayBuffer>() {
        return Some(Uint8Array::new(buffer).to_vec().into());
    }
    if let Some(view) = data.dyn_ref::<Uint8Array>() {
        return Some(view.to_vec().into());
    }
    // An ArrayBuffer of another realm, such as a test runner's, is an instance of another class.
    let has_length = Reflect::get(data, &"byteLength".into()).is_ok_and(|length| length.as_f64().is_some());
    has_length.then(|| Uint8Array::new(data).to_vec().into())
}

/// What an `error` event says: nothing in a browser.
fn said(event: &JsValue, name: &str) -> Option<String> {
    let said = Reflect::get(event, &name.into()).ok()?.as_string()?;
    (!said.is_empty()).then_some(said)
}

/// A simple search: these texts are short, and a page would pay for a clever one.
fn contains(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

/// Node names the reasons of OpenSSL by codes such as `SELF_SIGNED_CERT_IN_CHAIN`.
fn is_about_certificate(event: &JsValue) -> bool {
    let error = Reflect::get(event, &"error".into()).unwrap_or_default();
    // What is not an object has no properties.
    let code = error.is_object().then(|| said(&error, "code")).flatten();
    code.is_some_and(|code| contains(&code, "CERT") || code.starts_with("UNABLE_TO_"))
}

fn refused(closed: &Closed, state: &State) -> DialError {
    let error = state.error.as_deref();
    // `ws` tells the status of a refused upgrade in words.
    let status = error.and_then(|said| said.strip_prefix("Unexpected server response: "));
    if let Some(status) = status.and_then(|status| status.parse::<i64>().ok()) {
        return DialError {
            message: format!("the server refused the WebSocket upgrade with HTTP status {status}"),
            // A gateway that is starting or overloaded says so with these; any other refusal stays one.
            transient: status >= 500 || matches!(status, 408 | 425 | 429),
        };
    }
    match error {
        Some(said) if state.is_untrusted => {
            DialError::permanent(format!("the server's certificate is not trusted ({said})"))
        }
        // So does `ws` put it.
        Some(said) if contains(said, "subprotocol") => no_sub_protocol(),
        _ => DialError::transient(text(closed, error)),
    }
}

fn no_sub_protocol() -> DialError {
    DialError::permanent(format!(
        "the server does not speak AMQP over WebSockets: it did not accept the sub-protocol {SUB_PROTOCOL}"
    ))
}

fn text(closed: &Closed, error: Option<&str>) -> String {
    let Closed { code, reason } = closed;
    let why = match (error, reason.as_str()) {
        (Some(error), "") => error,
        (_, reason) => reason,
    };
    match (*code, why) {
        (ABNORMAL, "") => {
            "the WebSocket failed without a reason (code 1006): the host is not reachable, or its \
                           certificate is not trusted, or a content security policy (connect-src) forbids it"
                .into()
        }
        (code, "") => format!("the WebSocket was closed with code {code}"),
        (ABNORMAL, why) => format!("the WebSocket failed: {why}"),
        (code, why) => format!("the WebSocket was closed with code {code}: {why}"),
    }
}
