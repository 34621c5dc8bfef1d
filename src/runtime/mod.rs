//! The only room that knows the platform: tasks, clocks, randomness and sockets.
//!
//! Everything above says `crate::runtime::…` and is written once; what stands behind the names is
//! chosen here and nowhere else.

#[cfg(target_arch = "wasm32")]
#[path = "browser/mod.rs"]
mod platform;
#[cfg(not(target_arch = "wasm32"))]
#[cfg_attr(not(feature = "simulation"), path = "native/mod.rs")]
#[cfg_attr(feature = "simulation", path = "simulated/mod.rs")]
mod platform;

mod deadline;
mod endpoint;

#[allow(unused_imports, reason = "not every face waits for others")]
pub(crate) use deadline::within;
pub(crate) use endpoint::{DialError, Endpoint, Framing, Security};
#[cfg(target_arch = "wasm32")]
#[allow(unused_imports, reason = "JavaScript's options name it, the emulator's bindings do not")]
pub(crate) use platform::Constructor;
pub(crate) use platform::{
    BoxFuture, NoRuntime, SEES_STEPS, Socket, SocketError, Timer, Trust, broken, dial, give_way, now, probe,
    random_bytes, spawn, unix_now,
};

/// What only a machine of one's own has.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use platform::blocking;
/// What a simulation is made with; see `crate::simulation`.
#[cfg(feature = "simulation")]
pub(crate) use platform::world;
#[cfg(all(feature = "blob", not(target_arch = "wasm32")))]
pub(crate) use platform::{HttpAnswer, HttpClient, HttpRequest, HttpServer};

#[cfg(test)]
mod conformance;
