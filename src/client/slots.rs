//! What waits on a sending link, is on its way, or is decided about.

use std::collections::VecDeque;
use std::task::Waker;

use super::link::attempt_end;
use super::numbering::Numbering;
use super::sender::{Message, Pumped};
use crate::error::Error;
use crate::model::moment::Moment;
use crate::model::publishing::{PublishingState, after};
use crate::model::retry::RetryOptions;

/// What callers and the connection's task share of a link.
pub(super) struct State {
    /// The link is an idempotent producer's.
    pub(super) numbering: Option<Numbering>,
    pub(super) slots: Vec<Slot>,
    pub(super) free: Vec<u32>,
    /// To be sent, oldest first.
    pub(super) queued: VecDeque<Ticket>,
    /// Slots that somebody waits for.
    pub(super) waiting: usize,
    pub(super) next_number: u64,
    /// The earliest attempt's end among the slots, or earlier.
    pub(super) earliest: Option<Moment>,
    /// The largest message the link takes; known once it has been attached.
    pub(super) limit: Option<u64>,
    /// The task knows that there is something to look at.
    pub(super) is_marked: bool,
    pub(super) is_closing: bool,
    pub(super) is_live: bool,
    pub(super) is_failing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) index: u32,
    pub(super) generation: u32,
}

pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) stage: Stage,
    /// The order of submission.
    pub(super) number: u64,
    /// `None`: waits for the link only.
    pub(super) message: Option<Message>,
    /// The first of its numbers, once it has any.
    pub(super) first: Option<i32>,
    /// It has numbers, and nobody waits for it: it is sent all the same, for what comes behind it has numbers too.
    pub(super) is_orphan: bool,
    /// Attempts that failed.
    pub(super) failed: u32,
    pub(super) attempt_ends: Moment,
    pub(super) ends: Option<Moment>,
    /// It was sent, and the answer never came.
    pub(super) is_in_doubt: bool,
    pub(super) waker: Option<Waker>,
}

pub(super) enum Stage {
    Free,
    Queued,
    Sent,
    /// Sent, and nobody waits for it any more.
    Abandoned,
    Done(Result<(), Error>),
}

/// What a failed attempt means.
pub(super) enum Verdict {
    /// There are attempts left.
    Again(u64),
    /// There are none; how many there were.
    Over(u32),
    /// Nobody waits any more.
    Gone,
}

impl State {
    pub(super) fn new(numbering: Option<Numbering>) -> Self {
        State {
            numbering,
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
        }
    }

    pub(super) fn insert(
        &mut self,
        message: Option<Message>,
        attempt_ends: Moment,
        ends: Option<Moment>,
    ) -> Ticket {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting += 1;
        self.earliest = Some(self.earliest.map_or(attempt_ends, |earliest| earliest.min(attempt_ends)));
        let slot = |generation| Slot {
            generation,
            stage: Stage::Queued,
            number,
            message,
            first: None,
            is_orphan: false,
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

    pub(super) fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.slots.get_mut(ticket.index as usize).filter(|slot| slot.generation == ticket.generation)
    }

    /// The slot's next user gets another ticket, so what comes late for the old one finds nothing.
    pub(super) fn release(&mut self, ticket: Ticket) {
        let Some(slot) = self.slot(ticket) else { return };
        slot.stage = Stage::Free;
        slot.message = None;
        slot.waker = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(ticket.index);
    }

    /// What was sent will not be answered.
    pub(super) fn doubt(&mut self, ticket: Ticket) {
        if let Some(slot) = self.slot(ticket) {
            slot.is_in_doubt |= matches!(slot.stage, Stage::Sent);
        }
    }

    pub(super) fn finish(&mut self, ticket: Ticket, result: Result<(), Error>) -> Option<Waker> {
        let slot = self.slot(ticket)?;
        match slot.stage {
            Stage::Queued | Stage::Sent => {
                let result = result.map_err(|error| error.with_outcome_unknown(slot.is_in_doubt));
                let unused = slot.first.filter(|_| result.is_err() && !slot.is_given());
                let (is_in_doubt, is_orphan, number) = (slot.is_in_doubt, slot.is_orphan, slot.number);
                slot.stage = Stage::Done(result);
                slot.message = None;
                let waker = slot.waker.take();
                match is_orphan {
                    true => self.release(ticket),
                    false => self.waiting -= 1,
                }
                if let Some(unused) = unused {
                    self.give_up_numbers(unused, number, is_in_doubt);
                }
                waker
            }
            Stage::Abandoned => {
                self.release(ticket);
                None
            }
            Stage::Free | Stage::Done(_) => None,
        }
    }

    /// Gives the message of a slot its numbers, if it has to have any and has none. What it has to wait for first.
    pub(super) fn number(&mut self, ticket: Ticket) -> Option<Pumped> {
        let numbering = self.numbering.as_ref()?;
        let slot = self.slots.get_mut(ticket.index as usize)?;
        let message = slot.message.as_mut()?;
        let marks = message.marks.as_ref()?;
        if numbering.is_lost() && message.first.is_none() {
            return Some(if numbering.is_wire_empty() { Pumped::Lost } else { Pumped::NoCredit });
        }
        let Some(first) = numbering.next_for(slot.first, message.first) else {
            return Some(Pumped::NoCredit);
        };
        if slot.first.is_none() {
            let PublishingState { producer_id, epoch, .. } = numbering.state()?;
            let numbers = (0..).map(|index| after(first, index));
            marks.write(&mut message.head, &mut message.body, producer_id, epoch, numbers);
            slot.first = Some(first);
        }
        None
    }

    /// The service has decided about a numbered message.
    pub(super) fn answered(&mut self, ticket: Ticket, is_stored: bool) {
        let Some(slot) = self.slots.get(ticket.index as usize) else { return };
        let Some(numbering) = &mut self.numbering else { return };
        if slot.generation != ticket.generation || !matches!(slot.stage, Stage::Sent) {
            return;
        }
        numbering.answered();
        if let Some(first) = slot.first.filter(|_| is_stored) {
            numbering.stored(first, slot.count());
        }
    }

    /// Has a message that came before its turn wait for those before it: they have to go again, or will not go at all and have left
    /// it their numbers. Nothing when there are none.
    pub(super) fn wait_for_earlier(&mut self, ticket: Ticket) -> Option<u64> {
        let slot = self.slot(ticket)?;
        let (number, first) = (slot.number, slot.first);
        let is_earlier = |slot: &Slot| {
            slot.number < number
                && slot.message.is_some()
                && matches!(slot.stage, Stage::Queued | Stage::Sent)
        };
        let is_lost = self.numbering.as_ref().is_some_and(Numbering::is_lost);
        if first.is_some() && !is_lost && !self.slots.iter().any(is_earlier) {
            return None;
        }
        let slot = self.slot(ticket).filter(|slot| matches!(slot.stage, Stage::Sent))?;
        slot.stage = Stage::Queued;
        Some(number)
    }

    /// The numbers from `first` of the message with this `number` will not be stored, or nobody knows.
    pub(super) fn give_up_numbers(&mut self, first: i32, number: u64, is_in_doubt: bool) {
        let Some(numbering) = &mut self.numbering else { return };
        if is_in_doubt {
            return numbering.lose();
        }
        // What came behind it was not stored either.
        numbering.take_back(first);
        self.forget_numbers(|slot, _| slot.number > number);
    }

    /// Messages for which `which` holds get new numbers when they leave again.
    pub(super) fn forget_numbers(&mut self, which: impl Fn(&Slot, i32) -> bool) {
        for slot in &mut self.slots {
            if let Some(first) = slot.first
                && matches!(slot.stage, Stage::Queued | Stage::Sent)
                && !slot.is_given()
                && which(slot, first)
            {
                slot.first = None;
            }
        }
    }

    /// An attempt failed; the next begins at `next`.
    pub(super) fn failed(
        &mut self,
        ticket: Ticket,
        error: &Error,
        retry: &RetryOptions,
        next: Moment,
    ) -> Verdict {
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
    pub(super) fn requeue(&mut self, mut again: Vec<(u64, Ticket)>) {
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

impl Slot {
    /// How many events are numbered.
    pub(super) fn count(&self) -> u32 {
        let marks = self.message.as_ref().and_then(|message| message.marks.as_ref());
        marks.map_or(0, |marks| u32::try_from(marks.len()).unwrap_or(u32::MAX))
    }

    /// Whether its numbers are somebody else's choice.
    pub(super) fn is_given(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.first.is_some())
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
