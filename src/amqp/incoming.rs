//! What the peer's performatives do to sessions and links.

use bytes::Bytes;

use super::connection::{Connection, Violation};
use super::decode::Reader;
use super::frame::{self, Kind};
use super::link::{Incoming, Link, LinkState};
use super::performatives::{self as perf, Attach, Begin, Flow, Transfer};
use super::session::{Session, less};
use super::types::{AmqpError, Delivery, Event, LinkId, Outcome, Role};

impl Connection {
    pub(super) fn on_performative(
        &mut self,
        code: u64,
        channel: u16,
        mut reader: Reader<'_>,
    ) -> Result<(), Violation> {
        if code == perf::BEGIN {
            let begin = perf::begin(&mut reader)?;
            return self.on_begin(channel, begin);
        }
        let local = match self.channels.get(usize::from(channel)).copied().flatten() {
            Some(local) => local,
            None => return Err(Violation::framing(format!("Channel {channel} has no session."))),
        };
        match code {
            perf::TRANSFER => self.on_transfer(local, reader),
            perf::FLOW => {
                let flow = perf::flow(&mut reader)?;
                self.on_flow(local, &flow);
                Ok(())
            }
            perf::DISPOSITION => {
                let disposition = perf::disposition(&mut reader)?;
                self.on_disposition(local, disposition);
                Ok(())
            }
            perf::ATTACH => {
                let (handle, delivery_count, attach) = perf::attach(&mut reader)?;
                self.on_attach(local, handle, delivery_count, attach)
            }
            perf::DETACH => {
                let (handle, closed, error) = perf::detach(&mut reader)?;
                self.on_detach(local, handle, closed, error);
                Ok(())
            }
            perf::END => {
                let error = perf::end_or_close(&mut reader)?;
                self.on_end(local, error);
                Ok(())
            }
            perf::OPEN => Err(Violation::state("A second open.")),
            _ => Err(Violation::framing("A performative that does not belong here.".into())),
        }
    }

    fn on_begin(&mut self, channel: u16, begin: Begin) -> Result<(), Violation> {
        if channel > self.config.limits.channel_max {
            return Err(Violation::framing(format!(
                "Channel {channel} is above the announced channel-max {}.",
                self.config.limits.channel_max
            )));
        }
        if self.channels.get(usize::from(channel)).is_some_and(Option::is_some) {
            return Err(Violation::state("A begin on a channel that has a session."));
        }
        let local = match begin.remote_channel {
            Some(local) => local,
            None if !self.is_server() => return Err(Violation::state("A begin that answers none of ours.")),
            None => {
                self.answer_begin(channel).ok_or(Violation::limit("No channel is left for an answer."))?
            }
        };
        let first_outgoing_id = self.first_outgoing_id();
        let Some(session) = self.sessions.get_mut(usize::from(local)).and_then(Option::as_mut) else {
            return Err(Violation::state("A begin that answers none of ours."));
        };
        if session.remote_channel.is_some() {
            return Err(Violation::state("A second answer to a begin."));
        }
        session.remote_channel = Some(channel);
        session.next_incoming_id = Some(begin.next_outgoing_id);
        session.remote_handle_max = begin.handle_max;
        let in_flight = session.next_outgoing_id.wrapping_sub(first_outgoing_id) as i32;
        session.remote_window = less(begin.incoming_window, in_flight);
        if self.channels.len() <= usize::from(channel) {
            self.channels.resize(usize::from(channel) + 1, None);
        }
        self.channels[usize::from(channel)] = Some(local);
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return Ok(()) };
        if begin.remote_channel.is_none() {
            let answer = Begin {
                remote_channel: Some(channel),
                next_outgoing_id: session.next_outgoing_id,
                incoming_window: session.full_window,
                outgoing_window: session.full_window,
                handle_max: self.config.limits.handle_max,
            };
            frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_begin(out, &answer));
        }
        if !session.is_ending {
            self.events.push_back(Event::SessionBegan(super::types::SessionId(local)));
        }
        Ok(())
    }

    /// A session for one that the peer begins: on the same channel where that is free.
    fn answer_begin(&mut self, channel: u16) -> Option<u16> {
        let is_free = |sessions: &[Option<Session>], channel: u16| {
            sessions.get(usize::from(channel)).is_none_or(Option::is_none)
        };
        let local = match channel <= self.peer.channel_max && is_free(&self.sessions, channel) {
            true => channel,
            false => (0..=self.peer.channel_max).find(|channel| is_free(&self.sessions, *channel))?,
        };
        self.put_session(local);
        Some(local)
    }

    pub(super) fn put_session(&mut self, local: u16) {
        let session = Session::new(local, self.config.limits.session_window, self.first_outgoing_id());
        if self.sessions.len() <= usize::from(local) {
            self.sessions.resize_with(usize::from(local) + 1, || None);
        }
        self.sessions[usize::from(local)] = Some(session);
    }

    /// The service counts transfers from 1; so do we as a server.
    pub(super) fn first_outgoing_id(&self) -> u32 {
        u32::from(self.is_server())
    }

    fn on_end(&mut self, local: u16, error: Option<AmqpError>) {
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return };
        let was_ending = session.is_ending;
        if !was_ending {
            session.flush_disposition(&mut self.out);
            frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_end_or_close(out, perf::END, None));
        }
        self.remove_session(local);
        if !was_ending {
            let session = super::types::SessionId(local);
            self.events.push_back(Event::SessionEnded { session, error });
        }
    }

    fn remove_session(&mut self, local: u16) {
        self.drop_links(local);
        let Some(session) = self.sessions[usize::from(local)].take() else { return };
        if let Some(channel) = session.remote_channel {
            self.channels[usize::from(channel)] = None;
        }
    }

    /// Forgets the links of a session that is ending.
    pub(super) fn drop_links(&mut self, local: u16) {
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return };
        let links = session.links();
        session.local_handles.clear();
        session.remote_handles.clear();
        session.pending.clear();
        session.blocked.clear();
        for id in links {
            self.drop_link(id);
        }
    }

    pub(super) fn drop_link(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(id) else { return };
        self.queued_bytes -= queued_bytes(&link);
        self.unfinished_bytes -= link.unfinished_bytes();
        if let Some(Some(session)) = self.sessions.get_mut(usize::from(link.session)) {
            session.release_handle(link.local_handle);
            session.unbind_remote_handle(link.remote_handle);
            session.pending.retain(|pending| *pending != id);
            if link.role == Role::Sender {
                session.forget(id, None);
            }
        }
    }

    fn on_attach(
        &mut self,
        local: u16,
        handle: u32,
        delivery_count: Option<u32>,
        attach: Attach,
    ) -> Result<(), Violation> {
        if handle > self.config.limits.handle_max {
            return Err(Violation::framing(format!(
                "Handle {handle} is above the announced handle-max {}.",
                self.config.limits.handle_max
            )));
        }
        let is_server = self.is_server();
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return Ok(()) };
        if session.is_ending {
            return Ok(());
        }
        if session.link_of(handle).is_some() {
            let error = AmqpError::new("amqp:session:handle-in-use", "The handle belongs to another link.");
            self.end_with(local, error);
            return Ok(());
        }
        let links = &self.links;
        let answered = session.pending.iter().position(|id| {
            links.get(*id).is_some_and(|link| link.name == attach.name && link.role != attach.role)
        });
        if let Some(position) = answered {
            let id = session.pending.swap_remove(position);
            session.bind_remote_handle(handle, id);
            let Some(link) = self.links.get_mut(id) else { return Ok(()) };
            link.remote_handle = Some(handle);
            link.peer_max_message_size = attach.max_message_size.filter(|size| *size > 0);
            if link.role == Role::Receiver {
                link.delivery_count = delivery_count.unwrap_or(0);
            }
            if link.state == LinkState::Detaching {
                return Ok(());
            }
            let is_refused = match link.role {
                Role::Receiver => attach.source.is_none(),
                Role::Sender => attach.target.is_none(),
            };
            if is_refused {
                link.state = LinkState::Refused;
                return Ok(());
            }
            link.state = LinkState::Attached;
            self.events.push_back(Event::Attached { link: id, attach: Box::new(attach) });
            return Ok(());
        }
        if !is_server {
            let error = AmqpError::new("amqp:not-allowed", "A client accepts no links.");
            self.end_with(local, error);
            return Ok(());
        }
        if self.links.len() >= self.config.limits.max_links {
            return Err(Violation::limit("Too many links on one connection."));
        }
        let role = if attach.role == Role::Sender { Role::Receiver } else { Role::Sender };
        let mut link = Link::new(
            attach.name.clone(),
            role,
            local,
            LinkState::AttachReceived,
            self.config.limits.max_message_size,
        );
        link.remote_handle = Some(handle);
        link.peer_max_message_size = attach.max_message_size.filter(|size| *size > 0);
        link.delivery_count = delivery_count.filter(|_| role == Role::Receiver).unwrap_or(0);
        let id = self.links.insert(link);
        session.bind_remote_handle(handle, id);
        let session = super::types::SessionId(local);
        self.events.push_back(Event::AttachRequested { link: id, session, attach: Box::new(attach) });
        Ok(())
    }

    fn on_detach(&mut self, local: u16, handle: u32, closed: bool, error: Option<AmqpError>) {
        let Some(id) = self.link_of(local, handle) else { return self.unattached(local) };
        let Some(link) = self.links.get_mut(id) else { return };
        match link.state {
            LinkState::Detaching => return self.drop_link(id),
            // The driver has not answered: a null answer, and the detach that belongs to it.
            LinkState::AttachReceived => self.put_refusal(id, None),
            _ => {
                if let (Some(handle), Some(session)) =
                    (link.local_handle, self.sessions[usize::from(local)].as_mut())
                {
                    session.flush_disposition(&mut self.out);
                    frame::put(&mut self.out, Kind::Amqp, local, |out| {
                        perf::put_detach(out, handle, closed, None);
                    });
                }
            }
        }
        self.drop_link(id);
        self.events.push_back(Event::Detached { link: id, closed, error });
    }

    fn on_flow(&mut self, local: u16, flow: &Flow) {
        let first_outgoing_id = self.first_outgoing_id();
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return };
        if session.is_ending {
            return;
        }
        session.on_flow(flow, first_outgoing_id);
        if session.remote_window > 0 {
            for id in std::mem::take(&mut session.blocked) {
                if let Some(link) = self.links.get_mut(id) {
                    link.is_active = false;
                }
                self.activate(id);
            }
        }
        let Some(about) = &flow.link else {
            return self.echo(local, None, flow.echo);
        };
        let Some(id) = self.link_of(local, about.handle) else { return self.unattached(local) };
        let Some(link) = self.links.get_mut(id) else { return };
        // Clients send credit right behind their attach, before the driver has accepted the link.
        if !matches!(link.state, LinkState::Attached | LinkState::AttachReceived) {
            return;
        }
        match link.role {
            Role::Sender => {
                let under_way = link.delivery_count.wrapping_sub(about.delivery_count.unwrap_or(0)) as i32;
                link.credit = less(about.link_credit, under_way);
                link.is_draining = about.drain;
                link.gives_back &= about.drain;
                let credit = link.sendable();
                self.events.push_back(Event::Credit { link: id, credit, drain: about.drain });
                self.activate(id);
            }
            // A sender's flow says nothing that we believe, unless it answers a drain.
            Role::Receiver if link.is_draining => {
                link.is_draining = false;
                link.credit = 0;
                link.delivery_count = about.delivery_count.unwrap_or(link.delivery_count);
                self.events.push_back(Event::Drained(id));
            }
            Role::Receiver => {}
        }
        self.echo(local, Some(id), flow.echo);
    }

    fn echo(&mut self, local: u16, link: Option<LinkId>, wanted: bool) {
        if let (true, Some(session)) = (wanted, self.sessions[usize::from(local)].as_mut()) {
            session.put_flow(&mut self.out, link.and_then(|id| self.links.get(id)), false);
        }
    }

    fn on_disposition(&mut self, local: u16, disposition: perf::Disposition) {
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return };
        // What a sender settles of its own concerns nobody here: we settle what we receive at once.
        if disposition.role == Role::Sender || session.is_ending {
            return;
        }
        if disposition.outcome.is_none() && !disposition.settled {
            return;
        }
        let outcome = disposition.outcome.clone().unwrap_or(Outcome::Unknown);
        let events = &mut self.events;
        let any = session.decided(disposition.first, disposition.last, |link, token| {
            events.push_back(Event::Outcome { link, token, outcome: outcome.clone() });
        });
        if any && !disposition.settled {
            session.flush_disposition(&mut self.out);
            let settled = perf::Disposition { role: Role::Sender, settled: true, ..disposition };
            frame::put(&mut self.out, Kind::Amqp, local, |out| perf::put_disposition(out, &settled));
        }
    }

    fn on_transfer(&mut self, local: u16, mut reader: Reader<'_>) -> Result<(), Violation> {
        let transfer = perf::transfer(&mut reader)?;
        let Some(session) = self.sessions[usize::from(local)].as_mut() else { return Ok(()) };
        if session.is_ending {
            return Ok(());
        }
        session.next_incoming_id = session.next_incoming_id.map(|id| id.wrapping_add(1));
        if session.incoming_window == 0 {
            let error =
                AmqpError::new("amqp:session:window-violation", "A transfer outside the session's window.");
            self.end_with(local, error);
            return Ok(());
        }
        session.incoming_window -= 1;
        if session.incoming_window < session.full_window / 2 {
            session.put_flow(&mut self.out, None, false);
        }
        let Some(id) = session.link_of(transfer.handle) else {
            self.unattached(local);
            return Ok(());
        };
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        if link.state != LinkState::Attached {
            return Ok(());
        }
        let before = link.unfinished_bytes();
        let step = accept_transfer(link, &transfer, &reader);
        let after = link.unfinished_bytes();
        self.unfinished_bytes = self.unfinished_bytes + after - before;
        if after > before && self.unfinished_bytes > self.config.limits.max_unfinished_bytes {
            let error = AmqpError::new(
                "amqp:resource-limit-exceeded",
                "More is held for messages of which frames are missing than one connection may have held.",
            );
            self.detach(id, true, Some(error.clone()));
            self.events.push_back(Event::Detached { link: id, closed: true, error: Some(error) });
            return Ok(());
        }
        match step {
            Step::Nothing => {}
            Step::Delivery(delivery) => self.events.push_back(Event::Delivery { link: id, delivery }),
            Step::TooLarge { first, last, size, limit } => {
                let error = AmqpError::new(
                    "amqp:link:message-size-exceeded",
                    format!(
                        "The received message (delivery-id:{first}, size:{size} bytes) exceeds the limit \
                         ({limit} bytes) currently allowed on the link."
                    ),
                );
                self.settle_range(local, first, last, Outcome::Rejected(Some(error)));
                self.events.push_back(Event::TooLarge { link: id, size });
            }
            Step::Detach(error) => {
                self.detach(id, true, Some(error.clone()));
                self.events.push_back(Event::Detached { link: id, closed: true, error: Some(error) });
            }
        }
        Ok(())
    }

    fn link_of(&self, local: u16, handle: u32) -> Option<LinkId> {
        self.sessions.get(usize::from(local))?.as_ref()?.link_of(handle)
    }

    fn unattached(&mut self, local: u16) {
        let error = AmqpError::new("amqp:session:unattached-handle", "No link has this handle.");
        self.end_with(local, error);
    }

    /// Ends a session because the peer broke its rules.
    fn end_with(&mut self, local: u16, error: AmqpError) {
        let Some(Some(session)) = self.sessions.get(usize::from(local)) else { return };
        if session.is_ending {
            return;
        }
        let session = super::types::SessionId(local);
        self.end(session, Some(error.clone()));
        self.events.push_back(Event::SessionEnded { session, error: Some(error) });
    }
}

/// What a transfer comes to.
enum Step {
    Nothing,
    Delivery(Delivery),
    TooLarge { first: u32, last: u32, size: u64, limit: u64 },
    Detach(AmqpError),
}

fn accept_transfer(link: &mut Link, transfer: &Transfer, reader: &Reader<'_>) -> Step {
    if link.role != Role::Receiver {
        return Step::Detach(AmqpError::new("amqp:not-allowed", "A transfer to a link that sends."));
    }
    let payload = reader.rest();
    let Some(incoming) = &mut link.incoming else {
        let Some(first_id) = transfer.delivery_id else {
            return Step::Detach(AmqpError::new("amqp:invalid-field", "A delivery without delivery-id."));
        };
        if link.credit == 0 {
            return Step::Detach(AmqpError::new(
                "amqp:link:transfer-limit-exceeded",
                "A delivery that no credit covers.",
            ));
        }
        link.credit -= 1;
        link.delivery_count = link.delivery_count.wrapping_add(1);
        if transfer.aborted {
            return Step::Nothing;
        }
        let settled = transfer.settled.unwrap_or(false);
        let message_format = transfer.message_format.unwrap_or(0);
        let size = payload.len() as u64;
        if transfer.more {
            let tag = transfer.tag.map_or_else(Bytes::new, |(start, end)| reader.slice(start, end));
            let parts = if size > link.max_message_size { Vec::new() } else { vec![payload] };
            link.incoming =
                Some(Incoming { first_id, last_id: first_id, tag, message_format, settled, parts, size });
            return Step::Nothing;
        }
        if size > link.max_message_size {
            return too_large(first_id, first_id, size, link.max_message_size, settled);
        }
        return Step::Delivery(Delivery { id: first_id, message_format, settled, payload });
    };
    if let Some((start, end)) = transfer.tag
        && reader.slice(start, end) != incoming.tag
    {
        return Step::Detach(AmqpError::new("amqp:invalid-field", "A delivery inside another one."));
    }
    if transfer.aborted {
        link.incoming = None;
        return Step::Nothing;
    }
    incoming.last_id = transfer.delivery_id.unwrap_or(incoming.last_id);
    incoming.settled |= transfer.settled.unwrap_or(false);
    incoming.size += payload.len() as u64;
    if incoming.size > link.max_message_size {
        incoming.parts = Vec::new();
    } else {
        incoming.push(payload);
    }
    if transfer.more {
        return Step::Nothing;
    }
    let Some(incoming) = link.incoming.take() else { return Step::Nothing };
    if incoming.size > link.max_message_size {
        let Incoming { first_id, last_id, size, settled, .. } = incoming;
        return too_large(first_id, last_id, size, link.max_message_size, settled);
    }
    Step::Delivery(Delivery {
        id: incoming.first_id,
        message_format: incoming.message_format,
        settled: incoming.settled,
        payload: incoming.join(),
    })
}

/// A settled delivery cannot be rejected, so the link goes.
fn too_large(first: u32, last: u32, size: u64, limit: u64, settled: bool) -> Step {
    if settled {
        return Step::Detach(AmqpError::new(
            "amqp:link:message-size-exceeded",
            format!("A message of {size} bytes is larger than the {limit} bytes allowed on the link."),
        ));
    }
    Step::TooLarge { first, last, size, limit }
}

/// Bytes of a link's queue that have not been put into frames.
pub(super) fn queued_bytes(link: &Link) -> usize {
    let all: usize = link.queue.iter().map(|message| message.head.len() + message.body.len()).sum();
    all - link.progress.map_or(0, |(_, sent)| sent)
}
