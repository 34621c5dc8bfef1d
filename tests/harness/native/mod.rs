//! Tests on tokio.

mod sockets;

use std::fs::File;
use std::future::Future;
use std::io::Write;
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

/// Adds a line to the file that collects what tests have to say, where there is one.
#[allow(clippy::unused_async, reason = "elsewhere the host is asked to")]
pub(crate) async fn note(line: &str) {
    if let Some(path) = std::env::var_os("EVENTHUBS_TEST_NOTES") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        // In one piece, as others write, too.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Runs beside the test; the value that it ends with can be awaited.
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let task = tokio::spawn(task);
    async move { task.await.unwrap() }
}
