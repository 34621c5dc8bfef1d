//! How an outbox behaves.

use std::time::Duration;

/// How an outbox behaves.
///
/// ```
/// use eventhubs::outbox::{OutboxOptions, WhenFull};
///
/// let options = OutboxOptions { max_events: 10_000, when_full: WhenFull::Refuse, ..OutboxOptions::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxOptions {
    /// How many events wait at most. Default: 100 000.
    pub max_events: usize,
    /// How many bytes the waiting events have at most, encoded and with 64 bytes for each. They are on disk, which needs up to
    /// twice as much, and in memory. Default: 64 MiB.
    pub max_bytes: u64,
    /// What becomes of an event that finds no room. Default: it waits for a minute.
    pub when_full: WhenFull,
    /// What an event has survived when [`enqueue`](super::Outbox::enqueue) resolves. Default: everything.
    pub durability: Durability,
    /// Whether events are published under numbers, so that one whose acknowledgement was lost is not stored a second time. Needs
    /// a hub that knows idempotent publishing; without it an event may be stored twice. Default: true.
    pub idempotent: bool,
    /// How many events that can never be sent are kept to be looked at; at most 16 MiB of them. When there are more, the
    /// oldest are dropped, and counted. Default: 1000.
    pub max_dead_letters: usize,
}

/// What becomes of an event that finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits for room at most so long, then it is refused.
    Wait(Duration),
    /// It is refused at once.
    Refuse,
}

/// What an enqueued event survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the machine: the disk has been told to write, once for all events that wait for it together.
    PowerCut,
    /// The end of the process, however it ends, but not of the machine. Faster.
    Process,
}

impl Default for OutboxOptions {
    fn default() -> Self {
        OutboxOptions {
            max_events: 100_000,
            max_bytes: 64 << 20,
            when_full: WhenFull::Wait(Duration::from_secs(60)),
            durability: Durability::PowerCut,
            idempotent: true,
            max_dead_letters: 1000,
        }
    }
}
