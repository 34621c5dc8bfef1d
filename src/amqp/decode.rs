//! Decoding of AMQP values from foreign bytes: bounded, and without panics.

mod fields;

pub(crate) use fields::Fields;

use std::fmt;

use bytes::Bytes;

use crate::model::value::{Described, Symbol, Timestamp, Uuid, Value};

/// How deep lists, maps, arrays and descriptors may nest. Real messages stay below ten.
const MAX_DEPTH: u8 = 32;

/// How deep a value may nest that is part of a message: its section has a descriptor, and a list or a map around it.
pub const MAX_NESTING: u8 = MAX_DEPTH - 2;

/// How many elements an array of zero-width values may have: its bytes do not bound it, and a frame has room for
/// thousands of such arrays.
pub(super) const MAX_EMPTY_ELEMENTS: usize = 16;

/// The longest symbol that may describe the elements of an array, in bytes: every element gets a copy of it.
pub(super) const MAX_ARRAY_DESCRIPTOR: usize = 64;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError(pub(crate) &'static str);

/// Decodes one value from the front of `bytes`, which is advanced behind it. Binaries are slices of `bytes`.
///
/// # Errors
/// When the bytes are not an AMQP value, or nest or count beyond the bounds.
pub fn value(bytes: &mut Bytes) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = reader.value()?;
    let used = reader.position();
    *bytes = bytes.slice(used..);
    Ok(value)
}

/// Reads AMQP encodings from a range of `Bytes`, so that binaries can be sliced instead of copied.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    pos: usize,
    end: usize,
}

/// The elements of a list or map that is being read.
#[derive(Debug)]
pub(crate) struct Compound {
    pub(crate) count: u32,
    pub(crate) end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Reader { bytes, pos: 0, end: bytes.len() }
    }

    pub(crate) fn range(bytes: &'a Bytes, start: usize, end: usize) -> Self {
        Reader { bytes, pos: start, end }
    }

    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    pub(crate) fn set_position(&mut self, position: usize) {
        self.pos = position.min(self.end);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pos >= self.end
    }

    /// What has not been read, without copying.
    pub(crate) fn rest(&self) -> Bytes {
        self.bytes.slice(self.pos..self.end)
    }

    /// A range that a span of this reader names, without copying.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Bytes {
        self.bytes.slice(start..end)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        if self.pos >= self.end {
            return Err(CUT_SHORT);
        }
        let byte = self.bytes[self.pos];
        self.pos += 1;
        Ok(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let slice = self.bytes.get(self.pos..self.end).and_then(|rest| rest.first_chunk::<N>());
        let array = *slice.ok_or(CUT_SHORT)?;
        self.pos += N;
        Ok(array)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn size(&mut self, wide: bool) -> Result<usize, DecodeError> {
        Ok(if wide { self.u32()? as usize } else { usize::from(self.u8()?) })
    }

    fn advance(&mut self, len: usize) -> Result<(usize, usize), DecodeError> {
        if len > self.end - self.pos {
            return Err(CUT_SHORT);
        }
        let start = self.pos;
        self.pos += len;
        Ok((start, self.pos))
    }

    /// The number behind a constructor of fixed width; up to eight bytes.
    #[inline]
    fn number(&mut self, code: u8) -> Result<u64, DecodeError> {
        Ok(match code >> 4 {
            0x5 => u64::from(self.u8()?),
            0x6 => u64::from(u16::from_be_bytes(self.array()?)),
            0x7 => u64::from(self.u32()?),
            0x8 => u64::from_be_bytes(self.array()?),
            _ => 0,
        })
    }

    #[inline]
    fn span(&mut self, wide: bool) -> Result<(usize, usize), DecodeError> {
        let len = self.size(wide)?;
        self.advance(len)
    }

    fn text(&mut self, wide: bool) -> Result<&'a str, DecodeError> {
        let (start, end) = self.span(wide)?;
        std::str::from_utf8(&self.bytes[start..end]).map_err(|_| DecodeError("text that is not UTF-8"))
    }

    fn binary(&mut self, wide: bool) -> Result<Bytes, DecodeError> {
        let (start, end) = self.span(wide)?;
        Ok(self.bytes.slice(start..end))
    }

    /// Skips one value of any kind by its size, without looking inside.
    pub(crate) fn skip(&mut self) -> Result<(), DecodeError> {
        for _ in 0..MAX_DEPTH {
            let code = self.u8()?;
            if code == 0 {
                // A descriptor: a value that is hardly ever described itself.
                self.skip_plain()?;
                continue;
            }
            return self.skip_code(code);
        }
        Err(TOO_DEEP)
    }

    fn skip_plain(&mut self) -> Result<(), DecodeError> {
        match self.u8()? {
            0 => Err(DecodeError("a described descriptor")),
            code => self.skip_code(code),
        }
    }

    fn skip_code(&mut self, code: u8) -> Result<(), DecodeError> {
        let len = match code >> 4 {
            0x4 => 0,
            0x5 => 1,
            0x6 => 2,
            0x7 => 4,
            0x8 => 8,
            0x9 => 16,
            0xa | 0xc | 0xe => usize::from(self.u8()?),
            0xb | 0xd | 0xf => self.u32()? as usize,
            _ => return Err(UNKNOWN_CODE),
        };
        self.advance(len).map(drop)
    }

    /// The descriptor of a described value, when it is a number; the value follows. A symbolic one is mapped
    /// by `by_name`.
    pub(crate) fn descriptor(&mut self, by_name: fn(&str) -> Option<u64>) -> Result<u64, DecodeError> {
        if self.u8()? != 0 {
            return Err(DecodeError("a value without the descriptor that is needed here"));
        }
        match self.u8()? {
            0x53 => Ok(u64::from(self.u8()?)),
            0x80 => Ok(u64::from_be_bytes(self.array()?)),
            0x44 => Ok(0),
            code @ (0xa3 | 0xb3) => {
                let name = self.text(code == 0xb3)?;
                by_name(name).ok_or(DecodeError("an unknown descriptor"))
            }
            _ => Err(DecodeError("a descriptor that is neither number nor symbol")),
        }
    }

    /// The head of a list: how many elements there are and where they end.
    pub(crate) fn list(&mut self) -> Result<Compound, DecodeError> {
        match self.u8()? {
            0x45 => Ok(Compound { count: 0, end: self.pos }),
            0xc0 => self.compound(false),
            0xd0 => self.compound(true),
            _ => Err(DecodeError("something else where a list is needed")),
        }
    }

    /// The head of a map: how many keys and values there are together, and where they end.
    pub(crate) fn map(&mut self) -> Result<Compound, DecodeError> {
        let map = match self.u8()? {
            0xc1 => self.compound(false)?,
            0xd1 => self.compound(true)?,
            _ => return Err(DecodeError("something else where a map is needed")),
        };
        if map.count % 2 != 0 {
            return Err(DecodeError("a map with a key that has no value"));
        }
        Ok(map)
    }

    fn compound(&mut self, wide: bool) -> Result<Compound, DecodeError> {
        let size = self.size(wide)?;
        let width = if wide { 4 } else { 1 };
        if size < width || size > self.end - self.pos {
            return Err(CUT_SHORT);
        }
        let end = self.pos + size;
        let count = self.size(wide)?;
        if count > end - self.pos {
            return Err(DecodeError("more elements than bytes"));
        }
        Ok(Compound { count: count as u32, end })
    }

    /// Decodes one value.
    pub(crate) fn value(&mut self) -> Result<Value, DecodeError> {
        self.value_at(MAX_DEPTH)
    }

    fn value_at(&mut self, depth: u8) -> Result<Value, DecodeError> {
        let code = self.u8()?;
        if code != 0 {
            return self.value_of(code, depth);
        }
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let descriptor = self.value_at(depth)?;
        let value = self.value_at(depth)?;
        Ok(Value::Described(Box::new(Described { descriptor, value })))
    }

    fn value_of(&mut self, code: u8, depth: u8) -> Result<Value, DecodeError> {
        // What the widths of the fixed ones have in common is read first: the table below is then only a table.
        let n = if code < 0xa0 { self.number(code)? } else { 0 };
        Ok(match code {
            0x40 => Value::Null,
            0x41 => Value::Bool(true),
            0x42 => Value::Bool(false),
            0x56 if n > 1 => return Err(DecodeError("a boolean that is neither true nor false")),
            0x56 => Value::Bool(n == 1),
            0x50 => Value::Ubyte(n as u8),
            0x60 => Value::Ushort(n as u16),
            0x70 | 0x52 | 0x43 => Value::Uint(n as u32),
            0x80 | 0x53 | 0x44 => Value::Ulong(n),
            0x51 => Value::Byte(n as i8),
            0x61 => Value::Short(n as i16),
            0x71 => Value::Int(n as i32),
            0x54 => Value::Int(i32::from(n as i8)),
            0x81 => Value::Long(n as i64),
            0x55 => Value::Long(i64::from(n as i8)),
            0x72 => Value::Float(f32::from_bits(n as u32)),
            0x82 => Value::Double(f64::from_bits(n)),
            0x74 => Value::Decimal32((n as u32).to_be_bytes()),
            0x84 => Value::Decimal64(n.to_be_bytes()),
            0x94 => Value::Decimal128(self.array()?),
            0x73 => Value::Char(char::from_u32(n as u32).ok_or(DecodeError("a char that is none"))?),
            0x83 => Value::Timestamp(Timestamp::from_millis(n as i64)),
            0x98 => Value::Uuid(Uuid::from_bytes(self.array()?)),
            0xa0 | 0xb0 => Value::Binary(self.binary(code == 0xb0)?),
            0xa1 | 0xb1 => Value::String(self.text(code == 0xb1)?.to_owned()),
            0xa3 | 0xb3 => Value::Symbol(Symbol::from(self.text(code == 0xb3)?.to_owned())),
            0x45 => Value::List(Vec::new()),
            0xc0 | 0xd0 => Value::List(self.elements(code == 0xd0, depth)?),
            0xc1 | 0xd1 => {
                let entries = self.elements(code == 0xd1, depth)?;
                if entries.len() % 2 != 0 {
                    return Err(DecodeError("a map with a key that has no value"));
                }
                let mut entries = entries.into_iter();
                let mut map = Vec::with_capacity(entries.len() / 2);
                while let (Some(key), Some(value)) = (entries.next(), entries.next()) {
                    map.push((key, value));
                }
                Value::Map(map)
            }
            0xe0 | 0xf0 => Value::Array(self.array_elements(code == 0xf0, depth)?),
            _ => return Err(UNKNOWN_CODE),
        })
    }

    fn elements(&mut self, wide: bool, depth: u8) -> Result<Vec<Value>, DecodeError> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let Compound { count, end } = self.compound(wide)?;
        let mut inside = Reader { bytes: self.bytes, pos: self.pos, end };
        let mut elements = Vec::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            elements.push(inside.value_at(depth)?);
        }
        self.pos = end;
        Ok(elements)
    }

    fn array_elements(&mut self, wide: bool, depth: u8) -> Result<Vec<Value>, DecodeError> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let size = self.size(wide)?;
        let width = if wide { 4 } else { 1 };
        if size < width || size > self.end - self.pos {
            return Err(CUT_SHORT);
        }
        let end = self.pos + size;
        let count = self.size(wide)? as u32;
        let mut inside = Reader { bytes: self.bytes, pos: self.pos, end };
        self.pos = end;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut code = inside.u8()?;
        let descriptor = match code {
            0 => {
                let descriptor = inside.value_at(depth)?;
                // Copied for every element, anything larger would make memory of nothing, again at every level.
                let is_small = match &descriptor {
                    Value::Ulong(_) => true,
                    Value::Symbol(name) => name.as_str().len() <= MAX_ARRAY_DESCRIPTOR,
                    _ => false,
                };
                code = inside.u8()?;
                if !is_small || code == 0 {
                    return Err(DecodeError("an array whose elements are described by more than a name"));
                }
                Some(descriptor)
            }
            _ => None,
        };
        if code >> 4 == 0x4 && count as usize > MAX_EMPTY_ELEMENTS {
            return Err(DecodeError("an array of too many elements without width"));
        }
        let mut elements = Vec::with_capacity(count.min(64) as usize);
        for _ in 0..count {
            let value = inside.value_of(code, depth)?;
            elements.push(match &descriptor {
                None => value,
                Some(descriptor) => {
                    Value::Described(Box::new(Described { descriptor: descriptor.clone(), value }))
                }
            });
        }
        Ok(elements)
    }
}

const NULL: u8 = 0x40;
const CUT_SHORT: DecodeError = DecodeError("bytes that end too soon");
const TOO_DEEP: DecodeError = DecodeError("values that nest too deep");
const UNKNOWN_CODE: DecodeError = DecodeError("an unknown type code");
const WRONG_TYPE: DecodeError = DecodeError("a field of the wrong type");

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for DecodeError {}
