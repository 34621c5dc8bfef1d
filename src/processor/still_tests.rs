//! Members that stand still, in virtual time: a clock that leaps is a process that was stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::checkpoint::{CheckpointStore, MemoryStore};
use crate::dialect::event::EventData;
use crate::dialect::received::tests::delivered;
use crate::model::auto_checkpoint::AutoCheckpoint;
use crate::model::balance::Strategy;
use crate::model::checkpoint::ConsumerGroup;
use crate::processor::keeper::Keeper;

const INTERVAL: Duration = Duration::from_secs(10);
const EXPIRY: Duration = Duration::from_secs(60);
/// Shorter than an ownership lasts.
const STOP: Duration = Duration::from_secs(20);

/// A store in memory that decides no claims while it is shut.
#[derive(Clone, Default)]
struct Door {
    store: MemoryStore,
    is_shut: Arc<AtomicBool>,
    opened: Arc<tokio::sync::Notify>,
}

impl Door {
    fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    /// Another member takes the partition, and writes a checkpoint.
    async fn steal(&self) {
        let records = self.store.list_ownership(&group()).await.unwrap().records;
        let won = self.store.claim_ownership(&group(), &[records[0].claimed_by("thief")]).await.unwrap();
        assert_eq!(won.records.len(), 1);
        self.store.update_checkpoint(&group(), &Checkpoint::new("0", "50", 50)).await.unwrap();
    }

    async fn checkpointed(&self) -> Option<i64> {
        let listed = self.store.list_checkpoints(&group()).await.unwrap();
        listed.records.first().and_then(|record| record.sequence_number)
    }
}

impl CheckpointStore for Door {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        self.store.list_ownership(group)
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let opened = self.opened.notified();
            if self.is_shut.load(Ordering::SeqCst) {
                opened.await;
            }
            self.store.claim_ownership(group, claims).await
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        self.store.list_checkpoints(group)
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.store.update_checkpoint(group, checkpoint)
    }
}

fn group() -> ConsumerGroup {
    ConsumerGroup { namespace: "n".into(), event_hub: "h".into(), name: "g".into() }
}

/// A member with the one partition that there is.
struct Lone {
    door: Door,
    office: Arc<Office>,
    tenancy: Tenancy,
    keeper: Arc<Keeper>,
    life: tokio::task::JoinHandle<()>,
}

impl Lone {
    async fn join() -> Self {
        let door = Door::default();
        let (office, board) = (Office::new(INTERVAL), Arc::<Board>::default());
        let store = GuardedStore::new(Arc::new(door.clone()), group(), EXPIRY);
        let rules = Rules {
            me: "me".into(),
            strategy: Strategy::Balanced,
            cap: None,
            interval: INTERVAL,
            expiry: EXPIRY,
        };
        let ids: Arc<[String]> = vec!["0".to_owned()].into();
        let membership = Membership::new(rules, ids, store.clone(), office.clone(), board.clone());
        let life = tokio::spawn(membership.run());
        let granted = poll_fn(|cx| office.poll_granted(cx)).await.unwrap();
        let lease = granted.lease.clone();
        let keeper = Keeper::new(lease.clone(), store, board, AutoCheckpoint::never(), granted.checkpoint);
        Lone { door, office, tenancy: Tenancy::new(lease), keeper, life }
    }

    fn lease(&self) -> &Arc<Lease> {
        self.tenancy.lease()
    }

    /// Begins to write a checkpoint at an event, which has the number 7.
    fn checkpoint(&self) -> tokio::task::JoinHandle<Result<(), Error>> {
        let event = delivered(&EventData::from("x")).in_partition("0".into());
        let keeper = self.keeper.clone();
        tokio::spawn(async move { keeper.checkpoint(&event).await })
    }

    async fn stop(self) {
        self.door.open();
        self.office.stop();
        drop(self.tenancy);
        self.life.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_works_is_sure_all_the_time() {
    let lone = Lone::join().await;
    for _ in 0..600 {
        assert!(lone.lease().is_sure() && lone.lease().closing().is_none());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    lone.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_is_not_sure_before_the_store_has_said_so_however_long_its_ownership_lasts() {
    let lone = Lone::join().await;
    lone.door.shut();
    tokio::time::advance(STOP).await;
    assert_eq!((lone.lease().closing(), lone.lease().is_sure()), (None, false));
    let mut writing = lone.checkpoint();
    tokio::time::sleep(INTERVAL).await;
    assert!(!lone.lease().is_sure() && (&mut writing).now_or_never().is_none());
    assert_eq!(lone.door.checkpointed().await, None);
    lone.door.open();
    writing.await.unwrap().unwrap();
    assert!(lone.lease().is_sure() && lone.lease().closing().is_none(), "nobody had taken it");
    assert_eq!(lone.door.checkpointed().await, Some(7));
    lone.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_while_another_took_the_partition_learns_it_and_writes_nothing() {
    let lone = Lone::join().await;
    lone.door.shut();
    lone.door.steal().await;
    tokio::time::advance(STOP).await;
    let writing = lone.checkpoint();
    assert!(!lone.lease().is_sure());
    lone.door.open();
    assert_eq!(writing.await.unwrap().unwrap_err().kind(), ErrorKind::OwnershipLost);
    assert_eq!(lone.lease().closing(), Some(CloseReason::OwnershipLost));
    assert_eq!(lone.door.checkpointed().await, Some(50), "the group was put back");
    lone.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_stood_still_for_longer_than_its_ownership_lasts_has_lost_it() {
    let lone = Lone::join().await;
    tokio::time::advance(EXPIRY).await;
    assert_eq!(lone.lease().closing(), Some(CloseReason::OwnershipExpired));
    assert_eq!(lone.checkpoint().await.unwrap().unwrap_err().kind(), ErrorKind::OwnershipLost);
    assert_eq!(lone.door.checkpointed().await, None);
    lone.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_stands_still_while_it_stops_writes_its_last_checkpoint_all_the_same() {
    let lone = Lone::join().await;
    lone.office.stop();
    tokio::task::yield_now().await;
    tokio::time::advance(STOP).await;
    lone.checkpoint().await.unwrap().unwrap();
    assert_eq!(lone.lease().closing(), Some(CloseReason::Shutdown));
    assert_eq!(lone.door.checkpointed().await, Some(7));
    lone.stop().await;
}
