//! Stores of one machine.

mod file;
mod threads;

pub use file::FileStore;
