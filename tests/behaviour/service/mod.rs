//! An emulator for a test, and a wire to it that can be cut: in this process, or lent by `test_host`.

#![allow(dead_code, reason = "natively nothing is asked for in writing, in the host nothing is left out")]

#[cfg(not(target_arch = "wasm32"))]
#[path = "native.rs"]
mod face;
#[cfg(target_arch = "wasm32")]
#[path = "wasm.rs"]
mod face;
#[cfg(not(target_arch = "wasm32"))]
mod proxy;
mod wanted;

pub(crate) use face::{Proxy, Service};
pub(crate) use wanted::Wanted;
