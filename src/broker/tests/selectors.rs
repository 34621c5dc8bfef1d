//! Positions: every form, and every bad one.

use super::*;

/// Ten events in partition 0, one every ten seconds, and what they are called.
fn filled() -> (Namespace, Client, Vec<ReceivedEvent>) {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let link = client.sender("orders/Partitions/0").unwrap();
    for i in 0..10 {
        client.now = seconds(10 * i);
        client.publish(link, &[&i.to_string()]);
    }
    let reader = client.read(StartPosition::earliest(), 100);
    let events = client.received(reader);
    assert_eq!(events.len(), 10);
    (namespace, client, events)
}

#[test]
fn every_position_starts_where_it_says() {
    let (_, mut client, events) = filled();
    let offset = |i: usize| events[i].offset().to_owned();
    let time = |i: i64| START * 1000 + i * 10_000;
    let rest = |from: usize| (from..10).map(|i| i.to_string()).collect::<Vec<_>>();
    let between = (events[4].offset().parse::<i64>().unwrap() + 1).to_string();
    for (selector, first) in [
        ("x-opt-offset > '-1'".to_owned(), 0),
        ("x-opt-offset > -1".to_owned(), 0),
        ("x-opt-offset >= '-1'".to_owned(), 0),
        ("x-opt-offset > '@latest'".to_owned(), 10),
        ("x-opt-offset >= '@latest'".to_owned(), 9),
        (format!("x-opt-offset > '{}'", offset(4)), 5),
        (format!("x-opt-offset >= '{}'", offset(4)), 4),
        (format!("x-opt-offset > '{between}'"), 5),
        (format!("x-opt-offset >= '{between}'"), 5),
        (format!("x-opt-offset > '{}'", offset(9)), 10),
        ("x-opt-offset > '0'".to_owned(), 1),
        ("x-opt-offset >= '0'".to_owned(), 0),
        ("x-opt-sequence-number > '4'".to_owned(), 5),
        ("x-opt-sequence-number >= '4'".to_owned(), 4),
        ("x-opt-sequence-number >='4'".to_owned(), 4),
        ("x-opt-sequence-number > '9'".to_owned(), 10),
        ("x-opt-sequence-number >= '10'".to_owned(), 10),
        ("x-opt-sequence-number > '-1'".to_owned(), 0),
        ("x-opt-sequence-number > '-100'".to_owned(), 0),
        (format!("x-opt-enqueued-time > '{}'", time(4)), 5),
        (format!("x-opt-enqueued-time >= '{}'", time(4)), 4),
        (format!("x-opt-enqueued-time > '{}'", time(4) - 1), 4),
        (format!("x-opt-enqueuedtimeutc > {}", time(4)), 5),
        ("x-opt-enqueued-time > '0'".to_owned(), 0),
        (format!("x-opt-enqueued-time > '{}'", time(1000)), 10),
    ] {
        let attach = with_selector(PARTITION, &format!("amqp.annotation.{selector}"));
        let (link, reply) = client.attach(attach.clone()).unwrap();
        assert_eq!(reply.source, attach.source, "the filter is echoed");
        client.engine.set_credit(link, 100);
        assert_eq!(client.texts(link), rest(first), "{selector}");
        client.engine.detach(link, true, None);
    }
    let mut plain = from(PARTITION, StartPosition::earliest());
    plain.source.as_mut().unwrap().filter.clear();
    let (link, _) = client.attach(plain).unwrap();
    client.engine.set_credit(link, 100);
    assert_eq!(client.texts(link), rest(0), "without a filter");
}

#[test]
fn every_bad_position_is_refused_in_the_services_words() {
    let (_, mut client, events) = filled();
    let last: i64 = events[9].offset().parse().unwrap();
    let argument = "com.microsoft:argument-error";
    let invalid = |filter: &str| {
        format!("The filter 'amqp.annotation.{filter}' is not a valid amqp filter for EventHub entities")
    };
    let number = |n: i64| {
        format!(
            "The supplied sequence number '{n}' is invalid. The last sequence number in the system is '9'"
        )
    };
    for (selector, text) in [
        (
            format!("x-opt-offset > '{}'", last + 1),
            format!(
                "The supplied offset '{}' is invalid. The last offset in the system is '{last}'",
                last + 1
            ),
        ),
        ("x-opt-sequence-number > '10'".to_owned(), number(10)),
        ("x-opt-sequence-number >= '11'".to_owned(), number(11)),
        ("x-opt-sequence-number > '488'".to_owned(), number(488)),
        ("x-opt-offset > no offset".to_owned(), invalid("x-opt-offset > no offset")),
        ("x-opt-offset < '5'".to_owned(), invalid("x-opt-offset < '5'")),
        ("x-opt-sequence-number > '@latest'".to_owned(), invalid("x-opt-sequence-number > '@latest'")),
    ] {
        let attach = with_selector(PARTITION, &format!("amqp.annotation.{selector}"));
        assert_eq!(refused(client.attach(attach)), (argument.to_owned(), text), "{selector}");
    }
    let mut strange = with_selector(PARTITION, "");
    strange.name = "L1".to_owned();
    strange.source.as_mut().unwrap().filter = vec![(Symbol::from_static("k"), Value::Int(1))];
    assert_eq!(
        refused(client.attach(strange)),
        (
            "amqp:not-allowed".to_owned(),
            "The link 'L1' contains invalid filter type. System only support Jms or Apache selector filter type \
             but we found type 'System.Int32' associated with key 'k'."
                .to_owned()
        )
    );
}

#[test]
fn a_refused_position_takes_nobodys_place() {
    let (_, mut client, _) = filled();
    let mut holder = from(PARTITION, StartPosition::latest());
    holder.properties.push((Symbol::from_static("com.microsoft:epoch"), Value::Long(1)));
    let (link, _) = client.attach(holder.clone()).unwrap();
    let mut bad = with_selector(PARTITION, "amqp.annotation.x-opt-offset > '99999999'");
    bad.properties = holder.properties.clone();
    assert!(client.attach(bad).is_err());
    assert_eq!(client.detached(link), None);
}

#[test]
fn a_partition_that_was_never_written_has_a_beginning_and_an_end() {
    let namespace = namespace();
    for (selector, refusal) in [
        ("x-opt-offset > '-1'", None),
        ("x-opt-offset > '@latest'", None),
        ("x-opt-offset >= '@latest'", None),
        ("x-opt-sequence-number > '-1'", None),
        ("x-opt-sequence-number >= '0'", None),
        ("x-opt-enqueued-time > '1'", None),
        (
            "x-opt-offset > '0'",
            Some("The supplied offset '0' is invalid. The last offset in the system is '-1'"),
        ),
        (
            "x-opt-sequence-number > '0'",
            Some(
                "The supplied sequence number '0' is invalid. The last sequence number in the system is '-1'",
            ),
        ),
    ] {
        let mut client = Client::new(&namespace);
        let attach = with_selector(
            "orders/ConsumerGroups/$Default/Partitions/1",
            &format!("amqp.annotation.{selector}"),
        );
        match refusal {
            Some(text) => assert_eq!(refused(client.attach(attach)).1, text),
            None => assert!(client.attach(attach).is_ok(), "{selector}"),
        }
    }
}

#[test]
fn positions_before_what_is_retained_start_at_the_oldest_event() {
    let (namespace, _, _) = filled();
    let mut client = Client::new(&with_config(|config| config.retention.time = Duration::from_secs(55)));
    drop(namespace);
    let link = client.sender("orders/Partitions/0").unwrap();
    for i in 0..10 {
        client.now = seconds(10 * i);
        client.publish(link, &[&i.to_string()]);
    }
    for selector in ["x-opt-offset > '0'", "x-opt-sequence-number > '1'", "x-opt-offset > '-1'"] {
        let attach = with_selector(PARTITION, &format!("amqp.annotation.{selector}"));
        let (link, _) = client.attach(attach).unwrap();
        client.engine.set_credit(link, 100);
        assert_eq!(client.texts(link), ["4", "5", "6", "7", "8", "9"], "{selector}");
    }
}
