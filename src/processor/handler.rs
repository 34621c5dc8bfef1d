//! Who processes events: a trait, and closures.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::partition::PartitionContext;
use super::status::{CloseReason, ProcessorFailure};
use crate::dialect::received::ReceivedEvent;
use crate::model::position::StartPosition;

/// What went wrong in a handler: any error, by `?`.
pub type HandlerError = Box<dyn StdError + Send + Sync>;

/// Processes the events of partitions. Calls for one partition come one after another, those for different partitions at the
/// same time: a slow one holds up its own partition only.
///
/// ```
/// use eventhubs::processor::{CloseReason, EventHandler, HandlerError, PartitionContext, ProcessorFailure};
/// use eventhubs::{ReceivedEvent, StartPosition};
///
/// struct Billing;
///
/// impl EventHandler for Billing {
///     async fn process(&self, events: &[ReceivedEvent], partition: &PartitionContext) -> Result<(), HandlerError> {
///         for event in events {
///             println!("{}: {}", partition.partition_id(), event.body_text()?);
///         }
///         if let Some(last) = events.last() {
///             partition.checkpoint(last).await?;
///         }
///         Ok(())
///     }
///
///     async fn initialize(&self, partition: &PartitionContext) -> Result<Option<StartPosition>, HandlerError> {
///         // A partition that nobody has processed before begins at its end.
///         Ok(partition.starting_checkpoint().is_none().then(StartPosition::latest))
///     }
///
///     async fn close(&self, partition: &PartitionContext, reason: CloseReason) -> Result<(), HandlerError> {
///         println!("{} is let go of: {reason}", partition.partition_id());
///         Ok(())
///     }
///
///     async fn error(&self, failure: ProcessorFailure) {
///         eprintln!("{failure}");
///     }
/// }
/// ```
pub trait EventHandler: Send + Sync + 'static {
    /// Processes events, at least one, in the order of their partition. When it returns, they count as processed: automatic
    /// checkpoints go by that. What follows an error or a panic, [`HandlerFailure`](super::HandlerFailure) decides.
    ///
    /// It is not interrupted when the partition is lost: until it returns, another member may be at the same events. Long work
    /// looks at [`PartitionContext::closing`] now and then.
    fn process(
        &self,
        events: &[ReceivedEvent],
        partition: &PartitionContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// A partition has become this processor's. Where to begin: `None` is behind the checkpoint, or where the processor was
    /// built to begin; a position is there, checkpoint or not.
    fn initialize(
        &self,
        partition: &PartitionContext,
    ) -> impl Future<Output = Result<Option<StartPosition>, HandlerError>> + Send {
        let _ = partition;
        async { Ok(None) }
    }

    /// Work on a partition has ended. It may still write a checkpoint, unless the partition may be another's.
    fn close(
        &self,
        partition: &PartitionContext,
        reason: CloseReason,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let _ = (partition, reason);
        async { Ok(()) }
    }

    /// Something failed, in a partition or in the processor: the handler, the store, reading. Told one after another; when this
    /// does not keep up with more than 256, the oldest are left out.
    fn error(&self, failure: ProcessorFailure) -> impl Future<Output = ()> + Send {
        tracing::warn!(%failure, "the processor met a failure, and its handler has no error hook");
        async {}
    }
}

impl<H: EventHandler> EventHandler for Arc<H> {
    fn process(
        &self,
        events: &[ReceivedEvent],
        partition: &PartitionContext,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        (**self).process(events, partition)
    }

    fn initialize(
        &self,
        partition: &PartitionContext,
    ) -> impl Future<Output = Result<Option<StartPosition>, HandlerError>> + Send {
        (**self).initialize(partition)
    }

    fn close(
        &self,
        partition: &PartitionContext,
        reason: CloseReason,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        (**self).close(partition, reason)
    }

    fn error(&self, failure: ProcessorFailure) -> impl Future<Output = ()> + Send {
        (**self).error(failure)
    }
}

/// A handler made of closures.
///
/// ```
/// use eventhubs::processor::Handlers;
///
/// let handlers = Handlers::new(|events, partition| async move {
///         println!("{} events of {}", events.len(), partition.partition_id());
///         Ok(())
///     })
///     .on_error(|failure| async move { eprintln!("{failure}") });
/// ```
pub struct Handlers {
    process: Hook<(Vec<ReceivedEvent>, PartitionContext), Result<(), HandlerError>>,
    initialize: Option<Hook<PartitionContext, Result<Option<StartPosition>, HandlerError>>>,
    close: Option<Hook<(PartitionContext, CloseReason), Result<(), HandlerError>>>,
    error: Option<Hook<ProcessorFailure, ()>>,
}

type Hook<A, R> = Box<dyn Fn(A) -> BoxFuture<'static, R> + Send + Sync>;

impl Handlers {
    /// Processes events with this; see [`EventHandler::process`].
    pub fn new<P, F>(process: P) -> Self
    where
        P: Fn(Vec<ReceivedEvent>, PartitionContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let process: Hook<_, _> = Box::new(move |(events, partition)| Box::pin(process(events, partition)));
        Handlers { process, initialize: None, close: None, error: None }
    }

    /// Is called when a partition has become this processor's; see [`EventHandler::initialize`].
    #[must_use]
    pub fn on_initialize<P, F>(mut self, initialize: P) -> Self
    where
        P: Fn(PartitionContext) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Option<StartPosition>, HandlerError>> + Send + 'static,
    {
        self.initialize = Some(Box::new(move |partition| Box::pin(initialize(partition))));
        self
    }

    /// Is called when work on a partition has ended; see [`EventHandler::close`].
    #[must_use]
    pub fn on_close<P, F>(mut self, close: P) -> Self
    where
        P: Fn(PartitionContext, CloseReason) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.close = Some(Box::new(move |(partition, reason)| Box::pin(close(partition, reason))));
        self
    }

    /// Is told what fails; see [`EventHandler::error`].
    #[must_use]
    pub fn on_error<P, F>(mut self, error: P) -> Self
    where
        P: Fn(ProcessorFailure) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.error = Some(Box::new(move |failure| Box::pin(error(failure))));
        self
    }
}

impl EventHandler for Handlers {
    async fn process(
        &self,
        events: &[ReceivedEvent],
        partition: &PartitionContext,
    ) -> Result<(), HandlerError> {
        (self.process)((events.to_vec(), partition.clone())).await
    }

    async fn initialize(&self, partition: &PartitionContext) -> Result<Option<StartPosition>, HandlerError> {
        match &self.initialize {
            Some(initialize) => initialize(partition.clone()).await,
            None => Ok(None),
        }
    }

    async fn close(&self, partition: &PartitionContext, reason: CloseReason) -> Result<(), HandlerError> {
        match &self.close {
            Some(close) => close((partition.clone(), reason)).await,
            None => Ok(()),
        }
    }

    async fn error(&self, failure: ProcessorFailure) {
        match &self.error {
            Some(error) => error(failure).await,
            None => tracing::warn!(%failure, "the processor met a failure, and has no error hook"),
        }
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers").finish_non_exhaustive()
    }
}
