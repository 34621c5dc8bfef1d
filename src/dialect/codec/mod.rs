//! Events on the wire: encoded for sending, gathered in batches, and taken apart by the service.

mod batch;
mod content;
mod decode;
mod numbering;
mod publication;

use bytes::{BufMut, Bytes, BytesMut};

pub use batch::{EncodedBatch, EventBatch};
pub use content::{Content, EncodedContent};
pub use decode::decode_event;
pub use numbering::Marks;
pub use publication::{Numbers, Publication, Stamp, Stored};

use super::annotations::PARTITION_KEY;
use super::event::EventData;
use crate::amqp::encode;
use crate::error::{Error, ErrorKind};
use crate::model::partition;
use crate::model::value::Symbol;

/// No event is encoded that is larger than this, in bytes, whatever a link allows: sizes in AMQP have 32 bits.
const MAX_EVENT_BYTES: usize = 1 << 30;

/// Encodes an event as a message of its own (message format 0).
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when the event holds something that AMQP or the service does not allow,
/// [`ErrorKind::MessageTooLarge`] when it is larger than anything that takes events.
pub fn encode_event(event: &impl Content) -> Result<Bytes, Error> {
    encode_with_key(event, event.partition_key())
}

/// As [`encode_event`], with this partition key in place of its own.
///
/// # Errors
/// As [`encode_event`].
pub(crate) fn encode_with_key(event: &impl Content, key: Option<&str>) -> Result<Bytes, Error> {
    let mut out = BytesMut::new();
    append(&mut out, event, key, false)?;
    Ok(out.freeze())
}

/// Appends an event as it stands in a batch [that keeps keys](EventBatch::keeping_keys), for
/// [`EventBatch::try_add_encoded`]. `is_numbered`: in one of an idempotent producer.
///
/// # Errors
/// As [`encode_event`].
pub fn encode_for_batch(out: &mut BytesMut, event: &EventData, is_numbered: bool) -> Result<(), Error> {
    append(out, event, event.partition_key(), is_numbered)
}

fn append(
    out: &mut BytesMut,
    event: &impl Content,
    key: Option<&str>,
    is_numbered: bool,
) -> Result<(), Error> {
    check(event, key)?;
    let least = event.least_size();
    if least > MAX_EVENT_BYTES {
        return Err(too_large(least as u64, MAX_EVENT_BYTES as u64));
    }
    out.reserve(least + 64);
    put_event(out, event, key, is_numbered);
    Ok(())
}

/// The error for an event of `size` bytes where `limit` are allowed.
pub fn too_large(size: u64, limit: u64) -> Error {
    let message = format!("the event is {size} bytes, the limit is {limit}");
    Error::new(ErrorKind::MessageTooLarge, message)
}

/// Checks what would make the service refuse the event or a reader stumble over it.
fn check(event: &impl Content, key: Option<&str>) -> Result<(), Error> {
    if let Some(key) = key {
        partition::check_key(key)?;
    }
    event.check()
}

/// Appends an encoded event; `key` is its partition key. With `places`, numbers can be written into it later.
fn put_event(out: &mut BytesMut, event: &impl Content, key: Option<&str>, places: bool) {
    put_annotations(out, key, event.annotation_count(), places, |out| event.put_annotations(out));
    event.put_sections(out);
}

/// Appends message annotations; nothing when there are none. `others` are so many, and put by `put`.
fn put_annotations(
    out: &mut BytesMut,
    key: Option<&str>,
    others: usize,
    places: bool,
    put: impl FnOnce(&mut BytesMut),
) {
    let numbers = if places { numbering::COUNT } else { 0 };
    let count = others + usize::from(key.is_some()) + numbers;
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
        put(out);
    });
}

/// The descriptor of a message-annotations section.
const MESSAGE_ANNOTATIONS: &[u8] = &[0x00, 0x53, 0x72];

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests;
