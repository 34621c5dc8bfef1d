//! What a hub holds.

use std::time::Duration;

use eventhubs::{ConsumerClient, StartPosition};

use super::HUB;

/// An event that is stored.
pub(crate) struct Read {
    pub(crate) partition: String,
    pub(crate) key: Option<String>,
    pub(crate) text: String,
}

/// Everything that is stored, partition by partition.
pub(crate) async fn read_all(connection_string: &str) -> Vec<Read> {
    let consumer =
        ConsumerClient::builder().connection_string(connection_string).event_hub(HUB).build().unwrap();
    let mut read = Vec::new();
    for partition in consumer.partition_ids().await.unwrap() {
        let last = consumer.partition_properties(&partition).await.unwrap().last_enqueued_sequence_number;
        let mut stream = consumer.partition(&partition).from(StartPosition::earliest()).open().await.unwrap();
        for _ in 0..=last {
            let event =
                tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap();
            read.push(Read {
                partition: partition.clone(),
                key: event.partition_key().map(str::to_owned),
                text: event.body_text().unwrap(),
            });
        }
    }
    consumer.close().await;
    read
}
