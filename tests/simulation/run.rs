//! Lives through seeds, and says what did not hold: `cargo xtask sim` runs it.
//!
//! One thread, so that what a seed allocates and does not give back is seen exactly.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use eventhubs_simulation as scenario;
use eventhubs_simulation::group::{self, GroupFigures, Size};

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Seeds after which everything that is made once has been made.
const WARM: u64 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1)?.parse::<u64>().expect("a number"))
    };
    let is_traced = arguments.iter().any(|argument| argument == "--trace");
    let (first, count) = match value("--seed") {
        Some(seed) => (seed, 1),
        None => (value("--from").unwrap_or(0), value("--seeds").unwrap_or(100)),
    };
    let step = value("--step").unwrap_or(1);
    if arguments.iter().any(|argument| argument == "--group") {
        let size = Size {
            members: value("--members").unwrap_or(100),
            partitions: value("--partitions").unwrap_or(1_024),
            weather: Duration::from_secs(value("--weather").unwrap_or(120)),
        };
        return groups((0..count).map(|index| first + index * step), size, is_traced);
    }
    let most_failures = value("--failures").unwrap_or(5);
    let started = Instant::now();
    let (mut failures, mut figures, mut slowest) = (0, Sum::default(), (0.0, 0));
    let mut done = 0;
    for seed in (0..count).map(|index| first + index * step) {
        let region = Region::new(ALLOCATOR);
        let began = Instant::now();
        let lived = catch_unwind(AssertUnwindSafe(|| scenario::run(seed, is_traced)));
        let took = began.elapsed().as_secs_f64();
        if took > slowest.0 {
            slowest = (took, seed);
        }
        done += 1;
        let mut wrong = match lived {
            Ok(outcome) => {
                figures.add(&outcome.figures);
                outcome.wrong
            }
            Err(_) => vec!["it panicked".to_owned()],
        };
        let change = region.change();
        let kept = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
        if wrong.is_empty() && done > WARM && kept > 0 && !is_traced {
            wrong.push(format!("{kept} bytes are never given back"));
        }
        if !wrong.is_empty() {
            failures += 1;
            println!("seed {seed}:");
            wrong.iter().for_each(|what| println!("  {what}"));
            println!("  replay: cargo xtask sim --seed {seed} --trace");
            if failures >= most_failures {
                break;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{done} seeds in {seconds:.1} s, {failures} failed; slowest {:.2} s (seed {}); {figures:?}",
        slowest.0, slowest.1
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lives of groups of processors.
fn groups(seeds: impl Iterator<Item = u64>, size: Size, is_traced: bool) -> ExitCode {
    let (mut sum, mut done, mut failures) = (GroupFigures::default(), 0_u64, 0);
    let started = Instant::now();
    for seed in seeds {
        let lived = catch_unwind(AssertUnwindSafe(|| group::run(seed, size, is_traced)));
        done += 1;
        let wrong = match lived {
            Ok(outcome) => {
                sum.add(&outcome.figures);
                outcome.wrong
            }
            Err(_) => vec!["it panicked".to_owned()],
        };
        if !wrong.is_empty() {
            failures += 1;
            println!("seed {seed}:");
            wrong.iter().for_each(|what| println!("  {what}"));
            println!("  replay: cargo xtask sim --group --seed {seed} --trace");
        }
        if done.is_multiple_of(50) {
            println!("{done} seeds, {failures} failed, {:.0} s; {sum:?}", started.elapsed().as_secs_f64());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{done} seeds of {size:?} in {seconds:.1} s, {failures} failed; {sum:?}");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, Default)]
#[allow(dead_code, reason = "printed")]
struct Sum {
    acknowledged: u64,
    unknown: u64,
    refused: u64,
    stored: u64,
    repeated: u64,
    taken: u64,
    failed_calls: u64,
    failed_reads: u64,
    virtual_seconds: u64,
    polls: u64,
}

impl Sum {
    fn add(&mut self, figures: &scenario::Figures) {
        self.acknowledged += figures.acknowledged;
        self.unknown += figures.unknown;
        self.refused += figures.refused;
        self.stored += figures.stored;
        self.repeated += figures.repeated;
        self.taken += figures.taken;
        self.failed_calls += figures.failed_calls;
        self.failed_reads += figures.failed_reads;
        self.virtual_seconds += figures.virtual_seconds;
        self.polls += figures.polls;
    }
}
