//! The handshake of AMQP over WebSockets.

use bytes::Bytes;
use fe2o3_amqp_ws::tungstenite::handshake::derive_accept_key;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Response, StatusCode};

use super::answer;

/// The names that the sub-protocol has; which one differs between SDKs.
const PROTOCOLS: [&str; 2] = ["AMQPWSB10", "amqp"];

/// Answers a request for a WebSocket: 101, or what is wrong with it. `Origin` is not looked at, as by the service.
pub(super) fn answer(method: &Method, headers: &HeaderMap) -> Response<Full<Bytes>> {
    match accept(method, headers) {
        Ok((key, protocol)) => {
            let mut answer = Response::new(Full::new(Bytes::new()));
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let fields = answer.headers_mut();
            fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
            fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            // Base64 is always a valid value; without it the client refuses the handshake itself.
            if let Ok(key) = HeaderValue::try_from(key) {
                fields.insert(SEC_WEBSOCKET_ACCEPT, key);
            }
            fields.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
            answer
        }
        Err((status, why)) => {
            let mut answer = answer::with_type(status, "text/plain; charset=utf-8", format!("{why}\n"));
            if status == StatusCode::UPGRADE_REQUIRED {
                answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            } else if status == StatusCode::METHOD_NOT_ALLOWED {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            }
            answer
        }
    }
}

/// The accept key and the sub-protocol, as it was offered.
fn accept(method: &Method, headers: &HeaderMap) -> Result<(String, HeaderValue), (StatusCode, &'static str)> {
    if method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "A WebSocket is asked for with GET."));
    }
    if !lists(headers, &UPGRADE, "websocket") || !lists(headers, &CONNECTION, "upgrade") {
        return Err((StatusCode::UPGRADE_REQUIRED, "This is the endpoint of AMQP over WebSockets."));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "Only version 13 of the WebSocket protocol is spoken."));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return Err((StatusCode::BAD_REQUEST, "The header Sec-WebSocket-Key is missing."));
    };
    let protocol = items(headers, &SEC_WEBSOCKET_PROTOCOL)
        .find(|offered| PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(offered)))
        .and_then(|offered| HeaderValue::from_str(offered).ok())
        .ok_or((
            StatusCode::BAD_REQUEST,
            "Offer the sub-protocol AMQPWSB10 or amqp in the header Sec-WebSocket-Protocol.",
        ))?;
    Ok((derive_accept_key(key.as_bytes()), protocol))
}

fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    items(headers, name).any(|listed| listed.eq_ignore_ascii_case(item))
}

/// The comma-separated items of a header that may be repeated.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive,Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "mqtt, AMQPWSB10"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_sub_protocol_is_echoed_as_it_was_offered() {
        for protocol in ["AMQPWSB10", "amqp", "AmqpWsb10"] {
            let mut headers = request();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            let answer = answer(&Method::GET, &headers);
            assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(answer.headers()[SEC_WEBSOCKET_PROTOCOL], protocol);
            assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let table = [
            ("upgrade", 426, "AMQP over WebSockets"),
            ("connection", 426, "AMQP over WebSockets"),
            ("sec-websocket-version", 426, "version 13"),
            ("sec-websocket-key", 400, "Sec-WebSocket-Key"),
            ("sec-websocket-protocol", 400, "AMQPWSB10"),
        ];
        for (missing, status, says) in table {
            let mut headers = request();
            headers.remove(missing);
            let (refused, why) = accept(&Method::GET, &headers).unwrap_err();
            assert_eq!(refused.as_u16(), status, "without {missing}");
            assert!(why.contains(says), "{why}");
        }
        assert_eq!(accept(&Method::POST, &request()).unwrap_err().0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
