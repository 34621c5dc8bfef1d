//! An event that was encoded to be kept, and is to be sent now.

use bytes::Bytes;

use crate::amqp::message;
use crate::dialect::annotations::PARTITION_KEY;
use crate::dialect::event::EventData;
use crate::dialect::received::undecodable;
use crate::error::Error;
use crate::model::value::Value;

/// The event of which [`encode_event`](super::encode_event) made these bytes. Its body is a slice of them.
///
/// # Errors
/// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) when the bytes are no message.
pub fn decode_event(encoded: &Bytes) -> Result<EventData, Error> {
    let broken = |error| undecodable("kept event", error);
    let sections = message::sections(encoded).map_err(broken)?;
    let mut event = EventData::from(message::body(&sections.body.of(encoded)).map_err(broken)?);
    if !sections.properties.is_empty() {
        event = event.with_properties(message::properties(&sections.properties.of(encoded)).map_err(broken)?);
    }
    for (name, value) in message::map(&sections.application_properties.of(encoded)).map_err(broken)? {
        event.set_property(name, value);
    }
    for (name, value) in message::map(&sections.message_annotations.of(encoded)).map_err(broken)? {
        event = match (name.as_str(), value) {
            (PARTITION_KEY, Value::String(key)) => event.with_partition_key(key),
            (_, value) => event.with_annotation(name, value),
        };
    }
    Ok(event)
}
