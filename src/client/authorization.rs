//! Keeps the connection's claims: which audiences have a token, and when each needs the next.
//!
//! The service allows one pair of `$cbs` links per connection and one request at a time on it, so tokens
//! stand in line there; they are made side by side, for whoever makes them may take long. A token is renewed well before it expires; when that fails it is tried until it works, and
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
    making: Vec<Making>,
    /// What is to be put next.
    made: VecDeque<(String, AccessToken)>,
    putting: Option<Putting>,
    /// How much earlier than its end by this machine's clock the service stopped honouring a token, at most so far. Kept across
    /// connections: clocks that differ go on to.
    early: Duration,
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
    /// Nothing was granted, because nobody answered: nothing works on this connection, and nothing will.
    Silent(String, Error),
}

struct Grant {
    audience: String,
    token: Option<AccessToken>,
    since: Moment,
    renew_at: Option<Moment>,
    /// Renewals that failed in a row.
    failed: u32,
    is_in_line: bool,
    /// How long the token was good for by the clock here when it was granted.
    life: Duration,
}

/// A token that is being made.
struct Making {
    audience: String,
    token: BoxFuture<'static, Result<AccessToken, Error>>,
    until: Moment,
}

/// A token that the service looks at.
struct Putting {
    audience: String,
    token: AccessToken,
    id: u64,
    until: Moment,
}

impl Authorization {
    pub(super) fn new() -> Self {
        Authorization {
            links: RequestLinks::new("$cbs"),
            grants: Vec::new(),
            line: VecDeque::new(),
            making: Vec::new(),
            made: VecDeque::new(),
            putting: None,
            early: Duration::ZERO,
        }
    }

    /// Forgets every grant: the connection is gone.
    pub(super) fn reset(&mut self) {
        self.links.reset();
        self.grants.clear();
        self.line.clear();
        self.making.clear();
        self.made.clear();
        self.putting = None;
    }

    /// Whether [`drive`](Self::drive) would find something to do at once.
    pub(super) fn has_work(&self) -> bool {
        !self.line.is_empty() || self.putting.is_none() && !self.made.is_empty()
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
        self.grants.push(Grant {
            audience,
            token: None,
            since: Moment::ORIGIN,
            renew_at: None,
            failed: 0,
            is_in_line: true,
            life: Duration::ZERO,
        });
        Claim::Pending
    }

    /// The text of the token that `audience` has.
    pub(super) fn token(&self, audience: &str) -> Option<String> {
        Some(self.grant(audience)?.token.as_ref()?.text().to_owned())
    }

    /// The service refuses what the token of `audience` should allow: it has run out, was taken back, or never allowed it. Which of
    /// these, another token tells, which the next claim waits for.
    pub(super) fn refused(&mut self, audience: &str, now: Moment) {
        let Some(at) = self.grants.iter().position(|grant| grant.audience == audience) else { return };
        let grant = &mut self.grants[at];
        if let Some(token) = &grant.token
            && now - grant.since >= OLD.min(grant.life / 2)
        {
            // It is still good by the clock here: that clock is slow, or the service's is fast.
            self.early = self.early.max(token.remaining());
        }
        match grant.is_in_line {
            true => grant.token = None,
            false => drop(self.grants.remove(at)),
        }
    }

    /// When [`drive`](Self::drive) should be called.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let steps = self.making.iter().map(|making| making.until);
        let steps = steps.chain(self.putting.as_ref().map(|putting| putting.until));
        let renewals =
            self.grants.iter().filter(|grant| !grant.is_in_line).filter_map(|grant| grant.renew_at);
        renewals.chain(steps).min()
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
        for audience in self.line.drain(..) {
            self.links.open(engine, session, &config.identifier);
            let until = now + config.retry.attempt_timeout;
            let token = config.tokens.token(&audience);
            self.making.push(Making { audience, token, until });
        }
        if let Some((audience, error)) = self.make(now, cx) {
            return Some(self.failed(audience, error, config, now));
        }
        if let Some(Putting { audience, .. }) = self.putting.take_if(|putting| now >= putting.until) {
            // An answer that still comes must not be taken for the next one's.
            self.links.close(engine);
            let error = late("the service did not answer the token in time");
            return Some(match self.failed(audience, error, config, now) {
                Progress::Failed(audience, error, None) => Progress::Silent(audience, error),
                progress => progress,
            });
        }
        if self.putting.is_some() {
            return None;
        }
        let (audience, token) = self.made.pop_front()?;
        self.links.open(engine, session, &config.identifier);
        let Some((id, caller)) = self.links.next_caller() else {
            return Some(self.failed(audience, late("there is no link to '$cbs'"), config, now));
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
        let until = now + config.retry.attempt_timeout;
        self.putting = Some(Putting { audience, token, id, until });
        None
    }

    /// Goes on with the tokens that are being made; the first that cannot be.
    fn make(&mut self, now: Moment, cx: &mut Context<'_>) -> Option<(String, Error)> {
        let mut at = 0;
        while let Some(making) = self.making.get_mut(at) {
            let token = match making.token.as_mut().poll(cx) {
                Poll::Pending if now < making.until => {
                    at += 1;
                    continue;
                }
                Poll::Pending => Err(late("the token provider did not give a token in time")),
                Poll::Ready(token) => token,
            };
            let audience = self.making.remove(at).audience;
            match token {
                Ok(token) => self.made.push_back((audience, token)),
                Err(error) => return Some((audience, error)),
            }
        }
        None
    }

    /// A reply arrived on `$cbs`.
    pub(super) fn answered(&mut self, payload: &Bytes, config: &Config, now: Moment) -> Option<Progress> {
        let (id, reply) = match RequestLinks::reply(payload) {
            Ok((id, reply)) => (id, reply.into_body().map(drop)),
            Err(error) => (None, Err(error)),
        };
        let Putting { audience, token, .. } =
            self.putting.take_if(|putting| id.is_none_or(|id| id == putting.id))?;
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
        let Putting { audience, .. } = self.putting.take()?;
        Some(self.failed(audience, error, config, now))
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
        if life.is_zero() {
            tracing::warn!(
                audience,
                "the service takes a token that has expired by this machine's clock, which is fast"
            );
        }
        let renew_at = config.tokens.can_renew().then(|| now + renewal(life, self.early, jitter()));
        tracing::debug!(audience, life_seconds = life.as_secs(), "token granted");
        self.grants.retain(|grant| grant.audience != audience);
        self.grants.push(Grant {
            audience: audience.clone(),
            token: Some(token),
            since: now,
            renew_at,
            failed: 0,
            is_in_line: false,
            life,
        });
        Progress::Granted(audience, expires)
    }

    fn failed(&mut self, audience: String, error: Error, config: &Config, now: Moment) -> Progress {
        let error = error.with_operation("authorize for").with_entity(audience.clone());
        match self.grants.iter_mut().find(|grant| grant.audience == audience) {
            // While the old token lasts; one that was never good by the clock here may last for ever.
            Some(grant)
                if grant
                    .token
                    .as_ref()
                    .is_some_and(|token| grant.life.is_zero() || !token.remaining().is_zero()) =>
            {
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
/// When to renew a token that the service takes although its life is over by the clock here: nobody knows how long it really lasts.
const UNKNOWN_LIFE: Duration = Duration::from_secs(60);
/// A grant of this age may have ended unnoticed.
const OLD: Duration = Duration::from_secs(30);

/// How long after it was granted a token is renewed that lasts for `life` by the clock here, where others ended `early`.
fn renewal(life: Duration, early: Duration, random: f64) -> Duration {
    if life.is_zero() {
        return UNKNOWN_LIFE;
    }
    let share = RENEW_AFTER + RENEW_JITTER * (random - 0.5);
    scaled(life - early.min(life / 2), share).max(MIN_RENEWAL)
}

fn late(message: &str) -> Error {
    Error::new(ErrorKind::Timeout, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn tokens_are_renewed_well_before_they_end_and_not_all_at_once() {
        let (first, last) = (renewal(HOUR, Duration::ZERO, 0.0), renewal(HOUR, Duration::ZERO, 1.0));
        assert!(first >= HOUR * 7 / 10 && last <= HOUR * 9 / 10 && first < last, "{first:?} {last:?}");
    }

    #[test]
    fn a_clock_that_differs_makes_no_storm_of_renewals() {
        // The service takes what has expired here.
        assert!(renewal(Duration::ZERO, Duration::ZERO, 0.5) >= Duration::from_secs(30));
        // Tokens ended 20 minutes before their time: they are renewed before that, but never all the time.
        let early = Duration::from_secs(1200);
        assert!(renewal(HOUR, early, 1.0) < HOUR - early);
        assert!(renewal(HOUR, HOUR * 24, 0.0) > HOUR / 3);
        assert_eq!(renewal(Duration::from_millis(1), Duration::ZERO, 0.5), MIN_RENEWAL);
    }
}
