//! Messages: events, requests, replies.

use bytes::{Bytes, BytesMut};
use eventhubs::amqp::message;
use eventhubs::dialect::annotations::BATCH_FORMAT;
use eventhubs::dialect::codec::{EventBatch, Publication, Stamp, encode_event};
use eventhubs::dialect::rpc::{Caller, Reply};
use eventhubs::dialect::{cbs, management};
use eventhubs::{EventData, HubProperties, PartitionProperties, ReceivedEvent, Timestamp};

use super::seeds::{GOLDEN, unhex};

/// A message's sections, found without decoding and then decoded.
pub fn message(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(sections) = message::sections(&bytes) else { return };
    for span in [
        sections.header,
        sections.delivery_annotations,
        sections.message_annotations,
        sections.properties,
        sections.application_properties,
        sections.body,
        sections.footer,
    ] {
        let part = span.of(&bytes);
        assert!(part.len() <= bytes.len());
        let _ = message::header(&part);
        let _ = message::properties(&part);
        let _ = message::map(&part);
        let _ = message::map_get(&part, "x-opt-partition-key");
        let _ = message::data_sections(&part);
        let _ = message::body(&part);
    }
}

/// What a producer publishes: what the service takes, a reader can read.
pub fn publication(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    for format in [0, BATCH_FORMAT] {
        let Ok(publication) = Publication::parse(&payload, format) else { continue };
        let (len, room) = (publication.len(), publication.size());
        let stamp = Stamp { sequence_number: 7, offset: 448, enqueued_time: Timestamp::from_millis(0) };
        let (mut stored, mut size) = (0, 0);
        publication.store(&mut BytesMut::new(), stamp, |event| {
            stored += 1;
            size += event.size();
            let message = Bytes::from([&event.head[..], &event.body[..]].concat());
            read(ReceivedEvent::parse(message).expect("the service's part of a message is always sound"));
        });
        assert_eq!(stored, len);
        assert!(size <= room, "{size} bytes where {room} were expected at most");
    }
}

/// An event as any server delivers it.
pub fn received(data: &[u8]) {
    let Ok(event) = ReceivedEvent::parse(Bytes::copy_from_slice(data)) else { return };
    assert_eq!(event.raw(), data);
    let (copy, number) = (event.clone().compacted(), event.sequence_number());
    assert_eq!((copy.sequence_number(), copy.offset()), (number, event.offset()));
    let _ = (event.properties(), event.application_properties(), event.annotations());
    // What can be sent on is read again as it was.
    if let Ok(sent_on) = event.to_event_data()
        && let Ok(encoded) = encode_event(&sent_on)
    {
        let sections = message::sections(&encoded).expect("what is encoded can be decoded");
        let body = message::body(&sections.body.of(&encoded)).expect("a body that was encoded");
        // An array that AMQP cannot hold has become a list.
        let again = encode_event(&EventData::new("").with_body(body)).expect("no larger than it was");
        assert!(encoded.ends_with(&again), "{encoded:?} does not end with {again:?}");
    }
    read(event);
}

/// Requests to `$cbs` and `$management`: what is understood can be written and understood again.
pub fn request(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    match cbs::Request::parse(&payload).map(|request| request.encode()) {
        Ok(written) => {
            let again = cbs::Request::parse(&written).map(|request| request.encode());
            assert_eq!(again.expect("a request that was encoded"), written);
        }
        Err(reply) => assert!(!reply.is_success() && !reply.encode().is_empty()),
    }
    match management::Request::parse(&payload).map(|request| request.encode()) {
        Ok(written) => {
            let again = management::Request::parse(&written).map(|request| request.encode());
            assert_eq!(again.expect("a request that was encoded"), written);
        }
        Err(reply) => assert!(!reply.is_success() && !reply.encode().is_empty()),
    }
}

/// The replies to them.
pub fn reply(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let Ok(reply) = Reply::parse(&payload) else { return };
    // The first time an array that AMQP cannot hold becomes a list.
    let written = reply.encode();
    let again = Reply::parse(&written).expect("a reply that was encoded");
    assert_eq!(again.encode(), written);
    let hub = HubProperties::from_reply(reply.clone());
    let partition = PartitionProperties::from_reply(reply.clone());
    for error in [hub.err(), partition.err(), reply.into_body().err()].into_iter().flatten() {
        let _ = (error.to_string(), error.code(), error.is_transient());
    }
}

fn read(event: ReceivedEvent) {
    let _ = (event.sequence_number(), event.offset(), event.enqueued_time(), event.partition_key());
    let _ = (event.body(), event.body_bytes(), event.body_text(), event.property("k"), event.last_enqueued());
    if let (Ok(message), Ok(copy)) = (event.message(), event.to_event_data()) {
        assert_same(&message.body, copy.body());
    }
}

/// Two values are the same, where a number that is none is the same as itself.
fn assert_same<T: PartialEq + std::fmt::Debug>(a: &T, b: &T) {
    if a != b {
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }
}

pub(super) fn messages() -> Vec<Vec<u8>> {
    let event = unhex(GOLDEN[6]);
    // Behind the frame header and the transfer's own fields.
    let bare = event[8 + 3 + 2 + 0x1d..].to_vec();
    let null_body = unhex("00537540");
    let value = unhex("005377a10568656c6c6f");
    let sequence = unhex("005376c00502540154020053 76c0030154 03".replace(' ', "").as_str());
    let properties = unhex("005373c00d02a1026d3140a1026162404040404040005374c10a02a1016b54015375a00100");
    vec![bare, null_body, value, sequence, properties, Vec::new()]
}

pub(super) fn publications() -> Vec<Vec<u8>> {
    let rich = EventData::from("hello")
        .with_message_id("m1")
        .with_property("k", 5_i32)
        .with_annotation("mine", true)
        .with_partition_key("k1");
    let mut seeds = messages();
    seeds.extend([&rich, &EventData::from_value(5_i32)].map(|event| encode_event(event).unwrap().to_vec()));
    for key in [None, Some("k1".to_owned())] {
        let mut batch = EventBatch::new(0, key).unwrap();
        for event in [&EventData::from("a"), &EventData::from("b".repeat(300)), &rich] {
            let _ = batch.try_add(event);
        }
        let batch = batch.finish();
        seeds.push([&batch.head[..], &batch.body[..]].concat());
    }
    seeds
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let (token, read) = samples();
    vec![token.encode().to_vec(), read.encode().to_vec()]
}

pub(super) fn replies() -> Vec<Vec<u8>> {
    let (token, read) = samples();
    let hub = HubProperties::new("orders", Timestamp::from_millis(1), 2);
    let partition = PartitionProperties::new("orders", "0");
    [
        token.accept().encode(),
        read.reply_hub(&hub).encode(),
        read.reply_partition(&partition).encode(),
        read.caller.refuse(404, "amqp:not-found", "gone").encode(),
    ]
    .map(|message| message.to_vec())
    .to_vec()
}

fn samples() -> (cbs::Request, management::Request) {
    let caller = Caller::new(1_u64, "reply");
    let token = cbs::Request {
        caller: caller.clone(),
        token_type: cbs::TokenType::Sas,
        audience: "sb://localhost/orders".to_owned(),
        token: "SharedAccessSignature sr=a&sig=c2ln&se=1&skn=k".to_owned(),
        expiration: Some(Timestamp::from_millis(1)),
    };
    let read = management::Request {
        caller,
        hub: "orders".to_owned(),
        partition: Some("0".to_owned()),
        security_token: Some("token".to_owned()),
    };
    (token, read)
}
