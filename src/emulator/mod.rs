//! An Event Hubs namespace on this machine, with sockets.
//!
//! [`Emulator::start`] runs one in process, on a free port, for as long as the value lives; the command
//! `eventhubs emulator` runs one for everybody. One port serves AMQP, AMQP over WebSockets and HTTP, each with and
//! without TLS: what a peer speaks is seen by its first bytes, so one connection string works in every SDK and
//! with every transport.
//!
//! ```
//! use eventhubs::ProducerClient;
//! use eventhubs::emulator::{Emulator, EmulatorConfig};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), eventhubs::Error> {
//! let mut config = EmulatorConfig::default().with_hub("orders", 4);
//! config.tls = None; // Not needed here, so no certificate is made.
//! let emulator = Emulator::start(config).await?;
//!
//! let producer = ProducerClient::builder()
//!     .connection_string(emulator.connection_string())
//!     .event_hub("orders")
//!     .build()?;
//! producer.send("first").await?;
//! emulator.shutdown().await
//! # }
//! ```

mod clock;
mod config;
mod config_file;
mod driver;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod listen;
mod server;
mod sniff;
mod store;
mod tls;
mod wire;

pub use config::{EmulatorConfig, ExtraPort, SocketLimits, TlsConfig};
pub use config_file::ConfigFile;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::broker::{HubError, Namespace, NamespaceConfig, Rights, Scope};
use crate::error::{Error, ErrorKind};
use clock::Clock;
use http::Console;
use server::Shared;
use store::Store;

/// A running namespace. It stops when this is dropped; [`shutdown`](Self::shutdown) stops it politely.
pub struct Emulator {
    namespace: Namespace,
    port: u16,
    tls_port: Option<u16>,
    health_port: Option<u16>,
    ca_path: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    serves_console: bool,
    key: Option<(String, String)>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    store: Option<Store>,
}

impl Emulator {
    /// Starts a namespace and listens. When this returns, clients can connect.
    ///
    /// Must be called on a tokio runtime, which then drives the emulator.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the configuration cannot be had: a port that is taken, a name that is
    /// none, a directory that cannot be used. The text says what to change.
    pub async fn start(config: EmulatorConfig) -> Result<Self, Error> {
        let listeners = listen::bind(&config).await?;
        let tls = config.tls.as_ref().map(tls::prepare).transpose()?;
        let console = config.console.as_deref().map(load_console).transpose()?;
        let serves_console = console.is_some();
        let clock = Clock::start();
        let key = shown_key(&config.namespace);
        let (namespace, store) = open_namespace(&config, clock).await?;
        let (ca_path, acceptor) = tls.map(|tls| (tls.ca_path, tls.acceptor)).unzip();
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            namespace: namespace.clone(),
            clock,
            tls: acceptor,
            limits: config.sockets,
            max_message_size: usize::try_from(config.namespace.limits.max_message_size).unwrap_or(usize::MAX),
            console,
            development_key_opens: config
                .namespace
                .development_key
                .as_ref()
                .is_some_and(|key| key.expose() == NamespaceConfig::DEVELOPMENT_KEY),
            stopping,
        };
        let server = tokio::spawn(server::serve(listeners.sockets, Arc::new(shared)));
        Ok(Emulator {
            namespace,
            port: listeners.port,
            tls_port: listeners.tls_port,
            health_port: listeners.health_port,
            ca_path,
            data_dir: config.data_dir,
            serves_console,
            key,
            stop,
            server,
            store,
        })
    }

    /// What every SDK takes to connect, with the key of the first rule for the whole namespace or the development
    /// key. Add `EntityPath=<hub>` for clients that want it.
    pub fn connection_string(&self) -> String {
        let (name, key) =
            self.key.as_ref().map_or(("RootManageSharedAccessKey", ""), |(name, key)| (name, key));
        format!(
            "Endpoint=sb://localhost:{};SharedAccessKeyName={name};SharedAccessKey={key};UseDevelopmentEmulator=true;",
            self.port
        )
    }

    /// The port that serves everything.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port where clients expect AMQP over TLS, if it is listened on.
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// The port where the official emulator says that it is healthy, if it is listened on.
    pub fn health_port(&self) -> Option<u16> {
        self.health_port
    }

    /// The certificate that clients have to trust for TLS.
    pub fn ca_path(&self) -> Option<&Path> {
        self.ca_path.as_deref()
    }

    /// Where events are kept over restarts, if they are.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// Whether the console is served at `/`.
    pub fn serves_console(&self) -> bool {
        self.serves_console
    }

    /// The namespace itself, to create hubs and look at partitions while it runs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Says goodbye to all clients (`amqp:connection:forced`), closes the store and stops.
    ///
    /// # Errors
    /// When the store cannot be closed. Events that were acknowledged are kept all the same.
    ///
    /// # Cancel safety
    /// Dropping the future stops the emulator at once.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.stop.send_replace(true);
        // It fails only when the runtime goes down, and then everything is gone as well.
        let _ = (&mut self.server).await;
        match self.store.take() {
            Some(store) => blocking(move || store.close()).await?,
            None => Ok(()),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("port", &self.port).finish_non_exhaustive()
    }
}

/// The namespace as configured, going on where its store ended if it has one.
async fn open_namespace(config: &EmulatorConfig, clock: Clock) -> Result<(Namespace, Option<Store>), Error> {
    let refused = |error: HubError| {
        Error::new(ErrorKind::InvalidArgument, error.to_string()).with_operation("start the emulator")
    };
    let mut wanted = config.namespace.clone();
    let opened = match config.data_dir.clone() {
        Some(dir) => Some(blocking(move || Store::open(&dir)).await??),
        None => None,
    };
    let stored_hubs = opened.as_ref().map_or(0, |(store, _)| store.hubs());
    if wanted.hubs.is_empty() && stored_hubs == 0 {
        wanted.hubs.push(EmulatorConfig::default_hub());
    }
    let now = clock.now();
    let (namespace, store) = match opened {
        Some((store, restore)) => {
            (Namespace::restore(wanted, restore, store.journal(), now).map_err(refused)?, Some(store))
        }
        None => (Namespace::new(wanted, now).map_err(refused)?, None),
    };
    for (hub, group) in &config.consumer_groups {
        match namespace.create_consumer_group(hub, group) {
            Ok(()) | Err(HubError::Exists(_)) => {}
            Err(error) => {
                let hubs: Vec<String> = namespace.hubs().into_iter().map(|hub| hub.name).collect();
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("{error}; the hubs are {}", hubs.join(", ")),
                )
                .with_operation("create consumer group")
                .with_entity(format!("{hub}/{group}")));
            }
        }
    }
    Ok((namespace, store))
}

fn load_console(dir: &Path) -> Result<Console, Error> {
    Console::load(dir).map_err(|error| {
        let message = format!(
            "no console can be served from {}: {error}; `cargo xtask console` builds one",
            dir.display()
        );
        Error::new(ErrorKind::InvalidArgument, message).with_operation("start the emulator")
    })
}

/// Runs what waits for a disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).with_operation("use the store"))
}

fn shown_key(namespace: &NamespaceConfig) -> Option<(String, String)> {
    if let Some(key) = &namespace.development_key {
        return Some(("RootManageSharedAccessKey".to_owned(), key.expose().to_owned()));
    }
    let rules = || namespace.rules.iter().filter(|rule| rule.scope == Scope::Namespace);
    rules()
        .find(|rule| rule.rights.include(Rights::MANAGE))
        .or_else(|| rules().next())
        .map(|rule| (rule.key_name.clone(), rule.key.expose().to_owned()))
}
