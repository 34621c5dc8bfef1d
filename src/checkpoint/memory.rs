//! Remembers as long as the process lives.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;

use super::rules::{Version, fresh_etag};
use super::{CheckpointStore, Records};
use crate::error::Error;
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::runtime::unix_now;

/// Keeps everything in memory. Clones share what they keep, so processors in one process can be members of one group.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), eventhubs::Error> {
/// use eventhubs::checkpoint::{CheckpointStore, ConsumerGroup, MemoryStore, Ownership};
///
/// let store = MemoryStore::new();
/// let group = ConsumerGroup {
///     namespace: "contoso.servicebus.windows.net".into(),
///     event_hub: "orders".into(),
///     name: "$Default".into(),
/// };
/// let won = store.claim_ownership(&group, &[Ownership::new("0", "me")]).await?;
/// assert_eq!(won.records.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<ConsumerGroup, Group>>>);

#[derive(Debug, Default)]
struct Group {
    ownerships: BTreeMap<String, Ownership>,
    checkpoints: BTreeMap<String, Checkpoint>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<ConsumerGroup, Group>> {
        // Every change below is a single insertion, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list<T: Clone>(
        &self,
        group: &ConsumerGroup,
        of: impl FnOnce(&Group) -> &BTreeMap<String, T>,
    ) -> Records<T> {
        let groups = self.groups();
        let records = groups.get(&group.folded()).map(of);
        records.map(|records| records.values().cloned().collect::<Vec<_>>()).unwrap_or_default().into()
    }
}

impl CheckpointStore for MemoryStore {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move { Ok(self.list(group, |group| &group.ownerships)) })
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let mut groups = self.groups();
            let known = &mut groups.entry(group.folded()).or_default().ownerships;
            let mut won = Vec::new();
            for claim in claims {
                let version = Version::of(known.get(&claim.partition_id));
                if let Some(record) = version.claimed(claim, unix_now(), fresh_etag()) {
                    known.insert(record.partition_id.clone(), record.clone());
                    won.push(record);
                }
            }
            Ok(won.into())
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        Box::pin(async move { Ok(self.list(group, |group| &group.checkpoints)) })
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        if let Err(error) = checkpoint.position() {
            return Box::pin(ready(Err(error)));
        }
        Box::pin(async move {
            let mut groups = self.groups();
            let known = &mut groups.entry(group.folded()).or_default().checkpoints;
            known.insert(checkpoint.partition_id.clone(), checkpoint.clone());
            Ok(())
        })
    }
}
