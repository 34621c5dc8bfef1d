//! An AMQP 1.0 protocol engine that does no I/O: bytes in, events and bytes out.
//!
//! [`Connection`] owns no socket, no clock and no task. Its driver feeds it what arrived
//! ([`Connection::feed`]), takes what happened ([`Connection::poll_event`]), gives commands, and
//! writes what has to go out ([`Connection::poll_output`]). Client and server are two roles of the
//! same type, so the client and the emulator are driven by the same code.

mod commands;
mod config;
pub mod connection;
pub mod decode;
pub mod encode;
mod frame;
mod incoming;
mod link;
pub mod message;
pub mod performatives;
#[cfg(test)]
mod properties;
mod session;
#[cfg(test)]
mod tests;
pub mod types;

pub use config::{Config, Limits};
pub use connection::Connection;
pub use performatives::{Attach, Open, Source, Target};
pub use types::{
    AmqpError, CloseReason, Delivery, EngineError, Event, LinkId, Outcome, Outgoing, Role, SaslProfile,
    SaslResponse, SessionId,
};
