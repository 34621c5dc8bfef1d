//! `$cbs` and `$management`: requests and their replies.

use super::BrokerConnection;
use super::link::{Link, Node};
use super::trouble::{Trouble, Victim};
use crate::amqp::{Delivery, LinkId, Outgoing, SessionId};
use crate::broker::Now;
use crate::broker::authorization::{Denied, Verified};
use crate::broker::config::Rights;
use crate::broker::faults::{FaultKind, On};
use crate::broker::namespace::BUSY;
use crate::dialect::address::Audience;
use crate::dialect::cbs::{self, TokenType};
use crate::dialect::conditions::{
    ARGUMENT_ERROR, ARGUMENT_OUT_OF_RANGE, AUTH_FAILED, INTERNAL_ERROR, NOT_ALLOWED, NOT_FOUND,
    RESOURCE_LIMIT_EXCEEDED, SERVER_BUSY, TIMEOUT, UNAUTHORIZED_ACCESS,
};
use crate::dialect::management::{self, HubProperties, PartitionProperties};
use crate::dialect::rpc::{Caller, Reply};
use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// Requests that a client may have on their way.
pub(super) const CREDIT: u32 = 100;

/// Bytes of replies that a client may leave lying before its requests are refused.
const REPLIES: usize = 1 << 20;

/// A link on which a client asks.
pub(super) struct Requests {
    pub(super) session: SessionId,
    pub(super) node: Node,
    pub(super) last_used: Moment,
}

/// A link on which a client is answered.
pub(super) struct Replies {
    pub(super) session: SessionId,
    pub(super) node: Node,
    pub(super) name: String,
    /// The address of its target: where the client says that it waits.
    pub(super) target: Option<String>,
}

impl BrokerConnection {
    /// Answers a request.
    pub(super) fn answer(&mut self, link: LinkId, delivery: &Delivery, now: Now) {
        let Some(Link::Requests(requests)) = self.links.get_mut(link) else { return };
        requests.last_used = now.moment;
        let (node, session) = (requests.node, requests.session);
        let tracker = self.namespace.tracker();
        let refusal = if self.engine.backlog() > super::BACKLOG + REPLIES {
            let text = "Too many replies wait to be taken.";
            Some(tracker.error(RESOURCE_LIMIT_EXCEEDED, text, now.unix))
        } else {
            let reply = match node {
                // The status says it all. Given a condition besides, Python reports `Status code: None` and keeps
                // the text to itself.
                Node::Cbs => Reply { condition: None, ..self.put_token(delivery, now) },
                Node::Management => self.read(delivery, now),
            };
            if self.trouble.is_dropped {
                return;
            }
            let reply_link = self.reply_link(node, session, reply.to.as_deref());
            match reply_link {
                Some(reply_link) => {
                    let body = reply.encode();
                    let message = Outgoing {
                        token: 0,
                        message_format: 0,
                        settled: true,
                        head: body,
                        body: Default::default(),
                    };
                    // Fails only when the link has gone; nobody waits for the reply then.
                    let _ = self.engine.send(reply_link, message);
                    None
                }
                None => {
                    let text = "The session has no receiving link on this node that 'reply-to' names.";
                    Some(self.namespace.tracker().error(NOT_ALLOWED, text, now.unix))
                }
            }
        };
        if !delivery.settled {
            self.settle(link, delivery.id, refusal);
        }
        if self.engine.credit(link) <= CREDIT / 2 {
            self.engine.set_credit(link, CREDIT);
        }
    }

    /// The link on which a client waits for its reply. Never chosen by the look of an address.
    fn reply_link(&self, node: Node, session: SessionId, to: Option<&str>) -> Option<LinkId> {
        let mut waiting = self.links.iter().filter_map(|(id, link)| match link {
            Link::Replies(replies) if replies.node == node && replies.session == session => {
                Some((id, replies))
            }
            _ => None,
        });
        let found = match to {
            Some(to) => waiting.find(|(_, r)| r.target.as_deref() == Some(to) || r.name == to),
            None => waiting.next().filter(|_| waiting.next().is_none()),
        };
        found.map(|(id, _)| id)
    }

    fn put_token(&mut self, delivery: &Delivery, now: Now) -> Reply {
        let request = match cbs::Request::parse(&delivery.payload) {
            Ok(request) => request,
            Err(reply) => return self.trailed(reply, now),
        };
        let audience = Audience::parse(&request.audience);
        let caller = &request.caller;
        if self.trouble.faults.any()
            && let Some(reply) = self.trouble_with_token(caller, &audience, now)
        {
            return reply;
        }
        let verified = self.verify_put(&request, &audience, now);
        let verified = match verified {
            Ok(verified) => verified,
            Err(denied) => return self.trailed(caller.refuse(401, AUTH_FAILED, denied.text()), now),
        };
        let hub = audience.path().split('/').next().filter(|hub| !hub.is_empty());
        if hub.is_some_and(|hub| self.namespace.find(hub).is_none()) {
            return self.no_such_entity(caller, &request.audience, now);
        }
        let limit = self.namespace.config().limits.grants_per_connection;
        if self.grants.len() >= limit && !self.grants.contains(&audience) {
            let text = format!("The connection has tokens for {limit} entities, more are not allowed.");
            return self.trailed(caller.refuse(403, RESOURCE_LIMIT_EXCEEDED, text), now);
        }
        self.grants.put(&audience, &verified);
        self.watch_grants(now);
        request.accept()
    }

    /// What goes wrong on purpose with a token.
    fn trouble_with_token(&mut self, caller: &Caller, audience: &Audience, now: Now) -> Option<Reply> {
        let hub = audience.path().split('/').next().unwrap_or_default();
        self.strike_skew(now);
        let kind = self.strike_asked(On::Token, hub, None, now)?;
        let FaultKind::RefuseToken { status, description } = &kind else {
            return self.trouble_with_asking(&kind, caller, hub, now);
        };
        let (condition, text) = match status {
            400 => (ARGUMENT_ERROR, "The request is malformed.".to_owned()),
            401 => (AUTH_FAILED, Denied::Signature.text()),
            403 => (RESOURCE_LIMIT_EXCEEDED, "A quota is used up.".to_owned()),
            404 => {
                let text = format!(
                    "The messaging entity 'sb://{}/{}' could not be found.",
                    self.host,
                    audience.path()
                );
                (NOT_FOUND, text)
            }
            408 => (TIMEOUT, "The operation did not complete in time.".to_owned()),
            503 => (SERVER_BUSY, BUSY.to_owned()),
            _ => (
                INTERNAL_ERROR,
                "The service was unable to process the request; please retry the operation.".to_owned(),
            ),
        };
        let text = description.clone().unwrap_or(text);
        Some(self.trailed(caller.refuse(i32::from(*status), condition, text), now))
    }

    /// What goes wrong on purpose with a question about a hub.
    fn trouble_with_request(&mut self, request: &management::Request, now: Now) -> Option<Reply> {
        let partition = request.partition.as_ref().and_then(|partition| partition.parse().ok());
        let kind = self.strike_asked(On::Request, &request.hub, partition, now)?;
        self.trouble_with_asking(&kind, &request.caller, &request.hub, now)
    }

    fn trouble_with_asking(
        &mut self,
        kind: &FaultKind,
        caller: &Caller,
        hub: &str,
        now: Now,
    ) -> Option<Reply> {
        if let FaultKind::Busy = kind {
            let text = self.namespace.busy(hub, now).description.unwrap_or_default();
            return Some(caller.refuse(503, SERVER_BUSY, text));
        }
        self.carry_out(kind, Victim { link: None, session: None }, now);
        None
    }

    /// Counts that a token is judged by a clock that is off.
    fn strike_skew(&self, now: Now) {
        let Trouble { faults, client, .. } = &self.trouble;
        faults.strike(On::Always, now, |kind, scope| {
            matches!(kind, FaultKind::SkewClock { .. }) && scope.is_client(client)
        });
    }

    fn verify_put(&self, request: &cbs::Request, audience: &Audience, now: Now) -> Result<Verified, Denied> {
        let access = self.namespace.access();
        let verified = match request.token_type {
            TokenType::Jwt => {
                let seconds = |time: Timestamp| time.as_millis().div_euclid(1000);
                access.trust_jwt(request.expiration.map(seconds))?
            }
            _ => access.verify(&request.token, now.unix)?,
        };
        if verified.covers(audience) { Ok(verified) } else { Err(Denied::Audience) }
    }

    fn read(&mut self, delivery: &Delivery, now: Now) -> Reply {
        let request = match management::Request::parse(&delivery.payload) {
            Ok(request) => request,
            Err(reply) => return self.trailed(reply, now),
        };
        let caller = &request.caller;
        if self.trouble.faults.any()
            && let Some(reply) = self.trouble_with_request(&request, now)
        {
            return reply;
        }
        if let Err(text) = self.may_read(&request, now) {
            return self.trailed(caller.refuse(401, UNAUTHORIZED_ACCESS, text), now);
        }
        let Some(hub) = self.namespace.find(&request.hub) else {
            return self.no_such_entity(caller, &format!("{}/{}", self.host, request.hub), now);
        };
        let Some(id) = &request.partition else {
            let info = hub.info();
            return request.reply_hub(&HubProperties::new(info.name, info.created_at, info.partitions));
        };
        let Some(partition) = hub.partition(id) else {
            return self.trailed(caller.refuse(400, ARGUMENT_OUT_OF_RANGE, hub.no_such_partition()), now);
        };
        let info = partition.info(now);
        request.reply_partition(&PartitionProperties {
            begin_sequence_number: info.begin_sequence,
            last_enqueued_sequence_number: info.last_sequence,
            last_enqueued_offset: info.last_offset.to_string(),
            last_enqueued_time: info.last_enqueued,
            is_empty: info.is_empty,
            ..PartitionProperties::new(&hub.name, id)
        })
    }

    /// Whether the request's own token, or without one what the connection was granted, allows reading.
    fn may_read(&self, request: &management::Request, now: Now) -> Result<(), String> {
        let path = request.hub.to_lowercase();
        let resource = format!("sb://{}/{path}", self.host);
        let unauthorized =
            || self.namespace.unauthorized(&resource, Rights::LISTEN, now).description.unwrap_or_default();
        let Some(token) = &request.security_token else {
            let is_granted = self.grants.allow(&path, Rights::LISTEN, now.unix)
                || self.grants.allow(&format!("{path}/$management"), Rights::LISTEN, now.unix);
            return if is_granted { Ok(()) } else { Err(unauthorized()) };
        };
        let verified = self.namespace.verify(token, now).map_err(|denied| denied.text())?;
        if !verified.covers_path(&format!("{path}/$management")) {
            return Err(Denied::Audience.text());
        }
        if verified.rights.include(Rights::LISTEN) { Ok(()) } else { Err(unauthorized()) }
    }

    fn no_such_entity(&self, caller: &Caller, entity: &str, now: Now) -> Reply {
        let shown: String = entity.chars().take(512).collect();
        let text = format!("The messaging entity '{shown}' could not be found.");
        self.trailed(caller.refuse(404, NOT_FOUND, text), now)
    }

    /// The reply with the service's trailer.
    fn trailed(&self, mut reply: Reply, now: Now) -> Reply {
        if !reply.description.contains(" TrackingId:") {
            reply.description =
                self.namespace.tracker().trailed(reply.description, "NoSystemTracker", now.unix);
        }
        reply
    }
}
