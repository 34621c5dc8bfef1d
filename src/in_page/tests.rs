//! Clients made of the engine's own client role, with pipes that are moved by hand.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::amqp::{CloseReason, Config, Connection, Event, Limits, SaslProfile};
use crate::broker::HubConfig;
use crate::broker::faults::Fault;
use crate::model::value::Timestamp;

fn at(seconds: u64) -> Now {
    now_from_millis(seconds as f64 * 1000.0, 1_767_225_600_000.0 + seconds as f64 * 1000.0)
}

fn emulator() -> InPageEmulator {
    InPageEmulator::new(InPageEmulator::default_config(), at(0)).unwrap()
}

fn client() -> Connection {
    let config = Config {
        container_id: "client".to_owned(),
        hostname: Some("localhost".to_owned()),
        properties: Vec::new(),
        desired_capabilities: Vec::new(),
        idle_timeout: None,
        sasl: SaslProfile::Anonymous,
        limits: Limits::default(),
    };
    Connection::client(config, at(0).moment)
}

/// Moves bytes to and fro until both sides are quiet; what the client learned.
fn pump(emulator: &mut InPageEmulator, id: ConnectionId, client: &mut Connection, now: Now) -> Vec<Event> {
    loop {
        let mut quiet = true;
        while let Some(bytes) = client.poll_output(now.moment) {
            emulator.feed(id, bytes, now);
            quiet = false;
        }
        while let Some(bytes) = emulator.poll_output(id, now) {
            client.feed(bytes, now.moment);
            quiet = false;
        }
        if quiet {
            return std::iter::from_fn(|| client.poll_event()).collect();
        }
    }
}

#[test]
fn a_client_connects_and_its_goodbye_ends_the_connection() {
    let mut emulator = emulator();
    let (mut client, id) = (client(), emulator.connect(at(0)).unwrap());
    let events = pump(&mut emulator, id, &mut client, at(0));
    assert!(matches!(events[..], [Event::Opened(_)]), "{events:?}");
    assert!(!emulator.is_finished(id));
    assert_eq!(emulator.namespace().connections(), 1);

    client.close(None);
    pump(&mut emulator, id, &mut client, at(1));
    assert!(emulator.is_finished(id));
    emulator.disconnect(id);
    assert_eq!(emulator.namespace().connections(), 0);
}

#[test]
fn a_shutdown_wakes_every_connection_once_and_says_goodbye() {
    let mut emulator = emulator();
    let mut clients: Vec<_> = (0..3).map(|_| (emulator.connect(at(0)).unwrap(), client())).collect();
    for (id, client) in &mut clients {
        pump(&mut emulator, *id, client, at(0));
    }
    assert_eq!(emulator.poll_woken(), None);
    emulator.disconnect(clients[1].0);
    let (gone, _) = clients.remove(1);

    emulator.namespace().shutdown(at(1));
    let mut woken: Vec<_> = std::iter::from_fn(|| emulator.poll_woken()).collect();
    woken.sort();
    assert_eq!(woken, clients.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    assert!(!woken.contains(&gone));
    for (id, client) in &mut clients {
        let events = pump(&mut emulator, *id, client, at(1));
        let [Event::Closed(CloseReason::Remote(Some(error)))] = &events[..] else { panic!("{events:?}") };
        assert_eq!(error.condition.as_str(), "amqp:connection:forced");
        assert!(emulator.is_finished(*id));
    }
    assert_eq!(emulator.connect(at(2)).unwrap_err().to_string(), "the namespace is shut down");
}

#[test]
fn who_was_woken_and_leaves_is_forgotten() {
    let mut emulator = emulator();
    let id = emulator.connect(at(0)).unwrap();
    emulator.namespace().shutdown(at(0));
    emulator.disconnect(id);
    assert_eq!(emulator.poll_woken(), None);
}

#[test]
fn who_says_nothing_is_let_go_at_a_deadline() {
    let mut emulator = emulator();
    let id = emulator.connect(at(0)).unwrap();
    let mut deadlines = 0;
    while !emulator.is_finished(id) {
        let deadline = emulator.next_deadline(id).unwrap();
        assert!(deadline <= at(600).moment, "{deadline:?}");
        let now = now_from_millis(millis_from_moment(deadline), 1_767_225_600_000.0);
        emulator.tick(id, now);
        while emulator.poll_output(id, now).is_some() {}
        deadlines += 1;
        assert!(deadlines < 100);
    }
    assert_eq!(emulator.next_deadline(id), None);
}

#[test]
fn who_takes_no_answers_is_not_listened_to_until_it_does() {
    let mut emulator = emulator();
    emulator.most_backlog = 16;
    let (mut client, id) = (client(), emulator.connect(at(0)).unwrap());
    assert!(emulator.is_listening(id));
    let hello = client.poll_output(at(0).moment).unwrap();
    emulator.feed(id, hello, at(0));
    assert!(!emulator.is_listening(id), "the answer to the handshake waits");
    pump(&mut emulator, id, &mut client, at(0));
    assert!(emulator.is_listening(id));
}

#[test]
fn connections_that_do_not_exist_do_nothing() {
    let mut emulator = emulator();
    let id = ConnectionId::from_number(7);
    emulator.feed(id, Bytes::from_static(b"AMQP"), at(0));
    emulator.tick(id, at(0));
    emulator.disconnect(id);
    assert_eq!(emulator.poll_output(id, at(0)), None);
    assert_eq!(emulator.next_deadline(id), None);
    assert!(emulator.is_finished(id));
    assert!(!emulator.is_listening(id));
}

#[test]
fn connections_are_bounded() {
    let mut config = InPageEmulator::default_config();
    config.limits.connections = 1;
    let mut emulator = InPageEmulator::new(config, at(0)).unwrap();
    // Some are told so politely, more are not even that.
    let refused = (0..100).find_map(|_| emulator.connect(at(0)).err()).unwrap();
    assert_eq!(refused.to_string(), "the namespace has 1 connections, more are not allowed");
}

#[test]
fn a_contradiction_is_refused() {
    let mut config = InPageEmulator::default_config();
    config.hubs = vec![HubConfig::new("orders", 4), HubConfig::new("ORDERS", 4)];
    let error = InPageEmulator::new(config, at(0)).unwrap_err();
    assert_eq!(error.to_string(), "hub 'ORDERS' exists already");
}

#[test]
fn the_clocks_of_a_page_are_read_and_nonsense_is_the_origin() {
    let now = now_from_millis(1500.25, 1_767_225_600_123.0);
    assert_eq!(now.moment, Moment::from_origin(Duration::from_micros(1_500_250)));
    assert_eq!(now.unix, Timestamp::from_millis(1_767_225_600_123));
    assert_eq!(millis_from_moment(now.moment), 1500.25);
    for nonsense in [f64::NAN, -1.0, f64::INFINITY] {
        assert_eq!(now_from_millis(nonsense, 0.0).moment, Moment::ORIGIN);
    }
}

#[test]
fn a_connection_that_breaks_on_purpose_is_over_without_a_word() {
    let mut emulator = emulator();
    let (mut client, id) = (client(), emulator.connect(at(0)).unwrap());
    pump(&mut emulator, id, &mut client, at(0));
    let faults = emulator.namespace().faults().clone();
    let guard = faults.inject(Fault::drop_connections(), at(0)).unwrap();
    assert_eq!(emulator.poll_woken(), Some(id));
    assert!(pump(&mut emulator, id, &mut client, at(0)).is_empty());
    assert!(emulator.is_finished(id) && emulator.was_dropped(id) && guard.hits() == 1);
    let _guard = faults.inject(Fault::refuse(), at(0)).unwrap();
    assert!(emulator.connect(at(0)).is_err());
}

#[test]
fn a_slow_wire_is_not_fed_beyond_its_room() {
    let mut emulator = emulator();
    let (mut client, id) = (client(), emulator.connect(at(0)).unwrap());
    pump(&mut emulator, id, &mut client, at(0));
    let faults = emulator.namespace().faults().clone();
    let _guard = faults.inject(Fault::bandwidth(100_000), at(0)).unwrap();
    // Heartbeats, a megabyte of them.
    let heartbeats = Bytes::from([0, 0, 0, 8, 2, 0, 0, 0].repeat(1 << 17));
    emulator.feed(id, heartbeats, at(0));
    assert!(!emulator.is_listening(id));
    assert!(emulator.next_deadline(id).unwrap() < at(1).moment);
    emulator.tick(id, at(1));
    assert!(emulator.is_listening(id));
}
