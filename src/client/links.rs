//! What the connection's task does with its links.

use std::cmp::Reverse;

use super::authorization::Claim;
use super::driver::{Driver, Line};
use super::link::{Link, Receiving, Role, Sending, Stage};
use super::receiver::{Failure, ReceiverSpec};
use super::sender::{Pumped, Sender};
use super::shared::{Key, Registered, closed};
use super::status::Status;
use super::watch::Look;
use crate::amqp::{self, Attach, LinkId, Source, Target};
use crate::dialect::annotations::{
    DEFAULT_MAX_MESSAGE_SIZE, EPOCH, GEOREPLICATION, IDEMPOTENT_PRODUCER, RECEIVER_NAME,
    RECEIVER_RUNTIME_METRIC,
};
use crate::dialect::conditions;
use crate::dialect::management::PartitionProperties;
use crate::dialect::rpc::Reply;
use crate::dialect::selector;
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::model::position::StartPosition;
use crate::model::value::{Symbol, Value};
use crate::runtime;

/// `snd-settle-mode` of senders: every event is answered.
const UNSETTLED: u8 = 0;
/// `snd-settle-mode` of receivers: events come settled, as the service does whatever it is asked.
const SETTLED: u8 = 1;
/// `rcv-settle-mode`: one answer settles.
const FIRST: u8 = 0;

impl Driver {
    /// A link has something to say; it may be new.
    pub(super) fn admit(&mut self, key: Key) {
        if self.links.get(key.index()).is_none_or(Option::is_none) {
            let role = match self.shared.link(key) {
                Some(Registered::Sender(sender)) => Role::Sender(Sending::new(sender)),
                Some(Registered::Receiver(receiver)) => Role::Receiver(Receiving::new(receiver)),
                None => return,
            };
            let mut link = Link::new(role);
            link.audience = self.shared.config.audience(link.address());
            if self.links.len() <= key.index() {
                self.links.resize_with(key.index() + 1, || None);
            }
            self.links[key.index()] = Some(Box::new(link));
        }
        self.queue(key);
    }

    /// Puts a link into the line of those to look at.
    pub(super) fn queue(&mut self, key: Key) {
        if let Some(link) = self.link_mut(key)
            && !std::mem::replace(&mut link.is_in_line, true)
        {
            self.todo.push_back(key);
        }
    }

    pub(super) fn link_mut(&mut self, key: Key) -> Option<&mut Link> {
        self.links.get_mut(key.index())?.as_deref_mut()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (Key, &Link)> {
        let links = self.links.iter().enumerate();
        links.filter_map(|(index, link)| Some((Key::at(index), link.as_deref()?)))
    }

    /// Looks at every link in the line.
    pub(super) fn work(&mut self, now: Moment) {
        // Those that are put into the line meanwhile have their turn in the next round.
        for _ in 0..self.todo.len() {
            let Some(key) = self.todo.pop_front() else { return };
            // Out of the table while it is looked at, so that it can be used together with the rest.
            let Some(mut link) = self.links.get_mut(key.index()).and_then(Option::take) else { continue };
            link.is_in_line = false;
            let next = self.advance(key, &mut link, now);
            self.arm(key, &mut link);
            match next {
                Next::Stays => self.links[key.index()] = Some(link),
                Next::Failed(error) => {
                    self.links[key.index()] = Some(link);
                    self.link_failed(key, error, now);
                }
                Next::Anew => {
                    self.detach(&link);
                    link.stage = Stage::Waiting;
                    self.links[key.index()] = Some(link);
                    self.queue(key);
                }
                Next::Stalled => {
                    self.links[key.index()] = Some(link);
                    self.link_stalled(key, now);
                }
                Next::Unresponsive(error) => {
                    self.links[key.index()] = Some(link);
                    self.connection_lost(error, now);
                }
                Next::Leaves => {
                    self.detach(&link);
                    self.management.forget(key);
                    self.shared.release(key);
                }
            }
        }
    }

    /// A link failed, or could not be attached.
    pub(super) fn link_failed(&mut self, key: Key, error: Error, now: Moment) {
        self.link_ended(key, error, false, now);
    }

    /// As [`link_failed`](Self::link_failed), or the service let go of it because nothing used it.
    pub(super) fn link_ended(&mut self, key: Key, error: Error, is_idle: bool, now: Moment) {
        let Some(mut link) = self.links.get_mut(key.index()).and_then(Option::take) else { return };
        self.detach(&link);
        let was_live = matches!(link.stage, Stage::Live(_));
        let is_idle = is_idle && was_live;
        let mut error = error;
        // The token may have run out before its renewal got through, earlier than it seemed, or have been taken back: the next one may
        // do. Whoever is refused under that, too, does not have the right.
        if error.kind() == ErrorKind::Unauthorized
            && link.id().is_some()
            && !std::mem::take(&mut link.is_refused)
        {
            self.authorization.refused(&link.audience, now);
            if was_live {
                error = error.with_transient(true);
                // That token has been taken back from all links: what others are refused says nothing about their rights.
                for other in self.links.iter_mut().flatten() {
                    other.is_refused &= other.audience != link.audience;
                }
            } else {
                tracing::info!(link = %link.address(), %error, "link refused, to be tried with a new token");
                link.is_refused = true;
                link.stage = Stage::Waiting;
                self.arm(key, &mut link);
                self.links[key.index()] = Some(link);
                self.queue(key);
                return;
            }
        }
        let retry = &self.shared.config.retry;
        match is_idle {
            true => tracing::debug!(link = %link.address(), %error, "idle link let go"),
            false => tracing::info!(link = %link.address(), %error, was_live, "link lost"),
        }
        if let Role::Receiver(receiving) = &mut link.role {
            // One of the readers that the service counts may be this one's own ghost, on a connection that it has not given up yet.
            let is_ghost = link.was_up && error.kind() == ErrorKind::QuotaExceeded;
            if receiving.lost(&error) || is_ghost {
                error = error.with_transient(true);
            }
        }
        let is_busy = error.kind() == ErrorKind::ServerBusy;
        let delay = link.next_pause(&error, retry, now);
        let is_wanted = link.suffer(&error, retry, now, now + delay);
        if is_idle {
            link.carried();
        }
        let entity = link.address().to_string();
        link.is_told_down = true;
        let cause = (!is_idle).then(|| error.clone());
        self.shared.board.tell(Status::Detached { entity: entity.clone(), cause });
        link.stage = match is_wanted {
            false => Stage::Idle,
            true if delay.is_zero() => Stage::Waiting,
            true => {
                if is_busy {
                    self.shared.board.tell(Status::Throttled { entity, delay });
                }
                Stage::Pausing(now + delay)
            }
        };
        self.arm(key, &mut link);
        self.links[key.index()] = Some(link);
        self.queue(key);
    }

    /// A link went down with its connection; when it is tried again is the connection's matter. `is_idle`: the service closed
    /// the connection because nothing used it, so what had not been sent yet has not failed.
    pub(super) fn link_lost_with_connection(
        &mut self,
        key: Key,
        error: &Error,
        is_idle: bool,
        now: Moment,
        next: Moment,
    ) {
        let shared = self.shared.clone();
        let Some(link) = self.link_mut(key) else { return };
        if is_idle && !matches!(link.stage, Stage::Live(_)) {
            if let Role::Receiver(receiving) = &mut link.role {
                receiving.lost(error);
            }
            link.stage = Stage::Waiting;
            self.queue(key);
            return;
        }
        if let Role::Receiver(receiving) = &mut link.role {
            receiving.lost(error);
        }
        let is_wanted = link.suffer(error, &shared.config.retry, now, next);
        link.stage = if is_wanted { Stage::Waiting } else { Stage::Idle };
        self.queue(key);
    }

    /// The client is closed: the link's callers are told, and the link is not used again.
    pub(super) fn end_link(&mut self, key: Key, error: &Error) {
        let Some(link) = self.link_mut(key) else { return };
        link.stage = Stage::Idle;
        match &mut link.role {
            Role::Sender(sending) => sending.sender.fail_all(error),
            Role::Receiver(receiving) => receiving.fail(error, 0, Failure::Final),
        }
    }

    /// The task is cut off: callers are told; another task may be started by the next call.
    pub(super) fn cut_off(&mut self, error: &Error) {
        for key in self.shared.keys() {
            match self.shared.link(key) {
                Some(Registered::Sender(sender)) => {
                    sender.look();
                    sender.fail_all(error);
                }
                Some(Registered::Receiver(receiver)) => {
                    receiver.look();
                    receiver.failed(receiver.describe(error.clone(), 0), Failure::Passing);
                }
                None => {}
            }
        }
    }

    /// Does for a link what can be done now.
    fn advance(&mut self, key: Key, link: &mut Link, now: Moment) -> Next {
        let is_wanted = match &mut link.role {
            Role::Sender(sending) => {
                if sending.sender.look() {
                    sending.sender.fail_all(&closed());
                    return Next::Leaves;
                }
                if sending.sender.next_deadline().is_some_and(|deadline| deadline <= now) {
                    let is_paused = sending.pause.is_some();
                    let (stage, audience, last) = (link.stage, &link.audience, &link.last_error);
                    let late = || self.late("it could not be sent in time", stage, audience, last, is_paused);
                    if sending.sender.expire(now, &self.shared.config.retry, &late) {
                        return Next::Failed(Error::new(
                            ErrorKind::Timeout,
                            "the service did not answer in time",
                        ));
                    }
                }
                sending.sender.is_wanted()
            }
            Role::Receiver(receiving) => {
                let look = receiving.receiver.look();
                receiving.taken(look.taken);
                if look.is_closing {
                    return Next::Leaves;
                }
                look.is_wanted
            }
        };
        match link.stage {
            Stage::Idle if is_wanted => {
                link.stage = Stage::Waiting;
                link.begins(&self.shared.config.retry, now);
            }
            Stage::Waiting if !is_wanted => link.stage = Stage::Idle,
            _ if is_wanted && link.is_late(now) => {
                let (stage, audience, last) = (link.stage, &link.audience, &link.last_error);
                return Next::Failed(self.late("there is no link yet", stage, audience, last, false));
            }
            Stage::Pausing(until) if until <= now => {
                link.stage = if is_wanted { Stage::Waiting } else { Stage::Idle };
            }
            // A peer that leaves an attach without an answer is not there any more.
            Stage::Attaching(_, until) if until <= now => {
                let message = "the service did not answer the request for a link in time";
                return Next::Unresponsive(Error::new(ErrorKind::Timeout, message));
            }
            _ => {}
        }
        match link.stage {
            Stage::Waiting => self.attach(key, link, now),
            Stage::Live(id) => self.serve(key, link, id, now),
            _ => Next::Stays,
        }
    }

    /// The error of what took too long, which says what it waited for.
    fn late(&self, what: &str, stage: Stage, audience: &str, last: &Option<Error>, is_paused: bool) -> Error {
        if let Some(last) = last {
            return Error::new(ErrorKind::Timeout, format!("{what}: {}", last.message()));
        }
        let has_token = || self.authorization.token(audience).is_some();
        let why = match (&self.line, stage) {
            (Line::Up(wire), _) if wire.opened.is_none() => "the connection is still being opened",
            (Line::Up(_), Stage::Waiting) if !has_token() => "the token has not been granted yet",
            (Line::Up(_), Stage::Live(_)) if is_paused => "the service has asked to slow down",
            (Line::Up(_), Stage::Live(_)) => "the service takes nothing, or the connection is too slow",
            (Line::Up(_), _) => "the service has not granted the link yet",
            (Line::Dialling { .. }, _) => "the connection is still being made",
            _ => "there is no connection",
        };
        Error::new(ErrorKind::Timeout, format!("{what}: {why}"))
    }

    /// Where the partition of a link ends, or what is new there, has been answered, or will not be.
    pub(super) fn told(&mut self, now: Moment) {
        for (key, answer) in std::mem::take(&mut self.management.told) {
            let Some(link) = self.link_mut(key) else { continue };
            if let Role::Receiver(receiving) = &mut link.role {
                if answer.is_none() && receiving.is_unanswered() {
                    // Nothing comes on the link, nothing comes back: what is sent may not arrive at all, though heartbeats do.
                    let partition = receiving.receiver.spec.partition().to_owned();
                    self.shared.board.tell(Status::Stalled { partition });
                    let message = "a partition is silent, and a question about it was not answered";
                    self.connection_lost(Error::new(ErrorKind::Timeout, message), now);
                    return;
                }
                if receiving.is_placing()
                    && let Some(error) = not_placed(&answer)
                {
                    match link.stage {
                        Stage::Waiting => self.link_failed(key, error, now),
                        // Nobody waits for it at present.
                        _ => {
                            receiving.lost(&error);
                        }
                    }
                    continue;
                }
                let answer = answer.and_then(Result::ok);
                receiving.answered(answer.and_then(|reply| PartitionProperties::from_reply(reply).ok()), now);
            }
            self.queue(key);
        }
    }

    /// Asks for a link that is wanted, when connection and token are there.
    fn attach(&mut self, key: Key, link: &mut Link, now: Moment) -> Next {
        let Line::Up(wire) = &mut self.line else { return Next::Stays };
        if wire.opened.is_none() {
            return Next::Stays;
        }
        if let Claim::Pending = self.authorization.claim(&link.audience) {
            return Next::Stays;
        }
        let config = &self.shared.config;
        if let Role::Receiver(receiving) = &mut link.role {
            let until = now + config.retry.attempt_timeout;
            if !receiving.is_placed(|partition| self.management.ask_for(key, partition, until)) {
                return Next::Stays;
            }
        }
        let attach = match &link.role {
            Role::Sender(sending) => sender_attach(&sending.sender, &config.identifier),
            Role::Receiver(receiving) => {
                receiver_attach(&receiving.receiver.spec, &receiving.position(), &config.identifier)
            }
        };
        let id = match wire.attach(attach) {
            Ok(id) => id,
            Err(error) => {
                let message = format!("no further link can be made: {error}");
                return Next::Failed(Error::new(ErrorKind::QuotaExceeded, message).with_transient(true));
            }
        };
        if let Role::Receiver(receiving) = &link.role {
            // Credit goes out with the attach, so that the first events come back with the answer.
            receiving.grant(&mut wire.engine, id);
        }
        self.by_id.insert(id, key);
        link.stage = Stage::Attaching(id, now + config.retry.attempt_timeout);
        Next::Stays
    }

    /// Moves what the link has to move.
    fn serve(&mut self, key: Key, link: &mut Link, id: LinkId, now: Moment) -> Next {
        let Line::Up(wire) = &mut self.line else { return Next::Stays };
        match &mut link.role {
            Role::Sender(sending) => {
                if sending.pause.is_some_and(|pause| pause > now) {
                    return Next::Stays;
                }
                sending.pause = None;
                let limit = wire.engine.max_message_size(id).filter(|limit| *limit > 0);
                let limit = limit.unwrap_or(DEFAULT_MAX_MESSAGE_SIZE);
                match sending.sender.pump(&mut wire.engine, id, limit) {
                    Pumped::Backlog => self.blocked.push(key),
                    Pumped::Lost => return Next::Anew,
                    Pumped::Empty if sending.is_drained => {
                        sending.is_drained = false;
                        wire.engine.drained(id);
                    }
                    Pumped::Empty | Pumped::NoCredit => {}
                }
            }
            Role::Receiver(receiving) => {
                receiving.grant(&mut wire.engine, id);
                match receiving.look(wire.engine.credit(id), now) {
                    Look::Fine => {}
                    Look::Ask => {
                        let config = &self.shared.config;
                        let until = now + config.retry.attempt_timeout.min(config.stall_timeout);
                        self.management.ask_for(key, receiving.receiver.spec.partition(), until);
                    }
                    Look::Stalled => return Next::Stalled,
                }
            }
        }
        Next::Stays
    }

    /// A partition has events that do not arrive: its link is made anew.
    fn link_stalled(&mut self, key: Key, now: Moment) {
        let Some(mut link) = self.links.get_mut(key.index()).and_then(Option::take) else { return };
        self.detach(&link);
        tracing::warn!(link = %link.address(), "events stay away, the link is made anew");
        if let Role::Receiver(receiving) = &link.role {
            let partition = receiving.receiver.spec.partition().to_owned();
            self.shared.board.tell(Status::Stalled { partition });
            receiving.receiver.detached();
        }
        link.stage = Stage::Waiting;
        link.begins(&self.shared.config.retry, now);
        self.links[key.index()] = Some(link);
        self.queue(key);
    }

    /// Lets go of the link in the engine.
    fn detach(&mut self, link: &Link) {
        let Some(id) = link.id() else { return };
        self.by_id.remove(id);
        if let Line::Up(wire) = &mut self.line {
            wire.detach(id);
        }
    }

    fn arm(&mut self, key: Key, link: &mut Link) {
        let Some(deadline) = link.next_deadline() else { return };
        if link.armed.is_none_or(|armed| deadline < armed) {
            link.armed = Some(deadline);
            self.timers.push(Reverse((deadline, key)));
        }
    }
}

/// Why a question where the partition ends has to be asked again. That the token does not reach so far is an answer: it may open the
/// partition and not the hub's properties, and the link does without. A token that is broken says nothing of the kind, and a link that
/// did without would lose what is written while it is down.
fn not_placed(answer: &Option<Result<Reply, Error>>) -> Option<Error> {
    match answer {
        None => Some(Error::new(ErrorKind::Timeout, "the service did not say where the partition ends")),
        Some(Err(error)) if conditions::is_broken_token(error) => Some(error.clone()),
        Some(Err(error)) if error.is_transient() && error.kind() != ErrorKind::Unauthorized => {
            Some(error.clone())
        }
        Some(_) => None,
    }
}

/// What becomes of a link that was looked at.
enum Next {
    Stays,
    /// Its owner has let it go.
    Leaves,
    Failed(Error),
    /// It has to be attached once more, to hear what only the service knows.
    Anew,
    /// Events stay away that are known of.
    Stalled,
    /// The peer does not react to it at all.
    Unresponsive(Error),
}

fn sender_attach(sender: &Sender, identifier: &str) -> Attach {
    let mut desired_capabilities = vec![Symbol::from_static(GEOREPLICATION)];
    let numbering = sender.properties();
    if numbering.is_some() {
        desired_capabilities.push(Symbol::from_static(IDEMPOTENT_PRODUCER));
    }
    Attach {
        snd_settle_mode: Some(UNSETTLED),
        rcv_settle_mode: Some(FIRST),
        source: Some(Source { address: Some(identifier.to_owned()), ..Source::default() }),
        target: Some(Target { address: Some(sender.address.to_string()) }),
        desired_capabilities,
        properties: numbering.unwrap_or_default(),
        ..Attach::new(link_name(identifier), amqp::Role::Sender)
    }
}

fn receiver_attach(spec: &ReceiverSpec, start: &StartPosition, identifier: &str) -> Attach {
    let mut desired_capabilities = vec![Symbol::from_static(GEOREPLICATION)];
    if spec.track_last_enqueued {
        desired_capabilities.push(Symbol::from_static(RECEIVER_RUNTIME_METRIC));
    }
    let mut properties = vec![(Symbol::from_static(RECEIVER_NAME), Value::from(identifier))];
    if let Some(level) = spec.owner_level {
        properties.push((Symbol::from_static(EPOCH), Value::Long(level)));
    }
    Attach {
        snd_settle_mode: Some(SETTLED),
        rcv_settle_mode: Some(FIRST),
        source: Some(Source {
            address: Some(spec.address.to_string()),
            filter: vec![selector::filter(start)],
        }),
        target: Some(Target { address: Some(identifier.to_owned()) }),
        desired_capabilities,
        properties,
        ..Attach::new(link_name(identifier), amqp::Role::Receiver)
    }
}

/// A name that no other link has: two of one name on a connection are one and the same link.
fn link_name(identifier: &str) -> String {
    format!("{identifier}-{:016x}", u64::from_ne_bytes(runtime::random_bytes()))
}
