//! Received events as text: for people, for other programs, as they are.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use crate::amqp::message::Body;
use crate::dialect::received::ReceivedEvent;
use crate::error::Error;
use crate::model::value::Value;

/// What one event looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line a person can read: partition, number, time, key, body
    #[default]
    Text,
    /// A JSON object with everything, one a line; `send --format json` takes it again
    Json,
    /// The body alone, and a line break
    Raw,
}

/// Either the event cannot be shown, or the output takes nothing any more.
pub(super) enum WriteError {
    Event(Error),
    Output(io::Error),
}

impl Format {
    /// Writes one event.
    pub(super) fn write(self, event: &ReceivedEvent, out: &mut impl Write) -> Result<(), WriteError> {
        match self {
            Format::Text => {
                let (number, time) = (event.sequence_number(), event.enqueued_time());
                let key = one_line(event.partition_key().unwrap_or("-"));
                write!(out, "{}\t{number}\t{time}\t{key}\t", event.partition_id())?;
                match event.body()? {
                    Body::Data(sections) => {
                        out.write_all(one_line(&String::from_utf8_lossy(&joined(sections))).as_bytes())?;
                    }
                    body => write!(out, "{}", body_json(body).1)?,
                }
            }
            Format::Json => write!(out, "{}", json(event)?)?,
            Format::Raw => match event.body()? {
                Body::Data(sections) => {
                    sections.iter().flatten().try_for_each(|section| out.write_all(section))?;
                }
                body => write!(out, "{}", body_json(body).1)?,
            },
        }
        out.write_all(b"\n")?;
        Ok(())
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        WriteError::Event(error)
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        WriteError::Output(error)
    }
}

fn json(event: &ReceivedEvent) -> Result<Json, Error> {
    let mut line = Map::new();
    line.insert("partitionId".into(), event.partition_id().into());
    line.insert("sequenceNumber".into(), event.sequence_number().into());
    line.insert("offset".into(), event.offset().into());
    line.insert("enqueuedTime".into(), event.enqueued_time().to_string().into());
    if let Some(key) = event.partition_key() {
        line.insert("key".into(), key.into());
    }
    let properties = event.properties()?;
    for (name, value) in [("messageId", properties.message_id), ("correlationId", properties.correlation_id)]
    {
        if let Some(value) = value {
            line.insert(name.into(), value_json(&value));
        }
    }
    if let Some(content_type) = properties.content_type {
        line.insert("contentType".into(), content_type.to_string().into());
    }
    let properties = event.application_properties()?;
    if !properties.is_empty() {
        let properties = properties.iter().map(|(name, value)| (name.clone(), value_json(value))).collect();
        line.insert("properties".into(), Json::Object(properties));
    }
    let (name, body) = body_json(event.body()?);
    line.insert(name.into(), body);
    Ok(Json::Object(line))
}

/// The body under a name that says what it is.
fn body_json(body: Body) -> (&'static str, Json) {
    match body {
        Body::Data(sections) => match String::from_utf8(joined(sections)) {
            Ok(text) => ("body", text.into()),
            Err(bytes) => ("bodyBase64", STANDARD.encode(bytes.as_bytes()).into()),
        },
        Body::Value(value) => ("value", value_json(&value)),
        Body::Sequence(rows) => {
            ("sequence", rows.iter().map(|row| row.iter().map(value_json).collect::<Json>()).collect())
        }
        Body::Empty => ("body", "".into()),
    }
}

fn joined(sections: Vec<Option<Bytes>>) -> Vec<u8> {
    sections.into_iter().flatten().flatten().collect()
}

/// Any AMQP value as the JSON that comes nearest.
fn value_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Ulong(number) => (*number).into(),
        Value::Float(number) => f64::from(*number).into(),
        Value::Double(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Symbol(symbol) => symbol.as_str().into(),
        Value::Char(c) => c.to_string().into(),
        Value::Uuid(uuid) => uuid.to_string().into(),
        Value::Timestamp(time) => time.to_string().into(),
        Value::Binary(bytes) => json!({"base64": STANDARD.encode(bytes)}),
        Value::List(items) | Value::Array(items) => items.iter().map(value_json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = key.as_str().map_or_else(|| value_json(key).to_string(), str::to_owned);
                (key, value_json(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Described(described) => value_json(&described.value),
        other => other.as_i64().map_or_else(|| format!("{other:?}").into(), Json::from),
    }
}

/// Line breaks, tabs and other control characters are written out, so that an event stays on its line and
/// cannot command a terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() => line.push_str(&c.escape_default().to_string()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::dialect::codec::{Publication, Stamp, encode_event};
    use crate::dialect::event::EventData;
    use crate::model::value::Timestamp;

    fn shown(format: Format, event: &EventData) -> String {
        let stamp = Stamp {
            sequence_number: 7,
            offset: 448,
            enqueued_time: Timestamp::from_millis(1_767_225_600_000),
        };
        let mut received = None;
        let publication = Publication::parse(&encode_event(event).unwrap(), 0).unwrap();
        publication.store(&mut BytesMut::new(), stamp, |stored| {
            let message = Bytes::from([&stored.head[..], &stored.body[..]].concat());
            received = Some(ReceivedEvent::parse(message).unwrap().in_partition("3".into()));
        });
        let mut out = Vec::new();
        assert!(format.write(&received.unwrap(), &mut out).is_ok());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_one_line_whatever_the_body_is() {
        let event = EventData::from("two\nlines\u{1b}[2J").with_partition_key("k");
        assert_eq!(shown(Format::Text, &event), "3\t7\t2026-01-01T00:00:00.000Z\tk\ttwo\\nlines\\u{1b}[2J\n");
    }

    #[test]
    fn json_says_everything() {
        let event = EventData::from("hi")
            .with_partition_key("k")
            .with_message_id("m1")
            .with_content_type("text/plain")
            .with_property("n", 1_i64)
            .with_property("u", Value::Ubyte(255));
        assert_eq!(
            shown(Format::Json, &event),
            "{\"partitionId\":\"3\",\"sequenceNumber\":7,\"offset\":\"448\",\
             \"enqueuedTime\":\"2026-01-01T00:00:00.000Z\",\"key\":\"k\",\"messageId\":\"m1\",\
             \"contentType\":\"text/plain\",\"properties\":{\"n\":1,\"u\":255},\"body\":\"hi\"}\n"
        );
    }

    #[test]
    fn bytes_that_are_no_text_and_values_have_names_of_their_own() {
        assert!(shown(Format::Json, &EventData::new(vec![0, 255])).ends_with("\"bodyBase64\":\"AP8=\"}\n"));
        assert!(shown(Format::Json, &EventData::from_value("v")).ends_with("\"value\":\"v\"}\n"));
        assert_eq!(shown(Format::Raw, &EventData::from("as it is")), "as it is\n");
    }
}
