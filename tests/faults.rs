//! Faults and restarts through the Rust interface: guards that end with their scope, an emulator that comes back on its
//! ports, and who may use the control interface.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use eventhubs::broker::{AccessKey, AccessRule, Rights, Scope};
use eventhubs::emulator::{Emulator, EmulatorConfig, Fault, On};
use eventhubs::model::sas::sign;
use eventhubs::{ConsumerClient, ErrorKind, ProducerClient, RetryOptions, SendOptions, StartPosition};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn config() -> EmulatorConfig {
    let mut config = EmulatorConfig::default().with_hub("orders", 2);
    config.tls = None;
    config
}

fn patient() -> RetryOptions {
    RetryOptions {
        max_attempts: 1000,
        base_delay: Duration::from_millis(20),
        max_delay: Duration::from_millis(100),
        ..RetryOptions::default()
    }
}

fn producer(emulator: &Emulator, retry: RetryOptions) -> ProducerClient {
    let builder = ProducerClient::builder().connection_string(emulator.connection_string());
    builder.event_hub("orders").retry(retry).build().unwrap()
}

async fn send(producer: &ProducerClient, text: &str) -> Result<(), eventhubs::Error> {
    soon(producer.send_with(text, SendOptions::to_partition("0"))).await
}

/// Everything that is in partition 0.
async fn stored(emulator: &Emulator) -> Vec<String> {
    let builder = ConsumerClient::builder().connection_string(emulator.connection_string());
    let consumer = builder.event_hub("orders").build().unwrap();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    let batch = soon(events.next_batch(100, Duration::from_millis(300))).await.unwrap();
    batch.iter().map(|event| event.body_text().unwrap()).collect()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

#[tokio::test]
async fn a_fault_ends_with_its_guard() {
    let emulator = Emulator::start(config()).await.unwrap();
    let producer = producer(&emulator, RetryOptions::none());
    {
        let busy = emulator.faults().inject(Fault::busy().on_entity("orders")).unwrap();
        assert_eq!(send(&producer, "x").await.unwrap_err().kind(), ErrorKind::ServerBusy);
        assert_eq!(busy.hits(), 1);
    }
    send(&producer, "x").await.unwrap();
    assert!(emulator.faults().list().is_empty());
    let error = emulator.faults().inject(Fault::busy().on(On::Connect)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("cannot be connect"), "{error}");
}

#[tokio::test]
async fn a_test_waits_for_a_fault_to_strike() {
    let emulator = Emulator::start(config()).await.unwrap();
    let producer = producer(&emulator, patient());
    send(&producer, "before").await.unwrap();
    let lost = emulator.faults().inject(Fault::lose_ack().then_drop().times(2)).unwrap();
    let sent = tokio::spawn(async move { send(&producer, "again").await });
    assert_eq!(soon(lost.until_hit(2)).await, 2);
    soon(sent).await.unwrap().unwrap();
    assert_eq!(stored(&emulator).await, ["before", "again", "again", "again"]);
}

#[tokio::test]
async fn an_emulator_comes_back_on_its_port_with_what_it_has_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    for kills in [false, true] {
        let mut emulator =
            Emulator::start(config().with_data_dir(dir.path().join(kills.to_string()))).await.unwrap();
        let port = emulator.port();
        let producer = producer(&emulator, patient());
        send(&producer, "before").await.unwrap();
        match kills {
            true => emulator.kill().await.unwrap(),
            false => emulator.stop().await.unwrap(),
        }
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
        let sent = tokio::spawn(async move { send(&producer, "meanwhile").await });
        emulator.start_again().await.unwrap();
        emulator.start_again().await.unwrap();
        soon(sent).await.unwrap().unwrap();
        assert_eq!(
            (emulator.port(), stored(&emulator).await),
            (port, vec!["before".into(), "meanwhile".into()])
        );
    }
}

#[tokio::test]
async fn an_emulator_without_a_directory_comes_back_empty_and_with_its_faults() {
    let mut emulator = Emulator::start(config()).await.unwrap();
    let producer = producer(&emulator, patient());
    send(&producer, "forgotten").await.unwrap();
    let busy = emulator.faults().inject(Fault::duplicate()).unwrap();
    soon(emulator.restart()).await.unwrap();
    send(&producer, "new").await.unwrap();
    assert_eq!((stored(&emulator).await, busy.hits()), (vec!["new".to_owned(), "new".to_owned()], 1));
}

#[tokio::test]
async fn a_slow_disk_is_slow_with_a_directory_too_and_for_http() {
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(config().with_data_dir(dir.path())).await.unwrap();
    let producer = producer(&emulator, RetryOptions::none());
    send(&producer, "fast").await.unwrap();
    let slow = emulator.faults().inject(Fault::slow_disk(Duration::from_millis(200)).times(2)).unwrap();
    let begin = std::time::Instant::now();
    send(&producer, "slow").await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200) && slow.hits() == 1);
    let token = sign("http://localhost/orders", "any", "SAS_KEY_VALUE", 4_000_000_000);
    let begin = std::time::Instant::now();
    // Nobody is connected, so nobody else has a timer.
    producer.close().await;
    let (status, _) = ask(&emulator, "POST", "/orders/partitions/0/messages", Some(&token), "by http").await;
    assert!(status == 201 && begin.elapsed() >= Duration::from_millis(200) && slow.hits() == 2);
    assert_eq!(stored(&emulator).await, ["fast", "slow", "by http"]);
}

#[tokio::test]
async fn only_who_may_manage_sets_faults_where_the_key_is_no_secret_of_everybodys() {
    let mut config = config();
    config.namespace.development_key = None;
    for (name, rights) in [("root", Rights::MANAGE), ("sender", Rights::SEND)] {
        let scope = Scope::Namespace;
        let rule = AccessRule { key_name: name.into(), key: AccessKey::new("k"), rights, scope };
        config = config.with_rule(rule);
    }
    let emulator = Emulator::start(config).await.unwrap();
    let body = r#"{"kind":"refuse"}"#;
    let token = |name| sign("http://localhost/", name, "k", 4_000_000_000);
    assert_eq!(ask(&emulator, "POST", "/$faults", None, body).await.0, 401);
    assert_eq!(ask(&emulator, "POST", "/$faults", Some(&token("sender")), body).await.0, 401);
    assert!(emulator.faults().list().is_empty());
    let (status, said) = ask(&emulator, "POST", "/$faults", Some(&token("root")), body).await;
    assert!(status == 201 && said.contains(r#""kind":"refuse""#), "{said}");
    assert_eq!(emulator.faults().list().len(), 1);
    assert_eq!(ask(&emulator, "DELETE", "/$faults", Some(&token("root")), "").await.0, 200);
    assert!(emulator.faults().list().is_empty());
}

async fn ask(
    emulator: &Emulator,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, String) {
    let authorization = token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", emulator.port())).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}
