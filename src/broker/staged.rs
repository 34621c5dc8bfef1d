//! A publication made ready for a log before any lock is taken: its events found, and what is kept of each.

use bytes::{BufMut, Bytes, BytesMut};

use super::log::Entry;
use crate::amqp::message::{self, Span};
use crate::amqp::{decode::DecodeError, encode};
use crate::dialect::annotations::{
    BATCH_FORMAT, ENQUEUED_TIME, OFFSET, PARTITION_KEY, PUBLISHER_NAME, SEQUENCE_NUMBER,
    SEQUENCE_NUMBER_EPOCH,
};
use crate::model::value::{Symbol, Value};

/// Publications up to this size are copied next to their heads, so that a small event does not keep a large
/// read buffer alive.
const COPIED: usize = 16 * 1024;

/// What an arena is made of: room for the heads of a few hundred events, or some small events.
const ARENA: usize = 16 * 1024;

/// An upper bound of a head without partition key, publisher and kept annotations.
const HEAD: usize = 200;

/// A publication whose events have been found.
pub(super) struct Staged {
    events: Vec<Event>,
    labels: Vec<Label>,
    publisher: Option<String>,
    routing_key: Option<String>,
    copied: bool,
    size: u64,
}

/// Where the first event of a publication comes to lie.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) sequence: i64,
    pub(super) offset: i64,
    pub(super) enqueued: i64,
}

struct Event {
    /// Index of its label.
    label: usize,
    /// Its sections behind the annotations, as they were sent.
    bare: Bytes,
}

/// What is kept of an event's annotations; neighbours share theirs.
#[derive(Default)]
struct Label {
    key: Option<String>,
    /// Other annotations, encoded: keys and values.
    kept: BytesMut,
    kept_count: u32,
}

impl Staged {
    /// Takes apart what a sender link received.
    pub(super) fn received(payload: &Bytes, message_format: u32) -> Result<Self, DecodeError> {
        let sections = message::sections(payload)?;
        let annotations = sections.message_annotations.of(payload);
        let label = Label::of(&annotations)?;
        let mut staged = Staged::empty(payload.len() <= COPIED);
        staged.routing_key = label.key.clone();
        if message_format != BATCH_FORMAT {
            staged.labels.push(label);
            staged.push(0, sections.bare, payload);
            return Ok(staged);
        }
        let events = message::data_sections(&sections.body.of(payload))?;
        staged.events.reserve_exact(events.len());
        staged.push_all(events.into_iter().map(Option::unwrap_or_default), label.key.as_ref())?;
        Ok(staged)
    }

    /// Takes apart events that were encoded one by one.
    pub(super) fn direct(events: Vec<Bytes>, routing_key: Option<String>) -> Result<Self, DecodeError> {
        let mut staged = Staged::empty(events.iter().map(Bytes::len).sum::<usize>() <= COPIED);
        staged.push_all(events.into_iter(), routing_key.as_ref())?;
        staged.routing_key = routing_key;
        Ok(staged)
    }

    /// The key that chooses the partition.
    pub(super) fn routing_key(&self) -> Option<&str> {
        self.routing_key.as_deref()
    }

    /// Puts a publisher's name on each event.
    pub(super) fn set_publisher(&mut self, publisher: &str) {
        self.publisher = Some(publisher.to_owned());
        self.size += (self.events.len() * publisher.len()) as u64;
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Bytes that the events need at most.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Gives each event its place and hands it to `put`. All heads lie in `arena`, one behind the other.
    pub(super) fn store(self, arena: &mut BytesMut, mut stamp: Stamp, mut put: impl FnMut(Entry)) {
        let bodies: usize = if self.copied { 0 } else { self.events.iter().map(|e| e.bare.len()).sum() };
        let needed = self.size as usize - bodies;
        if arena.capacity() < needed {
            *arena = BytesMut::with_capacity(needed.max(ARENA));
        }
        for event in self.events {
            put_head(arena, stamp, &self.labels[event.label], self.publisher.as_deref());
            let mut body = event.bare;
            if self.copied {
                arena.extend_from_slice(&body);
                body = Bytes::new();
            }
            let head = arena.split().freeze();
            let entry = Entry { offset: stamp.offset, enqueued: stamp.enqueued, head, body };
            stamp.sequence += 1;
            stamp.offset += entry.size() as i64;
            put(entry);
        }
    }

    fn empty(copied: bool) -> Self {
        Staged { events: Vec::new(), labels: Vec::new(), publisher: None, routing_key: None, copied, size: 0 }
    }

    fn push_all(
        &mut self,
        events: impl Iterator<Item = Bytes>,
        key: Option<&String>,
    ) -> Result<(), DecodeError> {
        let mut last = Bytes::new();
        for event in events {
            let sections = message::sections(&event)?;
            let annotations = sections.message_annotations.of(&event);
            if self.labels.is_empty() || annotations != last {
                let mut label = Label::of(&annotations)?;
                label.key = label.key.or_else(|| key.cloned());
                self.labels.push(label);
                last = annotations;
            }
            self.push(self.labels.len() - 1, sections.bare, &event);
        }
        Ok(())
    }

    fn push(&mut self, label: usize, bare: Span, event: &Bytes) {
        let bare = bare.of(event);
        let Label { key, kept, .. } = &self.labels[label];
        self.size += (HEAD + key.as_ref().map_or(0, String::len) + kept.len() + bare.len()) as u64;
        self.events.push(Event { label, bare });
    }
}

impl Label {
    /// Reads an event's annotations. The service's own are not taken from a producer.
    fn of(annotations: &Bytes) -> Result<Self, DecodeError> {
        let mut label = Label::default();
        for (name, value) in message::map(annotations)? {
            match name.as_str() {
                PARTITION_KEY => label.key = value.as_str().map(str::to_owned),
                SEQUENCE_NUMBER_EPOCH | SEQUENCE_NUMBER | OFFSET | ENQUEUED_TIME | PUBLISHER_NAME => {}
                // What older Go clients write, for their own information.
                "x-opt-partition-id" => {}
                _ => {
                    encode::value(&mut label.kept, &Value::Symbol(Symbol::from(name)));
                    encode::value(&mut label.kept, &value);
                    label.kept_count += 1;
                }
            }
        }
        Ok(label)
    }
}

/// Appends the annotations with which an event is delivered. Written by hand because every event passes here.
fn put_head(out: &mut BytesMut, stamp: Stamp, label: &Label, publisher: Option<&str>) {
    const NUMBER: &[u8] = b"\xa3\x1bx-opt-sequence-number-epoch\x54\xff\xa3\x15x-opt-sequence-number";
    const PLACE: &[u8] = b"\xa3\x0cx-opt-offset";
    const TIME: &[u8] = b"\xa3\x13x-opt-enqueued-time\x83";
    const KEY: &[u8] = b"\xa3\x13x-opt-partition-key";
    const PUBLISHER: &[u8] = b"\xa3\x14x-opt-publisher-name";
    let mut digits = [0; 20];
    let offset = decimal(stamp.offset, &mut digits);
    let long = i8::try_from(stamp.sequence);
    let mut size = NUMBER.len() + if long.is_ok() { 2 } else { 9 };
    size += PLACE.len() + 2 + offset.len() + TIME.len() + 8 + label.kept.len();
    size += label.key.as_ref().map_or(0, |key| KEY.len() + text_size(key));
    size += publisher.map_or(0, |name| PUBLISHER.len() + text_size(name));
    let extras = u32::from(label.key.is_some()) + u32::from(publisher.is_some());
    let count = 2 * (4 + extras + label.kept_count);
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
    match long {
        Ok(small) => out.put_slice(&[0x55, small as u8]),
        Err(_) => {
            out.put_u8(0x81);
            out.put_i64(stamp.sequence);
        }
    }
    out.put_slice(PLACE);
    out.put_slice(&[0xa1, offset.len() as u8]);
    out.put_slice(offset);
    out.put_slice(TIME);
    out.put_i64(stamp.enqueued);
    if let Some(key) = &label.key {
        out.put_slice(KEY);
        put_text(out, key);
    }
    if let Some(name) = publisher {
        out.put_slice(PUBLISHER);
        put_text(out, name);
    }
    out.put_slice(&label.kept);
}

fn text_size(text: &str) -> usize {
    text.len() + if text.len() < 256 { 2 } else { 5 }
}

fn put_text(out: &mut BytesMut, text: &str) {
    match u8::try_from(text.len()) {
        Ok(size) => out.put_slice(&[0xa1, size]),
        Err(_) => {
            out.put_u8(0xb1);
            out.put_u32(text.len() as u32);
        }
    }
    out.put_slice(text.as_bytes());
}

fn decimal(number: i64, digits: &mut [u8; 20]) -> &[u8] {
    let mut rest = number.max(0);
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::value::Timestamp;

    const STAMP: Stamp = Stamp { sequence: 7, offset: 448, enqueued: 1_767_225_600_000 };

    fn stored(staged: Staged, stamp: Stamp) -> Vec<Entry> {
        let mut entries = Vec::new();
        staged.store(&mut BytesMut::new(), stamp, |entry| entries.push(entry));
        entries
    }

    fn whole(entry: &Entry) -> Bytes {
        [&entry.head[..], &entry.body[..]].concat().into()
    }

    fn event(key: Option<&str>, extra: &[(Symbol, Value)], body: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        message::put_header(&mut out, &message::Header { durable: true, ..Default::default() });
        let mut annotations = extra.to_vec();
        annotations.extend(key.map(|key| ("x-opt-partition-key".into(), key.into())));
        message::put_message_annotations(&mut out, &annotations);
        message::put_data(&mut out, body);
        out.freeze()
    }

    fn envelope(key: Option<&str>, events: &[Bytes]) -> Bytes {
        let mut out = BytesMut::new();
        let key = key.map(|key| ("x-opt-partition-key".into(), key.into()));
        message::put_message_annotations(&mut out, key.as_slice());
        events.iter().for_each(|event| message::put_data(&mut out, event));
        out.freeze()
    }

    #[test]
    fn an_event_is_delivered_as_the_golden_frame_shows() {
        let golden = "005372c1830aa31b782d6f70742d73657175656e63652d6e756d6265722d65706f636854ffa315782d6f70\
                      742d73657175656e63652d6e756d6265725507a30c782d6f70742d6f6666736574a103343438a313782d6f\
                      70742d656e7175657565642d74696d65830000019b76daa800a313782d6f70742d706172746974696f6e2d\
                      6b6579a1026b31005375a0026869";
        let staged = Staged::received(&event(Some("k1"), &[], b"hi"), 0).unwrap();
        let hex: String = whole(&stored(staged, STAMP)[0]).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn annotations_of_every_size_are_decoded_as_they_were_given() {
        for (sequence, offset) in [(0, 0), (127, 9), (128, 1 << 40), (i64::MAX - 1, i64::MAX / 2)] {
            for key in [None, Some(String::new()), Some("k".repeat(128)), Some("ü".repeat(300))] {
                let extra = [("x-mine".into(), Value::Int(5)), ("x-opt-offset".into(), "9".into())];
                let stamp = Stamp { sequence, offset, enqueued: -5 };
                let staged = Staged::received(&event(key.as_deref(), &extra, b"b"), 0).unwrap();
                let message = whole(&stored(staged, stamp)[0]);
                let sections = message::sections(&message).unwrap();
                let found = message::map(&sections.message_annotations.of(&message)).unwrap();
                let mut expected = vec![
                    ("x-opt-sequence-number-epoch".to_owned(), Value::Int(-1)),
                    ("x-opt-sequence-number".to_owned(), Value::Long(sequence)),
                    ("x-opt-offset".to_owned(), offset.to_string().into()),
                    ("x-opt-enqueued-time".to_owned(), Timestamp::from_millis(-5).into()),
                ];
                expected.extend(key.clone().map(|key| ("x-opt-partition-key".to_owned(), key.into())));
                expected.push(("x-mine".to_owned(), Value::Int(5)));
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_batch_becomes_single_events_with_their_own_annotations_and_the_envelopes_key() {
        let extra = [("x-mine".into(), Value::Bool(true))];
        let events = [
            event(Some("inner"), &[], b"a"),
            event(None, &extra, b"b"),
            event(None, &extra, b"c"),
            event(None, &[], b""),
        ];
        let staged = Staged::received(&envelope(Some("outer"), &events), BATCH_FORMAT).unwrap();
        assert_eq!((staged.len(), staged.routing_key()), (4, Some("outer")));
        let entries = stored(staged, STAMP);
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| {
                let message = whole(entry);
                let sections = message::sections(&message).unwrap();
                let annotations = sections.message_annotations.of(&message);
                let get = |name| message::map_get(&annotations, name).unwrap();
                let body = message::data_sections(&sections.body.of(&message)).unwrap();
                (get("x-opt-sequence-number"), get("x-opt-partition-key"), get("x-mine"), body)
            })
            .collect();
        let row = |sequence: i64, key: &str, mine: Option<bool>, body: &'static [u8]| {
            let body = vec![Some(Bytes::from_static(body))];
            (Some(Value::Long(sequence)), Some(Value::from(key)), mine.map(Value::Bool), body)
        };
        assert_eq!(
            seen,
            [
                row(7, "inner", None, b"a"),
                row(8, "outer", Some(true), b"b"),
                row(9, "outer", Some(true), b"c"),
                row(10, "outer", None, b""),
            ]
        );
        assert!(entries.windows(2).all(|w| w[1].offset == w[0].offset + w[0].size() as i64));
    }

    #[test]
    fn small_publications_are_copied_and_large_ones_are_not() {
        for (size, copied) in [(100, true), (COPIED - 50, true), (COPIED + 1, false)] {
            let payload = event(None, &[], &vec![7; size]);
            let entries = stored(Staged::received(&payload, 0).unwrap(), STAMP);
            assert_eq!(entries[0].body.is_empty(), copied, "{size}");
            assert_eq!(message::sections(&whole(&entries[0])).unwrap().body.is_empty(), false);
        }
    }

    #[test]
    fn what_is_not_a_message_is_refused_as_a_whole() {
        let good = event(None, &[], b"x");
        for payload in [
            envelope(None, &[good.clone(), Bytes::from_static(b"rubbish")]),
            Bytes::from_static(&[0x00, 0x53, 0x77, 0x40]),
            Bytes::from_static(&[0x00]),
        ] {
            assert!(Staged::received(&payload, BATCH_FORMAT).is_err(), "{payload:?}");
        }
        assert!(Staged::received(&Bytes::from_static(b"\xff"), 0).is_err());
    }

    #[test]
    fn an_event_without_a_body_or_with_a_null_body_is_kept() {
        for raw in [&b""[..], b"\x00\x53\x75\x40"] {
            let entries = stored(Staged::received(&Bytes::from_static(raw), 0).unwrap(), STAMP);
            assert!(whole(&entries[0]).ends_with(raw));
        }
    }
}
