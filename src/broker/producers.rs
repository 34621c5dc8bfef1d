//! Idempotent producers of one partition: who they are, and which of their events are stored already.
//!
//! What the service does is known from what its clients expect of it. A client that attaches again gives its own last number
//! and adopts the answer's: were that the service's last number, it would number anew what it sends again, and what it is all about
//! would be lost. So a number that is given is echoed, and only a missing one is filled in. A batch of which some events are stored
//! and others are not is refused as out of order (`ProducerIsRejectedWithPartitionOptionsForInvalidState` of the .NET client's tests
//! begins five numbers too low with ten events): it is not one that was sent before, since batches are stored whole. A link that
//! is outdone stays and is told by the refusal of what it sends, which is where the JavaScript client looks for it.

use std::fmt;

use super::journal::ProducerRecord;
use crate::dialect::codec::Numbers;
use crate::dialect::conditions::{ARGUMENT_ERROR, OUT_OF_ORDER_SEQUENCE, PRODUCER_EPOCH_STOLEN};
use crate::model::publishing::{after, distance};
use crate::model::value::Timestamp;

/// Producers that a partition remembers. Of those without a link the one that was quiet for longest is forgotten first; should it
/// come back, its own word for its last number is taken.
const MOST: usize = 4096;

/// A producer's last number before its first event.
pub(super) const NONE: i32 = -1;

/// The producers of a partition.
#[derive(Default)]
pub(super) struct Producers {
    /// By id.
    known: Vec<Producer>,
    last_claim: u64,
}

/// What a client asks for when it attaches.
pub(super) struct Wanted {
    pub(super) id: Option<i64>,
    pub(super) epoch: Option<i16>,
    pub(super) last: Option<i32>,
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) last: i32,
    /// Which claim of the partition this is.
    pub(super) claim: u64,
}

/// What is to be done with numbered events.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They follow what is stored.
    Store,
    /// They are stored already.
    Swallow,
}

/// Why numbered events are not stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misnumbered {
    /// They do not follow what is stored.
    OutOfOrder { first: i32, count: u32, expected: i32 },
    /// They have no numbers, or not those of the link, or not one behind the other.
    Unnumbered,
    /// Another link is the producer now.
    Stolen { epoch: i16 },
}

struct Producer {
    record: ProducerRecord,
    /// The last number that is durable, and how many before it.
    durable: (i32, u32),
    /// Which claim is the producer now, if its link is still there.
    holder: Option<u64>,
}

impl Misnumbered {
    /// The service's name for it.
    pub(super) fn condition(&self) -> &'static str {
        match self {
            Misnumbered::OutOfOrder { .. } => OUT_OF_ORDER_SEQUENCE,
            Misnumbered::Unnumbered => ARGUMENT_ERROR,
            Misnumbered::Stolen { .. } => PRODUCER_EPOCH_STOLEN,
        }
    }
}

impl fmt::Display for Misnumbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misnumbered::OutOfOrder { first, count, expected } => write!(
                f,
                "The {count} events from sequence number {first} do not follow what the producer has published; \
                 {expected} is expected next."
            ),
            Misnumbered::Unnumbered => f.write_str(
                "The link is an idempotent producer's, but its events do not carry the link's producer id and epoch and \
                 sequence numbers that follow each other.",
            ),
            Misnumbered::Stolen { epoch } => {
                write!(f, "Another link is this producer now, with epoch '{epoch}'.")
            }
        }
    }
}

impl Producers {
    /// Puts back what the journal had kept.
    pub(super) fn restore(&mut self, record: ProducerRecord) {
        let durable = (record.last, record.reach);
        let producer = Producer { record, durable, holder: None };
        match self.place(producer.record.id) {
            Ok(place) => self.known[place] = producer,
            Err(place) => self.known.insert(place, producer),
        }
    }

    /// Attaches a producer; the link that was it before is refused from now on. `fresh` makes ids for those that have none. What
    /// the journal has to keep and what it may forget come with it. The epoch that is in the way, when there is one.
    pub(super) fn claim(
        &mut self,
        wanted: Wanted,
        now: Timestamp,
        mut fresh: impl FnMut() -> i64,
    ) -> Result<(Granted, ProducerRecord, Option<i64>), i16> {
        let id = wanted.id.unwrap_or_else(|| {
            loop {
                let id = fresh();
                if self.place(id).is_err() {
                    return id;
                }
            }
        });
        let forgotten = if self.place(id).is_err() { self.make_room() } else { None };
        let place = match self.place(id) {
            Ok(place) => place,
            Err(place) => {
                let last = wanted.last.unwrap_or(NONE);
                let epoch = wanted.epoch.unwrap_or(0);
                let record = ProducerRecord { id, epoch, last, reach: reach_of(last), used: now };
                self.known.insert(place, Producer { durable: (last, record.reach), record, holder: None });
                place
            }
        };
        let producer = &mut self.known[place];
        let epoch = wanted.epoch.unwrap_or(producer.record.epoch);
        if epoch < producer.record.epoch {
            return Err(producer.record.epoch);
        }
        producer.record.epoch = epoch;
        producer.record.used = now;
        self.last_claim += 1;
        producer.holder = Some(self.last_claim);
        let last = wanted.last.unwrap_or(producer.record.last);
        let granted = Granted { id, epoch, last, claim: self.last_claim };
        Ok((granted, producer.record, forgotten))
    }

    /// A link is gone.
    pub(super) fn release(&mut self, id: i64, claim: u64) {
        if let Ok(place) = self.place(id) {
            self.known[place].holder.take_if(|holder| *holder == claim);
        }
    }

    /// What is to be done with `count` events from a link.
    pub(super) fn judge(&self, by: Granted, numbers: Numbers, count: u32) -> Result<Verdict, Misnumbered> {
        let Ok(place) = self.place(by.id) else { return Err(Misnumbered::Stolen { epoch: by.epoch }) };
        let producer = &self.known[place];
        let record = &producer.record;
        if producer.holder != Some(by.claim) {
            return Err(Misnumbered::Stolen { epoch: record.epoch });
        }
        let Numbers::From { producer_id, epoch, first } = numbers else {
            return Err(Misnumbered::Unnumbered);
        };
        if producer_id != by.id || epoch != by.epoch || first < 0 {
            return Err(Misnumbered::Unnumbered);
        }
        let expected = after(record.last, 1);
        let distance = distance(expected, first);
        if distance == 0 {
            return Ok(Verdict::Store);
        }
        let behind = u32::try_from(-distance).unwrap_or(0);
        match behind >= count && behind <= record.reach {
            true => Ok(Verdict::Swallow),
            false => Err(Misnumbered::OutOfOrder { first, count, expected }),
        }
    }

    /// `count` events are stored; what the journal has to keep together with them.
    pub(super) fn stored(&mut self, id: i64, count: u32, now: Timestamp) -> Option<ProducerRecord> {
        let place = self.place(id).ok()?;
        let record = &mut self.known[place].record;
        record.last = after(record.last, count);
        record.reach = record.reach.saturating_add(count).min(FURTHEST);
        record.used = now;
        Some(*record)
    }

    /// What was stored is durable up to this.
    pub(super) fn confirm(&mut self, record: &ProducerRecord) {
        if let Ok(place) = self.place(record.id) {
            self.known[place].durable = (record.last, record.reach);
        }
    }

    /// What is not durable was taken back.
    pub(super) fn take_back(&mut self) {
        for producer in &mut self.known {
            (producer.record.last, producer.record.reach) = producer.durable;
        }
    }

    /// Forgets one of those that nobody is, when there are too many.
    fn make_room(&mut self) -> Option<i64> {
        if self.known.len() < MOST {
            return None;
        }
        let idle = self.known.iter().enumerate().filter(|(_, producer)| producer.holder.is_none());
        let (place, _) = idle.min_by_key(|(_, producer)| producer.record.used)?;
        Some(self.known.remove(place).record.id)
    }

    fn place(&self, id: i64) -> Result<usize, usize> {
        self.known.binary_search_by_key(&id, |producer| producer.record.id)
    }
}

/// How far back a producer's numbers are remembered: what lies farther back than half of all numbers lies ahead.
const FURTHEST: u32 = 1 << 30;

/// How many events a producer stored that says so itself.
fn reach_of(last: i32) -> u32 {
    u32::try_from(last).map_or(0, |last| last.saturating_add(1).min(FURTHEST))
}
