//! What users can rely on, through the public interface, against an emulator per test over real sockets.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod management;
mod receiving;
mod sending;
mod support;
