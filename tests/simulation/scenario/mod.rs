//! One simulated life of a hub: producers, consumers, bad weather, a clear sky, and what must hold in the end.

mod buffered;
mod consumers;
mod event;
mod ledger;
mod listener;
mod plan;
mod producers;
mod signal;
mod weather;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use eventhubs::broker::HubConfig;
use eventhubs::broker::faults::FaultKind;
use eventhubs::simulation::{self, Random, Service, World, note, sleep, spawn, within};

pub use ledger::Figures;
use ledger::Ledger;
use plan::Plan;
use signal::Signal;
use weather::Gust;

/// How many partitions the hub has.
pub const PARTITIONS: u32 = 4;
/// After the weather has cleared, this long may pass until everything is as if nothing had been. The slowest case is
/// a connection of which one direction is dead: the service notices after twice its idle timeout of 240 s.
const RECOVERY: Duration = Duration::from_secs(540);
/// Far beyond everything that a plan can take.
const LIFE: Duration = Duration::from_secs(6 * 3600);

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What did not hold; empty when all is well.
    pub wrong: Vec<String>,
    /// What happened, in numbers.
    pub figures: Figures,
    /// One number for everything that happened.
    pub digest: u64,
}

/// What all parts of a scenario share.
#[derive(Clone)]
pub struct Scene {
    pub service: Service,
    pub ledger: Rc<RefCell<Ledger>>,
    /// The weather has cleared.
    pub calm: Signal,
    /// Consumers have seen everything, and may go.
    pub done: Signal,
}

impl Scene {
    pub fn wrong(&self, what: String) {
        note("WRONG", 0, 0, || what.clone());
        self.ledger.borrow_mut().wrong(what);
    }
}

/// Lives through a seed.
pub fn run(seed: u64, is_traced: bool) -> Outcome {
    let mut world = World::enter(seed, is_traced);
    let random = Random::new(seed);
    let plan = Plan::new(&mut random.fork(10));
    if is_traced {
        println!("{plan:#?}");
    }
    let mut ledger = Ledger::new(plan.is_clear());
    let does = |kind: fn(&FaultKind) -> bool| {
        plan.has(|gust| matches!(gust, Gust::Fault { fault, .. } if kind(fault.kind())))
    };
    // A partition that is stopped lets nothing in, and what comes later gets in front when it goes on.
    ledger.may_reorder = does(|kind| matches!(kind, FaultKind::Busy | FaultKind::StopPartition));
    ledger.may_refuse = does(|kind| matches!(kind, FaultKind::RefuseToken { status: 401, .. }));
    ledger.may_steal = does(|kind| matches!(kind, FaultKind::StealLink));
    ledger.may_duplicate = does(|kind| matches!(kind, FaultKind::Duplicate));
    let ledger = Rc::new(RefCell::new(ledger));
    let own = ledger.clone();
    let ended = world.run(LIFE, async move { live(plan, own).await });
    let mut ledger = ledger.take();
    if let Err(stuck) = ended {
        ledger.wrong(format!("it did not come to its end: {stuck:?}, with {:?}", simulation::leftovers()));
    } else {
        let left = world.wind_down(Duration::from_secs(3600));
        if left != simulation::Leftovers::default() {
            ledger.wrong(format!("an hour after everybody left there is still {left:?}"));
        }
    }
    ledger.figures.virtual_seconds = simulation::now().since_origin().as_secs() - 10_000;
    ledger.figures.polls = simulation::polls();
    Outcome { wrong: ledger.take_wrong(), figures: ledger.figures, digest: simulation::digest() }
}

async fn live(plan: Plan, ledger: Rc<RefCell<Ledger>>) {
    let groups = (0..plan.consumers.len()).map(|number| format!("group-{number}")).collect();
    let service = Service::start(HubConfig { consumer_groups: groups, ..HubConfig::new("hub", PARTITIONS) });
    let scene = Scene { service, ledger, calm: Signal::default(), done: Signal::default() };
    let weather = spawn("weather", weather::blow(plan.weather, scene.clone()));
    let producers: Vec<_> = (0_u8..)
        .zip(plan.producers)
        .map(|(number, plan)| match plan.is_buffered {
            true => spawn("producer", buffered::work(number, plan, scene.clone())),
            false => spawn("producer", producers::work(number, plan, scene.clone())),
        })
        .collect();
    let consumers: Vec<_> = (0..)
        .zip(plan.consumers)
        .map(|(number, plan)| spawn("consumer", consumers::work(number, plan, scene.clone())))
        .collect();
    for producer in producers {
        producer.join().await;
    }
    weather.join().await;
    let last: Vec<i64> =
        (0..PARTITIONS).map(|partition| scene.service.store().last_sequence(partition)).collect();
    note("goal", 0, 0, || format!("{last:?}"));
    scene.ledger.borrow_mut().set_goal(last);
    let reached = scene.ledger.borrow().reached.clone();
    if within(RECOVERY, reached.wait()).await.is_none() {
        let missing = scene.ledger.borrow().missing();
        scene.wrong(format!("{RECOVERY:?} after all is sent and the sky is clear, consumers miss {missing}"));
    }
    // What comes now comes twice.
    sleep(Duration::from_secs(20)).await;
    scene.done.give();
    for consumer in consumers {
        if within(Duration::from_secs(60), consumer.join()).await.is_none() {
            scene.wrong("a consumer does not end".to_owned());
        }
    }
    scene.service.stop();
    scene.ledger.borrow_mut().check(scene.service.store());
}
