//! Receiving.

use std::rc::Rc;

use futures::lock::Mutex;
use js_sys::{Array, Function, Promise};
use serde::Deserialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::error::{invalid, thrown};
use super::pack;
use super::properties;
use super::settings::{Hooks, Settings, duration};
use crate::consumer::{ConsumerClient, EventStream};
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
    partition_ids: Vec<String>,
}

/// How partitions are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reading {
    /// One partition; all of them where there is none.
    partition_id: Option<String>,
    from: Option<Position>,
    /// Partitions that start elsewhere.
    #[serde(default)]
    from_in: Vec<(String, Position)>,
    owner_level: Option<f64>,
    #[serde(default)]
    track_last_enqueued: bool,
    prefetch: Option<u32>,
    prefetch_bytes: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    offset: Option<String>,
    sequence_number: Option<f64>,
    enqueued_time: Option<f64>,
    #[serde(default)]
    inclusive: bool,
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
        let mut settings = Settings::parse(settings)?;
        let mut builder = ConsumerClient::builder();
        if let Some(group) = settings.consumer_group.take() {
            builder = builder.consumer_group(group);
        }
        let hooks = Hooks { web_socket, web_socket_options, tokens };
        let built = settings.apply(builder, hooks).and_then(|builder| builder.build());
        built.map(Consumer).map_err(|error| thrown(&error))
    }

    /// Resolves to a [`Stream`], when its links are attached.
    pub fn open(&self, reading: JsValue, ticket: u32) -> Result<Promise, JsValue> {
        let reading: Reading = serde_wasm_bindgen::from_value(reading)
            .map_err(|error| thrown(&invalid(format!("the options cannot be used: {error}"))))?;
        let consumer = self.0.clone();
        Ok(promise(ticket, async move {
            let stream = match reading.partition_id.clone() {
                Some(id) => one(&consumer, id, reading).await?,
                None => all(&consumer, reading).await?,
            };
            let partition_ids = stream.partition_ids().map(str::to_owned).collect();
            Ok(Stream { events: Rc::new(Mutex::new(Some(stream))), partition_ids })
        }))
    }

    /// The properties of the hub.
    #[wasm_bindgen(js_name = hubProperties)]
    pub fn hub_properties(&self, ticket: u32) -> Promise {
        let consumer = self.0.clone();
        promise(ticket, async move { Ok(properties::hub(&consumer.hub_properties().await?)) })
    }

    /// The properties of a partition.
    #[wasm_bindgen(js_name = partitionProperties)]
    pub fn partition_properties(&self, partition_id: String, ticket: u32) -> Promise {
        let consumer = self.0.clone();
        promise(ticket, async move {
            Ok(properties::partition(&consumer.partition_properties(&partition_id).await?))
        })
    }

    /// Closes the connection.
    pub fn close(&self) -> Promise {
        let consumer = self.0.clone();
        promise(0, async move {
            consumer.close().await;
            Ok(JsValue::UNDEFINED)
        })
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
            let place = |id: &str| partition_ids.iter().position(|known| known == id).unwrap_or_default();
            Ok(pack::received(&batch, place))
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

async fn one(consumer: &ConsumerClient, id: String, reading: Reading) -> Result<EventStream, Error> {
    let mut reader = consumer.partition(id).track_last_enqueued(reading.track_last_enqueued);
    if let Some(position) = reading.from {
        reader = reader.from(position.parse()?);
    }
    if let Some(level) = reading.owner_level {
        reader = reader.owner_level(level as i64);
    }
    if let Some(events) = reading.prefetch {
        reader = reader.prefetch(events);
    }
    if let Some(bytes) = reading.prefetch_bytes {
        reader = reader.prefetch_bytes(bytes as usize);
    }
    reader.open().await
}

async fn all(consumer: &ConsumerClient, reading: Reading) -> Result<EventStream, Error> {
    let mut reader = consumer.all_partitions().track_last_enqueued(reading.track_last_enqueued);
    if let Some(position) = reading.from {
        reader = reader.from(position.parse()?);
    }
    for (id, position) in reading.from_in {
        reader = reader.from_in(id, position.parse()?);
    }
    if let Some(level) = reading.owner_level {
        reader = reader.owner_level(level as i64);
    }
    if let Some(events) = reading.prefetch {
        reader = reader.prefetch(events);
    }
    if let Some(bytes) = reading.prefetch_bytes {
        reader = reader.prefetch_bytes(bytes as usize);
    }
    reader.open().await
}

impl Position {
    fn parse(self) -> Result<StartPosition, Error> {
        let position = match (self.offset, self.sequence_number, self.enqueued_time) {
            (Some(offset), None, None) if offset == "-1" => return Ok(StartPosition::earliest()),
            (Some(offset), None, None) if offset == "@latest" => return Ok(StartPosition::latest()),
            (Some(offset), None, None) => StartPosition::offset(offset),
            (None, Some(number), None) => StartPosition::sequence_number(number as i64),
            (None, None, Some(millis)) => {
                return Ok(StartPosition::enqueued_time(Timestamp::from_millis(millis as i64)));
            }
            _ => return Err(invalid("a position is one of an offset, a sequence number or a time")),
        };
        Ok(if self.inclusive { position.inclusive() } else { position })
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the stream was closed")
}
