//! The producer, as the pump sees it.

use super::core::Core;
use super::ledger::Identity;
use crate::client::ClientBuilder;
use crate::dialect::conditions::{OUT_OF_ORDER_SEQUENCE, PRODUCER_EPOCH_STOLEN};
use crate::error::{Error, ErrorKind};
use crate::producer::{EventBatch, ProducerClient};

/// What batches are sent with.
pub(super) struct Wire {
    pub(super) producer: ProducerClient,
    pub(super) is_numbered: bool,
}

/// What a failure means for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is sent again later, as it is: what is wrong is not the events' fault.
    Waits,
    /// One of its events will never be taken.
    Refused,
    /// The service does not go on with this producer's numbers.
    Renews,
}

impl Wire {
    pub(super) fn new(producer: ClientBuilder<ProducerClient>, _core: &Core) -> Result<Self, Error> {
        Ok(Wire { producer: producer.build()?, is_numbered: false })
    }

    pub(super) async fn partition_ids(&self) -> Result<Vec<String>, Error> {
        self.producer.partition_ids().await
    }

    /// An empty batch for events of any keys.
    pub(super) async fn batch(&self, partition: &str) -> Result<EventBatch, Error> {
        self.producer.create_keyed_batch(partition).await
    }

    /// How the service knows this producer in a partition where it has not published yet.
    pub(super) async fn identity(&self, _partition: &str) -> Result<Identity, Error> {
        Err(Error::new(ErrorKind::Internal, "events have no numbers"))
    }

    pub(super) async fn send(&self, batch: EventBatch, _first: Option<i32>) -> Result<(), Error> {
        self.producer.send_batch(batch).await
    }
}

/// What becomes of a batch that failed.
pub(super) fn fate(error: &Error) -> Fate {
    let condition = error.condition().unwrap_or_default();
    match error.kind() {
        _ if [OUT_OF_ORDER_SEQUENCE, PRODUCER_EPOCH_STOLEN].contains(&condition) => Fate::Renews,
        _ if error.is_transient() => Fate::Waits,
        ErrorKind::MessageTooLarge | ErrorKind::InvalidArgument => Fate::Refused,
        // What is refused for another reason (the hub is disabled, sending is not allowed) may be allowed tomorrow.
        ErrorKind::Rejected if ["", "amqp:decode-error", "amqp:invalid-field"].contains(&condition) => {
            Fate::Refused
        }
        _ => Fate::Waits,
    }
}
