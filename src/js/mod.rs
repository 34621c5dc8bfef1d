//! The boundary to JavaScript: converts and forwards, decides nothing.
//!
//! What is exported here is private to the npm package, whose TypeScript (in `pkg-template`) is the API. Events cross in
//! batches, in one piece of memory with a table of where each lies; nothing crosses per event, nor per property.

mod cancel;
mod consumer;
mod convert;
mod decode;
mod error;
mod event;
mod options;
mod pack;
mod place;
mod producer;
mod properties;
mod publishing;
mod settings;
mod status;
mod tokens;

pub use cancel::{cancel, under_way};
pub use consumer::{Consumer, Stream};
pub use decode::decode;
pub use place::{partition_for, sas_token};
pub use producer::{Batch, Producer};
pub use status::Statuses;
