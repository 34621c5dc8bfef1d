//! How long a fault lives, and how often it has struck.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::Faults;
use crate::broker::sync::lock;

/// A fault lives as long as this, unless it is [kept](Self::keep).
#[must_use = "the fault ends when the guard is dropped"]
pub struct FaultGuard {
    faults: Faults,
    id: u64,
    hits: Arc<Hits>,
    is_kept: bool,
}

/// Waits until a fault has struck; made by [`FaultGuard::until_hit`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct UntilHit<'a> {
    hits: &'a Hits,
    wanted: u64,
}

/// How often a fault has struck.
#[derive(Default)]
pub(super) struct Hits {
    count: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    is_over: bool,
    wakers: Vec<Waker>,
}

impl FaultGuard {
    pub(super) fn new(faults: Faults, id: u64, hits: Arc<Hits>) -> Self {
        FaultGuard { faults, id, hits, is_kept: false }
    }

    /// Which fault it is.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How often it has struck.
    pub fn hits(&self) -> u64 {
        self.hits.count()
    }

    /// Waits until it has struck `n` times, or has ended by other means; says how often it has struck.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub fn until_hit(&self, n: u64) -> UntilHit<'_> {
        UntilHit { hits: &self.hits, wanted: n }
    }

    /// Ends the fault, as dropping the guard does, and says how often it has struck.
    pub fn end(self) -> u64 {
        self.faults.end(self.id);
        self.hits.count()
    }

    /// Lets the fault live on without this guard, until it is [ended by its id](Faults::end).
    pub fn keep(mut self) -> u64 {
        self.is_kept = true;
        self.id
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if !self.is_kept {
            self.faults.end(self.id);
        }
    }
}

impl Hits {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Counts one more. [`wake`](Self::wake) follows when no lock is held.
    pub(super) fn note(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn wake(&self) {
        let wakers = std::mem::take(&mut lock(&self.waiting).wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// There will be no more.
    pub(super) fn end(&self) {
        lock(&self.waiting).is_over = true;
        self.wake();
    }
}

impl Future for UntilHit<'_> {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        let mut waiting = lock(&self.hits.waiting);
        let count = self.hits.count();
        if count >= self.wanted || waiting.is_over {
            return Poll::Ready(count);
        }
        if !waiting.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl fmt::Debug for FaultGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultGuard").field("id", &self.id).field("hits", &self.hits()).finish_non_exhaustive()
    }
}

impl fmt::Debug for UntilHit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilHit").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
