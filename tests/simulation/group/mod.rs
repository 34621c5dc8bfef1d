//! One simulated life of a large group of processors: members that start, die, sleep and are cut off from the store.
//!
//! The members are the processor's own task and leases in virtual time; what reads is a task that holds its partitions and
//! nothing else, since a hundred whole clients on a thousand partitions are too many. Whole clients live in `scenario`, and in
//! `tests/processor`.

mod ledger;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use eventhubs::checkpoint::{ConsumerGroup, MemoryStore};
use eventhubs::processor::{ProcessorStatus, Strategy};
use eventhubs::simulation::{BareMember, BarePartition, Random, Timer, World, digest, now, sleep, spawn};
use futures::stream::{FuturesUnordered, StreamExt};

pub use ledger::GroupFigures;
use ledger::{Ledger, name_of};
use store::{Claims, Line};

pub const INTERVAL: Duration = Duration::from_secs(10);
pub const EXPIRY: Duration = Duration::from_secs(60);
/// How often a member does something about a partition.
const WORK: Duration = Duration::from_secs(1);
/// How long a member sleeps or is cut off at the longest, in milliseconds: long enough to lose everything.
const LONGEST_GUST: u64 = 90_000;

/// How large a group is, and how long its members come and go.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub members: u64,
    pub partitions: u64,
    pub weather: Duration,
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct GroupOutcome {
    pub wrong: Vec<String>,
    pub figures: GroupFigures,
    pub digest: u64,
}

/// A member as the world treats it.
struct Actor {
    member: BareMember,
    switch: Rc<Switch>,
    line: Line,
}

/// Lets what is behind it run, or not.
#[derive(Default)]
struct Switch {
    is_dead: Cell<bool>,
    is_asleep: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

/// Lives through a seed.
pub fn run(seed: u64, size: Size, is_traced: bool) -> GroupOutcome {
    let mut world = World::enter(seed, is_traced);
    let claims = Claims::default();
    let ledger = Rc::new(RefCell::new(Ledger::new(size.partitions, claims.clone())));
    let own = ledger.clone();
    // What every member may need until it comes to rest, several times.
    let limit = size.weather + EXPIRY * 20;
    let lived = world.run(limit, async move { live(seed, size, own, claims).await });
    let digest = digest();
    drop(world);
    let mut ledger = ledger.borrow_mut();
    if let Err(stuck) = lived {
        ledger.wrong(format!("it did not end: {stuck:?}"));
    }
    GroupOutcome { wrong: ledger.take_wrong(), figures: ledger.figures.clone(), digest }
}

async fn live(seed: u64, size: Size, ledger: Rc<RefCell<Ledger>>, claims: Claims) {
    let mut random = Random::new(seed).fork(77);
    let strategy = if random.chance(50) { Strategy::Balanced } else { Strategy::Greedy };
    let ids: Arc<[String]> = (0..size.partitions).map(|id| id.to_string()).collect();
    let store = MemoryStore::new();
    let mut names = 0;
    let mut actors: BTreeMap<u64, Actor> = BTreeMap::new();
    let mut start = |random: &mut Random, actors: &mut BTreeMap<u64, Actor>| {
        let name = names;
        names += 1;
        let line = Line::new(store.clone(), claims.clone(), random.fork(1_000 + name));
        let group = ConsumerGroup { namespace: "n".into(), event_hub: "h".into(), name: "g".into() };
        let (member, task) =
            BareMember::new(name_of(name), ids.clone(), line.clone(), group, strategy, INTERVAL, EXPIRY);
        let switch = Rc::new(Switch::default());
        drop(spawn("watch", watch(member.clone(), ledger.clone())));
        drop(spawn("member", behind(switch.clone(), task)));
        drop(spawn(
            "work",
            behind(switch.clone(), work(name, member.clone(), switch.clone(), ledger.clone())),
        ));
        actors.insert(name, Actor { member, switch, line });
    };
    // All within a few rounds, as when a service is deployed.
    for _ in 0..size.members {
        start(&mut random, &mut actors);
        sleep(Duration::from_millis(random.below(300))).await;
    }
    until_settled(&ledger, &actors, size, "in the beginning").await;
    ledger.borrow_mut().begin();
    let end = now() + size.weather;
    while now() < end {
        sleep(Duration::from_millis(random.between(200, 8_000))).await;
        let living: Vec<u64> = actors.keys().copied().collect();
        let who = *random.pick(&living);
        match random.below(10) {
            // A member dies without a word, and another is started in its place, sooner or later.
            0..=2 if living.len() as u64 > size.members / 2 => {
                let actor = actors.remove(&who).unwrap_or_else(|| unreachable!());
                actor.switch.kill();
                ledger.borrow_mut().gone(who);
                ledger.borrow_mut().figures.killed += 1;
            }
            3 if living.len() as u64 > size.members / 2 => {
                let actor = actors.remove(&who).unwrap_or_else(|| unreachable!());
                actor.member.stop();
                ledger.borrow_mut().figures.stopped += 1;
            }
            4..=6 if (living.len() as u64) < size.members * 5 / 4 => {
                start(&mut random, &mut actors);
                ledger.borrow_mut().joined(actors.len() as u64);
            }
            7 => {
                let pause = Duration::from_millis(random.between(500, LONGEST_GUST));
                let (switch, own) = (actors[&who].switch.clone(), ledger.clone());
                if !switch.is_asleep.replace(true) {
                    own.borrow_mut().asleep(who);
                    own.borrow_mut().figures.paused += 1;
                    let members = actors.len() as u64;
                    drop(spawn("pause", async move {
                        sleep(pause).await;
                        own.borrow_mut().awake(who);
                        if pause + INTERVAL > EXPIRY {
                            own.borrow_mut().needs_share(members);
                        }
                        switch.wake();
                    }));
                }
            }
            8 => {
                let pause = Duration::from_millis(random.between(500, LONGEST_GUST));
                let line = actors[&who].line.clone();
                if line.cut() {
                    ledger.borrow_mut().figures.cut += 1;
                    let (own, members) = (ledger.clone(), actors.len() as u64);
                    drop(spawn("cut", async move {
                        sleep(pause).await;
                        line.mend();
                        if pause + INTERVAL > EXPIRY {
                            own.borrow_mut().needs_share(members);
                        }
                    }));
                }
            }
            _ => {}
        }
    }
    // The sky clears.
    sleep(Duration::from_millis(LONGEST_GUST)).await;
    until_settled(&ledger, &actors, size, "after the weather").await;
    let moves = ledger.borrow().figures.moves;
    sleep(INTERVAL * 6).await;
    let more = ledger.borrow().figures.moves - moves;
    if more > 0 {
        ledger.borrow_mut().wrong(format!("{more} partitions moved although all had their share"));
    }
    let needed = ledger.borrow().figures.needed;
    // Who is asleep or cut off counts as one who needs a share until it has expired, and left-overs are taken for it.
    if moves > needed * 3 / 2 + size.partitions / 8 {
        ledger.borrow_mut().wrong(format!("{moves} partitions moved where {needed} would have done"));
    }
    ledger.borrow_mut().end();
    for actor in actors.values() {
        actor.member.stop();
    }
    sleep(INTERVAL).await;
    if ledger.borrow().working() > 0 {
        ledger.borrow_mut().wrong("somebody works on after everybody stopped".into());
    }
}

/// Waits until every partition is worked on by exactly one, and all by fair shares.
async fn until_settled(ledger: &Rc<RefCell<Ledger>>, actors: &BTreeMap<u64, Actor>, size: Size, when: &str) {
    let begin = now();
    // A newcomer takes one partition a round; a crowd of them all at the same time.
    let share = size.partitions / actors.len() as u64 + 1;
    let limit = EXPIRY * 2 + INTERVAL * (2 * share as u32 + 6);
    loop {
        let state = ledger.borrow().state(actors.keys().copied());
        match state {
            Ok(()) => break,
            Err(why) if now() - begin > limit => {
                ledger.borrow_mut().wrong(format!("{when} they do not come to rest within {limit:?}: {why}"));
                return;
            }
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
    let took = now() - begin;
    let mut ledger = ledger.borrow_mut();
    ledger.figures.slowest_rest = ledger.figures.slowest_rest.max(took);
}

/// Counts moves.
async fn watch(member: BareMember, ledger: Rc<RefCell<Ledger>>) {
    let mut statuses = member.status();
    drop(member);
    while let Some(status) = statuses.next().await {
        if let ProcessorStatus::Claimed { from: Some(_), .. } = status {
            ledger.borrow_mut().figures.moves += 1;
        }
    }
}

/// Works on what the member owns: each second something is done about every partition that may be worked on then.
async fn work(name: u64, member: BareMember, switch: Rc<Switch>, ledger: Rc<RefCell<Ledger>>) {
    let mut held = FuturesUnordered::new();
    let open: Rc<RefCell<BTreeMap<String, Rc<BarePartition>>>> = Rc::default();
    let (mut timer, mut due) = (Timer::default(), now());
    loop {
        let mut next = pin!(member.next());
        let granted = poll_fn(|cx| {
            while timer.poll_until(due, cx).is_ready() {
                due = now() + WORK;
                for partition in open.borrow().values().filter(|partition| partition.is_open()) {
                    ledger.borrow_mut().works(name, partition.id());
                }
            }
            while let Poll::Ready(Some(())) = held.poll_next_unpin(cx) {}
            next.as_mut().poll(cx)
        })
        .await;
        let Some(partition) = granted else { break };
        if !partition.is_open() {
            continue;
        }
        let (own, open, partition) = (ledger.clone(), open.clone(), Rc::new(partition));
        own.borrow_mut().begins(name, partition.id());
        open.borrow_mut().insert(partition.id().to_owned(), partition.clone());
        held.push(async move {
            partition.closed().await;
            own.borrow_mut().ends(name, partition.id());
            open.borrow_mut().remove(partition.id());
        });
    }
    while held.next().await.is_some() {}
    let _ = switch;
}

/// Runs a task while its switch lets it.
async fn behind(switch: Rc<Switch>, task: impl Future<Output = ()>) {
    let mut task: Option<Pin<Box<dyn Future<Output = ()>>>> = Some(Box::pin(task));
    poll_fn(|cx| {
        if switch.is_dead.get() {
            // Dropped where it stands.
            task = None;
            return Poll::Ready(());
        }
        let mut wakers = switch.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        drop(wakers);
        if switch.is_asleep.get() {
            return Poll::Pending;
        }
        task.as_mut().map_or(Poll::Ready(()), |task| task.as_mut().poll(cx))
    })
    .await;
}

impl Switch {
    fn kill(&self) {
        self.is_dead.set(true);
        self.wake();
    }

    fn wake(&self) {
        self.is_asleep.set(false);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }
}
