//! From an endpoint to an open WebSocket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;

use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::WebSocket;

use super::super::endpoint::{DialError, Endpoint, Framing, Step};
use super::clock::now;
use super::socket::Socket;

/// Where Event Hubs listens for WebSockets.
const PATH: &str = "/$servicebus/websocket";
/// The registered sub-protocol. The service and the emulator also know `amqp`; browsers' SDKs say this one.
pub(super) const SUB_PROTOCOL: &str = "AMQPWSB10";

thread_local! {
    /// JavaScript values cannot be shared between threads, a client's configuration can: it holds a number.
    static CONSTRUCTORS: RefCell<Constructors> = RefCell::default();
}

#[derive(Default)]
#[allow(dead_code, reason = "JavaScript's options make them")]
struct Constructors {
    last: u32,
    by_id: Vec<(u32, (Function, JsValue))>,
}

/// A constructor of WebSockets other than the global one. Forgotten with its last clone.
#[derive(Clone, Debug)]
pub(crate) struct Constructor(Arc<Id>);

#[derive(Debug)]
struct Id(u32);

/// What dialling needs to know besides the place. Whom to trust is the browser's business.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) constructor: Option<Constructor>,
}

impl Trust {
    /// # Errors
    /// Always: certificates are the browser's business.
    pub(crate) fn with_extra(_pem: &[u8]) -> Result<Self, String> {
        Err("here the browser or the JavaScript runtime decides which certificates are trusted".into())
    }
}

impl Constructor {
    /// `class` is called as `new class(url, protocols, options)`; without `options` where they are undefined.
    #[allow(dead_code, reason = "JavaScript's options make them")]
    pub(crate) fn new(class: Function, options: JsValue) -> Self {
        CONSTRUCTORS.with_borrow_mut(|constructors| {
            constructors.last += 1;
            constructors.by_id.push((constructors.last, (class, options)));
            Constructor(Arc::new(Id(constructors.last)))
        })
    }

    fn values(&self) -> Option<(Function, JsValue)> {
        CONSTRUCTORS.with_borrow(|constructors| {
            let mut all = constructors.by_id.iter();
            all.find(|(id, _)| *id == self.0.0).map(|(_, values)| values.clone())
        })
    }
}

impl Drop for Id {
    fn drop(&mut self) {
        CONSTRUCTORS.with_borrow_mut(|constructors| constructors.by_id.retain(|(id, _)| *id != self.0));
    }
}

/// Connects to `endpoint`. Has no deadline of its own: whoever waits sets one.
pub(crate) async fn dial(endpoint: Endpoint, trust: Trust) -> Result<Socket, DialError> {
    if endpoint.framing == Framing::Stream {
        return Err(DialError::permanent(
            "JavaScript has no TCP sockets for pages: use a WebSocket endpoint (ws:// or wss://)",
        ));
    }
    // Nothing may be awaited between these two lines: events are missed until the handlers are set.
    let mut socket = Socket::new(construct(&endpoint, &trust)?);
    poll_fn(|cx| socket.poll_open(cx)).await?;
    Ok(socket)
}

/// Whether the steps on the way to a WebSocket are told: a page learns of none.
pub(crate) const SEES_STEPS: bool = false;

/// As [`dial`], telling what it has done.
pub(crate) async fn probe(
    endpoint: &Endpoint,
    trust: &Trust,
    steps: &mut Vec<Step>,
) -> Result<(), DialError> {
    let start = now();
    drop(dial(endpoint.clone(), trust.clone()).await?);
    steps.push(Step {
        name: "websocket",
        detail: "the server speaks AMQP over WebSockets".to_owned(),
        took: now() - start,
    });
    Ok(())
}

fn construct(endpoint: &Endpoint, trust: &Trust) -> Result<WebSocket, DialError> {
    let (class, options) = match trust.constructor.as_ref().and_then(Constructor::values) {
        Some(given) => given,
        None => (global_class()?, JsValue::UNDEFINED),
    };
    let url = format!("{endpoint}{PATH}");
    let protocols = Array::of1(&SUB_PROTOCOL.into());
    let arguments = Array::of2(&url.as_str().into(), &protocols);
    if !options.is_undefined() {
        arguments.push(&options);
    }
    match Reflect::construct(&class, &arguments) {
        Ok(socket) => Ok(socket.unchecked_into()),
        Err(error) => Err(DialError::permanent(format!(
            "the WebSocket to {endpoint} could not be made: {}",
            describe(&error)
        ))),
    }
}

fn global_class() -> Result<Function, DialError> {
    let class = Reflect::get(&js_sys::global(), &"WebSocket".into()).unwrap_or_default();
    class.dyn_into().map_err(|_| {
        DialError::permanent(
            "this runtime has no WebSocket: install the package 'ws', or give a WebSocket class with the option 'webSocket'",
        )
    })
}

/// What a thrown value says.
pub(super) fn describe(error: &JsValue) -> String {
    let message = Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| "an unknown reason".into())
}
