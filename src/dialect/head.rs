//! The annotations with which the service delivers an event: written by one side, read by the other, for
//! every event, and so by hand.

use bytes::{BufMut, Bytes, BytesMut};

use super::annotations::{ENQUEUED_TIME, OFFSET, PARTITION_KEY, SEQUENCE_NUMBER};
use super::entries::Entries;
use crate::amqp::decode::DecodeError;
use crate::amqp::encode;
use crate::amqp::message::Span;

/// The names as encoded symbols, with what always stands next to them: the epoch is -1 but on geo-replicated hubs.
const NUMBER: &[u8] = b"\xa3\x1bx-opt-sequence-number-epoch\x54\xff\xa3\x15x-opt-sequence-number";
const PLACE: &[u8] = b"\xa3\x0cx-opt-offset\xa1";
const TIME: &[u8] = b"\xa3\x13x-opt-enqueued-time\x83";
const KEY: &[u8] = b"\xa3\x13x-opt-partition-key";
const PUBLISHER: &[u8] = b"\xa3\x14x-opt-publisher-name";

/// What is written.
pub(super) struct NewHead<'a> {
    pub(super) sequence_number: i64,
    pub(super) offset: i64,
    pub(super) enqueued_time: i64,
    pub(super) partition_key: Option<&'a str>,
    pub(super) publisher: Option<&'a str>,
    /// Other annotations, encoded, and how many.
    pub(super) kept: &'a [u8],
    pub(super) kept_count: u32,
}

/// What is read; spans are those of texts in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence_number: i64,
    pub(super) offset: Span,
    pub(super) enqueued_time: i64,
    pub(super) partition_key: Option<Span>,
}

/// Why there is nothing to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    Malformed(DecodeError),
    /// The name of an annotation that is missing or of a wrong type.
    Missing(&'static str),
}

impl NewHead<'_> {
    /// An upper bound of an encoded head without the texts of partition key and publisher and without kept
    /// annotations.
    pub(super) const ROOM: usize = 200;

    /// Appends the message-annotations section, in the service's order.
    pub(super) fn put(&self, out: &mut BytesMut) {
        let mut digits = [0; 20];
        let offset = decimal(self.offset, &mut digits);
        let short = i8::try_from(self.sequence_number);
        let texts = [(KEY, self.partition_key), (PUBLISHER, self.publisher)];
        let mut size = NUMBER.len() + if short.is_ok() { 2 } else { 9 };
        size += PLACE.len() + 1 + offset.len() + TIME.len() + 8 + self.kept.len();
        let mut count = 2 * (4 + self.kept_count);
        for (name, text) in texts {
            if let Some(text) = text {
                size += name.len() + text.len() + if text.len() < 256 { 2 } else { 5 };
                count += 2;
            }
        }
        out.put_slice(&[0x00, 0x53, 0x72]);
        match (u8::try_from(size + 1), u8::try_from(count)) {
            (Ok(size), Ok(count)) => out.put_slice(&[0xc1, size, count]),
            _ => {
                out.put_u8(0xd1);
                out.put_u32(size as u32 + 4);
                out.put_u32(count);
            }
        }
        out.put_slice(NUMBER);
        match short {
            Ok(short) => out.put_slice(&[0x55, short as u8]),
            Err(_) => {
                out.put_u8(0x81);
                out.put_i64(self.sequence_number);
            }
        }
        out.put_slice(PLACE);
        out.put_u8(offset.len() as u8);
        out.put_slice(offset);
        out.put_slice(TIME);
        out.put_i64(self.enqueued_time);
        for (name, text) in texts {
            if let Some(text) = text {
                out.put_slice(name);
                encode::string(out, text);
            }
        }
        out.put_slice(self.kept);
    }
}

impl Head {
    /// Reads what lies at `annotations`, the value of a message-annotations section.
    pub(super) fn read(message: &Bytes, annotations: Span) -> Result<Self, HeadError> {
        match Self::read_usual(message, annotations) {
            Some(head) => Ok(head),
            None => Self::read_any(message, annotations),
        }
    }

    /// The annotations just as the service writes them, in its order and encoding, and nothing else.
    fn read_usual(message: &[u8], annotations: Span) -> Option<Self> {
        let end = annotations.end as usize;
        let [0xc1, _, count, rest @ ..] = message.get(annotations.start as usize..end)? else { return None };
        let (sequence_number, rest) = match rest.strip_prefix(NUMBER)? {
            [0x55, short, rest @ ..] => (i64::from(*short as i8), rest),
            [0x81, rest @ ..] => big_endian(rest)?,
            _ => return None,
        };
        let (len, rest) = rest.strip_prefix(PLACE)?.split_first()?;
        let (offset, rest) = rest.split_at_checked(usize::from(*len))?;
        let offset_end = end - rest.len();
        let (enqueued_time, rest) = big_endian(rest.strip_prefix(TIME)?)?;
        let partition_key = match (count, rest) {
            (8, []) => None,
            (10, _) => match rest.strip_prefix(KEY)? {
                [0xa1, len, key @ ..]
                    if usize::from(*len) == key.len() && std::str::from_utf8(key).is_ok() =>
                {
                    Some(span(end - key.len(), end))
                }
                _ => return None,
            },
            _ => return None,
        };
        let offset = offset.is_ascii().then(|| span(offset_end - offset.len(), offset_end))?;
        Some(Head { sequence_number, offset, enqueued_time, partition_key })
    }

    /// Annotations in any order and encoding, with others between them.
    fn read_any(message: &Bytes, annotations: Span) -> Result<Self, HeadError> {
        let (mut sequence_number, mut offset, mut enqueued_time, mut partition_key) =
            (None, None, None, None);
        let mut entries = Entries::new(message, annotations)?;
        while let Some(entry) = entries.next()? {
            let name = entry.name().unwrap_or_default();
            if name == SEQUENCE_NUMBER.as_bytes() {
                sequence_number = entry.integer();
            } else if name == OFFSET.as_bytes() {
                offset = entry.text_span();
            } else if name == ENQUEUED_TIME.as_bytes() {
                enqueued_time = entry.integer();
            } else if name == PARTITION_KEY.as_bytes() {
                partition_key = entry.text_span();
            }
        }
        Ok(Head {
            sequence_number: sequence_number.ok_or(HeadError::Missing(SEQUENCE_NUMBER))?,
            offset: offset.ok_or(HeadError::Missing(OFFSET))?,
            enqueued_time: enqueued_time.ok_or(HeadError::Missing(ENQUEUED_TIME))?,
            partition_key,
        })
    }
}

impl From<DecodeError> for HeadError {
    fn from(error: DecodeError) -> Self {
        HeadError::Malformed(error)
    }
}

fn big_endian(bytes: &[u8]) -> Option<(i64, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (i64::from_be_bytes(*number), rest))
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

/// The digits of a number, without an allocation.
fn decimal(number: i64, digits: &mut [u8; 20]) -> &[u8] {
    let mut rest = number.unsigned_abs();
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::message;
    use proptest::prelude::*;

    fn encoded(head: &NewHead<'_>) -> (Bytes, Span) {
        let mut out = BytesMut::new();
        head.put(&mut out);
        let out = out.freeze();
        let span = message::sections(&out).unwrap().message_annotations;
        (out, span)
    }

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            sequence_number in prop_oneof![any::<i64>(), -300..300_i64], offset: i64, enqueued_time: i64,
            key in proptest::option::of("[a-zé]{0,300}"), publisher in proptest::option::of("[a-z]{0,300}"),
            kept_count in 0..140_u32,
        ) {
            let kept: Vec<u8> = (0..kept_count).flat_map(|_| [0xa3, 0x01, b'k', 0x40]).collect();
            let (partition_key, publisher) = (key.as_deref(), publisher.as_deref());
            let head = NewHead { sequence_number, offset, enqueued_time, partition_key, publisher, kept: &kept, kept_count };
            let (message, annotations) = encoded(&head);
            let texts = partition_key.map_or(0, str::len) + publisher.map_or(0, str::len);
            prop_assert!(message.len() <= NewHead::ROOM + texts + kept.len());
            let read = Head::read(&message, annotations).unwrap();
            prop_assert_eq!((read.sequence_number, read.enqueued_time), (sequence_number, enqueued_time));
            prop_assert_eq!(read.offset.of(&message), offset.to_string());
            prop_assert_eq!(read.partition_key.map(|key| key.of(&message)), key.clone().map(Bytes::from));
            let usual = publisher.is_none() && kept_count == 0 && partition_key.is_none_or(|key| key.len() < 100);
            if usual {
                prop_assert_eq!(Head::read_usual(&message, annotations), Some(read));
            }
            prop_assert_eq!(Head::read_any(&message, annotations), Ok(read));
        }

        #[test]
        fn the_short_way_reads_nothing_else_than_the_long_one(
            key in proptest::option::of("[a-z]{0,9}"), changes in proptest::collection::vec((0..170_usize, any::<u8>()), 1..4),
        ) {
            let partition_key = key.as_deref();
            let head = NewHead {
                sequence_number: 7, offset: 448, enqueued_time: 5, partition_key, publisher: None, kept: &[], kept_count: 0,
            };
            let (message, annotations) = encoded(&head);
            let mut message = message.to_vec();
            for (at, byte) in changes {
                // The sizes of section and map were checked by whoever found the annotations.
                if at > 4 && at < message.len() {
                    message[at] = byte;
                }
            }
            let message = Bytes::from(message);
            if let Some(head) = Head::read_usual(&message, annotations) {
                prop_assert_eq!(Head::read_any(&message, annotations), Ok(head));
            }
        }
    }
}
