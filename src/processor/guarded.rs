//! The store as a processor asks it: every call has a deadline, a panic is an answer, and what goes wrong says what was
//! attempted on whose records.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};

use super::status::Operation;
use crate::checkpoint::{CheckpointStore, Records};
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::runtime::within;

/// A store, a group's records in it, and how long an answer may take.
#[derive(Clone)]
pub(super) struct GuardedStore {
    store: Arc<dyn CheckpointStore>,
    group: Arc<ConsumerGroup>,
    limit: Duration,
}

/// What came of claims.
#[derive(Default)]
pub(super) struct Claimed {
    pub(super) records: Records<Ownership>,
    /// Calls that failed or were not answered, with the partition when the call was for one. What they claimed may have been
    /// won nevertheless.
    pub(super) errors: Vec<(Option<String>, Error)>,
}

impl GuardedStore {
    pub(super) fn new(store: Arc<dyn CheckpointStore>, group: ConsumerGroup, limit: Duration) -> Self {
        GuardedStore { store, group: Arc::new(group), limit }
    }

    pub(super) async fn list_ownership(&self) -> Result<Records<Ownership>, Error> {
        self.ask(Operation::ListOwnership, self.store.list_ownership(&self.group)).await
    }

    pub(super) async fn list_checkpoints(&self) -> Result<Records<Checkpoint>, Error> {
        self.ask(Operation::ReadCheckpoint, self.store.list_checkpoints(&self.group)).await
    }

    pub(super) async fn update_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.ask(Operation::WriteCheckpoint, self.store.update_checkpoint(&self.group, checkpoint)).await
    }

    /// Claims all together, or each by itself: then one that is not answered holds up no other.
    pub(super) async fn claim(
        &self,
        operation: Operation,
        claims: &[Ownership],
        is_one_by_one: bool,
    ) -> Claimed {
        let mut claimed = Claimed::default();
        if !is_one_by_one {
            match self.ask(operation, self.store.claim_ownership(&self.group, claims)).await {
                Ok(records) => claimed.records = records,
                Err(error) => claimed.errors.push((None, error)),
            }
            return claimed;
        }
        let call = |claim: &'_ Ownership| {
            let claim = claim.clone();
            async move {
                let claims = std::slice::from_ref(&claim);
                let answer = self.ask(operation, self.store.claim_ownership(&self.group, claims)).await;
                (answer, claim.partition_id)
            }
        };
        let mut calls: FuturesUnordered<_> = claims.iter().map(call).collect();
        while let Some((answer, partition_id)) = calls.next().await {
            match answer {
                Ok(records) => {
                    claimed.records.records.extend(records.records);
                    claimed.records.failures.extend(records.failures);
                }
                Err(error) => claimed.errors.push((Some(partition_id), error)),
            }
        }
        claimed
    }

    async fn ask<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let answer = within(self.limit, AssertUnwindSafe(work).catch_unwind()).await;
        let error = match answer {
            Some(Ok(Ok(value))) => return Ok(value),
            Some(Ok(Err(error))) => error,
            Some(Err(panic)) => Error::new(
                ErrorKind::Internal,
                format!("the checkpoint store panicked: {}", panic_text(&*panic)),
            ),
            None => Error::new(
                ErrorKind::Timeout,
                format!("the checkpoint store has not answered within {:?}", self.limit),
            ),
        };
        // A store's own error says what it attempted, and on what.
        if error.operation().is_some() {
            return Err(error);
        }
        Err(error.with_operation(operation.words()).with_entity(self.group.to_string()))
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}
