//! A sending link, as the callers and the connection's task share it.
//!
//! Callers put messages into one queue under one short lock and wait; the task takes them out in runs,
//! and settles outcomes in runs. There is no allocation, channel or task per message. The queue holds
//! what its callers hold anyway, each waiting for one message, so it needs no bound of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::link::attempt_end;
use super::numbering::{self, Numbering};
use super::shared::{Key, Shared, Standing, lock};
use super::slots::{Stage, State, Ticket, Verdict};
use crate::amqp::{Connection, LinkId, Outcome, Outgoing};
use crate::dialect::address::Address;
use crate::dialect::codec::Marks;
use crate::dialect::conditions;
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::model::publishing::PublishingState;
use crate::model::retry::RetryOptions;
use crate::model::value::{Symbol, Value};
use crate::runtime;

/// Bytes in the engine above which it is given no more: enough to fill the socket's buffer many times over,
/// little enough that messages stay where they can still be taken back.
const BACKLOG_MARK: usize = 512 * 1024;

/// An encoded message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) format: u32,
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
    /// Where its numbers have to be written, on a link that numbers.
    pub(crate) marks: Option<Marks>,
    /// The first of its numbers, where the link is not to choose.
    pub(crate) first: Option<i32>,
}

/// A link to a hub or to one of its partitions, whether it is attached at the moment or not.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    key: Key,
    pub(super) address: Address,
    state: Mutex<State>,
}

/// Keeps a [`Sender`] in use; when dropped, the link is detached.
pub(crate) struct SenderHandle(Arc<Sender>);

/// A message on its way. Resolves when the service has decided about it.
///
/// Dropped before that: a message that is still queued is not sent; of one that left nothing more is heard.
pub(crate) struct Submission {
    sender: Arc<Sender>,
    ticket: Ticket,
    is_done: bool,
}

/// What a look of the task at the queue found.
pub(super) enum Pumped {
    /// Nothing is left to be sent.
    Empty,
    /// The peer has given no credit for more; it says when it does.
    NoCredit,
    /// The socket is slow; to be looked at again when it has taken something.
    Backlog,
    /// The link has to be attached anew: only the service knows how far this producer has come.
    Lost,
}

/// What a run of outcomes came to.
pub(super) struct Settled {
    /// The error with which the service asked to try something again.
    pub(super) passing: Option<Error>,
    /// Something waited for the outcomes before it could leave.
    pub(super) has_more: bool,
}

/// How far a failure reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// What was on the wire.
    Sent,
    /// What was waiting, too.
    All,
}

impl SenderHandle {
    pub(crate) fn new(shared: &Arc<Shared>, address: Address, numbering: Option<Numbering>) -> Self {
        let sender = shared.register_sender(|key| Sender {
            shared: shared.clone(),
            key,
            address,
            state: Mutex::new(State::new(numbering)),
        });
        SenderHandle(sender)
    }

    /// Sends `message` when the returned future is first polled.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; or there is no runtime to run the connection on.
    pub(crate) fn submit(&self, message: Message) -> Result<Submission, Error> {
        Sender::submit(&self.0, Some(message))
    }

    /// Waits until the link is attached.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub(crate) fn attached(&self) -> Result<Submission, Error> {
        Sender::submit(&self.0, None)
    }

    /// How far the idempotent producer on this link has come, once it has been attached.
    pub(crate) fn publishing_state(&self) -> Option<PublishingState> {
        lock(&self.0.state).numbering.as_mut()?.share()
    }

    /// The largest message the link takes, once it has been attached.
    pub(crate) fn limit(&self) -> Option<u64> {
        lock(&self.0.state).limit
    }
}

impl Drop for SenderHandle {
    fn drop(&mut self) {
        let is_news = {
            let mut state = lock(&self.0.state);
            state.is_closing = true;
            !std::mem::replace(&mut state.is_marked, true)
        };
        if is_news {
            self.0.shared.mark_for_closing(self.0.key);
        }
    }
}

impl Sender {
    fn submit(this: &Arc<Self>, message: Option<Message>) -> Result<Submission, Error> {
        let now = runtime::now();
        let retry = &this.shared.config.retry;
        let (ticket, is_news) = {
            let mut state = lock(&this.state);
            let ends = retry.total_deadline.map(|total| now + total);
            let ticket = state.insert(message, attempt_end(now, ends, retry), ends);
            (ticket, !std::mem::replace(&mut state.is_marked, true))
        };
        let submission = Submission { sender: this.clone(), ticket, is_done: false };
        if is_news {
            this.shared.mark(this.key).map_err(|error| this.describe(error, 0))?;
        }
        Ok(submission)
    }

    fn describe(&self, error: Error, attempts: u32) -> Error {
        error.with_operation("send to").with_entity(self.address.to_string()).with_attempts(attempts)
    }

    /// Takes note that the task looks; whether the link is to be detached for good.
    pub(super) fn look(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_marked = false;
        state.is_closing
    }

    /// Whether somebody waits for something.
    pub(super) fn is_wanted(&self) -> bool {
        lock(&self.state).waiting > 0
    }

    /// The link is up, or down; `is_failing`: which it should not be.
    pub(super) fn note(&self, is_live: bool, is_failing: bool) {
        let mut state = lock(&self.state);
        (state.is_live, state.is_failing) = (is_live, is_failing);
    }

    pub(super) fn standing(&self) -> Standing {
        let state = lock(&self.state);
        // One that nobody waits for is at rest, whatever happened to it before.
        let is_wanted = state.waiting > 0;
        Standing { is_live: state.is_live, is_wanted, is_failing: state.is_failing && is_wanted }
    }

    /// What the link of an idempotent producer asks for.
    pub(super) fn properties(&self) -> Option<Vec<(Symbol, Value)>> {
        Some(lock(&self.state).numbering.as_ref()?.properties())
    }

    /// The link is attached, and the service has said so with these properties.
    ///
    /// # Errors
    /// When the service does not number on a link that does.
    pub(super) fn attached(&self, properties: &[(Symbol, Value)]) -> Result<(), Error> {
        let state = &mut *lock(&self.state);
        let Some(numbering) = &mut state.numbering else { return Ok(()) };
        if let Some(last) = numbering.attached(properties)? {
            state.forget_numbers(|slot, first| !numbering::covers(last, first, slot.count()));
        }
        Ok(())
    }

    /// When [`expire`](Self::expire) should be called.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        lock(&self.state).earliest
    }

    /// The link is attached: gives the engine as much as it should have.
    pub(super) fn pump(&self, engine: &mut Connection, link: LinkId, limit: u64) -> Pumped {
        let mut wakers = Vec::new();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.limit = Some(limit);
        let pumped = loop {
            let Some(&ticket) = state.queued.front() else { break Pumped::Empty };
            let Some(slot) = state.slot(ticket).filter(|slot| matches!(slot.stage, Stage::Queued)) else {
                state.queued.pop_front();
                continue;
            };
            let failed = slot.failed;
            let Some(message) = &slot.message else {
                wakers.extend(state.finish(ticket, Ok(())));
                state.queued.pop_front();
                continue;
            };
            let size = (message.head.len() + message.body.len()) as u64;
            if size > limit {
                wakers.extend(state.finish(ticket, Err(self.describe(too_large(size, limit), failed + 1))));
                state.queued.pop_front();
                continue;
            }
            if engine.sendable(link) == 0 {
                break Pumped::NoCredit;
            }
            if engine.backlog() >= BACKLOG_MARK {
                break Pumped::Backlog;
            }
            if let Some(waits) = state.number(ticket) {
                break waits;
            }
            let Some(slot) = state.slot(ticket) else { continue };
            let (Some(message), first, count) = (&slot.message, slot.first, slot.count()) else { continue };
            let outgoing = Outgoing {
                token: ticket.into(),
                message_format: message.format,
                settled: false,
                head: message.head.clone(),
                body: message.body.clone(),
            };
            if engine.send(link, outgoing).is_err() {
                // The link has just gone; its event follows.
                break Pumped::NoCredit;
            }
            slot.stage = Stage::Sent;
            if let (Some(numbering), Some(first)) = (&mut state.numbering, first) {
                numbering.left(first, count);
            }
            state.queued.pop_front();
        };
        drop(guard);
        wakers.into_iter().for_each(Waker::wake);
        pumped
    }

    /// Settles what the service has decided about.
    pub(super) fn settle(&self, outcomes: &mut Vec<(u64, Outcome)>, retry: &RetryOptions) -> Settled {
        let mut wakers = Vec::with_capacity(outcomes.len());
        let mut again = Vec::new();
        let mut passing = None;
        let mut state = lock(&self.state);
        let now = runtime::now();
        for (token, outcome) in outcomes.drain(..) {
            let ticket = Ticket::from(token);
            state.answered(ticket, matches!(outcome, Outcome::Accepted));
            let Some(error) = conditions::outcome_error(&outcome) else {
                wakers.extend(state.finish(ticket, Ok(())));
                continue;
            };
            if error.condition() == Some(conditions::OUT_OF_ORDER_SEQUENCE)
                && let Some(number) = state.wait_for_earlier(ticket)
            {
                again.push((number, ticket));
                continue;
            }
            let is_outdone = error.condition() == Some(conditions::PRODUCER_EPOCH_STOLEN);
            let numbering = state.numbering.as_mut().filter(|_| is_outdone);
            let error = match numbering.is_some_and(Numbering::is_outdone_by_itself) {
                true => error.with_transient(true),
                false => error,
            };
            match state.failed(ticket, &error, retry, now) {
                Verdict::Again(number) => again.push((number, ticket)),
                Verdict::Over(failed) => {
                    wakers.extend(state.finish(ticket, Err(self.describe(error.clone(), failed))));
                }
                Verdict::Gone => {}
            }
            if error.is_transient() {
                passing = Some(error);
            }
        }
        state.requeue(again);
        let has_more = state.numbering.is_some() && !state.queued.is_empty();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Settled { passing, has_more }
    }

    /// An attempt failed for everything within `reach`: what has attempts left is queued again in its old order.
    /// The next begins at `next`.
    pub(super) fn interrupted(&self, error: &Error, reach: Reach, retry: &RetryOptions, next: Moment) {
        let mut wakers = Vec::new();
        let mut again = Vec::new();
        let mut state = lock(&self.state);
        for index in 0..state.slots.len() {
            let slot = &state.slots[index];
            let ticket = Ticket { index: index as u32, generation: slot.generation };
            let is_within = match slot.stage {
                Stage::Sent => true,
                Stage::Queued => reach == Reach::All,
                Stage::Abandoned => {
                    state.release(ticket);
                    continue;
                }
                Stage::Free | Stage::Done(_) => false,
            };
            if !is_within {
                continue;
            }
            state.doubt(ticket);
            match state.failed(ticket, error, retry, next) {
                Verdict::Again(number) => again.push((number, ticket)),
                Verdict::Over(failed) => {
                    wakers.extend(state.finish(ticket, Err(self.describe(error.clone(), failed))));
                }
                Verdict::Gone => {}
            }
        }
        state.requeue(again);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Everything that waits fails with `error`.
    pub(super) fn fail_all(&self, error: &Error) {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
        for index in 0..state.slots.len() {
            let slot = &state.slots[index];
            let ticket = Ticket { index: index as u32, generation: slot.generation };
            match slot.stage {
                Stage::Queued | Stage::Sent => {
                    let failed = slot.failed + 1;
                    state.doubt(ticket);
                    wakers.extend(state.finish(ticket, Err(self.describe(error.clone(), failed))));
                }
                Stage::Abandoned => state.release(ticket),
                Stage::Free | Stage::Done(_) => {}
            }
        }
        state.queued.clear();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends the attempts of what waits and whose time is up, with the error `late`. Whether something was sent and stayed without an
    /// answer for too long.
    pub(super) fn expire(&self, now: Moment, retry: &RetryOptions, late: &dyn Fn() -> Error) -> bool {
        let mut wakers = Vec::new();
        let mut is_unanswered = false;
        let mut state = lock(&self.state);
        let mut earliest: Option<Moment> = None;
        for index in 0..state.slots.len() {
            let slot = &mut state.slots[index];
            let ticket = Ticket { index: index as u32, generation: slot.generation };
            let is_late = slot.attempt_ends <= now;
            match slot.stage {
                // Counted when the link is given up.
                Stage::Sent if is_late => is_unanswered = true,
                Stage::Queued if is_late => {
                    let error = late();
                    if let Verdict::Over(failed) = state.failed(ticket, &error, retry, now) {
                        wakers.extend(state.finish(ticket, Err(self.describe(error, failed))));
                    }
                }
                Stage::Sent | Stage::Queued => {}
                _ => continue,
            }
            let slot = &state.slots[index];
            if matches!(slot.stage, Stage::Sent | Stage::Queued) && slot.attempt_ends > now {
                earliest = earliest.into_iter().chain([slot.attempt_ends]).min();
            }
        }
        state.earliest = earliest;
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        is_unanswered
    }
}

impl Future for Submission {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = lock(&this.sender.state);
        let Some(slot) = state.slot(this.ticket) else {
            return Poll::Ready(Err(Error::new(ErrorKind::Internal, "a send was polled after its end")));
        };
        if let Stage::Done(_) = slot.stage {
            let Stage::Done(result) = std::mem::replace(&mut slot.stage, Stage::Free) else {
                return Poll::Pending;
            };
            state.release(this.ticket);
            this.is_done = true;
            return Poll::Ready(result);
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = lock(&self.sender.state);
        let Some(slot) = state.slot(self.ticket) else { return };
        match slot.stage {
            Stage::Sent | Stage::Queued if slot.first.is_some() => {
                slot.is_orphan = true;
                slot.waker = None;
                state.waiting -= 1;
            }
            // Its outcome may still come; the slot must not be another's by then.
            Stage::Sent => {
                slot.stage = Stage::Abandoned;
                slot.message = None;
                slot.waker = None;
                state.waiting -= 1;
            }
            Stage::Queued => {
                state.waiting -= 1;
                state.release(self.ticket);
            }
            _ => state.release(self.ticket),
        }
    }
}

fn too_large(size: u64, limit: u64) -> Error {
    let message = format!("it is {size} bytes when encoded, the limit is {limit}");
    Error::new(ErrorKind::MessageTooLarge, message)
}
