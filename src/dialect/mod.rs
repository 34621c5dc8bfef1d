//! What Event Hubs says over AMQP, for both sides: addresses, annotations, positions, claims, management
//! and events. Pure: messages are bytes, and nobody waits.

pub mod address;
pub mod annotations;
#[cfg(test)]
mod arbitrary;
pub mod cbs;
pub mod codec;
pub mod conditions;
mod entries;
pub mod event;
mod head;
pub mod management;
pub mod received;
pub mod rpc;
pub mod selector;
