//! Events that are gathered in the background, and sent in batches.
//!
//! Each partition has a [`buffer`] (pure), and a [`lane`] that sends what the buffer gives out, in order. Whoever enqueues encodes
//! its event by itself and takes the buffer's lock to copy the bytes into the batch that is being filled; a batch's
//! [`receipt`]s are one allocation.
//!
//! A lane sends one batch at a time, because a batch that the service gives back would otherwise be stored behind the ones that
//! followed it. An idempotent producer's batches are numbered, the service takes them in no other order, so there several
//! may be on their way.

mod buffer;
mod client;
mod lane;
mod options;
mod outcomes;
mod receipt;

pub use client::BufferedProducerClient;
pub use options::{BufferedOptions, EnqueueOptions};
pub use outcomes::{SendOutcome, SendOutcomes};
pub use receipt::Receipt;
