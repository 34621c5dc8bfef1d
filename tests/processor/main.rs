//! What a group of processors can rely on, through the public interface, against an emulator per test and stores that fail.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod control;
mod group;
mod handlers;
#[path = "../harness/mod.rs"]
mod harness;
mod losses;
#[path = "../behaviour/service/mod.rs"]
#[allow(unused_imports)]
mod service;
mod sharing;
mod standing_still;
mod starting;
mod store_faults;
mod stores;
#[path = "../behaviour/support.rs"]
#[allow(dead_code, unused_imports)]
mod support;
