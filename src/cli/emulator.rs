//! `eventhubs emulator`: an Event Hubs namespace on this machine.

mod banner;
mod parse;

use std::error::Error;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::broker::Retention;
use crate::cli::stop::stop_requested;
use crate::cli::{console, units};
use crate::emulator::{ConfigFile, Emulator, EmulatorConfig, ExtraPort, TlsConfig};

/// What an emulator is to be.
#[derive(Args, Debug)]
#[command(after_help = NOTES)]
pub(super) struct EmulatorArgs {
    /// A hub and its number of partitions (4 when not said); may be repeated
    #[arg(long = "hub", value_name = "NAME[:PARTITIONS]", value_parser = parse::hub, help_heading = "What it holds")]
    hubs: Vec<(String, u32)>,
    /// A consumer group besides $Default; may be repeated
    #[arg(long = "consumer-group", value_name = "HUB/GROUP", value_parser = parse::consumer_group, help_heading = "What it holds")]
    consumer_groups: Vec<(String, String)>,
    /// Hubs and groups from a Config.json of Microsoft's emulator
    #[arg(long, value_name = "FILE", help_heading = "What it holds")]
    config: Option<PathBuf>,
    /// Keep events in this directory over restarts; without it they live in memory
    #[arg(long, value_name = "DIR", help_heading = "What it holds")]
    data_dir: Option<PathBuf>,
    /// How long events are kept, such as 90m or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::duration, help_heading = "What it holds")]
    retention: Duration,
    /// How much a partition keeps at most, such as 256M
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = units::bytes, help_heading = "What it holds")]
    retention_size: u64,

    /// The address to listen on: loopback when not said, 0.0.0.0 for the whole network
    #[arg(long, value_name = "ADDRESS", help_heading = "Where it listens")]
    host: Option<IpAddr>,
    /// The port that serves everything; 0 takes any free one
    #[arg(short, long, value_name = "PORT", default_value_t = EmulatorConfig::PORT, help_heading = "Where it listens")]
    port: u16,
    /// The port where clients expect AMQP over TLS [default: 5671 where free]
    #[arg(long, value_name = "PORT", help_heading = "Where it listens")]
    tls_port: Option<u16>,
    /// The port of /health [default: 5300 where free]
    #[arg(long, value_name = "PORT", help_heading = "Where it listens")]
    health_port: Option<u16>,
    /// Listen on --port alone
    #[arg(long, conflicts_with_all = ["tls_port", "health_port"], help_heading = "Where it listens")]
    one_port: bool,

    /// An access key, its rights (send, listen, manage; all when not said) and, before a slash, the only hub
    /// it is for; may be repeated
    #[arg(long = "key", value_name = "[HUB/]NAME=KEY[:RIGHTS]", help_heading = "Who may use it")]
    keys: Vec<String>,
    /// Accept the keys of --key alone, not SAS_KEY_VALUE under any name
    #[arg(long, requires = "keys", help_heading = "Who may use it")]
    only_my_keys: bool,
    /// Take any Entra ID token (jwt) at its word, with all rights: they cannot be verified here
    #[arg(long, help_heading = "Who may use it")]
    accept_any_jwt: bool,
    /// Where the development certificate authority is kept (ca.pem) [default: a directory of yours, printed]
    #[arg(long, value_name = "DIR", help_heading = "Who may use it")]
    ca_dir: Option<PathBuf>,
    /// A name or address for the certificate besides localhost, 127.0.0.1 and ::1; may be repeated
    #[arg(long = "tls-name", value_name = "NAME", help_heading = "Who may use it")]
    tls_names: Vec<String>,
    /// Serve no TLS and make no certificates
    #[arg(long, conflicts_with_all = ["ca_dir", "tls_names", "tls_port"], help_heading = "Who may use it")]
    no_tls: bool,

    /// The largest event or batch
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = units::bytes, help_heading = "Limits")]
    max_message_size: u64,
    /// Connections at one time
    #[arg(long, value_name = "COUNT", default_value_t = 5000, help_heading = "Limits")]
    max_connections: usize,
    /// Links of one connection
    #[arg(long, value_name = "COUNT", default_value_t = 4096, help_heading = "Limits")]
    max_links: usize,
    /// Events of all hubs together, held in memory
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = units::bytes, help_heading = "Limits")]
    max_memory: u64,

    /// Serve the console from this directory at / [default: the one beside this program, where there is one]
    #[arg(long, value_name = "DIR")]
    console: Option<PathBuf>,
    /// Print one line of JSON once everything listens, for scripts
    #[arg(long)]
    json: bool,
}

const NOTES: &str = "\
One port serves AMQP, AMQP over WebSockets and HTTP, each with and without TLS: one connection
string works in every SDK. Without --hub and --config there is one hub, eh1, with 4 partitions
and the consumer group cg1.

Examples:
  eventhubs emulator
  eventhubs emulator --hub orders:4 --hub clicks:32 --consumer-group orders/billing
  eventhubs emulator --config Config.json --data-dir ./events
  eventhubs emulator --key reader=c2VjcmV0:listen --only-my-keys
  eventhubs emulator --port 0 --json";

impl EmulatorArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let json = self.json;
        let emulator = Emulator::start(self.into_config()?).await?;
        say(&if json { banner::json(&emulator) + "\n" } else { banner::text(&emulator) });
        stop_requested().await?;
        if !json {
            say("\nStopping.\n");
        }
        tokio::select! {
            stopped = emulator.shutdown() => Ok(stopped?),
            again = stop_requested() => Ok(again?),
        }
    }

    fn into_config(self) -> Result<EmulatorConfig, Box<dyn Error>> {
        let mut config = EmulatorConfig::default();
        if let Some(path) = &self.config {
            config.namespace.hubs = ConfigFile::read(path)?.into_hubs();
        }
        for (name, partitions) in self.hubs {
            config = config.with_hub(name, partitions);
        }
        config.consumer_groups = self.consumer_groups;
        for key in &self.keys {
            config.namespace.rules.push(parse::access_rule(key)?);
        }
        config.namespace.accept_any_jwt = self.accept_any_jwt;
        if self.only_my_keys {
            config.namespace.development_key = None;
        }
        config.namespace.retention =
            Retention { time: self.retention, bytes_per_partition: self.retention_size };
        let limits = &mut config.namespace.limits;
        limits.max_message_size = self.max_message_size;
        limits.connections = self.max_connections;
        limits.links_per_connection = self.max_links;
        limits.stored_bytes = self.max_memory;
        // Room for the polite refusal, and for HTTP beside a namespace that is full.
        config.sockets.sockets = self.max_connections.saturating_add(1000);

        config.host = self.host;
        config.port = self.port;
        config.tls_port =
            extra_port(self.tls_port, EmulatorConfig::TLS_PORT, self.port, self.one_port || self.no_tls);
        config.health_port =
            extra_port(self.health_port, EmulatorConfig::HEALTH_PORT, self.port, self.one_port);
        config.data_dir = self.data_dir;
        config.console = self.console.or_else(console::find);
        config.tls = (!self.no_tls).then_some(TlsConfig { ca_dir: self.ca_dir, names: self.tls_names });
        Ok(config)
    }
}

/// Prints for whoever listens. A reader that is gone, such as `head -1`, is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A script that asks for any port must not be surprised by two well-known ones.
fn extra_port(asked: Option<u16>, usual: u16, main: u16, off: bool) -> ExtraPort {
    match asked {
        Some(port) => ExtraPort::Required(port),
        None if off || main == 0 => ExtraPort::Off,
        None => ExtraPort::IfFree(usual),
    }
}
