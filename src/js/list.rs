//! What crosses into JavaScript, as lists whose fields the facade has the names of: a list costs a page less than an object of each
//! kind.

use std::time::Duration;

use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::dialect::management::{HubProperties, PartitionProperties};
use crate::dialect::received::LastEnqueued;
use crate::model::publishing::PublishingState;
use crate::model::value::Timestamp;

pub(super) fn list(fields: &[JsValue]) -> JsValue {
    let list = Array::new();
    for field in fields {
        list.push(field);
    }
    list.into()
}

pub(super) fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> JsValue {
    let list = Array::new();
    for text in texts {
        list.push(&text.into());
    }
    list.into()
}

pub(super) fn millis(time: Timestamp) -> f64 {
    time.as_millis() as f64
}

pub(super) fn length(delay: Duration) -> f64 {
    delay.as_secs_f64() * 1000.0
}

/// Name, creation, partitions, regions.
pub(super) fn hub(properties: &HubProperties) -> JsValue {
    list(&[
        properties.name.as_str().into(),
        millis(properties.created_at).into(),
        texts(properties.partition_ids.iter().map(String::as_str)),
        properties.georeplication_factor.into(),
    ])
}

/// Hub, id, first and last sequence number, last offset, last time, whether it is empty.
pub(super) fn partition(properties: &PartitionProperties) -> JsValue {
    list(&[
        properties.hub.as_str().into(),
        properties.partition_id.as_str().into(),
        (properties.begin_sequence_number as f64).into(),
        (properties.last_enqueued_sequence_number as f64).into(),
        properties.last_enqueued_offset.as_str().into(),
        properties.last_enqueued_time.map(millis).into(),
        properties.is_empty.into(),
    ])
}

/// Sequence number, offset, time, when the service looked.
pub(super) fn last_enqueued(last: &LastEnqueued) -> JsValue {
    list(&[
        (last.sequence_number as f64).into(),
        last.offset.as_str().into(),
        millis(last.enqueued_time).into(),
        millis(last.retrieved_at).into(),
    ])
}

/// Producer, epoch, number.
pub(super) fn publishing(state: PublishingState) -> JsValue {
    list(&[state.producer_id.into(), state.epoch.into(), state.sequence_number.into()])
}
