//! What an outbox knows: exactly what the journal's records say, one after the other. Nothing else changes it, so what is found
//! after a crash is what was known before it.

use std::collections::BTreeMap;

use super::record::{Batch, Entry, Record};
use crate::model::publishing::after;
use crate::model::value::Timestamp;

/// Events that wait or are under way, and how the service knows their producers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ledger {
    events: BTreeMap<u64, Waiting>,
    /// The batch that is under way to a partition; there is one at most.
    batches: BTreeMap<String, Batch>,
    identities: BTreeMap<String, Identity>,
    /// The numbers of what comes next.
    next_event: u64,
    next_batch: u64,
    /// Of the events.
    bytes: u64,
}

/// How the service knows the producer of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    /// The number of its next event.
    pub(super) next: i32,
}

#[derive(Debug, PartialEq)]
struct Waiting {
    entry: Entry,
    /// The batch with which it is under way.
    batch: Option<u64>,
}

/// What is kept of an event besides its bytes, roughly: an event without a body must not be free.
const EVENT_OVERHEAD: u64 = 64;

impl Ledger {
    /// Takes note of a record. One that means nothing here, since what it is about was lost with a damaged part of the journal,
    /// changes nothing, but a batch that is no longer whole is none, and its partition starts with a fresh identity: under the old
    /// numbers the service would take later events for these.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Counters { event, batch } => {
                self.next_event = self.next_event.max(event);
                self.next_batch = self.next_batch.max(batch);
            }
            Record::Identity { partition, producer_id, epoch, next } => {
                // Numbers of another identity say nothing under this one.
                if self.batches.get(&partition).is_some_and(|batch| batch.first.is_some()) {
                    self.release(&partition);
                }
                self.identities.insert(partition, Identity { producer_id, epoch, next });
            }
            Record::Event(entry) => {
                self.next_event = self.next_event.max(entry.id.saturating_add(1));
                let (id, cost) = (entry.id, cost(&entry));
                self.events.entry(id).or_insert_with(|| {
                    self.bytes += cost;
                    Waiting { entry, batch: None }
                });
            }
            Record::Batch(batch) => self.open(batch),
            Record::Done { batch } => {
                for id in self.close(batch).map(|batch| batch.events).unwrap_or_default() {
                    self.remove(id);
                }
            }
            Record::Dissolved { batch, alone } => {
                let Some(batch) = self.close(batch) else { return };
                if let (Some(first), Some(identity)) =
                    (batch.first, self.identities.get_mut(&batch.partition))
                {
                    identity.next = first;
                }
                for id in &batch.events {
                    if let Some(event) = self.events.get_mut(id) {
                        event.batch = None;
                        event.entry.alone |= alone;
                    }
                }
            }
            Record::Dead { event } => {
                if self.events.get(&event).is_some_and(|event| event.batch.is_none()) {
                    self.remove(event);
                }
            }
        }
    }

    /// Records that say the same as all that were applied.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        let counters = Record::Counters { event: self.next_event, batch: self.next_batch };
        let events = self.events.values().map(|event| Record::Event(event.entry.clone()));
        let identities = self.identities().map(|(partition, identity)| Record::Identity {
            partition: partition.to_owned(),
            producer_id: identity.producer_id,
            epoch: identity.epoch,
            next: identity.next,
        });
        let batches = self.batches.values().map(|batch| Record::Batch(batch.clone()));
        [counters].into_iter().chain(identities).chain(events).chain(batches).collect()
    }

    /// How many bytes such records have, roughly.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn next_event(&self) -> u64 {
        self.next_event
    }

    pub(super) fn next_batch(&self) -> u64 {
        self.next_batch
    }

    /// How many events there are, and their bytes.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.events.len(), self.bytes)
    }

    /// The oldest event.
    pub(super) fn first_event(&self) -> Option<u64> {
        self.events.keys().next().copied()
    }

    /// When the oldest event was enqueued.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.events.values().next().map(|event| event.entry.at)
    }

    /// How many events are under way.
    pub(super) fn under_way(&self) -> usize {
        self.batches.values().map(|batch| batch.events.len()).sum()
    }

    pub(super) fn entry(&self, id: u64) -> Option<&Entry> {
        self.events.get(&id).map(|event| &event.entry)
    }

    pub(super) fn batch(&self, partition: &str) -> Option<&Batch> {
        self.batches.get(partition)
    }

    /// The partitions with a batch under way.
    pub(super) fn busy_partitions(&self) -> Vec<String> {
        self.batches.keys().cloned().collect()
    }

    pub(super) fn identity(&self, partition: &str) -> Option<Identity> {
        self.identities.get(partition).copied()
    }

    /// How the service knows the producers, and where they go on: with the batch that is under way, if there is one.
    pub(super) fn identities(&self) -> impl Iterator<Item = (&str, Identity)> {
        self.identities.iter().map(|(partition, identity)| {
            let first = self.batches.get(partition).and_then(|batch| batch.first);
            (partition.as_str(), Identity { next: first.unwrap_or(identity.next), ..*identity })
        })
    }

    /// Lets go of identities: all of them, or those without a batch under way. A part of the journal may be missing, and with it the
    /// news that numbers were used; under those the service would take later events for earlier ones.
    pub(super) fn forget_identities(&mut self, with_batches: bool) {
        for partition in self.identities.keys().cloned().collect::<Vec<_>>() {
            if with_batches {
                self.release(&partition);
            }
            if !self.batches.contains_key(&partition) {
                self.identities.remove(&partition);
            }
        }
    }

    /// Events that are in no batch, oldest first.
    pub(super) fn unassigned(&self) -> Vec<u64> {
        self.events.iter().filter(|(_, event)| event.batch.is_none()).map(|(id, _)| *id).collect()
    }

    fn open(&mut self, batch: Batch) {
        self.next_batch = self.next_batch.max(batch.number.saturating_add(1));
        let is_free = |id: &u64| self.events.get(id).is_some_and(|event| event.batch.is_none());
        let is_whole = !batch.events.is_empty()
            && batch.events.is_sorted_by(|a, b| a < b)
            && batch.events.iter().all(is_free)
            && !self.batches.contains_key(&batch.partition)
            && (batch.first.is_none() || self.identities.contains_key(&batch.partition));
        if !is_whole {
            self.identities.remove(&batch.partition);
            self.release(&batch.partition);
            return;
        }
        for id in &batch.events {
            if let Some(event) = self.events.get_mut(id) {
                event.batch = Some(batch.number);
            }
        }
        if let (Some(first), Some(identity)) = (batch.first, self.identities.get_mut(&batch.partition)) {
            identity.next = after(first, batch.events.len() as u32);
        }
        self.batches.insert(batch.partition.clone(), batch);
    }

    /// Lets the batch go that a partition without an identity cannot send any more.
    fn release(&mut self, partition: &str) {
        let Some(batch) = self.batches.remove(partition) else { return };
        for id in &batch.events {
            if let Some(event) = self.events.get_mut(id) {
                event.batch = None;
            }
        }
    }

    fn close(&mut self, number: u64) -> Option<Batch> {
        let partition = self.batches.values().find(|batch| batch.number == number)?.partition.clone();
        self.batches.remove(&partition)
    }

    fn remove(&mut self, id: u64) {
        if let Some(event) = self.events.remove(&id) {
            self.bytes -= cost(&event.entry);
        }
    }
}

/// How much of the room for bytes an event takes.
pub(super) fn cost(entry: &Entry) -> u64 {
    entry.event.len() as u64 + EVENT_OVERHEAD
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::record::tests::record;
    use super::*;

    fn of(records: impl IntoIterator<Item = Record>) -> Ledger {
        let mut ledger = Ledger::default();
        records.into_iter().for_each(|record| ledger.apply(record));
        ledger
    }

    fn event(id: u64) -> Record {
        let event = Bytes::from_static(b"body");
        Record::Event(Entry {
            id,
            at: Timestamp::from_millis(1),
            key: None,
            partition: None,
            alone: false,
            event,
        })
    }

    fn identity(next: i32) -> Record {
        Record::Identity { partition: "0".to_owned(), producer_id: 7, epoch: 0, next }
    }

    fn batch(number: u64, first: i32, events: &[u64]) -> Record {
        let (partition, first) = ("0".to_owned(), Some(first));
        Record::Batch(Batch { number, partition, first, events: events.to_vec() })
    }

    #[test]
    fn a_batch_takes_numbers_and_its_end_takes_the_events() {
        let mut ledger = of([identity(5), event(0), event(1), event(2), batch(0, 5, &[0, 1])]);
        assert_eq!((ledger.unassigned(), ledger.under_way()), (vec![2], 2));
        assert_eq!(ledger.identity("0").unwrap().next, 7);
        ledger.apply(Record::Done { batch: 0 });
        assert_eq!((ledger.size().0, ledger.under_way()), (1, 0));
        ledger.apply(batch(1, 7, &[2]));
        ledger.apply(Record::Dissolved { batch: 1, alone: true });
        assert_eq!(ledger.identity("0").unwrap().next, 7, "the number was not used");
        assert!(ledger.entry(2).unwrap().alone);
        ledger.apply(Record::Dead { event: 2 });
        assert_eq!(ledger.size(), (0, 0));
    }

    #[test]
    fn a_batch_with_a_lost_event_is_given_up_together_with_its_numbers() {
        let ledger = of([identity(0), event(1), batch(0, 0, &[0, 1])]);
        assert_eq!((ledger.unassigned(), ledger.batch("0")), (vec![1], None));
        assert_eq!(ledger.identity("0"), None);
    }

    proptest! {
        #[test]
        fn a_snapshot_says_the_same_as_the_records(records in vec(record(), 0..60)) {
            let ledger = of(records);
            prop_assert_eq!(&of(ledger.snapshot()), &ledger);
        }

        #[test]
        fn any_records_leave_the_books_balanced(records in vec(record(), 0..60)) {
            let ledger = of(records);
            let bytes: u64 = ledger.events.values().map(|event| cost(&event.entry)).sum();
            prop_assert_eq!(ledger.size(), (ledger.events.len(), bytes));
            prop_assert_eq!(ledger.unassigned().len() + ledger.under_way(), ledger.events.len());
            for batch in ledger.batches.values() {
                for id in &batch.events {
                    prop_assert_eq!(ledger.events[id].batch, Some(batch.number));
                }
            }
        }
    }
}
