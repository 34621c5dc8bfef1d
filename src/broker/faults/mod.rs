//! What goes wrong on purpose.
//!
//! A [`Fault`] says what, where and when. [`Faults`] holds those that are set; each lives as long as its
//! [`FaultGuard`]. Connections ask at every place where something could go wrong, and while nothing is set that is
//! one look at one flag.
//!
//! Nothing here reads a clock or rolls real dice: the time is passed in, and the dice of a fault begin at its seed.
//! The same calls have the same outcome, so that a simulation can play them again.
//!
//! ```
//! use eventhubs::broker::faults::Fault;
//! use eventhubs::broker::{HubConfig, Namespace, NamespaceConfig, Now};
//! # use eventhubs::Timestamp;
//! # use eventhubs::model::moment::Moment;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Now { moment: Moment::ORIGIN, unix: Timestamp::from_millis(1_767_225_600_000) };
//! let config = NamespaceConfig { hubs: vec![HubConfig::new("orders", 4)], ..NamespaceConfig::default() };
//! let namespace = Namespace::new(config, now)?;
//! let guard = namespace.faults().inject(Fault::lose_ack().on_entity("orders").once(), now)?;
//! // … clients publish …
//! assert_eq!(guard.hits(), 0);
//! drop(guard); // All is well again.
//! # Ok(())
//! # }
//! ```

mod build;
mod dice;
mod fault;
mod fields;
mod guard;
mod pipe;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use fault::{Direction, Fault, FaultKind, FaultScope, FaultTiming, LinkRole, On, Reason};
pub use fields::FieldValue;
pub use guard::{FaultGuard, UntilHit};
pub use pipe::{Pipe, Weather};

pub(super) use self::dice::Dice;
use self::guard::Hits;
use super::Now;
use super::sync::lock;
use crate::model::moment::Moment;
use crate::model::value::Timestamp;

/// Faults at one time. Each is looked at on every occasion.
const MOST_FAULTS: usize = 64;

/// The faults of a namespace. Clones are handles to the same ones.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Whether there is anything to look at.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Numbers faults and connections in the order in which they came.
    last: u64,
    set: Vec<Entry>,
    watchers: Vec<Arc<Watcher>>,
    /// What is to be done at a time, earliest first.
    errands: Vec<Errand>,
    /// Until when the service is down.
    down: Option<Moment>,
}

/// Hears that the faults have changed, and when if somebody knows; says whether it is still there.
type Watcher = dyn Fn(Option<Now>) -> bool + Send + Sync;

/// One fault that is set.
struct Entry {
    id: u64,
    fault: Fault,
    on: On,
    starts: Moment,
    ends: Option<Moment>,
    /// Occasions that passed unharmed because of `after`.
    passed: u64,
    dice: Dice,
    hits: Arc<Hits>,
}

/// Something that was put off.
struct Errand {
    at: Moment,
    run: Box<dyn FnOnce(Moment) + Send>,
}

/// A fault that is set, as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultInfo {
    /// Which one it is.
    pub id: u64,
    /// What it is.
    pub fault: Fault,
    /// How often it has struck.
    pub hits: u64,
}

/// What is wrong with a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(pub String);

/// A connection's place in the order of things.
#[derive(Clone, Copy)]
pub(super) struct Birth {
    number: u64,
    moment: Moment,
}

/// A fault that a connection has to apply to what it has.
pub(super) struct Due {
    pub(super) id: u64,
    pub(super) kind: FaultKind,
    pub(super) scope: FaultScope,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn new() -> Self {
        Faults::default()
    }

    /// Sets a fault, for as long as the guard lives.
    ///
    /// # Errors
    /// When it means nothing, and why; or when too many are set.
    pub fn inject(&self, fault: Fault, now: Now) -> Result<FaultGuard, FaultError> {
        fault.check()?;
        let (id, hits) = {
            let mut state = lock(&self.shared.state);
            if state.set.len() >= MOST_FAULTS {
                let text = format!("{MOST_FAULTS} faults are set, more are not allowed: end some first");
                return Err(FaultError(text));
            }
            state.last += 1;
            let id = state.last;
            let starts = now.moment + fault.timing.wait;
            let hits = Arc::new(Hits::default());
            state.set.push(Entry {
                id,
                on: fault.occasion(),
                starts,
                ends: fault.timing.lasting.map(|time| starts + time),
                passed: 0,
                dice: Dice::new(fault.timing.seed),
                hits: hits.clone(),
                fault,
            });
            self.shared.any.store(true, Ordering::Release);
            (id, hits)
        };
        self.tell(Some(now));
        Ok(FaultGuard::new(self.clone(), id, hits))
    }

    /// Ends a fault; whether there was one.
    pub fn end(&self, id: u64) -> bool {
        self.remove(|entry| entry.id == id) > 0
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.remove(|_| true);
    }

    /// All faults that are set, oldest first.
    pub fn list(&self) -> Vec<FaultInfo> {
        let info = |e: &Entry| FaultInfo { id: e.id, fault: e.fault.clone(), hits: e.hits.count() };
        lock(&self.shared.state).set.iter().map(info).collect()
    }

    /// One fault that is set.
    pub fn get(&self, id: u64) -> Option<FaultInfo> {
        self.list().into_iter().find(|info| info.id == id)
    }

    /// Whether anything may go wrong. This is all that is asked while nothing does.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.shared.any.load(Ordering::Relaxed)
    }

    /// Calls `watcher` after every change, until it says that it is gone.
    pub(super) fn watch(&self, watcher: impl Fn(Option<Now>) -> bool + Send + Sync + 'static) {
        lock(&self.shared.state).watchers.push(Arc::new(watcher));
    }

    /// A new connection's place in the order of things.
    pub(super) fn born(&self, now: Now) -> Birth {
        let mut state = lock(&self.shared.state);
        state.last += 1;
        Birth { number: state.last, moment: now.moment }
    }

    /// The first fault that strikes on this occasion, and that `concerns`.
    pub(super) fn strike(
        &self,
        on: On,
        now: Now,
        mut concerns: impl FnMut(&FaultKind, &FaultScope) -> bool,
    ) -> Option<FaultKind> {
        // One copy of what follows is enough: a page is sent it.
        self.strike_one(on, now, &mut concerns)
    }

    fn strike_one(
        &self,
        on: On,
        now: Now,
        concerns: &mut dyn FnMut(&FaultKind, &FaultScope) -> bool,
    ) -> Option<FaultKind> {
        let mut state = lock(&self.shared.state);
        let mut live = state.set.iter_mut().filter(|entry| entry.on == on && entry.is_on(now.moment));
        let entry = live.find_map(|e| (concerns(&e.fault.kind, &e.fault.scope) && e.rolls()).then_some(e))?;
        let (kind, hits) = (entry.fault.kind.clone(), entry.hits.clone());
        hits.note();
        drop(state);
        hits.wake();
        Some(kind)
    }

    /// Whether a fault that holds for as long as it lives is on, without counting.
    pub(super) fn holds<T>(
        &self,
        now: Now,
        mut concerns: impl FnMut(&FaultKind, &FaultScope) -> Option<T>,
    ) -> Option<T> {
        let state = lock(&self.shared.state);
        let mut live = state.set.iter().filter(|entry| entry.is_on(now.moment) && !entry.is_spent());
        live.find_map(|entry| concerns(&entry.fault.kind, &entry.fault.scope))
    }

    /// The faults that strike what is there when they start, and that the connection born then has not applied.
    pub(super) fn due(&self, birth: Birth, applied: &mut Vec<u64>, now: Now) -> Vec<Due> {
        let state = lock(&self.shared.state);
        applied.retain(|id| state.set.iter().any(|entry| entry.id == *id));
        let mut due = Vec::new();
        for entry in state.set.iter().filter(|entry| entry.on == On::Now && entry.is_on(now.moment)) {
            let was_there = match entry.fault.timing.wait.is_zero() {
                true => birth.number < entry.id,
                false => birth.moment <= entry.starts,
            };
            let is_new = was_there && !applied.contains(&entry.id);
            if is_new && !matches!(entry.fault.kind, FaultKind::Restart { .. }) {
                applied.push(entry.id);
                let (kind, scope) = (entry.fault.kind.clone(), entry.fault.scope.clone());
                due.push(Due { id: entry.id, kind, scope });
            }
        }
        due
    }

    /// Whether a fault strikes one of the things that it is applied to.
    pub(super) fn hit(&self, id: u64) -> bool {
        let mut state = lock(&self.shared.state);
        let Some(entry) = state.set.iter_mut().find(|entry| entry.id == id) else { return false };
        if !entry.rolls() {
            return false;
        }
        let hits = entry.hits.clone();
        hits.note();
        drop(state);
        hits.wake();
        true
    }

    /// A restart that is to happen now: whether data is lost, and for how long the service is down.
    pub(super) fn due_restart(&self, now: Now) -> Option<(bool, Duration)> {
        let mut state = lock(&self.shared.state);
        let is_due = |e: &&mut Entry| e.on == On::Now && e.is_on(now.moment) && e.hits.count() == 0;
        let (loses_data, down, hits) =
            state.set.iter_mut().filter(is_due).find_map(|e| match e.fault.kind {
                FaultKind::Restart { loses_data, down } => Some((loses_data, down, e.hits.clone())),
                _ => None,
            })?;
        hits.note();
        drop(state);
        hits.wake();
        Some((loses_data, down))
    }

    /// The service is down for so long.
    pub(super) fn set_down(&self, time: Duration, now: Now) {
        if !time.is_zero() {
            lock(&self.shared.state).down = Some(now.moment + time);
            self.shared.any.store(true, Ordering::Release);
        }
    }

    /// Whether the service is down.
    pub(super) fn is_down(&self, now: Now) -> bool {
        let mut state = lock(&self.shared.state);
        let is_down = state.down.is_some_and(|until| now.moment < until);
        if !is_down && state.down.take().is_some() {
            self.refresh(&state);
        }
        is_down
    }

    /// Has `run` called at a time, by whoever looks first from then on.
    pub(super) fn put_off(&self, at: Moment, run: impl FnOnce(Moment) + Send + 'static) {
        let mut state = lock(&self.shared.state);
        let index = state.errands.partition_point(|errand| errand.at <= at);
        state.errands.insert(index, Errand { at, run: Box::new(run) });
        self.shared.any.store(true, Ordering::Release);
    }

    /// Does what was put off until now; everything, when the disk is no longer slow.
    pub(super) fn run_errands(&self, now: Now) {
        loop {
            let mut state = lock(&self.shared.state);
            let is_slow = state
                .set
                .iter()
                .any(|e| matches!(e.fault.kind, FaultKind::SlowDisk { .. }) && e.is_on(now.moment));
            if state.errands.first().is_none_or(|errand| is_slow && errand.at > now.moment) {
                return;
            }
            let errand = state.errands.remove(0);
            self.refresh(&state);
            drop(state);
            (errand.run)(now.moment.max(errand.at));
        }
    }

    /// When something that was put off is due.
    pub(super) fn next_errand(&self) -> Option<Moment> {
        lock(&self.shared.state).errands.first().map(|errand| errand.at)
    }

    /// When the next fault starts or ends.
    pub(super) fn next_change(&self, now: Now) -> Option<Moment> {
        let state = lock(&self.shared.state);
        let bounds = state.set.iter().flat_map(|entry| [Some(entry.starts), entry.ends]).flatten();
        bounds.filter(|moment| *moment > now.moment).min()
    }

    /// What the service takes for the time when it talks to this client.
    pub(super) fn skewed(&self, now: Now, client: &str) -> Now {
        let millis = self.holds(now, |kind, scope| match kind {
            FaultKind::SkewClock { millis } if scope.is_client(client) => Some(*millis),
            _ => None,
        });
        match millis {
            Some(millis) => {
                Now { unix: Timestamp::from_millis(now.unix.as_millis().saturating_add(millis)), ..now }
            }
            None => now,
        }
    }

    fn remove(&self, which: impl Fn(&Entry) -> bool) -> usize {
        let mut state = lock(&self.shared.state);
        let before = state.set.len();
        let mut ended = Vec::new();
        state.set.retain(|entry| {
            let stays = !which(entry);
            if !stays {
                ended.push(entry.hits.clone());
            }
            stays
        });
        let removed = before - state.set.len();
        self.refresh(&state);
        drop(state);
        ended.iter().for_each(|hits| hits.end());
        if removed > 0 {
            self.tell(None);
        }
        removed
    }

    fn refresh(&self, state: &State) {
        let any = !state.set.is_empty() || !state.errands.is_empty() || state.down.is_some();
        self.shared.any.store(any, Ordering::Release);
    }

    fn tell(&self, now: Option<Now>) {
        let watchers = lock(&self.shared.state).watchers.clone();
        let gone: Vec<_> = watchers.into_iter().filter(|watcher| !watcher(now)).collect();
        if !gone.is_empty() {
            let is_there = |w: &Arc<Watcher>| !gone.iter().any(|gone| Arc::ptr_eq(gone, w));
            lock(&self.shared.state).watchers.retain(is_there);
        }
    }
}

impl Entry {
    fn is_on(&self, now: Moment) -> bool {
        self.starts <= now && self.ends.is_none_or(|end| now < end)
    }

    fn is_spent(&self) -> bool {
        self.fault.timing.times.is_some_and(|times| self.hits.count() >= times)
    }

    /// Whether it strikes on an occasion that concerns it.
    fn rolls(&mut self) -> bool {
        if self.is_spent() {
            return false;
        }
        if self.passed < self.fault.timing.after {
            self.passed += 1;
            return false;
        }
        self.fault.timing.probability.is_none_or(|probability| self.dice.fraction() < probability)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("set", &lock(&self.shared.state).set.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}
