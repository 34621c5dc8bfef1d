//! How events are gathered.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How events are gathered.
///
/// ```
/// use std::time::Duration;
/// use eventhubs::BufferedOptions;
///
/// let options = BufferedOptions { max_wait_time: Duration::from_millis(50), ..Default::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferedOptions {
    /// How long an event waits for others to be sent with. Default: 1 s, as the official clients.
    pub max_wait_time: Duration,
    /// How many events of a partition there may be that are not acknowledged; whoever enqueues more waits. Batches leave early when
    /// half of it is used. Default: 1500, as the official clients.
    pub max_buffered_events_per_partition: usize,
    /// How many bytes the events of a partition may have that are not acknowledged. An event that is larger all by itself is
    /// taken when there is no other. Default: 4 MiB, some full batches.
    pub max_buffered_bytes: usize,
    /// How many batches may be on their way in all. Default: 32.
    pub max_concurrent_sends: usize,
    /// How many batches of one partition may be on their way. More than one only for an idempotent producer: others could not keep
    /// their order when the service gives one of them back. Default: 4 for an idempotent producer, 1 for others.
    pub max_concurrent_sends_per_partition: Option<usize>,
}

/// Where an event goes, and how long it may wait for room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnqueueOptions {
    /// The partition. Default: the one of the event's partition key; without a key, one after the other.
    pub partition_id: Option<String>,
    /// What the partition is chosen by, in the way the service does it. Not together with `partition_id`.
    pub partition_key: Option<String>,
    /// How long it may take until there is room. Default: as long as it takes.
    pub timeout: Option<Duration>,
}

/// Batches of an idempotent producer that are on their way to a partition: enough to hide the way.
const PIPELINED: usize = 4;

impl Default for BufferedOptions {
    fn default() -> Self {
        BufferedOptions {
            max_wait_time: Duration::from_secs(1),
            max_buffered_events_per_partition: 1500,
            max_buffered_bytes: 4 * 1024 * 1024,
            max_concurrent_sends: 32,
            max_concurrent_sends_per_partition: None,
        }
    }
}

impl BufferedOptions {
    /// How many batches of a partition may be on their way.
    pub(super) fn per_partition(&self, is_idempotent: bool) -> usize {
        let usual = if is_idempotent { PIPELINED } else { 1 };
        self.max_concurrent_sends_per_partition.unwrap_or(usual)
    }

    pub(super) fn check(&self, is_idempotent: bool) -> Result<(), Error> {
        let counts = [
            ("max_buffered_events_per_partition", self.max_buffered_events_per_partition),
            ("max_buffered_bytes", self.max_buffered_bytes),
            ("max_concurrent_sends", self.max_concurrent_sends),
            ("max_concurrent_sends_per_partition", self.per_partition(is_idempotent)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(invalid(format!("`{name}` is 0, so nothing could ever be sent: the least is 1")));
        }
        if self.per_partition(is_idempotent) > 1 && !is_idempotent {
            return Err(invalid(
                "more than one batch of a partition is to be on its way, but the producer is not idempotent, so they \
                 could change their order: set `idempotent`, or leave `max_concurrent_sends_per_partition` at 1"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with_operation("make a buffered producer")
}
