//! What happens to network and service, and how it ends.

use std::time::Duration;

use eventhubs::broker::faults::{Fault, On};
use eventhubs::simulation::{
    Conditions, Notice, Random, Split, blackhole, connections, cut, note, set_conditions, sleep, stall,
};

use super::Scene;
use super::plan::WeatherPlan;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Gust {
    /// A connection is cut.
    Cut { which: u64, notices: [Notice; 2] },
    /// All are.
    CutAll { notices: [Notice; 2] },
    /// A connection swallows what is sent, in one direction or both.
    Blackhole { which: u64, swallows: [bool; 2] },
    /// Nothing arrives for a while.
    Stall { which: u64, pause: Duration },
    /// Connections are refused for a while.
    Refuse { percent: u64, lasting: Duration },
    /// Connections are not made, for a while.
    Hang { percent: u64, lasting: Duration },
    /// The network is bad for a while.
    Bad { latency: Duration, bandwidth: u64, window: usize, lasting: Duration },
    /// The service dies, and comes back.
    Crash { lasting: Duration },
    /// The service misbehaves.
    Fault { fault: Fault, lasting: Duration },
    /// Its disk is slow for a while.
    SlowDisk { latency: Duration, lasting: Duration },
}

impl Gust {
    pub fn new(random: &mut Random) -> Self {
        let millis = |random: &mut Random, most| Duration::from_millis(random.below(most));
        let lasting = |random: &mut Random| {
            let most = *random.pick(&[500, 5_000, 40_000]);
            Duration::from_millis(random.below(most))
        };
        if random.chance(40) {
            return Gust::Fault { fault: fault(random), lasting: lasting(random) };
        }
        match random.below(100) {
            0..30 => Gust::Cut { which: random.next(), notices: [notice(random), notice(random)] },
            30..36 => Gust::CutAll { notices: [notice(random), notice(random)] },
            36..46 => Gust::Blackhole {
                which: random.next(),
                swallows: *random.pick(&[[true, true], [true, false], [false, true]]),
            },
            46..56 => Gust::Stall { which: random.next(), pause: millis(random, 30_000) },
            56..64 => Gust::Refuse { percent: *random.pick(&[50, 100]), lasting: lasting(random) },
            64..72 => Gust::Hang { percent: *random.pick(&[50, 100]), lasting: lasting(random) },
            72..82 => Gust::Bad {
                latency: millis(random, 2000),
                bandwidth: *random.pick(&[0, 100_000, 20_000]),
                window: *random.pick(&[256 * 1024, 16 * 1024, 2048]),
                lasting: lasting(random),
            },
            82..90 => Gust::Crash { lasting: lasting(random) },
            _ => Gust::SlowDisk { latency: millis(random, 8000), lasting: lasting(random) },
        }
    }
}

/// Something that passes. Of what a service says to a client that it will not have back there are the two that the ledger can tell
/// from all others: a token is refused, and a reader's place is taken.
fn fault(random: &mut Random) -> Fault {
    const PASSING: [&str; 5] = [
        "amqp:link:detach-forced",
        "amqp:connection:forced",
        "amqp:internal-error",
        "com.microsoft:server-busy",
        "com.microsoft:timeout",
    ];
    const MOMENTS: [On; 6] = [On::Now, On::Attach, On::Send, On::Sent, On::Receive, On::Received];
    let condition = *random.pick(&PASSING);
    let fault = match random.below(16) {
        0..2 => Fault::lose_ack(),
        2 => Fault::lose_ack().then_drop(),
        3 => Fault::duplicate(),
        4 => Fault::busy(),
        5..8 => Fault::detach(condition).on(*random.pick(&MOMENTS)),
        8 => Fault::end(condition).on(*random.pick(&MOMENTS)),
        9 => Fault::close(condition).on(*random.pick(&MOMENTS)),
        10 => Fault::refuse_token(*random.pick(&[401, 500, 503])),
        11 => Fault::stop_partition(),
        12 => Fault::expire_token(),
        // Not when a link is attached: who is refused that twice has no right.
        13 => Fault::expire_token().on(*random.pick(&[On::Send, On::Sent, On::Receive, On::Received])),
        _ => Fault::steal_link().on(*random.pick(&[On::Now, On::Attach, On::Receive, On::Received])),
    };
    let fault = match random.chance(50) && !matches!(fault.occasion(), On::Now | On::Token | On::Always) {
        true => fault.on_partition(random.below(super::PARTITIONS.into()).to_string()),
        false => fault,
    };
    match fault.occasion() {
        On::Now | On::Always => fault,
        _ => fault.after(random.below(20)).times(random.between(1, 3)),
    }
}

fn notice(random: &mut Random) -> Notice {
    let pause = Duration::from_millis(*random.pick(&[0, 0, 5, 500, 20_000]));
    match random.below(10) {
        0..5 => Notice::Reset(pause),
        5..8 => Notice::End(pause),
        _ => Notice::Never,
    }
}

/// Lets it all happen, one after the other; then the sky is clear.
pub async fn blow(plan: WeatherPlan, scene: Scene) {
    set_conditions(plan.climate.clone());
    scene.service.set_skew(plan.skew);
    for (pause, gust) in plan.gusts {
        sleep(pause).await;
        note("gust", 0, 0, || format!("{gust:?}"));
        happen(gust, &plan.climate, &scene).await;
    }
    set_conditions(Conditions { refused: 0, hanging: 0, ..plan.climate });
    note("calm", 0, 0, || "");
    scene.ledger.borrow_mut().set_calm();
    scene.calm.give();
}

async fn happen(gust: Gust, climate: &Conditions, scene: &Scene) {
    let one = |which: u64| {
        let all = connections();
        (!all.is_empty()).then(|| all[(which % all.len() as u64) as usize])
    };
    match gust {
        Gust::Cut { which, notices } => {
            one(which).into_iter().for_each(|connection| cut(connection, notices))
        }
        Gust::CutAll { notices } => connections().into_iter().for_each(|connection| cut(connection, notices)),
        Gust::Blackhole { which, swallows } => {
            one(which).into_iter().for_each(|connection| blackhole(connection, swallows));
        }
        Gust::Stall { which, pause } => {
            one(which).into_iter().for_each(|connection| stall(connection, pause))
        }
        Gust::Refuse { percent, lasting } => {
            set_conditions(Conditions { refused: percent, ..climate.clone() });
            sleep(lasting).await;
            set_conditions(climate.clone());
        }
        Gust::Hang { percent, lasting } => {
            set_conditions(Conditions { hanging: percent, ..climate.clone() });
            sleep(lasting).await;
            set_conditions(climate.clone());
        }
        Gust::Bad { latency, bandwidth, window, lasting } => {
            let bad = Conditions {
                latency: latency / 2..latency,
                bandwidth,
                window,
                split: Split::Many,
                ..climate.clone()
            };
            set_conditions(bad);
            sleep(lasting).await;
            set_conditions(climate.clone());
        }
        Gust::Fault { fault, lasting } => {
            let guard = scene.service.inject(fault);
            sleep(lasting).await;
            match guard {
                Ok(guard) => note("hits", guard.end(), 0, || ""),
                Err(why) => scene.wrong(format!("a fault is not set: {why}")),
            }
        }
        Gust::Crash { lasting } => {
            scene.service.crash();
            sleep(lasting).await;
            scene.service.open();
        }
        Gust::SlowDisk { latency, lasting } => {
            scene.service.set_disk(latency);
            sleep(lasting).await;
            scene.service.set_disk(Duration::ZERO);
        }
    }
}
