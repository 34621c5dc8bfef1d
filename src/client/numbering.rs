//! The numbers of an idempotent producer's events, as its link to a partition gives them out. Pure.
//!
//! A message gets its numbers when it is about to leave for the first time, and keeps them however often it leaves again. On the
//! wire numbers follow each other: what has to go again goes before what comes behind it, so the wire is given nothing
//! else until everything that is on it has been answered. When the end of a numbered message is not known, nor ever will be, the
//! link asks the service how far it has come, and goes on there.

use crate::dialect::annotations::{PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQUENCE_NUMBER};
use crate::error::{Error, ErrorKind};
use crate::model::publishing::{PublishingState, after, distance};
use crate::model::value::{Symbol, Value};

/// What a link knows of its numbers.
pub(crate) struct Numbering {
    /// Nothing until the service has said who this producer is, unless it was imported.
    state: Option<PublishingState>,
    /// The next event's number.
    next: i32,
    /// Messages on the wire, and the number that may follow them there.
    on_wire: u32,
    follows: i32,
    /// Whether only the service knows how far it has come.
    is_lost: bool,
    has_attached: bool,
    /// Whether somebody else may be this producer, too: its state came from elsewhere, or was told.
    is_shared: bool,
}

impl Numbering {
    pub(super) fn new(imported: Option<PublishingState>) -> Self {
        let next = imported.map_or(0, |state| state.next());
        let is_shared = imported.is_some();
        Numbering {
            state: imported,
            next,
            on_wire: 0,
            follows: 0,
            is_lost: false,
            has_attached: false,
            is_shared,
        }
    }

    /// As [`state`](Self::state), for somebody who may go on with it elsewhere.
    pub(super) fn share(&mut self) -> Option<PublishingState> {
        self.is_shared = true;
        self.state()
    }

    /// The service says that another link is this producer now. Whether that can only be a link of our own, of a connection that was given
    /// up before its request arrived: then the producer takes its place back. Next to another client it must not: the numbers that it
    /// goes on with may be used.
    pub(super) fn is_outdone_by_itself(&mut self) -> bool {
        self.is_lost |= !self.is_shared;
        !self.is_shared
    }

    /// How far the producer is known to have come, once it is known who it is.
    pub(super) fn state(&self) -> Option<PublishingState> {
        self.state.filter(|_| self.has_attached)
    }

    /// What the link asks for.
    pub(super) fn properties(&self) -> Vec<(Symbol, Value)> {
        let known = self.state;
        let last = known.filter(|_| !self.is_lost).map(|known| known.sequence_number);
        let properties = [
            (PRODUCER_EPOCH, known.map_or(Value::Null, |known| Value::Short(known.epoch))),
            (PRODUCER_ID, known.map_or(Value::Null, |known| Value::Long(known.producer_id))),
            (PRODUCER_SEQUENCE_NUMBER, last.map_or(Value::Null, Value::Int)),
        ];
        properties.into_iter().map(|(name, value)| (Symbol::from_static(name), value)).collect()
    }

    /// The link is attached. When the producer had lost count: the number of the last event that the service has.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] when the service numbers nothing on this link.
    pub(super) fn attached(&mut self, properties: &[(Symbol, Value)]) -> Result<Option<i32>, Error> {
        let number = |name: &str| {
            let property = properties.iter().find(|(key, _)| key.as_str() == name);
            property.and_then(|(_, value)| value.as_i64())
        };
        let Some(producer_id) = number(PRODUCER_ID) else {
            let message = "the service does not take part in idempotent publishing on this link: leave `idempotent` out there";
            return Err(Error::new(ErrorKind::Rejected, message));
        };
        let epoch = number(PRODUCER_EPOCH).and_then(|epoch| epoch.try_into().ok()).unwrap_or(0);
        let said = number(PRODUCER_SEQUENCE_NUMBER).and_then(|last| last.try_into().ok()).unwrap_or(-1);
        let is_lost = std::mem::take(&mut self.is_lost);
        // A number that was given is only echoed.
        let sequence_number = match self.state {
            Some(known) if !is_lost => known.sequence_number,
            _ => said,
        };
        let state = PublishingState { producer_id, epoch, sequence_number };
        if self.state.is_none() || is_lost {
            self.next = state.next();
        }
        self.state = Some(state);
        self.on_wire = 0;
        self.has_attached = true;
        Ok(is_lost.then_some(sequence_number))
    }

    /// Whether something has to be asked first that only attaching anew answers.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    pub(super) fn is_wire_empty(&self) -> bool {
        self.on_wire == 0
    }

    /// The numbers' first for a message of `count` events that is to leave now, has `own` or is to have `given`; nothing when it has
    /// to wait for what is on the wire.
    pub(super) fn next_for(&self, own: Option<i32>, given: Option<i32>) -> Option<i32> {
        let first = own.or(given).unwrap_or(self.next);
        (self.on_wire == 0 || first == self.follows).then_some(first)
    }

    /// `count` events have left, numbered from `first`.
    pub(super) fn left(&mut self, first: i32, count: u32) {
        self.on_wire += 1;
        self.follows = after(first, count);
        if distance(self.next, self.follows) > 0 {
            self.next = self.follows;
        }
    }

    /// What left was answered.
    pub(super) fn answered(&mut self) {
        self.on_wire = self.on_wire.saturating_sub(1);
    }

    /// `count` events from `first` are stored.
    pub(super) fn stored(&mut self, first: i32, count: u32) {
        let end = after(first, count);
        if let Some(state) = &mut self.state
            && distance(state.next(), end) > 0
        {
            state.sequence_number = after(first, count.saturating_sub(1));
        }
    }

    /// What was numbered from `first` is known not to be stored, and will not be: the next message takes its numbers.
    pub(super) fn take_back(&mut self, first: i32) {
        if distance(first, self.next) > 0 {
            self.next = first;
        }
    }

    /// It is not known whether numbered events were stored.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }
}

/// Whether the last event that the service has, `last`, is behind `count` events from `first`, or is their last.
pub(super) fn covers(last: i32, first: i32, count: u32) -> bool {
    distance(after(first, count), after(last, 1)) >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: i64, epoch: i16, last: i32) -> Vec<(Symbol, Value)> {
        vec![
            (Symbol::from_static(PRODUCER_ID), Value::Long(id)),
            (Symbol::from_static(PRODUCER_EPOCH), Value::Short(epoch)),
            (Symbol::from_static(PRODUCER_SEQUENCE_NUMBER), Value::Int(last)),
        ]
    }

    fn asked(numbering: &Numbering) -> Vec<Value> {
        numbering.properties().into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn a_new_producer_is_told_who_it_is_and_says_so_from_then_on() {
        let mut numbering = Numbering::new(None);
        assert_eq!(asked(&numbering), [Value::Null, Value::Null, Value::Null]);
        assert_eq!(numbering.state(), None);
        assert_eq!(numbering.attached(&reply(7, 2, -1)).unwrap(), None);
        assert_eq!(asked(&numbering), [Value::Short(2), Value::Long(7), Value::Int(-1)]);
        assert_eq!(numbering.next_for(None, None), Some(0));
        let error = Numbering::new(None).attached(&[]).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Rejected, false));
    }

    #[test]
    fn what_goes_again_goes_before_what_comes_behind_it() {
        let mut numbering = Numbering::new(None);
        numbering.attached(&reply(7, 0, -1)).unwrap();
        numbering.left(0, 2);
        numbering.left(2, 1);
        // The first was given back; the second is on the wire, and will be as well.
        numbering.answered();
        assert_eq!(numbering.next_for(Some(0), None), None);
        numbering.answered();
        assert_eq!(numbering.next_for(Some(0), None), Some(0));
        numbering.left(0, 2);
        assert_eq!(numbering.next_for(None, None), None, "the second has the next number");
        assert_eq!(numbering.next_for(Some(2), None), Some(2));
        numbering.left(2, 1);
        assert_eq!(numbering.next_for(None, None), Some(3));
    }

    #[test]
    fn numbers_are_echoed_but_for_a_producer_that_has_lost_count() {
        let imported = PublishingState { producer_id: 7, epoch: 1, sequence_number: 4 };
        let mut numbering = Numbering::new(Some(imported));
        numbering.attached(&reply(7, 1, 9)).unwrap();
        assert_eq!(numbering.state(), Some(imported));
        assert_eq!(numbering.next_for(None, None), Some(5));
        numbering.left(5, 2);
        numbering.stored(5, 2);
        assert_eq!(numbering.state().unwrap().sequence_number, 6);
        numbering.left(7, 1);
        numbering.lose();
        assert_eq!(asked(&numbering)[2], Value::Null);
        assert_eq!(numbering.attached(&reply(7, 1, 6)).unwrap(), Some(6));
        assert_eq!(numbering.next_for(None, None), Some(7), "it had not been stored");
        assert!(covers(6, 5, 2) && !covers(6, 5, 3) && !covers(6, 7, 1) && covers(0, i32::MAX, 2));
    }

    #[test]
    fn who_is_outdone_asks_again_only_where_it_can_have_been_nobody_else() {
        let state = PublishingState { producer_id: 7, epoch: 0, sequence_number: 4 };
        assert!(!Numbering::new(Some(state)).is_outdone_by_itself());
        let mut own = Numbering::new(None);
        own.attached(&reply(7, 0, 4)).unwrap();
        assert!(own.is_outdone_by_itself());
        assert_eq!(asked(&own)[2], Value::Null, "only the service knows how far it has come");
        let mut told = Numbering::new(None);
        told.attached(&reply(7, 0, 4)).unwrap();
        assert_eq!(told.share(), Some(state));
        assert!(!told.is_outdone_by_itself() && !told.is_lost());
    }

    #[test]
    fn numbers_that_were_not_used_are_used_by_the_next() {
        let mut numbering = Numbering::new(None);
        numbering.attached(&reply(7, 0, i32::MAX - 1)).unwrap();
        assert_eq!(numbering.next_for(None, None), Some(i32::MAX));
        numbering.left(i32::MAX, 3);
        numbering.answered();
        numbering.take_back(i32::MAX);
        assert_eq!(numbering.next_for(None, None), Some(i32::MAX));
        numbering.left(i32::MAX, 1);
        numbering.stored(i32::MAX, 1);
        assert_eq!(numbering.state().unwrap().next(), 0);
        assert_eq!(numbering.next_for(None, Some(0)), Some(0));
    }
}
