//! Processors in processes of their own, killed, stopped, paused and cut off from the store at random, and what came of it:
//! `cargo xtask processors`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod judge;
mod line;
mod members;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eventhubs::checkpoint::BlobStore;
use eventhubs::{ConsumerClient, ProducerClient, SendOptions};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use judge::Judge;
use members::{Fault, Members};

const HUB: &str = "shared";
const CONTAINER: &str = "groups";
/// Of Azurite's documentation: every emulator of storage has it.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);
pub(crate) const EXPIRY: Duration = Duration::from_secs(10);

/// What the command line says.
pub(crate) struct Plan {
    seconds: u64,
    pub(crate) members: usize,
    pub(crate) partitions: u64,
    seed: u64,
    emulator: PathBuf,
    azurite: PathBuf,
    node: PathBuf,
    pub(crate) member: PathBuf,
}

/// The time of the calendar in milliseconds, as the members write it.
pub(crate) fn millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[tokio::main]
async fn main() -> ExitCode {
    let plan = Plan::read();
    let (_emulator, connection_string) = emulator(&plan).await;
    let (_azurite, storage_port) = azurite(&plan).await;
    BlobStore::from_connection_string(storage(storage_port), CONTAINER)
        .unwrap()
        .create_container()
        .await
        .unwrap();
    let mut members = Members::new(&plan, connection_string.clone(), storage_port);
    for _ in 0..plan.members {
        members.start().await;
    }
    members.watch_store();
    let produce = tokio::spawn(produce(connection_string.clone(), plan.partitions));
    let begin = tokio::time::Instant::now();
    // Everybody has a share before anything goes wrong.
    tokio::time::sleep(EXPIRY).await;
    members.watch_from_now();
    let mut dice = Dice(plan.seed);
    while begin.elapsed() < Duration::from_secs(plan.seconds) {
        tokio::time::sleep(Duration::from_millis(1_000 + dice.below(3_000))).await;
        members.mend().await;
        let fault = match dice.below(8) {
            0..=2 => Fault::Kill,
            3 => Fault::Stop,
            4 | 5 => Fault::Pause,
            _ => Fault::Cut,
        };
        let lasts = Duration::from_millis(500 + dice.below(2 * EXPIRY.as_millis() as u64));
        members.strike(fault, lasts, dice.below(1 << 30)).await;
    }
    members.mend_all().await;
    // Long enough to take over whatever the last one left.
    tokio::time::sleep(EXPIRY + INTERVAL * 6).await;
    let quiet_from = millis();
    tokio::time::sleep(INTERVAL * 5).await;
    produce.abort();
    let consumer =
        ConsumerClient::builder().connection_string(&connection_string).event_hub(HUB).build().unwrap();
    let mut last = Vec::new();
    for id in 0..plan.partitions {
        last.push(
            consumer.partition_properties(&id.to_string()).await.unwrap().last_enqueued_sequence_number,
        );
    }
    tokio::time::sleep(INTERVAL * 2).await;
    let (lines, faults, needed) = members.end().await;
    let verdict = Judge { lines, faults, last, needed, quiet_from, members: plan.members }.judge();
    println!("{verdict}");
    if verdict.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Two numbered events a second to each partition.
async fn produce(connection_string: String, partitions: u64) {
    let producer =
        ProducerClient::builder().connection_string(connection_string).event_hub(HUB).build().unwrap();
    for number in 0_u64.. {
        for id in 0..partitions {
            let to = SendOptions::to_partition(id.to_string());
            producer.send_with(format!("{id}:{number}"), to).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn emulator(plan: &Plan) -> (Child, String) {
    let mut command = Command::new(&plan.emulator);
    command.args(["emulator", "--json", "--port", "0", "--hub", &format!("{HUB}:{}", plan.partitions)]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (child, ready["connectionString"].as_str().unwrap().to_owned())
}

async fn azurite(plan: &Plan) -> (Child, u16) {
    let mut command = Command::new(&plan.node);
    command.arg(&plan.azurite).args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]);
    command.args(["--skipApiVersionCheck", "--disableTelemetry", "--silent"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let endpoint = loop {
        let line = lines.next_line().await.unwrap().expect("Azurite ended before it listened");
        if let Some((_, endpoint)) = line.split_once("listens on ") {
            break endpoint.trim().to_owned();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let port = endpoint.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    (child, port)
}

/// The storage behind a port.
pub(crate) fn storage(port: u16) -> String {
    format!(
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};\
         BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )
}

impl Plan {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let value = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name);
            at.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_else(|| panic!("{name} is missing"))
        };
        Plan {
            seconds: value("--seconds").parse().unwrap(),
            members: value("--members").parse().unwrap(),
            partitions: value("--partitions").parse().unwrap(),
            seed: value("--seed").parse().unwrap(),
            emulator: value("--emulator").into(),
            azurite: value("--azurite").into(),
            node: value("--node").into(),
            member: value("--member").into(),
        }
    }
}

/// A small generator, so that a run can be told to go wrong in the same order.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
