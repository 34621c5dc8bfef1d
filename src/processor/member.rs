//! One member of a group: what it owns, and what it has to do next, told what the store answers. Pure: no clock, no
//! store, no task.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::Records;
use crate::model::balance::{Situation, Strategy};
use crate::model::checkpoint::{Ownership, Sightings};
use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// What does not change while it is a member.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) me: String,
    pub(super) strategy: Strategy,
    pub(super) cap: Option<usize>,
    pub(super) interval: Duration,
    pub(super) expiry: Duration,
}

/// What it owns and has seen. Partitions go by their place in the list of the hub's.
pub(super) struct Member {
    rules: Rules,
    ids: Arc<[String]>,
    places: HashMap<String, usize>,
    sightings: Sightings,
    held: BTreeMap<usize, Held>,
    /// Partitions that are not claimed until then.
    barred: BTreeMap<usize, Moment>,
}

struct Held {
    etag: Option<String>,
    /// Others may take it from then on: so long after it was *asked for* last, successfully.
    expires_at: Moment,
    /// It was renewed in this round.
    is_renewed: bool,
}

/// What a listing leads to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What was taken, and by whom.
    pub(super) lost: Vec<(usize, String)>,
    /// What to claim: what is held and could not be renewed, what is this member's by the store, what it takes.
    pub(super) claims: Vec<Ownership>,
    /// From whom the partitions are taken that have an owner.
    pub(super) takes: BTreeMap<usize, String>,
    /// There are free partitions, which it or another should have soon: they are not always taken all at once, or by whoever
    /// chose them first.
    pub(super) is_in_hurry: bool,
    /// When the first of the other owners counts as dead.
    pub(super) next_death: Option<Moment>,
}

/// An ownership that is held from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) place: usize,
    pub(super) asked_at: Moment,
    pub(super) expires_at: Moment,
    pub(super) is_new: bool,
}

impl Member {
    pub(super) fn new(rules: Rules, ids: Arc<[String]>) -> Self {
        let places = ids.iter().enumerate().map(|(place, id)| (id.clone(), place)).collect();
        let (held, barred) = (BTreeMap::new(), BTreeMap::new());
        Member { rules, ids, places, sightings: Sightings::default(), held, barred }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn id(&self, place: usize) -> &str {
        &self.ids[place]
    }

    /// The claims that begin a round: everything that is held.
    pub(super) fn renewals(&mut self) -> Vec<Ownership> {
        let (ids, me) = (&self.ids, &self.rules.me);
        let renewal = |(place, held): (&usize, &mut Held)| {
            held.is_renewed = false;
            Ownership { etag: held.etag.clone(), ..Ownership::new(&*ids[*place], me) }
        };
        self.held.iter_mut().map(renewal).collect()
    }

    /// What was won of claims that were sent then.
    pub(super) fn won(&mut self, records: &[Ownership], asked_at: Moment) -> Vec<Grant> {
        let expires_at = asked_at + self.rules.expiry;
        let mut grants = Vec::new();
        for record in records.iter().filter(|record| record.owner_id == self.rules.me) {
            let Some(&place) = self.places.get(&record.partition_id) else { continue };
            let held = Held { etag: record.etag.clone(), expires_at, is_renewed: true };
            let is_new = self.held.insert(place, held).is_none();
            grants.push(Grant { place, asked_at, expires_at, is_new });
        }
        grants
    }

    /// What is to be done by a listing that was made now, behind the renewals.
    pub(super) fn plan(
        &mut self,
        listing: Records<Ownership>,
        now: Moment,
        unix: Timestamp,
        random: impl FnMut(usize) -> usize,
    ) -> Plan {
        let mut plan = Plan::default();
        let records = self.readable(listing);
        let mut known: Vec<Option<&Ownership>> = vec![None; self.ids.len()];
        for record in &records {
            if let Some(&place) = self.places.get(&record.partition_id) {
                known[place] = Some(record);
            }
        }
        let seen = known.iter().copied();
        let mut owners = self.sightings.owners_of(&self.ids, seen, self.rules.expiry, now, unix);
        let me = self.rules.me.as_str();
        let claim = |place: usize| Ownership {
            etag: known[place].and_then(|record| record.etag.clone()),
            ..Ownership::new(&*self.ids[place], me)
        };
        self.barred.retain(|_, until| now < *until);
        self.held.retain(|&place, held| match known[place] {
            Some(other) if !other.is_released() && other.owner_id != me => {
                plan.lost.push((place, other.owner_id.clone()));
                false
            }
            record => {
                // The store's word: a renewal whose answer was lost has made a new version.
                if let Some(mine) = record.filter(|mine| mine.owner_id == me) {
                    held.etag.clone_from(&mine.etag);
                }
                if !held.is_renewed {
                    plan.claims.push(claim(place));
                }
                owners[place] = Some(me);
                true
            }
        });
        // By the store it is this member's, who does not know: an answer was lost, or it was here before under this name.
        for (place, owner) in owners.iter().enumerate() {
            if *owner == Some(me) && !self.held.contains_key(&place) && !self.barred.contains_key(&place) {
                plan.claims.push(claim(place));
            }
        }
        // Whoever lives and wants it has had most of a round for it since it was seen to be free.
        let patience = self.rules.interval / 2;
        let is_left_over = |(place, owner): (usize, &Option<&str>)| {
            owner.is_none() && self.sightings.is_left_over_at(place, patience, now)
        };
        let left_over: Vec<bool> = owners.iter().enumerate().map(is_left_over).collect();
        let Rules { strategy, cap, .. } = self.rules;
        let situation = Situation { me, strategy, cap, owners: &owners, left_over: &left_over };
        for wanted in situation.claims(random) {
            if self.barred.contains_key(&wanted.partition) {
                continue;
            }
            plan.claims.push(claim(wanted.partition));
            if let Some(from) = wanted.from {
                plan.takes.insert(wanted.partition, from.to_owned());
            }
        }
        let is_free =
            |(place, owner): (usize, &Option<&str>)| owner.is_none() && !self.barred.contains_key(&place);
        let has_room = cap.is_none_or(|cap| self.held.len() < cap);
        plan.is_in_hurry = has_room && owners.iter().enumerate().any(is_free);
        plan.next_death = self.sightings.next_death(me);
        plan
    }

    /// What could not be renewed in time. It is held no more, and not claimed until it is [freed](Self::bar).
    pub(super) fn expired(&mut self, now: Moment) -> Vec<usize> {
        let expired: Vec<usize> =
            self.held.iter().filter(|(_, held)| held.expires_at <= now).map(|(place, _)| *place).collect();
        expired.iter().for_each(|place| drop(self.held.remove(place)));
        expired
    }

    /// The first moment at which something is not renewed in time.
    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.held.values().map(|held| held.expires_at).min()
    }

    /// Lets go of a partition: the claim that gives it up, where it is held.
    pub(super) fn release(&mut self, place: usize) -> Option<Ownership> {
        let held = self.held.remove(&place)?;
        Some(Ownership { etag: held.etag, ..Ownership::new(&*self.ids[place], "") })
    }

    /// Forgets that a partition is held, without giving it up.
    pub(super) fn forget(&mut self, place: usize) {
        self.held.remove(&place);
    }

    /// Does not claim a partition before then; a moment in the past frees it.
    pub(super) fn bar(&mut self, place: usize, until: Moment) {
        self.barred.insert(place, until);
    }

    /// The claims that give up everything: what is held, and what is this member's by a listing.
    pub(super) fn release_all(&mut self, listing: Option<Records<Ownership>>) -> Vec<Ownership> {
        let places: Vec<usize> = self.held.keys().copied().collect();
        let mut releases: BTreeMap<usize, Ownership> =
            places.into_iter().filter_map(|place| Some((place, self.release(place)?))).collect();
        for record in listing.into_iter().flat_map(|listing| listing.records) {
            let Some(&place) = self.places.get(&record.partition_id) else { continue };
            if record.owner_id == self.rules.me {
                releases.insert(place, record.claimed_by(""));
            } else {
                releases.remove(&place);
            }
        }
        releases.into_values().collect()
    }

    /// The records, those that cannot be understood as if given up: they are replaced by claiming the partition.
    fn readable(&self, listing: Records<Ownership>) -> Vec<Ownership> {
        let given_up = |failure: crate::checkpoint::RecordFailure| Ownership {
            etag: failure.etag,
            ..Ownership::new(failure.partition_id, "")
        };
        listing.records.into_iter().chain(listing.failures.into_iter().map(given_up)).collect()
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
