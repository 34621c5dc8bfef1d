//! Whether what the members wrote down keeps what a group of processors promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::members::{Fault, Noted, Struck};
use crate::{EXPIRY, INTERVAL};

/// What a process needs besides: to be scheduled on a busy machine, to open its link, to be started.
const SLACK: u64 = 4_000;
/// How long after another has begun somebody may still be at it: until the link's loss arrives, and for the batch that it is at. Who was
/// paused has no more: it hands out nothing before the store has said that the partition is still its own. Only shorter pauses than
/// this are not noticed.
const OVERLAP: u64 = 2_000;
/// A claim is written down by another task than the one that made it.
const RELAY: u64 = 1_000;

pub(crate) struct Judge {
    pub(crate) lines: Vec<Noted>,
    pub(crate) faults: Vec<Struck>,
    /// The last sequence number of each partition.
    pub(crate) last: Vec<i64>,
    pub(crate) needed: u64,
    pub(crate) quiet_from: u64,
    pub(crate) members: usize,
}

#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) wrong: Vec<String>,
    rows: Vec<(&'static str, String)>,
}

/// One member's time with a partition.
struct Tenure {
    member: usize,
    /// When it was claimed.
    claimed: u64,
    /// Numbers with the time of processing and of enqueuing.
    events: Vec<(i64, u64, u64)>,
}

impl Judge {
    pub(crate) fn judge(mut self) -> Verdict {
        self.lines.sort_by_key(|noted| noted.at);
        let mut verdict = Verdict::default();
        let mut figures = Figures::default();
        for partition in 0..self.last.len() {
            self.partition(partition, &mut verdict, &mut figures);
        }
        let watched_from = self.lines.iter().find(|noted| noted.text == "W").map_or(0, |noted| noted.at);
        let moves: Vec<u64> =
            self.lines.iter().filter(|noted| is_move(&noted.text)).map(|noted| noted.at).collect();
        let counted = moves.iter().filter(|at| **at >= watched_from).count() as u64;
        let late = moves.iter().filter(|at| **at >= self.quiet_from).count();
        if late > 0 {
            verdict.wrong.push(format!("{late} partitions moved although all had their share"));
        }
        if counted > self.needed * 3 / 2 + self.last.len() as u64 / 4 {
            verdict.wrong.push(format!("{counted} partitions moved where {} would have done", self.needed));
        }
        let count = |fault| self.faults.iter().filter(|struck| struck.fault == fault).count();
        let events: i64 = self.last.iter().map(|last| last + 1).sum();
        verdict.rows = vec![
            ("members, partitions", format!("{}, {}", self.members, self.last.len())),
            ("killed with SIGKILL", count(Fault::Kill).to_string()),
            ("stopped in order", count(Fault::Stop).to_string()),
            ("paused with SIGSTOP", count(Fault::Pause).to_string()),
            ("cut off from the store", count(Fault::Cut).to_string()),
            ("events written", events.to_string()),
            ("never processed", figures.missing.to_string()),
            ("processed again", figures.again.to_string()),
            ("… though checkpointed before", figures.unneeded.to_string()),
            ("checkpoints written, backwards", format!("{}, {}", figures.checkpoints, figures.backwards)),
            ("longest wait of an event", format!("{} ms", figures.longest_wait)),
            ("… since the last fault of its owner", format!("{} ms", figures.longest_free)),
            (
                "allowed: expiry, cycle, slack",
                format!("{} ms", (EXPIRY + INTERVAL).as_millis() as u64 + SLACK),
            ),
            ("longest that two worked on one", format!("{} ms: {}", figures.overlap.0, figures.overlap.1)),
            ("moves, needed", format!("{counted}, {}", self.needed)),
            ("moves at rest", late.to_string()),
        ];
        verdict
    }

    /// What was done to a member last, before it did something.
    fn trouble(&self, member: usize, at: u64) -> String {
        let before = self.faults.iter().rfind(|struck| struck.member == member && struck.from <= at);
        before.map_or("was well all the time".to_owned(), |Struck { fault, from, until, .. }| {
            format!("{fault:?} {} ms before, for {} ms", at - from, until - from)
        })
    }

    fn partition(&self, partition: usize, verdict: &mut Verdict, figures: &mut Figures) {
        let id = partition.to_string();
        let mut tenures: Vec<Tenure> = Vec::new();
        let mut checkpoints: Vec<(u64, i64)> = Vec::new();
        // What the store itself had, looked at again and again: a member's word that a checkpoint is written says only that none
        // that is behind it is there.
        let mut stored: Option<i64> = None;
        let mut claims: BTreeMap<usize, u64> = BTreeMap::new();
        for noted in &self.lines {
            let words: Vec<&str> = noted.text.split(' ').collect();
            if words.get(1) != Some(&id.as_str()) {
                continue;
            }
            let number = |place: usize| words[place].parse::<i64>().unwrap();
            match words[0] {
                "K" => drop(claims.insert(noted.member, noted.at)),
                "B" => {
                    let claimed = claims.get(&noted.member).copied().unwrap_or(noted.at);
                    tenures.push(Tenure { member: noted.member, claimed, events: Vec::new() });
                }
                "P" => {
                    let own = tenures.iter_mut().rev().find(|tenure| tenure.member == noted.member);
                    own.unwrap().events.push((number(2), noted.at, number(3) as u64));
                }
                "C" => checkpoints.push((noted.at, number(2))),
                "S" => {
                    if let Some(before) = stored.replace(number(2)).filter(|before| *before > number(2)) {
                        figures.backwards += 1;
                        let what = format!("from {before} to {}", number(2));
                        verdict.wrong.push(format!("partition {id}: the checkpoint went backwards {what}"));
                    }
                }
                _ => {}
            }
        }
        figures.checkpoints += checkpoints.len();
        let mut first: BTreeMap<i64, (u64, u64, usize)> = BTreeMap::new();
        for (place, tenure) in tenures.iter().enumerate() {
            for pair in tenure.events.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1) {
                let what = format!("member {}: {} behind {}", tenure.member, pair[1].0, pair[0].0);
                verdict.wrong.push(format!("partition {id}: {what}"));
            }
            // What was checkpointed before this one looked must not come again.
            let known = checkpoints.iter().filter(|(at, _)| at + RELAY < tenure.claimed);
            let known = known.map(|(_, number)| *number);
            if let (Some(known), Some((number, ..))) = (known.max(), tenure.events.first())
                && *number <= known
            {
                figures.unneeded += (known - number + 1) as usize;
                let what = format!("member {} began at {number} behind checkpoint {known}", tenure.member);
                verdict.wrong.push(format!("partition {id}: {what}"));
            }
            for &(number, at, enqueued) in &tenure.events {
                let known = first.entry(number).or_insert((at, enqueued, place));
                if at < known.0 {
                    *known = (at, enqueued, place);
                }
            }
            // Whoever processes next ends this one.
            let next = tenures[place + 1..]
                .iter()
                .find(|next| next.member != tenure.member && !next.events.is_empty());
            if let Some(next) = next {
                let last = tenure.events.last().map_or(0, |(_, at, _)| *at);
                let overlap = last.saturating_sub(next.events[0].1);
                let what = || {
                    let (one, other, trouble) =
                        (tenure.member, next.member, self.trouble(tenure.member, last));
                    format!("partition {id}, members {one} and {other}, the first {trouble}")
                };
                if overlap > OVERLAP {
                    verdict.wrong.push(format!("was processed by two for {overlap} ms: {}", what()));
                }
                if overlap > figures.overlap.0 {
                    figures.overlap = (overlap, what());
                }
            }
        }
        let all: usize = tenures.iter().map(|tenure| tenure.events.len()).sum();
        figures.again += all - first.len();
        let processed: BTreeSet<i64> = first.keys().copied().collect();
        let missing = (0..=self.last[partition]).filter(|number| !processed.contains(number)).count();
        figures.missing += missing;
        if missing > 0 {
            verdict.wrong.push(format!("partition {id}: {missing} events were never processed"));
        }
        for &(at, enqueued, place) in first.values() {
            figures.longest_wait = figures.longest_wait.max(at.saturating_sub(enqueued));
            // Those who had it when something was done to them, before this event was processed.
            let had = tenures[..=place].iter().map(|tenure| (tenure.member, tenure.claimed));
            let had: Vec<(usize, u64)> =
                had.chain(claims.iter().map(|(member, at)| (*member, *at))).collect();
            let strikes = self.faults.iter().filter(|struck| {
                struck.from < at
                    && had.iter().any(|(member, from)| *member == struck.member && *from < struck.until)
            });
            let since = strikes.map(|struck| struck.from).filter(|from| *from < at).max().unwrap_or(0);
            let free = at.saturating_sub(enqueued.max(since));
            figures.longest_free = figures.longest_free.max(free);
            if free > (EXPIRY + INTERVAL).as_millis() as u64 + SLACK {
                verdict.wrong.push(format!("partition {id}: an event waited for {free} ms"));
            }
        }
    }
}

#[derive(Default)]
struct Figures {
    missing: usize,
    again: usize,
    unneeded: usize,
    checkpoints: usize,
    backwards: usize,
    longest_wait: u64,
    longest_free: u64,
    /// In milliseconds, and whose.
    overlap: (u64, String),
}

fn is_move(text: &str) -> bool {
    text.starts_with("K ") && !text.ends_with(" -")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.rows {
            writeln!(f, "{name}{}  {value}", " ".repeat(width - name.chars().count()))?;
        }
        for what in self.wrong.iter().take(20) {
            writeln!(f, "WRONG: {what}")?;
        }
        if self.wrong.len() > 20 {
            writeln!(f, "… and {} more", self.wrong.len() - 20)?;
        }
        Ok(())
    }
}
