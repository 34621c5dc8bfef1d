//! What the fuzz target feeds: the reader of journals.

use bytes::Bytes;

use super::ledger::Ledger;
use super::record::{Contents, Record};

/// Reads bytes as a journal and as letters; how many whole records there are. What they say is the same when it is written again.
///
/// # Panics
/// When it is not.
pub fn journal(bytes: &Bytes) -> usize {
    let letters = Contents::of_letters(bytes);
    let contents = Contents::of_journal(bytes);
    assert!(contents.end <= bytes.len() && letters.end <= bytes.len());
    let count = contents.records.len();
    let mut ledger = Ledger::default();
    contents.records.into_iter().for_each(|record| ledger.apply(record));
    let mut again = Vec::new();
    ledger.snapshot().iter().for_each(|record| record.put(&mut again));
    let again = Contents::of_journal(&again.into());
    assert!(again.damaged.is_empty());
    let mut same = Ledger::default();
    again.records.into_iter().for_each(|record| same.apply(record));
    assert_eq!(same, ledger);
    count
}

/// A journal with all kinds of records, for a fuzzer to start from.
pub fn seed() -> Vec<u8> {
    let mut bytes = Vec::new();
    super::record::samples().iter().for_each(|record: &Record| record.put(&mut bytes));
    bytes
}
