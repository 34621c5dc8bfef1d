//! Checkpoint stores that processes share: what they agree on, and what is left of one that is killed.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventhubs::checkpoint::{Checkpoint, CheckpointStore, ConsumerGroup, FileStore, Ownership};

/// Names the store that a child works on.
const STORE: &str = "EVENTHUBS_TEST_STORE";
/// The child's number, which is its partition too.
const NUMBER: &str = "EVENTHUBS_TEST_NUMBER";
/// What all of them fight for.
const CONTESTED: &str = "contested";
const CHILDREN: usize = 4;
const KILLS: usize = 10;

#[test]
fn processes_that_are_killed_leave_a_directory_whole() {
    survive("file");
}

#[cfg(feature = "sqlite")]
#[test]
fn processes_that_are_killed_leave_a_database_whole() {
    survive("sqlite");
}

/// The other processes: this program again.
#[test]
#[ignore = "it is what the other tests start"]
fn child() {
    let Ok(place) = std::env::var(STORE) else { return };
    let number = std::env::var(NUMBER).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work(&*open(&place), &number));
}

fn open(place: &str) -> Arc<dyn CheckpointStore> {
    match place.split_once(':').unwrap() {
        ("file", path) => Arc::new(FileStore::new(path)),
        #[cfg(feature = "sqlite")]
        ("sqlite", path) => Arc::new(eventhubs::checkpoint::SqliteStore::new(Path::new(path).join("a.db"))),
        other => panic!("{other:?}"),
    }
}

fn group() -> ConsumerGroup {
    ConsumerGroup { namespace: "n".into(), event_hub: "orders".into(), name: "$Default".into() }
}

/// Writes checkpoints and claims for ever, and says what came of it after it did.
async fn work(store: &dyn CheckpointStore, number: &str) {
    let (group, mut out) = (group(), std::io::stdout());
    let listed = store.list_checkpoints(&group).await.unwrap();
    let known = listed.records.iter().find(|known| known.partition_id == number);
    let mut sequence_number = known.map_or(0, |known| known.sequence_number.unwrap());
    loop {
        sequence_number += 1;
        let checkpoint = Checkpoint::new(number, (sequence_number * 100).to_string(), sequence_number);
        store.update_checkpoint(&group, &checkpoint).await.unwrap();
        writeln!(out, "\nsafe {sequence_number}").unwrap();
        let listed = store.list_ownership(&group).await.unwrap();
        assert!(listed.failures.is_empty(), "{listed:?}");
        let known = listed.records.iter().find(|known| known.partition_id == CONTESTED);
        let claim = known.cloned().unwrap_or_else(|| Ownership::new(CONTESTED, "")).claimed_by(number);
        for won in store.claim_ownership(&group, std::slice::from_ref(&claim)).await.unwrap().records {
            let from = claim.etag.as_deref().unwrap_or("nothing");
            writeln!(out, "won {from} {}", won.etag.unwrap()).unwrap();
        }
    }
}

struct Worker {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    safe: i64,
}

impl Worker {
    fn start(place: &str, number: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(STORE, place)
            .env(NUMBER, number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Worker { child, lines, safe: 0 }
    }

    /// Hears what it says, until it has written so many checkpoints or has ended.
    fn hear(&mut self, checkpoints: usize, won: &mut BTreeSet<String>) {
        let mut heard = 0;
        while heard < checkpoints {
            let Some(Ok(line)) = self.lines.next() else { return };
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["safe", number] => {
                    self.safe = number.parse().unwrap();
                    heard += 1;
                }
                ["won", from, _] => {
                    assert!(won.insert(from.to_owned()), "two have won the same version: {from}")
                }
                _ => {}
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn survive(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let place = format!("{kind}:{}", dir.path().display());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = open(&place);
    let (mut won, begun) = (BTreeSet::new(), Instant::now());
    let mut workers: Vec<_> = (0..CHILDREN).map(|number| Worker::start(&place, number)).collect();
    for kill in 0..KILLS {
        let number = kill % CHILDREN;
        // Each dies after another number of turns, in the middle of whatever it does.
        workers[number].hear(1 + kill * 3 % 7, &mut won);
        workers[number].child.kill().unwrap();
        workers[number].hear(usize::MAX, &mut won);
        let safe = workers[number].safe;
        let listed = runtime.block_on(store.list_checkpoints(&group())).unwrap();
        assert!(listed.failures.is_empty(), "{listed:?}");
        let known = listed.records.iter().find(|known| known.partition_id == number.to_string());
        let kept = known.and_then(|known| known.sequence_number).unwrap();
        assert!((safe..=safe + 1).contains(&kept), "{safe} was safe, {kept} is there");
        workers[number] = Worker::start(&place, number);
        workers[number].safe = kept;
    }
    for worker in &mut workers {
        worker.hear(1, &mut won);
    }
    drop(workers);
    let listed = runtime.block_on(store.list_ownership(&group())).unwrap();
    assert!(listed.failures.is_empty() && listed.records.len() == 1, "{listed:?}");
    assert!(won.len() > KILLS && won.contains("nothing"), "{won:?}");
    assert!(begun.elapsed() < Duration::from_secs(120));
}
