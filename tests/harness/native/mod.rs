//! Tests on tokio.

mod sockets;

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use sockets::{Listener, Speaks, Stream};
/// The attribute of every test.
pub(crate) use tokio::test;
pub(crate) use tokio::time::sleep;

pub(crate) const IS_WASM: bool = false;

/// Whether this is a page of a browser, which is told less than others.
pub(crate) fn is_page() -> bool {
    false
}

/// Time that passes, since some moment.
pub(crate) fn clock() -> Duration {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}

/// The calendar's time, since 1970.
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Runs beside the test; the value that it ends with can be awaited.
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let task = tokio::spawn(task);
    async move { task.await.unwrap() }
}
