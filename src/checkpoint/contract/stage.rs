//! What the promises share: stores on one place, and groups that nobody else uses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::channel::oneshot;

use super::super::rules::fresh_etag;
use crate::checkpoint::CheckpointStore;
use crate::error::Error;
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::runtime::spawn;

/// The stores that are looked at.
pub(super) struct Stage {
    stores: Vec<Arc<dyn CheckpointStore>>,
    /// Part of every namespace, so that what other runs left behind is never met.
    run: String,
}

impl Stage {
    pub(super) fn new(stores: Vec<Arc<dyn CheckpointStore>>) -> Self {
        Stage { stores, run: fresh_etag() }
    }

    /// A group that only the promise with this label uses.
    pub(super) fn group(&self, label: &str) -> ConsumerGroup {
        ConsumerGroup {
            namespace: format!("{label}-{}.servicebus.windows.net", self.run),
            event_hub: "orders".into(),
            name: "$Default".into(),
        }
    }

    /// One of the stores; neighbours differ, so what one writes the other reads.
    pub(super) fn store(&self, number: usize) -> &dyn CheckpointStore {
        &*self.stores[number % self.stores.len()]
    }

    /// What is listed, by partition.
    pub(super) async fn owners(
        &self,
        number: usize,
        group: &ConsumerGroup,
    ) -> Result<BTreeMap<String, Ownership>, String> {
        let listed = self.store(number).list_ownership(group).await.map_err(failed("listing ownerships"))?;
        if let Some(failure) = listed.failures.first() {
            return Err(format!("an ownership was listed as unreadable: {}", failure.error));
        }
        let count = listed.records.len();
        let by_partition: BTreeMap<_, _> =
            listed.records.into_iter().map(|record| (record.partition_id.clone(), record)).collect();
        if count != by_partition.len() {
            return Err(format!("{count} ownerships were listed for {} partitions", by_partition.len()));
        }
        match by_partition.values().find(|record| record.etag.is_none() || record.last_modified.is_none()) {
            Some(record) => Err(format!("an ownership was listed without etag or time: {record:?}")),
            None => Ok(by_partition),
        }
    }

    /// What is won, each with an etag and a time, and as it was claimed.
    pub(super) async fn claim(
        &self,
        number: usize,
        group: &ConsumerGroup,
        claims: &[Ownership],
    ) -> Result<Vec<Ownership>, String> {
        claim(self.store(number), group, claims).await
    }

    /// Wins one partition, or says why not.
    pub(super) async fn win(
        &self,
        number: usize,
        group: &ConsumerGroup,
        claim: &Ownership,
    ) -> Result<Ownership, String> {
        let won = self.claim(number, group, std::slice::from_ref(claim)).await?;
        won.into_iter().next().ok_or_else(|| format!("a claim that nobody contests was lost: {claim:?}"))
    }

    /// Loses one partition, or says that it was won.
    pub(super) async fn lose(
        &self,
        number: usize,
        group: &ConsumerGroup,
        claim: &Ownership,
    ) -> Result<(), String> {
        match self.claim(number, group, std::slice::from_ref(claim)).await?.first() {
            Some(won) => Err(format!("a claim was won that had to be lost: {claim:?} became {won:?}")),
            None => Ok(()),
        }
    }

    /// Makes all claims at once, in tasks of their own; what was won.
    pub(super) async fn race(
        &self,
        group: &ConsumerGroup,
        claims: Vec<Ownership>,
    ) -> Result<Vec<Ownership>, String> {
        let mut running = Vec::new();
        for (number, one) in claims.into_iter().enumerate() {
            let store = self.stores[number % self.stores.len()].clone();
            let (done, result) = oneshot::channel();
            let group = group.clone();
            let task = async move {
                let _ = done.send(claim(&*store, &group, &[one]).await);
            };
            spawn(task).map_err(|error| error.to_string())?;
            running.push(result);
        }
        let mut won = Vec::new();
        for result in running {
            won.extend(result.await.map_err(|_| "a claim panicked".to_owned())??);
        }
        Ok(won)
    }

    /// What is listed, by partition.
    pub(super) async fn checkpoints(
        &self,
        number: usize,
        group: &ConsumerGroup,
    ) -> Result<BTreeMap<String, Checkpoint>, String> {
        let listed = self.store(number).list_checkpoints(group).await;
        let listed = listed.map_err(failed("listing checkpoints"))?;
        if let Some(failure) = listed.failures.first() {
            return Err(format!("a checkpoint was listed as unreadable: {}", failure.error));
        }
        let count = listed.records.len();
        let by_partition: BTreeMap<_, _> =
            listed.records.into_iter().map(|record| (record.partition_id.clone(), record)).collect();
        if count != by_partition.len() {
            return Err(format!("{count} checkpoints were listed for {} partitions", by_partition.len()));
        }
        Ok(by_partition)
    }

    pub(super) async fn write(
        &self,
        number: usize,
        group: &ConsumerGroup,
        checkpoint: &Checkpoint,
    ) -> Result<(), String> {
        self.store(number).update_checkpoint(group, checkpoint).await.map_err(failed("writing a checkpoint"))
    }
}

/// That two things are the same, or that they are not.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, seen: T, expected: T) -> Result<(), String> {
    if seen == expected { Ok(()) } else { Err(format!("{what}: {expected:?} was expected, not {seen:?}")) }
}

async fn claim(
    store: &dyn CheckpointStore,
    group: &ConsumerGroup,
    claims: &[Ownership],
) -> Result<Vec<Ownership>, String> {
    let answer = store.claim_ownership(group, claims).await.map_err(failed("claiming"))?;
    if let Some(failure) = answer.failures.first() {
        return Err(format!("claiming failed for a partition: {}", failure.error));
    }
    for won in &answer.records {
        let asked =
            |claim: &&Ownership| (&claim.partition_id, &claim.owner_id) == (&won.partition_id, &won.owner_id);
        let Some(claim) = claims.iter().find(asked) else {
            return Err(format!("something was won that was not claimed: {won:?}"));
        };
        if won.etag.is_none() || won.last_modified.is_none() || won.etag == claim.etag {
            return Err(format!("what was won lacks a new etag or a time: {won:?}"));
        }
    }
    Ok(answer.records)
}

fn failed(what: &str) -> impl Fn(Error) -> String {
    move |error| format!("{what} failed: {error}")
}
