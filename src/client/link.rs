//! A link as the connection's task sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::driver::GOOD_LIFE;
use super::pause;
use super::receiver::{Failure, Receiver, Taken};
use super::sender::{Reach, Sender};
use super::watch::{Look, Watch, has_newer};
use crate::amqp::{Connection, LinkId, Outcome};
use crate::dialect::address::Address;
use crate::dialect::management::PartitionProperties;
use crate::dialect::received::ReceivedEvent;
use crate::error::{Error, ErrorKind};
use crate::model::moment::{Moment, earliest};
use crate::model::position::{Anchor, StartPosition};
use crate::model::retry::RetryOptions;

/// One link of the client, attached or not.
pub(super) struct Link {
    pub(super) role: Role,
    /// What a token has to be for.
    pub(super) audience: String,
    pub(super) stage: Stage,
    /// Attempts in a row that failed; the loss of what was up is the first.
    pub(super) failed: u32,
    /// How often in a row it was up for a short time only, and carried nothing.
    pub(super) flaps: u32,
    pub(super) live_since: Option<Moment>,
    pub(super) failing_since: Option<Moment>,
    /// The last of the failures.
    pub(super) last_error: Option<Error>,
    /// When an attempt to get a receiver's link has taken too long.
    pub(super) attempt_ends: Option<Moment>,
    /// When all of them have.
    ends: Option<Moment>,
    /// It has been up.
    pub(super) was_up: bool,
    /// Somebody was told that it is down.
    pub(super) is_told_down: bool,
    /// The service has refused it for want of a right, and it waits for a new token, or is tried with that.
    pub(super) is_refused: bool,
    /// The earliest timer that is set for it.
    pub(super) armed: Option<Moment>,
    /// Stands in the task's line already.
    pub(super) is_in_line: bool,
}

pub(super) enum Role {
    Sender(Sending),
    Receiver(Receiving),
}

pub(super) struct Sending {
    pub(super) sender: Arc<Sender>,
    /// Told to the callers when everything that one read brought has been looked at.
    pub(super) outcomes: Vec<(u64, Outcome)>,
    /// The service asked to slow down until then.
    pub(super) pause: Option<Moment>,
    /// The service wants back what credit is left when everything has been sent.
    pub(super) is_drained: bool,
}

pub(super) struct Receiving {
    pub(super) receiver: Arc<Receiver>,
    /// Handed to the reader when everything that one read brought has been looked at.
    pub(super) staged: Vec<Bytes>,
    /// The newest event that was handed over; where to go on after a failure.
    last: Option<Bytes>,
    /// Handed over and not taken yet.
    ready: Taken,
    /// What an event is taken to need, in bytes: follows large ones at once and small ones slowly.
    typical: usize,
    /// Where "the end" was when the reader asked for it.
    end: End,
    pub(super) watch: Watch,
}

/// Where the partition ended when a reader asked to start there. Without knowing, events that are written while a link is down would
/// be lost to a reader that had not received any before.
enum End {
    Unknown,
    /// The service has been asked.
    Asked,
    At(StartPosition),
    /// The service does not say; every link begins at what is the end then.
    Moving,
}

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody needs it.
    Idle,
    /// Needs a connection, a token, and to be attached.
    Waiting,
    /// As `Waiting`, but not before this moment.
    Pausing(Moment),
    /// The service has been asked for it.
    Attaching(LinkId, Moment),
    Live(LinkId),
}

/// What an event is taken to need before the first has arrived. Small hubs' events are smaller, and the
/// estimate follows; guessing low would let large ones overrun the bound on bytes.
const FIRST_GUESS: usize = 4096;

impl Link {
    pub(super) fn new(role: Role) -> Self {
        Link {
            role,
            audience: String::new(),
            stage: Stage::Idle,
            failed: 0,
            flaps: 0,
            live_since: None,
            failing_since: None,
            last_error: None,
            attempt_ends: None,
            ends: None,
            was_up: false,
            is_told_down: false,
            is_refused: false,
            armed: None,
            is_in_line: false,
        }
    }

    /// The pause before the next attempt when it ends with `error` now. What worked until now is tried again at once, unless it
    /// never works for long.
    pub(super) fn next_pause(&self, error: &Error, retry: &RetryOptions, now: Moment) -> Duration {
        let had_good_life = self.live_since.is_some_and(|since| now - since >= GOOD_LIFE);
        match self.stage {
            Stage::Live(_) if error.kind() == ErrorKind::ServerBusy => pause(retry, self.flaps + 1, error),
            Stage::Live(_) if had_good_life || self.flaps == 0 => Duration::ZERO,
            Stage::Live(_) => pause(retry, self.flaps, error),
            _ => pause(retry, self.failed + 1, error),
        }
    }

    /// The engine's name for it, while it has one.
    pub(super) fn id(&self) -> Option<LinkId> {
        match self.stage {
            Stage::Attaching(id, _) | Stage::Live(id) => Some(id),
            _ => None,
        }
    }

    /// The link has carried something: earlier failures do not count any more.
    pub(super) fn carried(&mut self) {
        self.failed = 0;
        self.flaps = 0;
        self.failing_since = None;
        self.last_error = None;
    }

    /// Counts a failure, and tells the callers whose attempts or patience it ends; whether others still wait. The next attempt
    /// begins at `next`.
    pub(super) fn suffer(&mut self, error: &Error, retry: &RetryOptions, now: Moment, next: Moment) -> bool {
        let was_live = matches!(self.stage, Stage::Live(_));
        if was_live {
            // It had been attached: what came before is over, however long ago.
            (self.failed, self.failing_since) = (0, None);
            let is_short = self.live_since.is_none_or(|since| now - since < GOOD_LIFE);
            self.flaps = if is_short { self.flaps + 1 } else { 0 };
        }
        self.failed += 1;
        self.last_error = Some(error.clone());
        let since = *self.failing_since.get_or_insert(now);
        match &mut self.role {
            Role::Sender(sending) => {
                sending.pause = None;
                match error.is_transient() {
                    true if was_live => sending.sender.interrupted(error, Reach::Sent, retry, next),
                    true => sending.sender.interrupted(error, Reach::All, retry, next),
                    false => sending.sender.fail_all(error),
                }
                let is_wanted = sending.sender.is_wanted();
                sending.sender.note(false, is_wanted);
                is_wanted
            }
            Role::Receiver(receiving) => {
                receiving.receiver.detached();
                self.ends = retry.total_deadline.map(|total| since + total);
                let is_late = self.ends.is_some_and(|ends| ends <= now);
                self.attempt_ends = Some(attempt_end(next, self.ends, retry));
                let failure = match error.is_transient() {
                    true if self.failed < retry.max_attempts && !is_late => return true,
                    true => Failure::Passing,
                    false => Failure::Final,
                };
                receiving.fail(error, self.failed, failure);
                self.carried();
                false
            }
        }
    }

    /// When the task has to look at it.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let stage = match self.stage {
            Stage::Pausing(until) | Stage::Attaching(_, until) => Some(until),
            _ => None,
        };
        let role = match (&self.role, self.stage) {
            (Role::Sender(sending), _) => earliest([sending.pause, sending.sender.next_deadline()]),
            (Role::Receiver(receiving), Stage::Live(_)) => Some(receiving.watch.next_look()),
            (Role::Receiver(_), Stage::Waiting) => self.attempt_ends,
            (Role::Receiver(_), Stage::Idle) => None,
            (Role::Receiver(_), _) => self.ends,
        };
        earliest([stage, role])
    }

    /// The link is wanted from now on, which a receiver waits for.
    pub(super) fn begins(&mut self, retry: &RetryOptions, now: Moment) {
        self.is_refused = false;
        if let Role::Receiver(_) = self.role {
            let since = *self.failing_since.get_or_insert(now);
            self.ends = retry.total_deadline.map(|total| since + total);
            self.attempt_ends = Some(attempt_end(now, self.ends, retry));
        }
    }

    /// Whether a receiver has waited too long for its link.
    pub(super) fn is_late(&self, now: Moment) -> bool {
        let limit = match self.stage {
            Stage::Waiting => self.attempt_ends,
            Stage::Pausing(_) | Stage::Attaching(..) => self.ends,
            Stage::Idle | Stage::Live(_) => None,
        };
        limit.is_some_and(|limit| limit <= now)
    }

    pub(super) fn address(&self) -> &Address {
        match &self.role {
            Role::Sender(sending) => &sending.sender.address,
            Role::Receiver(receiving) => &receiving.receiver.spec.address,
        }
    }
}

/// When an attempt that begins at `start` has taken too long.
pub(super) fn attempt_end(start: Moment, ends: Option<Moment>, retry: &RetryOptions) -> Moment {
    let attempt_ends = start + retry.attempt_timeout;
    ends.map_or(attempt_ends, |ends| ends.min(attempt_ends))
}

impl Sending {
    pub(super) fn new(sender: Arc<Sender>) -> Self {
        Sending { sender, outcomes: Vec::new(), pause: None, is_drained: false }
    }
}

impl Receiving {
    pub(super) fn new(receiver: Arc<Receiver>) -> Self {
        let ready = Taken::default();
        let watch = Watch::new(receiver.stall_timeout());
        let typical = FIRST_GUESS;
        Receiving { receiver, staged: Vec::new(), last: None, ready, typical, end: End::Unknown, watch }
    }

    /// Whether the link can be attached: the position is known, or as well known as it ever will be. Has `ask` ask where
    /// the partition ends, where that matters.
    pub(super) fn is_placed(&mut self, ask: impl FnOnce(&str)) -> bool {
        let is_at_end = matches!(self.receiver.spec.start.anchor(), Anchor::Latest) && self.last.is_none();
        match self.end {
            End::Unknown if is_at_end => {
                self.end = End::Asked;
                ask(self.receiver.spec.partition());
                false
            }
            End::Asked => !is_at_end,
            _ => true,
        }
    }

    /// The service has answered a question about the partition, or will not.
    pub(super) fn answered(&mut self, partition: Option<PartitionProperties>, now: Moment) {
        if let End::Asked = self.end {
            self.end = match partition {
                Some(partition) => {
                    let end = StartPosition::offset(partition.last_enqueued_offset);
                    End::At(if self.receiver.spec.start.is_inclusive() { end.inclusive() } else { end })
                }
                None => End::Moving,
            };
            return;
        }
        let last = self.last_event().map(|last| last.sequence_number());
        let has_newer = partition.map(|partition| has_newer(last, &self.position(), &partition));
        self.watch.answered(has_newer, now);
    }

    /// Whether it waits for where the partition ends.
    pub(super) fn is_placing(&self) -> bool {
        matches!(self.end, End::Asked)
    }

    /// A question about the partition was not answered; whether it was asked because the link is silent, and the link still is.
    pub(super) fn is_unanswered(&mut self) -> bool {
        !self.is_placing() && self.watch.is_unanswered()
    }

    /// What is to be done about silence on a link that has `credit`.
    pub(super) fn look(&mut self, credit: u32, now: Moment) -> Look {
        let last = &self.last;
        self.watch.look(now, credit > 0, || {
            let last = last.clone().and_then(|last| ReceivedEvent::parse(last).ok());
            last.is_some_and(|last| {
                let newest = last.last_enqueued().ok().flatten();
                newest.is_some_and(|newest| newest.sequence_number > last.sequence_number())
            })
        })
    }

    /// The link is gone. A position that the service does not know any more is forgotten where nothing has been received from it;
    /// whether it was.
    pub(super) fn lost(&mut self, error: &Error) -> bool {
        let is_gone = error.kind() == ErrorKind::InvalidPosition;
        match &self.end {
            End::Asked => self.end = End::Unknown,
            End::At(_) if is_gone && self.last.is_none() => {
                self.end = End::Moving;
                return true;
            }
            _ => {}
        }
        false
    }

    /// An event arrived.
    pub(super) fn stage(&mut self, event: Bytes) {
        let size = event.len();
        self.ready.events += 1;
        self.ready.bytes += size;
        self.typical = match size > self.typical {
            true => size,
            false => self.typical - (self.typical - size) / 16,
        };
        self.staged.push(event);
    }

    /// Hands over what has arrived.
    pub(super) fn deliver(&mut self) {
        if let Some(last) = self.staged.last() {
            self.last = Some(last.clone());
            self.watch.moved();
            self.receiver.deliver(&mut self.staged);
        }
    }

    /// Tells the reader of a failure, behind everything that arrived before it.
    pub(super) fn fail(&mut self, error: &Error, attempts: u32, failure: Failure) {
        self.deliver();
        self.receiver.failed(self.receiver.describe(error.clone(), attempts), failure);
    }

    /// The reader has used something up.
    pub(super) fn taken(&mut self, taken: Taken) {
        self.ready.events = self.ready.events.saturating_sub(taken.events);
        self.ready.bytes = self.ready.bytes.saturating_sub(taken.bytes);
    }

    /// Where to attach: behind the last event that was handed over, or where the reader wants to start.
    pub(super) fn position(&self) -> StartPosition {
        match (self.last_event(), &self.end) {
            // The offset, which stays right when a geo-replicated hub changes its region.
            (Some(last), _) => StartPosition::offset(last.offset()),
            (None, End::At(end)) => end.clone(),
            (None, _) => self.receiver.spec.start.clone(),
        }
    }

    fn last_event(&self) -> Option<ReceivedEvent> {
        self.last.clone().and_then(|last| ReceivedEvent::parse(last).ok())
    }

    /// How many events there is room for.
    pub(super) fn room(&self) -> u32 {
        let spec = &self.receiver.spec;
        let by_count = spec.prefetch_count.saturating_sub(self.ready.events);
        let by_bytes = spec.prefetch_bytes.saturating_sub(self.ready.bytes) / self.typical.max(1);
        let room = by_count.min(u32::try_from(by_bytes).unwrap_or(u32::MAX));
        // One event is let through however large it is, or nothing would ever arrive.
        room.max(u32::from(self.ready.events == 0))
    }

    /// Grants what there is room for, unless it is hardly more than what is granted already.
    pub(super) fn grant(&self, engine: &mut Connection, link: LinkId) {
        let (room, granted) = (self.room(), engine.credit(link));
        let step = self.receiver.spec.credit_step();
        let is_worth_it = match room > granted {
            true => granted == 0 || room - granted >= step,
            // Events turned out larger than thought: what is too much is taken back.
            false => granted - room >= step,
        };
        if is_worth_it {
            engine.set_credit(link, room);
        }
    }
}
