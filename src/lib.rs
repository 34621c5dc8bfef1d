//! Azure Event Hubs from one Rust core.

pub mod amqp;
pub mod model;
