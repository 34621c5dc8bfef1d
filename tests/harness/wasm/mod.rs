//! Tests in Node and in Chromium, with what `test_host` lends.

mod line;
mod sockets;

use std::future::Future;
use std::time::Duration;

pub(crate) use gloo_timers::future::sleep;
pub(crate) use line::Line;
pub(crate) use sockets::{Listener, Stream};
use wasm_bindgen::prelude::wasm_bindgen;
/// The attribute of every test.
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;

pub(crate) const IS_WASM: bool = true;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Whether this is a page of a browser, which is told less than others.
pub(crate) fn is_page() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"document".into()).unwrap()
}

/// Time that passes, since some moment.
pub(crate) fn clock() -> Duration {
    Duration::from_secs_f64(performance_now() / 1000.0)
}

/// The calendar's time, since 1970.
pub(crate) fn unix_now() -> Duration {
    Duration::from_secs_f64(js_sys::Date::now() / 1000.0)
}

/// Has the host add a line to the file that collects what tests have to say, where there is one.
pub(crate) async fn note(line: &str) {
    Line::open("/note").await.ask(line).await;
}

/// Runs beside the test; the value that it ends with can be awaited.
pub(crate) fn spawn<T: 'static>(task: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    let (ended, end) = futures::channel::oneshot::channel();
    wasm_bindgen_futures::spawn_local(async move {
        let _ = ended.send(task.await);
    });
    async move { end.await.unwrap() }
}
