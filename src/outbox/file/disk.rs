//! The files themselves. Everything here blocks its thread.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::journal::Urgency;
use super::super::options::Durability;
use super::super::record::{Letter, Record};
use super::{LETTERS, TITLE, journal_path};
use crate::error::Error;

/// The journal that is being written.
pub(super) struct Disk {
    pub(super) directory: PathBuf,
    number: u64,
    file: File,
    /// How long the part is that is known to be as it should.
    good: u64,
    /// Whether there may be something behind that part.
    has_rest: bool,
    durability: Durability,
}

impl Disk {
    /// Goes on behind the first `good` bytes of a journal.
    pub(super) fn open(
        directory: &Path,
        number: u64,
        good: u64,
        durability: Durability,
    ) -> Result<Self, Error> {
        let path = journal_path(directory, number);
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|error| broken("open", &path, &error))?;
        Ok(Disk { directory: directory.to_owned(), number, file, good, has_rest: true, durability })
    }

    /// Begins a journal that holds these records, all of them or it is not there.
    pub(super) fn create(
        directory: &Path,
        number: u64,
        records: &[Record],
        durability: Durability,
    ) -> Result<Self, Error> {
        let mut bytes = TITLE.to_vec();
        records.iter().for_each(|record| record.put(&mut bytes));
        let (path, beside) = (journal_path(directory, number), directory.join("journal.new"));
        let file = replace(&path, &beside, &bytes)?;
        let (directory, good) = (directory.to_owned(), bytes.len() as u64);
        Ok(Disk { directory, number, file, good, has_rest: false, durability })
    }

    /// Writes behind what is there.
    pub(super) fn write(&mut self, bytes: &[u8], urgency: Option<Urgency>) -> Result<(), Error> {
        let is_synchronised = match self.durability {
            Durability::PowerCut => urgency >= Some(Urgency::Promised),
            Durability::Process => urgency >= Some(Urgency::Always),
        };
        let written = self.try_write(bytes, is_synchronised);
        match written {
            Ok(()) => self.good += bytes.len() as u64,
            // How much of it is there, nobody knows. It must not be found later.
            Err(_) => self.has_rest = true,
        }
        written.map_err(|error| broken("write", &journal_path(&self.directory, self.number), &error))
    }

    /// Replaces the journal by one with these records.
    pub(super) fn rewrite(&mut self, records: &[Record]) -> Result<(), Error> {
        let next = Disk::create(&self.directory, self.number + 1, records, self.durability)?;
        let old = std::mem::replace(self, next);
        let path = journal_path(&old.directory, old.number);
        drop(old);
        // What stays is removed when the outbox is opened again.
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!("cannot remove {}, which is not needed any more: {error}", path.display());
        }
        Ok(())
    }

    pub(super) fn add_letter(&mut self, letter: &Letter) -> Result<(), Error> {
        let path = self.directory.join(LETTERS);
        let mut bytes = Vec::new();
        letter.put(&mut bytes);
        let file = File::options().create(true).append(true).open(&path);
        let added = file.and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        added.map_err(|error| broken("write", &path, &error))?;
        sync_directory(&self.directory);
        Ok(())
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn bytes(&self) -> u64 {
        self.good
    }

    fn try_write(&mut self, bytes: &[u8], is_synchronised: bool) -> io::Result<()> {
        if self.has_rest {
            self.file.set_len(self.good)?;
            self.file.sync_all()?;
            self.file.seek(SeekFrom::Start(self.good))?;
            self.has_rest = false;
        }
        self.file.write_all(bytes)?;
        if is_synchronised { self.file.sync_data() } else { Ok(()) }
    }
}

/// All of a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Bytes>, Error> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(broken("read", path, &error)),
    }
}

/// Copies a file to a name that nothing has yet, `path` or one like it.
pub(super) fn set_aside(from: &Path, path: &Path) -> Result<PathBuf, Error> {
    let mut to = path.to_owned();
    let mut count = 1;
    while to.exists() {
        count += 1;
        to = PathBuf::from(format!("{}-{count}", path.display()));
    }
    fs::copy(from, &to).map_err(|error| broken("copy", from, &error))?;
    Ok(to)
}

pub(super) fn replace_letters(directory: &Path, letters: &[Letter]) -> Result<(), Error> {
    let mut bytes = Vec::new();
    letters.iter().for_each(|letter| letter.put(&mut bytes));
    replace(&directory.join(LETTERS), &directory.join("dead-letters.new"), &bytes).map(drop)
}

/// Puts a file in place of another; it outlives a power cut. Gives it, open behind its end.
fn replace(path: &Path, beside: &Path, bytes: &[u8]) -> Result<File, Error> {
    let written = File::options().read(true).write(true).create(true).truncate(true).open(beside).and_then(
        |mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            Ok(file)
        },
    );
    let file = written.map_err(|error| broken("write", beside, &error))?;
    fs::rename(beside, path).map_err(|error| broken("replace", path, &error))?;
    if let Some(directory) = path.parent() {
        sync_directory(directory);
    }
    Ok(file)
}

/// Makes names durable. Where directories cannot be synchronised, renaming is what there is.
fn sync_directory(directory: &Path) {
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
}

/// What could not be done with the file.
pub(super) fn broken(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::of_machine(format!("cannot {what} {}: {error}", path.display()), error)
}
