//! Many events in one piece of memory.

use bytes::{Buf, Bytes};
use js_sys::{Float64Array, Uint8Array};
use wasm_bindgen::JsValue;

use super::error::invalid;
use super::list::list;
use crate::dialect::codec::EncodedContent;
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
    list(&[Uint8Array::new_from_slice(&bytes).into(), Float64Array::new_from_slice(&table).into()])
}

/// Set in the end of an event that is more than a body.
const HAS_MORE: u32 = 1 << 31;

/// Events to send: `ends` says where each ends in `bytes`.
///
/// # Errors
/// When they do not lie there.
pub(super) fn to_send(bytes: Vec<u8>, ends: &[u32]) -> Result<Vec<EncodedContent>, Error> {
    let bytes = Bytes::from(bytes);
    let mut start = 0;
    let mut events = Vec::with_capacity(ends.len());
    for end in ends {
        let has_more = end & HAS_MORE != 0;
        let end = (end & !HAS_MORE) as usize;
        if end < start || end > bytes.len() {
            return Err(misplaced());
        }
        events.push(event(bytes.slice(start..end), has_more)?);
        start = end;
    }
    Ok(events)
}

/// A body, or what `internal/message.ts` puts in front of an event's sections: whether there is a partition key (a byte), the key behind
/// its length, how many annotations there are, and these behind their length.
///
/// # Errors
/// When it is none of these.
pub(super) fn event(mut bytes: Bytes, has_more: bool) -> Result<EncodedContent, Error> {
    if !has_more {
        return Ok(EncodedContent { sections: bytes, is_body: true, ..EncodedContent::default() });
    }
    let has_key = bytes.try_get_u8().map_err(|_| misplaced())? != 0;
    let key = sized(&mut bytes)?;
    let key = String::from_utf8(key.into()).map_err(|_| misplaced())?;
    let annotation_count = bytes.try_get_u32().map_err(|_| misplaced())? as usize;
    let annotations = sized(&mut bytes)?;
    let partition_key = has_key.then_some(key);
    Ok(EncodedContent { partition_key, annotation_count, annotations, sections: bytes, is_body: false })
}

fn sized(bytes: &mut Bytes) -> Result<Bytes, Error> {
    match bytes.try_get_u32() {
        Ok(size) if size as usize <= bytes.len() => Ok(bytes.split_to(size as usize)),
        _ => Err(misplaced()),
    }
}

/// The facade knows where they lie; this is a mistake of ours.
#[cold]
fn misplaced() -> Error {
    invalid("the events do not lie in the bytes")
}
