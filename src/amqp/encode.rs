//! Encoding of AMQP values.

use bytes::BufMut;
use bytes::BytesMut;

use crate::model::value::{Symbol, Value};

/// Appends `value` in its shortest encoding.
pub fn value(out: &mut BytesMut, value: &Value) { todo!() }
