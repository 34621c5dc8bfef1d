//! What there is to know about hubs and partitions, and what else producers and consumers have in common.

use js_sys::{Object, Promise};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};

use super::cancel::promise;
use super::convert::date;
use super::error::set;
use crate::client::Client;
use crate::dialect::management::{HubProperties, PartitionProperties};
use crate::dialect::received::LastEnqueued;

/// Asks for the properties of the hub.
pub(super) fn of_hub(client: &Client, ticket: u32) -> Promise {
    let client = client.clone();
    promise(ticket, async move { Ok(hub(&client.hub_properties().await?)) })
}

/// Asks for the properties of a partition.
pub(super) fn of_partition(client: &Client, partition_id: String, ticket: u32) -> Promise {
    let client = client.clone();
    promise(ticket, async move { Ok(partition(&client.partition_properties(&partition_id).await?)) })
}

/// Closes the connection.
pub(super) fn close(client: &Client) -> Promise {
    let client = client.clone();
    promise(0, async move {
        client.close().await;
        Ok(JsValue::UNDEFINED)
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hub<'a> {
    name: &'a str,
    partition_ids: &'a [String],
    georeplication_factor: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partition<'a> {
    event_hub: &'a str,
    partition_id: &'a str,
    begin_sequence_number: f64,
    last_enqueued_sequence_number: f64,
    last_enqueued_offset: &'a str,
    is_empty: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Last<'a> {
    sequence_number: f64,
    offset: &'a str,
}

fn hub(properties: &HubProperties) -> JsValue {
    let hub = Hub {
        name: &properties.name,
        partition_ids: &properties.partition_ids,
        georeplication_factor: properties.georeplication_factor,
    };
    let object = object(&hub);
    set(&object, "createdAt", date(properties.created_at));
    object.into()
}

fn partition(properties: &PartitionProperties) -> JsValue {
    let partition = Partition {
        event_hub: &properties.hub,
        partition_id: &properties.partition_id,
        begin_sequence_number: properties.begin_sequence_number as f64,
        last_enqueued_sequence_number: properties.last_enqueued_sequence_number as f64,
        last_enqueued_offset: &properties.last_enqueued_offset,
        is_empty: properties.is_empty,
    };
    let object = object(&partition);
    set(&object, "lastEnqueuedTime", properties.last_enqueued_time.map_or(JsValue::UNDEFINED, date));
    object.into()
}

pub(super) fn last_enqueued(last: Option<&LastEnqueued>) -> JsValue {
    let Some(last) = last else { return JsValue::UNDEFINED };
    let object = object(&Last { sequence_number: last.sequence_number as f64, offset: &last.offset });
    set(&object, "enqueuedTime", date(last.enqueued_time));
    set(&object, "retrievedAt", date(last.retrieved_at));
    object.into()
}

/// An object of what can be said in serde's terms, which know no `Date`.
fn object(properties: &impl Serialize) -> Object {
    serde_wasm_bindgen::to_value(properties).unwrap_or_default().unchecked_into()
}
