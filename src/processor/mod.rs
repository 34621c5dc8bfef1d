//! Sharing a hub's partitions between processes: [`EventProcessor`].
//!
//! Members of a consumer group meet in a [checkpoint store](crate::checkpoint). Each renews what it owns, looks who is alive, and
//! takes its share; what a member that died owned is free when it has expired. Which partitions are taken is a pure function
//! ([`balance`](crate::model::balance)); who is alive is judged by what is seen to change, not by clocks
//! ([`Sightings`](crate::model::checkpoint::Sightings)).
//!
//! What it promises: every event is processed at least once, in the order of its partition, as long as a checkpoint is only
//! written behind events that were processed. Events between the last checkpoint and a member's death, or a partition's move, are
//! processed again. A member that cannot renew its ownership stops working on the partition when it expires by its own clock, and
//! writes no checkpoint for it any more. One that stood still for a while (a stopped process, a machine that slept) hands nothing out
//! and writes no checkpoint until the store has confirmed that the partition is still its own. What cannot be stopped is a handler
//! that is at its events already.

#[cfg(feature = "simulation")]
pub(crate) mod bare;
mod client;
mod guarded;
mod handler;
mod keeper;
mod lease;
mod member;
mod membership;
mod office;
mod options;
mod partition;
mod pulse;
mod pump;
mod reading;
mod status;

pub use crate::model::auto_checkpoint::AutoCheckpoint;
pub use crate::model::balance::Strategy;
pub use client::{EventProcessor, ProcessorLag};
pub use handler::{EventHandler, HandlerError, Handlers};
pub use options::{EventProcessorBuilder, HandlerFailure};
pub use partition::{PartitionContext, PartitionLag};
pub use reading::PartitionClient;
pub use status::{CloseReason, Operation, ProcessorFailure, ProcessorStatus, ProcessorStatusStream};
