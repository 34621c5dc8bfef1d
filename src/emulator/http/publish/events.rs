//! The events of a request.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};

use crate::dialect::codec::encode_event;
use crate::dialect::event::EventData;
use crate::model::value::Value;

/// Events that go to the same partition.
#[derive(Debug, PartialEq)]
pub(in crate::emulator::http) struct Group {
    pub(in crate::emulator::http) partition_key: Option<String>,
    /// Encoded messages.
    pub(in crate::emulator::http) events: Vec<Bytes>,
}

/// What is wrong with a request.
#[derive(Debug, PartialEq)]
pub(in crate::emulator::http) struct Malformed(pub(in crate::emulator::http) String);

/// The content type of a batch.
const BATCH: &str = "application/vnd.microsoft.servicebus.json";
const BROKER_PROPERTIES: HeaderName = HeaderName::from_static("brokerproperties");

/// The events of a request, those with the same key together and in order.
pub(in crate::emulator::http) fn parse(headers: &HeaderMap, body: Bytes) -> Result<Vec<Group>, Malformed> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_batch = content_type.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or(kind);
        kind.trim().eq_ignore_ascii_case(BATCH)
    });
    let events = match is_batch {
        true => batch(&body)?,
        false => vec![single(headers, content_type, body)?],
    };
    let mut groups: Vec<Group> = Vec::new();
    for event in events {
        let partition_key = event.partition_key().map(str::to_owned);
        let encoded = encode_event(&event).map_err(|error| Malformed(error.message().to_owned()))?;
        // Without a key the whole request goes to one partition, as a batch without a key does.
        match groups.iter_mut().find(|group| group.partition_key == partition_key) {
            Some(group) => group.events.push(encoded),
            None => groups.push(Group { partition_key, events: vec![encoded] }),
        }
    }
    Ok(groups)
}

/// One event: its body is the request's, its properties are the request's headers.
fn single(headers: &HeaderMap, content_type: Option<&str>, body: Bytes) -> Result<EventData, Malformed> {
    let mut event = EventData::new(body);
    if let Some(content_type) = content_type {
        event = event.with_content_type(content_type);
    }
    if let Some(properties) = headers.get(BROKER_PROPERTIES) {
        let properties = serde_json::from_slice(properties.as_bytes()).map_err(|error| {
            Malformed(format!("The header BrokerProperties is not a JSON object: {error}."))
        })?;
        event = with_broker_properties(event, &properties, "The header BrokerProperties")?;
    }
    for (name, value) in headers.iter().filter(|(name, _)| is_property(name)) {
        event.set_property(name.as_str(), header_value(value));
    }
    Ok(event)
}

/// Headers that are about the request; every other one is a property of the event.
fn is_property(name: &HeaderName) -> bool {
    const NOT: [&str; 29] = [
        "accept",
        "age",
        "authorization",
        "brokerproperties",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "dnt",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "keep-alive",
        "max-forwards",
        "origin",
        "pragma",
        "priority",
        "range",
        "referer",
        "save-data",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
        "via",
    ];
    const NOT_LIKE: [&str; 8] =
        ["accept-", "access-control-", "content-", "proxy-", "sec-", "x-forwarded-", "x-ms-", "if-"];
    let name = name.as_str();
    !NOT.contains(&name) && !NOT_LIKE.iter().any(|prefix| name.starts_with(prefix))
}

/// Quoted text is a string, a bare number a number; what is neither is taken as it stands.
fn header_value(value: &HeaderValue) -> Value {
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    if let Ok(Json::String(quoted)) = serde_json::from_str(text) {
        return Value::String(quoted);
    }
    let number = text.parse().map(Value::Long).ok();
    let fraction = || text.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Double);
    let flag = || text.parse().map(Value::Bool).ok();
    number.or_else(fraction).or_else(flag).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The events of a batch in JSON.
fn batch(body: &[u8]) -> Result<Vec<EventData>, Malformed> {
    let entries: Vec<Json> = serde_json::from_slice(body)
        .map_err(|error| Malformed(format!("The batch is not a JSON array of objects: {error}.")))?;
    if entries.is_empty() {
        return Err(Malformed("The batch is empty.".to_owned()));
    }
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| batch_event(entry, &format!("Event {index} of the batch")))
        .collect()
}

fn batch_event(entry: &Json, what: &str) -> Result<EventData, Malformed> {
    let Json::Object(entry) = entry else { return Err(Malformed(format!("{what} is not an object."))) };
    let Some(Json::String(body)) = field(entry, "Body") else {
        return Err(Malformed(format!("{what} has no Body that is text.")));
    };
    let mut event = EventData::new(body.clone());
    match field(entry, "UserProperties") {
        None | Some(Json::Null) => {}
        Some(Json::Object(properties)) => {
            for (name, value) in properties {
                let value = property_value(value).ok_or_else(|| {
                    Malformed(format!(
                        "{what} has the property {name}, which is neither text, number nor truth value."
                    ))
                })?;
                event.set_property(name.as_str(), value);
            }
        }
        Some(_) => return Err(Malformed(format!("{what} has UserProperties that are not an object."))),
    }
    match field(entry, "BrokerProperties") {
        None | Some(Json::Null) => Ok(event),
        Some(properties) => {
            with_broker_properties(event, properties, &format!("{what}: its BrokerProperties"))
        }
    }
}

fn property_value(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Long(whole),
            None => Value::Double(number.as_f64()?),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

fn with_broker_properties(
    mut event: EventData,
    properties: &Json,
    what: &str,
) -> Result<EventData, Malformed> {
    let Json::Object(properties) = properties else {
        return Err(Malformed(format!("{what} is not a JSON object.")));
    };
    let text = |name: &str| match field(properties, name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Malformed(format!("{what} has a {name} that is not text."))),
    };
    if let Some(key) = text("PartitionKey")? {
        event = event.with_partition_key(key);
    }
    if let Some(id) = text("MessageId")? {
        event = event.with_message_id(id);
    }
    if let Some(id) = text("CorrelationId")? {
        event = event.with_correlation_id(id);
    }
    if let Some(label) = text("Label")? {
        event = event.with_subject(label);
    }
    Ok(event)
}

/// A field whatever the case of its name.
fn field<'a>(map: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::message;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn properties(event: &Bytes) -> Vec<(String, Value)> {
        let sections = message::sections(event).unwrap();
        message::map(&sections.application_properties.of(event)).unwrap()
    }

    fn body(event: &Bytes) -> Bytes {
        let sections = message::sections(event).unwrap();
        message::data_sections(&sections.body.of(event)).unwrap()[0].clone().unwrap()
    }

    #[test]
    fn a_single_event_is_the_body_and_the_other_headers() {
        let headers = headers(&[
            ("host", "localhost"),
            ("user-agent", "test"),
            ("content-type", "application/atom+xml;type=entry;charset=utf-8"),
            ("brokerproperties", r#"{"PartitionKey":"k","Label":"s"}"#),
            ("building", "\"north \\\"1\\\"\""),
            ("floor", "3"),
            ("celsius", "21.5"),
            ("open", "true"),
            ("note", "as it is"),
        ]);
        let groups = parse(&headers, Bytes::from_static(b"\x00payload\xff")).unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].partition_key.as_deref(), Some("k"));
        let [event] = groups[0].events.as_slice() else { panic!("{groups:?}") };
        assert_eq!(body(event), &b"\x00payload\xff"[..]);
        assert_eq!(
            properties(event),
            [
                ("building".to_owned(), Value::String("north \"1\"".to_owned())),
                ("floor".to_owned(), Value::Long(3)),
                ("celsius".to_owned(), Value::Double(21.5)),
                ("open".to_owned(), Value::Bool(true)),
                ("note".to_owned(), Value::String("as it is".to_owned())),
            ]
        );
        let sections = message::sections(event).unwrap();
        let standard = message::properties(&sections.properties.of(event)).unwrap();
        assert_eq!(standard.subject.as_deref(), Some("s"));
        assert_eq!(standard.content_type.unwrap().as_str(), "application/atom+xml;type=entry;charset=utf-8");
    }

    #[test]
    fn a_batch_is_grouped_by_key_in_order() {
        let headers =
            headers(&[("content-type", "application/vnd.microsoft.servicebus.json; charset=utf-8")]);
        let json = r#"[{"Body":"1","BrokerProperties":{"PartitionKey":"a"}},{"Body":"2","UserProperties":{"n":1,"t":"x","z":null}},
            {"body":"3","brokerProperties":{"partitionKey":"a"}}]"#;
        let groups = parse(&headers, Bytes::from_static(json.as_bytes())).unwrap();
        let bodies = |group: &Group| group.events.iter().map(body).collect::<Vec<_>>();
        assert_eq!(groups[0].partition_key.as_deref(), Some("a"));
        assert_eq!(bodies(&groups[0]), ["1", "3"]);
        assert_eq!(groups[1].partition_key, None);
        assert_eq!(bodies(&groups[1]), ["2"]);
        assert_eq!(properties(&groups[1].events[0])[0], ("n".to_owned(), Value::Long(1)));
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let batch = headers(&[("content-type", BATCH)]);
        let table = [
            (&batch, "", "not a JSON array"),
            (&batch, "{}", "not a JSON array"),
            (&batch, "[]", "empty"),
            (&batch, "[1]", "Event 0 of the batch is not an object"),
            (&batch, r#"[{"Body":"x"},{"Body":1}]"#, "Event 1 of the batch has no Body"),
            (&batch, r#"[{"Body":"x","UserProperties":[]}]"#, "UserProperties"),
            (&batch, r#"[{"Body":"x","UserProperties":{"deep":{}}}]"#, "the property deep"),
            (&batch, r#"[{"Body":"x","BrokerProperties":7}]"#, "BrokerProperties"),
            (&batch, r#"[{"Body":"x","BrokerProperties":{"PartitionKey":7}}]"#, "PartitionKey"),
            (&headers(&[("brokerproperties", "{")]), "x", "BrokerProperties"),
        ];
        for (headers, body, says) in table {
            let Malformed(why) = parse(headers, Bytes::from_static(body.as_bytes())).unwrap_err();
            assert!(why.contains(says), "{why}\n  should say: {says}");
        }
        let long = format!(r#"[{{"Body":"x","BrokerProperties":{{"PartitionKey":"{}"}}}}]"#, "k".repeat(200));
        assert!(parse(&batch, Bytes::from(long)).is_err());
    }
}
