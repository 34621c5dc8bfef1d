//! Where an outbox's records are kept.

use super::record::{Letter, Record};
use crate::error::Error;

/// Keeps records in the order in which they come, so that they outlive the process.
///
/// All calls return at once. `done` is called when it is so, or cannot be, from any thread, one after the other in the order of
/// the calls. What was not told to be kept may be there after a crash all the same, but never without what was appended before it.
pub(super) trait Journal: Send + Sync + 'static {
    /// Adds records behind the others.
    fn append(&self, records: &[Record], urgency: Urgency, done: Done);

    /// Replaces all records by those that `snapshot` gives. It is called when everything before has been told, and nothing
    /// behind is kept yet. When it fails, the records are what they were.
    fn rewrite(&self, snapshot: Box<dyn FnOnce() -> Vec<Record> + Send>, done: Done);

    /// Replaces the letters about events that were given up, or adds to them.
    fn letters(&self, change: LetterChange, done: Done);

    /// How many bytes the records take.
    fn bytes(&self) -> u64;

    /// Takes nothing more. `done` is called when everything before has been told, and somebody else may open the place.
    fn close(&self, done: Done);
}

/// Who is told what became of something.
pub(super) struct Done(Box<dyn FnOnce(Result<(), Error>) + Send>);

/// What is done about records before they count as kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// They outlive the process; whether they outlive a power cut makes no difference.
    Later,
    /// They outlive what the owner chose.
    Promised,
    /// They outlive a power cut, whatever the owner chose: numbers that are used must not be forgotten.
    Always,
}

/// What becomes of the letters that are kept.
#[derive(Debug)]
pub(super) enum LetterChange {
    Add(Letter),
    Replace(Vec<Letter>),
}

/// What was found where an outbox is kept.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    pub(super) letters: Vec<Letter>,
    /// Bytes that are no records, more than an interrupted write leaves, and where they were put.
    pub(super) damage: Option<String>,
}

impl Done {
    pub(super) fn new(tell: impl FnOnce(Result<(), Error>) + Send + 'static) -> Self {
        Done(Box::new(tell))
    }

    pub(super) fn call(self, result: Result<(), Error>) {
        (self.0)(result);
    }
}
