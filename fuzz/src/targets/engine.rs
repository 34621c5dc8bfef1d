//! The engine in both roles.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use eventhubs::amqp::{
    AmqpError, Attach, Config, Connection, Event, Limits, LinkId, Outcome, Outgoing, Role, SaslProfile,
    Target, message,
};
use eventhubs::model::moment::Moment;

use super::seeds::{GOLDEN, unhex};

/// No peer makes one connection answer more than this for a few kilobytes.
const MOST_OUTPUT: usize = 64 << 20;
/// Nor does it make one step produce more events than there were bytes.
const MOST_EVENTS: usize = 1 << 16;

/// A client that hears anything from its server.
pub fn engine_client(data: &[u8]) {
    if let Some((&first, rest)) = data.split_first() {
        Driver::client().exercise(first, rest);
    }
}

/// A server that hears anything from a client.
pub fn engine_server(data: &[u8]) {
    if let Some((&first, rest)) = data.split_first() {
        Driver::server().exercise(first, rest);
    }
}

/// The same bytes mean the same, however they are cut.
pub fn engine_split(data: &[u8]) {
    let [first, second, rest @ ..] = data else { return };
    let driver = || if first % 2 == 0 { Driver::server() } else { Driver::client() };
    // A driver that answers after each unit, whole or in pieces.
    let (whole, pieces) = (driver().story(rest, 0), driver().story(rest, *second));
    assert_eq!(whole, pieces, "answered after each frame");
    // One that only listens: all at once, or in pieces over the bounds of frames.
    let (whole, pieces) = (driver().heard(rest, 0), driver().heard(rest, *second));
    assert_eq!(whole, pieces, "only listened to");
}

/// One end of a connection, and what its driver would do with it.
pub(super) struct Driver {
    pub(super) connection: Connection,
    links: Vec<LinkId>,
    is_client: bool,
}

impl Driver {
    pub(super) fn client() -> Self {
        Driver {
            connection: Connection::client(config(), Moment::ORIGIN),
            links: Vec::new(),
            is_client: true,
        }
    }

    fn server() -> Self {
        Driver {
            connection: Connection::server(config(), Moment::ORIGIN),
            links: Vec::new(),
            is_client: false,
        }
    }

    /// Feeds in chunks, answers every event, and lets time pass.
    fn exercise(mut self, first: u8, data: &[u8]) {
        let mut now = Moment::ORIGIN;
        let mut written = 0;
        let mut events = 0;
        let chunk = match first {
            0 => data.len().max(1),
            size => usize::from(size),
        };
        for bytes in data.chunks(chunk) {
            self.connection.feed(Bytes::copy_from_slice(bytes), now);
            while let Some(event) = self.connection.poll_event() {
                events += 1;
                assert!(events < MOST_EVENTS + 8 * data.len(), "events without end");
                self.respond(event);
            }
            while let Some(output) = self.connection.poll_output(now) {
                assert!(!output.is_empty(), "output without bytes");
                written += output.len();
                assert!(written < MOST_OUTPUT, "output without end");
            }
            now = now + Duration::from_millis(u64::from(first));
            self.connection.tick(now);
        }
        for _ in 0..16 {
            let Some(deadline) = self.connection.next_deadline() else { break };
            now = deadline.max(now + Duration::from_millis(1));
            self.connection.tick(now);
            while let Some(event) = self.connection.poll_event() {
                self.respond(event);
            }
            while self.connection.poll_output(now).is_some() {}
        }
    }

    /// All that happens and is written when `data` arrives unit by unit, each in pieces.
    fn story(mut self, data: &[u8], pieces: u8) -> String {
        let mut story = String::new();
        let mut rest = data;
        let mut sizes = Sizes::new(pieces);
        while !rest.is_empty() {
            let (unit, behind) = rest.split_at(unit_len(rest));
            rest = behind;
            sizes.feed(&mut self.connection, unit);
            while let Some(event) = self.connection.poll_event() {
                tell(&mut story, &event);
                self.respond(event);
            }
            while let Some(output) = self.connection.poll_output(Moment::ORIGIN) {
                assert!(story.len() + output.len() < MOST_OUTPUT, "output without end");
                let _ = writeln!(story, "{output:?}");
            }
        }
        story
    }

    /// All that happens when `data` arrives in pieces and nobody answers.
    fn heard(mut self, data: &[u8], pieces: u8) -> String {
        let mut story = String::new();
        Sizes::new(pieces).feed(&mut self.connection, data);
        while let Some(event) = self.connection.poll_event() {
            tell(&mut story, &event);
        }
        story
    }

    fn respond(&mut self, event: Event) {
        let connection = &mut self.connection;
        match event {
            Event::Opened(_) if self.is_client => self.open_links(),
            Event::Sasl { mechanism, .. } => connection.sasl_outcome(mechanism.as_str() != "PLAIN"),
            Event::AttachRequested { link, attach, .. } if attach.name.len() == 13 => {
                connection.refuse(link, AmqpError::new("amqp:not-found", "no such node"));
            }
            Event::AttachRequested { link, mut attach, .. } => {
                attach.role = match attach.role {
                    Role::Sender => Role::Receiver,
                    Role::Receiver => Role::Sender,
                };
                connection.accept(link, *attach);
                connection.set_credit(link, 3);
                let _ = connection.send(link, outgoing(self.links.len() as u64));
                if self.links.len() < 64 {
                    self.links.push(link);
                }
            }
            Event::Credit { link, drain, credit } => {
                for token in 0..u64::from(credit.min(4)) {
                    let _ = connection.send(link, outgoing(token));
                }
                if drain {
                    connection.drained(link);
                }
            }
            Event::Delivery { link, delivery } => {
                let _ = message::sections(&delivery.payload);
                connection.settle(link, delivery.id, Outcome::Accepted);
                if connection.credit(link) == 0 {
                    connection.set_credit(link, 3);
                }
            }
            Event::Outcome { link, token, .. } => {
                connection.cancel(link, token);
            }
            Event::Attached { link, .. } => {
                connection.set_credit(link, 3);
                connection.drain(link);
            }
            Event::Detached { link, .. } => {
                assert_eq!(connection.sendable(link), 0, "a link that is gone takes messages");
            }
            _ => {}
        }
    }

    /// One link of each role, with something to do on each.
    fn open_links(&mut self) {
        let Ok(session) = self.connection.begin() else { return };
        for (name, role) in [("out", Role::Sender), ("in", Role::Receiver)] {
            let mut attach = Attach::new(name, role);
            attach.target = Some(Target { address: Some("hub".to_owned()) });
            self.links.extend(self.connection.attach(session, attach));
        }
        for &link in &self.links {
            self.connection.set_credit(link, 10);
            let _ = self.connection.send(link, outgoing(1));
        }
    }
}

pub(super) fn config() -> Config {
    Config {
        container_id: "fuzz".to_owned(),
        hostname: Some("localhost".to_owned()),
        properties: Vec::new(),
        desired_capabilities: Vec::new(),
        idle_timeout: Some(Duration::from_secs(60)),
        sasl: SaslProfile::Anonymous,
        limits: Limits {
            max_frame_size: 65_536,
            channel_max: 15,
            handle_max: 31,
            max_links: 64,
            max_message_size: 1 << 20,
            max_unfinished_bytes: 4 << 20,
            session_window: 100,
            handshake_timeout: Duration::from_secs(30),
        },
    }
}

fn outgoing(token: u64) -> Outgoing {
    Outgoing {
        token,
        message_format: 0,
        settled: token.is_multiple_of(3),
        head: Bytes::from_static(&[0x00, 0x53, 0x75, 0xa0, 0x05]),
        body: Bytes::from_static(b"hello"),
    }
}

/// Everything about an event, what it does not show by itself, too.
fn tell(story: &mut String, event: &Event) {
    let _ = match event {
        Event::Delivery { delivery, .. } => writeln!(story, "{event:?} {:?}", delivery.payload),
        Event::Sasl { response, .. } => {
            writeln!(story, "{event:?} {:?}", response.as_ref().map(|bytes| &bytes.0))
        }
        _ => writeln!(story, "{event:?}"),
    };
}

/// How many bytes make the next unit of AMQP: a protocol header or a frame.
fn unit_len(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"AMQP") {
        return bytes.len().min(8);
    }
    let size = bytes.first_chunk::<4>().map_or(0, |size| u32::from_be_bytes(*size) as usize);
    if (8..=bytes.len()).contains(&size) { size } else { bytes.len() }
}

/// Where input is cut: nowhere, or at places that follow from a number.
struct Sizes {
    state: u32,
}

impl Sizes {
    fn new(pieces: u8) -> Self {
        Sizes { state: u32::from(pieces) }
    }

    fn feed(&mut self, connection: &mut Connection, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.next(bytes.len()));
            connection.feed(Bytes::copy_from_slice(piece), Moment::ORIGIN);
            bytes = rest;
        }
    }

    fn next(&mut self, len: usize) -> usize {
        if self.state == 0 {
            return len;
        }
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Small pieces show most; a large one now and then gets further.
        let most = if self.state >> 31 == 0 { 9 } else { 200 };
        (1 + (self.state >> 16) as usize % most).min(len)
    }
}

/// What both ends of a short valid conversation write: the client, then the server.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut server) = (Driver::client(), Driver::server());
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    // Far more turns than the handshake takes; the links then go on as long as credit is renewed.
    for turn in 0..40 {
        if turn == 30 {
            client.connection.close(None);
        }
        pass(&mut client, &mut server, &mut from_client);
        pass(&mut server, &mut client, &mut from_server);
    }
    (from_client, from_server)
}

/// Hands over what one end has written, and lets the other answer.
fn pass(from: &mut Driver, to: &mut Driver, written: &mut Vec<u8>) {
    while let Some(bytes) = from.connection.poll_output(Moment::ORIGIN) {
        written.extend_from_slice(&bytes);
        to.connection.feed(bytes, Moment::ORIGIN);
    }
    while let Some(event) = to.connection.poll_event() {
        to.respond(event);
    }
}

pub(super) fn client_conversation() -> Vec<Vec<u8>> {
    let (from_client, _) = conversation();
    let whole = [&[0], from_client.as_slice()].concat();
    let in_pieces = [&[7], from_client.as_slice()].concat();
    vec![
        whole,
        in_pieces,
        b"\x00GET /$servicebus/websocket HTTP/1.1\r\n\r\n".to_vec(),
        b"\x00AMQP\x00\x01\x00\x00".to_vec(),
    ]
}

pub(super) fn server_conversation() -> Vec<Vec<u8>> {
    let (_, from_server) = conversation();
    let whole = [&[0], from_server.as_slice()].concat();
    let in_pieces = [&[7], from_server.as_slice()].concat();
    // As other servers write them: SASL, then the frames of a link that receives.
    let mut golden = b"\x00AMQP\x03\x01\x00\x00".to_vec();
    for (index, frame) in GOLDEN.iter().enumerate() {
        golden.extend(unhex(frame));
        if index == 1 {
            golden.extend(b"AMQP\x00\x01\x00\x00");
        }
    }
    vec![whole, in_pieces, golden]
}

/// Both ends of the conversation, to be cut.
pub(super) fn split_conversations() -> Vec<Vec<u8>> {
    let (from_client, from_server) = conversation();
    vec![[&[0, 3], from_client.as_slice()].concat(), [&[1, 3], from_server.as_slice()].concat()]
}
