//! The task that owns a connection: it reads the socket, drives the engine, serves the letter box and
//! fires timers. Nothing else touches any of these, so there is nothing to lock.
//!
//! Each turn looks at everything once, in this order: letters, socket input, claims, timers, links, questions, socket
//! output. Output comes last so that whatever the turn brought about leaves in one write; reading never waits for
//! writing. The task sleeps when a turn moved nothing, with its waker left wherever something can happen.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::authorization::{Authorization, Claim, Progress};
use super::link::{Link, Stage};
use super::management::Management;
use super::shared::{Key, News, Shared, closed};
use super::status::Status;
use super::wire::{Read, Wire, read_budget};
use super::{jitter, pause};
use crate::amqp::LinkId;
use crate::dialect::conditions;
use crate::error::{Error, ErrorKind};
use crate::model::moment::{Moment, earliest, scaled};
use crate::model::retry::RetryOptions;
use crate::runtime::{self, BoxFuture, DialError, Endpoint, Socket, Timer};

/// Turns before the runtime's other tasks get theirs.
const TURNS: u32 = 16;
/// How long the peer may take to answer our `close`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that lasted this long was a good one: when it breaks, the next is made at once.
pub(super) const GOOD_LIFE: Duration = Duration::from_secs(5);

/// The task of one client.
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) line: Line,
    /// By key.
    pub(super) links: Vec<Option<Box<Link>>>,
    /// By the engine's number of a link.
    pub(super) by_id: ByLink,
    /// Links to look at.
    pub(super) todo: VecDeque<Key>,
    /// Links with something staged for their callers.
    pub(super) touched: Vec<Key>,
    /// Senders that wait for the socket to take something.
    pub(super) blocked: Vec<Key>,
    pub(super) timers: BinaryHeap<Reverse<(Moment, Key)>>,
    timer: Timer,
    pub(super) authorization: Authorization,
    pub(super) management: Management,
    news: News,
    /// Has not looked at anything yet.
    is_new: bool,
    /// Connections in a row that could not be made, or broke soon.
    failed: u32,
    is_finished: bool,
    /// What everything that the task logs is about. A page has no log, and shall not be sent what leads there.
    #[cfg(not(feature = "js"))]
    span: tracing::Span,
}

/// The keys of attached links.
#[derive(Default)]
pub(super) struct ByLink(Vec<Option<(LinkId, Key)>>);

impl ByLink {
    pub(super) fn get(&self, id: LinkId) -> Option<Key> {
        let (known, key) = (*self.0.get(id.index())?)?;
        (known == id).then_some(key)
    }

    pub(super) fn insert(&mut self, id: LinkId, key: Key) {
        if self.0.len() <= id.index() {
            self.0.resize(id.index() + 1, None);
        }
        self.0[id.index()] = Some((id, key));
    }

    pub(super) fn remove(&mut self, id: LinkId) {
        if self.get(id).is_some() {
            self.0[id.index()] = None;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The state of the one connection.
pub(super) enum Line {
    /// There is none; not to be made before the moment.
    Down(Option<Moment>),
    Dialling {
        socket: BoxFuture<'static, Result<Socket, DialError>>,
        until: Moment,
    },
    Up(Box<Wire>),
    /// We have closed it, and wait for the peer to agree, but not for long.
    Closing {
        wire: Box<Wire>,
        has_answered: bool,
        until: Moment,
    },
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Driver {
            #[cfg(not(feature = "js"))]
            span: span(&shared),
            shared,
            line: Line::Down(None),
            links: Vec::new(),
            by_id: ByLink::default(),
            todo: VecDeque::new(),
            touched: Vec::new(),
            blocked: Vec::new(),
            timers: BinaryHeap::new(),
            timer: Timer::default(),
            authorization: Authorization::new(),
            management: Management::new(),
            news: News::default(),
            is_new: true,
            failed: 0,
            is_finished: false,
        }
    }

    fn read_letters(&mut self, cx: &Context<'_>, now: Moment) -> bool {
        if std::mem::take(&mut self.is_new) {
            // Links that were there before, in case that another task ended before this one.
            for key in self.shared.keys() {
                self.admit(key);
            }
        }
        let has_moved = self.shared.read(&mut self.news, cx);
        let mut marked = std::mem::take(&mut self.news.marked);
        for key in marked.drain(..) {
            self.admit(key);
        }
        self.news.marked = marked;
        for request in std::mem::take(&mut self.news.requests) {
            self.management.push(request);
        }
        if self.news.is_closing && !matches!(self.line, Line::Closing { .. }) {
            self.begin_close(now);
        }
        has_moved
    }

    fn drive_line(&mut self, now: Moment, cx: &mut Context<'_>) -> bool {
        match &mut self.line {
            Line::Down(pause) => {
                if pause.is_some_and(|pause| pause > now) || !self.is_connection_wanted() {
                    return false;
                }
                let config = &self.shared.config;
                tracing::debug!("connecting");
                self.shared.board.tell(Status::Connecting { attempt: self.failed + 1 });
                let socket = Box::pin(runtime::dial(config.endpoint.clone(), config.trust.clone()));
                self.line = Line::Dialling { socket, until: now + config.connect_timeout };
                true
            }
            Line::Dialling { socket, until } => {
                let until = *until;
                match socket.as_mut().poll(cx) {
                    Poll::Ready(Ok(socket)) => {
                        let handshake = until - now;
                        let wire = Wire::new(socket, &self.shared.config, handshake, now);
                        self.line = Line::Up(Box::new(wire));
                    }
                    Poll::Ready(Err(error)) => {
                        let error = dial_error(&self.shared.config.endpoint, &error);
                        self.connection_lost(error, now);
                    }
                    Poll::Pending if now >= until => {
                        let waited = self.shared.config.connect_timeout.as_millis() as u64;
                        let endpoint = &self.shared.config.endpoint;
                        let message = format!("{endpoint}: no connection was made within {waited} ms");
                        self.connection_lost(Error::new(ErrorKind::Timeout, message), now);
                    }
                    Poll::Pending => return false,
                }
                true
            }
            Line::Up(_) | Line::Closing { .. } => self.read(now, cx),
        }
    }

    fn read(&mut self, now: Moment, cx: &mut Context<'_>) -> bool {
        let mut budget = read_budget();
        let mut has_moved = false;
        let ended = loop {
            let (Line::Up(wire) | Line::Closing { wire, .. }) = &mut self.line else { break None };
            if wire.engine.next_deadline().is_some_and(|deadline| deadline <= now) {
                wire.engine.tick(now);
            }
            match wire.read(&mut budget, now, cx) {
                Ok(Read::Some) => has_moved = true,
                Ok(Read::Pending) => break None,
                Ok(Read::End) => break Some(ended()),
                Err(error) => break Some(runtime::broken(error, conditions::io_error)),
            }
            self.handle_events(now);
        };
        self.handle_events(now);
        self.hand_over();
        if let Some(error) = ended {
            self.connection_lost(error, now);
            return true;
        }
        has_moved || budget == 0
    }

    fn drive_claims(&mut self, now: Moment, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        loop {
            let Line::Up(wire) = &mut self.line else { return has_moved };
            if wire.opened.is_none() {
                return has_moved;
            }
            let Ok(session) = wire.first_session() else { return has_moved };
            let config = &self.shared.config;
            let Some(progress) = self.authorization.drive(&mut wire.engine, session, config, now, cx) else {
                return has_moved;
            };
            has_moved = true;
            self.claimed(progress, now);
        }
    }

    /// Something came of a put-token.
    pub(super) fn claimed(&mut self, progress: Progress, now: Moment) {
        let (audience, error) = match progress {
            Progress::Granted(audience, expires_at) => {
                self.shared.board.tell(Status::TokenRefreshed { audience: audience.clone(), expires_at });
                (audience, None)
            }
            Progress::Failed(audience, error, retry_in) => {
                let (audience, cause) = (audience, error.clone());
                let told = audience.clone();
                self.shared.board.tell(Status::TokenRefreshFailed { audience: told, cause, retry_in });
                (audience, Some(error))
            }
            Progress::Silent(audience, error) => {
                let cause = error.clone();
                self.shared.board.tell(Status::TokenRefreshFailed { audience, cause, retry_in: None });
                return self.connection_lost(error, now);
            }
        };
        if error.is_some() && self.authorization.token(&audience).is_some() {
            // A renewal failed; what is granted lasts a while, and the next attempt is planned.
            return;
        }
        let waiting: Vec<Key> = self
            .keys()
            .filter(|(_, link)| link.stage == Stage::Waiting && link.audience == audience)
            .map(|(key, _)| key)
            .collect();
        for key in waiting {
            match &error {
                Some(error) => self.link_failed(key, error.clone(), now),
                None => self.queue(key),
            }
        }
        if let Some(error) = error.filter(|_| audience == self.shared.config.hub_audience()) {
            self.management.interrupted(&error, &self.shared.config, now);
        }
    }

    fn drive_management(&mut self, now: Moment) {
        if self.management.is_unanswered(now) && matches!(self.line, Line::Up(_)) {
            // As with a link that is not granted: whoever says nothing for so long is not there any more, or does not hear.
            let message = "the service did not answer in time";
            self.connection_lost(Error::new(ErrorKind::Timeout, message), now);
            return;
        }
        if self.management.next_deadline(now).is_some_and(|deadline| deadline <= now) {
            let is_unanswered = self.management.expire(now, &self.shared.config);
            if let (true, Line::Up(wire)) = (is_unanswered, &mut self.line) {
                self.management.links.close(&mut wire.engine);
            }
        }
        if !self.management.has_questions(now) {
            return;
        }
        let Line::Up(wire) = &mut self.line else { return };
        if wire.opened.is_none() {
            return;
        }
        let config = &self.shared.config;
        let audience = config.hub_audience();
        if let (Claim::Granted, Ok(session)) = (self.authorization.claim(&audience), wire.first_session()) {
            let token = self.authorization.token(&audience).unwrap_or_default();
            self.management.links.open(&mut wire.engine, session, &config.identifier);
            self.management.ask(&mut wire.engine, config, &token, now);
        }
    }

    fn fire_timers(&mut self, now: Moment) {
        while let Some(&Reverse((moment, key))) = self.timers.peek() {
            if moment > now {
                return;
            }
            self.timers.pop();
            if let Some(link) = self.link_mut(key) {
                link.armed = None;
            }
            self.queue(key);
        }
    }

    fn write(&mut self, now: Moment, cx: &mut Context<'_>) -> bool {
        let (Line::Up(wire) | Line::Closing { wire, .. }) = &mut self.line else { return false };
        match wire.write(now, cx) {
            Ok(has_moved) => {
                if has_moved && !self.blocked.is_empty() {
                    for key in std::mem::take(&mut self.blocked) {
                        self.queue(key);
                    }
                }
                has_moved
            }
            Err(error) => {
                self.connection_lost(runtime::broken(error, conditions::io_error), now);
                true
            }
        }
    }

    /// The connection is gone, or could not be made.
    pub(super) fn connection_lost(&mut self, error: Error, now: Moment) {
        self.connection_ended(error, false, now);
    }

    /// As [`connection_lost`](Self::connection_lost), or the service closed it because nothing used it, which is no failure.
    pub(super) fn connection_ended(&mut self, error: Error, is_idle: bool, now: Moment) {
        if let Line::Closing { has_answered, .. } = &mut self.line {
            *has_answered = true;
            return;
        }
        let opened = match &self.line {
            Line::Up(wire) => wire.opened,
            _ => None,
        };
        let had_good_life = opened.is_some_and(|opened| now - opened >= GOOD_LIFE);
        // One that is closed as idle at once, again and again, is to be waited for as any other.
        let is_idle = is_idle && (had_good_life || self.failed == 0);
        self.failed = if had_good_life { 0 } else { self.failed + 1 };
        let delay = match self.failed {
            0 => Duration::ZERO,
            _ if is_idle => Duration::ZERO,
            failed => reconnect_pause(&self.shared.config.retry, failed, &error),
        };
        let endpoint = &self.shared.config.endpoint;
        match is_idle {
            true => tracing::debug!(%endpoint, %error, "idle connection closed"),
            false => tracing::warn!(%endpoint, %error, ?delay, "connection lost"),
        }
        let cause = (!is_idle).then(|| error.clone());
        if opened.is_some() {
            self.shared.board.tell(Status::Disconnected { cause: cause.clone() });
        }
        if let Line::Up(wire) = std::mem::replace(&mut self.line, Line::Down(Some(now + delay))) {
            wire.say_goodbye();
        }
        self.by_id.clear();
        self.blocked.clear();
        self.authorization.reset();
        self.management.links.reset();
        match is_idle {
            true => self.management.unanswered(&error, &self.shared.config, now),
            false => self.management.interrupted(&error, &self.shared.config, now),
        }
        // What links asked concerns links that are gone.
        self.management.told.clear();
        let affected: Vec<Key> = self
            .keys()
            .filter(|(_, link)| !matches!(link.stage, Stage::Idle | Stage::Pausing(_)))
            .map(|(key, _)| key)
            .collect();
        for key in affected {
            self.link_lost_with_connection(key, &error, is_idle, now, now + delay);
        }
        match cause {
            Some(cause) if self.is_connection_wanted() => {
                let attempt = self.failed + 1;
                self.shared.board.tell(Status::Reconnecting { attempt, delay, cause });
            }
            Some(cause) if opened.is_none() => {
                self.shared.board.tell(Status::Disconnected { cause: Some(cause) });
            }
            _ => {}
        }
    }

    fn begin_close(&mut self, now: Moment) {
        let error = closed();
        self.management.fail_all(&error);
        for key in self.keys().map(|(key, _)| key).collect::<Vec<_>>() {
            self.end_link(key, &error);
        }
        self.line = match std::mem::replace(&mut self.line, Line::Down(None)) {
            Line::Up(mut wire) => {
                wire.engine.close(None);
                Line::Closing { wire, has_answered: false, until: now + CLOSE_TIMEOUT }
            }
            line => line,
        };
        self.is_finished = !matches!(self.line, Line::Closing { .. });
    }

    /// Whether closing has come to its end.
    fn poll_closed(&mut self, now: Moment, cx: &mut Context<'_>) -> bool {
        match &mut self.line {
            Line::Closing { wire, has_answered, until } => {
                now >= *until || (*has_answered && wire.poll_close(cx).is_ready())
            }
            _ => self.is_finished,
        }
    }

    fn is_connection_wanted(&self) -> bool {
        self.management.is_wanted() || self.keys().any(|(_, link)| link.stage == Stage::Waiting)
    }

    fn next_deadline(&self, now: Moment) -> Option<Moment> {
        let (line, claims) = match &self.line {
            Line::Down(pause) => (pause.filter(|_| self.is_connection_wanted()), None),
            Line::Dialling { until, .. } => (Some(*until), None),
            Line::Up(wire) => (wire.engine.next_deadline(), self.authorization.next_deadline()),
            Line::Closing { until, .. } => (Some(*until), None),
        };
        let links = self.timers.peek().map(|Reverse((moment, _))| *moment);
        earliest([line, claims, links, self.management.next_deadline(now)])
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        #[cfg(not(feature = "js"))]
        let span = this.span.clone();
        #[cfg(not(feature = "js"))]
        let _entered = span.enter();
        for _ in 0..TURNS {
            let now = runtime::now();
            let mut has_moved = this.read_letters(cx, now);
            has_moved |= this.drive_line(now, cx);
            has_moved |= this.drive_claims(now, cx);
            this.told(now);
            this.fire_timers(now);
            this.work(now);
            this.drive_management(now);
            has_moved |= this.write(now, cx);
            if this.poll_closed(now, cx) {
                this.is_finished = true;
                return Poll::Ready(());
            }
            // A claim that a link or question has just made is for the next turn.
            let has_claims = matches!(this.line, Line::Up(_)) && this.authorization.has_work();
            let has_told = !this.management.told.is_empty();
            if has_moved || has_claims || has_told || !this.todo.is_empty() {
                continue;
            }
            match this.next_deadline(now) {
                Some(deadline) if this.timer.poll_until(deadline, cx).is_ready() => {}
                _ => return Poll::Pending,
            }
        }
        runtime::give_way(cx);
        Poll::Pending
    }
}

impl Drop for Driver {
    /// Also when the runtime is shut down under the client: nobody is left waiting.
    fn drop(&mut self) {
        self.shared.task_ended(self.is_finished);
        if self.is_finished {
            return;
        }
        let message = "the runtime that the client's connection ran on was shut down";
        let error = Error::new(ErrorKind::Closed, message);
        self.shared.board.tell(Status::Disconnected { cause: Some(error.clone()) });
        self.management.fail_all(&error);
        self.cut_off(&error);
    }
}

#[cfg(not(feature = "js"))]
fn span(shared: &Shared) -> tracing::Span {
    let config = &shared.config;
    tracing::info_span!(
        "connection",
        endpoint = %config.endpoint,
        hub = config.hub,
        client = config.identifier
    )
}

/// How long the connection stays down after `failed` attempts in a row. Shorter than an operation's pauses may get: whoever reads waits
/// for it without end, and a service that was away for a while is to be noticed soon after its return. Clients do not come back
/// together all the same, for they differ in jitter.
fn reconnect_pause(retry: &RetryOptions, failed: u32, error: &Error) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    let retry = RetryOptions { max_delay: retry.max_delay.min(LONGEST), ..retry.clone() };
    // Not all of them at the end of those five seconds, either.
    let share = 1.0 - retry.jitter.clamp(0.0, 1.0) * jitter();
    match error.kind() {
        ErrorKind::ServerBusy => pause(&retry, failed, error),
        _ => scaled(pause(&retry, failed, error), share),
    }
}

fn dial_error(endpoint: &Endpoint, error: &DialError) -> Error {
    let message = format!("{endpoint}: {error}");
    Error::new(ErrorKind::ConnectFailed, message).with_transient(error.transient)
}

fn ended() -> Error {
    Error::new(ErrorKind::ConnectionLost, "the service closed the connection without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_was_away_for_long_is_found_again_soon() {
        let lost = Error::new(ErrorKind::ConnectFailed, "nothing listens there");
        let retry = RetryOptions::default();
        for failed in 1..40 {
            let pause = reconnect_pause(&retry, failed, &lost);
            assert!(pause <= Duration::from_secs(5), "{failed}: {pause:?}");
            assert!(failed < 4 || pause >= Duration::from_secs(3), "{failed}: {pause:?}");
        }
        // What the user or the service wants to be longer or shorter stays so.
        let quick = RetryOptions { max_delay: Duration::from_millis(10), ..RetryOptions::default() };
        assert!(reconnect_pause(&quick, 9, &lost) <= Duration::from_millis(10));
        let busy = Error::new(ErrorKind::ServerBusy, "").with_retry_after(Some(Duration::from_secs(30)));
        assert!(reconnect_pause(&retry, 1, &busy) >= Duration::from_secs(30));
    }
}
