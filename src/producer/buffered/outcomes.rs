//! What became of batches, for whoever wants to hear of all of them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;

use crate::dialect::event::EventData;
use crate::error::Error;

/// What became of events that were sent together.
#[derive(Clone, Debug)]
pub struct SendOutcome {
    /// The partition.
    pub partition_id: String,
    /// The events, in the order in which they were enqueued: those since somebody has listened.
    pub events: Vec<EventData>,
    /// Nothing when they were stored; otherwise why they were not.
    pub error: Option<Error>,
}

/// What becomes of batches, as a stream. Ends when the client is closed. Bounded: it is told by
/// [`missed`](Self::missed) when it was not read in time.
#[derive(Debug)]
pub struct SendOutcomes {
    list: Arc<Mutex<List>>,
    listeners: Arc<AtomicUsize>,
}

/// Those who listen.
#[derive(Default)]
pub(super) struct Board {
    listeners: Arc<AtomicUsize>,
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    all: Vec<Arc<Mutex<List>>>,
    /// Nothing more is told.
    is_over: bool,
}

#[derive(Debug, Default)]
struct List {
    waiting: VecDeque<SendOutcome>,
    missed: u64,
    waker: Option<Waker>,
    has_ended: bool,
    is_gone: bool,
}

/// Batches that wait to be heard of, at most.
const CAPACITY: usize = 1024;

impl Board {
    pub(super) fn listen(&self) -> SendOutcomes {
        let mut lists = lock(&self.lists);
        let list = Arc::new(Mutex::new(List { has_ended: lists.is_over, ..List::default() }));
        lists.all.push(list.clone());
        self.listeners.fetch_add(1, Ordering::Relaxed);
        SendOutcomes { list, listeners: self.listeners.clone() }
    }

    /// Whether events have to be kept for somebody.
    pub(super) fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) > 0
    }

    pub(super) fn tell(&self, outcome: &SendOutcome) {
        self.each(|list| {
            if list.waiting.len() >= CAPACITY {
                list.waiting.pop_front();
                list.missed += 1;
            }
            list.waiting.push_back(outcome.clone());
        });
    }

    pub(super) fn end(&self) {
        lock(&self.lists).is_over = true;
        self.each(|list| list.has_ended = true);
    }

    fn each(&self, put: impl Fn(&mut List)) {
        let mut woken = Vec::new();
        lock(&self.lists).all.retain(|list| {
            let mut list = lock(list);
            if !list.is_gone {
                put(&mut list);
                woken.extend(list.waker.take());
            }
            !list.is_gone
        });
        woken.into_iter().for_each(Waker::wake);
    }
}

impl SendOutcomes {
    /// What became of the next batch; `None` when the client was closed.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<SendOutcome> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// How many batches this stream had no room for, in all.
    pub fn missed(&self) -> u64 {
        lock(&self.list).missed
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<SendOutcome>> {
        let mut list = lock(&self.list);
        match list.waiting.pop_front() {
            Some(outcome) => Poll::Ready(Some(outcome)),
            None if list.has_ended => Poll::Ready(None),
            None => {
                list.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for SendOutcomes {
    type Item = SendOutcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SendOutcome>> {
        self.poll(cx)
    }
}

impl Drop for SendOutcomes {
    fn drop(&mut self) {
        let mut list = lock(&self.list);
        list.is_gone = true;
        list.waiting.clear();
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
