//! A partition that is processed: what can be asked of it and done with it, by its handler and from outside.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keeper::Keeper;
use super::lease::Lease;
use super::status::CloseReason;
use crate::consumer::ConsumerClient;
use crate::dialect::received::{LastEnqueued, ReceivedEvent};
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::Checkpoint;
use crate::model::position::StartPosition;

/// A partition that a processor works on. Cheap to clone.
#[derive(Clone)]
pub struct PartitionContext(pub(super) Arc<Part>);

pub(super) struct Part {
    pub(super) lease: Arc<Lease>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) consumer: ConsumerClient,
    /// Where it was left when it became this processor's.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The sequence number of the last event that was processed; [`NOTHING`] before.
    processed: AtomicI64,
    controls: Mutex<Controls>,
}

/// What was asked for from outside.
#[derive(Default)]
struct Controls {
    is_paused: bool,
    seek: Option<StartPosition>,
    last_enqueued: Option<LastEnqueued>,
}

const NOTHING: i64 = i64::MIN;

/// How far the processing of a partition is behind what was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition_id: String,
    /// Events that are retained and not processed. Events count as processed when the handler has returned.
    pub events: u64,
    /// The sequence number of the last event that was processed, or of the checkpoint.
    pub processed: Option<i64>,
    /// The sequence number of the last event that was written; -1 when there never was one.
    pub last: i64,
}

impl PartitionContext {
    /// The partition's id.
    pub fn partition_id(&self) -> &str {
        self.0.lease.partition_id()
    }

    /// The event hub's name.
    pub fn event_hub(&self) -> &str {
        self.0.consumer.event_hub()
    }

    /// The consumer group's name.
    pub fn consumer_group(&self) -> &str {
        self.0.consumer.consumer_group()
    }

    /// Where the partition was left when this processor took it; `None` when it was never processed.
    pub fn starting_checkpoint(&self) -> Option<&Checkpoint> {
        self.0.checkpoint.as_ref()
    }

    /// Writes a checkpoint: whoever processes this partition next begins behind the event. It only ever goes forward: at an
    /// event that is not ahead of the last one written (since the last [`seek`](Self::seek)) there is nothing to do. In a process
    /// that stood still for a while it waits until the store has confirmed that the partition is still this processor's.
    ///
    /// # Errors
    /// [`ErrorKind::OwnershipLost`] when the partition may be another's by now: that one begins at the last checkpoint.
    /// [`ErrorKind::Timeout`] when the store does not answer, or the store's error; the checkpoint is then the former or
    /// the new one. [`ErrorKind::InvalidArgument`] for an event of another partition.
    ///
    /// # Cancel safety
    /// The checkpoint is then the former or the new one.
    pub async fn checkpoint(&self, event: &ReceivedEvent) -> Result<(), Error> {
        self.0.keeper.checkpoint(event).await
    }

    /// Hands out no events until [`resume`](Self::resume). The partition stays owned, and what is handed out is not taken back.
    pub fn pause(&self) {
        self.0.lock().is_paused = true;
        self.0.lease.poke();
    }

    /// Goes on behind the last event that was handed out.
    pub fn resume(&self) {
        self.0.lock().is_paused = false;
        self.0.lease.poke();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.0.lock().is_paused
    }

    /// Goes on from elsewhere, once the events that are handed out have been processed. From then on checkpoints go forward from
    /// there, even when that is behind the last one written. It is forgotten when the partition moves before the next
    /// checkpoint.
    pub fn seek(&self, position: StartPosition) {
        self.0.lock().seek = Some(position);
        self.0.lease.poke();
    }

    /// Why work on the partition is to end, if it is. Long work may look now and then.
    pub fn closing(&self) -> Option<CloseReason> {
        self.0.lease.closing()
    }

    /// Waits until work on the partition is to end.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn closed(&self) -> CloseReason {
        self.0.lease.closed().await
    }

    /// The sequence number of the last event that was processed here.
    pub fn last_processed(&self) -> Option<i64> {
        let number = self.0.processed.load(Ordering::Relaxed);
        (number != NOTHING).then_some(number)
    }

    /// The partition's newest event as told with the last one that arrived; `None` unless the processor was built to
    /// [`track_last_enqueued`](super::EventProcessorBuilder::track_last_enqueued).
    pub fn last_enqueued(&self) -> Option<LastEnqueued> {
        self.0.lock().last_enqueued.clone()
    }

    /// Asks the service how far the processing is behind. Exact at that moment, whether events flow or not.
    ///
    /// # Errors
    /// As [`ConsumerClient::partition_properties`].
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn lag(&self) -> Result<PartitionLag, Error> {
        let written = self.0.consumer.partition_properties(self.partition_id()).await?;
        let stored = self.0.checkpoint.as_ref().and_then(|checkpoint| checkpoint.sequence_number);
        let processed = self.last_processed().or(stored);
        Ok(PartitionLag {
            partition_id: self.partition_id().to_owned(),
            events: written.events_behind(processed),
            processed,
            last: written.last_enqueued_sequence_number,
        })
    }
}

impl Part {
    pub(super) fn new(
        lease: Arc<Lease>,
        keeper: Arc<Keeper>,
        consumer: ConsumerClient,
        checkpoint: Option<Checkpoint>,
    ) -> Arc<Self> {
        let (processed, controls) = (AtomicI64::new(NOTHING), Mutex::default());
        Arc::new(Part { lease, keeper, consumer, checkpoint, processed, controls })
    }

    /// So many events were processed, up to this one.
    pub(super) fn processed(&self, last: &ReceivedEvent, events: u64) {
        self.passed(last.sequence_number());
        self.keeper.processed(last, events);
    }

    /// The events up to this number were processed.
    pub(super) fn passed(&self, number: i64) {
        self.processed.store(number, Ordering::Relaxed);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().is_paused
    }

    /// Whether something was asked for that the reading side has not seen.
    pub(super) fn has_news(&self, was_paused: bool) -> bool {
        let controls = self.lock();
        controls.seek.is_some() || controls.is_paused != was_paused
    }

    /// Where to go on, when somebody wants it elsewhere.
    pub(super) fn take_seek(&self) -> Option<StartPosition> {
        self.lock().seek.take()
    }

    pub(super) fn set_last_enqueued(&self, last: LastEnqueued) {
        self.lock().last_enqueued = Some(last);
    }

    fn lock(&self) -> MutexGuard<'_, Controls> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PartitionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionContext")
            .field("partition_id", &self.partition_id())
            .field("closing", &self.closing())
            .field("last_processed", &self.last_processed())
            .finish_non_exhaustive()
    }
}

/// Refuses a partition that is not processed here.
pub(super) fn not_here(partition_id: &str) -> Error {
    let message = format!("partition '{}' is not processed here", crate::error::shown(partition_id, 64));
    Error::new(ErrorKind::InvalidArgument, message)
}
