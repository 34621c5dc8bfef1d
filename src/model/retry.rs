//! How often and how fast an operation is tried again.

use std::time::Duration;

/// What the service asks a throttled client to wait, at least ("Please wait 4 seconds and try again").
const BUSY_PAUSE: Duration = Duration::from_secs(4);

/// How often and how fast an operation that failed for a passing reason is tried again.
///
/// ```
/// # use eventhubs::RetryOptions;
/// # use std::time::Duration;
/// let patient = RetryOptions { max_attempts: 20, total_deadline: Some(Duration::from_secs(600)), ..Default::default() };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetryOptions {
    /// How often an operation is tried at all, the first time included. At least 1. Default: 4.
    pub max_attempts: u32,
    /// The pause before the second attempt; it doubles from then on. Default: 0.8 s.
    pub base_delay: Duration,
    /// The longest pause. Default: 60 s. The connection itself is made anew after 5 s at most, unless the service asks for more.
    pub max_delay: Duration,
    /// By which share a pause is made longer or shorter at random, so that clients that failed together do not come
    /// back together: 0 (never) to 1. Default: 0.2.
    pub jitter: f64,
    /// How long one attempt may take, whatever it waits for: a connection, a token, a link, the answer. So every call ends after
    /// `max_attempts` times this and the pauses between them at the latest, also against a service that says nothing at all. Only a
    /// stream that is attached waits for events without end. Default: 60 s.
    pub attempt_timeout: Duration,
    /// How long an operation may take over all, attempts and pauses together; `None` leaves the end to
    /// `max_attempts`. Default: none.
    pub total_deadline: Option<Duration>,
}

impl Default for RetryOptions {
    fn default() -> Self {
        RetryOptions {
            max_attempts: 4,
            base_delay: Duration::from_millis(800),
            max_delay: Duration::from_secs(60),
            jitter: 0.2,
            attempt_timeout: Duration::from_secs(60),
            total_deadline: None,
        }
    }
}

impl RetryOptions {
    /// One attempt only.
    pub fn none() -> Self {
        RetryOptions { max_attempts: 1, ..Self::default() }
    }

    /// The pause before attempt `failed + 1`, after `failed` attempts failed; `None` when there is no further attempt.
    ///
    /// `random` lies in `0.0..1.0`. `busy`: the service asked to slow down, which takes 4 s at least.
    pub fn delay(&self, failed: u32, random: f64, busy: bool) -> Option<Duration> {
        (failed < self.max_attempts).then(|| self.pause(failed, random, busy))
    }

    /// The pause after `failed` attempts, whatever `max_attempts` says: for what is kept up for ever,
    /// such as the connection of a stream that has a reader.
    pub fn pause(&self, failed: u32, random: f64, busy: bool) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let delay = self.base_delay.saturating_mul(1 << doublings).min(self.max_delay);
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
        let share = if self.jitter.is_finite() { self.jitter.clamp(0.0, 1.0) } else { 0.0 };
        let factor = 1.0 + share * (2.0 * random - 1.0);
        let pause = super::moment::scaled(delay, factor).min(self.max_delay);
        if busy { pause.saturating_add(BUSY_PAUSE) } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let options = RetryOptions { max_attempts: 100, jitter: 0.0, ..RetryOptions::default() };
        let seconds =
            [1, 2, 3, 4, 7, 8, 99].map(|failed| options.delay(failed, 0.9, false).unwrap().as_secs_f64());
        assert_eq!(seconds, [0.8, 1.6, 3.2, 6.4, 51.2, 60.0, 60.0]);
    }

    #[test]
    fn attempts_end() {
        let options = RetryOptions { max_attempts: 3, ..RetryOptions::default() };
        assert!(options.delay(1, 0.5, false).is_some() && options.delay(2, 0.5, false).is_some());
        assert_eq!(options.delay(3, 0.5, false), None);
        assert_eq!(RetryOptions::none().delay(1, 0.5, false), None);
    }

    #[test]
    fn a_busy_service_is_left_alone_for_four_seconds() {
        let options = RetryOptions { base_delay: Duration::ZERO, ..RetryOptions::default() };
        assert_eq!(options.pause(1, 0.0, true), Duration::from_secs(4));
    }

    proptest! {
        #[test]
        fn no_options_make_a_pause_panic_or_exceed_its_bound(
            failed: u32, random: f64, jitter: f64, base in 0..u64::MAX, max in 0..1u64 << 40, busy: bool,
        ) {
            let max_delay = Duration::from_millis(max);
            let options = RetryOptions {
                base_delay: Duration::from_secs(base), max_delay, jitter, ..RetryOptions::default()
            };
            let pause = options.pause(failed, random, busy);
            prop_assert!(pause <= max_delay + BUSY_PAUSE);
        }
    }
}
