//! Anything is fed to everything that parses: valid input, valid input changed at random, and noise.
//!
//! The same entry points run under libFuzzer (`cargo xtask fuzz`). Here they run for a moment, in every
//! test run. `EVENTHUBS_FUZZ_SECONDS` says how long each is fed; a failure names the file with the input.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub)]
mod targets;

#[path = "harness/random.rs"]
mod random;

use random::Random;
use targets::{ENTRIES, Entry, MOST_ALLOCATED};

/// How long each entry point is fed when nobody says.
const SECONDS: u64 = 1;
/// Longer inputs show nothing more and take longer.
const LONGEST: usize = 4096;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
/// One input at a time, so that what is allocated meanwhile was allocated for it.
static TURN: Mutex<()> = Mutex::new(());

macro_rules! feeds {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            feed(stringify!($name));
        })+

        #[test]
        fn every_entry_point_is_fed() {
            let fed = [$(stringify!($name)),+];
            let entries: Vec<_> = ENTRIES.iter().map(|entry| entry.name).collect();
            assert_eq!(fed.as_slice(), entries);
        }
    };
}

feeds! {
    connection_string, selector, sas, address, config_file, rest_events, hub_description, fault, stored_log, journal, message,
    publication, received, request, reply, engine_client, engine_server, engine_split, broker, socket,
}

/// Seeds as files, for libFuzzer to start from.
#[test]
fn seeds_are_written_out() {
    let Some(directory) = std::env::var_os("EVENTHUBS_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for entry in ENTRIES {
        let home = directory.join(entry.name);
        std::fs::create_dir_all(&home).unwrap();
        for (index, seed) in (entry.seeds)().into_iter().chain(kept("regressions", entry.name)).enumerate() {
            std::fs::write(home.join(format!("seed-{index}")), seed).unwrap();
        }
    }
}

fn feed(name: &str) {
    let entry = ENTRIES.iter().find(|entry| entry.name == name).unwrap();
    let seeds: Vec<_> = (entry.seeds)().into_iter().chain(kept("regressions", name)).collect();
    for seed in &seeds {
        try_one(entry, seed);
        // Half of anything: every place where input can stop.
        for end in 0..seed.len().min(1024) {
            try_one(entry, &seed[..end]);
        }
    }
    let seconds =
        std::env::var("EVENTHUBS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random::new("EVENTHUBS_FUZZ_STATE");
    let started = random.0;
    let mut corpus = seeds;
    for input in kept("corpus", name) {
        try_one(entry, &input);
        corpus.push(input);
    }
    let mut tried = 0_u64;
    while Instant::now() < deadline {
        for _ in 0..16 {
            let input = random.input(&corpus);
            try_one(entry, &input);
            // Mutations of mutations go further than one step from a seed.
            if random.index(64) == 0 && corpus.len() < 512 {
                corpus.push(input);
            }
            tried += 1;
        }
    }
    println!("{name}: {tried} inputs from state {started}");
}

/// What a fuzzer once found: files under `fuzz/regressions/<entry point>/` (they made it fail) and
/// `fuzz/corpus/<entry point>/` (they reached something new).
fn kept(folder: &str, name: &str) -> Vec<Vec<u8>> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join(name);
    let Ok(entries) = std::fs::read_dir(home) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn try_one(entry: &Entry, input: &[u8]) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let started = Instant::now();
    let region = Region::new(ALLOCATOR);
    let outcome = catch_unwind(AssertUnwindSafe(|| (entry.feed)(input)));
    let (took, allocated) = (started.elapsed(), region.change().bytes_allocated);
    if outcome.is_ok() && took < Duration::from_secs(5) && allocated < MOST_ALLOCATED {
        return;
    }
    let file = std::env::temp_dir().join(format!("eventhubs-fuzz-{}-{}", entry.name, std::process::id()));
    std::fs::write(&file, input).unwrap();
    let what = match outcome {
        Err(_) => "panicked".to_owned(),
        Ok(()) => format!("took {took:?} and {allocated} bytes"),
    };
    panic!(
        "{} {what} on {} bytes, kept in {}: {:02x?}",
        entry.name,
        input.len(),
        file.display(),
        &input[..input.len().min(64)]
    );
}

/// What is fed, made of what is known.
impl Random {
    fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        if corpus.is_empty() || self.index(20) == 0 {
            let length = self.index(256);
            return (0..length).map(|_| self.next() as u8).collect();
        }
        let mut input = corpus[self.index(corpus.len())].clone();
        for _ in 0..=self.index(6) {
            self.mutate(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        /// Bytes that mean something at a length, a count or a constructor.
        const TELLING: [u8; 16] =
            [0x00, 0x01, 0x40, 0x45, 0x7f, 0x80, 0xa0, 0xa1, 0xb0, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0, 0xff];
        let at = self.index(input.len() + 1);
        match self.index(8) {
            0 => input.insert(at, self.next() as u8),
            1 if at < input.len() => {
                input.remove(at);
            }
            2 if at < input.len() => input[at] ^= 1 << self.index(8),
            3 if at < input.len() => input[at] = TELLING[self.index(TELLING.len())],
            4 if at + 4 <= input.len() => {
                let number = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, self.next() as u32][self.index(6)];
                input[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            5 => {
                let end = at + self.index(input.len() - at + 1);
                let piece = input[at..end].to_vec();
                let into = self.index(input.len() + 1);
                input.splice(into..into, piece);
            }
            6 => {
                let other = &corpus[self.index(corpus.len())];
                let from = self.index(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(at),
        }
    }
}
