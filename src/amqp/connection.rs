//! The engine: one AMQP connection, client or server.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::config::Config;
use super::decode::{DecodeError, Reader};
use super::frame::{self, AMQP_HEADER, HEAD, Kind, MIN_MAX_FRAME_SIZE, SASL_HEADER};
use super::link::Links;
use super::performatives::{self as perf, Open};
use super::session::Session;
use super::types::{AmqpError, CloseReason, Event, LinkId, SaslProfile, SaslResponse};
use crate::model::moment::Moment;
use crate::model::value::Symbol;

/// One AMQP connection, without its socket.
pub struct Connection {
    /// Asked for by [`is_server`](Self::is_server).
    serves: bool,
    pub(super) config: Config,
    pub(super) phase: Phase,
    is_authenticated: bool,
    /// The start of a unit (header or frame) whose rest has not arrived; while the driver decides about
    /// authentication, all that has arrived.
    partial: BytesMut,
    pub(super) out: BytesMut,
    pub(super) events: VecDeque<Event>,
    /// By local channel.
    pub(super) sessions: Vec<Option<Session>>,
    /// Local channels by remote channel.
    pub(super) channels: Vec<Option<u16>>,
    pub(super) links: Links,
    /// Sending links that may have something that can leave, each once, in the order of their turns.
    pub(super) active: VecDeque<LinkId>,
    /// Local channels of sessions that have settled deliveries to tell about, each once.
    pub(super) undisposed: Vec<u16>,
    /// Bytes given to `send` that have not been put into frames.
    pub(super) queued_bytes: usize,
    /// Bytes held for deliveries of which frames are still to come.
    pub(super) unfinished_bytes: u64,
    pub(super) peer: Peer,
    started: Moment,
    last_received: Moment,
    pub(super) last_sent: Moment,
    closing_since: Option<Moment>,
}

/// What the peer announced.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) max_frame_size: u32,
    pub(super) channel_max: u16,
    idle_timeout: Option<Duration>,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A protocol header comes next.
    Header,
    /// SASL frames come next.
    Sasl,
    /// Server: the driver decides about the client's credentials.
    SaslDecision,
    /// The peer's `open` comes next.
    Open,
    Opened,
    /// We have sent `close`.
    Closing,
    Closed,
}

/// Why a connection cannot go on.
pub(super) struct Violation {
    condition: &'static str,
    description: String,
}

impl Connection {
    /// The client's end; the protocol header is ready to be written.
    pub fn client(config: Config, now: Moment) -> Self {
        let mut connection = Connection::new(false, config, now);
        connection.out.extend_from_slice(&SASL_HEADER);
        connection
    }

    /// The server's end, waiting for the client's protocol header.
    pub fn server(config: Config, now: Moment) -> Self {
        Connection::new(true, config, now)
    }

    fn new(is_server: bool, config: Config, now: Moment) -> Self {
        Connection {
            serves: is_server,
            config,
            phase: Phase::Header,
            is_authenticated: false,
            partial: BytesMut::new(),
            out: BytesMut::new(),
            events: VecDeque::new(),
            sessions: Vec::new(),
            channels: Vec::new(),
            links: Links::default(),
            active: VecDeque::new(),
            undisposed: Vec::new(),
            queued_bytes: 0,
            unfinished_bytes: 0,
            peer: Peer { max_frame_size: MIN_MAX_FRAME_SIZE, channel_max: u16::MAX, idle_timeout: None },
            started: now,
            last_received: now,
            last_sent: now,
            closing_since: None,
        }
    }

    /// Takes bytes that arrived. What they mean comes out of [`poll_event`](Self::poll_event).
    pub fn feed(&mut self, bytes: Bytes, now: Moment) {
        self.last_received = now;
        self.take(bytes);
    }

    /// What happened next, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`tick`](Self::tick) should be called at the latest.
    pub fn next_deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Closed => None,
            Phase::Closing => self.closing_since.map(|since| since + self.config.limits.handshake_timeout),
            Phase::Opened => {
                let idle = self.config.idle_timeout.map(|timeout| self.last_received + timeout * 2);
                let heartbeat = self.heartbeat_interval().map(|interval| self.last_sent + interval);
                idle.into_iter().chain(heartbeat).min()
            }
            _ => Some(self.started + self.config.limits.handshake_timeout),
        }
    }

    /// Lets time pass: heartbeats, idle and handshake deadlines.
    pub fn tick(&mut self, now: Moment) {
        match self.phase {
            Phase::Closed => {}
            Phase::Closing
                if self
                    .closing_since
                    .is_some_and(|since| now >= since + self.config.limits.handshake_timeout) =>
            {
                self.finish(CloseReason::Local);
            }
            Phase::Opened => {
                let silence = self.config.idle_timeout.map(|timeout| timeout * 2);
                if silence.is_some_and(|silence| now >= self.last_received + silence) {
                    let error = AmqpError::new(
                        "amqp:resource-limit-exceeded",
                        "The peer was silent for longer than the announced idle-time-out.",
                    );
                    self.put_close(Some(&error));
                    return self.finish(CloseReason::Idle);
                }
                if self.heartbeat_interval().is_some_and(|interval| now >= self.last_sent + interval) {
                    frame::put(&mut self.out, Kind::Amqp, 0, |_| {});
                    self.last_sent = now;
                }
            }
            _ if now >= self.started + self.config.limits.handshake_timeout => {
                self.finish(CloseReason::HandshakeTimeout);
            }
            _ => {}
        }
    }

    /// Which role this is. A page's client never serves, and shall not be sent the code for it.
    pub(super) fn is_server(&self) -> bool {
        cfg!(any(test, feature = "emulator", not(feature = "js"))) && self.serves
    }

    /// Whether [`Event::Closed`] has been or is about to be reported.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Server: answers [`Event::Sasl`].
    pub fn sasl_outcome(&mut self, accepted: bool) {
        if self.phase != Phase::SaslDecision {
            return;
        }
        let code = if accepted { SASL_OK } else { SASL_AUTH };
        frame::put(&mut self.out, Kind::Sasl, 0, |out| perf::put_sasl_outcome(out, code));
        if !accepted {
            return self.finish(CloseReason::Sasl(code));
        }
        self.is_authenticated = true;
        self.phase = Phase::Header;
        let held = self.partial.split().freeze();
        self.take(held);
    }

    /// Closes the connection; [`Event::Closed`] follows when the peer has answered.
    pub fn close(&mut self, error: Option<AmqpError>) {
        match self.phase {
            Phase::Closed | Phase::Closing => {}
            Phase::Opened => {
                self.put_close(error.as_ref());
                self.phase = Phase::Closing;
                self.closing_since = Some(self.last_received.max(self.last_sent));
                self.drop_sessions();
            }
            _ => self.finish(CloseReason::Local),
        }
    }

    /// The silence we keep at most: half of what the peer allows.
    fn heartbeat_interval(&self) -> Option<Duration> {
        self.peer.idle_timeout.map(|timeout| (timeout / 2).max(MIN_HEARTBEAT))
    }

    fn take(&mut self, mut chunk: Bytes) {
        while !chunk.is_empty() {
            match self.phase {
                Phase::Closed => return self.partial.clear(),
                Phase::SaslDecision => return self.partial.extend_from_slice(&chunk),
                _ => {}
            }
            if self.partial.is_empty() {
                let used = self.take_whole(&chunk);
                chunk.advance(used);
                if used == 0 && self.phase != Phase::Closed {
                    self.partial.extend_from_slice(&chunk);
                    return;
                }
                continue;
            }
            let missing = match self.unit_len(&self.partial) {
                Ok(Some(len)) => len - self.partial.len(),
                Ok(None) => HEAD - self.partial.len(),
                Err(violation) => return self.fail(violation),
            };
            let part = chunk.split_to(missing.min(chunk.len()));
            self.partial.reserve(missing);
            self.partial.extend_from_slice(&part);
            match self.unit_len(&self.partial) {
                Ok(Some(len)) if len == self.partial.len() => {
                    let unit = self.partial.split().freeze();
                    self.unit(&unit, 0, len);
                }
                Ok(_) => {}
                Err(violation) => return self.fail(violation),
            }
        }
    }

    /// Handles the whole units at the front of `chunk`; how many bytes they were.
    fn take_whole(&mut self, chunk: &Bytes) -> usize {
        let mut at = 0;
        while !matches!(self.phase, Phase::Closed | Phase::SaslDecision) {
            match self.unit_len(&chunk[at..]) {
                Ok(Some(len)) if len <= chunk.len() - at => {
                    self.unit(chunk, at, at + len);
                    at += len;
                }
                Ok(_) => break,
                Err(violation) => {
                    self.fail(violation);
                    break;
                }
            }
        }
        at
    }

    /// How long the unit is that `bytes` start with, as far as that can be known.
    fn unit_len(&self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        if self.phase == Phase::Header {
            let known = bytes.len().min(4);
            return match bytes[..known] == AMQP_HEADER[..known] {
                true if bytes.len() < HEAD => Ok(None),
                true => Ok(Some(HEAD)),
                false => Err(Violation::not_amqp()),
            };
        }
        let Some(size) = bytes.first_chunk::<4>().map(|size| u32::from_be_bytes(*size)) else {
            return Ok(None);
        };
        if (size as usize) < HEAD || size > self.config.limits.max_frame_size.max(MIN_MAX_FRAME_SIZE) {
            return Err(Violation::framing(format!(
                "A frame of {size} bytes; frames have 8 to {} bytes.",
                self.config.limits.max_frame_size
            )));
        }
        Ok((bytes.len() >= HEAD).then_some(size as usize))
    }

    fn unit(&mut self, bytes: &Bytes, start: usize, end: usize) {
        let result = match self.phase {
            Phase::Header => self.on_header(&bytes[start..end]),
            _ => self.on_frame(bytes, start, end),
        };
        if let Err(violation) = result {
            self.fail(violation);
        }
    }

    fn on_header(&mut self, header: &[u8]) -> Result<(), Violation> {
        if header == SASL_HEADER && !self.is_authenticated {
            if self.is_server() {
                self.out.extend_from_slice(&SASL_HEADER);
                let mechanisms = ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"].map(Symbol::from_static);
                frame::put(&mut self.out, Kind::Sasl, 0, |out| perf::put_sasl_mechanisms(out, &mechanisms));
            }
            self.phase = Phase::Sasl;
            return Ok(());
        }
        if header == AMQP_HEADER && (self.is_server() || self.is_authenticated) {
            if self.is_server() {
                self.out.extend_from_slice(&AMQP_HEADER);
            }
            self.phase = Phase::Open;
            return Ok(());
        }
        Err(Violation::not_amqp())
    }

    fn on_frame(&mut self, bytes: &Bytes, start: usize, end: usize) -> Result<(), Violation> {
        let Some(head) = frame::head(&bytes[start..end]) else {
            return Err(Violation::framing("A frame whose head is malformed.".into()));
        };
        let body = start + head.body;
        if (head.kind == Kind::Sasl) != (self.phase == Phase::Sasl) {
            return Err(Violation::framing("A frame of a kind that does not belong here.".into()));
        }
        if body == end {
            return Ok(());
        }
        let mut reader = Reader::range(bytes, body, end);
        let code = reader.descriptor(perf::code_of)?;
        match self.phase {
            Phase::Sasl => self.on_sasl(code, &mut reader),
            Phase::Open if code == perf::OPEN => {
                let open = perf::open(&mut reader)?;
                self.on_open(open);
                Ok(())
            }
            Phase::Open if code == perf::CLOSE => {
                let error = perf::end_or_close(&mut reader)?;
                self.finish(CloseReason::Remote(error));
                Ok(())
            }
            Phase::Open => Err(Violation::state("The first frame is not an open.")),
            Phase::Opened if code == perf::CLOSE => {
                let error = perf::end_or_close(&mut reader)?;
                self.put_close(None);
                self.finish(CloseReason::Remote(error));
                Ok(())
            }
            Phase::Closing if code == perf::CLOSE => {
                self.finish(CloseReason::Local);
                Ok(())
            }
            Phase::Opened => self.on_performative(code, head.channel, reader),
            _ => Ok(()),
        }
    }

    fn on_sasl(&mut self, code: u64, reader: &mut Reader<'_>) -> Result<(), Violation> {
        match code {
            perf::SASL_INIT if self.is_server() => {
                let (mechanism, response) = perf::sasl_init(reader)?;
                if !["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"].contains(&mechanism.as_str()) {
                    frame::put(&mut self.out, Kind::Sasl, 0, |out| perf::put_sasl_outcome(out, SASL_AUTH));
                    self.finish(CloseReason::Sasl(SASL_AUTH));
                    return Ok(());
                }
                self.phase = Phase::SaslDecision;
                let response = response.map(SaslResponse);
                self.events.push_back(Event::Sasl { mechanism, response });
                Ok(())
            }
            perf::SASL_MECHANISMS if !self.is_server() => {
                let offered = perf::sasl_mechanisms(reader)?;
                let (mechanism, response) = self.config.sasl.init();
                if !offered.is_empty() && !offered.contains(&mechanism) {
                    self.finish(CloseReason::Sasl(SASL_NO_SHARED_MECHANISM));
                    return Ok(());
                }
                let hostname = self.config.hostname.as_deref();
                frame::put(&mut self.out, Kind::Sasl, 0, |out| {
                    perf::put_sasl_init(out, &mechanism, &response, hostname);
                });
                Ok(())
            }
            perf::SASL_OUTCOME if !self.is_server() => {
                let code = perf::sasl_outcome(reader)?;
                if code != SASL_OK {
                    self.finish(CloseReason::Sasl(code));
                    return Ok(());
                }
                self.is_authenticated = true;
                self.phase = Phase::Header;
                self.out.extend_from_slice(&AMQP_HEADER);
                self.put_open();
                Ok(())
            }
            _ => Err(Violation::state("A SASL frame that does not belong here.")),
        }
    }

    fn on_open(&mut self, open: Open) {
        self.peer = Peer {
            max_frame_size: open.max_frame_size.max(MIN_MAX_FRAME_SIZE),
            channel_max: open.channel_max,
            idle_timeout: open.idle_timeout.map(|millis| Duration::from_millis(u64::from(millis))),
        };
        self.phase = Phase::Opened;
        if self.is_server() {
            self.put_open();
        }
        self.events.push_back(Event::Opened(Box::new(open)));
    }

    fn put_open(&mut self) {
        let limits = &self.config.limits;
        let open = Open {
            container_id: self.config.container_id.clone(),
            hostname: self.config.hostname.clone(),
            max_frame_size: limits.max_frame_size,
            channel_max: limits.channel_max,
            idle_timeout: self
                .config
                .idle_timeout
                .map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
            offered_capabilities: Vec::new(),
            desired_capabilities: self.config.desired_capabilities.clone(),
            properties: self.config.properties.clone(),
        };
        frame::put(&mut self.out, Kind::Amqp, 0, |out| perf::put_open(out, &open));
    }

    fn put_close(&mut self, error: Option<&AmqpError>) {
        self.flush_dispositions();
        frame::put(&mut self.out, Kind::Amqp, 0, |out| perf::put_end_or_close(out, perf::CLOSE, error));
    }

    /// The peer broke the protocol: tells it so where it can still hear it, and ends the connection.
    pub(super) fn fail(&mut self, violation: Violation) {
        if violation.condition == NOT_AMQP {
            if self.is_server() {
                // What the standard asks for: the header that we would have understood.
                self.out.extend_from_slice(&SASL_HEADER);
            }
            return self.finish(CloseReason::NotAmqp);
        }
        let error = AmqpError::new(violation.condition, violation.description);
        match self.phase {
            Phase::Open if self.is_server() => {
                self.put_open();
                self.put_close(Some(&error));
            }
            Phase::Open | Phase::Opened => self.put_close(Some(&error)),
            _ => {}
        }
        self.finish(CloseReason::Protocol(error));
    }

    fn finish(&mut self, reason: CloseReason) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.drop_sessions();
        self.partial = BytesMut::new();
        self.events.push_back(Event::Closed(reason));
    }

    fn drop_sessions(&mut self) {
        self.flush_dispositions();
        self.sessions.clear();
        self.channels.clear();
        self.links.clear();
        self.active.clear();
        self.queued_bytes = 0;
        self.unfinished_bytes = 0;
    }
}

const SASL_OK: u8 = 0;
const SASL_AUTH: u8 = 1;
/// Not a code of the standard, which has none for this.
const SASL_NO_SHARED_MECHANISM: u8 = 255;
/// However little silence a peer allows, we do not flood it.
const MIN_HEARTBEAT: Duration = Duration::from_millis(50);
const NOT_AMQP: &str = "not-amqp";

impl Violation {
    pub(super) fn framing(description: String) -> Self {
        Violation { condition: "amqp:connection:framing-error", description }
    }

    pub(super) fn state(description: &str) -> Self {
        Violation { condition: "amqp:illegal-state", description: description.into() }
    }

    pub(super) fn limit(description: &str) -> Self {
        Violation { condition: "amqp:resource-limit-exceeded", description: description.into() }
    }

    fn not_amqp() -> Self {
        Violation { condition: NOT_AMQP, description: String::new() }
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        Violation { condition: "amqp:decode-error", description: format!("The peer sent {error}.") }
    }
}

impl SaslProfile {
    fn init(&self) -> (Symbol, Vec<u8>) {
        match self {
            SaslProfile::Anonymous => (Symbol::from_static("ANONYMOUS"), Vec::new()),
            SaslProfile::External => (Symbol::from_static("EXTERNAL"), Vec::new()),
            SaslProfile::Plain { user, password } => {
                (Symbol::from_static("PLAIN"), format!("\0{user}\0{password}").into_bytes())
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("is_server", &self.is_server())
            .field("phase", &self.phase)
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}
