//! The sections of a bare or annotated message, found without decoding them.

use bytes::Bytes;
use bytes::BytesMut;

use super::decode::DecodeError;
use crate::model::value::{Symbol, Timestamp, Value};

/// Where each section of an encoded message lies. Offsets are into the encoded message; a range covers
/// the section's **value** without its descriptor, unless said otherwise; empty means absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// `header` (0x70)
    pub header: Span,
    /// `delivery-annotations` (0x71)
    pub delivery_annotations: Span,
    /// `message-annotations` (0x72)
    pub message_annotations: Span,
    /// `properties` (0x73)
    pub properties: Span,
    /// `application-properties` (0x74)
    pub application_properties: Span,
    /// All body sections, **with** their descriptors: 0x75 …, 0x76 … or 0x77.
    pub body: Span,
    /// `footer` (0x78)
    pub footer: Span,
    /// From the first section behind the annotations to the end, with descriptors: `properties`,
    /// `application-properties`, body and footer, what is kept byte for byte when a message is stored.
    pub bare: Span,
}

/// A range of bytes in an encoded message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A message body, decoded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// No body section at all.
    Empty,
    /// One or more data sections. A data section that holds null (JS `body: null`) is `None`.
    Data(Vec<Option<Bytes>>),
    /// One or more sequence sections.
    Sequence(Vec<Vec<Value>>),
    /// One value section.
    Value(Value),
}

/// The `properties` section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// `message-id`: ulong, uuid, binary or string.
    pub message_id: Option<Value>,
    /// `user-id`
    pub user_id: Option<Bytes>,
    /// `to`
    pub to: Option<String>,
    /// `subject`
    pub subject: Option<String>,
    /// `reply-to`
    pub reply_to: Option<String>,
    /// `correlation-id`: ulong, uuid, binary or string.
    pub correlation_id: Option<Value>,
    /// `content-type`
    pub content_type: Option<Symbol>,
    /// `content-encoding`
    pub content_encoding: Option<Symbol>,
    /// `absolute-expiry-time`
    pub absolute_expiry_time: Option<Timestamp>,
    /// `creation-time`
    pub creation_time: Option<Timestamp>,
    /// `group-id`
    pub group_id: Option<String>,
    /// `group-sequence`
    pub group_sequence: Option<u32>,
    /// `reply-to-group-id`
    pub reply_to_group_id: Option<String>,
}

/// The `header` section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `durable`
    pub durable: bool,
    /// `priority`
    pub priority: Option<u8>,
    /// `ttl` in milliseconds
    pub ttl: Option<u32>,
    /// `first-acquirer`
    pub first_acquirer: bool,
    /// `delivery-count`
    pub delivery_count: u32,
}

impl Span {
    /// Whether there is nothing.
    pub fn is_empty(self) -> bool { self.start == self.end }
    /// The bytes it covers, without copying.
    pub fn of(self, message: &Bytes) -> Bytes { message.slice(self.start as usize..self.end as usize) }
}

/// Finds the sections of `message` in one pass without decoding them. Values are skipped by their size
/// fields; their insides are not looked at.
///
/// # Errors
/// When the sections are cut short, unknown, repeated or out of order.
pub fn sections(message: &[u8]) -> Result<Sections, DecodeError> { todo!() }

/// Calls `each` with the value of every data section of `body` (a span of body sections), `None` for null.
///
/// # Errors
/// When the body is not made of data sections.
pub fn data_sections(body: Bytes) -> Result<Vec<Option<Bytes>>, DecodeError> { todo!() }

/// Decodes the body sections.
///
/// # Errors
/// When they are not an AMQP body.
pub fn body(body: Bytes) -> Result<Body, DecodeError> { todo!() }

/// Decodes a `properties` section's value.
///
/// # Errors
/// When it is not one.
pub fn properties(value: Bytes) -> Result<Properties, DecodeError> { todo!() }

/// Decodes a `header` section's value.
///
/// # Errors
/// When it is not one.
pub fn header(value: Bytes) -> Result<Header, DecodeError> { todo!() }

/// Decodes a map section's value: annotations (symbol keys) or application properties (string keys);
/// keys of either type are taken for the other.
///
/// # Errors
/// When it is not a map with such keys.
pub fn map(value: Bytes) -> Result<Vec<(String, Value)>, DecodeError> { todo!() }

/// The value of one key of a map section, found without decoding the other values.
///
/// # Errors
/// When it is not a map.
pub fn map_get(value: &Bytes, key: &str) -> Result<Option<Value>, DecodeError> { todo!() }

/// Appends a `header` section.
pub fn put_header(out: &mut BytesMut, header: &Header) { todo!() }
/// Appends a `delivery-annotations` section; nothing when there are none.
pub fn put_delivery_annotations(out: &mut BytesMut, entries: &[(Symbol, Value)]) { todo!() }
/// Appends a `message-annotations` section; nothing when there are none.
pub fn put_message_annotations(out: &mut BytesMut, entries: &[(Symbol, Value)]) { todo!() }
/// Appends a `properties` section; nothing when all are absent.
pub fn put_properties(out: &mut BytesMut, properties: &Properties) { todo!() }
/// Appends an `application-properties` section; nothing when there are none.
pub fn put_application_properties(out: &mut BytesMut, entries: &[(String, Value)]) { todo!() }
/// Appends a data section.
pub fn put_data(out: &mut BytesMut, data: &[u8]) { todo!() }
/// Appends a value section.
pub fn put_value(out: &mut BytesMut, value: &Value) { todo!() }
/// Appends a sequence section.
pub fn put_sequence(out: &mut BytesMut, sequence: &[Value]) { todo!() }
