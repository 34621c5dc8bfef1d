//! An Event Hubs namespace without sockets: connections are pipes in memory.
//!
//! This is the emulator of a browser page, a worker, or a test that wants nothing from its platform. As the broker
//! below it, it does no I/O and owns no clock: whoever drives it moves the bytes and tells the time. What JavaScript
//! sees of it is in `js`.

#[cfg(all(feature = "js-emulator", target_arch = "wasm32"))]
mod js;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::broker::{
    BrokerConnection, HubError, Namespace, NamespaceConfig, NamespaceLimits, Now, Refused, Retention, Waker,
};
use crate::model::moment::Moment;

/// What may wait to be fetched before a connection is no longer listened to: more than the largest message of any
/// tier, so that only a peer that makes answers pile up comes that far.
const MOST_BACKLOG: usize = 24 << 20;

/// A page has much less to give than a machine.
const BYTES_PER_PARTITION: u64 = 32 << 20;
const STORED_BYTES: u64 = 256 << 20;
const CONNECTIONS: usize = 256;

/// One connection of an [`InPageEmulator`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u32);

/// A namespace and the service's ends of its connections.
///
/// What is done to one connection can give another one something to say: after any call, ask
/// [`poll_woken`](Self::poll_woken) until it is `None` and fetch the output of those connections.
pub struct InPageEmulator {
    namespace: Namespace,
    connections: HashMap<ConnectionId, BrokerConnection>,
    last: u32,
    woken: Arc<Woken>,
    /// [`MOST_BACKLOG`], less in tests.
    most_backlog: usize,
}

/// The connections that have something to do without new input. Each stands in it at most once: the broker wakes
/// with the first letter and reads them all.
#[derive(Default)]
struct Woken(Mutex<VecDeque<ConnectionId>>);

impl InPageEmulator {
    /// What a page's namespace is like when nothing else is said: no hubs yet, an hour of events, 32 MiB of them in
    /// a partition, 256 MiB in all.
    pub fn default_config() -> NamespaceConfig {
        NamespaceConfig {
            retention: Retention { bytes_per_partition: BYTES_PER_PARTITION, ..Retention::default() },
            limits: NamespaceLimits {
                stored_bytes: STORED_BYTES,
                connections: CONNECTIONS,
                ..NamespaceLimits::default()
            },
            ..NamespaceConfig::default()
        }
    }

    /// A namespace without connections.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(config: NamespaceConfig, now: Now) -> Result<Self, HubError> {
        Ok(InPageEmulator {
            namespace: Namespace::new(config, now)?,
            connections: HashMap::new(),
            last: 0,
            woken: Arc::default(),
            most_backlog: MOST_BACKLOG,
        })
    }

    /// The namespace, to create hubs, look at partitions and shut it down.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the namespace is shut down or has too many connections.
    pub fn connect(&mut self, now: Now) -> Result<ConnectionId, Refused> {
        let id = ConnectionId(self.last.wrapping_add(1));
        let woken = self.woken.clone();
        let connection =
            BrokerConnection::new(self.namespace.clone(), Waker::new(move || woken.add(id)), now)?;
        self.last = id.0;
        self.connections.insert(id, connection);
        Ok(id)
    }

    /// Takes bytes that the client sent. On a connection that is over they mean nothing.
    pub fn feed(&mut self, id: ConnectionId, bytes: Bytes, now: Now) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.feed(bytes, now);
        }
    }

    /// Whether [`feed`](Self::feed) may be called. Not while more answers wait than any honest client causes: who
    /// does not take them is not listened to.
    pub fn is_listening(&self, id: ConnectionId) -> bool {
        let listens = |c: &BrokerConnection| c.backlog() <= self.most_backlog && !c.is_full();
        self.connections.get(&id).is_some_and(listens)
    }

    /// Bytes for the client; `None` when there is nothing to say now. Events are taken from the logs here, so a client
    /// for which nothing is fetched makes nothing pile up.
    pub fn poll_output(&mut self, id: ConnectionId, now: Now) -> Option<Bytes> {
        self.connections.get_mut(&id)?.poll_output(now)
    }

    /// When [`tick`](Self::tick) should be called at the latest.
    pub fn next_deadline(&self, id: ConnectionId) -> Option<Moment> {
        self.connections.get(&id)?.next_deadline()
    }

    /// Lets time pass for a connection.
    pub fn tick(&mut self, id: ConnectionId, now: Now) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.tick(now);
        }
    }

    /// Whether a connection is over and everything that was to be said has been fetched. Then
    /// [`disconnect`](Self::disconnect) it.
    pub fn is_finished(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(BrokerConnection::is_finished)
    }

    /// Whether a connection that is over broke without a word, on purpose. Its transport should, too.
    pub fn was_dropped(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(BrokerConnection::was_dropped)
    }

    /// Forgets a connection with everything that its client held.
    pub fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
        self.woken.remove(id);
    }

    /// A connection that has something to do without new input.
    pub fn poll_woken(&self) -> Option<ConnectionId> {
        self.woken.next()
    }
}

impl Woken {
    fn add(&self, id: ConnectionId) {
        self.queue().push_back(id);
    }

    fn remove(&self, id: ConnectionId) {
        self.queue().retain(|other| *other != id);
    }

    fn next(&self) -> Option<ConnectionId> {
        self.queue().pop_front()
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<ConnectionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionId {
    /// The number that stands for the connection where only numbers can.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The connection with that number. Calls for one that does not exist do nothing.
    pub fn from_number(number: u32) -> Self {
        ConnectionId(number)
    }
}

impl fmt::Debug for InPageEmulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPageEmulator").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

/// What clocks that count milliseconds show: one that only goes forward, and the calendar's. What is no time is the
/// clock's origin.
pub fn now_from_millis(monotonic: f64, unix: f64) -> Now {
    Now {
        moment: Moment::from_origin(Duration::try_from_secs_f64(monotonic / 1000.0).unwrap_or_default()),
        unix: crate::model::value::Timestamp::from_millis(unix as i64),
    }
}

/// The same moment on the clock that counts milliseconds.
pub fn millis_from_moment(moment: Moment) -> f64 {
    moment.since_origin().as_nanos() as f64 / 1e6
}
