//! Receiving.

use std::rc::Rc;

use futures::lock::Mutex;
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::cancel::promise;
use super::error::{invalid, thrown};
use super::options::Options;
use super::pack;
use super::properties;
use super::settings::{Hooks, duration, setup};
use super::status::{self, Statuses};
use crate::client::Setup;
use crate::consumer::{ConsumerClient, EventStream, How};
use crate::error::{Error, ErrorKind};
use crate::model::position::StartPosition;
use crate::model::value::Timestamp;

/// A consumer's end.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Consumer(ConsumerClient);

/// Events as they arrive.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Stream {
    /// Taken out when the stream is closed.
    events: Rc<Mutex<Option<EventStream>>>,
    partition_ids: Rc<[String]>,
}

#[wasm_bindgen]
impl Consumer {
    /// Connects nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new(
        settings: JsValue,
        web_socket: Option<Function>,
        web_socket_options: JsValue,
        tokens: Option<Function>,
    ) -> Result<Consumer, JsValue> {
        let hooks = Hooks { web_socket, web_socket_options, tokens };
        let built = setup(&Options(settings), hooks).and_then(Setup::build);
        built.map(Consumer).map_err(|error| thrown(&error))
    }

    /// Resolves to a [`Stream`], when its links are attached.
    pub fn open(&self, reading: JsValue, ticket: u32) -> Promise {
        let reading = Options(reading);
        let consumer = self.0.clone();
        promise(ticket, async move {
            let stream = open(&consumer, &reading).await?;
            let partition_ids = stream.partition_ids().map(str::to_owned).collect();
            Ok(Stream { events: Rc::new(Mutex::new(Some(stream))), partition_ids }.into())
        })
    }

    /// The properties of the hub.
    #[wasm_bindgen(js_name = hubProperties)]
    pub fn hub_properties(&self, ticket: u32) -> Promise {
        properties::of_hub(self.0.client(), ticket)
    }

    /// The properties of a partition.
    #[wasm_bindgen(js_name = partitionProperties)]
    pub fn partition_properties(&self, partition_id: String, ticket: u32) -> Promise {
        properties::of_partition(self.0.client(), partition_id, ticket)
    }

    /// What happens to the connection from now on.
    pub fn status(&self) -> Statuses {
        status::of(self.0.client())
    }

    /// How it is.
    pub fn health(&self) -> JsValue {
        status::health(self.0.client())
    }

    /// Resolves to what works on the way to the hub, as far as that is known after so many milliseconds.
    pub fn diagnose(&self, limit: f64, ticket: u32) -> Promise {
        let consumer = self.0.clone();
        promise(
            ticket,
            async move { Ok(status::diagnosis(&consumer.diagnose_within(duration(limit)?).await)) },
        )
    }

    /// Closes the connection.
    pub fn close(&self) -> Promise {
        properties::close(self.0.client())
    }
}

#[wasm_bindgen]
impl Stream {
    /// The partitions that it reads.
    #[wasm_bindgen(getter, js_name = partitionIds)]
    pub fn partition_ids(&self) -> Array {
        self.partition_ids.iter().map(|id| JsValue::from(id.as_str())).collect()
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
        properties::last_enqueued(last.as_ref())
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

/// Opens one partition, or all of them where none is named.
async fn open(consumer: &ConsumerClient, reading: &Options) -> Result<EventStream, Error> {
    let how = How {
        owner_level: reading.number("ownerLevel").map(|level| level as i64),
        track_last_enqueued: reading.is_set("trackLastEnqueued"),
        prefetch_count: reading.number("prefetch").map(|events| (events as u32).max(1)),
        prefetch_bytes: reading.number("prefetchBytes").map(|bytes| bytes as usize),
    };
    let from = match reading.inner("from") {
        Some(from) => position(&from)?,
        None => StartPosition::default(),
    };
    if let Some(id) = reading.text("partitionId") {
        return consumer.partition(id).from(from).how(how).open().await;
    }
    let mut all = consumer.all_partitions().from(from).how(how);
    // Pairs of a partition and where to start in it.
    let pairs = reading.value("fromIn").map_or_else(Array::new, JsCast::unchecked_into::<Array>);
    for pair in pairs.iter() {
        let pair: Array = pair.unchecked_into();
        let id = pair.get(0).as_string().unwrap_or_default();
        all = all.from_in(id, position(&Options(pair.get(1)))?);
    }
    all.open().await
}

fn position(given: &Options) -> Result<StartPosition, Error> {
    let place = (given.text("offset"), given.number("sequenceNumber"), given.number("enqueuedTime"));
    let position = match place {
        (Some(offset), None, None) if offset == "-1" => return Ok(StartPosition::earliest()),
        (Some(offset), None, None) if offset == "@latest" => return Ok(StartPosition::latest()),
        (Some(offset), None, None) => StartPosition::offset(offset),
        (None, Some(number), None) => StartPosition::sequence_number(number as i64),
        (None, None, Some(millis)) => {
            return Ok(StartPosition::enqueued_time(Timestamp::from_millis(millis as i64)));
        }
        _ => return Err(invalid("a position is one of an offset, a sequence number or a time")),
    };
    Ok(if given.is_set("inclusive") { position.inclusive() } else { position })
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the stream was closed")
}
