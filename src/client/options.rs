//! What can be chosen about a client, and why the defaults are what they are.

use std::fmt;
use std::time::Duration;

use crate::model::retry::RetryOptions;

/// What carries AMQP between the client and the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Binary WebSocket messages, port 443 (`wss`), or the emulator's port (`ws`). The default: it passes
    /// firewalls and proxies, and it is the only one that a browser has.
    #[default]
    WebSocket,
    /// A TCP connection of its own, port 5671 (`amqps`), or the emulator's port (`amqp`).
    Tcp,
}

/// What can be chosen about a client's connection.
///
/// ```
/// use std::time::Duration;
/// use eventhubs::{ClientOptions, RetryOptions};
///
/// let options = ClientOptions {
///     identifier: Some("billing-7".into()),
///     retry: RetryOptions { total_deadline: Some(Duration::from_secs(30)), ..Default::default() },
///     ..Default::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct ClientOptions {
    /// What carries AMQP. Default: what the scheme of the endpoint says (`amqp`, `amqps`, `ws`, `wss`), and
    /// a WebSocket for `sb`.
    pub transport: Option<Transport>,
    /// Another place to connect to than the namespace, such as `ws://127.0.0.1:5672` or
    /// `wss://gateway.example.com`. Tokens and addresses still name the namespace. Default: none.
    pub custom_endpoint: Option<String>,
    /// Certificate authorities to trust besides the system's, in PEM: for the emulator's development
    /// certificate or a company's proxy. Default: none.
    pub ca_pem: Option<Vec<u8>>,
    /// How often and how fast a failed operation is tried again.
    pub retry: RetryOptions,
    /// How long a connection may take to be made: name resolution, TCP, TLS, WebSocket and AMQP together.
    /// Default: 20 s, which is long for a slow network and short for a person who waits.
    pub connect_timeout: Duration,
    /// The silence after which the peer is asked to show that it is alive; after twice as long the connection
    /// counts as lost. Default: 30 s, so that a lost network is noticed within a minute, whatever TCP believes.
    pub idle_timeout: Duration,
    /// How long a partition that is being read may be silent although the service has newer events for it and may send them. After
    /// that its link counts as stalled: [`Status::Stalled`](crate::Status::Stalled) is told, and it is made anew behind the last
    /// event. Where [`track_last_enqueued`](crate::PartitionReader::track_last_enqueued) does not tell whether there are newer events,
    /// the service is asked, after this much silence at first, then ever more seldom, down to once in ten times this. `Duration::MAX`
    /// turns it off. Default: 30 s.
    pub stall_timeout: Duration,
    /// How this client is called in the service's logs and error texts. Default: a random name.
    pub identifier: Option<String>,
    /// The application's name, sent along when a connection is opened. Default: none.
    pub application_id: Option<String>,
    /// How long a token that is made from a key is valid. It is renewed after four fifths of this.
    /// Default: one hour, as the official clients.
    pub token_lifetime: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            transport: None,
            custom_endpoint: None,
            ca_pem: None,
            retry: RetryOptions::default(),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            identifier: None,
            application_id: None,
            token_lifetime: Duration::from_secs(3600),
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("transport", &self.transport)
            .field("custom_endpoint", &self.custom_endpoint)
            .field("ca_pem", &self.ca_pem.as_ref().map(Vec::len))
            .field("retry", &self.retry)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("identifier", &self.identifier)
            .field("application_id", &self.application_id)
            .field("token_lifetime", &self.token_lifetime)
            .finish()
    }
}
