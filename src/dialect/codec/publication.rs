//! What a service makes of a publication: the events in it, and the form in which they are delivered.

use bytes::{BufMut, Bytes, BytesMut};

use super::MESSAGE_ANNOTATIONS;
use crate::amqp::decode::DecodeError;
use crate::amqp::message::{self, Sections};
use crate::dialect::annotations::{
    BATCH_FORMAT, ENQUEUED_TIME, OFFSET, PARTITION_KEY, PUBLISHER_NAME, SEQUENCE_NUMBER,
    SEQUENCE_NUMBER_EPOCH,
};
use crate::dialect::entries::Entries;
use crate::model::value::Timestamp;

/// Annotations that a producer cannot make: what it sends under these names is dropped.
const RESERVED: [&str; 5] = [SEQUENCE_NUMBER_EPOCH, SEQUENCE_NUMBER, OFFSET, ENQUEUED_TIME, PUBLISHER_NAME];

/// Room that the head of an event without key and annotations of its own takes at most, in bytes.
const PLAIN_HEAD: usize = 160;

/// Events that were published together.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// What the partition is chosen by, where the producer leaves it to the service.
    pub partition_key: Option<String>,
    /// The events, in order.
    pub events: Vec<Incoming>,
}

/// An event as it was published.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// What is kept byte for byte: properties, application properties, body and footer, encoded.
    pub bare: Bytes,
    /// Its partition key.
    pub partition_key: Option<String>,
    /// The producer's annotations, encoded entry by entry, and how many there are.
    kept: Vec<u8>,
    kept_count: u32,
}

/// What the service gives to events when it stores them.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The first event's sequence number.
    pub first_sequence: i64,
    /// The first event's offset.
    pub first_offset: i64,
    /// When they are enqueued.
    pub enqueued: Timestamp,
    /// The publisher whose address they were sent to.
    pub publisher: Option<&'a str>,
}

/// Events as they are stored and delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The events, in order.
    pub events: Vec<Stored>,
    /// The offset behind the last of them.
    pub end_offset: i64,
}

/// An event as it is stored and delivered: the message is `head` and `body` behind one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its offset.
    pub offset: i64,
    /// The encoded message annotations. The heads of a publication share one buffer.
    pub head: Bytes,
    /// The rest, as it was published.
    pub body: Bytes,
}

impl Publication {
    /// Takes a message that was sent to a hub apart: the events of a batch, or the one event that it is.
    ///
    /// # Errors
    /// When it is not a message, or a batch whose data sections are not messages.
    pub fn parse(payload: &Bytes, message_format: u32) -> Result<Self, DecodeError> {
        let sections = message::sections(payload)?;
        if message_format != BATCH_FORMAT {
            let event = Incoming::of(payload, &sections)?;
            return Ok(Publication { partition_key: event.partition_key.clone(), events: vec![event] });
        }
        let partition_key = Incoming::of(payload, &sections)?.partition_key;
        let data = message::data_sections(&sections.body.of(payload))?;
        let mut events = Vec::with_capacity(data.len());
        for event in data {
            let event = event.ok_or(DecodeError("a batch with an event that is null"))?;
            let sections = message::sections(&event)?;
            let mut event = Incoming::of(&event, &sections)?;
            if event.partition_key.is_none() {
                event.partition_key.clone_from(&partition_key);
            }
            events.push(event);
        }
        Ok(Publication { partition_key, events })
    }

    /// The events in the form in which they are stored and delivered. An event's offset lies behind the one
    /// before by that one's size.
    pub fn stamp(self, stamp: Stamp<'_>) -> Stamped {
        let extra: usize = self.events.iter().map(Incoming::extra_room).sum();
        let publisher = stamp.publisher.map_or(0, |name| name.len() + PUBLISHER_NAME.len() + 8);
        let mut heads = BytesMut::with_capacity((PLAIN_HEAD + publisher) * self.events.len() + extra);
        let mut offset = stamp.first_offset;
        let mut events = Vec::with_capacity(self.events.len());
        for (sequence_number, event) in (stamp.first_sequence..).zip(self.events) {
            put_head(&mut heads, sequence_number, offset, &stamp, &event);
            let head = heads.split().freeze();
            let size = head.len() + event.bare.len();
            events.push(Stored { offset, head, body: event.bare });
            offset = offset.saturating_add(size as i64);
        }
        Stamped { events, end_offset: offset }
    }
}

impl Incoming {
    /// The event that a message is.
    fn of(message: &Bytes, sections: &Sections) -> Result<Self, DecodeError> {
        let mut event = Incoming {
            bare: sections.bare.of(message),
            partition_key: None,
            kept: Vec::new(),
            kept_count: 0,
        };
        let span = sections.message_annotations;
        let mut entries = Entries::new(message, span.start as usize, span.end as usize)?;
        while let Some(entry) = entries.next()? {
            let name = entry.name();
            if name == Some(PARTITION_KEY.as_bytes()) {
                // A key of another type than text is none.
                event.partition_key = entry
                    .text_span()
                    .and_then(|(start, end)| std::str::from_utf8(&message[start..end]).ok())
                    .map(str::to_owned);
            } else if !name.is_some_and(|name| RESERVED.iter().any(|reserved| reserved.as_bytes() == name)) {
                event.kept.extend_from_slice(entry.encoded());
                event.kept_count += 1;
            }
        }
        Ok(event)
    }

    fn extra_room(&self) -> usize {
        self.kept.len() + self.partition_key.as_ref().map_or(0, |key| key.len() + PARTITION_KEY.len() + 8)
    }
}

/// Appends the message annotations of a delivered event, in the service's order.
fn put_head(out: &mut BytesMut, sequence_number: i64, offset: i64, stamp: &Stamp<'_>, event: &Incoming) {
    let start = out.len();
    out.put_slice(MESSAGE_ANNOTATIONS);
    let texts = [(PARTITION_KEY, event.partition_key.as_deref()), (PUBLISHER_NAME, stamp.publisher)];
    let count = 2 * (4 + event.kept_count as usize + texts.iter().filter(|(_, text)| text.is_some()).count());
    // Most heads are short; one that may not be gets the wide form at once.
    let most = PLAIN_HEAD
        + event.extra_room()
        + stamp.publisher.map_or(0, |name| name.len() + PUBLISHER_NAME.len() + 8);
    let wide = most > 255 || count > 255;
    let map = start + MESSAGE_ANNOTATIONS.len();
    out.put_slice(if wide { &[0xd1, 0, 0, 0, 0, 0, 0, 0, 0] } else { &[0xc1, 0, 0] });

    put_name(out, SEQUENCE_NUMBER_EPOCH);
    out.put_slice(&[0x54, 0xff]);
    put_name(out, SEQUENCE_NUMBER);
    match i8::try_from(sequence_number) {
        Ok(small) => out.put_slice(&[0x55, small as u8]),
        Err(_) => {
            out.put_u8(0x81);
            out.put_i64(sequence_number);
        }
    }
    put_name(out, OFFSET);
    put_decimal(out, offset);
    put_name(out, ENQUEUED_TIME);
    out.put_u8(0x83);
    out.put_i64(stamp.enqueued.as_millis());
    for (name, text) in texts {
        if let Some(text) = text {
            put_name(out, name);
            crate::amqp::encode::string(out, text);
        }
    }
    out.put_slice(&event.kept);

    if wide {
        let size = (out.len() - map - 5) as u32;
        out[map + 1..map + 5].copy_from_slice(&size.to_be_bytes());
        out[map + 5..map + 9].copy_from_slice(&(count as u32).to_be_bytes());
    } else {
        out[map + 1] = (out.len() - map - 2) as u8;
        out[map + 2] = count as u8;
    }
}

/// Appends one of the names above, all short, as a symbol.
fn put_name(out: &mut BytesMut, name: &str) {
    out.put_slice(&[0xa3, name.len() as u8]);
    out.put_slice(name.as_bytes());
}

/// Appends a number as a string, without an allocation.
fn put_decimal(out: &mut BytesMut, number: i64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    out.put_slice(&[0xa1, (digits.len() - start) as u8]);
    out.put_slice(&digits[start..]);
}
