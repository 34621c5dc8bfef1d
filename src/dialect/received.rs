//! An event that arrived.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::annotations::{
    ENQUEUED_TIME, LAST_ENQUEUED_OFFSET, LAST_ENQUEUED_SEQUENCE_NUMBER, LAST_ENQUEUED_TIME, OFFSET,
    PARTITION_KEY, PUBLISHER_NAME, RETRIEVAL_TIME, SEQUENCE_NUMBER, SEQUENCE_NUMBER_EPOCH,
};
use super::entries::Entries;
use super::event::EventData;
use super::head::{Head, HeadError};
use crate::amqp::decode::DecodeError;
use crate::amqp::message::{self, Body, Header, Properties, Sections, Span};
use crate::error::{Error, ErrorKind};
use crate::model::value::{Symbol, Timestamp, Value};

/// The annotations that the service makes, and that are not the producer's.
const SERVICE_ANNOTATIONS: [&str; 5] =
    [SEQUENCE_NUMBER_EPOCH, SEQUENCE_NUMBER, OFFSET, ENQUEUED_TIME, PUBLISHER_NAME];

/// An event that arrived. It is a view of the bytes that came from the network: what is asked for is
/// decoded when it is asked for, and a clone copies nothing.
#[derive(Clone)]
pub struct ReceivedEvent {
    payload: Bytes,
    sections: Sections,
    head: Head,
    /// Shared by all events of a stream.
    partition_id: Option<Arc<str>>,
}

/// Where the parts of an encoded event lie that are asked for most: first byte, and one past the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "for events that cross into JavaScript")]
pub(crate) struct Layout {
    /// The body's bytes, when it is one data section.
    pub(crate) body: Option<(usize, usize)>,
    pub(crate) offset: (usize, usize),
    pub(crate) partition_key: Option<(usize, usize)>,
}

/// The newest event of a partition, as told with every event to readers that ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEnqueued {
    /// The newest event's sequence number; -1 when there never was one.
    pub sequence_number: i64,
    /// The newest event's offset; `-1` when there never was one.
    pub offset: String,
    /// When the newest event was enqueued.
    pub enqueued_time: Timestamp,
    /// When the service looked.
    pub retrieved_at: Timestamp,
}

/// An AMQP message with all its sections decoded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The header, when there is one.
    pub header: Option<Header>,
    /// The delivery annotations.
    pub delivery_annotations: Vec<(String, Value)>,
    /// The message annotations.
    pub message_annotations: Vec<(String, Value)>,
    /// The properties.
    pub properties: Properties,
    /// The application properties.
    pub application_properties: Vec<(String, Value)>,
    /// The body.
    pub body: Body,
    /// The footer.
    pub footer: Vec<(String, Value)>,
}

impl ReceivedEvent {
    /// Makes an event of a message as the service delivers it. Finds the sections and the service's
    /// annotations, and decodes nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the bytes are not a message, or the service's annotations are missing.
    pub fn parse(payload: Bytes) -> Result<Self, Error> {
        let sections = message::sections(&payload).map_err(|error| undecodable("event", error))?;
        let head = Head::read(&payload, sections.message_annotations).map_err(|error| match error {
            HeadError::Malformed(error) => undecodable("event's annotations", error),
            HeadError::Missing(name) => Error::new(
                ErrorKind::Protocol,
                format!("an event arrived without a proper annotation '{name}'"),
            ),
        })?;
        Ok(ReceivedEvent { payload, sections, head, partition_id: None })
    }

    /// Says which partition it came from, which the message itself does not.
    #[must_use]
    pub fn in_partition(mut self, id: Arc<str>) -> Self {
        self.partition_id = Some(id);
        self
    }

    /// The partition that it came from; empty when it was not received from one.
    pub fn partition_id(&self) -> &str {
        self.partition_id.as_deref().unwrap_or_default()
    }

    /// The event's number in its partition: the first has 0, the next one more.
    pub fn sequence_number(&self) -> i64 {
        self.head.sequence_number
    }

    /// Where the event lies in its partition: what a checkpoint keeps.
    pub fn offset(&self) -> &str {
        self.text(self.head.offset)
    }

    /// When the service took the event.
    pub fn enqueued_time(&self) -> Timestamp {
        Timestamp::from_millis(self.head.enqueued_time)
    }

    /// The partition key that it was sent with.
    pub fn partition_key(&self) -> Option<&str> {
        self.head.partition_key.map(|span| self.text(span))
    }

    /// The body, decoded.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when it is malformed.
    pub fn body(&self) -> Result<Body, Error> {
        message::body(&self.sections.body.of(&self.payload))
            .map_err(|error| undecodable("event's body", error))
    }

    /// The body's bytes. A body of one data section, as nearly all are, is not copied; several are joined;
    /// of an AMQP value, the bytes of a binary or string; nothing of a null or an absent body.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the body is malformed, [`ErrorKind::InvalidArgument`] when it does not
    /// consist of bytes: [`body`](Self::body) gives it.
    pub fn body_bytes(&self) -> Result<Bytes, Error> {
        if let Some((start, end)) = self.only_data() {
            return Ok(self.payload.slice(start..end));
        }
        match self.body()? {
            Body::Empty | Body::Value(Value::Null) => Ok(Bytes::new()),
            Body::Value(Value::Binary(bytes)) => Ok(bytes),
            Body::Value(Value::String(text)) => Ok(Bytes::from(text)),
            Body::Data(sections) => Ok(joined(sections)),
            Body::Value(_) => Err(no_bytes("an AMQP value that is neither binary nor string")),
            Body::Sequence(_) => Err(no_bytes("an AMQP sequence")),
        }
    }

    #[allow(dead_code, reason = "for events that cross into JavaScript")]
    pub(crate) fn layout(&self) -> Layout {
        let ends = |span: Span| (span.start as usize, span.end as usize);
        Layout {
            body: self.only_data(),
            offset: ends(self.head.offset),
            partition_key: self.head.partition_key.map(ends),
        }
    }

    /// Where the body's bytes lie, when it is one data section.
    fn only_data(&self) -> Option<(usize, usize)> {
        let (start, end) = (self.sections.body.start as usize, self.sections.body.end as usize);
        match &self.payload[start..end] {
            [0x00, 0x53, 0x75, 0xa0, len, data @ ..] if data.len() == usize::from(*len) => {
                Some((start + 5, end))
            }
            [0x00, 0x53, 0x75, 0xb0, a, b, c, d, data @ ..]
                if data.len() == u32::from_be_bytes([*a, *b, *c, *d]) as usize =>
            {
                Some((start + 8, end))
            }
            _ => None,
        }
    }

    /// The body as text.
    ///
    /// # Errors
    /// As [`body_bytes`](Self::body_bytes), and [`ErrorKind::InvalidArgument`] when it is not UTF-8.
    pub fn body_text(&self) -> Result<String, Error> {
        String::from_utf8(Vec::from(self.body_bytes()?)).map_err(|_| no_bytes("not UTF-8"))
    }

    /// The AMQP properties: message id, subject, content type and the others.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when they are malformed.
    pub fn properties(&self) -> Result<Properties, Error> {
        message::properties(&self.sections.properties.of(&self.payload))
            .map_err(|error| undecodable("event's properties", error))
    }

    /// The application properties, in the order in which they were sent.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when they are malformed.
    pub fn application_properties(&self) -> Result<Vec<(String, Value)>, Error> {
        self.map(self.sections.application_properties, "event's application properties")
    }

    /// One application property, found without decoding the others.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when they are malformed.
    pub fn property(&self, name: &str) -> Result<Option<Value>, Error> {
        message::map_get(&self.sections.application_properties.of(&self.payload), name)
            .map_err(|error| undecodable("event's application properties", error))
    }

    /// The message annotations: the service's, and those of the producer.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when they are malformed.
    pub fn annotations(&self) -> Result<Vec<(String, Value)>, Error> {
        self.map(self.sections.message_annotations, "event's annotations")
    }

    /// The newest event of the partition when this one was delivered; `None` unless the reader asked for it.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the delivery's annotations are malformed.
    pub fn last_enqueued(&self) -> Result<Option<LastEnqueued>, Error> {
        let broken = |error| undecodable("event's delivery annotations", error);
        let mut entries = Entries::new(&self.payload, self.sections.delivery_annotations).map_err(broken)?;
        let (mut sequence_number, mut offset, mut enqueued_time, mut retrieved_at) = (None, None, None, None);
        while let Some(entry) = entries.next().map_err(broken)? {
            match entry.name().and_then(|name| std::str::from_utf8(name).ok()) {
                Some(LAST_ENQUEUED_SEQUENCE_NUMBER) => sequence_number = entry.integer(),
                Some(LAST_ENQUEUED_OFFSET) => offset = entry.text_span(),
                Some(LAST_ENQUEUED_TIME) => enqueued_time = entry.integer(),
                Some(RETRIEVAL_TIME) => retrieved_at = entry.integer(),
                _ => {}
            }
        }
        let (Some(sequence_number), Some(offset)) = (sequence_number, offset) else {
            return Ok(None);
        };
        let time = |millis: Option<i64>| Timestamp::from_millis(millis.unwrap_or_default());
        Ok(Some(LastEnqueued {
            sequence_number,
            offset: self.text(offset).to_owned(),
            enqueued_time: time(enqueued_time),
            retrieved_at: time(retrieved_at),
        }))
    }

    /// The whole message, with every section decoded.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when a section is malformed.
    pub fn message(&self) -> Result<Message, Error> {
        let sections = &self.sections;
        let header = match sections.header.is_empty() {
            true => None,
            false => Some(
                message::header(&sections.header.of(&self.payload))
                    .map_err(|error| undecodable("event's header", error))?,
            ),
        };
        Ok(Message {
            header,
            delivery_annotations: self.map(sections.delivery_annotations, "event's delivery annotations")?,
            message_annotations: self.annotations()?,
            properties: self.properties()?,
            application_properties: self.application_properties()?,
            body: self.body()?,
            footer: self.map(sections.footer, "event's footer")?,
        })
    }

    /// The whole message, encoded, as it arrived.
    pub fn raw(&self) -> &Bytes {
        &self.payload
    }

    /// The event to be sent on: body, properties, partition key and the producer's annotations.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when a section is malformed.
    pub fn to_event_data(&self) -> Result<EventData, Error> {
        let mut event = EventData::from(self.body()?);
        if !self.sections.properties.is_empty() {
            event = event.with_properties(self.properties()?);
        }
        for (name, value) in self.application_properties()? {
            event.set_property(name, value);
        }
        for (name, value) in self.annotations()? {
            if name != PARTITION_KEY && !SERVICE_ANNOTATIONS.contains(&name.as_str()) {
                event = event.with_annotation(name, value);
            }
        }
        Ok(match self.partition_key() {
            Some(key) => event.with_partition_key(key),
            None => event,
        })
    }

    /// The same event in memory of its own. An event holds on to the whole piece of network input that it
    /// came with: worth a copy when few of many events are kept for long.
    #[must_use]
    pub fn compacted(self) -> Self {
        ReceivedEvent { payload: Bytes::copy_from_slice(&self.payload), ..self }
    }

    /// Checked when the event was made.
    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(&self.payload[span.start as usize..span.end as usize]).unwrap_or_default()
    }

    fn map(&self, span: Span, what: &str) -> Result<Vec<(String, Value)>, Error> {
        message::map(&span.of(&self.payload)).map_err(|error| undecodable(what, error))
    }
}

impl fmt::Debug for ReceivedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedEvent")
            .field("partition_id", &self.partition_id())
            .field("sequence_number", &self.sequence_number())
            .field("offset", &self.offset())
            .field("enqueued_time", &format_args!("{}", self.enqueued_time()))
            .field("partition_key", &self.partition_key())
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl LastEnqueued {
    /// The delivery annotations that say this: they come before the event's head.
    pub fn encode(&self) -> Bytes {
        let entries = [
            (LAST_ENQUEUED_SEQUENCE_NUMBER, Value::Long(self.sequence_number)),
            (LAST_ENQUEUED_OFFSET, Value::from(self.offset.as_str())),
            (LAST_ENQUEUED_TIME, Value::Timestamp(self.enqueued_time)),
            (RETRIEVAL_TIME, Value::Timestamp(self.retrieved_at)),
        ]
        .map(|(name, value)| (Symbol::from_static(name), value));
        let mut out = BytesMut::with_capacity(160);
        message::put_delivery_annotations(&mut out, &entries);
        out.freeze()
    }
}

fn joined(sections: Vec<Option<Bytes>>) -> Bytes {
    let mut sections = sections.into_iter().flatten();
    let Some(first) = sections.next() else { return Bytes::new() };
    let Some(second) = sections.next() else { return first };
    let mut all = BytesMut::from(&first[..]);
    all.put_slice(&second);
    for section in sections {
        all.put_slice(&section);
    }
    all.freeze()
}

fn no_bytes(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("the event's body is {what}: use `body()` to read it"))
}

pub(super) fn undecodable(what: &str, error: DecodeError) -> Error {
    Error::new(ErrorKind::Protocol, format!("the {what} cannot be decoded: {error}"))
}

#[cfg(test)]
#[path = "received_tests.rs"]
pub(crate) mod tests;
