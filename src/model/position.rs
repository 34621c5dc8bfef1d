//! Where in a partition reading starts.

use std::fmt;
use std::time::SystemTime;

use super::value::Timestamp;

/// Where in a partition reading starts.
///
/// Positions are exclusive unless made [`inclusive`](Self::inclusive): reading from offset 42 gives what
/// was written behind it. Positions below the oldest retained event start at that event.
///
/// ```
/// # use eventhubs::StartPosition;
/// let resume = StartPosition::sequence_number(41);
/// let again = StartPosition::sequence_number(41).inclusive();
/// assert_ne!(resume, again);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StartPosition {
    anchor: Anchor,
    inclusive: bool,
}

/// What a [`StartPosition`] is measured from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Anchor {
    /// The oldest retained event.
    Earliest,
    /// The end of the partition when the reader attaches.
    Latest,
    /// An offset, as the service gave it.
    Offset(String),
    /// A sequence number.
    SequenceNumber(i64),
    /// The time the service took the event.
    EnqueuedTime(Timestamp),
}

impl StartPosition {
    /// Everything that is retained.
    pub fn earliest() -> Self {
        Self::at(Anchor::Earliest)
    }

    /// Only what is written from now on. Inclusive: the last event too.
    pub fn latest() -> Self {
        Self::at(Anchor::Latest)
    }

    /// Behind the event with this offset.
    pub fn offset(offset: impl Into<String>) -> Self {
        Self::at(Anchor::Offset(offset.into()))
    }

    /// Behind the event with this sequence number.
    pub fn sequence_number(sequence_number: i64) -> Self {
        Self::at(Anchor::SequenceNumber(sequence_number))
    }

    /// What was enqueued later than this, in milliseconds' precision.
    pub fn enqueued_time(time: impl Into<Timestamp>) -> Self {
        Self::at(Anchor::EnqueuedTime(time.into()))
    }

    /// Takes the event at the position too.
    #[must_use]
    pub fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self
    }

    /// What the position is measured from.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// Whether the event at the position is taken too.
    pub fn is_inclusive(&self) -> bool {
        self.inclusive
    }

    fn at(anchor: Anchor) -> Self {
        StartPosition { anchor, inclusive: false }
    }
}

impl Default for StartPosition {
    /// [`latest`](Self::latest), as in the official clients.
    fn default() -> Self {
        Self::latest()
    }
}

impl From<SystemTime> for StartPosition {
    fn from(time: SystemTime) -> Self {
        Self::enqueued_time(time)
    }
}

impl fmt::Display for StartPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.inclusive { "from" } else { "behind" };
        match &self.anchor {
            Anchor::Earliest => f.write_str("from the earliest event"),
            Anchor::Latest if self.inclusive => f.write_str("from the last event"),
            Anchor::Latest => f.write_str("behind the last event"),
            Anchor::Offset(offset) => write!(f, "{side} offset '{offset}'"),
            Anchor::SequenceNumber(number) => write!(f, "{side} sequence number {number}"),
            Anchor::EnqueuedTime(time) => write!(f, "{side} {time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_say_where_they_are() {
        assert_eq!(StartPosition::default().to_string(), "behind the last event");
        assert_eq!(StartPosition::earliest().to_string(), "from the earliest event");
        assert_eq!(StartPosition::offset("4").inclusive().to_string(), "from offset '4'");
        assert_eq!(StartPosition::sequence_number(7).to_string(), "behind sequence number 7");
        let time = StartPosition::from(SystemTime::UNIX_EPOCH);
        assert_eq!(time.to_string(), "behind 1970-01-01T00:00:00.000Z");
    }
}
