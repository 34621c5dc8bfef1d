//! What a store must keep, whatever happens to it.

use std::sync::mpsc::channel;

use bytes::Bytes;

use super::*;
use crate::broker::HubConfig;
use crate::broker::journal::JournalEvent;
use crate::model::value::Timestamp;

const HUB: HubId = HubId(1);

fn hub(id: HubId, name: &str) -> HubRecord {
    HubRecord { id, config: HubConfig::new(name, 2), created_at: Timestamp::from_millis(1) }
}

fn batch(first_sequence: i64, count: i64, body: usize) -> JournalBatch {
    let event = |sequence: i64| JournalEvent {
        offset: sequence * 1000,
        head: Bytes::from(format!("head {sequence}")),
        body: Bytes::from(vec![sequence as u8; body]),
    };
    JournalBatch {
        first_sequence,
        enqueued: Timestamp::from_millis(1_000 + first_sequence),
        end_offset: (first_sequence + count) * 1000,
        events: (first_sequence..first_sequence + count).map(event).collect(),
        producer: None,
    }
}

/// Appends and waits until it is said to be durable or refused.
fn append(store: &Store, hub: HubId, partition: u32, batch: JournalBatch) -> Result<(), JournalError> {
    let (said, hears) = channel();
    store.journal.append(hub, partition, batch, AppendDone::new(move |outcome| said.send(outcome).unwrap()));
    hears.recv().unwrap()
}

fn contents(dir: &Path) -> Contents {
    open_and_load(&dir.join(FILE)).unwrap().1
}

#[test]
fn what_was_acknowledged_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.journal.put_hub(hub(HUB, "orders"));
    // One batch of many chunks, small ones that share a record, and two partitions.
    let batches = [batch(0, 3, 100_000), batch(3, 1, 10), batch(4, 2, 10)];
    for batch in &batches {
        append(&store, HUB, 0, batch.clone()).unwrap();
    }
    append(&store, HUB, 1, batch(0, 1, 0)).unwrap();
    store.close().unwrap();

    let contents = contents(dir.path());
    assert_eq!(contents.hubs, [hub(HUB, "orders")]);
    let expected: Vec<_> =
        batches.into_iter().map(|batch| (HUB, 0, batch)).chain([(HUB, 1, batch(0, 1, 0))]).collect();
    assert_eq!(contents.batches, expected);
}

#[test]
fn many_appends_share_a_commit_and_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.journal.put_hub(hub(HUB, "orders"));
    let (said, hears) = channel();
    for sequence in 0..5000 {
        let said = said.clone();
        let done = AppendDone::new(move |outcome| said.send((sequence, outcome)).unwrap());
        store.journal.append(HUB, 0, batch(sequence, 1, 100), done);
    }
    drop(said);
    let answers: Vec<_> = hears.iter().collect();
    assert_eq!(answers, (0..5000).map(|sequence| (sequence, Ok(()))).collect::<Vec<_>>());
    drop(store);
    let batches: Vec<_> = contents(dir.path()).batches.into_iter().map(|(_, _, batch)| batch).collect();
    assert_eq!(batches, (0..5000).map(|sequence| batch(sequence, 1, 100)).collect::<Vec<_>>());
}

#[test]
fn an_append_that_does_not_follow_is_refused_and_so_is_what_comes_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    assert!(append(&store, HUB, 0, batch(0, 1, 1)).is_err(), "the hub is unknown");
    store.journal.put_hub(hub(HUB, "orders"));
    assert!(append(&store, HUB, 0, batch(2, 1, 1)).is_err(), "what should stand in front failed");
    append(&store, HUB, 0, batch(0, 2, 1)).unwrap();
    for wrong in [0, 1, 3] {
        assert!(append(&store, HUB, 0, batch(wrong, 1, 1)).is_err(), "{wrong}");
    }
    append(&store, HUB, 0, batch(2, 1, 1)).unwrap();
    drop(store);
    assert_eq!(contents(dir.path()).batches.len(), 2);
}

#[test]
fn trimming_takes_old_records_and_leaves_the_newest_event() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.journal.put_hub(hub(HUB, "orders"));
    for first in [0, 10, 20] {
        append(&store, HUB, 0, batch(first, 10, 100_000)).unwrap();
        append(&store, HUB, 1, batch(first, 10, 10)).unwrap();
    }
    store.journal.trim(HUB, 0, 15);
    store.journal.trim(HUB, 1, 29);
    store.close().unwrap();
    let firsts: Vec<_> = contents(dir.path())
        .batches
        .into_iter()
        .map(|(_, partition, batch)| (partition, batch.first_sequence))
        .collect();
    assert_eq!(firsts, [(0, 10), (0, 20), (1, 20)]);

    // It goes on where it ended.
    let (store, _) = Store::open(dir.path()).unwrap();
    append(&store, HUB, 1, batch(30, 1, 1)).unwrap();
    assert!(append(&store, HUB, 0, batch(31, 1, 1)).is_err());
}

#[test]
fn a_removed_hub_takes_its_events_along() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    for id in [1, 2] {
        store.journal.put_hub(hub(HubId(id), &format!("hub{id}")));
        append(&store, HubId(id), 0, batch(0, 1, 1)).unwrap();
    }
    store.journal.remove_hub(HUB);
    assert!(append(&store, HUB, 0, batch(1, 1, 1)).is_err());
    store.close().unwrap();
    let contents = contents(dir.path());
    assert_eq!(contents.hubs, [hub(HubId(2), "hub2")]);
    assert_eq!(contents.batches, [(HubId(2), 0, batch(0, 1, 1))]);
}

#[test]
fn a_store_that_is_closed_refuses_instead_of_hanging() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let journal = store.journal();
    store.close().unwrap();
    let (said, hears) = channel();
    journal.append(HUB, 0, batch(0, 1, 1), AppendDone::new(move |outcome| said.send(outcome).unwrap()));
    assert!(hears.recv().unwrap().is_err());
}

fn refusal(dir: &Path) -> String {
    Store::open(dir).err().unwrap().to_string()
}

#[test]
fn a_directory_in_use_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = Store::open(dir.path()).unwrap();
    let error = refusal(dir.path());
    assert!(error.contains("another emulator has it open") && error.contains("--data-dir"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file);
    assert!(error.contains("--data-dir"), "{error}");
}

#[test]
fn a_file_that_is_no_store_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FILE), "this is a shopping list".repeat(1000)).unwrap();
    let error = refusal(dir.path());
    assert!(error.contains("move the file away"), "{error}");
}

#[test]
fn damage_anywhere_is_found_when_the_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.journal.put_hub(hub(HUB, "orders"));
    append(&store, HUB, 0, batch(0, 10, 100_000)).unwrap();
    store.close().unwrap();
    let path = dir.path().join(FILE);
    let intact = fs::read(&path).unwrap();
    let events = contents(dir.path()).batches;
    // Every place is either found damaged or was not in use.
    let mut found = 0;
    for place in (0..intact.len()).step_by(intact.len() / 60) {
        let mut altered = intact.clone();
        let end = (place + 512).min(altered.len());
        altered[place..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, &altered).unwrap();
        match Store::open(dir.path()) {
            Err(error) => {
                assert!(error.to_string().contains("move the file away"), "{error}");
                found += 1;
            }
            Ok((store, _)) => {
                drop(store);
                assert_eq!(contents(dir.path()).batches, events, "{place}");
            }
        }
    }
    assert!(found > 10, "only {found} places were found damaged");
    fs::write(&path, &intact[..intact.len() / 2]).unwrap();
    assert!(refusal(dir.path()).contains("move the file away"));
}

#[test]
fn what_is_known_of_a_producer_is_kept_with_its_events_and_goes_with_its_hub() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    store.journal.put_hub(hub(HUB, "orders"));
    let used = Timestamp::from_millis(5);
    let attached = ProducerRecord { id: 9, epoch: 0, last: -1, reach: 0, used };
    let published = ProducerRecord { last: 2, reach: 3, ..attached };
    store.journal.put_producer(HUB, 0, attached);
    append(&store, HUB, 0, JournalBatch { producer: Some(published), ..batch(0, 3, 10) }).unwrap();
    // Another epoch; what was published is not the attachment's to say.
    store.journal.put_producer(HUB, 0, ProducerRecord { epoch: 1, ..attached });
    store.journal.put_producer(HUB, 1, attached);
    store.journal.remove_producer(HUB, 1, 9);
    // Not there: nothing may be left of it.
    store.journal.put_producer(HubId(7), 0, attached);
    store.close().unwrap();
    assert_eq!(contents(dir.path()).producers, [(HUB, 0, ProducerRecord { epoch: 1, ..published })]);

    let (store, _) = Store::open(dir.path()).unwrap();
    store.journal.remove_hub(HUB);
    store.close().unwrap();
    assert_eq!(contents(dir.path()).producers, []);
}
