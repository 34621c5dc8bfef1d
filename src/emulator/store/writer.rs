//! The thread that makes things durable.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;

use redb::{Database, ReadableTable, StorageError, Table, WriteTransaction};
use tracing::error;

use super::record::{self, StoredHub};
use super::{EVENTS, HUBS, PRODUCERS};
use crate::broker::journal::{AppendDone, HubId, HubRecord, JournalBatch, JournalError, ProducerRecord};

/// What the broker wants of the store.
pub(super) enum Command {
    Append { hub: HubId, partition: u32, batch: JournalBatch, done: AppendDone },
    Trim { hub: HubId, partition: u32, before_sequence: i64 },
    PutProducer { hub: HubId, partition: u32, producer: ProducerRecord },
    RemoveProducer { hub: HubId, partition: u32, producer: i64 },
    PutHub(HubRecord),
    RemoveHub(HubId),
    Close,
}

/// Where every partition goes on.
#[derive(Default)]
pub(super) struct Heads {
    /// A hub's partitions that have events, with the sequence number that follows.
    hubs: HashMap<HubId, HashMap<u32, i64>>,
}

impl Heads {
    pub(super) fn add_hub(&mut self, hub: HubId) {
        self.hubs.entry(hub).or_default();
    }

    fn has_hub(&self, hub: HubId) -> bool {
        self.hubs.contains_key(&hub)
    }

    fn remove_hub(&mut self, hub: HubId) {
        self.hubs.remove(&hub);
    }

    /// Moves on behind a batch that was found in the store. The first one of a partition may have lost others in
    /// front of it.
    pub(super) fn load(&mut self, hub: HubId, partition: u32, batch: &JournalBatch) -> Result<(), String> {
        if let Some(partitions) = self.hubs.get_mut(&hub) {
            partitions.entry(partition).or_insert(batch.first_sequence);
        }
        self.advance(hub, partition, batch)
    }

    /// Moves on behind a batch that follows, or that is the first ever.
    pub(super) fn advance(&mut self, hub: HubId, partition: u32, batch: &JournalBatch) -> Result<(), String> {
        let Some(partitions) = self.hubs.get_mut(&hub) else {
            return Err(format!("hub {} is not in the store", hub.0));
        };
        let first = batch.first_sequence;
        let next = partitions.entry(partition).or_insert(0);
        if *next != first {
            return Err(format!("events {} to {} of partition {partition} are missing", *next, first - 1));
        }
        *next = first + i64::try_from(batch.events.len()).unwrap_or(i64::MAX);
        Ok(())
    }
}

/// The most that is committed at once.
const GROUP_BYTES: usize = 32 << 20;
/// Small appends are put together up to this; larger records are cut into chunks of it. redb's pages are powers of
/// two, and this with what a page needs itself just fits one.
const CHUNK: usize = 64 * 1024 - 256;

/// Stores what is queued, group by group.
pub(super) struct Writer {
    database: Database,
    queue: Receiver<Command>,
    heads: Heads,
    /// Why nothing can be stored any more.
    failed: Option<String>,
}

impl Writer {
    pub(super) fn new(database: Database, queue: Receiver<Command>, heads: Heads) -> Self {
        Writer { database, queue, heads, failed: None }
    }

    /// Works until the store is closed or nobody is left to use it.
    pub(super) fn run(mut self) -> Result<(), String> {
        while let Ok(first) = self.queue.recv() {
            let (group, closing) = self.group(first);
            self.store(group);
            if closing {
                break;
            }
        }
        match self.failed {
            Some(why) => Err(why),
            None => self.database.close().map_err(|error| error.to_string()),
        }
    }

    /// `first` and everything that was queued meanwhile, and whether the store is to be closed behind it.
    fn group(&self, first: Command) -> (Vec<Command>, bool) {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match &command {
                Command::Close => return (group, true),
                Command::Append { batch, .. } => bytes += record::encoded_len(batch),
                _ => {}
            }
            group.push(command);
            if bytes >= GROUP_BYTES {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        (group, false)
    }

    /// Makes a group durable with one commit and tells everybody who waits, in order.
    fn store(&mut self, group: Vec<Command>) {
        let stored = match &self.failed {
            Some(why) => Err(why.clone()),
            None => self.commit(&group),
        };
        // What became durable when a commit fails is not known before the file is opened again: to go on could
        // give a sequence number twice.
        if let (Err(why), None) = (&stored, &self.failed) {
            error!(
                "the store cannot be written; events are refused until the emulator is started again: {why}"
            );
            self.failed = Some(why.clone());
        }
        for (index, command) in group.into_iter().enumerate() {
            let Command::Append { done, .. } = command else { continue };
            done.call(match &stored {
                Ok(refused) => refused.get(&index).map_or(Ok(()), |why| Err(JournalError(why.clone()))),
                Err(why) => Err(JournalError(format!("the store cannot be written: {why}"))),
            });
        }
    }

    /// The appends that are refused although the store works, by their place in the group.
    fn commit(&mut self, group: &[Command]) -> Result<HashMap<usize, String>, String> {
        let transaction = self.database.begin_write().map_err(|error| error.to_string())?;
        let refused = apply(&transaction, group, &mut self.heads).map_err(|error| error.to_string())?;
        transaction.commit().map_err(|error| error.to_string())?;
        Ok(refused)
    }
}

/// Appends of one partition that become one record.
struct Run {
    first_sequence: i64,
    bytes: Vec<u8>,
}

impl Run {
    fn at(first_sequence: i64) -> Self {
        Run { first_sequence, bytes: Vec::new() }
    }
}

fn apply(
    transaction: &WriteTransaction,
    group: &[Command],
    heads: &mut Heads,
) -> Result<HashMap<usize, String>, redb::Error> {
    let mut hubs = transaction.open_table(HUBS)?;
    let mut events = transaction.open_table(EVENTS)?;
    let mut producers = transaction.open_table(PRODUCERS)?;
    let mut runs: HashMap<(HubId, u32), Run> = HashMap::new();
    let mut refused = HashMap::new();
    for (index, command) in group.iter().enumerate() {
        match command {
            Command::Append { hub, partition, batch, .. } => {
                if let Err(why) = heads.advance(*hub, *partition, batch) {
                    refused.insert(index, why);
                    continue;
                }
                let key = (*hub, *partition);
                let run = runs.entry(key).or_insert_with(|| Run::at(batch.first_sequence));
                if !run.bytes.is_empty() && run.bytes.len() + record::encoded_len(batch) > CHUNK {
                    write_run(&mut events, key, run)?;
                    *run = Run::at(batch.first_sequence);
                }
                record::encode(batch, &mut run.bytes);
                if let Some(producer) = &batch.producer {
                    let key = (hub.0, *partition, producer.id);
                    producers.insert(key, record::encode_producer(producer).as_slice())?;
                }
            }
            Command::PutProducer { hub, partition, producer } => {
                if heads.has_hub(*hub) {
                    let key = (hub.0, *partition, producer.id);
                    let known = producers.get(key)?;
                    let known = known.and_then(|row| record::decode_producer(producer.id, row.value()));
                    producers.insert(key, record::encode_producer(&producer.over(known)).as_slice())?;
                }
            }
            Command::RemoveProducer { hub, partition, producer } => {
                producers.remove((hub.0, *partition, *producer))?;
            }
            Command::Trim { hub, partition, before_sequence } => {
                trim(&mut events, *hub, *partition, *before_sequence)?
            }
            Command::PutHub(hub) => {
                heads.add_hub(hub.id);
                let json = serde_json::to_vec(&StoredHub::new(hub))
                    .map_err(|error| StorageError::Io(error.into()))?;
                hubs.insert(hub.id.0, json.as_slice())?;
            }
            Command::RemoveHub(hub) => {
                heads.remove_hub(*hub);
                runs.retain(|(of, _), _| of != hub);
                hubs.remove(hub.0)?;
                let all = (hub.0, 0, i64::MIN)..=(hub.0, u32::MAX, i64::MAX);
                producers.retain_in(all, |_, _| false)?;
                events
                    .retain_in((hub.0, 0, i64::MIN, 0)..=(hub.0, u32::MAX, i64::MAX, u32::MAX), |_, _| {
                        false
                    })?;
            }
            Command::Close => {}
        }
    }
    for (key, run) in &runs {
        write_run(&mut events, *key, run)?;
    }
    Ok(refused)
}

fn write_run(
    events: &mut Table<'_, (u64, u32, i64, u32), &'static [u8]>,
    (hub, partition): (HubId, u32),
    run: &Run,
) -> Result<(), redb::Error> {
    for (number, chunk) in (0..).zip(run.bytes.chunks(CHUNK)) {
        events.insert((hub.0, partition, run.first_sequence, number), chunk)?;
    }
    Ok(())
}

/// Removes the records that hold nothing but events before `before`. The one in which `before` lies stays, and so
/// does the last one.
fn trim(
    events: &mut Table<'_, (u64, u32, i64, u32), &'static [u8]>,
    hub: HubId,
    partition: u32,
    before: i64,
) -> Result<(), redb::Error> {
    let from = (hub.0, partition, i64::MIN, 0);
    let kept = match events.range(from..=(hub.0, partition, before, u32::MAX))?.next_back() {
        Some(row) => row?.0.value().2,
        None => return Ok(()),
    };
    events.retain_in(from..(hub.0, partition, kept, 0), |_, _| false)?;
    Ok(())
}
