//! From a connection string, or a namespace and a credential, to a client.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Client;
use super::config::Config;
use super::credential::{TokenProvider, TokenSource};
use super::endpoint::{Namespace, endpoint};
use super::options::{ClientOptions, Transport};
use crate::error::{Error, ErrorKind};
use crate::model::connection_string::{ConnectionString, Credential, Scheme};
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
    connection: Option<Result<ConnectionString, Error>>,
    namespace: Option<String>,
    event_hub: Option<String>,
    consumer_group: Option<String>,
    provider: Option<Arc<dyn TokenProvider>>,
    credential: Option<Credential>,
    options: ClientOptions,
    trust: Trust,
    makes: PhantomData<fn() -> C>,
}

/// What a builder can make.
pub(crate) trait FromClient {
    fn from_client(client: Client, consumer_group: Option<String>) -> Result<Self, Error>
    where
        Self: Sized;
}

/// The longest names that the service allows; longer ones are refused here, where the reason can be given.
const MAX_HUB: usize = 256;

impl<C> ClientBuilder<C> {
    pub(crate) fn new() -> Self {
        ClientBuilder {
            connection: None,
            namespace: None,
            event_hub: None,
            consumer_group: None,
            provider: None,
            credential: None,
            options: ClientOptions::default(),
            trust: Trust::default(),
            makes: PhantomData,
        }
    }

    /// The connection string of the namespace or of the event hub. What is wrong with it is said by
    /// [`build`](Self::build).
    pub fn connection_string(mut self, text: impl AsRef<str>) -> Self {
        self.connection = Some(ConnectionString::parse(text.as_ref()));
        self
    }

    /// A connection string that has been taken apart already.
    pub fn parsed_connection_string(mut self, parsed: ConnectionString) -> Self {
        self.connection = Some(Ok(parsed));
        self
    }

    /// The namespace's host name, such as `contoso.servicebus.windows.net`: for use with
    /// [`token_provider`](Self::token_provider), [`shared_key`](Self::shared_key) or [`sas_token`](Self::sas_token).
    pub fn namespace(mut self, host: impl Into<String>) -> Self {
        self.namespace = Some(host.into());
        self
    }

    /// The event hub's name. Not needed when the connection string names it (`EntityPath`); another name than
    /// that is an error.
    pub fn event_hub(mut self, name: impl Into<String>) -> Self {
        self.event_hub = Some(name.into());
        self
    }

    /// Asks `provider` for tokens, instead of making them from a key.
    pub fn token_provider(mut self, provider: impl TokenProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Makes tokens from this key.
    pub fn shared_key(mut self, name: impl Into<String>, key: impl Into<String>) -> Self {
        self.credential = Some(Credential::SharedKey { name: name.into(), key: key.into() });
        self
    }

    /// Uses this ready-made shared access signature until it expires.
    pub fn sas_token(mut self, token: impl Into<String>) -> Self {
        self.credential = Some(Credential::Sas(token.into()));
        self
    }

    /// Sets all options at once.
    pub fn options(mut self, options: ClientOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets what carries AMQP; see [`ClientOptions::transport`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.options.transport = Some(transport);
        self
    }

    /// Connects to another place than the namespace; see [`ClientOptions::custom_endpoint`].
    pub fn custom_endpoint(mut self, url: impl Into<String>) -> Self {
        self.options.custom_endpoint = Some(url.into());
        self
    }

    /// Trusts these certificate authorities too; see [`ClientOptions::ca_pem`].
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.ca_pem = Some(pem.into());
        self
    }

    /// Sets how failed operations are tried again; see [`ClientOptions::retry`].
    pub fn retry(mut self, retry: RetryOptions) -> Self {
        self.options.retry = retry;
        self
    }

    /// Sets how the client is called in the service's logs; see [`ClientOptions::identifier`].
    pub fn identifier(mut self, identifier: impl Into<String>) -> Self {
        self.options.identifier = Some(identifier.into());
        self
    }

    /// The options as they are chosen so far.
    #[allow(dead_code, reason = "JavaScript's options change some of them")]
    pub(crate) fn chosen(&self) -> &ClientOptions {
        &self.options
    }

    /// What dialling needs to know, besides certificates.
    #[allow(dead_code, reason = "JavaScript gives a class of WebSockets")]
    pub(crate) fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    pub(crate) fn set_consumer_group(&mut self, name: String) {
        self.consumer_group = Some(name);
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
        let consumer_group = self.consumer_group.clone();
        C::from_client(Client::new(self.config()?), consumer_group)
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
        let shown: String = hub.escape_debug().take(80).collect();
        return Err(invalid(format!(
            "'{shown}' is not the name of an event hub: 1 to {MAX_HUB} letters, digits, '.', '-' and '_'"
        )));
    }
    Ok(hub)
}

fn named(text: &str) -> Result<(Namespace, String), Error> {
    // The parser of connection strings knows what a host is.
    let template = format!("Endpoint=sb://{text};SharedAccessKeyName=-;SharedAccessKey=-");
    let parsed = match text.contains(';') {
        true => Err(invalid("a namespace is a host name")),
        false => ConnectionString::parse(&template),
    };
    let parsed = parsed.map_err(|_| {
        let shown: String = text.escape_debug().take(80).collect();
        invalid(format!("'{shown}' is not the host name of a namespace"))
    })?;
    Ok((Namespace { scheme: Scheme::Sb, ..Namespace::of(&parsed) }, parsed.authority()))
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
