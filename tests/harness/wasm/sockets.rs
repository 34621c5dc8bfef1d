//! The other end of a socket, in the hands of a test; the socket itself is the host's.

use bytes::Bytes;
use serde_json::json;

use super::line::{Line, Said};

/// A port of this machine.
pub(crate) struct Listener {
    line: Line,
    port: u16,
}

/// An accepted connection. Dropping it drops the socket.
pub(crate) struct Stream {
    line: Line,
    /// The path and the sub-protocols that a WebSocket asked for.
    pub(crate) asked: String,
}

impl Listener {
    /// Bytes as they come.
    pub(crate) async fn tcp() -> Self {
        Self::bind(json!({})).await
    }

    /// What carries AMQP on this platform.
    pub(crate) async fn amqp() -> Self {
        Self::websocket(Some("AMQPWSB10")).await
    }

    /// Messages of WebSockets.
    pub(crate) async fn websocket(sub_protocol: Option<&str>) -> Self {
        Self::bind(json!({ "websocket": sub_protocol.unwrap_or_default() })).await
    }

    async fn bind(speaks: serde_json::Value) -> Self {
        let mut line = Line::open("/listener").await;
        let port = line.ask(&speaks.to_string()).await["port"].as_u64().unwrap() as u16;
        Listener { line, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn accept(&mut self) -> Stream {
        let mut line = Line::open("/stream").await;
        let accepted = line.ask(&json!({ "port": self.port }).to_string()).await;
        Stream { line, asked: accepted["asked"].as_str().unwrap_or_default().to_owned() }
    }
}

impl Stream {
    /// The next bytes; `None` when the peer has left.
    pub(crate) async fn read(&mut self) -> Option<Bytes> {
        // The host reads when it is asked to, so that a test can leave a client's bytes lying.
        self.line.say("read");
        match self.line.next().await {
            Said::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the bytes could be handed to the host.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> bool {
        self.line.send(&bytes)
    }

    /// Says why it closes, where the protocol has words for it, and waits until the peer has left.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        self.line.say(&format!("close {code} {reason}"));
        while !matches!(self.line.next().await, Said::Ended) {}
    }
}
