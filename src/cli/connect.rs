//! Which namespace and hub a command talks to, and how.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::client::{ClientBuilder, Transport};
use crate::consumer::ConsumerClient;
use crate::model::connection_string::ConnectionString;
use crate::producer::ProducerClient;

/// Said the same way to every command that connects.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where it connects")]
pub(super) struct ConnectArgs {
    /// As the emulator prints it, or as the Azure portal shows it
    #[arg(short, long, value_name = "TEXT", env = "EVENTHUB_CONNECTION_STRING", hide_env_values = true)]
    connection_string: Option<String>,
    /// The hub, where the connection string does not name it (EntityPath)
    #[arg(short, long, value_name = "NAME", env = "EVENTHUB_NAME")]
    event_hub: Option<String>,
    /// What carries AMQP [default: WebSockets, or what the endpoint's scheme says]
    #[arg(long, value_name = "ws|tcp", hide_possible_values = true)]
    transport: Option<TransportArg>,
    /// Dial this instead of the namespace's own address, such as ws://127.0.0.1:5672
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Trust the certificate authorities in this PEM file besides the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TransportArg {
    Ws,
    Tcp,
}

impl ConnectArgs {
    pub(super) fn producer(&self) -> Result<ProducerClient, Box<dyn Error>> {
        Ok(self.configure(ProducerClient::builder())?.build()?)
    }

    pub(super) fn consumer(&self, group: &str) -> Result<ConsumerClient, Box<dyn Error>> {
        Ok(self.configure(ConsumerClient::builder())?.consumer_group(group).build()?)
    }

    /// Whether a namespace is named at all, be it by a flag or by the environment.
    pub(super) fn names_a_namespace(&self) -> bool {
        self.connection_string.is_some()
    }

    /// The same way to connect, to a hub of one's own.
    pub(super) fn to(&self, connection_string: String, event_hub: &str) -> Self {
        ConnectArgs {
            connection_string: Some(connection_string),
            event_hub: Some(event_hub.to_owned()),
            ..self.clone()
        }
    }

    fn configure<C>(&self, mut builder: ClientBuilder<C>) -> Result<ClientBuilder<C>, Box<dyn Error>> {
        let parsed = match &self.connection_string {
            Some(text) => ConnectionString::parse(text),
            None => ConnectionString::from_env(),
        };
        let parsed = parsed?;
        match &self.event_hub {
            Some(hub) => builder = builder.event_hub(hub),
            None if parsed.event_hub().is_none() => {
                return Err(
                    "no hub is named: give --event-hub (the connection string has no EntityPath)".into()
                );
            }
            None => {}
        }
        builder = builder.parsed_connection_string(parsed);
        if let Some(transport) = self.transport {
            builder = builder.transport(match transport {
                TransportArg::Ws => Transport::WebSocket,
                TransportArg::Tcp => Transport::Tcp,
            });
        }
        if let Some(url) = &self.endpoint {
            builder = builder.custom_endpoint(url);
        }
        if let Some(path) = &self.ca {
            let pem = fs::read(path)
                .map_err(|error| format!("cannot read the certificates in {}: {error}", path.display()))?;
            builder = builder.ca_pem(pem);
        }
        Ok(builder)
    }
}
