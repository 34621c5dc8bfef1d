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
//!
//! # Faults
//!
//! What a client makes of a failing service can be tried before the service fails: [`Emulator::faults`] in process,
//! `POST /$faults` on the port, `eventhubs fault add` at the command line. A [`Fault`] is a kind, with a scope and a time.
//!
//! | kind | what happens | when, unless [`Fault::on`] says otherwise |
//! |--|--|--|
//! | `refuse` | new connections are refused | a connection is made |
//! | `drop` | connections break without a word | now |
//! | `half-open` | bytes are swallowed both ways or one way; the connection stays dead | always |
//! | `delay`, `bandwidth` | bytes arrive late, or slowly | always |
//! | `cut-frame` | the connection breaks in the middle of the next frame to the client | now |
//! | `lose-ack` | a publication is stored, and its sender is never told (or the connection breaks) | a publication arrives |
//! | `duplicate` | a publication is stored twice | a publication arrives |
//! | `busy` | the service is throttled: rejected publications and links, status 503, detached readers | a publication arrives |
//! | `detach`, `end`, `close` | links, sessions, connections end with any condition and text | now |
//! | `refuse-token` | tokens are answered with a status of 300 to 599 | a token is put |
//! | `expire-token` | grants are gone, links that need them are detached | now |
//! | `steal-link` | readers lose their place to a higher epoch | now |
//! | `stop-partition` | readers get nothing, publications are not stored and not answered | always |
//! | `restart` | all connections break, and are refused for a while; memory may be lost | now |
//! | `slow-disk` | publications are visible and acknowledged later | a publication arrives |
//! | `skew-clock` | the calendar is off for tokens and enqueued times | always |
//!
//! *Now* is everything that is there when the fault starts, once, and nothing that comes later.
//!
//! ```sh
//! curl -X POST localhost:5672/\$faults -d '{"kind":"detach","entity":"orders","on":"receive","after":3,"times":1}'
//! curl localhost:5672/\$faults                # lists them, with how often each has struck
//! curl -X DELETE localhost:5672/\$faults/1    # ends one; without a number all
//! ```
//!
//! Where the development key opens the namespace, nothing has to be shown for this; otherwise a token that allows managing.
//! Publications over HTTP meet `busy`, `slow-disk` and `skew-clock` only.

mod clock;
mod config;
mod config_file;
mod driver;
mod faults;
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
pub use faults::{
    Direction, Fault, FaultGuard, FaultInfo, FaultKind, FaultScope, FaultTiming, Faults, LinkRole, On,
    Reason, UntilHit,
};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::broker::{HubError, Namespace, NamespaceConfig, Rights, Scope};
use crate::error::{Error, ErrorKind};
use clock::Clock;
use http::Console;
use listen::Listeners;
use server::Shared;
use store::Store;

/// A running namespace. It stops when this is dropped; [`shutdown`](Self::shutdown) stops it politely.
///
/// It can be [stopped](Self::stop) or [killed](Self::kill) and [started again](Self::start_again) on its ports, to see
/// what clients make of it; what else can go wrong on purpose are its [`faults`](Self::faults).
pub struct Emulator {
    /// With the ports that it has.
    config: EmulatorConfig,
    clock: Clock,
    faults: Faults,
    namespace: Namespace,
    ca_path: Option<PathBuf>,
    acceptor: Option<TlsAcceptor>,
    key: Option<(String, String)>,
    /// `None` while it is stopped.
    running: Option<Running>,
}

/// What there is of an emulator while it runs.
struct Running {
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
    pub async fn start(mut config: EmulatorConfig) -> Result<Self, Error> {
        let listeners = listen::bind(&config).await?;
        let tls = config.tls.as_ref().map(tls::prepare).transpose()?;
        let clock = Clock::start();
        let faults = Faults::new(clock);
        let (ca_path, acceptor) = tls.map(|tls| (tls.ca_path, tls.acceptor)).unzip();
        config.port = listeners.port;
        config.tls_port = listeners.tls_port.map_or(ExtraPort::Off, ExtraPort::Required);
        config.health_port = listeners.health_port.map_or(ExtraPort::Off, ExtraPort::Required);
        let key = shown_key(&config.namespace);
        let (namespace, running) = run(&config, listeners, acceptor.clone(), &faults, clock).await?;
        Ok(Emulator { config, clock, faults, namespace, ca_path, acceptor, key, running: Some(running) })
    }

    /// What can go wrong on purpose.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Stops it for a while: says goodbye to all clients, closes the store and its ports. Nothing happens when it is
    /// stopped already.
    ///
    /// # Errors
    /// When the store cannot be closed. Events that were acknowledged are kept all the same.
    ///
    /// # Cancel safety
    /// Dropping the future stops the emulator at once.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.stop.send_replace(true);
        // It fails only when the runtime goes down, and then everything is gone as well.
        let _ = (&mut running.server).await;
        match running.store.take() {
            Some(store) => blocking(move || store.close()).await?,
            None => Ok(()),
        }
    }

    /// Stops it without a goodbye: all connections break. What was acknowledged is in the data directory, if there
    /// is one.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    ///
    /// # Cancel safety
    /// As [`stop`](Self::stop).
    pub async fn kill(&mut self) -> Result<(), Error> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.server.abort();
        let _ = (&mut running.server).await;
        match running.store.take() {
            Some(store) => blocking(move || store.close()).await?,
            None => Ok(()),
        }
    }

    /// Starts it again on its ports, after [`stop`](Self::stop) or [`kill`](Self::kill). Events are there again if it
    /// has a data directory; otherwise the namespace is as it was configured, and sequence numbers begin at 0. Nothing
    /// happens when it runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// Dropping the future leaves the emulator stopped.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        if self.running.is_some() {
            return Ok(());
        }
        let listeners = listen::bind(&self.config).await?;
        let (acceptor, clock) = (self.acceptor.clone(), self.clock);
        let (namespace, running) = run(&self.config, listeners, acceptor, &self.faults, clock).await?;
        (self.namespace, self.running) = (namespace, Some(running));
        Ok(())
    }

    /// Stops it and starts it again.
    ///
    /// # Errors
    /// As [`stop`](Self::stop) and [`start_again`](Self::start_again).
    ///
    /// # Cancel safety
    /// Dropping the future leaves the emulator stopped or started.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.start_again().await
    }

    /// What every SDK takes to connect, with the key of the first rule for the whole namespace or the development
    /// key. Add `EntityPath=<hub>` for clients that want it.
    pub fn connection_string(&self) -> String {
        let (name, key) =
            self.key.as_ref().map_or(("RootManageSharedAccessKey", ""), |(name, key)| (name, key));
        format!(
            "Endpoint=sb://localhost:{};SharedAccessKeyName={name};SharedAccessKey={key};UseDevelopmentEmulator=true;",
            self.config.port
        )
    }

    /// The port that serves everything.
    pub fn port(&self) -> u16 {
        self.config.port
    }

    /// The port where clients expect AMQP over TLS, if it is listened on.
    pub fn tls_port(&self) -> Option<u16> {
        extra_port(self.config.tls_port)
    }

    /// The port where the official emulator says that it is healthy, if it is listened on.
    pub fn health_port(&self) -> Option<u16> {
        extra_port(self.config.health_port)
    }

    /// The certificate that clients have to trust for TLS.
    pub fn ca_path(&self) -> Option<&Path> {
        self.ca_path.as_deref()
    }

    /// Where events are kept over restarts, if they are.
    pub fn data_dir(&self) -> Option<&Path> {
        self.config.data_dir.as_deref()
    }

    /// Whether the console is served at `/`.
    pub fn serves_console(&self) -> bool {
        self.config.console.is_some()
    }

    /// The namespace itself, to create hubs and look at partitions while it runs. Started again, it is another one.
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
        self.stop().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("port", &self.config.port).finish_non_exhaustive()
    }
}

/// Opens a namespace and serves it.
async fn run(
    config: &EmulatorConfig,
    listeners: Listeners,
    tls: Option<TlsAcceptor>,
    faults: &Faults,
    clock: Clock,
) -> Result<(Namespace, Running), Error> {
    let console = config.console.as_deref().map(load_console).transpose()?;
    let (namespace, store) = open_namespace(config, faults, clock).await?;
    let (stop, stopping) = watch::channel(false);
    let shared = Shared {
        namespace: namespace.clone(),
        clock,
        tls,
        limits: config.sockets.clone(),
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
    Ok((namespace, Running { stop, server, store }))
}

fn extra_port(port: ExtraPort) -> Option<u16> {
    match port {
        ExtraPort::Required(port) | ExtraPort::IfFree(port) => Some(port),
        ExtraPort::Off => None,
    }
}

/// The namespace as configured, going on where its store ended if it has one.
async fn open_namespace(
    config: &EmulatorConfig,
    faults: &Faults,
    clock: Clock,
) -> Result<(Namespace, Option<Store>), Error> {
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
    let (stored, store) = match opened {
        Some((store, restore)) => (Some((restore, store.journal())), Some(store)),
        None => (None, None),
    };
    let namespace = Namespace::with_faults(wanted, stored, faults.core().clone(), now).map_err(refused)?;
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
