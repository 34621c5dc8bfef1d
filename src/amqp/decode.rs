//! Decoding of AMQP values from foreign bytes: bounded, and without panics.

use std::fmt;

use bytes::Bytes;

use crate::model::value::Value;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError(pub(crate) &'static str);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for DecodeError {}

/// Decodes one value from the front of `bytes`, which is advanced behind it. Binaries are slices of `bytes`.
///
/// # Errors
/// When the bytes are not an AMQP value, or nest or count beyond the bounds.
pub fn value(bytes: &mut Bytes) -> Result<Value, DecodeError> { todo!() }
