//! The boundary to JavaScript: converts and forwards, decides nothing.
//!
//! What is exported here is private to the npm package, whose TypeScript (in `pkg-template`) is the API. Events cross in
//! batches, in one piece of memory with a table of where each lies; nothing crosses per event, nor per property. What has a structure
//! of its own crosses encoded as AMQP has it: the engine reads that anyway, and TypeScript for a third of the code.

mod cancel;
mod client;
mod consumer;
mod error;
mod given;
mod list;
mod pack;
mod place;
mod producer;
mod settings;
mod status;
mod tokens;

pub use cancel::{cancel, under_way};
pub use client::Hub;
pub use consumer::Stream;
pub use place::{partition_for, sas_token};
pub use producer::Batch;
pub use status::Statuses;
