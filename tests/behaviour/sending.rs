//! Sending: one, many, batches, by key, to a partition.

use eventhubs::{BatchOptions, ErrorKind, EventData, ProducerClient, SendOptions};

use crate::support::{PARTITIONS, WAYS, nothing_more, soon, start, take, texts};

#[tokio::test]
async fn an_event_arrives_by_every_transport() {
    let running = start().await;
    let mut events = running.read("0").await;
    for way in WAYS {
        let producer = running.by(way, ProducerClient::builder()).build().unwrap();
        let text = format!("by {way:?}");
        soon(producer.send_with(text.as_str(), SendOptions::to_partition("0"))).await.unwrap();
        let received = take(&mut events, 1).await;
        assert_eq!(texts(&received), [text]);
        assert_eq!(received[0].partition_id(), "0");
        soon(producer.close()).await;
    }
    nothing_more(&mut events).await;
}
