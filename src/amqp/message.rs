//! The sections of a bare or annotated message, found without decoding them.

use bytes::{BufMut, Bytes, BytesMut};

use super::decode::{DecodeError, Fields, Reader};
use super::encode;
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

impl Properties {
    /// Whether all are absent.
    fn is_empty(&self) -> bool {
        let Properties {
            message_id,
            user_id,
            to,
            subject,
            reply_to,
            correlation_id,
            content_type,
            content_encoding,
            absolute_expiry_time,
            creation_time,
            group_id,
            group_sequence,
            reply_to_group_id,
        } = self;
        let texts = [to, subject, reply_to, group_id, reply_to_group_id];
        message_id.is_none()
            && user_id.is_none()
            && correlation_id.is_none()
            && content_type.is_none()
            && content_encoding.is_none()
            && absolute_expiry_time.is_none()
            && creation_time.is_none()
            && group_sequence.is_none()
            && texts.iter().all(|text| text.is_none())
    }
}

impl Span {
    /// Whether there is nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// How many bytes it covers.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// The bytes it covers, without copying.
    ///
    /// # Panics
    /// When the span was found in a longer message.
    pub fn of(self, message: &Bytes) -> Bytes {
        message.slice(self.start as usize..self.end as usize)
    }
}

/// Finds the sections of `message` in one pass without decoding them. Values are skipped by their size
/// fields; their insides are not looked at.
///
/// # Errors
/// When the sections are cut short, unknown, repeated or out of order.
pub fn sections(message: &Bytes) -> Result<Sections, DecodeError> {
    let mut found = Sections::default();
    let mut reader = Reader::new(message);
    let mut last = 0;
    while !reader.is_empty() {
        let start = reader.position();
        let code = reader.descriptor(section_code)?;
        if !(HEADER..=FOOTER).contains(&code) {
            return Err(DecodeError("an unknown message section"));
        }
        let is_body = (DATA..=VALUE).contains(&code);
        let repeats = code == last && matches!(code, DATA | SEQUENCE);
        let second_body = is_body && (DATA..=VALUE).contains(&last) && !repeats;
        if second_body || (code <= last && !repeats) {
            return Err(DecodeError("message sections out of order"));
        }
        let value = reader.position();
        reader.skip()?;
        let span = Span { start: value as u32, end: reader.position() as u32 };
        match code {
            HEADER => found.header = span,
            DELIVERY_ANNOTATIONS => found.delivery_annotations = span,
            MESSAGE_ANNOTATIONS => found.message_annotations = span,
            PROPERTIES => found.properties = span,
            APPLICATION_PROPERTIES => found.application_properties = span,
            FOOTER => found.footer = span,
            _ if found.body.is_empty() => found.body = Span { start: start as u32, end: span.end },
            _ => found.body.end = span.end,
        }
        if code > MESSAGE_ANNOTATIONS && last <= MESSAGE_ANNOTATIONS {
            found.bare.start = start as u32;
        }
        if code > MESSAGE_ANNOTATIONS {
            found.bare.end = span.end;
        }
        last = code;
    }
    Ok(found)
}

/// The value of every data section of `body` (a span of body sections), `None` for null.
///
/// # Errors
/// When the body is not made of data sections.
pub fn data_sections(body: &Bytes) -> Result<Vec<Option<Bytes>>, DecodeError> {
    let mut reader = Reader::new(body);
    let mut sections = Vec::with_capacity(1);
    while !reader.is_empty() {
        if reader.descriptor(section_code)? != DATA {
            return Err(DecodeError("a body that is not made of data sections"));
        }
        sections.push(match reader.value()? {
            Value::Binary(bytes) => Some(bytes),
            Value::Null => None,
            _ => return Err(DecodeError("a data section that holds no binary")),
        });
    }
    Ok(sections)
}

/// Decodes the body sections.
///
/// # Errors
/// When they are not an AMQP body.
pub fn body(body: &Bytes) -> Result<Body, DecodeError> {
    let mut reader = Reader::new(body);
    if reader.is_empty() {
        return Ok(Body::Empty);
    }
    match reader.descriptor(section_code)? {
        DATA => data_sections(body).map(Body::Data),
        VALUE => reader.value().map(Body::Value),
        SEQUENCE => {
            reader.set_position(0);
            let mut sequences = Vec::with_capacity(1);
            while !reader.is_empty() {
                match (reader.descriptor(section_code)?, reader.value()?) {
                    (SEQUENCE, Value::List(sequence)) => sequences.push(sequence),
                    _ => return Err(DecodeError("a sequence section that holds no list")),
                }
            }
            Ok(Body::Sequence(sequences))
        }
        _ => Err(DecodeError("something else where a message body is needed")),
    }
}

/// The value of a body that is one value section; null of any other body.
///
/// # Errors
/// When it is malformed.
pub fn value(body: &Bytes) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(body);
    if reader.is_empty() || reader.descriptor(section_code)? != VALUE {
        return Ok(Value::Null);
    }
    reader.value()
}

/// Decodes a `properties` section's value.
///
/// # Errors
/// When it is not one.
pub fn properties(value: &Bytes) -> Result<Properties, DecodeError> {
    if value.is_empty() {
        return Ok(Properties::default());
    }
    let mut reader = Reader::new(value);
    let mut fields = Fields::of(&mut reader);
    let properties = Properties {
        message_id: fields.value(),
        user_id: fields.binary(),
        to: fields.string(),
        subject: fields.string(),
        reply_to: fields.string(),
        correlation_id: fields.value(),
        content_type: fields.symbol(),
        content_encoding: fields.symbol(),
        absolute_expiry_time: fields.timestamp(),
        creation_time: fields.timestamp(),
        group_id: fields.string(),
        group_sequence: fields.u32(),
        reply_to_group_id: fields.string(),
    };
    fields.finish().map(|()| properties)
}

/// Decodes a `header` section's value.
///
/// # Errors
/// When it is not one.
pub fn header(value: &Bytes) -> Result<Header, DecodeError> {
    if value.is_empty() {
        return Ok(Header::default());
    }
    let mut reader = Reader::new(value);
    let mut fields = Fields::of(&mut reader);
    let header = Header {
        durable: fields.bool().unwrap_or(false),
        priority: fields.u8(),
        ttl: fields.u32(),
        first_acquirer: fields.bool().unwrap_or(false),
        delivery_count: fields.u32().unwrap_or(0),
    };
    fields.finish().map(|()| header)
}

/// Decodes a map section's value: annotations (symbol keys) or application properties (string keys);
/// keys of either type are taken for the other. An empty value is an empty map.
///
/// # Errors
/// When it is not a map with such keys.
pub fn map(value: &Bytes) -> Result<Vec<(String, Value)>, DecodeError> {
    let mut reader = Reader::new(value);
    if reader.is_empty() {
        return Ok(Vec::new());
    }
    let head = reader.map()?;
    let mut entries = Vec::with_capacity((head.count / 2).min(64) as usize);
    for _ in 0..head.count / 2 {
        let key = match reader.value()? {
            Value::String(key) => key,
            Value::Symbol(key) => key.as_str().to_owned(),
            _ => return Err(DecodeError("a map key that is neither string nor symbol")),
        };
        entries.push((key, reader.value()?));
    }
    Ok(entries)
}

/// The value of one key of a map section, found without decoding the other values.
///
/// # Errors
/// When it is not a map.
pub fn map_get(value: &Bytes, key: &str) -> Result<Option<Value>, DecodeError> {
    let mut reader = Reader::new(value);
    if reader.is_empty() {
        return Ok(None);
    }
    let head = reader.map()?;
    for _ in 0..head.count / 2 {
        let start = reader.position();
        reader.skip()?;
        if is_text(&value[start..reader.position()], key) {
            return reader.value().map(Some);
        }
        reader.skip()?;
    }
    Ok(None)
}

/// Appends a `header` section.
pub fn put_header(out: &mut BytesMut, header: &Header) {
    section(out, HEADER);
    encode::compound(out, 0xc0, 0xd0, 5, |out| {
        encode::value(out, &Value::Bool(header.durable));
        encode::value(out, &header.priority.map_or(Value::Null, Value::Ubyte));
        encode::value(out, &header.ttl.map_or(Value::Null, Value::Uint));
        encode::value(out, &Value::Bool(header.first_acquirer));
        encode::value(out, &Value::Uint(header.delivery_count));
    });
}

/// Appends a `delivery-annotations` section; nothing when there are none.
pub fn put_delivery_annotations(out: &mut BytesMut, entries: &[(Symbol, Value)]) {
    put_annotations(out, DELIVERY_ANNOTATIONS, entries);
}

/// Appends a `message-annotations` section; nothing when there are none.
pub fn put_message_annotations(out: &mut BytesMut, entries: &[(Symbol, Value)]) {
    put_annotations(out, MESSAGE_ANNOTATIONS, entries);
}

/// Appends a `properties` section; nothing when all are absent.
pub fn put_properties(out: &mut BytesMut, properties: &Properties) {
    if properties.is_empty() {
        return;
    }
    section(out, PROPERTIES);
    encode::compound(out, 0xc0, 0xd0, 13, |out| {
        put_or_null(out, properties.message_id.as_ref(), encode::value);
        put_or_null(out, properties.user_id.as_ref(), |out, id| encode::binary(out, id));
        put_or_null(out, properties.to.as_deref(), encode::string);
        put_or_null(out, properties.subject.as_deref(), encode::string);
        put_or_null(out, properties.reply_to.as_deref(), encode::string);
        put_or_null(out, properties.correlation_id.as_ref(), encode::value);
        put_or_null(out, properties.content_type.as_ref(), encode::symbol);
        put_or_null(out, properties.content_encoding.as_ref(), encode::symbol);
        put_time(out, properties.absolute_expiry_time);
        put_time(out, properties.creation_time);
        put_or_null(out, properties.group_id.as_deref(), encode::string);
        encode::value(out, &properties.group_sequence.map_or(Value::Null, Value::Uint));
        put_or_null(out, properties.reply_to_group_id.as_deref(), encode::string);
    });
}

/// Appends the `properties` section of a message that has a `message-id` and a `reply-to`, as a request does.
pub fn put_request_properties(out: &mut BytesMut, message_id: Option<&Value>, reply_to: Option<&str>) {
    if message_id.is_none() && reply_to.is_none() {
        return;
    }
    section(out, PROPERTIES);
    encode::compound(out, 0xc0, 0xd0, 13, |out| {
        put_or_null(out, message_id, encode::value);
        out.put_slice(&[0x40; 3]);
        put_or_null(out, reply_to, encode::string);
        out.put_slice(&[0x40; 8]);
    });
}

/// Appends an `application-properties` section; nothing when there are none.
pub fn put_application_properties(out: &mut BytesMut, entries: &[(String, Value)]) {
    if entries.is_empty() {
        return;
    }
    section(out, APPLICATION_PROPERTIES);
    encode::compound(out, 0xc1, 0xd1, entries.len() * 2, |out| {
        for (key, value) in entries {
            encode::string(out, key);
            encode::value(out, value);
        }
    });
}

/// Appends a data section.
pub fn put_data(out: &mut BytesMut, data: &[u8]) {
    section(out, DATA);
    encode::binary(out, data);
}

/// Appends a data section that holds null.
pub fn put_null_data(out: &mut BytesMut) {
    section(out, DATA);
    out.put_u8(0x40);
}

/// Appends a value section.
pub fn put_value(out: &mut BytesMut, value: &Value) {
    section(out, VALUE);
    encode::value(out, value);
}

/// Appends a sequence section.
pub fn put_sequence(out: &mut BytesMut, sequence: &[Value]) {
    section(out, SEQUENCE);
    encode::compound(out, 0xc0, 0xd0, sequence.len(), |out| {
        for element in sequence {
            encode::value(out, element);
        }
    });
}

const HEADER: u64 = 0x70;
const DELIVERY_ANNOTATIONS: u64 = 0x71;
const MESSAGE_ANNOTATIONS: u64 = 0x72;
const PROPERTIES: u64 = 0x73;
const APPLICATION_PROPERTIES: u64 = 0x74;
const DATA: u64 = 0x75;
const SEQUENCE: u64 = 0x76;
const VALUE: u64 = 0x77;
const FOOTER: u64 = 0x78;

fn section_code(name: &str) -> Option<u64> {
    Some(match name {
        "amqp:header:list" => HEADER,
        "amqp:delivery-annotations:map" => DELIVERY_ANNOTATIONS,
        "amqp:message-annotations:map" => MESSAGE_ANNOTATIONS,
        "amqp:properties:list" => PROPERTIES,
        "amqp:application-properties:map" => APPLICATION_PROPERTIES,
        "amqp:data:binary" => DATA,
        "amqp:amqp-sequence:list" => SEQUENCE,
        "amqp:amqp-value:*" => VALUE,
        "amqp:footer:map" => FOOTER,
        _ => return None,
    })
}

fn put_or_null<T: ?Sized>(out: &mut BytesMut, field: Option<&T>, put: impl FnOnce(&mut BytesMut, &T)) {
    match field {
        Some(field) => put(out, field),
        None => out.put_u8(0x40),
    }
}

fn put_time(out: &mut BytesMut, time: Option<Timestamp>) {
    encode::value(out, &time.map_or(Value::Null, Value::Timestamp));
}

fn section(out: &mut BytesMut, code: u64) {
    out.put_slice(&[0x00, 0x53, code as u8]);
}

fn put_annotations(out: &mut BytesMut, code: u64, entries: &[(Symbol, Value)]) {
    if entries.is_empty() {
        return;
    }
    section(out, code);
    encode::compound(out, 0xc1, 0xd1, entries.len() * 2, |out| {
        for (key, value) in entries {
            encode::symbol(out, key);
            encode::value(out, value);
        }
    });
}

/// Whether `encoded` is the string or symbol `text`.
fn is_text(encoded: &[u8], text: &str) -> bool {
    match encoded {
        [0xa1 | 0xa3, _, rest @ ..] => rest == text.as_bytes(),
        [0xb1 | 0xb3, _, _, _, _, rest @ ..] => rest == text.as_bytes(),
        _ => false,
    }
}
