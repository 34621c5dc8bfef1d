//! What went wrong, in one sentence for a person.

use std::fmt;

use crate::report::Counts;

/// A sentence that says what failed and what to do about it.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    /// What a test runner counted before it failed.
    pub counts: Counts,
}

impl Failure {
    pub fn new(sentence: impl Into<String>) -> Self {
        Failure { sentence: sentence.into(), counts: Counts::default() }
    }

    pub fn with_counts(self, counts: Counts) -> Self {
        Failure { counts, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure::new(format!("{error} (cargo xtask help lists the verbs)"))
    }
}
