//! An Event Hubs namespace: hubs, partitioned logs, access rules, and the service's side of a client's
//! connection.
//!
//! Like the engine below it, the broker does no I/O, owns no clock and spawns nothing. Whoever drives it
//! feeds a [`BrokerConnection`] what a socket received, writes what it hands out, and tells it the time.
//! What has to survive the process goes to a [`Journal`](journal::Journal).

mod authorization;
pub mod config;
mod connection;
pub mod faults;
mod hub;
pub mod journal;
mod log;
mod namespace;
mod partition;
mod producers;
mod receivers;
mod refusal;
mod seek;
mod sync;
#[cfg(test)]
mod tests;

pub use config::{
    AccessKey, AccessRule, HubConfig, IdlePolicy, NamespaceConfig, NamespaceLimits, Retention, Rights, Scope,
};
pub use connection::{BrokerConnection, Refused, Waker};
pub use namespace::{HubError, HubInfo, Namespace, PartitionInfo, PublishDone, Published, Route};

use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// What the driver's clocks show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, for deadlines.
    pub moment: Moment,
    /// The wall clock, for enqueued times and the expiry of tokens.
    pub unix: Timestamp,
}
