//! What is fed to what, and what must hold whatever is fed.
//!
//! Each entry point takes any bytes, must not panic, hang or grow without bound, and checks what it can
//! about the answer. The fuzzer's programs and the short run in `tests/fuzz.rs` share them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use eventhubs::amqp::{
    AmqpError, Attach, Config, Connection, Event, Limits, LinkId, Outcome, Outgoing, Role, SaslProfile,
    Target, message,
};
use eventhubs::dialect::annotations::BATCH_FORMAT;
use eventhubs::dialect::codec::{EventBatch, Publication, Stamp, encode_event};
use eventhubs::dialect::rpc::{Caller, Reply};
use eventhubs::dialect::{address::Address, cbs, management, selector};
use eventhubs::model::connection_string::ConnectionString;
use eventhubs::model::moment::Moment;
use eventhubs::model::sas::SasToken;
use eventhubs::{EventData, HubProperties, PartitionProperties, ReceivedEvent, Timestamp};

/// One entry point, by the name of its fuzz target.
pub struct Entry {
    pub name: &'static str,
    pub feed: fn(&[u8]),
    /// Valid input to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "engine_client", feed: engine_client, seeds: server_conversation },
    Entry { name: "engine_server", feed: engine_server, seeds: client_conversation },
    Entry { name: "message", feed: message, seeds: messages },
    Entry { name: "publication", feed: publication, seeds: publications },
    Entry { name: "request", feed: request, seeds: requests },
    Entry { name: "connection_string", feed: connection_string, seeds: connection_strings },
    Entry { name: "selector", feed: selector, seeds: selectors },
    Entry { name: "sas", feed: sas, seeds: tokens },
    Entry { name: "address", feed: address, seeds: addresses },
];

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

/// A message's sections, found without decoding and then decoded.
pub fn message(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(sections) = message::sections(&bytes) else { return };
    for span in [
        sections.header,
        sections.delivery_annotations,
        sections.message_annotations,
        sections.properties,
        sections.application_properties,
        sections.body,
        sections.footer,
    ] {
        let part = span.of(&bytes);
        assert!(part.len() <= bytes.len());
        let _ = message::header(&part);
        let _ = message::properties(&part);
        let _ = message::map(&part);
        let _ = message::map_get(&part, "x-opt-partition-key");
        let _ = message::data_sections(&part);
        let _ = message::body(&part);
    }
}

/// What a producer publishes: what the service takes, a reader can read.
pub fn publication(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    for format in [0, BATCH_FORMAT] {
        let Ok(publication) = Publication::parse(&payload, format) else { continue };
        let (len, room) = (publication.len(), publication.size());
        let stamp = Stamp { sequence_number: 7, offset: 448, enqueued_time: Timestamp::from_millis(0) };
        let (mut stored, mut size) = (0, 0);
        publication.store(&mut BytesMut::new(), stamp, |event| {
            stored += 1;
            size += event.size();
            let message = Bytes::from([&event.head[..], &event.body[..]].concat());
            read(ReceivedEvent::parse(message).expect("the service's part of a message is always sound"));
        });
        assert_eq!(stored, len);
        assert!(size <= room, "{size} bytes where {room} were expected at most");
    }
    if let Ok(event) = ReceivedEvent::parse(payload) {
        read(event);
    }
}

/// Requests to `$cbs` and `$management`, and the replies to them.
pub fn request(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    match cbs::Request::parse(&payload) {
        Ok(request) => assert_eq!(cbs::Request::parse(&request.encode()).as_ref(), Ok(&request)),
        Err(reply) => assert!(!reply.is_success()),
    }
    match management::Request::parse(&payload) {
        Ok(request) => assert_eq!(management::Request::parse(&request.encode()).as_ref(), Ok(&request)),
        Err(reply) => assert!(!reply.is_success()),
    }
    if let Ok(reply) = Reply::parse(&payload) {
        let _ = (HubProperties::from_reply(reply.clone()), PartitionProperties::from_reply(reply));
    }
}

fn read(event: ReceivedEvent) {
    let _ = (event.sequence_number(), event.offset(), event.enqueued_time(), event.partition_key());
    let _ = (event.body(), event.body_bytes(), event.body_text(), event.property("k"), event.last_enqueued());
    if let (Ok(message), Ok(copy)) = (event.message(), event.to_event_data()) {
        assert_eq!(&message.body, copy.body());
    }
}

/// A connection string, which never shows its secrets.
pub fn connection_string(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match ConnectionString::parse(&text) {
        Ok(parsed) => {
            assert!(!parsed.host().is_empty());
            assert!(!parsed.host().contains(char::is_control));
            // Whatever is printed can be printed.
            let _ = format!("{parsed:?} {parsed}");
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty() && shown.len() < 2_000, "{} bytes of error", shown.len());
            if let Some(key) = secret(&text) {
                assert!(!shown.contains(key), "the error shows the key");
            }
        }
    }
}

/// A selector: what is understood can be said again.
pub fn selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = selector::parse(&text);
}

/// A shared access signature.
pub fn sas(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(token) = SasToken::parse(&text) {
        let _ = (token.resource(), token.key_name(), token.expiry());
        assert!(!token.verify("another key than any that signed this"));
    }
}

/// A link's address: what is understood means the same when it is written and read again.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(address) = Address::parse(&text) {
        let written = address.to_string();
        assert_eq!(Address::parse(&written), Some(address), "{written}");
    }
}

/// One end of a connection, and what its driver would do with it.
struct Driver {
    connection: Connection,
    links: Vec<LinkId>,
    is_client: bool,
}

impl Driver {
    fn client() -> Self {
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

fn config() -> Config {
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

/// The key of a connection string that is whole enough to have one.
fn secret(text: &str) -> Option<&str> {
    let rest = text.split("SharedAccessKey=").nth(1)?;
    let key = rest.split(';').next()?;
    (key.len() > 8).then_some(key)
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

fn client_conversation() -> Vec<Vec<u8>> {
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

fn server_conversation() -> Vec<Vec<u8>> {
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

/// Frames as the service writes them.
const GOLDEN: &[&str] = &[
    "0000003902010000005340c02c01f00000002600000004a3074d53534243425305504c41494e09414e4f4e594d4f55530845585445524e414c",
    "0000001102010000005344c00402500040",
    "0000002802000000005310c01b0aa10567775f4731407000010000601387700003a9804040404040",
    "0000002802000001005311c01b0860000170000000017000000001388700000138870000000ff404040",
    "0000003502000001005313c0280b700000000070000013887000000001700000138870000000017000000000700000012c40424240",
    "0000001d02000001005315c010064170000000004041005324c0010040",
    "000000b902000001005314c01d0b70000000037000000000a00400000001700000000041424040404041005372c1830aa31b782d6f70742d73657175656e63652d6e756d6265722d65706f636854ffa315782d6f70742d73657175656e63652d6e756d6265725507a30c782d6f70742d6f6666736574a103343438a313782d6f70742d656e7175657565642d74696d65830000019b76daa800a313782d6f70742d706172746974696f6e2d6b6579a1026b31005375a0026869",
    "0000003002000001005316c0230370000000034100531dc01703a310616d71703a6c696e6b3a73746f6c656ea1017840",
];

fn messages() -> Vec<Vec<u8>> {
    let event = unhex(GOLDEN[6]);
    // Behind the frame header and the transfer's own fields.
    let bare = event[8 + 3 + 2 + 0x1d..].to_vec();
    let null_body = unhex("00537540");
    let value = unhex("005377a10568656c6c6f");
    let sequence = unhex("005376c00502540154020053 76c0030154 03".replace(' ', "").as_str());
    let properties = unhex("005373c00d02a1026d3140a1026162404040404040005374c10a02a1016b54015375a00100");
    vec![bare, null_body, value, sequence, properties, Vec::new()]
}

fn publications() -> Vec<Vec<u8>> {
    let rich = EventData::from("hello")
        .with_message_id("m1")
        .with_property("k", 5_i32)
        .with_annotation("mine", true)
        .with_partition_key("k1");
    let mut seeds = messages();
    seeds.extend([&rich, &EventData::from_value(5_i32)].map(|event| encode_event(event).unwrap().to_vec()));
    for key in [None, Some("k1".to_owned())] {
        let mut batch = EventBatch::new(0, key).unwrap();
        for event in [&EventData::from("a"), &EventData::from("b".repeat(300)), &rich] {
            let _ = batch.try_add(event);
        }
        let batch = batch.finish();
        seeds.push([&batch.head[..], &batch.body[..]].concat());
    }
    seeds
}

fn requests() -> Vec<Vec<u8>> {
    let caller = Caller::new(1_u64, "reply");
    let token = cbs::Request {
        caller: caller.clone(),
        token_type: cbs::TokenType::Sas,
        audience: "sb://localhost/orders".to_owned(),
        token: "SharedAccessSignature sr=a&sig=c2ln&se=1&skn=k".to_owned(),
        expiration: Some(Timestamp::from_millis(1)),
    };
    let read = management::Request {
        caller,
        hub: "orders".to_owned(),
        partition: Some("0".to_owned()),
        security_token: Some("token".to_owned()),
    };
    let hub = HubProperties::new("orders", Timestamp::from_millis(1), 2);
    let partition = PartitionProperties::new("orders", "0");
    [
        token.encode(),
        token.accept().encode(),
        read.encode(),
        read.reply_hub(&hub).encode(),
        read.reply_partition(&partition).encode(),
        read.caller.refuse(404, "amqp:not-found", "gone").encode(),
    ]
    .map(|message| message.to_vec())
    .to_vec()
}

fn connection_strings() -> Vec<Vec<u8>> {
    [
        "Endpoint=sb://name.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=c2VjcmV0LWtleQ==;EntityPath=orders",
        "Endpoint=sb://localhost:5672;SharedAccessKeyName=root;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;",
        "endpoint=sb://[::1]:5671/;SharedAccessSignature=SharedAccessSignature sr=a%2fb&sig=c2ln&se=1767225600&skn=root",
        "EntityPath=orders; Endpoint = amqps://10.0.0.1",
        "",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn selectors() -> Vec<Vec<u8>> {
    [
        "amqp.annotation.x-opt-offset > '-1'",
        "amqp.annotation.x-opt-offset >= '448'",
        "amqp.annotation.x-opt-offset > '@latest'",
        "amqp.annotation.x-opt-sequence-number > '7'",
        "amqp.annotation.x-opt-enqueued-time > '1767225600000'",
        "amqp.annotation.x-opt-sequence-number >= 7",
        "1=1",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn tokens() -> Vec<Vec<u8>> {
    let signed = eventhubs::model::sas::sign("sb://localhost/orders", "root", "SAS_KEY_VALUE", 1_767_225_600);
    vec![
        signed.into_bytes(),
        b"SharedAccessSignature sr=&sig=&se=&skn=".to_vec(),
        b"eyJ0eXAiOiJKV1Qi".to_vec(),
    ]
}

fn addresses() -> Vec<Vec<u8>> {
    [
        "$cbs",
        "$management",
        "orders/$management",
        "orders",
        "orders/Partitions/3",
        "orders/publishers/device-1",
        "orders/ConsumerGroups/$Default/Partitions/0",
        "amqps://localhost:5671/orders/ConsumerGroups/$Default/Partitions/0",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
