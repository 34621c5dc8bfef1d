use super::*;
use crate::dialect::codec::{Publication, Stamp, encode_event};
use crate::model::value::Uuid;
use proptest::prelude::*;

/// The event as a reader gets it.
pub(crate) fn delivered(event: &EventData) -> ReceivedEvent {
    let enqueued_time = Timestamp::from_millis(1_767_225_600_000);
    let stamp = Stamp { sequence_number: 7, offset: 448, enqueued_time };
    let mut message = Bytes::new();
    let publication = Publication::parse(&encode_event(event).unwrap(), 0).unwrap();
    publication
        .store(&mut BytesMut::new(), stamp, |stored| message = [stored.head, stored.body].concat().into());
    ReceivedEvent::parse(message).unwrap()
}

/// A message with these annotations and nothing else.
fn annotated(entries: &[(&'static str, Value)]) -> Bytes {
    let entries: Vec<_> =
        entries.iter().map(|(name, value)| (Symbol::from_static(name), value.clone())).collect();
    let mut out = BytesMut::new();
    message::put_message_annotations(&mut out, &entries);
    out.freeze()
}

#[test]
fn what_the_service_says_is_read_without_decoding() {
    let received = delivered(&EventData::from("hi").with_partition_key("k1"));
    assert_eq!((received.sequence_number(), received.offset()), (7, "448"));
    assert_eq!(received.enqueued_time().to_string(), "2026-01-01T00:00:00.000Z");
    assert_eq!(received.partition_key(), Some("k1"));
    assert_eq!(received.last_enqueued().unwrap(), None);
    assert_eq!(delivered(&EventData::from("hi")).partition_key(), None);
}

#[test]
fn a_body_of_one_section_is_a_slice_of_what_arrived() {
    for len in [0, 1, 255, 256, 70_000] {
        let received = delivered(&EventData::from(vec![7; len]));
        let body = received.body_bytes().unwrap();
        assert_eq!(body, vec![7; len]);
        if len > 0 {
            assert!(received.raw().as_ptr_range().contains(&body.as_ptr()), "{len}");
        }
    }
}

#[test]
fn bodies_of_every_kind_give_their_bytes_or_say_why_not() {
    for (event, expected) in [
        (EventData::from_sections(["a", "", "bc"]), "abc"),
        (EventData::from_value("text"), "text"),
        (EventData::from_value(Bytes::from_static(b"bin")), "bin"),
        (EventData::from_value(Value::Null), ""),
        (EventData::from(Body::Empty), ""),
        (EventData::from(Body::Data(vec![None])), ""),
        (EventData::from(Body::Data(vec![None, Some(Bytes::from_static(b"x")), None])), "x"),
    ] {
        assert_eq!(delivered(&event).body_text().unwrap(), expected, "{event:?}");
        assert_eq!(&delivered(&event).body().unwrap(), event.body());
    }
    for event in [
        EventData::from_value(5_i32),
        EventData::from(Body::Sequence(vec![vec![Value::Int(1)]])),
        EventData::from(vec![0xff, 0xfe]),
    ] {
        assert_eq!(delivered(&event).body_text().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(delivered(&EventData::from(vec![0xff, 0xfe])).body_bytes().unwrap(), vec![0xff, 0xfe]);
}

#[test]
fn properties_keep_their_types() {
    let id = Uuid::from_bytes([7; 16]);
    let event = EventData::from("hi")
        .with_message_id(id)
        .with_content_type("text/plain")
        .with_property("int", 5_i32)
        .with_property("ulong", 5_u64)
        .with_property("null", Value::Null);
    let received = delivered(&event);
    assert_eq!(received.properties().unwrap(), *event.properties().unwrap());
    assert_eq!(received.application_properties().unwrap(), event.application_properties());
    assert_eq!(received.property("ulong").unwrap(), Some(Value::Ulong(5)));
    assert_eq!(received.property("null").unwrap(), Some(Value::Null));
    assert_eq!(received.property("other").unwrap(), None);
    let none = delivered(&EventData::from("hi"));
    assert_eq!((none.properties().unwrap(), none.property("a").unwrap()), (Properties::default(), None));
}

#[test]
fn the_whole_message_can_be_had() {
    let event = EventData::from("hi").with_subject("s").with_property("p", true).with_annotation("a", 1_i64);
    let received = delivered(&event);
    let message = received.message().unwrap();
    assert_eq!((message.header, message.delivery_annotations, message.footer), (None, vec![], vec![]));
    assert_eq!(message.properties.subject.as_deref(), Some("s"));
    assert_eq!(message.application_properties, [("p".to_owned(), Value::Bool(true))]);
    assert_eq!(message.message_annotations.last(), Some(&("a".to_owned(), Value::Long(1))));
    assert_eq!(message.body, *event.body());

    let mut with_header = BytesMut::new();
    let header = Header { durable: true, ..Header::default() };
    message::put_header(&mut with_header, &header);
    with_header.put_slice(received.raw());
    let again = ReceivedEvent::parse(with_header.freeze()).unwrap();
    assert_eq!(again.message().unwrap().header, Some(header));
}

#[test]
fn a_message_without_the_services_annotations_is_no_event() {
    let (number, offset) = ((SEQUENCE_NUMBER, Value::Long(1)), (OFFSET, Value::from("1")));
    let time = (ENQUEUED_TIME, Value::Timestamp(Timestamp::from_millis(1)));
    assert!(ReceivedEvent::parse(annotated(&[number.clone(), offset.clone(), time.clone()])).is_ok());
    for (entries, missing) in [
        (vec![], SEQUENCE_NUMBER),
        (vec![offset.clone(), time.clone()], SEQUENCE_NUMBER),
        (vec![(SEQUENCE_NUMBER, Value::from("1")), offset.clone(), time.clone()], SEQUENCE_NUMBER),
        (vec![number.clone(), time], OFFSET),
        (vec![number, offset], ENQUEUED_TIME),
    ] {
        let error = ReceivedEvent::parse(annotated(&entries)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(missing), "{error}");
    }
    assert_eq!(ReceivedEvent::parse(Bytes::from_static(b"junk")).unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn other_encodings_of_the_services_annotations_are_read() {
    let received = ReceivedEvent::parse(annotated(&[
        (SEQUENCE_NUMBER, Value::Uint(5)),
        (OFFSET, Value::Symbol(Symbol::from_static("9"))),
        (ENQUEUED_TIME, Value::Long(3)),
        ("iothub-connection-device-id", Value::from("d")),
    ]))
    .unwrap();
    assert_eq!((received.sequence_number(), received.offset()), (5, "9"));
    assert_eq!(received.enqueued_time().as_millis(), 3);
    assert_eq!(received.annotations().unwrap()[3].1, Value::from("d"));
}

#[test]
fn malformed_sections_are_errors_when_they_are_asked_for() {
    let mut payload = BytesMut::from(&delivered(&EventData::from("")).raw()[..]);
    let body = b"\x00\x53\x75\xa0\x00";
    payload.truncate(payload.len() - body.len());
    // Application properties whose value has an unknown type, and a data section that holds a boolean.
    payload.put_slice(b"\x00\x53\x74\xc1\x05\x02\xa1\x01k\x01\x00\x53\x75\x41");
    let received = ReceivedEvent::parse(payload.freeze()).unwrap();
    assert_eq!(received.sequence_number(), 7);
    for error in [
        received.application_properties().unwrap_err(),
        received.property("k").unwrap_err(),
        received.body().unwrap_err(),
        received.body_bytes().unwrap_err(),
        received.message().unwrap_err(),
        received.to_event_data().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
}

#[test]
fn a_compacted_event_is_the_same_in_its_own_memory() {
    let received = delivered(&EventData::from("hi").with_partition_key("k"));
    let compacted = received.clone().compacted();
    assert_ne!(compacted.raw().as_ptr(), received.raw().as_ptr());
    assert_eq!((compacted.offset(), compacted.partition_key()), ("448", Some("k")));
    assert_eq!(compacted.body_text().unwrap(), "hi");
}

#[test]
fn printing_an_event_leaves_its_body_out() {
    let debug = format!("{:?}", delivered(&EventData::from("c2VjcmV0")));
    assert!(debug.contains("sequence_number: 7") && debug.contains("448"), "{debug}");
    assert!(!debug.contains("c2VjcmV0"), "{debug}");
}

proptest! {
    #[test]
    fn no_bytes_panic_the_reader(bytes: Vec<u8>) {
        if let Ok(received) = ReceivedEvent::parse(bytes.into()) {
            let _ = (received.message(), received.body_bytes(), received.last_enqueued());
        }
    }
}
