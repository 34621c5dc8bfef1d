//! What the handle, the pump and the journal's thread share.
//!
//! The ledger changes only when the journal has told that it keeps a record, in the order of the journal: what is known here is what
//! a later process would find. Room and numbers are given out before that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use futures::task::AtomicWaker;

use super::journal::{Done, Found, Journal, LetterChange, Urgency};
use super::ledger::{Identity, Ledger, cost};
use super::options::OutboxOptions;
use super::record::{Batch, Entry, Letter, Record};
use crate::error::{Error, ErrorKind};
use crate::runtime::unix_now;

/// A journal is rewritten when it has more bytes than twice what is needed, and this.
const LEAST_GARBAGE: u64 = 4 << 20;
/// How many bytes of events that were given up are kept.
const MAX_LETTER_BYTES: u64 = 16 << 20;

pub(super) struct Core {
    pub(super) options: OutboxOptions,
    journal: Box<dyn Journal>,
    state: Mutex<State>,
    /// The pump, when there is something for it to do.
    pub(super) pump: AtomicWaker,
}

pub(super) struct State {
    pub(super) ledger: Ledger,
    next_event: u64,
    next_batch: u64,
    /// Partitions of whose producers nobody knows which numbers are used. The batch that is under way goes under their numbers, but
    /// nothing new, which the service would take for what it has. All that were found in the directory are such: it may be a copy, or
    /// have been put back from one, and the numbers have been used since.
    pub(super) old_identities: BTreeSet<String>,
    /// Events on their way into the journal, and their bytes.
    coming: (usize, u64),
    /// The hub's, once the service has said which there are.
    pub(super) partitions: Vec<String>,
    /// Events that are kept and have no partition yet.
    pub(super) arrived: VecDeque<u64>,
    /// Events for partitions that are not known; the hub may have got them.
    pub(super) lost: VecDeque<u64>,
    /// Events that wait for their partition.
    pub(super) queues: BTreeMap<String, VecDeque<u64>>,
    /// Who waits for room, in the order in which they came.
    tickets: VecDeque<u64>,
    next_ticket: u64,
    /// Who waits for a change.
    changed: Vec<Waker>,
    pub(super) letters: VecDeque<Letter>,
    pub(super) dropped_letters: u64,
    pub(super) sent: u64,
    pub(super) last_error: Option<Error>,
    pub(super) damage: Option<String>,
    is_rewriting: bool,
    pub(super) is_closing: bool,
    pub(super) is_pump_gone: bool,
}

/// A place in the queue of those who wait for room.
struct Ticket<'a> {
    core: &'a Core,
    number: u64,
}

impl Core {
    pub(super) fn new(options: OutboxOptions, journal: impl Journal, found: Found) -> Arc<Self> {
        let mut ledger = Ledger::default();
        found.records.into_iter().for_each(|record| ledger.apply(record));
        let letters: VecDeque<_> = found.letters.into();
        let known = letters.iter().map(|letter| letter.entry.id + 1).max().unwrap_or_default();
        let state = State {
            next_event: ledger.next_event().max(known),
            next_batch: ledger.next_batch(),
            arrived: ledger.unassigned().into(),
            old_identities: ledger.identities().map(|(partition, _)| partition.to_owned()).collect(),
            ledger,
            coming: (0, 0),
            partitions: Vec::new(),
            lost: VecDeque::new(),
            queues: BTreeMap::new(),
            tickets: VecDeque::new(),
            next_ticket: 0,
            changed: Vec::new(),
            letters,
            dropped_letters: 0,
            sent: 0,
            last_error: None,
            damage: found.damage,
            is_rewriting: false,
            is_closing: false,
            is_pump_gone: false,
        };
        let (journal, state) = (Box::new(journal), Mutex::new(state));
        Arc::new(Core { options, journal, state, pump: AtomicWaker::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so much could ever find room.
    pub(super) fn check_size(&self, count: usize, bytes: u64) -> Result<(), Error> {
        let (events, most) = (self.options.max_events, self.options.max_bytes);
        if count <= events && bytes <= most {
            return Ok(());
        }
        let message = format!(
            "{count} events of {bytes} bytes are more than the outbox ever holds ({events} events, {most} bytes): enqueue fewer \
             at once, or raise max_events and max_bytes"
        );
        Err(Error::new(ErrorKind::InvalidArgument, message))
    }

    /// Waits until there is room, and has the events kept; what it gives is told when they are.
    pub(super) async fn keep(
        self: &Arc<Self>,
        events: Vec<Entry>,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let bytes = events.iter().map(cost).sum::<u64>();
        let ticket = self.ticket();
        let mut events = Some(events);
        let kept = self.until(|state| {
            if state.is_closing {
                return Some(Err(closed()));
            }
            let is_next = state.tickets.front() == Some(&ticket.number);
            if !is_next || !self.has_room(state, events.as_ref().map_or(0, Vec::len), bytes) {
                return None;
            }
            events.take().map(|events| Ok(self.append(state, events, bytes)))
        });
        let kept = kept.await;
        drop(ticket);
        kept
    }

    /// As [`keep`](Self::keep), if there is room now.
    pub(super) fn keep_now(
        self: &Arc<Self>,
        events: Vec<Entry>,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let bytes = events.iter().map(cost).sum::<u64>();
        let mut state = self.lock();
        if state.is_closing {
            return Err(closed());
        }
        if !state.tickets.is_empty() || !self.has_room(&state, events.len(), bytes) {
            return Err(full(&state, Duration::ZERO));
        }
        Ok(self.append(&mut state, events, bytes))
    }

    /// The error for who found no room for so long.
    pub(super) fn full(&self, waited: Duration) -> Error {
        full(&self.lock(), waited)
    }

    /// Has records kept that say what becomes of events. Ready when the ledger knows them.
    pub(super) async fn record(
        self: &Arc<Self>,
        records: Vec<Record>,
        urgency: Urgency,
    ) -> Result<(), Error> {
        let (told, hears) = oneshot::channel();
        let core = self.clone();
        let to_keep = records.clone();
        let done = move |kept: Result<(), Error>| {
            if kept.is_ok() {
                let mut state = core.lock();
                records.into_iter().for_each(|record| state.ledger.apply(record));
                let waiting = core.changed(&mut state);
                drop(state);
                waiting.into_iter().for_each(Waker::wake);
                core.rewrite_if_worth_it();
            }
            let _ = told.send(kept);
        };
        // Under the lock, so that the journal has what comes from different tasks in the order of the numbers.
        let state = self.lock();
        self.journal.append(&to_keep, urgency, Done::new(done));
        drop(state);
        hears.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Begins a batch: it is kept, with its numbers, before it is sent.
    pub(super) async fn begin(
        self: &Arc<Self>,
        partition: &str,
        events: Vec<u64>,
        identity: Option<Identity>,
    ) -> Result<Batch, Error> {
        let number = {
            let mut state = self.lock();
            let number = state.next_batch;
            state.next_batch += 1;
            number
        };
        let first = identity.map(|identity| identity.next);
        let batch = Batch { number, partition: partition.to_owned(), first, events };
        self.record(vec![Record::Batch(batch.clone())], Urgency::Always).await?;
        Ok(batch)
    }

    /// Puts an event that can never be sent with the dead letters.
    pub(super) async fn bury(self: &Arc<Self>, entry: Entry, reason: &Error) -> Result<(), Error> {
        let id = entry.id;
        let letter =
            Letter { entry, died: unix_now(), code: reason.code().to_owned(), reason: reason.to_string() };
        tracing::warn!("event {id} of the outbox is given up, and lies with the dead letters: {reason}");
        let change = {
            let mut state = self.lock();
            state.letters.retain(|known| known.entry.id != id);
            state.letters.push_back(letter.clone());
            match self.drop_letters(&mut state) {
                false => LetterChange::Add(letter),
                true => LetterChange::Replace(state.letters.iter().cloned().collect()),
            }
        };
        self.change_letters(change).await?;
        self.record(vec![Record::Dead { event: id }], Urgency::Always).await
    }

    pub(super) async fn change_letters(&self, change: LetterChange) -> Result<(), Error> {
        let (told, hears) = oneshot::channel();
        let state = self.lock();
        self.journal.letters(
            change,
            Done::new(|kept| {
                let _ = told.send(kept);
            }),
        );
        drop(state);
        hears.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ready when `look` finds something. It looks again after each change.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            match look(&mut state) {
                Some(found) => Poll::Ready(found),
                None => {
                    if !state.changed.iter().any(|waker| waker.will_wake(cx.waker())) {
                        state.changed.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Lets everybody look again who waits for a change.
    pub(super) fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waiting = self.changed(&mut state);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Lets go of the journal. Ready when another process may have it.
    pub(super) async fn close_journal(&self) {
        let (told, hears) = oneshot::channel();
        let state = self.lock();
        self.journal.close(Done::new(|_| {
            let _ = told.send(());
        }));
        drop(state);
        let _ = hears.await;
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.journal.bytes()
    }

    fn changed(&self, state: &mut State) -> Vec<Waker> {
        self.pump.wake();
        std::mem::take(&mut state.changed)
    }

    fn ticket(&self) -> Ticket<'_> {
        let mut state = self.lock();
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.tickets.push_back(number);
        Ticket { core: self, number }
    }

    fn has_room(&self, state: &State, count: usize, bytes: u64) -> bool {
        let (events, held) = state.ledger.size();
        events + state.coming.0 + count <= self.options.max_events
            && held + state.coming.1 + bytes <= self.options.max_bytes
    }

    /// Gives events their numbers and passes them on to the journal.
    fn append(
        self: &Arc<Self>,
        state: &mut State,
        mut events: Vec<Entry>,
        bytes: u64,
    ) -> oneshot::Receiver<Result<(), Error>> {
        state.coming.0 += events.len();
        state.coming.1 += bytes;
        for entry in &mut events {
            entry.id = state.next_event;
            state.next_event += 1;
        }
        let (told, hears) = oneshot::channel();
        let records: Vec<_> = events.into_iter().map(Record::Event).collect();
        let to_keep = records.clone();
        let core = self.clone();
        let done = move |kept: Result<(), Error>| {
            core.tell(|state| {
                state.coming.0 -= records.len();
                state.coming.1 -= bytes;
                if kept.is_err() {
                    return;
                }
                for record in records {
                    if let Record::Event(entry) = &record {
                        state.arrived.push_back(entry.id);
                    }
                    state.ledger.apply(record);
                }
            });
            let _ = told.send(kept);
        };
        self.journal.append(&to_keep, Urgency::Promised, Done::new(done));
        hears
    }

    fn rewrite_if_worth_it(self: &Arc<Self>) {
        let mut state = self.lock();
        let needed = state.ledger.snapshot_bytes() + state.coming.1;
        if state.is_rewriting || state.is_closing || self.journal.bytes() < 2 * needed + LEAST_GARBAGE {
            return;
        }
        state.is_rewriting = true;
        let (reader, core) = (self.clone(), self.clone());
        let done = move |written: Result<(), Error>| {
            if let Err(error) = written {
                // Nothing is lost; the next batch that ends tries again.
                tracing::warn!("the outbox' journal cannot be made smaller: {error}");
            }
            core.lock().is_rewriting = false;
        };
        self.journal.rewrite(Box::new(move || reader.lock().ledger.snapshot()), Done::new(done));
    }

    /// Keeps the dead letters within their bounds. Whether some had to go.
    fn drop_letters(&self, state: &mut State) -> bool {
        let bytes =
            |letters: &VecDeque<Letter>| letters.iter().map(|letter| cost(&letter.entry)).sum::<u64>();
        let (count, mut left) = (state.letters.len(), bytes(&state.letters));
        if count <= self.options.max_dead_letters && left <= MAX_LETTER_BYTES {
            return false;
        }
        // Some more than necessary, as all that stay are written anew.
        while state.letters.len() > self.options.max_dead_letters.max(1) * 3 / 4
            || left > MAX_LETTER_BYTES * 3 / 4
        {
            let Some(letter) = state.letters.pop_front() else { break };
            left -= cost(&letter.entry);
            state.dropped_letters += 1;
            tracing::warn!("dead letter {} is dropped, as there are too many", letter.entry.id);
        }
        true
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.core.tell(|state| state.tickets.retain(|number| *number != self.number));
    }
}

fn full(state: &State, waited: Duration) -> Error {
    let (events, bytes) = state.ledger.size();
    let why = match &state.last_error {
        Some(error) => format!("; nothing can be sent: {error}"),
        None => String::new(),
    };
    let for_long =
        if waited.is_zero() { String::new() } else { format!(" after {} s", waited.as_secs_f32()) };
    let message =
        format!("the outbox is full{for_long}: {events} events of {bytes} bytes wait to be sent{why}");
    Error::new(ErrorKind::QuotaExceeded, message).with_transient(true)
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the outbox was closed")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::value::Timestamp;

    /// A journal that keeps nothing, as its disk is full.
    struct Full;

    impl Journal for Full {
        fn append(&self, _: &[Record], _: Urgency, done: Done) {
            refuse(done);
        }

        fn rewrite(&self, _: Box<dyn FnOnce() -> Vec<Record> + Send>, done: Done) {
            refuse(done);
        }

        fn letters(&self, _: LetterChange, done: Done) {
            refuse(done);
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn close(&self, done: Done) {
            refuse(done);
        }
    }

    fn refuse(done: Done) {
        // As of another thread: nothing is told within the call.
        std::thread::spawn(move || done.call(Err(Error::new(ErrorKind::QuotaExceeded, "the disk is full"))));
    }

    fn entry() -> Entry {
        let (at, event) = (Timestamp::from_millis(1), Bytes::from_static(b"event"));
        Entry { id: 0, at, key: None, partition: None, alone: false, event }
    }

    #[tokio::test]
    async fn what_the_disk_does_not_keep_is_told_and_leaves_nothing_behind() {
        let options = OutboxOptions { max_events: 1, ..OutboxOptions::default() };
        let core = Core::new(options, Full, Found::default());
        for _ in 0..3 {
            // Each finds the room that the last one did not need.
            let kept = core.keep(vec![entry()]).await.unwrap().await.unwrap();
            assert_eq!(kept.unwrap_err().kind(), ErrorKind::QuotaExceeded);
        }
        assert!(core.begin("0", vec![0], None).await.is_err());
        let state = core.lock();
        assert_eq!((state.ledger.size(), state.coming, state.arrived.len()), ((0, 0), (0, 0), 0));
        assert!(state.ledger.batch("0").is_none());
    }
}
