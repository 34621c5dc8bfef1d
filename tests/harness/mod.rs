//! What tests need besides the crate, wherever they run: natively on tokio, or as WebAssembly in Node and in
//! Chromium. Both faces have the same names, so that a test is written once.
//!
//! WebAssembly can neither listen nor start an emulator: it asks `test_host` (in `host/`), a native program beside
//! it, which has the native face and lends it by WebSocket. What a script does with a socket is done in the test on
//! both platforms; only the socket is the host's.

#![allow(dead_code, unused_imports, reason = "no user of this needs all of it")]

#[cfg(not(target_arch = "wasm32"))]
#[path = "native/mod.rs"]
mod face;
#[cfg(target_arch = "wasm32")]
#[path = "wasm/mod.rs"]
mod face;

use std::future::Future;
use std::time::Duration;

#[cfg(target_arch = "wasm32")]
pub(crate) use face::Line;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use face::Speaks;
pub(crate) use face::{IS_WASM, Listener, Stream, clock, is_page, note, sleep, spawn, test, unix_now};

/// What carries AMQP to a listener made with [`Listener::amqp`].
pub(crate) const SCHEME: &str = if IS_WASM { "ws" } else { "amqp" };
/// Nothing in a test takes this long, unless it hangs.
const LONGEST: Duration = Duration::from_secs(if IS_WASM { 60 } else { 20 });

/// Nothing here may hang.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    within(LONGEST, what).await.expect("it takes too long")
}

/// What comes of it in this time, if anything.
pub(crate) async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> Option<T> {
    use futures::future::{Either, select};
    match select(Box::pin(what), Box::pin(sleep(limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
