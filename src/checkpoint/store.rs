//! What a store has to do.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::Error;
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};

/// Where a consumer group remembers how far it has read, and who reads what.
///
/// Names of namespaces, hubs and groups are the same in any case, as they are for the service; partitions' and
/// owners' are taken by the letter. A name or owner that a store's format cannot hold is refused with
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), never changed.
///
/// Futures may be dropped at any time: what they were about to write is then written wholly or not at all.
///
/// Whoever writes a store runs [`contract::check`](super::contract::check) on it. The smallest one:
///
/// ```
/// use eventhubs::checkpoint::{Checkpoint, CheckpointStore, ConsumerGroup, MemoryStore, Ownership, Records};
/// use eventhubs::Error;
/// use futures::future::BoxFuture;
///
/// /// Says what happens, and leaves the rest to another.
/// struct Talking(MemoryStore);
///
/// impl CheckpointStore for Talking {
///     fn list_ownership<'a>(
///         &'a self,
///         group: &'a ConsumerGroup,
///     ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
///         self.0.list_ownership(group)
///     }
///
///     fn claim_ownership<'a>(
///         &'a self,
///         group: &'a ConsumerGroup,
///         claims: &'a [Ownership],
///     ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
///         Box::pin(async move {
///             let won = self.0.claim_ownership(group, claims).await?;
///             println!("{} of {} claims", won.records.len(), claims.len());
///             Ok(won)
///         })
///     }
///
///     fn list_checkpoints<'a>(
///         &'a self,
///         group: &'a ConsumerGroup,
///     ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
///         self.0.list_checkpoints(group)
///     }
///
///     fn update_checkpoint<'a>(
///         &'a self,
///         group: &'a ConsumerGroup,
///         checkpoint: &'a Checkpoint,
///     ) -> BoxFuture<'a, Result<(), Error>> {
///         self.0.update_checkpoint(group, checkpoint)
///     }
/// }
/// ```
pub trait CheckpointStore: Send + Sync + 'static {
    /// Who reads which partition, released ones included; empty for a group that nobody has read in.
    ///
    /// # Errors
    /// When the store cannot be asked; whether that can pass, the error says. A single record that cannot be
    /// understood is among the [`failures`](Records::failures), and the others are listed.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time.
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>>;

    /// Claims partitions, renews what is owned, and gives up (with an empty owner): those won, with their new etag and
    /// time.
    ///
    /// A claim is won when its etag is that of the record as it is now, or when it has none and there is no record. Of
    /// claims that race for a partition exactly one is won. One that is lost is left out: that is no failure.
    ///
    /// # Errors
    /// When the store cannot be asked; some claims may have been won nevertheless, which the next listing shows. A
    /// claim that failed for another reason than a lost race is among the [`failures`](Records::failures) when others
    /// were decided.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time; each claim is then won or not, and the next listing shows it.
    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>>;

    /// How far each partition was read; empty for a group without checkpoints.
    ///
    /// # Errors
    /// When the store cannot be asked. A single record that cannot be understood is among the
    /// [`failures`](Records::failures), and the others are listed.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time.
    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>>;

    /// Puts a checkpoint in place of the partition's former one, whatever that says. When the future resolves, the
    /// checkpoint is kept as safely as the store keeps anything.
    ///
    /// A store that can tell leaves the former one where somebody else has written it, further on, since this one was told of
    /// it last, by a listing or by writing itself: then nothing has to be kept. So nobody who is late puts a group back, and
    /// whoever wants to go back looks first.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a checkpoint without offset and sequence number, and
    /// whatever keeps the store from writing; then the former checkpoint is still there, or the new one is.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time; the checkpoint is then the former or the new one.
    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// What a store answers: records, and what it cannot say about single partitions.
#[derive(Clone, Debug)]
pub struct Records<T> {
    /// What was found, or won.
    pub records: Vec<T>,
    /// Partitions whose record cannot be understood or could not be written.
    pub failures: Vec<RecordFailure>,
}

/// Why a store has no answer for one partition, though it has for others.
#[derive(Clone, Debug)]
pub struct RecordFailure {
    /// The partition, as far as it is known.
    pub partition_id: String,
    /// The version of the record, where the store knows it: an ownership that cannot be understood is replaced by
    /// claiming the partition with it.
    pub etag: Option<String>,
    /// What is wrong, and where.
    pub error: Error,
}

impl<T> Default for Records<T> {
    fn default() -> Self {
        Records { records: Vec::new(), failures: Vec::new() }
    }
}

impl<T> From<Vec<T>> for Records<T> {
    fn from(records: Vec<T>) -> Self {
        Records { records, failures: Vec::new() }
    }
}

impl<T> FromIterator<Result<T, RecordFailure>> for Records<T> {
    fn from_iter<I: IntoIterator<Item = Result<T, RecordFailure>>>(results: I) -> Self {
        let mut all = Records::default();
        for result in results {
            match result {
                Ok(record) => all.records.push(record),
                Err(failure) => all.failures.push(failure),
            }
        }
        all
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: CheckpointStore + ?Sized> CheckpointStore for $pointer {
            fn list_ownership<'a>(
                &'a self,
                group: &'a ConsumerGroup,
            ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
                (**self).list_ownership(group)
            }

            fn claim_ownership<'a>(
                &'a self,
                group: &'a ConsumerGroup,
                claims: &'a [Ownership],
            ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
                (**self).claim_ownership(group, claims)
            }

            fn list_checkpoints<'a>(
                &'a self,
                group: &'a ConsumerGroup,
            ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
                (**self).list_checkpoints(group)
            }

            fn update_checkpoint<'a>(
                &'a self,
                group: &'a ConsumerGroup,
                checkpoint: &'a Checkpoint,
            ) -> BoxFuture<'a, Result<(), Error>> {
                (**self).update_checkpoint(group, checkpoint)
            }
        }
    )*};
}

forward!(Arc<S>, Box<S>);
