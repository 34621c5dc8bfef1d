//! The namespace: its hubs, and what can be done with it from outside of a connection.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Now;
use super::config::{HubConfig, NamespaceConfig, Rights};
use super::journal::{Journal, Restore};
use crate::amqp::AmqpError;
use crate::model::value::Timestamp;

/// A namespace. Clones are handles to the same one; calls may come from any thread.
#[derive(Clone)]
pub struct Namespace {
    _shared: Arc<()>,
}

/// Where a publication goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the partition of the events' partition key; without a key to the next one in turn.
    Any {
        /// The key.
        partition_key: Option<String>,
    },
    /// To this partition.
    Partition(u32),
    /// To the publisher's partition, with the publisher's name on each event.
    Publisher(String),
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it went.
    pub partition: u32,
    /// The sequence number of its first event.
    pub first_sequence: i64,
}

/// Called once when a publication is durable or has failed.
pub struct PublishDone(pub(super) Box<dyn FnOnce(Result<Published, AmqpError>) + Send>);

/// A hub as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubInfo {
    /// Its name as it was created.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Its consumer groups, `$Default` first.
    pub consumer_groups: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A partition as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The sequence number of the oldest retained event, or of the next one when there is none.
    pub begin_sequence: i64,
    /// The sequence number of the newest event; -1 when there never was one.
    pub last_sequence: i64,
    /// The offset of the newest event; -1 when there never was one.
    pub last_offset: i64,
    /// When the newest event was enqueued.
    pub last_enqueued: Option<Timestamp>,
    /// Whether no event is retained.
    pub is_empty: bool,
}

/// Why a hub or consumer group is not as was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubError {
    /// No hub or group has that name.
    NotFound(String),
    /// There is one of that name already.
    Exists(String),
    /// The request itself is wrong, and why.
    Invalid(String),
    /// A limit of the namespace is reached.
    LimitReached(String),
}

impl Namespace {
    /// A namespace that lives in memory.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(config: NamespaceConfig, now: Now) -> Result<Self, HubError> {
        let _ = (config, now);
        todo!()
    }

    /// A namespace that goes on where its journal ended. Hubs of the configuration that the journal does not
    /// know are created.
    ///
    /// # Errors
    /// When the configuration contradicts itself or what was stored.
    pub fn restore(
        config: NamespaceConfig,
        restore: Restore,
        journal: Arc<dyn Journal>,
        now: Now,
    ) -> Result<Self, HubError> {
        let _ = (config, restore, journal, now);
        todo!()
    }

    /// Creates a hub.
    ///
    /// # Errors
    /// [`HubError::Exists`], [`HubError::Invalid`], [`HubError::LimitReached`].
    pub fn create_hub(&self, hub: HubConfig, now: Now) -> Result<(), HubError> {
        let _ = (hub, now);
        todo!()
    }

    /// Deletes a hub with its events; its links are detached.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub fn delete_hub(&self, name: &str) -> Result<(), HubError> {
        let _ = name;
        todo!()
    }

    /// Creates a consumer group.
    ///
    /// # Errors
    /// As [`create_hub`](Self::create_hub), and [`HubError::NotFound`] for the hub.
    pub fn create_consumer_group(&self, hub: &str, group: &str) -> Result<(), HubError> {
        let _ = (hub, group);
        todo!()
    }

    /// Deletes a consumer group; its receivers are detached.
    ///
    /// # Errors
    /// [`HubError::NotFound`]; [`HubError::Invalid`] for `$Default`.
    pub fn delete_consumer_group(&self, hub: &str, group: &str) -> Result<(), HubError> {
        let _ = (hub, group);
        todo!()
    }

    /// All hubs, by name.
    pub fn hubs(&self) -> Vec<HubInfo> {
        todo!()
    }

    /// One hub.
    pub fn hub(&self, name: &str) -> Option<HubInfo> {
        let _ = name;
        todo!()
    }

    /// One partition of a hub.
    pub fn partition(&self, hub: &str, partition: u32, now: Now) -> Option<PartitionInfo> {
        let _ = (hub, partition, now);
        todo!()
    }

    /// Verifies a SAS token (or what the configuration says about other tokens) for `right` on `path`, such as
    /// `orders` or `orders/partitions/0`.
    ///
    /// # Errors
    /// With the service's condition and text (`InvalidSignature: …`, `ExpiredToken: …`, …).
    pub fn authorize(&self, token: &str, path: &str, right: Rights, now: Now) -> Result<(), AmqpError> {
        let _ = (token, path, right, now);
        todo!()
    }

    /// Publishes events, each an encoded AMQP message, all or none of them, next to each other in one
    /// partition. `done` is called once they are durable.
    pub fn publish(&self, hub: &str, route: Route, events: Vec<Bytes>, now: Now, done: PublishDone) {
        let _ = (hub, route, events, now, done);
        todo!()
    }

    /// Drops what retention says where nobody publishes or reads. To be called about once a minute.
    pub fn sweep(&self, now: Now) {
        let _ = now;
        todo!()
    }

    /// Closes all connections politely and takes no new ones.
    pub fn shutdown(&self) {
        todo!()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        todo!()
    }
}

impl PublishDone {
    /// Calls `done` with what became of the publication.
    pub fn new(done: impl FnOnce(Result<Published, AmqpError>) + Send + 'static) -> Self {
        PublishDone(Box::new(done))
    }
}

impl fmt::Debug for PublishDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishDone")
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HubError::NotFound(what) => write!(f, "{what} does not exist"),
            HubError::Exists(what) => write!(f, "{what} exists already"),
            HubError::Invalid(why) | HubError::LimitReached(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for HubError {}
