//! How far idempotent producers have come, in JavaScript.

use js_sys::{Array, BigInt, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use super::error::invalid;
use super::options::Options;
use crate::error::Error;
use crate::model::publishing::PublishingState;

/// A state as an object.
pub(super) fn shown(state: PublishingState) -> JsValue {
    let object = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&object, &name.into(), &value).is_ok();
    set("producerId", BigInt::from(state.producer_id).into());
    set("epoch", state.epoch.into());
    set("sequenceNumber", state.sequence_number.into());
    object.into()
}

/// The state that an object is.
pub(super) fn read(object: &Options) -> Result<PublishingState, Error> {
    let id = object.value("producerId").and_then(|id| i64::try_from(id.dyn_into::<BigInt>().ok()?).ok());
    match (id, object.number("epoch"), object.number("sequenceNumber")) {
        (Some(producer_id), Some(epoch), Some(number)) => {
            Ok(PublishingState { producer_id, epoch: epoch as i16, sequence_number: number as i32 })
        }
        _ => Err(invalid("a publishing state has producerId (a bigint), epoch and sequenceNumber")),
    }
}

/// States by partition.
pub(super) fn read_all(states: JsValue) -> Result<Vec<(String, PublishingState)>, Error> {
    let entries = Object::entries(states.unchecked_ref());
    let entry = |entry: JsValue| {
        let entry = Array::from(&entry);
        Ok((entry.get(0).as_string().unwrap_or_default(), read(&Options(entry.get(1)))?))
    };
    entries.iter().map(entry).collect()
}
