//! One socket type for every transport: chunks of bytes in, chunks of bytes out.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::stream::ByteStream;
use super::websocket::WebSocket;

/// A connected socket. Chunk boundaries mean nothing on either side.
pub(crate) struct Socket {
    inner: Inner,
}

enum Inner {
    Stream(Raw),
    WebSocket(Box<WebSocket>),
}

/// A byte stream with what is read and what is to be written.
struct Raw {
    stream: ByteStream,
    /// Read buffer; what was read is split off, never copied.
    input: BytesMut,
    output: VecDeque<Bytes>,
    output_len: usize,
}

/// Bytes asked for at once. Large enough that a chunk holds many frames and few frames lie across two
/// chunks; slices of a chunk keep all of it alive, so not larger.
const READ_CHUNK: usize = 128 * 1024;
/// Spare room below which a fresh chunk is taken.
const READ_SPARE: usize = 16 * 1024;
/// Bytes waiting to be written above which the socket is not ready for more: two engine buffers.
const OUTPUT_MARK: usize = 128 * 1024;

impl Socket {
    pub(super) fn stream(stream: ByteStream) -> Self {
        let raw = Raw { stream, input: BytesMut::new(), output: VecDeque::new(), output_len: 0 };
        Socket { inner: Inner::Stream(raw) }
    }

    pub(super) fn websocket(websocket: WebSocket) -> Self {
        Socket { inner: Inner::WebSocket(Box::new(websocket)) }
    }

    /// The next chunk that arrived, `None` when the peer has finished.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        match &mut self.inner {
            Inner::Stream(raw) => raw.poll_recv(cx),
            Inner::WebSocket(websocket) => websocket.poll_recv(cx),
        }
    }

    /// Whether another chunk may be given to [`start_send`](Self::start_send): while the socket is slow
    /// it holds a bounded amount and no more.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Stream(raw) => raw.poll_ready(cx),
            Inner::WebSocket(websocket) => websocket.poll_ready(cx),
        }
    }

    /// Queues a chunk. Call when [`poll_ready`](Self::poll_ready) said so, and flush afterwards.
    pub(crate) fn start_send(&mut self, chunk: Bytes) -> io::Result<()> {
        match &mut self.inner {
            Inner::Stream(raw) => {
                raw.output_len += chunk.len();
                raw.output.push_back(chunk);
                Ok(())
            }
            Inner::WebSocket(websocket) => websocket.start_send(chunk),
        }
    }

    /// Writes what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Stream(raw) => raw.poll_flush(cx),
            Inner::WebSocket(websocket) => websocket.poll_flush(cx),
        }
    }

    /// Writes what is queued and says that nothing follows.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Stream(raw) => {
                ready!(raw.poll_flush(cx))?;
                Pin::new(&mut raw.stream).poll_shutdown(cx)
            }
            Inner::WebSocket(websocket) => websocket.poll_close(cx),
        }
    }
}

impl Raw {
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.input.capacity() < READ_SPARE {
            self.input.reserve(READ_CHUNK);
        }
        // `read_buf` holds nothing between polls, so a fresh one each time loses nothing.
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        Poll::Ready(Ok((read > 0).then(|| self.input.split().freeze())))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output_len < OUTPUT_MARK {
            return Poll::Ready(Ok(()));
        }
        match self.poll_write_out(cx) {
            Poll::Pending if self.output_len < OUTPUT_MARK => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(chunk) = self.output.front_mut() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, chunk))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output_len -= written;
            chunk.advance(written);
            if chunk.is_empty() {
                self.output.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}
