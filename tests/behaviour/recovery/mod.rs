//! What is lost comes back: connections, links, whole servers. Nothing is missing, nothing is read twice.

mod links;
mod partitions;
mod unanswered;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use eventhubs::amqp::{AmqpError, Connection, Event, Outcome, Outgoing, message};
use eventhubs::dialect::management;
use eventhubs::{
    ConsumerClient, ErrorKind, PartitionProperties, ProducerClient, RetryOptions, SendOptions, StartPosition,
    Symbol, Timestamp, Value,
};
use futures::future::{Either, select, try_join_all};

use crate::harness::spawn;
use crate::peer::{self, Peer, Seen, Then, address, producer_of};
use crate::service::{Proxy, Wanted};
use crate::support::{SCHEME, nothing_more, patient, soon, start, start_wanted, take, test, texts};

#[test]
async fn clients_go_on_when_the_emulator_comes_back_on_its_port() {
    let mut running = start_wanted(Wanted { is_durable: true, ..Wanted::default() }).await;
    let connection_string = running.connection_string();
    let producer =
        ProducerClient::builder().connection_string(&connection_string).retry(patient()).build().unwrap();
    let consumer =
        ConsumerClient::builder().connection_string(&connection_string).retry(patient()).build().unwrap();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    soon(producer.send_with("one", SendOptions::to_partition("0"))).await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["one"]);

    running.stop().await;
    let while_down = spawn({
        let producer = producer.clone();
        async move { producer.send_with("two", SendOptions::to_partition("0")).await }
    });
    running.start_again().await;
    soon(while_down).await.unwrap();
    soon(producer.send_with("three", SendOptions::to_partition("0"))).await.unwrap();
    assert_eq!(texts(&take(&mut events, 2).await), ["two", "three"]);
    nothing_more(&mut events).await;
    assert_eq!(soon(consumer.partition_ids()).await.unwrap().len(), 4);
}

#[test]
async fn events_sent_over_a_wire_that_is_cut_again_and_again_are_all_stored() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    let producer = ProducerClient::builder()
        .connection_string(running.connection_string())
        .custom_endpoint(format!("ws://127.0.0.1:{}", proxy.port))
        .retry(patient())
        .build()
        .unwrap();
    for round in 0..5 {
        let sends = (0..200)
            .map(|n| producer.send_with(format!("{}", round * 200 + n), SendOptions::to_partition("0")));
        let mut sends = Box::pin(try_join_all(sends));
        assert!(futures::poll!(&mut sends).is_pending());
        // In the middle of it: some have been answered, some have left, some have not.
        let one = producer.send_with("marker", SendOptions::to_partition("1"));
        if let Either::Right((sent, _)) = select(&mut sends, Box::pin(one)).await {
            sent.unwrap();
        }
        proxy.cut().await;
        soon(sends).await.unwrap();
    }
    let connections = proxy.connections().await;
    assert!(connections >= 5, "{connections}");
    let mut events = running.read("0").await;
    let mut missing: std::collections::BTreeSet<usize> = (0..1000).collect();
    while !missing.is_empty() {
        let text = texts(&take(&mut events, 1).await).remove(0);
        missing.remove(&text.parse().unwrap());
    }
}

#[test]
async fn a_stream_over_a_wire_that_is_cut_again_and_again_misses_and_repeats_nothing() {
    let running = start().await;
    let mut proxy = Proxy::to(running.port()).await;
    let list = (0..4000).map(|n| n.to_string());
    soon(running.producer().send_all(list, SendOptions::to_partition("0"))).await.unwrap();
    let consumer = ConsumerClient::builder()
        .connection_string(running.connection_string())
        .custom_endpoint(format!("{SCHEME}://127.0.0.1:{}", proxy.port))
        .retry(patient())
        .build()
        .unwrap();
    let reader = consumer.partition("0").from(StartPosition::earliest()).prefetch(100);
    let mut events = soon(reader.open()).await.unwrap();
    for step in 0..40 {
        let expected: Vec<String> = (step * 100..step * 100 + 100).map(|n| n.to_string()).collect();
        assert_eq!(texts(&take(&mut events, 100).await), expected);
        if step % 5 == 0 {
            proxy.cut().await;
        }
    }
    nothing_more(&mut events).await;
    let connections = proxy.connections().await;
    assert!(connections >= 8, "{connections}");
}

#[test]
async fn a_link_that_was_detached_while_idle_is_attached_when_next_used() {
    let attached = Arc::new(AtomicUsize::new(0));
    let count = attached.clone();
    let peer = Peer::start(move |engine, seen: Seen<'_>| {
        match seen.event {
            Event::AttachRequested { attach, .. } if address(attach).as_deref() == Some("orders") => {
                count.fetch_add(1, Ordering::SeqCst);
            }
            // Let go as soon as it has served once.
            Event::Delivery { link, delivery } if seen.state.address(*link).as_deref() == Some("orders") => {
                engine.settle(*link, delivery.id, Outcome::Accepted);
                engine.detach(*link, true, Some(AmqpError::new("amqp:link:detach-forced", "idle")));
                return Then::Handled;
            }
            _ => {}
        }
        Then::AsUsual
    })
    .await;
    let producer = producer_of(&peer, RetryOptions::none());
    for number in 1..=3 {
        soon(producer.send("x")).await.unwrap();
        // One attempt is allowed: the loss of an idle link costs none.
        assert_eq!(attached.load(Ordering::SeqCst), number);
    }
}

#[test]
async fn a_stream_tells_of_a_lost_connection_and_goes_on_when_asked_again() {
    let mut running = start().await;
    let producer = running.producer();
    soon(producer.send_with("one", SendOptions::to_partition("0"))).await.unwrap();
    let consumer = running.consumer();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    assert_eq!(texts(&take(&mut events, 1).await), ["one"]);
    running.stop().await;
    let error = soon(events.next()).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::ConnectFailed, 4), "{error}");
    assert!(error.is_transient());
    assert_eq!(error.entity(), Some("orders/ConsumerGroups/$Default/Partitions/0"));

    // Everything was in memory only: the new namespace begins anew, and so does the position.
    running.start_again().await;
    let error = loop {
        match soon(events.next()).await.unwrap() {
            Err(error) if error.is_transient() => {}
            Err(error) => break error,
            Ok(event) => panic!("{event:?}"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidPosition);
    assert!(soon(events.next()).await.is_none());
}

/// An event as the service delivers it.
fn event(sequence_number: i64, offset: &str) -> Outgoing {
    event_with(sequence_number, offset, None)
}

/// The same, with the number of the partition's newest event.
fn event_with(sequence_number: i64, offset: &str, newest: Option<i64>) -> Outgoing {
    let mut head = BytesMut::new();
    if let Some(newest) = newest {
        let last = [
            (Symbol::from_static("last_enqueued_sequence_number"), Value::Long(newest)),
            (Symbol::from_static("last_enqueued_offset"), Value::from((newest * 100).to_string())),
            (Symbol::from_static("last_enqueued_time_utc"), Value::Timestamp(Timestamp::from_millis(1))),
            (
                Symbol::from_static("runtime_info_retrieval_time_utc"),
                Value::Timestamp(Timestamp::from_millis(1)),
            ),
        ];
        message::put_delivery_annotations(&mut head, &last);
    }
    let annotations = [
        (Symbol::from_static("x-opt-sequence-number"), Value::Long(sequence_number)),
        (Symbol::from_static("x-opt-offset"), Value::from(offset)),
        (Symbol::from_static("x-opt-enqueued-time"), Value::Timestamp(Timestamp::from_millis(1))),
    ];
    message::put_message_annotations(&mut head, &annotations);
    message::put_data(&mut head, b"x");
    Outgoing { token: 0, message_format: 0, settled: true, head: head.freeze(), body: Bytes::new() }
}

/// Answers questions about partitions as if the newest event of each had this number, and an offset 100 times that.
fn tell_of_partition(engine: &mut Connection, seen: &Seen<'_>, newest: i64) -> Option<Then> {
    let Event::Delivery { link, delivery } = seen.event else { return None };
    if seen.state.address(*link).as_deref() != Some("$management") {
        return None;
    }
    let request = management::Request::parse(&delivery.payload).unwrap();
    let mut partition = PartitionProperties::new("orders", request.partition.as_ref()?);
    if newest >= 0 {
        partition.is_empty = false;
        partition.last_enqueued_sequence_number = newest;
        partition.last_enqueued_offset = (newest * 100).to_string();
    }
    peer::answer(engine, seen.state, "$management", request.reply_partition(&partition).encode());
    Some(Then::Handled)
}

fn is_partition(address: Option<String>) -> bool {
    address.is_some_and(|address| address.starts_with("orders/"))
}
