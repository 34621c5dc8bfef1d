//! What happens to a processor: one board that everything is told to, and streams of it.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;

use crate::client::{Audience, Listening};
use crate::error::Error;
use crate::model::position::StartPosition;

/// What happens to a processor and its partitions; see [`EventProcessor::status`](super::EventProcessor::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProcessorStatus {
    /// It is a member of its group, and claims partitions.
    Running,
    /// A partition is its own now.
    Claimed {
        /// The partition.
        partition: String,
        /// From whom it was taken; `None` when it was free.
        from: Option<String>,
    },
    /// A partition is being read.
    Reading {
        /// The partition.
        partition: String,
        /// From where.
        position: StartPosition,
    },
    /// A partition is no longer processed here.
    Closed {
        /// The partition.
        partition: String,
        /// Why.
        reason: CloseReason,
    },
    /// Something failed. What is done about it, the [`Operation`] says.
    Failed(ProcessorFailure),
    /// It has left its group. The last of all.
    Stopped,
}

/// Why a partition is no longer processed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The processor stops.
    Shutdown,
    /// Another member took the partition, or another reader its link.
    OwnershipLost,
    /// The ownership could not be renewed in time, so others may take the partition: two should not work on it.
    OwnershipExpired,
    /// Reading it failed in a way that does not pass by itself, or the handler failed and the policy is to give up. The
    /// partition is free for others, and after a pause for this processor, too.
    Failed,
    /// Whoever pulled it has let go of it. It is free as after [`Failed`](Self::Failed).
    GivenUp,
}

/// Something that failed: in which partition, while doing what, why.
#[derive(Clone, Debug)]
pub struct ProcessorFailure {
    /// The partition; `None` when it concerns the processor.
    pub partition_id: Option<String>,
    /// What was being done.
    pub operation: Operation,
    /// Why it failed.
    pub error: Error,
}

/// What a processor was doing when something failed, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Asking the store who owns what. Ownerships are renewed all the same; nothing is claimed until it works.
    ListOwnership,
    /// Claiming partitions. They are claimed in a later round.
    ClaimOwnership,
    /// Renewing ownerships. It is tried again soon; what cannot be renewed in time is closed with
    /// [`CloseReason::OwnershipExpired`].
    RenewOwnership,
    /// Giving ownerships up. Others take the partitions when they have expired.
    ReleaseOwnership,
    /// Finding out where a partition was left. It is not read until that is known.
    ReadCheckpoint,
    /// Writing a checkpoint. An automatic one is tried again.
    WriteCheckpoint,
    /// Reading events. After a failure that may pass it is tried again, after any other the partition is closed.
    Receive,
    /// The handler's `initialize`. The partition is given up.
    Initialize,
    /// The handler's `process`. What follows, [`HandlerFailure`](super::HandlerFailure) decides.
    Process,
    /// The handler's `close`.
    Close,
}

/// A stream of what happens to a processor. It is bounded: a listener that does not keep up misses the oldest, and
/// [`missed`](Self::missed) says how many.
pub struct ProcessorStatusStream(Listening<ProcessorStatus>);

/// Where a processor's statuses are told.
#[derive(Default)]
pub(super) struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    has_stopped: bool,
    audience: Audience<ProcessorStatus>,
}

impl CloseReason {
    /// A stable name, such as `ownership-lost`.
    pub fn code(self) -> &'static str {
        match self {
            CloseReason::Shutdown => "shutdown",
            CloseReason::OwnershipLost => "ownership-lost",
            CloseReason::OwnershipExpired => "ownership-expired",
            CloseReason::Failed => "failed",
            CloseReason::GivenUp => "given-up",
        }
    }

    /// Whether the partition may be another's by now, so that nothing may be written for it.
    pub(super) fn is_loss(self) -> bool {
        matches!(self, CloseReason::OwnershipLost | CloseReason::OwnershipExpired)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Operation {
    /// What it is called behind "cannot".
    pub fn words(self) -> &'static str {
        match self {
            Operation::ListOwnership => "list the ownerships of",
            Operation::ClaimOwnership => "claim partitions of",
            Operation::RenewOwnership => "renew ownerships of",
            Operation::ReleaseOwnership => "release partitions of",
            Operation::ReadCheckpoint => "read checkpoints of",
            Operation::WriteCheckpoint => "write a checkpoint of",
            Operation::Receive => "receive from",
            Operation::Initialize => "initialize the processing of",
            Operation::Process => "process events of",
            Operation::Close => "close the processing of",
        }
    }
}

impl fmt::Display for ProcessorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.partition_id {
            Some(id) => write!(f, "partition '{id}': {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl Board {
    /// Something happened. Nothing follows `Stopped`.
    pub(super) fn tell(&self, status: ProcessorStatus) {
        let is_last = matches!(status, ProcessorStatus::Stopped);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.has_stopped {
            return;
        }
        state.has_stopped = is_last;
        let wakers = state.audience.tell(status, is_last);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Something failed.
    pub(super) fn failed(&self, partition_id: Option<&str>, operation: Operation, error: Error) {
        tracing::debug!(partition = partition_id, %error, "the processor met a failure");
        let partition_id = partition_id.map(str::to_owned);
        self.tell(ProcessorStatus::Failed(ProcessorFailure { partition_id, operation, error }));
    }

    pub(super) fn listen(&self) -> ProcessorStatusStream {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_stopped = state.has_stopped;
        let present = if has_stopped { ProcessorStatus::Stopped } else { ProcessorStatus::Running };
        ProcessorStatusStream(state.audience.listen(present, has_stopped))
    }
}

impl ProcessorStatusStream {
    /// What happens next; `None` behind [`ProcessorStatus::Stopped`].
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ProcessorStatus> {
        poll_fn(|cx| self.0.poll(cx)).await
    }

    /// How many statuses this stream had no room for, in all.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

impl Stream for ProcessorStatusStream {
    type Item = ProcessorStatus;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ProcessorStatus>> {
        self.0.poll(cx)
    }
}

impl fmt::Debug for ProcessorStatusStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessorStatusStream").field("missed", &self.missed()).finish_non_exhaustive()
    }
}
