//! The engine: one AMQP connection, client or server.

use std::time::Duration;

use bytes::Bytes;

use super::performatives::Attach;
use super::types::{AmqpError, EngineError, Event, LinkId, Outcome, Outgoing, SaslProfile, SessionId};
use crate::model::moment::Moment;
use crate::model::value::{Symbol, Value};

/// What a connection announces, and what it insists on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our container's name.
    pub container_id: String,
    /// Client: the host asked for.
    pub hostname: Option<String>,
    /// More about us in `open`.
    pub properties: Vec<(Symbol, Value)>,
    /// Extensions we would like.
    pub desired_capabilities: Vec<Symbol>,
    /// The silence we allow the peer, announced in `open`; the connection is over after twice this.
    pub idle_timeout: Option<Duration>,
    /// Client: how we authenticate. Servers offer `MSSBCBS`, `PLAIN`, `ANONYMOUS` and `EXTERNAL`.
    pub sasl: SaslProfile,
    /// What we insist on.
    pub limits: Limits,
}

/// Bounds on what a peer can make us hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame we take, in bytes.
    pub max_frame_size: u32,
    /// The highest channel a peer may use.
    pub channel_max: u16,
    /// The highest handle a peer may use on a session.
    pub handle_max: u32,
    /// The largest message we join from several frames when the link says nothing, in bytes.
    pub max_message_size: u64,
    /// Transfers that a peer may send on a session before it hears from us.
    pub session_window: u32,
    /// How long the opening handshake may take.
    pub handshake_timeout: Duration,
}

/// One AMQP connection, without its socket.
pub struct Connection {
    _private: (),
}

impl Connection {
    /// The client's end; the protocol header and `open` are ready to be written.
    pub fn client(config: Config, now: Moment) -> Self {
        todo!()
    }
    /// The server's end, waiting for the client's protocol header.
    pub fn server(config: Config, now: Moment) -> Self {
        todo!()
    }
    /// Takes bytes that arrived. What they mean comes out of [`poll_event`](Self::poll_event).
    pub fn feed(&mut self, bytes: Bytes, now: Moment) {
        todo!()
    }
    /// What happened next, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// Bytes to be written, about 64 KiB at most unless a single frame is larger; `None` when
    /// nothing is to be written now. Sends whose credit and windows allow it are put into frames here,
    /// so what is not taken does not pile up.
    pub fn poll_output(&mut self, now: Moment) -> Option<Bytes> {
        todo!()
    }
    /// When [`tick`](Self::tick) should be called at the latest.
    pub fn next_deadline(&self) -> Option<Moment> {
        todo!()
    }
    /// Lets time pass: heartbeats, idle and handshake deadlines.
    pub fn tick(&mut self, now: Moment) {
        todo!()
    }
    /// Whether [`Event::Closed`] has been or is about to be reported.
    pub fn is_closed(&self) -> bool {
        todo!()
    }

    /// Server: answers [`Event::Sasl`].
    pub fn sasl_outcome(&mut self, accepted: bool) {
        todo!()
    }
    /// Starts a session. It can be used at once; links attached to it are sent right behind it.
    ///
    /// # Errors
    /// [`EngineError::Closed`], [`EngineError::LimitReached`].
    pub fn begin(&mut self) -> Result<SessionId, EngineError> {
        todo!()
    }
    /// Ends a session and all its links. No event follows for them.
    pub fn end(&mut self, session: SessionId, error: Option<AmqpError>) {
        todo!()
    }
    /// Asks for a link: [`Event::Attached`] or [`Event::Detached`] follows. `attach.role` is **our** role.
    ///
    /// # Errors
    /// [`EngineError::Closed`], [`EngineError::UnknownSession`], [`EngineError::LimitReached`].
    pub fn attach(&mut self, session: SessionId, attach: Attach) -> Result<LinkId, EngineError> {
        todo!()
    }
    /// Accepts a link that the peer asked for. `reply.role` is **our** role; name and handle are the engine's.
    pub fn accept(&mut self, link: LinkId, reply: Attach) {
        todo!()
    }
    /// Refuses a link that the peer asked for: an attach with null termini, then a closing detach with `error`.
    pub fn refuse(&mut self, link: LinkId, error: AmqpError) {
        todo!()
    }
    /// Detaches a link. No event follows for it.
    pub fn detach(&mut self, link: LinkId, closed: bool, error: Option<AmqpError>) {
        todo!()
    }
    /// Receiver: sets the link's credit to `credit` deliveries from now on and tells the peer.
    pub fn set_credit(&mut self, link: LinkId, credit: u32) {
        todo!()
    }
    /// Receiver: credit the peer still has.
    pub fn credit(&self, link: LinkId) -> u32 {
        todo!()
    }
    /// Receiver: asks the peer to use up its credit or give it back; [`Event::Drained`] follows.
    pub fn drain(&mut self, link: LinkId) {
        todo!()
    }
    /// Sender: queues a message. It leaves in order, when credit and windows allow.
    ///
    /// # Errors
    /// [`EngineError::UnknownLink`], [`EngineError::WrongRole`], [`EngineError::Closed`].
    pub fn send(&mut self, link: LinkId, message: Outgoing) -> Result<(), EngineError> {
        todo!()
    }
    /// Sender: how many more messages could be given to [`send`](Self::send) and be covered by credit
    /// (credit less what is queued). 0 for an unknown link.
    pub fn sendable(&self, link: LinkId) -> u32 {
        todo!()
    }
    /// Bytes that are queued for sending or framed but not yet taken by [`poll_output`](Self::poll_output).
    pub fn backlog(&self) -> usize {
        todo!()
    }
    /// Sender: answers a drain: what credit is left is given back.
    pub fn drained(&mut self, link: LinkId) {
        todo!()
    }
    /// Sender: forgets an unsettled delivery or takes a queued one back; its outcome will not be reported.
    /// True when it had not been put on the wire yet.
    pub fn cancel(&mut self, link: LinkId, token: u64) -> bool {
        todo!()
    }
    /// Receiver: settles a delivery that arrived unsettled. Neighbours with the same outcome share a frame.
    pub fn settle(&mut self, link: LinkId, delivery_id: u32, outcome: Outcome) {
        todo!()
    }
    /// The largest message the peer takes on this sending link, if it says so.
    pub fn max_message_size(&self, link: LinkId) -> Option<u64> {
        todo!()
    }
    /// Closes the connection; [`Event::Closed`] follows when the peer has answered.
    pub fn close(&mut self, error: Option<AmqpError>) {
        todo!()
    }
}
