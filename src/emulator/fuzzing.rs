//! What the fuzz targets feed: the emulator's parsers of foreign bytes, and a socket that is none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::clock::Clock;
use super::config::SocketLimits;
use super::http;
use super::server::{Shared, serve_socket};
use super::store;
use crate::broker::{HubError, Namespace, NamespaceConfig};

/// The encoded events of a publication over HTTP, those with one partition key together; or what is wrong with it.
///
/// # Errors
/// With the text that the publisher is told.
pub fn rest_events(headers: &[(&[u8], &[u8])], body: Bytes) -> Result<Vec<Vec<Bytes>>, String> {
    http::fuzzing::rest_events(headers, body)
}

/// The number of partitions that a hub's description in Atom XML asks for.
///
/// # Errors
/// With the text that the client is told.
pub fn hub_description(xml: &[u8]) -> Result<Option<u32>, String> {
    http::fuzzing::hub_description(xml)
}

/// The fault that a body of the control API asks for, as it is shown.
///
/// # Errors
/// With the text that the client is told.
pub fn fault(body: &[u8]) -> Result<String, String> {
    http::fuzzing::fault(body)
}

/// Whether a path names something that can be managed over HTTP.
pub fn is_resource(path: &str) -> bool {
    http::fuzzing::is_resource(path)
}

/// A namespace from a store's rows: one hub's description, and records with their partitions.
///
/// # Errors
/// With the text that says why the store cannot be used.
pub fn stored_namespace(hub: &[u8], records: Vec<(u32, Bytes)>) -> Result<Namespace, String> {
    let restore = store::fuzzing::restore(hub, records)?;
    let clock = Clock::start();
    Namespace::restore(NamespaceConfig::default(), restore, store::fuzzing::journal(), clock.now())
        .map_err(|error| error.to_string())
}

/// What an emulator's sockets share, without sockets.
pub struct Sockets {
    shared: Shared,
    _stop: watch::Sender<bool>,
}

impl Sockets {
    /// Those of a namespace of its own.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(config: NamespaceConfig) -> Result<Self, HubError> {
        let clock = Clock::start();
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            max_message_size: usize::try_from(config.limits.max_message_size).unwrap_or(usize::MAX),
            namespace: Namespace::new(config, clock.now())?,
            clock,
            tls: None,
            limits: SocketLimits::default(),
            console: None,
            development_key_opens: true,
            stopping,
        };
        Ok(Sockets { shared, _stop: stop })
    }

    /// Serves a peer that sends these bytes, at most `piece` at once, and leaves. How many bytes it was answered.
    pub async fn serve(&self, input: Bytes, piece: usize) -> usize {
        let answered = Arc::new(AtomicUsize::new(0));
        let peer = Peer { input, piece: piece.max(1), answered: answered.clone() };
        // Whatever it ends with: the peer is gone.
        drop(serve_socket(peer, &self.shared).await);
        answered.load(Ordering::Relaxed)
    }
}

/// A peer whose bytes are all there already, and who takes every answer.
struct Peer {
    input: Bytes,
    piece: usize,
    answered: Arc<AtomicUsize>,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let taken = self.input.len().min(buf.remaining()).min(self.piece);
        buf.put_slice(&self.input[..taken]);
        self.input.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
