//! Where tokens come from.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::model::connection_string::Credential;
use crate::model::sas::{self, SasToken};
use crate::model::value::Timestamp;
use crate::runtime::unix_now;

/// A token that opens a hub, for as long as it lasts. Its text is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: String,
    kind: TokenKind,
    expires: Timestamp,
}

/// What a token is, as `$cbs` wants to hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Sas,
    Jwt,
}

/// Gives out tokens, for example by asking a server that keeps the key.
///
/// It is asked when a connection is made, and again well before a token expires. When it fails it is asked again as
/// the retry options say; the last failure becomes the error of the call that needed the token.
///
/// Every `Fn(String) -> impl Future<Output = Result<AccessToken, Box<dyn Error + Send + Sync>>>` is one:
///
/// ```
/// use eventhubs::{AccessToken, ProducerClient};
///
/// # async fn ask_my_server(audience: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
/// # fn main() -> Result<(), eventhubs::Error> {
/// let producer = ProducerClient::builder()
///     .namespace("contoso.servicebus.windows.net")
///     .event_hub("orders")
///     .token_provider(|audience: String| async move {
///         let token = ask_my_server(&audience).await?;
///         Ok(AccessToken::sas(token)?)
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub trait TokenProvider: Send + Sync + 'static {
    /// A token for `audience`, such as `sb://contoso.servicebus.windows.net/orders`, or for what lies above it. It may be asked for
    /// other audiences meanwhile, never twice at once for the same by one client.
    ///
    /// # Errors
    /// Whatever keeps it from giving one.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time; a later call starts anew.
    fn token(&self, audience: String) -> BoxFuture<'_, Result<AccessToken, Box<dyn StdError + Send + Sync>>>;
}

impl<P, F> TokenProvider for P
where
    P: Fn(String) -> F + Send + Sync + 'static,
    F: Future<Output = Result<AccessToken, Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    fn token(&self, audience: String) -> BoxFuture<'_, Result<AccessToken, Box<dyn StdError + Send + Sync>>> {
        Box::pin(self(audience))
    }
}

impl AccessToken {
    /// A shared access signature; when it expires stands inside.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] when the text is not one.
    pub fn sas(token: impl Into<String>) -> Result<Self, Error> {
        let text = token.into();
        let expires = SasToken::parse(&text)?.expiry();
        Ok(AccessToken {
            text,
            kind: TokenKind::Sas,
            expires: Timestamp::from_millis(expires.saturating_mul(1000)),
        })
    }

    /// A token of Microsoft Entra ID for the scope `https://eventhubs.azure.net/.default`, without `Bearer`.
    pub fn jwt(token: impl Into<String>, expires: impl Into<Timestamp>) -> Self {
        AccessToken { text: token.into(), kind: TokenKind::Jwt, expires: expires.into() }
    }

    /// When it expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn kind(&self) -> TokenKind {
        self.kind
    }

    /// How long it is still good for.
    pub(crate) fn remaining(&self) -> Duration {
        let millis = self.expires.as_millis().saturating_sub(unix_now().as_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({:?}, expires {})", self.kind, self.expires)
    }
}

/// Where a client's tokens come from.
#[derive(Clone)]
pub(crate) enum TokenSource {
    /// Made from a key.
    Key { name: String, key: String, lifetime: Duration },
    /// Ready-made: passed on as it is, and never renewed.
    Ready(String),
    /// Asked for.
    Provider(Arc<dyn TokenProvider>),
}

impl TokenSource {
    pub(crate) fn new(credential: Credential, lifetime: Duration) -> Self {
        match credential {
            Credential::SharedKey { name, key } => TokenSource::Key { name, key, lifetime },
            Credential::Sas(token) => TokenSource::Ready(token),
        }
    }

    /// A token for `audience`.
    pub(crate) fn token(&self, audience: &str) -> BoxFuture<'static, Result<AccessToken, Error>> {
        match self {
            TokenSource::Key { name, key, lifetime } => {
                let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
                let expiry = (unix_now().as_millis() / 1000).saturating_add(lifetime);
                let token = AccessToken {
                    text: sas::sign(audience, name, key, expiry),
                    kind: TokenKind::Sas,
                    expires: Timestamp::from_millis(expiry.saturating_mul(1000)),
                };
                Box::pin(ready(Ok(token)))
            }
            TokenSource::Ready(token) => Box::pin(ready(AccessToken::sas(token.clone()))),
            TokenSource::Provider(provider) => {
                let (provider, audience) = (provider.clone(), audience.to_owned());
                Box::pin(async move { provider.token(audience).await.map_err(provider_error) })
            }
        }
    }

    /// Whether another token can follow the first.
    pub(crate) fn can_renew(&self) -> bool {
        !matches!(self, TokenSource::Ready(_))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenSource::Key { name, .. } => write!(f, "Key({name})"),
            TokenSource::Ready(_) => f.write_str("Ready(***)"),
            TokenSource::Provider(_) => f.write_str("Provider"),
        }
    }
}

fn provider_error(error: Box<dyn StdError + Send + Sync>) -> Error {
    // Passing by nature: the next answer of a server, or of a person's network, may be another.
    Error::new(ErrorKind::Unauthorized, format!("the token provider failed: {error}")).with_transient(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_makes_tokens_that_last_as_long_as_chosen() {
        let credential = Credential::SharedKey { name: "app".into(), key: "secret".into() };
        let source = TokenSource::new(credential, Duration::from_secs(100));
        let token = source.token("sb://h/orders").await.unwrap();
        assert!(token.remaining() > Duration::from_secs(97) && token.remaining() <= Duration::from_secs(100));
        assert!(SasToken::parse(token.text()).unwrap().verify("secret"));
        assert!(source.can_renew());
    }

    #[test]
    fn neither_key_nor_token_is_ever_printed() {
        let key = TokenSource::Key { name: "app".into(), key: "hush".into(), lifetime: Duration::ZERO };
        let ready = TokenSource::Ready("hush".into());
        let token = AccessToken::jwt("hush", Timestamp::from_millis(0));
        let provider = TokenSource::Provider(Arc::new(|_: String| async { Err("hush".into()) }));
        let printed = format!("{key:?} {ready:?} {token:?} {provider:?}");
        assert!(!printed.contains("hush"), "{printed}");
    }

    #[tokio::test]
    async fn what_a_provider_fails_with_can_pass() {
        let provider =
            TokenSource::Provider(Arc::new(|_: String| async { Err("the server is down".into()) }));
        let error = provider.token("sb://h/orders").await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("the server is down"), "{error}");
    }
}
