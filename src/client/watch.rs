//! Whether a partition that is quiet has stopped.
//!
//! A link that may be sent events, is sent none, and is known to have some, has stalled: somewhere between here and the partition
//! something has forgotten it. Nothing else would notice, for the connection lives on. A partition without new events is quiet, too,
//! and so is a link whose reader leaves everything lying: neither has stalled.

use std::time::Duration;

use crate::dialect::management::PartitionProperties;
use crate::model::moment::Moment;
use crate::model::position::{Anchor, StartPosition};

/// The longest pause between two questions about a quiet partition, and between two new links for a stalled one, in stall timeouts.
const LONGEST: u32 = 10;

/// Watches over one receiving link.
pub(super) struct Watch {
    /// How long events that are known of may stay away.
    limit: Duration,
    /// Something has arrived since the last look.
    has_moved: bool,
    next_look: Moment,
    /// Since when nothing has arrived although it could have.
    quiet_since: Option<Moment>,
    /// Newer events are known of, since then.
    behind_since: Option<Moment>,
    /// The silence after which the service is asked again.
    patience: Duration,
    /// The service has been asked, and has not answered yet.
    is_asking: bool,
    /// How often in a row it has stalled.
    stalls: u32,
}

/// What is to be done about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Fine,
    /// The service is to be asked for the partition's newest event.
    Ask,
    /// The link is to be made anew.
    Stalled,
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        Watch {
            limit,
            has_moved: false,
            next_look: Moment::ORIGIN,
            quiet_since: None,
            behind_since: None,
            patience: limit,
            is_asking: false,
            stalls: 0,
        }
    }

    /// The link is up, again or for the first time.
    pub(super) fn restart(&mut self, now: Moment) {
        self.quiet(None);
        self.is_asking = false;
        self.next_look = now + self.limit / 2;
    }

    /// Something has arrived.
    pub(super) fn moved(&mut self) {
        self.has_moved = true;
    }

    /// When to [`look`](Self::look).
    pub(super) fn next_look(&self) -> Moment {
        self.next_look
    }

    /// Looks, when it is time. `may_move`: the service may send something. `is_behind`: what has arrived says that there is more.
    pub(super) fn look(&mut self, now: Moment, may_move: bool, is_behind: impl FnOnce() -> bool) -> Look {
        if now < self.next_look {
            return Look::Fine;
        }
        self.next_look = now + self.limit / 2;
        if std::mem::take(&mut self.has_moved) {
            self.stalls = 0;
            self.quiet(None);
            return Look::Fine;
        }
        if !may_move {
            self.quiet(None);
            return Look::Fine;
        }
        let Some(since) = self.quiet_since else {
            self.quiet(Some(now));
            return Look::Fine;
        };
        if self.behind_since.is_none() && is_behind() {
            self.behind_since = Some(since);
        }
        let limit = self.grown();
        match self.behind_since {
            Some(behind) if now - behind >= limit => {
                self.stalls += 1;
                Look::Stalled
            }
            None if now - since >= self.patience && !self.is_asking => {
                self.is_asking = true;
                Look::Ask
            }
            _ => Look::Fine,
        }
    }

    /// The service has answered whether the partition has newer events; `None`: it does not say.
    pub(super) fn answered(&mut self, has_newer: Option<bool>, now: Moment) {
        if !std::mem::take(&mut self.is_asking) {
            // Asked for a link that is gone.
            return;
        }
        let Some(since) = self.quiet_since.filter(|_| !self.has_moved) else { return };
        let longest = self.limit.saturating_mul(LONGEST);
        match has_newer {
            // They may be on their way; but half of the wait is over, as the link has been quiet for long.
            Some(true) => {
                self.behind_since.get_or_insert(since.max(now_less(now, self.limit / 2)));
            }
            Some(false) => self.patience = (now - since).saturating_mul(2).min(longest).max(self.patience),
            None => self.patience = longest,
        }
        if has_newer != Some(true) {
            // The next question is as far away as the silence was long.
            self.quiet_since = Some(now);
        }
    }

    /// The service does not answer; whether it was asked because of a silence that still lasts.
    pub(super) fn is_unanswered(&mut self) -> bool {
        let is_silent = std::mem::take(&mut self.is_asking) && self.quiet_since.is_some() && !self.has_moved;
        self.stalls += u32::from(is_silent);
        is_silent
    }

    /// A link that is made anew and stays as it was is not made anew all the time.
    fn grown(&self) -> Duration {
        self.limit.saturating_mul((1 << self.stalls.min(LONGEST)).min(LONGEST))
    }

    fn quiet(&mut self, since: Option<Moment>) {
        self.quiet_since = since;
        self.behind_since = None;
        // After a link that stalled the next is not suspected as soon.
        self.patience = self.grown();
    }
}

fn now_less(now: Moment, duration: Duration) -> Moment {
    Moment::from_origin(now.since_origin().saturating_sub(duration))
}

/// Whether the partition has events that a link should have brought: `last` is the number of the newest event that arrived, and
/// without one the link was attached at `start`.
pub(super) fn has_newer(last: Option<i64>, start: &StartPosition, partition: &PartitionProperties) -> bool {
    let newest = partition.last_enqueued_sequence_number;
    let or_at = start.is_inclusive();
    !partition.is_empty
        && match (last, start.anchor()) {
            (Some(last), _) => newest > last,
            (None, Anchor::Earliest) => true,
            // Where the end was then is not known.
            (None, Anchor::Latest) => false,
            (None, Anchor::SequenceNumber(number)) => newest > *number || (or_at && newest == *number),
            (None, Anchor::EnqueuedTime(time)) => partition
                .last_enqueued_time
                .is_some_and(|newest| newest > *time || (or_at && newest == *time)),
            // Those of geo-replicated hubs are no numbers, and cannot be compared.
            (None, Anchor::Offset(offset)) => {
                let number = |text: &str| text.parse::<i64>().ok();
                match (number(&partition.last_enqueued_offset), number(offset)) {
                    (Some(newest), Some(offset)) => newest > offset || (or_at && newest == offset),
                    _ => false,
                }
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Timestamp;

    const LIMIT: Duration = Duration::from_secs(30);

    /// What looks every second find, with the second.
    struct Seconds {
        watch: Watch,
        now: u64,
    }

    impl Seconds {
        fn new() -> Self {
            let mut watch = Watch::new(LIMIT);
            watch.restart(at(0));
            Seconds { watch, now: 0 }
        }

        /// The first finding within so many seconds, and when it was made.
        fn within(&mut self, seconds: u64, may_move: bool, is_behind: bool) -> Option<(u64, Look)> {
            let end = self.now + seconds;
            while self.now < end {
                self.now += 1;
                let look = self.watch.look(at(self.now), may_move, || is_behind);
                if look != Look::Fine {
                    return Some((self.now, look));
                }
            }
            None
        }
    }

    fn at(second: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(second)
    }

    #[test]
    fn a_link_that_is_known_to_miss_events_has_stalled() {
        let mut seconds = Seconds::new();
        let (when, look) = seconds.within(100, true, true).unwrap();
        assert_eq!(look, Look::Stalled);
        assert!((30..=45).contains(&when), "{when}");
    }

    #[test]
    fn a_quiet_link_asks_and_has_stalled_only_when_there_are_newer_events() {
        let mut seconds = Seconds::new();
        let (when, look) = seconds.within(100, true, false).unwrap();
        assert_eq!(look, Look::Ask);
        assert!((30..=45).contains(&when), "{when}");
        assert_eq!(seconds.within(20, true, false), None, "it has asked already");
        seconds.watch.answered(Some(true), at(seconds.now));
        let (later, look) = seconds.within(100, true, false).unwrap();
        assert_eq!(look, Look::Stalled);
        assert!(later - when <= 60, "{later}");
    }

    #[test]
    fn an_idle_partition_is_asked_about_ever_more_seldom() {
        let mut seconds = Seconds::new();
        let mut asked = Vec::new();
        while let Some((when, look)) = seconds.within(3600, true, false) {
            assert_eq!(look, Look::Ask);
            asked.push(when);
            seconds.watch.answered(Some(false), at(when));
            if when > 24 * 3600 {
                break;
            }
        }
        let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted() && *gaps.last().unwrap() <= 300 + 15, "{gaps:?}");
        assert!(asked.len() < 300, "{} questions in a day", asked.len());
    }

    #[test]
    fn a_link_without_credit_or_with_events_has_not_stalled() {
        let mut seconds = Seconds::new();
        assert_eq!(seconds.within(3600, false, true), None);
        for _ in 0..100 {
            seconds.watch.moved();
            assert_eq!(seconds.within(29, true, true), None);
        }
        // It was quiet, then credit ran out, then there was some again: the silence begins anew.
        seconds.within(28, false, true);
        assert_eq!(seconds.within(29, true, true), None);
    }

    #[test]
    fn a_link_that_stays_as_it_was_is_not_made_anew_all_the_time() {
        let mut seconds = Seconds::new();
        let mut stalls = Vec::new();
        while let Some((when, _)) = seconds.within(3600, true, true) {
            stalls.push(when);
            seconds.watch.restart(at(when));
            if when > 3600 {
                break;
            }
        }
        assert!(stalls[1] - stalls[0] >= 60 && stalls.len() < 20, "{stalls:?}");
        // What arrives proves the link.
        seconds.watch.moved();
        let before = seconds.now;
        let (when, _) = seconds.within(3600, true, true).unwrap();
        assert!(when - before <= 61, "{}", when - before);
    }

    #[test]
    fn a_question_that_stays_unanswered_is_a_stall_and_the_next_comes_later() {
        let mut seconds = Seconds::new();
        let (when, look) = seconds.within(100, true, false).unwrap();
        assert_eq!(look, Look::Ask);
        assert!(seconds.watch.is_unanswered());
        assert!(!seconds.watch.is_unanswered(), "nothing is asked any more");
        seconds.watch.restart(at(when));
        let (next, look) = seconds.within(200, true, false).unwrap();
        assert_eq!(look, Look::Ask);
        assert!(next - when >= 60, "{next}");
        seconds.watch.moved();
        assert!(!seconds.watch.is_unanswered(), "it is not silent any more");
    }

    #[test]
    fn an_answer_that_comes_when_events_have_arrived_means_nothing() {
        let mut seconds = Seconds::new();
        seconds.within(100, true, false).unwrap();
        seconds.watch.moved();
        seconds.watch.answered(Some(true), at(seconds.now));
        assert_eq!(seconds.within(44, true, false), None);
    }

    #[test]
    fn what_a_link_should_have_brought_depends_on_where_it_began() {
        let mut partition = PartitionProperties::new("orders", "0");
        partition.is_empty = false;
        partition.begin_sequence_number = 0;
        partition.last_enqueued_sequence_number = 10;
        partition.last_enqueued_offset = "1000".into();
        partition.last_enqueued_time = Some(Timestamp::from_millis(50));
        let newer = |last, start: StartPosition| has_newer(last, &start, &partition);
        for (last, start, expected) in [
            (Some(9), StartPosition::earliest(), true),
            (Some(10), StartPosition::earliest(), false),
            (None, StartPosition::earliest(), true),
            (None, StartPosition::latest(), false),
            (None, StartPosition::sequence_number(9), true),
            (None, StartPosition::sequence_number(10), false),
            (None, StartPosition::sequence_number(10).inclusive(), true),
            (None, StartPosition::offset("999"), true),
            (None, StartPosition::offset("1000"), false),
            (None, StartPosition::offset("1:2:3"), false),
            (None, StartPosition::enqueued_time(Timestamp::from_millis(49)), true),
            (None, StartPosition::enqueued_time(Timestamp::from_millis(50)), false),
            (None, StartPosition::enqueued_time(Timestamp::from_millis(1000)), false),
        ] {
            assert_eq!(newer(last, start.clone()), expected, "{last:?} {start:?}");
        }
        partition.is_empty = true;
        assert!(!has_newer(Some(1), &StartPosition::earliest(), &partition));
    }
}
