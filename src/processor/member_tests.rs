use proptest::prelude::*;

use super::Strategy;
use super::*;
use crate::error::{Error, ErrorKind};

const INTERVAL: Duration = Duration::from_secs(10);
const EXPIRY: Duration = Duration::from_secs(60);

fn at(second: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(second))
}

fn member(me: &str, partitions: usize, strategy: Strategy) -> Member {
    let ids: Vec<String> = (0..partitions).map(|id| id.to_string()).collect();
    let rules = Rules { me: me.into(), strategy, cap: None, interval: INTERVAL, expiry: EXPIRY };
    Member::new(rules, ids.into())
}

/// A store that decides as all do: by the etag.
#[derive(Default)]
struct Shelf {
    records: BTreeMap<String, Ownership>,
    versions: u64,
}

impl Shelf {
    fn claim(&mut self, claims: &[Ownership]) -> Vec<Ownership> {
        let mut won = Vec::new();
        for claim in claims {
            if self.records.get(&claim.partition_id).and_then(|known| known.etag.clone()) != claim.etag {
                continue;
            }
            self.versions += 1;
            let record = Ownership {
                etag: Some(self.versions.to_string()),
                last_modified: Some(Timestamp::from_millis(0)),
                ..claim.clone()
            };
            self.records.insert(claim.partition_id.clone(), record.clone());
            won.push(record);
        }
        won
    }

    fn list(&self) -> Records<Ownership> {
        self.records.values().cloned().collect::<Vec<_>>().into()
    }

    fn owner(&self, id: &str) -> &str {
        self.records.get(id).map_or("", |record| record.owner_id.as_str())
    }
}

/// One round with a store that works; what is new and what is lost.
fn round(member: &mut Member, shelf: &mut Shelf, second: u64) -> (Vec<usize>, Vec<usize>) {
    let renewals = member.renewals();
    let won = shelf.claim(&renewals);
    member.won(&won, at(second));
    let plan = member.plan(shelf.list(), at(second), Timestamp::from_millis(0), |_| 0);
    let won = shelf.claim(&plan.claims);
    let new = member.won(&won, at(second)).into_iter().filter(|grant| grant.is_new);
    (new.map(|grant| grant.place).collect(), plan.lost.into_iter().map(|(place, _)| place).collect())
}

#[test]
fn free_partitions_are_taken_one_after_another_in_a_hurry_and_others_calmly() {
    let (mut shelf, mut first) = (Shelf::default(), member("a", 4, Strategy::Balanced));
    for taken in 1..=4 {
        assert_eq!(round(&mut first, &mut shelf, taken).0.len(), 1);
    }
    let plan = first.plan(shelf.list(), at(5), Timestamp::from_millis(0), |_| 0);
    assert!(!plan.is_in_hurry && plan.lost.is_empty());
    let mut second = member("b", 4, Strategy::Balanced);
    let plan = second.plan(shelf.list(), at(5), Timestamp::from_millis(0), |_| 0);
    assert_eq!((plan.claims.len(), plan.takes.len(), plan.is_in_hurry), (1, 1, false));
    assert_eq!(plan.next_death, Some(at(65)));
}

#[test]
fn what_another_took_is_lost_and_taken_from_nobody_else() {
    let (mut shelf, mut first) = (Shelf::default(), member("a", 2, Strategy::Greedy));
    assert_eq!(round(&mut first, &mut shelf, 0).0, [0, 1]);
    let mut second = member("b", 2, Strategy::Greedy);
    assert_eq!(round(&mut second, &mut shelf, 1).0.len(), 1);
    assert_eq!(round(&mut first, &mut shelf, 2).1.len(), 1);
    for second_round in 3..20 {
        assert_eq!(round(&mut first, &mut shelf, second_round), (vec![], vec![]));
        assert_eq!(round(&mut second, &mut shelf, second_round), (vec![], vec![]));
    }
}

#[test]
fn an_answer_that_was_lost_costs_nothing() {
    let (mut shelf, mut member) = (Shelf::default(), member("a", 2, Strategy::Greedy));
    // The first claims arrive, their answer does not.
    let plan = member.plan(shelf.list(), at(0), Timestamp::from_millis(0), |_| 0);
    shelf.claim(&plan.claims);
    assert_eq!(round(&mut member, &mut shelf, 1).0, [0, 1]);
    // Then a renewal's answer.
    let renewals = member.renewals();
    shelf.claim(&renewals);
    assert_eq!(round(&mut member, &mut shelf, 50), (vec![], vec![]));
    assert!(member.expired(at(109)).is_empty(), "it was renewed at 50");
    assert_eq!(member.expired(at(110)), [0, 1]);
}

#[test]
fn what_is_not_renewed_in_time_is_not_held_any_more() {
    let (mut shelf, mut member) = (Shelf::default(), member("a", 1, Strategy::Greedy));
    round(&mut member, &mut shelf, 7);
    assert_eq!(member.next_expiry(), Some(at(67)));
    assert_eq!((member.expired(at(66)), member.expired(at(67))), (vec![], vec![0]));
    assert!(member.renewals().is_empty());
}

#[test]
fn a_record_that_vanishes_or_cannot_be_understood_is_written_anew() {
    let (mut shelf, mut member) = (Shelf::default(), member("a", 2, Strategy::Greedy));
    round(&mut member, &mut shelf, 0);
    shelf.records.clear();
    assert_eq!(round(&mut member, &mut shelf, 1), (vec![], vec![]));
    assert_eq!((shelf.owner("0"), shelf.owner("1")), ("a", "a"));
    let mut listing = shelf.list();
    let broken = listing.records.remove(0);
    let error = Error::new(ErrorKind::Protocol, "no owner");
    let etag = broken.etag.clone();
    listing.failures.push(crate::checkpoint::RecordFailure { partition_id: "0".into(), etag, error });
    member.renewals();
    let plan = member.plan(listing, at(2), Timestamp::from_millis(0), |_| 0);
    assert_eq!(plan.claims.iter().filter(|claim| claim.etag == broken.etag).count(), 1);
    assert!(plan.lost.is_empty());
}

#[test]
fn what_is_barred_is_left_to_others_until_then() {
    let (mut shelf, mut member) = (Shelf::default(), member("a", 1, Strategy::Greedy));
    round(&mut member, &mut shelf, 0);
    let release = member.release(0).unwrap();
    shelf.claim(&[release]);
    member.bar(0, at(20));
    assert!(round(&mut member, &mut shelf, 19).0.is_empty());
    assert_eq!(shelf.owner("0"), "");
    assert_eq!(round(&mut member, &mut shelf, 20).0, [0]);
}

#[test]
fn leaving_gives_up_what_is_its_own_by_the_store_and_nothing_else() {
    let (mut shelf, mut member) = (Shelf::default(), member("a", 3, Strategy::Greedy));
    round(&mut member, &mut shelf, 0);
    let taken = shelf.records["1"].claimed_by("b");
    shelf.claim(&[taken]);
    // A renewal whose answer was lost.
    let renewal = shelf.records["2"].clone();
    shelf.claim(&[renewal]);
    let releases = member.release_all(Some(shelf.list()));
    assert_eq!(shelf.claim(&releases).len(), 2);
    assert_eq!((shelf.owner("0"), shelf.owner("1"), shelf.owner("2")), ("", "b", ""));
}

proptest! {
    /// Members that come, die, lose answers and are cut off: in the end every partition is held once, by fair shares.
    #[test]
    fn whatever_happened_a_group_comes_to_rest_with_one_owner_each(
        partitions in 1..24_usize, members in 1..6_usize, greedy: bool,
        events in proptest::collection::vec((0..6_usize, 0..6_u8), 0..60),
    ) {
        let strategy = if greedy { Strategy::Greedy } else { Strategy::Balanced };
        let mut shelf = Shelf::default();
        let mut group: Vec<Member> =
            (0..members).map(|number| member(&format!("m{number}"), partitions, strategy)).collect();
        let mut second = 0;
        let no_two = |group: &mut Vec<Member>, second: u64| {
            let mut owners = vec![0; partitions];
            for member in group.iter_mut() {
                member.expired(at(second));
                member.held.keys().for_each(|place| owners[*place] += 1);
            }
            owners.iter().all(|count| *count <= 1)
        };
        for (who, what) in events {
            second += 3;
            let count = group.len();
            let one = &mut group[who % count];
            one.expired(at(second));
            match what {
                // Its renewals arrive, their answer does not.
                0 => {
                    let renewals = one.renewals();
                    shelf.claim(&renewals);
                }
                // It dies and comes back under a new name, without leaving.
                1 => *one = member(&format!("n{second}"), partitions, strategy),
                // It is cut off.
                2 => {}
                _ => {
                    let (_, lost) = round(one, &mut shelf, second);
                    prop_assert!(lost.len() <= partitions);
                }
            }
        }
        for _ in 0..(partitions * 2 + 20) {
            second += 5;
            group.iter_mut().for_each(|member| {
                member.expired(at(second));
                round(member, &mut shelf, second);
            });
        }
        prop_assert!(no_two(&mut group, second));
        let mut counts: Vec<usize> = group.iter().map(|member| member.held.len()).collect();
        counts.sort_unstable();
        prop_assert_eq!(counts.iter().sum::<usize>(), partitions);
        prop_assert!(counts[counts.len() - 1] - counts[0] <= 1, "{:?}", counts);
    }
}
