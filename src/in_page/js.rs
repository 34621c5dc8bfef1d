//! What JavaScript sees: numbers, texts and bytes. It converts and forwards; what options mean and what a socket is
//! like is decided in `pkg-template/src/emulator.ts`.

use std::arch::wasm32::memory_size;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use js_sys::Uint8Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::{ConnectionId, InPageEmulator, millis_from_moment, now_from_millis};
use crate::broker::faults::{Fault, FaultError, FieldValue};
use crate::broker::{
    AccessKey, AccessRule, HubConfig, HubError, HubInfo, NamespaceConfig, Retention, Rights, Scope,
};

/// The unit in which wasm memory grows, in bytes.
const PAGE: usize = 64 * 1024;
/// How far ahead of what is needed the memory grows, in bytes.
const LEAST_GROWTH: usize = 1 << 20;
const MOST_GROWTH: usize = 32 << 20;

/// The private boundary of `eventhubs/emulator`. Times are milliseconds: `now` of the monotonic clock, `unix` of the
/// calendar.
#[wasm_bindgen]
pub struct Broker {
    emulator: InPageEmulator,
    /// How many pages the memory had when it was last looked at.
    pages: usize,
}

/// A hub as it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hub {
    name: String,
    partitions: u32,
    consumer_groups: Vec<String>,
    created_at: f64,
}

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

    /// Whether any Entra ID token is taken at its word.
    #[wasm_bindgen(js_name = acceptAnyToken)]
    pub fn set_accept_any_token(&mut self, accept: bool) {
        self.0.accept_any_jwt = accept;
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

/// What is to go wrong, collected bit by bit.
#[wasm_bindgen]
pub struct BrokerFault(Vec<(String, FieldValue)>);

#[wasm_bindgen]
impl BrokerFault {
    /// Nothing yet.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "only JavaScript makes it")]
    pub fn new() -> BrokerFault {
        BrokerFault(Vec::new())
    }

    /// A field that is a text.
    pub fn text(&mut self, name: String, value: String) {
        self.0.push((name, FieldValue::Text(value)));
    }

    /// A field that is a number.
    pub fn number(&mut self, name: String, value: f64) {
        self.0.push((name, FieldValue::Number(value)));
    }

    /// A field that is true or false.
    pub fn flag(&mut self, name: String, value: bool) {
        self.0.push((name, FieldValue::Flag(value)));
    }
}

#[wasm_bindgen]
impl Broker {
    /// A namespace without hubs.
    #[wasm_bindgen(constructor)]
    pub fn new(config: BrokerConfig, now: f64, unix: f64) -> Result<Broker, JsValue> {
        let emulator = InPageEmulator::new(config.0, now_from_millis(now, unix)).map_err(refused)?;
        Ok(Broker { emulator, pages: memory_size::<0>() })
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
        let namespace = self.emulator.namespace();
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
        self.emulator.namespace().delete_hub(name, now_from_millis(now, unix)).map_err(refused)
    }

    /// Creates a consumer group.
    #[wasm_bindgen(js_name = createConsumerGroup)]
    pub fn create_consumer_group(&self, hub: &str, group: &str) -> Result<(), JsValue> {
        self.emulator.namespace().create_consumer_group(hub, group).map_err(refused)
    }

    /// Deletes a consumer group.
    #[wasm_bindgen(js_name = deleteConsumerGroup)]
    pub fn delete_consumer_group(&self, hub: &str, group: &str, now: f64, unix: f64) -> Result<(), JsValue> {
        self.emulator
            .namespace()
            .delete_consumer_group(hub, group, now_from_millis(now, unix))
            .map_err(refused)
    }

    /// All hubs, by name.
    pub fn hubs(&self) -> Result<JsValue, JsValue> {
        let shown = |hub: HubInfo| Hub {
            name: hub.name,
            partitions: hub.partitions,
            consumer_groups: hub.consumer_groups,
            created_at: hub.created_at.as_millis() as f64,
        };
        let hubs: Vec<Hub> = self.emulator.namespace().hubs().into_iter().map(shown).collect();
        Ok(serde_wasm_bindgen::to_value(&hubs)?)
    }

    /// How many bytes of events there are.
    #[wasm_bindgen(js_name = storedBytes)]
    pub fn stored_bytes(&self) -> f64 {
        self.emulator.namespace().stored_bytes() as f64
    }

    /// Drops what retention says.
    pub fn sweep(&self, now: f64, unix: f64) {
        self.emulator.namespace().sweep(now_from_millis(now, unix));
    }

    /// Says goodbye to all connections.
    pub fn shutdown(&self, now: f64, unix: f64) {
        self.emulator.namespace().shutdown(now_from_millis(now, unix));
    }

    /// A new connection's number, or why there is none.
    pub fn connect(&mut self, now: f64, unix: f64) -> Result<u32, JsValue> {
        let connected = self.emulator.connect(now_from_millis(now, unix));
        connected.map(ConnectionId::number).map_err(|refused| coded("refused", &refused))
    }

    /// Bytes from the client. They are moved, not copied again.
    pub fn feed(&mut self, connection: u32, bytes: Vec<u8>, now: f64, unix: f64) {
        self.emulator.feed(
            ConnectionId::from_number(connection),
            Bytes::from(bytes),
            now_from_millis(now, unix),
        );
        self.grow_ahead();
    }

    /// Whether the connection may be fed.
    #[wasm_bindgen(js_name = isListening)]
    pub fn is_listening(&self, connection: u32) -> bool {
        self.emulator.is_listening(ConnectionId::from_number(connection))
    }

    /// Bytes for the client, copied out once.
    #[wasm_bindgen(js_name = takeOutput)]
    pub fn take_output(&mut self, connection: u32, now: f64, unix: f64) -> Option<Uint8Array> {
        let output =
            self.emulator.poll_output(ConnectionId::from_number(connection), now_from_millis(now, unix))?;
        Some(Uint8Array::from(&*output))
    }

    /// When the connection should be ticked, on the monotonic clock.
    #[wasm_bindgen(js_name = nextDeadline)]
    pub fn next_deadline(&self, connection: u32) -> Option<f64> {
        self.emulator.next_deadline(ConnectionId::from_number(connection)).map(millis_from_moment)
    }

    /// Lets time pass for a connection.
    pub fn tick(&mut self, connection: u32, now: f64, unix: f64) {
        self.emulator.tick(ConnectionId::from_number(connection), now_from_millis(now, unix));
    }

    /// Whether the connection is over.
    #[wasm_bindgen(js_name = isFinished)]
    pub fn is_finished(&self, connection: u32) -> bool {
        self.emulator.is_finished(ConnectionId::from_number(connection))
    }

    /// Whether a connection that is over broke without a word, on purpose.
    #[wasm_bindgen(js_name = wasDropped)]
    pub fn was_dropped(&self, connection: u32) -> bool {
        self.emulator.was_dropped(ConnectionId::from_number(connection))
    }

    /// Sets a fault; its number.
    pub fn inject(&self, fault: BrokerFault, now: f64, unix: f64) -> Result<f64, JsValue> {
        let wrong = |error: FaultError| coded("invalid-argument", &error);
        let fields = fault.0.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let fault = Fault::from_fields(fields).map_err(wrong)?;
        let guard =
            self.emulator.namespace().faults().inject(fault, now_from_millis(now, unix)).map_err(wrong)?;
        Ok(guard.keep() as f64)
    }

    /// How often a fault has struck; nothing when it has ended.
    #[wasm_bindgen(js_name = faultHits)]
    pub fn fault_hits(&self, fault: f64) -> Option<f64> {
        self.emulator.namespace().faults().get(fault as u64).map(|info| info.hits as f64)
    }

    /// Ends a fault.
    #[wasm_bindgen(js_name = endFault)]
    pub fn end_fault(&self, fault: f64) {
        self.emulator.namespace().faults().end(fault as u64);
    }

    /// Forgets a connection.
    pub fn disconnect(&mut self, connection: u32) {
        self.emulator.disconnect(ConnectionId::from_number(connection));
    }

    /// A connection that has something to do without new input.
    #[wasm_bindgen(js_name = nextWoken)]
    pub fn next_woken(&self) -> Option<u32> {
        self.emulator.poll_woken().map(ConnectionId::number)
    }
}

impl Broker {
    /// Makes room for more than is stored now when the memory has just grown. The allocator asks for one page after the
    /// other, and each time JavaScript's collector looks at everything: sending events one by one is slower by half.
    fn grow_ahead(&mut self) {
        if memory_size::<0>() == self.pages {
            return;
        }
        let ahead = (memory_size::<0>() * PAGE / 8).clamp(LEAST_GROWTH, MOST_GROWTH);
        // What is freed stays with the allocator, for the next pieces. Where there is no more, nothing is lost.
        let _ = black_box(Vec::<u8>::new()).try_reserve_exact(ahead);
        self.pages = memory_size::<0>();
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
