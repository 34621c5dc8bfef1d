//! Many events in one piece of memory.

use bytes::Bytes;
use js_sys::{Array, Float64Array, Uint8Array};
use wasm_bindgen::JsValue;

use super::error::invalid;
use super::event::event;
use crate::dialect::event::EventData;
use crate::dialect::received::ReceivedEvent;
use crate::error::Error;

/// Numbers in the table per received event: where it starts and ends; where its body starts and ends, or twice -1 when it
/// has to be decoded; where the offset and the partition key start and end, the latter twice -1 when there is none;
/// sequence number; enqueued time; the place of its partition among the stream's partitions.
const COLUMNS: usize = 11;

/// Received events: `[bytes, table]`. `partition_ids` are the stream's.
pub(super) fn received(events: &[ReceivedEvent], partition_ids: &[String]) -> JsValue {
    let total: usize = events.iter().map(|event| event.raw().len()).sum();
    let mut bytes = Vec::with_capacity(total);
    let mut table = Vec::with_capacity(events.len() * COLUMNS);
    let mut partition = 0;
    for event in events {
        // Events come in runs of one partition: it is looked for where a run begins, not for each of them.
        let id = event.partition_id();
        if partition_ids.get(partition).is_none_or(|known| known != id) {
            partition = partition_ids.iter().position(|known| known == id).unwrap_or_default();
        }
        let start = bytes.len();
        bytes.extend_from_slice(event.raw());
        let layout = event.layout();
        let at = |place: usize| (start + place) as f64;
        let span = |span: Option<(usize, usize)>| span.map_or([-1.0, -1.0], |(from, to)| [at(from), at(to)]);
        table.extend([at(0), bytes.len() as f64]);
        table.extend(span(layout.body));
        table.extend(span(Some(layout.offset)));
        table.extend(span(layout.partition_key));
        table.extend([
            event.sequence_number() as f64,
            event.enqueued_time().as_millis() as f64,
            partition as f64,
        ]);
    }
    Array::of2(&Uint8Array::new_from_slice(&bytes), &Float64Array::new_from_slice(&table)).into()
}

/// Events to send: `ends` says where each body ends in `bytes`, `metas` has what else there is to
/// each, or is undefined where there is nothing to any.
///
/// # Errors
/// Saying which event cannot be sent.
pub(super) fn to_send(bytes: Vec<u8>, ends: &[u32], metas: Option<&Array>) -> Result<Vec<EventData>, Error> {
    let bytes = Bytes::from(bytes);
    let mut start = 0;
    let mut events = Vec::with_capacity(ends.len());
    for (index, end) in ends.iter().enumerate() {
        let end = *end as usize;
        if end < start || end > bytes.len() {
            return Err(invalid("the events do not lie in the bytes"));
        }
        let meta = metas.map_or(JsValue::UNDEFINED, |metas| metas.get(index as u32));
        let made = event(bytes.slice(start..end), &meta);
        events.push(made.map_err(|error| error.with_event_index(index))?);
        start = end;
    }
    Ok(events)
}
