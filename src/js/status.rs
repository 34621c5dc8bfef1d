//! How a client is doing.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use futures::Stream;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::error::thrown;
use super::list::{length, list, millis};
use crate::client::{Client, Status, StatusStream};
use crate::model::position::{Anchor, StartPosition};

/// What happens to a client, from now on.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Statuses(Rc<RefCell<StatusStream>>);

#[wasm_bindgen]
impl Statuses {
    /// Resolves to the next status, see [`fields`]; to undefined when the client was closed. One call at a time.
    pub fn next(&self, ticket: u32) -> Promise {
        let statuses = self.0.clone();
        promise(ticket, async move {
            let next = poll_fn(|cx| Pin::new(&mut *statuses.borrow_mut()).poll_next(cx)).await;
            Ok(next.as_ref().map_or(JsValue::UNDEFINED, fields))
        })
    }

    /// How many there was no room for.
    #[wasm_bindgen(getter)]
    pub fn missed(&self) -> f64 {
        self.0.borrow().missed() as f64
    }
}

/// Begins with how things are.
pub(super) fn of(client: &Client) -> Statuses {
    Statuses(Rc::new(RefCell::new(client.status())))
}

/// State, since, the last error, links that are live, wanted and failing, the first token's expiry, whether all is well.
pub(super) fn health(client: &Client) -> JsValue {
    let health = client.health();
    list(&[
        fields(&health.state),
        millis(health.since).into(),
        health.last_error.as_ref().map(thrown).into(),
        health.links_live.into(),
        health.links_wanted.into(),
        health.links_failing.into(),
        health.token_expires_at.map(millis).into(),
        health.is_healthy.into(),
    ])
}

/// Code, name (of an entity, an audience or a partition), attempt, milliseconds (a delay or a time), cause, position.
fn fields(status: &Status) -> JsValue {
    let (mut name, mut attempt, mut time, mut place) = (None, None, None, JsValue::UNDEFINED);
    match status {
        Status::Connected | Status::Disconnected { .. } | Status::Closed => {}
        Status::Connecting { attempt: count } => attempt = Some(*count),
        Status::Reconnecting { attempt: count, delay, .. } => {
            attempt = Some(*count);
            time = Some(length(*delay));
        }
        Status::Detached { entity, .. } | Status::Attached { entity } => name = Some(entity),
        Status::Throttled { entity, delay } => {
            name = Some(entity);
            time = Some(length(*delay));
        }
        Status::TokenRefreshed { audience, expires_at } => {
            name = Some(audience);
            time = Some(millis(*expires_at));
        }
        Status::TokenRefreshFailed { audience, retry_in, .. } => {
            name = Some(audience);
            time = retry_in.map(length);
        }
        Status::Stalled { partition } => name = Some(partition),
        Status::Resumed { partition, position: from } => {
            name = Some(partition);
            place = position(from);
        }
    }
    let cause = status.cause().map(thrown);
    list(&[status.code().into(), name.into(), attempt.into(), time.into(), cause.into(), place])
}

/// Offset, sequence number, time (one of them), whether it is inclusive; as [`super::consumer`] reads them.
fn position(from: &StartPosition) -> JsValue {
    let (mut offset, mut number, mut time) = (None, None, None);
    match from.anchor() {
        Anchor::Earliest => offset = Some("-1"),
        Anchor::Latest => offset = Some("@latest"),
        Anchor::Offset(text) => offset = Some(text.as_str()),
        Anchor::SequenceNumber(sequence) => number = Some(*sequence as f64),
        Anchor::EnqueuedTime(enqueued) => time = Some(millis(*enqueued)),
    }
    list(&[offset.into(), number.into(), time.into(), from.is_inclusive().into()])
}
