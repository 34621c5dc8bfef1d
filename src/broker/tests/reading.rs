//! Receiver links: credit, waiting, fairness, and what accompanies an event.

use super::*;
use crate::dialect::annotations::{BATCH_FORMAT, RECEIVER_RUNTIME_METRIC};

fn texts(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

fn publish_range(client: &mut Client, link: LinkId, range: std::ops::Range<i32>) {
    for chunk in texts(range).chunks(500) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        assert_eq!(client.send(link, BATCH_FORMAT, batch(None, &chunk)), Some(Outcome::Accepted));
    }
}

#[test]
fn an_attach_of_a_receiver_is_answered_settled_and_without_a_limit() {
    let mut client = Client::new(&namespace());
    let mut attach = from(PARTITION, StartPosition::earliest());
    attach.snd_settle_mode = Some(0);
    attach.rcv_settle_mode = Some(1);
    attach.max_message_size = Some(1_048_576);
    attach.target = Some(Target { address: Some("t1".to_owned()) });
    let (_, reply) = client.attach(attach.clone()).unwrap();
    assert_eq!((reply.snd_settle_mode, reply.rcv_settle_mode), (Some(1), Some(1)));
    assert!(matches!(reply.max_message_size, None | Some(0)));
    assert_eq!((reply.source, reply.target), (attach.source, attach.target));
}

#[test]
fn credit_is_exact() {
    let mut client = Client::new(&namespace());
    let sender = client.sender("orders/Partitions/0").unwrap();
    publish_range(&mut client, sender, 0..2000);
    let link = client.read(StartPosition::earliest(), 1);
    assert_eq!(client.texts(link), texts(0..1));
    assert_eq!(client.texts(link), texts(0..0));
    client.engine.set_credit(link, 3);
    assert_eq!(client.texts(link), texts(1..4));
    client.engine.set_credit(link, 0);
    assert_eq!(client.texts(link), texts(0..0));
    client.engine.set_credit(link, 1000);
    assert_eq!(client.texts(link), texts(4..1004));
}

#[test]
fn a_reader_that_has_caught_up_is_woken_by_the_next_event() {
    let namespace = namespace();
    let (mut writer, mut reader) = (Client::new(&namespace), Client::new(&namespace));
    let link = reader.read(StartPosition::earliest(), 10);
    assert_eq!(reader.texts(link), texts(0..0));
    let sender = writer.sender("orders/Partitions/0").unwrap();
    for i in 0..5 {
        let before = reader.wakes.load(Ordering::Relaxed);
        publish_range(&mut writer, sender, i..i + 1);
        assert_eq!(reader.wakes.load(Ordering::Relaxed), before + 1);
        assert_eq!(reader.texts(link), texts(i..i + 1));
    }
    let elsewhere = writer.sender("orders/Partitions/1").unwrap();
    let before = reader.wakes.load(Ordering::Relaxed);
    publish_range(&mut writer, elsewhere, 0..10);
    assert_eq!(reader.wakes.load(Ordering::Relaxed), before, "another partition's events wake nobody here");
}

#[test]
fn a_reader_without_credit_is_not_woken() {
    let namespace = namespace();
    let (mut writer, mut reader) = (Client::new(&namespace), Client::new(&namespace));
    let link = reader.read(StartPosition::earliest(), 1);
    let sender = writer.sender("orders/Partitions/0").unwrap();
    publish_range(&mut writer, sender, 0..1);
    assert_eq!(reader.texts(link), texts(0..1));
    let before = reader.wakes.load(Ordering::Relaxed);
    publish_range(&mut writer, sender, 1..3);
    assert_eq!(reader.wakes.load(Ordering::Relaxed), before);
    reader.engine.set_credit(link, 5);
    assert_eq!(reader.texts(link), texts(1..3));
}

#[test]
fn a_drain_gives_what_there_is_and_takes_the_rest_of_the_credit_back() {
    let mut client = Client::new(&namespace());
    let sender = client.sender("orders/Partitions/0").unwrap();
    for (published, credit) in [(0, 5), (3, 5), (5, 5), (8, 5), (1500, 5000)] {
        publish_range(&mut client, sender, 0..published);
        let link = client.read(StartPosition::earliest(), credit);
        client.engine.drain(link);
        let drained = client.take(|event| matches!(event, Event::Drained(l) if *l == link).then_some(()));
        assert!(drained.is_some(), "{published} {credit}");
        assert_eq!(client.engine.credit(link), 0);
        let count = client.received(link).len();
        publish_range(&mut client, sender, 0..3);
        assert_eq!(client.received(link).len(), 0, "drained is drained");
        client.engine.set_credit(link, 1);
        client.pump();
        let more = client.received(link).len();
        assert!(count <= credit as usize && more == 1, "{published} {credit}: {count}, {more}");
        client.engine.detach(link, true, None);
    }
}

#[test]
fn many_readers_of_one_connection_share_it() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let body = "x".repeat(4000);
    let many: Vec<&str> = (0..200).map(|_| body.as_str()).collect();
    let mut links = Vec::new();
    for partition in 0..4 {
        let sender = client.sender(&format!("orders/Partitions/{partition}")).unwrap();
        assert_eq!(client.send(sender, BATCH_FORMAT, batch(None, &many)), Some(Outcome::Accepted));
        let address = format!("orders/ConsumerGroups/$Default/Partitions/{partition}");
        links.push(client.receiver(&address, StartPosition::earliest()).unwrap());
    }
    links.iter().for_each(|link| client.engine.set_credit(*link, 1000));
    while let Some(bytes) = client.engine.poll_output(client.now.moment) {
        client.broker.feed(bytes, client.now);
    }
    // 800 kB wait for each of them; the first megabyte has some of everyone's.
    let mut taken = 0;
    while taken < 1 << 20 {
        let bytes = client.broker.poll_output(client.now).unwrap();
        taken += bytes.len();
        client.engine.feed(bytes, client.now.moment);
    }
    while let Some(event) = client.engine.poll_event() {
        client.events.push(event);
    }
    let count = |link: &LinkId| {
        client.events.iter().filter(|e| matches!(e, Event::Delivery { link: l, .. } if l == link)).count()
    };
    let counts: Vec<usize> = links.iter().map(count).collect();
    assert!(counts.iter().all(|count| *count > 30), "{counts:?}");
}

#[test]
fn a_socket_that_does_not_drain_makes_nothing_pile_up() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders/Partitions/0").unwrap();
    let body = "x".repeat(100_000);
    for _ in 0..100 {
        client.publish(sender, &[&body]);
    }
    let link = client.read(StartPosition::earliest(), 5000);
    while let Some(bytes) = client.engine.poll_output(client.now.moment) {
        client.broker.feed(bytes, client.now);
    }
    let taken = client.broker.poll_output(client.now).unwrap();
    let waiting = client.broker.backlog();
    assert!(waiting < 600_000, "{waiting} bytes of 10 MB");
    client.engine.feed(taken, client.now.moment);
    assert_eq!(client.received(link).len(), 100);
}

#[test]
fn a_shut_session_window_stops_its_reader_and_nothing_is_lost() {
    let mut client = Client::new(&namespace());
    let sender = client.sender("orders/Partitions/0").unwrap();
    // The client's session window is 5000 transfers, renewed as it reads.
    publish_range(&mut client, sender, 0..12_000);
    let link = client.read(StartPosition::earliest(), 20_000);
    assert_eq!(client.texts(link), texts(0..12_000));
}

#[test]
fn each_event_says_how_far_the_partition_goes_when_asked_to() {
    let mut client = Client::new(&namespace());
    let sender = client.sender("orders/Partitions/0").unwrap();
    client.now = seconds(5);
    publish_range(&mut client, sender, 0..3);
    client.now = seconds(9);
    let mut attach = from(PARTITION, StartPosition::earliest());
    attach.desired_capabilities = vec![
        Symbol::from_static("com.microsoft:georeplication"),
        Symbol::from_static(RECEIVER_RUNTIME_METRIC),
    ];
    let (link, _) = client.attach(attach).unwrap();
    client.engine.set_credit(link, 100);
    let events = client.received(link);
    assert_eq!(events.len(), 3);
    for event in &events {
        let last = event.last_enqueued().unwrap().unwrap();
        assert_eq!(last.sequence_number, 2);
        assert_eq!(last.offset, events[2].offset());
        assert_eq!(last.enqueued_time, seconds(5).unix);
        assert_eq!(last.retrieved_at, seconds(9).unix);
    }
    let plain = client.read(StartPosition::earliest(), 100);
    assert!(client.received(plain).iter().all(|event| event.last_enqueued().unwrap().is_none()));
}

#[test]
fn an_event_arrives_with_everything_that_was_published() {
    let mut client = Client::new(&namespace());
    let sender = client.sender("orders").unwrap();
    let event = EventData::from("body")
        .with_partition_key("device-1")
        .with_property("n", 42_u32)
        .with_property("nothing", Value::Null)
        .with_annotation("x-mine", true)
        .with_message_id(5_u64)
        .with_content_type("text/plain");
    client.now = seconds(77);
    assert_eq!(client.send(sender, 0, encode_event(&event).unwrap()), Some(Outcome::Accepted));
    let link = client.read(StartPosition::earliest(), 10);
    let received = client.received(link).remove(0);
    assert_eq!((received.sequence_number(), received.offset()), (0, "0"));
    assert_eq!(received.enqueued_time(), seconds(77).unix);
    assert_eq!(received.partition_key(), Some("device-1"));
    assert_eq!(received.property("n").unwrap(), Some(Value::Uint(42)));
    assert_eq!(received.property("nothing").unwrap(), Some(Value::Null));
    assert_eq!(received.properties().unwrap().message_id, Some(Value::Ulong(5)));
    let names: Vec<String> = received.annotations().unwrap().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "x-opt-sequence-number-epoch",
        "x-opt-sequence-number",
        "x-opt-offset",
        "x-opt-enqueued-time",
        "x-opt-partition-key",
        "x-mine",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_does_not_exist_cannot_be_read() {
    let mut client = Client::new(&namespace());
    let range = "The specified partition is invalid for an EventHub partition sender or receiver. It should be \
                 between 0 and 3.";
    let missing =
        |what: &str| format!("The messaging entity 'emulatorns1:eventhub:{what}' could not be found.");
    for (address, condition, text) in [
        ("nothing/ConsumerGroups/$Default/Partitions/0", "amqp:not-found", missing("nothing")),
        ("orders/ConsumerGroups/other/Partitions/0", "amqp:not-found", missing("orders~0|other")),
        (
            "orders/ConsumerGroups/$Default/Partitions/4",
            "com.microsoft:argument-out-of-range",
            range.to_owned(),
        ),
        (
            "orders/ConsumerGroups/$Default/Partitions/-",
            "com.microsoft:argument-out-of-range",
            range.to_owned(),
        ),
    ] {
        let error = refused(client.receiver(address, StartPosition::earliest()));
        assert_eq!(error, (condition.to_owned(), text), "{address}");
    }
    let hub = refused(client.receiver("orders", StartPosition::earliest()));
    assert_eq!(hub.0, "amqp:not-allowed");
}
