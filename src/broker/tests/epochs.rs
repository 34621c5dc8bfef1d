//! Owner levels: who reads, who has to go, and what they are told.

use super::*;

fn with_epoch(epoch: Option<i64>, name: Option<&str>) -> Attach {
    let mut attach = from(PARTITION, StartPosition::earliest());
    if let Some(epoch) = epoch {
        attach.properties.push((Symbol::from_static("com.microsoft:epoch"), Value::Long(epoch)));
    }
    if let Some(name) = name {
        attach.properties.push((Symbol::from_static("com.microsoft:receiver-name"), Value::from(name)));
    }
    attach
}

#[test]
fn receivers_meet_as_the_table_says() {
    // Who is there, who comes: whether it gets in, and whether those who are there stay.
    for (there, comes, is_in, stay) in [
        (&[][..], None, true, true),
        (&[], Some(0), true, true),
        (&[None], None, true, true),
        (&[None, None, None, None], None, true, true),
        (&[None, None, None, None, None], None, false, true),
        (&[None, None], Some(0), true, false),
        (&[None, None, None, None, None], Some(5), true, false),
        (&[Some(0)], None, false, true),
        (&[Some(0)], Some(0), true, false),
        (&[Some(1)], Some(1), true, false),
        (&[Some(1)], Some(2), true, false),
        (&[Some(1)], Some(0), false, true),
        (&[Some(-1)], Some(-2), false, true),
    ] {
        let namespace = namespace();
        let mut old = Client::new(&namespace);
        let links: Vec<_> =
            there.iter().map(|epoch| old.attach(with_epoch(*epoch, None)).unwrap().0).collect();
        let mut new = Client::new(&namespace);
        assert_eq!(new.attach(with_epoch(comes, None)).is_ok(), is_in, "{there:?} {comes:?}");
        for link in links {
            let condition = old.detached(link).map(|error| error.condition.as_str().to_owned());
            let expected = (!stay).then(|| "amqp:link:stolen".to_owned());
            assert_eq!(condition, expected, "{there:?} {comes:?}");
        }
    }
}

#[test]
fn everyone_is_told_in_the_services_words() {
    let mut client = Client::new(&namespace());
    let (first, _) = client.attach(with_epoch(Some(0), None)).unwrap();
    let (second, _) = client.attach(with_epoch(Some(0), Some("two"))).unwrap();
    assert_eq!(
        said(&client.detached(first).unwrap()),
        (
            "amqp:link:stolen",
            "New receiver 'two' with higher epoch of '0' is created hence current receiver 'nil' with epoch '0' is \
             getting disconnected. If you are recreating the receiver, make sure a higher epoch is used."
        )
    );
    let (third, _) = client.attach(with_epoch(Some(7), None)).unwrap();
    assert_eq!(
        said(&client.detached(second).unwrap()).1,
        "New receiver 'nil' with higher epoch of '7' is created hence current receiver 'two' with epoch '0' is \
         getting disconnected. If you are recreating the receiver, make sure a higher epoch is used."
    );
    assert_eq!(
        refused(client.attach(with_epoch(Some(6), Some("low")))),
        (
            "amqp:link:stolen".to_owned(),
            "Receiver 'nil' with a higher epoch '7' already exists. Receiver 'low' with epoch 6 cannot be created. \
             Make sure you are creating receiver with increasing epoch value to ensure connectivity, or ensure all \
             old epoch receivers are closed or disconnected."
                .to_owned()
        )
    );
    assert_eq!(
        refused(client.attach(with_epoch(None, None))),
        (
            "amqp:link:stolen".to_owned(),
            "At least one receiver for the endpoint is created with epoch of '7', and so non-epoch receiver is not \
             allowed. Either reconnect with a higher epoch, or make sure all epoch receivers are closed or \
             disconnected."
                .to_owned()
        )
    );
    assert_eq!(client.detached(third), None);
}

#[test]
fn the_sixth_reader_without_an_epoch_is_told_who_the_others_are() {
    let mut client = Client::new(&namespace());
    for name in [None, Some("b"), Some("c"), None, Some("e")] {
        client.attach(with_epoch(None, name)).unwrap();
    }
    assert_eq!(
        refused(client.attach(with_epoch(None, None))),
        (
            "amqp:resource-limit-exceeded".to_owned(),
            "Exceeded the maximum number of allowed receivers per partition in a consumer group which is 5. List of \
             connected receivers - nil, b, c, nil, e."
                .to_owned()
        )
    );
}

#[test]
fn groups_and_partitions_do_not_meet_but_cases_of_one_name_do() {
    let mut client = Client::new(&namespace());
    let epoch = |address: &str| {
        let mut attach = from(address, StartPosition::earliest());
        attach.properties.push((Symbol::from_static("com.microsoft:epoch"), Value::Long(1)));
        attach
    };
    let (link, _) = client.attach(epoch(PARTITION)).unwrap();
    client.attach(epoch("orders/ConsumerGroups/$Default/Partitions/1")).unwrap();
    client.attach(epoch("orders/ConsumerGroups/audit/Partitions/0")).unwrap();
    assert_eq!(client.detached(link), None);
    client.attach(epoch("ORDERS/consumergroups/$DEFAULT/partitions/0")).unwrap();
    assert!(client.detached(link).is_some());
}

#[test]
fn a_place_is_free_again_when_its_link_session_or_connection_is_gone() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    type Leave = fn(&mut Client, SessionId, LinkId);
    let ways: [Leave; 2] = [
        |client, _, link| client.engine.detach(link, true, None),
        |client, session, _| client.engine.end(session, None),
    ];
    for leave in ways {
        let session = client.session();
        let (link, _) = client.attach_on(session, with_epoch(Some(9), None)).unwrap();
        leave(&mut client, session, link);
        let (link, _) = client.attach(with_epoch(None, None)).unwrap();
        client.engine.detach(link, true, None);
        client.pump();
    }
    let mut other = Client::new(&namespace);
    other.attach(with_epoch(Some(9), None)).unwrap();
    assert!(client.attach(with_epoch(None, None)).is_err());
    drop(other);
    assert!(client.attach(with_epoch(None, None)).is_ok());
}

#[test]
fn a_reader_that_was_displaced_gets_nothing_more_and_the_new_one_everything() {
    let namespace = namespace();
    let (mut old, mut new) = (Client::new(&namespace), Client::new(&namespace));
    let sender = old.sender("orders/Partitions/0").unwrap();
    let (displaced, _) = old.attach(with_epoch(Some(0), None)).unwrap();
    old.engine.set_credit(displaced, 100);
    old.pump();
    let (link, _) = new.attach(with_epoch(Some(0), None)).unwrap();
    new.engine.set_credit(link, 100);
    assert!(old.detached(displaced).is_some());
    old.publish(sender, &["a", "b"]);
    assert_eq!(new.texts(link), ["a", "b"]);
    assert!(old.take_events().iter().all(|event| !matches!(event, Event::Delivery { .. })));
}
