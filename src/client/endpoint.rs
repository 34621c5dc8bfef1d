//! From a connection string and options to a place to dial.

use super::options::Transport;
use crate::error::{Error, ErrorKind, shown};
use crate::model::connection_string::{Scheme, parse_authority, split_scheme};
use crate::runtime::{Endpoint, Framing, Security};

/// `amqps`
const AMQPS_PORT: u16 = 5671;
/// `amqp`, and every protocol of an emulator.
const AMQP_PORT: u16 = 5672;
/// `wss`
const HTTPS_PORT: u16 = 443;
/// `ws`
const HTTP_PORT: u16 = 80;

/// A namespace as it is named: in a connection string, or by its host alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) is_emulator: bool,
}

/// Where to dial for `namespace`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when the custom endpoint is not a URL of a known scheme.
pub(crate) fn endpoint(
    namespace: &Namespace,
    transport: Option<Transport>,
    custom: Option<&str>,
) -> Result<Endpoint, Error> {
    let named = match custom {
        Some(custom) => parse_custom(custom, namespace.is_emulator)?,
        None => namespace.clone(),
    };
    let framing = match (transport, named.scheme) {
        (Some(Transport::Tcp), _) | (None, Scheme::Amqp | Scheme::Amqps) => Framing::Stream,
        _ => Framing::WebSocket,
    };
    let security = match named.scheme {
        Scheme::Amqp | Scheme::Ws => Security::Plain,
        Scheme::Amqps | Scheme::Wss => Security::Tls,
        _ if named.is_emulator => Security::Plain,
        _ => Security::Tls,
    };
    let default = match (framing, security) {
        _ if named.is_emulator => AMQP_PORT,
        (Framing::Stream, Security::Tls) => AMQPS_PORT,
        (Framing::Stream, Security::Plain) => AMQP_PORT,
        (Framing::WebSocket, Security::Tls) => HTTPS_PORT,
        (Framing::WebSocket, Security::Plain) => HTTP_PORT,
    };
    let port = match named.port {
        // A namespace's connection string may name the AMQP port, where no WebSocket is served.
        Some(AMQPS_PORT) if framing == Framing::WebSocket && named.scheme == Scheme::Sb => default,
        Some(port) => port,
        None => default,
    };
    Ok(Endpoint { host: named.host, port, security, framing })
}

fn parse_custom(text: &str, is_emulator: bool) -> Result<Namespace, Error> {
    let invalid = |why: &str| {
        // A connection string, a password, a signature: what is none shall not be seen for being put in the wrong place.
        let message = match text.contains(['@', ';', '=', '?']) {
            true => format!("the custom endpoint {why}"),
            false => format!("the custom endpoint '{}' {why}", shown(text, 100)),
        };
        Error::new(ErrorKind::InvalidArgument, message)
    };
    let (scheme, rest) = split_scheme(text).unwrap_or(("sb", text));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::Ws),
        "https" => Some(Scheme::Wss),
        scheme => Scheme::parse(scheme),
    };
    let Some(scheme) = scheme else {
        return Err(invalid("has an unknown scheme: it is one of sb, amqp, amqps, ws, wss"));
    };
    // A path, as people copy it along, says nothing here.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = parse_authority(authority).map_err(invalid)?;
    Ok(Namespace { scheme, host, port, is_emulator: is_emulator && scheme == Scheme::Sb })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(scheme: Scheme, port: Option<u16>, is_emulator: bool) -> Namespace {
        Namespace { scheme, host: "h".into(), port, is_emulator }
    }

    fn dialled(named: &Namespace, transport: Option<Transport>, custom: Option<&str>) -> String {
        endpoint(named, transport, custom).unwrap().to_string()
    }

    #[test]
    fn the_service_is_reached_with_tls() {
        let service = namespace(Scheme::Sb, None, false);
        assert_eq!(dialled(&service, None, None), "wss://h:443");
        assert_eq!(dialled(&service, Some(Transport::Tcp), None), "amqps://h:5671");
        let with_port = namespace(Scheme::Sb, Some(5671), false);
        assert_eq!(dialled(&with_port, None, None), "wss://h:443");
        assert_eq!(dialled(&with_port, Some(Transport::Tcp), None), "amqps://h:5671");
    }

    #[test]
    fn the_emulator_is_reached_without_tls_on_one_port() {
        let emulator = namespace(Scheme::Sb, None, true);
        assert_eq!(dialled(&emulator, None, None), "ws://h:5672");
        assert_eq!(dialled(&emulator, Some(Transport::Tcp), None), "amqp://h:5672");
        let elsewhere = namespace(Scheme::Sb, Some(40000), true);
        assert_eq!(dialled(&elsewhere, None, None), "ws://h:40000");
        assert_eq!(dialled(&elsewhere, None, Some("amqps://localhost:5671")), "amqps://localhost:5671");
        assert_eq!(dialled(&elsewhere, None, Some("ws://localhost:80")), "ws://localhost:80");
        assert_eq!(dialled(&elsewhere, None, Some("localhost")), "ws://localhost:5672");
    }

    #[test]
    fn the_scheme_chooses_where_nothing_else_does() {
        assert_eq!(dialled(&namespace(Scheme::Amqp, None, false), None, None), "amqp://h:5672");
        assert_eq!(dialled(&namespace(Scheme::Amqps, Some(1), false), None, None), "amqps://h:1");
        assert_eq!(dialled(&namespace(Scheme::Ws, Some(2), false), None, None), "ws://h:2");
        assert_eq!(dialled(&namespace(Scheme::Wss, None, true), None, None), "wss://h:5672");
        assert_eq!(dialled(&namespace(Scheme::Ws, None, false), Some(Transport::Tcp), None), "amqp://h:5672");
    }

    #[test]
    fn a_custom_endpoint_takes_the_place_of_the_namespace() {
        let service = namespace(Scheme::Sb, None, false);
        assert_eq!(dialled(&service, None, Some("ws://127.0.0.1:5672")), "ws://127.0.0.1:5672");
        assert_eq!(dialled(&service, None, Some("gateway.example.com")), "wss://gateway.example.com:443");
        assert_eq!(dialled(&service, None, Some("amqps://[::1]:9")), "amqps://[::1]:9");
        assert_eq!(dialled(&service, None, Some("https://proxy/")), "wss://proxy:443");
        assert_eq!(dialled(&service, None, Some("HTTPS://Proxy:8443/a/path?b")), "wss://proxy:8443");
        for wrong in ["ftp://h", "ws://", "ws://h:99999", "a b", "ws://[::1", "wss://user@h"] {
            let error = endpoint(&service, None, Some(wrong)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{wrong}");
        }
    }
}
