//! The behaviour suite, and what the runtime promises, as WebAssembly: one program, because linking takes long.

#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../behaviour/authorization.rs"]
mod authorization;
#[path = "../../behaviour/bad_input.rs"]
mod bad_input;
#[path = "../../behaviour/buffered.rs"]
mod buffered;
#[path = "../../behaviour/diagnosis.rs"]
mod diagnosis;
#[path = "../../behaviour/faults.rs"]
mod faults;
#[path = "../../harness/mod.rs"]
mod harness;
#[path = "../../behaviour/idempotent.rs"]
mod idempotent;
#[path = "../../behaviour/management.rs"]
mod management;
#[path = "../../behaviour/outcomes/mod.rs"]
mod outcomes;
#[path = "../../behaviour/ownership.rs"]
mod ownership;
#[path = "../../behaviour/peer.rs"]
mod peer;
#[path = "../../behaviour/receiving.rs"]
mod receiving;
#[path = "../../behaviour/recovery/mod.rs"]
mod recovery;
// The crate keeps it to itself, so the tests take its source.
#[allow(dead_code, unused_imports)]
#[path = "../../../src/runtime/mod.rs"]
mod runtime;
#[path = "../../behaviour/sending.rs"]
mod sending;
#[path = "../../behaviour/service/mod.rs"]
mod service;
#[path = "../../behaviour/status.rs"]
mod status;
#[path = "../../behaviour/support.rs"]
mod support;

// What the runtime stands on.
use eventhubs::{error, model};
