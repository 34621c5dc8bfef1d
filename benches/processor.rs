//! What a processor costs: an event through a handler beside one through a bare consumer, and one look at a large group.
//!
//!     cargo bench --features emulator --bench processor

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use eventhubs::broker::{HubConfig, NamespaceConfig};
use eventhubs::checkpoint::MemoryStore;
use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::model::balance::{Situation, Strategy};
use eventhubs::processor::{EventHandler, EventProcessor, HandlerError, PartitionContext};
use eventhubs::{ConsumerClient, ProducerClient, ReceivedEvent, SendOptions, StartPosition};
use tokio::sync::Notify;

const BODY: usize = 1_024;
const HUB: &str = "bench";
/// Has this program be the emulator.
const SERVE: &str = "--serve";

/// How many events, and how often.
#[derive(Clone, Copy)]
struct Amount {
    events: usize,
    rounds: usize,
}

fn main() {
    let is_asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if is_asked(SERVE) {
        return runtime.block_on(serve());
    }
    // Without this, as a test, it only has to work.
    let amount = if is_asked("--bench") {
        Amount { events: 150_000, rounds: 21 }
    } else {
        Amount { events: 1_000, rounds: 1 }
    };
    balance();
    runtime.block_on(overhead(amount));
}

/// The service, in a process of its own: what is measured is what readers need.
async fn serve() {
    let mut config = EmulatorConfig::default();
    let hubs = vec![HubConfig::new(HUB, 1)];
    config.namespace = NamespaceConfig { hubs, ..NamespaceConfig::default() };
    let emulator = Emulator::start(config).await.unwrap();
    println!("{}EntityPath={HUB}", emulator.connection_string());
    let _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
}

/// One member's decision in a group of 100 on 1 024 partitions: at rest, as a newcomer, and when a tenth is free.
fn balance() {
    let names: Vec<String> = (0..100).map(|member| format!("member-{member}")).collect();
    let rest: Vec<Option<&str>> = (0..1_024).map(|place| Some(names[place % 100].as_str())).collect();
    let tenth = |place: usize| (!place.is_multiple_of(10)).then_some(names[place % 100].as_str());
    let free: Vec<Option<&str>> = (0..1_024).map(tenth).collect();
    for (what, me, owners) in
        [("at rest", "member-7", &rest), ("a newcomer", "new", &rest), ("a tenth free", "member-7", &free)]
    {
        for strategy in [Strategy::Balanced, Strategy::Greedy] {
            let situation = Situation { me, strategy, cap: None, owners, left_over: &[] };
            let mut times: Vec<Duration> = (0..1_001)
                .map(|_| {
                    let begin = Instant::now();
                    black_box(black_box(&situation).claims(|below| below / 2));
                    begin.elapsed()
                })
                .collect();
            times.sort_unstable();
            println!(
                "balance step, 1024 partitions, 100 members, {what}, {strategy:?}: median {:?}",
                times[500]
            );
        }
    }
}

async fn overhead(Amount { events, rounds }: Amount) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut connection_string = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut connection_string).unwrap();
    let connection_string = connection_string.trim();
    let producer = ProducerClient::from_connection_string(connection_string).unwrap();
    let bodies = (0..events).map(|_| vec![7_u8; BODY]);
    producer.send_all(bodies, SendOptions::to_partition("0")).await.unwrap();
    drop(producer);
    let consumer = || ConsumerClient::from_connection_string(connection_string).unwrap();
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for _ in 0..rounds {
        // Each in a task, as handlers are: the thread that waits here would be one more. One after the other, so that what else
        // happens on the machine happens to all of them.
        costs[0].push(tokio::spawn(read(consumer(), events)).await.unwrap());
        costs[1].push(tokio::spawn(process(consumer(), events)).await.unwrap());
        costs[2].push(tokio::spawn(pull(consumer(), events)).await.unwrap());
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    let median = |costs: &[Cost], of: fn(&Cost) -> Duration| {
        let mut times: Vec<Duration> = costs.iter().map(of).collect();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e9 / events as f64
    };
    println!("{events} events of {BODY} bytes, the reader's process, medians of {rounds}:");
    let bare: [f64; 2] = [median(&costs[0], |cost| cost.processor), median(&costs[0], |cost| cost.time)];
    for (what, costs) in ["bare consumer", "handler", "pulled partition"].iter().zip(&costs) {
        let (processor, time) = (median(costs, |cost| cost.processor), median(costs, |cost| cost.time));
        let more = |own: f64, bare: f64| (own / bare - 1.0) * 100.0;
        println!(
            "{what:<18} {processor:>5.0} ns of the processor an event ({:+.1} %), {time:>5.0} ns ({:+.1} %)",
            more(processor, bare[0]),
            more(time, bare[1])
        );
    }
}

/// What some events cost.
struct Cost {
    processor: Duration,
    time: Duration,
}

/// Since when it is counted.
#[derive(Clone, Copy)]
struct Begin {
    processor: Duration,
    time: Instant,
}

impl Begin {
    fn now() -> Self {
        Begin { processor: used(), time: Instant::now() }
    }

    fn cost(self) -> Cost {
        Cost { processor: used() - self.processor, time: self.time.elapsed() }
    }
}

/// The time that this process has had on processors, all threads together; nothing where the system does not tell.
fn used() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let nanos = |task: std::fs::DirEntry| {
        let told = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(|task| nanos(task.ok()?)).sum())
}

async fn read(consumer: ConsumerClient, count: usize) -> Cost {
    let reader = consumer.partition("0").from(StartPosition::earliest()).owner_level(0);
    let mut events = reader.open().await.unwrap();
    black_box(events.next().await.unwrap().unwrap());
    let begin = Begin::now();
    for _ in 1..count {
        black_box(events.next().await.unwrap().unwrap());
    }
    begin.cost()
}

#[derive(Default)]
struct Counter {
    wanted: usize,
    seen: AtomicUsize,
    begin: OnceLock<Begin>,
    cost: Mutex<Option<Cost>>,
    done: Notify,
}

impl EventHandler for Counter {
    async fn process(&self, events: &[ReceivedEvent], _: &PartitionContext) -> Result<(), HandlerError> {
        let seen = self.seen.fetch_add(black_box(events).len(), Ordering::Relaxed);
        if seen == 0 {
            let _ = self.begin.set(Begin::now());
        }
        if seen + events.len() == self.wanted {
            *self.cost.lock().unwrap() = self.begin.get().map(|begin| begin.cost());
            self.done.notify_one();
        }
        Ok(())
    }
}

async fn process(consumer: ConsumerClient, count: usize) -> Cost {
    let processor = EventProcessor::builder(consumer, MemoryStore::new()).build().unwrap();
    let counter = Arc::new(Counter { wanted: count, ..Counter::default() });
    let (own, handler) = (processor.clone(), counter.clone());
    let run = tokio::spawn(async move { own.run(handler).await });
    counter.done.notified().await;
    processor.stop().await;
    run.await.unwrap().unwrap();
    counter.cost.lock().unwrap().take().unwrap()
}

async fn pull(consumer: ConsumerClient, count: usize) -> Cost {
    let processor = EventProcessor::builder(consumer, MemoryStore::new()).build().unwrap();
    let mut partition = processor.next_partition().await.unwrap().unwrap();
    black_box(partition.next().await.unwrap().unwrap());
    let begin = Begin::now();
    for _ in 1..count {
        black_box(partition.next().await.unwrap().unwrap());
    }
    let cost = begin.cost();
    drop(partition);
    processor.stop().await;
    cost
}
