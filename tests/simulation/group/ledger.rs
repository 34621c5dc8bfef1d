//! Who works on which partition when, and what must hold about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use eventhubs::model::moment::Moment;
use eventhubs::simulation::{note, now};

use super::store::Claims;
use super::{EXPIRY, INTERVAL};

/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFigures {
    pub killed: u64,
    pub stopped: u64,
    pub joined: u64,
    pub paused: u64,
    pub cut: u64,
    /// Partitions that were taken from a living owner.
    pub moves: u64,
    /// How many of those were needed for fair shares.
    pub needed: u64,
    /// The longest that nobody worked on a partition.
    pub longest_free: Duration,
    /// The longest that a member worked on what the store had given to another, since it had renewed it last.
    pub longest_double: Duration,
    /// The longest that it took to come to rest.
    pub slowest_rest: Duration,
}

impl GroupFigures {
    /// Another life's besides: numbers add up, of times the longest counts.
    pub fn add(&mut self, more: &GroupFigures) {
        self.killed += more.killed;
        self.stopped += more.stopped;
        self.joined += more.joined;
        self.paused += more.paused;
        self.cut += more.cut;
        self.moves += more.moves;
        self.needed += more.needed;
        self.longest_free = self.longest_free.max(more.longest_free);
        self.longest_double = self.longest_double.max(more.longest_double);
        self.slowest_rest = self.slowest_rest.max(more.slowest_rest);
    }
}

/// So long a member may sleep without knowing afterwards that it did.
const UNNOTICED: Duration = INTERVAL;

pub struct Ledger {
    partitions: BTreeMap<String, Partition>,
    claims: Claims,
    asleep: BTreeSet<u64>,
    /// Since when members have been awake that slept.
    woken: BTreeMap<u64, Moment>,
    fell_asleep: BTreeMap<u64, Moment>,
    is_watched: bool,
    wrong: Vec<String>,
    pub figures: GroupFigures,
}

#[derive(Default)]
struct Partition {
    workers: BTreeSet<u64>,
    free_since: Option<Moment>,
}

impl Ledger {
    pub fn new(partitions: u64, claims: Claims) -> Self {
        let partitions = (0..partitions).map(|id| (id.to_string(), Partition::default())).collect();
        Ledger {
            partitions,
            claims,
            asleep: BTreeSet::new(),
            woken: BTreeMap::new(),
            fell_asleep: BTreeMap::new(),
            is_watched: false,
            wrong: Vec::new(),
            figures: GroupFigures::default(),
        }
    }

    /// Every partition has been taken: from here on it is counted.
    pub fn begin(&mut self) {
        self.is_watched = true;
        self.figures.moves = 0;
        self.figures.longest_double = Duration::ZERO;
        let moment = now();
        self.partitions.values_mut().for_each(|partition| partition.look(moment, &self.asleep));
    }

    /// Nothing is counted any more.
    pub fn end(&mut self) {
        self.settle();
        self.is_watched = false;
    }

    pub fn wrong(&mut self, what: String) {
        note("WRONG", 0, 0, || what.clone());
        if self.wrong.len() < 10 {
            self.wrong.push(what);
        }
    }

    pub fn take_wrong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    /// A member joined a group that has so many with it.
    pub fn joined(&mut self, members: u64) {
        self.figures.joined += 1;
        self.needs_share(members);
    }

    /// A member is there, or there again, without partitions: it needs no more than its share.
    pub fn needs_share(&mut self, members: u64) {
        self.figures.needed += self.partitions.len() as u64 / members;
    }

    pub fn begins(&mut self, who: u64, partition: &str) {
        self.change(partition, |workers| {
            workers.insert(who);
        });
    }

    pub fn ends(&mut self, who: u64, partition: &str) {
        self.change(partition, |workers| {
            workers.remove(&who);
        });
    }

    /// A member does nothing any more.
    pub fn gone(&mut self, who: u64) {
        // Who dies asleep has done nothing since it fell asleep.
        if self.asleep.remove(&who) {
            self.woken.insert(who, now());
        }
        self.every(who, |workers| {
            workers.remove(&who);
        });
    }

    /// A member does nothing for a while.
    pub fn asleep(&mut self, who: u64) {
        self.asleep.insert(who);
        self.fell_asleep.insert(who, now());
        self.every(who, |_| {});
    }

    pub fn awake(&mut self, who: u64) {
        if self.asleep.remove(&who) {
            self.woken.insert(who, now());
            self.every(who, |_| {});
        }
    }

    /// A member does something about a partition.
    pub fn works(&mut self, who: u64, partition: &str) {
        let (Some(woken), Some(fell_asleep)) = (self.woken.get(&who), self.fell_asleep.get(&who)) else {
            return;
        };
        if *woken - *fell_asleep <= UNNOTICED {
            return;
        }
        let Some((owner, since)) = self.claims.owner(partition) else { return };
        if owner != name_of(who) && since < *woken {
            let what = format!("m{who} works on partition {partition}, which {owner} took while it slept");
            self.wrong(what);
        }
    }

    /// How many partitions are worked on.
    pub fn working(&self) -> usize {
        self.partitions.values().filter(|partition| !partition.workers.is_empty()).count()
    }

    /// Whether all have one worker, by fair shares of these members.
    pub fn state(&self, members: impl Iterator<Item = u64>) -> Result<(), String> {
        let mut counts: BTreeMap<u64, usize> = members.map(|member| (member, 0)).collect();
        for (id, partition) in &self.partitions {
            let mut workers = partition.workers.iter();
            let (Some(worker), None) = (workers.next(), workers.next()) else {
                return Err(format!("partition {id} is worked on by {:?}", partition.workers));
            };
            match counts.get_mut(worker) {
                Some(count) => *count += 1,
                None => return Err(format!("partition {id} is worked on by {worker}, who was to stop")),
            }
        }
        let (least, most) = (counts.values().min(), counts.values().max());
        match (least, most) {
            (Some(least), Some(most)) if most - least <= 1 => Ok(()),
            _ => Err(format!("shares from {least:?} to {most:?}")),
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut BTreeSet<u64>)) {
        let Some(partition) = self.partitions.get_mut(id) else { return };
        let late = longest_lost(id, partition, &self.claims, &self.asleep, &self.woken);
        change(&mut partition.workers);
        let change = self.claims.change(id);
        let free = judge(partition, change, &self.asleep, self.is_watched, &mut self.figures);
        let mut wrong = Vec::from_iter(free);
        if self.is_watched
            && let Some((who, late)) = late
        {
            self.figures.longest_double = self.figures.longest_double.max(late);
            // Who is cut off notices when its ownership expires at the latest.
            if late > EXPIRY {
                wrong.push(format!("was worked on by m{who}, who had lost it, {late:?} after it renewed"));
            }
        }
        wrong.into_iter().for_each(|what| self.wrong(format!("partition {id} {what}")));
    }

    fn every(&mut self, who: u64, mut change: impl FnMut(&mut BTreeSet<u64>)) {
        let theirs = self.partitions.iter().filter(|(_, partition)| partition.workers.contains(&who));
        let ids: Vec<String> = theirs.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.change(&id, &mut change);
        }
    }

    fn settle(&mut self) {
        let ids: Vec<String> = self.partitions.keys().cloned().collect();
        for id in ids {
            self.change(&id, |_| {});
        }
    }
}

impl Partition {
    fn look(&mut self, moment: Moment, asleep: &BTreeSet<u64>) {
        let awake = self.workers.iter().filter(|worker| !asleep.contains(worker)).count();
        self.free_since = if awake == 0 { self.free_since.or(Some(moment)) } else { None };
    }
}

/// Of those who work on what the store has given to another: who renewed it longest ago. Who sleeps does not work, and who slept does
/// since it is awake.
fn longest_lost(
    id: &str,
    partition: &Partition,
    claims: &Claims,
    asleep: &BTreeSet<u64>,
    woken: &BTreeMap<u64, Moment>,
) -> Option<(u64, Duration)> {
    let (owner, _) = claims.owner(id)?;
    let awake = partition.workers.iter().filter(|who| !asleep.contains(who) && name_of(**who) != owner);
    let late = awake.map(|who| {
        let since = claims.renewed(id, name_of(*who)).max(woken.get(who).copied());
        (*who, since.map_or(Duration::ZERO, |since| now() - since))
    });
    late.max_by_key(|(_, late)| *late)
}

/// Whether a partition that has just changed was worked on by nobody for too long.
fn judge(
    partition: &mut Partition,
    (before, first): (Option<Moment>, Option<Moment>),
    asleep: &BTreeSet<u64>,
    is_watched: bool,
    figures: &mut GroupFigures,
) -> Option<String> {
    /// Members choose at random among what is free, so two may choose the same and try again, each time after an eighth of a
    /// round and some calls to a store that may take three seconds each.
    const SLACK: Duration = Duration::from_secs(20);
    let moment = now();
    let free_since = partition.free_since;
    partition.look(moment, asleep);
    if !is_watched {
        return None;
    }
    // Who claims or renews and then dies, sleeps or is cut off at once has it for another while, and its own trouble.
    let free_since = free_since.map(|since| before.map_or(since, |before| since.max(before)));
    let free = free_since
        .map_or(Duration::ZERO, |since| first.filter(|first| *first > since).unwrap_or(moment) - since);
    figures.longest_free = figures.longest_free.max(free);
    (free > EXPIRY + INTERVAL + SLACK).then(|| format!("was worked on by nobody for {free:?}"))
}

/// How a member is called in the store.
pub(super) fn name_of(who: u64) -> String {
    format!("m{who}")
}
