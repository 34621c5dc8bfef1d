//! Telling what a peer speaks by its first bytes, so that one port serves everything.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    Amqp,
    Tls,
    Http,
    /// Nothing that is served here.
    Unknown,
}

/// Reads until it is clear what the peer speaks. `None` when it left before that.
pub(super) async fn listen_to<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<(Speech, Bytes)>> {
    // Small: most connections are idle soon, and the driver brings its own buffer.
    let mut first = BytesMut::with_capacity(1024);
    loop {
        if stream.read_buf(&mut first).await? == 0 {
            return Ok(None);
        }
        if let Some(speech) = recognise(&first) {
            return Ok(Some((speech, first.freeze())));
        }
    }
}

/// What these first bytes mean; `None` when more are needed to tell.
fn recognise(first: &[u8]) -> Option<Speech> {
    const AMQP: &[u8] = b"AMQP";
    const TLS_HANDSHAKE: u8 = 0x16;
    match *first {
        [] => None,
        [TLS_HANDSHAKE, ..] => Some(Speech::Tls),
        _ if first.starts_with(AMQP) => Some(Speech::Amqp),
        _ if AMQP.starts_with(first) => None,
        // Some HTTP clients send an empty line first; what only looks like text gets an answer in text.
        [b'a'..=b'z' | b'A'..=b'Z' | b'\r' | b'\n', ..] => Some(Speech::Http),
        _ => Some(Speech::Unknown),
    }
}

/// A stream some of whose bytes were read already.
pub(super) struct Prefixed<S> {
    prefix: Bytes,
    stream: S,
}

impl<S> Prefixed<S> {
    pub(super) fn new(prefix: Bytes, stream: S) -> Self {
        Prefixed { prefix, stream }
    }

    pub(super) fn into_parts(self) -> (Bytes, S) {
        (self.prefix, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let taken = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..taken]);
        self.prefix.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        let table: [(&[u8], Option<Speech>); 12] = [
            (b"", None),
            (b"A", None),
            (b"AMQ", None),
            (b"AMQP", Some(Speech::Amqp)),
            (b"AMQP\x03\x01\x00\x00", Some(Speech::Amqp)),
            (b"\x16\x03", Some(Speech::Tls)),
            (b"G", Some(Speech::Http)),
            (b"ACL / HTTP/1.1", Some(Speech::Http)),
            (b"\r\nGET /", Some(Speech::Http)),
            (b"hello", Some(Speech::Http)),
            (b"\x00\x00\x00\x08", Some(Speech::Unknown)),
            (b"\x80\x2e\x01", Some(Speech::Unknown)),
        ];
        for (bytes, expected) in table {
            assert_eq!(recognise(bytes), expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_prefix_is_read_before_the_stream() {
        let mut stream = Prefixed::new(Bytes::from_static(b"one "), &b"two"[..]);
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "one two");
    }
}
