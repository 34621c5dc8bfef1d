//! What users can rely on, through the public interface, against an emulator per test over real sockets.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod authorization;
mod bad_input;
mod management;
mod ownership;
mod peer;
mod proxy;
mod receiving;
mod recovery;
mod sending;
mod support;
