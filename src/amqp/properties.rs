//! Properties of the codec and of the engine under random and damaged input.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::moment::Moment;
use crate::model::value::{Described, Symbol, Timestamp, Uuid, Value};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u8>().prop_map(Value::Ubyte),
        any::<u16>().prop_map(Value::Ushort),
        any::<u32>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Ulong),
        any::<i8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::Short),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        prop_oneof![Just(0_u64), Just(255), Just(256)].prop_map(Value::Ulong),
        any::<i32>().prop_map(|n| Value::Float(n as f32)),
        any::<i32>().prop_map(|n| Value::Double(f64::from(n))),
        any::<[u8; 4]>().prop_map(Value::Decimal32),
        any::<[u8; 8]>().prop_map(Value::Decimal64),
        any::<[u8; 16]>().prop_map(Value::Decimal128),
        any::<char>().prop_map(Value::Char),
        any::<i64>().prop_map(|millis| Value::Timestamp(Timestamp::from_millis(millis))),
        any::<[u8; 16]>().prop_map(|bytes| Value::Uuid(Uuid::from_bytes(bytes))),
        vec(any::<u8>(), 0..400).prop_map(|bytes| Value::Binary(bytes.into())),
        ".{0,300}".prop_map(Value::String),
        "[ -~]{0,300}".prop_map(|text| Value::Symbol(Symbol::from(text))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::List),
            vec((inner.clone(), inner.clone()), 0..8).prop_map(Value::Map),
            (scalar(), 1..300_usize).prop_map(|(element, count)| match element {
                Value::Null => Value::Array(vec![element; count.min(decode::MAX_EMPTY_ELEMENTS)]),
                element => Value::Array(vec![element; count]),
            }),
            (inner.clone().prop_filter("has no place in an array", is_element), 1..5_usize)
                .prop_map(|(element, count)| Value::Array(vec![element; count])),
            (any::<u64>(), inner).prop_map(|(descriptor, value)| {
                Value::Described(Box::new(Described { descriptor: Value::Ulong(descriptor), value }))
            }),
        ]
    })
}

/// Whether an array can hold it: elements have one descriptor at most.
fn is_element(value: &Value) -> bool {
    match value {
        Value::Described(described) => {
            !matches!(described.value, Value::Described(_)) && is_element(&described.value)
        }
        Value::Array(elements) => elements.iter().all(is_element),
        _ => true,
    }
}

/// A conversation of a client with a server, both sides' bytes: every performative, messages of several frames.
fn conversation() -> (Bytes, Bytes) {
    let now = Moment::ORIGIN;
    let mut client = Connection::client(Config { container_id: "c".into(), ..Config::default() }, now);
    let mut server = Connection::server(Config { container_id: "s".into(), ..Config::default() }, now);
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let mut step = |client: &mut Connection, server: &mut Connection| loop {
        let mut moved = false;
        while let Some(bytes) = client.poll_output(now) {
            moved = true;
            to_server.extend_from_slice(&bytes);
            server.feed(bytes, now);
            while let Some(event) = server.poll_event() {
                answer(server, event);
            }
        }
        while let Some(bytes) = server.poll_output(now) {
            moved = true;
            to_client.extend_from_slice(&bytes);
            client.feed(bytes, now);
            while client.poll_event().is_some() {}
        }
        if !moved {
            break;
        }
    };
    step(&mut client, &mut server);
    let session = client.begin().unwrap();
    let target = Attach { target: Some(Target::at("hub")), ..Attach::new("sender", Role::Sender) };
    let sender = client.attach(session, target).unwrap();
    let source = Attach { source: Some(Source::at("hub")), ..Attach::new("receiver", Role::Receiver) };
    let receiver = client.attach(session, source).unwrap();
    client.set_credit(receiver, 5);
    for (token, size) in [10, 1000, 70_000].into_iter().enumerate() {
        let body = Bytes::from(vec![1; size]);
        let message =
            Outgoing { token: token as u64, message_format: 0, settled: false, head: Bytes::new(), body };
        client.send(sender, message).unwrap();
    }
    step(&mut client, &mut server);
    client.detach(sender, true, Some(AmqpError::new("amqp:not-found", "gone")));
    client.drain(receiver);
    step(&mut client, &mut server);
    client.end(session, None);
    client.close(None);
    step(&mut client, &mut server);
    (to_server.freeze(), to_client.freeze())
}

fn answer(server: &mut Connection, event: Event) {
    match event {
        Event::Sasl { .. } => server.sasl_outcome(true),
        Event::AttachRequested { link, attach, .. } => {
            let theirs = attach.role;
            server.accept(
                link,
                Attach { source: attach.source, target: attach.target, ..Attach::new("", theirs) },
            );
            if theirs == Role::Sender {
                server.set_credit(link, 100);
            }
        }
        Event::Credit { link, drain, credit } => {
            for _ in 0..credit.min(3) {
                let body = Bytes::from_static(b"event");
                let message =
                    Outgoing { token: 0, message_format: 0, settled: true, head: body.clone(), body };
                let _ = server.send(link, message);
            }
            if drain {
                server.drained(link);
            }
        }
        Event::Delivery { link, delivery } => server.settle(link, delivery.id, Outcome::Accepted),
        _ => {}
    }
}

/// Feeds `bytes` in pieces, acting on what comes out as a driver would.
fn survive(mut engine: Connection, bytes: &Bytes, cuts: &[usize]) {
    let now = Moment::ORIGIN;
    let mut at = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let end = end.clamp(at, bytes.len());
        engine.feed(bytes.slice(at..end), now);
        at = end;
        while let Some(event) = engine.poll_event() {
            answer(&mut engine, event);
        }
        while engine.poll_output(now).is_some() {}
    }
    if let Some(deadline) = engine.next_deadline() {
        engine.tick(deadline);
    }
    engine.close(None);
    while engine.poll_output(now).is_some() {}
    assert!(engine.backlog() == 0);
}

proptest! {
    #[test]
    fn values_round_trip(value in value()) {
        let mut out = BytesMut::new();
        encode::value(&mut out, &value);
        let mut bytes = out.freeze();
        prop_assert_eq!(decode::value(&mut bytes).unwrap(), value);
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn a_value_is_skipped_by_exactly_its_length(value in value(), behind in vec(any::<u8>(), 0..10)) {
        let mut out = BytesMut::new();
        encode::value(&mut out, &value);
        let len = out.len();
        out.extend_from_slice(&behind);
        let bytes = out.freeze();
        let mut reader = decode::Reader::new(&bytes);
        reader.skip().unwrap();
        prop_assert_eq!(reader.position(), len);
    }

    #[test]
    fn no_bytes_panic_the_value_decoder(bytes in vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = decode::value(&mut bytes.clone());
        if let Ok(sections) = message::sections(&bytes) {
            let _ = message::body(&sections.body.of(&bytes));
            let _ = message::properties(&sections.properties.of(&bytes));
            let _ = message::header(&sections.header.of(&bytes));
            let _ = message::map(&sections.application_properties.of(&bytes));
            let _ = message::map_get(&sections.message_annotations.of(&bytes), "x-opt-offset");
        }
    }

    #[test]
    fn valid_traffic_cut_anywhere_ends_in_an_orderly_close(cuts in vec(0..80_000_usize, 0..20)) {
        let (to_server, _) = conversation();
        let mut cuts = cuts;
        cuts.sort_unstable();
        survive(Connection::server(Config::default(), Moment::ORIGIN), &to_server, &cuts);
    }

    #[test]
    fn damaged_traffic_panics_neither_role(
        damage in vec((0..80_000_usize, any::<u8>()), 1..6),
        cuts in vec(0..80_000_usize, 0..6),
    ) {
        let (to_server, to_client) = conversation();
        let mut cuts = cuts;
        cuts.sort_unstable();
        for (engine, bytes) in [
            (Connection::server(Config::default(), Moment::ORIGIN), to_server),
            (Connection::client(Config::default(), Moment::ORIGIN), to_client),
        ] {
            let mut bytes = bytes.to_vec();
            for (at, byte) in &damage {
                // Most of a long message is payload: damage the rest twice as often.
                let at = if at % 3 == 0 { at % bytes.len() } else { at % bytes.len().min(1500) };
                bytes[at] = *byte;
            }
            survive(engine, &bytes.into(), &cuts);
        }
    }
}

#[test]
fn a_whole_conversation_survives_being_cut_at_every_byte() {
    let (to_server, to_client) = conversation();
    for cut in 0..2000 {
        survive(Connection::server(Config::default(), Moment::ORIGIN), &to_server, &[cut]);
        survive(Connection::client(Config::default(), Moment::ORIGIN), &to_client, &[cut]);
    }
}
