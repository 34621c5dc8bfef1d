//! Sending events.

mod batch;
mod client;
mod send_all;

pub use batch::{BatchOptions, EventBatch};
pub use client::{ProducerClient, SendOptions};
