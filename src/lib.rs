//! Azure Event Hubs from one Rust core.

pub mod amqp;
#[cfg(feature = "emulator")]
pub mod broker;
pub mod model;
