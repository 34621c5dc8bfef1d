//! When checkpoints are written without being asked for: a value that is told of processed events and of time, and says
//! what to write.
//!
//! What it says only ever goes forward, and never says nothing: a checkpoint that is wiped or moved back makes a group
//! read everything again.

use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::moment::Moment;

/// When checkpoints are written without being asked for. Conditions add up: the first one that holds decides.
///
/// ```
/// use eventhubs::model::auto_checkpoint::AutoCheckpoint;
/// use std::time::Duration;
///
/// let policy = AutoCheckpoint::never().every_events(100).every(Duration::from_secs(5)).on_close();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AutoCheckpoint {
    events: Option<u64>,
    time: Option<Duration>,
    on_close: bool,
}

impl AutoCheckpoint {
    /// Only what is asked for is written.
    pub const fn never() -> Self {
        AutoCheckpoint { events: None, time: None, on_close: false }
    }

    /// When so many events were processed since the last one; 0 is taken for 1.
    #[must_use]
    pub const fn every_events(self, events: u64) -> Self {
        AutoCheckpoint { events: Some(if events == 0 { 1 } else { events }), ..self }
    }

    /// When an event has been processed for so long without a checkpoint behind it.
    #[must_use]
    pub const fn every(self, time: Duration) -> Self {
        AutoCheckpoint { time: Some(time), ..self }
    }

    /// When the partition is given up, for whatever has been processed since.
    #[must_use]
    pub const fn on_close(self) -> Self {
        AutoCheckpoint { on_close: true, ..self }
    }

    /// Whether nothing is ever written.
    pub const fn is_never(&self) -> bool {
        self.events.is_none() && self.time.is_none() && !self.on_close
    }
}

/// What of one partition was processed, and what of that is safe.
#[derive(Clone, Debug)]
pub struct Progress {
    policy: AutoCheckpoint,
    /// What the store has. Nothing behind it is ever written.
    safe: Option<Checkpoint>,
    /// The last event that was processed, if it is ahead of what is safe.
    ahead: Option<Checkpoint>,
    /// How many events lie between the two.
    events: u64,
    /// Since when they wait.
    waiting_since: Option<Moment>,
    /// What is being written, and how many of the events it covers.
    writing: Option<(Checkpoint, u64)>,
    /// Since when events wait that it does not cover.
    uncovered_since: Option<Moment>,
    /// No attempt before this: the last one failed.
    not_before: Option<Moment>,
}

impl Progress {
    /// For a partition whose reading begins behind `last`, if it has a checkpoint.
    pub fn new(policy: AutoCheckpoint, last: Option<Checkpoint>) -> Self {
        Progress {
            policy,
            safe: last,
            ahead: None,
            events: 0,
            waiting_since: None,
            writing: None,
            uncovered_since: None,
            not_before: None,
        }
    }

    /// An event was processed, and all before it. One that was processed before changes nothing.
    pub fn processed(&mut self, event: Checkpoint, now: Moment) {
        self.processed_many(event, 1, now);
    }

    /// As [`processed`](Self::processed), for so many events up to this one.
    pub fn processed_many(&mut self, last: Checkpoint, events: u64, now: Moment) {
        if last.position().is_err() || !self.is_ahead(&last) {
            return;
        }
        self.ahead = Some(last);
        self.events = self.events.saturating_add(events);
        self.waiting_since.get_or_insert(now);
        if self.writing.is_some() {
            self.uncovered_since.get_or_insert(now);
        }
    }

    /// What has to be written now. Until it is said to be [`written`](Self::written) or [`failed`](Self::failed), nothing
    /// else has to be.
    pub fn due(&mut self, now: Moment) -> Option<Checkpoint> {
        if self.writing.is_some() || self.not_before.is_some_and(|moment| now < moment) {
            return None;
        }
        let ahead = self.ahead.as_ref()?;
        let is_many = self.policy.events.is_some_and(|events| self.events >= events);
        let is_late = self.late_at().is_some_and(|moment| now >= moment);
        if !is_many && !is_late {
            return None;
        }
        self.writing = Some((ahead.clone(), self.events));
        self.uncovered_since = None;
        self.ahead.clone()
    }

    /// How many more events make a checkpoint due, if time does not before.
    pub fn due_after(&self) -> u64 {
        self.policy.events.map_or(u64::MAX, |events| events.saturating_sub(self.events).max(1))
    }

    /// When to look again at the latest, if no event comes before.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.writing.is_some() || self.ahead.is_none() {
            return None;
        }
        let is_many = self.policy.events.is_some_and(|events| self.events >= events);
        let due_at = if is_many { self.waiting_since } else { self.late_at() };
        due_at.map(|due_at| self.not_before.map_or(due_at, |not_before| due_at.max(not_before)))
    }

    /// What was due is in the store.
    pub fn written(&mut self) {
        let Some((checkpoint, events)) = self.writing.take() else { return };
        self.not_before = None;
        self.settle(checkpoint);
        self.events = if self.ahead.is_some() { self.events.saturating_sub(events).max(1) } else { 0 };
        self.waiting_since = self.ahead.as_ref().and(self.uncovered_since);
    }

    /// What was due could not be written, or nobody knows. It is due again after a pause, or what is then ahead of it.
    pub fn failed(&mut self, now: Moment, pause: Duration) {
        if self.writing.take().is_some() {
            self.not_before = Some(now + pause);
        }
    }

    /// Somebody else wrote a checkpoint of this partition, such as the one whose events these are: not while another is
    /// being written, or the store may keep the older one.
    pub fn written_elsewhere(&mut self, checkpoint: Checkpoint) {
        if checkpoint.position().is_err() || !newer(&checkpoint, self.safe.as_ref()) {
            return;
        }
        self.settle(checkpoint);
        if self.ahead.is_none() {
            self.events = 0;
            self.waiting_since = None;
        }
    }

    /// Reading begins elsewhere because somebody wants it so: from there on it goes forward again, even if that is behind
    /// what was written.
    pub fn restart(&mut self) {
        *self = Progress::new(self.policy, None);
    }

    /// The partition is given up: what is left to be written, by the policy.
    pub fn close(&mut self) -> Option<Checkpoint> {
        self.events = 0;
        self.waiting_since = None;
        // What was being written may not have arrived; writing it twice does no harm.
        let writing = self.writing.take().map(|(checkpoint, _)| checkpoint);
        let last = self.ahead.take().or(writing);
        last.filter(|last| self.policy.on_close && newer(last, self.safe.as_ref()))
    }

    /// The last event that was processed, safe or not.
    pub fn last(&self) -> Option<&Checkpoint> {
        self.ahead.as_ref().or(self.safe.as_ref())
    }

    fn late_at(&self) -> Option<Moment> {
        self.waiting_since.zip(self.policy.time).map(|(since, time)| since + time)
    }

    fn is_ahead(&self, event: &Checkpoint) -> bool {
        newer(event, self.safe.as_ref()) && newer(event, self.ahead.as_ref())
    }

    /// `checkpoint` is in the store.
    fn settle(&mut self, checkpoint: Checkpoint) {
        if self.ahead.as_ref().is_some_and(|ahead| !newer(ahead, Some(&checkpoint))) {
            self.ahead = None;
        }
        if newer(&checkpoint, self.safe.as_ref()) {
            self.safe = Some(checkpoint);
        }
    }
}

/// Whether a checkpoint lies ahead of another. Where only offsets are known, they are compared by the letter: another
/// offset is another event, and events come in order.
fn newer(checkpoint: &Checkpoint, than: Option<&Checkpoint>) -> bool {
    let Some(than) = than else { return true };
    match (checkpoint.sequence_number, than.sequence_number) {
        (Some(mine), Some(known)) => mine > known,
        _ => checkpoint.offset != than.offset,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(second))
    }

    fn event(number: i64) -> Checkpoint {
        Checkpoint::new("0", (number * 100).to_string(), number)
    }

    fn number(checkpoint: Option<Checkpoint>) -> Option<i64> {
        checkpoint.and_then(|checkpoint| checkpoint.sequence_number)
    }

    #[test]
    fn every_so_many_events() {
        let mut progress = Progress::new(AutoCheckpoint::never().every_events(3), None);
        let mut written = Vec::new();
        for n in 0..10 {
            progress.processed(event(n), at(0));
            if let Some(due) = progress.due(at(0)) {
                written.push(due.sequence_number.unwrap());
                assert_eq!(progress.due(at(0)), None, "one at a time");
                progress.written();
            }
        }
        assert_eq!(written, [2, 5, 8]);
        assert_eq!(progress.close(), None, "on close was not asked for");
    }

    #[test]
    fn after_so_much_time_and_never_for_nothing() {
        let mut progress = Progress::new(AutoCheckpoint::never().every(Duration::from_secs(5)), None);
        assert_eq!((progress.due(at(100)), progress.next_deadline()), (None, None));
        progress.processed(event(0), at(100));
        progress.processed(event(1), at(104));
        assert_eq!((progress.due(at(104)), progress.next_deadline()), (None, Some(at(105))));
        assert_eq!(number(progress.due(at(105))), Some(1));
        progress.processed(event(2), at(106));
        progress.written();
        assert_eq!(progress.next_deadline(), Some(at(111)));
        assert_eq!(number(progress.due(at(111))), Some(2));
        progress.written();
        assert_eq!((progress.due(at(1_000)), progress.next_deadline()), (None, None));
    }

    #[test]
    fn on_close_what_is_left_and_only_if_something_is() {
        let policy = AutoCheckpoint::never().on_close();
        assert_eq!(Progress::new(policy, Some(event(7))).close(), None);
        let mut progress = Progress::new(policy, Some(event(7)));
        progress.processed(event(7), at(0));
        assert_eq!(progress.close(), None, "it is in the store already");
        progress.processed(event(9), at(0));
        assert_eq!(number(progress.close()), Some(9));
        assert_eq!(progress.close(), None);
    }

    #[test]
    fn what_could_not_be_written_is_due_again_after_a_pause() {
        let mut progress = Progress::new(AutoCheckpoint::never().every_events(1).on_close(), None);
        progress.processed(event(0), at(0));
        assert!(progress.due(at(0)).is_some());
        progress.failed(at(1), Duration::from_secs(2));
        progress.processed(event(1), at(2));
        assert_eq!((progress.due(at(2)), progress.next_deadline()), (None, Some(at(3))));
        assert_eq!(number(progress.due(at(3))), Some(1));
        assert_eq!(number(progress.close()), Some(1), "nobody said that it was written");
    }

    #[test]
    fn what_comes_again_is_not_written_again_and_who_goes_back_does_so_on_purpose() {
        let mut progress = Progress::new(AutoCheckpoint::never().every_events(1), Some(event(10)));
        progress.processed(event(4), at(0));
        progress.processed(Checkpoint { offset: None, sequence_number: None, ..event(99) }, at(0));
        assert_eq!(progress.due(at(9)), None);
        assert_eq!(progress.last(), Some(&event(10)));
        progress.restart();
        progress.processed(event(4), at(0));
        assert_eq!(number(progress.due(at(9))), Some(4));
    }

    #[test]
    fn what_somebody_else_wrote_counts() {
        let mut progress = Progress::new(AutoCheckpoint::never().every_events(2).on_close(), None);
        progress.processed(event(0), at(0));
        progress.written_elsewhere(event(0));
        progress.processed(event(1), at(0));
        assert_eq!(progress.due(at(0)), None);
        progress.written_elsewhere(event(0));
        assert_eq!(number(progress.close()), Some(1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Process(i64),
        Look,
        Succeed,
        Fail,
        Elsewhere(i64),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (-2..4_i64).prop_map(Step::Process),
            3 => Just(Step::Look),
            2 => Just(Step::Succeed),
            1 => Just(Step::Fail),
            1 => (-3..3_i64).prop_map(Step::Elsewhere),
            2 => (0..8_u64).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_goes_forward_only_says_something_and_forgets_nothing(
            steps in steps(), events in proptest::option::of(0..6_u64), time in proptest::option::of(0..6_u64),
            first in proptest::option::of(0..5_i64),
        ) {
            let mut policy = AutoCheckpoint::never().on_close();
            if let Some(events) = events { policy = policy.every_events(events); }
            if let Some(time) = time { policy = policy.every(Duration::from_secs(time)); }
            let mut progress = Progress::new(policy, first.map(event));
            // What a store would have, the last event, what is being written, the time.
            let (mut store, mut last, mut writing, mut now) = (first, first.unwrap_or(-1), None, 0);
            for step in steps {
                match step {
                    Step::Process(ahead) => {
                        let next = last + ahead;
                        if next >= 0 { progress.processed(event(next), at(now)); }
                        last = last.max(next);
                    }
                    Step::Look => if let Some(due) = progress.due(at(now)) {
                        prop_assert!(writing.is_none());
                        prop_assert!(due.position().is_ok() && Some(due.sequence_number.unwrap()) > store);
                        prop_assert_eq!(due.sequence_number, Some(last));
                        writing = due.sequence_number;
                    } else if writing.is_none() && let Some(deadline) = progress.next_deadline() {
                        prop_assert!(deadline > at(now), "it was due and not said");
                    },
                    Step::Succeed => if writing.is_some() {
                        store = store.max(writing.take());
                        progress.written();
                    },
                    Step::Fail => {
                        writing = None;
                        progress.failed(at(now), Duration::from_secs(1));
                    }
                    Step::Elsewhere(ahead) => {
                        let other = last + ahead.min(0);
                        if other >= 0 {
                            progress.written_elsewhere(event(other));
                            store = store.max(Some(other));
                        }
                    }
                    Step::Wait(seconds) => now += seconds,
                }
                prop_assert_eq!(progress.last().map_or(-1, |known| known.sequence_number.unwrap()), last);
            }
            if let Some(left) = progress.close() {
                prop_assert!(left.sequence_number >= store);
                store = left.sequence_number;
            }
            prop_assert_eq!(store.unwrap_or(-1), last, "an event was processed and forgotten");
        }

        #[test]
        fn however_slow_the_store_every_event_is_covered_in_time(
            pause in 1..20_u64, every in 1..10_u64, count in 1..60_i64,
        ) {
            let mut progress = Progress::new(AutoCheckpoint::never().every(Duration::from_secs(every)), None);
            let mut written_until: Option<(i64, u64)> = None;
            let mut done_at: Option<u64> = None;
            for second in 0..(count as u64 + pause + every) * 3 {
                if (second as i64) < count { progress.processed(event(second as i64), at(second)); }
                if done_at.is_some_and(|done| second >= done) {
                    done_at = None;
                    progress.written();
                }
                if let Some(due) = progress.due(at(second)) {
                    let number = due.sequence_number.unwrap();
                    // What is due now was processed `every` ago, or waited for the write before it.
                    prop_assert!(written_until.is_none_or(|(last, _)| number > last));
                    written_until = Some((number, second));
                    done_at = Some(second + pause);
                }
            }
            prop_assert_eq!(written_until.map(|(number, _)| number), Some(count - 1));
        }
    }
}
