//! Whether the process stood still: stopped by a signal or a debugger, suspended with its machine, or starved. Pure: it is told
//! the time.
//!
//! Others may have taken a partition meanwhile, as they may at any time; but who stood still has heard nothing of it, and has
//! events that arrived before.

use std::time::Duration;

use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// The share of a round that may pass without a word. Shorter silence costs little: what others take is told by the service at once.
const SHARE: u32 = 4;
/// What a busy machine takes now and then.
const LEAST: Duration = Duration::from_secs(1);
/// What a machine that has time never takes.
const MOST: Duration = Duration::from_secs(5);

/// Is told the time again and again, and notices when it was not for long.
#[derive(Debug)]
pub(super) struct Pulse {
    patience: Duration,
    seen: Option<(Moment, Timestamp)>,
    woken_at: Moment,
}

impl Pulse {
    /// For a member whose rounds take so long.
    pub(super) fn new(interval: Duration) -> Self {
        let patience = (interval / SHARE).clamp(LEAST, MOST);
        Pulse { patience, seen: None, woken_at: Moment::ORIGIN }
    }

    /// It is now. Whether it was not for long: by the clock that goes on while a process is stopped, or by the calendar, which goes
    /// on while the machine sleeps. A calendar that is put forward looks the same; that costs a question to the store.
    pub(super) fn beat(&mut self, now: Moment, unix: Timestamp) -> bool {
        let Some((then, unix_then)) = self.seen.replace((now, unix)) else { return false };
        let slept = unix.as_millis().saturating_sub(unix_then.as_millis());
        let slept = Duration::from_millis(u64::try_from(slept).unwrap_or(0));
        let stood_still = (now - then).max(slept) >= self.patience;
        if stood_still {
            self.woken_at = now;
        }
        stood_still
    }

    /// When it has to be told the time at the latest.
    pub(super) fn next(&self, now: Moment) -> Moment {
        self.seen.map_or(now, |(then, _)| then) + self.patience / 2
    }

    /// When it was noticed last that the process had stood still. What was known before may not be so any more.
    pub(super) fn woken_at(&self) -> Moment {
        self.woken_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pulse that is told milliseconds of both clocks.
    struct Told(Pulse);

    impl Told {
        fn new(interval: Duration) -> Self {
            let mut pulse = Pulse::new(interval);
            assert!(!pulse.beat(at(1_000), Timestamp::from_millis(50_000)), "nothing was before");
            Told(pulse)
        }

        fn beat(&mut self, now: u64, unix: i64) -> bool {
            self.0.beat(at(now), Timestamp::from_millis(unix))
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn who_is_told_the_time_when_it_has_to_be_has_not_stood_still() {
        let mut told = Told::new(Duration::from_secs(10));
        for _ in 0..100 {
            let (now, next) = (told.0.seen.unwrap().0, told.0.next(Moment::ORIGIN));
            assert!(next > now, "it would be asked without end");
            let millis = next.since_origin().as_millis() as u64;
            assert!(!told.beat(millis, 49_000 + millis as i64));
        }
        assert_eq!(told.0.woken_at(), Moment::ORIGIN);
    }

    #[test]
    fn a_process_that_was_stopped_is_noticed_when_it_goes_on() {
        let mut told = Told::new(Duration::from_secs(10));
        assert!(!told.beat(3_499, 52_499));
        assert!(told.beat(5_999, 54_999));
        assert_eq!(told.0.woken_at(), at(5_999));
        assert!(!told.beat(6_000, 55_000));
        assert_eq!(told.0.woken_at(), at(5_999), "until when it stood still is kept");
    }

    #[test]
    fn a_machine_that_slept_is_noticed_by_the_calendar() {
        let mut told = Told::new(Duration::from_secs(10));
        assert!(told.beat(1_001, 50_001 + 3_600_000));
        assert_eq!(told.0.woken_at(), at(1_001));
    }

    #[test]
    fn a_calendar_that_is_put_back_hides_nothing_and_means_nothing() {
        let mut told = Told::new(Duration::from_secs(10));
        assert!(!told.beat(1_500, -3_600_000));
        assert!(told.beat(4_500, -7_200_000));
    }

    #[test]
    fn however_short_or_long_the_rounds_a_busy_machine_is_no_sleeping_one() {
        let mut quick = Told::new(Duration::from_millis(50));
        assert!(!quick.beat(1_999, 50_999) && quick.beat(2_999, 51_999));
        let mut slow = Told::new(Duration::from_secs(3_600));
        assert!(slow.beat(6_000, 55_000));
    }
}
