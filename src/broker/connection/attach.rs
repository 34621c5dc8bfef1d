//! Links that a client asks for: what they are to be, and whether they may.

use super::BrokerConnection;
use super::link::{Link, Node};
use super::publisher::{self, ProducerClaim, Publisher};
use super::reader::Reader;
use super::requests::{self, Replies, Requests};
use super::trouble::{STOLEN_BEFORE, Victim};
use crate::amqp::{AmqpError, Attach, LinkId, Role, SessionId};
use crate::broker::Now;
use crate::broker::config::Rights;
use crate::broker::faults::{FaultKind, LinkRole, On};
use crate::broker::hub::Hub;
use crate::broker::partition::Partition;
use crate::broker::producers::{self, Misnumbered, Wanted};
use crate::broker::receivers::{Claim, ClaimRefused};
use crate::broker::seek::seek;
use crate::broker::sync::Letter;
use crate::dialect::address::Address;
use crate::dialect::annotations::{
    EPOCH, IDEMPOTENT_PRODUCER, PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQUENCE_NUMBER, RECEIVER_NAME,
    RECEIVER_RUNTIME_METRIC,
};
use crate::dialect::conditions::{
    ARGUMENT_ERROR, ARGUMENT_OUT_OF_RANGE, LINK_STOLEN, NOT_ALLOWED, NOT_FOUND, PRODUCER_EPOCH_STOLEN,
    RESOURCE_LIMIT_EXCEEDED,
};
use crate::dialect::selector::{self, Position};
use crate::model::value::{Symbol, Value};
use std::sync::Arc;

/// What a link becomes: the broker's side, and the credit that the client gets.
struct Accepted {
    link: Link,
    credit: u32,
}

/// Where the client wants to read.
struct Reading<'a> {
    hub: &'a str,
    group: &'a str,
    partition: &'a str,
}

impl BrokerConnection {
    /// Answers a request for a link.
    pub(super) fn attach(&mut self, link: LinkId, session: SessionId, attach: Attach, now: Now) {
        if !self.engine.has_link(link) {
            // Its session has just been ended, for what the client did in front of this.
            return;
        }
        if self.trouble.faults.any() && !self.is_attach_spared(link, session, &attach, now) {
            return;
        }
        match self.consider(link, session, &attach, now) {
            Ok(accepted) => {
                let reply = self.reply(attach, &accepted.link);
                self.engine.accept(link, reply);
                self.idle_link_added(&accepted.link, now);
                self.links.insert(link, accepted.link);
                self.idle.links_changed(false, now);
                if accepted.credit > 0 {
                    self.engine.set_credit(link, accepted.credit);
                }
            }
            Err(error) => {
                tracing::debug!(connection = self.id, %error, "a link was refused");
                self.engine.refuse(link, error);
            }
        }
    }

    /// Whether a request for a link is to be considered: nothing goes wrong with it on purpose.
    fn is_attach_spared(&mut self, link: LinkId, session: SessionId, attach: &Attach, now: Now) -> bool {
        let address = asked_for(attach).and_then(Address::parse);
        let Some((address, hub)) = address.as_ref().and_then(|address| Some((address, address.hub()?)))
        else {
            return true;
        };
        let (partition, role) = match address {
            Address::Cbs | Address::Management { .. } => return true,
            Address::HubPartition { partition, .. } => (partition.parse().ok(), LinkRole::Send),
            Address::Receiver { partition, .. } => (partition.parse().ok(), LinkRole::Receive),
            _ => (None, LinkRole::Send),
        };
        let Some(kind) = self.strike_on(On::Attach, (hub, partition, role), now, |_| true) else {
            return true;
        };
        let error = match &kind {
            FaultKind::Busy => Some(self.namespace.busy(hub, now)),
            FaultKind::Detach(reason) => match self.error(reason, None, now) {
                Some(error) => Some(error),
                None => {
                    self.engine.detach(link, true, None);
                    return false;
                }
            },
            FaultKind::StealLink => {
                Some(self.namespace.tracker().entity_error(LINK_STOLEN, STOLEN_BEFORE, hub, now.unix))
            }
            FaultKind::ExpireToken => {
                self.grants.revoke(None);
                self.watch_grants(now);
                return true;
            }
            _ => None,
        };
        match error {
            Some(error) => self.engine.refuse(link, error),
            None => self.carry_out(&kind, Victim { link: None, session: Some(session) }, now),
        }
        // A wire that swallows or cuts has the answer to swallow or to cut.
        matches!(kind, FaultKind::HalfOpen { .. } | FaultKind::CutFrame)
    }

    fn consider(
        &self,
        link: LinkId,
        session: SessionId,
        attach: &Attach,
        now: Now,
    ) -> Result<Accepted, AmqpError> {
        let tracker = self.namespace.tracker();
        let limit = self.namespace.config().limits.links_per_connection;
        if self.links.len() >= limit {
            let text = format!("The connection has {limit} links, more are not allowed.");
            return Err(tracker.error(RESOURCE_LIMIT_EXCEEDED, text, now.unix));
        }
        let Some(address) = asked_for(attach) else {
            return Err(tracker.error(NOT_ALLOWED, "The link names no address.", now.unix));
        };
        let unknown = || {
            let shown: String = address.chars().take(256).collect();
            let text = format!("The messaging entity '{shown}' could not be found.");
            tracker.error(NOT_FOUND, text, now.unix)
        };
        match (Address::parse(address).ok_or_else(unknown)?, attach.role) {
            (Address::Cbs, _) => self.request_link(Node::Cbs, session, attach, now),
            (Address::Management { .. }, _) => self.request_link(Node::Management, session, attach, now),
            (Address::Receiver { hub, group, partition }, Role::Receiver) => {
                let reading = Reading { hub: &hub, group: &group, partition: &partition };
                self.reader(&reading, link, session, attach, now)
            }
            (address, Role::Sender) if !matches!(address, Address::Receiver { .. }) => {
                self.publisher(&address, session, attach, now)
            }
            _ => {
                let text = match attach.role {
                    Role::Sender => "Events are sent to a hub, a partition or a publisher.",
                    Role::Receiver => "Events are received from a partition of a consumer group.",
                };
                Err(tracker.error(
                    NOT_ALLOWED,
                    format!("{text} The link's address is '{address}'."),
                    now.unix,
                ))
            }
        }
    }

    fn request_link(
        &self,
        node: Node,
        session: SessionId,
        attach: &Attach,
        now: Now,
    ) -> Result<Accepted, AmqpError> {
        let is_second = |link: &Link| match link {
            Link::Requests(open) => attach.role == Role::Sender && open.node == Node::Cbs,
            Link::Replies(open) => attach.role == Role::Receiver && open.node == Node::Cbs,
            _ => false,
        };
        if node == Node::Cbs && self.links.iter().any(|(_, link)| is_second(link)) {
            let text = "$cbs node has already been opened.";
            return Err(self.namespace.tracker().error(NOT_ALLOWED, text, now.unix));
        }
        Ok(match attach.role {
            Role::Sender => {
                let link = Link::Requests(Requests { session, node, last_used: now.moment });
                Accepted { link, credit: requests::CREDIT }
            }
            Role::Receiver => {
                let target = attach.target.as_ref().and_then(|target| target.address.clone());
                let link = Link::Replies(Replies { session, node, name: attach.name.clone(), target });
                Accepted { link, credit: 0 }
            }
        })
    }

    fn publisher(
        &self,
        address: &Address,
        session: SessionId,
        attach: &Attach,
        now: Now,
    ) -> Result<Accepted, AmqpError> {
        let path = address.to_string().to_lowercase();
        self.authorize(&path, Rights::SEND, now)?;
        let hub = self.hub(address.hub().unwrap_or_default(), now)?;
        let (partition, name) = match address {
            Address::HubPartition { partition, .. } => (Some(self.partition(&hub, partition, now)?), None),
            Address::Publisher { publisher, .. } => {
                (Some(hub.choose(Some(publisher)).clone()), Some(publisher.clone()))
            }
            _ => (None, None),
        };
        let is_idempotent =
            attach.desired_capabilities.iter().any(|known| known.as_str() == IDEMPOTENT_PRODUCER);
        let producer = match (is_idempotent, &partition, &name) {
            (false, ..) => None,
            (true, Some(partition), None) => Some(self.producer(&hub, partition, attach, now)?),
            (true, ..) => {
                let text = "An idempotent producer sends to one partition: the link's address must name it.";
                return Err(self.namespace.tracker().entity_error(NOT_ALLOWED, text, &hub.name, now.unix));
            }
        };
        let link = Publisher {
            session,
            hub,
            partition,
            producer,
            name,
            path,
            in_flight: 0,
            is_spent: false,
            last_used: now.moment,
            drops_when_stored: false,
        };
        Ok(Accepted { link: Link::Publisher(link), credit: publisher::CREDIT })
    }

    /// Lets a link be the idempotent producer that its properties ask for.
    fn producer(
        &self,
        hub: &Hub,
        partition: &Arc<Partition>,
        attach: &Attach,
        now: Now,
    ) -> Result<ProducerClaim, AmqpError> {
        let tracker = self.namespace.tracker();
        let entity = format!("{}~{}", hub.name, partition.number);
        let number = |name: &str, least: i64, most: i64| {
            let property = attach.properties.iter().find(|(key, _)| key.as_str() == name);
            match property.map(|(_, value)| value).filter(|value| !value.is_null()) {
                None => Ok(None),
                Some(value) => match value.as_i64().filter(|number| (least..=most).contains(number)) {
                    Some(number) => Ok(Some(number)),
                    None => {
                        let text = format!("The property '{name}' is not a number from {least} to {most}.");
                        Err(tracker.entity_error(ARGUMENT_ERROR, text, &entity, now.unix))
                    }
                },
            }
        };
        let epoch = number(PRODUCER_EPOCH, i16::MIN.into(), i16::MAX.into())?;
        let last = number(PRODUCER_SEQUENCE_NUMBER, producers::NONE.into(), i32::MAX.into())?;
        let wanted = Wanted {
            id: number(PRODUCER_ID, i64::MIN, i64::MAX)?,
            epoch: epoch.and_then(|epoch| epoch.try_into().ok()),
            last: last.and_then(|last| last.try_into().ok()),
        };
        let claimed = partition.claim_producer(wanted, now, || tracker.number());
        let granted = claimed.map_err(|epoch| {
            let text = Misnumbered::Stolen { epoch };
            tracker.entity_error(PRODUCER_EPOCH_STOLEN, text, &entity, now.unix)
        })?;
        Ok(ProducerClaim { partition: partition.clone(), granted })
    }

    fn reader(
        &self,
        reading: &Reading<'_>,
        link: LinkId,
        session: SessionId,
        attach: &Attach,
        now: Now,
    ) -> Result<Accepted, AmqpError> {
        let Reading { hub, group, partition } = reading;
        let path = format!("{hub}/ConsumerGroups/{group}/Partitions/{partition}").to_lowercase();
        self.authorize(&path, Rights::LISTEN, now)?;
        let tracker = self.namespace.tracker();
        let hub = self.hub(hub, now)?;
        if !hub.has_group(group) {
            return Err(tracker.not_found(format!("{}~0|{group}", hub.name), now.unix));
        }
        let partition = self.partition(&hub, partition, now)?;
        let entity = format!("{}~{}|{group}", hub.name, partition.number);
        let trailed = |error: AmqpError| AmqpError {
            description: error.description.map(|text| tracker.trailed(text, &entity, now.unix)),
            ..error
        };
        let filter = attach.source.as_ref().map_or(&[][..], |source| &source.filter);
        let position = selector::from_filter(filter, &attach.name).map_err(trailed)?;
        let cursor = seek(&partition, position.unwrap_or(Position::Earliest), now).map_err(trailed)?;
        let property = |name: &str| attach.properties.iter().find(|(key, _)| key.as_str() == name);
        let group = group.to_lowercase();
        let claim = Claim {
            group: group.clone(),
            epoch: property(EPOCH).and_then(|(_, value)| value.as_i64()),
            name: property(RECEIVER_NAME)
                .and_then(|(_, value)| value.as_str())
                .map(|name| name.chars().take(64).collect()),
            mailbox: self.mailbox.clone(),
            link,
            id: 0,
        };
        let claim = partition.receivers.claim(claim).map(|(claim, displaced)| {
            for old in displaced {
                let error = tracker.entity_error(LINK_STOLEN, old.text, &entity, now.unix);
                old.mailbox.post(Letter::Detach { link: old.link, error: Box::new(error) });
            }
            claim
        });
        let claim = claim.map_err(|refused| match refused {
            ClaimRefused::Stolen(text) => tracker.entity_error(LINK_STOLEN, text, &entity, now.unix),
            ClaimRefused::Quota(text) => {
                tracker.entity_error(RESOURCE_LIMIT_EXCEEDED, text, &entity, now.unix)
            }
        })?;
        let has_metric = attach.desired_capabilities.iter().any(|c| c.as_str() == RECEIVER_RUNTIME_METRIC);
        let reader = Reader::new(session, hub, partition, group, path, claim, cursor, has_metric);
        Ok(Accepted { link: Link::Reader(reader), credit: 0 })
    }

    fn hub(&self, name: &str, now: Now) -> Result<Arc<Hub>, AmqpError> {
        self.namespace.find(name).ok_or_else(|| self.namespace.tracker().not_found(name, now.unix))
    }

    fn partition(&self, hub: &Hub, id: &str, now: Now) -> Result<Arc<Partition>, AmqpError> {
        hub.partition(id).cloned().ok_or_else(|| {
            let tracker = self.namespace.tracker();
            tracker.entity_error(ARGUMENT_OUT_OF_RANGE, hub.no_such_partition(), &hub.name, now.unix)
        })
    }

    /// What the client hears about a link that it gets: its own words, and what the service insists on.
    fn reply(&self, attach: Attach, link: &Link) -> Attach {
        let limit = self.namespace.config().limits.max_message_size;
        let (snd_settle_mode, max_message_size) = match attach.role {
            Role::Sender => {
                let asked = attach.max_message_size.filter(|size| *size > 0).unwrap_or(limit);
                (attach.snd_settle_mode, Some(asked.min(limit)))
            }
            // Everything is sent settled, whatever was asked for; a limit is not the receiver's business.
            Role::Receiver => (Some(1), None),
        };
        let producer = match link {
            Link::Publisher(publisher) => publisher.producer.as_ref().map(|claim| claim.granted),
            _ => None,
        };
        let properties = producer.iter().flat_map(|granted| {
            [
                (PRODUCER_ID, Value::Long(granted.id)),
                (PRODUCER_EPOCH, Value::Short(granted.epoch)),
                (PRODUCER_SEQUENCE_NUMBER, Value::Int(granted.last)),
            ]
        });
        Attach {
            snd_settle_mode,
            max_message_size,
            source: Some(attach.source.unwrap_or_default()),
            target: Some(attach.target.unwrap_or_default()),
            offered_capabilities: producer.iter().map(|_| Symbol::from_static(IDEMPOTENT_PRODUCER)).collect(),
            desired_capabilities: Vec::new(),
            properties: properties.map(|(name, value)| (Symbol::from_static(name), value)).collect(),
            ..attach
        }
    }
}

/// The address of the link that the client wants.
fn asked_for(attach: &Attach) -> Option<&str> {
    match attach.role {
        Role::Sender => attach.target.as_ref().and_then(|target| target.address.as_deref()),
        Role::Receiver => attach.source.as_ref().and_then(|source| source.address.as_deref()),
    }
}
