//! Where the balancing task, the partitions and the user's handle leave word for each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use std::time::Duration;

use super::lease::Lease;
use super::pulse::Pulse;
use crate::model::checkpoint::Checkpoint;
use crate::model::moment::Moment;
use crate::runtime::{now, unix_now};

/// A partition that waits to be worked on.
pub(crate) struct Granted {
    pub(crate) lease: Arc<Lease>,
    /// Where it was left.
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// One processor's letter box.
pub(crate) struct Office(Mutex<State>);

struct State {
    pulse: Pulse,
    /// Something ended, or should be looked at.
    is_nudged: bool,
    /// A partition's link was taken: the store should be asked whose it is.
    is_doubtful: bool,
    /// The process stood still: the store should be asked at once.
    is_woken: bool,
    is_stopping: bool,
    has_stopped: bool,
    line: VecDeque<Granted>,
    balancer: Option<Waker>,
    others: Vec<Waker>,
}

impl Office {
    /// For a member whose rounds take so long.
    pub(super) fn new(interval: Duration) -> Arc<Self> {
        Arc::new(Office(Mutex::new(State {
            pulse: Pulse::new(interval),
            is_nudged: false,
            is_doubtful: false,
            is_woken: false,
            is_stopping: false,
            has_stopped: false,
            line: VecDeque::new(),
            balancer: None,
            others: Vec::new(),
        })))
    }

    /// Looks at the clocks. When it was noticed last that the process had stood still; the balancing task is then to ask the store
    /// whose everything is.
    pub(super) fn beat(&self) -> Moment {
        let (moment, unix) = (now(), unix_now());
        let mut state = self.lock();
        if state.pulse.beat(moment, unix) {
            (state.is_nudged, state.is_woken) = (true, true);
            state.wake_balancer();
        }
        state.pulse.woken_at()
    }

    /// When to look at the clocks at the latest.
    pub(super) fn next_beat(&self) -> Moment {
        self.lock().pulse.next(now())
    }

    /// Whether the process stood still since this was asked last.
    pub(super) fn take_woken(&self) -> bool {
        std::mem::take(&mut self.lock().is_woken)
    }

    /// Has the balancing task look at its partitions.
    pub(super) fn nudge(&self) {
        let mut state = self.lock();
        state.is_nudged = true;
        state.wake_balancer();
    }

    /// Has the balancing task ask the store soon.
    pub(super) fn doubt(&self) {
        let mut state = self.lock();
        (state.is_nudged, state.is_doubtful) = (true, true);
        state.wake_balancer();
    }

    /// Ready when something is to be looked at.
    pub(super) fn poll_nudged(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_nudged) {
            return Poll::Ready(());
        }
        state.balancer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether a link was taken since this was asked last.
    pub(super) fn take_doubt(&self) -> bool {
        std::mem::take(&mut self.lock().is_doubtful)
    }

    /// Has the balancing task end everything.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        (state.is_nudged, state.is_stopping) = (true, true);
        state.wake_balancer();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Ready when everything is to end, for the balancing task.
    pub(super) fn poll_stopping(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.is_stopping {
            return Poll::Ready(());
        }
        state.balancer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Puts a partition into the line.
    pub(super) fn grant(&self, granted: Granted) {
        let mut state = self.lock();
        state.line.push_back(granted);
        state.wake_others();
    }

    /// The next partition of the line; `None` when none follows, because the processor stops.
    pub(super) fn poll_granted(&self, cx: &Context<'_>) -> Poll<Option<Granted>> {
        let mut state = self.lock();
        if let Some(granted) = state.line.pop_front() {
            return Poll::Ready(Some(granted));
        }
        if state.is_stopping || state.has_stopped {
            return Poll::Ready(None);
        }
        state.add_other(cx);
        Poll::Pending
    }

    /// What waits in the line and may no longer be worked on.
    pub(super) fn withdraw(&self) -> Vec<Granted> {
        let mut state = self.lock();
        let (gone, kept) = std::mem::take(&mut state.line)
            .into_iter()
            .partition(|granted| granted.lease.closing().is_some());
        state.line = kept;
        Vec::from(gone)
    }

    /// Everything has ended.
    pub(super) fn stopped(&self) {
        let mut state = self.lock();
        (state.is_stopping, state.has_stopped) = (true, true);
        state.wake_others();
    }

    pub(super) fn poll_stopped(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.has_stopped {
            return Poll::Ready(());
        }
        state.add_other(cx);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_balancer(&mut self) {
        self.balancer.take().into_iter().for_each(Waker::wake);
    }

    fn add_other(&mut self, cx: &Context<'_>) {
        if !self.others.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.others.push(cx.waker().clone());
        }
    }

    fn wake_others(&mut self) {
        self.others.drain(..).for_each(Waker::wake);
    }
}
