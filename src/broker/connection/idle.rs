//! Letting go of clients and links that do nothing.

use std::time::Duration;

use super::BrokerConnection;
use super::link::Link;
use crate::amqp::{AmqpError, LinkId};
use crate::broker::Now;
use crate::dialect::conditions::{CONNECTION_FORCED, LINK_DETACH_FORCED};
use crate::model::moment::Moment;

/// Since when nothing happened.
#[derive(Default)]
pub(super) struct Idle {
    /// Since when there has been no link.
    linkless_since: Option<Moment>,
    had_links: bool,
    /// When links are looked at next. Not later than the first of them can be idle for too long.
    next_look: Option<Moment>,
}

impl Idle {
    /// Notes whether there are links now.
    pub(super) fn links_changed(&mut self, is_linkless: bool, now: Now) {
        self.had_links |= !is_linkless;
        match is_linkless {
            true => _ = self.linkless_since.get_or_insert(now.moment),
            false => self.linkless_since = None,
        }
    }

    fn look_at(&mut self, moment: Moment) {
        self.next_look = Some(self.next_look.map_or(moment, |next| next.min(moment)));
    }
}

impl BrokerConnection {
    /// When someone may have been idle for too long.
    pub(super) fn idle_deadline(&self) -> Option<Moment> {
        let linkless = self.linkless_limit().map(|(since, limit)| since + limit);
        linkless.into_iter().chain(self.idle.next_look).min()
    }

    /// Notes that a link may become idle.
    pub(super) fn idle_link_added(&mut self, link: &Link, now: Now) {
        if let Some(limit) = self.idle_limit(link) {
            self.idle.look_at(now.moment + limit);
        }
    }

    /// Detaches and closes what has been idle for too long.
    pub(super) fn let_idle_go(&mut self, now: Now) {
        if let Some((since, limit)) = self.linkless_limit()
            && now.moment >= since + limit
        {
            self.idle.linkless_since = None;
            let error = self.inactive(limit, now);
            self.engine.close(Some(error));
        }
        if self.idle.next_look.is_none_or(|look| now.moment < look) {
            return;
        }
        self.idle.next_look = None;
        let mut overdue: Vec<(LinkId, AmqpError)> = Vec::new();
        for (id, link) in self.links.iter() {
            let (Some(limit), Some(used)) = (self.idle_limit(link), link.last_used()) else { continue };
            if now.moment < used + limit {
                self.idle.look_at(used + limit);
                continue;
            }
            overdue.push((id, self.idle_error(link, limit, now)));
        }
        overdue.into_iter().for_each(|(link, error)| self.let_go(link, error, now));
    }

    /// Since when there has been no link, and how long that may be.
    fn linkless_limit(&self) -> Option<(Moment, Duration)> {
        let policy = &self.namespace.config().idle;
        let limit = if self.idle.had_links { policy.no_links } else { policy.first_link };
        Some((self.idle.linkless_since?, limit?))
    }

    fn idle_limit(&self, link: &Link) -> Option<Duration> {
        let policy = &self.namespace.config().idle;
        match link {
            Link::Publisher(_) => policy.publisher,
            Link::Requests(_) => policy.request_link,
            _ => None,
        }
    }

    fn idle_error(&self, link: &Link, limit: Duration, now: Now) -> AmqpError {
        let Link::Publisher(publisher) = link else { return self.inactive(limit, now) };
        let seconds = limit.as_secs();
        let text = format!(
            "The link 'G0:{}:{}' is force detached by the broker because of errors occurred in \
             publisher(link{}). Detach origin: AmqpMessagePublisher.IdleTimerExpired: Idle timeout: \
             {:02}:{:02}:{:02}.",
            self.id,
            publisher.path,
            self.id,
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        self.namespace.tracker().entity_error(LINK_DETACH_FORCED, text, &publisher.hub.name, now.unix)
    }

    fn inactive(&self, limit: Duration, now: Now) -> AmqpError {
        let text = format!(
            "The connection was inactive for more than the allowed {} milliseconds and is closed by container \
             'LinkTracker'.",
            limit.as_millis()
        );
        self.namespace.tracker().error(CONNECTION_FORCED, text, now.unix)
    }
}
