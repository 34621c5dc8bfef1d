//! Encoding of AMQP values.

use bytes::{BufMut, BytesMut};

use super::decode::{MAX_ARRAY_DESCRIPTOR, MAX_EMPTY_ELEMENTS};
use crate::model::value::{Symbol, Value};

/// Appends `value` in its shortest encoding. An array whose elements are not all of one type is written as a
/// list, since AMQP has no such array.
pub fn value(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Null => out.put_u8(0x40),
        Value::Bool(true) => out.put_u8(0x41),
        Value::Bool(false) => out.put_u8(0x42),
        Value::Uint(0) => out.put_u8(0x43),
        Value::Uint(n @ 1..=0xff) => out.put_slice(&[0x52, *n as u8]),
        Value::Ulong(n) => ulong(out, *n),
        Value::Int(n @ -128..=127) => out.put_slice(&[0x54, *n as u8]),
        Value::Long(n) => long(out, *n),
        Value::Binary(bytes) => binary(out, bytes),
        Value::String(text) => string(out, text),
        Value::Symbol(text) => symbol(out, text),
        Value::List(elements) => list(out, elements),
        Value::Map(entries) => {
            compound(out, 0xc1, 0xd1, entries.len() * 2, |out| {
                for (key, entry) in entries {
                    self::value(out, key);
                    self::value(out, entry);
                }
            });
        }
        Value::Array(elements) => array(out, elements),
        Value::Described(described) => {
            out.put_u8(0);
            self::value(out, &described.descriptor);
            self::value(out, &described.value);
        }
        fixed => {
            out.put_u8(wide_code(fixed));
            wide(out, fixed);
        }
    }
}

/// Appends a `string`.
pub fn string(out: &mut BytesMut, text: &str) {
    variable(out, 0xa1, 0xb1, text.as_bytes());
}

/// Appends a `symbol`.
pub fn symbol(out: &mut BytesMut, symbol: &Symbol) {
    variable(out, 0xa3, 0xb3, symbol.as_str().as_bytes());
}

/// Appends a `binary`.
pub fn binary(out: &mut BytesMut, bytes: &[u8]) {
    variable(out, 0xa0, 0xb0, bytes);
}

/// Appends a `long`.
pub fn long(out: &mut BytesMut, n: i64) {
    match i8::try_from(n) {
        Ok(small) => out.put_slice(&[0x55, small as u8]),
        Err(_) => {
            out.put_u8(0x81);
            out.put_i64(n);
        }
    }
}

/// Appends a `ulong`.
pub fn ulong(out: &mut BytesMut, n: u64) {
    match u8::try_from(n) {
        Ok(0) => out.put_u8(0x44),
        Ok(small) => out.put_slice(&[0x53, small]),
        Err(_) => {
            out.put_u8(0x80);
            out.put_u64(n);
        }
    }
}

/// Appends a compound value whose `count` elements `body` writes: with the small head where it fits.
pub fn compound(out: &mut BytesMut, small: u8, large: u8, count: usize, body: impl FnOnce(&mut BytesMut)) {
    let start = begin(out, large);
    body(out);
    finish(out, start, count);
    shorten(out, start, small, count);
}

/// Gives a compound value the small head where it fits.
#[inline]
fn shorten(out: &mut BytesMut, start: usize, small: u8, count: usize) {
    let len = out.len() - start - LARGE_HEAD;
    if len < 255 && count <= 255 {
        out.copy_within(start + LARGE_HEAD.., start + SMALL_HEAD);
        out.truncate(start + SMALL_HEAD + len);
        out[start..start + SMALL_HEAD].copy_from_slice(&[small, len as u8 + 1, count as u8]);
    }
}

/// Appends a compound value with the large head.
pub(crate) fn compound_large(out: &mut BytesMut, code: u8, count: usize, body: impl FnOnce(&mut BytesMut)) {
    let start = begin(out, code);
    body(out);
    finish(out, start, count);
}

/// The large head, not filled in; where it is.
#[inline]
fn begin(out: &mut BytesMut, code: u8) -> usize {
    let start = out.len();
    out.put_slice(&[code, 0, 0, 0, 0, 0, 0, 0, 0]);
    start
}

#[inline]
fn finish(out: &mut BytesMut, start: usize, count: usize) {
    let size = (out.len() - start - 5) as u32;
    out[start + 1..start + 5].copy_from_slice(&size.to_be_bytes());
    out[start + 5..start + 9].copy_from_slice(&(count as u32).to_be_bytes());
}

const SMALL_HEAD: usize = 3;
const LARGE_HEAD: usize = 9;

fn variable(out: &mut BytesMut, small: u8, large: u8, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(len) => out.put_slice(&[small, len]),
        Err(_) => {
            out.put_u8(large);
            out.put_u32(bytes.len() as u32);
        }
    }
    out.put_slice(bytes);
}

fn list(out: &mut BytesMut, elements: &[Value]) {
    if elements.is_empty() {
        return out.put_u8(0x45);
    }
    compound(out, 0xc0, 0xd0, elements.len(), |out| {
        for element in elements {
            value(out, element);
        }
    });
}

/// All elements of an array share one constructor, so each is written in its type's widest form.
fn array(out: &mut BytesMut, elements: &[Value]) {
    let Some(first) = elements.first() else {
        return out.put_slice(&[0xe0, 0x02, 0x00, 0x40]);
    };
    if !is_uniform(elements) {
        return list(out, elements);
    }
    compound(out, 0xe0, 0xf0, elements.len(), |out| {
        constructor(out, first);
        for element in elements {
            wide(out, element);
        }
    });
}

/// Whether the elements can be written, and will be taken, as an array.
fn is_uniform(elements: &[Value]) -> bool {
    let Some(first) = elements.first() else { return true };
    let is_empty = |value: &Value| matches!(value, Value::Null);
    let has_no_width = match first {
        Value::Described(described) => is_empty(&described.value),
        plain => is_empty(plain),
    };
    if has_no_width && elements.len() > MAX_EMPTY_ELEMENTS {
        return false;
    }
    elements.iter().all(|element| {
        same_constructor(first, element)
            && match element {
                Value::Array(inner) => is_uniform(inner),
                _ => true,
            }
    })
}

fn same_constructor(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Described(a), Value::Described(b)) => {
            same_descriptor(&a.descriptor, &b.descriptor)
                && !matches!(a.value, Value::Described(_))
                && same_constructor(&a.value, &b.value)
        }
        _ => wide_code(a) == wide_code(b),
    }
}

/// Descriptors are numbers or symbols; others are not taken in arrays.
fn same_descriptor(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Ulong(a), Value::Ulong(b)) => a == b,
        (Value::Symbol(a), Value::Symbol(b)) => a == b && a.as_str().len() <= MAX_ARRAY_DESCRIPTOR,
        _ => false,
    }
}

fn constructor(out: &mut BytesMut, element: &Value) {
    if let Value::Described(described) = element {
        out.put_u8(0);
        value(out, &described.descriptor);
        return constructor(out, &described.value);
    }
    out.put_u8(wide_code(element));
}

fn wide_code(value: &Value) -> u8 {
    match value {
        Value::Null => 0x40,
        Value::Bool(_) => 0x56,
        Value::Ubyte(_) => 0x50,
        Value::Ushort(_) => 0x60,
        Value::Uint(_) => 0x70,
        Value::Ulong(_) => 0x80,
        Value::Byte(_) => 0x51,
        Value::Short(_) => 0x61,
        Value::Int(_) => 0x71,
        Value::Long(_) => 0x81,
        Value::Float(_) => 0x72,
        Value::Double(_) => 0x82,
        Value::Decimal32(_) => 0x74,
        Value::Decimal64(_) => 0x84,
        Value::Decimal128(_) => 0x94,
        Value::Char(_) => 0x73,
        Value::Timestamp(_) => 0x83,
        Value::Uuid(_) => 0x98,
        Value::Binary(_) => 0xb0,
        Value::String(_) => 0xb1,
        Value::Symbol(_) => 0xb3,
        Value::List(_) => 0xd0,
        Value::Map(_) => 0xd1,
        Value::Array(_) => 0xf0,
        Value::Described(_) => 0x00,
    }
}

/// The bytes of `value` behind its widest constructor.
fn wide(out: &mut BytesMut, value: &Value) {
    let (number, width) = match value {
        Value::Bool(b) => (u64::from(*b), 1),
        Value::Ubyte(n) => (u64::from(*n), 1),
        Value::Byte(n) => (*n as u64, 1),
        Value::Ushort(n) => (u64::from(*n), 2),
        Value::Short(n) => (*n as u64, 2),
        Value::Uint(n) => (u64::from(*n), 4),
        Value::Int(n) => (*n as u64, 4),
        Value::Float(n) => (u64::from(n.to_bits()), 4),
        Value::Char(c) => (u64::from(*c), 4),
        Value::Ulong(n) => (*n, 8),
        Value::Long(n) => (*n as u64, 8),
        Value::Double(n) => (n.to_bits(), 8),
        Value::Timestamp(time) => (time.as_millis() as u64, 8),
        _ => (0, 0),
    };
    out.put_slice(&number.to_be_bytes()[8 - width..]);
    match value {
        Value::Decimal32(bytes) => out.put_slice(bytes),
        Value::Decimal64(bytes) => out.put_slice(bytes),
        Value::Decimal128(bytes) => out.put_slice(bytes),
        Value::Uuid(uuid) => out.put_slice(uuid.as_bytes()),
        Value::Binary(bytes) => sized(out, bytes),
        Value::String(text) => sized(out, text.as_bytes()),
        Value::Symbol(symbol) => sized(out, symbol.as_str().as_bytes()),
        Value::List(elements) => headless(out, elements.len(), |out| {
            for element in elements {
                self::value(out, element);
            }
        }),
        Value::Map(entries) => headless(out, entries.len() * 2, |out| {
            for (key, entry) in entries {
                self::value(out, key);
                self::value(out, entry);
            }
        }),
        Value::Array(elements) => headless(out, elements.len(), |out| match elements.first() {
            Some(first) => {
                constructor(out, first);
                for element in elements {
                    wide(out, element);
                }
            }
            None => out.put_u8(0x40),
        }),
        Value::Described(described) => wide(out, &described.value),
        _ => {}
    }
}

fn sized(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

/// A large compound behind its constructor.
fn headless(out: &mut BytesMut, count: usize, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u64(0);
    body(out);
    let size = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(count as u32).to_be_bytes());
}
