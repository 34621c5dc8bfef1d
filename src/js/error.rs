//! Errors, as the facade makes its own of them.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

use crate::error::{Error, ErrorKind};

/// A plain object with everything that an error says.
pub(super) fn thrown(error: &Error) -> JsValue {
    let object = Object::new();
    set(&object, "code", error.code());
    set(&object, "message", error.to_string());
    set(&object, "retryable", error.is_transient());
    set(&object, "attempts", error.attempts());
    let texts = [
        ("operation", error.operation()),
        ("entity", error.entity()),
        ("condition", error.condition()),
        ("trackingId", error.tracking_id()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            set(&object, name, text);
        }
    }
    if error.outcome_unknown() {
        set(&object, "outcomeUnknown", true);
    }
    if let Some(delay) = error.retry_after() {
        set(&object, "retryAfterMs", delay.as_secs_f64() * 1000.0);
    }
    if let Some(index) = error.event_index() {
        set(&object, "eventIndex", index as f64);
    }
    object.into()
}

/// Sets a property of an object of our own, which never fails.
pub(super) fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    let _ = Reflect::set(object, &name.into(), &value.into());
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
