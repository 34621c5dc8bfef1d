//! Our client and our emulator beside engines that share no code with ours. The suites of the official SDKs
//! themselves are in `python` and `js`.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[cfg(feature = "blob")]
mod blob_store;
mod crossing;
mod fe2o3_client;
mod fe2o3_server;
mod from_javascript;
mod from_python;
#[cfg(feature = "blob")]
mod group;
mod meeting_fe2o3;
mod rhea;
mod support;
mod to_sdks;
