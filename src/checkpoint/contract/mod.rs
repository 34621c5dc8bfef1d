//! What every store promises, as a suite that runs on any: [`check`].

mod checkpoints;
mod names;
mod ownership;
mod stage;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::stage::Stage;
use super::CheckpointStore;
use crate::error::Error;
use crate::runtime::{BoxFuture, within};

/// How long a single promise may take. The longest one writes a thousand records.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a promise is called and how it is looked into.
type Promise = (&'static str, for<'a> fn(&'a Stage) -> BoxFuture<'a, Result<(), String>>);

/// A promise that a store broke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The promise, as a sentence.
    pub promise: &'static str,
    /// What the store did instead.
    pub seen: String,
}

/// The promises that a store broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

/// Looks whether a store keeps what a group of processors relies on; the promises that it kept.
///
/// `open` makes a store on the same place each time, as several processes would. The suite works in groups of
/// namespaces with names of its own, which it does not clean up, and leaves everything else alone. It takes seconds, or
/// as long as the store needs for some ten thousand requests.
///
/// ```
/// use eventhubs::checkpoint::{MemoryStore, contract};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), contract::Violations> {
/// let memory = MemoryStore::new();
/// let kept = contract::check(async || Ok(memory.clone())).await?;
/// assert!(kept.len() > 10);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the store did against which promises, each of them looked into.
///
/// # Cancel safety
/// The future may be dropped at any time; what it wrote stays.
pub async fn check<S: CheckpointStore>(
    open: impl AsyncFn() -> Result<S, Error>,
) -> Result<Vec<&'static str>, Violations> {
    let mut stores: Vec<Arc<dyn CheckpointStore>> = Vec::new();
    for _ in 0..2 {
        match open().await {
            Ok(store) => stores.push(Arc::new(store)),
            Err(error) => {
                let seen = error.to_string();
                return Err(Violations(vec![Violation { promise: "a store can be opened", seen }]));
            }
        }
    }
    let stage = Stage::new(stores);
    let (mut kept, mut broken) = (Vec::new(), Vec::new());
    for &(promise, look) in ownership::PROMISES.iter().chain(checkpoints::PROMISES).chain(names::PROMISES) {
        match within(PATIENCE, look(&stage)).await {
            Some(Ok(())) => kept.push(promise),
            Some(Err(seen)) => broken.push(Violation { promise, seen }),
            None => {
                let seen = format!("there was no answer within {} s", PATIENCE.as_secs());
                broken.push(Violation { promise, seen });
            }
        }
    }
    if broken.is_empty() { Ok(kept) } else { Err(Violations(broken)) }
}

impl Violations {
    /// One for each promise.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\", but {}", self.promise, self.seen)
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store broke what it promises:")?;
        self.0.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl std::error::Error for Violations {}

#[cfg(test)]
mod tests;
