//! How a client is doing: a stream of what happens to it, and a snapshot for probes.
//!
//! The connection's task tells one [`Board`]; whoever wants to know asks it. Nothing is told per event, and what a listener does
//! not take is counted instead of kept.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use futures::stream::FusedStream;

use super::audience::{Audience, Listening};
use super::shared::lock;
use crate::error::Error;
use crate::model::position::StartPosition;
use crate::model::value::Timestamp;
use crate::runtime::unix_now;

/// What happens to a client's connection, links and tokens; see [`ProducerClient::status`](crate::ProducerClient::status).
///
/// A lost connection is told in this order: [`Disconnected`](Self::Disconnected), [`Reconnecting`](Self::Reconnecting),
/// [`Connecting`](Self::Connecting), [`Connected`](Self::Connected), and [`Resumed`](Self::Resumed) for each partition that is being
/// read. Calls that are under way meanwhile wait, and are told nothing unless their attempts are used up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Status {
    /// A connection is being made.
    Connecting {
        /// 1, and one more for each attempt in a row that failed.
        attempt: u32,
    },
    /// The service has answered: calls get through.
    Connected,
    /// There is no connection.
    Disconnected {
        /// Why it was lost, or could not be made. `None`: nothing is wrong; nothing has needed one yet, or the service closed
        /// it because nothing used it. The next call makes one.
        cause: Option<Error>,
    },
    /// A connection is going to be made.
    Reconnecting {
        /// Which attempt it will be.
        attempt: u32,
        /// When.
        delay: Duration,
        /// Why there is none.
        cause: Error,
    },
    /// One link went down, or could not be made; others live.
    Detached {
        /// The hub, or a partition of it, that it leads to.
        entity: String,
        /// Why. `None`: nothing is wrong; the service let go of it because nothing used it.
        cause: Option<Error>,
    },
    /// A link that went down is up again. For a partition that is being read, [`Resumed`](Self::Resumed) says so.
    Attached {
        /// Where it leads to.
        entity: String,
    },
    /// The service asked to slow down.
    Throttled {
        /// Where.
        entity: String,
        /// How long nothing is sent there.
        delay: Duration,
    },
    /// The service has taken a token.
    TokenRefreshed {
        /// What the token is for.
        audience: String,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// A token could not be got, or the service refused it.
    TokenRefreshFailed {
        /// What the token would be for.
        audience: String,
        /// Why.
        cause: Error,
        /// When it is tried again. `None`: when the calls that wait for it are, as [`Detached`](Self::Detached) and their errors
        /// say; while there is a token, it is renewed until that works, whoever asks.
        retry_in: Option<Duration>,
    },
    /// A partition that is being read has events that do not arrive. Its link is made anew.
    Stalled {
        /// The partition.
        partition: String,
    },
    /// A partition that is being read goes on behind what was received before.
    Resumed {
        /// The partition.
        partition: String,
        /// From where.
        position: StartPosition,
    },
    /// The client was closed. The last of all.
    Closed,
}

impl Status {
    /// A stable name, such as `token-refreshed`.
    pub fn code(&self) -> &'static str {
        match self {
            Status::Connecting { .. } => "connecting",
            Status::Connected => "connected",
            Status::Disconnected { .. } => "disconnected",
            Status::Reconnecting { .. } => "reconnecting",
            Status::Detached { .. } => "detached",
            Status::Attached { .. } => "attached",
            Status::Throttled { .. } => "throttled",
            Status::TokenRefreshed { .. } => "token-refreshed",
            Status::TokenRefreshFailed { .. } => "token-refresh-failed",
            Status::Stalled { .. } => "stalled",
            Status::Resumed { .. } => "resumed",
            Status::Closed => "closed",
        }
    }

    /// Why, where something is wrong.
    pub fn cause(&self) -> Option<&Error> {
        match self {
            Status::Disconnected { cause } | Status::Detached { cause, .. } => cause.as_ref(),
            Status::Reconnecting { cause, .. } | Status::TokenRefreshFailed { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// Whether it says how the connection is, rather than what happened on it.
    fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Status::Connecting { .. }
                | Status::Connected
                | Status::Disconnected { .. }
                | Status::Reconnecting { .. }
                | Status::Closed
        )
    }
}

/// How a client is doing, at one moment; see [`ProducerClient::health`](crate::ProducerClient::health).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// How the connection is: connecting, connected, disconnected, reconnecting or closed.
    pub state: Status,
    /// Since when.
    pub since: Timestamp,
    /// The last thing that went wrong, even where it has been mended.
    pub last_error: Option<Error>,
    /// Links that are up.
    pub links_live: usize,
    /// Links that somebody uses, up or not.
    pub links_wanted: usize,
    /// Links that went down or could not be made, and are not up again.
    pub links_failing: usize,
    /// When the first of the tokens that are in use expires.
    pub token_expires_at: Option<Timestamp>,
    /// Whether everything that was asked for works: the connection is up, or nothing has needed one since the last one that was up,
    /// and no link is failing. A client that is just connecting for the first time is healthy.
    pub is_healthy: bool,
}

/// A stream of what happens to a client. The first item is how it is at present; it ends behind [`Status::Closed`].
///
/// It holds the connection neither up nor back. A listener that does not keep up misses the oldest: [`missed`](Self::missed) says
/// how many.
pub struct StatusStream(Listening<Status>);

impl StatusStream {
    /// What happens next; `None` when the client was closed.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Status> {
        poll_fn(|cx| self.0.poll(cx)).await
    }

    /// How many statuses this stream had no room for, in all.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

impl Stream for StatusStream {
    type Item = Status;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Status>> {
        self.0.poll(cx)
    }
}

impl FusedStream for StatusStream {
    fn is_terminated(&self) -> bool {
        self.0.has_ended()
    }
}

impl std::fmt::Debug for StatusStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusStream").field("missed", &self.missed()).finish_non_exhaustive()
    }
}

/// Where one client's statuses are told.
pub(super) struct Board(Mutex<State>);

struct State {
    present: Status,
    since: Timestamp,
    last_error: Option<Error>,
    /// The connection was lost, or could not be made, and is not back.
    is_failing: bool,
    /// By audience.
    expiries: Vec<(String, Timestamp)>,
    audience: Audience<Status>,
}

impl Board {
    pub(super) fn new() -> Self {
        Board(Mutex::new(State {
            present: Status::Disconnected { cause: None },
            since: unix_now(),
            last_error: None,
            is_failing: false,
            expiries: Vec::new(),
            audience: Audience::default(),
        }))
    }

    /// Something happened. Nothing follows `Closed`.
    pub(super) fn tell(&self, status: Status) {
        let mut state = lock(&self.0);
        if matches!(state.present, Status::Closed) {
            return;
        }
        if let Some(cause) = status.cause() {
            state.last_error = Some(cause.clone());
        }
        match &status {
            Status::Connected => state.is_failing = false,
            Status::Disconnected { cause: Some(_) } | Status::Reconnecting { .. } => state.is_failing = true,
            Status::TokenRefreshed { audience, expires_at } => {
                state.expiries.retain(|(known, _)| known != audience);
                let expiry = (audience.clone(), *expires_at);
                state.expiries.push(expiry);
            }
            _ => {}
        }
        if matches!(status, Status::Disconnected { .. } | Status::Closed) {
            state.expiries.clear();
        }
        if status.is_of_connection() {
            state.present = status.clone();
            state.since = unix_now();
        }
        let is_last = matches!(status, Status::Closed);
        let wakers = state.audience.tell(status, is_last);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tells a new listener from now on, beginning with how things are.
    pub(super) fn listen(&self) -> StatusStream {
        let mut state = lock(&self.0);
        let present = state.present.clone();
        let is_last = matches!(present, Status::Closed);
        StatusStream(state.audience.listen(present, is_last))
    }

    /// A snapshot; `links` counts live, wanted and failing ones.
    pub(super) fn health(&self, links: [usize; 3]) -> Health {
        let state = lock(&self.0);
        let [links_live, links_wanted, links_failing] = links;
        let is_closed = matches!(state.present, Status::Closed);
        Health {
            state: state.present.clone(),
            since: state.since,
            last_error: state.last_error.clone(),
            links_live,
            links_wanted,
            links_failing,
            token_expires_at: state.expiries.iter().map(|(_, expiry)| *expiry).min(),
            is_healthy: !is_closed && !state.is_failing && links_failing == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::super::audience::CAPACITY;
    use super::*;
    use crate::error::ErrorKind;

    fn lost() -> Error {
        Error::new(ErrorKind::ConnectionLost, "gone")
    }

    fn codes(stream: &mut StatusStream) -> Vec<&'static str> {
        let mut codes = Vec::new();
        while let Some(Some(status)) = stream.next().now_or_never() {
            codes.push(status.code());
        }
        codes
    }

    #[test]
    fn the_first_item_is_the_present_state() {
        let board = Board::new();
        assert_eq!(codes(&mut board.listen()), ["disconnected"]);
        board.tell(Status::Connecting { attempt: 1 });
        board.tell(Status::Connected);
        board.tell(Status::Throttled { entity: "orders".into(), delay: Duration::ZERO });
        let mut stream = board.listen();
        board.tell(Status::Disconnected { cause: None });
        assert_eq!(codes(&mut stream), ["connected", "disconnected"]);
    }

    #[test]
    fn a_listener_that_does_not_keep_up_misses_the_oldest_and_is_told_how_many() {
        let board = Board::new();
        let mut stream = board.listen();
        for _ in 0..CAPACITY + 9 {
            board.tell(Status::Connected);
        }
        assert_eq!(stream.missed(), 10);
        assert_eq!(codes(&mut stream).len(), CAPACITY);
        assert_eq!(stream.missed(), 10);
    }

    #[test]
    fn nothing_follows_closed_and_every_stream_ends() {
        let board = Board::new();
        let mut early = board.listen();
        board.tell(Status::Closed);
        board.tell(Status::Connected);
        let mut late = board.listen();
        assert_eq!(codes(&mut early), ["disconnected", "closed"]);
        assert_eq!(codes(&mut late), ["closed"]);
        assert!(early.next().now_or_never().unwrap().is_none() && early.is_terminated());
        assert!(late.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn whoever_stops_listening_is_forgotten() {
        let board = Board::new();
        for _ in 0..100 {
            drop(board.listen());
        }
        assert!(lock(&board.0).audience.len() <= 1);
        let stream = board.listen();
        drop(stream);
        board.tell(Status::Connected);
        board.tell(Status::Connected);
        assert_eq!(lock(&board.0).audience.len(), 0);
    }

    #[test]
    fn health_tells_trouble_from_rest() {
        let board = Board::new();
        assert!(board.health([0, 0, 0]).is_healthy);
        board.tell(Status::Connecting { attempt: 1 });
        assert!(board.health([0, 1, 0]).is_healthy);
        board.tell(Status::Reconnecting { attempt: 2, delay: Duration::ZERO, cause: lost() });
        board.tell(Status::Connecting { attempt: 2 });
        let health = board.health([0, 1, 0]);
        assert!(!health.is_healthy && health.last_error.is_some());
        board.tell(Status::Connected);
        let expires_at = Timestamp::from_millis(7);
        board.tell(Status::TokenRefreshed { audience: "a".into(), expires_at });
        let health = board.health([1, 1, 0]);
        assert!(health.is_healthy && health.token_expires_at == Some(expires_at));
        assert!(!board.health([0, 1, 1]).is_healthy);
        board.tell(Status::Disconnected { cause: None });
        let health = board.health([0, 0, 0]);
        assert!(health.is_healthy && health.token_expires_at.is_none());
        board.tell(Status::Closed);
        assert!(!board.health([0, 0, 0]).is_healthy);
    }
}
