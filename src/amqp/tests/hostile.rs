//! What no engine sends.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::*;
use super::{Pair, closed, deliveries, hex, message};
use crate::model::moment::Moment;

#[test]
fn an_array_does_not_make_memory_of_nothing() {
    let symbol = |len: usize| [vec![0xa3, len as u8], vec![b's'; len]].concat();
    let array =
        |count: u8, constructor: &[u8]| [&[0xe0, 1 + constructor.len() as u8, count], constructor].concat();
    let described = |descriptor: &[u8], code: u8| [&[0x00], descriptor, &[code]].concat();
    for (what, bytes, is_taken) in [
        ("a few nulls", array(16, &[0x40]), true),
        ("many nulls", array(17, &[0x40]), false),
        ("many empty lists", array(255, &described(&[0x53, 0x24], 0x45)), false),
        ("empty lists with a name", array(16, &described(&[0x53, 0x24], 0x45)), true),
        ("empty lists with a symbol", array(16, &described(&symbol(64), 0x45)), true),
        // Each element would have a copy of it.
        ("empty lists with a long symbol", array(16, &described(&symbol(65), 0x45)), false),
        ("with an array for a name", array(16, &described(&array(16, &[0x40]), 0x45)), false),
        ("with two names", array(2, &[0x00, 0x53, 0x24, 0x00, 0x53, 0x25, 0x45]), false),
    ] {
        let value = decode::value(&mut Bytes::from(bytes));
        assert_eq!(value.is_ok(), is_taken, "{what}: {value:?}");
        // What is taken can be written and taken again.
        if let Ok(value) = value {
            let mut written = BytesMut::new();
            encode::value(&mut written, &value);
            assert_eq!(decode::value(&mut written.freeze()), Ok(value), "{what}");
        }
    }
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

#[test]
fn what_is_held_for_unfinished_messages_is_bounded_over_all_links() {
    let mut pair = Pair::with(|_, server| server.limits.max_unfinished_bytes = 300_000);
    pair.run();
    let session = pair.client.begin().unwrap();
    let links: Vec<_> = (0..4)
        .map(|n| {
            let asked = Attach { name: n.to_string(), ..super::attach(Role::Sender) };
            pair.client.attach(session, asked).unwrap()
        })
        .collect();
    pair.run();
    // Turns are shorter than these messages, so all are under way at the same time.
    for link in links {
        pair.client.send(link, message(0, &[0; 200_000])).unwrap();
    }
    pair.clear();
    pair.run();
    let lost = pair.at_client.iter().filter(|event| {
        matches!(event, Event::Detached { error: Some(error), .. }
            if error.condition.as_str() == "amqp:resource-limit-exceeded")
    });
    let lost = lost.count();
    assert!((1..4).contains(&lost), "{lost} links were lost");
    assert_eq!(deliveries(&pair.at_server).len(), 4 - lost);
    assert_eq!(pair.server.unfinished_bytes, 0);
}
