//! Connections: limits, idle peers, the end.

use super::*;

#[test]
fn surplus_connections_are_told_so_and_many_more_are_not_taken() {
    let namespace = with_config(|config| config.limits.connections = 2);
    let first = Client::anonymous(&namespace);
    let _second = Client::anonymous(&namespace);
    let mut surplus = Client::dial(&namespace, SaslProfile::Anonymous, start()).unwrap();
    let Some(CloseReason::Remote(Some(error))) = surplus.closed() else { panic!("not closed") };
    assert_eq!(
        said(&error),
        ("amqp:resource-limit-exceeded", "The namespace has 2 connections, more are not allowed.")
    );
    drop(surplus);
    let silent: Vec<_> =
        (0..64).map(|_| Client::dial(&namespace, SaslProfile::Anonymous, start()).unwrap()).collect();
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, start()).is_err());
    assert_eq!(namespace.connections(), 66);
    drop((silent, first));
    let mut next = Client::dial(&namespace, SaslProfile::Anonymous, start()).unwrap();
    next.pump();
    assert!(matches!(next.events[..], [Event::Opened(_)]), "a place is free again");
}

#[test]
fn links_of_one_connection_are_bounded() {
    let mut client = Client::new(&with_config(|config| config.limits.links_per_connection = 3));
    for _ in 0..3 {
        client.sender("orders").unwrap();
    }
    assert_eq!(
        refused(client.sender("orders")),
        (
            "amqp:resource-limit-exceeded".to_owned(),
            "The connection has 3 links, more are not allowed.".to_owned()
        )
    );
}

fn forced(reason: Option<CloseReason>) -> String {
    let Some(CloseReason::Remote(Some(error))) = reason else { panic!("{reason:?}") };
    let (condition, text) = said(&error);
    assert_eq!(condition, "amqp:connection:forced");
    text.to_owned()
}

fn impatient() -> Namespace {
    with_config(|config| {
        config.idle = IdlePolicy {
            first_link: Some(Duration::from_secs(60)),
            no_links: Some(Duration::from_secs(300)),
            request_link: Some(Duration::from_secs(300)),
            publisher: Some(Duration::from_secs(1800)),
        };
    })
}

fn inactive(millis: u32) -> String {
    format!(
        "The connection was inactive for more than the allowed {millis} milliseconds and is closed by container \
         'LinkTracker'."
    )
}

#[test]
fn a_connection_without_links_is_closed_in_the_services_words() {
    let mut client = Client::anonymous(&impatient());
    assert!(client.broker.next_deadline().unwrap() <= seconds(60).moment);
    client.wait(59);
    assert_eq!(client.closed(), None);
    client.wait(60);
    assert_eq!(forced(client.closed()), inactive(60_000));
    assert!(client.broker.is_finished());

    let mut client = Client::new(&impatient());
    client.now = seconds(50);
    let link = client.receiver(PARTITION, StartPosition::earliest()).unwrap();
    client.wait(1000);
    client.engine.detach(link, true, None);
    client.pump();
    client.wait(1299);
    assert_eq!(client.closed(), None);
    client.wait(1300);
    assert_eq!(forced(client.closed()), inactive(300_000));
}

#[test]
fn idle_request_and_publisher_links_are_detached_and_readers_stay() {
    let mut client = Client::new(&impatient());
    let session = client.session();
    let (requests, _) = client.pair(session, "$management", "here");
    let publisher = client.sender("orders").unwrap();
    let reader = client.receiver(PARTITION, StartPosition::earliest()).unwrap();
    client.wait(299);
    assert_eq!(client.detached(requests), None);
    client.wait(300);
    let error = client.detached(requests).unwrap();
    assert_eq!(said(&error), ("amqp:connection:forced", inactive(300_000).as_str()));
    client.wait(1700);
    client.publish(publisher, &["alive"]);
    client.wait(3499);
    assert_eq!(client.detached(publisher), None);
    client.wait(3500);
    let error = client.detached(publisher).unwrap();
    let (condition, text) = said(&error);
    assert_eq!(condition, "amqp:link:detach-forced");
    assert!(
        text.ends_with("Detach origin: AmqpMessagePublisher.IdleTimerExpired: Idle timeout: 00:30:00."),
        "{text}"
    );
    assert_eq!(client.detached(reader), None);
}

#[test]
fn a_shutdown_closes_every_connection_politely_and_takes_no_new_one() {
    let namespace = namespace();
    let mut client = Client::new(&namespace);
    let before = client.wakes.load(Ordering::Relaxed);
    namespace.shutdown(start());
    assert_eq!(client.wakes.load(Ordering::Relaxed), before + 1);
    assert!(forced(client.closed()).contains("shutting down"));
    assert!(client.broker.is_finished());
    assert!(Client::dial(&namespace, SaslProfile::Anonymous, start()).is_err());
}

#[test]
fn a_connection_that_is_dropped_frees_its_place() {
    let namespace = namespace();
    let client = Client::new(&namespace);
    assert_eq!(namespace.connections(), 1);
    drop(client);
    assert_eq!(namespace.connections(), 0);
}

#[test]
fn rubbish_ends_the_connection_at_once_and_nothing_else() {
    let namespace = namespace();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"AMQP\x00\x01\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00"] {
        let mut client = Client::dial(&namespace, SaslProfile::Anonymous, start()).unwrap();
        client.broker.feed(Bytes::from_static(bytes), start());
        while client.broker.poll_output(start()).is_some() {}
        assert!(client.broker.is_finished(), "{bytes:?}");
    }
    Client::new(&namespace).sender("orders").unwrap();
}

#[test]
fn a_peer_that_says_nothing_is_let_go() {
    let mut client = Client::dial(&namespace(), SaslProfile::Anonymous, start()).unwrap();
    let deadline = client.broker.next_deadline().unwrap();
    assert!(deadline <= seconds(60).moment);
    client.broker.tick(seconds(60));
    while client.broker.poll_output(seconds(60)).is_some() {}
    assert!(client.broker.is_finished());
}

/// Everything that a busy client sends, from its first byte.
fn traffic() -> Vec<u8> {
    let mut client = Client::dial(&namespace(), SaslProfile::Anonymous, start()).unwrap();
    client.recording = Some(Vec::new());
    client.pump();
    client.events.clear();
    client.put_token("sb://localhost/orders", "any", "SAS_KEY_VALUE", LATER);
    let sender = client.sender("orders").unwrap();
    client.publish(sender, &["a", "b"]);
    client.send(sender, crate::dialect::annotations::BATCH_FORMAT, batch(Some("k"), &["c", "d"]));
    let reader = client.read(StartPosition::earliest(), 10);
    client.engine.drain(reader);
    client.pump();
    client.engine.close(None);
    client.pump();
    client.recording.take().unwrap()
}

proptest::proptest! {
    #[test]
    fn no_damage_to_a_clients_bytes_panics_or_spins_the_broker(
        damage in proptest::collection::vec((0..10_000_usize, proptest::num::u8::ANY), 1..6),
        piece in 1..3000_usize,
    ) {
        let namespace = namespace();
        let mut bytes = traffic();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let mut client = Client::dial(&namespace, SaslProfile::Anonymous, start()).unwrap();
        let mut polls = 0;
        for piece in bytes.chunks(piece) {
            client.broker.feed(Bytes::copy_from_slice(piece), start());
            while client.broker.poll_output(start()).is_some() {
                polls += 1;
                assert!(polls < 10_000, "it spins");
            }
        }
        client.broker.tick(seconds(10_000));
        while client.broker.poll_output(seconds(10_000)).is_some() {}
        assert!(client.broker.is_finished(), "after so long a silence it is over");
        drop(client);
        assert_eq!(namespace.connections(), 0);
        Client::new(&namespace).sender("orders").unwrap();
    }
}
