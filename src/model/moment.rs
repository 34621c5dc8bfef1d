//! A point on a monotonic clock that the caller owns.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock, counted from an origin that only its owner knows.
///
/// Pure code never reads a clock: it is told the time. `std::time::Instant` cannot be made up by a
/// simulation and panics in a browser; this can, and does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The clock's origin.
    pub const ORIGIN: Moment = Moment(Duration::ZERO);

    /// The moment that lies `elapsed` after the clock's origin.
    pub const fn from_origin(elapsed: Duration) -> Self {
        Moment(elapsed)
    }

    /// How long after the clock's origin this is.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this moment, zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(delay))
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.saturating_since(earlier)
    }
}
