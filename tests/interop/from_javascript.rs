//! What the official JavaScript SDK writes, our client reads with every type intact.

use eventhubs::Value;
use eventhubs::amqp::message::{Body, Properties};

use super::crossing::{binary, data, properties, string, symbol, timestamp, uuid, written_by};
use super::support::Language;

/// As many as `crossing.mjs` has cases.
const CASES: usize = 30;

#[tokio::test]
async fn events_of_the_javascript_sdk_arrive_intact_over_tcp() {
    arrive_intact("tcp").await;
}

#[tokio::test]
async fn events_of_the_javascript_sdk_arrive_intact_over_a_web_socket_with_tls() {
    arrive_intact(Language::JavaScript.web_socket()).await;
}

async fn arrive_intact(transport: &str) {
    let Some(mut events) = written_by(Language::JavaScript, transport, CASES).await else { return };
    let mut take = |name: &str| events.remove(name).unwrap_or_else(|| panic!("no case '{name}'"));

    let everything: Vec<u8> = (0..=255).collect();
    for (name, body) in [
        ("text", data(&["\"héllo\"".as_bytes()])),
        ("number", data(&[b"42.5"])),
        ("object", data(&[br#"{"a":[1,null,{"b":"c"}]}"#])),
        ("null", Body::Data(vec![None])),
        ("bytes", data(&[&everything])),
        // One section that holds both lists: what the SDK makes of a list of lists.
        ("sequence", sequence()),
    ] {
        assert_eq!(take(name).body().unwrap(), body, "{name}");
    }
    for (name, value) in values() {
        assert_eq!(take(&format!("value {name}")).body().unwrap(), Body::Value(value), "{name}");
    }

    let event = take("application properties");
    let mut expected = numbers_and_others();
    expected.push(("case".to_owned(), string("application properties")));
    assert_eq!(event.application_properties().unwrap(), expected);

    let event = take("properties");
    assert_eq!(event.properties().unwrap(), properties());
    let annotations = event.annotations().unwrap();
    assert!(annotations.contains(&("x-mine".to_owned(), string("kept"))), "{annotations:?}");
    assert!(annotations.contains(&("x-number".to_owned(), Value::Uint(5))), "{annotations:?}");

    for (name, id) in [("number", Value::Ulong(7)), ("uuid", uuid())] {
        let only_id = Properties { message_id: Some(id), ..Properties::default() };
        assert_eq!(take(&format!("message-id {name}")).properties().unwrap(), only_id, "{name}");
    }
    assert!(events.is_empty(), "nothing was expected of {:?}", events.keys());
}

fn sequence() -> Body {
    Body::Sequence(vec![vec![
        Value::List(vec![Value::Uint(1), string("two")]),
        Value::List(vec![Value::Null]),
    ]])
}

/// What `crossing.mjs` wraps with a type, and what rhea chooses for the rest.
fn values() -> Vec<(&'static str, Value)> {
    let largest = (1_u64 << 53) - 1;
    vec![
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("ubyte", Value::Ubyte(u8::MAX)),
        ("ushort", Value::Ushort(u16::MAX)),
        ("uint", Value::Uint(u32::MAX)),
        ("ulong", Value::Ulong(largest)),
        ("byte", Value::Byte(i8::MIN)),
        ("short", Value::Short(i16::MIN)),
        ("int", Value::Int(i32::MIN)),
        ("long", Value::Long(-(largest as i64))),
        ("float", Value::Float(0.5)),
        ("double", Value::Double(3.25)),
        ("timestamp", timestamp()),
        ("uuid", uuid()),
        ("binary", binary(&[0, 255])),
        ("string", string("héllo")),
        ("symbol", symbol("a:symbol")),
        ("list", Value::List(vec![Value::Uint(1), string("two"), Value::Null])),
        ("map", Value::Map(vec![(string("a"), Value::Uint(1)), (string("b"), string("c"))])),
    ]
}

/// JavaScript has one type of number; the SDK chooses the type on the wire by the value.
fn numbers_and_others() -> Vec<(String, Value)> {
    [
        ("text", string("héllo")),
        ("zero", Value::Int(0)),
        ("positive", Value::Uint(42)),
        ("negative", Value::Int(-1)),
        ("large", Value::Ulong(1 << 40)),
        ("very negative", Value::Long(-(1 << 40))),
        ("fraction", Value::Double(1.5)),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("nothing", Value::Null),
        ("date", timestamp()),
        ("binary", binary(&[0, 255])),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
