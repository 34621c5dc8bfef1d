//! Keeps hubs and events over restarts.
//!
//! The store is [redb](https://docs.rs/redb), one file, because it is what this needs and little else: pure Rust
//! without unsafe dependencies or a C compiler, a stable file format, ordered keys, one writer with many changes
//! in one transaction, a checksum on every page, and a commit that is on the disk or not at all, so that a
//! killed process or a pulled plug leaves the last commit. It is maintained, widely used, and locks its file.
//! `sled` is unfinished, RocksDB and SQLite bring a C toolchain, and a log format of our own would have to earn
//! the trust that redb has.
//!
//! The broker keeps all events in memory and reads them from here only at the start, so the store is a journal:
//! a thread takes everything that was queued meanwhile, makes it durable with one commit, and then says so to
//! everybody who waits (group commit). Appends of one partition that meet in a commit share a record.

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod record;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};
use tracing::info;

use self::record::StoredHub;
use self::writer::{Command, Heads, Writer};
use crate::broker::journal::{
    AppendDone, HubId, HubRecord, Journal, JournalBatch, JournalError, ProducerRecord, Restore,
};
use crate::error::{Error, ErrorKind};

/// What is known about the file itself.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// A hub's id → its description.
const HUBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("hubs");
/// Hub, partition, first sequence number, number of the chunk → a chunk of a record.
const EVENTS: TableDefinition<'_, (u64, u32, i64, u32), &[u8]> = TableDefinition::new("events");
/// Hub, partition, id of an idempotent producer → what is known of it.
const PRODUCERS: TableDefinition<'_, (u64, u32, i64), &[u8]> = TableDefinition::new("producers");

const VERSION_KEY: &str = "version";
const VERSION: u64 = 1;
const FILE: &str = "events.redb";
/// Everything is in the broker's memory already.
const CACHE: usize = 32 << 20;

/// An open store.
pub(super) struct Store {
    journal: Arc<StoreJournal>,
    thread: Option<JoinHandle<Result<(), String>>>,
    path: PathBuf,
    hubs: usize,
}

struct StoreJournal {
    commands: mpsc::Sender<Command>,
}

/// What a file held when it was opened, each partition in order.
#[derive(Default)]
struct Contents {
    hubs: Vec<HubRecord>,
    batches: Vec<(HubId, u32, JournalBatch)>,
    producers: Vec<(HubId, u32, ProducerRecord)>,
}

impl Store {
    /// Opens the store in a directory, making it on first use, and reads everything that it holds. Blocks.
    pub(super) fn open(dir: &Path) -> Result<(Self, Restore), Error> {
        let path = dir.join(FILE);
        let failed = |why: String| {
            Error::new(ErrorKind::InvalidArgument, why)
                .with_operation("open the store")
                .with_entity(path.display().to_string())
        };
        fs::create_dir_all(dir)
            .map_err(|error| failed(format!("{error}; choose another directory with --data-dir")))?;
        // A file that somebody else wrote over can make redb panic, and that must not take the process along.
        let opened = {
            let path = path.clone();
            thread::spawn(move || open_and_load(&path)).join()
        };
        let (database, contents, heads) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(why)) => return Err(failed(why)),
            Err(_) => return Err(failed(damaged("its pages contradict each other"))),
        };
        let (commands, queue) = mpsc::channel();
        let hubs = contents.hubs.len();
        let writer = Writer::new(database, queue, heads);
        let thread = thread::Builder::new()
            .name("eventhubs-store".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.to_string()))?;
        let journal = Arc::new(StoreJournal { commands });
        Ok((Store { journal, thread: Some(thread), path, hubs }, contents.into_restore()))
    }

    /// How many hubs it held when it was opened.
    pub(super) fn hubs(&self) -> usize {
        self.hubs
    }

    /// The store as the broker uses it.
    pub(super) fn journal(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// Writes what is queued and closes the file. Appends that come later fail. Blocks for about one commit.
    pub(super) fn close(mut self) -> Result<(), Error> {
        self.finish().map_err(|why| {
            Error::new(ErrorKind::Internal, why)
                .with_operation("close the store")
                .with_entity(self.path.display().to_string())
        })
    }

    fn finish(&mut self) -> Result<(), String> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // It is gone already when this fails.
        let _ = self.journal.commands.send(Command::Close);
        thread.join().unwrap_or_else(|_| Err("its thread panicked".to_owned()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Whoever opens the directory next must find it unlocked.
        let _ = self.finish();
    }
}

impl Journal for StoreJournal {
    fn append(&self, hub: HubId, partition: u32, batch: JournalBatch, done: AppendDone) {
        let command = Command::Append { hub, partition, batch, done };
        if let Err(mpsc::SendError(Command::Append { done, .. })) = self.commands.send(command) {
            done.call(Err(JournalError("the store is closed".to_owned())));
        }
    }

    fn trim(&self, hub: HubId, partition: u32, before_sequence: i64) {
        // Nothing is lost by not trimming a store that is closed.
        let _ = self.commands.send(Command::Trim { hub, partition, before_sequence });
    }

    fn put_producer(&self, hub: HubId, partition: u32, producer: ProducerRecord) {
        let _ = self.commands.send(Command::PutProducer { hub, partition, producer });
    }

    fn remove_producer(&self, hub: HubId, partition: u32, producer: i64) {
        let _ = self.commands.send(Command::RemoveProducer { hub, partition, producer });
    }

    fn put_hub(&self, hub: HubRecord) {
        let _ = self.commands.send(Command::PutHub(hub));
    }

    fn remove_hub(&self, hub: HubId) {
        let _ = self.commands.send(Command::RemoveHub(hub));
    }
}

fn open_and_load(path: &Path) -> Result<(Database, Contents, Heads), String> {
    let database = Builder::new()
        .set_cache_size(CACHE)
        // A file that was altered is found out here, not by a panic while it is in use.
        .set_check_integrity_on_open(true)
        .set_repair_callback(|repair| info!("checking the store: {:.0} %", repair.progress() * 100.0))
        .create(path)
        .map_err(|error| explain(&error))?;
    prepare(&database)?;
    let (contents, heads) = load(&database)?;
    Ok((database, contents, heads))
}

fn explain(error: &DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            "another emulator has it open; stop that one, or choose another directory with --data-dir"
                .to_owned()
        }
        DatabaseError::UpgradeRequired(version) => {
            format!("it was made by a version of this program that is too old (file format {version})")
        }
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            error.to_string()
        }
        other => damaged(other),
    }
}

fn damaged(why: impl std::fmt::Display) -> String {
    format!("it is damaged or not a store ({why}); move the file away to start without its events")
}

fn too_many() -> String {
    damaged("a hub has too many partitions")
}

/// Makes the tables, and sees that the file is of this version.
fn prepare(database: &Database) -> Result<(), String> {
    let transaction = database.begin_write().map_err(damaged)?;
    {
        let mut meta = transaction.open_table(META).map_err(damaged)?;
        let version = meta.get(VERSION_KEY).map_err(damaged)?.map(|version| version.value());
        match version {
            Some(VERSION) => {}
            None => drop(meta.insert(VERSION_KEY, VERSION).map_err(damaged)?),
            Some(other) => {
                return Err(format!(
                    "it was made by another version of this program (version {other}, not {VERSION})"
                ));
            }
        }
        transaction.open_table(HUBS).map_err(damaged)?;
        transaction.open_table(EVENTS).map_err(damaged)?;
        // Not there in files of earlier versions, which had none.
        transaction.open_table(PRODUCERS).map_err(damaged)?;
    }
    transaction.commit().map_err(|error| error.to_string())
}

fn load(database: &Database) -> Result<(Contents, Heads), String> {
    let mut contents = Contents::default();
    let mut heads = Heads::default();
    let transaction = database.begin_read().map_err(damaged)?;
    for row in transaction.open_table(HUBS).map_err(damaged)?.iter().map_err(damaged)? {
        let (id, hub) = row.map_err(damaged)?;
        let id = HubId(id.value());
        let hub: StoredHub = serde_json::from_slice(hub.value()).map_err(damaged)?;
        heads.add_hub(id);
        contents.hubs.push(hub.into_record(id).ok_or_else(too_many)?);
    }
    let mut open: Option<Record> = None;
    for row in transaction.open_table(EVENTS).map_err(damaged)?.iter().map_err(damaged)? {
        let (key, chunk) = row.map_err(damaged)?;
        let (hub, partition, first_sequence, _) = key.value();
        match &mut open {
            Some(record) if record.key == (hub, partition, first_sequence) => {
                record.bytes.extend_from_slice(chunk.value());
            }
            _ => {
                let next = Record { key: (hub, partition, first_sequence), bytes: chunk.value().to_vec() };
                if let Some(complete) = open.replace(next) {
                    complete.add_to(&mut contents, &mut heads)?;
                }
            }
        }
    }
    if let Some(last) = open {
        last.add_to(&mut contents, &mut heads)?;
    }
    for row in transaction.open_table(PRODUCERS).map_err(damaged)?.iter().map_err(damaged)? {
        let (key, producer) = row.map_err(damaged)?;
        let (hub, partition, id) = key.value();
        let producer = record::decode_producer(id, producer.value())
            .ok_or_else(|| damaged("what is known of a producer makes no sense"))?;
        contents.producers.push((HubId(hub), partition, producer));
    }
    Ok((contents, heads))
}

impl Contents {
    fn into_restore(self) -> Restore {
        let mut restore = Restore::new();
        self.hubs.into_iter().for_each(|hub| restore.hub(hub));
        self.batches.into_iter().for_each(|(hub, partition, batch)| restore.batch(hub, partition, batch));
        self.producers
            .into_iter()
            .for_each(|(hub, partition, known)| restore.producer(hub, partition, known));
        restore
    }
}

/// A record, put together from its chunks.
struct Record {
    key: (u64, u32, i64),
    bytes: Vec<u8>,
}

impl Record {
    fn add_to(self, contents: &mut Contents, heads: &mut Heads) -> Result<(), String> {
        let (hub, partition, _) = self.key;
        let batches = record::decode(self.bytes.into())
            .ok_or_else(|| damaged("a record is cut off or makes no sense"))?;
        for batch in batches {
            heads.load(HubId(hub), partition, &batch).map_err(damaged)?;
            contents.batches.push((HubId(hub), partition, batch));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
