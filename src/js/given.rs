//! Options, which come as an encoded list with a place for each.
//!
//! The TypeScript in front has checked names and types: what a deserialiser would add, or a question to JavaScript for each of
//! them, would only be weight for a page.

use std::vec;

use crate::amqp::decode;
use crate::model::value::Value;

/// What is left of a list of options; one that is not there reads as null.
#[derive(Default)]
pub(super) struct Given(vec::IntoIter<Value>);

impl Given {
    pub(super) fn new(encoded: Vec<u8>) -> Self {
        decode::value(&mut encoded.into()).map(Given::from).unwrap_or_default()
    }

    fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Null)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        match self.next() {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&mut self) -> Option<f64> {
        match self.next() {
            Value::Double(number) => Some(number),
            other => other.as_i64().map(|number| number as f64),
        }
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        self.next().as_i64()
    }

    pub(super) fn is_set(&mut self) -> bool {
        self.next() == Value::Bool(true)
    }

    /// Options within these.
    pub(super) fn inner(&mut self) -> Option<Given> {
        match self.next() {
            Value::Null => None,
            list => Some(Given::from(list)),
        }
    }

    /// A list of options.
    pub(super) fn each(&mut self) -> impl Iterator<Item = Given> + use<> {
        Given::from(self.next()).0.map(Given::from)
    }
}

impl From<Value> for Given {
    fn from(value: Value) -> Self {
        match value {
            Value::List(items) => Given(items.into_iter()),
            _ => Given::default(),
        }
    }
}
