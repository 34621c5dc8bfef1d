//! Giving up on a call.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;

use futures::future::{AbortHandle, Abortable};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::error::thrown;
use crate::error::Error;

thread_local! {
    /// By ticket.
    static UNDER_WAY: RefCell<HashMap<u32, AbortHandle>> = RefCell::default();
}

/// Gives up on the call with this ticket, if it is under way: its promise is rejected with `undefined`, and what it was doing
/// is dropped, as the documentation of the native client says.
#[wasm_bindgen]
pub fn cancel(ticket: u32) {
    if let Some(handle) = UNDER_WAY.with_borrow_mut(|calls| calls.remove(&ticket)) {
        handle.abort();
    }
}

/// How many calls that have a ticket are under way.
#[wasm_bindgen(js_name = underWay)]
pub fn under_way() -> usize {
    UNDER_WAY.with_borrow(HashMap::len)
}

/// Runs `work`, until it is done or given up on. Ticket 0: nobody will give up on it.
pub(super) fn promise<T>(ticket: u32, work: impl Future<Output = Result<T, Error>> + 'static) -> Promise
where
    T: Into<JsValue>,
{
    let convert = |done: Result<T, Error>| done.map(Into::into).map_err(|error| thrown(&error));
    if ticket == 0 {
        return wasm_bindgen_futures::future_to_promise(async move { convert(work.await) });
    }
    let (handle, registration) = AbortHandle::new_pair();
    UNDER_WAY.with_borrow_mut(|calls| calls.insert(ticket, handle));
    wasm_bindgen_futures::future_to_promise(async move {
        let done = Abortable::new(work, registration).await;
        UNDER_WAY.with_borrow_mut(|calls| calls.remove(&ticket));
        done.map_or(Err(JsValue::UNDEFINED), convert)
    })
}
