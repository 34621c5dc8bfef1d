//! The emulator's front door: what speaks to it on one port, and what does not.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use eventhubs::emulator::{Emulator, EmulatorConfig};
use fe2o3_amqp_ws::tokio_tungstenite::client_async;
use fe2o3_amqp_ws::tungstenite::client::IntoClientRequest;
use fe2o3_amqp_ws::tungstenite::{self, Message};
use futures::{SinkExt, StreamExt};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const SASL: &[u8] = b"AMQP\x03\x01\x00\x00";

struct Running {
    emulator: Emulator,
    _dir: TempDir,
}

async fn start(change: impl FnOnce(&mut EmulatorConfig)) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let mut config = EmulatorConfig::default().with_ca_dir(dir.path());
    change(&mut config);
    Running { emulator: Emulator::start(config).await.unwrap(), _dir: dir }
}

impl Running {
    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.emulator.port())).await.unwrap()
    }

    async fn tls(&self, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let ca = self.emulator.ca_path().unwrap();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.tcp().await).await
    }
}

/// Nothing here may hang.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

/// The SASL header is answered with itself and the mechanisms.
async fn speaks_amqp(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_all(SASL).await.unwrap();
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer[..8], SASL);
    let length = u32::from_be_bytes(answer[8..].try_into().unwrap()) as usize;
    let mut frame = vec![0; length - 4];
    soon(stream.read_exact(&mut frame)).await.unwrap();
    let text = String::from_utf8_lossy(&frame);
    assert!(text.contains("ANONYMOUS") && text.contains("MSSBCBS"), "{text}");
}

async fn speaks_http(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let answer = ask(stream, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"status":"healthy","message":"Service is healthy."}"#), "{answer}");
}

/// Everything that comes back until the other side closes.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    all(stream).await
}

async fn all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    match soon(stream.read_to_end(&mut answer)).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn speaks_amqp_in_web_socket<S>(stream: S, url: &str, protocol: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    request.headers_mut().insert("origin", "https://elsewhere.test".parse().unwrap());
    let (mut socket, response) = soon(client_async(request, stream)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
    // One byte a message: messages mean nothing.
    for byte in SASL {
        socket.send(Message::Binary(vec![*byte].into())).await.unwrap();
    }
    let mut answer = Vec::new();
    while answer.len() < 60 {
        answer.extend_from_slice(&soon(socket.next()).await.unwrap().unwrap().into_data());
    }
    assert!(answer.starts_with(SASL));
    assert!(String::from_utf8_lossy(&answer).contains("ANONYMOUS"));
    socket.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::Pong("x".into()));
    socket.send(Message::Text("x".into())).await.unwrap();
    let close = soon(socket.next()).await.unwrap().unwrap();
    assert!(matches!(&close, Message::Close(Some(frame)) if u16::from(frame.code) == 1003), "{close:?}");
}

#[tokio::test]
async fn one_port_speaks_amqp_and_http_with_and_without_tls() {
    let running = start(|_| {}).await;
    speaks_amqp(&mut running.tcp().await).await;
    speaks_http(&mut running.tcp().await).await;
    for name in ["localhost", "127.0.0.1", "::1"] {
        speaks_amqp(&mut running.tls(name).await.unwrap()).await;
    }
    speaks_http(&mut running.tls("localhost").await.unwrap()).await;
    assert!(running.tls("elsewhere.test").await.is_err());
}

#[tokio::test]
async fn one_port_speaks_web_sockets_in_both_dialects_with_and_without_tls() {
    let running = start(|_| {}).await;
    for protocol in ["AMQPWSB10", "amqp"] {
        for path in ["$servicebus/websocket", "$servicebus/websocket/", "%24servicebus/websocket"] {
            let url = format!("ws://localhost/{path}");
            speaks_amqp_in_web_socket(running.tcp().await, &url, protocol).await;
        }
        let stream = running.tls("localhost").await.unwrap();
        speaks_amqp_in_web_socket(stream, "wss://localhost/$servicebus/websocket", protocol).await;
    }
}

#[tokio::test]
async fn extra_ports_speak_everything_too_and_names_can_be_added() {
    use eventhubs::emulator::ExtraPort;
    let running = start(|config| {
        config.tls_port = ExtraPort::Required(0);
        config.health_port = ExtraPort::Required(0);
        config.tls.get_or_insert_default().names = vec!["emulator.test".to_owned()];
    })
    .await;
    for port in [running.emulator.tls_port().unwrap(), running.emulator.health_port().unwrap()] {
        speaks_amqp(&mut TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await;
        speaks_http(&mut TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await;
    }
    speaks_amqp(&mut running.tls("emulator.test").await.unwrap()).await;
}

/// As Java asks: E15.
#[tokio::test]
async fn an_upgrade_with_an_absolute_target_is_answered_with_the_reason_phrase() {
    let running = start(|_| {}).await;
    let mut stream = running.tls("localhost").await.unwrap();
    let request = "GET https://localhost/$servicebus/websocket HTTP/1.1\r\nHost: localhost\r\n\
        Connection: Upgrade,Keep-Alive\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: AMQPWSB10\r\n\r\n";
    // What is sent right behind the request, before its answer, belongs to the WebSocket.
    let frame = [&b"\x82\x88\0\0\0\0"[..], SASL].concat();
    stream.write_all(&[request.as_bytes(), &frame].concat()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(9).any(|part| part == b"ANONYMOUS") {
        assert_ne!(soon(stream.read_buf(&mut answer)).await.unwrap(), 0);
    }
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{text}");
    for line in ["Upgrade: websocket", "Connection: Upgrade", "Sec-Websocket-Protocol: AMQPWSB10"] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn an_upgrade_without_a_known_sub_protocol_is_refused() {
    let running = start(|_| {}).await;
    let mut request = "ws://localhost/$servicebus/websocket".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().unwrap());
    let refused = soon(client_async(request, running.tcp().await)).await.err().unwrap();
    let tungstenite::Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), 400);
    assert!(String::from_utf8_lossy(response.body().as_deref().unwrap()).contains("AMQPWSB10"));
}

#[tokio::test]
async fn what_makes_no_sense_is_answered_at_once_and_harms_nobody() {
    let running = start(|_| {}).await;
    let table: [(&[u8], &str); 8] = [
        (b"\0\0\0\x08\x02\0\0\0", "AMQP\u{3}\u{1}\0\0"),
        (b"AMQP\x07\x09\x09\x09", "AMQP"),
        (b"AMQP\x03\x01\0\0\xff\xff\xff\xff", "AMQP\u{3}\u{1}\0\0"),
        (b"hello there\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"GET /no/where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (b"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (
            b"POST /eh1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 401 Unauthorized",
        ),
        (b"DELETE /a/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 Not Found"),
    ];
    for (bytes, expected) in table {
        let mut stream = running.tcp().await;
        stream.write_all(bytes).await.unwrap();
        let answer = all(&mut stream).await;
        assert!(answer.starts_with(expected), "{bytes:?} → {answer}");
    }
    // A TLS hello without a version, and TLS inside of TLS.
    let mut stream = running.tcp().await;
    stream.write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await.unwrap();
    assert!(all(&mut stream).await.starts_with('\u{15}'), "no TLS alert");
    let mut stream = running.tls("localhost").await.unwrap();
    stream.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    assert!(all(&mut stream).await.starts_with("AMQP"));
    speaks_amqp(&mut running.tcp().await).await;
}

#[tokio::test]
async fn a_header_too_long_is_refused() {
    let running = start(|_| {}).await;
    let mut stream = running.tcp().await;
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    // It may answer before all of it is written.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut head = [0; 12];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 431");
}

#[tokio::test]
async fn peers_that_say_nothing_or_too_slowly_are_let_go() {
    let running = start(|config| config.sockets.first_bytes = Duration::from_millis(300)).await;
    // Nothing; half a header of AMQP; half a TLS hello; half a request; nothing inside of TLS.
    for bytes in [&b""[..], b"AMQ", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\nHost"] {
        let mut stream = running.tcp().await;
        stream.write_all(bytes).await.unwrap();
        all(&mut stream).await;
    }
    all(&mut running.tls("localhost").await.unwrap()).await;
    // Half of it, and gone.
    for bytes in [&b"AMQ"[..], b"\x16\x03", b"POST /eh1/messages HTTP/1.1\r\n"] {
        let mut stream = running.tcp().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        all(&mut stream).await;
    }
    speaks_amqp(&mut running.tcp().await).await;
}

#[tokio::test]
async fn without_tls_a_tls_client_is_told_so() {
    let running = start(|config| config.tls = None).await;
    assert!(running.emulator.ca_path().is_none());
    let mut stream = running.tcp().await;
    stream.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    assert_eq!(all(&mut stream).await.as_bytes()[0], 0x15);
}

#[tokio::test]
async fn sockets_beyond_the_limit_are_closed_and_places_become_free_again() {
    let running = start(|config| config.sockets.sockets = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = running.tcp().await;
        speaks_amqp(&mut stream).await;
        held.push(stream);
    }
    let mut surplus = running.tcp().await;
    assert_eq!(soon(surplus.read(&mut [0])).await.unwrap_or(0), 0);
    held.clear();
    soon(async {
        loop {
            let mut stream = running.tcp().await;
            let _ = stream.write_all(SASL).await;
            if stream.read_exact(&mut [0; 8]).await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn it_stops_when_it_is_dropped_and_when_it_is_told_to() {
    let running = start(|_| {}).await;
    let mut open = running.tcp().await;
    speaks_amqp(&mut open).await;
    let port = running.emulator.port();
    drop(running);
    soon(open.read_to_end(&mut Vec::new())).await.unwrap_or(0);
    soon(async { while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {} }).await;

    let running = start(|config| config.sockets.shutdown = Duration::from_secs(10)).await;
    let (mut silent, mut keeps_alive) = (running.tcp().await, running.tcp().await);
    keeps_alive.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    soon(keeps_alive.read_exact(&mut [0; 20])).await.unwrap();
    silent.write_all(b"AM").await.unwrap();
    let started = std::time::Instant::now();
    soon(running.emulator.shutdown()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "it waits for peers that have nothing to say");
}

#[tokio::test]
async fn a_page_may_publish() {
    let running = start(|_| {}).await;
    let request = "OPTIONS /eh1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: https://page.test\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-mine\r\n\r\n";
    let answer = ask(&mut running.tcp().await, request).await.to_lowercase();
    for line in [
        "http/1.1 200 ok",
        "access-control-allow-origin: *",
        "access-control-allow-headers: authorization,x-mine",
        "access-control-allow-private-network: true",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
    assert!(answer.contains("access-control-allow-methods: post"), "{answer}");
}

/// Reads until this is among what was heard.
async fn hears(stream: &mut TcpStream, heard: &mut Vec<u8>, what: &[u8]) {
    while !heard.windows(what.len()).any(|part| part == what) {
        let read = soon(stream.read_buf(heard)).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(heard));
    }
}

/// A connection that is open in AMQP's sense, and what was heard on it.
async fn open(running: &Running) -> (TcpStream, Vec<u8>) {
    let mut stream = running.tcp().await;
    speaks_amqp(&mut stream).await;
    stream.write_all(b"\0\0\0\x19\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS").await.unwrap();
    stream.write_all(b"AMQP\0\x01\0\0\0\0\0\x14\x02\0\0\0\0\x53\x10\xc0\x07\x01\xa1\x04test").await.unwrap();
    let mut heard = Vec::new();
    hears(&mut stream, &mut heard, b"\0\x53\x10").await;
    (stream, heard)
}

#[tokio::test]
async fn clients_are_told_that_it_stops() {
    let running = start(|_| {}).await;
    let (mut stream, mut heard) = open(&running).await;
    let goodbye = async {
        hears(&mut stream, &mut heard, b"amqp:connection:forced").await;
        // An answer, so that nobody has to wait for it.
        stream.write_all(b"\0\0\0\x0c\x02\0\0\0\0\x53\x18\x45").await.unwrap();
        all(&mut stream).await;
    };
    let ((), stopped) = tokio::join!(goodbye, soon(running.emulator.shutdown()));
    stopped.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let running = start(|config| config.namespace.limits.connections = 1).await;
    let _first = open(&running).await;
    let (mut stream, mut heard) = open(&running).await;
    hears(&mut stream, &mut heard, b"amqp:resource-limit-exceeded").await;
    hears(&mut stream, &mut heard, b"The namespace has 1 connections").await;
}

#[tokio::test]
async fn a_directory_keeps_hubs_groups_and_events() {
    let data = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = EmulatorConfig::default().with_data_dir(data.path());
        config.tls = None;
        config
    };
    let first = config().with_hub("orders", 2).with_consumer_group("orders", "billing");
    let emulator = Emulator::start(first).await.unwrap();
    let producer = eventhubs::ProducerClient::builder()
        .connection_string(format!("{}EntityPath=orders", emulator.connection_string()))
        .build()
        .unwrap();
    for n in 0..20 {
        soon(producer.send(format!("event {n}").as_str())).await.unwrap();
    }
    let before = producer.partition_properties("1").await.unwrap();
    let in_use = Emulator::start(config()).await.err().unwrap().to_string();
    assert!(in_use.contains("another emulator has it open"), "{in_use}");
    // Dropped, not shut down: the directory is free at once all the same.
    drop(emulator);

    let emulator = Emulator::start(config().with_consumer_group("orders", "audit")).await.unwrap();
    let hubs = emulator.namespace().hubs();
    assert_eq!(hubs.len(), 1, "the default hub is for those that have none: {hubs:?}");
    assert_eq!((hubs[0].name.as_str(), hubs[0].partitions), ("orders", 2));
    assert_eq!(hubs[0].consumer_groups, ["$Default", "billing", "audit"]);
    let producer = eventhubs::ProducerClient::builder()
        .connection_string(format!("{}EntityPath=orders", emulator.connection_string()))
        .build()
        .unwrap();
    let after = producer.partition_properties("1").await.unwrap();
    assert_eq!(after.last_enqueued_sequence_number, before.last_enqueued_sequence_number);
    assert_eq!(after.last_enqueued_offset, before.last_enqueued_offset);
    soon(emulator.shutdown()).await.unwrap();

    let wrong = Emulator::start(config().with_hub("orders", 3)).await.err().unwrap().to_string();
    assert!(wrong.contains("orders") && wrong.contains('2') && wrong.contains('3'), "{wrong}");
}
