//! Sessions: windows, handles, and which deliveries are still undecided.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::frame::{self, Kind};
use super::link::Link;
use super::performatives::{self, Disposition, Flow, LinkFlow};
use super::types::{LinkId, Outcome, Role};

/// One session. Owned by its connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: u16,
    pub(super) remote_channel: Option<u16>,
    pub(super) is_ending: bool,
    pub(super) next_outgoing_id: u32,
    pub(super) next_delivery_id: u32,
    /// Transfers that the peer takes before it says more.
    pub(super) remote_window: u32,
    pub(super) next_incoming_id: Option<u32>,
    /// Transfers that the peer may still send.
    pub(super) incoming_window: u32,
    pub(super) full_window: u32,
    pub(super) remote_handle_max: u32,
    pub(super) local_handles: Vec<Option<LinkId>>,
    pub(super) remote_handles: Vec<Option<LinkId>>,
    /// Links that we asked for and that the peer has not answered.
    pub(super) pending: Vec<LinkId>,
    /// Links that would send if the peer's window were open.
    pub(super) blocked: Vec<LinkId>,
    /// Deliveries that we sent unsettled, by rising delivery-id.
    unsettled: VecDeque<Unsettled>,
    /// Deliveries that we settled and have not told the peer about.
    disposition: Option<Disposition>,
}

#[derive(Debug)]
struct Unsettled {
    delivery_id: u32,
    link: LinkId,
    /// `None` once it is decided or nobody waits for it.
    token: Option<u64>,
}

impl Session {
    pub(super) fn new(channel: u16, window: u32, first_outgoing_id: u32) -> Self {
        Session {
            channel,
            remote_channel: None,
            is_ending: false,
            next_outgoing_id: first_outgoing_id,
            next_delivery_id: 0,
            remote_window: 0,
            next_incoming_id: None,
            incoming_window: window,
            full_window: window,
            remote_handle_max: u32::MAX,
            local_handles: Vec::new(),
            remote_handles: Vec::new(),
            pending: Vec::new(),
            blocked: Vec::new(),
            unsettled: VecDeque::new(),
            disposition: None,
        }
    }

    /// Gives `link` the lowest free handle that the peer allows.
    pub(super) fn assign_handle(&mut self, link: LinkId) -> Option<u32> {
        let handle = match self.local_handles.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.local_handles.push(None);
                self.local_handles.len() - 1
            }
        };
        if handle as u64 > u64::from(self.remote_handle_max) {
            self.local_handles.truncate(handle);
            return None;
        }
        self.local_handles[handle] = Some(link);
        Some(handle as u32)
    }

    pub(super) fn release_handle(&mut self, handle: Option<u32>) {
        if let Some(slot) = handle.and_then(|handle| self.local_handles.get_mut(handle as usize)) {
            *slot = None;
        }
    }

    pub(super) fn link_of(&self, remote_handle: u32) -> Option<LinkId> {
        self.remote_handles.get(remote_handle as usize).copied().flatten()
    }

    /// `handle` is within our handle-max, so that this cannot grow without bound.
    pub(super) fn bind_remote_handle(&mut self, handle: u32, link: LinkId) {
        let index = handle as usize;
        if self.remote_handles.len() <= index {
            self.remote_handles.resize(index + 1, None);
        }
        self.remote_handles[index] = Some(link);
    }

    pub(super) fn unbind_remote_handle(&mut self, handle: Option<u32>) {
        if let Some(slot) = handle.and_then(|handle| self.remote_handles.get_mut(handle as usize)) {
            *slot = None;
        }
    }

    /// All links of the session, each at least once.
    pub(super) fn links(&self) -> Vec<LinkId> {
        self.local_handles.iter().chain(&self.remote_handles).copied().flatten().collect()
    }

    /// Applies a peer's windows.
    pub(super) fn on_flow(&mut self, flow: &Flow, first_outgoing_id: u32) {
        let next_incoming_id = flow.next_incoming_id.unwrap_or(first_outgoing_id);
        let in_flight = self.next_outgoing_id.wrapping_sub(next_incoming_id) as i32;
        self.remote_window = less(flow.incoming_window, in_flight);
    }

    pub(super) fn sent_unsettled(&mut self, delivery_id: u32, link: LinkId, token: u64) {
        self.unsettled.push_back(Unsettled { delivery_id, link, token: Some(token) });
    }

    /// Takes the deliveries from `first` to `last` out, calling `each` with those that somebody waits for.
    /// Costs what is undecided in the range, however wide the peer says the range is.
    pub(super) fn decided(&mut self, first: u32, last: u32, mut each: impl FnMut(LinkId, u64)) -> bool {
        let Some(front) = self.unsettled.front().map(|unsettled| unsettled.delivery_id) else { return false };
        // Serial numbers: distances from the oldest undecided delivery, negative when older.
        let distance = |id: u32| i64::from(id.wrapping_sub(front) as i32);
        let (from, to) = (distance(first), distance(last));
        let start = self.unsettled.partition_point(|unsettled| distance(unsettled.delivery_id) < from);
        let mut any = false;
        for unsettled in self.unsettled.iter_mut().skip(start) {
            if distance(unsettled.delivery_id) > to {
                break;
            }
            any = true;
            if let Some(token) = unsettled.token.take() {
                each(unsettled.link, token);
            }
        }
        while self.unsettled.front().is_some_and(|unsettled| unsettled.token.is_none()) {
            self.unsettled.pop_front();
        }
        any
    }

    /// Nobody waits any more for what these select.
    pub(super) fn forget(&mut self, link: LinkId, token: Option<u64>) {
        for unsettled in &mut self.unsettled {
            if unsettled.link == link && (token.is_none() || unsettled.token == token) {
                unsettled.token = None;
            }
        }
        while self.unsettled.front().is_some_and(|unsettled| unsettled.token.is_none()) {
            self.unsettled.pop_front();
        }
    }

    /// Settles received deliveries; true when the session now has something to tell and had not before.
    pub(super) fn settle(&mut self, out: &mut BytesMut, first: u32, last: u32, outcome: Outcome) -> bool {
        if let Some(waiting) = &mut self.disposition
            && waiting.last.wrapping_add(1) == first
            && waiting.outcome.as_ref().is_some_and(|waiting| waiting.is_like(&outcome))
        {
            waiting.last = last;
            return false;
        }
        let had = self.disposition.is_some();
        self.flush_disposition(out);
        self.disposition =
            Some(Disposition { role: Role::Receiver, first, last, settled: true, outcome: Some(outcome) });
        !had
    }

    /// Writes what was settled. Goes before any other frame of the session but transfers.
    pub(super) fn flush_disposition(&mut self, out: &mut BytesMut) {
        if let Some(disposition) = self.disposition.take() {
            frame::put(out, Kind::Amqp, self.channel, |out| {
                performatives::put_disposition(out, &disposition);
            });
        }
    }

    /// Writes a `flow` with our windows and, where given, a link's state.
    pub(super) fn put_flow(&mut self, out: &mut BytesMut, link: Option<&Link>, echo: bool) {
        self.flush_disposition(out);
        self.incoming_window = self.full_window;
        let flow = Flow {
            next_incoming_id: self.next_incoming_id,
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: self.full_window,
            link: link.and_then(|link| {
                Some(LinkFlow {
                    handle: link.local_handle?,
                    delivery_count: Some(link.delivery_count),
                    link_credit: link.credit,
                    drain: link.is_draining,
                })
            }),
            echo,
        };
        frame::put(out, Kind::Amqp, self.channel, |out| performatives::put_flow(out, &flow));
    }
}

/// `granted` less what is under way; more than granted when the peer is ahead of us, never below zero.
pub(super) fn less(granted: u32, under_way: i32) -> u32 {
    (i64::from(granted) - i64::from(under_way)).clamp(0, i64::from(u32::MAX)) as u32
}
