//! What the tests share: an emulator of their own, clients for it, and waiting without sleeping.

use std::time::Duration;

use eventhubs::broker::{HubConfig, NamespaceConfig};
use eventhubs::{
    ClientBuilder, ConsumerClient, EventStream, ProducerClient, ReceivedEvent, RetryOptions, StartPosition,
};

use serde_json::Value;

pub(crate) use crate::harness::{IS_WASM, SCHEME, is_page, soon, spawn, test};
use crate::service::{Service, Wanted};

/// The hub of [`start`].
pub(crate) const HUB: &str = "orders";
/// Its partitions.
pub(crate) const PARTITIONS: u32 = 4;

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Ws,
    Wss,
    Amqp,
    Amqps,
}

/// The ways that there are here. JavaScript has WebSockets only, and no test makes a browser trust a certificate.
pub(crate) fn ways() -> &'static [Way] {
    match (IS_WASM, is_page()) {
        (false, _) => &[Way::Ws, Way::Wss, Way::Amqp, Way::Amqps],
        (true, false) => &[Way::Ws, Way::Wss],
        (true, true) => &[Way::Ws],
    }
}

/// Schemes of the ways without TLS.
pub(crate) const SCHEMES: &[&str] = if IS_WASM { &["ws"] } else { &["ws", "amqp"] };

/// An emulator of a test's own.
pub(crate) struct Running {
    service: Service,
}

pub(crate) async fn start() -> Running {
    start_with(|_| {}).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut NamespaceConfig)) -> Running {
    let mut wanted = Wanted::default();
    change(&mut wanted.namespace);
    start_wanted(wanted).await
}

/// With the usual hub, besides what is wanted.
pub(crate) async fn start_wanted(mut wanted: Wanted) -> Running {
    let hub = HubConfig { consumer_groups: vec!["billing".to_owned()], ..HubConfig::new(HUB, PARTITIONS) };
    wanted.namespace.hubs.push(hub);
    Running { service: Service::start(wanted).await }
}

impl Running {
    pub(crate) fn connection_string(&self) -> String {
        format!("{}EntityPath={HUB}", self.service.connection_string())
    }

    /// The connection string without the hub's name.
    pub(crate) fn namespace(&self) -> String {
        self.service.connection_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.service.port()
    }

    pub(crate) async fn stop(&mut self) {
        soon(self.service.stop()).await;
    }

    /// Without a goodbye.
    pub(crate) async fn kill(&mut self) {
        soon(self.service.kill()).await;
    }

    /// On the same port.
    pub(crate) async fn start_again(&mut self) {
        soon(self.service.start_again()).await;
    }

    /// Sets a fault; its number.
    pub(crate) async fn fault(&mut self, fault: Value) -> u64 {
        let (status, said) = soon(self.service.ask("POST", "/$faults", &fault.to_string())).await;
        assert_eq!(status, 201, "{fault}: {said}");
        said["id"].as_u64().unwrap()
    }

    /// Waits until a fault has struck so often.
    pub(crate) async fn until_hit(&mut self, id: u64, wanted: u64) {
        soon(async {
            while self.service.ask("GET", &format!("/$faults/{id}"), "").await.1["hits"].as_u64()
                < Some(wanted)
            {}
        })
        .await;
    }

    /// Ends a fault; how often it has struck.
    pub(crate) async fn heal(&mut self, id: u64) -> u64 {
        let (status, said) = soon(self.service.ask("DELETE", &format!("/$faults/{id}"), "")).await;
        assert_eq!(status, 200, "{said}");
        said["hits"].as_u64().unwrap()
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        soon(self.service.ask(method, path, body)).await
    }

    pub(crate) fn url(&self, way: Way) -> String {
        let scheme = match way {
            Way::Ws => "ws",
            Way::Wss => "wss",
            Way::Amqp => "amqp",
            Way::Amqps => "amqps",
        };
        format!("{scheme}://localhost:{}", self.port())
    }

    /// A builder for either client, by the way given.
    pub(crate) fn by<C>(&self, way: Way, builder: ClientBuilder<C>) -> ClientBuilder<C> {
        let builder = builder
            .connection_string(self.connection_string())
            .custom_endpoint(self.url(way))
            .retry(impatient());
        match (way, self.service.ca_pem()) {
            (Way::Wss | Way::Amqps, Some(pem)) => builder.ca_pem(pem),
            _ => builder,
        }
    }

    pub(crate) fn producer(&self) -> ProducerClient {
        self.by(Way::Ws, ProducerClient::builder()).build().unwrap()
    }

    pub(crate) fn consumer(&self) -> ConsumerClient {
        self.by(Way::Ws, ConsumerClient::builder()).build().unwrap()
    }

    /// A stream of everything in one partition.
    pub(crate) async fn read(&self, partition: &str) -> EventStream {
        let reader = self.consumer().partition(partition).from(StartPosition::earliest());
        soon(reader.open()).await.unwrap()
    }
}

/// Retries that do not make a test wait.
pub(crate) fn impatient() -> RetryOptions {
    RetryOptions {
        base_delay: Duration::from_millis(20),
        max_delay: Duration::from_millis(200),
        attempt_timeout: Duration::from_secs(10),
        ..RetryOptions::default()
    }
}

/// Retries that outlast an emulator's restart.
pub(crate) fn patient() -> RetryOptions {
    RetryOptions { max_attempts: 1000, ..impatient() }
}

/// The next `count` events.
pub(crate) async fn take(stream: &mut EventStream, count: usize) -> Vec<ReceivedEvent> {
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        events.push(soon(stream.next()).await.expect("the stream ended").expect("the stream failed"));
    }
    events
}

/// The bodies as text.
pub(crate) fn texts(events: &[ReceivedEvent]) -> Vec<String> {
    events.iter().map(|event| event.body_text().unwrap()).collect()
}

/// That nothing more arrives, as far as can be told.
pub(crate) async fn nothing_more(stream: &mut EventStream) {
    let more = soon(stream.next_batch(10, Duration::from_millis(100))).await.unwrap();
    assert!(more.is_empty(), "more arrived than was sent: {more:?}");
}
