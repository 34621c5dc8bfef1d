//! Connection strings: where a namespace is, and what opens it.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The longest connection string that is looked at, in bytes. Real ones have a few hundred.
const MAX_BYTES: usize = 64 * 1024;

/// What a bare namespace name stands for.
const DEFAULT_DOMAIN: &str = "servicebus.windows.net";

/// A connection string, taken apart.
///
/// ```
/// # use eventhubs::ConnectionString;
/// let parsed = ConnectionString::parse(
///     "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey=c2VjcmV0;EntityPath=orders",
/// )?;
/// assert_eq!(parsed.host(), "contoso.servicebus.windows.net");
/// assert_eq!(parsed.event_hub(), Some("orders"));
/// assert!(!format!("{parsed}").contains("c2VjcmV0"));
/// # Ok::<(), eventhubs::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
    event_hub: Option<String>,
    credential: Credential,
    emulator: bool,
}

/// The scheme of the endpoint in a connection string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `sb`: the client chooses how to connect.
    Sb,
    /// `amqp`: plain TCP.
    Amqp,
    /// `amqps`: TLS.
    Amqps,
    /// `ws`: a WebSocket without TLS.
    Ws,
    /// `wss`: a WebSocket over TLS.
    Wss,
}

/// What opens a namespace.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// A named key; tokens are made from it.
    SharedKey {
        /// The name of the authorization rule.
        name: String,
        /// The rule's key.
        key: String,
    },
    /// A ready-made shared access signature; it is passed on as it is.
    Sas(String),
}

impl ConnectionString {
    /// Takes a connection string apart. Keys come in any order and case; keys without a meaning here are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`], naming the part that is missing or wrong. The message never holds a key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(invalid(format!("it is {} bytes long, at most {MAX_BYTES} are allowed", text.len())));
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.starts_with(['"', '\'']) {
            return Err(invalid("it starts with a quotation mark: leave the quotation marks out"));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("it contains a control character, such as a line break"));
        }
        let parts = Parts::split(text)?;
        let endpoint = parts.required(parts.endpoint, "Endpoint")?;
        let (scheme, host, port) = parse_endpoint(endpoint)?;
        Ok(ConnectionString {
            scheme,
            host,
            port,
            event_hub: parts.event_hub()?,
            credential: parts.credential()?,
            emulator: parts.emulator()?,
        })
    }

    /// Reads the connection string from the environment: `EVENTHUB_CONNECTION_STRING`, or else
    /// `EVENTHUB_NAMESPACE`, `EVENTHUB_KEY_NAME` and `EVENTHUB_KEY_VALUE`; `EVENTHUB_NAME` names the event hub.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`], naming the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), with the variables from `lookup`.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let hub = lookup("EVENTHUB_NAME");
        let mut parsed = match lookup("EVENTHUB_CONNECTION_STRING") {
            Some(text) => Self::parse(&text)?,
            None => Self::from_named_variables(&lookup)?,
        };
        if let Some(hub) = hub {
            let hub = checked_hub(hub.trim(), "EVENTHUB_NAME")?;
            if parsed.event_hub.as_ref().is_some_and(|inside| !inside.eq_ignore_ascii_case(&hub)) {
                return Err(invalid(
                    "EVENTHUB_NAME and the EntityPath of EVENTHUB_CONNECTION_STRING name different event hubs",
                ));
            }
            parsed.event_hub.get_or_insert(hub);
        }
        Ok(parsed)
    }

    /// The namespace's host name, in lower case; IPv6 addresses come without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The endpoint's scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The event hub (`EntityPath`), where one is given.
    pub fn event_hub(&self) -> Option<&str> {
        self.event_hub.as_deref()
    }

    /// What opens the namespace.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether it leads to a development emulator (`UseDevelopmentEmulator=true`), which is spoken to without TLS.
    pub fn is_emulator(&self) -> bool {
        self.emulator
    }

    /// The namespace as it stands in addresses: the host, IPv6 in brackets, and the port where one is given.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }

    fn from_named_variables(lookup: &impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let namespace = lookup("EVENTHUB_NAMESPACE").ok_or_else(|| {
            invalid("neither EVENTHUB_CONNECTION_STRING nor EVENTHUB_NAMESPACE is set: set the first to the namespace's connection string")
        })?;
        let required = |name: &str| {
            lookup(name).ok_or_else(|| invalid(format!("EVENTHUB_NAMESPACE is set, but {name} is not")))
        };
        let (name, key) = (required("EVENTHUB_KEY_NAME")?, required("EVENTHUB_KEY_VALUE")?);
        let namespace = namespace.trim();
        let dotted = namespace.contains(['.', ':']) || namespace.eq_ignore_ascii_case("localhost");
        let full = if dotted { namespace.to_owned() } else { format!("{namespace}.{DEFAULT_DOMAIN}") };
        let (host, port) =
            parse_authority(&full).map_err(|why| invalid(format!("EVENTHUB_NAMESPACE {why}")))?;
        let credential = Credential::SharedKey { name, key };
        Ok(ConnectionString { scheme: Scheme::Sb, host, port, event_hub: None, credential, emulator: false })
    }
}

impl FromStr for ConnectionString {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for ConnectionString {
    /// The connection string without its secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint={}://{};", self.scheme.as_str(), self.authority())?;
        match &self.credential {
            Credential::SharedKey { name, .. } => {
                write!(f, "SharedAccessKeyName={name};SharedAccessKey=***")?
            }
            Credential::Sas(_) => f.write_str("SharedAccessSignature=***")?,
        }
        if let Some(hub) = &self.event_hub {
            write!(f, ";EntityPath={hub}")?;
        }
        if self.emulator {
            f.write_str(";UseDevelopmentEmulator=true")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionString({self})")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::SharedKey { name, .. } => {
                f.debug_struct("SharedKey").field("name", name).finish_non_exhaustive()
            }
            Credential::Sas(_) => f.write_str("Sas(***)"),
        }
    }
}

impl Scheme {
    /// The scheme's text, such as `sb`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Sb => "sb",
            Scheme::Amqp => "amqp",
            Scheme::Amqps => "amqps",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Scheme::Sb, Scheme::Amqp, Scheme::Amqps, Scheme::Ws, Scheme::Wss]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }
}

/// The parts that mean something, as they stand in the text.
#[derive(Default)]
struct Parts<'a> {
    endpoint: Option<&'a str>,
    key_name: Option<&'a str>,
    key: Option<&'a str>,
    signature: Option<&'a str>,
    entity_path: Option<&'a str>,
    emulator: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, Error> {
        let mut parts = Parts::default();
        for (index, part) in text.split(';').enumerate() {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            // What stands in front of a missing '=' may be a piece of a key, so only its place is named.
            let Some((name, value)) = part.split_once('=') else {
                return Err(invalid(format!("part {} has no '=': every part reads Name=Value", index + 1)));
            };
            let name = name.trim();
            let known = [
                ("Endpoint", &mut parts.endpoint),
                ("SharedAccessKeyName", &mut parts.key_name),
                ("SharedAccessKey", &mut parts.key),
                ("SharedAccessSignature", &mut parts.signature),
                ("EntityPath", &mut parts.entity_path),
                ("UseDevelopmentEmulator", &mut parts.emulator),
            ];
            let Some((name, slot)) = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            if slot.replace(value.trim()).is_some() {
                return Err(invalid(format!("{name} appears twice")));
            }
        }
        Ok(parts)
    }

    fn required(&self, value: Option<&'a str>, name: &str) -> Result<&'a str, Error> {
        match value {
            Some("") => Err(invalid(format!("{name} is empty"))),
            Some(value) => Ok(value),
            None => Err(invalid(format!("{name} is missing"))),
        }
    }

    fn event_hub(&self) -> Result<Option<String>, Error> {
        self.entity_path.map(|path| checked_hub(path, "EntityPath")).transpose()
    }

    fn credential(&self) -> Result<Credential, Error> {
        if self.signature.is_some() {
            if self.key.is_some() || self.key_name.is_some() {
                return Err(invalid("it has both SharedAccessSignature and SharedAccessKey: leave one out"));
            }
            let token = self.required(self.signature, "SharedAccessSignature")?;
            return match super::sas::SasToken::parse(token) {
                Ok(_) => Ok(Credential::Sas(token.to_owned())),
                Err(error) => Err(invalid(format!("SharedAccessSignature is wrong: {}", error.message()))),
            };
        }
        if self.key.is_none() && self.key_name.is_none() {
            return Err(invalid(
                "SharedAccessKeyName and SharedAccessKey (or SharedAccessSignature) are missing",
            ));
        }
        let name = self.required(self.key_name, "SharedAccessKeyName")?.to_owned();
        let key = self.required(self.key, "SharedAccessKey")?.to_owned();
        Ok(Credential::SharedKey { name, key })
    }

    fn emulator(&self) -> Result<bool, Error> {
        match self.emulator {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(invalid("UseDevelopmentEmulator is neither true nor false")),
        }
    }
}

fn parse_endpoint(endpoint: &str) -> Result<(Scheme, String, Option<u16>), Error> {
    let Some((scheme, rest)) = split_scheme(endpoint) else {
        return Err(invalid("Endpoint has no scheme: it reads sb://<namespace>.servicebus.windows.net"));
    };
    let Some(scheme) = Scheme::parse(scheme) else {
        return Err(invalid("Endpoint has an unknown scheme: use sb:// (or amqp, amqps, ws, wss)"));
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(invalid("Endpoint has a path: the event hub's name goes into EntityPath"));
    }
    let (host, port) = parse_authority(authority).map_err(|why| invalid(format!("Endpoint {why}")))?;
    Ok((scheme, host, port))
}

/// A host and a port as they stand in URLs.
pub(crate) fn authority(host: &str, port: Option<u16>) -> String {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{open}{host}{close}{port}")
}

/// Splits a URL behind `://`.
pub(crate) fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    Some((scheme, rest.strip_prefix("//")?))
}

/// Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart; or says what is wrong, as it reads behind the name of the whole.
pub(crate) fn parse_authority(authority: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, rest))) if host.parse::<core::net::Ipv6Addr>().is_ok() => {
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err("has something between its host and its port"),
            }
        }
        Some(_) => return Err("has a malformed IPv6 address"),
        None => match authority.split_once(':') {
            Some((host, port)) => (checked_host(host)?, Some(port)),
            None => (checked_host(authority)?, None),
        },
    };
    let port = match port {
        None => None,
        Some(text) => match text.parse::<i64>().map(u16::try_from) {
            Ok(Ok(port)) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Some(port),
            _ => return Err("has a port that is not a number from 1 to 65535"),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn checked_host(host: &str) -> Result<&str, &'static str> {
    if host.is_empty() {
        return Err("has no host");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.len() > 253 || !host.bytes().all(allowed) {
        return Err("has a host that is not a host name");
    }
    Ok(host)
}

/// Checks an event hub's name (protocol.md section 12).
fn checked_hub(name: &str, part: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(invalid(format!("{part} is empty")));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.len() > 256 || !name.bytes().all(allowed) {
        return Err(invalid(format!(
            "{part} is not the name of an event hub: 1 to 256 letters, digits, '.', '-' and '_'"
        )));
    }
    Ok(name.to_owned())
}

fn invalid(why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidConnectionString, format!("the connection string cannot be used: {why}"))
}

#[cfg(test)]
#[path = "connection_string_tests.rs"]
mod tests;
