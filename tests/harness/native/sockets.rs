//! The other end of a socket, in the hands of a test.

use bytes::Bytes;
use fe2o3_amqp_ws::tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use fe2o3_amqp_ws::tungstenite::Message;
use fe2o3_amqp_ws::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use fe2o3_amqp_ws::tungstenite::protocol::CloseFrame;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// A port of this machine.
pub(crate) struct Listener {
    listener: TcpListener,
    speaks: Speaks,
}

/// What is said before the first byte of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Speaks {
    /// Nothing.
    Tcp,
    /// A WebSocket's handshake, answered with this sub-protocol.
    WebSocket(Option<String>),
}

/// An accepted connection. Dropping it drops the socket.
pub(crate) struct Stream {
    inner: Inner,
    /// The path and the sub-protocols that a WebSocket asked for.
    pub(crate) asked: String,
}

enum Inner {
    Tcp(TcpStream),
    WebSocket(Box<WebSocketStream<TcpStream>>),
    /// The peer has left.
    Ended,
}

impl Listener {
    /// Bytes as they come.
    pub(crate) async fn tcp() -> Self {
        Self::bind(Speaks::Tcp).await
    }

    /// What carries AMQP on this platform.
    pub(crate) async fn amqp() -> Self {
        Self::tcp().await
    }

    /// Messages of WebSockets.
    pub(crate) async fn websocket(sub_protocol: Option<&str>) -> Self {
        Self::bind(Speaks::WebSocket(sub_protocol.map(str::to_owned))).await
    }

    pub(crate) async fn bind(speaks: Speaks) -> Self {
        Listener { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), speaks }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) async fn accept(&mut self) -> Stream {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            match &self.speaks {
                Speaks::Tcp => return Stream { inner: Inner::Tcp(stream), asked: String::new() },
                Speaks::WebSocket(sub_protocol) => {
                    // Whoever leaves in the middle of the handshake was never there.
                    if let Some(stream) = shake_hands(stream, sub_protocol.as_deref()).await {
                        return stream;
                    }
                }
            }
        }
    }
}

#[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
async fn shake_hands(stream: TcpStream, sub_protocol: Option<&str>) -> Option<Stream> {
    let mut asked = String::new();
    let answer = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let offered = request.headers().get(PROTOCOL).map_or("", |value| value.to_str().unwrap());
        asked = format!("{} {offered}", request.uri().path());
        if let Some(sub_protocol) = sub_protocol {
            response.headers_mut().insert(PROTOCOL, sub_protocol.parse().unwrap());
        }
        Ok(response)
    };
    let stream = accept_hdr_async(stream, answer).await.ok()?;
    Some(Stream { inner: Inner::WebSocket(Box::new(stream)), asked })
}

impl Stream {
    /// The next bytes; `None` when the peer has left.
    pub(crate) async fn read(&mut self) -> Option<Bytes> {
        match &mut self.inner {
            Inner::Tcp(stream) => {
                let mut buffer = vec![0; 64 * 1024];
                let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
                buffer.truncate(read);
                Some(buffer.into())
            }
            Inner::WebSocket(stream) => {
                // Its goodbye is answered by tungstenite, when it is asked for more.
                while let Some(Ok(message)) = stream.next().await {
                    if let Message::Binary(bytes) = message {
                        return Some(bytes);
                    }
                }
                // It is the server that ends the connection behind the last word; clients wait for it.
                self.inner = Inner::Ended;
                None
            }
            Inner::Ended => None,
        }
    }

    /// Whether the bytes could be written.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> bool {
        match &mut self.inner {
            Inner::Tcp(stream) => stream.write_all(&bytes).await.is_ok(),
            Inner::WebSocket(stream) => stream.send(Message::Binary(bytes)).await.is_ok(),
            Inner::Ended => false,
        }
    }

    /// Says why it closes, where the protocol has words for it, and waits until the peer has left.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        if let Inner::WebSocket(stream) = &mut self.inner {
            let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
            let _ = WebSocketStream::close(stream, Some(frame)).await;
            while let Some(Ok(_)) = stream.next().await {}
        }
    }
}
