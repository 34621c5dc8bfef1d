//! The buffered producer: nothing lost, order kept in each partition, memory bounded, and every event has an end.

use std::collections::BTreeMap;
use std::time::Duration;

use eventhubs::{
    BufferedOptions, BufferedProducerClient, EnqueueOptions, ErrorKind, EventData, ProducerClient,
    RetryOptions,
};
use futures::future::{join_all, try_join_all};
use serde_json::json;

use crate::harness::spawn;
use crate::support::{Running, impatient, nothing_more, patient, soon, start, take, test, texts};

fn over(running: &Running, retry: RetryOptions, idempotent: bool) -> ProducerClient {
    let builder = ProducerClient::builder().connection_string(running.connection_string()).retry(retry);
    builder.idempotent(idempotent).build().unwrap()
}

fn buffered(running: &Running, options: BufferedOptions) -> BufferedProducerClient {
    BufferedProducerClient::new(over(running, patient(), false), options).unwrap()
}

fn quick() -> BufferedOptions {
    BufferedOptions { max_wait_time: Duration::from_millis(20), ..BufferedOptions::default() }
}

/// Only full buffers, flushes and those who wait for room make anything leave.
fn lazy() -> BufferedOptions {
    BufferedOptions { max_wait_time: Duration::from_secs(3600), ..BufferedOptions::default() }
}

/// Attempts that give up early on who does not answer.
fn brisk() -> RetryOptions {
    RetryOptions { attempt_timeout: Duration::from_millis(500), ..patient() }
}

fn to(partition: &str) -> EnqueueOptions {
    EnqueueOptions { partition_id: Some(partition.to_owned()), ..EnqueueOptions::default() }
}

async fn stored(running: &Running, partition: &str, count: usize) -> Vec<String> {
    let mut events = running.read(partition).await;
    let stored = take(&mut events, count).await;
    nothing_more(&mut events).await;
    texts(&stored)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[test]
async fn a_receipt_tells_the_partition_of_each_event() {
    let running = start().await;
    let producer = buffered(&running, quick());
    let one = soon(producer.enqueue_with("by partition", to("3"))).await.unwrap();
    // 'device-2' belongs to partition 2 of 4, and its event keeps it.
    let two = soon(producer.enqueue(EventData::from("by key").with_partition_key("device-2"))).await.unwrap();
    assert_eq!(soon(one).await.unwrap(), "3");
    assert_eq!(soon(two).await.unwrap(), "2");
    let event = take(&mut running.read("2").await, 1).await.remove(0);
    assert_eq!((event.body_text().unwrap(), event.partition_key()), ("by key".to_owned(), Some("device-2")));
    let in_turn = soon(producer.enqueue_all(["a", "b", "c", "d"], EnqueueOptions::default())).await.unwrap();
    let mut partitions = soon(try_join_all(in_turn)).await.unwrap();
    partitions.sort();
    assert_eq!(partitions, ["0", "1", "2", "3"]);
    soon(producer.close()).await.unwrap();
}

#[test]
async fn events_leave_when_they_have_waited_long_enough_when_flushed_and_when_there_are_many() {
    let running = start().await;
    let timed = buffered(&running, quick());
    soon(soon(timed.enqueue_with("0", to("0"))).await.unwrap()).await.unwrap();

    let flushed = buffered(&running, lazy());
    let mut receipt = soon(flushed.enqueue_with("1", to("0"))).await.unwrap();
    assert!(futures::poll!(&mut receipt).is_pending());
    assert_eq!((flushed.buffered_event_count("0"), flushed.total_buffered_event_count()), (1, 1));
    soon(flushed.flush()).await.unwrap();
    assert_eq!(soon(receipt).await.unwrap(), "0");
    assert_eq!(flushed.total_buffered_event_count(), 0);
    soon(flushed.flush()).await.unwrap();

    let many = buffered(&running, BufferedOptions { max_buffered_events_per_partition: 10, ..lazy() });
    let receipts = soon(many.enqueue_all(["2", "3", "4", "5", "6"], to("0"))).await.unwrap();
    soon(try_join_all(receipts)).await.unwrap();
    assert_eq!(stored(&running, "0", 7).await, numbers(7));
}

#[test]
async fn who_finds_no_room_waits_for_it_in_turn() {
    let running = start().await;
    let options = BufferedOptions { max_buffered_events_per_partition: 4, ..lazy() };
    let producer = buffered(&running, options);
    let receipts = (0..100).map(|n| producer.enqueue_with(n.to_string(), to("0")));
    let receipts = soon(try_join_all(receipts)).await.unwrap();
    soon(producer.close()).await.unwrap();
    soon(try_join_all(receipts)).await.unwrap();
    assert_eq!(stored(&running, "0", 100).await, numbers(100));
}

#[test]
async fn a_full_buffer_says_so_when_time_is_up_and_unknown_partitions_and_closed_clients_at_once() {
    let mut running = start().await;
    let options = BufferedOptions { max_buffered_events_per_partition: 2, ..quick() };
    let producer = BufferedProducerClient::new(over(&running, brisk(), false), options).unwrap();
    soon(producer.enqueue_with("0", to("1"))).await.unwrap().await.unwrap();
    let fault = running.fault(json!({"kind": "stop-partition", "partition": "0"})).await;
    let waiting = soon(producer.enqueue_all(["0", "1"], to("0"))).await.unwrap();
    let options = EnqueueOptions { timeout: Some(Duration::from_millis(50)), ..to("0") };
    let error = soon(producer.enqueue_with("too much", options)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("the buffer of partition '0' is full: 2 events"), "{error}");

    let error = soon(producer.enqueue_with("x", to("7"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("there is no partition '7': there are 0, 1, 2, 3"), "{error}");
    let keyed = EventData::from("x").with_partition_key("k");
    let error = soon(producer.enqueue_with(keyed, to("0"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let error = soon(producer.enqueue(vec![0; 2 * 1024 * 1024])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge, "{error}");

    running.heal(fault).await;
    soon(try_join_all(waiting)).await.unwrap();
    soon(producer.close()).await.unwrap();
    let error = soon(producer.enqueue_with("late", to("0"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(stored(&running, "0", 2).await, numbers(2));
}

#[test]
async fn what_is_aborted_says_so_to_everybody() {
    let running = start().await;
    let options = BufferedOptions { max_buffered_events_per_partition: 1000, ..lazy() };
    let producer = buffered(&running, options);
    let receipts = soon(producer.enqueue_all(numbers(10), to("0"))).await.unwrap();
    soon(producer.abort()).await;
    for receipt in receipts {
        assert_eq!(soon(receipt).await.unwrap_err().kind(), ErrorKind::Closed);
    }
    assert_eq!(producer.total_buffered_event_count(), 0);
    let properties = soon(running.consumer().partition_properties("0")).await.unwrap();
    assert!(properties.is_empty);

    // Being dropped is the same.
    let producer = buffered(&running, lazy());
    let receipt = soon(producer.enqueue_with("dropped", to("0"))).await.unwrap();
    drop(producer);
    assert_eq!(soon(receipt).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
async fn who_begins_to_listen_after_the_end_hears_that_it_was_the_end() {
    let running = start().await;
    let producer = buffered(&running, quick());
    let mut before = producer.outcomes();
    soon(soon(producer.enqueue("x")).await.unwrap()).await.unwrap();
    soon(producer.close()).await.unwrap();
    assert!(soon(before.next()).await.is_some_and(|outcome| outcome.error.is_none()));
    assert!(soon(before.next()).await.is_none());
    assert!(soon(producer.outcomes().next()).await.is_none());
}

#[test]
async fn events_that_cannot_be_stored_are_given_back_to_whoever_listens() {
    let mut running = start().await;
    let one_try = RetryOptions { max_attempts: 1, ..impatient() };
    let producer = BufferedProducerClient::new(over(&running, one_try, false), quick()).unwrap();
    let mut outcomes = producer.outcomes();
    soon(soon(producer.enqueue_with("stored", to("0"))).await.unwrap()).await.unwrap();
    let outcome = soon(outcomes.next()).await.unwrap();
    assert_eq!(
        (outcome.partition_id.as_str(), outcome.events.len(), outcome.error.is_none()),
        ("0", 1, true)
    );

    let fault = running.fault(json!({"kind": "busy", "on": "send"})).await;
    let receipts = soon(producer.enqueue_all(["a", "b"], to("0"))).await.unwrap();
    let mut given_back = Vec::new();
    while given_back.len() < 2 {
        let outcome = soon(outcomes.next()).await.unwrap();
        assert_eq!(outcome.error.unwrap().kind(), ErrorKind::ServerBusy);
        given_back.extend(outcome.events);
    }
    let given_back: Vec<_> = given_back.iter().map(|event| event.body().clone()).collect();
    let sent: Vec<_> = ["a", "b"].map(|text| EventData::from(text).body().clone()).to_vec();
    assert_eq!(given_back, sent);
    for receipt in receipts {
        assert_eq!(soon(receipt).await.unwrap_err().kind(), ErrorKind::ServerBusy);
    }
    running.heal(fault).await;
    soon(producer.close()).await.unwrap();
    assert!(soon(outcomes.next()).await.is_none());
    assert_eq!(outcomes.missed(), 0);
}

/// Tasks that enqueue side by side, while something goes wrong again and again; what each of them finds stored of its own.
async fn under_fire(idempotent: bool, fault: serde_json::Value) -> BTreeMap<usize, Vec<usize>> {
    const TASKS: usize = 4;
    const EVENTS: usize = 150;
    let mut running = start().await;
    let options = BufferedOptions {
        max_wait_time: Duration::from_millis(5),
        max_buffered_events_per_partition: 40,
        ..BufferedOptions::default()
    };
    let producer = BufferedProducerClient::new(over(&running, brisk(), idempotent), options).unwrap();
    soon(producer.enqueue_with("first", to("1"))).await.unwrap().await.unwrap();
    let id = running.fault(fault.clone()).await;
    let tasks = (0..TASKS).map(|task| {
        let producer = producer.clone();
        spawn(async move {
            let mut receipts = Vec::new();
            for n in 0..EVENTS {
                receipts.push(producer.enqueue_with(format!("{task} {n}"), to("0")).await.unwrap());
            }
            try_join_all(receipts).await.unwrap();
        })
    });
    soon(join_all(tasks)).await;
    assert!(running.heal(id).await >= 1, "{fault}");
    soon(producer.close()).await.unwrap();
    let count =
        soon(running.consumer().partition_properties("0")).await.unwrap().last_enqueued_sequence_number;
    let mut events = running.read("0").await;
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for text in texts(&take(&mut events, usize::try_from(count + 1).unwrap()).await) {
        let (task, n) = text.split_once(' ').unwrap();
        found.entry(task.parse().unwrap()).or_default().push(n.parse().unwrap());
    }
    let all: Vec<usize> = (0..EVENTS).collect();
    for (task, found) in &found {
        match idempotent {
            true => assert_eq!(*found, all, "{fault}, task {task}"),
            // A batch whose answer was lost is stored again.
            false => assert!(all.iter().all(|n| found.contains(n)), "{fault}, task {task}: lost"),
        }
    }
    assert_eq!(found.len(), TASKS);
    found
}

#[test]
async fn over_an_idempotent_producer_nothing_is_lost_repeated_or_out_of_order_whatever_goes_wrong() {
    for fault in [
        json!({"kind": "lose-ack", "then": "drop", "after": 2, "times": 3}),
        json!({"kind": "drop", "on": "send", "after": 3, "times": 3}),
        json!({"kind": "detach", "on": "send", "after": 2, "times": 3}),
        json!({"kind": "duplicate", "times": 3}),
    ] {
        under_fire(true, fault).await;
    }
}

#[test]
async fn over_an_ordinary_producer_nothing_is_lost_whatever_goes_wrong() {
    for fault in [
        json!({"kind": "lose-ack", "then": "drop", "after": 2, "times": 2}),
        json!({"kind": "busy", "on": "send", "times": 1}),
    ] {
        let found = under_fire(false, fault.clone()).await;
        let is_lossless = fault["kind"] == "busy";
        for (task, found) in found {
            assert!(!is_lossless || found.is_sorted(), "{fault}, task {task}: out of order");
        }
    }
}

#[test]
async fn wrong_options_are_refused_at_once() {
    let running = start().await;
    let two = BufferedOptions { max_concurrent_sends_per_partition: Some(2), ..BufferedOptions::default() };
    let error = BufferedProducerClient::new(over(&running, patient(), false), two.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("could change their order"), "{error}");
    BufferedProducerClient::new(over(&running, patient(), true), two).unwrap();
    let none = BufferedOptions { max_buffered_bytes: 0, ..BufferedOptions::default() };
    let error = BufferedProducerClient::new(over(&running, patient(), true), none).unwrap_err();
    assert!(error.to_string().contains("`max_buffered_bytes` is 0"), "{error}");
}
