//! Receiving events.

mod client;
mod decoded;
mod reader;
mod stream;

pub use client::ConsumerClient;
pub use decoded::{DecodedEvent, DecodedStream};
#[cfg(feature = "js")]
#[allow(unused_imports, reason = "only JavaScript's options come together")]
pub(crate) use reader::How;
pub use reader::{AllPartitions, PartitionReader};
pub use stream::EventStream;
