//! A line to `test_host`: whatever it lends over a line is taken back when the line ends.

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use js_sys::Uint8Array;
use serde_json::Value;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, MessageEvent, WebSocket};

/// Where the host listens. A page has no environment, so it is known when the tests are compiled.
const HOST: Option<&str> = option_env!("EVENTHUBS_TEST_HOST");

pub(crate) struct Line {
    socket: WebSocket,
    events: UnboundedReceiver<Said>,
    /// Kept alive as long as they may be called.
    _handlers: [Closure<dyn FnMut(JsValue)>; 3],
}

/// What the host says.
pub(crate) enum Said {
    Open,
    Text(String),
    Bytes(Bytes),
    Ended,
}

impl Line {
    pub(crate) async fn open(path: &str) -> Self {
        let host = HOST.expect("`cargo xtask test wasm` starts the host of these tests and says where it is");
        let socket = WebSocket::new(&format!("ws://{host}{path}")).unwrap();
        socket.set_binary_type(BinaryType::Arraybuffer);
        let (say, events) = unbounded();
        let [opened, ended] = [say.clone(), say.clone()];
        let handlers: [Closure<dyn FnMut(JsValue)>; 3] = [
            Closure::new(move |_| drop(opened.unbounded_send(Said::Open))),
            Closure::new(move |event: JsValue| {
                let data = event.unchecked_into::<MessageEvent>().data();
                let said = match data.as_string() {
                    Some(text) => Said::Text(text),
                    None => Said::Bytes(Uint8Array::new(&data).to_vec().into()),
                };
                let _ = say.unbounded_send(said);
            }),
            Closure::new(move |_| drop(ended.unbounded_send(Said::Ended))),
        ];
        let [open, message, close] = handlers.each_ref().map(|it| Some(it.as_ref().unchecked_ref()));
        socket.set_onopen(open);
        socket.set_onmessage(message);
        socket.set_onclose(close);
        let mut line = Line { socket, events, _handlers: handlers };
        assert!(matches!(line.next().await, Said::Open), "nobody answers at {host}{path}");
        line
    }

    pub(crate) async fn next(&mut self) -> Said {
        self.events.next().await.unwrap_or(Said::Ended)
    }

    /// Whether the host can hear it.
    pub(crate) fn say(&self, text: &str) -> bool {
        self.socket.send_with_str(text).is_ok()
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        self.socket.send_with_js_u8_array(&Uint8Array::new_from_slice(bytes)).is_ok()
    }

    /// The host's answer to a question.
    pub(crate) async fn ask(&mut self, question: &str) -> Value {
        self.say(question);
        match self.next().await {
            Said::Text(text) => serde_json::from_str(&text).unwrap(),
            _ => panic!("the host does not answer to {question}"),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}
