//! The clocks that the broker is told about.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::broker::Now;
use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// The machine's clocks. Copies share their origin, so their moments compare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        // A clock before 1970 is a clock that was never set.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(unix.as_millis()).unwrap_or(i64::MAX);
        Now { moment: Moment::from_origin(self.origin.elapsed()), unix: Timestamp::from_millis(millis) }
    }

    /// When a moment is, for timers.
    pub(super) fn instant(&self, moment: Moment) -> tokio::time::Instant {
        let far = self.origin + std::time::Duration::from_secs(365 * 86400);
        self.origin.checked_add(moment.since_origin()).unwrap_or(far).into()
    }
}
