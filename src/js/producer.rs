//! Sending.

use std::cell::RefCell;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::client::Hub;
use super::error::{invalid, thrown};
use super::given::Given;
use super::list;
use super::pack::{event, to_send};
use super::settings::publishing_state;
use crate::producer::{BatchOptions, EventBatch, SendOptions};

/// Events that are sent together.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Batch(RefCell<Option<EventBatch>>);

#[wasm_bindgen]
impl Hub {
    /// Sends events in as few batches as they need; resolves to their number.
    pub fn send(
        &self,
        bytes: Vec<u8>,
        ends: Vec<u32>,
        partition_id: Option<String>,
        partition_key: Option<String>,
        ticket: u32,
    ) -> Promise {
        let producer = self.producer();
        promise(ticket, async move {
            let options = SendOptions { partition_id, partition_key };
            let mut events = to_send(bytes, &ends)?;
            let sent = match events.len() {
                1 => producer.send_one(events.remove(0), options).await.map(|()| 1),
                _ => producer.send_each(events.into_iter(), options).await,
            };
            sent.map(|sent| JsValue::from(sent as f64))
        })
    }

    /// Resolves to an empty [`Batch`].
    #[wasm_bindgen(js_name = createBatch)]
    pub fn create_batch(
        &self,
        partition_id: Option<String>,
        partition_key: Option<String>,
        max_size: Option<f64>,
        keeps_keys: bool,
        ticket: u32,
    ) -> Promise {
        let producer = self.producer();
        promise(ticket, async move {
            let max_size = max_size.map(|size| size as u64);
            let options = BatchOptions { partition_id, partition_key, max_size };
            let mut batch = producer.create_batch_with(options).await?;
            if keeps_keys {
                batch = batch.keeping_keys();
            }
            Ok(Batch(RefCell::new(Some(batch))).into())
        })
    }

    /// Sends a batch, which can be used no longer; under numbers from `first`, if that is given.
    #[wasm_bindgen(js_name = sendBatch)]
    pub fn send_batch(&self, batch: &Batch, first: Option<i32>, ticket: u32) -> Promise {
        let producer = self.producer();
        let batch = batch.0.take();
        promise(ticket, async move {
            let batch = batch.ok_or_else(|| invalid("the batch has been sent"))?;
            producer.send_message(batch, first).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Resolves to how far an idempotent producer has come.
    #[wasm_bindgen(js_name = publishingState)]
    pub fn publishing_state(&self, partition_id: String, ticket: u32) -> Promise {
        let producer = self.producer();
        promise(ticket, async move { Ok(list::publishing(producer.publishing_state(&partition_id).await?)) })
    }

    /// Goes on in a partition as this producer, or, where nothing is given, as a new one.
    #[wasm_bindgen(js_name = publishAs)]
    pub fn publish_as(&self, partition_id: &str, state: Option<Vec<u8>>) -> Result<(), JsValue> {
        let state = state.map(|state| publishing_state(&mut Given::new(state)));
        let done = self.producer().publish_as(partition_id, state);
        done.map_err(|error| thrown(&error))
    }
}

#[wasm_bindgen]
impl Batch {
    /// Adds an event; false when it does not fit. `has_more`: it is more than a body.
    #[wasm_bindgen(js_name = tryAdd)]
    pub fn try_add(&self, bytes: Vec<u8>, has_more: bool) -> Result<bool, JsValue> {
        let mut batch = self.0.borrow_mut();
        let added = match batch.as_mut() {
            Some(batch) => event(bytes.into(), has_more).and_then(|event| batch.try_add_content(&event)),
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
