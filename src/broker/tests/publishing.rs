//! Sender links: where events go, and what is refused.

use super::*;
use crate::dialect::annotations::BATCH_FORMAT;
use crate::model::partition::for_key;

/// What all partitions hold: texts by partition.
fn stored(client: &mut Client, partitions: u32) -> Vec<Vec<String>> {
    let address = |n| format!("orders/ConsumerGroups/$Default/Partitions/{n}");
    (0..partitions)
        .map(|n| {
            let link = client.receiver(&address(n), StartPosition::earliest()).unwrap();
            client.engine.set_credit(link, 1000);
            let texts = client.texts(link);
            client.engine.detach(link, true, None);
            client.pump();
            texts
        })
        .collect()
}

#[test]
fn every_spelling_of_an_address_is_taken() {
    let mut client = Client::new(&namespace());
    for address in [
        "orders",
        "/orders",
        "Orders/",
        "amqps://localhost:5671/ORDERS",
        "orders/Partitions/3",
        "/orders/partitions/0",
        "amqps://elsewhere/orders/PARTITIONS/1",
        "orders/Publishers/device-1",
    ] {
        assert!(client.sender(address).is_ok(), "{address}");
    }
}

#[test]
fn an_attach_of_a_sender_is_answered_with_its_own_words_the_limit_and_credit() {
    let mut client = Client::new(&namespace());
    for (asked, granted) in
        [(None, 1_048_576), (Some(0), 1_048_576), (Some(1000), 1000), (Some(1 << 30), 1_048_576)]
    {
        let mut attach = to("amqps://localhost/orders");
        attach.max_message_size = asked;
        attach.source = Some(Source::at("me"));
        attach.snd_settle_mode = Some(2);
        attach.rcv_settle_mode = Some(1);
        let (link, reply) = client.attach(attach.clone()).unwrap();
        assert_eq!(reply.max_message_size, Some(granted));
        assert_eq!((reply.snd_settle_mode, reply.rcv_settle_mode), (Some(2), Some(1)));
        assert_eq!((reply.source, reply.target), (attach.source, attach.target));
        client.pump();
        assert!(client.engine.sendable(link) > 0, "credit comes by itself");
    }
}

#[test]
fn what_does_not_exist_is_refused_in_the_services_words() {
    let mut client = Client::new(&namespace());
    let range = "The specified partition is invalid for an EventHub partition sender or receiver. It should be \
                 between 0 and 3.";
    let missing = |what: &str| format!("The messaging entity '{what}' could not be found.");
    let not_found = "amqp:not-found";
    for (address, condition, text) in [
        ("nothing", not_found, missing("emulatorns1:eventhub:nothing")),
        ("nothing/Partitions/0", not_found, missing("emulatorns1:eventhub:nothing")),
        ("orders/Partitions/4", "com.microsoft:argument-out-of-range", range.to_owned()),
        ("orders/Partitions/-1", "com.microsoft:argument-out-of-range", range.to_owned()),
        ("orders/Partitions/00", "com.microsoft:argument-out-of-range", range.to_owned()),
        ("orders/Partitions/XYZ", "com.microsoft:argument-out-of-range", range.to_owned()),
        ("$other", not_found, missing("$other")),
        ("orders/what/is/this", not_found, missing("orders/what/is/this")),
    ] {
        assert_eq!(refused(client.sender(address)), (condition.to_owned(), text), "{address}");
    }
    let reading = refused(client.sender(PARTITION));
    assert_eq!(reading.0, "amqp:not-allowed");
    let mut nowhere = to("x");
    nowhere.target = Some(Target::default());
    assert_eq!(refused(client.attach(nowhere)).0, "amqp:not-allowed");
}

#[test]
fn a_pinned_link_writes_to_its_partition_whatever_the_key() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders/Partitions/2").unwrap();
    client.publish(link, &["a"]);
    let keyed = encode_event(&EventData::from("b").with_partition_key("device-1")).unwrap();
    assert_eq!(client.send(link, 0, keyed), Some(Outcome::Accepted));
    assert_eq!(client.send(link, BATCH_FORMAT, batch(Some("k"), &["c", "d"])), Some(Outcome::Accepted));
    assert_eq!(stored(&mut client, 4)[2], ["a", "b", "c", "d"]);
}

#[test]
fn keys_choose_the_services_partition_for_single_events_and_batches() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders").unwrap();
    let mut expected = vec![Vec::new(); 4];
    for (i, key) in ["", "7", "device-1", "device-2", "héllo", "日本語", "partition-key"].iter().enumerate()
    {
        let (one, two) = (format!("{i}a"), format!("{i}b"));
        let event = encode_event(&EventData::from(one.as_str()).with_partition_key(*key)).unwrap();
        assert_eq!(client.send(link, 0, event), Some(Outcome::Accepted));
        assert_eq!(client.send(link, BATCH_FORMAT, batch(Some(key), &[&two])), Some(Outcome::Accepted));
        expected[for_key(key, 4) as usize].extend([one, two]);
    }
    assert_eq!(stored(&mut client, 4), expected);
}

#[test]
fn keyless_publications_take_turns_and_a_batch_stays_together() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders").unwrap();
    for texts in [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"], ["i", "j"]] {
        assert_eq!(client.send(link, BATCH_FORMAT, batch(None, &texts)), Some(Outcome::Accepted));
    }
    let mut found = stored(&mut client, 4);
    found.sort();
    assert_eq!(found, [vec!["a", "b", "i", "j"], vec!["c", "d"], vec!["e", "f"], vec!["g", "h"]]);
}

#[test]
fn a_publishers_events_go_to_one_partition_and_bear_its_name() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders/publishers/device-2").unwrap();
    client.publish(link, &["a", "b", "c"]);
    let partition = for_key("device-2", 4);
    let address = format!("orders/ConsumerGroups/$Default/Partitions/{partition}");
    let reader = client.receiver(&address, StartPosition::earliest()).unwrap();
    client.engine.set_credit(reader, 10);
    let events = client.received(reader);
    assert_eq!(events.len(), 3);
    for event in events {
        let annotations = event.annotations().unwrap();
        let name = annotations.iter().find(|(name, _)| name == "x-opt-publisher-name").map(|(_, name)| name);
        assert_eq!(name, Some(&Value::from("device-2")));
    }
}

#[test]
fn what_is_over_the_limit_is_rejected_in_the_services_words_and_the_link_lives_on() {
    let namespace = with_config(|config| config.limits.max_message_size = 10_000);
    let mut client = Client::new(&namespace);
    let link = client.sender("orders/Partitions/0").unwrap();
    let sized = |size: usize| {
        let empty = encode_event(&EventData::new(vec![0; 9000])).unwrap().len() - 9000;
        encode_event(&EventData::new(vec![0; size - empty])).unwrap()
    };
    assert_eq!(client.send(link, 0, sized(10_000)), Some(Outcome::Accepted), "exactly the limit");
    assert_eq!(
        rejection(client.send(link, 0, sized(10_001))),
        (
            "amqp:link:message-size-exceeded".to_owned(),
            "The received message (delivery-id:1, size:10001 bytes) exceeds the limit (10000 bytes) currently \
             allowed on the link."
                .to_owned()
        )
    );
    // Many of them do not use the link's credit up.
    for _ in 0..2500 {
        assert!(matches!(client.send(link, 0, sized(10_100)), Some(Outcome::Rejected(_))));
    }
    assert_eq!(client.send(link, 0, sized(5000)), Some(Outcome::Accepted));
    assert_eq!(stored(&mut client, 1)[0].len(), 2, "nothing of what was rejected");
}

#[test]
fn an_event_of_the_full_size_crosses_frames_unchanged() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders/Partitions/0").unwrap();
    let body: Vec<u8> = (0..1_048_000u32).map(|i| (i * 31 % 251) as u8).collect();
    let event = encode_event(&EventData::new(body.clone())).unwrap();
    assert_eq!(client.send(link, 0, event), Some(Outcome::Accepted));
    let reader = client.read(StartPosition::earliest(), 5);
    let events = client.received(reader);
    assert!(events[0].body_bytes().unwrap() == body);
}

#[test]
fn what_cannot_be_decoded_is_rejected_as_a_whole() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders/Partitions/0").unwrap();
    let good = batch(None, &["a", "b"]);
    for (format, body) in [
        (0, Bytes::from_static(b"rubbish")),
        (BATCH_FORMAT, good.slice(..good.len() - 1)),
        (BATCH_FORMAT, Bytes::from([&good[..], b"\x00\x53\x75\xa0\x01\xff"].concat())),
        (BATCH_FORMAT, encode_event(&EventData::from_value(5_i32)).unwrap()),
    ] {
        assert_eq!(rejection(client.send(link, format, body)).0, "amqp:decode-error");
    }
    let long = "k".repeat(129);
    let keyed = Bytes::from(
        [
            &[0x00, 0x53, 0x72, 0xc1, 153, 2, 0xa3, 0x13][..],
            b"x-opt-partition-key",
            &[0xa1, 129],
            long.as_bytes(),
        ]
        .concat(),
    );
    assert_eq!(rejection(client.send(link, 0, keyed)).0, "com.microsoft:argument-error");
    assert_eq!(stored(&mut client, 1)[0], Vec::<String>::new());
    client.publish(link, &["still alive"]);
}

#[test]
fn thousands_of_events_without_waiting_for_outcomes_are_all_taken_in_order() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders/Partitions/0").unwrap();
    let texts: Vec<String> = (0..5000).map(|i| i.to_string()).collect();
    let tokens: Vec<u64> = texts
        .iter()
        .map(|text| client.post(link, 0, encode_event(&EventData::from(text.as_str())).unwrap()))
        .collect();
    client.pump();
    let accepted =
        client.events.iter().filter(|e| matches!(e, Event::Outcome { outcome: Outcome::Accepted, .. }));
    assert_eq!(accepted.count(), tokens.len());
    let reader = client.read(StartPosition::earliest(), 10_000);
    assert_eq!(client.texts(reader), texts);
}

#[test]
fn settled_events_are_stored_without_an_answer() {
    let mut client = Client::new(&namespace());
    let link = client.sender("orders/Partitions/0").unwrap();
    let body = encode_event(&EventData::from("quiet")).unwrap();
    let message = Outgoing { token: 9, message_format: 0, settled: true, head: Bytes::new(), body };
    client.engine.send(link, message).unwrap();
    let reader = client.read(StartPosition::earliest(), 5);
    assert_eq!(client.texts(reader), ["quiet"]);
    assert_eq!(client.outcome(9), None);
}

#[test]
fn a_namespace_that_is_full_says_so_and_goes_on_when_retention_made_room() {
    let namespace = with_config(|config| {
        config.limits.stored_bytes = 20_000;
        config.retention.time = Duration::from_secs(60);
    });
    let mut client = Client::new(&namespace);
    let link = client.sender("orders").unwrap();
    let event = || encode_event(&EventData::new(vec![1; 1000])).unwrap();
    let mut taken = 0;
    let full = loop {
        match client.send(link, 0, event()) {
            Some(Outcome::Accepted) => taken += 1,
            outcome => break rejection(outcome),
        }
    };
    assert!((10..20).contains(&taken), "{taken}");
    assert_eq!(full.0, "amqp:resource-limit-exceeded");
    assert!(full.1.starts_with("The namespace holds 20000 bytes of events"), "{}", full.1);
    client.tick(seconds(61));
    namespace.sweep(seconds(61));
    assert_eq!(namespace.stored_bytes(), 0);
    assert_eq!(client.send(link, 0, event()), Some(Outcome::Accepted));
}
