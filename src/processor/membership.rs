//! The task that keeps a processor a member of its group: it renews, looks, claims and gives up, round after round, and
//! hands out what is won. How partitions are read is no concern of it.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::guarded::{Claimed, GuardedStore};
use super::lease::{Lease, Tenancy};
use super::member::{Member, Rules};
use super::office::{Granted, Office};
use super::status::{Board, CloseReason, Operation, ProcessorStatus};
use crate::checkpoint::Records;
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::{Checkpoint, Ownership};
use crate::model::moment::{Moment, earliest, scaled};
use crate::runtime::{Timer, now, random_bytes, unix_now};

/// The shortest round, as a share of the longest: members that start together do not stay in step.
const SHORTEST_ROUND: f64 = 0.8;
/// The pause between rounds while one partition after another is taken, as a share of a round.
const HURRIED_ROUND: f64 = 0.125;
/// The pause before a failed round is tried again, as a share of the expiry: there is time for several before it.
const RETRY_SHARE: f64 = 0.1;

/// One processor's part in its group.
pub(super) struct Membership {
    member: Member,
    store: GuardedStore,
    office: Arc<Office>,
    board: Arc<Board>,
    /// Partitions that are worked on, or were and have not been let go of.
    leases: BTreeMap<usize, Arc<Lease>>,
    /// Partitions that wait for their checkpoint.
    unread: Vec<usize>,
    /// Calls for several partitions were not answered, so each is claimed by itself.
    is_one_by_one: bool,
    /// A claim's outcome is not known, so there may be more in the store than is held.
    is_unsure: bool,
    last_round: Moment,
    next_round: Moment,
}

impl Membership {
    pub(super) fn new(
        rules: Rules,
        partition_ids: Arc<[String]>,
        store: GuardedStore,
        office: Arc<Office>,
        board: Arc<Board>,
    ) -> Self {
        Membership {
            member: Member::new(rules, partition_ids),
            store,
            office,
            board,
            leases: BTreeMap::new(),
            unread: Vec::new(),
            is_one_by_one: false,
            is_unsure: false,
            last_round: now(),
            next_round: now(),
        }
    }

    /// Is a member until it is told to stop, then leaves.
    pub(super) async fn run(self) {
        let office = self.office.clone();
        let (mut life, mut timer) = (pin!(self.live()), Timer::default());
        poll_fn(|cx| {
            // Who stood still learns it before anything else is done.
            office.beat();
            while timer.poll_until(office.next_beat(), cx).is_ready() {
                office.beat();
            }
            life.as_mut().poll(cx)
        })
        .await;
    }

    async fn live(mut self) {
        while !self.office.is_stopping() {
            if now() >= self.next_round {
                self.round().await;
            }
            self.tidy().await;
            self.rest().await;
        }
        self.leave().await;
    }

    /// One round. What it could not do is done in the next, which comes soon.
    async fn round(&mut self) {
        self.last_round = now();
        let before = self.last_round;
        let outcome = self.work().await;
        self.expire();
        let Rules { interval, expiry, .. } = *self.member.rules();
        let pause = match outcome {
            Some(Outcome { is_in_hurry: true, .. }) => scaled(interval, HURRIED_ROUND * self.jitter()),
            Some(_) => scaled(interval, self.jitter()),
            None => scaled(expiry, RETRY_SHARE * self.jitter()).min(interval),
        };
        // From its beginning: a slow store does not make rounds longer, as far as that goes.
        let least = now() + pause.min(interval / 20);
        let death = outcome.and_then(|outcome| outcome.next_death).map(|death| death.max(least));
        self.next_round = (before + pause).max(least).min(death.unwrap_or(Moment::from_nanos(u64::MAX)));
    }

    /// Renews, looks, claims, reads checkpoints. `None` when something failed, or it is to stop.
    async fn work(&mut self) -> Option<Outcome> {
        let renewals = self.member.renewals();
        let mut is_well = self.claim(Operation::RenewOwnership, &renewals).await?;
        let (store, office) = (self.store.clone(), self.office.clone());
        let listing = match unless_stopping(&office, store.list_ownership()).await? {
            Ok(listing) => listing,
            Err(error) => {
                self.board.failed(None, Operation::ListOwnership, error);
                return None;
            }
        };
        for failure in &listing.failures {
            let id = Some(failure.partition_id.as_str());
            self.board.failed(id, Operation::ListOwnership, failure.error.clone());
        }
        self.is_unsure = false;
        let plan = self.member.plan(listing, now(), unix_now(), random);
        for (place, _) in &plan.lost {
            self.end(*place, CloseReason::OwnershipLost);
        }
        let held: Vec<usize> = self.leases.keys().copied().collect();
        is_well &= self.claim(Operation::ClaimOwnership, &plan.claims).await?;
        for (place, lease) in self.leases.iter().filter(|(place, _)| !held.contains(place)) {
            let (partition, from) = (lease.partition_id().to_string(), plan.takes.get(place).cloned());
            self.board.tell(ProcessorStatus::Claimed { partition, from });
        }
        is_well &= self.read_checkpoints().await?;
        is_well.then_some(Outcome { is_in_hurry: plan.is_in_hurry, next_death: plan.next_death })
    }

    /// Whether all claims were decided; `None` when it is to stop.
    async fn claim(&mut self, operation: Operation, claims: &[Ownership]) -> Option<bool> {
        if claims.is_empty() {
            return Some(true);
        }
        let asked = now();
        let (store, office) = (self.store.clone(), self.office.clone());
        let calls = store.claim(operation, claims, self.is_one_by_one);
        self.is_unsure = true;
        let Claimed { records, errors } = unless_stopping(&office, calls).await?;
        self.is_unsure = !errors.is_empty();
        self.is_one_by_one = !errors.is_empty();
        let is_well = errors.is_empty() && records.failures.is_empty();
        let won = self.decided(operation, records, errors);
        for grant in self.member.won(&won, asked) {
            if let Some(lease) = self.leases.get(&grant.place).filter(|_| !grant.is_new) {
                lease.renew(grant);
                continue;
            }
            let lease = Lease::new(self.member.id(grant.place), grant, self.office.clone());
            self.leases.insert(grant.place, lease);
            self.unread.push(grant.place);
        }
        Some(is_well)
    }

    /// Finds out where the new partitions were left, and hands them out.
    async fn read_checkpoints(&mut self) -> Option<bool> {
        if self.unread.is_empty() {
            return Some(true);
        }
        let (store, office) = (self.store.clone(), self.office.clone());
        let listing = match unless_stopping(&office, store.list_checkpoints()).await? {
            Ok(listing) => listing,
            Err(error) => {
                self.board.failed(None, Operation::ReadCheckpoint, error);
                return Some(false);
            }
        };
        let Records { records, failures } = listing;
        let known: BTreeMap<&str, &Checkpoint> =
            records.iter().map(|record| (record.partition_id.as_str(), record)).collect();
        for place in std::mem::take(&mut self.unread) {
            let Some(lease) = self.leases.get(&place).cloned() else { continue };
            let id = &**lease.partition_id();
            let checkpoint = known.get(id).copied().cloned();
            let unusable = checkpoint.as_ref().and_then(|checkpoint| checkpoint.position().err());
            let unreadable = failures.iter().find(|failure| failure.partition_id == id);
            match unreadable.map(|failure| failure.error.clone()).or(unusable) {
                // To begin somewhere else would leave events out, or repeat all of them.
                Some(error) => {
                    self.board.failed(Some(id), Operation::ReadCheckpoint, error);
                    lease.close(CloseReason::Failed);
                    drop(Tenancy::new(lease));
                }
                None => self.office.grant(Granted { lease, checkpoint }),
            }
        }
        Some(true)
    }

    /// Closes what could not be renewed in time.
    fn expire(&mut self) {
        for place in self.member.expired(now()) {
            self.end(place, CloseReason::OwnershipExpired);
        }
    }

    /// A partition is no longer owned. It is not claimed again before the work on it has ended.
    fn end(&mut self, place: usize, reason: CloseReason) {
        let Some(lease) = self.leases.get(&place) else { return };
        lease.close(reason);
        if self.unread.contains(&place) {
            self.unread.retain(|unread| *unread != place);
            drop(Tenancy::new(lease.clone()));
        }
        self.member.bar(place, Moment::from_nanos(u64::MAX));
    }

    /// Lets go of what nobody works on any more, and gives it up where it is still owned.
    async fn tidy(&mut self) {
        self.expire();
        for granted in self.office.withdraw() {
            drop(Tenancy::new(granted.lease));
        }
        let ended: Vec<usize> =
            self.leases.iter().filter(|(_, lease)| lease.has_ended()).map(|(place, _)| *place).collect();
        let mut releases = Vec::new();
        for place in ended {
            let Some(lease) = self.leases.remove(&place) else { continue };
            let reason = lease.closing().unwrap_or(CloseReason::GivenUp);
            let partition = lease.partition_id().to_string();
            self.board.tell(ProcessorStatus::Closed { partition, reason });
            if reason.is_loss() {
                self.member.forget(place);
                self.member.bar(place, Moment::ORIGIN);
            } else {
                releases.extend(self.member.release(place));
                self.member.bar(place, now() + self.member.rules().interval * 2);
            }
        }
        self.release(&releases).await;
    }

    async fn release(&mut self, releases: &[Ownership]) {
        if releases.is_empty() {
            return;
        }
        let operation = Operation::ReleaseOwnership;
        let Claimed { records, errors } = self.store.claim(operation, releases, self.is_one_by_one).await;
        self.decided(operation, records, errors);
    }

    /// What was won of claims; what failed is told.
    fn decided(
        &self,
        operation: Operation,
        records: Records<Ownership>,
        errors: Vec<(Option<String>, Error)>,
    ) -> Vec<Ownership> {
        for (partition_id, error) in errors {
            self.board.failed(partition_id.as_deref(), operation, error);
        }
        for failure in records.failures {
            self.board.failed(Some(&failure.partition_id), operation, failure.error);
        }
        records.records
    }

    /// Until the next round, or until something is to be looked at.
    async fn rest(&mut self) {
        let mut timer = Timer::default();
        let until = earliest([Some(self.next_round), self.member.next_expiry()]).unwrap_or(self.next_round);
        poll_fn(|cx| match self.office.poll_nudged(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => timer.poll_until(until, cx),
        })
        .await;
        if self.office.take_woken() {
            self.next_round = now();
        }
        if self.office.take_doubt() {
            // Not over and over: two who do not agree would ask without end.
            let soon = self.last_round + self.member.rules().interval / 4;
            self.next_round = self.next_round.min(soon);
        }
    }

    /// Ends all work, waits for it as long as what is owned stays so, and gives it up.
    async fn leave(mut self) {
        for lease in self.leases.values() {
            lease.close(CloseReason::Shutdown);
        }
        for place in std::mem::take(&mut self.unread) {
            self.leases.get(&place).into_iter().for_each(|lease| drop(Tenancy::new(lease.clone())));
        }
        let until = now() + self.member.rules().expiry / 2;
        let mut timer = Timer::default();
        loop {
            for granted in self.office.withdraw() {
                drop(Tenancy::new(granted.lease));
            }
            let (board, member) = (&self.board, &mut self.member);
            self.leases.retain(|place, lease| {
                let reason = lease.closing().unwrap_or(CloseReason::Shutdown);
                if lease.has_ended() {
                    let partition = lease.partition_id().to_string();
                    board.tell(ProcessorStatus::Closed { partition, reason });
                    if reason.is_loss() {
                        member.forget(*place);
                    }
                }
                !lease.has_ended()
            });
            if self.leases.is_empty() || now() >= until {
                break;
            }
            poll_fn(|cx| match self.office.poll_nudged(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => timer.poll_until(until, cx),
            })
            .await;
            if self.office.take_woken() {
                self.confirm().await;
            }
        }
        // What is still worked on is left to expire, so that nobody takes it before.
        let busy: Vec<usize> = self.leases.keys().copied().collect();
        let busy_ids: Vec<String> = busy.iter().map(|place| self.member.id(*place).to_owned()).collect();
        busy.iter().for_each(|place| self.member.forget(*place));
        let listing = if self.is_unsure { self.store.list_ownership().await.ok() } else { None };
        let mut releases = self.member.release_all(listing);
        releases.retain(|release| !busy_ids.contains(&release.partition_id));
        self.release(&releases).await;
        for id in busy_ids {
            self.board.failed(Some(&id), Operation::Close, still_busy());
        }
        self.board.tell(ProcessorStatus::Stopped);
        self.office.stopped();
    }

    /// Renews what is still worked on, so that its last checkpoints may be written.
    async fn confirm(&mut self) {
        let (renewals, asked) = (self.member.renewals(), now());
        let operation = Operation::RenewOwnership;
        let Claimed { records, errors } = self.store.claim(operation, &renewals, self.is_one_by_one).await;
        let won = self.decided(operation, records, errors);
        for grant in self.member.won(&won, asked) {
            self.leases.get(&grant.place).into_iter().for_each(|lease| lease.renew(grant));
        }
    }

    fn jitter(&self) -> f64 {
        let random = f64::from(u32::from_ne_bytes(random_bytes())) / (f64::from(u32::MAX) + 1.0);
        SHORTEST_ROUND + (1.0 - SHORTEST_ROUND) * random
    }
}

/// What a round that went well says about the next.
struct Outcome {
    is_in_hurry: bool,
    next_death: Option<Moment>,
}

/// What a call comes to, unless the processor is told to stop before.
async fn unless_stopping<T>(office: &Office, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => office.poll_stopping(cx).map(|()| None),
    })
    .await
}

fn random(below: usize) -> usize {
    (u64::from_ne_bytes(random_bytes()) % below.max(1) as u64) as usize
}

fn still_busy() -> Error {
    Error::new(ErrorKind::Timeout, "the handler has not come to an end, so the partition is left to expire")
}

#[cfg(test)]
#[path = "still_tests.rs"]
mod tests;
