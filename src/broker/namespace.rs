//! The namespace: its hubs, and what can be done with it from outside of a connection.

mod trouble;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};

pub(super) use self::trouble::BUSY;
use super::Now;
use super::authorization::{Access, Denied, Verified};
use super::config::{HubConfig, NamespaceConfig, Rights};
use super::faults::Faults;
use super::hub::{self, Hub};
use super::journal::{HubId, HubRecord, Journal, Restore};
use super::partition::{NotTaken, Receipt, Store};
use super::refusal::Tracker;
use super::sync::{Ack, Letter, Mailbox, lock};
use crate::amqp::AmqpError;
use crate::dialect::codec::Publication;
use crate::dialect::conditions::{
    ARGUMENT_ERROR, ARGUMENT_OUT_OF_RANGE, CONNECTION_FORCED, DECODE_ERROR, LINK_MESSAGE_SIZE_EXCEEDED,
    RESOURCE_LIMIT_EXCEEDED, UNAUTHORIZED_ACCESS,
};
use crate::model::partition;
use crate::model::value::Timestamp;

/// A namespace. Clones are handles to the same one; calls may come from any thread.
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
}

struct Shared {
    config: NamespaceConfig,
    access: Access,
    tracker: Tracker,
    faults: Faults,
    store: Arc<Store>,
    /// By name in lower case.
    hubs: RwLock<BTreeMap<String, Arc<Hub>>>,
    last_hub: AtomicU64,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    closed: bool,
    last: u64,
    /// In the order in which they came, which is the one in which all are told something.
    open: BTreeMap<u64, Arc<Mailbox>>,
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
        Self::build(config, Restore::new(), None, Faults::new(), now)
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
        Self::build(config, restore, Some(journal), Faults::new(), now)
    }

    /// As [`new`](Self::new), or [`restore`](Self::restore) when something was stored, with faults that outlive the
    /// namespace: those of a service that starts anew.
    ///
    /// # Errors
    /// When the configuration contradicts itself or what was stored.
    pub fn with_faults(
        config: NamespaceConfig,
        stored: Option<(Restore, Arc<dyn Journal>)>,
        faults: Faults,
        now: Now,
    ) -> Result<Self, HubError> {
        let (restore, journal) = stored.map_or((Restore::new(), None), |(r, journal)| (r, Some(journal)));
        Self::build(config, restore, journal, faults, now)
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Creates a hub.
    ///
    /// # Errors
    /// [`HubError::Exists`], [`HubError::Invalid`], [`HubError::LimitReached`].
    pub fn create_hub(&self, hub: HubConfig, now: Now) -> Result<(), HubError> {
        let shared = &*self.shared;
        hub::check(&hub, &shared.config.limits)?;
        let id = HubId(shared.last_hub.fetch_add(1, Ordering::Relaxed) + 1);
        let record = HubRecord { id, config: hub, created_at: now.unix };
        self.add_hub(record.clone())?;
        if let Some(journal) = &shared.store.journal {
            journal.put_hub(record);
        }
        Ok(())
    }

    /// Deletes a hub with its events; its links are detached.
    ///
    /// # Errors
    /// [`HubError::NotFound`].
    pub fn delete_hub(&self, name: &str, now: Now) -> Result<(), HubError> {
        let removed = self.hubs_mut(|hubs| hubs.remove(&name.to_lowercase()));
        let hub = removed.ok_or_else(|| HubError::NotFound(format!("hub '{name}'")))?;
        let error = self.shared.tracker.not_found(&hub.name, now.unix);
        for partition in &hub.partitions {
            partition.remove(&error);
        }
        if let Some(journal) = &self.shared.store.journal {
            journal.remove_hub(hub.id);
        }
        self.tell_all(|| Letter::HubGone { hub: hub.id, error: Box::new(error.clone()) });
        Ok(())
    }

    /// Creates a consumer group.
    ///
    /// # Errors
    /// As [`create_hub`](Self::create_hub), and [`HubError::NotFound`] for the hub.
    pub fn create_consumer_group(&self, hub: &str, group: &str) -> Result<(), HubError> {
        let hub = self.existing(hub)?;
        hub.add_group(group, &self.shared.config.limits)?;
        self.keep(&hub);
        Ok(())
    }

    /// Deletes a consumer group; its receivers are detached.
    ///
    /// # Errors
    /// [`HubError::NotFound`]; [`HubError::Invalid`] for `$Default`.
    pub fn delete_consumer_group(&self, hub: &str, group: &str, now: Now) -> Result<(), HubError> {
        let hub = self.existing(hub)?;
        hub.remove_group(group)?;
        self.keep(&hub);
        let error = self.shared.tracker.not_found(format!("{}|{group}", hub.name), now.unix);
        let group = group.to_lowercase();
        self.tell_all(|| Letter::GroupGone {
            hub: hub.id,
            group: group.clone(),
            error: Box::new(error.clone()),
        });
        Ok(())
    }

    /// All hubs, by name.
    pub fn hubs(&self) -> Vec<HubInfo> {
        let mut hubs: Vec<_> = self.all_hubs().iter().map(|hub| hub.info()).collect();
        hubs.sort_by(|a, b| a.name.cmp(&b.name));
        hubs
    }

    /// One hub.
    pub fn hub(&self, name: &str) -> Option<HubInfo> {
        self.find(name).map(|hub| hub.info())
    }

    /// One partition of a hub.
    pub fn partition(&self, hub: &str, partition: u32, now: Now) -> Option<PartitionInfo> {
        Some(self.find(hub)?.partitions.get(partition as usize)?.info(now))
    }

    /// Verifies a SAS token (or what the configuration says about other tokens) for `right` on `path`, such as
    /// `orders` or `orders/partitions/0`.
    ///
    /// # Errors
    /// With the service's condition and text (`InvalidSignature: …`, `ExpiredToken: …`, …).
    pub fn authorize(&self, token: &str, path: &str, right: Rights, now: Now) -> Result<(), AmqpError> {
        let now = self.now(now);
        let verified = self.verify(token, now);
        let denied = match verified {
            Ok(verified) if !verified.covers_path(path) => Denied::Audience,
            Ok(verified) if verified.rights.include(right) => return Ok(()),
            Ok(_) => return Err(self.unauthorized(&format!("sb://{path}"), right, now)),
            Err(denied) => denied,
        };
        Err(self.shared.tracker.error(UNAUTHORIZED_ACCESS, denied.text(), now.unix))
    }

    /// Publishes events, each an encoded AMQP message, all or none of them, next to each other in one
    /// partition. `done` is called once they are durable.
    pub fn publish(&self, hub: &str, route: Route, events: Vec<Bytes>, now: Now, done: PublishDone) {
        let mut done = Some(done);
        match self.publish_now(hub, route, events, now, &mut done) {
            Ok(Receipt::Later) => {}
            Ok(Receipt::Done(published)) => done.into_iter().for_each(|done| (done.0)(Ok(published))),
            Err(error) => done.into_iter().for_each(|done| (done.0)(Err(error.clone()))),
        }
    }

    /// Drops what retention says where nobody publishes or reads. To be called about once a minute.
    pub fn sweep(&self, now: Now) {
        self.look(now);
        for hub in self.all_hubs() {
            hub.partitions.iter().for_each(|partition| partition.sweep(now));
        }
    }

    /// Closes all connections politely and takes no new ones.
    pub fn shutdown(&self, now: Now) {
        lock(&self.shared.connections).closed = true;
        let text = "The connection was closed because the namespace is shutting down.";
        let error = self.shared.tracker.error(CONNECTION_FORCED, text, now.unix);
        self.tell_all(|| Letter::Close(Box::new(error.clone())));
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        lock(&self.shared.connections).open.len()
    }

    /// How many bytes of events there are, in memory.
    pub fn stored_bytes(&self) -> u64 {
        self.shared.store.bytes()
    }

    pub(super) fn config(&self) -> &NamespaceConfig {
        &self.shared.config
    }

    pub(super) fn access(&self) -> &Access {
        &self.shared.access
    }

    pub(super) fn tracker(&self) -> &Tracker {
        &self.shared.tracker
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Hub>> {
        let hubs = self.shared.hubs.read().unwrap_or_else(PoisonError::into_inner);
        hubs.get(&name.to_lowercase()).cloned()
    }

    /// Verifies a token of either type.
    pub(super) fn verify(&self, token: &str, now: Now) -> Result<Verified, Denied> {
        // Entra ID tokens are three Base64 texts with dots between them.
        match token.starts_with("SharedAccessSignature") {
            false if token.matches('.').count() == 2 && !token.contains('&') => self.access().trust_jwt(None),
            _ => self.access().verify(token, now.unix),
        }
    }

    pub(super) fn unauthorized(&self, resource: &str, right: Rights, now: Now) -> AmqpError {
        let text = format!(
            "Unauthorized access. '{right}' claim(s) are required to perform this operation. Resource: '{}'.",
            resource.to_lowercase()
        );
        self.shared.tracker.error(UNAUTHORIZED_ACCESS, text, now.unix)
    }

    /// What a publication that was not taken is told.
    pub(super) fn not_taken(&self, why: NotTaken, hub: &Hub, now: Now) -> AmqpError {
        match why {
            NotTaken::Gone => self.shared.tracker.not_found(&hub.name, now.unix),
            NotTaken::Misnumbered(why) => {
                self.shared.tracker.entity_error(why.condition(), why, &hub.name, now.unix)
            }
            NotTaken::Full { limit } => self.shared.tracker.entity_error(
                RESOURCE_LIMIT_EXCEEDED,
                format!(
                    "The namespace holds {limit} bytes of events, which is all that it may. Wait until \
                     retention makes room, shorten the retention, or raise the limit."
                ),
                &hub.name,
                now.unix,
            ),
        }
    }

    /// Takes part in the namespace; `None` when it is shut down. The number says which connection this is.
    pub(super) fn join(&self, mailbox: Arc<Mailbox>) -> Option<(u64, usize)> {
        let mut connections = lock(&self.shared.connections);
        if connections.closed {
            return None;
        }
        connections.last += 1;
        let id = connections.last;
        connections.open.insert(id, mailbox);
        Some((id, connections.open.len()))
    }

    pub(super) fn leave(&self, connection: u64) {
        lock(&self.shared.connections).open.remove(&connection);
        if self.shared.faults.any() {
            // What it would have done in time is others' business now.
            self.tell_all(|| Letter::Faults);
        }
    }

    fn build(
        config: NamespaceConfig,
        restore: Restore,
        journal: Option<Arc<dyn Journal>>,
        faults: Faults,
        now: Now,
    ) -> Result<Self, HubError> {
        let store = Store::new(journal, config.limits.stored_bytes, faults.clone());
        let shared = Shared {
            access: Access::new(&config),
            tracker: Tracker::new(&config.name, now.unix),
            faults,
            store: Arc::new(store),
            hubs: RwLock::default(),
            last_hub: AtomicU64::new(restore.hubs.iter().map(|hub| hub.id.0).max().unwrap_or(0)),
            connections: Mutex::default(),
            config,
        };
        let namespace = Namespace { shared: Arc::new(shared) };
        let mut by_id = HashMap::new();
        for record in restore.hubs {
            let id = record.id;
            if record.config.partitions == 0 {
                return Err(HubError::Invalid(format!(
                    "hub '{}' was stored without partitions",
                    record.config.name
                )));
            }
            by_id.insert(id, namespace.add_hub(record)?);
        }
        for (id, number, batch) in restore.batches {
            let partition = by_id.get(&id).and_then(|hub| hub.partitions.get(number as usize));
            let Some(partition) = partition else { continue };
            partition.restore(batch).map_err(|why| {
                let name = by_id.get(&id).map_or("", |hub| &hub.name);
                HubError::Invalid(format!("partition {number} of hub '{name}' cannot be restored: {why}"))
            })?;
        }
        for (id, number, producer) in restore.producers {
            let partition = by_id.get(&id).and_then(|hub| hub.partitions.get(number as usize));
            partition.into_iter().for_each(|partition| partition.restore_producer(producer));
        }
        for wanted in &namespace.shared.config.hubs {
            namespace.want_hub(wanted, now)?;
        }
        namespace.watch_faults();
        Ok(namespace)
    }

    /// Creates a hub of the configuration, or adds to the one that was restored what it lacks.
    fn want_hub(&self, wanted: &HubConfig, now: Now) -> Result<(), HubError> {
        let Some(hub) = self.find(&wanted.name).filter(|_| self.shared.store.journal.is_some()) else {
            return self.create_hub(wanted.clone(), now);
        };
        let has = hub.partitions.len();
        if has != wanted.partitions as usize {
            return Err(HubError::Invalid(format!(
                "hub '{}' has {has} partitions in the data directory, {} are asked for: that cannot be \
                 changed, delete the hub or ask for {has}",
                hub.name, wanted.partitions
            )));
        }
        let missing: Vec<_> = wanted.consumer_groups.iter().filter(|group| !hub.has_group(group)).collect();
        missing.into_iter().try_for_each(|group| self.create_consumer_group(&hub.name, group))
    }

    fn add_hub(&self, mut record: HubRecord) -> Result<Arc<Hub>, HubError> {
        record.config.retention.get_or_insert(self.shared.config.retention);
        let limit = self.shared.config.limits.hubs;
        let key = record.config.name.to_lowercase();
        self.hubs_mut(|hubs| {
            if hubs.contains_key(&key) {
                return Err(HubError::Exists(format!("hub '{}'", record.config.name)));
            }
            if hubs.len() >= limit {
                let text = format!("the namespace has {limit} hubs, more are not allowed");
                return Err(HubError::LimitReached(text));
            }
            let hub = Arc::new(Hub::new(record, &self.shared.store));
            hubs.insert(key, hub.clone());
            Ok(hub)
        })
    }

    fn publish_now(
        &self,
        name: &str,
        route: Route,
        events: Vec<Bytes>,
        now: Now,
        done: &mut Option<PublishDone>,
    ) -> Result<Receipt, AmqpError> {
        let now = self.now(now);
        let tracker = &self.shared.tracker;
        let hub = self.find(name).ok_or_else(|| tracker.not_found(name, now.unix))?;
        let size = events.iter().map(Bytes::len).sum::<usize>() as u64;
        let limit = self.shared.config.limits.max_message_size;
        if size > limit {
            let text = format!("The received message (size:{size} bytes) exceeds the limit ({limit} bytes).");
            return Err(tracker.error(LINK_MESSAGE_SIZE_EXCEEDED, text, now.unix));
        }
        let key = match &route {
            Route::Any { partition_key } => partition_key.clone(),
            _ => None,
        };
        if let Some(Err(error)) = key.as_deref().map(partition::check_key) {
            return Err(tracker.error(ARGUMENT_ERROR, error.message(), now.unix));
        }
        let mut publication =
            Publication::from_events(events, key).map_err(|e| tracker.error(DECODE_ERROR, e, now.unix))?;
        if let Route::Publisher(publisher) = &route {
            publication.set_publisher(publisher);
        }
        let Some(partition) = hub.route(&route) else {
            return Err(tracker.error(ARGUMENT_OUT_OF_RANGE, hub.no_such_partition(), now.unix));
        };
        if self.is_busy(&hub.name, partition.number, now) {
            return Err(self.busy(&hub.name, now));
        }
        let slow = self.slow_disk(&hub.name, partition.number, "", now);
        let unclaimed = || PublishDone::new(|_| {});
        let ack = || Ack::Direct(done.take().unwrap_or_else(unclaimed));
        partition
            .publish(publication, None, &mut BytesMut::new(), now, slow, ack)
            .map_err(|why| self.not_taken(why, &hub, now))
    }

    fn existing(&self, name: &str) -> Result<Arc<Hub>, HubError> {
        self.find(name).ok_or_else(|| HubError::NotFound(format!("hub '{name}'")))
    }

    /// Has the journal keep a hub that was changed.
    fn keep(&self, hub: &Hub) {
        if let Some(journal) = &self.shared.store.journal {
            journal.put_hub(hub.record());
        }
    }

    fn all_hubs(&self) -> Vec<Arc<Hub>> {
        self.shared.hubs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn hubs_mut<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Hub>>) -> T) -> T {
        change(&mut self.shared.hubs.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell_all(&self, letter: impl Fn() -> Letter) {
        let mailboxes: Vec<_> = lock(&self.shared.connections).open.values().cloned().collect();
        mailboxes.iter().for_each(|mailbox| mailbox.post(letter()));
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
