//! What the tests share: an emulator, our clients, and programs of other languages.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::{ClientBuilder, ConsumerClient, ProducerClient, ReceivedEvent, StartPosition};
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) const HUB: &str = "orders";

/// An emulator, and the directory with its certificate authority.
pub(crate) struct Running {
    pub(crate) emulator: Emulator,
    _dir: TempDir,
}

pub(crate) async fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let config = EmulatorConfig::default().with_hub(HUB, 4).with_ca_dir(dir.path());
    Running { emulator: Emulator::start(config).await.unwrap(), _dir: dir }
}

impl Running {
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.emulator.port())
    }

    pub(crate) fn producer(&self) -> ProducerClient {
        pointed(ProducerClient::builder(), &self.url("ws"), HUB).build().unwrap()
    }

    pub(crate) fn consumer(&self) -> ConsumerClient {
        pointed(ConsumerClient::builder(), &self.url("ws"), HUB).build().unwrap()
    }
}

/// A builder for one of our clients that dials this URL.
pub(crate) fn pointed<C>(builder: ClientBuilder<C>, url: &str, hub: &str) -> ClientBuilder<C> {
    let (scheme, authority) = url.split_once("://").unwrap();
    assert!(["ws", "amqp"].contains(&scheme), "{url}");
    let text = format!(
        "Endpoint=sb://{authority};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;\
         UseDevelopmentEmulator=true;EntityPath={hub}"
    );
    builder.connection_string(text).custom_endpoint(url)
}

/// The first `count` events of a partition.
pub(crate) async fn read(consumer: &ConsumerClient, partition: &str, count: usize) -> Vec<ReceivedEvent> {
    let reader = consumer.partition(partition).from(StartPosition::earliest());
    let mut stream = soon(reader.open()).await.unwrap();
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        events.push(soon(stream.next()).await.expect("the stream ended").expect("the stream failed"));
    }
    events
}

/// Nothing here may hang.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it takes too long")
}

/// A language whose official SDK is installed beside the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
}

impl Language {
    /// A script of this language, ready to run; nothing where the SDKs are not installed, which only
    /// `cargo xtask test interop` sees to.
    pub(crate) fn script(self, name: &str) -> Option<Command> {
        self.script_in(if self == Language::Python { "python" } else { "js" }, name)
    }

    /// A script that lies in another folder, beside other packages.
    pub(crate) fn script_in(self, folder: &str, name: &str) -> Option<Command> {
        let variable = match self {
            Language::Python => "EVENTHUBS_PYTHON",
            Language::JavaScript => "EVENTHUBS_NODE",
        };
        let Some(program) = std::env::var_os(variable) else {
            assert!(std::env::var_os("EVENTHUBS_INTEROP").is_none(), "{variable} is not set");
            eprintln!("skipped: {variable} is not set; run it with `cargo xtask test interop`");
            return None;
        };
        let mut command = Command::new(program);
        command.arg(folder_of_tests().join(folder).join(name)).kill_on_drop(true).stdin(Stdio::piped());
        Some(command)
    }

    /// How this SDK dials besides TCP.
    pub(crate) fn web_socket(self) -> &'static str {
        match self {
            Language::Python => "ws",
            Language::JavaScript => "wss",
        }
    }
}

fn folder_of_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}
