//! Sending.

use std::cell::RefCell;

use js_sys::{Array, Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::error::{invalid, thrown};
use super::event::event;
use super::options::Options;
use super::pack::to_send;
use super::properties;
use super::publishing;
use super::settings::{Hooks, duration, setup};
use super::status::{self, Statuses};
use crate::client::Setup;
use crate::producer::{BatchOptions, EventBatch, ProducerClient, SendOptions};

/// A producer's end.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Producer(ProducerClient);

/// Events that are sent together.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Batch(RefCell<Option<EventBatch>>);

#[wasm_bindgen]
impl Producer {
    /// Connects nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new(
        settings: JsValue,
        web_socket: Option<Function>,
        web_socket_options: JsValue,
        tokens: Option<Function>,
    ) -> Result<Producer, JsValue> {
        let hooks = Hooks { web_socket, web_socket_options, tokens };
        let built = setup(&Options(settings), hooks).and_then(Setup::build);
        built.map(Producer).map_err(|error| thrown(&error))
    }

    /// Sends events in as few batches as they need; resolves to their number.
    pub fn send(
        &self,
        bytes: Vec<u8>,
        ends: Vec<u32>,
        metas: Option<Array>,
        options: JsValue,
        ticket: u32,
    ) -> Result<Promise, JsValue> {
        let (partition_id, partition_key) = route(&Options(options));
        let producer = self.0.clone();
        let events = to_send(bytes, &ends, metas.as_ref()).map_err(|error| thrown(&error))?;
        Ok(promise(ticket, async move {
            let options = SendOptions { partition_id, partition_key };
            let mut events = events;
            let sent = match events.len() {
                1 => producer.send_with(events.remove(0), options).await.map(|()| 1),
                _ => producer.send_all(events, options).await,
            };
            sent.map(|sent| JsValue::from(sent as f64))
        }))
    }

    /// Resolves to an empty [`Batch`].
    #[wasm_bindgen(js_name = createBatch)]
    pub fn create_batch(&self, options: JsValue, ticket: u32) -> Promise {
        let options = Options(options);
        let producer = self.0.clone();
        promise(ticket, async move {
            let (partition_id, partition_key) = route(&options);
            let max_size = options.number("maxSize").map(|size| size as u64);
            let keeps_keys = options.is_set("keepsKeys");
            let options = BatchOptions { partition_id, partition_key, max_size };
            let mut batch = producer.create_batch_with(options).await?;
            if keeps_keys {
                batch = batch.keeping_keys();
            }
            Ok(Batch(RefCell::new(Some(batch))).into())
        })
    }

    /// Sends a batch, which can be used no longer.
    #[wasm_bindgen(js_name = sendBatch)]
    pub fn send_batch(&self, batch: &Batch, ticket: u32) -> Promise {
        let producer = self.0.clone();
        let batch = batch.0.take();
        promise(ticket, async move {
            producer.send_batch(batch.ok_or_else(|| invalid("the batch has been sent"))?).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Sends a batch under numbers from `first`; it can be used no longer.
    #[wasm_bindgen(js_name = sendNumbered)]
    pub fn send_numbered(&self, batch: &Batch, first: i32, ticket: u32) -> Promise {
        let producer = self.0.clone();
        let batch = batch.0.take();
        promise(ticket, async move {
            let batch = batch.ok_or_else(|| invalid("the batch has been sent"))?;
            producer.send_batch_numbered(batch, first).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Resolves to how far an idempotent producer has come.
    #[wasm_bindgen(js_name = publishingState)]
    pub fn publishing_state(&self, partition_id: String, ticket: u32) -> Promise {
        let producer = self.0.clone();
        promise(ticket, async move { Ok(publishing::shown(producer.publishing_state(&partition_id).await?)) })
    }

    /// Goes on in a partition as this producer, or as a new one.
    #[wasm_bindgen(js_name = publishAs)]
    pub fn publish_as(&self, partition_id: &str, state: JsValue) -> Result<(), JsValue> {
        let state = if state.is_undefined() { Ok(None) } else { publishing::read(&Options(state)).map(Some) };
        state.and_then(|state| self.0.publish_as(partition_id, state)).map_err(|error| thrown(&error))
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
        let producer = self.0.clone();
        promise(
            ticket,
            async move { Ok(status::diagnosis(&producer.diagnose_within(duration(limit)?).await)) },
        )
    }

    /// Closes the connection.
    pub fn close(&self) -> Promise {
        properties::close(self.0.client())
    }
}

#[wasm_bindgen]
impl Batch {
    /// Adds an event; false when it does not fit.
    #[wasm_bindgen(js_name = tryAdd)]
    pub fn try_add(&self, body: Vec<u8>, meta: &JsValue) -> Result<bool, JsValue> {
        let mut batch = self.0.borrow_mut();
        let added = match batch.as_mut() {
            Some(batch) => event(body.into(), meta).and_then(|event| batch.try_add(&event)),
            None => Err(invalid("the batch has been sent")),
        };
        added.map_err(|error| thrown(&error))
    }

    /// Another one with the same events: to be sent while this one is kept.
    pub fn copy(&self) -> Batch {
        Batch(RefCell::new(self.0.borrow().clone()))
    }

    /// How many events there are.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> usize {
        self.0.borrow().as_ref().map_or(0, EventBatch::len)
    }

    /// Its size in bytes.
    #[wasm_bindgen(getter)]
    pub fn size(&self) -> f64 {
        self.0.borrow().as_ref().map_or(0.0, |batch| batch.size() as f64)
    }

    /// Its size at most.
    #[wasm_bindgen(getter, js_name = maxSize)]
    pub fn max_size(&self) -> f64 {
        self.0.borrow().as_ref().map_or(0.0, |batch| batch.max_size() as f64)
    }
}

/// The partition, and what the service chooses one by.
fn route(options: &Options) -> (Option<String>, Option<String>) {
    (options.text("partitionId"), options.text("partitionKey"))
}
