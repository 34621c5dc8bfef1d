//! Faults over HTTP, in JSON.
//!
//! `POST /$faults` sets one, `GET /$faults` lists them, `GET` and `DELETE /$faults/<id>` show and end one, and
//! `DELETE /$faults` ends all. Where the development key opens the namespace nothing has to be shown; otherwise a
//! token that allows managing.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::super::server::Shared;
use super::answer::{self, Refusal};
use super::publish::authorize;
use super::read_body;
use crate::broker::Rights;
use crate::broker::faults::{Fault, FaultInfo, FieldValue};

/// A fault has a handful of fields.
const LARGEST_FAULT: usize = 16 * 1024;
const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// Answers a request for `/$faults/…`, of which `below` is the rest.
pub(super) async fn control(
    request: Request<Incoming>,
    below: Option<&str>,
    shared: &Shared,
) -> Response<Full<Bytes>> {
    let (status, body) = match try_control(request, below, shared).await {
        Ok((status, body)) => (status, body),
        Err(Refusal { status, detail }) => (status, json!({ "error": detail })),
    };
    answer::with_type(status, CONTENT_TYPE, format!("{body}\n"))
}

async fn try_control(
    request: Request<Incoming>,
    below: Option<&str>,
    shared: &Shared,
) -> Result<(StatusCode, Value), Refusal> {
    let (head, body) = request.into_parts();
    if !shared.development_key_opens || head.headers.contains_key(AUTHORIZATION) {
        authorize(&head.headers, "$faults", Rights::MANAGE, shared)?;
    }
    let faults = shared.namespace.faults();
    let id = match below {
        None => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| no_such_fault(text))?),
    };
    match (&head.method, id) {
        (&Method::POST, None) => {
            let fault = parse(&read_body(body, LARGEST_FAULT, shared).await?)?;
            let guard = faults.inject(fault, shared.clock.now()).map_err(|error| wrong(error.to_string()))?;
            let info = faults.get(guard.keep());
            Ok((StatusCode::CREATED, info.as_ref().map_or(Value::Null, describe)))
        }
        (&Method::GET, None) => {
            let list: Vec<_> = faults.list().iter().map(describe).collect();
            Ok((StatusCode::OK, json!({ "faults": list })))
        }
        (&Method::DELETE, None) => {
            faults.clear();
            Ok((StatusCode::OK, json!({ "faults": [] })))
        }
        (&Method::GET, Some(id)) => {
            let info = faults.get(id).ok_or_else(|| no_such_fault(&id.to_string()))?;
            Ok((StatusCode::OK, describe(&info)))
        }
        (&Method::DELETE, Some(id)) => {
            let info = faults.get(id).filter(|_| faults.end(id));
            info.map(|info| (StatusCode::OK, describe(&info))).ok_or_else(|| no_such_fault(&id.to_string()))
        }
        (method, _) => {
            let detail = format!("/$faults cannot be asked for {method}: there are POST, GET and DELETE");
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, detail))
        }
    }
}

fn parse(body: &[u8]) -> Result<Fault, Refusal> {
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        wrong(format!("a fault is an object in JSON, such as {{\"kind\":\"drop\"}}; this is none: {error}"))
    })?;
    let mut known = Vec::with_capacity(fields.len());
    for (name, value) in &fields {
        let value = match value {
            Value::Null => continue,
            Value::Bool(flag) => FieldValue::Flag(*flag),
            Value::String(text) => FieldValue::Text(text.clone()),
            Value::Number(number) => FieldValue::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::Array(_) | Value::Object(_) => {
                let name: String = name.chars().take(60).collect();
                return Err(wrong(format!("'{name}' must be a text, a number, true or false")));
            }
        };
        known.push((name.as_str(), value));
    }
    Fault::from_fields(known).map_err(|error| wrong(error.to_string()))
}

fn describe(info: &FaultInfo) -> Value {
    let mut object = Map::new();
    object.insert("id".to_owned(), info.id.into());
    object.insert("hits".to_owned(), info.hits.into());
    for (name, value) in info.fault.to_fields() {
        let value = match value {
            FieldValue::Text(text) => text.into(),
            FieldValue::Flag(flag) => flag.into(),
            FieldValue::Number(number) if number.trunc() == number => (number as i64).into(),
            FieldValue::Number(number) => number.into(),
        };
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// What is said about the fault that a body asks for.
#[cfg(feature = "fuzzing")]
pub(super) fn described(body: &[u8]) -> Result<String, Refusal> {
    let mut object = describe(&FaultInfo { id: 1, fault: parse(body)?, hits: 0 });
    for count in ["id", "hits"] {
        object.as_object_mut().map(|fields| fields.remove(count));
    }
    Ok(object.to_string())
}

fn wrong(detail: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, detail)
}

fn no_such_fault(id: &str) -> Refusal {
    let id: String = id.chars().take(20).collect();
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no fault '{id}'; GET /$faults lists them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_described_as_it_can_be_said() {
        let body = br#"{"kind":"detach","condition":"amqp:not-found","after":3,"probability":0.5,"seed":7,"client":null}"#;
        let fault = parse(body).unwrap();
        let said = describe(&FaultInfo { id: 4, fault, hits: 2 });
        let expected = json!({"id": 4, "hits": 2, "kind": "detach", "condition": "amqp:not-found", "after": 3,
                              "probability": 0.5, "seed": 7});
        assert_eq!(said, expected);
    }

    #[test]
    fn whatever_comes_is_refused_in_words() {
        for (body, says) in [
            (&b""[..], "a fault is an object in JSON"),
            (b"[]", "a fault is an object in JSON"),
            (b"\xff\xfe", "a fault is an object in JSON"),
            (b"{\"kind\":[\"drop\"]}", "'kind' must be a text, a number"),
            (b"{\"kind\":\"drop\",\"waitMs\":1e400}", "a fault is an object in JSON"),
            (b"{\"kind\":\"drop\",\"waitMs\":-1}", "'waitMs' must be a whole number of milliseconds"),
            (b"{\"kind\":\"Drop\"}", "did you mean 'drop'?"),
        ] {
            let Refusal { status, detail } = parse(body).unwrap_err();
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(detail.contains(says), "{detail}");
        }
        let deep = [b"{\"kind\":".repeat(10_000), b"}".repeat(10_000)].concat();
        assert!(parse(&deep).is_err());
    }
}
