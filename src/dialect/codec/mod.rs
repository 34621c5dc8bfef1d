//! Events on the wire: encoded for sending, gathered in batches, and taken apart by the service.

mod batch;
mod decode;
mod numbering;
mod publication;

use bytes::{BufMut, Bytes, BytesMut};

pub use batch::{EncodedBatch, EventBatch};
pub use decode::decode_event;
pub use numbering::Marks;
pub use publication::{Numbers, Publication, Stamp, Stored};

use super::annotations::PARTITION_KEY;
use super::event::EventData;
use crate::amqp::decode::MAX_NESTING;
use crate::amqp::encode;
use crate::amqp::message::{self, Body};
use crate::error::{Error, ErrorKind};
use crate::model::partition;
use crate::model::value::{Symbol, Value};

/// No event is encoded that is larger than this, in bytes, whatever a link allows: sizes in AMQP have 32 bits.
const MAX_EVENT_BYTES: usize = 1 << 30;

/// Encodes an event as a message of its own (message format 0).
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when the event holds something that AMQP or the service does not allow,
/// [`ErrorKind::MessageTooLarge`] when it is larger than anything that takes events.
pub fn encode_event(event: &EventData) -> Result<Bytes, Error> {
    check(event)?;
    let least = least_size(event);
    if least > MAX_EVENT_BYTES {
        return Err(too_large(least as u64, MAX_EVENT_BYTES as u64));
    }
    let mut out = BytesMut::with_capacity(least + 64);
    put_event(&mut out, event, event.partition_key(), false);
    Ok(out.freeze())
}

/// Appends an event as it stands in a batch [that keeps keys](EventBatch::keeping_keys), for
/// [`EventBatch::try_add_encoded`]. `is_numbered`: in one of an idempotent producer.
///
/// # Errors
/// As [`encode_event`].
pub fn encode_for_batch(out: &mut BytesMut, event: &EventData, is_numbered: bool) -> Result<(), Error> {
    check(event)?;
    let least = least_size(event);
    if least > MAX_EVENT_BYTES {
        return Err(too_large(least as u64, MAX_EVENT_BYTES as u64));
    }
    out.reserve(least + 64);
    put_event(out, event, event.partition_key(), is_numbered);
    Ok(())
}

/// The error for an event of `size` bytes where `limit` are allowed.
pub fn too_large(size: u64, limit: u64) -> Error {
    let message = format!("the event is {size} bytes, the limit is {limit}");
    Error::new(ErrorKind::MessageTooLarge, message)
}

/// Checks what would make the service refuse the event or a reader stumble over it.
fn check(event: &EventData) -> Result<(), Error> {
    if let Some(key) = event.partition_key() {
        partition::check_key(key)?;
    }
    if let Some(properties) = event.properties() {
        for (name, id) in
            [("message-id", &properties.message_id), ("correlation-id", &properties.correlation_id)]
        {
            let allowed = |id: &Value| {
                matches!(id, Value::Ulong(_) | Value::Uuid(_) | Value::Binary(_) | Value::String(_))
            };
            if id.as_ref().is_some_and(|id| !allowed(id)) {
                return Err(invalid(format!("the {name} is neither string, ulong, UUID nor binary")));
            }
        }
        let symbols =
            [("content-type", &properties.content_type), ("content-encoding", &properties.content_encoding)];
        for (name, symbol) in symbols {
            if symbol.as_ref().is_some_and(|symbol| !symbol.as_str().is_ascii()) {
                return Err(invalid(format!("the {name} holds characters outside ASCII")));
            }
        }
    }
    for (name, _) in event.annotations() {
        if !name.as_str().is_ascii() {
            return Err(invalid(format!("the annotation name '{name}' holds characters outside ASCII")));
        }
        if name.as_str() == PARTITION_KEY {
            return Err(invalid(format!(
                "the annotation '{name}' is set by hand: set the partition key instead"
            )));
        }
    }
    if let Some(what) = too_deep(event) {
        return Err(invalid(format!("{what} nests in more than {MAX_NESTING} levels")));
    }
    Ok(())
}

/// What in an event nests so deep that readers would not take it.
fn too_deep(event: &EventData) -> Option<String> {
    let is_deep = |value: &Value| value.is_deeper_than(MAX_NESTING);
    let is_body_deep = match event.body() {
        Body::Empty | Body::Data(_) => false,
        Body::Sequence(sections) => sections.iter().flatten().any(is_deep),
        Body::Value(value) => is_deep(value),
    };
    if is_body_deep {
        return Some("the body".to_owned());
    }
    let annotations = event.annotations().iter().map(|(name, value)| (name.as_str(), value));
    let properties = event.application_properties().iter().map(|(name, value)| (name.as_str(), value));
    let deep = annotations.chain(properties).find(|(_, value)| is_deep(value));
    deep.map(|(name, _)| format!("'{name}'"))
}

/// What an encoded event has at least, known without encoding it.
fn least_size(event: &EventData) -> usize {
    match event.body() {
        Body::Data(sections) => {
            sections.iter().map(|data| data.as_ref().map_or(0, Bytes::len)).fold(0, usize::saturating_add)
        }
        Body::Value(Value::Binary(bytes)) => bytes.len(),
        Body::Value(Value::String(text)) => text.len(),
        _ => 0,
    }
}

/// Appends an encoded event; `key` is its partition key. With `places`, numbers can be written into it later.
fn put_event(out: &mut BytesMut, event: &EventData, key: Option<&str>, places: bool) {
    put_annotations(out, key, event.annotations(), places);
    if let Some(properties) = event.properties() {
        message::put_properties(out, properties);
    }
    message::put_application_properties(out, event.application_properties());
    match event.body() {
        Body::Empty => {}
        Body::Data(sections) => {
            for section in sections {
                match section {
                    Some(data) => message::put_data(out, data),
                    None => message::put_null_data(out),
                }
            }
        }
        Body::Sequence(sections) => {
            for section in sections {
                message::put_sequence(out, section);
            }
        }
        Body::Value(value) => message::put_value(out, value),
    }
}

/// Appends message annotations; nothing when there are none.
fn put_annotations(out: &mut BytesMut, key: Option<&str>, others: &[(Symbol, Value)], places: bool) {
    let numbers = if places { numbering::COUNT } else { 0 };
    let count = others.len() + usize::from(key.is_some()) + numbers;
    if count == 0 {
        return;
    }
    out.put_slice(MESSAGE_ANNOTATIONS);
    encode::compound(out, 0xc1, 0xd1, count * 2, |out| {
        if places {
            numbering::put_places(out);
        }
        if let Some(key) = key {
            encode::symbol(out, &Symbol::from_static(PARTITION_KEY));
            encode::string(out, key);
        }
        for (name, value) in others {
            encode::symbol(out, name);
            encode::value(out, value);
        }
    });
}

/// The descriptor of a message-annotations section.
const MESSAGE_ANNOTATIONS: &[u8] = &[0x00, 0x53, 0x72];

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests;
