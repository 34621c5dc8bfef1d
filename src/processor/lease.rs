//! A partition that is owned: until when, whether that is certain, and whether it still may be worked on. The balancing side renews
//! and closes it, the reading side looks at it before each step, by its own clocks.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use super::member::Grant;
use super::office::Office;
use super::status::CloseReason;
use crate::error::{Error, ErrorKind};
use crate::model::moment::Moment;
use crate::runtime::{Timer, now};

/// A partition that is owned.
pub(crate) struct Lease {
    partition_id: Arc<str>,
    office: Arc<Office>,
    state: Mutex<State>,
    /// Something changed that a reader has not looked at.
    has_news: AtomicBool,
}

struct State {
    /// When the store was asked that said last that it is owned.
    asked_at: Moment,
    expires_at: Moment,
    closing: Option<CloseReason>,
    has_ended: bool,
    waiting: Vec<Waker>,
}

/// Whoever works on the partition holds this; when it is dropped nobody does any more.
pub(crate) struct Tenancy(Arc<Lease>);

impl Lease {
    pub(super) fn new(partition_id: &str, grant: Grant, office: Arc<Office>) -> Arc<Self> {
        let Grant { asked_at, expires_at, .. } = grant;
        let state = State { asked_at, expires_at, closing: None, has_ended: false, waiting: Vec::new() };
        let has_news = AtomicBool::new(true);
        Arc::new(Lease { partition_id: partition_id.into(), office, state: Mutex::new(state), has_news })
    }

    pub(crate) fn partition_id(&self) -> &Arc<str> {
        &self.partition_id
    }

    /// Why work on it ends, if it does. Looks at the clock: who was held up for long learns it here.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        let moment = now();
        let mut state = self.lock();
        if state.closing.is_none_or(|reason| !reason.is_loss()) && moment >= state.expires_at {
            // A member that stops or gives up loses it, too, when it takes too long.
            state.closing = Some(CloseReason::OwnershipExpired);
        }
        state.closing
    }

    /// Until when it is owned, as it looks now.
    pub(super) fn expires_at(&self) -> Moment {
        self.lock().expires_at
    }

    pub(super) fn renew(&self, grant: Grant) {
        let Grant { asked_at, expires_at, .. } = grant;
        let was_sure = self.is_sure();
        let mut state = self.lock();
        (state.asked_at, state.expires_at) = (asked_at, expires_at);
        drop(state);
        if !was_sure {
            self.poke();
        }
    }

    /// Whether the store has said that it is owned since the process stood still last. While it has not, it may be another's:
    /// nothing is handed out then, and no checkpoint is written.
    pub(crate) fn is_sure(&self) -> bool {
        let woken_at = self.office.beat();
        self.lock().asked_at >= woken_at
    }

    /// Waits until it is certain that it is owned.
    ///
    /// # Errors
    /// [`ErrorKind::OwnershipLost`] when it is lost.
    pub(super) async fn sure(&self) -> Result<(), Error> {
        let mut timer = Timer::default();
        poll_fn(|cx| {
            loop {
                self.listen(cx);
                if let Err(lost) = self.check() {
                    return Poll::Ready(Err(lost));
                }
                if self.is_sure() {
                    return Poll::Ready(Ok(()));
                }
                ready!(timer.poll_until(self.expires_at(), cx));
            }
        })
        .await
    }

    /// Work on it is to end. The first reason stays, unless it is lost meanwhile.
    pub(super) fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        if state.closing.is_none_or(|known| reason.is_loss() && !known.is_loss()) {
            state.closing = Some(reason);
        }
        drop(state);
        self.poke();
        self.office.nudge();
    }

    /// Its link was taken: has the store asked soon whose it is.
    pub(super) fn doubt(&self) {
        self.office.doubt();
    }

    /// Wakes whoever waits for it.
    pub(super) fn poke(&self) {
        self.has_news.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether there was a [`poke`](Self::poke) since this reader looked last: one load, for each event.
    pub(super) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::Acquire)
    }

    /// The reader looks now.
    pub(super) fn take_news(&self) {
        self.has_news.swap(false, Ordering::AcqRel);
    }

    /// Wakes the task with the next [`poke`](Self::poke).
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
    }

    /// Ready when work on it is to end. Wakes by itself at a change only, not when it expires.
    pub(super) fn poll_closing(&self, cx: &Context<'_>) -> Poll<CloseReason> {
        self.listen(cx);
        match self.closing() {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    /// Waits until work on it is to end.
    pub(super) async fn closed(&self) -> CloseReason {
        let mut timer = Timer::default();
        poll_fn(|cx| {
            // The expiry may have been put off when the timer goes off.
            while self.poll_closing(cx).is_pending() {
                ready!(timer.poll_until(self.expires_at(), cx));
            }
            self.poll_closing(cx)
        })
        .await
    }

    /// An error when the partition may be another's by now.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.closing().filter(|reason| reason.is_loss()) {
            Some(reason) => Err(lost(reason)),
            None => Ok(()),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenancy {
    pub(super) fn new(lease: Arc<Lease>) -> Self {
        Tenancy(lease)
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.0
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.close(CloseReason::GivenUp);
    }
}

/// The error of a partition that may be another's.
pub(super) fn lost(reason: CloseReason) -> Error {
    let why = match reason {
        CloseReason::OwnershipExpired => "the ownership could not be renewed in time, so it may be another's",
        _ => "another member of the group has taken it",
    };
    Error::new(ErrorKind::OwnershipLost, why)
}
