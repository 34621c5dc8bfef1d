//! What the tests share: an emulator of their own, clients for it, and waiting without sleeping.

use std::future::Future;
use std::time::Duration;

use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::{
    ClientBuilder, ConsumerClient, EventStream, ProducerClient, ReceivedEvent, RetryOptions, StartPosition,
};
use tempfile::TempDir;

/// The hub of [`start`].
pub(crate) const HUB: &str = "orders";
/// Its partitions.
pub(crate) const PARTITIONS: u32 = 4;

/// The four ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Ws,
    Wss,
    Amqp,
    Amqps,
}

pub(crate) const WAYS: [Way; 4] = [Way::Ws, Way::Wss, Way::Amqp, Way::Amqps];

/// An emulator, and the directory with its certificate authority.
pub(crate) struct Running {
    pub(crate) emulator: Emulator,
    /// Removed with it.
    _dir: TempDir,
}

pub(crate) async fn start() -> Running {
    start_with(|_| {}).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut EmulatorConfig)) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let mut config = EmulatorConfig::default()
        .with_hub(HUB, PARTITIONS)
        .with_consumer_group(HUB, "billing")
        .with_ca_dir(dir.path().join("ca"));
    change(&mut config);
    Running { emulator: Emulator::start(config).await.unwrap(), _dir: dir }
}

impl Running {
    pub(crate) fn connection_string(&self) -> String {
        format!("{}EntityPath={HUB}", self.emulator.connection_string())
    }

    pub(crate) fn url(&self, way: Way) -> String {
        let scheme = match way {
            Way::Ws => "ws",
            Way::Wss => "wss",
            Way::Amqp => "amqp",
            Way::Amqps => "amqps",
        };
        format!("{scheme}://localhost:{}", self.emulator.port())
    }

    /// A builder for either client, by the way given.
    pub(crate) fn by<C>(&self, way: Way, builder: ClientBuilder<C>) -> ClientBuilder<C> {
        let builder = builder
            .connection_string(self.connection_string())
            .custom_endpoint(self.url(way))
            .retry(impatient());
        match way {
            Way::Wss | Way::Amqps => builder.ca_pem(std::fs::read(self.emulator.ca_path().unwrap()).unwrap()),
            Way::Ws | Way::Amqp => builder,
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

/// Nothing here may hang.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
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
