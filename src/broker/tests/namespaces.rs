//! Hubs and consumer groups that come and go, and publishing without a connection.

use std::sync::Mutex;

use super::*;

fn publish(namespace: &Namespace, hub: &str, route: Route, texts: &[&str]) -> Result<Published, AmqpError> {
    let events = texts.iter().map(|text| encode_event(&EventData::from(*text)).unwrap()).collect();
    let answer = Arc::new(Mutex::new(None));
    let slot = answer.clone();
    let done = PublishDone::new(move |outcome| *slot.lock().unwrap() = Some(outcome));
    namespace.publish(hub, route, events, start(), done);
    let answer = answer.lock().unwrap().take();
    answer.expect("no answer")
}

#[test]
fn hubs_are_created_listed_and_deleted() {
    let namespace = namespace();
    let mut hub = HubConfig::new("Telemetry", 2);
    hub.consumer_groups.push("g1".to_owned());
    namespace.create_hub(hub.clone(), seconds(5)).unwrap();
    assert!(matches!(
        namespace.create_hub(HubConfig::new("TELEMETRY", 1), start()),
        Err(HubError::Exists(_))
    ));
    let info = namespace.hub("telemetry").unwrap();
    assert_eq!((info.name.as_str(), info.partitions, info.created_at), ("Telemetry", 2, seconds(5).unix));
    assert_eq!(info.consumer_groups, ["$Default", "g1"]);
    assert_eq!(namespace.hubs().iter().map(|hub| &*hub.name).collect::<Vec<_>>(), ["Telemetry", "orders"]);
    namespace.delete_hub("telemetry", start()).unwrap();
    assert!(matches!(namespace.delete_hub("telemetry", start()), Err(HubError::NotFound(_))));
    assert_eq!(namespace.hub("Telemetry"), None);
}

#[test]
fn links_of_a_deleted_hub_are_detached_and_its_memory_is_free() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let sender = client.sender("orders").unwrap();
    let reader = client.read(StartPosition::earliest(), 10);
    client.publish(sender, &["a", "b"]);
    assert!(namespace.stored_bytes() > 0);
    namespace.delete_hub("Orders", start()).unwrap();
    assert_eq!(namespace.stored_bytes(), 0);
    for link in [sender, reader] {
        let error = client.detached(link).unwrap();
        assert_eq!(
            said(&error),
            ("amqp:not-found", "The messaging entity 'emulatorns1:eventhub:orders' could not be found.")
        );
    }
    namespace.create_hub(HubConfig::new("orders", 1), start()).unwrap();
    let sender = client.sender("orders").unwrap();
    client.publish(sender, &["new"]);
    let reader = client.read(StartPosition::earliest(), 10);
    let events = client.received(reader);
    assert_eq!((events.len(), events[0].sequence_number()), (1, 0));
}

#[test]
fn consumer_groups_come_and_go_with_their_receivers() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let address = "orders/ConsumerGroups/New/Partitions/0";
    assert!(client.receiver(address, StartPosition::earliest()).is_err());
    namespace.create_consumer_group("ORDERS", "new").unwrap();
    assert!(matches!(namespace.create_consumer_group("orders", "NEW"), Err(HubError::Exists(_))));
    assert!(matches!(namespace.create_consumer_group("nothing", "g"), Err(HubError::NotFound(_))));
    let link = client.receiver(address, StartPosition::earliest()).unwrap();
    let other = client.receiver(PARTITION, StartPosition::earliest()).unwrap();
    namespace.delete_consumer_group("orders", "NEW", start()).unwrap();
    assert_eq!(said(&client.detached(link).unwrap()).0, "amqp:not-found");
    assert_eq!(client.detached(other), None);
    assert!(matches!(namespace.delete_consumer_group("orders", "new", start()), Err(HubError::NotFound(_))));
    assert!(matches!(
        namespace.delete_consumer_group("orders", "$default", start()),
        Err(HubError::Invalid(_))
    ));
}

#[test]
fn limits_on_hubs_and_groups_hold() {
    let namespace = with_config(|config| {
        config.limits.hubs = 2;
        config.limits.consumer_groups_per_hub = 2;
    });
    namespace.create_hub(HubConfig::new("b", 1), start()).unwrap();
    assert!(matches!(namespace.create_hub(HubConfig::new("c", 1), start()), Err(HubError::LimitReached(_))));
    assert!(matches!(namespace.create_consumer_group("orders", "g"), Err(HubError::LimitReached(_))));
    namespace.create_consumer_group("b", "g").unwrap();
    let twice = NamespaceConfig {
        hubs: vec![HubConfig::new("a", 1), HubConfig::new("A", 1)],
        ..NamespaceConfig::default()
    };
    assert!(matches!(Namespace::new(twice, start()), Err(HubError::Exists(_))));
}

#[test]
fn events_are_published_without_a_connection() {
    let namespace = namespace();
    let keyed = Route::Any { partition_key: Some("device-1".to_owned()) };
    assert_eq!(
        publish(&namespace, "Orders", keyed.clone(), &["a", "b"]),
        Ok(Published { partition: 0, first_sequence: 0 })
    );
    assert_eq!(publish(&namespace, "orders", keyed, &["c"]).unwrap().first_sequence, 2);
    let pinned = publish(&namespace, "orders", Route::Partition(3), &["d"]).unwrap();
    assert_eq!(pinned, Published { partition: 3, first_sequence: 0 });
    publish(&namespace, "orders", Route::Publisher("device-2".to_owned()), &["e"]).unwrap();
    let turns: Vec<u32> = (0..4)
        .map(|_| publish(&namespace, "orders", Route::Any { partition_key: None }, &["x"]).unwrap().partition)
        .collect();
    assert_eq!(turns, [0, 1, 2, 3]);
    let mut client = Client::new(&namespace);
    let reader = client.read(StartPosition::earliest(), 10);
    let events = client.received(reader);
    assert_eq!(events[0].partition_key(), Some("device-1"));
    assert_eq!(events.len(), 4);
}

#[test]
fn publishing_without_a_connection_is_refused_like_on_one() {
    let namespace = with_config(|config| config.limits.max_message_size = 1000);
    let to = |hub: &str, route: Route, texts: &[&str]| {
        let error = publish(&namespace, hub, route, texts).unwrap_err();
        said(&error).0.to_owned()
    };
    let any = |key: Option<String>| Route::Any { partition_key: key };
    assert_eq!(to("nothing", any(None), &["a"]), "amqp:not-found");
    assert_eq!(to("orders", Route::Partition(4), &["a"]), "com.microsoft:argument-out-of-range");
    assert_eq!(to("orders", any(Some("k".repeat(129))), &["a"]), "com.microsoft:argument-error");
    assert_eq!(
        to("orders", any(None), &[&"x".repeat(600), &"y".repeat(600)]),
        "amqp:link:message-size-exceeded"
    );
    assert_eq!(namespace.stored_bytes(), 0);
}

#[test]
fn a_waiting_reader_hears_of_events_published_without_a_connection() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let reader = client.read(StartPosition::latest(), 10);
    client.pump();
    publish(&namespace, "orders", Route::Partition(0), &["a"]).unwrap();
    assert_eq!(client.texts(reader), ["a"]);
}

#[test]
fn publishers_on_many_threads_leave_every_partition_whole() {
    let namespace = namespace();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let namespace = &namespace;
            scope.spawn(move || {
                let mut client = Client::new(namespace);
                let link = client.sender("orders/Partitions/0").unwrap();
                for i in 0..200 {
                    client.publish(link, &[&format!("{thread}:{i}")]);
                }
            });
        }
    });
    let mut client = Client::new(&namespace);
    let reader = client.read(StartPosition::earliest(), 1000);
    let events = client.received(reader);
    assert!(events.iter().enumerate().all(|(i, event)| event.sequence_number() == i as i64));
    for thread in 0..4 {
        let prefix = format!("{thread}:");
        let own =
            events.iter().map(|event| event.body_text().unwrap()).filter(|text| text.starts_with(&prefix));
        assert!(own.eq((0..200).map(|i| format!("{thread}:{i}"))), "each one's order is kept");
    }
}
