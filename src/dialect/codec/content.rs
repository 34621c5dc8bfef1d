//! What an encoded event is made of.

use bytes::{BufMut, Bytes, BytesMut};

use super::{PARTITION_KEY, invalid};
use crate::amqp::decode::MAX_NESTING;
use crate::amqp::encode;
use crate::amqp::message::{self, Body};
use crate::dialect::event::EventData;
use crate::error::Error;
use crate::model::value::Value;

/// What can be sent as an event.
pub trait Content {
    /// The partition key that it has.
    fn partition_key(&self) -> Option<&str>;

    /// Checks what would make the service refuse it or a reader stumble over it, but for the key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument), saying what.
    fn check(&self) -> Result<(), Error>;

    /// What it has at least when it is encoded, known without encoding it.
    fn least_size(&self) -> usize;

    /// How many message annotations there are besides the partition key.
    fn annotation_count(&self) -> usize;

    /// Appends them, without a head.
    fn put_annotations(&self, out: &mut BytesMut);

    /// Appends the sections behind the annotations.
    fn put_sections(&self, out: &mut BytesMut);
}

/// An event that somebody else has encoded, who has checked it: the TypeScript of the npm package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedContent {
    /// The partition key.
    pub partition_key: Option<String>,
    /// How many annotations there are.
    pub annotation_count: usize,
    /// The names and values of the annotations.
    pub annotations: Bytes,
    /// The sections behind them, or the body alone.
    pub sections: Bytes,
    /// Whether there is nothing but the bytes of a body.
    pub is_body: bool,
}

impl Content for EventData {
    fn partition_key(&self) -> Option<&str> {
        EventData::partition_key(self)
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(properties) = self.properties() {
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
            let symbols = [
                ("content-type", &properties.content_type),
                ("content-encoding", &properties.content_encoding),
            ];
            for (name, symbol) in symbols {
                if symbol.as_ref().is_some_and(|symbol| !symbol.as_str().is_ascii()) {
                    return Err(invalid(format!("the {name} holds characters outside ASCII")));
                }
            }
        }
        for (name, _) in self.annotations() {
            if !name.as_str().is_ascii() {
                return Err(invalid(format!("the annotation name '{name}' holds characters outside ASCII")));
            }
            if name.as_str() == PARTITION_KEY {
                return Err(invalid(format!(
                    "the annotation '{name}' is set by hand: set the partition key instead"
                )));
            }
        }
        if let Some(what) = too_deep(self) {
            return Err(invalid(format!("{what} nests in more than {MAX_NESTING} levels")));
        }
        Ok(())
    }

    fn least_size(&self) -> usize {
        match self.body() {
            Body::Data(sections) => {
                sections.iter().map(|data| data.as_ref().map_or(0, Bytes::len)).fold(0, usize::saturating_add)
            }
            Body::Value(Value::Binary(bytes)) => bytes.len(),
            Body::Value(Value::String(text)) => text.len(),
            _ => 0,
        }
    }

    fn annotation_count(&self) -> usize {
        self.annotations().len()
    }

    fn put_annotations(&self, out: &mut BytesMut) {
        for (name, value) in self.annotations() {
            encode::symbol(out, name);
            encode::value(out, value);
        }
    }

    fn put_sections(&self, out: &mut BytesMut) {
        if let Some(properties) = self.properties() {
            message::put_properties(out, properties);
        }
        message::put_application_properties(out, self.application_properties());
        match self.body() {
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
}

impl Content for EncodedContent {
    fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn least_size(&self) -> usize {
        self.sections.len()
    }

    fn annotation_count(&self) -> usize {
        self.annotation_count
    }

    fn put_annotations(&self, out: &mut BytesMut) {
        out.put_slice(&self.annotations);
    }

    fn put_sections(&self, out: &mut BytesMut) {
        match self.is_body {
            true => message::put_data(out, &self.sections),
            false => out.put_slice(&self.sections),
        }
    }
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
