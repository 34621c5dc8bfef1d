use std::sync::mpsc;
use std::time::Duration;

use super::super::record::{Batch, Entry, Letter};
use super::*;
use crate::model::value::Timestamp;

const PATIENCE: Duration = Duration::from_secs(20);

fn event(id: u64) -> Record {
    Record::Event(entry(id))
}

fn entry(id: u64) -> Entry {
    Entry {
        id,
        at: Timestamp::from_millis(5),
        key: Some("k".to_owned()),
        partition: None,
        alone: false,
        event: Bytes::from(format!("event {id}")),
    }
}

fn letter(id: u64) -> Letter {
    Letter {
        entry: entry(id),
        died: Timestamp::from_millis(9),
        code: "rejected".to_owned(),
        reason: "no".to_owned(),
    }
}

fn open(directory: &Path) -> (FileJournal, Found) {
    FileJournal::open(directory, Durability::Process).unwrap()
}

fn told(call: impl FnOnce(Done)) -> Result<(), Error> {
    let (tell, hear) = mpsc::channel();
    call(Done::new(move |result| tell.send(result).unwrap()));
    hear.recv_timeout(PATIENCE).unwrap()
}

fn append(journal: &FileJournal, records: &[Record]) {
    told(|done| journal.append(records, Urgency::Promised, done)).unwrap();
}

/// Ends it as the end of its process would: nothing more is written, but the lock is free.
fn close(journal: FileJournal) {
    told(|done| journal.close(done)).unwrap();
}

fn only_journal(directory: &Path) -> PathBuf {
    let numbers = journals(directory).unwrap();
    assert_eq!(numbers.len(), 1);
    journal_path(directory, numbers[0])
}

#[test]
fn what_was_appended_is_found_again_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, found) = open(directory.path());
    assert!(found.records.is_empty() && found.letters.is_empty() && found.damage.is_none());
    append(&journal, &[event(0), event(1)]);
    append(&journal, &[Record::Done { batch: 3 }]);
    close(journal);
    let (journal, found) = open(directory.path());
    assert_eq!(found.records, [event(0), event(1), Record::Done { batch: 3 }]);
    append(&journal, &[event(2)]);
    close(journal);
    assert_eq!(open(directory.path()).1.records.last(), Some(&event(2)));
}

#[test]
fn answers_come_in_the_order_of_the_calls() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let (tell, hear) = mpsc::channel();
    for number in 0..200 {
        let tell = tell.clone();
        let done = Done::new(move |result| tell.send((number, result.is_ok())).unwrap());
        if number % 50 == 49 {
            journal.rewrite(Box::new(move || vec![event(number)]), done);
        } else {
            journal.append(&[event(number)], Urgency::Later, done);
        }
    }
    let answers: Vec<_> = (0..200).map(|_| hear.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(answers, (0..200).map(|number| (number, true)).collect::<Vec<_>>());
    close(journal);
    assert_eq!(open(directory.path()).1.records, [event(199)], "a rewrite replaces all that was before");
}

#[test]
fn a_rewritten_journal_holds_the_snapshot_and_what_came_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for id in 0..100 {
        append(&journal, &[event(id)]);
    }
    let before = journal.bytes();
    told(|done| journal.rewrite(Box::new(|| vec![event(99)]), done)).unwrap();
    assert!(journal.bytes() < before / 50, "{} of {before}", journal.bytes());
    append(&journal, &[event(100)]);
    close(journal);
    only_journal(directory.path());
    assert_eq!(open(directory.path()).1.records, [event(99), event(100)]);
}

#[test]
fn a_torn_end_is_cut_off_and_appended_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    append(&journal, &[event(0), event(1)]);
    close(journal);
    let whole = fs::read(only_journal(directory.path())).unwrap();
    // Every place where a write can stop.
    for end in TITLE.len()..whole.len() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(journal_path(directory.path(), 1), &whole[..end]).unwrap();
        let (journal, found) = open(directory.path());
        assert!(found.damage.is_none() && !found.records.contains(&event(1)), "{end}");
        append(&journal, &[event(7)]);
        close(journal);
        let (journal, again) = open(directory.path());
        assert_eq!(again.records, [found.records, vec![event(7)]].concat());
        close(journal);
    }
}

#[test]
fn damage_in_the_middle_is_told_and_put_aside_and_the_rest_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    append(&journal, &[event(0), event(1), event(2)]);
    close(journal);
    let path = only_journal(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (journal, found) = open(directory.path());
    assert_eq!(found.records, [Record::Counters { event: 3, batch: 0 }, event(0), event(2)]);
    assert!(found.damage.unwrap().contains("damaged-0000000001"));
    assert_eq!(fs::read(directory.path().join("damaged-0000000001")).unwrap(), bytes);
    close(journal);
    assert!(open(directory.path()).1.damage.is_none(), "told once");
}

#[test]
fn numbers_of_which_the_use_may_be_forgotten_are_not_used_again() {
    let of = |partition: &str| Record::Identity {
        partition: partition.to_owned(),
        producer_id: 7,
        epoch: 0,
        next: 4,
    };
    let batch = Batch { number: 0, partition: "1".to_owned(), first: Some(4), events: vec![0] };
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    append(&journal, &[event(0), event(1), of("0"), of("1"), Record::Batch(batch.clone())]);
    close(journal);
    let path = only_journal(directory.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"torn"].concat()).unwrap();
    let (journal, found) = open(directory.path());
    // That of the batch under way is needed to send it again.
    assert!(found.records.contains(&of("1")) && found.records.contains(&Record::Batch(batch.clone())));
    assert!(!found.records.contains(&of("0")));
    close(journal);

    fs::remove_file(only_journal(directory.path())).unwrap();
    fs::write(&path, [&whole[..TITLE.len()], &whole[TITLE.len() + 1..]].concat()).unwrap();
    let (_journal, found) = open(directory.path());
    assert!(found.damage.is_some());
    assert_eq!(found.records, [Record::Counters { event: 2, batch: 1 }, event(1)]);
}

#[test]
fn a_crash_between_the_next_journal_and_the_end_of_the_old_one_is_seen_through() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    append(&journal, &[event(0), event(1)]);
    let old = fs::read(only_journal(directory.path())).unwrap();
    told(|done| journal.rewrite(Box::new(|| vec![event(1)]), done)).unwrap();
    close(journal);
    fs::write(journal_path(directory.path(), 1), &old).unwrap();
    // And one that had only begun.
    fs::write(directory.path().join("journal.new"), &old[..30]).unwrap();
    assert_eq!(open(directory.path()).1.records, [event(1)]);
    only_journal(directory.path());
}

#[test]
fn letters_are_kept_beside_the_records() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for id in [1, 2] {
        told(|done| journal.letters(LetterChange::Add(letter(id)), done)).unwrap();
    }
    close(journal);
    let (journal, found) = open(directory.path());
    assert_eq!(found.letters, [letter(1), letter(2)]);
    told(|done| journal.letters(LetterChange::Replace(vec![letter(2)]), done)).unwrap();
    close(journal);
    // What an interrupted write leaves is cut off, and the others stay.
    let path = directory.path().join(LETTERS);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], &whole[..9]].concat()).unwrap();
    assert_eq!(open(directory.path()).1.letters, [letter(2)]);
}

#[test]
fn the_second_owner_is_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let Err(error) = FileJournal::open(directory.path(), Durability::Process) else {
        panic!("two own it");
    };
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    assert!(error.is_transient());
    close(first.0);
    open(directory.path());
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(journal_path(directory.path(), 4), "somebody else's").unwrap();
    let Err(error) = FileJournal::open(directory.path(), Durability::Process) else { panic!("understood") };
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(fs::read(journal_path(directory.path(), 4)).unwrap(), b"somebody else's");
}

#[test]
fn after_the_end_nothing_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    told(|done| journal.close(done)).unwrap();
    let late = told(|done| journal.append(&[event(0)], Urgency::Promised, done)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Closed);
    drop(journal);
    let batch = Batch { number: 0, partition: "0".to_owned(), first: None, events: vec![0] };
    let (journal, found) = open(directory.path());
    assert!(found.records.is_empty());
    append(&journal, &[Record::Batch(batch)]);
}
