//! Domain words: pure values without clock, I/O or tasks.

pub mod moment;
pub mod value;
