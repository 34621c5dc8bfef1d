//! One partition: its log behind one lock, who waits for it, and what is on its way to the journal.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;

use super::Now;
use super::config::Retention;
use super::faults::Faults;
use super::journal::{AppendDone, HubId, Journal, JournalBatch, JournalError, JournalEvent, ProducerRecord};
use super::log::{Entry, Log};
use super::namespace::{PartitionInfo, Published};
use super::producers::{Granted, Misnumbered, Producers, Verdict, Wanted};
use super::receivers::Receivers;
use super::sync::{Ack, Letter, Mailbox, lock};
use crate::amqp::{AmqpError, LinkId};
use crate::dialect::codec::{Publication, Stamp, Stored};
use crate::dialect::conditions::INTERNAL_ERROR;
use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// How many events retention drops before the journal is told, so that it is not told of each.
const TRIM_STEP: i64 = 1024;

/// What all partitions of a namespace share: the durable store, and the count of bytes in memory.
pub(super) struct Store {
    pub(super) journal: Option<Arc<dyn Journal>>,
    pub(super) faults: Faults,
    bytes: AtomicU64,
    limit: u64,
}

/// One partition of a hub.
pub(super) struct Partition {
    pub(super) number: u32,
    pub(super) receivers: Receivers,
    hub: HubId,
    retention: Retention,
    store: Arc<Store>,
    state: Mutex<State>,
}

/// A receiver that has caught up and wants to hear of the next event.
pub(super) struct Waiter {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) link: LinkId,
    /// The receiver's claim on the partition.
    pub(super) claim: u64,
}

/// How much a receiver takes at once.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What a receiver got.
pub(super) struct Pulled {
    /// Where it goes on.
    pub(super) cursor: i64,
    /// Whether there is nothing more, and the receiver will hear when there is.
    pub(super) waiting: bool,
}

/// What became of a publication so far.
pub(super) enum Receipt {
    /// It is done.
    Done(Published),
    /// The journal has it; the ack follows.
    Later,
}

/// Why a publication was not taken.
pub(super) enum NotTaken {
    /// The hub was deleted.
    Gone,
    /// The namespace holds as many bytes as it may.
    Full { limit: u64 },
    /// Its numbers are not those that an idempotent producer may use now.
    Misnumbered(Misnumbered),
}

struct State {
    log: Log,
    producers: Producers,
    /// The sequence number behind the last durable event: what receivers see ends here.
    visible: i64,
    last: Last,
    waiters: Vec<Waiter>,
    /// Publications that the journal has not confirmed yet, oldest first.
    pending: VecDeque<Pending>,
    /// Batches that wait to be handed to the journal, because someone else is handing one over or the disk is slow:
    /// when it is done with each. Without a journal the disk has nothing to do but to be slow.
    outbox: VecDeque<(Moment, JournalBatch)>,
    handing_over: bool,
    /// Counts failures of the journal: answers about what was handed over before one are void.
    failures: u64,
    /// Before which sequence number the journal was asked to forget.
    trimmed: i64,
    gone: bool,
}

/// The newest durable event.
#[derive(Clone, Copy)]
struct Last {
    sequence: i64,
    offset: i64,
    enqueued: Option<Timestamp>,
}

struct Pending {
    first: i64,
    /// The first's where nothing is stored: a publication that was stored before waits for what it repeats.
    end: i64,
    ack: Ack,
    durable: bool,
    producer: Option<ProducerRecord>,
}

impl Store {
    pub(super) fn new(journal: Option<Arc<dyn Journal>>, limit: u64, faults: Faults) -> Self {
        Store { journal, faults, bytes: AtomicU64::new(0), limit }
    }

    /// Bytes that all partitions hold.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Partition {
    pub(super) fn new(hub: HubId, number: u32, retention: Retention, store: Arc<Store>) -> Self {
        let state = State {
            log: Log::new(),
            producers: Producers::default(),
            visible: 0,
            last: Last { sequence: -1, offset: -1, enqueued: None },
            waiters: Vec::new(),
            pending: VecDeque::new(),
            outbox: VecDeque::new(),
            handing_over: false,
            failures: 0,
            trimmed: 0,
            gone: false,
        };
        Partition { number, receivers: Receivers::new(), hub, retention, store, state: Mutex::new(state) }
    }

    /// Puts back a batch that the journal had kept.
    pub(super) fn restore(&self, batch: JournalBatch) -> Result<(), String> {
        let mut state = lock(&self.state);
        if state.log.next() == 0 && batch.first_sequence > 0 {
            state.log = Log::starting_at(batch.first_sequence);
            state.trimmed = batch.first_sequence;
        } else if state.log.next() != batch.first_sequence {
            return Err(format!("event {} is missing, {} follows", state.log.next(), batch.first_sequence));
        }
        let enqueued = batch.enqueued.as_millis();
        for event in batch.events {
            let entry = Entry { offset: event.offset, enqueued, head: event.head, body: event.body };
            self.store.take(state.log.append(entry));
        }
        if state.log.next_offset() != batch.end_offset {
            let (found, said) = (state.log.next_offset(), batch.end_offset);
            return Err(format!("the batch ends at offset {found} instead of {said}"));
        }
        state.show_all();
        Ok(())
    }

    /// Puts back an idempotent producer that the journal had kept.
    pub(super) fn restore_producer(&self, producer: ProducerRecord) {
        lock(&self.state).producers.restore(producer);
    }

    /// Lets a link be an idempotent producer. The epoch that is in the way, when there is one.
    pub(super) fn claim_producer(
        &self,
        wanted: Wanted,
        now: Now,
        fresh: impl FnMut() -> i64,
    ) -> Result<Granted, i16> {
        let claimed = lock(&self.state).producers.claim(wanted, now.unix, fresh);
        let (granted, record, forgotten) = claimed?;
        if let Some(journal) = &self.store.journal {
            if let Some(forgotten) = forgotten {
                journal.remove_producer(self.hub, self.number, forgotten);
            }
            journal.put_producer(self.hub, self.number, record);
        }
        Ok(granted)
    }

    /// The link of an idempotent producer is gone.
    pub(super) fn release_producer(&self, granted: Granted) {
        lock(&self.state).producers.release(granted.id, granted.claim);
    }

    /// Stores events at the end, all of them next to each other. Their heads are put into `arena`. `ack` is made
    /// and called only when the journal answers later. A slow disk takes so much longer. What the producer `by` has
    /// published before is not stored again.
    pub(super) fn publish(
        self: &Arc<Self>,
        publication: Publication,
        by: Option<Granted>,
        arena: &mut BytesMut,
        now: Now,
        slow: Option<Duration>,
        ack: impl FnOnce() -> Ack,
    ) -> Result<Receipt, NotTaken> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.gone {
            return Err(NotTaken::Gone);
        }
        let count = u32::try_from(publication.len()).unwrap_or(u32::MAX);
        if let Some(by) = by {
            let verdict = state.producers.judge(by, publication.numbers(), count);
            if verdict.map_err(NotTaken::Misnumbered)? == Verdict::Swallow {
                let end = state.log.next();
                if state.pending.is_empty() {
                    return Ok(Receipt::Done(Published { partition: self.number, first_sequence: end }));
                }
                let again = Pending { first: end, end, ack: ack(), durable: true, producer: None };
                state.pending.push_back(again);
                return Ok(Receipt::Later);
            }
        }
        let freed = state.log.trim(&self.retention, now.unix, state.visible);
        self.store.release(freed);
        if self.store.bytes() + publication.size() > self.store.limit {
            return Err(NotTaken::Full { limit: self.store.limit });
        }
        let first = state.log.next();
        let enqueued = state.log.enqueue_time(now.unix);
        let mut cost = 0;
        let stamp = Stamp {
            sequence_number: first,
            offset: state.log.next_offset(),
            enqueued_time: Timestamp::from_millis(enqueued),
        };
        publication.store(arena, stamp, |Stored { offset, head, body }| {
            cost += state.log.append(Entry { offset, enqueued, head, body });
        });
        self.store.take(cost);
        let producer = by.and_then(|by| state.producers.stored(by.id, count, now.unix));
        let published = Published { partition: self.number, first_sequence: first };
        if self.store.journal.is_none() && slow.is_none() && state.pending.is_empty() {
            let woken = state.show_all();
            producer.iter().for_each(|producer| state.producers.confirm(producer));
            drop(guard);
            wake(woken);
            return Ok(Receipt::Done(published));
        }
        let end = state.log.next();
        state.pending.push_back(Pending { first, end, ack: ack(), durable: false, producer });
        let due = now.moment + slow.unwrap_or_default();
        state.outbox.push_back((due, JournalBatch { producer, ..state.journal_batch(first, end) }));
        let trim = state.due_trim();
        let mine = !std::mem::replace(&mut state.handing_over, true);
        drop(guard);
        if mine {
            self.hand_over(now.moment);
        }
        self.ask_trim(trim);
        Ok(Receipt::Later)
    }

    /// Takes visible events from `cursor` on. Who takes less than there was room for has caught up: the waiter is
    /// then kept, and posted to when there is more.
    pub(super) fn pull(
        &self,
        cursor: i64,
        room: Room,
        waiter: impl FnOnce() -> Waiter,
        mut take: impl FnMut(&Entry, &PartitionInfo),
    ) -> Pulled {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let info = state.info();
        let from = cursor.max(state.log.begin());
        let (mut events, mut bytes) = (0, 0);
        for entry in state.log.entries(from, state.visible) {
            if events == room.events || bytes >= room.bytes {
                break;
            }
            take(entry, &info);
            events += 1;
            bytes += entry.size() as usize;
        }
        let cursor = from + events as i64;
        let waiting = cursor >= state.visible && events < room.events && !state.gone;
        if waiting {
            state.waiters.push(waiter());
        }
        Pulled { cursor, waiting }
    }

    /// Whether there is anything to be seen from `cursor` on.
    pub(super) fn has(&self, cursor: i64) -> bool {
        let state = lock(&self.state);
        cursor.max(state.log.begin()) < state.visible
    }

    /// Forgets a receiver: its claim, and its waiting.
    pub(super) fn leave(&self, claim: u64) {
        self.receivers.release(claim);
        lock(&self.state).waiters.retain(|waiter| waiter.claim != claim);
    }

    /// The partition as it is, after retention.
    pub(super) fn info(&self, now: Now) -> PartitionInfo {
        self.sweep(now);
        lock(&self.state).info()
    }

    /// Calls `look` with the log as receivers see it (it ends before the given sequence number).
    pub(super) fn look<T>(&self, now: Now, look: impl FnOnce(&Log, i64, PartitionInfo) -> T) -> T {
        self.sweep(now);
        let state = lock(&self.state);
        look(&state.log, state.visible, state.info())
    }

    /// Drops what retention says.
    pub(super) fn sweep(&self, now: Now) {
        let mut state = lock(&self.state);
        let visible = state.visible;
        self.store.release(state.log.trim(&self.retention, now.unix, visible));
        let trim = state.due_trim();
        drop(state);
        self.ask_trim(trim);
    }

    /// Empties the partition of a hub that is deleted, and refuses what still comes.
    pub(super) fn remove(&self, error: &AmqpError) {
        let mut state = lock(&self.state);
        state.gone = true;
        state.failures += 1;
        self.store.release(state.log.clear());
        state.visible = state.log.next();
        state.outbox.clear();
        let pending = std::mem::take(&mut state.pending);
        state.waiters.clear();
        drop(state);
        for publication in pending {
            publication.ack.call(Err(error.clone()));
        }
    }

    /// Hands batches to the journal in order, one thread at a time and without holding the lock.
    fn hand_over(self: &Arc<Self>, now: Moment) {
        loop {
            let mut state = lock(&self.state);
            let Some((due, _)) = state.outbox.front() else {
                state.handing_over = false;
                return;
            };
            let due = *due;
            if due > now {
                // It is still this call's turn: whoever publishes meanwhile waits behind.
                drop(state);
                // What is put off must not keep alive whom it is put off for.
                let partition = Arc::downgrade(self);
                return self.store.faults.put_off(due, move |now| {
                    partition.upgrade().into_iter().for_each(|partition| partition.hand_over(now));
                });
            }
            let Some((_, batch)) = state.outbox.pop_front() else { continue };
            let failures = state.failures;
            drop(state);
            let first = batch.first_sequence;
            let partition = self.clone();
            let done = AppendDone::new(move |outcome| partition.journaled(failures, first, outcome));
            match &self.store.journal {
                Some(journal) => journal.append(self.hub, self.number, batch, done),
                None => done.call(Ok(())),
            }
        }
    }

    /// The journal's answer about the batch that starts with `first`.
    fn journaled(&self, failures: u64, first: i64, outcome: Result<(), JournalError>) {
        let mut state = lock(&self.state);
        if state.failures != failures {
            return;
        }
        if let Err(error) = outcome {
            return self.fail(state, &error);
        }
        let from = state.pending.partition_point(|p| p.first < first);
        // Publications that wait for what they repeat share their place with what is stored behind them.
        let found = state.pending.range_mut(from..).find(|p| p.first == first && p.end > first);
        let Some(publication) = found else { return };
        publication.durable = true;
        let durable = state.pending.iter().take_while(|p| p.durable).count();
        let confirmed: Vec<_> = state.pending.drain(..durable).collect();
        let Some(newest) = confirmed.last() else { return };
        let woken = state.show(newest.end);
        for producer in confirmed.iter().filter_map(|publication| publication.producer.as_ref()) {
            state.producers.confirm(producer);
        }
        drop(state);
        for publication in confirmed {
            let published = Published { partition: self.number, first_sequence: publication.first };
            publication.ack.call(Ok(published));
        }
        wake(woken);
    }

    /// The journal failed: what it has not confirmed is taken back and refused.
    fn fail(&self, mut state: std::sync::MutexGuard<'_, State>, error: &JournalError) {
        state.failures += 1;
        let visible = state.visible;
        self.store.release(state.log.truncate(visible));
        state.producers.take_back();
        state.outbox.clear();
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        tracing::error!(partition = self.number, %error, "events could not be made durable");
        let text = format!("The events could not be made durable: {error}");
        for publication in pending {
            publication.ack.call(Err(AmqpError::new(INTERNAL_ERROR, text.clone())));
        }
    }

    fn ask_trim(&self, before: Option<i64>) {
        if let (Some(before), Some(journal)) = (before, &self.store.journal) {
            journal.trim(self.hub, self.number, before);
        }
    }
}

impl State {
    /// Shows everything to receivers, and says who waited for it.
    fn show_all(&mut self) -> Vec<Waiter> {
        self.show(self.log.next())
    }

    fn show(&mut self, end: i64) -> Vec<Waiter> {
        self.visible = end;
        if let Some(entry) = self.log.entry(end - 1) {
            self.last = Last {
                sequence: end - 1,
                offset: entry.offset,
                enqueued: Some(Timestamp::from_millis(entry.enqueued)),
            };
        }
        std::mem::take(&mut self.waiters)
    }

    fn info(&self) -> PartitionInfo {
        PartitionInfo {
            begin_sequence: self.log.begin(),
            last_sequence: self.last.sequence,
            last_offset: self.last.offset,
            last_enqueued: self.last.enqueued,
            is_empty: self.log.begin() >= self.visible,
        }
    }

    fn journal_batch(&self, first: i64, end: i64) -> JournalBatch {
        let event = |e: &Entry| JournalEvent { offset: e.offset, head: e.head.clone(), body: e.body.clone() };
        let enqueued = self.log.entry(first).map_or(0, |e| e.enqueued);
        JournalBatch {
            first_sequence: first,
            enqueued: Timestamp::from_millis(enqueued),
            end_offset: self.log.next_offset(),
            events: self.log.entries(first, end).map(event).collect(),
            producer: None,
        }
    }

    /// What the journal should forget by now. Never the newest event: it says where the partition goes on.
    fn due_trim(&mut self) -> Option<i64> {
        let before = self.log.begin().min(self.visible - 1);
        if before - self.trimmed < TRIM_STEP {
            return None;
        }
        self.trimmed = before;
        Some(before)
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let freed = lock(&self.state).log.clear();
        self.store.release(freed);
    }
}

/// Tells receivers that there is something to read. Not to be called while a lock is held.
fn wake(woken: Vec<Waiter>) {
    for waiter in woken {
        waiter.mailbox.post(Letter::Ready(waiter.link));
    }
}
