//! A member of a group that reads nothing, for simulations of groups too large for whole clients: the task, the leases and
//! everything below are those of every processor.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use super::guarded::GuardedStore;
use super::lease::{Lease, Tenancy};
use super::member::Rules;
use super::membership::Membership;
use super::office::Office;
use super::status::{Board, CloseReason, ProcessorStatusStream};
use crate::checkpoint::CheckpointStore;
use crate::model::balance::Strategy;
use crate::model::checkpoint::ConsumerGroup;

/// A member of a group.
#[derive(Clone)]
pub struct BareMember {
    office: Arc<Office>,
    board: Arc<Board>,
}

/// A partition that is owned, for as long as this is kept.
pub struct BarePartition(Tenancy);

impl BareMember {
    /// A member, and the task that has to run for it.
    pub fn new(
        id: String,
        partition_ids: Arc<[String]>,
        store: impl CheckpointStore,
        group: ConsumerGroup,
        strategy: Strategy,
        interval: Duration,
        expiry: Duration,
    ) -> (Self, impl Future<Output = ()>) {
        let member = BareMember { office: Office::new(interval), board: Arc::default() };
        let rules = Rules { me: id, strategy, cap: None, interval, expiry };
        let limit = Duration::from_secs(10).min(expiry / 4);
        let store = GuardedStore::new(Arc::new(store), group, limit);
        let (office, board) = (member.office.clone(), member.board.clone());
        let membership = Membership::new(rules, partition_ids, store, office, board);
        (member, membership.run())
    }

    /// The next partition that it owns; `None` when it stops.
    pub async fn next(&self) -> Option<BarePartition> {
        let granted = poll_fn(|cx| self.office.poll_granted(cx)).await?;
        Some(BarePartition(Tenancy::new(granted.lease)))
    }

    /// What happens to it.
    pub fn status(&self) -> ProcessorStatusStream {
        self.board.listen()
    }

    /// Has it leave.
    pub fn stop(&self) {
        self.office.stop();
    }
}

impl BarePartition {
    /// Its id.
    pub fn id(&self) -> &str {
        self.lease().partition_id()
    }

    /// Whether it may be worked on now.
    pub fn is_open(&self) -> bool {
        self.lease().closing().is_none() && self.lease().is_sure()
    }

    /// Waits until work on it is to end.
    pub async fn closed(&self) -> CloseReason {
        self.lease().closed().await
    }

    fn lease(&self) -> &Arc<Lease> {
        self.0.lease()
    }
}

impl std::fmt::Debug for BareMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareMember").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BarePartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BarePartition").field(&self.id()).finish()
    }
}
