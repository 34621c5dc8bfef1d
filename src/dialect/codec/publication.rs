//! What a service makes of a publication: the events in it, and the form in which they are kept and delivered.

use bytes::{Bytes, BytesMut};

use crate::amqp::decode::DecodeError;
use crate::amqp::message::{self, Span};
use crate::dialect::annotations::{
    BATCH_FORMAT, ENQUEUED_TIME, OFFSET, PARTITION_KEY, PRODUCER_EPOCH, PRODUCER_ID,
    PRODUCER_SEQUENCE_NUMBER, PUBLISHER_NAME, SEQUENCE_NUMBER, SEQUENCE_NUMBER_EPOCH,
};
use crate::dialect::entries::Entries;
use crate::dialect::head::NewHead;
use crate::model::publishing::after;
use crate::model::value::Timestamp;

/// Annotations that a producer cannot make: what it sends under these names is dropped.
const RESERVED: [&str; 5] = [SEQUENCE_NUMBER_EPOCH, SEQUENCE_NUMBER, OFFSET, ENQUEUED_TIME, PUBLISHER_NAME];

/// What an idempotent producer tells the service, and no reader.
const NUMBERING: [&str; 3] = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQUENCE_NUMBER];

/// Publications up to this size are copied next to their heads, so that a small event does not keep a large
/// read buffer alive.
const COPIED: usize = 16 * 1024;

/// What an arena is made of: room for the heads of about a hundred events, or some small events.
const ARENA: usize = 16 * 1024;

/// Events that were published together, found in what arrived and not yet given a place.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The only event of a publication that is no batch: it is not worth a list.
    single: Option<Event>,
    events: Vec<Event>,
    /// The envelope's, or the single event's.
    label: Label,
    /// Those of the events in a batch.
    labels: Vec<Label>,
    publisher: Option<String>,
    numbers: Numbers,
    copied: bool,
    size: u64,
}

/// The numbers that an idempotent producer gave to the events of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// There are none.
    None,
    /// One behind the other.
    From {
        /// Which producer it is.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// The first event's number.
        first: i32,
    },
    /// They contradict each other, or some events have none.
    Mixed,
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

#[derive(Clone, Debug)]
struct Event {
    /// Index of its label; the single event's is not among them.
    label: usize,
    /// Its sections behind the annotations, as they were sent.
    bare: Bytes,
}

/// What is kept of an event's annotations; neighbours share theirs.
#[derive(Clone, Debug, Default)]
struct Label {
    key: Option<String>,
    /// Other annotations: keys and values, as they were sent.
    kept: Vec<u8>,
    kept_count: u32,
    /// Id, epoch and number of an idempotent producer.
    numbers: [Option<i64>; 3],
}

impl Publication {
    /// Takes a message that was sent to a hub apart: the events of a batch, or the one event that it is.
    ///
    /// # Errors
    /// When it is not a message, or a batch whose data sections are not messages.
    pub fn parse(payload: &Bytes, message_format: u32) -> Result<Self, DecodeError> {
        let sections = message::sections(payload)?;
        let label = Label::of(payload, sections.message_annotations)?;
        let mut publication = Publication::new(label, payload.len() <= COPIED);
        if message_format != BATCH_FORMAT {
            let bare = sections.bare.of(payload);
            publication.size = publication.label.room(&bare);
            publication.numbers = publication.label.numbers();
            publication.single = Some(Event { label: 0, bare });
            return Ok(publication);
        }
        let events = message::data_sections(&sections.body.of(payload))?;
        publication.events.reserve_exact(events.len());
        let events =
            events.into_iter().map(|event| event.ok_or(DecodeError("a batch with an event that is null")));
        publication.push_all(events)?;
        if publication.numbers == Numbers::None {
            publication.numbers = publication.label.numbers();
        }
        Ok(publication)
    }

    /// Events that were encoded one by one, with a partition key for those that have none.
    ///
    /// # Errors
    /// When one of them is not a message.
    pub fn from_events(events: Vec<Bytes>, partition_key: Option<String>) -> Result<Self, DecodeError> {
        let label = Label { key: partition_key, ..Label::default() };
        let size = events.iter().map(Bytes::len).sum::<usize>();
        let mut publication = Publication::new(label, size <= COPIED);
        publication.push_all(events.into_iter().map(Ok))?;
        Ok(publication)
    }

    /// What the partition is chosen by, where the producer leaves it to the service.
    pub fn partition_key(&self) -> Option<&str> {
        self.label.key.as_deref()
    }

    /// The numbers of its events. Where only the envelope has some, it speaks for them all.
    pub fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Puts a publisher's name on each event.
    pub fn set_publisher(&mut self, publisher: &str) {
        self.publisher = Some(publisher.to_owned());
        self.size += (self.len() * publisher.len()) as u64;
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len() + usize::from(self.single.is_some())
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the events need at most.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives each event its place and hands it to `put`, in order. All heads lie in `arena`, one behind the
    /// other; it is used up and replaced as needed.
    pub fn store(self, arena: &mut BytesMut, mut stamp: Stamp, mut put: impl FnMut(Stored)) {
        let bodies = |event: &Event| if self.copied { 0 } else { event.bare.len() };
        let needed = self.size as usize - self.single.iter().chain(&self.events).map(bodies).sum::<usize>();
        if arena.capacity() < needed {
            *arena = BytesMut::with_capacity(needed.max(ARENA));
        }
        let is_single = self.single.is_some();
        for event in self.single.into_iter().chain(self.events) {
            let label = if is_single { &self.label } else { &self.labels[event.label] };
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

    fn new(label: Label, copied: bool) -> Self {
        Publication {
            single: None,
            events: Vec::new(),
            label,
            labels: Vec::new(),
            publisher: None,
            numbers: Numbers::None,
            copied,
            size: 0,
        }
    }

    fn push_all(
        &mut self,
        events: impl Iterator<Item = Result<Bytes, DecodeError>>,
    ) -> Result<(), DecodeError> {
        let mut last = Bytes::new();
        for event in events {
            let event = event?;
            let sections = message::sections(&event)?;
            let span = sections.message_annotations;
            let annotations = &event[span.start as usize..span.end as usize];
            if self.labels.is_empty() || annotations != last {
                let mut label = Label::of(&event, span)?;
                label.key = label.key.or_else(|| self.label.key.clone());
                let numbers = label.numbers();
                let index = self.events.len();
                self.numbers = if index == 0 { numbers } else { self.numbers.with(index, numbers) };
                // Events of an idempotent producer differ in their numbers, which are not kept.
                if !self.labels.last().is_some_and(|known| known.is_kept_as(&label)) {
                    self.labels.push(label);
                }
                last = span.of(&event);
            } else if self.numbers != Numbers::None {
                self.numbers = Numbers::Mixed;
            }
            let bare = sections.bare;
            let bare = if bare.len() == event.len() { event } else { bare.of(&event) };
            let label = self.labels.len() - 1;
            self.size += self.labels[label].room(&bare);
            self.events.push(Event { label, bare });
        }
        Ok(())
    }
}

impl Numbers {
    /// With the event at `index` having `own`.
    fn with(self, index: usize, own: Numbers) -> Numbers {
        match (self, own) {
            (Numbers::None, Numbers::None) => Numbers::None,
            (
                Numbers::From { producer_id, epoch, first },
                Numbers::From { producer_id: id, epoch: e, first: own },
            ) if (id, e) == (producer_id, epoch)
                && u32::try_from(index).is_ok_and(|index| own == after(first, index)) =>
            {
                self
            }
            _ => Numbers::Mixed,
        }
    }
}

impl Stored {
    /// The event's size in bytes: how far behind its offset the next one's lies.
    pub fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }
}

impl Label {
    /// What an event with this label needs at most.
    fn room(&self, bare: &Bytes) -> u64 {
        let key = self.key.as_ref().map_or(0, String::len);
        (NewHead::ROOM + key + self.kept.len() + bare.len()) as u64
    }

    fn is_kept_as(&self, other: &Label) -> bool {
        (&self.key, self.kept_count, &self.kept) == (&other.key, other.kept_count, &other.kept)
    }

    fn numbers(&self) -> Numbers {
        match self.numbers {
            [None, None, None] => Numbers::None,
            [Some(producer_id), Some(epoch), Some(first)] => match (epoch.try_into(), first.try_into()) {
                (Ok(epoch), Ok(first)) => Numbers::From { producer_id, epoch, first },
                _ => Numbers::Mixed,
            },
            _ => Numbers::Mixed,
        }
    }

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
            } else if let Some(which) = NUMBERING.iter().position(|own| Some(own.as_bytes()) == name) {
                label.numbers[which] = entry.integer();
            } else if !name.is_some_and(|name| RESERVED.iter().any(|reserved| reserved.as_bytes() == name)) {
                label.kept.extend_from_slice(entry.encoded());
                label.kept_count += 1;
            }
        }
        Ok(label)
    }
}
