//! The journal of a simulated service: what is in it was stored, whatever clients believe.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::broker::journal::{
    AppendDone, HubId, HubRecord, Journal, JournalBatch, JournalError, ProducerRecord, Restore,
};

/// A journal in memory. Appends become durable when [`Service`](super::Service) says so; a crash forgets the others.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Disk>>);

/// One stored event.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its sequence number.
    pub sequence: i64,
    /// Its offset.
    pub offset: i64,
    /// When it was enqueued, in milliseconds since 1970.
    pub enqueued: i64,
    /// The encoded message.
    pub message: Bytes,
}

#[derive(Default)]
struct Disk {
    hubs: Vec<HubRecord>,
    batches: BTreeMap<(u64, u32), Vec<JournalBatch>>,
    producers: BTreeMap<(u64, u32, i64), ProducerRecord>,
    /// What has been handed over and is not durable yet.
    waiting: VecDeque<Append>,
    /// Counts crashes: who was there before one writes into the void.
    life: u32,
    waker: Option<Waker>,
}

struct Append {
    hub: HubId,
    partition: u32,
    batch: JournalBatch,
    done: AppendDone,
}

/// The journal as one life of the service sees it.
struct Life {
    disk: Arc<Mutex<Disk>>,
    life: u32,
}

impl Store {
    /// Everything stored in a partition, in order.
    pub fn events(&self, partition: u32) -> Vec<Kept> {
        let disk = self.disk();
        let batches = disk.batches.iter().filter(|((_, number), _)| *number == partition);
        let mut events = Vec::new();
        for batch in batches.flat_map(|(_, batches)| batches) {
            for (sequence, event) in (batch.first_sequence..).zip(&batch.events) {
                events.push(Kept {
                    sequence,
                    offset: event.offset,
                    enqueued: batch.enqueued.as_millis(),
                    message: [&event.head[..], &event.body[..]].concat().into(),
                });
            }
        }
        events
    }

    /// The sequence number of the newest event stored in a partition; -1 when there is none.
    pub fn last_sequence(&self, partition: u32) -> i64 {
        let disk = self.disk();
        let batches = disk.batches.iter().filter(|((_, number), _)| *number == partition);
        let last = batches.filter_map(|(_, batches)| batches.last()).next();
        last.map_or(-1, |batch| batch.first_sequence + batch.events.len() as i64 - 1)
    }

    /// The journal for a service that begins now, and what its predecessors stored.
    pub(super) fn begin(&self) -> (Arc<dyn Journal>, Restore) {
        let mut disk = self.disk();
        disk.life += 1;
        let lost = std::mem::take(&mut disk.waiting);
        let life = Life { disk: self.0.clone(), life: disk.life };
        let mut restore = Restore::new();
        disk.hubs.iter().for_each(|hub| restore.hub(hub.clone()));
        for ((hub, partition), batches) in &disk.batches {
            batches.iter().for_each(|batch| restore.batch(HubId(*hub), *partition, batch.clone()));
        }
        for ((hub, partition, _), producer) in &disk.producers {
            restore.producer(HubId(*hub), *partition, *producer);
        }
        drop(disk);
        drop(lost);
        (Arc::new(life), restore)
    }

    /// Ready when something is to be made durable.
    pub(super) fn poll_waiting(&self, cx: &Context<'_>) -> Poll<()> {
        let mut disk = self.disk();
        if !disk.waiting.is_empty() {
            return Poll::Ready(());
        }
        disk.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Makes all durable that has been handed over so far, or fails it.
    pub(super) fn commit(&self, fails: bool) {
        let waiting = std::mem::take(&mut self.disk().waiting);
        for Append { hub, partition, batch, done } in waiting {
            let outcome = match fails {
                true => Err(JournalError("the disk is full".to_owned())),
                false => self.disk().append(hub, partition, batch),
            };
            done.call(outcome);
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }
}

impl Disk {
    fn append(&mut self, hub: HubId, partition: u32, batch: JournalBatch) -> Result<(), JournalError> {
        let batches = self.batches.entry((hub.0, partition)).or_default();
        let next = batches.last().map_or(0, |last| last.first_sequence + last.events.len() as i64);
        if batch.first_sequence != next {
            return Err(JournalError(format!("event {next} is missing")));
        }
        if let Some(producer) = batch.producer {
            self.producers.insert((hub.0, partition, producer.id), producer);
        }
        batches.push(batch);
        Ok(())
    }
}

impl Journal for Life {
    fn append(&self, hub: HubId, partition: u32, batch: JournalBatch, done: AppendDone) {
        let waker = {
            let mut disk = lock(&self.disk);
            if disk.life != self.life {
                return;
            }
            disk.waiting.push_back(Append { hub, partition, batch, done });
            disk.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn trim(&self, _hub: HubId, _partition: u32, _before_sequence: i64) {
        // Kept all the same: it is the truth that everything is measured by.
    }

    fn put_producer(&self, hub: HubId, partition: u32, producer: ProducerRecord) {
        let mut disk = lock(&self.disk);
        if disk.life == self.life {
            let key = (hub.0, partition, producer.id);
            let known = disk.producers.get(&key).copied();
            disk.producers.insert(key, producer.over(known));
        }
    }

    fn remove_producer(&self, hub: HubId, partition: u32, producer: i64) {
        lock(&self.disk).producers.remove(&(hub.0, partition, producer));
    }

    fn put_hub(&self, hub: HubRecord) {
        let mut disk = lock(&self.disk);
        disk.hubs.retain(|known| known.id != hub.id);
        disk.hubs.push(hub);
    }

    fn remove_hub(&self, hub: HubId) {
        lock(&self.disk).hubs.retain(|known| known.id != hub);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("batches", &self.disk().batches.len()).finish_non_exhaustive()
    }
}
