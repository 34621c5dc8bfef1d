//! A store that goes wrong when it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventhubs::checkpoint::{
    Checkpoint, CheckpointStore, ConsumerGroup, MemoryStore, Ownership, RecordFailure, Records,
};
use eventhubs::{Error, ErrorKind};
use futures::future::BoxFuture;

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// Every call fails.
    pub(crate) fails: bool,
    /// Every call hangs.
    pub(crate) hangs: bool,
    /// Every call takes so long.
    pub(crate) delay: Duration,
    /// Claims of this partition hang, and with them whatever is claimed together with it.
    pub(crate) hanging_claim: Option<String>,
    /// Writing a checkpoint of this partition hangs.
    pub(crate) hanging_checkpoint: Option<String>,
    /// Writing checkpoints fails.
    pub(crate) failing_checkpoints: bool,
    /// The checkpoint of this partition cannot be understood.
    pub(crate) corrupt_checkpoint: Option<String>,
    /// The ownership of this partition cannot be understood.
    pub(crate) corrupt_ownership: Option<String>,
    /// Calls panic.
    pub(crate) panics: bool,
}

/// A store in memory that goes wrong when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Faulty {
    pub(crate) inner: MemoryStore,
    trouble: Arc<Mutex<Trouble>>,
    written: Arc<Mutex<Vec<Checkpoint>>>,
    /// Checkpoints that were asked to be written.
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    pub(crate) fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// How many checkpoints were asked to be written.
    pub(crate) fn calls(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Every checkpoint that was written, in order.
    pub(crate) fn written(&self) -> Vec<Checkpoint> {
        self.written.lock().unwrap().clone()
    }

    /// The sequence numbers of the checkpoints that were written for a partition.
    pub(crate) fn numbers(&self, partition: &str) -> Vec<i64> {
        let written = self.written().into_iter().filter(|written| written.partition_id == partition);
        written.filter_map(|written| written.sequence_number).collect()
    }

    async fn pass(&self) -> Result<Trouble, Error> {
        let trouble = self.trouble.lock().unwrap().clone();
        assert!(!trouble.panics, "the store's own mistake");
        if trouble.hangs {
            std::future::pending::<()>().await;
        }
        if trouble.delay > Duration::ZERO {
            tokio::time::sleep(trouble.delay).await;
        }
        if trouble.fails {
            return Err(Error::new(ErrorKind::ConnectFailed, "the store is away"));
        }
        Ok(trouble)
    }
}

fn corrupt(partition_id: &str, etag: Option<String>) -> RecordFailure {
    let error = Error::new(ErrorKind::Protocol, "the record is no record");
    RecordFailure { partition_id: partition_id.to_owned(), etag, error }
}

impl CheckpointStore for Faulty {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let trouble = self.pass().await?;
            let mut listing = self.inner.list_ownership(group).await?;
            if let Some(id) = trouble.corrupt_ownership
                && let Some(at) = listing.records.iter().position(|record| record.partition_id == id)
            {
                let record = listing.records.remove(at);
                listing.failures.push(corrupt(&id, record.etag));
            }
            Ok(listing)
        })
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let trouble = self.pass().await?;
            if let Some(id) = trouble.hanging_claim
                && claims.iter().any(|claim| claim.partition_id == id)
            {
                std::future::pending::<()>().await;
            }
            self.inner.claim_ownership(group, claims).await
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        Box::pin(async move {
            let trouble = self.pass().await?;
            let mut listing = self.inner.list_checkpoints(group).await?;
            if let Some(id) = trouble.corrupt_checkpoint {
                listing.records.retain(|record| record.partition_id != id);
                listing.failures.push(corrupt(&id, None));
            }
            Ok(listing)
        })
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let trouble = self.pass().await?;
            if trouble.hanging_checkpoint.as_ref() == Some(&checkpoint.partition_id) {
                std::future::pending::<()>().await;
            }
            if trouble.failing_checkpoints {
                return Err(Error::new(ErrorKind::ConnectFailed, "the store takes no checkpoints"));
            }
            self.inner.update_checkpoint(group, checkpoint).await?;
            self.written.lock().unwrap().push(checkpoint.clone());
            Ok(())
        })
    }
}
