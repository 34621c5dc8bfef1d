//! What goes wrong on a connection on purpose: what is there when a fault starts, and how it is carried out.

use super::BrokerConnection;
use super::link::Link;
use super::wire::Wire;
use crate::amqp::{AmqpError, LinkId, SessionId};
use crate::broker::Now;
use crate::broker::faults::{Birth, Due, FaultKind, FaultScope, Faults, LinkRole, On, Reason};
use crate::dialect::conditions::{
    CONNECTION_FORCED, INTERNAL_ERROR, LINK_DETACH_FORCED, LINK_STOLEN, NOT_FOUND, SERVER_BUSY, TIMEOUT,
    UNAUTHORIZED_ACCESS,
};
use crate::model::moment::{Moment, earliest};

/// What a connection knows of faults.
pub(super) struct Trouble {
    pub(super) faults: Faults,
    /// The container id that the client gave itself.
    pub(super) client: String,
    pub(super) wire: Option<Box<Wire>>,
    /// Whether the connection broke without a word.
    pub(super) is_dropped: bool,
    /// Whether nothing that the client says arrives any more, not even what came in the same piece as the last that did.
    pub(super) is_deaf: bool,
    birth: Birth,
    /// The faults that were applied to what was there when they started.
    applied: Vec<u64>,
    /// When the next fault starts or ends.
    next_change: Option<Moment>,
}

/// What something happens to: a link and its session, or the connection.
#[derive(Clone, Copy)]
pub(super) struct Victim {
    pub(super) link: Option<LinkId>,
    pub(super) session: Option<SessionId>,
}

impl Trouble {
    pub(super) fn new(faults: Faults, now: Now) -> Self {
        Trouble {
            birth: faults.born(now),
            client: String::new(),
            wire: None,
            is_dropped: false,
            is_deaf: false,
            applied: Vec::new(),
            next_change: faults.next_change(now),
            faults,
        }
    }

    /// Whether anything goes wrong, or something is still on a wire where it did.
    #[inline]
    pub(super) fn is_near(&self) -> bool {
        self.faults.any() || self.wire.is_some()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        if self.is_dropped {
            return None;
        }
        let wire = self.wire.as_ref().and_then(|wire| wire.next_deadline());
        earliest([wire, self.next_change, self.faults.next_errand()])
    }

    pub(super) fn wire(&mut self) -> &mut Wire {
        self.wire.get_or_insert_default()
    }
}

impl BrokerConnection {
    /// Whether the connection broke without a word: the transport is to be ended without one, too.
    pub fn was_dropped(&self) -> bool {
        self.trouble.is_dropped
    }

    /// Whether the wire holds as much as it may, because it is slow: nothing more should be fed before
    /// [`next_deadline`](Self::next_deadline).
    pub fn is_full(&self) -> bool {
        self.trouble.wire.as_ref().is_some_and(|wire| wire.to_service.is_full())
    }

    /// Looks at what goes wrong now, or no longer.
    pub(super) fn look(&mut self, now: Now) {
        self.namespace.look(now);
        let due = self.trouble.faults.due(self.trouble.birth, &mut self.trouble.applied, now);
        due.into_iter().for_each(|due| self.apply(&due, now));
        self.trouble.next_change = self.trouble.faults.next_change(now);
        if self.trouble.is_dropped {
            return;
        }
        self.clear_up(now);
        // What was stopped may go on.
        let waiting: Vec<_> =
            self.links.iter().filter(|(_, link)| link.is_held_up()).map(|(id, _)| id).collect();
        waiting.into_iter().for_each(|link| self.woken(link));
        self.watch_grants(now);
    }

    /// As [`look`](Self::look), when it is time.
    pub(super) fn look_in_time(&mut self, now: Now) {
        if self.trouble.next_change.is_some_and(|at| at <= now.moment) {
            self.look(now);
        }
        if self.trouble.faults.any() {
            self.trouble.faults.run_errands(now);
        }
    }

    /// Applies a fault to what is there.
    fn apply(&mut self, due: &Due, now: Now) {
        let of_links = match due.kind {
            FaultKind::Detach(_) | FaultKind::StealLink | FaultKind::End(_) => true,
            FaultKind::ExpireToken => due.scope.names_links(),
            _ => false,
        };
        if !of_links {
            if self.concerns(&due.scope) && self.trouble.faults.hit(due.id) {
                self.carry_out(&due.kind, Victim { link: None, session: None }, now);
            }
            return;
        }
        if !due.scope.is_client(&self.trouble.client) {
            return;
        }
        let links: Vec<_> = self.links.iter().map(|(id, link)| (id, link.session())).collect();
        for (link, session) in links {
            // An ended session has taken others along.
            let Some(here) = self.links.get(link) else { continue };
            let is_concerned = match here.place() {
                Some((hub, partition, role)) => {
                    due.scope.has_link(hub, partition, role)
                        && (due.kind != FaultKind::StealLink || role == LinkRole::Receive)
                }
                None => false,
            };
            if is_concerned && self.trouble.faults.hit(due.id) {
                self.carry_out(&due.kind, Victim { link: Some(link), session: Some(session) }, now);
            }
        }
    }

    /// Whether a scope is about this connection or one of its links.
    pub(super) fn concerns(&self, scope: &FaultScope) -> bool {
        scope.is_client(&self.trouble.client)
            && (!scope.names_links()
                || self.links.iter().any(|(_, link)| {
                    link.place().is_some_and(|(hub, partition, role)| scope.has_link(hub, partition, role))
                }))
    }

    /// What strikes when something happens on a link, or is about to.
    pub(super) fn strike_on(
        &self,
        on: On,
        (hub, partition, role): (&str, Option<u32>, LinkRole),
        now: Now,
        is_meant: fn(&FaultKind) -> bool,
    ) -> Option<FaultKind> {
        let Trouble { faults, client, .. } = &self.trouble;
        faults.strike(on, now, |kind, scope| {
            is_meant(kind) && scope.is_client(client) && scope.has_link(hub, partition, role)
        })
    }

    /// What strikes when a client asks: about a hub, a partition, or for a grant on them.
    pub(super) fn strike_asked(
        &self,
        on: On,
        hub: &str,
        partition: Option<u32>,
        now: Now,
    ) -> Option<FaultKind> {
        let Trouble { faults, client, .. } = &self.trouble;
        faults.strike(on, now, |_, scope| {
            // Who asks neither sends nor receives.
            scope.is_client(client)
                && scope.has_link(hub, partition.or(scope.partition), scope.role.unwrap_or(LinkRole::Send))
        })
    }

    /// Has go wrong what does, for the connection or a link of it.
    pub(super) fn carry_out(&mut self, kind: &FaultKind, victim: Victim, now: Now) {
        tracing::debug!(connection = self.id, fault = kind.name(), "something goes wrong on purpose");
        match kind {
            FaultKind::Drop => self.drop_now(),
            FaultKind::CutFrame => self.trouble.wire().cut(),
            FaultKind::HalfOpen { direction } => {
                self.trouble.is_deaf |= direction.to_service();
                self.trouble.wire().kill(*direction);
            }
            FaultKind::Close(reason) => {
                let error = self.error(reason, None, now);
                self.engine.close(error);
                // What the client has said behind this is not heard.
                self.links.clear();
                self.ready.clear();
            }
            FaultKind::End(reason) => {
                let Some(session) = victim.session else { return };
                let error = self.error(reason, victim.link, now);
                self.engine.end(session, error);
                self.forget_session(session, now);
            }
            FaultKind::Detach(reason) => {
                let Some(link) = victim.link else { return };
                let error = self.error(reason, Some(link), now);
                if self.links.remove(link).is_some() {
                    self.engine.detach(link, true, error);
                    self.idle.links_changed(self.links.is_empty(), now);
                }
            }
            FaultKind::ExpireToken => self.expire(victim.link, now),
            FaultKind::StealLink => {
                let Some(link) = victim.link else { return };
                let reason = Reason { condition: Some(LINK_STOLEN.to_owned()), description: None };
                if let Some(error) = self.error(&reason, Some(link), now) {
                    self.let_go(link, error, now);
                }
            }
            FaultKind::Busy => {
                let Some(link) = victim.link else { return };
                let hub = self.links.get(link).and_then(Link::place).map_or("", |(hub, ..)| hub);
                let error = self.namespace.busy(hub, now);
                self.let_go(link, error, now);
            }
            FaultKind::Restart { loses_data, down } => {
                let (loses_data, down) = (*loses_data, *down);
                self.drop_now();
                self.namespace.start_anew(loses_data, down, now);
            }
            // These hold, or are part of what they happen to.
            _ => {}
        }
    }

    /// Has go wrong what does behind everything that was said so far.
    pub(super) fn carry_out_behind(&mut self, kind: &FaultKind, victim: Victim, now: Now) {
        match kind {
            FaultKind::CutFrame => return self.carry_out(kind, victim, now),
            _ => self.flush(now),
        }
        match kind {
            FaultKind::Drop => self.trouble.wire().end(),
            _ => self.carry_out(kind, victim, now),
        }
    }

    /// The connection breaks without a word.
    pub(super) fn drop_now(&mut self) {
        self.trouble.is_dropped = true;
        self.trouble.wire = None;
        self.is_written_out = true;
        self.links.clear();
        self.ready.clear();
        self.spent.clear();
    }

    /// Takes back what was granted on a link's path, or everything, and detaches who needs it.
    fn expire(&mut self, link: Option<LinkId>, now: Now) {
        let path =
            link.and_then(|link| self.links.get(link)).and_then(Link::needs).map(|(path, _)| path.to_owned());
        self.grants.revoke(path.as_deref());
        self.let_unauthorized_go(now);
    }

    /// The error that a link or the connection ends with, in the service's words where none are given.
    pub(super) fn error(&self, reason: &Reason, link: Option<LinkId>, now: Now) -> Option<AmqpError> {
        let condition = reason.condition.as_ref()?;
        let link = link.and_then(|link| self.links.get(link));
        let tracker = self.namespace.tracker();
        let entity = match link.and_then(Link::place) {
            Some((hub, Some(partition), _)) => format!("{hub}~{partition}"),
            Some((hub, ..)) => hub.to_owned(),
            None => String::new(),
        };
        let text = match &reason.description {
            Some(text) => text.clone(),
            None => self.usual_text(condition, link, now),
        };
        let text = match entity.is_empty() {
            true => tracker.trailed(text, "NoSystemTracker", now.unix),
            false => tracker.trailed(text, &self.namespace.system(&entity), now.unix),
        };
        Some(AmqpError::new(condition.clone(), text))
    }

    /// What the service says with a condition.
    fn usual_text(&self, condition: &str, link: Option<&Link>, now: Now) -> String {
        let path = link.and_then(Link::needs).map_or("", |(path, _)| path);
        match condition {
            SERVER_BUSY => crate::broker::namespace::BUSY.to_owned(),
            LINK_DETACH_FORCED => {
                let (who, origin) = match link {
                    Some(Link::Reader(_)) => ("consumer", "InnerMessageReceiver was closed"),
                    _ => ("publisher", "AmqpMessagePublisher.IdleTimerExpired: Idle timeout: 00:10:00"),
                };
                format!(
                    "The link 'G0:{}:{path}' is force detached by the broker because of errors occurred in \
                     {who}(link{}). Detach origin: {origin}.",
                    self.id, self.id
                )
            }
            LINK_STOLEN => match link {
                Some(Link::Reader(reader)) => reader.stolen_text(),
                _ => STOLEN_BEFORE.to_owned(),
            },
            UNAUTHORIZED_ACCESS => match link.and_then(Link::needs) {
                Some((path, right)) => {
                    let error =
                        self.namespace.unauthorized(&format!("sb://{}/{path}", self.host), right, now);
                    let text = error.description.unwrap_or_default();
                    text.split(" TrackingId:").next().unwrap_or_default().to_owned()
                }
                None => "Unauthorized access.".to_owned(),
            },
            CONNECTION_FORCED => {
                "The connection was inactive for more than the allowed 300000 milliseconds and is \
                                  closed by container 'LinkTracker'."
                    .to_owned()
            }
            NOT_FOUND => format!("The messaging entity 'sb://{}/{path}' could not be found.", self.host),
            INTERNAL_ERROR | TIMEOUT => {
                "The service was unable to process the request; please retry the operation.".to_owned()
            }
            _ => "The emulator was asked to let this fail.".to_owned(),
        }
    }
}

/// What a reader is told whose place is taken before it could sit down.
pub(super) const STOLEN_BEFORE: &str = "Receiver 'nil' with a higher epoch '1' already exists. Receiver 'nil' with epoch 0 cannot be created. Make sure you \
     are creating receiver with increasing epoch value to ensure connectivity, or ensure all old epoch receivers are \
     closed or disconnected.";
