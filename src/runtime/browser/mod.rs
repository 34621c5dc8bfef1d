//! The browser's platform, which is every JavaScript platform's: pages, workers, Node, Deno, Bun.

mod clock;
mod dial;
mod socket;
mod yielding;

use std::fmt;
use std::future::Future;

pub(crate) use clock::{Timer, now, unix_now};
pub(crate) use dial::{Constructor, SEES_STEPS, Trust, dial, probe};
pub(crate) use futures::future::LocalBoxFuture as BoxFuture;
pub(crate) use socket::{Socket, SocketError, broken};
pub(crate) use yielding::give_way;

use wasm_bindgen::prelude::wasm_bindgen;

/// A task could not be started. There is always an event loop here, so this never is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoRuntime {}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
}

/// Starts a task that nobody waits for.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) -> Result<(), NoRuntime> {
    wasm_bindgen_futures::spawn_local(task);
    Ok(())
}

/// Unpredictable bytes, for names that must not clash and for jitter.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    get_random_values(&mut bytes);
    bytes
}

impl fmt::Display for NoRuntime {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
