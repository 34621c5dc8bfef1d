//! A receiving link, as its reader and the connection's task share it.
//!
//! The task hands over everything that one read brought under one lock and with one wake; the reader takes all
//! of it at once, and says now and then how much it has used up, which returns credit.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::shared::{Key, Shared, Standing, lock};
use crate::dialect::address::Address;
use crate::error::Error;
use crate::model::position::StartPosition;

/// What a reader asked for.
#[derive(Clone, Debug)]
pub(crate) struct ReceiverSpec {
    pub(crate) address: Address,
    pub(crate) start: StartPosition,
    pub(crate) owner_level: Option<i64>,
    pub(crate) track_last_enqueued: bool,
    /// Events that may lie ready, at most.
    pub(crate) prefetch_count: u32,
    /// Bytes that may lie ready, about.
    pub(crate) prefetch_bytes: usize,
}

/// A link to a partition of a consumer group, whether it is attached at the moment or not.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    key: Key,
    pub(super) spec: ReceiverSpec,
    state: Mutex<State>,
}

/// The reader's end. When dropped, the link is detached.
pub(crate) struct ReceiverHandle(Arc<Receiver>);

/// Events that were taken, and so make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) events: u32,
    pub(crate) bytes: usize,
}

/// What a look of the task at a receiver found.
pub(super) struct Look {
    pub(super) taken: Taken,
    pub(super) is_closing: bool,
    /// The reader waits, or has begun to read at all.
    pub(super) is_wanted: bool,
}

/// How a receiver failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The reader may try again.
    Passing,
    /// Nothing will ever follow.
    Final,
}

#[derive(Default)]
struct State {
    /// Encoded events, oldest first.
    arrived: Vec<Bytes>,
    taken: Taken,
    newest: Option<Bytes>,
    is_attached: bool,
    /// Told to the reader behind everything that arrived before.
    failure: Option<(Error, Failure)>,
    has_ended: bool,
    /// The reader has asked for events since the last failure.
    is_wanted: bool,
    waker: Option<Waker>,
    is_marked: bool,
    is_closing: bool,
    /// The link went down, or could not be made, and is not up again.
    is_failing: bool,
}

impl ReceiverSpec {
    /// The id of the partition that is read.
    pub(super) fn partition(&self) -> &str {
        match &self.address {
            Address::Receiver { partition, .. } => partition,
            _ => "",
        }
    }

    /// The number of events that is worth a word about credit.
    pub(super) fn credit_step(&self) -> u32 {
        (self.prefetch_count / 4).max(1)
    }
}

impl ReceiverHandle {
    pub(crate) fn new(shared: &Arc<Shared>, spec: ReceiverSpec) -> Self {
        let receiver = shared.register_receiver(|key| Receiver {
            shared: shared.clone(),
            key,
            spec,
            state: Mutex::default(),
        });
        ReceiverHandle(receiver)
    }

    /// Everything that has arrived; `None` at the end.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Bytes>, Error>>> {
        let mut state = lock(&self.0.state);
        if !state.arrived.is_empty() {
            let arrived = std::mem::take(&mut state.arrived);
            if self.0.spec.track_last_enqueued {
                state.newest = arrived.last().cloned();
            }
            return Poll::Ready(Some(Ok(arrived)));
        }
        if let Some((error, failure)) = state.failure.take() {
            state.has_ended = failure == Failure::Final;
            return Poll::Ready(Some(Err(error)));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        let is_news = !state.is_wanted && state.mark();
        state.is_wanted = true;
        state.wait(cx);
        drop(state);
        if is_news && let Err(error) = self.0.shared.mark(self.0.key) {
            lock(&self.0.state).has_ended = true;
            return Poll::Ready(Some(Err(self.0.describe(error, 0))));
        }
        Poll::Pending
    }

    /// Ready when the link is attached, or has failed.
    pub(crate) fn poll_attached(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = lock(&self.0.state);
        if state.is_attached {
            return Poll::Ready(Ok(()));
        }
        if let Some((error, failure)) = state.failure.take() {
            state.has_ended = failure == Failure::Final;
            return Poll::Ready(Err(error));
        }
        let is_news = !state.is_wanted && state.mark();
        state.is_wanted = true;
        state.wait(cx);
        drop(state);
        if is_news {
            self.0.shared.mark(self.0.key).map_err(|error| self.0.describe(error, 0))?;
        }
        Poll::Pending
    }

    /// Returns credit for what the reader has used up.
    pub(crate) fn give_back(&self, taken: &mut Taken) {
        let is_news = {
            let mut state = lock(&self.0.state);
            state.taken.add(std::mem::take(taken));
            state.mark()
        };
        if is_news {
            // What keeps the task from running is met again, and reported, when the reader next waits.
            let _ = self.0.shared.mark(self.0.key);
        }
    }

    /// How many events are used up before the reader should say so: often enough that the service never runs out
    /// of credit, seldom enough to cost nothing.
    pub(crate) fn step(&self) -> u32 {
        self.0.spec.credit_step()
    }

    /// The newest event that was taken, when the service tells about the partition with each.
    pub(crate) fn newest(&self) -> Option<Bytes> {
        lock(&self.0.state).newest.clone()
    }
}

impl Drop for ReceiverHandle {
    fn drop(&mut self) {
        let is_news = {
            let mut state = lock(&self.0.state);
            state.is_closing = true;
            state.mark()
        };
        if is_news {
            self.0.shared.mark_for_closing(self.0.key);
        }
    }
}

impl Receiver {
    pub(super) fn describe(&self, error: Error, attempts: u32) -> Error {
        let error = match attempts {
            0 => error,
            _ => error.with_attempts(attempts),
        };
        error.with_operation("receive from").with_entity(self.spec.address.to_string())
    }

    /// How long events that are known of may stay away.
    pub(super) fn stall_timeout(&self) -> Duration {
        self.shared.config.stall_timeout
    }

    pub(super) fn look(&self) -> Look {
        let mut state = lock(&self.state);
        state.is_marked = false;
        Look {
            taken: std::mem::take(&mut state.taken),
            is_closing: state.is_closing,
            is_wanted: state.is_wanted,
        }
    }

    /// Hands over what one read brought.
    pub(super) fn deliver(&self, staged: &mut Vec<Bytes>) {
        let waker = {
            let mut state = lock(&self.state);
            match state.arrived.is_empty() {
                true => std::mem::swap(&mut state.arrived, staged),
                false => state.arrived.append(staged),
            }
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn attached(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.is_attached = true;
            state.is_failing = false;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn detached(&self) {
        let mut state = lock(&self.state);
        state.is_attached = false;
        state.is_failing = true;
    }

    pub(super) fn standing(&self) -> Standing {
        let state = lock(&self.state);
        let is_wanted = state.is_wanted;
        Standing { is_live: state.is_attached, is_wanted, is_failing: state.is_failing && is_wanted }
    }

    /// Tells the reader that the link has failed; it is attached again only when the reader asks for more.
    pub(super) fn failed(&self, error: Error, failure: Failure) {
        let waker = {
            let mut state = lock(&self.state);
            state.is_attached = false;
            state.is_failing = false;
            state.is_wanted = false;
            state.failure = Some((error, failure));
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Notes that there is something for the task to look at; whether that is news.
    fn mark(&mut self) -> bool {
        !std::mem::replace(&mut self.is_marked, true)
    }

    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
    }
}

impl Taken {
    pub(crate) fn add(&mut self, other: Taken) {
        self.events += other.events;
        self.bytes += other.bytes;
    }
}
