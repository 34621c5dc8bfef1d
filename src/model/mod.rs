//! Domain words: pure values without clock, I/O or tasks.

pub mod auto_checkpoint;
pub mod balance;
pub mod checkpoint;
pub mod connection_string;
mod encoding;
pub mod moment;
pub mod partition;
pub mod position;
pub mod publishing;
pub mod retry;
pub mod sas;
pub mod value;
