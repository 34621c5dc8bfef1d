//! A client of a hub: a producer's and a consumer's end in one, which have most in common.

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::error::thrown;
use super::given::Given;
use super::list;
use super::settings::{Hooks, setup};
use super::status::{self, Statuses};
use crate::client::{Client, Extras, FromClient};
use crate::consumer::ConsumerClient;
use crate::error::Error;
use crate::producer::ProducerClient;

/// A client of a hub: what sends, and what receives.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Hub {
    producer: ProducerClient,
    consumer: ConsumerClient,
}

#[wasm_bindgen]
impl Hub {
    /// Connects nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new(
        settings: Vec<u8>,
        web_socket: Option<Function>,
        web_socket_options: JsValue,
        tokens: Option<Function>,
    ) -> Result<Hub, JsValue> {
        let hooks = Hooks { web_socket, web_socket_options, tokens };
        made(Given::new(settings), hooks).map_err(|error| thrown(&error))
    }

    /// Resolves to the properties of the hub.
    #[wasm_bindgen(js_name = hubProperties)]
    pub fn hub_properties(&self, ticket: u32) -> Promise {
        let client = self.client().clone();
        promise(ticket, async move { Ok(list::hub(&client.hub_properties().await?)) })
    }

    /// Resolves to the properties of a partition.
    #[wasm_bindgen(js_name = partitionProperties)]
    pub fn partition_properties(&self, partition_id: String, ticket: u32) -> Promise {
        let client = self.client().clone();
        promise(
            ticket,
            async move { Ok(list::partition(&client.partition_properties(&partition_id).await?)) },
        )
    }

    /// What happens to the connection from now on.
    pub fn status(&self) -> Statuses {
        status::of(self.client())
    }

    /// How it is.
    pub fn health(&self) -> JsValue {
        status::health(self.client())
    }

    /// Where it leads.
    #[wasm_bindgen(getter)]
    pub fn endpoint(&self) -> String {
        self.client().endpoint()
    }

    /// Resolves when a socket to there was opened; it is closed again.
    pub fn probe(&self, ticket: u32) -> Promise {
        let client = self.client().clone();
        promise(ticket, async move { client.probe().await.map(|()| JsValue::UNDEFINED) })
    }

    /// Closes the connection.
    pub fn close(&self) -> Promise {
        let client = self.client().clone();
        promise(0, async move {
            client.close().await;
            Ok(JsValue::UNDEFINED)
        })
    }
}

impl Hub {
    fn client(&self) -> &Client {
        self.consumer.client()
    }

    pub(super) fn producer(&self) -> ProducerClient {
        self.producer.clone()
    }

    pub(super) fn consumer(&self) -> ConsumerClient {
        self.consumer.clone()
    }
}

fn made(settings: Given, hooks: Hooks) -> Result<Hub, Error> {
    let (client, mut extras) = setup(settings, hooks)?.client()?;
    let reads =
        Extras { consumer_group: extras.consumer_group.take(), idempotent: false, publishing: Vec::new() };
    // Both, whichever is meant: on their own they do nothing.
    let consumer = ConsumerClient::from_client(client.clone(), reads)?;
    Ok(Hub { consumer, producer: ProducerClient::from_client(client, extras)? })
}
