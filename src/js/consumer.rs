//! Receiving.

use std::rc::Rc;

use futures::lock::Mutex;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::client::Hub;
use super::error::invalid;
use super::given::Given;
use super::list;
use super::pack;
use super::settings::duration;
use crate::consumer::{ConsumerClient, EventStream, How};
use crate::error::{Error, ErrorKind};
use crate::model::position::StartPosition;
use crate::model::value::Timestamp;

/// Events as they arrive.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Stream {
    /// Taken out when the stream is closed.
    events: Rc<Mutex<Option<EventStream>>>,
    partition_ids: Rc<[String]>,
}

#[wasm_bindgen]
impl Hub {
    /// Resolves to a [`Stream`], when its links are attached.
    pub fn open(&self, reading: Vec<u8>, ticket: u32) -> Promise {
        let consumer = self.consumer();
        promise(ticket, async move {
            let stream = open(&consumer, Given::new(reading)).await?;
            let partition_ids = stream.partition_ids().map(str::to_owned).collect();
            Ok(Stream { events: Rc::new(Mutex::new(Some(stream))), partition_ids }.into())
        })
    }
}

#[wasm_bindgen]
impl Stream {
    /// The partitions that it reads.
    #[wasm_bindgen(getter, js_name = partitionIds)]
    pub fn partition_ids(&self) -> JsValue {
        list::texts(self.partition_ids.iter().map(String::as_str))
    }

    /// Resolves to the events that have arrived, one at least, as `[bytes, table]`; to undefined when there is none for
    /// `max_wait_ms`.
    #[wasm_bindgen(js_name = nextBatch)]
    pub fn next_batch(&self, max_count: usize, max_wait_ms: f64, ticket: u32) -> Promise {
        let events = self.events.clone();
        let partition_ids = self.partition_ids.clone();
        promise(ticket, async move {
            let mut events = events.lock().await;
            let stream = events.as_mut().ok_or_else(closed)?;
            let batch = stream.next_batch(max_count, duration(max_wait_ms)?).await?;
            if batch.is_empty() {
                return Ok(JsValue::UNDEFINED);
            }
            Ok(pack::received(&batch, &partition_ids))
        })
    }

    /// The newest event of a partition, as the service last told.
    #[wasm_bindgen(js_name = lastEnqueued)]
    pub fn last_enqueued(&self, partition_id: &str) -> JsValue {
        // While a batch is waited for nothing has been told either.
        let last = self.events.try_lock().and_then(|stream| stream.as_ref()?.last_enqueued(partition_id));
        last.as_ref().map_or(JsValue::UNDEFINED, list::last_enqueued)
    }

    /// Detaches the links. What has arrived and was not taken is dropped. Calls that wait are to be cancelled first.
    pub fn close(&self) -> Promise {
        let events = self.events.clone();
        promise(0, async move {
            drop(events.lock().await.take());
            Ok(JsValue::UNDEFINED)
        })
    }
}

/// Opens one partition, or all of them where none is named; in the order of `consumer.ts`.
async fn open(consumer: &ConsumerClient, mut reading: Given) -> Result<EventStream, Error> {
    let how = How {
        owner_level: reading.integer(),
        track_last_enqueued: reading.is_set(),
        prefetch_count: reading.number().map(|events| (events as u32).max(1)),
        prefetch_bytes: reading.number().map(|bytes| bytes as usize),
    };
    let from = match reading.inner() {
        Some(from) => position(from)?,
        None => StartPosition::default(),
    };
    if let Some(id) = reading.text() {
        return consumer.partition(id).from(from).how(how).open().await;
    }
    let mut all = consumer.all_partitions().from(from).how(how);
    // A partition, and where to start in it.
    for mut pair in reading.each() {
        let id = pair.text().unwrap_or_default();
        all = all.from_in(id, position(pair)?);
    }
    all.open().await
}

fn position(mut given: Given) -> Result<StartPosition, Error> {
    let place = (given.text(), given.integer(), given.number());
    let position = match place {
        (Some(offset), None, None) if offset == "-1" => return Ok(StartPosition::earliest()),
        (Some(offset), None, None) if offset == "@latest" => return Ok(StartPosition::latest()),
        (Some(offset), None, None) => StartPosition::offset(offset),
        (None, Some(number), None) => StartPosition::sequence_number(number),
        (None, None, Some(millis)) => {
            return Ok(StartPosition::enqueued_time(Timestamp::from_millis(millis as i64)));
        }
        _ => return Err(invalid("a position is one of an offset, a sequence number or a time")),
    };
    Ok(if given.is_set() { position.inclusive() } else { position })
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the stream was closed")
}
