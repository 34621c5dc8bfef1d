//! The entries of an encoded map, walked over without decoding their values.

use bytes::Bytes;

use crate::amqp::decode::{self, DecodeError, Reader};
use crate::amqp::message::Span;

/// Walks over a map section's value.
pub(super) struct Entries<'a> {
    bytes: &'a Bytes,
    reader: Reader<'a>,
    left: u32,
}

/// One entry: where it lies in the bytes that were walked over.
pub(super) struct Entry<'a> {
    bytes: &'a Bytes,
    key: usize,
    value: usize,
    end: usize,
}

impl<'a> Entries<'a> {
    /// The entries of the map that lies at `span`; nothing is no entry.
    pub(super) fn new(bytes: &'a Bytes, span: Span) -> Result<Self, DecodeError> {
        let (start, end) = (span.start as usize, span.end as usize);
        if start == end {
            return Ok(Entries { bytes, reader: Reader::range(bytes, start, end), left: 0 });
        }
        let mut head = Reader::range(bytes, start, end);
        let map = head.map()?;
        Ok(Entries { bytes, reader: Reader::range(bytes, head.position(), map.end), left: map.count / 2 })
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'a>>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let key = self.reader.position();
        self.reader.skip()?;
        let value = self.reader.position();
        self.reader.skip()?;
        Ok(Some(Entry { bytes: self.bytes, key, value, end: self.reader.position() }))
    }
}

impl<'a> Entry<'a> {
    /// The key's text, when it is a symbol or a string.
    pub(super) fn name(&self) -> Option<&'a [u8]> {
        text(&self.bytes[self.key..self.value]).map(|(_, text)| text)
    }

    /// Key and value, encoded.
    pub(super) fn encoded(&self) -> &'a [u8] {
        &self.bytes[self.key..self.end]
    }

    /// The value, encoded.
    pub(super) fn encoded_value(&self) -> &'a [u8] {
        &self.bytes[self.value..self.end]
    }

    /// The value as a whole number or a time.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.encoded_value() {
            [0x81 | 0x83, rest @ ..] => rest.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)),
            [0x55, byte] => Some(i64::from(*byte as i8)),
            _ => decode::value(&mut self.bytes.slice(self.value..self.end)).ok()?.as_i64(),
        }
    }

    /// Where the text of the value lies, when it is a string or symbol in UTF-8.
    pub(super) fn text_span(&self) -> Option<Span> {
        let (head, text) = text(self.encoded_value())?;
        std::str::from_utf8(text).ok()?;
        Some(Span { start: (self.value + head) as u32, end: self.end as u32 })
    }
}

/// The text of an encoded string or symbol, and where it begins.
fn text(encoded: &[u8]) -> Option<(usize, &[u8])> {
    match encoded {
        [0xa1 | 0xa3, _, text @ ..] => Some((2, text)),
        [0xb1 | 0xb3, _, _, _, _, text @ ..] => Some((5, text)),
        _ => None,
    }
}
