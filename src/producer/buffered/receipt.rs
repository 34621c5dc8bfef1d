//! What becomes of an event that was enqueued.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;

/// What becomes of an event: resolves to the partition that it was stored in, or to why it was not.
///
/// Need not be waited for: an event is sent whether or not anybody keeps its receipt.
#[derive(Debug)]
#[must_use = "a receipt tells whether the event was stored; drop it, or listen to `outcomes`, if that is enough"]
pub struct Receipt {
    end: Arc<End>,
    /// Its place among those that wait.
    place: Option<usize>,
}

/// The end of a batch, shared by the receipts of its events.
#[derive(Debug)]
pub(super) struct End {
    partition: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), Error>>,
    waiting: Vec<Waker>,
}

impl End {
    pub(super) fn new(partition: Arc<str>) -> Arc<Self> {
        Arc::new(End { partition, state: Mutex::default() })
    }

    pub(super) fn receipt(self: &Arc<Self>) -> Receipt {
        Receipt { end: self.clone(), place: None }
    }

    /// Tells all receipts.
    pub(super) fn comes(&self, result: Result<(), Error>) {
        let waiting = {
            let mut state = self.state();
            state.result = Some(result);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Receipt {
    type Output = Result<String, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = this.end.state();
        if let Some(result) = &state.result {
            return Poll::Ready(match result {
                Ok(()) => Ok(this.end.partition.as_ref().to_owned()),
                Err(error) => Err(error.clone()),
            });
        }
        match this.place.and_then(|place| state.waiting.get_mut(place)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                this.place = Some(state.waiting.len());
                state.waiting.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}
