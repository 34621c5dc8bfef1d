//! Clocks and timers.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// The present on the monotonic clock. Follows tokio's clock, so a test that pauses it is obeyed.
pub(crate) fn now() -> Moment {
    Moment::from_origin(Instant::now().saturating_duration_since(origin()))
}

/// The present on the wall clock.
pub(crate) fn unix_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Wakes its task at a moment that may change all the time.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When `sleep` ends; `None` when it has ended.
    armed: Option<Moment>,
}

impl Timer {
    /// Ready when `deadline` has passed. A timer that is set to an earlier moment than asked for is
    /// left alone, since moving it costs more than a wake in vain.
    pub(crate) fn poll_until(&mut self, deadline: Moment, cx: &mut Context<'_>) -> Poll<()> {
        if now() >= deadline {
            return Poll::Ready(());
        }
        loop {
            let sleep = match (&mut self.sleep, self.armed) {
                (Some(sleep), Some(armed)) if armed <= deadline => sleep,
                (Some(sleep), _) => {
                    sleep.as_mut().reset(instant(deadline));
                    self.armed = Some(deadline);
                    sleep
                }
                (empty, _) => {
                    self.armed = Some(deadline);
                    empty.insert(Box::pin(sleep_until(instant(deadline))))
                }
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
            // Tokio's timers count in milliseconds and never end early; the clock has the last word.
            if now() >= deadline {
                return Poll::Ready(());
            }
        }
    }
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn instant(moment: Moment) -> Instant {
    /// Tokio's timers refuse what lies too far ahead; nobody waits longer than this without looking again.
    const FARTHEST: Duration = Duration::from_secs(30 * 24 * 3600);
    let ahead = moment.saturating_since(now()).min(FARTHEST);
    Instant::now() + ahead
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_obeys_the_deadline_it_was_given_last() {
        let mut timer = Timer::default();
        let start = now();
        let late = start + Duration::from_secs(60);
        let early = start + Duration::from_secs(1);
        poll_fn(|cx| {
            assert!(timer.poll_until(late, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| timer.poll_until(early, cx)).await;
        assert!(now() - start < Duration::from_secs(2));
        poll_fn(|cx| timer.poll_until(late, cx)).await;
        assert!(now() - start >= Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_put_off_waits_for_the_later_deadline() {
        let mut timer = Timer::default();
        let start = now();
        poll_fn(|cx| {
            assert!(timer.poll_until(start + Duration::from_secs(1), cx).is_pending());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| timer.poll_until(start + Duration::from_secs(5), cx)).await;
        assert!(now() - start >= Duration::from_secs(5));
    }
}
