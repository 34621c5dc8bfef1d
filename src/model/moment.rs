//! A point on a monotonic clock that the caller owns.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock, counted from an origin that only its owner knows; in nanoseconds, as one number is
/// cheaper to compare and to add to than a `Duration`, and six hundred years are enough.
///
/// Pure code never reads a clock: it is told the time. `std::time::Instant` cannot be made up by a
/// simulation and panics in a browser; this can, and does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The clock's origin.
    pub const ORIGIN: Moment = Moment(0);

    /// The moment that lies `elapsed` after the clock's origin.
    pub const fn from_origin(elapsed: Duration) -> Self {
        Moment(nanos(elapsed))
    }

    /// The moment that lies so many nanoseconds after the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Moment(nanos)
    }

    /// How long after the clock's origin this is.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to this moment, zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, delay: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos(delay)))
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.saturating_since(earlier)
    }
}

/// The earliest of some moments that may be there.
pub(crate) fn earliest<const N: usize>(moments: [Option<Moment>; N]) -> Option<Moment> {
    earliest_of(&moments)
}

fn earliest_of(moments: &[Option<Moment>]) -> Option<Moment> {
    moments.iter().copied().flatten().min()
}

/// A share or multiple of a duration. What is beyond six hundred years comes to that.
pub(crate) fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::from_nanos((nanos(duration) as f64 * factor) as u64)
}

const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
