//! What the official Python SDK writes, our client reads with every type intact.

use eventhubs::Value;
use eventhubs::amqp::message::{Body, Properties};

use super::crossing::{binary, data, properties, string, symbol, timestamp, uuid, written_by};
use super::support::Language;

/// As many as `crossing.py` has cases.
const CASES: usize = 22;

#[tokio::test]
async fn events_of_the_python_sdk_arrive_intact_over_tcp() {
    arrive_intact("tcp").await;
}

#[tokio::test]
async fn events_of_the_python_sdk_arrive_intact_over_a_web_socket() {
    arrive_intact(Language::Python.web_socket()).await;
}

async fn arrive_intact(transport: &str) {
    let Some(mut events) = written_by(Language::Python, transport, CASES).await else { return };
    let mut take = |name: &str| events.remove(name).unwrap_or_else(|| panic!("no case '{name}'"));

    let everything: Vec<u8> = (0..=255).collect();
    for (name, body) in [
        ("text", data(&["héllo".as_bytes()])),
        ("bytes", data(&[&everything])),
        ("empty", data(&[b""])),
        ("sections", data(&[b"one", b"", b"three"])),
        ("sequence", Body::Sequence(vec![vec![Value::Int(1), string("two")], vec![Value::Null]])),
        // A value that Python takes for false is not sent at all.
        ("value null", Body::Empty),
        ("value false", Body::Empty),
    ] {
        assert_eq!(take(name).body().unwrap(), body, "{name}");
    }
    for (name, value) in plain() {
        if !matches!(name, "null" | "false") {
            assert_eq!(take(&format!("value {name}")).body().unwrap(), Body::Value(value), "{name}");
        }
    }
    let values = tagged().into_iter().map(|(_, value)| value).collect();
    assert_eq!(take("value tagged").body().unwrap(), Body::Value(Value::List(values)));

    let event = take("application properties");
    let mut expected: Vec<_> =
        plain().into_iter().chain(tagged()).map(|(name, value)| (name.to_owned(), value)).collect();
    expected.push(("case".to_owned(), string("application properties")));
    assert_eq!(event.application_properties().unwrap(), expected);

    let event = take("properties");
    let with_user = Properties { user_id: Some("user".into()), ..properties() };
    assert_eq!(event.properties().unwrap(), with_user);
    let annotations = event.annotations().unwrap();
    assert!(annotations.contains(&("x-mine".to_owned(), string("kept"))), "{annotations:?}");
    assert!(annotations.contains(&("x-number".to_owned(), Value::Int(5))), "{annotations:?}");

    for (name, id) in [("uuid", uuid()), ("binary", binary(&[1, 2])), ("ulong", Value::Ulong(1 << 63))] {
        let event = take(&format!("message-id {name}"));
        assert_eq!(event.properties().unwrap().message_id, Some(id), "{name}");
    }
    assert!(events.is_empty(), "nothing was expected of {:?}", events.keys());
}

fn plain() -> Vec<(&'static str, Value)> {
    let list = vec![Value::Int(1), string("two"), Value::Null, Value::List(vec![Value::Double(3.5)])];
    let inner = Value::Map(vec![(string("c"), Value::Bool(true))]);
    let map = vec![(string("a"), Value::Int(1)), (string("b"), inner)];
    vec![
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("int", Value::Int(i32::MIN)),
        ("double", Value::Double(3.25)),
        ("timestamp", timestamp()),
        ("uuid", uuid()),
        ("binary", binary(&[0, 255])),
        ("string", string("héllo")),
        ("list", Value::List(list)),
        ("map", Value::Map(map)),
    ]
}

fn tagged() -> Vec<(&'static str, Value)> {
    vec![
        ("ubyte", Value::Ubyte(u8::MAX)),
        ("ushort", Value::Ushort(u16::MAX)),
        ("uint", Value::Uint(u32::MAX)),
        ("ulong", Value::Ulong(u64::MAX)),
        ("byte", Value::Byte(i8::MIN)),
        ("short", Value::Short(i16::MIN)),
        ("long", Value::Long(i64::MIN)),
        ("float", Value::Float(0.5)),
        ("symbol", symbol("a:symbol")),
    ]
}
