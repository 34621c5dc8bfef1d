//! The service's side of one client connection.

mod attach;
mod idle;
mod link;
mod publisher;
mod reader;
mod requests;
mod trouble;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use self::idle::Idle;
use self::link::{Link, Links};
use self::trouble::Trouble;
use super::Now;
use super::authorization::Grants;
use super::config::Rights;
use super::faults::{FaultKind, On};
use super::namespace::Namespace;
use super::sync::{Letter, Mailbox};
use crate::amqp::{
    AmqpError, Config, Connection, Event, Limits, LinkId, Open, Outcome, SaslProfile, SessionId,
};
use crate::dialect::conditions::RESOURCE_LIMIT_EXCEEDED;
use crate::model::moment::{Moment, earliest};
use crate::model::value::Timestamp;

/// Events are taken from the logs until this many bytes wait to be written.
const BACKLOG: usize = 256 * 1024;

/// Connections above the limit that are told so before they are closed; further ones are closed at once.
const POLITE_REFUSALS: usize = 64;

/// What the service announces.
const MAX_FRAME_SIZE: u32 = 65_536;
const CHANNEL_MAX: u16 = 4999;
const HANDLE_MAX: u32 = 255;
const SESSION_WINDOW: u32 = 5000;
const IDLE_TIMEOUT: Duration = Duration::from_secs(240);

/// How long opening or closing a connection may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Tells a connection's driver that there is something to do without new input. Called from any thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

/// The service's side of one client connection, without its socket.
///
/// After [`feed`](Self::feed), [`tick`](Self::tick) and each call of the [`Waker`], take
/// [`poll_output`](Self::poll_output) until it is `None`, writing what it gives; then wait for input, the
/// waker, or [`next_deadline`](Self::next_deadline). When [`is_finished`](Self::is_finished), close the socket.
/// Dropping it frees everything that the client held.
pub struct BrokerConnection {
    engine: Connection,
    namespace: Namespace,
    /// Which connection of the namespace this is.
    id: u64,
    mailbox: Arc<Mailbox>,
    /// Memory of the last letters, to be used again.
    letters: Vec<Letter>,
    /// The host that the client asked for.
    host: String,
    grants: Grants,
    /// When the next grant ends.
    grants_end: Option<Moment>,
    links: Links,
    /// Readers that may have something to send, in turn.
    ready: VecDeque<LinkId>,
    /// Publishers whose credit may have to be renewed once all events are handled.
    spent: Vec<LinkId>,
    /// Where the heads of events are put.
    arena: BytesMut,
    idle: Idle,
    trouble: Trouble,
    /// Whether there are too many connections, and the client is to be told so.
    is_surplus: bool,
    is_written_out: bool,
}

/// Why a connection was not taken. The socket can only be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl BrokerConnection {
    /// The service's end of a connection that has just been made.
    ///
    /// # Errors
    /// When the namespace is shut down, or refuses so many connections already that not even a polite answer
    /// can be given.
    pub fn new(namespace: Namespace, waker: Waker, now: Now) -> Result<Self, Refused> {
        namespace.look(now);
        let faults = namespace.faults();
        let is_refused = faults.any()
            && (faults.is_down(now)
                || faults.strike(On::Connect, now, |_, scope| scope.client.is_none()).is_some());
        if is_refused {
            return Err(Refused("a fault refuses new connections".to_owned()));
        }
        let trouble = Trouble::new(faults.clone(), now);
        let mailbox = Arc::new(Mailbox::new(waker));
        let limit = namespace.config().limits.connections;
        let Some((id, connections)) = namespace.join(mailbox.clone()) else {
            return Err(Refused("the namespace is shut down".to_owned()));
        };
        if connections > limit + POLITE_REFUSALS {
            namespace.leave(id);
            return Err(Refused(format!("the namespace has {limit} connections, more are not allowed")));
        }
        let engine = Connection::server(config(&namespace), now.moment);
        Ok(BrokerConnection {
            engine,
            id,
            mailbox,
            letters: Vec::new(),
            host: namespace.config().name.clone(),
            grants: Grants::default(),
            grants_end: None,
            links: Links::default(),
            ready: VecDeque::new(),
            spent: Vec::new(),
            arena: BytesMut::new(),
            idle: Idle::default(),
            trouble,
            is_surplus: connections > limit,
            is_written_out: false,
            namespace,
        })
    }

    /// Takes bytes that arrived.
    pub fn feed(&mut self, bytes: Bytes, now: Now) {
        match self.trouble.is_near() {
            false => self.hear(bytes, now),
            true => self.feed_through(bytes, now),
        }
    }

    /// Bytes to be written; `None` when there is nothing to write now. Events are taken from the logs here, so a
    /// socket that does not drain makes nothing pile up.
    pub fn poll_output(&mut self, now: Now) -> Option<Bytes> {
        if self.trouble.is_near() {
            return self.output_through(now);
        }
        self.read_letters(now);
        self.next_output(now)
    }

    /// When [`tick`](Self::tick) should be called at the latest.
    pub fn next_deadline(&self) -> Option<Moment> {
        let trouble = if self.trouble.is_near() { self.trouble.next_deadline() } else { None };
        if self.trouble.is_dropped {
            return None;
        }
        earliest([self.engine.next_deadline(), self.grants_end, self.idle_deadline(), trouble])
    }

    /// Lets time pass: heartbeats, idle peers, tokens that expire.
    pub fn tick(&mut self, now: Now) {
        let now = self.believed(now);
        if self.trouble.is_near() {
            self.look_in_time(now);
            self.hear_due(now);
        }
        if self.trouble.is_dropped {
            return;
        }
        self.engine.tick(now.moment);
        self.handle_events(now);
        if self.grants_end.is_some_and(|end| now.moment >= end) {
            self.expire_grants(now);
        }
        self.let_idle_go(now);
    }

    /// Whether the connection is over and everything that was to be written has been taken.
    pub fn is_finished(&self) -> bool {
        self.is_written_out
    }

    /// Bytes that wait to be taken by [`poll_output`](Self::poll_output). Events are not taken from the logs without
    /// bound; answers are as many as the client makes necessary.
    pub fn backlog(&self) -> usize {
        self.engine.backlog()
    }

    /// Takes bytes that came through.
    fn hear(&mut self, bytes: Bytes, now: Now) {
        self.engine.feed(bytes, now.moment);
        self.handle_events(now);
    }

    /// Bytes for the client's end.
    fn next_output(&mut self, now: Now) -> Option<Bytes> {
        loop {
            while self.engine.backlog() < BACKLOG {
                let Some(link) = self.ready.pop_front() else { break };
                self.deliver(link, now);
            }
            if let Some(output) = self.engine.poll_output(now.moment) {
                return Some(output);
            }
            // Without output although much is queued, peers hold their windows shut.
            if self.ready.is_empty() || self.engine.backlog() >= BACKLOG {
                break;
            }
        }
        self.is_written_out = self.engine.is_closed();
        None
    }

    fn handle_events(&mut self, now: Now) {
        while let Some(event) = self.engine.poll_event() {
            self.handle(event, now);
            if self.trouble.is_dropped {
                return;
            }
        }
        self.renew_credit();
    }

    fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Closed(reason) => {
                tracing::debug!(connection = self.id, ?reason, "a client's connection is over");
                self.links.clear();
                self.ready.clear();
            }
            _ if self.trouble.is_deaf => {}
            Event::Delivery { link, delivery } => self.receive(link, delivery, now),
            Event::TooLarge { link, .. } => self.spend(link),
            Event::Credit { link, credit, drain } => self.credit(link, credit, drain),
            Event::AttachRequested { link, session, attach } => self.attach(link, session, *attach, now),
            Event::Detached { link, .. } => {
                self.links.remove(link);
                self.idle.links_changed(self.links.is_empty(), now);
            }
            Event::SessionEnded { session, .. } => self.forget_session(session, now),
            Event::Sasl { mechanism, response } => {
                let is_known = mechanism.as_str() != "PLAIN"
                    || self.log_in(response.as_ref().map(|response| &response.0));
                self.engine.sasl_outcome(is_known);
            }
            Event::Opened(open) => self.opened(&open, now),
            _ => {}
        }
    }

    fn opened(&mut self, open: &Open, now: Now) {
        if let Some(host) = open.hostname.as_ref().filter(|host| !host.is_empty()) {
            self.host = host.chars().take(256).collect();
        }
        self.idle.links_changed(true, now);
        self.trouble.client = open.container_id.chars().take(256).collect();
        if self.trouble.faults.any() {
            let client = &self.trouble.client;
            let is_refused = |kind: &FaultKind, scope: &super::faults::FaultScope| {
                matches!(kind, FaultKind::Refuse) && scope.client.is_some() && scope.is_client(client)
            };
            if self.trouble.faults.strike(On::Connect, now, is_refused).is_some() {
                return self.drop_now();
            }
        }
        if self.is_surplus {
            let limit = self.namespace.config().limits.connections;
            let text = format!("The namespace has {limit} connections, more are not allowed.");
            self.engine.close(Some(self.namespace.tracker().error(RESOURCE_LIMIT_EXCEEDED, text, now.unix)));
        }
    }

    /// SASL `PLAIN`: key name and key.
    fn log_in(&mut self, response: Option<&Bytes>) -> bool {
        let response = response.map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
        let mut parts = response.split('\0').skip(1);
        let (Some(key_name), Some(key), None) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let verified = self.namespace.access().verify_key(key_name, key);
        if let Some(verified) = &verified {
            self.grants.put_key(verified);
        }
        verified.is_some()
    }

    fn forget_session(&mut self, session: SessionId, now: Now) {
        self.links.end(session);
        self.idle.links_changed(self.links.is_empty(), now);
    }

    /// Reads what other threads left word of.
    fn read_letters(&mut self, now: Now) {
        let mut letters = std::mem::take(&mut self.letters);
        let mut has_looked = false;
        self.mailbox.take(&mut letters);
        for letter in letters.drain(..) {
            match letter {
                Letter::Ready(link) => self.woken(link),
                Letter::Published { link, delivery_id, outcome } => {
                    self.published(link, delivery_id, outcome, now)
                }
                Letter::Detach { link, error } => self.let_go(link, *error, now),
                Letter::HubGone { hub, error } => {
                    self.let_go_all(|link| link.hub() == Some(hub), &error, now);
                }
                Letter::GroupGone { hub, group, error } => {
                    let is_in = |link: &Link| link.hub() == Some(hub) && link.group() == Some(&*group);
                    self.let_go_all(is_in, &error, now);
                }
                Letter::Close(error) => {
                    if self.trouble.wire.as_ref().is_some_and(|wire| wire.is_silent()) {
                        // Nobody would hear it, and nobody answer.
                        self.drop_now();
                    }
                    self.engine.close(Some(*error));
                }
                Letter::Drop => self.drop_now(),
                Letter::Faults => {
                    self.look(now);
                    has_looked = true;
                }
            }
        }
        self.letters = letters;
        self.handle_events(now);
        if has_looked {
            // It may have left word for this connection, too.
            self.read_letters(now);
        }
    }

    fn let_go_all(&mut self, which: impl Fn(&Link) -> bool, error: &AmqpError, now: Now) {
        let links: Vec<_> = self.links.iter().filter(|(_, link)| which(link)).map(|(id, _)| id).collect();
        links.into_iter().for_each(|link| self.let_go(link, error.clone(), now));
    }

    /// Detaches a link from our side.
    fn let_go(&mut self, link: LinkId, error: AmqpError, now: Now) {
        if self.links.remove(link).is_some() {
            self.engine.detach(link, true, Some(error));
            self.idle.links_changed(self.links.is_empty(), now);
        }
    }

    fn settle(&mut self, link: LinkId, delivery_id: u32, refusal: Option<AmqpError>) {
        let outcome = match refusal {
            Some(error) => Outcome::Rejected(Some(error)),
            None => Outcome::Accepted,
        };
        self.engine.settle(link, delivery_id, outcome);
    }

    /// Checks that `right` is granted on `path` (in lower case).
    fn authorize(&self, path: &str, right: Rights, now: Now) -> Result<(), AmqpError> {
        if self.grants.allow(path, right, now.unix) {
            return Ok(());
        }
        Err(self.namespace.unauthorized(&format!("sb://{}/{path}", self.host), right, now))
    }

    /// Notes when the next grant ends, on the monotonic clock.
    fn watch_grants(&mut self, now: Now) {
        self.grants_end = self.grants.next_expiry().map(|seconds| moment_of(seconds, now));
    }

    fn expire_grants(&mut self, now: Now) {
        if self.grants.expire(now.unix) {
            self.let_unauthorized_go(now);
        }
        self.watch_grants(now);
    }

    /// Detaches the links that need what is no longer granted.
    fn let_unauthorized_go(&mut self, now: Now) {
        {
            let unauthorized: Vec<_> = self
                .links
                .iter()
                .filter_map(|(id, link)| {
                    let (path, right) = link.needs()?;
                    self.authorize(path, right, now).err().map(|error| (id, error))
                })
                .collect();
            unauthorized.into_iter().for_each(|(link, error)| self.let_go(link, error, now));
        }
    }
}

impl Drop for BrokerConnection {
    fn drop(&mut self) {
        self.namespace.leave(self.id);
    }
}

impl Waker {
    /// Calls `wake`, which must be cheap and must not call back into the broker.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Waker(Arc::new(wake))
    }

    /// Wakes the driver.
    pub fn wake(&self) {
        (self.0)();
    }
}

fn config(namespace: &Namespace) -> Config {
    let limits = &namespace.config().limits;
    Config {
        container_id: format!("{}_G0", namespace.tracker().id()),
        hostname: None,
        properties: Vec::new(),
        desired_capabilities: Vec::new(),
        idle_timeout: Some(IDLE_TIMEOUT),
        sasl: SaslProfile::Anonymous,
        limits: Limits {
            max_frame_size: MAX_FRAME_SIZE,
            channel_max: CHANNEL_MAX,
            handle_max: HANDLE_MAX,
            // The broker refuses politely before the engine has to close the connection.
            max_links: limits.links_per_connection + usize::from(CHANNEL_MAX),
            max_message_size: limits.max_message_size,
            max_unfinished_bytes: Limits::default().max_unfinished_bytes,
            session_window: SESSION_WINDOW,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        },
    }
}

/// When the wall clock will show `seconds`. Never at once, so that a clock that lags does not spin.
fn moment_of(seconds: i64, now: Now) -> Moment {
    let end = Timestamp::from_millis(seconds.saturating_mul(1000));
    let millis = end.as_millis().saturating_sub(now.unix.as_millis()).max(1);
    now.moment + Duration::from_millis(millis as u64)
}

impl fmt::Debug for BrokerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConnection")
            .field("id", &self.id)
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}
