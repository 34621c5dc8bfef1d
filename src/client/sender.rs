//! A sending link, as the callers and the connection's task share it.
//!
//! Callers put messages into one queue under one short lock and wait; the task takes them out in runs,
//! and settles outcomes in runs. There is no allocation, channel or task per message. The queue holds
//! what its callers hold anyway, each waiting for one message, so it needs no bound of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::link::attempt_end;
use super::shared::{Key, Shared, Standing, lock};
use crate::amqp::{Connection, LinkId, Outcome, Outgoing};
use crate::dialect::address::Address;
use crate::dialect::conditions;
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::model::retry::RetryOptions;
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
}

/// How far a failure reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// What was on the wire.
    Sent,
    /// What was waiting, too.
    All,
}

struct State {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// To be sent, oldest first.
    queued: VecDeque<Ticket>,
    /// Slots that somebody waits for.
    waiting: usize,
    next_number: u64,
    /// The earliest attempt's end among the slots, or earlier.
    earliest: Option<Moment>,
    /// The largest message the link takes; known once it has been attached.
    limit: Option<u64>,
    /// The task knows that there is something to look at.
    is_marked: bool,
    is_closing: bool,
    is_live: bool,
    is_failing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Ticket {
    index: u32,
    generation: u32,
}

struct Slot {
    generation: u32,
    stage: Stage,
    /// The order of submission.
    number: u64,
    /// `None`: waits for the link only.
    message: Option<Message>,
    /// Attempts that failed.
    failed: u32,
    attempt_ends: Moment,
    ends: Option<Moment>,
    /// It was sent, and the answer never came.
    is_in_doubt: bool,
    waker: Option<Waker>,
}

enum Stage {
    Free,
    Queued,
    Sent,
    /// Sent, and nobody waits for it any more.
    Abandoned,
    Done(Result<(), Error>),
}

impl SenderHandle {
    pub(crate) fn new(shared: &Arc<Shared>, address: Address) -> Self {
        let state = State {
            slots: Vec::new(),
            free: Vec::new(),
            queued: VecDeque::new(),
            waiting: 0,
            next_number: 0,
            earliest: None,
            limit: None,
            is_marked: false,
            is_closing: false,
            is_live: false,
            is_failing: false,
        };
        let sender = shared.register_sender(|key| Sender {
            shared: shared.clone(),
            key,
            address,
            state: Mutex::new(state),
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

    /// When [`expire`](Self::expire) should be called.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        lock(&self.state).earliest
    }

    /// The link is attached: gives the engine as much as it should have.
    pub(super) fn pump(&self, engine: &mut Connection, link: LinkId, limit: u64) -> Pumped {
        let mut wakers = Vec::new();
        let mut state = lock(&self.state);
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
            if let Some(slot) = state.slot(ticket) {
                slot.stage = Stage::Sent;
            }
            state.queued.pop_front();
        };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        pumped
    }

    /// Settles what the service has decided about. The error with which it asked to try something again.
    pub(super) fn settle(&self, outcomes: &mut Vec<(u64, Outcome)>, retry: &RetryOptions) -> Option<Error> {
        let mut wakers = Vec::with_capacity(outcomes.len());
        let mut again = Vec::new();
        let mut passing = None;
        let mut state = lock(&self.state);
        let now = runtime::now();
        for (token, outcome) in outcomes.drain(..) {
            let ticket = Ticket::from(token);
            let Some(error) = conditions::outcome_error(&outcome) else {
                wakers.extend(state.finish(ticket, Ok(())));
                continue;
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
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        passing
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

enum Verdict {
    /// There are attempts left.
    Again(u64),
    /// There are none; how many there were.
    Over(u32),
    /// Nobody waits any more.
    Gone,
}

impl State {
    fn insert(&mut self, message: Option<Message>, attempt_ends: Moment, ends: Option<Moment>) -> Ticket {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting += 1;
        self.earliest = Some(self.earliest.map_or(attempt_ends, |earliest| earliest.min(attempt_ends)));
        let slot = |generation| Slot {
            generation,
            stage: Stage::Queued,
            number,
            message,
            failed: 0,
            attempt_ends,
            ends,
            is_in_doubt: false,
            waker: None,
        };
        let ticket = match self.free.pop() {
            Some(index) => {
                let place = &mut self.slots[index as usize];
                *place = slot(place.generation);
                Ticket { index, generation: place.generation }
            }
            None => {
                self.slots.push(slot(0));
                Ticket { index: (self.slots.len() - 1) as u32, generation: 0 }
            }
        };
        self.queued.push_back(ticket);
        ticket
    }

    fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.slots.get_mut(ticket.index as usize).filter(|slot| slot.generation == ticket.generation)
    }

    /// The slot's next user gets another ticket, so what comes late for the old one finds nothing.
    fn release(&mut self, ticket: Ticket) {
        let Some(slot) = self.slot(ticket) else { return };
        slot.stage = Stage::Free;
        slot.message = None;
        slot.waker = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(ticket.index);
    }

    /// What was sent will not be answered.
    fn doubt(&mut self, ticket: Ticket) {
        if let Some(slot) = self.slot(ticket) {
            slot.is_in_doubt |= matches!(slot.stage, Stage::Sent);
        }
    }

    fn finish(&mut self, ticket: Ticket, result: Result<(), Error>) -> Option<Waker> {
        let slot = self.slot(ticket)?;
        match slot.stage {
            Stage::Queued | Stage::Sent => {
                let result = result.map_err(|error| error.with_outcome_unknown(slot.is_in_doubt));
                slot.stage = Stage::Done(result);
                slot.message = None;
                let waker = slot.waker.take();
                self.waiting -= 1;
                waker
            }
            Stage::Abandoned => {
                self.release(ticket);
                None
            }
            Stage::Free | Stage::Done(_) => None,
        }
    }

    /// An attempt failed; the next begins at `next`.
    fn failed(&mut self, ticket: Ticket, error: &Error, retry: &RetryOptions, next: Moment) -> Verdict {
        let Some(slot) = self.slot(ticket) else { return Verdict::Gone };
        match slot.stage {
            Stage::Queued | Stage::Sent => {}
            Stage::Abandoned => {
                self.release(ticket);
                return Verdict::Gone;
            }
            Stage::Free | Stage::Done(_) => return Verdict::Gone,
        }
        slot.failed += 1;
        let is_over = !error.is_transient()
            || slot.failed >= retry.max_attempts
            || slot.ends.is_some_and(|ends| ends <= next);
        if is_over {
            return Verdict::Over(slot.failed);
        }
        slot.stage = Stage::Queued;
        slot.attempt_ends = attempt_end(next, slot.ends, retry);
        let (number, attempt_ends) = (slot.number, slot.attempt_ends);
        self.earliest = Some(self.earliest.map_or(attempt_ends, |earliest| earliest.min(attempt_ends)));
        Verdict::Again(number)
    }

    /// Puts what is to be sent again where it was: in front of all that was submitted later.
    fn requeue(&mut self, mut again: Vec<(u64, Ticket)>) {
        if again.is_empty() {
            return;
        }
        for ticket in std::mem::take(&mut self.queued) {
            if let Some(number) = self.slot(ticket).map(|slot| slot.number) {
                again.push((number, ticket));
            }
        }
        again.sort_unstable_by_key(|(number, _)| *number);
        again.dedup_by_key(|(number, _)| *number);
        self.queued = again.into_iter().map(|(_, ticket)| ticket).collect();
    }
}

impl From<Ticket> for u64 {
    fn from(ticket: Ticket) -> u64 {
        u64::from(ticket.generation) << 32 | u64::from(ticket.index)
    }
}

impl From<u64> for Ticket {
    fn from(token: u64) -> Ticket {
        Ticket { index: token as u32, generation: (token >> 32) as u32 }
    }
}

fn too_large(size: u64, limit: u64) -> Error {
    let message = format!("it is {size} bytes when encoded, the limit is {limit}");
    Error::new(ErrorKind::MessageTooLarge, message)
}
