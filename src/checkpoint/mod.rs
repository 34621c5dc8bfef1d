//! Where a consumer group remembers how far it has read and who reads what: the [`CheckpointStore`] trait, and stores
//! that implement it.
//!
//! | store | for | shared by |
//! |--|--|--|
//! | [`MemoryStore`] | tests, and readers that start anew each time | the tasks of one process |
//! | `FileStore` | one machine | processes that see the same directory |
//! | `SqliteStore` (feature `sqlite`) | one machine, one file | processes that see the same file |
//! | `BlobStore` (feature `blob`) | many machines | everybody, the official clients of other languages included |
//!
//! A store of one's own implements the four methods of the trait; [`contract::check`] tells whether it keeps what a
//! group relies on.

pub mod contract;
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod rules;
mod store;

pub use memory::MemoryStore;
#[cfg(not(target_arch = "wasm32"))]
pub use native::*;
pub use store::{CheckpointStore, RecordFailure, Records};

pub use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
