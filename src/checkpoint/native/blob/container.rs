//! Which container, and what opens it: from URLs and connection strings.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::{AccessToken, TokenProvider};
use crate::error::{Error, ErrorKind, shown};
use crate::runtime::HttpServer;

/// The account that every emulator of storage has; its key is public.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATOR_ENDPOINT: &str = "http://127.0.0.1:10000";
const PUBLIC_CLOUD: &str = "core.windows.net";

/// A container of blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) server: HttpServer,
    /// From the root, as it stands in requests.
    pub(super) path: String,
}

/// What opens a container. Never printed.
#[derive(Clone)]
pub(super) enum Access {
    /// The query of a signed URL.
    Sas(String),
    Key {
        account: String,
        key: Vec<u8>,
    },
    Token {
        provider: Arc<dyn TokenProvider>,
        last: Arc<futures::lock::Mutex<Option<AccessToken>>>,
    },
}

impl Container {
    /// From a URL, with what stands behind its question mark.
    pub(super) fn parse(url: &str) -> Result<(Self, Option<String>), Error> {
        let wrong =
            |why: String| Error::new(ErrorKind::InvalidArgument, format!("the container's URL {why}"));
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| wrong("has no scheme".into()))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(wrong(format!("has the scheme '{}', not https", shown(other, 20)))),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.split('#').next().unwrap_or_default().to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(wrong("has a user, which storage does not know".into()));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().map_err(|_| wrong(format!("has no port '{}'", shown(port, 20))))?;
                (host, port)
            }
            _ => (authority, if is_tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = path.trim_matches('/');
        if host.is_empty() {
            return Err(wrong("has no host".into()));
        }
        if path.is_empty() {
            return Err(wrong("names no container: it ends with the host".into()));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("holds characters that have to be percent-encoded".into()));
        }
        Ok((Container { server: HttpServer { host, port, is_tls }, path: format!("/{path}") }, query))
    }

    /// From a storage account's connection string.
    pub(super) fn from_connection_string(text: &str, name: &str) -> Result<(Self, Access), Error> {
        let parts: Vec<(String, &str)> = text
            .split(';')
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
            .collect();
        let part = |name: &str| {
            parts.iter().find(|(known, _)| known == name).map(|(_, value)| *value).filter(|v| !v.is_empty())
        };
        if !is_container_name(name) {
            let message = format!(
                "'{}' cannot be the name of a container: 3 to 63 lower-case letters, digits and hyphens",
                shown(name, 80)
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if part("usedevelopmentstorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            let endpoint = match part("developmentstorageproxyuri") {
                Some(proxy) => format!("{}:10000", proxy.trim_end_matches('/')),
                None => EMULATOR_ENDPOINT.to_owned(),
            };
            let (container, _) = Container::parse(&format!("{endpoint}/{EMULATOR_ACCOUNT}/{name}"))?;
            return Ok((container, Access::key(EMULATOR_ACCOUNT, EMULATOR_KEY)?));
        }
        let account = part("accountname");
        let endpoint = match (part("blobendpoint"), account) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(account)) => {
                let scheme = part("defaultendpointsprotocol").unwrap_or("https");
                let suffix = part("endpointsuffix").unwrap_or(PUBLIC_CLOUD);
                format!("{scheme}://{account}.blob.{suffix}")
            }
            (None, None) => return Err(malformed("it has neither 'AccountName' nor 'BlobEndpoint'")),
        };
        let (container, _) = Container::parse(&format!("{endpoint}/{name}"))
            .map_err(|error| malformed(&format!("its endpoint makes no sense: {}", error.message())))?;
        let access = match (part("sharedaccesssignature"), account, part("accountkey")) {
            (Some(query), _, _) => Access::Sas(query.trim_start_matches('?').to_owned()),
            (None, Some(account), Some(key)) => Access::key(account, key)?,
            _ => return Err(malformed("it has no 'AccountKey' and no 'SharedAccessSignature'")),
        };
        Ok((container, access))
    }
}

impl Access {
    fn key(account: &str, key: &str) -> Result<Self, Error> {
        let key = STANDARD.decode(key).map_err(|_| malformed("its 'AccountKey' is not Base64"))?;
        Ok(Access::Key { account: account.to_owned(), key })
    }

    pub(super) fn token(provider: impl TokenProvider) -> Self {
        Access::Token { provider: Arc::new(provider), last: Arc::default() }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.server.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.server.authority(), self.path)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Sas(_) => f.write_str("Sas(***)"),
            Access::Key { account, .. } => write!(f, "Key({account})"),
            Access::Token { .. } => f.write_str("Token"),
        }
    }
}

fn is_container_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name == "$root" || ((3..=63).contains(&name.len()) && name.bytes().all(plain))
}

/// Never holds the text: there is a key in it.
fn malformed(why: &str) -> Error {
    let message = format!("the storage connection string cannot be understood: {why}");
    Error::new(ErrorKind::InvalidConnectionString, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(text: &str) -> Result<(String, Access), Error> {
        let (container, access) = Container::from_connection_string(text, "groups")?;
        Ok((container.to_string(), access))
    }

    #[test]
    fn connection_strings_lead_to_their_containers() {
        for (text, url) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
                "https://contoso.blob.core.windows.net/groups",
            ),
            ("accountname=contoso ; ACCOUNTKEY=c2VjcmV0;", "https://contoso.blob.core.windows.net/groups"),
            (
                "AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=http://azurite:10000/a/",
                "http://azurite:10000/a/groups",
            ),
            (
                "BlobEndpoint=https://c.blob.core.windows.net;SharedAccessSignature=?sv=2021&sig=hush%3D",
                "https://c.blob.core.windows.net/groups",
            ),
            ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1/groups"),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
                "http://azurite:10000/devstoreaccount1/groups",
            ),
        ] {
            assert_eq!(connection(text).unwrap().0, url, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (text, why) in [
            ("", "neither 'AccountName'"),
            ("AccountName=contoso", "no 'AccountKey'"),
            ("AccountName=contoso;AccountKey=hush!", "not Base64"),
            ("AccountName=contoso;AccountKey=c2VjcmV0;BlobEndpoint=hush", "no scheme"),
        ] {
            let error = connection(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConnectionString);
            let said = error.to_string();
            assert!(said.contains(why) && !said.contains("hush"), "{said}");
        }
        let name = Container::from_connection_string("UseDevelopmentStorage=true", "Groups").unwrap_err();
        assert!(name.to_string().contains("lower-case"), "{name}");
    }

    #[test]
    fn urls_are_taken_apart() {
        let (container, query) =
            Container::parse("https://c.blob.core.windows.net/groups/?sv=1&sig=x#y").unwrap();
        assert_eq!(container.to_string(), "https://c.blob.core.windows.net/groups");
        assert_eq!(query.as_deref(), Some("sv=1&sig=x"));
        let (local, _) = Container::parse("http://[::1]:10000/devstoreaccount1/groups").unwrap();
        assert_eq!((local.server.host.as_str(), local.server.port), ("::1", 10000));
        assert_eq!(local.to_string(), "http://[::1]:10000/devstoreaccount1/groups");
        for wrong in [
            "contoso",
            "ftp://c/groups",
            "https://c",
            "https://c/",
            "https:///g",
            "https://u@c/g",
            "http://c:x/g",
        ] {
            assert_eq!(
                Container::parse(wrong).err().map(|error| error.kind()),
                Some(ErrorKind::InvalidArgument),
                "{wrong}"
            );
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let key = Access::key("contoso", "aHVzaA==").unwrap();
        let printed = format!("{key:?} {:?}", Access::Sas("hush".into()));
        assert!(!printed.contains("hush") && !printed.contains("104"), "{printed}");
    }
}
