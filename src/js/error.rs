//! Errors, as the facade makes its own of them.

use wasm_bindgen::JsValue;

use super::list::{length, list};
use crate::error::{Error, ErrorKind};

/// Code, text, whether it is retryable, attempts, operation, entity, condition, tracking id, an event's index, whether it may have
/// been stored, how long the service asked to wait, when it said so.
pub(super) fn thrown(error: &Error) -> JsValue {
    list(&[
        error.code().into(),
        error.message().into(),
        error.is_transient().into(),
        error.attempts().into(),
        error.operation().into(),
        error.entity().into(),
        error.condition().into(),
        error.tracking_id().into(),
        error.event_index().map(|index| index as f64).into(),
        error.outcome_unknown().into(),
        error.retry_after().map(length).into(),
        error.said_at().into(),
    ])
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
