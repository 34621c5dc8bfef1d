//! The native platform: tokio, rustls, tungstenite.

mod clock;
mod dial;
#[cfg(feature = "blob")]
mod http;
mod socket;
mod stream;
#[cfg_attr(not(feature = "rustls"), path = "no_tls.rs")]
mod tls;
mod websocket;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::task::Context;

use crate::error::Error;

pub(crate) use clock::{Timer, now, unix_now};
pub(crate) use dial::{SEES_STEPS, dial, probe};
pub(crate) use futures::future::BoxFuture;
#[cfg(feature = "blob")]
pub(crate) use http::{HttpAnswer, HttpClient, HttpRequest, HttpServer};
pub(crate) use socket::Socket;
pub(crate) use std::io::Error as SocketError;
pub(crate) use tls::Trust;

/// A task was to be started outside a tokio runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRuntime;

/// Starts a task that nobody waits for.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<(), NoRuntime> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| NoRuntime)?;
    runtime.spawn(task);
    Ok(())
}

/// Does what blocks its thread where no task waits behind it; `None` when it panicked or the runtime ends. It is done
/// even when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, NoRuntime> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| NoRuntime)?;
    Ok(runtime.spawn_blocking(work).await.ok())
}

/// The error for people of a socket that broke, made by who knows what the errors of a system mean.
pub(crate) fn broken(error: SocketError, of_system: fn(std::io::Error, bool) -> Error) -> Error {
    of_system(error, false)
}

/// Wakes the task again after the runtime's other tasks got their turn.
pub(crate) fn give_way(cx: &Context<'_>) {
    cx.waker().wake_by_ref();
}

/// Unpredictable bytes, for names that must not clash and for jitter.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        // No entropy device; the hasher's seed is still good enough for names and jitter.
        for chunk in bytes.chunks_mut(8) {
            let word = RandomState::new().build_hasher().finish().to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
    bytes
}

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "there is no tokio runtime here; call this from within one, for example under #[tokio::main]",
        )
    }
}
