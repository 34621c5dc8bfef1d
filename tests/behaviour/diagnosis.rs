//! A diagnosis names what does not work, says what to do, and always comes to an end.

use eventhubs::amqp::{AmqpError, Event};
use eventhubs::broker::{AccessKey, AccessRule, Rights, Scope};
use eventhubs::dialect::cbs;
use eventhubs::{Check, ClientOptions, ConsumerClient, Diagnosis, ProducerClient, Verdict};

use crate::harness::{IS_WASM, Listener};
use crate::peer::{Peer, Seen, Then, address, answer};
use crate::support::{HUB, Running, SCHEME, Way, soon, start, start_with, test, ways};

const NAMES: [&str; 9] = ["dns", "socket", "tls", "websocket", "sasl", "cbs", "entity", "rights", "clock"];

fn check<'a>(diagnosis: &'a Diagnosis, name: &str) -> &'a Check {
    let names: Vec<_> = diagnosis.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, NAMES, "all of them, in order: {diagnosis}");
    diagnosis.checks.iter().find(|check| check.name == name).unwrap()
}

/// What has failed; where something has, there is a hint.
fn failed(diagnosis: &Diagnosis) -> Vec<&'static str> {
    let failed = diagnosis.checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let failed: Vec<_> = failed.inspect(|check| assert!(!check.hint.is_empty(), "{diagnosis}")).collect();
    assert_eq!(failed.is_empty(), diagnosis.is_ok());
    failed.iter().map(|check| check.name).collect()
}

fn producer_with(running: &Running, name: &str, key: &str, hub: &str) -> ProducerClient {
    let text = format!(
        "Endpoint=sb://localhost:{};SharedAccessKeyName={name};SharedAccessKey={key};EntityPath={hub};UseDevelopmentEmulator=true",
        running.port()
    );
    ProducerClient::from_connection_string(text).unwrap()
}

#[test]
async fn what_works_is_said_to_work_by_every_way() {
    let running = start().await;
    for way in ways() {
        let producer = running.by(*way, ProducerClient::builder()).build().unwrap();
        let diagnosis = soon(producer.diagnose()).await;
        assert_eq!(failed(&diagnosis), [""; 0], "{diagnosis}");
        let verdict = |name| check(&diagnosis, name).verdict;
        let native = if IS_WASM { Verdict::Skipped } else { Verdict::Ok };
        assert_eq!((verdict("dns"), verdict("socket")), (native, native), "{diagnosis}");
        let is_tls = matches!(way, Way::Wss | Way::Amqps);
        assert_eq!(verdict("tls"), if is_tls { native } else { Verdict::Skipped }, "{diagnosis}");
        let is_websocket = matches!(way, Way::Ws | Way::Wss);
        assert_eq!(verdict("websocket"), if is_websocket { Verdict::Ok } else { Verdict::Skipped });
        for name in &NAMES[4..] {
            assert_eq!(verdict(name), Verdict::Ok, "{diagnosis}");
        }
        assert!(check(&diagnosis, "entity").detail.contains("4 partitions"), "{diagnosis}");
    }
    let diagnosis = soon(running.consumer().diagnose()).await;
    assert!(check(&diagnosis, "rights").detail.contains("listen: yes"), "{diagnosis}");
}

#[test]
async fn a_place_where_nothing_listens_fails_at_the_socket() {
    let port = Listener::tcp().await.port();
    let text = format!(
        "Endpoint={SCHEME}://127.0.0.1:{port};SharedAccessKeyName=k;SharedAccessKey=aHVzaA==;EntityPath=orders"
    );
    let diagnosis = soon(ProducerClient::from_connection_string(text).unwrap().diagnose()).await;
    assert_eq!(failed(&diagnosis), [if IS_WASM { "websocket" } else { "socket" }], "{diagnosis}");
    assert_eq!(check(&diagnosis, "clock").verdict, Verdict::Skipped);
    assert!(diagnosis.endpoint.contains(&port.to_string()));
    assert!(!format!("{diagnosis} {diagnosis:?}").contains("aHVzaA"), "{diagnosis:?}");
}

#[test]
async fn a_peer_that_says_nothing_does_not_hang_it() {
    let listener = Listener::tcp().await;
    let consumer = ConsumerClient::builder()
        .connection_string(format!(
            "Endpoint=ws://127.0.0.1:{};SharedAccessKeyName=k;SharedAccessKey=s;EntityPath=orders",
            listener.port()
        ))
        .options(ClientOptions {
            connect_timeout: std::time::Duration::from_millis(200),
            ..ClientOptions::default()
        })
        .build()
        .unwrap();
    let diagnosis = soon(consumer.diagnose()).await;
    assert_eq!(failed(&diagnosis), ["websocket"], "{diagnosis}");
}

#[test]
async fn keys_rights_and_names_are_told_apart() {
    let running = start_with(|namespace| {
        namespace.development_key = None;
        let rule = |name: &str, rights| AccessRule {
            key_name: name.into(),
            key: AccessKey::new(format!("{name}-key")),
            rights,
            scope: Scope::Namespace,
        };
        namespace.rules =
            vec![rule("all", Rights::MANAGE), rule("sender", Rights::SEND), rule("listener", Rights::LISTEN)];
    })
    .await;
    for (name, key, hub, expected) in [
        ("all", "all-key", HUB, None),
        ("all", "wrong-key", HUB, Some("cbs")),
        ("nobody", "all-key", HUB, Some("cbs")),
        ("listener", "listener-key", HUB, Some("rights")),
        ("sender", "sender-key", HUB, None),
        ("all", "all-key", "elsewhere", Some("entity")),
    ] {
        let diagnosis = soon(producer_with(&running, name, key, hub).diagnose()).await;
        assert_eq!(failed(&diagnosis).first().copied(), expected, "{name} {key} {hub}: {diagnosis}");
        assert!(!format!("{diagnosis} {diagnosis:?}").contains(key), "{diagnosis:?}");
        assert_eq!(check(&diagnosis, "clock").verdict, Verdict::Ok, "{diagnosis}");
    }
    // It may not read properties, but it may do what a producer does.
    let diagnosis = soon(producer_with(&running, "sender", "sender-key", HUB).diagnose()).await;
    assert_eq!(check(&diagnosis, "entity").verdict, Verdict::Warning, "{diagnosis}");
    assert!(check(&diagnosis, "rights").detail.contains("send: yes; listen: no"), "{diagnosis}");
}

#[test]
async fn a_service_whose_clock_differs_is_warned_of() {
    let peer = Peer::start(|engine, seen: Seen<'_>| {
        let Event::Delivery { link, delivery } = seen.event else { return Then::AsUsual };
        if seen.state.address(*link).as_deref() != Some("$cbs") {
            return Then::AsUsual;
        }
        let text = "ExpiredToken: The token is expired. TrackingId:8f_G1, SystemTracker:NoSystemTracker, Timestamp:2001-01-01T00:00:00";
        let refused = cbs::Request::parse(&delivery.payload).unwrap().caller.refuse(401, "com.microsoft:auth-failed", text);
        answer(engine, seen.state, "$cbs", refused.encode());
        Then::Handled
    })
    .await;
    let producer = ProducerClient::from_connection_string(peer.connection_string()).unwrap();
    let diagnosis = soon(producer.diagnose()).await;
    assert_eq!(failed(&diagnosis), ["cbs"], "{diagnosis}");
    let clock = check(&diagnosis, "clock");
    assert_eq!(clock.verdict, Verdict::Warning, "{diagnosis}");
    assert!(clock.detail.contains("ahead"), "{diagnosis}");
}

#[test]
async fn a_reader_that_finds_others_in_its_place_has_the_right_all_the_same() {
    let peer = Peer::start(|engine, seen: Seen<'_>| match seen.event {
        Event::AttachRequested { link, attach, .. }
            if address(attach).is_some_and(|address| address.starts_with("orders/")) =>
        {
            engine
                .refuse(*link, AmqpError::new("amqp:link:stolen", "At least one receiver with epoch of '0'"));
            Then::Handled
        }
        _ => Then::AsUsual,
    })
    .await;
    let consumer = ConsumerClient::from_connection_string(peer.connection_string()).unwrap();
    let diagnosis = soon(consumer.diagnose()).await;
    assert_eq!(failed(&diagnosis), [""; 0], "{diagnosis}");
    assert_eq!(check(&diagnosis, "rights").verdict, Verdict::Warning, "{diagnosis}");
}
