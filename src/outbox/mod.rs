//! Store and forward: an [`Outbox`] takes events whether the service can be reached or not, keeps them on disk, and sends them when
//! it can.
//!
//! # What it promises
//!
//! - When [`enqueue`](Outbox::enqueue) resolves, the event is on disk, and it will be sent: now, when the service is back, or when the
//!   outbox is opened again, however the process ended.
//! - Events with the same partition key are stored in the order in which they were enqueued.
//! - An event is stored once, also when its acknowledgement is lost or the process is killed before it arrives: events are published
//!   under numbers, which are on disk before they are used. (Not with [`OutboxOptions::idempotent`] off, nor when a part of the
//!   journal is damaged or the service has forgotten the producer; both are told. A directory that is put back from a copy sends
//!   again what waited in it then.)
//! - It does not grow without bound: [`OutboxOptions`] says how many events and bytes wait at most, and what becomes of those that
//!   find no room.
//! - Nothing stops silently: [`Outbox::state`] tells what waits, for how long, and why.
//!
//! # What becomes of an event that cannot be sent
//!
//! One that the service will never take (it is too large, or refused for what it is) goes to the [dead letters](Outbox::dead_letters), with the
//! reason, and the others go on. When the service refuses everything (the key is wrong, the hub is gone or disabled), everything waits.

mod core;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod journal;
mod ledger;
mod options;
mod pump;
mod record;
mod routing;
mod wire;

pub use handle::{DeadLetter, Outbox, OutboxState};
pub use options::{Durability, OutboxOptions, WhenFull};
