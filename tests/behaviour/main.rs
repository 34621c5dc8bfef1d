//! What users can rely on, through the public interface, against an emulator per test over real sockets: natively,
//! and as WebAssembly in Node and in Chromium (`cargo xtask test wasm`), where `test_host` lends the emulators.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod authorization;
mod bad_input;
mod buffered;
mod diagnosis;
mod faults;
#[path = "../harness/mod.rs"]
mod harness;
mod idempotent;
mod management;
mod native_only;
mod outcomes;
mod ownership;
mod peer;
mod receiving;
mod recovery;
mod sending;
mod service;
mod status;
mod support;
