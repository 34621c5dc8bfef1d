//! One running consumer group whose members are our processor and those of the official SDKs of two languages, meeting in
//! Azurite: they share a hub, take over from each other, and go on behind each other's checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eventhubs::checkpoint::{BlobStore, CheckpointStore, ConsumerGroup};
use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::processor::{EventProcessor, Handlers};
use eventhubs::{ConsumerClient, ProducerClient, SendOptions, StartPosition};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::blob_store::{Azurite, CONTAINER};
use super::support::{Language, soon};

const HUB: &str = "shared";
const PARTITIONS: i64 = 6;

/// Who processed which event, in turn.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<Processed>>>);

struct Processed {
    who: &'static str,
    partition: String,
    number: i64,
}

struct World {
    emulator: Emulator,
    azurite: Azurite,
    store: BlobStore,
    ledger: Ledger,
    _dir: tempfile::TempDir,
}

/// A member in a process of its own; it leaves when its input ends.
struct Member {
    child: Child,
    listening: JoinHandle<()>,
}

/// How long an official client may take to go. On a busy machine Python's has taken more than half a minute to hear of it.
const LEAVING: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn members_of_three_languages_share_one_group() {
    let Some(azurite) = Azurite::start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = EmulatorConfig::default().with_hub(HUB, PARTITIONS as u32).with_ca_dir(dir.path());
    let emulator = Emulator::start(config).await.unwrap();
    let (store, ledger) = (azurite.store(), Ledger::default());
    let world = World { emulator, azurite, store, ledger, _dir: dir };
    let sending = tokio::spawn(send(world.hub()));

    let python = world.official("python", Language::Python);
    let javascript = world.official("javascript", Language::JavaScript);
    let ours = world.ours();
    world.shares(&[2, 2, 2]).await;
    world.everybody_works(&["python", "javascript", "ours"]).await;

    ours.stop().await;
    world.shares(&[3, 3]).await;
    world.everybody_works(&["python", "javascript"]).await;

    let ours = world.ours();
    world.shares(&[2, 2, 2]).await;
    python.leave().await;
    world.shares(&[3, 3]).await;
    world.everybody_works(&["javascript", "ours"]).await;

    javascript.leave().await;
    world.shares(&[6]).await;
    sending.abort();
    let _ = sending.await;
    let sent = world.sent().await;
    world.until("every event was processed", || world.ledger.distinct() == sent).await;
    ours.stop().await;

    let (told, distinct) = (world.ledger.len(), world.ledger.distinct());
    eprintln!("{distinct} events, {} processed again after a partition moved", told - distinct);
    // Every event is checkpointed when it is processed: again comes what was in hand when a partition moved.
    assert!((told - distinct) * 5 <= distinct, "{told} processed, {distinct} of them for the first time");
    world.ledger.is_in_order();
}

/// Writes to all partitions until it is stopped.
async fn send(hub: String) {
    let producer = ProducerClient::from_connection_string(hub).unwrap();
    loop {
        for partition in 0..PARTITIONS {
            let to = SendOptions::to_partition(partition.to_string());
            soon(producer.send_with("event", to)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl World {
    fn hub(&self) -> String {
        format!("{}EntityPath={HUB}", self.emulator.connection_string())
    }

    fn ours(&self) -> EventProcessor {
        let consumer = ConsumerClient::from_connection_string(self.hub()).unwrap();
        let processor = EventProcessor::builder(consumer, self.azurite.store())
            .load_balancing_interval(Duration::from_secs(1))
            .ownership_expiration(Duration::from_secs(20))
            .from(StartPosition::earliest())
            .build()
            .unwrap();
        let (running, ledger) = (processor.clone(), self.ledger.clone());
        tokio::spawn(async move {
            let handlers = Handlers::new(move |events, partition| {
                let ledger = ledger.clone();
                async move {
                    for event in &events {
                        ledger.add("ours", partition.partition_id(), event.sequence_number());
                        partition.checkpoint(event).await?;
                    }
                    Ok(())
                }
            });
            running.run(handlers).await.unwrap();
        });
        processor
    }

    fn official(&self, name: &'static str, language: Language) -> Member {
        let mut command = match language {
            Language::Python => language.script("member.py"),
            Language::JavaScript => language.script_in("stores", "member.mjs"),
        }
        .unwrap();
        command.args([&self.emulator.connection_string(), HUB, &self.azurite.connection_string, CONTAINER]);
        command.env("NODE_EXTRA_CA_CERTS", self.emulator.ca_path().unwrap());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ledger = self.ledger.clone();
        let listening = tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                let told: Json = serde_json::from_str(&line).unwrap();
                ledger.add(name, told["partition"].as_str().unwrap(), told["number"].as_i64().unwrap());
            }
        });
        Member { child, listening }
    }

    /// Waits until the members have so many partitions, in ascending order.
    async fn shares(&self, expected: &[usize]) {
        let group = ConsumerGroup {
            namespace: "localhost".to_owned(),
            event_hub: HUB.to_owned(),
            name: "$Default".to_owned(),
        };
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let owners = soon(self.store.list_ownership(&group)).await.unwrap();
            assert!(owners.failures.is_empty(), "{owners:?}");
            let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
            for ownership in owners.records.iter().filter(|ownership| !ownership.is_released()) {
                *shares.entry(&ownership.owner_id).or_default() += 1;
            }
            let mut counts: Vec<usize> = shares.values().copied().collect();
            counts.sort_unstable();
            if counts == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{shares:?} instead of {expected:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until each of these has processed something from now on.
    async fn everybody_works(&self, names: &[&str]) {
        let seen = self.ledger.len();
        self.until(&format!("{names:?} work"), || {
            let ledger = self.ledger.0.lock().unwrap();
            names.iter().all(|name| ledger[seen..].iter().any(|event| event.who == *name))
        })
        .await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "not within a minute: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many events the hub holds.
    async fn sent(&self) -> usize {
        let consumer = ConsumerClient::from_connection_string(self.hub()).unwrap();
        let mut sent = 0;
        for partition in 0..PARTITIONS {
            let properties = consumer.partition_properties(&partition.to_string()).await.unwrap();
            sent += properties.events() as usize;
        }
        sent
    }
}

impl Member {
    /// Goes, and gives up what it owns.
    async fn leave(mut self) {
        drop(self.child.stdin.take());
        let status = timeout(LEAVING, self.child.wait()).await.expect("it does not leave").unwrap();
        assert!(status.success(), "{status}");
        soon(self.listening).await.unwrap();
    }
}

impl Ledger {
    fn add(&self, who: &'static str, partition: &str, number: i64) {
        self.0.lock().unwrap().push(Processed { who, partition: partition.to_owned(), number });
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn distinct(&self) -> usize {
        let ledger = self.0.lock().unwrap();
        ledger.iter().map(|event| (event.partition.as_str(), event.number)).collect::<BTreeSet<_>>().len()
    }

    /// Whoever processes an event has processed, or somebody else has, all before it in its partition.
    fn is_in_order(&self) {
        let mut next: BTreeMap<String, i64> = BTreeMap::new();
        for Processed { who, partition, number } in self.0.lock().unwrap().iter() {
            let expected = next.entry(partition.clone()).or_insert(0);
            assert!(number <= expected, "{who} left out events of partition {partition} before {number}");
            *expected = (*expected).max(number + 1);
        }
    }
}
