//! Which partitions a processor claims, so that all members of a group have a fair share and nothing moves without need.
//!
//! A pure function of what a listing of the store shows. Each member computes it for itself; that they come to rest with
//! shares that differ by at most one, and how many moves that takes, is what the tests check.

use std::collections::{BTreeMap, HashMap};

/// How quickly a processor comes to its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// One partition a cycle: calm when members come and go. The default, as in the JavaScript and Go clients.
    #[default]
    Balanced,
    /// All that is missing at once: soon complete, at the price of more moves when several members start together.
    Greedy,
}

/// What a member knows when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The member that decides.
    pub me: &'a str,
    /// How quickly.
    pub strategy: Strategy,
    /// The most partitions that it wants, if it has a bound.
    pub cap: Option<usize>,
    /// The living owner of each partition.
    pub owners: &'a [Option<&'a str>],
    /// The partitions that nobody has wanted for long, though others should have: their owners-to-be are capped.
    pub left_over: &'a [bool],
}

/// A partition to claim, by its place among the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its place in [`Situation::owners`].
    pub partition: usize,
    /// Whom it is taken from; `None` when it is free.
    pub from: Option<&'a str>,
}

impl<'a> Situation<'a> {
    /// The partitions to claim now besides those that are renewed. `random(n)` is below `n`.
    pub fn claims(&self, mut random: impl FnMut(usize) -> usize) -> Vec<Claim<'a>> {
        let shares = Shares::of(self.me, self.owners);
        let held = shares.held(self.me);
        let room = self.cap.unwrap_or(usize::MAX).saturating_sub(held);
        let missing = shares.target(self.me).saturating_sub(held).min(room);
        let at_once = match self.strategy {
            Strategy::Balanced => missing.min(1),
            Strategy::Greedy => missing,
        };
        let mut claims = Vec::new();
        let free = |place: &usize| self.owners[*place].is_none();
        let mut vacant: Vec<usize> = (0..self.owners.len()).filter(free).collect();
        while claims.len() < at_once && !vacant.is_empty() {
            let partition = vacant.swap_remove(random(vacant.len()));
            claims.push(Claim { partition, from: None });
        }
        if claims.len() < at_once {
            self.steal(&shares, at_once, &mut claims, &mut random);
        }
        if claims.is_empty() && room > 0 {
            // More than a fair share, rather than a partition that nobody reads.
            vacant.retain(|place| self.left_over.get(*place).is_some_and(|is_left_over| *is_left_over));
            if !vacant.is_empty() {
                claims.push(Claim { partition: vacant[random(vacant.len())], from: None });
            }
        }
        claims
    }

    /// Takes from those who have too much, the richest first.
    fn steal(
        &self,
        shares: &Shares<'a>,
        at_once: usize,
        claims: &mut Vec<Claim<'a>>,
        random: &mut impl FnMut(usize) -> usize,
    ) {
        let mut rich: Vec<(&str, usize)> = shares.surplus(self.me);
        rich.sort_by_key(|(_, surplus)| std::cmp::Reverse(*surplus));
        for (owner, surplus) in rich {
            let mut theirs: Vec<usize> =
                (0..self.owners.len()).filter(|place| self.owners[*place] == Some(owner)).collect();
            for _ in 0..surplus.min(at_once - claims.len()) {
                let partition = theirs.swap_remove(random(theirs.len()));
                claims.push(Claim { partition, from: self.owners[partition] });
            }
            if claims.len() == at_once {
                return;
            }
        }
    }
}

/// Who holds how many, and how many each should hold.
struct Shares<'a> {
    counts: BTreeMap<&'a str, usize>,
    /// What each should hold at least.
    least: usize,
    /// So many should hold one more.
    extras: usize,
}

impl<'a> Shares<'a> {
    fn of(me: &'a str, owners: &[Option<&'a str>]) -> Self {
        // Counted by hash, which is quicker, and gone through by name, which is the same each time.
        let mut counts = HashMap::from([(me, 0)]);
        for owner in owners.iter().copied().flatten() {
            *counts.entry(owner).or_default() += 1;
        }
        let counts: BTreeMap<&str, usize> = counts.into_iter().collect();
        Shares { least: owners.len() / counts.len(), extras: owners.len() % counts.len(), counts }
    }

    fn held(&self, member: &str) -> usize {
        self.counts.get(member).copied().unwrap_or_default()
    }

    /// What `me` should hold: one more than the least while not enough others do.
    fn target(&self, me: &str) -> usize {
        let others = self.counts.iter().filter(|(member, held)| **member != me && **held > self.least);
        if others.count() < self.extras { self.least + 1 } else { self.least }
    }

    /// What the others have too much. `me` comes to its share, so one of the extras may be its own.
    fn surplus(&self, me: &str) -> Vec<(&'a str, usize)> {
        let mut extras = self.extras;
        let mut surplus = Vec::new();
        for (&member, &held) in self.counts.iter().filter(|(member, _)| **member != me) {
            if held <= self.least {
                continue;
            }
            // Some may keep one more than the least.
            let keeps = self.least + usize::from(extras > 0);
            extras = extras.saturating_sub(1);
            if held > keeps {
                surplus.push((member, held - keeps));
            }
        }
        surplus
    }
}

#[cfg(test)]
mod tests {
    use super::Strategy;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A small generator, so that a failing case says all by its seed.
    fn dice(mut state: u64) -> impl FnMut(usize) -> usize {
        move |sides| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as usize) % sides
        }
    }

    /// A group whose store never fails.
    struct Group {
        owners: Vec<Option<String>>,
        strategy: Strategy,
        caps: BTreeMap<String, usize>,
        dice: Box<dyn FnMut(usize) -> usize>,
        moves: usize,
    }

    impl Group {
        fn new(partitions: usize, strategy: Strategy, seed: u64) -> Self {
            let (owners, caps) = (vec![None; partitions], BTreeMap::new());
            Group { owners, strategy, caps, dice: Box::new(dice(seed)), moves: 0 }
        }

        /// One member looks and claims; how many partitions it took.
        fn cycle(&mut self, me: &str) -> usize {
            let listed = self.owners.clone();
            let owners: Vec<Option<&str>> = listed.iter().map(Option::as_deref).collect();
            let left_over = vec![true; owners.len()];
            let cap = self.caps.get(me).copied();
            let left_over: &[bool] = if self.caps.is_empty() { &[] } else { &left_over };
            let situation = Situation { me, strategy: self.strategy, cap, owners: &owners, left_over };
            let claims = situation.claims(&mut self.dice);
            for claim in &claims {
                assert_ne!(claim.from, Some(me));
                assert_eq!(claim.from, owners[claim.partition]);
                self.moves += usize::from(claim.from.is_some());
                self.owners[claim.partition] = Some(me.to_owned());
            }
            claims.len()
        }

        /// Cycles until nobody wants anything; how many cycles that took.
        fn settle(&mut self, members: &[String]) -> usize {
            for cycles in 0..10_000 {
                if members.iter().map(|member| self.cycle(member)).sum::<usize>() == 0 {
                    return cycles;
                }
            }
            panic!("no rest: {:?}", self.owners);
        }

        fn counts(&self, members: &[String]) -> Vec<usize> {
            let held = |member: &String| {
                self.owners.iter().filter(|owner| owner.as_deref() == Some(member.as_str())).count()
            };
            members.iter().map(held).collect()
        }
    }

    fn names(members: usize) -> Vec<String> {
        (0..members).map(|member| format!("m{member}")).collect()
    }

    fn strategies() -> impl proptest::strategy::Strategy<Value = Strategy> {
        prop_oneof![Just(Strategy::Balanced), Just(Strategy::Greedy)]
    }

    proptest! {
        #[test]
        fn a_group_comes_to_rest_with_fair_shares_and_every_partition_read(
            partitions in 1..70_usize, members in 1..20_usize, strategy in strategies(), seed: u64,
        ) {
            let (mut group, members) = (Group::new(partitions, strategy, seed), names(members));
            group.settle(&members);
            let counts = group.counts(&members);
            prop_assert_eq!(counts.iter().sum::<usize>(), partitions);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        }

        #[test]
        fn who_joins_takes_its_share_and_no_more_moves_than_that(
            partitions in 1..70_usize, members in 1..20_usize, strategy in strategies(), seed: u64,
        ) {
            let (mut group, mut members) = (Group::new(partitions, strategy, seed), names(members));
            group.settle(&members);
            group.moves = 0;
            members.push("newcomer".into());
            group.settle(&members);
            let counts = group.counts(&members);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            prop_assert_eq!(group.moves, counts[members.len() - 1]);
        }

        #[test]
        fn what_a_dead_member_held_is_shared_without_moving_anything_else(
            partitions in 1..70_usize, members in 2..20_usize, strategy in strategies(), seed: u64,
        ) {
            let (mut group, mut members) = (Group::new(partitions, strategy, seed), names(members));
            group.settle(&members);
            group.moves = 0;
            let dead = members.pop();
            for owner in &mut group.owners {
                if *owner == dead {
                    *owner = None;
                }
            }
            group.settle(&members);
            let counts = group.counts(&members);
            prop_assert_eq!(counts.iter().sum::<usize>(), partitions);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            prop_assert_eq!(group.moves, 0);
        }

        #[test]
        fn a_capped_member_leaves_the_rest_to_the_others(
            partitions in 1..40_usize, members in 2..8_usize, cap in 0..3_usize, strategy in strategies(), seed: u64,
        ) {
            let (mut group, members) = (Group::new(partitions, strategy, seed), names(members));
            group.caps.insert(members[0].clone(), cap);
            group.settle(&members);
            let counts = group.counts(&members);
            prop_assert_eq!(counts.iter().sum::<usize>(), partitions);
            prop_assert!(counts[0] <= cap);
        }
    }

    #[test]
    fn balanced_takes_one_a_cycle_and_greedy_all_that_is_missing() {
        let claims = |strategy| Group::new(8, strategy, 7).cycle("me");
        assert_eq!((claims(Strategy::Balanced), claims(Strategy::Greedy)), (1, 8));
    }

    /// Cases that JavaScript's balancing is held to as well (pkg-template/test/balance.test.mjs), one a line: a situation, the seed of the
    /// dice, and what is claimed.
    fn cases() -> String {
        let mut lines = String::new();
        for seed in 0..300_u64 {
            let mut roll = dice(seed);
            let (partitions, others, cap) = (roll(40), roll(9), roll(16));
            let me = format!("m{}", roll(10));
            // Some hold more than others, and some are dead.
            let owner = |_| match roll(others + 2) {
                0 => None,
                1 => Some(format!("m{}", roll(2))),
                other => Some(format!("m{other}")),
            };
            let owned: Vec<Option<String>> = (0..partitions).map(owner).collect();
            let owners: Vec<Option<&str>> = owned.iter().map(Option::as_deref).collect();
            let left_over: Vec<bool> = (0..partitions).map(|_| roll(2) == 0).collect();
            let strategy = if roll(2) == 0 { Strategy::Balanced } else { Strategy::Greedy };
            let cap = (cap < 8).then_some(cap);
            let situation = Situation { me: &me, strategy, cap, owners: &owners, left_over: &left_over };
            let claims: Vec<_> =
                situation.claims(dice(seed)).iter().map(|claim| (claim.partition, claim.from)).collect();
            let strategy = if strategy == Strategy::Greedy { "greedy" } else { "balanced" };
            // Not as one object: the order of its names depends on features.
            let names = ["seed", "me", "strategy", "cap", "owners", "leftOver", "claims"];
            let values = [
                json!(seed),
                json!(me),
                json!(strategy),
                json!(cap),
                json!(owners),
                json!(left_over),
                json!(claims),
            ];
            let fields: Vec<_> =
                names.iter().zip(values).map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let case = format!("{{{}}}", fields.join(","));
            lines.push_str(&format!("{}{case}", if seed == 0 { "[\n" } else { ",\n" }));
        }
        lines + "\n]\n"
    }

    #[test]
    fn both_languages_are_held_to_the_same_cases() {
        let kept = include_str!("../../tests/vectors/balance.json");
        let is_same = kept == cases();
        assert!(
            is_same,
            "tests/vectors/balance.json is of another time: `cargo test --lib print_the_cases -- --ignored --nocapture`"
        );
    }

    #[test]
    #[ignore = "prints tests/vectors/balance.json"]
    fn print_the_cases() {
        print!("{}", cases());
    }

    #[test]
    fn no_partitions_want_no_claims() {
        assert_eq!(Group::new(0, Strategy::Greedy, 1).cycle("me"), 0);
    }
}
