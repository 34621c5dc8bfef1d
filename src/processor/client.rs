//! The processor as its user sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt;
use futures::future::try_join_all;

use super::guarded::GuardedStore;
use super::handler::EventHandler;
use super::keeper::Keeper;
use super::lease::Tenancy;
use super::member::Rules;
use super::membership::Membership;
use super::office::{Granted, Office};
use super::options::{EventProcessorBuilder, Options};
use super::partition::{Part, PartitionContext, PartitionLag, not_here};
use super::pump::pump;
use super::reading::PartitionClient;
use super::status::{Board, ProcessorStatus, ProcessorStatusStream};
use crate::checkpoint::CheckpointStore;
use crate::consumer::ConsumerClient;
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::ConsumerGroup;
use crate::model::position::StartPosition;
use crate::runtime::spawn;

/// Shares the partitions of an event hub with the other processors of its consumer group, and processes its own.
///
/// Members find each other in a [`CheckpointStore`]: who owns which partition, and how far each was processed. Partitions of a
/// member that dies are taken over by the others when its ownership has expired, from the last checkpoint on: every event is
/// processed, some more than once. Members in other languages may be in the group, with a store that they share.
///
/// Either a handler gets the events ([`run`](Self::run)), or partitions are pulled
/// ([`next_partition`](Self::next_partition)).
///
/// ```
/// # use eventhubs::ConsumerClient;
/// # async fn example(consumer: ConsumerClient) -> Result<(), eventhubs::Error> {
/// use std::time::Duration;
/// use eventhubs::checkpoint::FileStore;
/// use eventhubs::model::auto_checkpoint::AutoCheckpoint;
/// use eventhubs::processor::{EventProcessor, Handlers};
///
/// let processor = EventProcessor::builder(consumer, FileStore::new("checkpoints"))
///     .auto_checkpoint(AutoCheckpoint::never().every_events(1_000).every(Duration::from_secs(5)).on_close())
///     .build()?;
/// let handlers = Handlers::new(|events, partition| async move {
///         for event in events {
///             println!("{}: {}", partition.partition_id(), event.body_text()?);
///         }
///         Ok(())
///     })
///     .on_error(|failure| async move { eprintln!("{failure}") });
/// processor.run(handlers).await
/// # }
/// ```
///
/// A handle: clones are the same processor. When the last one is dropped it stops.
#[derive(Clone)]
pub struct EventProcessor(Arc<Handle>);

struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    consumer: ConsumerClient,
    store: GuardedStore,
    options: Arc<Options>,
    office: Arc<Office>,
    board: Arc<Board>,
    /// Held while it starts; whether it has.
    started: futures::lock::Mutex<bool>,
    parts: Mutex<BTreeMap<String, Weak<Part>>>,
}

/// How far the processing of this processor's partitions is behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessorLag {
    /// All partitions that it processes.
    pub partitions: Vec<PartitionLag>,
    /// Their events together.
    pub events: u64,
}

impl EventProcessor {
    /// A processor for the consumer's event hub and group, whose members meet in the store.
    pub fn builder(consumer: ConsumerClient, store: impl CheckpointStore) -> EventProcessorBuilder {
        EventProcessorBuilder::new(consumer, Arc::new(store))
    }

    pub(super) fn new(consumer: ConsumerClient, store: Arc<dyn CheckpointStore>, options: Options) -> Self {
        let group = ConsumerGroup {
            namespace: consumer.client().host().to_owned(),
            event_hub: consumer.event_hub().to_owned(),
            name: consumer.consumer_group().to_owned(),
        };
        let store = GuardedStore::new(store, group, options.store_limit());
        let inner = Inner {
            consumer,
            store,
            office: Office::new(options.interval),
            options: Arc::new(options),
            board: Arc::default(),
            started: futures::lock::Mutex::new(false),
            parts: Mutex::default(),
        };
        EventProcessor(Arc::new(Handle { inner: Arc::new(inner) }))
    }

    /// How the processor is called in the store.
    pub fn id(&self) -> &str {
        self.inner().options.id.as_deref().unwrap_or_default()
    }

    /// Hands the events of this processor's partitions to the handler until [`stop`](Self::stop) is called, then resolves when all
    /// work has ended.
    ///
    /// # Errors
    /// What is wrong from the beginning, at once: the hub or group does not exist, the right to listen is missing, the store cannot
    /// be read, a position is given for a partition that does not exist, or the processor was stopped before. Later failures are
    /// told to the handler's error hook and on the [`status`](Self::status) stream, and it goes on.
    ///
    /// # Cancel safety
    /// Dropping the future stops the processor.
    pub async fn run(&self, handler: impl EventHandler) -> Result<(), Error> {
        let inner = self.inner();
        let handler = Arc::new(handler);
        let mut statuses = self.status();
        self.start().await?;
        let _stops = Stops(inner.office.clone());
        let hooks = handler.clone();
        let errors = async move {
            while let Some(status) = statuses.next().await {
                if let ProcessorStatus::Failed(failure) = status {
                    // A hook that panics must not take the processor with it.
                    let _ = std::panic::AssertUnwindSafe(hooks.error(failure)).catch_unwind().await;
                }
            }
        };
        let partitions = async {
            while let Some(client) = self.next_partition().await? {
                let (options, board) = (inner.options.clone(), inner.board.clone());
                spawn(pump(client, handler.clone(), options, board)).map_err(no_runtime)?;
            }
            Ok(())
        };
        let (outcome, ()) = futures::join!(partitions, errors);
        outcome
    }

    /// The next partition that has become this processor's; `None` when it was stopped. The first call starts the processor;
    /// from then on it is a member of its group, and its partitions wait here to be pulled.
    ///
    /// # Errors
    /// As [`run`](Self::run), for the first call.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next_partition(&self) -> Result<Option<PartitionClient>, Error> {
        self.start().await?;
        let inner = self.inner();
        let granted = poll_fn(|cx| inner.office.poll_granted(cx)).await;
        Ok(granted.map(|granted| inner.client(granted)))
    }

    /// Ends the work on all partitions (handlers come to the end of what they are at, the last checkpoints are written), gives
    /// them up, and resolves when that is done, or after half the ownership expiration: then what handlers still work on is left to
    /// expire, and told.
    ///
    /// # Cancel safety
    /// It stops whether the future is awaited to its end or not.
    pub async fn stop(&self) {
        let inner = self.inner();
        inner.office.stop();
        if *inner.started.lock().await {
            poll_fn(|cx| inner.office.poll_stopped(cx)).await;
        } else {
            inner.board.tell(ProcessorStatus::Stopped);
            inner.office.stopped();
        }
    }

    /// What happens to the processor and its partitions, as a stream: bounded, and nothing is told per event.
    pub fn status(&self) -> ProcessorStatusStream {
        self.inner().board.listen()
    }

    /// The partitions that are processed here, in the order of their ids.
    pub fn partitions(&self) -> Vec<PartitionContext> {
        let parts = self.inner().parts();
        let alive = parts.values().filter_map(Weak::upgrade).filter(|part| !part.lease.has_ended());
        alive.map(PartitionContext).collect()
    }

    /// One of the partitions that are processed here: to pause it, or to go on from elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not processed here.
    pub fn partition(&self, partition_id: &str) -> Result<PartitionContext, Error> {
        let part = self.inner().parts().get(partition_id).and_then(Weak::upgrade);
        let part = part.filter(|part| !part.lease.has_ended());
        part.map(PartitionContext).ok_or_else(|| not_here(partition_id))
    }

    /// Hands out no events of a partition until [`resume`](Self::resume); see [`PartitionContext::pause`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not processed here.
    pub fn pause(&self, partition_id: &str) -> Result<(), Error> {
        self.partition(partition_id).map(|partition| partition.pause())
    }

    /// Goes on with a partition that was paused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not processed here.
    pub fn resume(&self, partition_id: &str) -> Result<(), Error> {
        self.partition(partition_id).map(|partition| partition.resume())
    }

    /// Goes on from elsewhere in a partition; see [`PartitionContext::seek`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not processed here.
    pub fn seek(&self, partition_id: &str, position: StartPosition) -> Result<(), Error> {
        self.partition(partition_id).map(|partition| partition.seek(position))
    }

    /// Asks the service how far the processing of this processor's partitions is behind.
    ///
    /// # Errors
    /// As [`ConsumerClient::partition_properties`].
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn lag(&self) -> Result<ProcessorLag, Error> {
        let contexts = self.partitions();
        let partitions = try_join_all(contexts.iter().map(PartitionContext::lag)).await?;
        let events = partitions.iter().map(|lag| lag.events).sum();
        Ok(ProcessorLag { partitions, events })
    }

    /// Looks whether it can work at all, and becomes a member.
    async fn start(&self) -> Result<(), Error> {
        let inner = self.inner();
        let mut started = inner.started.lock().await;
        if *started {
            return Ok(());
        }
        if inner.office.is_stopping() {
            let error = Error::new(ErrorKind::Closed, "the processor was stopped");
            return Err(error
                .with_operation("start a processor for")
                .with_entity(inner.consumer.event_hub()));
        }
        let ids = inner.validate().await?;
        let Options { strategy, max_partitions: cap, interval, expiry, .. } = *inner.options;
        let rules = Rules { me: self.id().to_owned(), strategy, cap, interval, expiry };
        let (office, board) = (inner.office.clone(), inner.board.clone());
        let membership = Membership::new(rules, ids.into(), inner.store.clone(), office, board);
        spawn(membership.run()).map_err(no_runtime)?;
        *started = true;
        Ok(())
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0.inner
    }
}

impl Inner {
    /// The hub's partitions, when everything is there that is needed.
    async fn validate(&self) -> Result<Vec<String>, Error> {
        let ids = self.consumer.partition_ids().await?;
        if let Some((unknown, _)) = self.options.starts.iter().find(|(id, _)| !ids.contains(id)) {
            let message = format!("a position is given for partition '{unknown}', which does not exist");
            return Err(Error::new(ErrorKind::InvalidArgument, message)
                .with_operation("start a processor for")
                .with_entity(self.consumer.event_hub()));
        }
        self.store.list_ownership().await?;
        self.store.list_checkpoints().await?;
        // Whether the group exists and may be read only a link tells. That others read it is no obstacle.
        let first = ids.first().cloned().unwrap_or_default();
        match self.consumer.partition(first).prefetch(1).open().await {
            Ok(_) => Ok(ids),
            Err(error) if is_of_others(&error) => Ok(ids),
            Err(error) => Err(error),
        }
    }

    fn client(&self, granted: Granted) -> PartitionClient {
        let Granted { lease, checkpoint } = granted;
        let (store, board, policy) = (self.store.clone(), self.board.clone(), self.options.auto_checkpoint);
        let keeper = Keeper::new(lease.clone(), store, board.clone(), policy, checkpoint.clone());
        let part = Part::new(lease.clone(), keeper, self.consumer.clone(), checkpoint);
        self.parts().insert(lease.partition_id().to_string(), Arc::downgrade(&part));
        PartitionClient::new(Tenancy::new(lease), part, self.options.clone(), board)
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Weak<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the processor when whoever runs it is dropped.
struct Stops(Arc<Office>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.office.stop();
    }
}

impl fmt::Debug for EventProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventProcessor")
            .field("id", &self.id())
            .field("consumer", &self.inner().consumer)
            .finish_non_exhaustive()
    }
}

fn is_of_others(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::OwnershipLost | ErrorKind::QuotaExceeded)
}

fn no_runtime(why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, why.to_string()).with_operation("start a processor")
}
