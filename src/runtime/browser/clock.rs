//! Clocks and timers.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};

use crate::model::moment::Moment;
use crate::model::value::Timestamp;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    /// A number in browsers, an object in Node.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Closure<dyn FnMut()>, millis: i32) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timeout: &JsValue);
}

/// The present on the monotonic clock.
pub(crate) fn now() -> Moment {
    Moment::from_nanos((performance_now() * 1e6) as u64)
}

/// The present on the wall clock.
pub(crate) fn unix_now() -> Timestamp {
    Timestamp::from_millis(js_sys::Date::now() as i64)
}

/// Wakes its task at a moment that may change all the time.
#[derive(Default)]
pub(crate) struct Timer {
    /// Made when first needed, used for every timeout.
    callback: Option<Closure<dyn FnMut()>>,
    /// Taken by the callback.
    waker: Rc<Cell<Option<Waker>>>,
    armed: Option<Armed>,
}

struct Armed {
    timeout: JsValue,
    until: Moment,
}

impl Timer {
    /// Ready when `deadline` has passed. A timer that is set to an earlier moment than asked for is
    /// left alone, since moving it costs more than a wake in vain.
    pub(crate) fn poll_until(&mut self, deadline: Moment, cx: &mut Context<'_>) -> Poll<()> {
        let present = now();
        if present >= deadline {
            return Poll::Ready(());
        }
        // The callback takes the waker: where there is none the timeout is over, be it before its time, for Node counts whole
        // milliseconds on a clock of its own.
        let is_under_way = self.waker.replace(Some(cx.waker().clone())).is_some();
        if is_under_way && self.armed.as_ref().is_some_and(|armed| armed.until <= deadline) {
            return Poll::Pending;
        }
        self.disarm();
        let waker = self.waker.clone();
        let callback = self.callback.get_or_insert_with(|| {
            Closure::new(move || {
                if let Some(waker) = waker.take() {
                    waker.wake();
                }
            })
        });
        let timeout = set_timeout(callback, millis(deadline.saturating_since(present)));
        self.armed = Some(Armed { timeout, until: deadline });
        Poll::Pending
    }

    fn disarm(&mut self) {
        if let Some(armed) = self.armed.take() {
            clear_timeout(&armed.timeout);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// Rounded up, so that a timeout never ends early. What does not fit in a timeout's 31 bits, some 24 days, is waited for in
/// pieces: a timeout that is too long fires at once.
fn millis(delay: Duration) -> i32 {
    const LONGEST: Duration = Duration::from_millis(i32::MAX as u64 - 1);
    (delay.min(LONGEST).as_micros().div_ceil(1000)) as i32
}
