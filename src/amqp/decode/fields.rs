//! The fields of a composite, one after the other.

use bytes::Bytes;

use super::{CUT_SHORT, DecodeError, NULL, Reader, WRONG_TYPE};
use crate::model::value::{Symbol, Timestamp, Value};

/// The fields of a composite: those left out at the end are null.
///
/// What is wrong with one is remembered, the fields behind it read as null, and [`finish`](Self::finish) tells: with an
/// error to be handed on at every field, reading would be several times the code.
#[derive(Debug)]
pub(crate) struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: u32,
    end: usize,
    error: Option<DecodeError>,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// Reads the list's head.
    pub(crate) fn of(reader: &'r mut Reader<'a>) -> Self {
        match reader.list() {
            Ok(list) => Fields { left: list.count, end: list.end, error: None, reader },
            Err(error) => Fields { left: 0, end: reader.pos, error: Some(error), reader },
        }
    }

    /// Passes over fields that are not of interest: the reader stands behind the list.
    ///
    /// # Errors
    /// The first that was found in any field.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        self.reader.pos = self.end;
        self.error.map_or(Ok(()), Err)
    }

    /// Something is wrong.
    #[cold]
    pub(crate) fn fail(&mut self, error: DecodeError) {
        self.error.get_or_insert(error);
        self.left = 0;
    }

    #[inline]
    fn code(&mut self) -> u8 {
        if self.left == 0 {
            return NULL;
        }
        self.left -= 1;
        match self.reader.bytes.get(self.reader.pos) {
            Some(code) if self.reader.pos < self.end => {
                self.reader.pos += 1;
                *code
            }
            _ => {
                self.fail(CUT_SHORT);
                NULL
            }
        }
    }

    /// Reads on with `read`, unless the field is null.
    fn with<T>(&mut self, read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>) -> Option<T> {
        if self.code() == NULL {
            return None;
        }
        self.reader.pos -= 1;
        let read = read(self.reader);
        self.good(read)
    }

    #[inline]
    fn good<T>(&mut self, read: Result<T, DecodeError>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    #[inline]
    pub(crate) fn skip(&mut self) {
        self.with(Reader::skip);
    }

    pub(crate) fn value(&mut self) -> Option<Value> {
        self.with(Reader::value)
    }

    #[inline]
    pub(crate) fn bool(&mut self) -> Option<bool> {
        match self.code() {
            NULL => None,
            0x41 => Some(true),
            0x42 => Some(false),
            0x56 => {
                let byte = self.reader.u8();
                self.good(byte).map(|byte| byte != 0)
            }
            _ => self.wrong(),
        }
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.number(&[0x50]).map(|number| number as u8)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.number(&[0x60]).map(|number| number as u16)
    }

    /// By hand: most fields of the transfers of every event are of this kind.
    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        let number = match self.code() {
            NULL => return None,
            0x70 => self.reader.u32(),
            0x52 => self.reader.u8().map(u32::from),
            0x43 => Ok(0),
            _ => Err(WRONG_TYPE),
        };
        self.good(number)
    }

    /// A field that must be there.
    pub(crate) fn required_u32(&mut self, missing: &'static str) -> u32 {
        self.u32().unwrap_or_else(|| {
            self.fail(DecodeError(missing));
            0
        })
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.number(&[0x80, 0x53, 0x44])
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        self.number(&[0x83]).map(|millis| Timestamp::from_millis(millis as i64))
    }

    /// A number in one of the encodings that `codes` name.
    fn number(&mut self, codes: &[u8]) -> Option<u64> {
        let code = self.code();
        if code == NULL {
            return None;
        }
        if !codes.contains(&code) {
            return self.wrong();
        }
        let number = self.reader.number(code);
        self.good(number)
    }

    pub(crate) fn binary(&mut self) -> Option<Bytes> {
        let (start, end) = self.binary_span()?;
        Some(self.reader.slice(start, end))
    }

    /// Where a binary lies, without a slice of it.
    pub(crate) fn binary_span(&mut self) -> Option<(usize, usize)> {
        match self.code() {
            NULL => None,
            code @ (0xa0 | 0xb0) => {
                let span = self.reader.span(code == 0xb0);
                self.good(span)
            }
            _ => self.wrong(),
        }
    }

    /// A string; a symbol is taken for one.
    pub(crate) fn string(&mut self) -> Option<String> {
        match self.code() {
            NULL => None,
            code @ (0xa1 | 0xb1 | 0xa3 | 0xb3) => {
                let text = self.reader.text(code >> 4 == 0xb);
                self.good(text).map(str::to_owned)
            }
            _ => self.wrong(),
        }
    }

    /// A symbol; a string is taken for one.
    pub(crate) fn symbol(&mut self) -> Option<Symbol> {
        self.string().map(Symbol::from)
    }

    /// A text that must be there.
    pub(crate) fn required_string(&mut self, missing: &'static str) -> String {
        self.string().unwrap_or_else(|| {
            self.fail(DecodeError(missing));
            String::new()
        })
    }

    /// One symbol or an array of symbols, as `multiple="true"` fields are.
    pub(crate) fn symbols(&mut self) -> Vec<Symbol> {
        let values = match self.value() {
            None => return Vec::new(),
            Some(Value::Array(values) | Value::List(values)) => values,
            Some(value) => vec![value],
        };
        let mut symbols = Vec::with_capacity(values.len());
        for value in values {
            symbols.extend(self.symbol_of(value));
        }
        symbols
    }

    /// A map with symbol keys.
    pub(crate) fn symbol_map(&mut self) -> Vec<(Symbol, Value)> {
        let mut map = Vec::new();
        match self.value() {
            None => {}
            Some(Value::Map(entries)) => {
                map.reserve_exact(entries.len());
                for (key, value) in entries {
                    map.extend(self.symbol_of(key).map(|key| (key, value)));
                }
            }
            Some(_) => self.fail(WRONG_TYPE),
        }
        map
    }

    fn symbol_of(&mut self, value: Value) -> Option<Symbol> {
        match value {
            Value::Symbol(symbol) => Some(symbol),
            Value::String(text) => Some(Symbol::from(text)),
            _ => self.wrong(),
        }
    }

    /// Reads a composite in this field, or `None` when it is null.
    pub(crate) fn composite<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Option<T> {
        self.with(read)
    }

    fn wrong<T>(&mut self) -> Option<T> {
        self.fail(WRONG_TYPE);
        None
    }
}
