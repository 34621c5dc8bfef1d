//! The program, as a person or a script calls it.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/process.rs"]
mod process;

use std::path::Path;
use std::process::{Command, Output};

use eventhubs::checkpoint::{Checkpoint, CheckpointStore, ConsumerGroup, FileStore, Ownership};
use eventhubs::{ProducerClient, SendOptions};
use process::Process;
use serde_json::Value;

fn lag(store: &Path, hub: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventhubs"));
    command.args(["lag", "--store", store.to_str().unwrap(), "--consumer-group", "billing"]);
    command.env("EVENTHUB_CONNECTION_STRING", hub).args(more).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_shows_how_far_a_group_is_behind_and_who_reads() {
    let emulator = Process::start(&["--hub", "orders:2"]);
    let hub = emulator.hub("orders");
    let producer = ProducerClient::from_connection_string(&hub).unwrap();
    for partition in ["0", "1"] {
        let events = (0..10).map(|number| number.to_string());
        producer.send_all(events, SendOptions::to_partition(partition)).await.unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let group = ConsumerGroup {
        namespace: "localhost".to_owned(),
        event_hub: "Orders".to_owned(),
        name: "Billing".to_owned(),
    };
    store.update_checkpoint(&group, &Checkpoint::new("1", "448", 6)).await.unwrap();
    store.claim_ownership(&group, &[Ownership::new("1", "worker-1")]).await.unwrap();

    let output = lag(directory.path(), &hub, &["--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&said["events"], &said["partitions"][1]["events"]), (&13.into(), &3.into()), "{said}");
    assert_eq!(said["partitions"][1]["owner"], "worker-1");
    assert_eq!(said["partitions"][0]["checkpoint"], Value::Null);
    let text = String::from_utf8(lag(directory.path(), &hub, &[]).stdout).unwrap();
    assert!(
        text.starts_with("orders, billing: 13 events behind, 1 of 2 partitions with a checkpoint"),
        "{text}"
    );

    let output = lag(Path::new("no/such/store"), &hub, &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("there is no checkpoint store at 'no/such/store'"), "{error}");
}
