//! Accepts sockets, finds out what they speak, and serves them until they are closed.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::clock::Clock;
use super::config::SocketLimits;
use super::driver::{Wake, drive};
use super::http::{self, Console};
use super::sniff::{Prefixed, Speech, listen_to};
use super::wire::{StreamWire, WebSocketWire, Wire};
use crate::broker::{BrokerConnection, Namespace, Waker};

/// What all connections share.
pub(super) struct Shared {
    pub(super) namespace: Namespace,
    pub(super) clock: Clock,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: SocketLimits,
    /// The largest publication, in bytes.
    pub(super) max_message_size: usize,
    /// The page at `/`.
    pub(super) console: Option<Console>,
    /// Whether the key that everybody knows opens the namespace.
    pub(super) development_key_opens: bool,
    /// Whether the emulator is stopping.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Shared {
    /// Returns when the emulator is stopping.
    pub(super) async fn stopped(&self) {
        // It fails when the emulator was dropped, and that is the same.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// How often the namespace is told to let go of what retention says.
const SWEEP: Duration = Duration::from_secs(30);
/// How long is waited when the system refuses sockets, for example because the process has too many files.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until told to stop, then says goodbye to everybody. Dropping the future drops all connections.
pub(super) async fn serve(listeners: Vec<TcpListener>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(shared.limits.sockets.min(Semaphore::MAX_PERMITS)));
    let mut stopped = pin!(shared.stopped());
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = accept(&listeners) => match accepted {
                Ok(socket) => match places.clone().try_acquire_owned() {
                    Ok(place) => { connections.spawn(connection(socket, place, shared.clone())); }
                    Err(_) => warn!("closed a new connection: {} sockets are open", shared.limits.sockets),
                },
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(BREATH).await;
                }
            },
            _ = sweep.tick() => shared.namespace.sweep(shared.clock.now()),
            Some(_) = connections.join_next() => {}
            () = &mut stopped => break,
        }
    }
    drop(listeners);
    shared.namespace.shutdown(shared.clock.now());
    let goodbyes = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.limits.shutdown, goodbyes).await.is_err() {
        debug!("{} connections did not say goodbye", connections.len());
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|cx| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(socket, _)| socket));
            }
        }
        Poll::Pending
    })
    .await
}

/// Serves one socket. `_place` is its share of the limit.
async fn connection(socket: TcpStream, _place: OwnedSemaphorePermit, shared: Arc<Shared>) {
    // Answers are written in one go and are waited for: E29.
    if let Err(error) = socket.set_nodelay(true) {
        debug!("cannot switch off Nagle's algorithm: {error}");
    }
    if let Err(error) = serve_socket(socket, &shared).await {
        debug!("a connection ended: {error}");
    }
}

pub(super) async fn serve_socket<S>(mut socket: S, shared: &Shared) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let deadline = Instant::now() + shared.limits.first_bytes;
    let Some((speech, first)) = hear(&mut socket, deadline, shared).await? else { return Ok(()) };
    // Boxed, so that an idle connection does not take the room of every beginning that it did not have.
    if speech != Speech::Tls {
        return Box::pin(serve_stream(socket, speech, first, shared)).await;
    }
    let Some(tls) = &shared.tls else { return refuse_tls(socket).await };
    Box::pin(serve_tls(tls, Prefixed::new(first, socket), deadline, shared)).await
}

async fn serve_tls<S>(
    tls: &TlsAcceptor,
    socket: Prefixed<S>,
    deadline: Instant,
    shared: &Shared,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = timeout_at(deadline, tls.accept(socket)).await.map_err(too_slow)??;
    let Some((speech, first)) = hear(&mut stream, deadline, shared).await? else { return Ok(()) };
    serve_stream(stream, speech, first, shared).await
}

/// What the peer speaks; `None` when it left without a word or the emulator stops.
async fn hear<S: AsyncRead + Unpin>(
    stream: &mut S,
    deadline: Instant,
    shared: &Shared,
) -> io::Result<Option<(Speech, Bytes)>> {
    tokio::select! {
        heard = timeout_at(deadline, listen_to(stream)) => heard.map_err(too_slow)?,
        () = shared.stopped() => Ok(None),
    }
}

fn too_slow(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer did not say in time what it speaks")
}

async fn serve_stream<S>(stream: S, speech: Speech, first: Bytes, shared: &Shared) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match speech {
        Speech::Amqp => serve_amqp(StreamWire::new(stream, first), shared).await,
        Speech::Http => match http::serve(Prefixed::new(first, stream), shared).await? {
            Some((stream, first)) => serve_amqp(WebSocketWire::accept(stream, first).await, shared).await,
            None => Ok(()),
        },
        Speech::Unknown | Speech::Tls => refuse_unknown(stream).await,
    }
}

async fn serve_amqp(wire: impl Wire, shared: &Shared) -> io::Result<()> {
    let wake = Arc::new(Wake::default());
    let waker = {
        let wake = wake.clone();
        Waker::new(move || wake.wake())
    };
    let machine = BrokerConnection::new(shared.namespace.clone(), waker, shared.clock.now())
        .map_err(|refused| io::Error::other(refused.to_string()))?;
    drive(machine, wire, wake, shared.clock).await
}

/// What AMQP 1.0 (2.2) says to peers whose first bytes mean nothing: the header that would.
async fn refuse_unknown<S: AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.write_all(b"AMQP\x03\x01\x00\x00").await?;
    stream.shutdown().await
}

/// Tells a TLS client at once, instead of leaving it to wait.
async fn refuse_tls<S: AsyncWrite + Unpin>(mut socket: S) -> io::Result<()> {
    const FATAL_HANDSHAKE_FAILURE: [u8; 7] = [0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28];
    socket.write_all(&FATAL_HANDSHAKE_FAILURE).await?;
    socket.shutdown().await
}
