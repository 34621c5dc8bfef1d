//! Receiving: positions, prefetch, batches, merged streams, and what events carry.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use eventhubs::codec::Text;
use eventhubs::{
    Body, ConsumerClient, EventData, Properties, SendOptions, StartPosition, Symbol, Timestamp, Uuid, Value,
};
use futures::StreamExt;

use crate::support::{Running, nothing_more, soon, start, take, test, texts, ways};

/// Sends the texts to partition 0, and gives back how they were stored.
async fn filled(running: &Running, texts: &[&str]) -> Vec<eventhubs::ReceivedEvent> {
    let producer = running.producer();
    for text in texts {
        soon(producer.send_with(*text, SendOptions::to_partition("0"))).await.unwrap();
    }
    take(&mut running.read("0").await, texts.len()).await
}

async fn first(running: &Running, position: StartPosition) -> String {
    let reader = running.consumer().partition("0").from(position);
    let mut events = soon(reader.open()).await.unwrap();
    texts(&take(&mut events, 1).await).remove(0)
}

#[test]
async fn every_kind_of_position_starts_where_it_says() {
    let running = start().await;
    let stored = filled(&running, &["zero", "one", "two"]).await;
    let (offset, number) = (stored[1].offset(), stored[1].sequence_number());
    for (position, expected) in [
        (StartPosition::earliest(), "zero"),
        (StartPosition::offset(offset), "two"),
        (StartPosition::offset(offset).inclusive(), "one"),
        (StartPosition::sequence_number(number), "two"),
        (StartPosition::sequence_number(number).inclusive(), "one"),
        (StartPosition::sequence_number(-1), "zero"),
        (StartPosition::enqueued_time(Timestamp::from_millis(0)), "zero"),
        (StartPosition::enqueued_time(stored[0].enqueued_time()).inclusive(), "zero"),
        (StartPosition::latest().inclusive(), "two"),
    ] {
        let shown = position.to_string();
        assert_eq!(first(&running, position).await, expected, "{shown}");
    }
}

#[test]
async fn a_stream_from_the_end_sees_what_is_sent_after_it_was_opened() {
    let running = start().await;
    filled(&running, &["before"]).await;
    let mut events = soon(running.consumer().partition("0").open()).await.unwrap();
    let behind_last = StartPosition::offset(filled(&running, &["after"]).await[0].offset());
    assert_eq!(texts(&take(&mut events, 1).await), ["after"]);
    nothing_more(&mut events).await;
    assert_eq!(first(&running, behind_last).await, "after");
}

#[test]
async fn events_are_received_by_every_transport() {
    let running = start().await;
    filled(&running, &["hello"]).await;
    for way in ways().iter().copied() {
        let consumer = running.by(way, ConsumerClient::builder()).build().unwrap();
        let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
        assert_eq!(texts(&take(&mut events, 1).await), ["hello"], "{way:?}");
        soon(consumer.close()).await;
    }
}

#[test]
async fn a_stream_that_was_not_opened_opens_when_it_is_read() {
    let running = start().await;
    filled(&running, &["hello"]).await;
    let mut events = running.consumer().partition("0").from(StartPosition::earliest()).stream().unwrap();
    let event = soon(StreamExt::next(&mut events)).await.unwrap().unwrap();
    assert_eq!(event.body_text().unwrap(), "hello");
}

#[test]
async fn far_more_events_than_are_prefetched_arrive_in_order() {
    let running = start().await;
    let producer = running.producer();
    let list = (0..5000).map(|n| n.to_string());
    soon(producer.send_all(list, SendOptions::to_partition("0"))).await.unwrap();
    for prefetch in [1, 2, 7, 100] {
        let reader = running.consumer().partition("0").from(StartPosition::earliest()).prefetch(prefetch);
        let mut events = soon(reader.open()).await.unwrap();
        let received = take(&mut events, 5000).await;
        let numbers: Vec<usize> = texts(&received).iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(numbers, (0..5000).collect::<Vec<_>>(), "prefetch {prefetch}");
    }
}

#[test]
async fn a_bound_on_bytes_lets_large_events_through_one_by_one() {
    let running = start().await;
    let producer = running.producer();
    for _ in 0..10 {
        soon(producer.send_with(vec![0; 500_000], SendOptions::to_partition("0"))).await.unwrap();
    }
    let reader = running.consumer().partition("0").from(StartPosition::earliest()).prefetch_bytes(1000);
    let mut events = soon(reader.open()).await.unwrap();
    assert_eq!(take(&mut events, 10).await.len(), 10);
    nothing_more(&mut events).await;
}

#[test]
async fn a_batch_holds_what_lies_ready_and_waits_no_longer_than_asked() {
    let running = start().await;
    filled(&running, &["a", "b", "c"]).await;
    let mut events = running.read("0").await;
    let mut received = Vec::new();
    while received.len() < 3 {
        let batch = soon(events.next_batch(2, Duration::from_secs(10))).await.unwrap();
        assert!((1..=2).contains(&batch.len()));
        received.extend(texts(&batch));
    }
    assert_eq!(received, ["a", "b", "c"]);
    assert!(soon(events.next_batch(2, Duration::from_millis(20))).await.unwrap().is_empty());
    assert!(soon(events.next_batch(2, Duration::ZERO)).await.unwrap().is_empty());
    filled(&running, &["d"]).await;
    let batch = soon(events.next_batch(100, Duration::from_secs(10))).await.unwrap();
    assert_eq!(texts(&batch), ["d"]);
}

#[test]
async fn a_body_that_cannot_be_decoded_is_its_events_error_and_the_stream_goes_on() {
    let running = start().await;
    let producer = running.producer();
    let bodies =
        [EventData::encoded(&Text, "one").unwrap(), EventData::new(&b"\xff"[..]), EventData::from("three")];
    soon(producer.send_all(bodies, SendOptions::to_partition("0"))).await.unwrap();
    let events = running.read("0").await;
    let mut decoded = events.decoded::<String, _>(Text);
    let first = soon(decoded.next()).await.unwrap().unwrap();
    assert_eq!(first.body.as_deref().unwrap(), "one");
    assert_eq!(first.properties().unwrap().content_type, Some("text/plain; charset=utf-8".into()));
    let second = soon(decoded.next()).await.unwrap().unwrap();
    let error = second.body.as_ref().unwrap_err();
    assert!(error.to_string().starts_with("cannot decode event 1 of partition '0': "), "{error}");
    assert_eq!(second.body_bytes().unwrap(), &b"\xff"[..]);
    let third = soon(decoded.next_batch(5, Duration::from_secs(5))).await.unwrap();
    assert_eq!(third[0].body.as_deref().unwrap(), "three");
    nothing_more(&mut decoded.into_events()).await;
}

#[test]
async fn all_partitions_are_read_as_one_stream_each_from_its_own_position() {
    let running = start().await;
    let producer = running.producer();
    for partition in ["0", "1", "2", "3"] {
        for number in 0..3 {
            let text = format!("{partition}-{number}");
            soon(producer.send_with(text, SendOptions::to_partition(partition))).await.unwrap();
        }
    }
    let reader = running
        .consumer()
        .all_partitions()
        .from(StartPosition::earliest())
        .from_in("1", StartPosition::sequence_number(1))
        .from_in("3", StartPosition::latest());
    let mut events = soon(reader.open()).await.unwrap();
    assert_eq!(events.partition_ids().count(), 4);
    let mut received: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in take(&mut events, 7).await {
        received.entry(event.partition_id().to_owned()).or_default().push(event.body_text().unwrap());
    }
    let expected = BTreeMap::from([
        ("0".to_owned(), vec!["0-0".to_owned(), "0-1".into(), "0-2".into()]),
        ("1".to_owned(), vec!["1-2".into()]),
        ("2".to_owned(), vec!["2-0".into(), "2-1".into(), "2-2".into()]),
    ]);
    assert_eq!(received, expected);
    nothing_more(&mut events).await;
}

#[test]
async fn readers_that_ask_are_told_the_partitions_newest_event() {
    let running = start().await;
    let stored = filled(&running, &["one", "two", "three"]).await;
    let reader = running.consumer().partition("0").from(StartPosition::earliest()).track_last_enqueued(true);
    let mut events = soon(reader.open()).await.unwrap();
    assert_eq!(events.last_enqueued("0"), None);
    let event = take(&mut events, 1).await.remove(0);
    for newest in [events.last_enqueued("0").unwrap(), event.last_enqueued().unwrap().unwrap()] {
        assert_eq!(newest.sequence_number, 2);
        assert_eq!(newest.offset, stored[2].offset());
        assert_eq!(newest.enqueued_time, stored[2].enqueued_time());
    }
    let mut silent = running.read("0").await;
    assert_eq!(take(&mut silent, 1).await[0].last_enqueued().unwrap(), None);
}

#[test]
async fn every_property_and_every_kind_of_body_survives_the_journey() {
    let running = start().await;
    let producer = running.producer();
    let values = [
        ("null", Value::Null),
        ("bool", Value::Bool(true)),
        ("ubyte", Value::Ubyte(200)),
        ("ushort", Value::Ushort(60_000)),
        ("uint", Value::Uint(4_000_000_000)),
        ("ulong", Value::Ulong(u64::MAX)),
        ("byte", Value::Byte(-100)),
        ("short", Value::Short(-30_000)),
        ("int", Value::Int(-2_000_000_000)),
        ("long", Value::Long(i64::MIN)),
        ("float", Value::Float(1.5)),
        ("double", Value::Double(-2.25)),
        ("char", Value::Char('ß')),
        ("timestamp", Value::Timestamp(Timestamp::from_millis(1_767_225_600_000))),
        ("uuid", Value::Uuid(Uuid::from_bytes([7; 16]))),
        ("binary", Value::Binary(Bytes::from_static(b"\x00\xff"))),
        ("string", Value::from("straße")),
        ("symbol", Value::Symbol(Symbol::from_static("a-symbol"))),
        ("list", Value::List(vec![Value::Int(1), Value::from("two")])),
        ("map", Value::Map(vec![(Value::from("k"), Value::Long(1))])),
    ];
    let properties = Properties {
        message_id: Some(Value::from("m-1")),
        user_id: Some(Bytes::from_static(b"user")),
        to: Some("to".into()),
        subject: Some("subject".into()),
        reply_to: Some("reply".into()),
        correlation_id: Some(Value::Ulong(7)),
        content_type: Some(Symbol::from_static("text/plain")),
        content_encoding: Some(Symbol::from_static("gzip")),
        absolute_expiry_time: Some(Timestamp::from_millis(1)),
        creation_time: Some(Timestamp::from_millis(2)),
        group_id: Some("group".into()),
        group_sequence: Some(3),
        reply_to_group_id: Some("group-2".into()),
    };
    let bodies = [
        Body::Empty,
        Body::Data(vec![Some(Bytes::from_static(b"one"))]),
        Body::Data(vec![Some(Bytes::from_static(b"one")), Some(Bytes::new())]),
        Body::Data(vec![None]),
        Body::Value(Value::from("a value")),
        Body::Value(Value::List(vec![Value::Null, Value::Double(0.5)])),
        Body::Sequence(vec![vec![Value::Int(1)], vec![Value::from("two")]]),
    ];
    for body in &bodies {
        let mut event = EventData::from(body.clone())
            .with_properties(properties.clone())
            .with_annotation("x-mine", Value::Long(5));
        for (name, value) in &values {
            event.set_property(*name, value.clone());
        }
        soon(producer.send_with(event, SendOptions::to_partition("0"))).await.unwrap();
    }
    let mut events = running.read("0").await;
    for body in bodies {
        let event = take(&mut events, 1).await.remove(0);
        assert_eq!(event.body().unwrap(), body);
        assert_eq!(event.properties().unwrap(), properties);
        let received = event.application_properties().unwrap();
        let expected: Vec<_> = values.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        assert_eq!(received, expected);
        assert_eq!(event.property("uint").unwrap(), Some(Value::Uint(4_000_000_000)));
        assert!(event.annotations().unwrap().contains(&("x-mine".into(), Value::Long(5))));
        let message = event.message().unwrap();
        assert_eq!((message.body, message.properties), (body, properties.clone()));
        assert!(event.enqueued_time().as_millis() > 1_700_000_000_000);
    }
}

#[test]
async fn a_stream_that_nobody_reads_holds_up_nothing_else() {
    let running = start().await;
    let producer = running.producer();
    let consumer = running.consumer();
    let _idle = soon(consumer.partition("0").from(StartPosition::earliest()).prefetch(1).open()).await;
    let mut busy = soon(consumer.partition("1").from(StartPosition::earliest()).open()).await.unwrap();
    for partition in ["0", "1"] {
        let list = (0..2000).map(|n| n.to_string());
        soon(producer.send_all(list, SendOptions::to_partition(partition))).await.unwrap();
    }
    assert_eq!(take(&mut busy, 2000).await.len(), 2000);
}

#[test]
async fn a_stream_that_is_dropped_in_the_middle_leaves_the_connection_working() {
    let running = start().await;
    let producer = running.producer();
    let list = (0..1000).map(|n| n.to_string());
    soon(producer.send_all(list, SendOptions::to_partition("0"))).await.unwrap();
    let consumer = running.consumer();
    for _ in 0..20 {
        let reader = consumer.partition("0").from(StartPosition::earliest()).prefetch(50);
        let mut events = soon(reader.open()).await.unwrap();
        assert_eq!(texts(&take(&mut events, 3).await), ["0", "1", "2"]);
    }
}
