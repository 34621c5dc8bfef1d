//! Engine against engine, in one thread, and against bytes that no engine writes.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::*;
use crate::model::moment::Moment;
use crate::model::value::{Described, Symbol, Value};

/// Two engines and the wire between them.
struct Pair {
    client: Connection,
    server: Connection,
    now: Moment,
    /// How many bytes travel at a time.
    piece: usize,
    /// Whether the server accepts links by itself.
    accepts: bool,
    at_client: Vec<Event>,
    at_server: Vec<Event>,
}

impl Pair {
    fn new() -> Self {
        Pair::with(|_, _| {})
    }

    fn with(configure: impl FnOnce(&mut Config, &mut Config)) -> Self {
        let mut client = Config { container_id: "client".into(), ..Config::default() };
        let mut server = Config { container_id: "server".into(), ..Config::default() };
        configure(&mut client, &mut server);
        let now = Moment::ORIGIN;
        Pair {
            client: Connection::client(client, now),
            server: Connection::server(server, now),
            now,
            piece: usize::MAX,
            accepts: true,
            at_client: Vec::new(),
            at_server: Vec::new(),
        }
    }

    fn opened() -> Self {
        let mut pair = Pair::new();
        pair.run();
        pair.clear();
        pair
    }

    fn clear(&mut self) {
        self.at_client.clear();
        self.at_server.clear();
    }

    /// Lets everything travel until nothing moves.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            while let Some(bytes) = self.client.poll_output(self.now) {
                moved = true;
                for piece in pieces(&bytes, self.piece) {
                    self.server.feed(piece, self.now);
                    self.serve();
                }
            }
            while let Some(bytes) = self.server.poll_output(self.now) {
                moved = true;
                for piece in pieces(&bytes, self.piece) {
                    self.client.feed(piece, self.now);
                    while let Some(event) = self.client.poll_event() {
                        self.at_client.push(event);
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn serve(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::Sasl { .. } => self.server.sasl_outcome(true),
                Event::AttachRequested { link, attach, .. } if self.accepts => {
                    let role = attach.role;
                    let reply = Attach {
                        source: attach.source.clone(),
                        target: attach.target.clone(),
                        max_message_size: Some(1 << 20),
                        ..Attach::new("", Role::Sender)
                    };
                    self.server.accept(*link, reply);
                    if role == Role::Sender {
                        self.server.set_credit(*link, 1000);
                    }
                }
                _ => {}
            }
            self.at_server.push(event);
        }
    }

    fn link(&mut self, role: Role) -> (LinkId, LinkId) {
        let session = self.client.begin().unwrap();
        let link = self.client.attach(session, attach(role)).unwrap();
        self.run();
        let theirs = self.at_server.iter().find_map(|event| match event {
            Event::AttachRequested { link, .. } => Some(*link),
            _ => None,
        });
        self.clear();
        (link, theirs.unwrap())
    }
}

fn attach(role: Role) -> Attach {
    Attach { source: Some(Source::at("hub")), target: Some(Target::at("hub")), ..Attach::new("link", role) }
}

fn pieces(bytes: &Bytes, size: usize) -> Vec<Bytes> {
    (0..bytes.len())
        .step_by(size.min(bytes.len()))
        .map(|at| bytes.slice(at..bytes.len().min(at.saturating_add(size))))
        .collect()
}

fn message(token: u64, body: &[u8]) -> Outgoing {
    Outgoing {
        token,
        message_format: 0,
        settled: false,
        head: Bytes::new(),
        body: Bytes::copy_from_slice(body),
    }
}

fn deliveries(events: &[Event]) -> Vec<Delivery> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Delivery { delivery, .. } => Some(delivery.clone()),
            _ => None,
        })
        .collect()
}

fn closed(events: &[Event]) -> Option<CloseReason> {
    events.iter().find_map(|event| match event {
        Event::Closed(reason) => Some(reason.clone()),
        _ => None,
    })
}

/// Lists in lists, written from the outside in: no value of ours could be dropped at such depth.
fn nested_lists(depth: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    for inside in (0..depth).rev() {
        bytes.put_u8(0xd0);
        bytes.put_u32(4 + 1 + 9 * inside as u32);
        bytes.put_u32(1);
    }
    bytes.put_u8(0x45);
    bytes.freeze()
}

fn hex(text: &str) -> Bytes {
    let text: String = text.split_whitespace().collect();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_connection_opens_whatever_pieces_its_bytes_arrive_in() {
    for piece in 1..200 {
        let mut pair = Pair::new();
        pair.piece = piece;
        pair.run();
        assert!(matches!(pair.at_client[..], [Event::Opened(_)]), "pieces of {piece}");
        assert!(matches!(pair.at_server[..], [Event::Sasl { .. }, Event::Opened(_)]), "pieces of {piece}");
    }
}

#[test]
fn messages_arrive_whole_and_in_order_whatever_pieces_their_bytes_arrive_in() {
    for piece in [1, 2, 3, 7, 8, 9, 41, 42, 43, 1000, 65_535, 65_536, usize::MAX] {
        let mut pair = Pair::opened();
        pair.piece = piece;
        let (link, _) = pair.link(Role::Sender);
        let sizes = [0, 1, 100, 65_493, 65_494, 65_495, 200_000];
        for (token, size) in sizes.into_iter().enumerate() {
            pair.client.send(link, message(token as u64, &vec![token as u8; size])).unwrap();
        }
        pair.run();
        let got = deliveries(&pair.at_server);
        assert_eq!(got.iter().map(|delivery| delivery.payload.len()).collect::<Vec<_>>(), sizes);
        for (token, delivery) in got.iter().enumerate() {
            assert!(delivery.payload.iter().all(|byte| usize::from(*byte) == token));
        }
    }
}

#[test]
fn a_message_in_two_parts_arrives_as_one() {
    let mut pair = Pair::opened();
    let (link, _) = pair.link(Role::Sender);
    let head = Bytes::from(vec![1; 70_000]);
    let body = Bytes::from(vec![2; 70_000]);
    let whole: Vec<u8> = head.iter().chain(&body).copied().collect();
    pair.client.send(link, Outgoing { head, ..message(0, &body) }).unwrap();
    pair.run();
    assert_eq!(deliveries(&pair.at_server)[0].payload, whole);
}

#[test]
fn a_single_frame_delivery_is_a_slice_of_what_was_fed() {
    let mut pair = Pair::opened();
    let (link, _) = pair.link(Role::Sender);
    pair.client.send(link, message(0, &[7; 1000])).unwrap();
    let bytes = pair.client.poll_output(pair.now).unwrap();
    let fed = bytes.as_ptr_range();
    pair.server.feed(bytes, pair.now);
    pair.serve();
    let payload = &deliveries(&pair.at_server)[0].payload;
    assert!(fed.contains(&payload.as_ptr()));
}

#[test]
fn neighbouring_settlements_share_one_disposition() {
    let mut pair = Pair::opened();
    let (link, theirs) = pair.link(Role::Sender);
    for token in 0..100 {
        pair.client.send(link, message(token, b"x")).unwrap();
    }
    pair.run();
    for delivery in deliveries(&pair.at_server) {
        let outcome = if delivery.id == 50 { Outcome::Released } else { Outcome::Accepted };
        pair.server.settle(theirs, delivery.id, outcome);
    }
    let bytes = pair.server.poll_output(pair.now).unwrap();
    assert_eq!(bytes.windows(3).filter(|window| *window == [0x00, 0x53, 0x15]).count(), 3);
    pair.client.feed(bytes, pair.now);
    for token in 0..100 {
        let expected = if token == 50 { Outcome::Released } else { Outcome::Accepted };
        match pair.client.poll_event() {
            Some(Event::Outcome { token: got, outcome, .. }) => assert_eq!((got, outcome), (token, expected)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_sent_beyond_the_credit() {
    let mut pair = Pair::opened();
    let (link, theirs) = pair.link(Role::Receiver);
    for token in 0..10 {
        pair.server.send(theirs, Outgoing { settled: true, ..message(token, b"x") }).unwrap();
    }
    for credit in [1, 3, 0, 2] {
        pair.client.set_credit(link, credit);
        pair.run();
        assert_eq!(deliveries(&pair.at_client).len(), credit as usize);
        assert_eq!(pair.client.credit(link), 0);
        pair.clear();
    }
    assert_eq!(pair.server.sendable(theirs), 0);
}

#[test]
fn a_drain_gives_the_credit_back() {
    let mut pair = Pair::opened();
    let (link, theirs) = pair.link(Role::Receiver);
    pair.client.set_credit(link, 10);
    pair.server.send(theirs, Outgoing { settled: true, ..message(0, b"x") }).unwrap();
    pair.run();
    pair.client.drain(link);
    pair.run();
    assert!(pair.at_server.iter().any(|event| matches!(event, Event::Credit { drain: true, credit: 9, .. })));
    pair.server.drained(theirs);
    pair.run();
    assert!(pair.at_client.iter().any(|event| matches!(event, Event::Drained(drained) if *drained == link)));
    assert_eq!((pair.client.credit(link), pair.server.sendable(theirs)), (0, 0));
}

#[test]
fn a_closed_session_window_holds_transfers_back_and_opens_again() {
    let mut pair = Pair::with(|_, server| server.limits.session_window = 4);
    pair.run();
    pair.clear();
    let (link, _) = pair.link(Role::Sender);
    for token in 0..50 {
        pair.client.send(link, message(token, b"x")).unwrap();
    }
    pair.run();
    assert_eq!(deliveries(&pair.at_server).len(), 50);
}

#[test]
fn a_delivery_over_the_limit_is_rejected_with_the_services_text_and_the_link_lives() {
    let mut pair = Pair::opened();
    let (link, theirs) = pair.link(Role::Sender);
    pair.client.send(link, message(0, &vec![0; (1 << 20) + 1])).unwrap();
    pair.client.send(link, message(1, &vec![0; 1 << 20])).unwrap();
    pair.run();
    let got = deliveries(&pair.at_server);
    assert_eq!(got.len(), 1);
    let outcome = pair.at_client.iter().find_map(|event| match event {
        Event::Outcome { token: 0, outcome: Outcome::Rejected(Some(error)), .. } => Some(error.clone()),
        _ => None,
    });
    let error = outcome.unwrap();
    assert_eq!(error.condition.as_str(), "amqp:link:message-size-exceeded");
    assert_eq!(
        error.description.unwrap(),
        "The received message (delivery-id:0, size:1048577 bytes) exceeds the limit (1048576 bytes) \
         currently allowed on the link."
    );
    pair.server.settle(theirs, got[0].id, Outcome::Accepted);
    pair.run();
    assert!(pair.at_client.iter().any(|event| matches!(event, Event::Outcome { token: 1, .. })));
}

#[test]
fn a_refused_link_is_told_once_with_its_error() {
    let mut pair = Pair::opened();
    pair.accepts = false;
    for role in [Role::Sender, Role::Receiver] {
        let session = pair.client.begin().unwrap();
        let link = pair.client.attach(session, attach(role)).unwrap();
        pair.run();
        let asked = pair.at_server.iter().find_map(|event| match event {
            Event::AttachRequested { link, .. } => Some(*link),
            _ => None,
        });
        pair.server.refuse(asked.unwrap(), AmqpError::new("amqp:not-found", "no such hub"));
        pair.run();
        let told: Vec<_> =
            pair.at_client.iter().filter(|event| !matches!(event, Event::SessionBegan(_))).collect();
        match told[..] {
            [Event::Detached { link: gone, closed: true, error: Some(error) }] => {
                assert_eq!((*gone, error.condition.as_str()), (link, "amqp:not-found"));
            }
            _ => panic!("{told:?}"),
        }
        pair.clear();
    }
}

#[test]
fn a_detach_is_answered_with_its_own_closed_flag() {
    for closed in [false, true] {
        let mut pair = Pair::opened();
        let (link, theirs) = pair.link(Role::Receiver);
        pair.client.detach(link, closed, None);
        pair.run();
        let told = pair.at_server.iter().find_map(|event| match event {
            Event::Detached { link, closed, .. } => Some((*link, *closed)),
            _ => None,
        });
        assert_eq!(told, Some((theirs, closed)));
        assert!(pair.at_client.is_empty());
        assert_eq!(pair.client.send(link, message(0, b"")), Err(EngineError::UnknownLink));
    }
}

#[test]
fn handles_and_channels_are_used_again() {
    let mut pair = Pair::opened();
    for _ in 0..1000 {
        let (link, _) = pair.link(Role::Sender);
        pair.client.detach(link, true, None);
        pair.run();
    }
    assert_eq!((pair.client.links.len(), pair.server.links.len()), (0, 0));
}

#[test]
fn both_ends_forget_the_links_of_an_ended_session() {
    let mut pair = Pair::opened();
    let session = pair.client.begin().unwrap();
    for n in 0..20 {
        let asked = Attach { name: n.to_string(), ..attach(Role::Receiver) };
        pair.client.attach(session, asked).unwrap();
    }
    pair.run();
    pair.client.end(session, None);
    pair.run();
    assert_eq!((pair.client.links.len(), pair.server.links.len()), (0, 0));
    assert!(pair.at_server.iter().any(|event| matches!(event, Event::SessionEnded { error: None, .. })));
}

#[test]
fn a_close_is_answered_and_told_to_both() {
    let mut pair = Pair::opened();
    pair.client.close(Some(AmqpError::new("amqp:connection:forced", "bye")));
    pair.run();
    assert_eq!(closed(&pair.at_client), Some(CloseReason::Local));
    match closed(&pair.at_server) {
        Some(CloseReason::Remote(Some(error))) => {
            assert_eq!(error.condition.as_str(), "amqp:connection:forced")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn heartbeats_keep_an_idle_connection_open_and_silence_ends_it() {
    let mut pair = Pair::opened();
    for _ in 0..20 {
        let next = pair.client.next_deadline().into_iter().chain(pair.server.next_deadline()).min();
        pair.now = next.unwrap();
        pair.client.tick(pair.now);
        pair.server.tick(pair.now);
        pair.run();
    }
    assert!(!pair.client.is_closed() && !pair.server.is_closed());
    pair.now = pair.now + Duration::from_secs(120);
    pair.client.tick(pair.now);
    assert!(matches!(pair.client.poll_event(), Some(Event::Closed(CloseReason::Idle))));
    assert_eq!(pair.client.next_deadline(), None);
}

#[test]
fn a_peer_that_says_nothing_is_given_up() {
    let mut server = Connection::server(Config::default(), Moment::ORIGIN);
    let deadline = server.next_deadline().unwrap();
    server.tick(deadline);
    assert!(matches!(server.poll_event(), Some(Event::Closed(CloseReason::HandshakeTimeout))));
}

#[test]
fn a_queued_message_can_be_taken_back_and_a_sent_one_is_forgotten() {
    let mut pair = Pair::opened();
    let (link, theirs) = pair.link(Role::Sender);
    pair.server.set_credit(theirs, 1);
    pair.run();
    pair.clear();
    pair.client.send(link, message(1, b"one")).unwrap();
    pair.client.send(link, message(2, b"two")).unwrap();
    pair.run();
    assert!(pair.client.cancel(link, 2));
    assert!(!pair.client.cancel(link, 1));
    pair.server.settle(theirs, deliveries(&pair.at_server)[0].id, Outcome::Accepted);
    pair.server.set_credit(theirs, 10);
    pair.run();
    assert_eq!(deliveries(&pair.at_server).len(), 1);
    assert!(!pair.at_client.iter().any(|event| matches!(event, Event::Outcome { .. })));
    assert_eq!(pair.client.backlog(), 0);
}

#[test]
fn foreign_bytes_are_answered_with_the_standards_condition() {
    struct Case {
        what: &'static str,
        bytes: Vec<u8>,
        condition: &'static str,
    }
    let nested = {
        let mut bytes = vec![0x00, 0x53, 0x12, 0xd0];
        let body = nested_lists(200);
        // attach: name, handle, role, modes, then a source that is no source but nests.
        let fields = hex("a10161 43 41 40 40");
        bytes.extend_from_slice(&((4 + fields.len() + body.len()) as u32).to_be_bytes());
        bytes.extend_from_slice(&6_u32.to_be_bytes());
        bytes.extend_from_slice(&fields);
        bytes.extend_from_slice(&body);
        bytes
    };
    let deep_properties = {
        let body = nested_lists(7_000);
        let fields = hex("a10161 43 41 40 40 40 40 40 40 40 40 40 40");
        let mut bytes = vec![0x00, 0x53, 0x12, 0xd0];
        bytes.extend_from_slice(&((4 + fields.len() + body.len()) as u32).to_be_bytes());
        bytes.extend_from_slice(&14_u32.to_be_bytes());
        bytes.extend_from_slice(&fields);
        bytes.extend_from_slice(&body);
        bytes
    };
    let framed = |body: &[u8]| {
        let mut frame = ((body.len() + 8) as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&[2, 0, 0, 0]);
        frame.extend_from_slice(body);
        frame
    };
    let cases = [
        Case { what: "a frame of 4 GB", bytes: vec![0xff; 8], condition: "amqp:connection:framing-error" },
        Case {
            what: "a frame of 7 bytes",
            bytes: vec![0, 0, 0, 7, 2, 0, 0],
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a data offset of 1",
            bytes: vec![0, 0, 0, 8, 1, 0, 0, 0],
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a data offset past the end",
            bytes: vec![0, 0, 0, 8, 9, 0, 0, 0],
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a SASL frame after the start",
            bytes: vec![0, 0, 0, 8, 2, 1, 0, 0],
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a body that is no performative",
            bytes: framed(&[0x41]),
            condition: "amqp:decode-error",
        },
        Case {
            what: "an unknown performative",
            bytes: framed(&hex("005399 45")),
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a second open",
            bytes: framed(&hex("005310 c00401a10161")),
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a transfer on an unknown channel",
            bytes: framed(&hex("005314 c00301 43 40")),
            condition: "amqp:connection:framing-error",
        },
        Case {
            what: "a begin without windows",
            bytes: framed(&hex("005311 c00301 40 40")),
            condition: "amqp:decode-error",
        },
        Case {
            what: "a begin that answers nothing",
            bytes: framed(&hex("005311 c00b04 600007 43 520a 520a 4040")),
            condition: "amqp:illegal-state",
        },
        Case {
            what: "a list that ends too soon",
            bytes: framed(&hex("005311 c0ff04 40")),
            condition: "amqp:decode-error",
        },
        Case {
            what: "a source that nests 200 lists",
            bytes: [framed(&hex("005311 c00704 40 43 520a 520a")), framed(&nested)].concat(),
            condition: "amqp:decode-error",
        },
        Case {
            what: "properties that nest 7 000 lists",
            bytes: [framed(&hex("005311 c00704 40 43 520a 520a")), framed(&deep_properties)].concat(),
            condition: "amqp:decode-error",
        },
        Case {
            what: "a filter map of odd length",
            bytes: [
                framed(&hex("005311 c00704 40 43 520a 520a")),
                framed(&hex(
                    "005312 c01c07 a10161 43 41 40 40 005328 c00e08 40404040404040 c10401 a30161 40",
                )),
            ]
            .concat(),
            condition: "amqp:decode-error",
        },
        Case {
            what: "a handle above handle-max",
            bytes: [
                framed(&hex("005311 c00704 40 43 520a 520a")),
                framed(&hex("005312 c00a03 a10161 7000001000 41")),
            ]
            .concat(),
            condition: "amqp:connection:framing-error",
        },
    ];
    for Case { what, bytes, condition } in cases {
        let mut pair = Pair::opened();
        pair.server.feed(bytes.into(), pair.now);
        let mut events = Vec::new();
        while let Some(event) = pair.server.poll_event() {
            events.push(event);
        }
        match closed(&events) {
            Some(CloseReason::Protocol(error)) => {
                assert_eq!(error.condition.as_str(), condition, "{what}: {error}")
            }
            other => panic!("{what}: {other:?}"),
        }
        let out = pair.server.poll_output(pair.now).unwrap();
        assert!(out.windows(3).any(|window| window == [0x00, 0x53, 0x18]), "{what}: no close was sent");
        assert!(pair.server.is_closed() && pair.server.next_deadline().is_none(), "{what}");
    }
}

#[test]
fn ten_thousand_nested_lists_are_refused_and_skipped_without_a_deep_stack() {
    let bytes = nested_lists(10_000);
    assert!(decode::value(&mut bytes.clone()).is_err());
    let message: Bytes = [&[0x00, 0x53, 0x77][..], &bytes].concat().into();
    let sections = message::sections(&message).unwrap();
    assert_eq!(sections.body.len(), message.len());
    assert!(message::body(&sections.body.of(&message)).is_err());
}

#[test]
fn garbage_instead_of_a_header_is_answered_with_the_header_we_speak() {
    for garbage in [&b"GET / HTTP/1.1\r\n"[..], b"X", b"AMQP\x00\x00\x09\x01", &[0; 64]] {
        let mut server = Connection::server(Config::default(), Moment::ORIGIN);
        server.feed(Bytes::copy_from_slice(garbage), Moment::ORIGIN);
        assert!(matches!(server.poll_event(), Some(Event::Closed(CloseReason::NotAmqp))), "{garbage:?}");
        assert_eq!(server.poll_output(Moment::ORIGIN).unwrap(), &b"AMQP\x03\x01\x00\x00"[..]);
    }
}

#[test]
fn half_a_frame_is_waited_for_and_costs_only_its_bytes() {
    let mut pair = Pair::opened();
    pair.server.feed(hex("00010000 02000000"), pair.now);
    assert!(pair.server.poll_event().is_none() && !pair.server.is_closed());
}

#[test]
fn a_transfer_without_credit_loses_the_link_and_one_to_no_link_the_session() {
    let mut pair = Pair::opened();
    let (_, theirs) = pair.link(Role::Sender);
    pair.server.set_credit(theirs, 0);
    pair.run();
    let transfer = hex("0000001f 02000000 005314 c00f04 43 43 a00100 43 404040 4040 0053 75".trim_end());
    let transfer = {
        // handle 0, delivery-id 0, tag, format: written by hand, since no engine would send it.
        let body = hex("005314 c00904 43 43 a00101 43 005377 40");
        let mut frame = ((body.len() + 8) as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&[2, 0, 0, 0]);
        frame.extend_from_slice(&body);
        drop(transfer);
        frame
    };
    pair.server.feed(transfer.clone().into(), pair.now);
    pair.serve();
    let lost = pair.at_server.iter().find_map(|event| match event {
        Event::Detached { error: Some(error), .. } => Some(error.condition.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(lost.as_deref(), Some("amqp:link:transfer-limit-exceeded"));

    let mut unknown = transfer;
    unknown[14] = 0x52;
    unknown.splice(15..15, [9]);
    unknown[3] += 1;
    unknown[12] += 1;
    let mut pair = Pair::opened();
    pair.link(Role::Sender);
    pair.server.feed(unknown.into(), pair.now);
    pair.serve();
    let lost = pair.at_server.iter().find_map(|event| match event {
        Event::SessionEnded { error: Some(error), .. } => Some(error.condition.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(lost.as_deref(), Some("amqp:session:unattached-handle"));
}

#[test]
fn overflowing_credit_is_held_to_what_can_be_counted() {
    let mut pair = Pair::opened();
    let (link, theirs) = pair.link(Role::Receiver);
    pair.client.set_credit(link, u32::MAX);
    pair.run();
    assert_eq!(pair.server.sendable(theirs), u32::MAX);
    pair.client.set_credit(link, u32::MAX);
    pair.server.send(theirs, Outgoing { settled: true, ..message(0, b"x") }).unwrap();
    pair.run();
    assert_eq!(deliveries(&pair.at_client).len(), 1);
}

#[test]
fn a_disposition_over_all_ids_costs_what_is_undecided() {
    let mut pair = Pair::opened();
    let (link, _) = pair.link(Role::Sender);
    for token in 0..3 {
        pair.client.send(link, message(token, b"x")).unwrap();
    }
    pair.run();
    let body = hex("005315 c00d05 41 43 707fffffff 41 005324 45");
    let mut frame = ((body.len() + 8) as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&[2, 0, 0, 0]);
    frame.extend_from_slice(&body);
    pair.client.feed(frame.into(), pair.now);
    let mut outcomes = 0;
    while let Some(event) = pair.client.poll_event() {
        outcomes += usize::from(matches!(event, Event::Outcome { outcome: Outcome::Accepted, .. }));
    }
    assert_eq!(outcomes, 3);
}

#[test]
fn frames_are_written_as_the_golden_frames() {
    use super::performatives as perf;
    let put = |kind, channel, write: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        frame::put(&mut out, kind, channel, write);
        out.freeze()
    };
    let amqp = |channel, write: &dyn Fn(&mut BytesMut)| put(frame::Kind::Amqp, channel, write);
    let sasl = |write: &dyn Fn(&mut BytesMut)| put(frame::Kind::Sasl, 0, write);

    let mechanisms = ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"].map(Symbol::from_static);
    assert_eq!(
        sasl(&|out| perf::put_sasl_mechanisms(out, &mechanisms)),
        hex(
            "0000003902010000005340c02c01f00000002600000004a3074d53534243425305504c41494e09414e4f4e594d4f55530845585445524e414c"
        )
    );
    assert_eq!(sasl(&|out| perf::put_sasl_outcome(out, 0)), hex("0000001102010000005344c00402500040"));
    let open = Open {
        container_id: "gw_G1".into(),
        max_frame_size: 65_536,
        channel_max: 4_999,
        idle_timeout: Some(240_000),
        ..Open::default()
    };
    assert_eq!(
        amqp(0, &|out| perf::put_open(out, &open)),
        hex("0000002802000000005310c01b0aa10567775f4731407000010000601387700003a9804040404040")
    );
    let begin = perf::Begin {
        remote_channel: Some(1),
        next_outgoing_id: 1,
        incoming_window: 5000,
        outgoing_window: 5000,
        handle_max: 255,
    };
    assert_eq!(
        amqp(1, &|out| perf::put_begin(out, &begin)),
        hex("0000002802000001005311c01b0860000170000000017000001388700000138870000000ff404040")
    );
    let filter = Value::Described(Box::new(Described {
        descriptor: Value::Ulong(0x0000_468c_0000_0004),
        value: Value::from("amqp.annotation.x-opt-offset > '-1'"),
    }));
    let to_consumer = Attach {
        snd_settle_mode: Some(1),
        rcv_settle_mode: Some(0),
        source: Some(Source {
            address: Some("hub/ConsumerGroups/$Default/Partitions/0".into()),
            filter: vec![("apache.org:selector-filter:string".into(), filter)],
        }),
        target: Some(Target::at("t1")),
        max_message_size: Some(1 << 20),
        ..Attach::new("L1", Role::Sender)
    };
    assert_eq!(
        amqp(1, &|out| perf::put_attach(out, 0, &to_consumer)),
        hex(
            "000000d302000001005312d0000000c30000000ea1024c3170000000004250015000005328c0890ba1286875622f436f6e73756d657247726f7570732f2444656661756c742f506172746974696f6e732f30404040404040c15302a3216170616368652e6f72673a73656c6563746f722d66696c7465723a737472696e6700800000468c00000004a123616d71702e616e6e6f746174696f6e2e782d6f70742d6f6666736574203e20272d3127404040005329c00b07a102743140404040404040407000000000800000000000100000404040"
        )
    );
    let to_producer = Attach {
        snd_settle_mode: Some(0),
        rcv_settle_mode: Some(0),
        source: Some(Source::at("c1")),
        target: Some(Target::at("hub")),
        max_message_size: Some(1 << 20),
        ..Attach::new("L2", Role::Receiver)
    };
    assert_eq!(
        amqp(1, &|out| perf::put_attach(out, 1, &to_producer)),
        hex(
            "0000005602000001005312d0000000460000000ea1024c3270000000014150005000005328c00f0ba102633140404040404040404040005329c00c07a103687562404040404040404040800000000000100000404040"
        )
    );
    let flow = perf::Flow {
        next_incoming_id: Some(0),
        incoming_window: 5000,
        next_outgoing_id: 1,
        outgoing_window: 5000,
        link: Some(perf::LinkFlow { handle: 1, delivery_count: Some(0), link_credit: 300, drain: false }),
        echo: false,
    };
    assert_eq!(
        amqp(1, &|out| perf::put_flow(out, &flow)),
        hex(
            "0000003502000001005313c0280b700000000070000013887000000001700000138870000000017000000000700000012c40424240"
        )
    );
    let accepted = perf::Disposition {
        role: Role::Receiver,
        first: 0,
        last: 0,
        settled: true,
        outcome: Some(Outcome::Accepted),
    };
    assert_eq!(
        amqp(1, &|out| perf::put_disposition(out, &accepted)),
        hex("0000001d02000001005315c010064170000000004041005324c0010040")
    );
    let stolen = AmqpError::new("amqp:link:stolen", "x");
    assert_eq!(
        amqp(1, &|out| perf::put_detach(out, 3, true, Some(&stolen))),
        hex(
            "0000003002000001005316c0230370000000034100531dc01703a310616d71703a6c696e6b3a73746f6c656ea1017840"
        )
    );
    let golden = hex(
        "000000b902000001005314c01d0b70000000037000000000a00400000001700000000041424040404041005372c1830aa31b782d6f70742d73657175656e63652d6e756d6265722d65706f636854ffa315782d6f70742d73657175656e63652d6e756d6265725507a30c782d6f70742d6f6666736574a103343438a313782d6f70742d656e7175657565642d74696d65830000019b76daa800a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a0026869",
    );
    let mut event = BytesMut::new();
    let head = frame::TransferHead {
        channel: 1,
        handle: 3,
        delivery_id: 0,
        message_format: 0,
        settled: true,
        more: false,
        payload: golden.len() - frame::TRANSFER_HEAD,
    };
    frame::put_transfer(&mut event, &head);
    // The golden delivery-tag is 1 where ours is the delivery-id.
    event[29] = 1;
    message::put_message_annotations(
        &mut event,
        &[
            ("x-opt-sequence-number-epoch".into(), Value::Int(-1)),
            ("x-opt-sequence-number".into(), Value::Long(7)),
            ("x-opt-offset".into(), Value::from("448")),
            (
                "x-opt-enqueued-time".into(),
                Value::Timestamp(crate::model::value::Timestamp::from_millis(1_767_225_600_000)),
            ),
            ("x-opt-partition-key".into(), Value::from("k1")),
        ],
    );
    message::put_data(&mut event, b"hi");
    assert_eq!(event.freeze(), golden);
}
