//! Links: the state of one, and the slab that holds all of a connection.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::types::{LinkId, Outgoing, Role};

/// One link. Owned by its connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    /// Our role.
    pub(super) role: Role,
    pub(super) state: LinkState,
    /// The local channel of its session.
    pub(super) session: u16,
    pub(super) local_handle: Option<u32>,
    pub(super) remote_handle: Option<u32>,
    pub(super) delivery_count: u32,
    /// Sender: what the peer grants. Receiver: what the peer has left of what we granted.
    pub(super) credit: u32,
    /// Sender: the peer wants the credit used up. Receiver: we do.
    pub(super) is_draining: bool,
    /// Sender: the driver has answered a drain; credit goes back when the queue has left.
    pub(super) gives_back: bool,
    /// Sender: messages that have not left completely; the first may have left in part.
    pub(super) queue: VecDeque<Outgoing>,
    /// Sender: bytes of the queue's first message that have left, and its delivery-id once it has one.
    pub(super) progress: Option<(u32, usize)>,
    /// Sender: whether the link waits in the connection's line of active links.
    pub(super) is_active: bool,
    /// The largest message the peer takes.
    pub(super) peer_max_message_size: Option<u64>,
    /// Receiver: the largest message we take.
    pub(super) max_message_size: u64,
    /// Receiver: a delivery of which frames are still to come.
    pub(super) incoming: Option<Incoming>,
}

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// We asked; the peer has not answered.
    AttachSent,
    /// The peer asked; the driver has not answered.
    AttachReceived,
    Attached,
    /// The peer answered with a null terminus; its detach follows.
    Refused,
    /// We detached; the peer has not answered.
    Detaching,
}

/// A delivery in several frames, so far.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) first_id: u32,
    pub(super) last_id: u32,
    pub(super) tag: Bytes,
    pub(super) message_format: u32,
    pub(super) settled: bool,
    /// Emptied once the delivery is larger than allowed; only its size is counted from then on.
    pub(super) parts: Vec<Bytes>,
    pub(super) size: u64,
}

/// All links of a connection.
#[derive(Debug, Default)]
pub(super) struct Links {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    link: Option<Box<Link>>,
}

/// 64 MiB in frames of 64 KiB.
const MAX_PARTS: usize = 1024;

impl Link {
    pub(super) fn new(
        name: String,
        role: Role,
        session: u16,
        state: LinkState,
        max_message_size: u64,
    ) -> Self {
        Link {
            name,
            role,
            state,
            session,
            local_handle: None,
            remote_handle: None,
            delivery_count: 0,
            credit: 0,
            is_draining: false,
            gives_back: false,
            queue: VecDeque::new(),
            progress: None,
            is_active: false,
            peer_max_message_size: None,
            max_message_size,
            incoming: None,
        }
    }

    /// Credit that no queued message will use.
    pub(super) fn sendable(&self) -> u32 {
        let waiting = self.queue.len() - usize::from(self.progress.is_some());
        self.credit.saturating_sub(u32::try_from(waiting).unwrap_or(u32::MAX))
    }

    /// Bytes held for a delivery of which frames are still to come.
    pub(super) fn unfinished_bytes(&self) -> u64 {
        self.incoming
            .as_ref()
            .filter(|incoming| !incoming.parts.is_empty())
            .map_or(0, |incoming| incoming.size)
    }

    /// Whether the first queued message may leave as far as the link is concerned.
    pub(super) fn is_ready(&self) -> bool {
        self.state == LinkState::Attached
            && !self.queue.is_empty()
            && (self.progress.is_some() || self.credit > 0)
    }
}

impl Incoming {
    /// Adds a frame's payload. Each part pins what it was fed with, so a peer that cuts a message into
    /// crumbs has them joined early; frames of a useful size never come to that.
    pub(super) fn push(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        self.parts.push(part);
        if self.parts.len() > MAX_PARTS {
            let joined = self.join();
            self.parts.clear();
            self.parts.push(joined);
        }
    }

    /// The delivery's bytes, joined once.
    pub(super) fn join(&self) -> Bytes {
        let mut joined = BytesMut::with_capacity(self.parts.iter().map(Bytes::len).sum());
        for part in &self.parts {
            joined.extend_from_slice(part);
        }
        joined.freeze()
    }
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, link: Link) -> LinkId {
        let link = Some(Box::new(link));
        match self.free.pop() {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                slot.link = link;
                LinkId { index, generation: slot.generation }
            }
            None => {
                self.slots.push(Slot { generation: 0, link });
                LinkId { index: self.slots.len() as u32 - 1, generation: 0 }
            }
        }
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        let slot = self.slots.get(id.index as usize)?;
        slot.link.as_deref().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.link.as_deref_mut().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Box<Link>> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let link = slot.link.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        Some(link)
    }

    pub(super) fn clear(&mut self) {
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.link.take().is_some() {
                slot.generation = slot.generation.wrapping_add(1);
                self.free.push(index as u32);
            }
        }
    }
}
