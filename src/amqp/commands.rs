//! What the driver can have done, and what goes out because of it.

use bytes::{Bytes, BytesMut};

use super::connection::{Connection, Phase};
use super::frame::{self, Kind, TRANSFER_HEAD, TransferHead};
use super::link::{Link, LinkState};
use super::performatives::{self as perf, Attach, Begin};
use super::session::Session;
use super::types::{AmqpError, EngineError, LinkId, Outcome, Outgoing, Role, SessionId};
use crate::model::moment::Moment;

/// Output is handed out in pieces of about this size: one WebSocket message, one write.
const OUTPUT_CHUNK: usize = 64 * 1024;

/// What a link may put into frames before it is another link's turn, in bytes.
const TURN: usize = 32 * 1024;

impl Connection {
    /// Bytes to be written, about 64 KiB at most unless a single frame is larger; `None` when
    /// nothing is to be written now. Sends whose credit and windows allow it are put into frames here,
    /// so what is not taken does not pile up.
    pub fn poll_output(&mut self, now: Moment) -> Option<Bytes> {
        self.flush_dispositions();
        self.fill();
        if self.out.is_empty() {
            return None;
        }
        self.last_sent = now;
        Some(self.out.split().freeze())
    }

    /// Bytes that are queued for sending or framed but not yet taken by [`poll_output`](Self::poll_output).
    pub fn backlog(&self) -> usize {
        self.queued_bytes + self.out.len()
    }

    /// Starts a session. It can be used at once; links attached to it are sent right behind it.
    ///
    /// # Errors
    /// [`EngineError::Closed`] before [`Event::Opened`](super::Event::Opened) and after the end,
    /// [`EngineError::LimitReached`].
    pub fn begin(&mut self) -> Result<SessionId, EngineError> {
        if self.phase != Phase::Opened {
            return Err(EngineError::Closed);
        }
        let free = (0..=self.peer.channel_max)
            .find(|channel| self.sessions.get(usize::from(*channel)).is_none_or(Option::is_none));
        let local = free.ok_or(EngineError::LimitReached)?;
        self.put_session(local);
        let begin = Begin {
            remote_channel: None,
            next_outgoing_id: self.first_outgoing_id(),
            incoming_window: self.config.limits.session_window,
            outgoing_window: self.config.limits.session_window,
            handle_max: self.config.limits.handle_max,
        };
        frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_begin(out, &begin));
        Ok(SessionId(local))
    }

    /// Ends a session and all its links. No event follows for them.
    pub fn end(&mut self, session: SessionId, error: Option<AmqpError>) {
        let Some(Some(ending)) = self.sessions.get_mut(usize::from(session.0)) else { return };
        if ending.is_ending {
            return;
        }
        ending.is_ending = true;
        ending.flush_disposition(&mut self.out);
        self.drop_links(session.0);
        frame::put(&mut self.out, Kind::Amqp, session.0, |out| {
            perf::put_end_or_close(out, perf::END, error.as_ref());
        });
    }

    /// Asks for a link: [`Event::Attached`](super::Event::Attached) or
    /// [`Event::Detached`](super::Event::Detached) follows. `attach.role` is **our** role.
    ///
    /// # Errors
    /// [`EngineError::Closed`], [`EngineError::UnknownSession`], [`EngineError::LimitReached`].
    pub fn attach(&mut self, session: SessionId, attach: Attach) -> Result<LinkId, EngineError> {
        if self.phase != Phase::Opened {
            return Err(EngineError::Closed);
        }
        let max_message_size = self.max_message_size_of(&attach);
        let link =
            Link::new(attach.name.clone(), attach.role, session.0, LinkState::AttachSent, max_message_size);
        let Some(owner) = live(&mut self.sessions, session.0) else {
            return Err(EngineError::UnknownSession);
        };
        let id = self.links.insert(link);
        let Some(handle) = owner.assign_handle(id) else {
            self.links.remove(id);
            return Err(EngineError::LimitReached);
        };
        owner.pending.push(id);
        owner.flush_disposition(&mut self.out);
        if let Some(link) = self.links.get_mut(id) {
            link.local_handle = Some(handle);
        }
        frame::put(&mut self.out, Kind::Amqp, session.0, |out| perf::put_attach(out, handle, &attach));
        Ok(id)
    }

    /// Accepts a link that the peer asked for. Role and name of `reply` are set by the engine.
    pub fn accept(&mut self, link: LinkId, mut reply: Attach) {
        let max_message_size = self.max_message_size_of(&reply);
        let Some(accepted) = self.links.get_mut(link) else { return };
        if accepted.state != LinkState::AttachReceived {
            return;
        }
        let local = accepted.session;
        let Some(session) = live(&mut self.sessions, local) else { return };
        let Some(handle) = session.assign_handle(link) else {
            return self.refuse(link, AmqpError::new("amqp:resource-limit-exceeded", "No handle is left."));
        };
        accepted.local_handle = Some(handle);
        accepted.state = LinkState::Attached;
        accepted.max_message_size = max_message_size;
        reply.name.clone_from(&accepted.name);
        reply.role = accepted.role;
        session.flush_disposition(&mut self.out);
        frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_attach(out, handle, &reply));
    }

    /// Refuses a link that the peer asked for: an attach with null termini, then a closing detach with `error`.
    pub fn refuse(&mut self, link: LinkId, error: AmqpError) {
        if self.links.get(link).is_some_and(|link| link.state == LinkState::AttachReceived) {
            self.put_refusal(link, Some(&error));
        }
    }

    pub(super) fn put_refusal(&mut self, id: LinkId, error: Option<&AmqpError>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let local = link.session;
        let Some(session) = live(&mut self.sessions, local) else { return };
        let Some(handle) = session.assign_handle(id) else {
            // Not even a refusal has a place: the session cannot go on.
            let error = AmqpError::new("amqp:resource-limit-exceeded", "No handle is left.");
            return self.end(SessionId(local), Some(error));
        };
        link.local_handle = Some(handle);
        link.state = LinkState::Detaching;
        session.flush_disposition(&mut self.out);
        let attach = Attach::new(link.name.clone(), link.role);
        frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_attach(out, handle, &attach));
        frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_detach(out, handle, true, error));
    }

    /// Detaches a link. No event follows for it.
    pub fn detach(&mut self, link: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(detached) = self.links.get_mut(link) else { return };
        match detached.state {
            LinkState::AttachReceived => return self.put_refusal(link, error.as_ref()),
            // The peer's detach follows and is answered then.
            LinkState::Refused | LinkState::Detaching => return,
            LinkState::AttachSent | LinkState::Attached => {}
        }
        detached.state = LinkState::Detaching;
        let unsent = super::incoming::queued_bytes(detached);
        detached.queue.clear();
        detached.progress = None;
        self.unfinished_bytes -= detached.unfinished_bytes();
        detached.incoming = None;
        self.queued_bytes -= unsent;
        let (local, handle, role) = (detached.session, detached.local_handle, detached.role);
        let (Some(session), Some(handle)) = (live(&mut self.sessions, local), handle) else { return };
        if role == Role::Sender {
            session.forget(link, None);
        }
        session.flush_disposition(&mut self.out);
        frame::put(&mut self.out, Kind::Amqp, local, |out| {
            perf::put_detach(out, handle, closed, error.as_ref());
        });
    }

    /// Receiver: sets the link's credit to `credit` deliveries from now on and tells the peer.
    pub fn set_credit(&mut self, link: LinkId, credit: u32) {
        self.put_link_flow(link, Role::Receiver, |link| link.credit = credit);
    }

    /// Receiver: credit the peer still has.
    pub fn credit(&self, link: LinkId) -> u32 {
        self.links.get(link).filter(|link| link.role == Role::Receiver).map_or(0, |link| link.credit)
    }

    /// Receiver: asks the peer to use up its credit or give it back;
    /// [`Event::Drained`](super::Event::Drained) follows.
    pub fn drain(&mut self, link: LinkId) {
        self.put_link_flow(link, Role::Receiver, |link| link.is_draining = true);
    }

    /// Sender: answers a drain once everything queued has left: what credit is left is given back.
    pub fn drained(&mut self, link: LinkId) {
        let Some(drained) = self.links.get_mut(link) else { return };
        if drained.role != Role::Sender || !drained.is_draining {
            return;
        }
        if !drained.queue.is_empty() {
            drained.gives_back = true;
            return;
        }
        drained.gives_back = false;
        self.put_link_flow(link, Role::Sender, |link| {
            link.delivery_count = link.delivery_count.wrapping_add(link.credit);
            link.credit = 0;
        });
        if let Some(link) = self.links.get_mut(link) {
            link.is_draining = false;
        }
    }

    fn put_link_flow(&mut self, link: LinkId, role: Role, change: impl FnOnce(&mut Link)) {
        let Some(changed) = self.links.get_mut(link).filter(|link| link.role == role) else { return };
        if !matches!(changed.state, LinkState::Attached | LinkState::AttachSent) {
            return;
        }
        change(changed);
        if let Some(session) = live(&mut self.sessions, changed.session) {
            session.put_flow(&mut self.out, Some(changed), false);
        }
    }

    /// Sender: queues a message. It leaves in order, when credit and windows allow.
    ///
    /// # Errors
    /// [`EngineError::UnknownLink`], [`EngineError::WrongRole`], [`EngineError::Closed`].
    pub fn send(&mut self, link: LinkId, message: Outgoing) -> Result<(), EngineError> {
        if self.phase != Phase::Opened {
            return Err(EngineError::Closed);
        }
        let sending = self.links.get_mut(link).ok_or(EngineError::UnknownLink)?;
        if sending.role != Role::Sender {
            return Err(EngineError::WrongRole);
        }
        if !matches!(sending.state, LinkState::Attached | LinkState::AttachSent) {
            return Err(EngineError::UnknownLink);
        }
        self.queued_bytes += message.head.len() + message.body.len();
        sending.queue.push_back(message);
        if !sending.is_active && sending.is_ready() {
            sending.is_active = true;
            self.active.push_back(link);
        }
        Ok(())
    }

    /// Whether the link is there: its session and the connection have not been ended from either side.
    pub fn has_link(&self, link: LinkId) -> bool {
        self.links.get(link).is_some()
    }

    /// Sender: how many more messages could be given to [`send`](Self::send) and be covered by credit
    /// (credit less what is queued). 0 for an unknown link and for one that is being detached.
    pub fn sendable(&self, link: LinkId) -> u32 {
        let takes_messages = |link: &&Link| {
            link.role == Role::Sender && matches!(link.state, LinkState::Attached | LinkState::AttachSent)
        };
        self.links.get(link).filter(takes_messages).map_or(0, Link::sendable)
    }

    /// Sender: forgets an unsettled delivery or takes a queued one back; its outcome will not be reported.
    /// True when it had not been put on the wire yet.
    pub fn cancel(&mut self, link: LinkId, token: u64) -> bool {
        let Some(sending) = self.links.get_mut(link) else { return false };
        let first_free = usize::from(sending.progress.is_some());
        let queued = sending.queue.iter().skip(first_free).position(|message| message.token == token);
        if let Some(message) = queued.and_then(|position| sending.queue.remove(position + first_free)) {
            self.queued_bytes -= message.head.len() + message.body.len();
            return true;
        }
        if let Some(session) = live(&mut self.sessions, sending.session) {
            session.forget(link, Some(token));
        }
        false
    }

    /// Receiver: settles a delivery that arrived unsettled. Neighbours with the same outcome share a frame.
    pub fn settle(&mut self, link: LinkId, delivery_id: u32, outcome: Outcome) {
        let Some(local) = self.links.get(link).map(|link| link.session) else { return };
        self.settle_range(local, delivery_id, delivery_id, outcome);
    }

    pub(super) fn settle_range(&mut self, local: u16, first: u32, last: u32, outcome: Outcome) {
        let Some(session) = live(&mut self.sessions, local) else { return };
        if session.settle(&mut self.out, first, last, outcome) {
            self.undisposed.push(local);
        }
    }

    /// The largest message the peer takes on this sending link, if it says so.
    pub fn max_message_size(&self, link: LinkId) -> Option<u64> {
        self.links.get(link)?.peer_max_message_size
    }

    fn max_message_size_of(&self, attach: &Attach) -> u64 {
        attach.max_message_size.filter(|size| *size > 0).unwrap_or(self.config.limits.max_message_size)
    }

    pub(super) fn flush_dispositions(&mut self) {
        for local in self.undisposed.drain(..) {
            if let Some(Some(session)) = self.sessions.get_mut(usize::from(local)) {
                session.flush_disposition(&mut self.out);
            }
        }
    }

    /// Puts a sending link into the line of those that may have something that can leave.
    pub(super) fn activate(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id)
            && !link.is_active
            && link.is_ready()
        {
            link.is_active = true;
            self.active.push_back(id);
        }
    }

    /// Puts messages into frames, link by link in turn, until a piece of output is full.
    fn fill(&mut self) {
        if self.active.is_empty() {
            return;
        }
        self.out.reserve(OUTPUT_CHUNK + TRANSFER_HEAD);
        while self.out.len() < OUTPUT_CHUNK {
            let Some(id) = self.active.pop_front() else { return };
            let Some(link) = self.links.get_mut(id) else { continue };
            link.is_active = false;
            let Some(session) = live(&mut self.sessions, link.session) else { continue };
            let turn_ends = self.out.len() + TURN;
            while link.is_ready() && session.remote_window > 0 && self.out.len() < turn_ends.min(OUTPUT_CHUNK)
            {
                self.queued_bytes -=
                    put_transfer(&mut self.out, session, link, id, self.peer.max_frame_size as usize);
            }
            if link.is_ready() {
                // Marked as active in either line, so that further sends do not queue it up again.
                link.is_active = true;
                match session.remote_window {
                    0 => session.blocked.push(id),
                    _ => self.active.push_back(id),
                }
            }
            if link.gives_back && link.queue.is_empty() {
                self.drained(id);
            }
        }
    }
}

/// Puts the next frame of the link's first message on the wire; how many bytes of the message that took.
fn put_transfer(
    out: &mut BytesMut,
    session: &mut Session,
    link: &mut Link,
    id: LinkId,
    max_frame_size: usize,
) -> usize {
    let Some(message) = link.queue.front() else { return 0 };
    let (delivery_id, sent) = match link.progress {
        Some(progress) => progress,
        None => {
            let delivery_id = session.next_delivery_id;
            session.next_delivery_id = delivery_id.wrapping_add(1);
            link.credit -= 1;
            link.delivery_count = link.delivery_count.wrapping_add(1);
            if !message.settled {
                session.sent_unsettled(delivery_id, id, message.token);
            }
            (delivery_id, 0)
        }
    };
    let left = message.head.len() + message.body.len() - sent;
    let payload = left.min(max_frame_size - TRANSFER_HEAD);
    let head = TransferHead {
        channel: session.channel,
        handle: link.local_handle.unwrap_or(0),
        delivery_id,
        message_format: message.message_format,
        settled: message.settled,
        more: payload < left,
        payload,
    };
    frame::put_transfer(out, &head);
    put_range(out, message, sent, sent + payload);
    session.next_outgoing_id = session.next_outgoing_id.wrapping_add(1);
    session.remote_window -= 1;
    if head.more {
        link.progress = Some((delivery_id, sent + payload));
    } else {
        link.progress = None;
        link.queue.pop_front();
    }
    payload
}

/// Appends the bytes from `start` to `end` of a message that lies in two pieces.
fn put_range(out: &mut BytesMut, message: &Outgoing, start: usize, end: usize) {
    let head = message.head.len();
    if start < head {
        out.extend_from_slice(&message.head[start..end.min(head)]);
    }
    if end > head {
        out.extend_from_slice(&message.body[start.max(head) - head..end - head]);
    }
}

/// A session that is not ending.
fn live(sessions: &mut [Option<Session>], local: u16) -> Option<&mut Session> {
    sessions.get_mut(usize::from(local))?.as_mut().filter(|session| !session.is_ending)
}
