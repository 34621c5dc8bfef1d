//! A socket and the engine that speaks through it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::config::Config;
use crate::amqp::Config as EngineConfig;
use crate::amqp::{Attach, Connection, EngineError, Limits, LinkId, SaslProfile, SessionId};
use crate::model::moment::Moment;
use crate::model::value::{Symbol, Value};
use crate::runtime::{self, Socket, SocketError, Timer};

/// How long the last words may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// Links on one session, at most. The service allows 256; the links to `$cbs` and `$management` take four.
const LINKS_PER_SESSION: usize = 200;
/// Bytes read before output and credit get their turn.
const READ_BUDGET: usize = 512 * 1024;
/// The largest frame taken: what the service announces itself.
const MAX_FRAME_SIZE: u32 = 64 * 1024;
/// The largest event taken: a dedicated cluster allows 20 MiB, to which annotations are added.
const MAX_MESSAGE_SIZE: u64 = 32 * 1024 * 1024;
/// Transfers that may arrive between two words about the session. Links have their own, tighter bounds.
const SESSION_WINDOW: u32 = 65_536;

/// A connection.
pub(super) struct Wire {
    socket: Socket,
    pub(super) engine: Connection,
    /// Whether the peer's `open` has arrived, and when.
    pub(super) opened: Option<Moment>,
    sessions: Vec<Session>,
    is_unflushed: bool,
}

struct Session {
    id: SessionId,
    links: Vec<LinkId>,
}

/// What a read found.
pub(super) enum Read {
    /// Something; there may be more.
    Some,
    /// Nothing more for now.
    Pending,
    /// The peer has finished.
    End,
}

impl Wire {
    pub(super) fn new(socket: Socket, config: &Config, handshake: Duration, now: Moment) -> Self {
        Wire {
            socket,
            engine: Connection::client(engine_config(config, handshake), now),
            opened: None,
            sessions: Vec::new(),
            is_unflushed: false,
        }
    }

    /// Feeds one chunk to the engine.
    pub(super) fn read(
        &mut self,
        budget: &mut usize,
        now: Moment,
        cx: &mut Context<'_>,
    ) -> Result<Read, SocketError> {
        if *budget == 0 {
            return Ok(Read::Pending);
        }
        match self.socket.poll_recv(cx) {
            Poll::Pending => Ok(Read::Pending),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(None)) => Ok(Read::End),
            Poll::Ready(Ok(Some(chunk))) => {
                *budget = budget.saturating_sub(chunk.len());
                self.engine.feed(chunk, now);
                Ok(Read::Some)
            }
        }
    }

    /// Writes what the engine has and the socket takes; whether something moved.
    pub(super) fn write(&mut self, now: Moment, cx: &mut Context<'_>) -> Result<bool, SocketError> {
        let mut has_moved = false;
        while let Poll::Ready(ready) = self.socket.poll_ready(cx) {
            ready?;
            let Some(chunk) = self.engine.poll_output(now) else { break };
            self.socket.start_send(chunk)?;
            self.is_unflushed = true;
            has_moved = true;
        }
        if self.is_unflushed {
            match self.socket.poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.is_unflushed = false;
                }
                Poll::Pending => {}
            }
        }
        Ok(has_moved)
    }

    /// Writes what the engine still has to say, such as why it closes, and closes the socket; nobody waits for it.
    pub(super) fn say_goodbye(mut self: Box<Self>) {
        let deadline = runtime::now() + GOODBYE_TIMEOUT;
        let goodbye = async move {
            let mut timer = Timer::default();
            poll_fn(|cx| {
                if timer.poll_until(deadline, cx).is_ready() {
                    return Poll::Ready(());
                }
                match self.write(runtime::now(), cx) {
                    Err(_) => Poll::Ready(()),
                    Ok(true) => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    Ok(false) => self.poll_close(cx).map(drop),
                }
            })
            .await;
        };
        // Without a runtime there is nobody to say it; the socket is closed by being dropped.
        let _ = runtime::spawn(goodbye);
    }

    /// Says that nothing follows. Ready when the socket has taken everything.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.socket.poll_close(cx)
    }

    /// The session of the links to `$cbs` and `$management`.
    pub(super) fn first_session(&mut self) -> Result<SessionId, EngineError> {
        match self.sessions.first() {
            Some(session) => Ok(session.id),
            None => self.begin(),
        }
    }

    /// Asks for a link on a session that has room for one.
    pub(super) fn attach(&mut self, attach: Attach) -> Result<LinkId, EngineError> {
        let roomy = self.sessions.iter().position(|session| session.links.len() < LINKS_PER_SESSION);
        let index = match roomy {
            Some(index) => index,
            None => {
                self.begin()?;
                self.sessions.len() - 1
            }
        };
        let session = &mut self.sessions[index];
        let id = self.engine.attach(session.id, attach)?;
        session.links.push(id);
        Ok(id)
    }

    /// Lets go of a link, whether the peer still knows it or not.
    pub(super) fn detach(&mut self, link: LinkId) {
        for session in &mut self.sessions {
            session.links.retain(|own| *own != link);
        }
        self.engine.detach(link, true, None);
    }

    /// The peer ended the session: the links that went with it, and whether it was the first session.
    pub(super) fn ended(&mut self, session: SessionId) -> (Vec<LinkId>, bool) {
        let Some(index) = self.sessions.iter().position(|known| known.id == session) else {
            return (Vec::new(), false);
        };
        (self.sessions.remove(index).links, index == 0)
    }

    fn begin(&mut self) -> Result<SessionId, EngineError> {
        let id = self.engine.begin()?;
        self.sessions.push(Session { id, links: Vec::new() });
        Ok(id)
    }
}

/// How much may be read in one go.
pub(super) fn read_budget() -> usize {
    READ_BUDGET
}

fn engine_config(config: &Config, handshake: Duration) -> EngineConfig {
    let mut user_agent = format!("eventhubs/{VERSION} ({})", std::env::consts::OS);
    if let Some(application) = &config.application_id {
        user_agent = format!("{application} {user_agent}");
    }
    let properties = [
        ("product", "eventhubs"),
        ("version", VERSION),
        ("framework", "Rust"),
        ("platform", std::env::consts::OS),
        ("user-agent", &user_agent),
    ];
    EngineConfig {
        container_id: config.identifier.clone(),
        hostname: Some(config.host.clone()),
        properties: properties
            .into_iter()
            .map(|(name, value)| (Symbol::from(name.to_owned()), Value::from(value)))
            .collect(),
        desired_capabilities: Vec::new(),
        idle_timeout: Some(config.idle_timeout),
        sasl: SaslProfile::Anonymous,
        limits: Limits {
            max_frame_size: MAX_FRAME_SIZE,
            channel_max: 255,
            handle_max: 255,
            max_links: 16_384,
            max_message_size: MAX_MESSAGE_SIZE,
            max_unfinished_bytes: Limits::default().max_unfinished_bytes,
            session_window: SESSION_WINDOW,
            handshake_timeout: handshake,
        },
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
