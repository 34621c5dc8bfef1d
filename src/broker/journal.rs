//! The durable store behind the logs: what it must do, and what is handed to it.

use std::fmt;

use bytes::Bytes;

use super::config::HubConfig;
use crate::model::value::Timestamp;

/// A durable store for hubs and their events.
///
/// The broker holds all retained events in memory and never reads from its journal while it runs; the
/// journal makes them survive the process. What it loads at the start goes into a [`Restore`].
///
/// Calls for the same hub take effect in the order in which they are made. None of them may wait, and none
/// is made while the broker holds a lock, so `done` may be called at once or later, from any thread.
pub trait Journal: Send + Sync {
    /// Stores a batch behind what the partition holds, all of it or nothing, and calls `done` when it is
    /// durable (or cannot be made so). The broker shows and acknowledges the events only then. Many appends
    /// may share one commit.
    ///
    /// An append whose [`first_sequence`](JournalBatch::first_sequence) does not follow the last sequence number
    /// stored in the partition (0 in one that never held anything) must fail: behind a failed append the ones
    /// already on their way fail too, and the broker starts again behind the last durable event.
    fn append(&self, hub: HubId, partition: u32, batch: JournalBatch, done: AppendDone);

    /// Lets go of the events before `before_sequence`. It never covers a partition's newest event, so what is
    /// left always says where the partition goes on.
    fn trim(&self, hub: HubId, partition: u32, before_sequence: i64);

    /// Stores that an idempotent producer is there. Of one that is known only [`epoch`](ProducerRecord::epoch) and
    /// [`used`](ProducerRecord::used) change: what it has published is the appends' to say. Durable no later than the next append to
    /// the hub.
    fn put_producer(&self, hub: HubId, partition: u32, producer: ProducerRecord);

    /// Forgets an idempotent producer.
    fn remove_producer(&self, hub: HubId, partition: u32, producer: i64);

    /// Stores a hub, new or changed. Durable no later than the next append to it.
    fn put_hub(&self, hub: HubRecord);

    /// Forgets a hub with its events and producers. Later appends to it fail.
    fn remove_hub(&self, hub: HubId);
}

impl ProducerRecord {
    /// This one, where `known` is what was stored of it before.
    #[must_use]
    pub fn over(self, known: Option<ProducerRecord>) -> Self {
        known.map_or(self, |known| ProducerRecord { epoch: self.epoch, used: self.used, ..known })
    }
}

/// Called once when an append is durable or has failed.
pub struct AppendDone(Box<dyn FnOnce(Result<(), JournalError>) + Send>);

/// A hub in the journal. A hub that is deleted and created again under the same name gets another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HubId(pub u64);

/// What the journal keeps of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRecord {
    /// The hub's id.
    pub id: HubId,
    /// Its name, partitions and groups.
    pub config: HubConfig,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Events that were published together: stored together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalBatch {
    /// The sequence number of the first event; the others follow without a gap.
    pub first_sequence: i64,
    /// When they were enqueued.
    pub enqueued: Timestamp,
    /// The offset behind the last event: where the partition goes on.
    pub end_offset: i64,
    /// The events.
    pub events: Vec<JournalEvent>,
    /// The idempotent producer that they are from, as it is once they are stored: kept with them or not at all.
    pub producer: Option<ProducerRecord>,
}

/// What is known of an idempotent producer of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Which producer it is.
    pub id: i64,
    /// Its epoch: those with lower ones are refused.
    pub epoch: i16,
    /// The number of its last event; -1 when there is none.
    pub last: i32,
    /// How many numbers up to the last are known to be stored.
    pub reach: u32,
    /// When it last did something.
    pub used: Timestamp,
}

/// One event, in the form in which it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEvent {
    /// Its offset in the partition.
    pub offset: i64,
    /// The encoded message annotations.
    pub head: Bytes,
    /// The rest of the encoded message, as it was published.
    pub body: Bytes,
}

/// Why an append is not durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalError(pub String);

/// What a journal held when the process started, collected bit by bit.
#[derive(Default)]
pub struct Restore {
    pub(super) hubs: Vec<HubRecord>,
    pub(super) batches: Vec<(HubId, u32, JournalBatch)>,
    pub(super) producers: Vec<(HubId, u32, ProducerRecord)>,
}

impl AppendDone {
    /// Calls `done` with the append's outcome.
    pub fn new(done: impl FnOnce(Result<(), JournalError>) + Send + 'static) -> Self {
        AppendDone(Box::new(done))
    }

    /// Reports the append's outcome.
    pub fn call(self, outcome: Result<(), JournalError>) {
        (self.0)(outcome);
    }
}

impl fmt::Debug for AppendDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppendDone")
    }
}

impl Restore {
    /// Nothing yet.
    pub fn new() -> Self {
        Restore::default()
    }

    /// A stored hub. Comes before its batches.
    pub fn hub(&mut self, record: HubRecord) {
        self.hubs.push(record);
    }

    /// A stored batch. Those of one partition come in the order of their sequence numbers; the first one may
    /// have lost events from its front by [`Journal::trim`], whole batches between them may not be missing.
    pub fn batch(&mut self, hub: HubId, partition: u32, batch: JournalBatch) {
        self.batches.push((hub, partition, batch));
    }

    /// A stored idempotent producer.
    pub fn producer(&mut self, hub: HubId, partition: u32, producer: ProducerRecord) {
        self.producers.push((hub, partition, producer));
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JournalError {}
