//! What a journal says, and how it is written down.
//!
//! A record is framed by a mark, its length and a checksum, so that a reader finds the next whole one behind whatever a
//! crash or a bad disk left:
//!
//! ```text
//! 4 bytes  mark        4 bytes  length of the content    4 bytes  CRC-32 of the content    content: kind, fields
//! ```
//!
//! Numbers are little-endian. A text is its length in two bytes, and UTF-8.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};

use crate::model::value::Timestamp;

/// In front of each record. No UTF-8 text holds it.
const MARK: [u8; 4] = [0xe5, b'o', b'b', 0xff];
/// Mark, length and checksum.
pub(super) const HEAD: usize = 12;
/// No record is longer: events have at most 1 GiB, and what is said about one is short.
const LONGEST: usize = (1 << 30) + (1 << 20);

/// One change of an outbox.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// The numbers that the next event and the next batch get at least.
    Counters { event: u64, batch: u64 },
    /// A producer of one partition: how the service knows it, and the number that its next event gets.
    Identity { partition: String, producer_id: i64, epoch: i16, next: i32 },
    /// An event waits.
    Event(Entry),
    /// These events are going to be sent together, to this partition, and as often as necessary.
    Batch(Batch),
    /// The service has the batch.
    Done { batch: u64 },
    /// The service does not take the batch: its events wait again, `alone` each.
    Dissolved { batch: u64, alone: bool },
    /// An event is given up, and lies with the dead letters.
    Dead { event: u64 },
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// When it was enqueued.
    pub(super) at: Timestamp,
    pub(super) key: Option<String>,
    /// The partition that was asked for.
    pub(super) partition: Option<String>,
    /// Whether it is to be sent alone.
    pub(super) alone: bool,
    /// The encoded event.
    pub(super) event: Bytes,
}

/// Events that are sent together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) partition: String,
    /// The number of its first event; none where events have no numbers.
    pub(super) first: Option<i32>,
    pub(super) events: Vec<u64>,
}

impl Record {
    /// Appends the record in its frame.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_slice(&MARK);
        out.put_u64_le(0);
        match self {
            Record::Counters { event, batch } => {
                out.put_u8(1);
                out.put_u64_le(*event);
                out.put_u64_le(*batch);
            }
            Record::Identity { partition, producer_id, epoch, next } => {
                out.put_u8(2);
                put_text(out, partition);
                out.put_i64_le(*producer_id);
                out.put_i16_le(*epoch);
                out.put_i32_le(*next);
            }
            Record::Event(entry) => {
                out.put_u8(3);
                entry.put(out);
            }
            Record::Batch(batch) => {
                out.put_u8(4);
                out.put_u64_le(batch.number);
                put_text(out, &batch.partition);
                out.put_u8(batch.first.is_some().into());
                out.put_i32_le(batch.first.unwrap_or_default());
                batch.events.iter().for_each(|id| out.put_u64_le(*id));
            }
            Record::Done { batch } => {
                out.put_u8(5);
                out.put_u64_le(*batch);
            }
            Record::Dissolved { batch, alone } => {
                out.put_u8(6);
                out.put_u64_le(*batch);
                out.put_u8((*alone).into());
            }
            Record::Dead { event } => {
                out.put_u8(7);
                out.put_u64_le(*event);
            }
        }
        close(out, start);
    }

    /// What a record's content says; `None` when it says nothing that is known here.
    fn read(mut content: Bytes) -> Option<Record> {
        let from = &mut content;
        let record = match from.try_get_u8().ok()? {
            1 => Record::Counters { event: number(from)?, batch: number(from)? },
            2 => Record::Identity {
                partition: text(from)?,
                producer_id: from.try_get_i64_le().ok()?,
                epoch: from.try_get_i16_le().ok()?,
                next: from.try_get_i32_le().ok()?,
            },
            3 => return Entry::read(content).map(Record::Event),
            4 => {
                let (number_of_batch, partition) = (number(from)?, text(from)?);
                let (is_numbered, first) = (flag(from)?, from.try_get_i32_le().ok()?);
                let mut events = Vec::with_capacity(from.remaining() / 8);
                while from.has_remaining() {
                    events.push(number(from)?);
                }
                let first = is_numbered.then_some(first);
                Record::Batch(Batch { number: number_of_batch, partition, first, events })
            }
            5 => Record::Done { batch: number(from)? },
            6 => Record::Dissolved { batch: number(from)?, alone: flag(from)? },
            7 => Record::Dead { event: number(from)? },
            _ => return None,
        };
        content.is_empty().then_some(record)
    }
}

impl Entry {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.id);
        out.put_i64_le(self.at.as_millis());
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        out.put_u8(flag(self.key.is_some(), 1) | flag(self.partition.is_some(), 2) | flag(self.alone, 4));
        self.key.iter().chain(&self.partition).for_each(|text| put_text(out, text));
        out.put_slice(&self.event);
    }

    fn read(mut content: Bytes) -> Option<Entry> {
        let from = &mut content;
        let id = number(from)?;
        let at = Timestamp::from_millis(from.try_get_i64_le().ok()?);
        let flags = from.try_get_u8().ok().filter(|flags| *flags < 8)?;
        let key = if flags & 1 != 0 { Some(text(from)?) } else { None };
        let partition = if flags & 2 != 0 { Some(text(from)?) } else { None };
        Some(Entry { id, at, key, partition, alone: flags & 4 != 0, event: content })
    }
}

/// An event that was given up, with the reason.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Letter {
    pub(super) entry: Entry,
    /// When it was given up.
    pub(super) died: Timestamp,
    /// The error's code and text.
    pub(super) code: String,
    pub(super) reason: String,
}

impl Letter {
    /// Appends the letter in a frame.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_slice(&MARK);
        out.put_u64_le(0);
        out.put_i64_le(self.died.as_millis());
        put_text(out, &self.code);
        put_text(out, &self.reason);
        self.entry.put(out);
        close(out, start);
    }

    pub(super) fn read(mut content: Bytes) -> Option<Letter> {
        let from = &mut content;
        let died = Timestamp::from_millis(from.try_get_i64_le().ok()?);
        let (code, reason) = (text(from)?, text(from)?);
        Some(Letter { entry: Entry::read(content)?, died, code, reason })
    }
}

/// What is in a journal's bytes.
#[derive(Debug, Default)]
pub(super) struct Contents<T> {
    pub(super) records: Vec<T>,
    /// Where the last whole record ends.
    pub(super) end: usize,
    /// What lies between whole records and is none: more than an interrupted write can leave.
    pub(super) damaged: Vec<Range<usize>>,
}

impl Contents<Record> {
    /// Finds all whole records.
    pub(super) fn of_journal(bytes: &Bytes) -> Self {
        contents(bytes, Record::read)
    }
}

impl Contents<Letter> {
    /// Finds all whole letters.
    pub(super) fn of_letters(bytes: &Bytes) -> Self {
        contents(bytes, Letter::read)
    }
}

fn contents<T>(bytes: &Bytes, read: fn(Bytes) -> Option<T>) -> Contents<T> {
    let mut found = Contents { records: Vec::new(), end: 0, damaged: Vec::new() };
    let mut at = 0;
    while at + HEAD <= bytes.len() {
        let record = framed(bytes, at).and_then(|content| {
            let end = content.end;
            read(bytes.slice(content)).map(|record| (record, end))
        });
        let Some((record, end)) = record else {
            // The next mark, wherever it is.
            let behind = bytes[at + 1..].iter().position(|byte| *byte == MARK[0]);
            match behind {
                Some(distance) => at += 1 + distance,
                None => break,
            }
            continue;
        };
        if at > found.end {
            found.damaged.push(found.end..at);
        }
        found.records.push(record);
        (at, found.end) = (end, end);
    }
    found
}

/// Where the content of a whole record lies that begins at `at`.
fn framed(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let mut head = bytes.get(at..at + HEAD)?;
    if !head.starts_with(&MARK) {
        return None;
    }
    head.advance(MARK.len());
    let (len, checksum) = (head.get_u32_le() as usize, head.get_u32_le());
    let content = at + HEAD..at + HEAD + len;
    let is_whole = (1..=LONGEST).contains(&len)
        && bytes.get(content.clone()).is_some_and(|content| crc32(content) == checksum);
    is_whole.then_some(content)
}

/// Fills in length and checksum of the record that begins at `start`.
fn close(out: &mut [u8], start: usize) {
    let content = start + HEAD;
    let (len, checksum) = ((out.len() - content) as u32, crc32(&out[content..]));
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    out[start + 8..start + 12].copy_from_slice(&checksum.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Keys and ids are far shorter; a long reason loses its end.
    let mut len = text.len().min(usize::from(u16::MAX));
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    out.put_u16_le(len as u16);
    out.put_slice(&text.as_bytes()[..len]);
}

fn text(from: &mut Bytes) -> Option<String> {
    let len = usize::from(from.try_get_u16_le().ok()?);
    if from.len() < len {
        return None;
    }
    String::from_utf8(from.split_to(len).to_vec()).ok()
}

fn number(from: &mut Bytes) -> Option<u64> {
    from.try_get_u64_le().ok()
}

fn flag(from: &mut Bytes) -> Option<bool> {
    match from.try_get_u8().ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// One record of each kind, which mean one another.
#[cfg(feature = "fuzzing")]
pub(super) fn samples() -> Vec<Record> {
    let entry = |id, key: Option<&str>| {
        let (at, key, event) =
            (Timestamp::from_millis(1), key.map(str::to_owned), Bytes::from_static(b"event"));
        Record::Event(Entry { id, at, key, partition: None, alone: false, event })
    };
    let partition = "0".to_owned();
    let batch = |number, first, events| {
        Record::Batch(Batch { number, partition: "0".to_owned(), first: Some(first), events })
    };
    vec![
        Record::Counters { event: 1, batch: 1 },
        Record::Identity { partition, producer_id: 7, epoch: 0, next: 3 },
        entry(1, None),
        entry(2, Some("k")),
        entry(3, None),
        batch(1, 3, vec![1, 2]),
        Record::Done { batch: 1 },
        batch(2, 5, vec![3]),
        Record::Dissolved { batch: 2, alone: true },
        Record::Dead { event: 3 },
        entry(4, Some("k")),
        batch(3, 5, vec![4]),
    ]
}

/// CRC-32 as in zip and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| CRC_TABLE[usize::from(crc as u8 ^ *byte)] ^ (crc >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    pub(in crate::outbox) fn entry() -> impl Strategy<Value = Entry> {
        let texts = (option::of("\\PC{0,20}"), option::of("[0-9]{1,3}"));
        (0..40_u64, any::<i64>(), texts, any::<bool>(), vec(any::<u8>(), 0..60)).prop_map(
            |(id, at, (key, partition), alone, event)| Entry {
                id,
                at: Timestamp::from_millis(at),
                key,
                partition,
                alone,
                event: event.into(),
            },
        )
    }

    /// Records of all kinds, with numbers that are likely to mean one another.
    pub(in crate::outbox) fn record() -> impl Strategy<Value = Record> {
        let ids = || 0..40_u64;
        let batch = (0..12_u64, "[0-3]", option::of(any::<i32>()), vec(ids(), 0..6)).prop_map(
            |(number, partition, first, events)| Record::Batch(Batch { number, partition, first, events }),
        );
        prop_oneof![
            1 => (ids(), ids()).prop_map(|(event, batch)| Record::Counters { event, batch }),
            1 => ("[0-3]", any::<i64>(), any::<i16>(), any::<i32>()).prop_map(
                |(partition, producer_id, epoch, next)| Record::Identity {
                    partition,
                    producer_id,
                    epoch,
                    next
                }
            ),
            4 => entry().prop_map(Record::Event),
            3 => batch,
            2 => (0..12_u64).prop_map(|batch| Record::Done { batch }),
            1 => (0..12_u64, any::<bool>()).prop_map(|(batch, alone)| Record::Dissolved { batch, alone }),
            1 => ids().prop_map(|event| Record::Dead { event }),
        ]
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.put(&mut bytes));
        bytes
    }

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in vec(record(), 0..20)) {
            let bytes = Bytes::from(written(&records));
            let contents = Contents::of_journal(&bytes);
            prop_assert_eq!(contents.records, records);
            prop_assert_eq!((contents.end, contents.damaged.len()), (bytes.len(), 0));
        }

        #[test]
        fn a_letter_is_read_as_it_was_written(entry in entry(), died in any::<i64>(), reason in "\\PC{0,40}") {
            let letter = Letter { entry, died: Timestamp::from_millis(died), code: "rejected".to_owned(), reason };
            let mut bytes = Vec::new();
            letter.put(&mut bytes);
            prop_assert_eq!(Contents::of_letters(&bytes.into()).records, [letter]);
        }

        #[test]
        fn an_interrupted_write_costs_only_what_it_wrote(records in vec(record(), 1..10), cut in any::<prop::sample::Index>()) {
            let bytes = written(&records);
            let whole = Contents::of_journal(&Bytes::copy_from_slice(&bytes[..cut.index(bytes.len())]));
            prop_assert_eq!(&whole.records[..], &records[..whole.records.len()]);
            prop_assert!(whole.damaged.is_empty() && whole.end <= cut.index(bytes.len()));
            prop_assert_eq!(written(&whole.records).len(), whole.end);
        }

        #[test]
        fn what_lies_behind_damage_is_found_and_the_damage_is_told(
            before in vec(record(), 0..5), lost in record(), after in vec(record(), 1..5), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let (start, mut hurt) = (written(&before), written(&[lost]));
            let index = at.index(hurt.len());
            hurt[index] ^= flip;
            let bytes = [start.clone(), hurt.clone(), written(&after)].concat();
            let contents = Contents::of_journal(&bytes.into());
            prop_assert_eq!(contents.records, [before, after].concat());
            let damaged = start.len()..start.len() + hurt.len();
            prop_assert_eq!((contents.damaged.len(), &contents.damaged[0]), (1, &damaged));
        }

        #[test]
        fn noise_is_no_record(noise in vec(any::<u8>(), 0..300)) {
            let contents = Contents::of_journal(&noise.into());
            prop_assert!(contents.records.is_empty() && contents.end == 0);
        }
    }
}
