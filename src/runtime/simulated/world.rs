//! A world: one thread, a clock that jumps, tasks in an order that the seed decides.
//!
//! While a [`World`] lives, its thread is inside it. Time passes a little with each poll of a task, and leaps to the
//! next event when no task has anything to do, so hours cost nothing. Nothing in here asks the machine for anything:
//! what happens is a function of the seed and the program. Each thing that happens goes into a running [`digest`],
//! by which two runs are compared.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::network::Network;
pub use super::network::{
    Conditions, ConnectionNumber, Notice, Split, blackhole, connections, cut, set_conditions, stall,
};
pub(crate) use super::network::{End, Listener, dial};
pub use super::random::Random;
use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// The calendar at the beginning, before the seed's share: 2026-01-01.
const EPOCH_MILLIS: u64 = 1_767_225_600_000;
/// The monotonic clock at the beginning: not its origin, so that "an hour ago" exists.
const BEGINNING: u64 = 10_000 * 1_000_000_000;
/// What a poll takes, at most, in nanoseconds: time never stands still, even for a program that never waits.
const POLL_NANOS: u64 = 4_000;

thread_local! {
    static WORLD: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// The world that this thread is in.
#[derive(Debug)]
pub struct World {
    /// Worlds do not leave their thread.
    _here: std::marker::PhantomData<Rc<()>>,
}

/// Why a run did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// No task has anything to do, and no event will change that.
    Deadlock,
    /// The virtual time is up.
    Timeout,
    /// The tasks were polled so often that they do nothing but wake each other.
    Livelock,
}

/// What is left in a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// The names of tasks that have not ended.
    pub tasks: Vec<&'static str>,
    /// Timers that wait.
    pub timers: usize,
    /// Sockets that have not been dropped.
    pub sockets: usize,
    /// Tasks that have ended and whose wakers somebody still holds.
    pub wakers: usize,
}

/// Everything there is in a world.
pub(super) struct State {
    /// Nanoseconds since the monotonic clock's origin.
    pub(super) now: u64,
    unix_at_origin: u64,
    scheduler: Random,
    is_fair: bool,
    bytes: Random,
    tasks: Vec<Slot>,
    free: Vec<u32>,
    ready: Arc<Ready>,
    /// Wakers of tasks that ended.
    ended: Vec<Weak<TaskWaker>>,
    events: BTreeMap<(u64, u64), Due>,
    last_event: u64,
    pub(super) network: Network,
    digest: u64,
    is_traced: bool,
    polls: u64,
}

/// What happens at a moment.
pub(super) enum Due {
    /// A timer goes off.
    Wake(Waker),
    /// Something arrives at one end of a connection.
    Arrives(ConnectionNumber, usize),
    /// One end of a connection learns that it is broken.
    Breaks(ConnectionNumber, usize),
}

struct Slot {
    name: &'static str,
    generation: u32,
    /// How often it was polled.
    polls: u64,
    /// `None` while it is polled, and in a free slot.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Option<Arc<TaskWaker>>,
}

#[derive(Default)]
struct Ready(Mutex<VecDeque<(u32, u32)>>);

struct TaskWaker {
    index: u32,
    generation: u32,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl World {
    /// Makes a world and enters it. With `is_traced`, it prints what happens.
    ///
    /// # Panics
    /// When this thread is in a world already.
    pub fn enter(seed: u64, is_traced: bool) -> Self {
        let root = Random::new(seed);
        let mut about = root.fork(1);
        let state = State {
            now: BEGINNING,
            unix_at_origin: EPOCH_MILLIS + about.below(365 * 86_400_000) - BEGINNING / 1_000_000,
            scheduler: root.fork(2),
            // Some in the order in which they were woken, as a real runtime would; most at random.
            is_fair: about.chance(20),
            bytes: root.fork(3),
            tasks: Vec::new(),
            free: Vec::new(),
            ready: Arc::default(),
            ended: Vec::new(),
            events: BTreeMap::new(),
            last_event: 0,
            network: Network::new(root.fork(4)),
            digest: seed,
            is_traced,
            polls: 0,
        };
        WORLD.with_borrow_mut(|world| {
            assert!(world.is_none(), "this thread is in a world already");
            *world = Some(state);
        });
        World { _here: std::marker::PhantomData }
    }

    /// Runs `main` to its end, and whatever it starts meanwhile, for `limit` of virtual time.
    ///
    /// # Errors
    /// When it does not end.
    pub fn run<T: 'static>(
        &mut self,
        limit: Duration,
        main: impl Future<Output = T> + 'static,
    ) -> Result<T, Stuck> {
        let result = Rc::new(RefCell::new(None));
        let place = result.clone();
        spawn("main", Box::pin(async move { *place.borrow_mut() = Some(main.await) }));
        self.drive(limit, || result.borrow().is_some())?;
        result.take().ok_or(Stuck::Deadlock)
    }

    /// Goes on until nothing is left to happen, for `limit` of virtual time; what is left then.
    pub fn wind_down(&mut self, limit: Duration) -> Leftovers {
        let _ = self.drive(limit, || false);
        leftovers()
    }

    fn drive(&mut self, limit: Duration, is_done: impl Fn() -> bool) -> Result<(), Stuck> {
        /// Far more than any honest run needs.
        const MOST_POLLS: u64 = 20_000_000;
        let (end, most) =
            with(|state| (state.now.saturating_add(limit.as_nanos() as u64), state.polls + MOST_POLLS))
                .unwrap_or_default();
        while !is_done() {
            let (wakers, task, is_over) = with(|state| state.next(end, most)).unwrap_or_default();
            wakers.into_iter().for_each(Waker::wake);
            match (task, is_over) {
                (_, Some(stuck)) => return Err(stuck),
                (Some(task), None) => poll(task),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks leave while the world is still there, as they touch it when they are dropped.
        with(|state| state.free.clear());
        while let Some(task) = with(|state| state.tasks.pop()).flatten() {
            drop(task);
        }
        drop(WORLD.with_borrow_mut(Option::take));
    }
}

/// A task that was taken out to be polled.
struct Polled {
    index: u32,
    generation: u32,
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<TaskWaker>,
}

fn poll(mut task: Polled) {
    let waker = Waker::from(task.waker.clone());
    let poll = task.future.as_mut().poll(&mut Context::from_waker(&waker));
    drop(waker);
    if poll.is_pending() {
        with(|state| {
            let slot = &mut state.tasks[task.index as usize];
            slot.future = Some(task.future);
            slot.waker = Some(task.waker);
        });
        return;
    }
    // Outside of the world's borrow: what it owns may be sockets and timers.
    drop(task.future);
    with(|state| {
        let slot = &mut state.tasks[task.index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let name = slot.name;
        state.free.push(task.index);
        if state.ended.len() > 64 {
            state.ended.retain(|waker| waker.strong_count() > 0);
        }
        state.ended.push(Arc::downgrade(&task.waker));
        state.note("ends", task.generation.into(), task.index.into(), || name);
    });
}

impl State {
    /// What is next: wakers to call, a task to poll, or why there is neither.
    fn next(&mut self, end: u64, most: u64) -> (Vec<Waker>, Option<Polled>, Option<Stuck>) {
        let mut wakers = Vec::new();
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Due::Wake(waker) => wakers.push(waker),
                Due::Arrives(connection, side) => wakers.extend(self.network.arrives(connection, side)),
                Due::Breaks(connection, side) => {
                    self.note("breaks", connection.0, side as u64, || "");
                    wakers.extend(self.network.breaks(connection, side));
                }
            }
        }
        if !wakers.is_empty() {
            return (wakers, None, None);
        }
        if self.now > end {
            return (wakers, None, Some(Stuck::Timeout));
        }
        if self.polls > most {
            let busiest = self.tasks.iter().enumerate().max_by_key(|(_, slot)| slot.polls);
            let busiest = busiest.map_or((0, 0, ""), |(index, slot)| (index as u64, slot.polls, slot.name));
            self.note("spins", busiest.1, busiest.0, || busiest.2);
            return (wakers, None, Some(Stuck::Livelock));
        }
        match self.take_ready() {
            Some(task) => (wakers, Some(task), None),
            None => match self.events.first_key_value() {
                Some(((at, _), _)) => {
                    self.now = *at;
                    (wakers, None, None)
                }
                None => (wakers, None, Some(Stuck::Deadlock)),
            },
        }
    }

    fn take_ready(&mut self) -> Option<Polled> {
        loop {
            let (index, generation) = {
                let mut ready = self.ready.queue();
                match ready.len() {
                    0 => return None,
                    len if len == 1 || self.is_fair => ready.pop_front()?,
                    len => ready.swap_remove_back(self.scheduler.below(len as u64) as usize)?,
                }
            };
            let slot = &mut self.tasks[index as usize];
            if slot.generation != generation {
                continue;
            }
            let (Some(future), Some(waker)) = (slot.future.take(), slot.waker.take()) else { continue };
            slot.polls += 1;
            waker.is_queued.store(false, Ordering::Relaxed);
            self.polls += 1;
            self.now += 1 + self.scheduler.below(POLL_NANOS);
            self.mix(self.now ^ u64::from(index) << 48);
            return Some(Polled { index, generation, future, waker });
        }
    }

    /// Plans an event; its key.
    pub(super) fn plan(&mut self, at: u64, due: Due) -> (u64, u64) {
        self.last_event += 1;
        let key = (at, self.last_event);
        self.events.insert(key, due);
        key
    }

    /// Notes that something happened.
    pub(super) fn note<T: Display>(&mut self, what: &'static str, a: u64, b: u64, more: impl FnOnce() -> T) {
        self.mix(what.len() as u64 ^ a << 8);
        self.mix(self.now ^ b << 40);
        if self.is_traced {
            let seconds = (self.now - BEGINNING) as f64 / 1e9;
            println!("{seconds:14.6} {what} {a} {b} {}", more());
        }
    }

    pub(super) fn mix(&mut self, word: u64) {
        let mixed = (self.digest ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.digest = mixed ^ mixed >> 32;
    }
}

impl Ready {
    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<(u32, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.ready.queue().push_back((self.index, self.generation));
        }
    }
}

/// Wakes its task at a moment that may change all the time.
#[derive(Debug, Default)]
pub struct Timer {
    armed: Option<(u64, u64)>,
}

impl Timer {
    /// Ready when `deadline` has passed.
    pub fn poll_until(&mut self, deadline: Moment, cx: &mut Context<'_>) -> Poll<()> {
        let at = deadline.since_origin().as_nanos() as u64;
        let armed = with(|state| {
            if let Some(key) = self.armed
                && key.0 == at
                && let Some(Due::Wake(waker)) = state.events.get_mut(&key)
            {
                waker.clone_from(cx.waker());
                return Some(key);
            }
            if let Some(key) = self.armed {
                state.events.remove(&key);
            }
            (state.now < at).then(|| state.plan(at, Due::Wake(cx.waker().clone())))
        });
        self.armed = armed.flatten();
        if self.armed.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.armed {
            with(|state| state.events.remove(&key));
        }
    }
}

/// Whether this thread is in a world.
pub(crate) fn is_here() -> bool {
    WORLD.with(|world| world.try_borrow().map_or(true, |world| world.is_some()))
}

/// The world's monotonic clock.
pub(crate) fn now() -> Option<Moment> {
    with(|state| Moment::from_nanos(state.now))
}

/// The world's calendar.
pub(crate) fn unix_now() -> Option<Timestamp> {
    with(|state| Timestamp::from_millis((state.unix_at_origin + state.now / 1_000_000) as i64))
}

/// Bytes that the seed predicts.
pub(crate) fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    with(|state| {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            let word = state.bytes.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        bytes
    })
}

/// Starts a task. Outside of a world it is dropped.
pub(crate) fn spawn(name: &'static str, future: Pin<Box<dyn Future<Output = ()>>>) {
    let waker = with(|state| {
        let index = state.free.pop().unwrap_or_else(|| {
            state.tasks.push(Slot { name, generation: 0, polls: 0, future: None, waker: None });
            (state.tasks.len() - 1) as u32
        });
        let ready = state.ready.clone();
        let slot = &mut state.tasks[index as usize];
        let generation = slot.generation;
        let waker = Arc::new(TaskWaker { index, generation, is_queued: AtomicBool::new(false), ready });
        slot.name = name;
        slot.polls = 0;
        slot.future = Some(future);
        slot.waker = Some(waker.clone());
        state.note("starts", generation.into(), index.into(), || name);
        waker
    });
    waker.into_iter().for_each(Wake::wake);
}

/// What is left in the world.
pub fn leftovers() -> Leftovers {
    with(|state| Leftovers {
        tasks: state.tasks.iter().filter(|slot| slot.future.is_some()).map(|slot| slot.name).collect(),
        timers: state.events.values().filter(|due| matches!(due, Due::Wake(_))).count(),
        sockets: state.network.sockets(),
        wakers: state.ended.iter().filter(|waker| waker.strong_count() > 0).count(),
    })
    .unwrap_or_default()
}

/// One number for everything that has happened so far.
pub fn digest() -> u64 {
    with(|state| state.digest).unwrap_or_default()
}

/// How often tasks were polled so far.
pub fn polls() -> u64 {
    with(|state| state.polls).unwrap_or_default()
}

/// Notes something that happened, for the trace and the digest.
pub fn note<T: Display>(what: &'static str, a: u64, b: u64, more: impl FnOnce() -> T) {
    with(|state| state.note(what, a, b, more));
}

/// Does something with the world, when there is one. Not to be nested.
pub(super) fn with<T>(act: impl FnOnce(&mut State) -> T) -> Option<T> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(act))
}
