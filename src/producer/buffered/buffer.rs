//! The events of one partition that are not acknowledged yet. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::dialect::codec::EventBatch;
use crate::error::Error;
use crate::model::moment::Moment;

/// How much a buffer holds, and when it gives something out.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// The largest batch, in bytes.
    pub(super) batch: u64,
    pub(super) wait: Duration,
    pub(super) is_numbered: bool,
}

/// Batches with what belongs to them, in order.
pub(super) struct Buffer<T> {
    bounds: Bounds,
    /// The largest event that fits a batch.
    most: usize,
    /// Being filled.
    open: Option<Batch<T>>,
    /// Full, oldest first.
    full: VecDeque<Batch<T>>,
    /// Events that are not acknowledged, here or on their way, and their bytes.
    events: usize,
    bytes: usize,
    /// Events that came, that were given out, and that are decided about, since the beginning.
    came: u64,
    left: u64,
    decided: u64,
    /// Everything before this has to leave at once.
    flushed: u64,
}

/// Events that are sent together.
pub(super) struct Batch<T> {
    pub(super) inner: EventBatch,
    pub(super) tag: T,
    /// What it counts for in the buffer.
    pub(super) size: Size,
    since: Moment,
}

/// What events count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What became of an event.
#[derive(Debug)]
pub(super) enum Pushed<R> {
    /// It is in a batch.
    Added {
        of_tag: R,
        /// Something is due earlier than it was.
        is_news: bool,
    },
    /// There is no room until something is acknowledged.
    NoRoom,
    /// It does not fit any batch.
    TooLarge,
}

/// What a data section takes besides its data, at most.
const SECTION: usize = 8;
/// As many for an event of fewer than 256 bytes.
const SMALL_SECTION: usize = 5;

impl Bounds {
    fn empty_batch(&self) -> Result<EventBatch, Error> {
        let batch = match self.is_numbered {
            true => EventBatch::numbered(self.batch, None)?,
            false => EventBatch::new(self.batch, None)?,
        };
        Ok(batch.keeping_keys())
    }
}

impl<T> Buffer<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let empty = bounds.empty_batch().map_or(0, |batch| batch.size());
        Buffer {
            most: usize::try_from(bounds.batch.saturating_sub(empty)).unwrap_or(usize::MAX),
            bounds,
            open: None,
            full: VecDeque::new(),
            events: 0,
            bytes: 0,
            came: 0,
            left: 0,
            decided: 0,
            flushed: 0,
        }
    }

    /// Adds an encoded event. `tag` makes what a new batch is kept with, `note` looks at it once the event is in.
    pub(super) fn push<R>(
        &mut self,
        event: &[u8],
        now: Moment,
        tag: impl FnOnce() -> T,
        note: impl FnOnce(&mut T) -> R,
    ) -> Result<Pushed<R>, Error> {
        let size = event.len() + SECTION;
        let head = if event.len() < 256 { SMALL_SECTION } else { SECTION };
        // No room would ever be enough.
        if event.len() + head > self.most {
            return Ok(Pushed::TooLarge);
        }
        if !self.has_room(size) {
            return Ok(Pushed::NoRoom);
        }
        let was_due = self.is_due(now);
        let had_open = self.open.is_some();
        let fits = self.open.as_mut().is_some_and(|open| open.inner.try_add_encoded(event));
        if !fits {
            let mut inner = self.bounds.empty_batch()?;
            if !inner.try_add_encoded(event) {
                return Ok(Pushed::TooLarge);
            }
            let fresh = Batch { inner, tag: tag(), size: Size::default(), since: now };
            self.full.extend(self.open.replace(fresh));
        }
        self.events += 1;
        self.bytes += size;
        self.came += 1;
        let Some(open) = &mut self.open else { return Ok(Pushed::NoRoom) };
        open.size.events += 1;
        open.size.bytes += size;
        let of_tag = note(&mut open.tag);
        Ok(Pushed::Added { of_tag, is_news: !had_open || (!was_due && self.is_due(now)) })
    }

    /// The next batch that is due. `is_pressed`: somebody waits for room.
    pub(super) fn take(&mut self, now: Moment, is_pressed: bool) -> Option<Batch<T>> {
        let batch = match self.full.pop_front() {
            Some(batch) => Some(batch),
            None if is_pressed || self.is_due(now) => self.open.take(),
            None => None,
        }?;
        self.left += batch.size.events as u64;
        Some(batch)
    }

    /// Whether [`take`](Self::take) would give something out.
    pub(super) fn is_ready(&self, now: Moment, is_pressed: bool) -> bool {
        self.is_due(now) || is_pressed && self.open.is_some()
    }

    /// When [`take`](Self::take) gives something out at the latest.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.open.as_ref().map(|open| open.since + self.bounds.wait)
    }

    /// Events that were given out are decided about.
    pub(super) fn decided(&mut self, size: Size) {
        self.events -= size.events;
        self.bytes -= size.bytes;
        self.decided += size.events as u64;
    }

    /// Has everything that is here leave; [`is_decided`](Self::is_decided) tells when that has been.
    pub(super) fn flush(&mut self) -> u64 {
        self.flushed = self.came;
        self.came
    }

    /// Whether everything before a flush's number is decided about.
    pub(super) fn is_decided(&self, number: u64) -> bool {
        self.decided >= number
    }

    /// Takes everything out that is still here.
    pub(super) fn clear(&mut self) -> Vec<Batch<T>> {
        let batches: Vec<_> = self.full.drain(..).chain(self.open.take()).collect();
        for batch in &batches {
            self.left += batch.size.events as u64;
        }
        batches
    }

    pub(super) fn len(&self) -> usize {
        self.events
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn has_room(&self, size: usize) -> bool {
        let is_alone = self.events == 0;
        self.events < self.bounds.events && (is_alone || self.bytes + size <= self.bounds.bytes)
    }

    /// Whether something should leave now.
    fn is_due(&self, now: Moment) -> bool {
        let Some(open) = &self.open else { return !self.full.is_empty() };
        // Half of the room is for what comes while the other half is on its way.
        let is_much = open.size.events * 2 >= self.bounds.events || open.size.bytes * 2 >= self.bounds.bytes;
        !self.full.is_empty() || is_much || self.flushed > self.left || now >= open.since + self.bounds.wait
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::codec::{Publication, encode_for_batch};
    use crate::dialect::event::EventData;

    fn bounds() -> Bounds {
        Bounds { events: 10, bytes: 4000, batch: 1200, wait: Duration::from_secs(1), is_numbered: false }
    }

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn encoded(bytes: usize) -> BytesMut {
        let mut out = BytesMut::new();
        encode_for_batch(&mut out, &EventData::from(vec![7; bytes]), false).unwrap();
        out
    }

    fn push(buffer: &mut Buffer<Vec<u32>>, number: u32, bytes: usize, now: Moment) -> Pushed<()> {
        buffer.push(&encoded(bytes), now, Vec::new, |tag| tag.push(number)).unwrap()
    }

    #[test]
    fn an_event_waits_for_others_but_not_for_long() {
        let mut buffer = Buffer::new(bounds());
        assert!(matches!(push(&mut buffer, 0, 10, at(0)), Pushed::Added { is_news: true, .. }));
        assert!(matches!(push(&mut buffer, 1, 10, at(5)), Pushed::Added { is_news: false, .. }));
        assert_eq!(buffer.deadline(), Some(at(1000)));
        assert!(buffer.take(at(999), false).is_none());
        let batch = buffer.take(at(1000), false).unwrap();
        assert_eq!((batch.tag, batch.inner.len(), buffer.len()), (vec![0, 1], 2, 2));
        buffer.decided(batch.size);
        assert_eq!((buffer.len(), buffer.deadline()), (0, None));
    }

    #[test]
    fn half_of_the_room_is_sent_while_the_other_half_fills() {
        let mut buffer = Buffer::new(bounds());
        for number in 0..4 {
            push(&mut buffer, number, 10, at(0));
        }
        assert!(buffer.take(at(0), false).is_none());
        assert!(matches!(push(&mut buffer, 4, 10, at(0)), Pushed::Added { is_news: true, .. }));
        assert_eq!(buffer.take(at(0), false).unwrap().tag, [0, 1, 2, 3, 4]);
        for number in 5..10 {
            assert!(matches!(push(&mut buffer, number, 10, at(0)), Pushed::Added { .. }));
        }
        assert!(matches!(push(&mut buffer, 10, 10, at(0)), Pushed::NoRoom));
    }

    #[test]
    fn a_flush_reaches_what_was_there_and_no_more() {
        let mut buffer = Buffer::new(bounds());
        push(&mut buffer, 0, 10, at(0));
        let flush = buffer.flush();
        assert!(!buffer.is_decided(flush));
        let batch = buffer.take(at(0), false).unwrap();
        push(&mut buffer, 1, 10, at(0));
        assert!(buffer.take(at(0), false).is_none());
        buffer.decided(batch.size);
        assert!(buffer.is_decided(flush));
        assert!(buffer.take(at(0), true).is_some(), "somebody waits for room");
    }

    #[test]
    fn an_event_that_fits_no_batch_is_told_apart_and_one_larger_than_the_bound_passes_alone() {
        let mut buffer = Buffer::new(Bounds { bytes: 500, ..bounds() });
        assert!(matches!(push(&mut buffer, 0, 1200, at(0)), Pushed::TooLarge));
        assert_eq!(buffer.len(), 0);
        assert!(matches!(push(&mut buffer, 1, 1000, at(0)), Pushed::Added { .. }));
        assert!(matches!(push(&mut buffer, 2, 1, at(0)), Pushed::NoRoom));
        assert!(matches!(push(&mut buffer, 0, 1200, at(0)), Pushed::TooLarge), "room or not");
    }

    #[test]
    fn the_largest_event_that_fits_is_known_to_the_byte() {
        for is_numbered in [false, true] {
            for batch in [200, 300, 1200] {
                let bounds = Bounds { batch, is_numbered, bytes: 1 << 20, ..bounds() };
                let fits = |bytes| {
                    let mut inner = bounds.empty_batch().unwrap();
                    inner.try_add_encoded(&vec![0; bytes])
                };
                for bytes in 0..batch as usize {
                    let mut buffer: Buffer<()> = Buffer::new(bounds.clone());
                    let pushed = buffer.push(&vec![0; bytes], at(0), || (), |_| ()).unwrap();
                    assert_eq!(matches!(pushed, Pushed::Added { .. }), fits(bytes), "{bytes} of {batch}");
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Take { is_pressed: bool },
        Decide,
        Flush,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..1300usize).prop_map(Step::Push),
            3 => any::<bool>().prop_map(|is_pressed| Step::Take { is_pressed }),
            2 => Just(Step::Decide),
            1 => Just(Step::Flush),
            1 => (0..1500u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_changes_places_and_no_bound_is_exceeded(steps in proptest::collection::vec(step(), 1..200)) {
            let mut buffer: Buffer<Vec<u32>> = Buffer::new(bounds());
            let (mut now, mut next) = (0, 0);
            let mut sent = Vec::new();
            let mut under_way: VecDeque<Batch<Vec<u32>>> = VecDeque::new();
            let mut give_out = |buffer: &mut Buffer<Vec<u32>>, now, is_pressed, under_way: &mut VecDeque<_>| {
                let Some(batch) = buffer.take(at(now), is_pressed) else { return false };
                assert!(batch.inner.size() <= bounds().batch && batch.tag.len() == batch.inner.len());
                sent.extend(batch.tag.iter().copied());
                under_way.push_back(batch);
                true
            };
            for step in steps {
                match step {
                    Step::Push(bytes) => match push(&mut buffer, next, bytes, at(now)) {
                        Pushed::Added { .. } => next += 1,
                        Pushed::NoRoom => prop_assert!(buffer.len() > 0),
                        Pushed::TooLarge => prop_assert!(bytes > 1150),
                    },
                    Step::Take { is_pressed } => {
                        give_out(&mut buffer, now, is_pressed, &mut under_way);
                    }
                    Step::Decide => if let Some(batch) = under_way.pop_front() {
                        buffer.decided(batch.size);
                    },
                    Step::Flush => {
                        let flush = buffer.flush();
                        while give_out(&mut buffer, now, false, &mut under_way) {}
                        under_way.drain(..).for_each(|batch| buffer.decided(batch.size));
                        prop_assert!(buffer.is_decided(flush) && buffer.len() == 0);
                    }
                    Step::Wait(millis) => now += millis,
                }
                prop_assert!(buffer.events <= bounds().events);
                prop_assert!(buffer.bytes <= bounds().bytes);
            }
            buffer.flush();
            while give_out(&mut buffer, now, false, &mut under_way) {}
            prop_assert_eq!(sent, (0..next).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_given_out_is_what_the_service_understands() {
        let mut buffer = Buffer::new(bounds());
        for (number, bytes) in [3, 300, 0].into_iter().enumerate() {
            push(&mut buffer, number as u32, bytes, at(0));
        }
        let batch = buffer.take(at(0), true).unwrap().inner.finish();
        let payload = [&batch.head[..], &batch.body].concat().into();
        assert_eq!(Publication::parse(&payload, batch.message_format).unwrap().len(), 3);
    }
}
