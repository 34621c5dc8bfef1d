//! A journal in a directory.
//!
//! ```text
//! <directory>/journal-<n>     a line that says what it is, then records; the highest number counts
//!             dead-letters    letters about events that were given up
//!             damaged-<n>     a journal of which a part could not be understood, as it was found
//!             lock            held by the process that uses the directory, which is named in `owner`
//! ```
//!
//! A journal grows at its end only. When most of it is about events that are gone, what is left is written to the next number.

mod disk;
mod thread;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use self::disk::{Disk, broken};
use self::thread::Shared;
use super::journal::{Done, Found, Journal, LetterChange, Urgency};
use super::ledger::Ledger;
use super::options::Durability;
use super::record::{Contents, Record};
use crate::error::{Error, ErrorKind, shown};

/// The first bytes of every journal.
const TITLE: &[u8] = b"eventhubs outbox 1\n";
const LETTERS: &str = "dead-letters";

/// A journal in a directory that belongs to this process as long as this lives.
pub(super) struct FileJournal {
    shared: Arc<Shared>,
}

impl FileJournal {
    /// Takes possession of a directory, which is made if need be, and reads what is there. Blocks its thread.
    pub(super) fn open(directory: &Path, durability: Durability) -> Result<(Self, Found), Error> {
        fs::create_dir_all(directory).map_err(|error| broken("make", directory, &error))?;
        let lock = possess(directory)?;
        let mut found = Found::default();
        let numbers = journals(directory)?;
        let disk = match numbers.last() {
            Some(&number) => load(directory, number, durability, &mut found)?,
            None => Disk::create(directory, 1, &[], durability)?,
        };
        for older in numbers.into_iter().filter(|number| *number != disk.number()) {
            // The next one was written, and a crash came before this was removed; or it was written just now.
            let path = journal_path(directory, older);
            fs::remove_file(&path).map_err(|error| broken("remove", &path, &error))?;
        }
        let letters = directory.join(LETTERS);
        if let Some(bytes) = disk::read(&letters)? {
            let contents = Contents::of_letters(&bytes);
            if contents.end < bytes.len() || !contents.damaged.is_empty() {
                let kept = disk::set_aside(&letters, &directory.join("damaged-dead-letters"))?;
                found.damage.get_or_insert_with(|| format!("a part of {} is damaged", kept.display()));
                disk::replace_letters(directory, &contents.records)?;
            }
            found.letters = contents.records;
        }
        Ok((FileJournal { shared: Shared::start(disk, lock)? }, found))
    }
}

impl Journal for FileJournal {
    fn append(&self, records: &[Record], urgency: Urgency, done: Done) {
        self.shared.append(records, urgency, done);
    }

    fn rewrite(&self, snapshot: Box<dyn FnOnce() -> Vec<Record> + Send>, done: Done) {
        self.shared.work(Box::new(move |disk| disk.rewrite(&snapshot())), done);
    }

    fn letters(&self, change: LetterChange, done: Done) {
        let work = move |disk: &mut Disk| match change {
            LetterChange::Add(letter) => disk.add_letter(&letter),
            LetterChange::Replace(letters) => disk::replace_letters(&disk.directory, &letters),
        };
        self.shared.work(Box::new(work), done);
    }

    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn close(&self, done: Done) {
        self.shared.close(done);
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.shared.close(Done::new(|_| {}));
    }
}

/// Locks the directory. The lock is the system's, so it ends with the process, however that ends.
fn possess(directory: &Path) -> Result<File, Error> {
    let (path, owner) = (directory.join("lock"), directory.join("owner"));
    let lock = File::options().create(true).append(true).open(&path);
    let lock = lock.map_err(|error| broken("open", &path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(broken("lock", &path, &error)),
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(owner).unwrap_or_default();
            let owner = if owner.trim().is_empty() { "another process" } else { owner.trim() };
            let message = format!(
                "the outbox in {} is in use by {}; one process owns an outbox at a time: give each its own directory",
                directory.display(),
                shown(owner, 100)
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_transient(true));
        }
    }
    let myself = format!("process {}\n", std::process::id());
    fs::write(&owner, myself).map_err(|error| broken("write", &owner, &error))?;
    Ok(lock)
}

/// The numbers of the journals in a directory, in order.
fn journals(directory: &Path) -> Result<Vec<u64>, Error> {
    let entries = fs::read_dir(directory).map_err(|error| broken("read", directory, &error))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| broken("read", directory, &error))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("journal-"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn journal_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("journal-{number:010}"))
}

fn load(directory: &Path, number: u64, durability: Durability, found: &mut Found) -> Result<Disk, Error> {
    let path = journal_path(directory, number);
    let bytes = disk::read(&path)?.unwrap_or_default();
    let records = understand(&bytes, &path)?;
    let end = TITLE.len() + records.end;
    if records.damaged.is_empty() && end == bytes.len() {
        found.records = records.records;
        return Disk::open(directory, number, end as u64, durability);
    }
    let mut ledger = Ledger::default();
    records.records.into_iter().for_each(|record| ledger.apply(record));
    ledger.forget_identities(!records.damaged.is_empty());
    found.records = ledger.snapshot();
    if records.damaged.is_empty() {
        // What an interrupted write left behind the last record; nobody was told that it is kept.
        return Disk::create(directory, number + 1, &found.records, durability);
    }
    let lost: usize = records.damaged.iter().map(|range| range.len()).sum();
    let kept = disk::set_aside(&path, &directory.join(format!("damaged-{number:010}")))?;
    found.damage = Some(format!(
        "{lost} bytes of the journal are damaged, and what they said is lost; it was put aside as {}",
        kept.display()
    ));
    Disk::create(directory, number + 1, &found.records, durability)
}

/// The records of a journal's bytes.
fn understand(bytes: &Bytes, path: &Path) -> Result<Contents<Record>, Error> {
    if !bytes.starts_with(TITLE) {
        let message = format!(
            "{} is no journal of an outbox that this version understands; give another directory, or move it away",
            path.display()
        );
        return Err(Error::new(ErrorKind::Protocol, message));
    }
    Ok(Contents::of_journal(&bytes.slice(TITLE.len()..)))
}

#[cfg(test)]
mod tests;
