//! What the engine and its driver say to each other.

use std::fmt;

use bytes::Bytes;

use super::performatives::{Attach, Open};
use crate::model::value::{Symbol, Value};

/// Which end of a connection or link this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends transfers.
    Sender,
    /// Receives transfers.
    Receiver,
}

/// A session of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(super) u16);

/// A link of one connection. Never used again after the link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// An error as AMQP carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct AmqpError {
    /// The condition, such as `amqp:not-found`.
    pub condition: Symbol,
    /// What the peer says about it, for people.
    pub description: Option<String>,
    /// More about it, for programs.
    pub info: Vec<(Value, Value)>,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The receiver took it.
    Accepted,
    /// The receiver refused it.
    Rejected(Option<AmqpError>),
    /// The receiver did not act on it.
    Released,
    /// The receiver did not act on it and says how it should be changed.
    Modified {
        /// Counts as a failed delivery attempt.
        delivery_failed: bool,
        /// Not to be offered to this receiver again.
        undeliverable_here: bool,
    },
    /// The sender settled, or the receiver settled without a state: what became of it is unknown.
    Unknown,
}

impl Outcome {
    /// Whether one answer can say both. Those with an error are told one by one.
    pub(super) fn is_like(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Accepted, Outcome::Accepted) | (Outcome::Released, Outcome::Released) => true,
            (
                Outcome::Modified { delivery_failed, undeliverable_here },
                Outcome::Modified { delivery_failed: failed, undeliverable_here: undeliverable },
            ) => delivery_failed == failed && undeliverable_here == undeliverable,
            _ => false,
        }
    }
}

/// A message to be sent on a link. Its bytes are not shown: they may hold a token.
#[derive(Clone)]
pub struct Outgoing {
    /// Chosen by the driver and given back with the outcome. Only unsettled deliveries have one.
    pub token: u64,
    /// The message format: 0, or 0x80013700 for a batch envelope.
    pub message_format: u32,
    /// Whether the delivery is sent settled, and so without an outcome.
    pub settled: bool,
    /// The first part of the encoded message; may be empty.
    pub head: Bytes,
    /// The rest of the encoded message; may be empty.
    pub body: Bytes,
}

/// A message that arrived on a link, whole. Its bytes are not shown: they may hold a token.
#[derive(Clone)]
pub struct Delivery {
    /// The delivery-id, for [`Connection::settle`](super::Connection::settle).
    pub id: u32,
    /// The message format: 0, or 0x80013700 for a batch envelope.
    pub message_format: u32,
    /// Whether the sender sent it settled.
    pub settled: bool,
    /// The encoded message: a slice of what was fed, or joined once when it took several frames.
    pub payload: Bytes,
}

/// What happened on a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The peer's `open` arrived. The connection can be used.
    Opened(Box<Open>),
    /// Server: the client asks to authenticate. Answer with [`Connection::sasl_outcome`](super::Connection::sasl_outcome).
    Sasl {
        /// `ANONYMOUS`, `PLAIN`, `EXTERNAL` or `MSSBCBS`.
        mechanism: Symbol,
        /// The initial response: for `PLAIN` the identities and the password.
        response: Option<SaslResponse>,
    },
    /// A session can be used: the peer answered our `begin`, or began one and the engine answered.
    SessionBegan(SessionId),
    /// A session is gone, and all its links with it (no further event names them).
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why, when the peer says so.
        error: Option<AmqpError>,
    },
    /// The peer wants a link. Answer with [`Connection::accept`](super::Connection::accept) or
    /// [`Connection::refuse`](super::Connection::refuse).
    AttachRequested {
        /// The link-to-be.
        link: LinkId,
        /// Its session.
        session: SessionId,
        /// What the peer asks for. `attach.role` is the **peer's** role.
        attach: Box<Attach>,
    },
    /// The peer accepted a link that we asked for.
    Attached {
        /// The link.
        link: LinkId,
        /// The peer's side of it.
        attach: Box<Attach>,
    },
    /// The peer granted credit to a sending link, took it back, or asks to drain it.
    Credit {
        /// The link.
        link: LinkId,
        /// How many more deliveries may be given to [`Connection::send`](super::Connection::send) and leave at once.
        credit: u32,
        /// The peer wants the credit used up: send what there is, then
        /// [`Connection::drained`](super::Connection::drained).
        drain: bool,
    },
    /// A message arrived on a receiving link.
    Delivery {
        /// The link.
        link: LinkId,
        /// The message.
        delivery: Delivery,
    },
    /// A message that was larger than a receiving link takes was rejected; it used up credit like others.
    TooLarge {
        /// The link.
        link: LinkId,
        /// The message's size in bytes.
        size: u64,
    },
    /// The peer answered a drain: the link's credit is zero.
    Drained(LinkId),
    /// The peer decided what became of a delivery that we sent unsettled.
    Outcome {
        /// The link.
        link: LinkId,
        /// The token given with the delivery.
        token: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A link is gone: refused, or detached by the peer. The engine has answered.
    Detached {
        /// The link.
        link: LinkId,
        /// Whether the peer closed it, rather than only detaching.
        closed: bool,
        /// Why, when the peer says so.
        error: Option<AmqpError>,
    },
    /// The connection is over. The last event; output may still have to be written.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it and the peer answered.
    Local,
    /// The peer closed it.
    Remote(Option<AmqpError>),
    /// The peer broke the protocol; the error was sent to it.
    Protocol(AmqpError),
    /// The peer was silent for longer than allowed.
    Idle,
    /// The peer did not finish the opening handshake in time.
    HandshakeTimeout,
    /// Authentication failed, with the SASL outcome code; or no mechanism is shared (code 255).
    Sasl(u8),
    /// The peer does not speak AMQP 1.0.
    NotAmqp,
}

/// A command that the engine cannot carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineError {
    /// The connection is closing or closed.
    Closed,
    /// No such session, or it has ended.
    UnknownSession,
    /// No such link, or it is detached.
    UnknownLink,
    /// The link's role does not allow this.
    WrongRole,
    /// The peer's channel-max or handle-max is reached.
    LimitReached,
}

/// A client's initial response. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslResponse(pub Bytes);

/// How a client authenticates.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum SaslProfile {
    /// Whoever; authorization follows by claims.
    Anonymous,
    /// User and password: key name and key.
    Plain {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// By the transport.
    External,
}

impl LinkId {
    /// A small number that no two links of a connection have at the same time.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

impl AmqpError {
    /// An error with a description.
    pub fn new(condition: impl Into<Symbol>, description: impl Into<String>) -> Self {
        AmqpError { condition: condition.into(), description: Some(description.into()), info: Vec::new() }
    }
}

impl fmt::Debug for SaslResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaslResponse(…)")
    }
}

impl fmt::Debug for SaslProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaslProfile::Anonymous => f.write_str("Anonymous"),
            SaslProfile::Plain { user, .. } => {
                f.debug_struct("Plain").field("user", user).finish_non_exhaustive()
            }
            SaslProfile::External => f.write_str("External"),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("token", &self.token)
            .field("message_format", &self.message_format)
            .field("settled", &self.settled)
            .field("bytes", &(self.head.len() + self.body.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("message_format", &self.message_format)
            .field("settled", &self.settled)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{description} ({})", self.condition),
            None => write!(f, "{}", self.condition),
        }
    }
}

impl std::error::Error for AmqpError {}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineError::Closed => "the connection is closed",
            EngineError::UnknownSession => "the session does not exist",
            EngineError::UnknownLink => "the link does not exist",
            EngineError::WrongRole => "the link's role does not allow this",
            EngineError::LimitReached => "the peer allows no further session or link",
        })
    }
}

impl std::error::Error for EngineError {}
