//! What our client writes, the official SDKs read: each type as that SDK shows it.

use eventhubs::amqp::message::Properties;
use eventhubs::{EventData, SendOptions, Value};
use serde_json::{Value as Json, json};

use super::crossing::{TIME, binary, properties, seen_by, string, symbol, timestamp, uuid};
use super::support::{Language, soon, start};

/// A value, and what each SDK says it is.
struct Case {
    name: &'static str,
    value: Value,
    python: Json,
    javascript: Json,
}

#[tokio::test]
async fn the_python_sdk_reads_what_our_client_writes_over_tcp() {
    reads_what_our_client_writes(Language::Python, "tcp").await;
}

#[tokio::test]
async fn the_python_sdk_reads_what_our_client_writes_over_a_web_socket() {
    reads_what_our_client_writes(Language::Python, Language::Python.web_socket()).await;
}

#[tokio::test]
async fn the_javascript_sdk_reads_what_our_client_writes_over_tcp() {
    reads_what_our_client_writes(Language::JavaScript, "tcp").await;
}

#[tokio::test]
async fn the_javascript_sdk_reads_what_our_client_writes_over_a_web_socket_with_tls() {
    reads_what_our_client_writes(Language::JavaScript, Language::JavaScript.web_socket()).await;
}

async fn reads_what_our_client_writes(language: Language, transport: &str) {
    let running = start().await;
    let producer = running.producer();
    let to_zero = || SendOptions::to_partition("0");
    let cases = cases();

    // One by one, and the last ones as a batch: plain messages and envelopes.
    let mut all = EventData::new("every property")
        .with_properties(Properties { user_id: Some("user".into()), ..properties() });
    for case in &cases {
        all.set_property(case.name, case.value.clone());
    }
    let all = all.with_annotation("x-mine", string("kept"));
    soon(producer.send_with(all, to_zero())).await.unwrap();
    soon(producer.send_with(EventData::from_sections(["one", "two"]), to_zero())).await.unwrap();
    let values = cases.iter().map(|case| EventData::from_value(case.value.clone()));
    soon(producer.send_all(values, to_zero())).await.unwrap();

    let Some(seen) = seen_by(language, transport, cases.len() + 2, &running).await else { return };
    for (index, line) in seen.iter().enumerate() {
        assert_eq!(line["sequenceNumber"], json!(index));
    }
    check_properties(language, &cases, &seen[0]);
    check_sections(language, &seen[1]);
    for (case, line) in cases.iter().zip(&seen[2..]) {
        let expected = case.seen_by(language);
        // The JavaScript SDK takes every value of bytes for data.
        let is_bytes = matches!(case.value, Value::Binary(_) | Value::Uuid(_));
        let kind = if language == Language::JavaScript && is_bytes { "data" } else { "value" };
        assert_eq!(line["bodyType"], kind, "{}", case.name);
        assert_eq!(&line["body"], expected, "{}", case.name);
    }
}

fn check_properties(language: Language, cases: &[Case], line: &Json) {
    let said = &line["properties"];
    for (python, javascript, text) in [
        ("message_id", "messageId", "id-1"),
        ("to", "to", "there"),
        ("subject", "subject", "about"),
        ("reply_to", "replyTo", "here"),
        ("correlation_id", "correlationId", "id-0"),
        ("content_type", "contentType", "application/json"),
        ("content_encoding", "contentEncoding", "gzip"),
        ("group_id", "groupId", "group"),
        ("reply_to_group_id", "replyToGroupId", "other"),
    ] {
        match language {
            Language::Python => assert_eq!(said[python], python_bytes(text), "{python}"),
            Language::JavaScript => assert_eq!(said[javascript], json!(["string", text]), "{javascript}"),
        }
    }
    match language {
        Language::Python => {
            assert_eq!(said["user_id"], python_bytes("user"));
            assert_eq!(said["group_sequence"], json!(["int", 7]));
            assert_eq!(said["creation_time"], json!(["int", TIME]));
            assert_eq!(said["absolute_expiry_time"], json!(["int", TIME + 1]));
        }
        Language::JavaScript => {
            assert_eq!(said["groupSequence"], json!(["number", 7]));
            assert_eq!(said["creationTime"], json!(["number", TIME]));
            assert_eq!(said["absoluteExpiryTime"], json!(["number", TIME + 1]));
        }
    }

    let said = &line["applicationProperties"];
    match language {
        Language::Python => {
            let expected: Vec<_> =
                cases.iter().map(|case| json!([python_bytes(case.name), case.python])).collect();
            assert_eq!(said, &Json::Array(expected));
            let annotation = json!([python_bytes("x-mine"), python_bytes("kept")]);
            assert!(line["annotations"].as_array().unwrap().contains(&annotation));
        }
        Language::JavaScript => {
            for case in cases {
                // The SDK gives times as numbers, and spreads bytes into an object while it looks for times.
                let expected = match &case.value {
                    Value::Timestamp(_) => json!(["number", TIME]),
                    Value::Binary(bytes) => spread(bytes),
                    Value::Uuid(uuid) => spread(uuid.as_bytes()),
                    _ => case.javascript.clone(),
                };
                assert_eq!(said[case.name], expected, "{}", case.name);
            }
            assert_eq!(line["annotations"]["x-mine"], json!(["string", "kept"]));
        }
    }
}

fn check_sections(language: Language, line: &Json) {
    assert_eq!(line["bodyType"], "data");
    match language {
        Language::Python => {
            assert_eq!(line["body"], json!(["list", [python_bytes("one"), python_bytes("two")]]));
        }
        // A list of both.
        Language::JavaScript => {
            assert_eq!(line["body"], json!(["array", [["Buffer", hex(b"one")], ["Buffer", hex(b"two")]]]));
        }
    }
}

impl Case {
    fn seen_by(&self, language: Language) -> &Json {
        match language {
            Language::Python => &self.python,
            Language::JavaScript => &self.javascript,
        }
    }
}

/// Of integers both SDKs keep the value and forget the type; JavaScript also forgets which is a float.
fn cases() -> Vec<Case> {
    let number = |value: i64| (json!(["int", value]), json!(["number", value]));
    let case = |name, value, (python, javascript)| Case { name, value, python, javascript };
    let uuid_text = "00112233-4455-6677-8899-aabbccddeeff";
    let uuid_seen = (json!(["UUID", uuid_text]), json!(["Buffer", uuid_text.replace('-', "")]));
    let list = Value::List(vec![Value::Int(1), string("two"), Value::Null]);
    let list_seen = (
        json!(["list", [["int", 1], python_bytes("two"), ["NoneType", null]]]),
        json!(["array", [["number", 1], ["string", "two"], ["null"]]]),
    );
    let map = Value::Map(vec![(string("a"), Value::Long(1))]);
    let map_seen =
        (json!(["dict", [[python_bytes("a"), ["int", 1]]]]), json!(["object", [["a", ["number", 1]]]]));
    vec![
        case("null", Value::Null, (json!(["NoneType", null]), json!(["null"]))),
        case("true", Value::Bool(true), (json!(["bool", true]), json!(["boolean", true]))),
        case("false", Value::Bool(false), (json!(["bool", false]), json!(["boolean", false]))),
        case("ubyte", Value::Ubyte(255), number(255)),
        case("ushort", Value::Ushort(65_535), number(65_535)),
        case("uint", Value::Uint(u32::MAX), number(u32::MAX.into())),
        case("uint zero", Value::Uint(0), number(0)),
        case("ulong", Value::Ulong(1 << 52), number(1 << 52)),
        case("byte", Value::Byte(-128), number(-128)),
        case("short", Value::Short(-32_768), number(-32_768)),
        case("int", Value::Int(i32::MIN), number(i32::MIN.into())),
        case("long", Value::Long(-(1 << 52)), number(-(1 << 52))),
        case("float", Value::Float(0.5), (json!(["float", 0.5]), json!(["number", 0.5]))),
        case("double", Value::Double(3.25), (json!(["float", 3.25]), json!(["number", 3.25]))),
        case("timestamp", timestamp(), (json!(["int", TIME]), json!(["Date", TIME]))),
        case("uuid", uuid(), uuid_seen),
        case("binary", binary(&[0, 255]), (json!(["bytes", "00ff"]), json!(["Buffer", "00ff"]))),
        case("string", string("héllo"), (python_bytes("héllo"), json!(["string", "héllo"]))),
        case("symbol", symbol("a:symbol"), (python_bytes("a:symbol"), json!(["string", "a:symbol"]))),
        case("list", list, list_seen),
        case("map", map, map_seen),
    ]
}

/// Python's decoder leaves text as bytes.
fn python_bytes(text: &str) -> Json {
    json!(["bytes", hex(text.as_bytes())])
}

fn spread(bytes: &[u8]) -> Json {
    let entries: Vec<_> =
        bytes.iter().enumerate().map(|(index, byte)| json!([index.to_string(), ["number", byte]])).collect();
    json!(["object", entries])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
