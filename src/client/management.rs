//! Reading the properties of the hub and its partitions.

use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;

use super::config::Config;
use super::pause;
use super::request::RequestLinks;
use super::shared::{Key, Shared};
use crate::amqp::Connection;
use crate::dialect::management;
use crate::dialect::rpc::Reply;
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::runtime;

/// A question that a caller waits for.
pub(super) struct Request {
    /// The partition asked about; `None`: the hub.
    partition: Option<String>,
    answer: Answer,
    failed: u32,
    attempt_ends: Moment,
    ends: Option<Moment>,
    /// Not to be asked before.
    pause: Option<Moment>,
}

/// Who waits for an answer.
enum Answer {
    Caller(oneshot::Sender<Result<Reply, Error>>),
    /// The connection's task itself, for one of its links. Asked once: it can do without.
    Link(Key),
}

/// The questions of one client.
pub(super) struct Management {
    pub(super) links: RequestLinks,
    /// Answers for the connection's task; `None`: the question was sent, and nothing came back.
    pub(super) told: Vec<(Key, Option<Result<Reply, Error>>)>,
    waiting: Vec<Request>,
    /// By the id of the question, ascending.
    asked: Vec<(u64, Request)>,
}

/// Asks, and waits for the answer.
pub(super) async fn ask(shared: &std::sync::Arc<Shared>, partition: Option<&str>) -> Result<Reply, Error> {
    let (answer, answered) = oneshot::channel();
    let retry = &shared.config.retry;
    let now = runtime::now();
    let ends = retry.total_deadline.map(|total| now + total);
    let attempt_ends = now + retry.attempt_timeout;
    let request = Request {
        partition: partition.map(str::to_owned),
        answer: Answer::Caller(answer),
        failed: 0,
        attempt_ends: ends.map_or(attempt_ends, |ends| ends.min(attempt_ends)),
        ends,
        pause: None,
    };
    let describe = |error| describe(error, &shared.config, partition);
    shared.request(request).map_err(describe)?;
    answered.await.unwrap_or_else(|_| Err(super::shared::closed())).map_err(describe)
}

impl Management {
    pub(super) fn new() -> Self {
        Management {
            links: RequestLinks::new("$management"),
            told: Vec::new(),
            waiting: Vec::new(),
            asked: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, request: Request) {
        self.waiting.push(request);
    }

    /// Asks about a partition on behalf of a link.
    pub(super) fn ask_for(&mut self, link: Key, partition: &str, until: Moment) {
        self.waiting.push(Request {
            partition: Some(partition.to_owned()),
            answer: Answer::Link(link),
            failed: 0,
            attempt_ends: until,
            ends: Some(until),
            pause: None,
        });
    }

    /// The link is gone: what was asked for it must not be told to the next one in its place.
    pub(super) fn forget(&mut self, link: Key) {
        let is_other = |request: &Request| !matches!(request.answer, Answer::Link(asked) if asked == link);
        self.waiting.retain(is_other);
        self.asked.retain(|(_, request)| is_other(request));
        self.told.retain(|(told, _)| *told != link);
    }

    /// Whether somebody waits for an answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiting.is_empty() || !self.asked.is_empty()
    }

    /// Whether a question could be asked now.
    pub(super) fn has_questions(&self, now: Moment) -> bool {
        self.waiting.iter().any(|request| request.pause.is_none_or(|pause| pause <= now))
    }

    /// When [`expire`](Self::expire) or [`ask`](Self::ask) should be called.
    pub(super) fn next_deadline(&self, now: Moment) -> Option<Moment> {
        let waiting = self.waiting.iter().map(|request| {
            let pause = request.pause.filter(|pause| *pause > now);
            pause.map_or(request.attempt_ends, |pause| pause.min(request.attempt_ends))
        });
        waiting.chain(self.asked.iter().map(|(_, request)| request.attempt_ends)).min()
    }

    /// Asks what waits; `token` opens the hub.
    pub(super) fn ask(&mut self, engine: &mut Connection, config: &Config, token: &str, now: Moment) {
        for request in std::mem::take(&mut self.waiting) {
            if request.is_forgotten() {
                continue;
            }
            let caller = match request.pause {
                Some(pause) if pause > now => None,
                _ => self.links.next_caller(),
            };
            let Some((id, caller)) = caller else {
                self.waiting.push(request);
                continue;
            };
            let question = management::Request {
                caller,
                hub: config.hub.clone(),
                partition: request.partition.clone(),
                security_token: Some(token.to_owned()),
            };
            self.links.send(engine, question.encode());
            self.asked.push((id, request));
        }
    }

    /// A reply arrived on `$management`. How long is waited when the service asks to slow down.
    pub(super) fn answered(&mut self, payload: &Bytes, config: &Config, now: Moment) -> Option<Duration> {
        let mut throttled = None;
        let Ok((id, reply)) = RequestLinks::reply(payload) else {
            tracing::warn!("an answer from '$management' makes no sense");
            return None;
        };
        let asked = id.and_then(|id| self.asked.iter().position(|(known, _)| *known == id));
        let (_, mut request) = self.asked.remove(asked?);
        if reply.is_success() {
            self.tell(request, Ok(reply));
            return None;
        }
        let Err(error) = reply.into_body() else { return None };
        if request.has_failed(&error, config, now) {
            self.tell(request, Err(error));
        } else {
            let delay = pause(&config.retry, request.failed, &error);
            request.pause = Some(now + delay);
            self.waiting.push(request);
            throttled = (error.kind() == ErrorKind::ServerBusy).then_some(delay);
        }
        throttled
    }

    /// An attempt failed for every question; those with attempts left are asked again.
    pub(super) fn interrupted(&mut self, error: &Error, config: &Config, now: Moment) {
        for mut request in std::mem::take(&mut self.waiting) {
            match request.has_failed(error, config, now) {
                true => self.tell(request, Err(error.clone())),
                false => self.waiting.push(request),
            }
        }
        self.unanswered(error, config, now);
    }

    /// What has been asked will not be answered; it is asked again while attempts are left.
    pub(super) fn unanswered(&mut self, error: &Error, config: &Config, now: Moment) {
        for (_, mut request) in std::mem::take(&mut self.asked) {
            match request.has_failed(error, config, now) {
                true => self.tell(request, Err(error.clone())),
                false => {
                    request.pause = Some(now + pause(&config.retry, request.failed, error));
                    self.waiting.push(request);
                }
            }
        }
    }

    /// Every question fails with `error`.
    pub(super) fn fail_all(&mut self, error: &Error) {
        let asked = std::mem::take(&mut self.asked).into_iter().map(|(_, request)| request);
        for mut request in std::mem::take(&mut self.waiting).into_iter().chain(asked) {
            request.failed += 1;
            self.tell(request, Err(error.clone()));
        }
    }

    /// Whether a caller's question has been asked, and stayed unanswered for too long.
    pub(super) fn is_unanswered(&self, now: Moment) -> bool {
        let is_callers = |request: &Request| matches!(request.answer, Answer::Caller(_));
        self.asked.iter().any(|(_, request)| request.attempt_ends <= now && is_callers(request))
    }

    /// Ends the attempts whose time is up; whether one had been asked and stayed unanswered.
    pub(super) fn expire(&mut self, now: Moment, config: &Config) -> bool {
        let error = Error::new(ErrorKind::Timeout, "the service did not answer in time");
        let before = self.asked.len();
        let all = std::mem::take(&mut self.waiting).into_iter().map(|request| (None, request));
        let asked = std::mem::take(&mut self.asked).into_iter().map(|(id, request)| (Some(id), request));
        for (id, mut request) in all.chain(asked).collect::<Vec<_>>() {
            let is_late = request.attempt_ends <= now;
            match (id, &request.answer) {
                (Some(_), Answer::Link(link)) if is_late => self.told.push((*link, None)),
                _ if is_late => match request.has_failed(&error, config, now) {
                    true => self.tell(request, Err(error.clone())),
                    false => self.waiting.push(request),
                },
                (Some(id), _) => self.asked.push((id, request)),
                (None, _) => self.waiting.push(request),
            }
        }
        self.asked.len() < before
    }

    fn tell(&mut self, request: Request, answer: Result<Reply, Error>) {
        match request.answer {
            // Nobody listens when the caller has lost interest.
            Answer::Caller(caller) => {
                drop(caller.send(answer.map_err(|error| error.with_attempts(request.failed))));
            }
            Answer::Link(link) => self.told.push((link, Some(answer))),
        }
    }
}

impl Request {
    /// Counts a failed attempt; whether it was the last.
    fn has_failed(&mut self, error: &Error, config: &Config, now: Moment) -> bool {
        self.failed += 1;
        let attempt_ends = now + config.retry.attempt_timeout;
        self.attempt_ends = self.ends.map_or(attempt_ends, |ends| ends.min(attempt_ends));
        !error.is_transient()
            || self.failed >= config.retry.max_attempts
            || self.ends.is_some_and(|ends| ends <= now)
            || matches!(self.answer, Answer::Link(_))
    }

    fn is_forgotten(&self) -> bool {
        matches!(&self.answer, Answer::Caller(caller) if caller.is_canceled())
    }
}

fn describe(error: Error, config: &Config, partition: Option<&str>) -> Error {
    let entity = match partition {
        Some(partition) => format!("{}/Partitions/{partition}", config.hub),
        None => config.hub.clone(),
    };
    error.with_operation("read the properties of").with_entity(entity)
}
