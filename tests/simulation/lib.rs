//! Simulated lives of clients and a service; see `run.rs` for the program, `tests.rs` for what is promised.

pub mod group;
#[cfg(test)]
mod regressions;
mod scenario;
#[cfg(test)]
mod tests;

pub use scenario::{Figures, Outcome, run};
