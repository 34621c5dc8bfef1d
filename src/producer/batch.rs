//! A batch with its destination.

use crate::dialect::codec;
use crate::dialect::event::EventData;
use crate::error::Error;

/// Events that are sent together: stored in one partition, in order, all or none.
///
/// An event is encoded once, when it is added, and [`size`](Self::size) is exactly what is sent.
///
/// ```
/// # use eventhubs::{EventData, ProducerClient};
/// # async fn example(producer: ProducerClient, readings: Vec<EventData>) -> Result<(), eventhubs::Error> {
/// let mut batch = producer.create_batch().await?;
/// for reading in &readings {
///     if !batch.try_add(reading)? {
///         producer.send_batch(std::mem::replace(&mut batch, producer.create_batch().await?)).await?;
///         batch.try_add(reading)?;
///     }
/// }
/// producer.send_batch(batch).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EventBatch {
    pub(super) inner: codec::EventBatch,
    pub(super) partition_id: Option<String>,
}

/// What a batch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchOptions {
    /// The partition. Default: the service chooses one.
    pub partition_id: Option<String>,
    /// What the service chooses the partition by; events of the batch may have no other. Not together with
    /// `partition_id`. Default: none.
    pub partition_key: Option<String>,
    /// The batch's size in bytes at most. Default: what the service takes at once.
    pub max_size: Option<u64>,
}

impl EventBatch {
    /// Adds an event. False, and nothing changed, when it does not fit; an event that does not fit an empty batch
    /// is too large to be sent at all.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the event has another partition
    /// key than the batch, or holds something that AMQP or the service does not allow.
    pub fn try_add(&mut self, event: &EventData) -> Result<bool, Error> {
        self.inner.try_add(event)
    }

    /// As [`try_add`](Self::try_add), of what is encoded already.
    #[allow(dead_code, reason = "for what JavaScript has encoded")]
    pub(crate) fn try_add_content(&mut self, content: &impl codec::Content) -> Result<bool, Error> {
        self.inner.try_add(content)
    }

    /// For events of many keys: each keeps its own.
    #[allow(dead_code, reason = "whoever chooses partitions by keys needs it")]
    pub(crate) fn keeping_keys(self) -> Self {
        EventBatch { inner: self.inner.keeping_keys(), ..self }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// How many bytes are sent, exactly.
    pub fn size(&self) -> u64 {
        self.inner.size()
    }

    /// How many bytes may be sent at most.
    pub fn max_size(&self) -> u64 {
        self.inner.max_size()
    }

    /// The partition that it is for.
    pub fn partition_id(&self) -> Option<&str> {
        self.partition_id.as_deref()
    }

    /// The partition key of all its events.
    pub fn partition_key(&self) -> Option<&str> {
        self.inner.partition_key()
    }
}
