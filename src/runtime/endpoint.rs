//! Where to dial, and why dialling failed.

use std::fmt;
use std::time::Duration;

/// A place to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A host name or an address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) framing: Framing,
}

/// Whether the bytes are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Tls,
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The TCP stream itself.
    Stream,
    /// Binary WebSocket messages.
    WebSocket,
}

/// A step of dialling that has been taken.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// `dns`, `socket`, `tls` or `websocket`.
    pub(crate) name: &'static str,
    /// What came of it, for people.
    pub(crate) detail: String,
    pub(crate) took: Duration,
}

/// Why a place could not be reached.
#[derive(Clone, Debug)]
pub(crate) struct DialError {
    /// One clause for people: what failed, and why.
    pub(crate) message: String,
    /// Whether trying again can help.
    pub(crate) transient: bool,
}

impl Endpoint {
    /// The scheme that says security and framing in one word.
    pub(crate) fn scheme(&self) -> &'static str {
        match (self.framing, self.security) {
            (Framing::Stream, Security::Plain) => "amqp",
            (Framing::Stream, Security::Tls) => "amqps",
            (Framing::WebSocket, Security::Plain) => "ws",
            (Framing::WebSocket, Security::Tls) => "wss",
        }
    }
}

impl DialError {
    pub(crate) fn transient(message: impl Into<String>) -> Self {
        DialError { message: message.into(), transient: true }
    }

    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        DialError { message: message.into(), transient: false }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { host, port, .. } = self;
        match host.contains(':') {
            true => write!(f, "{}://[{host}]:{port}", self.scheme()),
            false => write!(f, "{}://{host}:{port}", self.scheme()),
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DialError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_written_as_a_url() {
        let mut endpoint = Endpoint {
            host: "localhost".into(),
            port: 5672,
            security: Security::Plain,
            framing: Framing::WebSocket,
        };
        assert_eq!(endpoint.to_string(), "ws://localhost:5672");
        endpoint.host = "::1".into();
        endpoint.security = Security::Tls;
        endpoint.framing = Framing::Stream;
        assert_eq!(endpoint.to_string(), "amqps://[::1]:5672");
    }
}
