//! What JavaScript sees: numbers, texts and bytes. It converts and forwards; what options mean and what a socket is
//! like is decided in `pkg-template/src/emulator.ts`.

use std::time::Duration;

use bytes::Bytes;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use super::{ConnectionId, InPageEmulator, millis_from_moment, now_from_millis};
use crate::broker::{
    AccessKey, AccessRule, HubConfig, HubError, HubInfo, NamespaceConfig, Retention, Rights, Scope,
};

/// The private boundary of `eventhubs/emulator`. Times are milliseconds: `now` of the monotonic clock, `unix` of the
/// calendar.
#[wasm_bindgen]
pub struct Broker(InPageEmulator);

/// What a namespace is to be, collected bit by bit.
#[wasm_bindgen]
pub struct BrokerConfig(NamespaceConfig);

#[wasm_bindgen]
impl BrokerConfig {
    /// The defaults of a page.
    #[wasm_bindgen(constructor)]
    pub fn new(name: String) -> BrokerConfig {
        BrokerConfig(NamespaceConfig { name, ..InPageEmulator::default_config() })
    }

    /// How long events are kept.
    #[wasm_bindgen(js_name = retention)]
    pub fn set_retention(&mut self, millis: f64, bytes_per_partition: f64) {
        let Retention { time, bytes_per_partition: bytes } = &mut self.0.retention;
        set(time, millis, |millis| Duration::from_millis(millis as u64));
        set(bytes, bytes_per_partition, |bytes| bytes as u64);
    }

    /// What is refused.
    #[wasm_bindgen(js_name = limits)]
    pub fn set_limits(
        &mut self,
        stored_bytes: f64,
        max_message_bytes: f64,
        connections: f64,
        links_per_connection: f64,
    ) {
        let limits = &mut self.0.limits;
        set(&mut limits.stored_bytes, stored_bytes, |bytes| bytes as u64);
        set(&mut limits.max_message_size, max_message_bytes, |bytes| bytes as u64);
        set(&mut limits.connections, connections, |count| count as usize);
        set(&mut limits.links_per_connection, links_per_connection, |count| count as usize);
    }

    /// One more key, valid in the whole namespace.
    pub fn rule(&mut self, key_name: String, key: String, send: bool, listen: bool, manage: bool) {
        let mut rights = Rights::NONE;
        for (_, right) in [(send, Rights::SEND), (listen, Rights::LISTEN), (manage, Rights::MANAGE)]
            .into_iter()
            .filter(|(granted, _)| *granted)
        {
            rights = rights | right;
        }
        let key = AccessKey::new(key);
        self.0.rules.push(AccessRule { key_name, key, rights, scope: Scope::Namespace });
    }
}

#[wasm_bindgen]
impl Broker {
    /// A namespace without hubs.
    #[wasm_bindgen(constructor)]
    pub fn new(config: BrokerConfig, now: f64, unix: f64) -> Result<Broker, JsValue> {
        InPageEmulator::new(config.0, now_from_millis(now, unix)).map(Broker).map_err(refused)
    }

    /// Creates a hub.
    #[wasm_bindgen(js_name = createHub)]
    pub fn create_hub(
        &self,
        name: String,
        partitions: u32,
        consumer_groups: Vec<String>,
        now: f64,
        unix: f64,
    ) -> Result<(), JsValue> {
        let namespace = self.0.namespace();
        namespace
            .create_hub(HubConfig::new(name.clone(), partitions), now_from_millis(now, unix))
            .map_err(refused)?;
        for group in consumer_groups {
            let created = namespace.create_consumer_group(&name, &group);
            if let Err(error) = created {
                // It was never there.
                let _ = namespace.delete_hub(&name, now_from_millis(now, unix));
                return Err(refused(error));
            }
        }
        Ok(())
    }

    /// Deletes a hub.
    #[wasm_bindgen(js_name = deleteHub)]
    pub fn delete_hub(&self, name: &str, now: f64, unix: f64) -> Result<(), JsValue> {
        self.0.namespace().delete_hub(name, now_from_millis(now, unix)).map_err(refused)
    }

    /// Creates a consumer group.
    #[wasm_bindgen(js_name = createConsumerGroup)]
    pub fn create_consumer_group(&self, hub: &str, group: &str) -> Result<(), JsValue> {
        self.0.namespace().create_consumer_group(hub, group).map_err(refused)
    }

    /// Deletes a consumer group.
    #[wasm_bindgen(js_name = deleteConsumerGroup)]
    pub fn delete_consumer_group(&self, hub: &str, group: &str, now: f64, unix: f64) -> Result<(), JsValue> {
        self.0.namespace().delete_consumer_group(hub, group, now_from_millis(now, unix)).map_err(refused)
    }

    /// All hubs, by name: for each a text of lines, which are its name, how many partitions it has, when it was
    /// created, and its consumer groups. No name has a line break in it.
    pub fn hubs(&self) -> Vec<String> {
        let text = |hub: HubInfo| {
            let groups = hub.consumer_groups.join("\n");
            format!("{}\n{}\n{}\n{groups}", hub.name, hub.partitions, hub.created_at.as_millis())
        };
        self.0.namespace().hubs().into_iter().map(text).collect()
    }

    /// How many bytes of events there are.
    #[wasm_bindgen(js_name = storedBytes)]
    pub fn stored_bytes(&self) -> f64 {
        self.0.namespace().stored_bytes() as f64
    }

    /// Drops what retention says.
    pub fn sweep(&self, now: f64, unix: f64) {
        self.0.namespace().sweep(now_from_millis(now, unix));
    }

    /// Says goodbye to all connections.
    pub fn shutdown(&self, now: f64, unix: f64) {
        self.0.namespace().shutdown(now_from_millis(now, unix));
    }

    /// A new connection's number, or why there is none.
    pub fn connect(&mut self, now: f64, unix: f64) -> Result<u32, JsValue> {
        let connected = self.0.connect(now_from_millis(now, unix));
        connected.map(ConnectionId::number).map_err(|refused| coded("refused", &refused))
    }

    /// Bytes from the client. They are moved, not copied again.
    pub fn feed(&mut self, connection: u32, bytes: Vec<u8>, now: f64, unix: f64) {
        self.0.feed(ConnectionId::from_number(connection), Bytes::from(bytes), now_from_millis(now, unix));
    }

    /// Whether the connection may be fed.
    #[wasm_bindgen(js_name = isListening)]
    pub fn is_listening(&self, connection: u32) -> bool {
        self.0.is_listening(ConnectionId::from_number(connection))
    }

    /// Bytes for the client, copied out once.
    #[wasm_bindgen(js_name = takeOutput)]
    pub fn take_output(&mut self, connection: u32, now: f64, unix: f64) -> Option<Uint8Array> {
        let output = self.0.poll_output(ConnectionId::from_number(connection), now_from_millis(now, unix))?;
        Some(Uint8Array::from(&*output))
    }

    /// When the connection should be ticked, on the monotonic clock.
    #[wasm_bindgen(js_name = nextDeadline)]
    pub fn next_deadline(&self, connection: u32) -> Option<f64> {
        self.0.next_deadline(ConnectionId::from_number(connection)).map(millis_from_moment)
    }

    /// Lets time pass for a connection.
    pub fn tick(&mut self, connection: u32, now: f64, unix: f64) {
        self.0.tick(ConnectionId::from_number(connection), now_from_millis(now, unix));
    }

    /// Whether the connection is over.
    #[wasm_bindgen(js_name = isFinished)]
    pub fn is_finished(&self, connection: u32) -> bool {
        self.0.is_finished(ConnectionId::from_number(connection))
    }

    /// Forgets a connection.
    pub fn disconnect(&mut self, connection: u32) {
        self.0.disconnect(ConnectionId::from_number(connection));
    }

    /// A connection that has something to do without new input.
    #[wasm_bindgen(js_name = nextWoken)]
    pub fn next_woken(&self) -> Option<u32> {
        self.0.poll_woken().map(ConnectionId::number)
    }
}

/// Takes a number over unless it is NaN, which stands for "not said".
fn set<T>(field: &mut T, number: f64, convert: impl Fn(f64) -> T) {
    if !number.is_nan() {
        *field = convert(number);
    }
}

fn refused(error: HubError) -> JsValue {
    let code = match &error {
        HubError::NotFound(_) => "not-found",
        HubError::LimitReached(_) => "quota-exceeded",
        _ => "invalid-argument",
    };
    coded(code, &error)
}

/// An error as JavaScript takes it apart again: its code and its text.
fn coded(code: &str, error: &impl std::fmt::Display) -> JsValue {
    JsValue::from_str(&format!("{code}: {error}"))
}
