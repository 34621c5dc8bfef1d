//! The whole emulator behind its socket: the service's side of a connection, and everything that one port serves.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use eventhubs::amqp::{Attach, Connection, Event, LinkId, Outgoing, Role, Source, Target};
use eventhubs::broker::{BrokerConnection, HubConfig, Namespace, NamespaceConfig, Now, Waker};
use eventhubs::dialect::rpc::Caller;
use eventhubs::dialect::{cbs, management, selector};
use eventhubs::emulator::fuzzing::Sockets;
use eventhubs::model::moment::Moment;
use eventhubs::{StartPosition, Timestamp};

use super::engine::config;

/// What a namespace may hold for a few kilobytes of input.
const STORED_BYTES: u64 = 1 << 20;
/// No client makes one connection answer more than this for a few kilobytes.
const MOST_OUTPUT: usize = 64 << 20;

/// A namespace that hears anything from a client.
pub fn broker(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let mut now = start();
    let Ok(namespace) = Namespace::new(namespace(), now) else { return };
    let Ok(mut connection) = BrokerConnection::new(namespace.clone(), Waker::new(|| {}), now) else { return };
    let mut written = 0;
    let mut drain = |connection: &mut BrokerConnection, now| {
        while let Some(output) = connection.poll_output(now) {
            assert!(!output.is_empty(), "output without bytes");
            written += output.len();
            assert!(written < MOST_OUTPUT, "output without end");
        }
    };
    let piece = if first == 0 { rest.len().max(1) } else { usize::from(first) };
    for bytes in rest.chunks(piece) {
        connection.feed(Bytes::copy_from_slice(bytes), now);
        drain(&mut connection, now);
        now.moment = now.moment + Duration::from_millis(u64::from(first));
        connection.tick(now);
    }
    for _ in 0..16 {
        let Some(deadline) = connection.next_deadline() else { break };
        now.moment = deadline.max(now.moment + Duration::from_millis(1));
        connection.tick(now);
        drain(&mut connection, now);
    }
    assert!(namespace.stored_bytes() <= STORED_BYTES);
    drop(connection);
    assert_eq!(namespace.connections(), 0, "a connection that is gone is still counted");
}

/// A socket of the emulator that hears anything: AMQP, HTTP, WebSockets.
pub fn socket(data: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    let Some((&first, rest)) = data.split_first() else { return };
    let piece = if first == 0 { rest.len().max(1) } else { usize::from(first) };
    let Ok(sockets) = Sockets::new(namespace()) else { return };
    let served = sockets.serve(Bytes::copy_from_slice(rest), piece);
    let answered = RUNTIME.with(|runtime| runtime.block_on(served));
    assert!(answered < MOST_OUTPUT, "{answered} bytes of answers");
}

fn namespace() -> NamespaceConfig {
    let mut config = NamespaceConfig::default();
    config.hubs.push(HubConfig::new("orders", 2));
    config.limits.stored_bytes = STORED_BYTES;
    config.limits.partitions_per_hub = 8;
    config.limits.hubs = 4;
    config.limits.max_message_size = 64 << 10;
    config
}

fn start() -> Now {
    Now { moment: Moment::ORIGIN, unix: Timestamp::from_millis(1_767_225_600_000) }
}

/// A token for everything, until 2100.
fn token() -> String {
    eventhubs::model::sas::sign("http://localhost/", "root", "SAS_KEY_VALUE", 4_102_444_800)
}

/// What a client writes that does everything once: puts a token, reads properties, publishes, receives.
fn client() -> Vec<u8> {
    let now = start();
    let namespace = Namespace::new(namespace(), now).expect("a namespace");
    let mut service = BrokerConnection::new(namespace, Waker::new(|| {}), now).expect("a connection");
    let mut client = Connection::client(config(), now.moment);
    let mut written = Vec::new();
    let mut links: HashMap<LinkId, &str> = HashMap::new();
    for turn in 0..60 {
        while let Some(bytes) = client.poll_output(now.moment) {
            written.extend_from_slice(&bytes);
            service.feed(bytes, now);
        }
        while let Some(bytes) = service.poll_output(now) {
            client.feed(bytes, now.moment);
        }
        if turn == 50 {
            client.close(None);
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Opened(_) => {
                    let session = client.begin().expect("a session");
                    for (name, attach) in attaches() {
                        links.insert(client.attach(session, attach).expect("a link"), name);
                    }
                }
                Event::Attached { link, attach } if attach.role == Role::Sender => client.set_credit(link, 5),
                Event::Credit { link, .. } => {
                    if let Some(bodies) = links.remove(&link).map(messages) {
                        for (number, body) in bodies.into_iter().enumerate() {
                            let head = Bytes::new();
                            let sent = Outgoing {
                                token: number as u64,
                                message_format: 0,
                                settled: false,
                                head,
                                body,
                            };
                            client.send(link, sent).expect("credit for it");
                        }
                    }
                }
                _ => {}
            }
        }
    }
    written
}

fn attaches() -> Vec<(&'static str, Attach)> {
    let link = |name: &'static str, role, address: &str| {
        let mut attach = Attach::new(name, role);
        match role {
            Role::Sender => attach.target = Some(Target::at(address)),
            Role::Receiver => attach.source = Some(Source::at(address)),
        }
        (name, attach)
    };
    let mut reader = link("reader", Role::Receiver, "orders/ConsumerGroups/$Default/Partitions/0");
    if let Some(source) = &mut reader.1.source {
        source.filter.push(selector::filter(&StartPosition::earliest()));
    }
    let mut all = vec![
        link("cbs-out", Role::Sender, "$cbs"),
        link("cbs-in", Role::Receiver, "$cbs"),
        link("management-out", Role::Sender, "orders/$management"),
        link("management-in", Role::Receiver, "orders/$management"),
        link("sender", Role::Sender, "orders"),
        link("partition", Role::Sender, "orders/Partitions/0"),
    ];
    for (name, attach) in &mut all {
        if name.ends_with("-in") {
            attach.target = Some(Target::at(*name));
        }
    }
    all.push(reader);
    all
}

/// What is sent over a link.
fn messages(link: &str) -> Vec<Bytes> {
    let caller = Caller::new("m1", "cbs-in");
    match link {
        "cbs-out" => {
            let audience = "sb://localhost/orders".to_owned();
            let expiration = Some(Timestamp::from_millis(4_102_444_800_000));
            vec![
                cbs::Request {
                    caller,
                    token_type: cbs::TokenType::Sas,
                    audience,
                    token: token(),
                    expiration,
                }
                .encode(),
            ]
        }
        "management-out" => [None, Some("0".to_owned())]
            .map(|partition| {
                let caller = Caller::new(7_u64, "management-in");
                let (hub, security_token) = ("orders".to_owned(), Some(token()));
                management::Request { caller, hub, partition, security_token }.encode()
            })
            .to_vec(),
        "sender" | "partition" => vec![Bytes::from_static(&[0x00, 0x53, 0x75, 0xa0, 0x02, b'h', b'i'])],
        _ => Vec::new(),
    }
}

pub(super) fn conversations() -> Vec<Vec<u8>> {
    let client = client();
    vec![[&[0], client.as_slice()].concat(), [&[50], client.as_slice()].concat()]
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let http = |head: &str, body: &str| {
        let (token, len) = (token(), body.len());
        format!("\0{head} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nContent-Length: {len}\r\n\r\n{body}")
            .into_bytes()
    };
    let mut upgrade = b"\0GET /$servicebus/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n"
        .to_vec();
    let client = client();
    for piece in client.chunks(120) {
        // A whole binary message; the mask of zeros leaves it readable.
        upgrade.extend([0x82, 0x80 | piece.len() as u8, 0, 0, 0, 0]);
        upgrade.extend(piece);
    }
    upgrade.extend([0x88, 0x80, 0, 0, 0, 0]);
    vec![
        [&[0], client.as_slice()].concat(),
        upgrade,
        http("POST /orders/messages?timeout=60", "hello"),
        http("POST /orders/partitions/1/messages", "hello"),
        http("PUT /audit", "<PartitionCount>2</PartitionCount>"),
        http("PUT /orders/ConsumerGroups/billing", ""),
        http("GET /$Resources/EventHubs", ""),
        http("DELETE /orders", ""),
        b"\0GET /health HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nOPTIONS /orders/messages HTTP/1.1\r\nAccess-Control-Request-Headers: x\r\n\r\n".to_vec(),
        b"\x05POST /orders/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
        b"\0\x16\x03\x01\x02\x00\x01\x00".to_vec(),
    ]
}
