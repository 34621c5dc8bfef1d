//! Directs the scripts `crossing.py` and `crossing.mjs`: an official SDK on one side, our client on the other, and
//! the emulator between them.

use std::collections::BTreeMap;

use eventhubs::amqp::message::{Body, Properties};
use eventhubs::{ReceivedEvent, Symbol, Timestamp, Uuid, Value};
use serde_json::Value as Json;

use super::support::{HUB, Language, Running, read, soon};

/// What both scripts write as a point in time, in milliseconds.
pub(crate) const TIME: i64 = 1_714_979_289_123;

/// What the SDK of this language wrote over this transport, as our client reads it, by the name of its case.
pub(crate) async fn written_by(
    language: Language,
    transport: &str,
    count: usize,
) -> Option<BTreeMap<String, ReceivedEvent>> {
    let running = super::support::start().await;
    run(language, "write", count, transport, &running).await?;
    let events = read(&running.consumer(), "0", count).await;
    let last = running.consumer().partition_properties("0").await.unwrap().last_enqueued_sequence_number;
    assert_eq!(last + 1, count as i64, "the script writes another number of events");
    let named = events.into_iter().map(|event| {
        let name = event.property("case").unwrap().expect("an event without a case");
        (name.as_str().unwrap().to_owned(), event)
    });
    let named: BTreeMap<_, _> = named.collect();
    assert_eq!(named.len(), count, "two cases have one name");
    Some(named)
}

/// What the SDK of this language says of the first events in partition 0.
pub(crate) async fn seen_by(
    language: Language,
    transport: &str,
    count: usize,
    running: &Running,
) -> Option<Vec<Json>> {
    let output = run(language, "read", count, transport, running).await?;
    let lines: Vec<Json> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), count);
    Some(lines)
}

async fn run(
    language: Language,
    verb: &str,
    count: usize,
    transport: &str,
    running: &Running,
) -> Option<String> {
    let name = if language == Language::Python { "crossing.py" } else { "crossing.mjs" };
    let mut command = language.script(name)?;
    command.args([verb, &count.to_string(), &running.emulator.connection_string(), HUB, transport]);
    command.env("NODE_EXTRA_CA_CERTS", running.emulator.ca_path().unwrap());
    let output = soon(command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{language:?} cannot {verb} over {transport}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

pub(crate) fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn symbol(text: &'static str) -> Value {
    Value::Symbol(Symbol::from(text))
}

pub(crate) fn binary(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec().into())
}

pub(crate) fn timestamp() -> Value {
    Value::Timestamp(Timestamp::from_millis(TIME))
}

pub(crate) fn uuid() -> Value {
    Value::Uuid(Uuid::from_bytes(UUID))
}

pub(crate) const UUID: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

pub(crate) fn data(sections: &[&[u8]]) -> Body {
    Body::Data(sections.iter().map(|section| Some(section.to_vec().into())).collect())
}

/// The properties that both scripts write, less the user id, which the JavaScript SDK does not know.
pub(crate) fn properties() -> Properties {
    Properties {
        message_id: Some(string("id-1")),
        to: Some("there".to_owned()),
        subject: Some("about".to_owned()),
        reply_to: Some("here".to_owned()),
        correlation_id: Some(string("id-0")),
        content_type: Some(Symbol::from("application/json")),
        content_encoding: Some(Symbol::from("gzip")),
        absolute_expiry_time: Some(Timestamp::from_millis(TIME + 1)),
        creation_time: Some(Timestamp::from_millis(TIME)),
        group_id: Some("group".to_owned()),
        group_sequence: Some(7),
        reply_to_group_id: Some("other".to_owned()),
        ..Properties::default()
    }
}
