//! Hands the events of one partition to the handler, as long as it is owned.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;

use super::guarded::panic_text;
use super::handler::{EventHandler, HandlerError};
use super::options::{HandlerFailure, Options};
use super::partition::PartitionContext;
use super::reading::PartitionClient;
use super::status::{Board, CloseReason, Operation};
use crate::error::{Error, ErrorKind};
use crate::runtime::{Timer, now};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Works on one partition from its initialization to its close.
pub(super) async fn pump<H: EventHandler>(
    mut client: PartitionClient,
    handler: Arc<H>,
    options: Arc<Options>,
    board: Arc<Board>,
) {
    let context = client.context().clone();
    let tell = |operation, error: HandlerError| {
        let error = failure(operation, &context, error);
        board.failed(Some(context.partition_id()), operation, error);
    };
    match guarded(handler.initialize(&context)).await {
        Ok(position) => {
            position.into_iter().for_each(|position| client.start_at(position));
            let reason = match work(&mut client, &*handler, &options, &tell).await {
                Ok(()) => CloseReason::Shutdown,
                Err(GivenUp) => CloseReason::Failed,
            };
            let reason = client.finish(reason).await;
            if let Err(error) = guarded(handler.close(&context, reason)).await {
                tell(Operation::Close, error);
            }
        }
        // What was not initialized is not closed.
        Err(error) => {
            tell(Operation::Initialize, error);
            client.finish(CloseReason::Failed).await;
        }
    }
}

/// The handler failed, and the policy is to give the partition up.
struct GivenUp;

async fn work<H: EventHandler>(
    client: &mut PartitionClient,
    handler: &H,
    options: &Options,
    tell: &impl Fn(Operation, HandlerError),
) -> Result<(), GivenUp> {
    let context = client.context().clone();
    let mut batch = Vec::with_capacity(options.max_batch.min(1_000));
    loop {
        batch.clear();
        match client.next_batch(options.max_batch, &mut batch).await {
            Some(Ok(())) => {}
            // It has been told, and what follows is decided.
            Some(Err(_)) => continue,
            None => return Ok(()),
        }
        let mut pause = FIRST_PAUSE;
        while let Err(error) = guarded(handler.process(&batch, &context)).await {
            tell(Operation::Process, error);
            match options.handler_failure {
                HandlerFailure::GiveUp => return Err(GivenUp),
                HandlerFailure::GoOn => break,
                HandlerFailure::Again => {}
            }
            if closed_within(&context, pause).await || context.0.lease.sure().await.is_err() {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if let Some(last) = batch.last() {
            client.processed(last, batch.len() as u64);
        }
    }
}

/// What the handler comes to; a panic is an error.
async fn guarded<T>(work: impl Future<Output = Result<T, HandlerError>>) -> Result<T, HandlerError> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(format!("it panicked: {}", panic_text(&*panic)).into()),
    }
}

/// Waits for so long; whether work on the partition is to end meanwhile.
async fn closed_within(context: &PartitionContext, pause: Duration) -> bool {
    let (lease, until) = (&context.0.lease, now() + pause);
    let mut timer = Timer::default();
    poll_fn(|cx| match lease.poll_closing(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending => timer.poll_until(until, cx).map(|()| lease.closing().is_some()),
    })
    .await
}

fn failure(operation: Operation, context: &PartitionContext, error: HandlerError) -> Error {
    Error::new(ErrorKind::Internal, format!("the handler failed: {error}"))
        .with_transient(false)
        .with_operation(operation.words())
        .with_entity(format!("{}/{}", context.event_hub(), context.partition_id()))
        .with_source(Source(error))
}

/// A boxed error as an error.
#[derive(Debug)]
struct Source(HandlerError);

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Source {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
