//! How values become the bodies of events, and bodies values again.
//!
//! Nothing is guessed: whoever sends says with which codec, and whoever receives says with which. A body that cannot be
//! decoded is an error of that event, never the end of a stream.
//!
//! ```
//! use eventhubs::codec::Text;
//! use eventhubs::EventData;
//!
//! let event = EventData::encoded(&Text, "21.5 °C")?;
//! assert_eq!(event.properties().unwrap().content_type, Some("text/plain; charset=utf-8".into()));
//! # Ok::<(), eventhubs::Error>(())
//! ```
//!
//! A codec of one's own says how a value is written and how it is read:
//!
//! ```
//! use bytes::Bytes;
//! use eventhubs::codec::{BoxError, Codec, Decode, Encode};
//! use eventhubs::{EventData, ReceivedEvent};
//!
//! /// Tenths of a degree, in two bytes.
//! struct Celsius;
//!
//! impl Codec for Celsius {}
//!
//! impl Encode<f32> for Celsius {
//!     fn encode(&self, value: &f32) -> Result<Bytes, BoxError> {
//!         Ok(Bytes::copy_from_slice(&((value * 10.0) as i16).to_be_bytes()))
//!     }
//! }
//!
//! impl Decode<f32> for Celsius {
//!     fn decode(&self, body: Bytes, _event: &ReceivedEvent) -> Result<f32, BoxError> {
//!         let tenths = i16::from_be_bytes(body.as_ref().try_into()?);
//!         Ok(f32::from(tenths) / 10.0)
//!     }
//! }
//!
//! let event = EventData::encoded(&Celsius, &21.5)?;
//! # Ok::<(), eventhubs::Error>(())
//! ```

use std::error::Error as StdError;

use bytes::Bytes as Body;

use crate::dialect::event::EventData;
use crate::dialect::received::ReceivedEvent;
use crate::error::{Error, ErrorKind};

/// Why a codec could not do it, in its own words.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What both directions of a codec have in common.
pub trait Codec {
    /// What is said about every event that is sent with it, as its `content-type`.
    fn content_type(&self) -> Option<&str> {
        None
    }
}

/// Turns values into bodies.
pub trait Encode<T: ?Sized>: Codec {
    /// The body of a value.
    ///
    /// # Errors
    /// When the value has none.
    fn encode(&self, value: &T) -> Result<Body, BoxError>;
}

/// Turns bodies into values.
pub trait Decode<T>: Codec {
    /// The value of a body. What else the event says, such as its content type, can be looked at.
    ///
    /// # Errors
    /// When these bytes are no such value.
    fn decode(&self, body: Body, event: &ReceivedEvent) -> Result<T, BoxError>;
}

/// Text in UTF-8. A body that is not is an error, not a row of question marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text;

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes;

/// JSON in UTF-8, of whatever `serde` can write or read. With the feature `json`.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use eventhubs::EventData;
/// use eventhubs::codec::Json;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Reading {
///     celsius: f64,
/// }
///
/// let event = EventData::encoded(&Json, &Reading { celsius: 21.5 })?;
/// # }
/// # Ok::<(), eventhubs::Error>(())
/// ```
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl EventData {
    /// An event whose body is this value, with the codec's content type.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the codec has no body for the value; its own error is the
    /// [source](std::error::Error::source).
    pub fn encoded<T: ?Sized>(codec: &impl Encode<T>, value: &T) -> Result<EventData, Error> {
        let body = codec.encode(value).map_err(|error| {
            failed(format!("the value has no body: {error}"), error).with_operation("encode an event")
        })?;
        let event = EventData::new(body);
        Ok(match codec.content_type() {
            Some(content_type) => event.with_content_type(content_type),
            None => event,
        })
    }
}

impl ReceivedEvent {
    /// The value in the event's body.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the codec cannot read the body, whose own error is the
    /// [source](std::error::Error::source), or when the body does not consist of bytes; [`ErrorKind::Protocol`] when it is
    /// malformed.
    pub fn decode<T>(&self, codec: &impl Decode<T>) -> Result<T, Error> {
        let body = self.body_bytes()?;
        codec.decode(body, self).map_err(|error| {
            let place = format!("event {} of partition", self.sequence_number());
            failed(format!("the body is not what was expected: {error}"), error)
                .with_operation(format!("decode {place}"))
                .with_entity(self.partition_id())
        })
    }
}

impl Codec for Text {
    fn content_type(&self) -> Option<&str> {
        Some("text/plain; charset=utf-8")
    }
}

impl Encode<str> for Text {
    fn encode(&self, value: &str) -> Result<Body, BoxError> {
        Ok(Body::copy_from_slice(value.as_bytes()))
    }
}

impl Encode<String> for Text {
    fn encode(&self, value: &String) -> Result<Body, BoxError> {
        self.encode(value.as_str())
    }
}

impl Decode<String> for Text {
    fn decode(&self, body: Body, _: &ReceivedEvent) -> Result<String, BoxError> {
        Ok(String::from_utf8(Vec::from(body))?)
    }
}

impl Codec for Bytes {}

impl Encode<[u8]> for Bytes {
    fn encode(&self, value: &[u8]) -> Result<Body, BoxError> {
        Ok(Body::copy_from_slice(value))
    }
}

impl Encode<Body> for Bytes {
    fn encode(&self, value: &Body) -> Result<Body, BoxError> {
        Ok(value.clone())
    }
}

impl Decode<Body> for Bytes {
    fn decode(&self, body: Body, _: &ReceivedEvent) -> Result<Body, BoxError> {
        Ok(body)
    }
}

#[cfg(feature = "json")]
impl Codec for Json {
    fn content_type(&self) -> Option<&str> {
        Some("application/json")
    }
}

#[cfg(feature = "json")]
impl<T: serde::Serialize + ?Sized> Encode<T> for Json {
    fn encode(&self, value: &T) -> Result<Body, BoxError> {
        Ok(Body::from(serde_json::to_vec(value)?))
    }
}

#[cfg(feature = "json")]
impl<T: serde::de::DeserializeOwned> Decode<T> for Json {
    fn decode(&self, body: Body, _: &ReceivedEvent) -> Result<T, BoxError> {
        Ok(serde_json::from_slice(&body)?)
    }
}

fn failed(message: String, error: BoxError) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).with_boxed_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::message::Body as Section;
    use crate::dialect::received::tests::delivered;
    use crate::model::value::Value;

    fn received(event: EventData) -> ReceivedEvent {
        delivered(&event).in_partition("3".into())
    }

    fn source(error: &Error) -> String {
        StdError::source(error).unwrap().to_string()
    }

    #[test]
    fn text_and_bytes_are_what_they_were() {
        let event = EventData::encoded(&Text, "grüß dich").unwrap();
        assert_eq!(event.properties().unwrap().content_type, Some("text/plain; charset=utf-8".into()));
        assert_eq!(received(event).decode::<String>(&Text).unwrap(), "grüß dich");
        let event = EventData::encoded(&Bytes, &[0_u8, 255][..]).unwrap();
        assert_eq!(event.properties(), None);
        assert_eq!(received(event).decode(&Bytes).unwrap().as_ref(), [0, 255]);
    }

    #[test]
    fn a_body_that_is_something_else_is_an_error_that_says_so() {
        let event = received(EventData::new(&b"\xff\xfe"[..]));
        let error = event.decode::<String>(&Text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().starts_with("cannot decode event 7 of partition '3': "), "{error}");
        assert!(source(&error).contains("invalid utf-8"), "{error:?}");
        let list = Section::Value(Value::List(vec![Value::Int(1)]));
        let event = received(EventData::new("").with_body(list));
        assert_eq!(event.decode::<String>(&Text).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_is_written_and_read_by_serde() {
        use std::collections::BTreeMap;
        let reading = BTreeMap::from([("celsius", 21.5)]);
        let event = EventData::encoded(&Json, &reading).unwrap();
        assert_eq!(event.properties().unwrap().content_type, Some("application/json".into()));
        let event = received(event);
        assert_eq!(event.body_bytes().unwrap(), r#"{"celsius":21.5}"#);
        assert_eq!(event.decode::<BTreeMap<String, f64>>(&Json).unwrap()["celsius"], 21.5);
        let error = event.decode::<Vec<u8>>(&Json).unwrap_err();
        assert!(error.message().contains("invalid type: map, expected a sequence"), "{error}");
        let error = EventData::encoded(&Json, &BTreeMap::from([((1, 2), 3)])).unwrap_err();
        assert!(error.to_string().starts_with("cannot encode an event: the value has no body: "), "{error}");
    }
}
