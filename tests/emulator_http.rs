//! The emulator over HTTP: publishing and management, with tokens that are verified.
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eventhubs::broker::{AccessKey, AccessRule, Rights, Scope};
use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::model::sas::sign;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start() -> Emulator {
    let rule = |name: &str, rights, scope| AccessRule {
        key_name: name.to_owned(),
        key: AccessKey::new("k"),
        rights,
        scope,
    };
    let mut config = EmulatorConfig::default()
        .with_hub("orders", 2)
        .with_hub("audit", 1)
        .with_rule(rule("listener", Rights::LISTEN, Scope::Namespace))
        .with_rule(rule("auditor", Rights::SEND, Scope::Hub("audit".to_owned())));
    config.tls = None;
    config.namespace.limits.max_message_size = 10_000;
    Emulator::start(config).await.unwrap()
}

fn in_an_hour() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + 3600
}

fn token(resource: &str) -> String {
    sign(resource, "root", "SAS_KEY_VALUE", in_an_hour())
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn ask(emulator: &Emulator, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\nContent-Length: {}\r\n",
        emulator.port(),
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut stream = TcpStream::connect(("127.0.0.1", emulator.port())).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head[9..12].parse().unwrap(), head: head.to_lowercase(), body: body.to_owned() }
}

fn events(emulator: &Emulator, hub: &str) -> i64 {
    let info = emulator.namespace().hub(hub).unwrap();
    let moment = eventhubs::model::moment::Moment::ORIGIN;
    let unix = eventhubs::Timestamp::from_millis(in_an_hour() * 1000 - 3_600_000);
    let now = eventhubs::broker::Now { moment, unix };
    let last = |partition| emulator.namespace().partition(hub, partition, now).unwrap().last_sequence + 1;
    (0..info.partitions).map(last).sum()
}

#[tokio::test]
async fn an_event_is_published_with_a_token_for_the_hub() {
    let emulator = start().await;
    let token = token("http://localhost/orders");
    let headers = [("Authorization", token.as_str()), ("BrokerProperties", r#"{"PartitionKey":"k"}"#)];
    let answer =
        ask(&emulator, "POST", "/orders/messages?timeout=60&api-version=2014-01", &headers, "hello").await;
    assert_eq!((answer.status, answer.body.as_str()), (201, ""));
    assert!(answer.head.contains("server: microsoft-httpapi/2.0"), "{}", answer.head);
    for path in ["/orders/partitions/1/messages", "/orders/publishers/device-1/messages"] {
        assert_eq!(ask(&emulator, "POST", path, &headers[..1], "hello").await.status, 201, "{path}");
    }
    let batch = [headers[0], ("Content-Type", "application/vnd.microsoft.servicebus.json")];
    let json = r#"[{"Body":"1"},{"Body":"2","UserProperties":{"a":1}}]"#;
    assert_eq!(ask(&emulator, "POST", "/orders/messages", &batch, json).await.status, 201);
    assert_eq!(events(&emulator, "orders"), 5);
}

#[tokio::test]
async fn what_is_refused_is_refused_with_the_services_words_and_nothing_is_stored() {
    let emulator = start().await;
    let valid = token("http://localhost/");
    let expired = sign("http://localhost/orders", "root", "SAS_KEY_VALUE", 1_700_000_000);
    let forged = sign("http://localhost/orders", "root", "not the key", in_an_hour());
    let elsewhere = token("http://localhost/audit");
    let listener = sign("http://localhost/orders", "listener", "k", in_an_hour());
    let auditor = sign("http://localhost/", "auditor", "k", in_an_hour());
    let large = "x".repeat(20_000);
    let table = [
        ("/orders/messages", "", "x", 401, "MissingToken"),
        ("/orders/messages", "nonsense", "x", 401, "MalformedToken"),
        ("/orders/messages", &expired, "x", 401, "ExpiredToken"),
        ("/orders/messages", &forged, "x", 401, "InvalidSignature"),
        ("/orders/messages", &elsewhere, "x", 401, "InvalidAudience"),
        ("/orders/messages", &listener, "x", 401, "'Send' claim"),
        ("/orders/messages", &auditor, "x", 401, "InvalidAudience"),
        ("/nowhere/messages", &valid, "x", 404, "could not be found"),
        ("/orders/partitions/2/messages", &valid, "x", 400, "The specified partition is invalid"),
        ("/orders/partitions/x/messages", &valid, "x", 400, "The specified partition is invalid"),
        ("/orders/messages", &valid, &large, 413, "10000 bytes"),
        ("/orders/of/messages", &valid, "x", 404, "Nothing can be published"),
    ];
    for (path, token, body, status, says) in table {
        let headers = [("Authorization", token)];
        let headers = if token.is_empty() { &[][..] } else { &headers[..] };
        let answer = ask(&emulator, "POST", path, headers, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
        assert!(answer.body.starts_with(&format!("<Error><Code>{status}</Code><Detail>")), "{}", answer.body);
    }
    assert_eq!(events(&emulator, "orders"), 0);
    assert_eq!(
        ask(&emulator, "POST", "/audit/messages", &[("Authorization", &auditor)], "x").await.status,
        201
    );
}

#[tokio::test]
async fn hubs_and_groups_are_managed_as_gos_hub_manager_does() {
    let emulator = start().await;
    let token = token("https://localhost/");
    let auth = [("Authorization", token.as_str())];
    let description = r#"<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><EventHubDescription
        xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
        ><MessageRetentionInDays>1</MessageRetentionInDays><PartitionCount>3</PartitionCount></EventHubDescription></content></entry>"#;
    let created = ask(&emulator, "PUT", "/clicks", &auth, description).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(created.body.contains("<PartitionCount>3</PartitionCount>"), "{}", created.body);
    assert_eq!(emulator.namespace().hub("clicks").unwrap().partitions, 3);
    assert_eq!(ask(&emulator, "PUT", "/clicks", &auth, description).await.status, 409);
    let update = [auth[0], ("If-Match", "*")];
    assert_eq!(ask(&emulator, "PUT", "/clicks", &update, description).await.status, 200);

    let one = ask(&emulator, "GET", "/clicks", &auth, "").await;
    assert!(
        one.body.contains(r#"<title type="text">clicks</title>"#)
            && one.body.contains("<a:string>2</a:string>")
    );
    let all = ask(&emulator, "GET", "/$Resources/EventHubs", &auth, "").await;
    assert_eq!(all.body.matches("<entry").count(), 3, "{}", all.body);

    assert_eq!(ask(&emulator, "PUT", "/clicks/ConsumerGroups/billing", &auth, "").await.status, 201);
    assert_eq!(ask(&emulator, "GET", "/clicks/consumergroups/billing", &auth, "").await.status, 200);
    let groups = ask(&emulator, "GET", "/clicks/ConsumerGroups", &auth, "").await;
    assert_eq!(groups.body.matches("<entry").count(), 2, "{}", groups.body);
    assert_eq!(ask(&emulator, "DELETE", "/clicks/ConsumerGroups/billing", &auth, "").await.status, 200);
    assert_eq!(ask(&emulator, "DELETE", "/clicks/ConsumerGroups/$Default", &auth, "").await.status, 400);

    assert_eq!(ask(&emulator, "DELETE", "/clicks", &auth, "").await.status, 200);
    for method in ["GET", "DELETE"] {
        assert_eq!(ask(&emulator, method, "/clicks", &auth, "").await.status, 404);
    }
    assert_eq!(ask(&emulator, "PUT", "/not%20a%20name", &auth, description).await.status, 400);
    let listener = sign("https://localhost/", "listener", "k", in_an_hour());
    let refused = ask(&emulator, "DELETE", "/orders", &[("Authorization", &listener)], "").await;
    assert_eq!(refused.status, 401);
    assert!(emulator.namespace().hub("orders").is_some());
}

#[tokio::test]
async fn the_console_is_served_where_there_is_one_and_the_counts_move_aside() {
    let built = tempfile::tempdir().unwrap();
    std::fs::create_dir(built.path().join("assets")).unwrap();
    std::fs::write(built.path().join("index.html"), "<title>Event Hubs console</title>").unwrap();
    std::fs::write(built.path().join("assets/core-1.wasm"), "\0asm").unwrap();
    let mut config = EmulatorConfig::default().with_hub("orders", 2).with_console(built.path());
    config.tls = None;
    let emulator = Emulator::start(config).await.unwrap();

    let page = ask(&emulator, "GET", "/", &[], "").await;
    assert_eq!((page.status, page.body.as_str()), (200, "<title>Event Hubs console</title>"));
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'")
    );
    assert!(page.head.contains("cache-control: no-cache"), "{}", page.head);
    let wasm = ask(&emulator, "GET", "/assets/core-1.wasm", &[], "").await;
    assert!(wasm.status == 200 && wasm.head.contains("content-type: application/wasm"), "{}", wasm.head);
    for nothing in ["/assets/none.js", "/assets/../index.html", "/assets/%2e%2e/index.html"] {
        assert_eq!(ask(&emulator, "GET", nothing, &[], "").await.status, 404, "{nothing}");
    }
    assert!(ask(&emulator, "GET", "/status", &[], "").await.body.contains("events kept"));

    let about = ask(&emulator, "GET", "/$console/emulator.json", &[], "").await;
    let said: serde_json::Value = serde_json::from_str(&about.body).unwrap();
    assert_eq!(said["hubs"][0]["name"], "orders");
    assert_eq!(said["key"], "SAS_KEY_VALUE");
    assert!(!about.head.contains("access-control-allow-origin"), "{}", about.head);
}

#[tokio::test]
async fn a_key_that_not_everybody_knows_is_told_to_no_page() {
    let mut config = EmulatorConfig::default().with_rule(AccessRule {
        key_name: "mine".to_owned(),
        key: AccessKey::new("s3cret"),
        rights: Rights::MANAGE,
        scope: Scope::Namespace,
    });
    config.tls = None;
    config.namespace.development_key = None;
    let emulator = Emulator::start(config).await.unwrap();
    let about = ask(&emulator, "GET", "/$console/emulator.json", &[], "").await;
    assert!(about.status == 200 && about.body.contains("eh1"), "{}", about.body);
    assert!(!about.body.contains("key") && !about.body.contains("s3cret"), "{}", about.body);
    assert!(ask(&emulator, "GET", "/", &[], "").await.body.contains("events kept"));
}

#[tokio::test]
async fn a_folder_that_holds_no_console_is_refused_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let mut config = EmulatorConfig::default().with_console(empty.path());
    config.tls = None;
    let error = Emulator::start(config).await.unwrap_err();
    assert!(
        error.to_string().contains("index.html") && error.to_string().contains("xtask console"),
        "{error}"
    );
}
