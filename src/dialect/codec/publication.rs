//! What a service makes of a publication: the events in it, and the form in which they are kept and delivered.

use bytes::{Bytes, BytesMut};

use crate::amqp::decode::DecodeError;
use crate::amqp::message::{self, Span};
use crate::dialect::annotations::{
    BATCH_FORMAT, ENQUEUED_TIME, OFFSET, PARTITION_KEY, PUBLISHER_NAME, SEQUENCE_NUMBER,
    SEQUENCE_NUMBER_EPOCH,
};
use crate::dialect::entries::Entries;
use crate::dialect::head::NewHead;
use crate::model::value::Timestamp;

/// Annotations that a producer cannot make: what it sends under these names is dropped.
const RESERVED: [&str; 5] = [SEQUENCE_NUMBER_EPOCH, SEQUENCE_NUMBER, OFFSET, ENQUEUED_TIME, PUBLISHER_NAME];

/// Publications up to this size are copied next to their heads, so that a small event does not keep a large
/// read buffer alive.
const COPIED: usize = 16 * 1024;

/// What an arena is made of: room for the heads of about a hundred events, or some small events.
const ARENA: usize = 16 * 1024;

/// Events that were published together, found in what arrived and not yet given a place.
#[derive(Debug)]
pub struct Publication {
    events: Vec<Event>,
    labels: Vec<Label>,
    publisher: Option<String>,
    partition_key: Option<String>,
    copied: bool,
    size: u64,
}

/// Where the first event of a publication comes to lie, and when.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Its sequence number; those of the others follow.
    pub sequence_number: i64,
    /// Its offset; those of the others follow at a distance of the events' sizes.
    pub offset: i64,
    /// When they are enqueued.
    pub enqueued_time: Timestamp,
}

/// An event as it is kept: the message to deliver is `head` and `body` behind one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its offset.
    pub offset: i64,
    /// The encoded message annotations; of a small publication, the whole message.
    pub head: Bytes,
    /// The rest, as it was published.
    pub body: Bytes,
}

#[derive(Debug)]
struct Event {
    /// Index of its label.
    label: usize,
    /// Its sections behind the annotations, as they were sent.
    bare: Bytes,
}

/// What is kept of an event's annotations; neighbours share theirs.
#[derive(Debug, Default)]
struct Label {
    key: Option<String>,
    /// Other annotations: keys and values, as they were sent.
    kept: Vec<u8>,
    kept_count: u32,
}

impl Publication {
    /// Takes a message that was sent to a hub apart: the events of a batch, or the one event that it is.
    ///
    /// # Errors
    /// When it is not a message, or a batch whose data sections are not messages.
    pub fn parse(payload: &Bytes, message_format: u32) -> Result<Self, DecodeError> {
        let sections = message::sections(payload)?;
        let label = Label::of(payload, sections.message_annotations)?;
        let mut publication = Publication::empty(payload.len() <= COPIED);
        publication.partition_key.clone_from(&label.key);
        if message_format != BATCH_FORMAT {
            publication.labels.push(label);
            publication.push(0, sections.bare.of(payload));
            return Ok(publication);
        }
        let events = message::data_sections(&sections.body.of(payload))?;
        publication.events.reserve_exact(events.len());
        let events =
            events.into_iter().map(|event| event.ok_or(DecodeError("a batch with an event that is null")));
        publication.push_all(events, label.key.as_deref())?;
        Ok(publication)
    }

    /// Events that were encoded one by one, with a partition key for those that have none.
    ///
    /// # Errors
    /// When one of them is not a message.
    pub fn from_events(events: Vec<Bytes>, partition_key: Option<String>) -> Result<Self, DecodeError> {
        let mut publication = Publication::empty(events.iter().map(Bytes::len).sum::<usize>() <= COPIED);
        publication.push_all(events.into_iter().map(Ok), partition_key.as_deref())?;
        publication.partition_key = partition_key;
        Ok(publication)
    }

    /// What the partition is chosen by, where the producer leaves it to the service.
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    /// Puts a publisher's name on each event.
    pub fn set_publisher(&mut self, publisher: &str) {
        self.publisher = Some(publisher.to_owned());
        self.size += (self.events.len() * publisher.len()) as u64;
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes that the events need at most.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives each event its place and hands it to `put`, in order. All heads lie in `arena`, one behind the
    /// other; it is used up and replaced as needed.
    pub fn store(self, arena: &mut BytesMut, mut stamp: Stamp, mut put: impl FnMut(Stored)) {
        let bodies: usize =
            if self.copied { 0 } else { self.events.iter().map(|event| event.bare.len()).sum() };
        let needed = self.size as usize - bodies;
        if arena.capacity() < needed {
            *arena = BytesMut::with_capacity(needed.max(ARENA));
        }
        for event in self.events {
            let label = &self.labels[event.label];
            let head = NewHead {
                sequence_number: stamp.sequence_number,
                offset: stamp.offset,
                enqueued_time: stamp.enqueued_time.as_millis(),
                partition_key: label.key.as_deref(),
                publisher: self.publisher.as_deref(),
                kept: &label.kept,
                kept_count: label.kept_count,
            };
            head.put(arena);
            let mut body = event.bare;
            if self.copied {
                arena.extend_from_slice(&body);
                body = Bytes::new();
            }
            let stored = Stored { offset: stamp.offset, head: arena.split().freeze(), body };
            stamp.sequence_number = stamp.sequence_number.saturating_add(1);
            stamp.offset = stamp.offset.saturating_add(stored.size() as i64);
            put(stored);
        }
    }

    fn empty(copied: bool) -> Self {
        Publication {
            events: Vec::new(),
            labels: Vec::new(),
            publisher: None,
            partition_key: None,
            copied,
            size: 0,
        }
    }

    fn push_all(
        &mut self,
        events: impl Iterator<Item = Result<Bytes, DecodeError>>,
        key: Option<&str>,
    ) -> Result<(), DecodeError> {
        let mut last = Bytes::new();
        for event in events {
            let event = event?;
            let sections = message::sections(&event)?;
            let span = sections.message_annotations;
            let annotations = &event[span.start as usize..span.end as usize];
            if self.labels.is_empty() || annotations != last {
                let mut label = Label::of(&event, span)?;
                label.key = label.key.or_else(|| key.map(str::to_owned));
                self.labels.push(label);
                last = span.of(&event);
            }
            let bare = sections.bare;
            let bare = if bare.len() == event.len() { event } else { bare.of(&event) };
            self.push(self.labels.len() - 1, bare);
        }
        Ok(())
    }

    fn push(&mut self, label: usize, bare: Bytes) {
        let Label { key, kept, .. } = &self.labels[label];
        self.size += (NewHead::ROOM + key.as_ref().map_or(0, String::len) + kept.len() + bare.len()) as u64;
        self.events.push(Event { label, bare });
    }
}

impl Stored {
    /// The event's size in bytes: how far behind its offset the next one's lies.
    pub fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }
}

impl Label {
    /// Reads an event's annotations. The service's own are not taken from a producer.
    fn of(message: &Bytes, annotations: Span) -> Result<Self, DecodeError> {
        let mut label = Label::default();
        let mut entries = Entries::new(message, annotations)?;
        while let Some(entry) = entries.next()? {
            let name = entry.name();
            if name == Some(PARTITION_KEY.as_bytes()) {
                // A key of another type than text is none.
                label.key = entry
                    .text_span()
                    .and_then(|span| {
                        std::str::from_utf8(&message[span.start as usize..span.end as usize]).ok()
                    })
                    .map(str::to_owned);
            } else if !name.is_some_and(|name| RESERVED.iter().any(|reserved| reserved.as_bytes() == name)) {
                label.kept.extend_from_slice(entry.encoded());
                label.kept_count += 1;
            }
        }
        Ok(label)
    }
}
