//! The client that gathers.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;

use super::buffer::Bounds;
use super::lane::{Lane, Permits, Stage, Yard, closed};
use super::options::{BufferedOptions, EnqueueOptions};
use super::outcomes::{Board, SendOutcomes};
use super::receipt::Receipt;
use crate::dialect::codec;
use crate::dialect::event::EventData;
use crate::error::{Error, ErrorKind, shown};
use crate::model::moment::Moment;
use crate::model::partition;
use crate::producer::ProducerClient;
use crate::runtime;

/// Gathers events in the background and sends them in batches, each partition's in order. Many tasks may enqueue at once.
///
/// Every event has a [`Receipt`], which tells where it was stored, or why it was not. Over a
/// [`ProducerClient`] that is [idempotent](crate::ClientBuilder::idempotent) nothing is stored twice.
///
/// Cheap to clone. When the last clone is dropped, what has not been sent is given up: [`close`](Self::close) sends it.
///
/// ```
/// # use eventhubs::{BufferedOptions, BufferedProducerClient, EventData, ProducerClient};
/// # async fn example(connection_string: &str) -> Result<(), eventhubs::Error> {
/// let producer = ProducerClient::builder().connection_string(connection_string).idempotent(true).build()?;
/// let producer = BufferedProducerClient::new(producer, BufferedOptions::default())?;
/// let receipt = producer.enqueue(EventData::from("a reading").with_partition_key("device-7")).await?;
/// producer.flush().await?;
/// println!("stored in partition {}", receipt.await?);
/// producer.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BufferedProducerClient(Arc<Inner>);

struct Inner {
    yard: Arc<Yard>,
    options: BufferedOptions,
    seen: Seen,
    /// One call looks at the hub, the others wait for it. When it was looked at in vain last.
    looking: futures::lock::Mutex<Option<Moment>>,
    turn: AtomicUsize,
    is_closed: AtomicBool,
}

/// The hub's partitions in its order, as they were when it was looked at, and as they were later. They may become more, never fewer.
#[derive(Default)]
struct Seen {
    lanes: Vec<Arc<Lane>>,
    later: OnceLock<Box<Seen>>,
}

/// How soon the hub is not looked at again for a partition that it did not have.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl BufferedProducerClient {
    /// Over a producer, which is closed together with this one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the options contradict each other or the producer.
    pub fn new(producer: ProducerClient, options: BufferedOptions) -> Result<Self, Error> {
        options.check(producer.is_idempotent())?;
        let yard = Yard {
            per_lane: options.per_partition(producer.is_idempotent()),
            permits: Permits::new(options.max_concurrent_sends),
            board: Board::default(),
            producer,
        };
        Ok(BufferedProducerClient(Arc::new(Inner {
            yard: Arc::new(yard),
            options,
            seen: Seen::default(),
            looking: futures::lock::Mutex::new(None),
            turn: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        })))
    }

    /// With default options. The connection string must name the event hub (`EntityPath`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`], [`ErrorKind::InvalidArgument`].
    pub fn from_connection_string(text: impl AsRef<str>) -> Result<Self, Error> {
        Self::new(ProducerClient::from_connection_string(text)?, BufferedOptions::default())
    }

    /// The producer that it sends through: for the hub's properties, status, health.
    pub fn producer(&self) -> &ProducerClient {
        &self.0.yard.producer
    }

    /// Enqueues an event for the partition of its key, or without one for the next partition in turn. Resolves when there is room for
    /// it.
    ///
    /// The first call asks the service for the hub's partitions; later ones need no connection. A hub that gets more of them is looked at
    /// again when an event is for one that is not known yet.
    ///
    /// # Errors
    /// As [`enqueue_with`](Self::enqueue_with).
    ///
    /// # Cancel safety
    /// When the future is dropped, the event is not enqueued.
    pub async fn enqueue(&self, event: impl Into<EventData>) -> Result<Receipt, Error> {
        self.enqueue_with(event, EnqueueOptions::default()).await
    }

    /// Enqueues an event as `options` say.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when there was no room in time, [`ErrorKind::NotFound`] when there is no such partition,
    /// [`ErrorKind::Closed`], [`ErrorKind::MessageTooLarge`], [`ErrorKind::InvalidArgument`]; in the first call what keeps the
    /// service from being asked for the hub's partitions.
    ///
    /// # Cancel safety
    /// When the future is dropped, the event is not enqueued.
    pub async fn enqueue_with(
        &self,
        event: impl Into<EventData>,
        options: EnqueueOptions,
    ) -> Result<Receipt, Error> {
        let EnqueueOptions { partition_id, partition_key, timeout } = options;
        let mut event = event.into();
        if let Some(key) = partition_key {
            if let Some(own) = event.partition_key().filter(|own| *own != key) {
                let message = format!("partition key '{key}' is asked for, but the event has '{own}'");
                return Err(self.describe(Error::new(ErrorKind::InvalidArgument, message)));
            }
            event = event.with_partition_key(key);
        }
        let Some(timeout) = timeout else { return self.put(event, partition_id.as_deref()).await };
        match runtime::within(timeout, self.put(event, partition_id.as_deref())).await {
            Some(put) => put,
            None => {
                let lanes = self.0.lanes().iter();
                let mut own =
                    lanes.filter(|lane| partition_id.as_deref().is_none_or(|id| *id == *lane.partition));
                let why = match own.next() {
                    Some(lane) => lane.fullness(),
                    None => "the service has not said which partitions there are".to_owned(),
                };
                let message = format!("there was no room within {} ms: {why}", timeout.as_millis());
                Err(self.describe(Error::new(ErrorKind::Timeout, message)))
            }
        }
    }

    /// Enqueues events one after the other, as `options` say. Their receipts, in the same order.
    ///
    /// # Errors
    /// As [`enqueue_with`](Self::enqueue_with); [`Error::event_index`] says which event is to blame. Those before it are enqueued.
    ///
    /// # Cancel safety
    /// When the future is dropped, some events are enqueued and others are not.
    pub async fn enqueue_all<I>(&self, events: I, options: EnqueueOptions) -> Result<Vec<Receipt>, Error>
    where
        I: IntoIterator,
        I::Item: Into<EventData>,
    {
        let events = events.into_iter();
        let mut receipts = Vec::with_capacity(events.size_hint().0);
        for (index, event) in events.enumerate() {
            let receipt = self.enqueue_with(event, options.clone()).await;
            receipts.push(receipt.map_err(|error| error.with_event_index(index))?);
        }
        Ok(receipts)
    }

    /// Sends everything that was enqueued before, without waiting for more. Resolves when it has been stored, or could not be: receipts
    /// and [`outcomes`](Self::outcomes) know which. What is enqueued meanwhile may go along.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when the client was aborted meanwhile.
    ///
    /// # Cancel safety
    /// What leaves early because of it leaves all the same.
    pub async fn flush(&self) -> Result<(), Error> {
        let lanes = self.0.lanes().iter();
        let flushed = futures::future::join_all(lanes.map(|lane| lane.flush())).await;
        match flushed.into_iter().all(|is_decided| is_decided) {
            true => Ok(()),
            false => Err(self.describe(closed())),
        }
    }

    /// Takes no more events, sends what was enqueued, and closes the producer. Calls that wait for room end with an error.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// When the future is dropped, no more events are taken, and those that are there are sent as usual.
    pub async fn close(&self) -> Result<(), Error> {
        self.0.stop(Stage::Closing);
        let flushed = self.flush().await;
        self.0.yard.board.end();
        self.producer().close().await;
        flushed
    }

    /// Gives up what was not sent, and closes the producer. Receipts of what was given up end with
    /// [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// What was not sent is given up all the same.
    pub async fn abort(&self) {
        self.0.stop(Stage::Aborted);
        self.0.yard.board.end();
        self.producer().close().await;
    }

    /// How many events of a partition are not acknowledged.
    pub fn buffered_event_count(&self, partition_id: &str) -> usize {
        let lanes = self.0.lanes().iter();
        lanes.filter(|lane| *lane.partition == *partition_id).map(|lane| lane.len()).sum()
    }

    /// How many events are not acknowledged.
    pub fn total_buffered_event_count(&self) -> usize {
        self.0.lanes().iter().map(|lane| lane.len()).sum()
    }

    /// What becomes of batches from now on. Events that are enqueued from now on are kept until then, to be told; without a listener
    /// they are not.
    pub fn outcomes(&self) -> SendOutcomes {
        self.0.yard.board.listen()
    }

    async fn put(&self, event: EventData, partition_id: Option<&str>) -> Result<Receipt, Error> {
        let inner = &*self.0;
        if inner.is_closed.load(Ordering::Relaxed) {
            return Err(self.describe(closed()));
        }
        let mut lanes = inner.lanes();
        let is_known = |id: &str| lanes.iter().any(|lane| *lane.partition == *id);
        if lanes.is_empty() || partition_id.is_some_and(|id| !is_known(id)) {
            lanes = self.look(lanes.len()).await?;
        }
        let lane = self.choose(lanes, partition_id, event.partition_key())?;
        let mut encoded = BytesMut::new();
        codec::encode_for_batch(&mut encoded, &event, self.producer().is_idempotent())
            .map_err(|error| self.describe(error))?;
        lane.start(&inner.yard).map_err(|error| self.describe(error))?;
        let kept = if inner.yard.board.has_listeners() { Some(event) } else { None };
        lane.enter(&encoded, kept).await.map_err(|error| self.describe(error))
    }

    fn choose<'a>(
        &self,
        lanes: &'a [Arc<Lane>],
        partition_id: Option<&str>,
        key: Option<&str>,
    ) -> Result<&'a Arc<Lane>, Error> {
        let index = match (partition_id, key) {
            (Some(id), Some(key)) => {
                let message = format!(
                    "both partition '{}' and partition key '{key}' are given: leave one out, as each decides about the partition",
                    shown(id, 64)
                );
                return Err(self.describe(Error::new(ErrorKind::InvalidArgument, message)));
            }
            (Some(id), None) => lanes.iter().position(|lane| *lane.partition == *id),
            (None, Some(key)) => Some(partition::for_key(key, lanes.len() as u32) as usize),
            (None, None) => Some(self.0.turn.fetch_add(1, Ordering::Relaxed) % lanes.len().max(1)),
        };
        index.and_then(|index| lanes.get(index)).ok_or_else(|| {
            let known: Vec<&str> = lanes.iter().map(|lane| &*lane.partition).collect();
            let id = shown(partition_id.unwrap_or_default(), 64);
            let message = format!("there is no partition '{id}': there are {}", known.join(", "));
            self.describe(Error::new(ErrorKind::NotFound, message))
        })
    }

    /// Learns which partitions there are besides the first `known`, and how large a batch may be.
    async fn look(&self, known: usize) -> Result<&[Arc<Lane>], Error> {
        let inner = &*self.0;
        let mut in_vain = inner.looking.lock().await;
        let latest = inner.seen.latest();
        let is_recent = in_vain.is_some_and(|last| runtime::now() < last + LOOK_AGAIN);
        if latest.lanes.len() > known || is_recent {
            return Ok(&latest.lanes);
        }
        let ids = self.producer().partition_ids().await?;
        let Some(first) = ids.first() else {
            let message = "the service says that the event hub has no partitions";
            return Err(self.describe(Error::new(ErrorKind::NotFound, message)));
        };
        if ids.len() <= known {
            *in_vain = Some(runtime::now());
            return Ok(&latest.lanes);
        }
        let bounds = Bounds {
            events: inner.options.max_buffered_events_per_partition,
            bytes: inner.options.max_buffered_bytes,
            batch: self.producer().limit_of(first).await?,
            wait: inner.options.max_wait_time,
            is_numbered: self.producer().is_idempotent(),
        };
        let fresh = ids[known..].iter().map(|id| Lane::new(id, bounds.clone()));
        let lanes: Vec<_> = latest.lanes.iter().cloned().chain(fresh).collect();
        let seen = latest.later.get_or_init(|| Box::new(Seen { lanes, later: OnceLock::new() }));
        if inner.is_closed.load(Ordering::Relaxed) {
            // Closed while it looked: the lanes were not there to be told.
            seen.lanes[known..].iter().for_each(|lane| lane.close(Stage::Aborted));
        }
        Ok(&seen.lanes)
    }

    fn describe(&self, error: Error) -> Error {
        error.with_operation("enqueue for").with_entity(self.producer().event_hub())
    }
}

impl Inner {
    /// One for each partition that is known; none before the hub was looked at.
    fn lanes(&self) -> &[Arc<Lane>] {
        &self.seen.latest().lanes
    }

    fn stop(&self, stage: Stage) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.lanes().iter().for_each(|lane| lane.close(stage));
    }
}

impl Seen {
    fn latest(&self) -> &Self {
        let mut seen = self;
        while let Some(later) = seen.later.get() {
            seen = later;
        }
        seen
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop(Stage::Aborted);
        self.yard.board.end();
    }
}

impl fmt::Debug for BufferedProducerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedProducerClient")
            .field("event_hub", &self.producer().event_hub())
            .field("total_buffered_event_count", &self.total_buffered_event_count())
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<BufferedProducerClient>();
};
