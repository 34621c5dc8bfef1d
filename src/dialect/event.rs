//! An event to be sent.

use bytes::Bytes;

use crate::amqp::message::{Body, Properties};
use crate::model::value::{Symbol, Timestamp, Value};

/// An event to be sent: a body, and what is said about it.
///
/// ```
/// # use eventhubs::EventData;
/// let reading = EventData::from(r#"{"celsius":21.5}"#)
///     .with_partition_key("device-7")
///     .with_content_type("application/json")
///     .with_property("building", "north")
///     .with_property("floor", 3_i32);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EventData {
    body: Body,
    /// Boxed: most events have none.
    properties: Option<Box<Properties>>,
    application_properties: Vec<(String, Value)>,
    annotations: Vec<(Symbol, Value)>,
    partition_key: Option<String>,
}

impl EventData {
    /// An event whose body is these bytes, in one data section.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self::from(Body::Data(vec![Some(body.into())]))
    }

    /// An event whose body is one AMQP value of any type.
    pub fn from_value(body: impl Into<Value>) -> Self {
        Self::from(Body::Value(body.into()))
    }

    /// An event whose body is several data sections, which arrive as such.
    pub fn from_sections(sections: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        Self::from(Body::Data(sections.into_iter().map(|section| Some(section.into())).collect()))
    }

    /// Replaces the body.
    #[must_use]
    pub fn with_body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Adds an application property, or replaces the one of that name.
    #[must_use]
    pub fn with_property(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set_property(name, value);
        self
    }

    /// Adds an application property, or replaces the one of that name.
    pub fn set_property(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.application_properties.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.application_properties.push((name, value)),
        }
    }

    /// Adds a message annotation, or replaces the one of that name. Names that begin with `x-opt-` are the
    /// service's own.
    #[must_use]
    pub fn with_annotation(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (Symbol::from(name.into()), value.into());
        match self.annotations.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.annotations.push((name, value)),
        }
        self
    }

    /// Sets the partition key: events with the same key go to the same partition, in order. At most 128 characters.
    #[must_use]
    pub fn with_partition_key(mut self, key: impl Into<String>) -> Self {
        self.partition_key = Some(key.into());
        self
    }

    /// Sets the message id: a string, `ulong`, UUID or binary.
    #[must_use]
    pub fn with_message_id(mut self, id: impl Into<Value>) -> Self {
        self.properties_mut().message_id = Some(id.into());
        self
    }

    /// Sets the correlation id: a string, `ulong`, UUID or binary.
    #[must_use]
    pub fn with_correlation_id(mut self, id: impl Into<Value>) -> Self {
        self.properties_mut().correlation_id = Some(id.into());
        self
    }

    /// Sets the content type, such as `application/json`.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.properties_mut().content_type = Some(Symbol::from(content_type.into()));
        self
    }

    /// Sets the content encoding, such as `gzip`.
    #[must_use]
    pub fn with_content_encoding(mut self, encoding: impl Into<String>) -> Self {
        self.properties_mut().content_encoding = Some(Symbol::from(encoding.into()));
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.properties_mut().subject = Some(subject.into());
        self
    }

    /// Sets the time at which the event came about.
    #[must_use]
    pub fn with_creation_time(mut self, time: impl Into<Timestamp>) -> Self {
        self.properties_mut().creation_time = Some(time.into());
        self
    }

    /// Replaces the AMQP properties: message id, subject, content type and the others.
    #[must_use]
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.properties = Some(Box::new(properties));
        self
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The AMQP properties; `None` when none is set.
    pub fn properties(&self) -> Option<&Properties> {
        self.properties.as_deref()
    }

    /// The AMQP properties, to be changed.
    pub fn properties_mut(&mut self) -> &mut Properties {
        self.properties.get_or_insert_default()
    }

    /// The application properties.
    pub fn application_properties(&self) -> &[(String, Value)] {
        &self.application_properties
    }

    /// The message annotations, without the partition key.
    pub fn annotations(&self) -> &[(Symbol, Value)] {
        &self.annotations
    }

    /// The partition key.
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }
}

impl From<Body> for EventData {
    fn from(body: Body) -> Self {
        EventData {
            body,
            properties: None,
            application_properties: Vec::new(),
            annotations: Vec::new(),
            partition_key: None,
        }
    }
}

macro_rules! event_from {
    ($($from:ty),+) => {
        $(impl From<$from> for EventData {
            fn from(body: $from) -> Self {
                EventData::new(body)
            }
        })+
    };
}

event_from!(Bytes, Vec<u8>, String, Box<[u8]>);

impl From<&str> for EventData {
    fn from(body: &str) -> Self {
        EventData::new(Bytes::copy_from_slice(body.as_bytes()))
    }
}

impl From<&[u8]> for EventData {
    fn from(body: &[u8]) -> Self {
        EventData::new(Bytes::copy_from_slice(body))
    }
}

impl<const N: usize> From<&[u8; N]> for EventData {
    fn from(body: &[u8; N]) -> Self {
        EventData::new(Bytes::copy_from_slice(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_from_all_that_holds_bytes() {
        let expected = Body::Data(vec![Some(Bytes::from_static(b"hi"))]);
        for event in [
            EventData::from("hi"),
            EventData::from("hi".to_owned()),
            EventData::from(vec![b'h', b'i']),
            EventData::from(&b"hi"[..]),
            EventData::from(b"hi"),
            EventData::from(Bytes::from_static(b"hi")),
            EventData::new("hi"),
        ] {
            assert_eq!(event.body(), &expected);
            assert!(event.properties().is_none() && event.application_properties().is_empty());
        }
        assert_eq!(EventData::from_value(7_i32).body(), &Body::Value(Value::Int(7)));
        let sections = vec![Some(Bytes::from_static(b"a")), Some(Bytes::from_static(b"b"))];
        assert_eq!(EventData::from_sections(["a", "b"]).body(), &Body::Data(sections));
    }

    #[test]
    fn a_property_set_twice_is_there_once() {
        let event =
            EventData::from("").with_property("a", 1_i32).with_property("b", true).with_property("a", "x");
        let expected = [("a".to_owned(), Value::from("x")), ("b".to_owned(), Value::Bool(true))];
        assert_eq!(event.application_properties(), expected);
        let event = event.with_annotation("n", 1_i64).with_annotation("n", 2_i64);
        assert_eq!(event.annotations(), [(Symbol::from_static("n"), Value::Long(2))]);
    }

    #[test]
    fn amqp_properties_are_set_one_by_one_or_together() {
        let event = EventData::from("")
            .with_message_id("m")
            .with_correlation_id(5_u64)
            .with_content_type("text/plain")
            .with_content_encoding("gzip")
            .with_subject("s")
            .with_creation_time(Timestamp::from_millis(1));
        let expected = Properties {
            message_id: Some(Value::from("m")),
            correlation_id: Some(Value::Ulong(5)),
            content_type: Some(Symbol::from_static("text/plain")),
            content_encoding: Some(Symbol::from_static("gzip")),
            subject: Some("s".to_owned()),
            creation_time: Some(Timestamp::from_millis(1)),
            ..Properties::default()
        };
        assert_eq!(event.properties(), Some(&expected));
        assert_eq!(EventData::from("").with_properties(expected.clone()).properties(), Some(&expected));
    }
}
