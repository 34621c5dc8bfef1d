//! Sending events.

mod batch;
mod buffered;
mod client;
mod send_all;

pub use batch::{BatchOptions, EventBatch};
pub use buffered::{
    BufferedOptions, BufferedProducerClient, EnqueueOptions, Receipt, SendOutcome, SendOutcomes,
};
pub use client::{ProducerClient, SendOptions};
