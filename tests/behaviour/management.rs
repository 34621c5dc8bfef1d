//! Properties of hubs and partitions, and closing.

use eventhubs::{ConsumerClient, ErrorKind, ProducerClient, SendOptions, StartPosition};

use crate::support::{HUB, soon, start, test, ways};

#[test]
async fn hub_and_partitions_tell_about_themselves_by_every_transport() {
    let running = start().await;
    for way in ways().iter().copied() {
        let producer = running.by(way, ProducerClient::builder()).build().unwrap();
        let properties = soon(producer.hub_properties()).await.unwrap();
        assert_eq!((properties.name.as_str(), properties.partition_ids.len()), (HUB, 4), "{way:?}");
        let consumer = running.by(way, ConsumerClient::builder()).build().unwrap();
        assert_eq!(soon(consumer.partition_ids()).await.unwrap(), ["0", "1", "2", "3"]);
    }
}

#[test]
async fn a_partitions_properties_follow_what_is_sent() {
    let running = start().await;
    let producer = running.producer();
    let empty = soon(producer.partition_properties("1")).await.unwrap();
    assert!(empty.is_empty && empty.last_enqueued_sequence_number == -1);
    assert_eq!(empty.last_enqueued_time, None);
    for _ in 0..3 {
        soon(producer.send_with("x", SendOptions::to_partition("1"))).await.unwrap();
    }
    let filled = soon(running.consumer().partition_properties("1")).await.unwrap();
    assert_eq!((filled.begin_sequence_number, filled.last_enqueued_sequence_number), (0, 2));
    assert!(!filled.is_empty && filled.last_enqueued_time.is_some());
    assert_eq!((filled.hub.as_str(), filled.partition_id.as_str()), (HUB, "1"));
}

#[test]
async fn many_questions_at_once_are_all_answered() {
    let running = start().await;
    let producer = running.producer();
    let ids = ["0", "1", "2", "3"];
    let questions = (0..20).map(|n| producer.partition_properties(ids[n % 4]));
    let answers = soon(futures::future::try_join_all(questions)).await.unwrap();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.partition_id, ids[n % 4]);
    }
}

#[test]
async fn a_closed_client_says_so_at_once() {
    let running = start().await;
    let producer = running.producer();
    soon(producer.send("x")).await.unwrap();
    soon(producer.close()).await;
    soon(producer.close()).await;
    assert_eq!(soon(producer.send("y")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(soon(producer.clone().hub_properties()).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
async fn closing_ends_streams_behind_what_has_arrived() {
    let running = start().await;
    let producer = running.producer();
    soon(producer.send_with("x", SendOptions::to_partition("0"))).await.unwrap();
    let consumer = running.consumer();
    let mut events = soon(consumer.partition("0").from(StartPosition::earliest()).open()).await.unwrap();
    assert_eq!(soon(events.next()).await.unwrap().unwrap().body_text().unwrap(), "x");
    soon(consumer.close()).await;
    let error = soon(events.next()).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Closed, false));
    assert!(soon(events.next()).await.is_none());
}

#[test]
async fn a_client_that_was_never_used_closes_at_once() {
    let running = start().await;
    soon(running.producer().close()).await;
    let consumer = running.consumer();
    soon(consumer.close()).await;
    let error = soon(consumer.partition("0").open()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}
