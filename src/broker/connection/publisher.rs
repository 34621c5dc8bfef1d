//! Links on which a client publishes.

use std::sync::Arc;
use std::time::Duration;

use super::BrokerConnection;
use super::link::Link;
use super::trouble::{Trouble, Victim};
use crate::amqp::{AmqpError, Delivery, LinkId, SessionId};
use crate::broker::Now;
use crate::broker::faults::{FaultKind, LinkRole, On};
use crate::broker::hub::Hub;
use crate::broker::namespace::Published;
use crate::broker::partition::{Partition, Receipt};
use crate::broker::producers::Granted;
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
    /// The idempotent producer that the link is.
    pub(super) producer: Option<ProducerClaim>,
    /// The publisher's name.
    pub(super) name: Option<String>,
    /// What the client needs a grant on.
    pub(super) path: String,
    /// Publications that the journal has and that are not answered.
    pub(super) in_flight: u32,
    /// Whether it stands in the connection's line of those whose credit is looked at.
    pub(super) is_spent: bool,
    pub(super) last_used: Moment,
    /// Whether the connection is to break when the journal has what nobody is told of.
    pub(super) drops_when_stored: bool,
}

/// A link's being an idempotent producer; given up when it is dropped.
pub(super) struct ProducerClaim {
    pub(super) partition: Arc<Partition>,
    pub(super) granted: Granted,
}

impl Drop for ProducerClaim {
    fn drop(&mut self) {
        self.partition.release_producer(self.granted);
    }
}

impl BrokerConnection {
    /// Takes what arrived on a link.
    pub(super) fn receive(&mut self, link: LinkId, delivery: Delivery, now: Now) {
        match self.links.get_mut(link) {
            Some(Link::Publisher(publisher)) => publisher.last_used = now.moment,
            Some(Link::Requests(_)) => return self.answer(link, &delivery, now),
            _ => return,
        }
        if self.trouble.faults.any() {
            return self.receive_in_trouble(link, &delivery, now);
        }
        let (id, settled) = (delivery.id, delivery.settled);
        match self.store(link, &delivery, &mut None, now) {
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
        outcome: Result<Published, Box<AmqpError>>,
        now: Now,
    ) {
        let Some(Link::Publisher(publisher)) = self.links.get_mut(link) else { return };
        publisher.in_flight -= 1;
        let drops = delivery_id.is_none() && std::mem::take(&mut publisher.drops_when_stored);
        let partition = outcome.as_ref().ok().map(|published| published.partition);
        if let Some(delivery_id) = delivery_id {
            self.settle(link, delivery_id, outcome.err().map(|error| *error));
        }
        self.spend(link);
        if drops {
            self.drop_now();
        } else if let Some(partition) = partition.filter(|_| self.trouble.faults.any()) {
            self.answered(link, partition, now);
        }
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

    /// As [`receive`](Self::receive), where the publication may be the one at which something goes wrong.
    fn receive_in_trouble(&mut self, link: LinkId, delivery: &Delivery, now: Now) {
        let mut plan = Some(Plan::default());
        let stored = self.store(link, delivery, &mut plan, now);
        let plan = plan.unwrap_or_default();
        let session = self.links.get(link).map(Link::session);
        let victim = Victim { link: Some(link), session };
        if let Some(kind) = &plan.before {
            self.carry_out(kind, victim, now);
        }
        if self.trouble.is_dropped || plan.is_stopped {
            return self.spend(link);
        }
        let partition = match &stored {
            Ok(Receipt::Done(published)) => Some(published.partition),
            _ => None,
        };
        match stored {
            Err(error) if delivery.settled => {
                tracing::debug!(connection = self.id, %error, "a settled publication was not stored");
            }
            Err(error) => self.settle(link, delivery.id, Some(error)),
            Ok(_) if plan.loses_ack => {
                if plan.drops && partition.is_some() {
                    return self.drop_now();
                }
            }
            Ok(Receipt::Done(_)) if !delivery.settled => self.settle(link, delivery.id, None),
            Ok(_) => {}
        }
        self.spend(link);
        if let Some(partition) = partition {
            self.answered(link, partition, now);
        }
    }

    /// A publication was stored, and its sender knows.
    fn answered(&mut self, link: LinkId, partition: u32, now: Now) {
        let Some(Link::Publisher(publisher)) = self.links.get(link) else { return };
        let session = publisher.session;
        let place = (&*publisher.hub.name, Some(partition), LinkRole::Send);
        if let Some(kind) = self.strike_on(On::Sent, place, now, |_| true) {
            self.carry_out_behind(&kind, Victim { link: Some(link), session: Some(session) }, now);
        }
    }

    /// Stores a publication. `plan` is there when something may go wrong, and says then what does.
    fn store(
        &mut self,
        link: LinkId,
        delivery: &Delivery,
        plan: &mut Option<Plan>,
        now: Now,
    ) -> Result<Receipt, AmqpError> {
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
        let by = publisher.producer.as_ref().map(|claim| claim.granted);
        let mut delivery_id = (!delivery.settled).then_some(delivery.id);
        let mut slow = None;
        if let Some(plan) = plan {
            plan.make(&self.trouble, &hub.name, partition.number, now);
            if plan.is_stopped || plan.before.as_ref().is_some_and(|kind| !lets_pass(kind)) {
                plan.is_stopped = true;
                return Ok(Receipt::Later);
            }
            if plan.is_busy {
                return Err(self.namespace.busy(&hub.name, now));
            }
            if plan.loses_ack {
                delivery_id = None;
                publisher.drops_when_stored |= plan.drops;
            }
            slow = plan.slow;
        }
        let mailbox = &self.mailbox;
        if plan.as_ref().is_some_and(|plan| plan.is_doubled) {
            let ack = || Ack::Delivery { mailbox: mailbox.clone(), link, delivery_id: None };
            let first = partition
                .publish(publication.clone(), by, &mut self.arena, now, slow, ack)
                .map_err(|why| self.namespace.not_taken(why, hub, now))?;
            publisher.in_flight += u32::from(matches!(first, Receipt::Later));
        }
        let ack = || Ack::Delivery { mailbox: mailbox.clone(), link, delivery_id };
        let receipt = partition
            .publish(publication, by, &mut self.arena, now, slow, ack)
            .map_err(|why| self.namespace.not_taken(why, hub, now))?;
        publisher.in_flight += u32::from(matches!(receipt, Receipt::Later));
        Ok(receipt)
    }
}

/// What goes wrong with a publication.
#[derive(Default)]
struct Plan {
    /// What happens before it is stored, and mostly instead.
    before: Option<FaultKind>,
    /// Whether nothing happens to it at all.
    is_stopped: bool,
    is_busy: bool,
    is_doubled: bool,
    loses_ack: bool,
    /// Whether the connection breaks where the answer is lost.
    drops: bool,
    slow: Option<Duration>,
}

impl Plan {
    fn make(&mut self, trouble: &Trouble, hub: &str, partition: u32, now: Now) {
        let Trouble { faults, client, .. } = trouble;
        let strike = |on: On, is_meant: fn(&FaultKind) -> bool| {
            faults.strike(on, now, |kind, scope| {
                is_meant(kind)
                    && scope.is_client(client)
                    && scope.has_link(hub, Some(partition), LinkRole::Send)
            })
        };
        self.is_stopped = strike(On::Always, |kind| matches!(kind, FaultKind::StopPartition)).is_some();
        if self.is_stopped {
            return;
        }
        if let Some(FaultKind::SlowDisk { delay }) =
            strike(On::Send, |kind| matches!(kind, FaultKind::SlowDisk { .. }))
        {
            self.slow = Some(delay);
        }
        match strike(On::Send, |kind| !matches!(kind, FaultKind::SlowDisk { .. })) {
            Some(FaultKind::Busy) => self.is_busy = true,
            Some(FaultKind::Duplicate) => self.is_doubled = true,
            Some(FaultKind::LoseAck { drop }) => (self.loses_ack, self.drops) = (true, drop),
            Some(kind) => self.before = Some(kind),
            None => {}
        }
        // Counted where it shows: in the time that the event is stamped with.
        strike(On::Always, |kind| matches!(kind, FaultKind::SkewClock { .. }));
    }
}

/// Whether a publication is stored although this happens when it arrives: the client is not heard any worse.
fn lets_pass(kind: &FaultKind) -> bool {
    matches!(kind, FaultKind::HalfOpen { direction } if !direction.to_service())
}
