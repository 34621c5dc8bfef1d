//! The service's side of one client connection.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Now;
use super::namespace::Namespace;
use crate::model::moment::Moment;

/// Tells a connection's driver that there is something to do without new input. Called from any thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

/// The service's side of one client connection, without its socket.
///
/// After [`feed`](Self::feed), [`tick`](Self::tick) and each call of the [`Waker`], take
/// [`poll_output`](Self::poll_output) until it is `None`, writing what it gives; then wait for input, the
/// waker, or [`next_deadline`](Self::next_deadline). When [`is_finished`](Self::is_finished), close the socket.
/// Dropping it frees everything that the client held.
pub struct BrokerConnection {
    _namespace: Namespace,
}

/// Why a connection was not taken. The socket can only be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl BrokerConnection {
    /// The service's end of a connection that has just been made.
    ///
    /// # Errors
    /// When the namespace is shut down, or refuses so many connections already that not even a polite answer
    /// can be given.
    pub fn new(namespace: Namespace, waker: Waker, now: Now) -> Result<Self, Refused> {
        let _ = (namespace, waker, now);
        todo!()
    }

    /// Takes bytes that arrived.
    pub fn feed(&mut self, bytes: Bytes, now: Now) {
        let _ = (bytes, now);
        todo!()
    }

    /// Bytes to be written; `None` when there is nothing to write now. Events are taken from the logs here, so a
    /// socket that does not drain makes nothing pile up.
    pub fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        let _ = now;
        todo!()
    }

    /// When [`tick`](Self::tick) should be called at the latest.
    pub fn next_deadline(&self) -> Option<Moment> {
        todo!()
    }

    /// Lets time pass: heartbeats, idle peers, tokens that expire.
    pub fn tick(&mut self, now: Now) {
        let _ = now;
        todo!()
    }

    /// Whether the connection is over and everything that was to be written has been taken.
    pub fn is_finished(&self) -> bool {
        todo!()
    }
}

impl Waker {
    /// Calls `wake`, which must be cheap and must not call back into the broker.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Waker(Arc::new(wake))
    }

    /// Wakes the driver.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}
