//! What is to be sent, as people and other programs write it: lines, whole files, JSON lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Map;

use crate::model::value::Value;

/// One event-to-be, and where it goes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Input {
    pub(super) body: Bytes,
    pub(super) key: Option<String>,
    pub(super) partition: Option<String>,
    pub(super) message_id: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) properties: Vec<(String, Value)>,
}

/// A JSON line. What `receive --format json` prints can be sent again: what only the service can set is
/// allowed here, and ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct JsonLine {
    body: Option<serde_json::Value>,
    body_base64: Option<String>,
    key: Option<String>,
    partition: Option<PartitionName>,
    message_id: Option<serde_json::Value>,
    correlation_id: Option<serde_json::Value>,
    content_type: Option<String>,
    #[serde(default)]
    properties: Map<String, serde_json::Value>,
    #[serde(rename = "partitionId")]
    _partition_id: Option<serde_json::Value>,
    #[serde(rename = "sequenceNumber")]
    _sequence_number: Option<serde_json::Value>,
    #[serde(rename = "offset")]
    _offset: Option<serde_json::Value>,
    #[serde(rename = "enqueuedTime")]
    _enqueued_time: Option<serde_json::Value>,
}

/// `"3"` or `3`.
#[derive(Deserialize)]
#[serde(untagged)]
enum PartitionName {
    Text(String),
    Number(u32),
}

/// Reads one JSON line.
pub(super) fn json(line: &str) -> Result<Input, String> {
    let line: JsonLine = serde_json::from_str(line).map_err(|error| sentence(&error))?;
    let body = match (line.body, line.body_base64) {
        (Some(_), Some(_)) => return Err("it has both 'body' and 'bodyBase64'".to_owned()),
        (Some(serde_json::Value::String(text)), None) => Bytes::from(text),
        (Some(value), None) => Bytes::from(value.to_string()),
        (None, Some(text)) => Bytes::from(
            STANDARD.decode(text).map_err(|error| format!("'bodyBase64' is not base64: {error}"))?,
        ),
        (None, None) => return Err("it has neither 'body' nor 'bodyBase64'".to_owned()),
    };
    let properties: Result<Vec<_>, String> = line
        .properties
        .into_iter()
        .map(|(name, value)| Ok((value_of(&name, value)?, name)))
        .map(|pair| pair.map(|(value, name)| (name, value)))
        .collect();
    Ok(Input {
        body,
        key: line.key,
        partition: line.partition.map(|partition| match partition {
            PartitionName::Text(text) => text,
            PartitionName::Number(number) => number.to_string(),
        }),
        message_id: line.message_id.map(id),
        correlation_id: line.correlation_id.map(id),
        content_type: line.content_type,
        properties: properties?,
    })
}

/// Reads `name=value` of the command line: a whole number, a decimal one, true, false, or text.
pub(super) fn property(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a property is written name=value")?;
    if name.is_empty() {
        return Err("a property is written name=value, and the name is missing".to_owned());
    }
    let value = match (value.parse::<i64>(), value.parse::<f64>(), value.parse::<bool>()) {
        (Ok(number), ..) => Value::Long(number),
        (_, Ok(number), _) if value.contains(|c: char| c.is_ascii_digit()) => Value::Double(number),
        (.., Ok(flag)) => Value::Bool(flag),
        _ => Value::String(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

fn id(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn value_of(name: &str, value: serde_json::Value) -> Result<Value, String> {
    match value {
        serde_json::Value::Null => Ok(Value::Null),
        serde_json::Value::Bool(flag) => Ok(Value::Bool(flag)),
        serde_json::Value::String(text) => Ok(Value::String(text)),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Ok(Value::Long(number)),
            (_, Some(number), _) => Ok(Value::Ulong(number)),
            (.., Some(number)) => Ok(Value::Double(number)),
            _ => Err(format!("the property '{name}' is a number that does not fit")),
        },
        _ => Err(format!("the property '{name}' has to be text, a number, true, false or null")),
    }
}

/// serde's message without the line number: every line is a document of its own.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => format!("{} (column {})", &text[..end], error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_carries_everything() {
        let line = r#"{"body":"hi","key":"k","messageId":7,"contentType":"text/plain","properties":{"n":1,"x":1.5,"b":true,"t":"a","z":null}}"#;
        assert_eq!(
            json(line),
            Ok(Input {
                body: "hi".into(),
                key: Some("k".to_owned()),
                message_id: Some("7".to_owned()),
                content_type: Some("text/plain".to_owned()),
                properties: vec![
                    ("n".to_owned(), Value::Long(1)),
                    ("x".to_owned(), Value::Double(1.5)),
                    ("b".to_owned(), Value::Bool(true)),
                    ("t".to_owned(), Value::String("a".to_owned())),
                    ("z".to_owned(), Value::Null),
                ],
                ..Input::default()
            })
        );
    }

    #[test]
    fn a_body_is_text_bytes_or_json() {
        assert_eq!(json(r#"{"body":{"a":[1,2]}}"#).unwrap().body, r#"{"a":[1,2]}"#);
        assert_eq!(json(r#"{"bodyBase64":"AP8="}"#).unwrap().body, &[0, 255][..]);
        assert_eq!(json(r#"{"body":"x","partition":3}"#).unwrap().partition.as_deref(), Some("3"));
        assert_eq!(json(r#"{"body":"x","partition":"3"}"#).unwrap().partition.as_deref(), Some("3"));
    }

    #[test]
    fn what_receive_prints_can_be_sent_again() {
        let line = r#"{"partitionId":"0","sequenceNumber":7,"offset":"448","enqueuedTime":"2026-01-01T00:00:00.000Z","key":"k","body":"x"}"#;
        let input = json(line).unwrap();
        assert_eq!((input.key.as_deref(), input.partition), (Some("k"), None));
    }

    #[test]
    fn a_wrong_line_is_explained() {
        for (line, why) in [
            ("", "EOF while parsing a value (column 0)"),
            ("{}", "it has neither 'body' nor 'bodyBase64'"),
            (r#"{"body":"a","bodyBase64":"YQ=="}"#, "it has both 'body' and 'bodyBase64'"),
            (
                r#"{"body":"a","properties":{"x":[1]}}"#,
                "the property 'x' has to be text, a number, true, false or null",
            ),
        ] {
            assert_eq!(json(line), Err(why.to_owned()), "{line}");
        }
        assert!(json(r#"{"body":"a","propertes":{}}"#).unwrap_err().starts_with("unknown field `propertes`"));
        assert!(json(r#"{"bodyBase64":"?"}"#).unwrap_err().starts_with("'bodyBase64' is not base64"));
    }

    #[test]
    fn properties_of_the_command_line_have_types() {
        assert_eq!(property("n=7"), Ok(("n".to_owned(), Value::Long(7))));
        assert_eq!(property("x=7.5"), Ok(("x".to_owned(), Value::Double(7.5))));
        assert_eq!(property("b=true"), Ok(("b".to_owned(), Value::Bool(true))));
        assert_eq!(property("t=a=b"), Ok(("t".to_owned(), Value::String("a=b".to_owned()))));
        assert_eq!(property("t=nan"), Ok(("t".to_owned(), Value::String("nan".to_owned()))));
        assert!(property("nothing").is_err());
        assert!(property("=1").is_err());
    }
}
