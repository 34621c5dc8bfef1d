//! What an outbox finds on its disk.

use bytes::Bytes;
use eventhubs::outbox::fuzzing;

/// A journal, or what is left of one.
pub fn journal(data: &[u8]) {
    let records = fuzzing::journal(&Bytes::copy_from_slice(data));
    assert!(records <= data.len() / 13, "a record has a frame and a content");
}

/// One with all kinds of records.
pub(super) fn journals() -> Vec<Vec<u8>> {
    vec![fuzzing::seed()]
}
