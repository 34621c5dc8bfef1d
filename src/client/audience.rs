//! Whoever listens to what happens, each with a bounded queue: what a listener does not take is counted instead of kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::shared::lock;

/// Items that may wait to be taken by one listener. A recovery of a hub with 32 partitions says some 40 things.
pub(super) const CAPACITY: usize = 256;

/// All who listen to one thing.
pub(crate) struct Audience<T>(Vec<Arc<Mutex<Listener<T>>>>);

/// One listener's end.
pub(crate) struct Listening<T>(Arc<Mutex<Listener<T>>>);

struct Listener<T> {
    waiting: VecDeque<T>,
    missed: u64,
    waker: Option<Waker>,
    /// Nothing follows what has been put in.
    is_last_in: bool,
    has_ended: bool,
    is_gone: bool,
}

impl<T: Clone> Audience<T> {
    /// Tells everybody; whom to wake when no lock is held any more. Nothing may follow the last.
    pub(crate) fn tell(&mut self, item: T, is_last: bool) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.0.retain(|listener| {
            let mut listener = lock(listener);
            listener.put(item.clone(), is_last);
            wakers.extend(listener.waker.take());
            !listener.is_gone && !is_last
        });
        wakers
    }

    /// A new listener, beginning with how things are.
    pub(crate) fn listen(&mut self, present: T, is_last: bool) -> Listening<T> {
        let mut listener = Listener::default();
        listener.put(present, is_last);
        let listener = Arc::new(Mutex::new(listener));
        self.0.retain(|listener| !lock(listener).is_gone);
        if !is_last {
            self.0.push(listener.clone());
        }
        Listening(listener)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Listening<T> {
    /// The next item; `None` behind the last.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut listener = lock(&self.0);
        if let Some(item) = listener.waiting.pop_front() {
            return Poll::Ready(Some(item));
        }
        if listener.is_last_in {
            listener.has_ended = true;
            return Poll::Ready(None);
        }
        listener.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// How many items there was no room for.
    pub(crate) fn missed(&self) -> u64 {
        lock(&self.0).missed
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.0).has_ended
    }
}

impl<T> Listener<T> {
    fn put(&mut self, item: T, is_last: bool) {
        if self.waiting.len() >= CAPACITY {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.is_last_in = is_last;
        self.waiting.push_back(item);
    }
}

impl<T> Default for Audience<T> {
    fn default() -> Self {
        Audience(Vec::new())
    }
}

impl<T> Default for Listener<T> {
    fn default() -> Self {
        Listener {
            waiting: VecDeque::new(),
            missed: 0,
            waker: None,
            is_last_in: false,
            has_ended: false,
            is_gone: false,
        }
    }
}

impl<T> Drop for Listening<T> {
    fn drop(&mut self) {
        lock(&self.0).is_gone = true;
    }
}
