//! A member's line to the store: it takes its time, is cut, and now and then loses an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventhubs::Error;
use eventhubs::ErrorKind;
use eventhubs::checkpoint::{Checkpoint, CheckpointStore, ConsumerGroup, MemoryStore, Ownership, Records};
use eventhubs::model::moment::Moment;
use eventhubs::simulation::{Random, Timer, now};
use futures::future::BoxFuture;

/// What the store knows of each partition's owners, whether they were told or not.
#[derive(Clone, Default)]
pub struct Claims(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    claimed: BTreeMap<String, Claimed>,
    /// When each member claimed or renewed each partition last.
    renewed: BTreeMap<(String, String), Moment>,
}

struct Claimed {
    owner: String,
    first: Moment,
    last: Moment,
    /// When the owner before claimed or renewed last.
    before: Option<Moment>,
}

#[derive(Clone)]
pub struct Line {
    store: MemoryStore,
    claims: Claims,
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    is_cut: bool,
}

/// What becomes of a call.
enum Fate {
    Answered,
    /// It arrives, and its answer does not.
    Unanswered,
    Lost,
    Refused,
}

impl Claims {
    /// When the owner before the present one claimed or renewed last, and when the present one claimed first.
    pub fn change(&self, partition: &str) -> (Option<Moment>, Option<Moment>) {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.claimed.get(partition).map_or((None, None), |claimed| (claimed.before, Some(claimed.first)))
    }

    /// Who has it by the store, and since when.
    pub fn owner(&self, partition: &str) -> Option<(String, Moment)> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.claimed.get(partition).map(|claimed| (claimed.owner.clone(), claimed.first))
    }

    /// When this member claimed or renewed it last.
    pub fn renewed(&self, partition: &str, owner: String) -> Option<Moment> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.renewed.get(&(partition.to_owned(), owner)).copied()
    }

    fn note(&self, won: &Records<Ownership>) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for record in won.records.iter().filter(|record| !record.is_released()) {
            log.renewed.insert((record.partition_id.clone(), record.owner_id.clone()), now());
            match log.claimed.get_mut(&record.partition_id) {
                Some(known) if known.owner == record.owner_id => known.last = now(),
                known => {
                    let before = known.map(|known| known.last);
                    let owner = record.owner_id.clone();
                    let claimed = Claimed { owner, first: now(), last: now(), before };
                    log.claimed.insert(record.partition_id.clone(), claimed);
                }
            }
        }
    }
}

impl Line {
    pub fn new(store: MemoryStore, claims: Claims, random: Random) -> Self {
        Line { store, claims, state: Arc::new(Mutex::new(State { random, is_cut: false })) }
    }

    /// Cuts it; whether it was whole.
    pub fn cut(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_cut, true)
    }

    pub fn mend(&self) {
        self.lock().is_cut = false;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn way(&self) -> Fate {
        let (delay, fate) = {
            let mut state = self.lock();
            let slow = state.random.chance(2);
            let millis = if slow { state.random.between(40, 3_000) } else { state.random.between(1, 40) };
            let fate = match (state.is_cut, state.random.below(400)) {
                (true, _) => Fate::Lost,
                (false, 0) => Fate::Unanswered,
                (false, 1) => Fate::Refused,
                _ => Fate::Answered,
            };
            (Duration::from_millis(millis), fate)
        };
        let (until, mut timer) = (now() + delay, Timer::default());
        std::future::poll_fn(|cx| timer.poll_until(until, cx)).await;
        fate
    }

    async fn ask<T>(&self, call: BoxFuture<'_, Result<T, Error>>) -> Result<T, Error> {
        match self.way().await {
            Fate::Answered => call.await,
            Fate::Unanswered => {
                let _ = call.await;
                std::future::pending().await
            }
            Fate::Lost => std::future::pending().await,
            Fate::Refused => Err(Error::new(ErrorKind::ServerBusy, "not now")),
        }
    }
}

impl CheckpointStore for Line {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(self.ask(self.store.list_ownership(group)))
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(self.ask(Box::pin(async move {
            let won = self.store.claim_ownership(group, claims).await?;
            self.claims.note(&won);
            Ok(won)
        })))
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        Box::pin(self.ask(self.store.list_checkpoints(group)))
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.ask(self.store.update_checkpoint(group, checkpoint)))
    }
}
