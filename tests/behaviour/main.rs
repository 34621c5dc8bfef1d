//! What users can rely on, through the public interface, against an emulator per test over real sockets: natively,
//! and as WebAssembly in Node and in Chromium (`cargo xtask test wasm`), where `test_host` lends the emulators.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod authorization;
mod bad_input;
#[path = "../harness/mod.rs"]
mod harness;
mod management;
#[cfg(not(target_arch = "wasm32"))]
mod native_only;
mod ownership;
mod peer;
mod receiving;
mod recovery;
mod sending;
mod service;
mod support;

// In Chromium, or in Node when that alone is asked for.
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
