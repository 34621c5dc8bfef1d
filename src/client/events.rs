//! What the connection's task does with what the engine reports.

use super::driver::{Driver, Line};
use super::link::{Role, Stage};
use super::pause;
use super::sender::Settled;
use super::shared::Key;
use super::status::Status;
use crate::amqp::{AmqpError, Attach, CloseReason, Delivery, Event, LinkId, Outcome, SessionId};
use crate::dialect::conditions::{self, Recovery};
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::runtime;

impl Driver {
    /// Takes everything that the engine has to report.
    pub(super) fn handle_events(&mut self, now: Moment) {
        // Deliveries and outcomes come in runs for one link; looking it up once will do.
        let mut current: Option<(LinkId, Key)> = None;
        loop {
            let (Line::Up(wire) | Line::Closing { wire, .. }) = &mut self.line else { return };
            let Some(event) = wire.engine.poll_event() else { return };
            match event {
                Event::Delivery { link, delivery } => {
                    if !delivery.settled {
                        wire.engine.settle(link, delivery.id, Outcome::Accepted);
                    }
                    match self.key_of(link, &mut current) {
                        Some(key) => self.on_delivery(key, delivery),
                        None => self.on_reply(link, &delivery, now),
                    }
                }
                Event::Outcome { link, token, outcome } => {
                    if let Some(key) = self.key_of(link, &mut current) {
                        self.on_outcome(key, token, outcome);
                    }
                }
                Event::Credit { link, drain, .. } => self.on_credit(link, drain),
                Event::Opened(_) => self.on_opened(now),
                Event::Attached { link, attach } => self.on_attached(link, &attach, now),
                Event::Detached { link, error, .. } => self.on_detached(link, error.as_ref(), now),
                Event::SessionEnded { session, error } => self.on_session_ended(session, error.as_ref(), now),
                Event::Closed(reason) => {
                    let error = conditions::close_error(&reason);
                    let error = match conditions::classify_close(&reason) {
                        Recovery::Fatal(_) => error.with_transient(false),
                        _ => error.with_transient(true),
                    };
                    let is_idle =
                        matches!(&reason, CloseReason::Remote(Some(said)) if conditions::is_idle(said));
                    self.hand_over();
                    self.connection_ended(error, is_idle, now);
                }
                _ => {}
            }
        }
    }

    /// Gives the callers what has been staged for them: one wake for everything that a read brought.
    pub(super) fn hand_over(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let retry = &shared.config.retry;
        let mut touched = std::mem::take(&mut self.touched);
        for key in touched.drain(..) {
            let Some(link) = self.link_mut(key) else { continue };
            let is_again = match &mut link.role {
                Role::Receiver(receiving) => {
                    receiving.deliver();
                    link.carried();
                    false
                }
                Role::Sender(sending) => match sending.sender.settle(&mut sending.outcomes, retry) {
                    Settled { passing: None, has_more } => {
                        link.carried();
                        has_more
                    }
                    Settled { passing: Some(error), .. } => {
                        link.failed += 1;
                        let delay = pause(retry, link.failed, &error);
                        if error.kind() == ErrorKind::ServerBusy {
                            let entity = link.address().to_string();
                            shared.board.tell(Status::Throttled { entity, delay });
                        }
                        if let Role::Sender(sending) = &mut link.role {
                            sending.pause = Some(runtime::now() + delay);
                        }
                        true
                    }
                },
            };
            if is_again {
                self.queue(key);
            }
        }
        self.touched = touched;
    }

    fn key_of(&self, link: LinkId, current: &mut Option<(LinkId, Key)>) -> Option<Key> {
        match current {
            Some((known, key)) if *known == link => Some(*key),
            _ => {
                let key = self.by_id.get(link)?;
                *current = Some((link, key));
                Some(key)
            }
        }
    }

    fn on_delivery(&mut self, key: Key, delivery: Delivery) {
        let Some(link) = self.links.get_mut(key.index()).and_then(Option::as_deref_mut) else { return };
        let Role::Receiver(receiving) = &mut link.role else { return };
        if receiving.staged.is_empty() {
            self.touched.push(key);
        }
        receiving.stage(delivery.payload);
    }

    fn on_outcome(&mut self, key: Key, token: u64, outcome: Outcome) {
        let Some(link) = self.links.get_mut(key.index()).and_then(Option::as_deref_mut) else { return };
        let Role::Sender(sending) = &mut link.role else { return };
        if sending.outcomes.is_empty() {
            self.touched.push(key);
        }
        sending.outcomes.push((token, outcome));
    }

    fn on_reply(&mut self, link: LinkId, delivery: &Delivery, now: Moment) {
        let config = &self.shared.config;
        if self.authorization.links.owns(link) {
            if let Some(progress) = self.authorization.answered(&delivery.payload, config, now) {
                self.claimed(progress, now);
            }
        } else if self.management.links.owns(link)
            && let Some(delay) = self.management.answered(&delivery.payload, config, now)
        {
            let entity = format!("{}/$management", config.hub);
            self.shared.board.tell(Status::Throttled { entity, delay });
        }
    }

    fn on_credit(&mut self, link: LinkId, drain: bool) {
        let Line::Up(wire) = &mut self.line else { return };
        if let Some(key) = self.by_id.get(link) {
            if let Some(Role::Sender(sending)) = self.link_mut(key).map(|link| &mut link.role) {
                sending.is_drained = drain;
            }
            self.queue(key);
        } else if self.authorization.links.owns(link) {
            self.authorization.links.pump(&mut wire.engine);
        } else if self.management.links.owns(link) {
            self.management.links.pump(&mut wire.engine);
        }
    }

    fn on_opened(&mut self, now: Moment) {
        let Line::Up(wire) = &mut self.line else { return };
        wire.opened = Some(now);
        tracing::debug!("connected");
        self.shared.board.tell(Status::Connected);
        let waiting: Vec<Key> =
            self.keys().filter(|(_, link)| link.stage == Stage::Waiting).map(|(key, _)| key).collect();
        for key in waiting {
            self.queue(key);
        }
    }

    fn on_attached(&mut self, id: LinkId, attach: &Attach, now: Moment) {
        let Line::Up(wire) = &mut self.line else { return };
        let Some(key) = self.by_id.get(id) else {
            self.authorization.links.attached(&mut wire.engine, id);
            self.management.links.attached(&mut wire.engine, id);
            return;
        };
        let Some(link) = self.link_mut(key) else { return };
        // A refused link is answered without a terminus, and detached at once.
        let is_refused = match &link.role {
            Role::Sender(_) => attach.target.is_none(),
            Role::Receiver(_) => attach.source.is_none(),
        };
        if is_refused {
            return;
        }
        if let Role::Sender(sending) = &link.role
            && let Err(error) = sending.sender.attached(&attach.properties)
        {
            return self.link_failed(key, error, now);
        }
        link.stage = Stage::Live(id);
        let was_up = std::mem::replace(&mut link.was_up, true);
        let is_told_down = std::mem::take(&mut link.is_told_down);
        link.is_refused = false;
        link.attempt_ends = None;
        link.live_since = Some(now);
        let back = match &mut link.role {
            Role::Sender(sending) => {
                sending.sender.note(true, false);
                is_told_down.then(|| Status::Attached { entity: link.address().to_string() })
            }
            Role::Receiver(receiving) => {
                receiving.receiver.attached();
                receiving.watch.restart(now);
                let partition = receiving.receiver.spec.partition().to_owned();
                was_up.then(|| Status::Resumed { partition, position: receiving.position() })
            }
        };
        tracing::debug!(link = %link.address(), "link attached");
        if let Some(back) = back {
            self.shared.board.tell(back);
        }
        self.queue(key);
    }

    fn on_detached(&mut self, id: LinkId, error: Option<&AmqpError>, now: Moment) {
        let said = error;
        let error = match said {
            Some(error) => conditions::error(error),
            None => Error::new(ErrorKind::ConnectionLost, "the service detached the link without a reason"),
        };
        if said.is_some_and(|said| conditions::classify_detach(said) == Recovery::Connection) {
            self.hand_over();
            self.connection_lost(error, now);
            return;
        }
        if let Some(key) = self.by_id.get(id) {
            self.hand_over();
            self.link_ended(key, error, said.is_some_and(conditions::is_idle), now);
            return;
        }
        let Line::Up(wire) = &mut self.line else { return };
        let config = &self.shared.config;
        if self.authorization.links.owns(id) {
            if let Some(progress) = self.authorization.detached(&mut wire.engine, id, error, config, now) {
                self.claimed(progress, now);
            }
        } else if self.management.links.owns(id) {
            self.management.links.detached(&mut wire.engine, id);
            self.management.unanswered(&error, config, now);
        }
    }

    fn on_session_ended(&mut self, session: SessionId, error: Option<&AmqpError>, now: Moment) {
        let said = error;
        let error = match said {
            Some(error) => conditions::error(error),
            None => Error::new(ErrorKind::ConnectionLost, "the service ended the session without a reason"),
        };
        if said.is_some_and(|said| conditions::classify_detach(said) == Recovery::Connection) {
            self.hand_over();
            self.connection_lost(error, now);
            return;
        }
        let Line::Up(wire) = &mut self.line else { return };
        let (links, was_first) = wire.ended(session);
        self.hand_over();
        for id in links {
            if let Some(key) = self.by_id.get(id) {
                self.link_failed(key, error.clone(), now);
            }
        }
        if was_first {
            self.management.links.reset();
            self.management.unanswered(&error, &self.shared.config, now);
            if let Some(progress) = self.authorization.lost(error, &self.shared.config, now) {
                self.claimed(progress, now);
            }
        }
    }
}
