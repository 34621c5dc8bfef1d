//! What goes wrong on purpose, as clients see it: each kind once, set through the emulator's HTTP interface.

use std::time::Duration;

use eventhubs::{
    ConsumerClient, Error, ErrorKind, EventStream, ProducerClient, RetryOptions, SendOptions, StartPosition,
};
use serde_json::{Value, json};

use crate::harness::{clock, spawn, within};
use crate::support::{Running, impatient, nothing_more, patient, soon, start, take, test, texts};

/// Attempts that give up early on who does not answer.
fn brisk() -> RetryOptions {
    RetryOptions { attempt_timeout: Duration::from_millis(500), ..patient() }
}

fn producer(running: &Running, retry: RetryOptions) -> ProducerClient {
    ProducerClient::builder().connection_string(running.connection_string()).retry(retry).build().unwrap()
}

async fn send(producer: &ProducerClient, text: &str) -> Result<(), Error> {
    soon(producer.send_with(text, SendOptions::to_partition("0"))).await
}

async fn read(running: &Running, retry: RetryOptions) -> EventStream {
    let consumer = ConsumerClient::builder().connection_string(running.connection_string()).retry(retry);
    let reader = consumer.build().unwrap().partition("0").from(StartPosition::earliest());
    soon(reader.open()).await.unwrap()
}

/// Sends "before", has something go wrong, sends "after", and says what is stored then and how often it went wrong.
async fn sent_through(fault: Value) -> (Vec<String>, u64) {
    let mut running = start().await;
    let producer = producer(&running, brisk());
    send(&producer, "before").await.unwrap();
    let id = running.fault(fault).await;
    send(&producer, "after").await.unwrap();
    let hits = running.heal(id).await;
    let mut events = running.read("0").await;
    let stored = soon(events.next_batch(10, Duration::from_millis(200))).await.unwrap();
    (texts(&stored), hits)
}

/// Reads "before", has something go wrong, and reads what was sent then.
async fn read_through(fault: Value) -> u64 {
    let mut running = start().await;
    let sender = running.producer();
    let mut events = read(&running, brisk()).await;
    send(&sender, "before").await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["before"]);
    let id = running.fault(fault).await;
    for n in 0..20 {
        send(&sender, &n.to_string()).await.unwrap();
    }
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(texts(&take(&mut events, 20).await), expected);
    nothing_more(&mut events).await;
    running.heal(id).await
}

#[test]
async fn sends_survive_whatever_ends_before_they_are_stored() {
    for fault in [
        json!({"kind": "drop"}),
        json!({"kind": "drop", "on": "send", "times": 1}),
        json!({"kind": "detach", "on": "send", "times": 2}),
        json!({"kind": "detach", "condition": "", "on": "send", "times": 1}),
        json!({"kind": "end", "on": "send", "times": 1}),
        json!({"kind": "close", "on": "send", "times": 1}),
        json!({"kind": "half-open", "on": "send", "times": 1}),
        json!({"kind": "restart", "downMs": 100}),
        json!({"kind": "expire-token"}),
        json!({"kind": "expire-token", "on": "send", "times": 1}),
        json!({"kind": "drop", "on": "attach", "times": 1}),
        json!({"kind": "drop", "on": "token", "times": 1}),
        json!({"kind": "stop-partition", "partition": "0", "times": 1}),
    ] {
        let is_needed = !matches!(fault["on"].as_str(), Some("attach" | "token"));
        let (stored, hits) = sent_through(fault.clone()).await;
        assert_eq!(stored, ["before", "after"], "{fault}");
        assert!(!is_needed || hits >= 1, "{fault}: {hits}");
    }
}

#[test]
async fn what_was_stored_but_not_answered_is_sent_again() {
    for fault in [
        json!({"kind": "lose-ack", "times": 1}),
        json!({"kind": "lose-ack", "then": "drop", "times": 1}),
        json!({"kind": "cut-frame", "on": "sent", "times": 1}),
        json!({"kind": "half-open", "direction": "to-client", "times": 1}),
        json!({"kind": "duplicate", "times": 1}),
    ] {
        let (stored, hits) = sent_through(fault.clone()).await;
        assert_eq!((stored, hits), (["before", "after", "after"].map(str::to_owned).to_vec(), 1), "{fault}");
    }
}

#[test]
async fn streams_miss_and_repeat_nothing_whatever_ends_them() {
    for fault in [
        json!({"kind": "drop", "role": "receive"}),
        json!({"kind": "drop", "on": "received", "after": 5, "times": 2}),
        json!({"kind": "cut-frame", "on": "received", "after": 3, "times": 2}),
        json!({"kind": "detach", "role": "receive"}),
        json!({"kind": "detach", "on": "receive", "after": 4, "times": 3}),
        json!({"kind": "end", "on": "received", "after": 4, "times": 1}),
        json!({"kind": "close", "on": "received", "after": 4, "times": 1}),
        json!({"kind": "busy", "on": "receive", "times": 1}),
        json!({"kind": "delay", "delayMs": 30, "jitterMs": 30}),
        json!({"kind": "bandwidth", "bytesPerSecond": 20_000, "direction": "to-client"}),
        json!({"kind": "slow-disk", "delayMs": 30}),
    ] {
        let hits = read_through(fault.clone()).await;
        assert!(hits >= 1, "{fault}");
    }
}

#[test]
async fn a_refused_connection_is_made_when_it_is_let() {
    let mut running = start().await;
    let id = running.fault(json!({"kind": "refuse"})).await;
    let hasty = producer(&running, RetryOptions { max_attempts: 2, ..impatient() });
    let error = send(&hasty, "x").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectFailed | ErrorKind::ConnectionLost), "{error}");
    let producer = producer(&running, brisk());
    let sent = spawn(async move { send(&producer, "x").await });
    running.until_hit(id, 4).await;
    running.heal(id).await;
    soon(sent).await.unwrap();
}

#[test]
async fn slow_things_take_as_long_as_they_are_told_to() {
    for fault in [
        json!({"kind": "delay", "delayMs": 150}),
        json!({"kind": "slow-disk", "delayMs": 300}),
        json!({"kind": "bandwidth", "bytesPerSecond": 20_000}),
    ] {
        let mut running = start().await;
        let producer = running.producer();
        send(&producer, "before").await.unwrap();
        running.fault(fault.clone()).await;
        let begin = clock();
        send(&producer, &"x".repeat(6000)).await.unwrap();
        let took = clock() - begin;
        assert!(took >= Duration::from_millis(280), "{fault}: {took:?}");
    }
}

#[test]
async fn a_busy_service_is_an_error_that_passes() {
    let mut running = start().await;
    let producer = producer(&running, RetryOptions::none());
    let id = running.fault(json!({"kind": "busy", "entity": "orders"})).await;
    let error = send(&producer, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ServerBusy);
    assert!(error.is_transient() && error.to_string().contains("Error code : 50002"), "{error}");
    assert_eq!(running.heal(id).await, 1);
    send(&producer, "x").await.unwrap();
}

#[test]
async fn refused_tokens_are_what_their_status_says() {
    for (status, kind) in
        [(401, ErrorKind::Unauthorized), (404, ErrorKind::NotFound), (503, ErrorKind::ServerBusy)]
    {
        let mut running = start().await;
        let id = running.fault(json!({"kind": "refuse-token", "status": status})).await;
        let producer = producer(&running, RetryOptions::none());
        let error = send(&producer, "x").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(running.heal(id).await >= 1);
        send(&producer, "x").await.unwrap();
    }
}

#[test]
async fn a_clock_that_is_ahead_finds_tokens_expired() {
    let mut running = start().await;
    let id = running.fault(json!({"kind": "skew-clock", "skewMs": 86_400_000})).await;
    let producer = producer(&running, RetryOptions::none());
    let error = send(&producer, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("ExpiredToken"), "{error}");
    running.heal(id).await;
    send(&producer, "x").await.unwrap();
}

#[test]
async fn a_stolen_reader_is_told_and_does_not_fight() {
    let mut running = start().await;
    let mut events = running.read("0").await;
    let id = running.fault(json!({"kind": "steal-link"})).await;
    let error = soon(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnershipLost);
    assert!(error.to_string().contains("New receiver 'nil' with higher epoch"), "{error}");
    assert_eq!(running.heal(id).await, 1);
}

#[test]
async fn a_stopped_partition_is_silent_and_its_neighbours_are_not() {
    let mut running = start().await;
    let producer = running.producer();
    let (mut events, mut others) = (running.read("0").await, running.read("1").await);
    let id = running.fault(json!({"kind": "stop-partition", "partition": "0", "role": "receive"})).await;
    send(&producer, "held").await.unwrap();
    soon(producer.send_with("passes", SendOptions::to_partition("1"))).await.unwrap();
    assert_eq!(texts(&take(&mut others, 1).await), ["passes"]);
    running.until_hit(id, 1).await;
    assert!(within(Duration::from_millis(50), events.next()).await.is_none());
    running.heal(id).await;
    assert_eq!(texts(&take(&mut events, 1).await), ["held"]);
}

#[test]
async fn a_fault_ends_by_its_number_and_says_what_is_wrong_with_it() {
    let mut running = start().await;
    let (status, said) = running.ask("POST", "/$faults", r#"{"kind":"drpo"}"#).await;
    assert_eq!(
        (status, said["error"].as_str().unwrap()),
        (400, "there is no kind of fault 'drpo': did you mean 'drop'?")
    );
    let id = running.fault(json!({"kind": "drop", "on": "send", "after": 2})).await;
    let (_, said) = running.ask("GET", "/$faults", "").await;
    assert_eq!(said, json!({"faults": [{"id": id, "hits": 0, "kind": "drop", "on": "send", "after": 2}]}));
    running.heal(id).await;
    assert_eq!(running.ask("DELETE", &format!("/$faults/{id}"), "").await.0, 404);
    running.fault(json!({"kind": "drop", "on": "send"})).await;
    assert_eq!(running.ask("DELETE", "/$faults", "").await, (200, json!({"faults": []})));
    assert_eq!(running.ask("PUT", "/$faults", "").await.0, 405);
    assert_eq!(running.ask("GET", "/$faults/x", "").await.0, 404);
    for n in 0..64 {
        running.fault(json!({"kind": "drop", "on": "send", "after": 1000 + n})).await;
    }
    let (status, said) = running.ask("POST", "/$faults", r#"{"kind":"drop"}"#).await;
    assert!(status == 400 && said["error"].as_str().unwrap().contains("64 faults are set"), "{said}");
}
