//! Links on which a client publishes.

use std::sync::Arc;

use super::BrokerConnection;
use super::link::Link;
use crate::amqp::{AmqpError, Delivery, LinkId, SessionId};
use crate::broker::Now;
use crate::broker::hub::Hub;
use crate::broker::partition::{Partition, Receipt};
use crate::broker::sync::Ack;
use crate::dialect::codec::Publication;
use crate::dialect::conditions::{ARGUMENT_ERROR, DECODE_ERROR};
use crate::model::moment::Moment;
use crate::model::partition;

/// Publications that a client may have on its way.
pub(super) const CREDIT: u32 = 1000;

/// A link on which a client publishes.
pub(super) struct Publisher {
    pub(super) session: SessionId,
    pub(super) hub: Arc<Hub>,
    /// The only partition of a partition's or a publisher's link.
    pub(super) partition: Option<Arc<Partition>>,
    /// The publisher's name.
    pub(super) name: Option<String>,
    /// What the client needs a grant on.
    pub(super) path: String,
    /// Publications that the journal has and that are not answered.
    pub(super) in_flight: u32,
    /// Whether it stands in the connection's line of those whose credit is looked at.
    pub(super) is_spent: bool,
    pub(super) last_used: Moment,
}

impl BrokerConnection {
    /// Takes what arrived on a link.
    pub(super) fn receive(&mut self, link: LinkId, delivery: Delivery, now: Now) {
        match self.links.get_mut(link) {
            Some(Link::Publisher(publisher)) => publisher.last_used = now.moment,
            Some(Link::Requests(_)) => return self.answer(link, &delivery, now),
            _ => return,
        }
        let (id, settled) = (delivery.id, delivery.settled);
        match self.store(link, &delivery, now) {
            Ok(Receipt::Later) => {}
            Ok(Receipt::Done(_)) if settled => {}
            Ok(Receipt::Done(_)) => self.settle(link, id, None),
            Err(error) if settled => {
                tracing::debug!(connection = self.id, %error, "a settled publication was not stored");
            }
            Err(error) => self.settle(link, id, Some(error)),
        }
        self.spend(link);
    }

    /// The journal's answer to a publication.
    pub(super) fn published(
        &mut self,
        link: LinkId,
        delivery_id: Option<u32>,
        outcome: Result<(), Box<AmqpError>>,
    ) {
        let Some(Link::Publisher(publisher)) = self.links.get_mut(link) else { return };
        publisher.in_flight -= 1;
        if let Some(delivery_id) = delivery_id {
            self.settle(link, delivery_id, outcome.err().map(|error| *error));
        }
        self.spend(link);
    }

    /// Notes that a publisher has used credit.
    pub(super) fn spend(&mut self, link: LinkId) {
        match self.links.get_mut(link) {
            Some(Link::Publisher(publisher)) if !publisher.is_spent => publisher.is_spent = true,
            _ => return,
        }
        self.spent.push(link);
    }

    /// Gives publishers their credit back, but not for what the journal still holds. Only when all events have
    /// been handled is it known what that is.
    pub(super) fn renew_credit(&mut self) {
        for link in self.spent.drain(..) {
            let Some(Link::Publisher(publisher)) = self.links.get_mut(link) else { continue };
            publisher.is_spent = false;
            if self.engine.credit(link) + publisher.in_flight <= CREDIT / 2 {
                self.engine.set_credit(link, CREDIT - publisher.in_flight);
            }
        }
    }

    fn store(&mut self, link: LinkId, delivery: &Delivery, now: Now) -> Result<Receipt, AmqpError> {
        let Some(Link::Publisher(publisher)) = self.links.get_mut(link) else { return Ok(Receipt::Later) };
        let tracker = self.namespace.tracker();
        let hub = &publisher.hub;
        let mut publication = Publication::parse(&delivery.payload, delivery.message_format)
            .map_err(|error| tracker.entity_error(DECODE_ERROR, error, &hub.name, now.unix))?;
        if let Some(name) = &publisher.name {
            publication.set_publisher(name);
        }
        let key = publication.partition_key();
        if let Some(Err(error)) = key.map(partition::check_key) {
            return Err(tracker.entity_error(ARGUMENT_ERROR, error.message(), &hub.name, now.unix));
        }
        let partition = publisher.partition.as_ref().unwrap_or_else(|| hub.choose(key));
        let mailbox = &self.mailbox;
        let delivery_id = (!delivery.settled).then_some(delivery.id);
        let ack = || Ack::Delivery { mailbox: mailbox.clone(), link, delivery_id };
        let receipt = partition
            .publish(publication, &mut self.arena, now, ack)
            .map_err(|why| self.namespace.not_taken(why, hub, now))?;
        publisher.in_flight += u32::from(matches!(receipt, Receipt::Later));
        Ok(receipt)
    }
}
