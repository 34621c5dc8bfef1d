//! Links on which a client reads.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::BrokerConnection;
use super::link::Link;
use super::trouble::Victim;
use crate::amqp::{LinkId, Outgoing, SessionId};
use crate::broker::Now;
use crate::broker::faults::{FaultKind, LinkRole, On};
use crate::broker::hub::Hub;
use crate::broker::log::Entry;
use crate::broker::namespace::PartitionInfo;
use crate::broker::partition::{Partition, Room, Waiter};
use crate::dialect::annotations::NO_TIME_MILLIS;
use crate::dialect::received::LastEnqueued;
use crate::model::value::Timestamp;

/// What a reader takes from its log before it is another one's turn.
const SLICE: Room = Room { events: 512, bytes: 64 * 1024 };

/// A link on which a client reads.
pub(super) struct Reader {
    pub(super) session: SessionId,
    pub(super) hub: Arc<Hub>,
    /// The consumer group, in lower case.
    pub(super) group: String,
    /// What the client needs a grant on.
    pub(super) path: String,
    pub(super) partition: Arc<Partition>,
    /// Which of the partition's receivers this is.
    claim: u64,
    /// The sequence number of the next event.
    cursor: i64,
    /// Whether every event says how far the partition goes.
    has_metric: bool,
    /// Whether it stands in the connection's line of ready readers.
    is_queued: bool,
    /// Whether it has caught up and will be woken.
    is_waiting: bool,
    /// Whether the client wants its credit used up or given back.
    is_draining: bool,
}

impl Reader {
    #[allow(clippy::too_many_arguments, reason = "these are its fields")]
    pub(super) fn new(
        session: SessionId,
        hub: Arc<Hub>,
        partition: Arc<Partition>,
        group: String,
        path: String,
        claim: u64,
        cursor: i64,
        has_metric: bool,
    ) -> Self {
        Reader {
            session,
            hub,
            group,
            path,
            partition,
            claim,
            cursor,
            has_metric,
            is_queued: false,
            is_waiting: false,
            is_draining: false,
        }
    }
}

impl Reader {
    /// Whether it stands in no line although nothing has told it to wait.
    pub(super) fn is_held_up(&self) -> bool {
        !self.is_queued && !self.is_waiting
    }

    /// What it is told when somebody with a higher epoch takes its place.
    pub(super) fn stolen_text(&self) -> String {
        self.partition.receivers.stolen(self.claim).unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.partition.leave(self.claim);
    }
}

impl BrokerConnection {
    /// The client grants credit, or wants it back.
    pub(super) fn credit(&mut self, link: LinkId, credit: u32, drain: bool) {
        match self.links.get_mut(link) {
            Some(Link::Reader(reader)) => {
                reader.is_draining = drain;
                let can_send = credit > 0 && !reader.is_waiting;
                if (can_send || drain) && !reader.is_queued {
                    reader.is_queued = true;
                    self.ready.push_back(link);
                }
            }
            Some(Link::Replies(_)) if drain => self.engine.drained(link),
            _ => {}
        }
    }

    /// There are events for a reader that had caught up.
    pub(super) fn woken(&mut self, link: LinkId) {
        let Some(Link::Reader(reader)) = self.links.get_mut(link) else { return };
        reader.is_waiting = false;
        if !reader.is_queued {
            reader.is_queued = true;
            self.ready.push_back(link);
        }
    }

    /// Sends a reader what there is, as far as its credit goes and others do not wait for too long.
    pub(super) fn deliver(&mut self, link: LinkId, now: Now) {
        match self.trouble.faults.any() {
            false => self.deliver_some(link, SLICE, now),
            true => self.deliver_one_by_one(link, now),
        }
    }

    /// As [`deliver`](Self::deliver), where each event may be the one at which something goes wrong.
    fn deliver_one_by_one(&mut self, link: LinkId, now: Now) {
        for _ in 0..SLICE.events {
            let Some(Link::Reader(reader)) = self.links.get_mut(link) else { return };
            reader.is_queued = false;
            let cursor = reader.cursor;
            let has_next =
                !reader.is_waiting && reader.partition.has(cursor) && self.engine.sendable(link) > 0;
            if has_next && !self.is_spared(On::Receive, link, now) {
                return;
            }
            self.deliver_some(link, Room { events: 1, ..SLICE }, now);
            if has_next && !self.is_spared(On::Received, link, now) {
                return;
            }
            let Some(Link::Reader(reader)) = self.links.get_mut(link) else { return };
            if !reader.is_queued {
                return;
            }
            // It goes on at once, and stands in the line for the next round only.
            self.ready.pop_back();
        }
        self.ready.push_back(link);
    }

    /// Whether a reader can go on. When it cannot, but still is there, it waits until the faults change.
    fn is_spared(&mut self, on: On, link: LinkId, now: Now) -> bool {
        let Some(Link::Reader(reader)) = self.links.get(link) else { return false };
        let (session, place) =
            (reader.session, (&*reader.hub.name, Some(reader.partition.number), LinkRole::Receive));
        let is_stop = |kind: &FaultKind| matches!(kind, FaultKind::StopPartition);
        if on == On::Receive && self.strike_on(On::Always, place, now, is_stop).is_some() {
            return false;
        }
        let Some(kind) = self.strike_on(on, place, now, |_| true) else { return true };
        self.carry_out_behind(&kind, Victim { link: Some(link), session: Some(session) }, now);
        self.links.get(link).is_some() && kind != FaultKind::Drop
    }

    fn deliver_some(&mut self, link: LinkId, most: Room, now: Now) {
        let Some(Link::Reader(reader)) = self.links.get_mut(link) else { return };
        reader.is_queued = false;
        let sendable = self.engine.sendable(link) as usize;
        if sendable > 0 && !reader.is_waiting {
            let room = Room { events: sendable.min(most.events), ..most };
            let (mailbox, claim) = (&self.mailbox, reader.claim);
            let waiter = || Waiter { mailbox: mailbox.clone(), link, claim };
            let mut metric = Metric::new(now);
            let engine = &mut self.engine;
            let pulled = reader.partition.pull(reader.cursor, room, waiter, |entry, info| {
                let (head, body) = match reader.has_metric {
                    true => metric.message(entry, info),
                    false => (entry.head.clone(), entry.body.clone()),
                };
                let message = Outgoing { token: 0, message_format: 0, settled: true, head, body };
                // Fails only when the link has gone, and its reader with it.
                let _ = engine.send(link, message);
            });
            (reader.cursor, reader.is_waiting) = (pulled.cursor, pulled.waiting);
        }
        if !reader.is_waiting && self.engine.sendable(link) > 0 {
            reader.is_queued = true;
            self.ready.push_back(link);
        } else if reader.is_draining {
            reader.is_draining = false;
            self.engine.drained(link);
        }
    }
}

/// The delivery annotations of readers that want to know how far the partition goes.
struct Metric {
    now: Timestamp,
    /// The encoded section, once the first event was sent.
    section: Bytes,
    buffer: BytesMut,
}

impl Metric {
    fn new(now: Now) -> Self {
        Metric { now: now.unix, section: Bytes::new(), buffer: BytesMut::new() }
    }

    /// The event's message with the section in front.
    fn message(&mut self, entry: &Entry, info: &PartitionInfo) -> (Bytes, Bytes) {
        if self.section.is_empty() {
            let never = Timestamp::from_millis(NO_TIME_MILLIS);
            let last = LastEnqueued {
                sequence_number: info.last_sequence,
                offset: info.last_offset.to_string(),
                enqueued_time: info.last_enqueued.unwrap_or(never),
                retrieved_at: self.now,
            };
            self.section = last.encode();
        }
        if entry.body.is_empty() {
            return (self.section.clone(), entry.head.clone());
        }
        self.buffer.extend_from_slice(&self.section);
        self.buffer.extend_from_slice(&entry.head);
        (self.buffer.split().freeze(), entry.body.clone())
    }
}
