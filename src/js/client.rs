//! A client of a hub: a producer's or a consumer's end, which have most in common.

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::cancel::promise;
use super::error::{invalid, thrown};
use super::given::Given;
use super::list;
use super::settings::{Hooks, duration, setup};
use super::status::{self, Statuses};
use crate::client::{Client, FromClient, Needs};
use crate::consumer::ConsumerClient;
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;
use crate::error::Error;
use crate::producer::ProducerClient;

/// A client of a hub.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Hub(Kind);

#[derive(Debug)]
enum Kind {
    Producer(ProducerClient),
    Consumer(ConsumerClient),
}

#[wasm_bindgen]
impl Hub {
    /// Connects nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new(
        sends: bool,
        settings: Vec<u8>,
        web_socket: Option<Function>,
        web_socket_options: JsValue,
        tokens: Option<Function>,
    ) -> Result<Hub, JsValue> {
        let hooks = Hooks { web_socket, web_socket_options, tokens };
        made(sends, Given::new(settings), hooks).map_err(|error| thrown(&error))
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

    /// Resolves to what works on the way to the hub, as far as that is known after so many milliseconds.
    pub fn diagnose(&self, limit: f64, ticket: u32) -> Promise {
        let client = self.client().clone();
        let (needs, group) = match &self.0 {
            Kind::Producer(_) => (Needs::Send, DEFAULT_CONSUMER_GROUP.to_owned()),
            Kind::Consumer(consumer) => (Needs::Listen, consumer.consumer_group().to_owned()),
        };
        promise(ticket, async move {
            Ok(status::diagnosis(&client.diagnose(needs, &group, duration(limit)?).await))
        })
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
        match &self.0 {
            Kind::Producer(producer) => producer.client(),
            Kind::Consumer(consumer) => consumer.client(),
        }
    }

    pub(super) fn producer(&self) -> Result<ProducerClient, Error> {
        match &self.0 {
            Kind::Producer(producer) => Ok(producer.clone()),
            Kind::Consumer(_) => Err(invalid("a consumer sends nothing")),
        }
    }

    pub(super) fn consumer(&self) -> Result<ConsumerClient, Error> {
        match &self.0 {
            Kind::Consumer(consumer) => Ok(consumer.clone()),
            Kind::Producer(_) => Err(invalid("a producer receives nothing")),
        }
    }
}

fn made(sends: bool, settings: Given, hooks: Hooks) -> Result<Hub, Error> {
    let (client, extras) = setup(settings, hooks)?.client()?;
    Ok(Hub(match sends {
        true => Kind::Producer(ProducerClient::from_client(client, extras)?),
        false => Kind::Consumer(ConsumerClient::from_client(client, extras)?),
    }))
}
