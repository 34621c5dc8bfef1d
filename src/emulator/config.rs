//! What an emulator is to be.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::{AccessRule, HubConfig, NamespaceConfig};

/// What an [`Emulator`](super::Emulator) is to be: where it listens, which hubs it has, what it keeps.
///
/// The default suits a test: a port of the system's choice on the loopback interface, one hub
/// ([`DEFAULT_HUB`](Self::DEFAULT_HUB)), everything in memory.
///
/// ```
/// use eventhubs::emulator::EmulatorConfig;
///
/// let config = EmulatorConfig::default().with_hub("orders", 4).with_consumer_group("orders", "billing");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmulatorConfig {
    /// The address to listen on. `None` is the loopback interface, IPv4 and, where there is one, IPv6: what
    /// `localhost` means differs between clients.
    pub host: Option<IpAddr>,
    /// The port that serves everything: AMQP, WebSockets and HTTP, each with and without TLS. 0 is any.
    pub port: u16,
    /// A second port, where clients expect AMQP over TLS. It serves everything, too.
    pub tls_port: ExtraPort,
    /// A third port, where the official emulator says that it is healthy. It serves everything, too.
    pub health_port: ExtraPort,
    /// Certificates; `None` serves no TLS.
    pub tls: Option<TlsConfig>,
    /// Where events are kept over restarts; `None` keeps them in memory only.
    pub data_dir: Option<PathBuf>,
    /// The folder with the console, as `cargo xtask console` builds it, to be served at `/`; `None` serves a page with
    /// counts there.
    pub console: Option<PathBuf>,
    /// The namespace: hubs, keys, limits, retention. Without any hub it gets the default one, unless
    /// [`data_dir`](Self::data_dir) holds hubs.
    pub namespace: NamespaceConfig,
    /// Consumer groups (hub, group) besides those that the namespace's hubs bring along.
    pub consumer_groups: Vec<(String, String)>,
    /// How peers may use sockets.
    pub sockets: SocketLimits,
}

/// Whether, and how seriously, another port is listened on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtraPort {
    /// Not at all.
    #[default]
    Off,
    /// On this port, unless somebody else has it.
    IfFree(u16),
    /// On this port (0 is any), or the emulator does not start.
    Required(u16),
}

/// The development certificate authority and the names it vouches for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TlsConfig {
    /// Where the authority is kept: `ca.pem`, `ca-key.pem`, made on first use. `None` is a directory of the user's.
    pub ca_dir: Option<PathBuf>,
    /// Names and addresses for the certificate besides `localhost`, `127.0.0.1` and `::1`.
    pub names: Vec<String>,
}

/// How peers may use sockets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SocketLimits {
    /// Sockets at one time, whatever they speak. More are closed at once.
    pub sockets: usize,
    /// From accepting a socket to the first bytes that tell the protocol, TLS handshake included; and how long
    /// the head of an HTTP request may take.
    pub first_bytes: Duration,
    /// How long the body of an HTTP request may take.
    pub http_body: Duration,
    /// How long [`shutdown`](super::Emulator::shutdown) waits for clients to take their goodbye.
    pub shutdown: Duration,
}

impl EmulatorConfig {
    /// The hub of an emulator that was given none, named as in the official emulator's sample.
    pub const DEFAULT_HUB: &'static str = "eh1";
    /// The partitions of [`DEFAULT_HUB`](Self::DEFAULT_HUB).
    pub const DEFAULT_PARTITIONS: u32 = 4;
    /// The consumer group that [`DEFAULT_HUB`](Self::DEFAULT_HUB) has besides `$Default`, named as in the
    /// official emulator's sample.
    pub const DEFAULT_CONSUMER_GROUP: &'static str = "cg1";
    /// The port of the official emulator, which every SDK takes where a connection string names none.
    pub const PORT: u16 = 5672;
    /// The port of AMQP over TLS.
    pub const TLS_PORT: u16 = 5671;
    /// The port of the official emulator's `/health`.
    pub const HEALTH_PORT: u16 = 5300;

    /// With one more hub.
    #[must_use]
    pub fn with_hub(mut self, name: impl Into<String>, partitions: u32) -> Self {
        self.namespace.hubs.push(HubConfig::new(name, partitions));
        self
    }

    /// With a consumer group besides `$Default`.
    #[must_use]
    pub fn with_consumer_group(mut self, hub: impl Into<String>, group: impl Into<String>) -> Self {
        self.consumer_groups.push((hub.into(), group.into()));
        self
    }

    /// With an access key and what it allows.
    #[must_use]
    pub fn with_rule(mut self, rule: AccessRule) -> Self {
        self.namespace.rules.push(rule);
        self
    }

    /// On this port instead of any.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Keeping events in this directory.
    #[must_use]
    pub fn with_data_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.data_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Serving the console in this directory.
    #[must_use]
    pub fn with_console(mut self, dir: impl AsRef<Path>) -> Self {
        self.console = Some(dir.as_ref().to_owned());
        self
    }

    /// With the certificate authority in this directory.
    #[must_use]
    pub fn with_ca_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.tls.get_or_insert_default().ca_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// The hub of an emulator that was given none.
    pub(super) fn default_hub() -> HubConfig {
        HubConfig {
            consumer_groups: vec![Self::DEFAULT_CONSUMER_GROUP.to_owned()],
            ..HubConfig::new(Self::DEFAULT_HUB, Self::DEFAULT_PARTITIONS)
        }
    }
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        EmulatorConfig {
            host: None,
            port: 0,
            tls_port: ExtraPort::Off,
            health_port: ExtraPort::Off,
            tls: Some(TlsConfig::default()),
            data_dir: None,
            console: None,
            namespace: NamespaceConfig::default(),
            consumer_groups: Vec::new(),
            sockets: SocketLimits::default(),
        }
    }
}

impl Default for SocketLimits {
    fn default() -> Self {
        SocketLimits {
            sockets: 6000,
            first_bytes: Duration::from_secs(15),
            http_body: Duration::from_secs(60),
            shutdown: Duration::from_secs(2),
        }
    }
}
