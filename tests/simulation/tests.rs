//! What the simulation itself promises, and seeds that once found something.

use std::time::Duration;

use crate::group::{self, Size};
use crate::run;

#[test]
fn a_seed_is_the_same_life_every_time() {
    for seed in 0..8 {
        let (first, again) = (run(seed, false), run(seed, false));
        assert_eq!(first.digest, again.digest, "seed {seed}");
        assert_eq!(first.figures, again.figures, "seed {seed}");
    }
}

#[test]
fn two_seeds_are_two_lives() {
    assert_ne!(run(1, false).digest, run(2, false).digest);
}

#[test]
fn a_life_in_another_thread_is_the_same_life() {
    let here = run(3, false).digest;
    let there = std::thread::spawn(|| run(3, false).digest).join();
    assert_eq!(there.ok(), Some(here));
}

#[test]
fn a_seed_is_the_same_life_of_a_group_every_time() {
    let size = Size { members: 8, partitions: 40, weather: Duration::from_secs(60) };
    for seed in 0..4 {
        let (first, again) = (group::run(seed, size, false), group::run(seed, size, false));
        assert_eq!((first.digest, &first.figures), (again.digest, &again.figures), "seed {seed}");
        assert!(first.wrong.is_empty(), "{:?}", first.wrong);
    }
    assert_ne!(group::run(1, size, false).digest, group::run(2, size, false).digest);
}
