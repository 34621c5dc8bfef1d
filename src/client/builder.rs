//! From a connection string, or a namespace and a credential, to a client.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::config::Config;
use super::credential::{TokenProvider, TokenSource};
use super::endpoint::{Namespace, endpoint};
use super::options::{ClientOptions, Transport};
use crate::error::{Error, ErrorKind, shown};
use crate::model::connection_string::{ConnectionString, Credential, Scheme, authority, parse_authority};
use crate::model::publishing::PublishingState;
use crate::model::retry::RetryOptions;
use crate::model::value::Uuid;
use crate::runtime::{Trust, random_bytes};

/// Makes a client: says where the event hub is, what opens it, and how to behave. Does no I/O.
///
/// ```
/// use eventhubs::{ConsumerClient, Transport};
///
/// let consumer = ConsumerClient::builder()
///     .connection_string("Endpoint=sb://localhost;SharedAccessKeyName=app;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true")
///     .event_hub("orders")
///     .consumer_group("billing")
///     .transport(Transport::Tcp)
///     .build()?;
/// # Ok::<(), eventhubs::Error>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder<C> {
    setup: Setup,
    makes: PhantomData<fn() -> C>,
}

/// What a builder has been told. Not generic: the code that understands it is there once, whatever is made.
#[derive(Default)]
pub(crate) struct Setup {
    connection: Option<Result<ConnectionString, Error>>,
    pub(crate) namespace: Option<String>,
    pub(crate) event_hub: Option<String>,
    pub(crate) consumer_group: Option<String>,
    provider: Option<Arc<dyn TokenProvider>>,
    credential: Option<Credential>,
    pub(crate) options: ClientOptions,
    /// Whether a producer numbers its events.
    pub(crate) idempotent: bool,
    /// Where it goes on, by partition.
    pub(crate) publishing: Vec<(String, PublishingState)>,
    /// What dialling needs to know, besides certificates.
    pub(crate) trust: Trust,
}

/// What some clients are told and others are not.
pub(crate) struct Extras {
    pub(crate) consumer_group: Option<String>,
    pub(crate) idempotent: bool,
    pub(crate) publishing: Vec<(String, PublishingState)>,
}

/// What a builder can make.
pub(crate) trait FromClient {
    fn from_client(client: Client, extras: Extras) -> Result<Self, Error>
    where
        Self: Sized;
}

/// The longest names that the service allows; longer ones are refused here, where the reason can be given.
const MAX_HUB: usize = 256;
/// Less would take the time that events need on their way for a stall.
const LEAST_STALL_TIMEOUT: Duration = Duration::from_millis(100);

impl<C> ClientBuilder<C> {
    pub(crate) fn new() -> Self {
        ClientBuilder { setup: Setup::default(), makes: PhantomData }
    }

    /// The connection string of the namespace or of the event hub. What is wrong with it is said by
    /// [`build`](Self::build).
    pub fn connection_string(mut self, text: impl AsRef<str>) -> Self {
        self.setup.connection_string(text.as_ref());
        self
    }

    /// A connection string that has been taken apart already.
    pub fn parsed_connection_string(mut self, parsed: ConnectionString) -> Self {
        self.setup.connection = Some(Ok(parsed));
        self
    }

    /// The namespace's host name, such as `contoso.servicebus.windows.net`: for use with
    /// [`token_provider`](Self::token_provider), [`shared_key`](Self::shared_key) or [`sas_token`](Self::sas_token).
    pub fn namespace(mut self, host: impl Into<String>) -> Self {
        self.setup.namespace = Some(host.into());
        self
    }

    /// The event hub's name. Not needed when the connection string names it (`EntityPath`); another name than
    /// that is an error.
    pub fn event_hub(mut self, name: impl Into<String>) -> Self {
        self.setup.event_hub = Some(name.into());
        self
    }

    /// Asks `provider` for tokens, instead of making them from a key.
    pub fn token_provider(mut self, provider: impl TokenProvider) -> Self {
        self.setup.token_provider(provider);
        self
    }

    /// Makes tokens from this key.
    pub fn shared_key(mut self, name: impl Into<String>, key: impl Into<String>) -> Self {
        self.setup.shared_key(name.into(), key.into());
        self
    }

    /// Uses this ready-made shared access signature until it expires.
    pub fn sas_token(mut self, token: impl Into<String>) -> Self {
        self.setup.sas_token(token.into());
        self
    }

    /// Sets all options at once.
    pub fn options(mut self, options: ClientOptions) -> Self {
        self.setup.options = options;
        self
    }

    /// Sets what carries AMQP; see [`ClientOptions::transport`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.setup.options.transport = Some(transport);
        self
    }

    /// Connects to another place than the namespace; see [`ClientOptions::custom_endpoint`].
    pub fn custom_endpoint(mut self, url: impl Into<String>) -> Self {
        self.setup.options.custom_endpoint = Some(url.into());
        self
    }

    /// Trusts these certificate authorities too; see [`ClientOptions::ca_pem`].
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.setup.options.ca_pem = Some(pem.into());
        self
    }

    /// Sets how failed operations are tried again; see [`ClientOptions::retry`].
    pub fn retry(mut self, retry: RetryOptions) -> Self {
        self.setup.options.retry = retry;
        self
    }

    /// Sets how the client is called in the service's logs; see [`ClientOptions::identifier`].
    pub fn identifier(mut self, identifier: impl Into<String>) -> Self {
        self.setup.options.identifier = Some(identifier.into());
        self
    }

    pub(crate) fn set_consumer_group(&mut self, name: String) {
        self.setup.consumer_group = Some(name);
    }

    pub(crate) fn setup_mut(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// Makes the client. Nothing is connected yet; the first call that needs a connection makes it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`] or [`ErrorKind::InvalidArgument`], saying which part is missing
    /// or wrong.
    #[allow(private_bounds, reason = "only this crate's clients are made")]
    pub fn build(self) -> Result<C, Error>
    where
        C: FromClient,
    {
        self.setup.build()
    }
}

#[allow(dead_code, reason = "JavaScript sets up clients without a builder")]
impl Setup {
    pub(crate) fn connection_string(&mut self, text: &str) {
        self.connection = Some(ConnectionString::parse(text));
    }

    pub(crate) fn token_provider(&mut self, provider: impl TokenProvider) {
        self.provider = Some(Arc::new(provider));
    }

    pub(crate) fn shared_key(&mut self, name: String, key: String) {
        self.credential = Some(Credential::SharedKey { name, key });
    }

    pub(crate) fn sas_token(&mut self, token: String) {
        self.credential = Some(Credential::Sas(token));
    }

    pub(crate) fn build<C: FromClient>(self) -> Result<C, Error> {
        let (client, extras) = self.client()?;
        C::from_client(client, extras)
    }

    /// The client that others stand on, and what they are told.
    pub(crate) fn client(mut self) -> Result<(Client, Extras), Error> {
        let extras = Extras {
            consumer_group: self.consumer_group.take(),
            idempotent: self.idempotent,
            publishing: std::mem::take(&mut self.publishing),
        };
        Ok((Client::new(self.config()?), extras))
    }

    fn config(self) -> Result<Config, Error> {
        let connection = self.connection.transpose()?;
        let hub = hub_name(self.event_hub, connection.as_ref())?;
        let tokens = match (self.provider, self.credential, &connection) {
            (Some(_), Some(_), _) => {
                return Err(invalid("both a token provider and a key or token are given: leave one out"));
            }
            (Some(provider), None, _) => TokenSource::Provider(provider),
            (None, Some(credential), _) => TokenSource::new(credential, self.options.token_lifetime),
            (None, None, Some(parsed)) => {
                TokenSource::new(parsed.credential().clone(), self.options.token_lifetime)
            }
            (None, None, None) => {
                return Err(invalid(
                    "nothing says what opens the namespace: give a connection string, or a namespace \
                     with a token provider, key or token",
                ));
            }
        };
        let (namespace, authority) = match (self.namespace, &connection) {
            (Some(_), Some(_)) => {
                return Err(invalid("both a namespace and a connection string are given: leave one out"));
            }
            (None, Some(parsed)) => (Namespace::of(parsed), parsed.authority()),
            (Some(host), None) => named(&host)?,
            (None, None) => return Err(invalid("the namespace is missing")),
        };
        let options = self.options;
        let trust = match &options.ca_pem {
            Some(pem) => {
                Trust::with_extra(pem).map_err(|why| invalid(format!("`ca_pem` cannot be used: {why}")))?
            }
            None => self.trust,
        };
        Ok(Config {
            endpoint: endpoint(&namespace, options.transport, options.custom_endpoint.as_deref())?,
            trust,
            host: namespace.host,
            authority,
            hub,
            tokens,
            retry: RetryOptions { max_attempts: options.retry.max_attempts.max(1), ..options.retry },
            connect_timeout: options.connect_timeout,
            idle_timeout: options.idle_timeout,
            stall_timeout: options.stall_timeout.max(LEAST_STALL_TIMEOUT),
            identifier: options.identifier.unwrap_or_else(|| Uuid::from_random(random_bytes()).to_string()),
            application_id: options.application_id,
        })
    }
}

fn hub_name(given: Option<String>, connection: Option<&ConnectionString>) -> Result<String, Error> {
    let inside = connection.and_then(ConnectionString::event_hub);
    let hub = match (given, inside) {
        (Some(given), Some(inside)) if !given.eq_ignore_ascii_case(inside) => {
            return Err(invalid(format!(
                "the event hub '{given}' is asked for, but the connection string is for '{inside}'"
            )));
        }
        (Some(given), _) => given,
        (None, Some(inside)) => inside.to_owned(),
        (None, None) => {
            return Err(invalid("the event hub's name is missing: the connection string has no EntityPath"));
        }
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if hub.is_empty() || hub.len() > MAX_HUB || !hub.chars().all(is_plain) {
        let shown = shown(&hub, 80);
        return Err(invalid(format!(
            "'{shown}' is not the name of an event hub: 1 to {MAX_HUB} letters, digits, '.', '-' and '_'"
        )));
    }
    Ok(hub)
}

fn named(text: &str) -> Result<(Namespace, String), Error> {
    let (host, port) = parse_authority(text)
        .map_err(|_| invalid(format!("'{}' is not the host name of a namespace", shown(text, 80))))?;
    let authority = authority(&host, port);
    Ok((Namespace { scheme: Scheme::Sb, host, port, is_emulator: false }, authority))
}

impl Namespace {
    fn of(parsed: &ConnectionString) -> Self {
        Namespace {
            scheme: parsed.scheme(),
            host: parsed.host().to_owned(),
            port: parsed.port(),
            is_emulator: parsed.is_emulator(),
        }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with_operation("make a client")
}
