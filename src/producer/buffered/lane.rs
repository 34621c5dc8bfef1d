//! One partition: who waits for room, and what sends.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::buffer::{Batch, Bounds, Buffer, Pushed, Size};
use super::outcomes::{Board, SendOutcome};
use super::receipt::{End, Receipt};
use crate::client::Submission;
use crate::dialect::event::EventData;
use crate::error::{Error, ErrorKind};
use crate::producer::ProducerClient;
use crate::runtime::{self, Timer};

/// What all lanes of a client share.
pub(super) struct Yard {
    pub(super) producer: ProducerClient,
    pub(super) board: Board,
    pub(super) permits: Permits,
    /// Batches of a lane that may be on their way.
    pub(super) per_lane: usize,
}

/// Batches that may be on their way in all.
pub(super) struct Permits {
    free: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// One partition.
pub(super) struct Lane {
    pub(super) partition: Arc<str>,
    state: Mutex<State>,
}

/// Whether a lane takes and sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// Takes nothing more, and sends what it has.
    Closing,
    /// Does neither.
    Aborted,
}

struct State {
    buffer: Buffer<Load>,
    stage: Stage,
    /// Those who wait for room, in their order.
    line: VecDeque<(u64, Waker)>,
    last_in_line: u64,
    /// Those who wait for a flush.
    flushing: Vec<Waker>,
    /// Whether there is a task that sends; its waker while it sleeps.
    is_running: bool,
    pump: Option<Waker>,
}

/// What belongs to a batch.
struct Load {
    end: Arc<End>,
    /// Kept for those who listen.
    events: Vec<EventData>,
}

/// Waits for room.
pub(super) struct Entering<'a> {
    lane: &'a Lane,
    encoded: &'a [u8],
    /// To be kept for those who listen.
    event: Option<EventData>,
    place: Option<u64>,
}

/// The task that sends a lane's batches.
struct Pump {
    yard: Arc<Yard>,
    lane: Arc<Lane>,
    /// Oldest first.
    flights: VecDeque<Flight>,
    timer: Timer,
}

struct Flight {
    submission: Submission,
    load: Load,
    size: Size,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Permits { free: AtomicUsize::new(count), waiting: Mutex::default() }
    }

    fn poll_take(&self, cx: &Context<'_>) -> bool {
        let take = || {
            let one_less = |free: usize| free.checked_sub(1);
            self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok()
        };
        if take() {
            return true;
        }
        {
            let mut waiting = lock(&self.waiting);
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
        }
        // One may have come back in between.
        take()
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::AcqRel);
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Lane {
    pub(super) fn new(partition: &str, bounds: Bounds) -> Arc<Self> {
        let state = State {
            buffer: Buffer::new(bounds),
            stage: Stage::Open,
            line: VecDeque::new(),
            last_in_line: 0,
            flushing: Vec::new(),
            is_running: false,
            pump: None,
        };
        Arc::new(Lane { partition: partition.into(), state: Mutex::new(state) })
    }

    /// Puts an encoded event into the buffer, as soon as there is room.
    pub(super) fn enter<'a>(&'a self, encoded: &'a [u8], event: Option<EventData>) -> Entering<'a> {
        Entering { lane: self, encoded, event, place: None }
    }

    /// Sees that somebody sends.
    pub(super) fn start(self: &Arc<Self>, yard: &Arc<Yard>) -> Result<(), Error> {
        if std::mem::replace(&mut lock(&self.state).is_running, true) {
            return Ok(());
        }
        let pump = Pump {
            yard: yard.clone(),
            lane: self.clone(),
            flights: VecDeque::new(),
            timer: Timer::default(),
        };
        runtime::spawn(pump)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).with_transient(false))
    }

    /// How many events are not acknowledged.
    pub(super) fn len(&self) -> usize {
        lock(&self.state).buffer.len()
    }

    /// What is said of a buffer that has no room.
    pub(super) fn fullness(&self) -> String {
        let state = lock(&self.state);
        let (events, bounds) = (state.buffer.len(), state.buffer.bounds());
        format!(
            "the buffer of partition '{}' is full: {events} events are not acknowledged yet, {} events or {} bytes may be",
            self.partition, bounds.events, bounds.bytes
        )
    }

    /// Has everything leave that is there. Ready when it has been decided about; false when it was given up.
    pub(super) async fn flush(&self) -> bool {
        let number = {
            let mut state = lock(&self.state);
            let number = state.buffer.flush();
            state.wake_pump();
            number
        };
        std::future::poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.stage == Stage::Aborted {
                return Poll::Ready(false);
            }
            if state.buffer.is_decided(number) {
                return Poll::Ready(true);
            }
            if !state.flushing.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.flushing.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Takes nothing more; what is aborted sends nothing more either.
    pub(super) fn close(&self, stage: Stage) {
        let (loads, woken) = {
            let mut state = lock(&self.state);
            state.stage = stage;
            let mut loads = Vec::new();
            let mut woken: Vec<Waker> = state.line.iter().map(|(_, waker)| waker.clone()).collect();
            if stage == Stage::Aborted {
                for Batch { tag, size, .. } in state.buffer.clear() {
                    state.buffer.decided(size);
                    loads.push(tag);
                }
                woken.append(&mut state.flushing);
            }
            woken.extend(state.pump.take());
            (loads, woken)
        };
        loads.into_iter().for_each(|load| load.end.comes(Err(closed())));
        woken.into_iter().for_each(Waker::wake);
    }

    /// Events that were given out are decided about.
    fn decided(&self, size: Size) {
        let woken = {
            let mut state = lock(&self.state);
            state.buffer.decided(size);
            let mut woken = std::mem::take(&mut state.flushing);
            woken.extend(state.line.front().map(|(_, waker)| waker.clone()));
            woken
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn wake_pump(&mut self) {
        self.pump.take().into_iter().for_each(Waker::wake);
    }
}

impl Future for Entering<'_> {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut guard = lock(&this.lane.state);
        let state = &mut *guard;
        if state.stage != Stage::Open {
            return Poll::Ready(Err(closed()));
        }
        let is_next = match (this.place, state.line.front()) {
            (Some(own), Some((first, _))) => own == *first,
            (_, first) => first.is_none(),
        };
        if is_next {
            let load = || Load { end: End::new(this.lane.partition.clone()), events: Vec::new() };
            let event = &mut this.event;
            let pushed = state.buffer.push(this.encoded, runtime::now(), load, |load| {
                load.events.extend(event.take());
                load.end.receipt()
            })?;
            match pushed {
                Pushed::Added { of_tag: receipt, is_news } => {
                    if this.place.take().is_some() {
                        state.line.pop_front();
                    }
                    // There may be room for the next one, too.
                    let next = state.line.front().map(|(_, waker)| waker.clone());
                    let pump = if is_news { state.pump.take() } else { None };
                    drop(guard);
                    next.into_iter().chain(pump).for_each(Waker::wake);
                    return Poll::Ready(Ok(receipt));
                }
                Pushed::TooLarge => {
                    let limit = state.buffer.bounds().batch;
                    let size = this.encoded.len() as u64;
                    return Poll::Ready(Err(crate::dialect::codec::too_large(size, limit)));
                }
                Pushed::NoRoom => {}
            }
        }
        let waker = cx.waker();
        match this.place {
            Some(place) => {
                if let Ok(place) = state.line.binary_search_by_key(&place, |(place, _)| *place) {
                    state.line[place].1.clone_from(waker);
                }
            }
            None => {
                state.last_in_line += 1;
                this.place = Some(state.last_in_line);
                state.line.push_back((state.last_in_line, waker.clone()));
            }
        }
        // What is there need not wait for others that have no room.
        state.wake_pump();
        Poll::Pending
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let next = {
            let mut state = lock(&self.lane.state);
            let Ok(place) = state.line.binary_search_by_key(&place, |(place, _)| *place) else { return };
            state.line.remove(place);
            state.line.front().filter(|_| place == 0).map(|(_, waker)| waker.clone())
        };
        next.into_iter().for_each(Waker::wake);
    }
}

impl Pump {
    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while let Some(flight) = self.flights.front_mut() {
                let Poll::Ready(result) = Pin::new(&mut flight.submission).poll(cx) else { break };
                if let Some(flight) = self.flights.pop_front() {
                    self.yard.permits.give_back();
                    self.settle(flight.load, flight.size, result);
                }
            }
            let batch = {
                let mut state = lock(&self.lane.state);
                match &mut state.pump {
                    Some(waker) => waker.clone_from(cx.waker()),
                    empty => *empty = Some(cx.waker().clone()),
                }
                if state.stage == Stage::Aborted {
                    return Poll::Ready(());
                }
                if state.stage == Stage::Closing && state.buffer.len() == 0 {
                    return Poll::Ready(());
                }
                if self.flights.len() >= self.yard.per_lane {
                    return Poll::Pending;
                }
                let (now, is_pressed) = (runtime::now(), !state.line.is_empty());
                if state.buffer.is_ready(now, is_pressed) && !self.yard.permits.poll_take(cx) {
                    return Poll::Pending;
                }
                state.buffer.take(now, is_pressed).ok_or_else(|| state.buffer.deadline())
            };
            match batch {
                Ok(Batch { inner, tag: load, size, .. }) => {
                    match self.yard.producer.hand_over(&self.lane.partition, inner) {
                        Ok(submission) => self.flights.push_back(Flight { submission, load, size }),
                        Err(error) => {
                            self.yard.permits.give_back();
                            self.settle(load, size, Err(error));
                        }
                    }
                }
                Err(Some(deadline)) if self.timer.poll_until(deadline, cx).is_ready() => {}
                Err(_) => return Poll::Pending,
            }
        }
    }

    /// Tells what became of a batch, then makes room.
    fn settle(&self, load: Load, size: Size, result: Result<(), Error>) {
        let error = result.as_ref().err().cloned();
        if let Some(error) = &error {
            tracing::warn!(partition = %self.lane.partition, events = size.events, %error, "events were not stored");
        }
        load.end.comes(result);
        if self.yard.board.has_listeners() {
            let partition_id = self.lane.partition.as_ref().to_owned();
            self.yard.board.tell(&SendOutcome { partition_id, events: load.events, error });
        }
        self.lane.decided(size);
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_once(cx)
    }
}

impl Drop for Pump {
    /// Also when the runtime is shut down under it: nobody is left waiting, and the next call starts another.
    fn drop(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            self.yard.permits.give_back();
            self.settle(flight.load, flight.size, Err(closed().with_outcome_unknown(true)));
        }
        let left = {
            let mut state = lock(&self.lane.state);
            state.is_running = false;
            state.pump = None;
            state.buffer.clear()
        };
        for Batch { tag: load, size, .. } in left {
            self.settle(
                load,
                size,
                Err(Error::new(ErrorKind::Closed, "the runtime was shut down that it sent with")),
            );
        }
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the buffered producer was closed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
