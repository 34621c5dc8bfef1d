//! What there is to know about hubs and partitions.

use js_sys::{Array, Object};
use wasm_bindgen::JsValue;

use super::convert::date;
use super::error::set;
use crate::dialect::management::{HubProperties, PartitionProperties};
use crate::dialect::received::LastEnqueued;

pub(super) fn hub(properties: &HubProperties) -> JsValue {
    let object = Object::new();
    set(&object, "name", properties.name.as_str());
    set(&object, "createdAt", date(properties.created_at));
    let ids: Array = properties.partition_ids.iter().map(|id| JsValue::from(id.as_str())).collect();
    set(&object, "partitionIds", ids);
    set(&object, "georeplicationFactor", properties.georeplication_factor);
    object.into()
}

pub(super) fn partition(properties: &PartitionProperties) -> JsValue {
    let object = Object::new();
    set(&object, "eventHub", properties.hub.as_str());
    set(&object, "partitionId", properties.partition_id.as_str());
    set(&object, "beginSequenceNumber", properties.begin_sequence_number as f64);
    set(&object, "lastEnqueuedSequenceNumber", properties.last_enqueued_sequence_number as f64);
    set(&object, "lastEnqueuedOffset", properties.last_enqueued_offset.as_str());
    set(&object, "lastEnqueuedTime", properties.last_enqueued_time.map_or(JsValue::UNDEFINED, date));
    set(&object, "isEmpty", properties.is_empty);
    object.into()
}

pub(super) fn last_enqueued(last: Option<&LastEnqueued>) -> JsValue {
    let Some(last) = last else { return JsValue::UNDEFINED };
    let object = Object::new();
    set(&object, "sequenceNumber", last.sequence_number as f64);
    set(&object, "offset", last.offset.as_str());
    set(&object, "enqueuedTime", date(last.enqueued_time));
    set(&object, "retrievedAt", date(last.retrieved_at));
    object.into()
}
