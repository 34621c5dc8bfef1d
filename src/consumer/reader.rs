//! How partitions are read.

use std::sync::Arc;

use super::client::ConsumerClient;
use super::stream::{EventStream, Source};
use crate::client::{Client, ReceiverHandle, ReceiverSpec, check_partition_id};
use crate::dialect::address::Address;
use crate::error::{Error, ErrorKind};
use crate::model::position::StartPosition;

/// Events that may lie ready for the reader. More than the official clients' 300, so that a fast reader on a distant
/// connection is kept busy: 2000 events cover 100 ms at 20 000 events a second.
const PREFETCH_COUNT: u32 = 2000;
/// Bytes that may lie ready for the reader of one partition.
const PREFETCH_BYTES: usize = 8 * 1024 * 1024;
/// What may lie ready for the reader of all partitions together: 16 partitions have what one alone has, more share it, so
/// that a hub of many does not make its reader hold hundreds of megabytes.
const PREFETCH_SHARES: usize = 16;
/// The least that a partition gets of that: less would be asked for so often that the asking costs as much as the events.
const LEAST_PREFETCH_COUNT: u32 = 64;
const LEAST_PREFETCH_BYTES: usize = 256 * 1024;

/// Says from where and how a partition is read.
#[derive(Clone)]
#[must_use = "nothing is read until `open` or `stream` is called"]
pub struct PartitionReader {
    client: Client,
    consumer_group: Arc<str>,
    partition_id: String,
    start: StartPosition,
    how: How,
}

/// Says from where and how all partitions of an event hub are read.
#[derive(Clone)]
#[must_use = "nothing is read until `open` is called"]
pub struct AllPartitions {
    consumer: ConsumerClient,
    start: StartPosition,
    starts: Vec<(String, StartPosition)>,
    how: How,
}

#[derive(Clone, Default)]
pub(crate) struct How {
    pub(crate) owner_level: Option<i64>,
    pub(crate) track_last_enqueued: bool,
    pub(crate) prefetch_count: Option<u32>,
    pub(crate) prefetch_bytes: Option<usize>,
}

macro_rules! how_setters {
    () => {
        /// Sets all of it at once.
        #[allow(dead_code, reason = "JavaScript's options come together")]
        pub(crate) fn how(mut self, how: How) -> Self {
            self.how = how;
            self
        }

        /// Reads exclusively: readers without a level, and with a lower or the same one, lose the partition to this
        /// one ([`ErrorKind::OwnershipLost`]), and this one loses it to the next with the same or a higher level.
        /// Default: not exclusively; up to five such readers may share a partition within a consumer group.
        pub fn owner_level(mut self, level: i64) -> Self {
            self.how.owner_level = Some(level);
            self
        }

        /// Asks the service to tell with every event which one is the partition's newest, at the cost of some bytes
        /// per event; see [`EventStream::last_enqueued`]. Default: off.
        pub fn track_last_enqueued(mut self, track: bool) -> Self {
            self.how.track_last_enqueued = track;
            self
        }

        /// How many events of a partition may lie ready before they are asked for; at least 1. More hides the
        /// network's delay, less uses less memory. Default: 2000, enough for 20 000 events a second over a connection
        /// with 100 ms delay; where more than 16 partitions are read at once they share 32 000, with 64 at least.
        pub fn prefetch(mut self, events: u32) -> Self {
            self.how.prefetch_count = Some(events.max(1));
            self
        }

        /// How many bytes of a partition's events may lie ready, about: it is kept by asking for as many events as fit
        /// judging from those that came before, and for one at least. Default: 8 MiB; where more than 16 partitions
        /// are read at once they share 128 MiB, with 256 KiB at least.
        pub fn prefetch_bytes(mut self, bytes: usize) -> Self {
            self.how.prefetch_bytes = Some(bytes);
            self
        }
    };
}

impl PartitionReader {
    pub(super) fn new(client: Client, consumer_group: Arc<str>, partition_id: String) -> Self {
        PartitionReader {
            client,
            consumer_group,
            partition_id,
            start: StartPosition::default(),
            how: How::default(),
        }
    }

    /// Where to start. Default: behind the last event, so only what is written from now on is received.
    pub fn from(mut self, position: StartPosition) -> Self {
        self.start = position;
        self
    }

    how_setters!();

    /// Opens the stream, and waits until the service has agreed: what is sent from then on is seen by a stream
    /// that starts behind the last event.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Unauthorized`], [`ErrorKind::InvalidPosition`],
    /// [`ErrorKind::OwnershipLost`], [`ErrorKind::QuotaExceeded`], or what is left of a passing failure.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.client.hub(), partition = self.partition_id), err(level = "debug")))]
    pub async fn open(self) -> Result<EventStream, Error> {
        let mut stream = self.stream()?;
        stream.attached().await?;
        Ok(stream)
    }

    /// The stream, which is opened when it is first asked for an event.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the partition's id cannot be one.
    pub fn stream(self) -> Result<EventStream, Error> {
        Ok(EventStream::new(vec![self.source()?]))
    }

    fn source(self) -> Result<Source, Error> {
        check_partition_id(&self.partition_id)
            .map_err(|error| error.with_operation("receive from").with_entity(self.client.hub()))?;
        let spec = ReceiverSpec {
            address: Address::Receiver {
                hub: self.client.hub().to_owned(),
                group: self.consumer_group.to_string(),
                partition: self.partition_id.clone(),
            },
            start: self.start,
            owner_level: self.how.owner_level,
            track_last_enqueued: self.how.track_last_enqueued,
            prefetch_count: self.how.prefetch_count.unwrap_or(PREFETCH_COUNT),
            prefetch_bytes: self.how.prefetch_bytes.unwrap_or(PREFETCH_BYTES),
        };
        let receiver: ReceiverHandle = self.client.receiver(spec);
        Ok(Source::new(self.client, receiver, self.partition_id.into()))
    }
}

impl AllPartitions {
    pub(super) fn new(consumer: ConsumerClient) -> Self {
        let start = StartPosition::default();
        AllPartitions { consumer, start, starts: Vec::new(), how: How::default() }
    }

    /// Where to start in every partition that nothing else is said about. Default: behind the last event.
    pub fn from(mut self, position: StartPosition) -> Self {
        self.start = position;
        self
    }

    /// Where to start in one partition.
    pub fn from_in(mut self, partition_id: impl Into<String>, position: StartPosition) -> Self {
        let partition_id = partition_id.into();
        self.starts.retain(|(id, _)| *id != partition_id);
        self.starts.push((partition_id, position));
        self
    }

    how_setters!();

    /// Opens the stream, and waits until the service has agreed for every partition. Events of one partition
    /// come in order; those of different partitions are mixed as they arrive.
    ///
    /// # Errors
    /// As [`PartitionReader::open`]; [`ErrorKind::InvalidArgument`] when a position was given for a partition that
    /// the event hub does not have.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.consumer.event_hub()), err(level = "debug")))]
    pub async fn open(mut self) -> Result<EventStream, Error> {
        let ids = self.consumer.partition_ids().await?;
        if let Some((unknown, _)) = self.starts.iter().find(|(id, _)| !ids.contains(id)) {
            let message = format!("a position is given for partition '{unknown}', which does not exist");
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .with_operation("receive from")
                .with_entity(self.consumer.event_hub()));
        }
        let crowd = ids.len().div_ceil(PREFETCH_SHARES).max(1);
        self.how.prefetch_count.get_or_insert((PREFETCH_COUNT / crowd as u32).max(LEAST_PREFETCH_COUNT));
        self.how.prefetch_bytes.get_or_insert((PREFETCH_BYTES / crowd).max(LEAST_PREFETCH_BYTES));
        let mut sources = Vec::with_capacity(ids.len());
        for id in ids {
            let start = self.starts.iter().find(|(own, _)| *own == id);
            let start = start.map_or_else(|| self.start.clone(), |(_, start)| start.clone());
            let reader = PartitionReader { how: self.how.clone(), ..self.consumer.partition(id).from(start) };
            sources.push(reader.source()?);
        }
        let mut stream = EventStream::new(sources);
        stream.attached().await?;
        Ok(stream)
    }
}
