//! Receiving events.

mod client;
mod reader;
mod stream;

pub use client::ConsumerClient;
pub use reader::{AllPartitions, PartitionReader};
pub use stream::EventStream;
