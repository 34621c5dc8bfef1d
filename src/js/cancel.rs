//! Giving up on a call.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

use futures::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::thrown;
use crate::error::Error;

thread_local! {
    /// By ticket, and what wakes the call. The facade counts tickets upwards, so new ones come last.
    static UNDER_WAY: RefCell<Vec<(u32, Option<Waker>)>> = const { RefCell::new(Vec::new()) };
}

/// Gives up on the call with this ticket, if it is under way: its promise is rejected with `undefined`, and what it was doing
/// is dropped, as the documentation of the native client says.
#[wasm_bindgen]
pub fn cancel(ticket: u32) {
    if let Some(waker) = forget(ticket) {
        waker.wake();
    }
}

/// How many calls that have a ticket are under way.
#[wasm_bindgen(js_name = underWay)]
pub fn under_way() -> usize {
    UNDER_WAY.with_borrow(Vec::len)
}

/// Runs `work`, until it is done or given up on. Ticket 0: nobody will give up on it.
pub(super) fn promise(ticket: u32, work: impl Future<Output = Result<JsValue, Error>> + 'static) -> Promise {
    start(ticket, Box::pin(work))
}

/// Boxed, so that the machinery of a promise is there once and not for every call.
fn start(ticket: u32, mut work: LocalBoxFuture<'static, Result<JsValue, Error>>) -> Promise {
    if ticket != 0 {
        UNDER_WAY.with_borrow_mut(|calls| match calls.binary_search_by_key(&ticket, |call| call.0) {
            Ok(at) | Err(at) => calls.insert(at, (ticket, None)),
        });
    }
    wasm_bindgen_futures::future_to_promise(poll_fn(move |cx| {
        if ticket != 0 && !keep(ticket, cx.waker()) {
            return Poll::Ready(Err(JsValue::UNDEFINED));
        }
        let done = work.as_mut().poll(cx);
        if done.is_ready() {
            forget(ticket);
        }
        done.map_err(|error| thrown(&error))
    }))
}

/// Remembers what wakes a call; whether it is still wanted.
fn keep(ticket: u32, waker: &Waker) -> bool {
    UNDER_WAY.with_borrow_mut(|calls| {
        let Ok(at) = calls.binary_search_by_key(&ticket, |call| call.0) else { return false };
        calls[at].1 = Some(waker.clone());
        true
    })
}

fn forget(ticket: u32) -> Option<Waker> {
    UNDER_WAY.with_borrow_mut(|calls| {
        let at = calls.binary_search_by_key(&ticket, |call| call.0).ok()?;
        calls.remove(at).1
    })
}
