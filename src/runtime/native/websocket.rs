//! The WebSocket binding of AMQP.
//!
//! tungstenite hands out each message as a slice of its read buffer. The `AsyncRead` adapter of
//! fe2o3-amqp-ws would copy every one of them, so its tungstenite is used without it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fe2o3_amqp_ws::tokio_tungstenite::{WebSocketStream, client_async_with_config};
use fe2o3_amqp_ws::tungstenite::client::ClientRequestBuilder;
use fe2o3_amqp_ws::tungstenite::error::{Error as WsError, ProtocolError, SubProtocolError};
use fe2o3_amqp_ws::tungstenite::http::Uri;
use fe2o3_amqp_ws::tungstenite::protocol::frame::coding::CloseCode;
use fe2o3_amqp_ws::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use futures::{Sink, Stream};

use super::super::endpoint::{DialError, Endpoint};
use super::stream::ByteStream;

/// Where Event Hubs listens for WebSockets.
const PATH: &str = "/$servicebus/websocket";
/// The registered sub-protocol. The service and the emulator also know `amqp`; browsers' SDKs say this one.
const SUB_PROTOCOL: &str = "AMQPWSB10";
/// Each read is zeroed first, and what events keep alive cannot be read into again: with more than this, a message of
/// 64 KiB takes twice its size in fresh memory, which costs more than the extra reads (measured at
/// 512 links: 6.3 µs an event with 128 KiB, 0.9 µs with this).
const READ_BUFFER: usize = 32 * 1024;
/// The largest message taken. Peers send one AMQP frame or some 64 KiB at a time; this only bounds memory.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A WebSocket after its handshake.
pub(super) struct WebSocket {
    stream: WebSocketStream<ByteStream>,
}

impl WebSocket {
    /// Shakes hands over `stream`.
    pub(super) async fn connect(endpoint: &Endpoint, stream: ByteStream) -> Result<Self, DialError> {
        let uri: Uri = format!("{endpoint}{PATH}")
            .parse()
            .map_err(|_| DialError::permanent(format!("'{}' cannot be part of a URL", endpoint.host)))?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUB_PROTOCOL);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let (stream, _response) =
            client_async_with_config(request, stream, Some(config)).await.map_err(handshake_error)?;
        Ok(WebSocket { stream })
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(Message::Binary(payload))) if payload.is_empty() => {}
                Some(Ok(Message::Binary(payload))) => return Poll::Ready(Ok(Some(payload))),
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(text_message())),
                // Pings are answered by tungstenite.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) if frame.code != CloseCode::Normal => {
                    return Poll::Ready(Err(closed(&frame)));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(None)),
                Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    return Poll::Ready(Ok(None));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_ready(cx).map_err(io_error)
    }

    pub(super) fn start_send(&mut self, chunk: Bytes) -> io::Result<()> {
        Pin::new(&mut self.stream).start_send(Message::Binary(chunk)).map_err(io_error)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(io_error)
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx).map_err(io_error)
    }
}

fn handshake_error(error: WsError) -> DialError {
    match error {
        WsError::Io(error) => DialError::transient(format!("the WebSocket handshake was cut off: {error}")),
        WsError::Http(response) => {
            let status = response.status();
            // A gateway that is starting or overloaded says so with these; any other refusal stays one.
            let transient = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
            let message = format!("the server refused the WebSocket upgrade with HTTP status {status}");
            DialError { message, transient }
        }
        WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol | SubProtocolError::InvalidSubProtocol,
        )) => DialError::permanent(format!(
            "the server does not speak AMQP over WebSockets: it did not accept the sub-protocol {SUB_PROTOCOL}"
        )),
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => {
            DialError::transient("the server closed the connection during the WebSocket handshake")
        }
        other => DialError::permanent(format!("the server does not speak WebSocket: {other}")),
    }
}

fn io_error(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::ConnectionClosed | WsError::AlreadyClosed => io::ErrorKind::ConnectionAborted.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

fn closed(frame: &CloseFrame) -> io::Error {
    let code = u16::from(frame.code);
    let message = match frame.reason.as_str() {
        "" => format!("the WebSocket was closed with code {code}"),
        reason => format!("the WebSocket was closed with code {code}: {reason}"),
    };
    io::Error::new(io::ErrorKind::ConnectionAborted, message)
}

fn text_message() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the peer sent a text message where AMQP was expected")
}
