//! What a link is to the broker.

use super::publisher::Publisher;
use super::reader::Reader;
use super::requests::{Replies, Requests};
use crate::amqp::SessionId;
use crate::broker::config::Rights;
use crate::broker::journal::HubId;
use crate::model::moment::Moment;

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

    /// Which right the link needs, and on which path.
    pub(super) fn needs(&self) -> Option<(&str, Rights)> {
        match self {
            Link::Publisher(publisher) => Some((&publisher.path, Rights::SEND)),
            Link::Reader(reader) => Some((&reader.path, Rights::LISTEN)),
            _ => None,
        }
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
