//! How fast events go through: batched send, receive, and single sends with many under way.
//!
//! ```text
//! cargo run --release --features cli -- emulator --hub orders:4 --port 5672 &
//! cargo run --release --example throughput -- "$CONNECTION_STRING" orders ws 1024 1000000
//! ```
//!
//! Runs the client on one thread, so that what it shows is what one core does.

use std::time::{Duration, Instant};

use eventhubs::{
    BatchOptions, ConsumerClient, Error, EventData, ProducerClient, SendOptions, StartPosition, Transport,
};
use futures::stream::{self, StreamExt, TryStreamExt};

/// Batches under way at a time: enough that the connection never waits for an answer.
const BATCHES: usize = 8;
/// Single events under way at a time.
const SINGLES: usize = 256;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [connection_string, hub, transport, size, count] = arguments.as_slice() else {
        return Err("usage: throughput CONNECTION_STRING HUB ws|tcp SIZE COUNT".into());
    };
    let transport = match transport.as_str() {
        "ws" => Transport::WebSocket,
        "tcp" => Transport::Tcp,
        other => return Err(format!("'{other}' is neither ws nor tcp").into()),
    };
    let (size, count): (usize, usize) = (size.parse()?, count.parse()?);
    let producer = ProducerClient::builder()
        .connection_string(connection_string)
        .event_hub(hub)
        .transport(transport)
        .build()?;
    let consumer = ConsumerClient::builder()
        .connection_string(connection_string)
        .event_hub(hub)
        .transport(transport)
        .build()?;

    // A first event each, so that connecting is not counted.
    producer.send_with("first", SendOptions::to_partition("0")).await?;
    producer.send_with("first", SendOptions::to_partition("1")).await?;
    let before = consumer.partition_properties("0").await?.last_enqueued_sequence_number;

    let start = Instant::now();
    send_batched(&producer, size, count).await?;
    report("send, batched", size, count, start.elapsed());

    let behind = StartPosition::sequence_number(before);
    let mut events = consumer.partition("0").from(behind).open().await?;
    let start = Instant::now();
    let mut bytes = 0;
    for _ in 0..count {
        let event = events.next().await.ok_or("the stream ended")??;
        bytes += event.body_bytes()?.len();
    }
    report("receive", size, count, start.elapsed());
    assert_eq!(bytes, size * count, "what arrived is not what was sent");

    let singles = count.min(500_000);
    let start = Instant::now();
    send_singly(&producer, size, singles).await?;
    report("send, one by one", size, singles, start.elapsed());
    producer.close().await;
    Ok(())
}

async fn send_batched(producer: &ProducerClient, size: usize, count: usize) -> Result<(), Error> {
    let event = EventData::new(vec![b'x'; size]);
    let options = || BatchOptions { partition_id: Some("0".into()), ..Default::default() };
    let mut left = count;
    let batches = stream::iter(std::iter::from_fn(|| {
        (left > 0).then(|| {
            // What is encoded where is known beforehand: as many as surely fit.
            let share = left.min((1 << 20) / (size + 64));
            left -= share;
            share
        })
    }));
    batches
        .map(|share| {
            let event = &event;
            async move {
                let mut batch = producer.create_batch_with(options()).await?;
                for _ in 0..share {
                    assert!(batch.try_add(event)?, "the batch is full too soon");
                }
                producer.send_batch(batch).await
            }
        })
        .buffer_unordered(BATCHES)
        .try_collect()
        .await
}

async fn send_singly(producer: &ProducerClient, size: usize, count: usize) -> Result<(), Error> {
    let event = EventData::new(vec![b'x'; size]);
    stream::iter(0..count)
        .map(|_| producer.send_with(event.clone(), SendOptions::to_partition("1")))
        .buffer_unordered(SINGLES)
        .try_collect()
        .await
}

fn report(what: &str, size: usize, count: usize, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{what:>16}: {rate:>10.0} events/s  {:>7.1} MB/s", rate * size as f64 / 1e6);
}
