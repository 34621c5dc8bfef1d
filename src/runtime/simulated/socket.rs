//! A socket of either kind.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::native::{self, SocketError};
use super::network::End;

/// A connected socket, of the machine or of a world.
pub(crate) enum Socket {
    Native(native::Socket),
    Simulated(End),
}

impl Socket {
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, SocketError>> {
        match self {
            Socket::Native(socket) => socket.poll_recv(cx),
            Socket::Simulated(end) => end.poll_recv(cx),
        }
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self {
            Socket::Native(socket) => socket.poll_ready(cx),
            Socket::Simulated(end) => end.poll_ready(cx),
        }
    }

    pub(crate) fn start_send(&mut self, chunk: Bytes) -> Result<(), SocketError> {
        match self {
            Socket::Native(socket) => socket.start_send(chunk),
            Socket::Simulated(end) => end.start_send(chunk),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self {
            Socket::Native(socket) => socket.poll_flush(cx),
            Socket::Simulated(end) => end.poll_flush(cx),
        }
    }

    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self {
            Socket::Native(socket) => socket.poll_close(cx),
            Socket::Simulated(end) => end.poll_close(cx),
        }
    }
}
