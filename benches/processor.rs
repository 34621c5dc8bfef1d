//! What a processor costs: an event through a handler beside one through a bare consumer, and one look at a large group.
//!
//!     cargo bench --features emulator --bench processor

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use eventhubs::broker::{HubConfig, NamespaceConfig};
use eventhubs::checkpoint::MemoryStore;
use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::model::balance::{Situation, Strategy};
use eventhubs::processor::{EventHandler, EventProcessor, HandlerError, PartitionContext};
use eventhubs::{ConsumerClient, ProducerClient, ReceivedEvent, SendOptions, StartPosition};
use tokio::sync::Notify;

const BODY: usize = 1_024;

/// How many events, and how often.
#[derive(Clone, Copy)]
struct Amount {
    events: usize,
    rounds: usize,
}

fn main() {
    // Without this, as a test, it only has to work.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let amount =
        if is_bench { Amount { events: 150_000, rounds: 15 } } else { Amount { events: 1_000, rounds: 1 } };
    balance();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(overhead(amount));
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
    let mut config = EmulatorConfig::default();
    let hubs = vec![HubConfig::new("bench", 1)];
    config.namespace = NamespaceConfig { hubs, ..NamespaceConfig::default() };
    let emulator = Emulator::start(config).await.unwrap();
    let connection_string = format!("{}EntityPath=bench", emulator.connection_string());
    let producer = ProducerClient::from_connection_string(&connection_string).unwrap();
    let bodies = (0..events).map(|_| vec![7_u8; BODY]);
    producer.send_all(bodies, SendOptions::to_partition("0")).await.unwrap();
    drop(producer);
    let consumer = || ConsumerClient::from_connection_string(&connection_string).unwrap();
    let (mut bare, mut handled, mut pulled) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        // Each in a task, as handlers are: the thread that waits here would be one more.
        bare.push(tokio::spawn(read(consumer(), events)).await.unwrap());
        handled.push(tokio::spawn(process(consumer(), events)).await.unwrap());
        pulled.push(tokio::spawn(pull(consumer(), events)).await.unwrap());
    }
    let best = |times: &[Duration]| times.iter().min().unwrap().as_secs_f64() * 1e9 / events as f64;
    let (bare, handled, pulled) = (best(&bare), best(&handled), best(&pulled));
    println!("{events} events of {BODY} bytes, best of {rounds}:");
    println!("bare consumer      {bare:.0} ns an event");
    println!("handler            {handled:.0} ns an event ({:+.1} %)", (handled / bare - 1.0) * 100.0);
    println!("pulled partition   {pulled:.0} ns an event ({:+.1} %)", (pulled / bare - 1.0) * 100.0);
}

async fn read(consumer: ConsumerClient, count: usize) -> Duration {
    let reader = consumer.partition("0").from(StartPosition::earliest()).owner_level(0);
    let mut events = reader.open().await.unwrap();
    black_box(events.next().await.unwrap().unwrap());
    let begin = Instant::now();
    for _ in 1..count {
        black_box(events.next().await.unwrap().unwrap());
    }
    begin.elapsed()
}

#[derive(Default)]
struct Counter {
    wanted: usize,
    seen: AtomicUsize,
    times: std::sync::Mutex<(Option<Instant>, Option<Instant>)>,
    done: Notify,
}

impl EventHandler for Counter {
    async fn process(&self, events: &[ReceivedEvent], _: &PartitionContext) -> Result<(), HandlerError> {
        let seen = self.seen.fetch_add(black_box(events).len(), Ordering::Relaxed);
        if seen == 0 {
            self.times.lock().unwrap().0 = Some(Instant::now());
        }
        if seen + events.len() == self.wanted {
            self.times.lock().unwrap().1 = Some(Instant::now());
            self.done.notify_one();
        }
        Ok(())
    }
}

async fn process(consumer: ConsumerClient, count: usize) -> Duration {
    let processor = EventProcessor::builder(consumer, MemoryStore::new()).build().unwrap();
    let counter = Arc::new(Counter { wanted: count, ..Counter::default() });
    let (own, handler) = (processor.clone(), counter.clone());
    let run = tokio::spawn(async move { own.run(handler).await });
    counter.done.notified().await;
    processor.stop().await;
    run.await.unwrap().unwrap();
    let times = counter.times.lock().unwrap();
    times.1.unwrap() - times.0.unwrap()
}

async fn pull(consumer: ConsumerClient, count: usize) -> Duration {
    let processor = EventProcessor::builder(consumer, MemoryStore::new()).build().unwrap();
    let mut partition = processor.next_partition().await.unwrap().unwrap();
    black_box(partition.next().await.unwrap().unwrap());
    let begin = Instant::now();
    for _ in 1..count {
        black_box(partition.next().await.unwrap().unwrap());
    }
    let took = begin.elapsed();
    drop(partition);
    processor.stop().await;
    took
}
