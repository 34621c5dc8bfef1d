//! Engine against engine, in one thread, and against bytes that no engine writes.

mod golden;
mod hostile;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::model::moment::Moment;

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
fn a_drain_that_is_answered_before_all_has_left_gives_back_what_is_left_then() {
    for (queued, credit) in [(3, 10), (10, 10), (12, 10)] {
        let mut pair = Pair::opened();
        let (link, theirs) = pair.link(Role::Receiver);
        pair.client.set_credit(link, credit);
        pair.client.drain(link);
        pair.run();
        for _ in 0..queued {
            pair.server.send(theirs, Outgoing { settled: true, ..message(0, b"x") }).unwrap();
        }
        pair.server.drained(theirs);
        pair.run();
        assert_eq!(deliveries(&pair.at_client).len(), queued.min(credit) as usize);
        let is_drained = |event: &Event| matches!(event, Event::Drained(drained) if *drained == link);
        assert_eq!(pair.at_client.iter().any(is_drained), queued <= credit, "{queued}");
        assert_eq!((pair.client.credit(link), pair.server.sendable(theirs)), (0, 0));
    }
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
    let is_told =
        |event: &Event| matches!(event, Event::TooLarge { link, size: 1_048_577 } if *link == theirs);
    assert!(pair.at_server.iter().any(is_told), "its credit has to be given again");
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
fn messages_of_many_frames_pass_a_session_window_that_closes_within_them() {
    let mut pair = Pair::with(|_, server| server.limits.session_window = 20);
    pair.run();
    pair.clear();
    let (link, _) = pair.link(Role::Sender);
    let body = vec![7; 800_000];
    for token in 0..10 {
        pair.client.send(link, message(token, &body)).unwrap();
    }
    pair.run();
    assert_eq!(deliveries(&pair.at_server).len(), 10);
}

#[test]
fn credit_that_follows_an_attach_at_once_counts_though_the_driver_has_not_accepted_yet() {
    let mut pair = Pair::opened();
    let session = pair.client.begin().unwrap();
    let link = pair.client.attach(session, attach(Role::Receiver)).unwrap();
    pair.client.set_credit(link, 7);
    pair.run();
    let theirs = pair.at_server.iter().find_map(|event| match event {
        Event::AttachRequested { link, .. } => Some(*link),
        _ => None,
    });
    assert_eq!(pair.server.sendable(theirs.unwrap()), 7);
}
