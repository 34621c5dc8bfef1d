//! What a driver needs of a socket: chunks of bytes in and out, by polling.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use fe2o3_amqp_ws::tokio_tungstenite::WebSocketStream;
use fe2o3_amqp_ws::tungstenite::error::{CapacityError, ProtocolError};
use fe2o3_amqp_ws::tungstenite::protocol::frame::coding::CloseCode;
use fe2o3_amqp_ws::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use fe2o3_amqp_ws::tungstenite::{Error as WsError, Message};
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A socket that carries AMQP.
pub(super) trait Wire {
    /// Bytes that arrived; `None` when there will be no more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;
    /// Whether [`start_send`](Self::start_send) may be called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Takes bytes and writes what the socket has room for.
    fn start_send(&mut self, cx: &mut Context<'_>, bytes: Bytes) -> io::Result<()>;
    /// Writes everything that was taken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Writes everything that was taken, says that no more will come, and waits until the peer has left: a socket
    /// that is closed with unread input is reset, and the peer might not get to read the rest.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// AMQP right on a byte stream: TCP, or TLS over it.
pub(super) struct StreamWire<S> {
    stream: S,
    /// What was read together with the first bytes.
    first: Bytes,
    input: BytesMut,
    /// How much is read at once: grows while reads fill it, shrinks while they do not, so that an idle
    /// connection holds little.
    chunk: usize,
    /// What was taken for writing and is not written yet.
    output: Bytes,
}

const SMALLEST_CHUNK: usize = 4 * 1024;
const LARGEST_CHUNK: usize = 256 * 1024;

impl<S> StreamWire<S> {
    /// A wire on a stream of which `first` was read already.
    pub(super) fn new(stream: S, first: Bytes) -> Self {
        StreamWire { stream, first, input: BytesMut::new(), chunk: SMALLEST_CHUNK, output: Bytes::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamWire<S> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for StreamWire<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.first))));
        }
        // What is left of the last chunk is used up while it is not too small to be worth a system call.
        if self.input.capacity() < self.chunk.min(SMALLEST_CHUNK * 4) {
            self.input = BytesMut::with_capacity(self.chunk);
        }
        let room = self.input.capacity();
        let read = match ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx)) {
            Ok(0) => return Poll::Ready(Ok(None)),
            Ok(read) => read,
            // TLS peers that leave without a goodbye; AMQP has its own.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(None)),
            Err(error) => return Poll::Ready(Err(error)),
        };
        if read == room {
            self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
        } else if read < self.chunk / 8 {
            self.chunk = (self.chunk / 2).max(SMALLEST_CHUNK);
        }
        Poll::Ready(Ok(Some(self.input.split().freeze())))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_out(cx)
    }

    fn start_send(&mut self, cx: &mut Context<'_>, bytes: Bytes) -> io::Result<()> {
        self.output = bytes;
        match self.poll_write_out(cx) {
            Poll::Ready(done) => done,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        poll_leave(&mut self.stream, cx)
    }
}

/// Ends our direction and discards the peer's until it ends.
fn poll_leave<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
    let mut discarded = [MaybeUninit::uninit(); 1024];
    loop {
        let mut buffer = ReadBuf::uninit(&mut discarded);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
    }
}

/// AMQP in the binary messages of a WebSocket. Its bounds between messages mean nothing.
pub(super) struct WebSocketWire<S> {
    socket: WebSocketStream<S>,
    /// Why the WebSocket is to be closed, when it is our wish.
    closing: Option<CloseFrame>,
    close_sent: bool,
}

/// More than any client puts into a message: they send a frame of AMQP, or what they have written at once.
const LARGEST_MESSAGE: usize = 8 << 20;
/// Per connection and for as long as it lasts, so not more than brings the speed.
const READ_BUFFER: usize = 16 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketWire<S> {
    /// A wire on a stream after the handshake, of which `first` was read already.
    pub(super) async fn accept(stream: S, first: Bytes) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let socket =
            WebSocketStream::from_partially_read(stream, first.to_vec(), Role::Server, Some(config)).await;
        WebSocketWire { socket, closing: None, close_sent: false }
    }

    fn refuse(&mut self, code: CloseCode, reason: &'static str) {
        self.closing = Some(CloseFrame { code, reason: reason.into() });
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for WebSocketWire<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => {}
                Some(Ok(Message::Binary(bytes))) => return Poll::Ready(Ok(Some(bytes))),
                Some(Ok(Message::Text(_))) => {
                    self.refuse(CloseCode::Unsupported, "AMQP travels in binary messages");
                    return Poll::Ready(Ok(None));
                }
                // Tungstenite answers pings and closes by itself, as the socket has room.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {}
                Some(Err(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                    return Poll::Ready(Ok(None));
                }
                Some(Err(WsError::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    self.refuse(CloseCode::Size, "the message is too large");
                    return Poll::Ready(Ok(None));
                }
                Some(Err(WsError::Protocol(_))) => {
                    self.refuse(CloseCode::Protocol, "that is no WebSocket frame from a client");
                    return Poll::Ready(Ok(None));
                }
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_ready(cx).map_err(into_io)
    }

    fn start_send(&mut self, _cx: &mut Context<'_>, bytes: Bytes) -> io::Result<()> {
        Pin::new(&mut self.socket).start_send(Message::Binary(bytes)).map_err(into_io)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.close_sent {
            ready!(self.poll_ready(cx))?;
            self.close_sent = true;
            let frame =
                self.closing.take().unwrap_or(CloseFrame { code: CloseCode::Normal, reason: "".into() });
            let sent = Pin::new(&mut self.socket).start_send(Message::Close(Some(frame)));
            // When the peer closed first, the answer is on its way.
            if let Err(WsError::Io(error)) = sent {
                return Poll::Ready(Err(error));
            }
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(into_io)?;
        while let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(cx)) {}
        poll_leave(self.socket.get_mut(), cx)
    }
}

fn into_io(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::ConnectionClosed | WsError::AlreadyClosed => io::ErrorKind::NotConnected.into(),
        other => io::Error::other(other),
    }
}
