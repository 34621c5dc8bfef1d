//! Properties of hubs and partitions, and closing.

use eventhubs::{ConsumerClient, ErrorKind, ProducerClient, SendOptions, StartPosition};

use crate::support::{HUB, WAYS, soon, start};

#[tokio::test]
async fn hub_and_partitions_tell_about_themselves_by_every_transport() {
    let running = start().await;
    for way in WAYS {
        let producer = running.by(way, ProducerClient::builder()).build().unwrap();
        let properties = soon(producer.hub_properties()).await.unwrap();
        assert_eq!((properties.name.as_str(), properties.partition_ids.len()), (HUB, 4), "{way:?}");
        let consumer = running.by(way, ConsumerClient::builder()).build().unwrap();
        assert_eq!(soon(consumer.partition_ids()).await.unwrap(), ["0", "1", "2", "3"]);
    }
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn a_closed_client_says_so_at_once() {
    let running = start().await;
    let producer = running.producer();
    soon(producer.send("x")).await.unwrap();
    soon(producer.close()).await;
    soon(producer.close()).await;
    assert_eq!(soon(producer.send("y")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(soon(producer.clone().hub_properties()).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
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

#[tokio::test]
async fn a_client_that_was_never_used_closes_at_once() {
    let running = start().await;
    soon(running.producer().close()).await;
    let consumer = running.consumer();
    soon(consumer.close()).await;
    let error = soon(consumer.partition("0").open()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn a_client_outside_of_a_runtime_says_what_is_missing() {
    let producer = ProducerClient::from_connection_string(
        "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=orders",
    )
    .unwrap();
    let waker = futures::task::noop_waker();
    let mut context = std::task::Context::from_waker(&waker);
    let mut send = std::pin::pin!(producer.send("x"));
    let std::task::Poll::Ready(Err(error)) = send.as_mut().poll(&mut context) else {
        panic!("it was not refused");
    };
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_client_survives_the_runtime_that_it_ran_on() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let second = tokio::runtime::Runtime::new().unwrap();
    let running = second.block_on(start());
    let producer = running.producer();
    first.block_on(soon(producer.send("one"))).unwrap();
    first.shutdown_background();
    // The first call may still meet the task that is being cut off.
    let again = second.block_on(soon(async {
        loop {
            match producer.send("two").await {
                Err(error) if error.kind() == ErrorKind::Closed => {}
                sent => return sent,
            }
        }
    }));
    again.unwrap();
    drop(producer);
    drop(running);
}
