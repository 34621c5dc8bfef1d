use super::*;
use crate::amqp::decode::MAX_NESTING;
use crate::amqp::encode;
use crate::amqp::message::{self, Body};
use crate::dialect::annotations::BATCH_FORMAT;
use crate::dialect::arbitrary;
use crate::dialect::received::{LastEnqueued, ReceivedEvent};
use crate::model::value::{Timestamp, Value};
use proptest::collection::vec;
use proptest::prelude::*;

/// The payload of the event among the golden frames of protocol.md, appendix B.
const GOLDEN: &str = "\
    005372c1830aa31b782d6f70742d73657175656e63652d6e756d6265722d65706f636854ffa315782d6f70742d73657175656e63652d6e\
    756d6265725507a30c782d6f70742d6f6666736574a103343438a313782d6f70742d656e7175657565642d74696d65830000019b76daa8\
    00a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a0026869";

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn stamp(sequence_number: i64, offset: i64) -> Stamp {
    Stamp { sequence_number, offset, enqueued_time: Timestamp::from_millis(1_767_225_600_000) }
}

/// What becomes of a publication that an empty partition takes.
fn stored(publication: Publication, stamp: Stamp) -> Vec<Stored> {
    let mut events = Vec::new();
    let (len, size) = (publication.len(), publication.size());
    publication.store(&mut BytesMut::new(), stamp, |event| events.push(event));
    assert_eq!(events.len(), len);
    assert!(events.iter().map(Stored::size).sum::<u64>() <= size);
    events
}

fn message(stored: &Stored) -> Bytes {
    [&stored.head[..], &stored.body].concat().into()
}

fn whole(batch: EncodedBatch) -> Bytes {
    [&batch.head[..], &batch.body].concat().into()
}

/// What a reader gets of a message that a producer sent.
fn delivered(payload: &Bytes, format: u32) -> Vec<ReceivedEvent> {
    let events = stored(Publication::parse(payload, format).unwrap(), stamp(0, 0));
    events.iter().map(|event| ReceivedEvent::parse(message(event)).unwrap()).collect()
}

#[test]
fn a_delivered_event_is_the_golden_one() {
    let payload = encode_event(&EventData::from("hi").with_partition_key("k1")).unwrap();
    let publication = Publication::parse(&payload, 0).unwrap();
    assert_eq!(publication.partition_key(), Some("k1"));
    let event = stored(publication, stamp(7, 448)).remove(0);
    assert_eq!(message(&event), hex(GOLDEN));
    assert_eq!((event.offset, event.size()), (448, hex(GOLDEN).len() as u64));
}

#[test]
fn a_batch_is_an_envelope_with_one_data_section_per_event() {
    let mut batch = EventBatch::new(0, None).unwrap();
    assert!(batch.is_empty() && batch.try_add(&EventData::from("hi")).unwrap());
    assert!(batch.try_add(&EventData::from("x".repeat(300))).unwrap());
    assert_eq!((batch.len(), batch.max_size()), (2, 1_048_576));
    let batch = batch.finish();
    assert_eq!((batch.head.len(), batch.len, batch.message_format), (0, 2, 0x8001_3700));
    let mut expected = b"\x00\x53\x75\xa0\x07\x00\x53\x75\xa0\x02hi".to_vec();
    expected.extend_from_slice(b"\x00\x53\x75\xb0\x00\x00\x01\x34\x00\x53\x75\xb0\x00\x00\x01\x2c");
    expected.extend_from_slice("x".repeat(300).as_bytes());
    assert_eq!(batch.body, expected);
}

#[test]
fn a_batchs_key_is_on_the_envelope_and_on_every_event() {
    let mut batch = EventBatch::new(0, Some("k1".to_owned())).unwrap();
    assert_eq!(batch.partition_key(), Some("k1"));
    assert!(batch.try_add(&EventData::from("a")).unwrap());
    assert!(batch.try_add(&EventData::from("b").with_partition_key("k1")).unwrap());
    let payload = whole(batch.finish());
    assert_eq!(Publication::parse(&payload, BATCH_FORMAT).unwrap().partition_key(), Some("k1"));
    // As it stands in the envelope, it stands in every event's own bytes.
    let name = b"x-opt-partition-key";
    assert_eq!(payload.windows(name.len()).filter(|window| window == name).count(), 3);
    assert!(delivered(&payload, BATCH_FORMAT).iter().all(|event| event.partition_key() == Some("k1")));
}

#[test]
fn an_event_of_another_key_is_refused_by_the_batch() {
    let keyed = EventData::from("a").with_partition_key("k2");
    for (key, text) in [(None, "the batch has none"), (Some("k1".to_owned()), "have 'k1'")] {
        let mut batch = EventBatch::new(0, key).unwrap();
        let error = batch.try_add(&keyed).unwrap_err();
        assert_eq!((error.kind(), batch.len()), (ErrorKind::InvalidArgument, 0));
        assert!(error.to_string().contains(text), "{error}");
    }
    let long = "k".repeat(129);
    assert_eq!(EventBatch::new(0, Some(long.clone())).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(encode_event(&EventData::from("a").with_partition_key(long)).is_err());
}

#[test]
fn a_batch_that_keeps_keys_takes_events_of_all_keys() {
    let mut batch = EventBatch::new(0, None).unwrap().keeping_keys();
    let events = [Some("a"), None, Some("b")].map(|key| {
        let event = EventData::from("x");
        key.map_or(event.clone(), |key| event.with_partition_key(key))
    });
    for event in &events {
        assert!(batch.try_add(event).unwrap());
    }
    let read = delivered(&whole(batch.finish()), BATCH_FORMAT);
    let keys: Vec<_> = read.iter().map(|event| event.partition_key()).collect();
    assert_eq!(keys, [Some("a"), None, Some("b")]);
}

#[test]
fn a_full_batch_refuses_and_stays_as_it_was() {
    // Two events of 5 + 5 + 2 bytes fit to the byte; a third does not.
    let mut batch = EventBatch::new(24, None).unwrap();
    assert!(batch.try_add(&EventData::from("ab")).unwrap());
    assert!(!batch.try_add(&EventData::from("abc")).unwrap());
    assert_eq!((batch.len(), batch.size()), (1, 12));
    assert!(batch.try_add(&EventData::from("cd")).unwrap());
    assert!(!batch.try_add(&EventData::from("")).unwrap());
    assert_eq!((batch.len(), batch.size()), (2, 24));
    // Refused on sight: nothing of the 100 MB is encoded.
    let mut batch = EventBatch::new(0, None).unwrap();
    let zeros = Bytes::from(vec![0; 100 << 20]);
    let many = EventData::from_sections(std::iter::repeat_n(zeros, 1000));
    assert!(!batch.try_add(&many).unwrap() && batch.is_empty());
    let error = encode_event(&many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    assert!(error.to_string().contains("104857600000 bytes"), "{error}");
}

#[test]
fn what_amqp_does_not_allow_is_refused() {
    for (event, text) in [
        (EventData::from("").with_message_id(5_i32), "message-id"),
        (EventData::from("").with_correlation_id(true), "correlation-id"),
        (EventData::from("").with_content_type("t\u{e9}xt"), "content-type"),
        (EventData::from("").with_content_encoding("gz\u{ef}p"), "content-encoding"),
        (EventData::from("").with_annotation("n\u{e9}", 1_i32), "annotation name"),
        (EventData::from("").with_annotation("x-opt-partition-key", "k"), "partition key"),
    ] {
        let error = encode_event(&event).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(text), "{error}");
        assert!(EventBatch::new(0, None).unwrap().try_add(&event).is_err());
    }
}

#[test]
fn what_nests_too_deep_to_be_read_is_refused_and_what_does_not_is_read() {
    let nested = |levels| (0..levels).fold(Value::Int(1), |value, _| Value::List(vec![value]));
    let each = |value: Value| {
        [
            ("the body", EventData::from(Body::Value(value.clone()))),
            ("the body", EventData::from(Body::Sequence(vec![vec![value.clone()]]))),
            ("'deep'", EventData::from("").with_property("deep", value.clone())),
            ("'deep'", EventData::from("").with_annotation("deep", value)),
        ]
    };
    for (_, event) in each(nested(MAX_NESTING)) {
        assert_eq!(decode_event(&encode_event(&event).unwrap()).unwrap(), event);
    }
    for (what, event) in each(nested(MAX_NESTING + 1)) {
        let error = encode_event(&event).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn the_services_annotations_cannot_be_forged() {
    let event = EventData::from("hi")
        .with_annotation("x-opt-sequence-number", 99_i64)
        .with_annotation("x-opt-offset", "99")
        .with_annotation("x-opt-enqueued-time", Timestamp::from_millis(1))
        .with_annotation("x-opt-publisher-name", "mallory")
        .with_annotation("mine", Value::List(vec![Value::Int(5)]));
    let received = &delivered(&encode_event(&event).unwrap(), 0)[0];
    assert_eq!((received.sequence_number(), received.offset()), (0, "0"));
    let annotations = received.annotations().unwrap();
    let names: Vec<_> = annotations.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x-opt-sequence-number-epoch",
            "x-opt-sequence-number",
            "x-opt-offset",
            "x-opt-enqueued-time",
            "mine"
        ]
    );
    assert_eq!(annotations[4].1, Value::List(vec![Value::Int(5)]));
}

#[test]
fn a_publisher_is_named_on_its_events() {
    let payload = encode_event(&EventData::from("hi")).unwrap();
    let mut publication = Publication::parse(&payload, 0).unwrap();
    publication.set_publisher("device-1");
    let received = ReceivedEvent::parse(message(&stored(publication, stamp(0, 0))[0])).unwrap();
    let publisher = ("x-opt-publisher-name".to_owned(), Value::from("device-1"));
    assert_eq!(received.annotations().unwrap().last(), Some(&publisher));
}

#[test]
fn envelopes_of_other_clients_are_taken_apart() {
    // Python with a key: header(durable=true) and the key, outside and inside.
    let key = "005372c11a02a313782d6f70742d706172746974696f6e2d6b6579a1026b31";
    let inner = format!("005370c0020141{key}005375a0026869");
    let inner_len = hex(&inner).len();
    let python = format!("005370c0020141{key}005375a0{inner_len:02x}{inner}005375b0{inner_len:08x}{inner}");
    // JS: an empty header, empty properties, and an event whose body is null.
    let script = "00537045005373450053 75a004 00537540 005375a006 005375a00131";
    let python = hex(&python);
    let publication = Publication::parse(&python, BATCH_FORMAT).unwrap();
    assert_eq!((publication.len(), publication.partition_key()), (2, Some("k1")));
    for event in delivered(&python, BATCH_FORMAT) {
        assert_eq!((event.body_text().unwrap().as_str(), event.partition_key()), ("hi", Some("k1")));
        assert_eq!(event.message().unwrap().header, None);
    }
    let bodies: Vec<_> =
        delivered(&hex(script), BATCH_FORMAT).iter().map(|event| event.body().unwrap()).collect();
    assert_eq!(bodies, [Body::Data(vec![None]), Body::Data(vec![Some(Bytes::from_static(b"1"))])]);
}

#[test]
fn an_events_own_key_counts_before_the_envelopes() {
    let own = encode_event(&EventData::from("a").with_partition_key("own")).unwrap();
    let mut envelope = BytesMut::new();
    put_annotations(&mut envelope, Some("outer"), 0, false, |_| {});
    message::put_data(&mut envelope, &own);
    for body in [&encode_event(&EventData::from("b")).unwrap(), &own] {
        message::put_data(&mut envelope, body);
    }
    let payload = envelope.freeze();
    assert_eq!(Publication::parse(&payload, BATCH_FORMAT).unwrap().partition_key(), Some("outer"));
    let events = delivered(&payload, BATCH_FORMAT);
    let keys: Vec<_> = events.iter().map(|event| event.partition_key().unwrap()).collect();
    assert_eq!(keys, ["own", "outer", "own"]);

    let plain = encode_event(&EventData::from("c")).unwrap();
    let publication = Publication::from_events(vec![own, plain], Some("given".to_owned())).unwrap();
    assert_eq!(publication.partition_key(), Some("given"));
    let keys: Vec<_> = stored(publication, stamp(0, 0))
        .iter()
        .map(|event| ReceivedEvent::parse(message(event)).unwrap().partition_key().unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["own", "given"]);
}

#[test]
fn an_empty_batch_is_no_event_and_a_null_event_is_an_error() {
    assert!(Publication::parse(&Bytes::new(), BATCH_FORMAT).unwrap().is_empty());
    for bad in ["00537540", "005377a10161", "005375a003ffffff", "005375a1026869", "00537510"] {
        assert!(Publication::parse(&hex(bad), BATCH_FORMAT).is_err(), "{bad}");
    }
}

#[test]
fn large_publications_are_not_copied_and_small_ones_do_not_hold_on_to_what_they_came_with() {
    for (len, copied) in [(10, true), (20_000, false)] {
        let mut batch = EventBatch::new(0, None).unwrap();
        for _ in 0..2 {
            assert!(batch.try_add(&EventData::from(vec![7; len])).unwrap());
        }
        let payload = whole(batch.finish());
        let within = |bytes: &Bytes| payload.as_ptr_range().contains(&bytes.as_ptr());
        for event in stored(Publication::parse(&payload, BATCH_FORMAT).unwrap(), stamp(0, 0)) {
            assert_eq!((event.body.is_empty(), within(&event.body)), (copied, !copied));
            assert!(!within(&event.head));
            assert_eq!(ReceivedEvent::parse(message(&event)).unwrap().body_bytes().unwrap(), vec![7; len]);
        }
    }
}

#[test]
fn one_arena_serves_many_publications() {
    let payload = encode_event(&EventData::from("hi")).unwrap();
    let mut arena = BytesMut::new();
    let mut events = Vec::new();
    for n in 0..1000 {
        let publication = Publication::parse(&payload, 0).unwrap();
        publication.store(&mut arena, stamp(n, n), |event| events.push(event));
    }
    let replaced =
        events.windows(2).filter(|pair| pair[0].head.as_ptr_range().end != pair[1].head.as_ptr()).count();
    assert!(replaced < 20, "{replaced}");
    for (n, event) in (0..).zip(&events) {
        assert_eq!(ReceivedEvent::parse(message(event)).unwrap().sequence_number(), n);
    }
}

#[test]
fn runtime_information_comes_in_front_of_the_head() {
    let payload = encode_event(&EventData::from("hi")).unwrap();
    let event = stored(Publication::parse(&payload, 0).unwrap(), stamp(7, 448)).remove(0);
    let info = LastEnqueued {
        sequence_number: 9,
        offset: "500".to_owned(),
        enqueued_time: Timestamp::from_millis(1_767_225_600_001),
        retrieved_at: Timestamp::from_millis(1_767_225_600_002),
    };
    let received = ReceivedEvent::parse([&info.encode()[..], &message(&event)].concat().into()).unwrap();
    assert_eq!(received.last_enqueued().unwrap().as_ref(), Some(&info));
    assert_eq!((received.sequence_number(), received.offset()), (7, "448"));
    let names: Vec<_> =
        received.message().unwrap().delivery_annotations.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "last_enqueued_sequence_number",
            "last_enqueued_offset",
            "last_enqueued_time_utc",
            "runtime_info_retrieval_time_utc"
        ]
    );
}

proptest! {
    #[test]
    fn an_event_arrives_as_it_was_sent(event in arbitrary::event(), key in proptest::option::of(".{0,128}")) {
        let event = match &key {
            Some(key) => event.with_partition_key(key.clone()),
            None => event,
        };
        let encoded = encode_event(&event).unwrap();
        prop_assert_eq!(&decode_event(&encoded).unwrap(), &event);
        let received = delivered(&encoded, 0).remove(0);
        prop_assert_eq!(received.partition_key(), key.as_deref());
        prop_assert_eq!(received.to_event_data().unwrap(), event);
    }

    #[test]
    fn a_batchs_size_is_never_under_counted_and_its_events_arrive_in_order(
        events in vec(arbitrary::event(), 0..20), max_size in 1..8000_u64, key in proptest::option::of("[a-z]{0,300}"),
    ) {
        let key = key.filter(|key| key.len() <= 128);
        let mut batch = EventBatch::new(max_size, key.clone()).unwrap();
        let mut added = Vec::new();
        for event in events {
            let before = batch.size();
            let mut alone = BytesMut::new();
            put_event(&mut alone, &event, key.as_deref(), false);
            let cost = alone.len() + if alone.len() <= 255 { 5 } else { 8 };
            if batch.try_add(&event).unwrap() {
                prop_assert_eq!(batch.size(), before + cost as u64);
                added.push(match &key {
                    Some(key) => event.with_partition_key(key.clone()),
                    None => event,
                });
            } else {
                prop_assert!(before + cost as u64 > max_size);
                prop_assert_eq!(batch.size(), before);
            }
        }
        let (size, len, empty) = (batch.size(), batch.len(), batch.is_empty());
        let payload = whole(batch.finish());
        prop_assert_eq!(size, payload.len() as u64);
        prop_assert!(empty || size <= max_size);
        prop_assert_eq!(len, added.len());
        let publication = Publication::parse(&payload, BATCH_FORMAT).unwrap();
        prop_assert_eq!(publication.partition_key(), key.as_deref());
        let received: Vec<_> =
            delivered(&payload, BATCH_FORMAT).iter().map(|event| event.to_event_data().unwrap()).collect();
        prop_assert_eq!(received, added);
    }

    #[test]
    fn heads_of_every_length_are_read_back(
        key_len in 0..700_usize, publisher_len in 0..300_usize, sequence: i64, offset in 0..i64::MAX, others in 0..140_usize,
    ) {
        let (key, publisher) = ("k".repeat(key_len), "p".repeat(publisher_len));
        let others: Vec<_> = (0..others).map(|n| (Symbol::from(n.to_string()), Value::Null)).collect();
        let mut payload = BytesMut::new();
        put_annotations(&mut payload, Some(&key), others.len(), false, |out| {
            for (name, value) in &others {
                encode::symbol(out, name);
                encode::value(out, value);
            }
        });
        message::put_data(&mut payload, b"hi");
        let mut publication = Publication::parse(&payload.freeze(), 0).unwrap();
        publication.set_publisher(&publisher);
        let stamp = stamp(sequence, offset);
        let received = ReceivedEvent::parse(message(&stored(publication, stamp)[0])).unwrap();
        prop_assert_eq!(received.sequence_number(), sequence);
        prop_assert_eq!(received.offset(), offset.to_string());
        prop_assert_eq!(received.enqueued_time(), stamp.enqueued_time);
        prop_assert_eq!(received.partition_key().unwrap_or_default(), key);
        prop_assert_eq!(received.annotations().unwrap().len(), 6 + others.len());
        prop_assert_eq!(received.body_bytes().unwrap(), "hi");
    }

    #[test]
    fn offsets_grow_by_the_size_of_the_events(count in 1..20_usize, first in 0..(1_i64 << 40)) {
        let mut batch = EventBatch::new(0, None).unwrap();
        for n in 0..count {
            prop_assert!(batch.try_add(&EventData::from("x".repeat(n * 37))).unwrap());
        }
        let events = stored(Publication::parse(&whole(batch.finish()), BATCH_FORMAT).unwrap(), stamp(5, first));
        let mut offset = first;
        for (sequence_number, stored) in (5..).zip(&events) {
            let received = ReceivedEvent::parse(message(stored)).unwrap();
            prop_assert_eq!((received.sequence_number(), stored.offset), (sequence_number, offset));
            prop_assert_eq!(received.offset(), offset.to_string());
            offset += message(stored).len() as i64;
        }
    }

    #[test]
    fn no_bytes_panic_the_service_or_the_reader(
        events in vec(arbitrary::event(), 1..3), changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<proptest::sample::Index>(), plain: bool,
    ) {
        let mut batch = EventBatch::new(0, Some("key".to_owned())).unwrap();
        for event in &events {
            prop_assert!(batch.try_add(event).unwrap());
        }
        let format = if plain { 0 } else { BATCH_FORMAT };
        let mut payload = if plain { encode_event(&events[0]).unwrap().to_vec() } else { whole(batch.finish()).to_vec() };
        for (index, byte) in changes {
            if !payload.is_empty() {
                let at = index.index(payload.len());
                payload[at] = byte;
            }
        }
        payload.truncate(cut.index(payload.len() + 1).max(payload.len() / 2));
        let Ok(publication) = Publication::parse(&payload.into(), format) else { return Ok(()) };
        for stored in stored(publication, stamp(0, 0)) {
            // What the service takes it can hand out: its own part of the message is always sound.
            let received = ReceivedEvent::parse(message(&stored)).unwrap();
            let _ = (received.body(), received.body_bytes(), received.body_text(), received.message());
            let _ = (received.to_event_data(), received.property("a"), received.last_enqueued());
        }
    }
}

#[test]
fn numbers_are_written_where_a_numbered_batch_has_left_room_for_them() {
    let mut batch = EventBatch::numbered(0, Some("k".to_owned())).unwrap();
    let plain = EventBatch::new(0, Some("k".to_owned())).unwrap();
    let events = [
        EventData::from("a"),
        EventData::from(vec![b'b'; 300]),
        EventData::from("c").with_annotation("x", "y"),
    ];
    for event in &events {
        assert!(batch.try_add(event).unwrap());
    }
    assert!(batch.size() > plain.size());
    let size = batch.size();
    let EncodedBatch { mut head, mut body, message_format, marks, .. } = batch.finish();
    let marks = marks.unwrap();
    assert_eq!(marks.len(), 3);
    // Again and again, also while somebody else has hold of the bytes.
    for first in [7, i32::MAX - 1] {
        let held = body.clone();
        let numbers = (0..).map(|index| crate::model::publishing::after(first, index));
        marks.write(&mut head, &mut body, 0x0102_0304_0506, 9, numbers);
        assert_ne!(held, body);
        let payload: Bytes = [&head[..], &body].concat().into();
        assert_eq!(payload.len() as u64, size);
        let publication = Publication::parse(&payload, message_format).unwrap();
        assert_eq!(publication.numbers(), Numbers::From { producer_id: 0x0102_0304_0506, epoch: 9, first });
        assert_eq!(publication.partition_key(), Some("k"));
    }
}

#[test]
fn numbers_have_the_types_that_the_service_wants() {
    let mut batch = EventBatch::numbered(0, None).unwrap();
    assert!(batch.try_add(&EventData::from("a")).unwrap());
    let EncodedBatch { mut head, mut body, marks, .. } = batch.finish();
    marks.unwrap().write(&mut head, &mut body, 258, 3, 77..);
    let annotations: &[u8] = b"\x00\x53\x72\xc1\x73\x06\
        \xa3\x19com.microsoft:producer-id\x81\0\0\0\0\0\0\x01\x02\
        \xa3\x1ccom.microsoft:producer-epoch\x61\0\x03\
        \xa3\x26com.microsoft:producer-sequence-number\x71\0\0\0\x4d";
    assert_eq!(head, annotations);
    let event: &[u8] = b"\x00\x53\x75\xa0\x01a";
    let length = (annotations.len() + event.len()) as u8;
    assert_eq!(body, [&[0x00, 0x53, 0x75, 0xa0, length], annotations, event].concat());
}
