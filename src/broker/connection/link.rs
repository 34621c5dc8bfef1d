//! What a link is to the broker.

use super::publisher::Publisher;
use super::reader::Reader;
use super::requests::{Replies, Requests};
use crate::amqp::{LinkId, SessionId};
use crate::broker::config::Rights;
use crate::broker::faults::LinkRole;
use crate::broker::journal::HubId;
use crate::model::moment::Moment;

/// The links of a connection, found without hashing: every event passes here.
#[derive(Default)]
pub(super) struct Links {
    /// By the number of their ids.
    slots: Vec<Option<(LinkId, Link)>>,
    len: usize,
}

/// A link that was accepted.
pub(super) enum Link {
    /// The client publishes.
    Publisher(Publisher),
    /// The client reads.
    Reader(Reader),
    /// The client asks.
    Requests(Requests),
    /// The client is answered.
    Replies(Replies),
}

/// A node that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// `$cbs`
    Cbs,
    /// `$management`
    Management,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        let (known, link) = self.slots.get(id.index())?.as_ref()?;
        (*known == id).then_some(link)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let (known, link) = self.slots.get_mut(id.index())?.as_mut()?;
        (*known == id).then_some(link)
    }

    pub(super) fn insert(&mut self, id: LinkId, link: Link) {
        let index = id.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.len += usize::from(self.slots[index].replace((id, link)).is_none());
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Link> {
        let slot = self.slots.get_mut(id.index())?;
        let (_, link) = slot.take_if(|(known, _)| *known == id)?;
        self.len -= 1;
        Some(link)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.slots.iter().flatten().map(|(id, link)| (*id, link))
    }

    /// Removes the links of a session.
    pub(super) fn end(&mut self, session: SessionId) {
        for slot in &mut self.slots {
            self.len -= usize::from(slot.take_if(|(_, link)| link.session() == session).is_some());
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.len = 0;
    }
}

impl Link {
    pub(super) fn session(&self) -> SessionId {
        match self {
            Link::Publisher(publisher) => publisher.session,
            Link::Reader(reader) => reader.session,
            Link::Requests(requests) => requests.session,
            Link::Replies(replies) => replies.session,
        }
    }

    pub(super) fn hub(&self) -> Option<HubId> {
        match self {
            Link::Publisher(publisher) => Some(publisher.hub.id),
            Link::Reader(reader) => Some(reader.hub.id),
            _ => None,
        }
    }

    /// The consumer group, in lower case.
    pub(super) fn group(&self) -> Option<&str> {
        match self {
            Link::Reader(reader) => Some(&reader.group),
            _ => None,
        }
    }

    /// Where the link leads, unless it is one for requests: hub, partition, and what the client does there.
    pub(super) fn place(&self) -> Option<(&str, Option<u32>, LinkRole)> {
        match self {
            Link::Publisher(publisher) => {
                let partition = publisher.partition.as_ref().map(|partition| partition.number);
                Some((&publisher.hub.name, partition, LinkRole::Send))
            }
            Link::Reader(reader) => {
                Some((&reader.hub.name, Some(reader.partition.number), LinkRole::Receive))
            }
            _ => None,
        }
    }

    /// Which right the link needs, and on which path.
    pub(super) fn needs(&self) -> Option<(&str, Rights)> {
        match self {
            Link::Publisher(publisher) => Some((&publisher.path, Rights::SEND)),
            Link::Reader(reader) => Some((&reader.path, Rights::LISTEN)),
            _ => None,
        }
    }

    /// Whether it is a reader that nobody lets go on.
    pub(super) fn is_held_up(&self) -> bool {
        matches!(self, Link::Reader(reader) if reader.is_held_up())
    }

    /// When the client last did something on a link that must not be idle.
    pub(super) fn last_used(&self) -> Option<Moment> {
        match self {
            Link::Publisher(publisher) => Some(publisher.last_used),
            Link::Requests(requests) => Some(requests.last_used),
            _ => None,
        }
    }
}
