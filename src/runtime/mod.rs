//! The only room that knows the platform: tasks, clocks, randomness and sockets.
//!
//! Everything above says `crate::runtime::…` and is written once; what stands behind the names is
//! chosen here and nowhere else.

mod endpoint;
#[cfg(not(target_arch = "wasm32"))]
mod native;

pub(crate) use endpoint::{DialError, Endpoint, Framing, Security};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{
    BoxFuture, NoRuntime, Socket, Timer, Trust, dial, now, random_bytes, spawn, unix_now,
};
