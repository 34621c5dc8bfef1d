//! An acknowledged event survives `kill -9`.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use eventhubs::{
    BatchOptions, ConsumerClient, EventData, ProducerClient, RetryOptions, SendOptions, StartPosition,
    Transport,
};
use process::Process;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const HUB: &str = "durable";
const PARTITIONS: usize = 3;
/// Writers of a partition.
const WRITERS: usize = 3;
/// How often the emulator is killed.
const KILLS: usize = 24;

fn start(data: &Path) -> Process {
    Process::start(&["--hub", &format!("{HUB}:{PARTITIONS}"), "--data-dir", data.to_str().unwrap()])
}

/// What one writer knows: how many events it has sent, and which of them were acknowledged.
#[derive(Default)]
struct Ledger {
    sent: usize,
    acknowledged: Vec<usize>,
}

/// Sends until the emulator is gone: in turn an event alone, some that travel side by side, and a batch. Nothing is
/// sent twice, so that nothing may be stored twice.
async fn write(
    producer: ProducerClient,
    writer: usize,
    mut ledger: Ledger,
    acknowledged: watch::Sender<usize>,
) -> Ledger {
    let partition = (writer % PARTITIONS).to_string();
    let event = |n: usize| EventData::from(format!("{writer}:{n}:{}", "x".repeat(n % 3000)));
    loop {
        let first = ledger.sent;
        let count = [1, 7, 40][first % 3];
        ledger.sent += count;
        let to = || SendOptions::to_partition(partition.as_str());
        let outcome = match count {
            1 => producer.send_with(event(first), to()).await,
            7 => producer.send_all((first..first + 7).map(event), to()).await.map(drop),
            _ => {
                let options = BatchOptions { partition_id: Some(partition.clone()), ..Default::default() };
                match producer.create_batch_with(options).await {
                    Ok(mut batch) => {
                        for n in first..first + count {
                            assert!(batch.try_add(&event(n)).unwrap());
                        }
                        producer.send_batch(batch).await
                    }
                    Err(error) => Err(error),
                }
            }
        };
        if outcome.is_err() {
            return ledger;
        }
        ledger.acknowledged.extend(first..first + count);
        acknowledged.send_modify(|total| *total += count);
    }
}

/// Everything that is stored: the numbers of each writer, in order.
async fn read_all(connection_string: &str) -> BTreeMap<usize, Vec<usize>> {
    let consumer = ConsumerClient::builder().connection_string(connection_string).build().unwrap();
    let mut stored: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let id = partition.to_string();
        let properties = consumer.partition_properties(&id).await.unwrap();
        let mut stream = consumer.partition(&id).from(StartPosition::earliest()).open().await.unwrap();
        let mut last_offset = -1;
        for sequence_number in 0..=properties.last_enqueued_sequence_number {
            let event =
                tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(event.sequence_number(), sequence_number, "partition {id}");
            let offset: i64 = event.offset().parse().unwrap();
            assert!(offset > last_offset, "partition {id}: offset {offset} behind {last_offset}");
            last_offset = offset;
            let text = event.body_text().unwrap();
            let mut parts = text.split(':');
            let mut number = || parts.next().unwrap().parse::<usize>().unwrap();
            let (writer, n) = (number(), number());
            assert_eq!(writer % PARTITIONS, partition);
            assert_eq!(text, format!("{writer}:{n}:{}", "x".repeat(n % 3000)), "a body has changed");
            stored.entry(writer).or_default().push(n);
        }
    }
    consumer.close().await;
    stored
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_is_there_in_order_and_once_however_often_the_emulator_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledgers: Vec<Ledger> = (0..PARTITIONS * WRITERS).map(|_| Ledger::default()).collect();
    for kill in 0..KILLS {
        let mut process = start(dir.path());
        let (acknowledged, mut progress) = watch::channel(0);
        let transport = if kill % 2 == 0 { Transport::WebSocket } else { Transport::Tcp };
        let mut writers: Vec<JoinHandle<Ledger>> = Vec::new();
        for (writer, ledger) in ledgers.drain(..).enumerate() {
            let producer = ProducerClient::builder()
                .connection_string(process.hub(HUB))
                .transport(transport)
                .retry(RetryOptions::none())
                .build()
                .unwrap();
            writers.push(tokio::spawn(write(producer, writer, ledger, acknowledged.clone())));
        }
        // In the middle of it, at another place each time.
        let enough = 300 + kill * 137 % 1500;
        let reached =
            tokio::time::timeout(Duration::from_secs(20), progress.wait_for(|total| *total >= enough));
        assert!(reached.await.is_ok_and(|reached| reached.is_ok()), "{enough} events take too long");
        process.kill();
        for writer in writers {
            ledgers.push(tokio::time::timeout(Duration::from_secs(20), writer).await.unwrap().unwrap());
        }
    }

    let process = start(dir.path());
    let stored = read_all(&process.hub(HUB)).await;
    let mut total = 0;
    for (writer, ledger) in ledgers.iter().enumerate() {
        let stored = stored.get(&writer).map(Vec::as_slice).unwrap_or_default();
        assert!(stored.is_sorted_by(|a, b| a < b), "writer {writer}: out of order or stored twice");
        assert!(stored.last().is_none_or(|last| *last < ledger.sent));
        let missing: Vec<_> =
            ledger.acknowledged.iter().filter(|n| stored.binary_search(n).is_err()).collect();
        assert!(
            missing.is_empty(),
            "writer {writer}: {} acknowledged events are lost: {missing:?}",
            missing.len()
        );
        total += ledger.acknowledged.len();
    }
    println!("killed {KILLS} times; all of {total} acknowledged events are there, in order, once");
}
