//! What a seed decides about before anything happens.

use std::time::Duration;

use eventhubs::simulation::{Conditions, Random, Split};
use eventhubs::{ClientOptions, RetryOptions};

use super::PARTITIONS;
use super::weather::Gust;

#[derive(Debug)]
pub struct Plan {
    pub weather: WeatherPlan,
    pub producers: Vec<ProducerPlan>,
    pub consumers: Vec<ConsumerPlan>,
}

#[derive(Debug)]
pub struct WeatherPlan {
    /// From the beginning to the end: a network can be bad without anything breaking.
    pub climate: Conditions,
    /// How far the service's calendar is off, in milliseconds.
    pub skew: i64,
    /// Pauses, and what happens after them.
    pub gusts: Vec<(Duration, Gust)>,
}

#[derive(Debug)]
pub struct ProducerPlan {
    pub options: ClientOptions,
    pub events: u32,
    /// The longest pause between two calls.
    pub pause: Duration,
    pub habit: Habit,
    pub random: Random,
    /// Whether the client is closed, or just let go.
    pub is_closed: bool,
    /// Whether its events are numbered.
    pub is_idempotent: bool,
    /// Whether they are gathered in the background. There is no habit to that.
    pub is_buffered: bool,
}

/// How a producer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Single,
    Pipelined,
    Batches,
    /// All of these and more, in turn.
    Mixed,
}

#[derive(Debug)]
pub struct ConsumerPlan {
    pub options: ClientOptions,
    /// Before the first stream is opened.
    pub delay: Duration,
    /// `None`: all, as one stream.
    pub partitions: Option<Vec<u32>>,
    /// The longest pause between two events.
    pub pause: Duration,
    pub prefetch: Option<u32>,
    pub random: Random,
    pub is_closed: bool,
}

impl Plan {
    pub fn new(random: &mut Random) -> Self {
        // Most seeds are of a size that lets many of them run; some are large.
        let events = match random.below(100) {
            0..50 => random.between(50, 300),
            50..85 => random.between(300, 1000),
            _ => random.between(1000, 3000),
        };
        let is_clear = random.chance(12);
        let count = match is_clear {
            true => 0,
            false => random.between(1, 25),
        };
        let spacing = *random.pick(&[200, 1000, 3000, 10_000]);
        let gusts =
            (0..count).map(|_| (Duration::from_millis(random.below(spacing)), Gust::new(random))).collect();
        let lifetime = if random.chance(25) { random.between(60, 240) } else { 3600 };
        // Half of what a renewal leaves, so that calendars alone never make a token useless.
        let skew = random.below(lifetime * 100) as i64 - lifetime as i64 * 50;
        let weather = WeatherPlan { climate: climate(random), skew, gusts };
        let options = |random: &mut Random, name: String| options(random, name, lifetime);
        let producers = (0..3)
            .map(|number| ProducerPlan {
                options: options(random, format!("producer-{number}")),
                events: random.between(events / 2, events) as u32,
                pause: Duration::from_millis(*random.pick(&[0, 5, 50, 300, 2000])),
                habit: *random.pick(&[
                    Habit::Single,
                    Habit::Pipelined,
                    Habit::Batches,
                    Habit::Mixed,
                    Habit::Mixed,
                ]),
                random: random.fork(number + 100),
                is_closed: random.chance(70),
                is_idempotent: random.fork(number + 300).chance(30),
                is_buffered: random.fork(number + 400).chance(30),
            })
            .collect();
        let consumers = (0..3)
            .map(|number| ConsumerPlan {
                options: options(random, format!("consumer-{number}")),
                delay: match random.chance(50) {
                    true => Duration::ZERO,
                    false => Duration::from_millis(random.below(20_000)),
                },
                partitions: match number == 0 || random.chance(40) {
                    true => None,
                    false => Some((0..PARTITIONS).filter(|_| random.chance(60)).collect()),
                },
                pause: Duration::from_millis(*random.pick(&[0, 0, 0, 1, 10, 100])),
                prefetch: random.chance(40).then(|| random.between(1, 40) as u32),
                random: random.fork(number + 200),
                is_closed: random.chance(60),
            })
            .collect();
        Plan { weather, producers, consumers }
    }

    /// Whether the service does something in it.
    pub fn has(&self, which: impl Fn(&Gust) -> bool) -> bool {
        self.weather.gusts.iter().any(|(_, gust)| which(gust))
    }

    /// Whether nothing goes wrong in it, so that nothing may be tried twice.
    pub fn is_clear(&self) -> bool {
        self.weather.gusts.is_empty()
    }
}

fn climate(random: &mut Random) -> Conditions {
    let latency = *random.pick(&[1_u64, 5, 20, 80]);
    Conditions {
        latency: Duration::from_micros(latency * 500)
            ..Duration::from_micros(latency * random.between(500, 3000)),
        bandwidth: *random.pick(&[0, 0, 0, 10_000_000, 300_000]),
        window: *random.pick(&[256 * 1024, 256 * 1024, 64 * 1024, 4096]),
        split: *random.pick(&[Split::Whole, Split::Some, Split::Some, Split::Many]),
        joined: *random.pick(&[0, 20, 90]),
        refused: 0,
        hanging: 0,
    }
}

fn options(random: &mut Random, name: String, lifetime: u64) -> ClientOptions {
    let seconds = |random: &mut Random, least, most| Duration::from_secs(random.between(least, most));
    let retry = RetryOptions {
        max_attempts: random.between(3, 20) as u32,
        base_delay: Duration::from_millis(random.between(50, 800)),
        max_delay: seconds(random, 2, 20),
        jitter: 0.2,
        attempt_timeout: seconds(random, 5, 60),
        total_deadline: random.chance(60).then(|| seconds(random, 20, 120)),
    };
    ClientOptions {
        retry,
        connect_timeout: seconds(random, 5, 20),
        idle_timeout: seconds(random, 5, 30),
        stall_timeout: seconds(random, 5, 30),
        identifier: Some(name),
        token_lifetime: Duration::from_secs(lifetime),
        ..ClientOptions::default()
    }
}
