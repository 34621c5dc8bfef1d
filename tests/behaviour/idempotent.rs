//! Idempotent producers: whatever is lost on the way, every event is stored once, in order.

use eventhubs::{
    BatchOptions, ErrorKind, EventBatch, ProducerClient, PublishingState, RetryOptions, SendOptions,
};
use futures::future::{Either, select, try_join_all};
use serde_json::json;

use crate::service::{Proxy, Wanted};
use crate::support::{
    Running, impatient, nothing_more, patient, soon, start, start_wanted, take, test, texts,
};

fn idempotent(running: &Running, retry: RetryOptions) -> ProducerClient {
    let builder = ProducerClient::builder().connection_string(running.connection_string()).retry(retry);
    builder.idempotent(true).build().unwrap()
}

fn continued(running: &Running, state: PublishingState) -> ProducerClient {
    let builder = ProducerClient::builder().connection_string(running.connection_string());
    builder.retry(patient()).idempotent(true).publishing_state("0", state).build().unwrap()
}

fn zero() -> SendOptions {
    SendOptions::to_partition("0")
}

async fn batch(producer: &ProducerClient, events: impl IntoIterator<Item = usize>) -> EventBatch {
    let options = BatchOptions { partition_id: Some("0".to_owned()), ..BatchOptions::default() };
    let mut batch = soon(producer.create_batch_with(options)).await.unwrap();
    for event in events {
        assert!(batch.try_add(&event.to_string().into()).unwrap());
    }
    batch
}

async fn stored(running: &Running, count: usize) -> Vec<String> {
    let mut events = running.read("0").await;
    let stored = take(&mut events, count).await;
    nothing_more(&mut events).await;
    texts(&stored)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// Attempts that give up early on who does not answer.
fn brisk() -> RetryOptions {
    RetryOptions { attempt_timeout: std::time::Duration::from_millis(500), ..patient() }
}

#[test]
async fn what_goes_wrong_between_storing_and_answering_stores_nothing_twice() {
    for fault in [
        json!({"kind": "lose-ack", "times": 1}),
        json!({"kind": "lose-ack", "then": "drop", "times": 2}),
        json!({"kind": "cut-frame", "on": "sent", "times": 1}),
        json!({"kind": "half-open", "direction": "to-client", "times": 1}),
        json!({"kind": "duplicate", "times": 2}),
        json!({"kind": "busy", "on": "send", "times": 1}),
        json!({"kind": "detach", "on": "send", "after": 3, "times": 2}),
        json!({"kind": "drop", "on": "send", "after": 5, "times": 2}),
    ] {
        let mut running = start().await;
        let producer = idempotent(&running, brisk());
        soon(producer.send_with("0", zero())).await.unwrap();
        let id = running.fault(fault.clone()).await;
        // One behind the other, without waiting: many are on their way when it happens.
        let sends = (1..40).map(|n| producer.send_with(n.to_string(), zero()));
        soon(try_join_all(sends)).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert!(running.heal(id).await >= 1, "{fault}");
        assert_eq!(stored(&running, 40).await, numbers(40), "{fault}");
        assert_eq!(soon(producer.publishing_state("0")).await.unwrap().sequence_number, 39, "{fault}");
    }
}

#[test]
async fn batches_over_a_wire_that_is_cut_again_and_again_are_stored_once_and_in_order() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    let builder = ProducerClient::builder().connection_string(running.connection_string()).retry(patient());
    let through = builder.custom_endpoint(format!("ws://127.0.0.1:{}", proxy.port)).idempotent(true);
    let producer = through.build().unwrap();
    for round in 0..8 {
        let mut batches = Vec::new();
        for n in 0..30 {
            let first = (round * 30 + n) * 5;
            batches.push(batch(&producer, first..first + 5).await);
        }
        let sends = try_join_all(batches.into_iter().map(|batch| producer.send_batch(batch)));
        let mut sends = Box::pin(sends);
        assert!(futures::poll!(&mut sends).is_pending());
        let marker = producer.send_with("marker", SendOptions::to_partition("1"));
        select(&mut sends, Box::pin(marker)).await;
        proxy.cut().await;
        soon(sends).await.unwrap();
    }
    assert!(proxy.connections().await >= 8);
    assert_eq!(stored(&running, 1200).await, numbers(1200));
}

#[test]
async fn an_emulator_that_is_killed_and_comes_back_has_every_event_once() {
    let mut running = start_wanted(Wanted { is_durable: true, ..Wanted::default() }).await;
    let producer = idempotent(&running, patient());
    let mut sent = 0;
    for _ in 0..5 {
        let sends = (sent..sent + 20).map(|n| producer.send_with(n.to_string(), zero()));
        let mut sends = Box::pin(try_join_all(sends));
        assert!(futures::poll!(&mut sends).is_pending());
        // In the middle of it: some are stored, some have left, some have not.
        let marker = producer.send_with("marker", SendOptions::to_partition("1"));
        if let Either::Right((marker, _)) = select(&mut sends, Box::pin(marker)).await {
            marker.unwrap();
        }
        running.kill().await;
        running.start_again().await;
        soon(sends).await.unwrap();
        sent += 20;
    }
    assert_eq!(stored(&running, sent).await, numbers(sent));
}

#[test]
async fn another_client_goes_on_where_one_ended() {
    let running = start().await;
    let first = idempotent(&running, patient());
    let new = soon(first.publishing_state("0")).await.unwrap();
    assert_eq!((new.sequence_number, new.next()), (-1, 0));
    soon(first.send_batch(batch(&first, 0..3).await)).await.unwrap();
    let before = soon(first.publishing_state("0")).await.unwrap();
    assert_eq!(before, PublishingState { sequence_number: 2, ..new });
    soon(first.send_batch(batch(&first, 3..5).await)).await.unwrap();
    drop(first);

    // Its word of the second batch was lost, so it is sent again: numbered alike, it is known.
    let second = continued(&running, before);
    soon(second.send_batch(batch(&second, 3..5).await)).await.unwrap();
    soon(second.send_batch(batch(&second, 5..6).await)).await.unwrap();
    assert_eq!(soon(second.publishing_state("0")).await.unwrap().sequence_number, 5);
    assert_eq!(stored(&running, 6).await, numbers(6));
}

#[test]
async fn a_client_that_goes_on_at_the_wrong_place_is_told_so() {
    let running = start().await;
    let first = idempotent(&running, patient());
    soon(first.send_batch(batch(&first, 0..3).await)).await.unwrap();
    let state = soon(first.publishing_state("0")).await.unwrap();
    first.close().await;
    for wrong in [5, 0] {
        let second = continued(&running, PublishingState { sequence_number: wrong, ..state });
        let error = soon(second.send_batch(batch(&second, 3..6).await)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        assert_eq!(error.condition(), Some("com.microsoft:out-of-order-sequence"));
        assert!(!error.is_transient() && error.to_string().contains("3 is expected next"), "{error}");
    }
}

#[test]
async fn the_newer_of_two_clients_that_are_one_producer_goes_on_and_the_older_is_told() {
    let running = start().await;
    let old = idempotent(&running, patient());
    soon(old.send_with("0", zero())).await.unwrap();
    let state = soon(old.publishing_state("0")).await.unwrap();
    let new = continued(&running, PublishingState { epoch: state.epoch + 1, ..state });
    soon(new.send_with("1", zero())).await.unwrap();
    let error = soon(old.send_with("stolen", zero())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnershipLost, "{error}");
    assert_eq!(error.condition(), Some("com.microsoft:producer-epoch-stolen"));
    assert!(!error.is_transient());
    // And does not take it back by trying again.
    soon(old.send_with("stolen", zero())).await.unwrap_err();
    soon(new.send_with("2", zero())).await.unwrap();
    assert_eq!(stored(&running, 3).await, numbers(3));
}

#[test]
async fn an_event_that_is_refused_leaves_its_number_to_the_next() {
    let running = start().await;
    let producer = idempotent(&running, impatient());
    soon(producer.send_with("0", zero())).await.unwrap();
    let large = vec![0; 2 * 1024 * 1024];
    let error = soon(producer.send_with(large, zero())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    soon(producer.send_with("1", zero())).await.unwrap();
    assert_eq!(soon(producer.publishing_state("0")).await.unwrap().sequence_number, 1);
    assert_eq!(stored(&running, 2).await, numbers(2));
}

#[test]
async fn a_producer_that_gave_up_on_an_event_asks_how_far_it_has_come() {
    for fault in [json!({"kind": "lose-ack", "then": "drop"}), json!({"kind": "drop", "on": "send"})] {
        let mut running = start().await;
        let one_try = RetryOptions { max_attempts: 1, ..impatient() };
        let producer = idempotent(&running, one_try);
        soon(producer.send_with("0", zero())).await.unwrap();
        let id = running.fault(fault.clone()).await;
        let error = soon(producer.send_with("perhaps", zero())).await.unwrap_err();
        assert!(error.outcome_unknown(), "{fault}: {error}");
        running.heal(id).await;
        // The connection may still be down for the first of these.
        soon(async { while producer.send_with("1", zero()).await.is_err() {} }).await;
        let is_stored = fault["kind"] == "lose-ack";
        let expected: &[&str] = if is_stored { &["0", "perhaps", "1"] } else { &["0", "1"] };
        assert_eq!(stored(&running, expected.len()).await, expected, "{fault}");
    }
}

#[test]
async fn a_send_that_is_given_up_after_it_left_is_stored_once_all_the_same() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    let builder = ProducerClient::builder().connection_string(running.connection_string()).retry(patient());
    let through = builder.custom_endpoint(format!("ws://127.0.0.1:{}", proxy.port)).idempotent(true);
    let producer = through.build().unwrap();
    soon(producer.send_with("0", zero())).await.unwrap();
    {
        let mut given_up = Box::pin(producer.send_with("1", zero()));
        assert!(futures::poll!(&mut given_up).is_pending());
        // What left later has left behind it.
        let marker = producer.send_with("marker", SendOptions::to_partition("1"));
        select(&mut given_up, Box::pin(marker)).await;
    }
    proxy.cut().await;
    let rest = (2..5).map(|n| producer.send_with(n.to_string(), zero()));
    soon(try_join_all(rest)).await.unwrap();
    assert_eq!(stored(&running, 5).await, numbers(5));
}

#[test]
async fn wrong_use_is_refused_at_once() {
    let running = start().await;
    let producer = idempotent(&running, impatient());
    let is_refused = |error: eventhubs::Error, why: &str| {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let why = "it has to be told the partition";
    is_refused(soon(producer.send("no partition")).await.unwrap_err(), why);
    is_refused(soon(producer.send_with("key", SendOptions::with_key("k"))).await.unwrap_err(), why);
    is_refused(soon(producer.create_batch()).await.unwrap_err(), why);
    is_refused(soon(producer.send_all(["a"], SendOptions::default())).await.unwrap_err(), why);

    let ordinary = running.producer();
    is_refused(soon(ordinary.publishing_state("0")).await.unwrap_err(), "is not idempotent");
    let foreign = batch(&producer, 0..1).await;
    is_refused(soon(ordinary.send_batch(foreign)).await.unwrap_err(), "is another client's");

    let state = PublishingState { producer_id: 1, epoch: 0, sequence_number: -1 };
    let builder = || ProducerClient::builder().connection_string(running.connection_string());
    is_refused(builder().publishing_state("0", state).build().unwrap_err(), "not idempotent");
    let state = PublishingState { sequence_number: -2, ..state };
    is_refused(builder().idempotent(true).publishing_state("0", state).build().unwrap_err(), "-2");
}

#[test]
async fn lists_are_numbered_too() {
    let running = start().await;
    let producer = idempotent(&running, impatient());
    let large = "x".repeat(400_000);
    let list: Vec<String> = (0..9).map(|n| format!("{n}{large}")).collect();
    assert_eq!(soon(producer.send_all(list.clone(), zero())).await.unwrap(), 9);
    assert_eq!(soon(producer.publishing_state("0")).await.unwrap().sequence_number, 8);
    assert_eq!(stored(&running, 9).await, list);
}
