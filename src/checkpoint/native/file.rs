//! Remembers in a directory that several processes share.
//!
//! ```text
//! <directory>/<namespace>/<event hub>/<group>/ownership/<partition>.txt    one record a file, replaced by renaming
//!                                             ownership.lock               held for the time of a change
//!                                             checkpoint/<partition>.txt
//!                                             checkpoint.lock
//! ```
//!
//! A reader needs no lock: it sees a file as it was before or after a renaming. The lock is the system's, so it ends with
//! the process that holds it, however that ends.

mod names;
mod record;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

use self::names::{decoded, encoded};
use self::record::Fields;
use super::super::rules::{Version, fresh_etag};
use super::super::{CheckpointStore, RecordFailure, Records};
use super::threads::on_thread;
use crate::error::{Error, ErrorKind, shown};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::model::value::Timestamp;
use crate::runtime::unix_now;

/// Records are some hundred bytes; of what is longer only this much is looked at.
const LONGEST_RECORD: u64 = 256 * 1024;
const EXTENSION: &str = "txt";
/// How long the lock of another process is waited for. Holding it takes milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Keeps one small text file for each ownership and each checkpoint in a directory. Several processes may use the same
/// directory: on one machine, or on a shared file system whose locks work.
///
/// A process that is killed leaves nothing half written. A file that cannot be understood is reported with its path, and
/// the other partitions go on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use eventhubs::checkpoint::{Checkpoint, CheckpointStore, ConsumerGroup, FileStore};
///
/// # let directory = tempfile::tempdir()?;
/// let store = FileStore::new(directory.path());
/// let group = ConsumerGroup {
///     namespace: "contoso.servicebus.windows.net".into(),
///     event_hub: "orders".into(),
///     name: "$Default".into(),
/// };
/// store.update_checkpoint(&group, &Checkpoint::new("0", "4096", 17)).await?;
/// assert_eq!(store.list_checkpoints(&group).await?.records.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    lock_patience: Duration,
    /// Changes of this process come one after the other, so that what is left to wait for is another process: hundreds
    /// that poll for one lock would starve each other on a slow disk.
    turn: Mutex<()>,
}

/// The two kinds of records, as their directories are called.
#[derive(Clone, Copy)]
enum Kind {
    Ownership,
    Checkpoint,
}

/// What a file says.
enum Found<T> {
    Nothing,
    Record(T),
    /// Something else; the version is made of what it says, so that it can be replaced by who has seen it.
    Garbage {
        etag: String,
        reason: String,
    },
}

impl FileStore {
    /// A store in this directory, which is made when the first record is written.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::with(directory.into(), LOCK_PATIENCE)
    }

    /// How long a change waits for another process that is in the middle of one. Default: 10 s.
    #[must_use]
    pub fn with_lock_timeout(self, timeout: Duration) -> Self {
        Self::with(self.0.directory.clone(), timeout)
    }

    fn with(directory: PathBuf, lock_patience: Duration) -> Self {
        FileStore(Arc::new(Shared { directory, lock_patience, turn: Mutex::default() }))
    }

    fn run<'a, T: Send + 'static>(
        &'a self,
        operation: &'static str,
        group: &'a ConsumerGroup,
        work: impl FnOnce(&Group) -> Result<T, Error> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let group_dir = Group { directory: self.0.group_dir(group), store: self.0.clone() };
        on_thread(operation, group, move || work(&group_dir))
    }
}

impl CheckpointStore for FileStore {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        self.run("list the ownerships of", group, |group| group.list(Kind::Ownership, ownership))
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        let claims = claims.to_vec();
        self.run("claim partitions of", group, move |group| group.claim(&claims))
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        self.run("list the checkpoints of", group, |group| group.list(Kind::Checkpoint, checkpoint))
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let checkpoint = checkpoint.clone();
        self.run("write a checkpoint of", group, move |group| {
            checkpoint.position()?;
            group.update(&checkpoint)
        })
    }
}

impl Shared {
    fn group_dir(&self, group: &ConsumerGroup) -> PathBuf {
        let group = group.folded();
        self.directory
            .join(encoded(&group.namespace))
            .join(encoded(&group.event_hub))
            .join(encoded(&group.name))
    }
}

/// The directory of one consumer group.
struct Group {
    directory: PathBuf,
    store: Arc<Shared>,
}

/// Nobody else changes records while it lives.
struct Turn<'a> {
    _of_processes: File,
    _of_threads: MutexGuard<'a, ()>,
}

impl Group {
    fn list<T>(
        &self,
        kind: Kind,
        understand: fn(&Fields) -> Result<(String, T), String>,
    ) -> Result<Records<T>, Error> {
        let directory = self.directory.join(kind.name());
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::default()),
            Err(error) => return Err(broken("read", &directory, &error)),
        };
        let mut records = Records::default();
        for entry in entries {
            let path = entry.map_err(|error| broken("read", &directory, &error))?.path();
            let Some(partition) = partition_of(&path) else { continue };
            let failure = match read(&path, kind, understand) {
                Ok(Found::Nothing) => continue,
                Ok(Found::Record((_, record))) => {
                    records.records.push(record);
                    continue;
                }
                Ok(Found::Garbage { etag, reason }) => RecordFailure {
                    partition_id: partition,
                    etag: Some(etag),
                    error: garbage(&path, &reason),
                },
                Err(error) => RecordFailure { partition_id: partition, etag: None, error },
            };
            records.failures.push(failure);
        }
        Ok(records)
    }

    fn claim(&self, claims: &[Ownership]) -> Result<Records<Ownership>, Error> {
        if claims.is_empty() {
            return Ok(Records::default());
        }
        let lock = self.lock(Kind::Ownership)?;
        let mut won = Records::default();
        for claim in claims {
            match self.decide(claim) {
                Ok(None) => {}
                Ok(Some(record)) => won.records.push(record),
                Err(error) => {
                    let (partition_id, etag) = (claim.partition_id.clone(), None);
                    won.failures.push(RecordFailure { partition_id, etag, error });
                }
            }
        }
        drop(lock);
        Ok(won)
    }

    fn decide(&self, claim: &Ownership) -> Result<Option<Ownership>, Error> {
        let path = self.path(Kind::Ownership, &claim.partition_id);
        let found = read(&path, Kind::Ownership, ownership)?;
        let version = match &found {
            Found::Nothing => Version::default(),
            Found::Record((_, known)) => Version::of(Some(known)),
            Found::Garbage { etag, .. } => Version { etag: Some(etag), last_modified: None },
        };
        let Some(record) = version.claimed(claim, unix_now(), fresh_etag()) else { return Ok(None) };
        let mut fields = Fields::default();
        fields.set("partition", &record.partition_id);
        fields.set("owner", &record.owner_id);
        fields.set("modified", &record.last_modified.unwrap_or_else(unix_now).as_millis().to_string());
        fields.set("etag", record.etag.as_deref().unwrap_or_default());
        // After a power cut all owners are gone, and a file that lost its content is claimed like any other.
        write(&path, &fields.text(Kind::Ownership.name()), Durability::Process)?;
        Ok(Some(record))
    }

    fn update(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let mut fields = Fields::default();
        fields.set("partition", &checkpoint.partition_id);
        if let Some(offset) = &checkpoint.offset {
            fields.set("offset", offset);
        }
        if let Some(number) = checkpoint.sequence_number {
            fields.set("sequence-number", &number.to_string());
        }
        let lock = self.lock(Kind::Checkpoint)?;
        let path = self.path(Kind::Checkpoint, &checkpoint.partition_id);
        write(&path, &fields.text(Kind::Checkpoint.name()), Durability::PowerCut)?;
        drop(lock);
        Ok(())
    }

    fn path(&self, kind: Kind, partition_id: &str) -> PathBuf {
        self.directory.join(kind.name()).join(format!("{}.{EXTENSION}", encoded(partition_id)))
    }

    /// Waits for its turn to change records of this kind.
    fn lock(&self, kind: Kind) -> Result<Turn<'_>, Error> {
        let of_threads = self.store.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.directory.join(kind.name());
        fs::create_dir_all(&records).map_err(|error| broken("make", &records, &error))?;
        let path = self.directory.join(format!("{}.lock", kind.name()));
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|error| broken("open", &path, &error))?;
        let deadline = Instant::now() + self.store.lock_patience;
        let mut pause = Duration::from_micros(50);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Turn { _of_processes: file, _of_threads: of_threads }),
                Err(TryLockError::Error(error)) => return Err(broken("lock", &path, &error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let waited = self.store.lock_patience.as_secs_f32();
                    let message = format!(
                        "another process has held the lock {} for {waited} s; it may be stopped",
                        path.display()
                    );
                    return Err(Error::new(ErrorKind::Timeout, message));
                }
                // Polled, as waiting in the system has no deadline.
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Ownership => "ownership",
            Kind::Checkpoint => "checkpoint",
        }
    }
}

/// What a record has to survive.
#[derive(Clone, Copy, PartialEq)]
enum Durability {
    /// The end of the process.
    Process,
    /// The end of the machine.
    PowerCut,
}

/// Puts a file in place of another. The lock is held, so nobody else writes beside it.
fn write(path: &Path, text: &str, durability: Durability) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        if durability == Durability::PowerCut { file.sync_data() } else { Ok(()) }
    });
    written.map_err(|error| broken("write", &beside, &error))?;
    fs::rename(&beside, path).map_err(|error| broken("replace", path, &error))?;
    if durability == Durability::PowerCut
        && let Some(directory) = path.parent()
        && let Ok(directory) = File::open(directory)
    {
        // Where directories cannot be synchronised, renaming is what there is.
        let _ = directory.sync_all();
    }
    Ok(())
}

fn read<T>(
    path: &Path,
    kind: Kind,
    understand: fn(&Fields) -> Result<(String, T), String>,
) -> Result<Found<(String, T)>, Error> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST_RECORD).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(broken("read", path, &error)),
    }
    let understood = Fields::parse(&bytes, kind.name()).and_then(|fields| understand(&fields));
    Ok(match understood {
        Ok((partition, _)) if path.file_stem().is_none_or(|stem| stem != encoded(&partition).as_str()) => {
            let reason = format!("it is the record of partition '{}'", shown(&partition, 40));
            Found::Garbage { etag: version_of(&bytes), reason }
        }
        Ok(record) => Found::Record(record),
        Err(reason) => Found::Garbage { etag: version_of(&bytes), reason },
    })
}

fn ownership(fields: &Fields) -> Result<(String, Ownership), String> {
    let partition_id = fields.text_of("partition")?;
    let record = Ownership {
        partition_id: partition_id.clone(),
        owner_id: fields.text_of("owner")?,
        last_modified: Some(Timestamp::from_millis(fields.number_of("modified")?)),
        etag: Some(fields.text_of("etag")?),
    };
    Ok((partition_id, record))
}

fn checkpoint(fields: &Fields) -> Result<(String, Checkpoint), String> {
    let record = Checkpoint {
        partition_id: fields.text_of("partition")?,
        offset: fields.text_of("offset").ok(),
        sequence_number: if fields.has("sequence-number") {
            Some(fields.number_of("sequence-number")?)
        } else {
            None
        },
    };
    record.position().map_err(|error| error.message().to_owned())?;
    Ok((record.partition_id.clone(), record))
}

/// The partition that a file is named after; `None` for a file that is no record.
fn partition_of(path: &Path) -> Option<String> {
    let is_record = path.extension().is_some_and(|extension| extension == EXTENSION);
    is_record.then(|| path.file_stem().map(|stem| decoded(&stem.to_string_lossy()))).flatten()
}

fn version_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash[..12].iter().fold("unreadable-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn garbage(path: &Path, reason: &str) -> Error {
    let message = format!("the file {} cannot be understood: {reason}; repair or remove it", path.display());
    Error::new(ErrorKind::Protocol, message)
}

fn broken(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::of_machine(format!("cannot {what} {}: {error}", path.display()), error)
}

#[cfg(test)]
mod tests;
