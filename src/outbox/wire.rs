//! The producer, as the pump sees it.

use super::core::Core;
use super::ledger::Identity;
use crate::client::ClientBuilder;
use crate::dialect::conditions::{OUT_OF_ORDER_SEQUENCE, PRODUCER_EPOCH_STOLEN};
use crate::error::{Error, ErrorKind};
use crate::model::publishing::PublishingState;
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
    /// Goes on where the journal says.
    pub(super) fn new(mut producer: ClientBuilder<ProducerClient>, core: &Core) -> Result<Self, Error> {
        let is_numbered = core.options.idempotent;
        producer = producer.idempotent(is_numbered);
        if is_numbered {
            for (partition, identity) in core.lock().ledger.identities() {
                producer = producer.publishing_state(partition, identity.state());
            }
        }
        Ok(Wire { producer: producer.build()?, is_numbered })
    }

    /// The hub's partitions, one at least.
    pub(super) async fn partition_ids(&self) -> Result<Vec<String>, Error> {
        let partitions = self.producer.partition_ids().await?;
        match partitions.is_empty() {
            false => Ok(partitions),
            true => Err(Error::new(ErrorKind::Protocol, "the event hub has no partitions")),
        }
    }

    /// An empty batch for events of any keys.
    pub(super) async fn batch(&self, partition: &str) -> Result<EventBatch, Error> {
        self.producer.create_keyed_batch(partition).await
    }

    /// A new producer for a partition, as the service knows it.
    pub(super) async fn identity(&self, partition: &str) -> Result<Identity, Error> {
        self.producer.publish_as(partition, None)?;
        let state = self.producer.publishing_state(partition).await?;
        Ok(Identity { producer_id: state.producer_id, epoch: state.epoch, next: state.next() })
    }

    /// Sends a batch under the numbers from `first` of this producer, or without numbers.
    pub(super) async fn send(
        &self,
        partition: &str,
        batch: EventBatch,
        numbers: Option<(Identity, i32)>,
    ) -> Result<(), Error> {
        let Some((identity, first)) = numbers else { return self.producer.send_batch(batch).await };
        // The same numbers of another producer would be other events.
        if !identity.is(self.producer.publishing_state(partition).await?) {
            self.producer.publish_as(partition, Some(Identity { next: first, ..identity }.state()))?;
            if !identity.is(self.producer.publishing_state(partition).await?) {
                let message = "the service does not know the producer of these events any more";
                return Err(Error::new(ErrorKind::Rejected, message).with_condition(OUT_OF_ORDER_SEQUENCE));
            }
        }
        self.producer.send_batch_numbered(batch, first).await
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

impl Identity {
    fn state(self) -> PublishingState {
        let (producer_id, epoch) = (self.producer_id, self.epoch);
        PublishingState { producer_id, epoch, sequence_number: self.next.max(0) - 1 }
    }

    fn is(self, state: PublishingState) -> bool {
        (self.producer_id, self.epoch) == (state.producer_id, state.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_with_an_event_is_held_against_it() {
        let error = |kind, condition: &str| Error::new(kind, "").with_condition(condition);
        for (error, expected) in [
            (Error::new(ErrorKind::MessageTooLarge, ""), Fate::Refused),
            (error(ErrorKind::Rejected, "amqp:decode-error"), Fate::Refused),
            (error(ErrorKind::Rejected, "com.microsoft:entity-disabled"), Fate::Waits),
            (error(ErrorKind::Rejected, "amqp:not-allowed"), Fate::Waits),
            (error(ErrorKind::Unauthorized, "amqp:unauthorized-access"), Fate::Waits),
            (error(ErrorKind::NotFound, "amqp:not-found"), Fate::Waits),
            (Error::new(ErrorKind::Rejected, "").with_transient(true), Fate::Waits),
            (Error::new(ErrorKind::ConnectionLost, ""), Fate::Waits),
            (error(ErrorKind::Rejected, OUT_OF_ORDER_SEQUENCE), Fate::Renews),
            (error(ErrorKind::OwnershipLost, PRODUCER_EPOCH_STOLEN), Fate::Renews),
        ] {
            assert_eq!(fate(&error), expected, "{error}");
        }
    }
}
