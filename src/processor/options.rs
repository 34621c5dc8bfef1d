//! What can be chosen about a processor, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use super::EventProcessor;
use crate::checkpoint::CheckpointStore;
use crate::consumer::ConsumerClient;
use crate::error::{Error, ErrorKind, shown};
use crate::model::auto_checkpoint::AutoCheckpoint;
use crate::model::balance::Strategy;
use crate::model::position::StartPosition;
use crate::model::value::Uuid;
use crate::runtime::random_bytes;

/// As long as the official JavaScript, Java and Go clients take.
const INTERVAL: Duration = Duration::from_secs(10);
const EXPIRATION: Duration = Duration::from_secs(60);
/// An answer of a store that takes longer is as good as none; never more than a quarter of the expiration, so that there is
/// time to try again.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
const BATCH: usize = 100;
/// The longest id, as the official stores take them.
const MAX_ID: usize = 256;

/// What becomes of a partition whose handler failed to process events: it returned an error or panicked. The failure is told in
/// any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerFailure {
    /// The handler gets the same events again, after a pause that grows from 1 s to 30 s, until it succeeds or the partition is
    /// closed. The default: no event is left out, and a handler that cannot cope holds up its own partition only.
    #[default]
    Again,
    /// The events count as processed, and the next ones follow.
    GoOn,
    /// The partition is closed with [`CloseReason::Failed`](super::CloseReason::Failed). Another member, or after a pause this
    /// one, begins again behind the last checkpoint.
    GiveUp,
}

/// Makes a processor: says how partitions are shared, and from where and how they are read. Does no I/O.
#[must_use = "a builder does nothing until `build` is called"]
pub struct EventProcessorBuilder {
    consumer: ConsumerClient,
    store: Arc<dyn CheckpointStore>,
    options: Options,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) id: Option<String>,
    pub(super) strategy: Strategy,
    pub(super) interval: Duration,
    pub(super) expiry: Duration,
    pub(super) store_timeout: Option<Duration>,
    pub(super) max_partitions: Option<usize>,
    pub(super) start: StartPosition,
    pub(super) starts: Vec<(String, StartPosition)>,
    pub(super) owner_level: i64,
    pub(super) track_last_enqueued: bool,
    pub(super) prefetch: Option<u32>,
    pub(super) prefetch_bytes: Option<usize>,
    pub(super) auto_checkpoint: AutoCheckpoint,
    pub(super) max_batch: usize,
    pub(super) handler_failure: HandlerFailure,
}

impl EventProcessorBuilder {
    pub(super) fn new(consumer: ConsumerClient, store: Arc<dyn CheckpointStore>) -> Self {
        EventProcessorBuilder { consumer, store, options: Options::default() }
    }

    /// How the processor is called in the store: unique in its group. Default: a random name.
    pub fn processor_id(mut self, id: impl Into<String>) -> Self {
        self.options.id = Some(id.into());
        self
    }

    /// How quickly it comes to its share. Default: [`Strategy::Balanced`]: free partitions one after another, quickly; one from
    /// others in each interval.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.options.strategy = strategy;
        self
    }

    /// How often ownerships are renewed and the group is looked at, at the most seldom: rounds begin after 80 to 100 % of this.
    /// Default: 10 s.
    pub fn load_balancing_interval(mut self, interval: Duration) -> Self {
        self.options.interval = interval;
        self
    }

    /// How long a partition stays its owner's who does not renew it. An owner who cannot renew stops working on it at that time,
    /// by its own clock, and the others may take it. Longer than the interval, by several times at best. Default: 60 s.
    pub fn ownership_expiration(mut self, expiration: Duration) -> Self {
        self.options.expiry = expiration;
        self
    }

    /// How long the store may take for an answer. Default: 10 s, or a quarter of the expiration where that is less.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.options.store_timeout = Some(timeout);
        self
    }

    /// The most partitions that it owns at a time. What all members of a group leave over is read by nobody. Default: no bound.
    pub fn max_partitions(mut self, most: usize) -> Self {
        self.options.max_partitions = Some(most);
        self
    }

    /// Where to start in partitions without a checkpoint. **Default: from the earliest event**, unlike other readers: until the
    /// first checkpoint a partition may move to another member at any time, and one that started behind the last event would
    /// leave out what was written meanwhile.
    pub fn from(mut self, position: StartPosition) -> Self {
        self.options.start = position;
        self
    }

    /// Where to start in one partition, when it has no checkpoint.
    pub fn from_in(mut self, partition_id: impl Into<String>, position: StartPosition) -> Self {
        let partition_id = partition_id.into();
        self.options.starts.retain(|(id, _)| *id != partition_id);
        self.options.starts.push((partition_id, position));
        self
    }

    /// The owner level (epoch) of the partitions' links. Default: 0, as the official processors, so that members in other
    /// languages can take over and be taken over from.
    pub fn owner_level(mut self, level: i64) -> Self {
        self.options.owner_level = level;
        self
    }

    /// Asks the service to tell with every event which one is the partition's newest; see
    /// [`PartitionContext::last_enqueued`](super::PartitionContext::last_enqueued). Default: off;
    /// [`lag`](EventProcessor::lag) works without.
    pub fn track_last_enqueued(mut self, track: bool) -> Self {
        self.options.track_last_enqueued = track;
        self
    }

    /// How many events of a partition may lie ready; see [`PartitionReader::prefetch`](crate::PartitionReader::prefetch).
    pub fn prefetch(mut self, events: u32) -> Self {
        self.options.prefetch = Some(events);
        self
    }

    /// How many bytes of a partition's events may lie ready; see
    /// [`PartitionReader::prefetch_bytes`](crate::PartitionReader::prefetch_bytes).
    pub fn prefetch_bytes(mut self, bytes: usize) -> Self {
        self.options.prefetch_bytes = Some(bytes);
        self
    }

    /// When checkpoints are written by themselves. Default: never.
    pub fn auto_checkpoint(mut self, policy: AutoCheckpoint) -> Self {
        self.options.auto_checkpoint = policy;
        self
    }

    /// The most events that a handler gets at a time; at least 1. Default: 100.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.options.max_batch = events.max(1);
        self
    }

    /// What becomes of a partition whose handler failed. Default: [`HandlerFailure::Again`].
    pub fn on_handler_failure(mut self, policy: HandlerFailure) -> Self {
        self.options.handler_failure = policy;
        self
    }

    /// Makes the processor. Nothing is asked of the service or the store yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`], saying what does not go together.
    pub fn build(self) -> Result<EventProcessor, Error> {
        let mut options = self.options;
        options.check()?;
        options.id.get_or_insert_with(|| Uuid::from_random(random_bytes()).to_string());
        Ok(EventProcessor::new(self.consumer, self.store, options))
    }
}

impl Options {
    pub(super) fn start_in(&self, partition_id: &str) -> StartPosition {
        let own = self.starts.iter().find(|(id, _)| id == partition_id);
        own.map_or_else(|| self.start.clone(), |(_, start)| start.clone())
    }

    pub(super) fn store_limit(&self) -> Duration {
        self.store_timeout.unwrap_or_else(|| STORE_TIMEOUT.min(self.expiry / 4))
    }

    fn check(&self) -> Result<(), Error> {
        let (interval, expiry) = (self.interval, self.expiry);
        if interval.is_zero() {
            return Err(invalid("the load-balancing interval is 0; leave time between two rounds"));
        }
        if expiry <= interval {
            return Err(invalid(format!(
                "the ownership expiration ({expiry:?}) is not longer than the load-balancing interval ({interval:?}), so \
                 partitions would expire between two renewals; several times as long is usual"
            )));
        }
        let limit = self.store_limit();
        if limit.is_zero() || limit >= expiry {
            return Err(invalid(format!(
                "the store timeout ({limit:?}) has to be longer than 0 and shorter than the ownership expiration ({expiry:?}), \
                 so that a store that does not answer is noticed before partitions expire"
            )));
        }
        if self.max_partitions == Some(0) {
            return Err(invalid("a processor with at most 0 partitions would have nothing to do"));
        }
        match &self.id {
            Some(id) if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) => {
                Err(invalid(format!(
                    "'{}' cannot be a processor's id: 1 to {MAX_ID} bytes without control characters",
                    shown(id, 80)
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            id: None,
            strategy: Strategy::default(),
            interval: INTERVAL,
            expiry: EXPIRATION,
            store_timeout: None,
            max_partitions: None,
            start: StartPosition::earliest(),
            starts: Vec::new(),
            owner_level: 0,
            track_last_enqueued: false,
            prefetch: None,
            prefetch_bytes: None,
            auto_checkpoint: AutoCheckpoint::never(),
            max_batch: BATCH,
            handler_failure: HandlerFailure::default(),
        }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with_operation("make a processor")
}
