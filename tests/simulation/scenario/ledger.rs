//! Who sent what, what became of it, who saw what: kept while it happens, judged at the end by what is on disk.

use std::collections::BTreeMap;
use std::time::Duration;

use eventhubs::model::moment::Moment;
use eventhubs::simulation::{Store, now};
use eventhubs::{Error, ErrorKind};

use super::event::Id;
use super::signal::Signal;
use super::{PARTITIONS, RECOVERY};

/// More than this of what does not hold is not kept.
const MOST_WRONG: usize = 12;

#[derive(Default)]
pub struct Ledger {
    wrong: Vec<String>,
    pub figures: Figures,
    /// Nothing goes wrong in this world, so nothing may be tried twice.
    is_clear: bool,
    calm: Option<Moment>,
    /// The service refuses single events for a while, and those behind them get in front.
    pub may_reorder: bool,
    /// The service stores events twice by itself.
    pub may_duplicate: bool,
    /// The service tells clients for a while that they have no right to anything, which is for them to believe.
    pub may_refuse: bool,
    /// The service tells readers that others have taken their places.
    pub may_steal: bool,
    calls: Vec<Call>,
    readings: Vec<Reading>,
    goal: Option<Vec<i64>>,
    pub reached: Signal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub stored: u64,
    pub repeated: u64,
    pub taken: u64,
    pub failed_calls: u64,
    pub failed_reads: u64,
    pub virtual_seconds: u64,
    pub polls: u64,
}

/// Where events were sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Partition(u32),
    Key(String),
    Any,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    UnderWay,
    Acknowledged,
    /// Refused for good: it is not stored.
    Refused,
    /// It failed, and may be stored.
    Unknown,
}

/// What a call promises about its events beyond each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Loose,
    /// They are stored next to each other, all or none.
    Batch,
}

/// How often an event may be stored that its producer sent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// As often as it is tried.
    Attempts(u32),
    /// Once, and in the order in which the producer sent it: its events are numbered.
    One,
}

struct Call {
    /// Calls of one turn were under way together.
    turn: u32,
    form: Form,
    events: Vec<(Id, Target)>,
    fate: Fate,
    copies: Copies,
    /// The partition that its caller was told.
    told: Option<u32>,
    started: Moment,
    ended: Option<Moment>,
}

/// One stream's view of one partition.
struct Reading {
    consumer: u32,
    partition: u32,
    /// Where it may begin.
    least: i64,
    most: i64,
    events: Vec<(i64, Option<Id>)>,
}

impl Ledger {
    pub fn new(is_clear: bool) -> Self {
        Ledger { is_clear, ..Ledger::default() }
    }

    pub fn wrong(&mut self, what: String) {
        if self.wrong.len() < MOST_WRONG {
            self.wrong.push(what);
        }
    }

    pub fn take_wrong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    /// The weather has cleared.
    pub fn set_calm(&mut self) {
        self.calm = Some(now());
    }

    /// Whether nothing may fail that begins now.
    pub fn is_settled(&self, at: Moment) -> bool {
        self.is_clear || self.calm.is_some_and(|calm| at.saturating_since(calm) > RECOVERY)
    }

    /// Somebody calls; the number is for [`ends`](Self::ends).
    pub fn begins(&mut self, turn: u32, form: Form, events: Vec<(Id, Target)>, copies: Copies) -> usize {
        self.calls.push(Call {
            turn,
            form,
            events,
            fate: Fate::UnderWay,
            copies,
            told: None,
            started: now(),
            ended: None,
        });
        self.calls.len() - 1
    }

    /// The caller is told which partition the events of the call are in.
    pub fn was_told(&mut self, call: usize, partition: &str) {
        match partition.parse() {
            Ok(partition) => self.calls[call].told = Some(partition),
            Err(_) => self.wrong(format!("there is no partition '{partition}'")),
        }
    }

    pub fn ends(&mut self, call: usize, fate: Fate) {
        let call = &mut self.calls[call];
        call.fate = fate;
        call.ended = Some(now());
        let events = call.events.len() as u64;
        match fate {
            Fate::Acknowledged => self.figures.acknowledged += events,
            Fate::Refused => self.figures.refused += events,
            Fate::Unknown | Fate::UnderWay => self.figures.unknown += events,
        }
    }

    /// A stream is opened that begins with a sequence number from `least` to `most`.
    pub fn reads(&mut self, consumer: u32, partition: u32, least: i64, most: i64) -> usize {
        self.readings.push(Reading { consumer, partition, least, most, events: Vec::new() });
        self.readings.len() - 1
    }

    /// Another stream takes over from one that has failed for good. If that had not seen an event yet, the other begins anew.
    pub fn goes_on(&mut self, reading: usize, most: i64) {
        self.readings[reading].most = most;
    }

    pub fn last_taken(&self, reading: usize) -> Option<i64> {
        self.readings[reading].events.last().map(|(last, _)| *last)
    }

    /// Whether what fails with `error` is not to be tried again by the client itself.
    pub fn may_end(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Unauthorized => self.may_refuse,
            ErrorKind::OwnershipLost => self.may_steal,
            _ => false,
        }
    }

    pub fn takes(&mut self, reading: usize, sequence: i64, id: Option<Id>) {
        self.figures.taken += 1;
        let own = &mut self.readings[reading];
        let (least, most) = own.bounds();
        own.events.push((sequence, id));
        if sequence < least || sequence > most {
            let (consumer, partition) = (own.consumer, own.partition);
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.wrong(format!(
                "consumer {consumer} takes event {sequence} of partition {partition} where {wanted} comes next"
            ));
        }
        self.look();
    }

    pub fn set_goal(&mut self, last: Vec<i64>) {
        self.goal = Some(last);
        self.look();
    }

    /// What each stream has still to take of what is stored: whose, where, the next number.
    pub fn lags(&self, store: &Store) -> Vec<(usize, u32, u32, i64)> {
        let readings = self.readings.iter().enumerate();
        let lags =
            readings.map(|(at, reading)| (at, reading.consumer, reading.partition, reading.bounds().1));
        lags.filter(|(_, _, partition, next)| *next <= store.last_sequence(*partition)).collect()
    }

    /// Who still lacks what.
    pub fn missing(&self) -> String {
        let Some(goal) = &self.goal else { return "everything".to_owned() };
        let lacks = self.readings.iter().filter(|reading| !reading.has_reached(goal));
        let lacks = lacks.map(|reading| {
            let Reading { consumer, partition, .. } = reading;
            let (next, last) = (reading.bounds().1, goal[*partition as usize]);
            format!("consumer {consumer}: {next} to {last} of partition {partition}")
        });
        lacks.collect::<Vec<_>>().join("; ")
    }

    fn look(&self) {
        if let Some(goal) = &self.goal
            && self.readings.iter().all(|reading| reading.has_reached(goal))
        {
            self.reached.give();
        }
    }

    /// Holds everything against what is on disk.
    pub fn check(&mut self, store: &Store) {
        let mut logs: Vec<Vec<Option<Id>>> = Vec::new();
        let mut places: BTreeMap<Id, Vec<(u32, i64)>> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let events = store.events(partition);
            let mut log = Vec::with_capacity(events.len());
            for (expected, event) in (0..).zip(&events) {
                if event.sequence != expected {
                    self.wrong(format!(
                        "partition {partition} stores {} as its event {expected}",
                        event.sequence
                    ));
                }
                let id = Id::of_message(&event.message);
                match id {
                    Some(id) => places.entry(id).or_default().push((partition, event.sequence)),
                    None => self.wrong(format!(
                        "event {expected} of partition {partition} is none that was sent: {:02x?}",
                        &event.message[..event.message.len().min(40)]
                    )),
                }
                log.push(id);
            }
            self.figures.stored += log.len() as u64;
            logs.push(log);
        }
        self.check_readings(&logs);
        let calls = std::mem::take(&mut self.calls);
        let sent: std::collections::BTreeSet<Id> =
            calls.iter().flat_map(|call| &call.events).map(|(id, _)| *id).collect();
        for id in places.keys().filter(|id| !sent.contains(id)) {
            self.wrong(format!("{id:?} is stored, and nobody sent it"));
        }
        self.check_calls(&calls, &places);
        self.check_order(&calls, &places);
    }

    fn check_readings(&mut self, logs: &[Vec<Option<Id>>]) {
        for reading in std::mem::take(&mut self.readings) {
            let log = &logs[reading.partition as usize];
            for (sequence, id) in &reading.events {
                if log.get(*sequence as usize) != Some(id) {
                    let Reading { consumer, partition, .. } = reading;
                    self.wrong(format!(
                        "consumer {consumer} takes {id:?} as event {sequence} of partition {partition}"
                    ));
                }
            }
        }
    }

    fn check_calls(&mut self, calls: &[Call], places: &BTreeMap<Id, Vec<(u32, i64)>>) {
        let mut keys: BTreeMap<&str, u32> = BTreeMap::new();
        for call in calls {
            for (id, target) in &call.events {
                let copies = places.get(id).map_or(&[][..], Vec::as_slice);
                match call.fate {
                    Fate::Acknowledged if copies.is_empty() => {
                        self.wrong(format!("{id:?} was acknowledged and is not stored"));
                    }
                    Fate::Refused if !copies.is_empty() => {
                        self.wrong(format!("{id:?} was refused and is stored"));
                    }
                    _ => {}
                }
                if copies.len() > 1 {
                    self.figures.repeated += copies.len() as u64 - 1;
                    if self.is_settled(call.started) {
                        self.wrong(format!(
                            "{id:?} is stored {} times though nothing went wrong",
                            copies.len()
                        ));
                    }
                    let most = match call.copies {
                        Copies::Attempts(attempts) => attempts as usize,
                        Copies::One => 1,
                    };
                    if copies.len() > most && !self.may_duplicate {
                        self.wrong(format!("{id:?} is stored {} times, {most} at most may be", copies.len()));
                    }
                }
                for (partition, _) in copies {
                    if call.told.is_some_and(|told| told != *partition) {
                        let told = call.told;
                        self.wrong(format!(
                            "{id:?} is in partition {partition}, its sender was told {told:?}"
                        ));
                    }
                    let wanted = match target {
                        Target::Partition(wanted) => *wanted,
                        Target::Key(key) => *keys.entry(key).or_insert(*partition),
                        Target::Any => continue,
                    };
                    if wanted != *partition {
                        self.wrong(format!(
                            "{id:?} for {target:?} is in partition {partition}, not in {wanted}"
                        ));
                    }
                }
            }
            if call.form == Form::Batch {
                self.check_batch(call, places);
            }
        }
    }

    /// All of a batch or none of it, next to each other, as often as it is stored.
    fn check_batch(&mut self, call: &Call, places: &BTreeMap<Id, Vec<(u32, i64)>>) {
        let copies = |id: &Id| places.get(id).map_or(&[][..], Vec::as_slice);
        let Some((first, _)) = call.events.first() else { return };
        let starts = copies(first);
        for (at, (id, _)) in (0..).zip(&call.events) {
            let shifted: Vec<_> = starts.iter().map(|(partition, start)| (*partition, start + at)).collect();
            if copies(id) != shifted {
                self.wrong(format!(
                    "event {at} of a batch, {id:?}, is at {:?}, not at {shifted:?}",
                    copies(id)
                ));
                return;
            }
        }
    }

    /// First copies are in the order in which one producer sent them to one partition or with one key.
    fn check_order(&mut self, calls: &[Call], places: &BTreeMap<Id, Vec<(u32, i64)>>) {
        let mut last: BTreeMap<(u8, &Target), (i64, Id, u32)> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.fate == Fate::Acknowledged) {
            for (id, target) in call.events.iter().filter(|(_, target)| *target != Target::Any) {
                let Some((_, first)) = places.get(id).and_then(|copies| copies.first()) else { continue };
                let latest = last.entry((id.producer, target)).or_insert((-1, *id, 0));
                if latest.0 < *first {
                    *latest = (*first, *id, call.turn);
                } else if !(self.may_reorder && latest.2 == call.turn) || call.copies == Copies::One {
                    let (before, other, _) = *latest;
                    self.wrong(format!(
                        "{id:?} was sent to {target:?} after {other:?}, and stored as {first} before {before}"
                    ));
                }
            }
        }
    }

    /// Whether a call took longer than it may.
    pub fn check_time(&mut self, what: &str, started: Moment, limit: Duration) {
        let took = now() - started;
        if took > limit {
            self.wrong(format!("{what} took {took:?}, its deadline was {limit:?}"));
        }
    }
}

impl Reading {
    /// The lowest and the highest number that may come next.
    fn bounds(&self) -> (i64, i64) {
        match self.events.last() {
            Some((last, _)) => (last + 1, last + 1),
            None => (self.least, self.most),
        }
    }

    fn has_reached(&self, goal: &[i64]) -> bool {
        self.bounds().1 > goal[self.partition as usize]
    }
}
