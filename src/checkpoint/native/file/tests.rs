use futures::FutureExt;

use super::super::super::contract;
use super::*;

fn group() -> ConsumerGroup {
    ConsumerGroup { namespace: "N".into(), event_hub: "orders".into(), name: "$Default".into() }
}

fn in_dir() -> (FileStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (FileStore::new(dir.path()), dir)
}

fn record(dir: &tempfile::TempDir, kind: &str, partition: &str) -> PathBuf {
    dir.path().join("n/orders/%24default").join(kind).join(format!("{partition}.txt"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_store_keeps_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    let kept = contract::check(async || Ok(FileStore::new(dir.path()))).await;
    kept.unwrap_or_else(|broken| panic!("{broken}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_process_wait_for_each_other_and_not_against_the_clock() {
    let (store, _dir) = in_dir();
    // No other process is there to be waited for.
    let store = store.with_lock_timeout(Duration::ZERO);
    let group = group();
    let checkpoints: Vec<Checkpoint> =
        (0..100).map(|partition| Checkpoint::new(partition.to_string(), "1", 1)).collect();
    let written = checkpoints.iter().map(|checkpoint| store.update_checkpoint(&group, checkpoint));
    for result in futures::future::join_all(written).await {
        result.unwrap();
    }
    assert_eq!(store.list_checkpoints(&group).await.unwrap().records.len(), 100);
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_is_named_and_the_rest_goes_on() {
    let whole = "eventhubs checkpoint 1\npartition=1\noffset=5\nsequence-number=5\nend\n";
    for (text, reason) in [
        ("", "empty"),
        ("\u{0}\u{0}\u{0}", "first line"),
        ("{\"offset\": 5}", "first line"),
        (&whole[..whole.len() - 5], "its end is missing"),
        ("eventhubs checkpoint 2\npartition=1\nend\n", "version"),
        ("eventhubs checkpoint 1\npartition=1\noffset=5\nsequence-number=many\nend\n", "not a number"),
        ("eventhubs checkpoint 1\npartition=1\nend\n", "neither an offset nor a sequence number"),
        ("eventhubs checkpoint 1\npartition=2\noffset=5\nend\n", "record of partition '2'"),
        ("eventhubs ownership 1\npartition=1\nend\n", "first line"),
    ] {
        let (store, dir) = in_dir();
        for partition in ["0", "1", "2"] {
            store.update_checkpoint(&group(), &Checkpoint::new(partition, "7", 7)).await.unwrap();
        }
        let path = record(&dir, "checkpoint", "1");
        fs::write(&path, text).unwrap();
        let listed = store.list_checkpoints(&group()).await.unwrap();
        assert_eq!(listed.records.len(), 2, "{text:?}");
        let [failure] = &listed.failures[..] else { panic!("{text:?}: {listed:?}") };
        let said = failure.error.to_string();
        assert!(said.contains(&path.display().to_string()) && said.contains(reason), "{text:?}: {said}");
        assert_eq!(failure.partition_id, "1");
        assert!(!failure.error.is_transient());
        // A new checkpoint puts it right.
        store.update_checkpoint(&group(), &Checkpoint::new("1", "8", 8)).await.unwrap();
        assert_eq!(store.list_checkpoints(&group()).await.unwrap().records.len(), 3);
    }
}

#[tokio::test]
async fn an_ownership_that_cannot_be_understood_is_replaced_by_who_has_seen_it() {
    let (store, dir) = in_dir();
    store.claim_ownership(&group(), &[Ownership::new("0", "a")]).await.unwrap();
    fs::write(record(&dir, "ownership", "0"), "?").unwrap();
    assert!(store.claim_ownership(&group(), &[Ownership::new("0", "b")]).await.unwrap().records.is_empty());
    let listed = store.list_ownership(&group()).await.unwrap();
    let etag = listed.failures[0].etag.clone();
    let claim = [Ownership { etag, ..Ownership::new("0", "b") }];
    assert_eq!(store.claim_ownership(&group(), &claim).await.unwrap().records.len(), 1);
    assert_eq!(store.list_ownership(&group()).await.unwrap().records[0].owner_id, "b");
}

#[tokio::test]
async fn who_holds_the_lock_for_ever_is_named_within_the_deadline() {
    let (store, dir) = in_dir();
    store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 1)).await.unwrap();
    let path = dir.path().join("n/orders/%24default/checkpoint.lock");
    let held = File::options().append(true).open(&path).unwrap();
    held.lock().unwrap();
    let store = store.with_lock_timeout(Duration::from_millis(50));
    let error = store.update_checkpoint(&group(), &Checkpoint::new("0", "2", 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_transient() && error.to_string().contains("checkpoint.lock"), "{error}");
    // Who only reads does not wait.
    assert_eq!(store.list_checkpoints(&group()).await.unwrap().records.len(), 1);
    drop(held);
    store.update_checkpoint(&group(), &Checkpoint::new("0", "2", 2)).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_none_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let store = FileStore::new(&file);
    let error = store.update_checkpoint(&group(), &Checkpoint::new("0", "2", 2)).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains(&file.display().to_string()) && said.contains("N/orders/$Default"), "{said}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn what_a_killed_process_left_beside_a_record_is_no_record() {
    let (store, dir) = in_dir();
    store.update_checkpoint(&group(), &Checkpoint::new("0", "1", 1)).await.unwrap();
    fs::write(record(&dir, "checkpoint", "0").with_extension("new"), "eventhubs check").unwrap();
    let listed = store.list_checkpoints(&group()).await.unwrap();
    assert!(listed.failures.is_empty() && listed.records == [Checkpoint::new("0", "1", 1)]);
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    let (store, _dir) = in_dir();
    let error = store.list_checkpoints(&group()).now_or_never().unwrap().unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}
