//! Keeps the connection's claims: which audiences have a token, and when each needs the next.
//!
//! The service allows one pair of `$cbs` links per connection and one request at a time on it, so requests
//! stand in line. A token is renewed well before it expires; when that fails it is tried until it works, and
//! the links stay up as long as the old token lasts.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::config::Config;
use super::credential::{AccessToken, TokenKind};
use super::request::RequestLinks;
use super::{jitter, pause};
use crate::amqp::{Connection, LinkId, SessionId};
use crate::dialect::cbs;
use crate::error::{Error, ErrorKind};
use crate::model::moment::{Moment, scaled};
use crate::model::value::Timestamp;

/// The share of a token's life after which it is renewed, and how much that is moved at random so that links
/// that began together do not renew together.
const RENEW_AFTER: f64 = 0.8;
const RENEW_JITTER: f64 = 0.1;

/// The claims of one connection.
pub(super) struct Authorization {
    pub(super) links: RequestLinks,
    /// One for each audience: a hub and its consumer groups.
    grants: Vec<Grant>,
    /// Audiences that need a token, in the order in which they asked.
    line: VecDeque<String>,
    step: Step,
}

/// Whether an audience has a token.
pub(super) enum Claim {
    Granted,
    /// Its turn comes; the driver hears of it.
    Pending,
}

/// What came of a put-token.
pub(super) enum Progress {
    /// The audience, and when its token expires.
    Granted(String, Timestamp),
    /// Nothing was granted; the links that waited for it fail with the error. The time after which it is tried again, where
    /// nobody has to ask for it.
    Failed(String, Error, Option<Duration>),
}

struct Grant {
    audience: String,
    token: Option<AccessToken>,
    renew_at: Option<Moment>,
    /// Renewals that failed in a row.
    failed: u32,
    is_in_line: bool,
}

enum Step {
    Idle,
    /// The token is being made.
    Fetching {
        audience: String,
        token: BoxFuture<'static, Result<AccessToken, Error>>,
        until: Moment,
    },
    /// The service looks at it.
    Putting {
        audience: String,
        token: AccessToken,
        id: u64,
        until: Moment,
    },
}

impl Authorization {
    pub(super) fn new() -> Self {
        Authorization {
            links: RequestLinks::new("$cbs"),
            grants: Vec::new(),
            line: VecDeque::new(),
            step: Step::Idle,
        }
    }

    /// Forgets everything: the connection is gone.
    pub(super) fn reset(&mut self) {
        self.links.reset();
        self.grants.clear();
        self.line.clear();
        self.step = Step::Idle;
    }

    /// Whether somebody stands in line and nobody is being served.
    pub(super) fn has_work(&self) -> bool {
        matches!(self.step, Step::Idle) && !self.line.is_empty()
    }

    /// Whether `audience` has a token; gets one when it has none.
    pub(super) fn claim(&mut self, audience: &str) -> Claim {
        match self.grant(audience) {
            Some(grant) if grant.token.is_some() => return Claim::Granted,
            Some(_) => return Claim::Pending,
            None => {}
        }
        let audience = audience.to_owned();
        self.line.push_back(audience.clone());
        self.grants.push(Grant { audience, token: None, renew_at: None, failed: 0, is_in_line: true });
        Claim::Pending
    }

    /// The text of the token that `audience` has.
    pub(super) fn token(&self, audience: &str) -> Option<String> {
        Some(self.grant(audience)?.token.as_ref()?.text().to_owned())
    }

    /// The service does not honour the token any more.
    pub(super) fn revoke(&mut self, audience: &str) {
        self.grants.retain(|grant| grant.audience != audience || grant.is_in_line);
    }

    /// When [`drive`](Self::drive) should be called.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let step = match &self.step {
            Step::Idle => None,
            Step::Fetching { until, .. } | Step::Putting { until, .. } => Some(*until),
        };
        let renewals =
            self.grants.iter().filter(|grant| !grant.is_in_line).filter_map(|grant| grant.renew_at);
        renewals.chain(step).min()
    }

    /// Goes on with the line. What came of one step is returned; call until nothing does.
    pub(super) fn drive(
        &mut self,
        engine: &mut Connection,
        session: SessionId,
        config: &Config,
        now: Moment,
        cx: &mut Context<'_>,
    ) -> Option<Progress> {
        self.renew_due(now);
        if let Step::Idle = self.step {
            let audience = self.line.pop_front()?;
            self.links.open(engine, session, &config.identifier);
            let until = now + config.retry.attempt_timeout;
            let token = config.tokens.token(&audience);
            self.step = Step::Fetching { audience, token, until };
        }
        match &mut self.step {
            Step::Fetching { audience, token, until } => {
                let token = match token.as_mut().poll(cx) {
                    Poll::Pending if now < *until => return None,
                    Poll::Pending => Err(late("the token provider did not give a token in time")),
                    Poll::Ready(token) => token,
                };
                let audience = std::mem::take(audience);
                let until = now + config.retry.attempt_timeout;
                self.step = Step::Idle;
                let (token, (id, caller)) = match (token, self.links.next_caller()) {
                    (Ok(token), Some(caller)) => (token, caller),
                    (Ok(_), None) => {
                        return Some(self.failed(audience, late("the link to '$cbs' is gone"), config, now));
                    }
                    (Err(error), _) => return Some(self.failed(audience, error, config, now)),
                };
                let request = cbs::Request {
                    caller,
                    token_type: match token.kind() {
                        TokenKind::Sas => cbs::TokenType::Sas,
                        TokenKind::Jwt => cbs::TokenType::Jwt,
                    },
                    audience: audience.clone(),
                    token: token.text().to_owned(),
                    expiration: Some(token.expires()),
                };
                self.links.send(engine, request.encode());
                self.step = Step::Putting { audience, token, id, until };
                None
            }
            Step::Putting { audience, until, .. } if now >= *until => {
                let audience = std::mem::take(audience);
                self.step = Step::Idle;
                // An answer that still comes must not be taken for the next one's.
                self.links.close(engine);
                Some(self.failed(audience, late("the service did not answer the token in time"), config, now))
            }
            _ => None,
        }
    }

    /// A reply arrived on `$cbs`.
    pub(super) fn answered(&mut self, payload: &Bytes, config: &Config, now: Moment) -> Option<Progress> {
        let (id, reply) = match RequestLinks::reply(payload) {
            Ok((id, reply)) => (id, reply.into_body().map(drop)),
            Err(error) => (None, Err(error)),
        };
        let Step::Putting { id: awaited, .. } = &self.step else { return None };
        if id.is_some_and(|id| id != *awaited) {
            return None;
        }
        let Step::Putting { audience, token, .. } = std::mem::replace(&mut self.step, Step::Idle) else {
            return None;
        };
        match reply {
            Ok(()) => Some(self.granted(audience, token, config, now)),
            Err(error) => Some(self.failed(audience, error, config, now)),
        }
    }

    /// One of the two links is gone.
    pub(super) fn detached(
        &mut self,
        engine: &mut Connection,
        link: LinkId,
        error: Error,
        config: &Config,
        now: Moment,
    ) -> Option<Progress> {
        self.links.detached(engine, link);
        self.lost(error, config, now)
    }

    /// The links are gone, with their session.
    pub(super) fn lost(&mut self, error: Error, config: &Config, now: Moment) -> Option<Progress> {
        self.links.reset();
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => None,
            Step::Fetching { audience, .. } | Step::Putting { audience, .. } => {
                Some(self.failed(audience, error, config, now))
            }
        }
    }

    fn grant(&self, audience: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.audience == audience)
    }

    fn renew_due(&mut self, now: Moment) {
        for grant in &mut self.grants {
            if !grant.is_in_line && grant.renew_at.is_some_and(|at| at <= now) {
                grant.is_in_line = true;
                self.line.push_back(grant.audience.clone());
            }
        }
    }

    fn granted(&mut self, audience: String, token: AccessToken, config: &Config, now: Moment) -> Progress {
        let life = token.remaining();
        let expires = token.expires();
        let share = RENEW_AFTER + RENEW_JITTER * (jitter() - 0.5);
        let renew_at = config.tokens.can_renew().then(|| now + scaled(life, share).max(MIN_RENEWAL));
        tracing::debug!(audience, life_seconds = life.as_secs(), "token granted");
        self.grants.retain(|grant| grant.audience != audience);
        self.grants.push(Grant {
            audience: audience.clone(),
            token: Some(token),
            renew_at,
            failed: 0,
            is_in_line: false,
        });
        Progress::Granted(audience, expires)
    }

    fn failed(&mut self, audience: String, error: Error, config: &Config, now: Moment) -> Progress {
        let error = error.with_operation("authorize for").with_entity(audience.clone());
        match self.grants.iter_mut().find(|grant| grant.audience == audience) {
            Some(grant) if grant.token.is_some() => {
                grant.failed += 1;
                grant.is_in_line = false;
                let delay = pause(&config.retry, grant.failed, &error);
                grant.renew_at = Some(now + delay);
                tracing::warn!(audience, %error, failed = grant.failed, ?delay, "a token could not be renewed");
                Progress::Failed(audience, error, Some(delay))
            }
            _ => {
                self.grants.retain(|grant| grant.audience != audience);
                Progress::Failed(audience, error, None)
            }
        }
    }
}

/// However short a token's life is, it is not renewed more often.
const MIN_RENEWAL: Duration = Duration::from_millis(200);

fn late(message: &str) -> Error {
    Error::new(ErrorKind::Timeout, message)
}
