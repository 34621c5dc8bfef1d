//! A native client that works while the emulator goes away and comes back, and keeps a ledger: one of those that `cargo xtask outage`
//! starts beside each other. What it is told and tells is in `ledger.mjs`, which the clients in JavaScript share.
//!
//!     outage_client CONNECTION_STRING HUB PARTITION GROUP

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eventhubs::{
    ConsumerClient, Error, ErrorKind, ProducerClient, ReceivedEvent, RetryOptions, SendOptions,
    StartPosition, StatusStream,
};
use serde_json::json;
use tokio::sync::watch;

/// Between two events.
const PACE: Duration = Duration::from_millis(20);
/// Events that were acknowledged and received when a client is ready.
const READY: usize = 20;
/// Without an event for so long, what is missing does not come any more.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Ledger {
    sent: u64,
    /// By number, when.
    acknowledged: BTreeMap<u64, Instant>,
    /// By number, under which sequence numbers.
    received: BTreeMap<u64, Vec<i64>>,
    failed: u64,
    unknown: u64,
    last_received: Option<Instant>,
    longest_silence: Duration,
    back: Option<Instant>,
    first_acknowledged: Option<Duration>,
    first_received: Option<Duration>,
    /// Statuses and codes of errors, and how often.
    told: BTreeMap<String, u64>,
    has_said: [bool; 2],
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [connection_string, hub, partition, group] = arguments.as_slice() else {
        panic!("usage: outage_client CONNECTION_STRING HUB PARTITION GROUP");
    };
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut retry = RetryOptions::default();
    if let Ok(longest) = std::env::var("EVENTHUBS_OUTAGE_MAX_DELAY_MS") {
        retry.max_delay = Duration::from_millis(longest.parse().unwrap());
    }
    let producer = ProducerClient::builder().connection_string(connection_string).event_hub(hub);
    let producer = producer.retry(retry.clone()).build().unwrap();
    let consumer = ConsumerClient::builder().connection_string(connection_string).event_hub(hub);
    let consumer = consumer.consumer_group(group).retry(retry).build().unwrap();
    for statuses in [producer.status(), consumer.status()] {
        tokio::spawn(collect(statuses, ledger.clone()));
    }
    let (stop, stopping) = watch::channel(false);
    let reading = tokio::spawn(read(consumer, partition.clone(), ledger.clone()));
    let writing = tokio::spawn(write(producer, partition.clone(), ledger.clone(), stopping));

    let orders = ledger.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line.as_deref() {
                Ok("back") => orders.lock().unwrap().back = Some(Instant::now()),
                Ok("stop") => break,
                _ => {}
            }
        }
        stop.send_replace(true);
    });
    writing.await.unwrap();
    let stopped = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ledger = ledger.lock().unwrap();
        let is_complete = ledger.acknowledged.keys().all(|number| ledger.received.contains_key(number));
        let quiet = ledger.last_received.map_or(stopped, |last| last.max(stopped)).elapsed();
        if is_complete || quiet > QUIET {
            break;
        }
    }
    reading.abort();
    println!("ledger {}", ledger.lock().unwrap().report());
}

async fn write(
    producer: ProducerClient,
    partition: String,
    ledger: Arc<Mutex<Ledger>>,
    stopping: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0.. {
        if *stopping.borrow() {
            return;
        }
        ticks.tick().await;
        ledger.lock().unwrap().sent += 1;
        let sent = producer.send_with(number.to_string(), SendOptions::to_partition(&partition)).await;
        let mut ledger = ledger.lock().unwrap();
        match sent {
            Ok(()) => ledger.acknowledge(number),
            Err(error) => {
                match error.outcome_unknown() {
                    true => ledger.unknown += 1,
                    false => ledger.failed += 1,
                }
                ledger.tell(&format!("send: {}", error.code()));
            }
        }
    }
}

async fn read(consumer: ConsumerClient, partition: String, ledger: Arc<Mutex<Ledger>>) {
    let mut position = StartPosition::earliest();
    loop {
        let error = match consumer.partition(&partition).from(position.clone()).open().await {
            Err(error) => error,
            Ok(mut events) => loop {
                match events.next().await {
                    Some(Ok(event)) => {
                        position = StartPosition::offset(event.offset());
                        ledger.lock().unwrap().receive(&event);
                    }
                    // The stream goes on when it is asked again.
                    Some(Err(error)) if error.is_transient() => note(&ledger, &error),
                    Some(Err(error)) => break error,
                    None => return,
                }
            },
        };
        note(&ledger, &error);
        if error.kind() == ErrorKind::InvalidPosition {
            // The log that the position was in is no more: everything in the one that is there now is new.
            position = StartPosition::earliest();
        } else {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn note(ledger: &Mutex<Ledger>, error: &Error) {
    ledger.lock().unwrap().tell(&format!("receive: {}", error.code()));
}

async fn collect(mut statuses: StatusStream, ledger: Arc<Mutex<Ledger>>) {
    while let Some(status) = statuses.next().await {
        ledger.lock().unwrap().tell(status.code());
    }
}

impl Ledger {
    fn tell(&mut self, what: &str) {
        *self.told.entry(what.to_owned()).or_default() += 1;
    }

    fn acknowledge(&mut self, number: u64) {
        self.acknowledged.insert(number, Instant::now());
        if let (Some(back), None) = (self.back, self.first_acknowledged) {
            self.first_acknowledged = Some(back.elapsed());
        }
        self.say();
    }

    fn receive(&mut self, event: &ReceivedEvent) {
        let number = event.body_text().unwrap().parse().unwrap();
        self.received.entry(number).or_default().push(event.sequence_number());
        if let Some(last) = self.last_received.replace(Instant::now()) {
            self.longest_silence = self.longest_silence.max(last.elapsed());
        }
        if let (Some(back), None) = (self.back, self.first_received) {
            self.first_received = Some(back.elapsed());
        }
        self.say();
    }

    fn say(&mut self) {
        let is_ready = self.acknowledged.len() >= READY && self.received.len() >= READY;
        if is_ready && !std::mem::replace(&mut self.has_said[0], true) {
            println!("ready");
        }
        let is_working = self.first_acknowledged.is_some() && self.first_received.is_some();
        if is_working && !std::mem::replace(&mut self.has_said[1], true) {
            println!("working");
        }
    }

    fn report(&self) -> serde_json::Value {
        let missing = |is_after: bool| {
            let missing = self.acknowledged.iter().filter(|(number, at)| {
                self.back.is_some_and(|back| **at >= back) == is_after && !self.received.contains_key(number)
            });
            missing.count()
        };
        let distinct = |numbers: &Vec<i64>| {
            let mut distinct = numbers.clone();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.len()
        };
        json!({
            "sent": self.sent,
            "acknowledged": self.acknowledged.len(),
            "failed": self.failed,
            "unknown": self.unknown,
            "received": self.received.len(),
            "missingBefore": missing(false),
            "missingAfter": missing(true),
            "repeated": self.received.values().map(|all| all.len() - distinct(all)).sum::<usize>(),
            "storedTwice": self.received.values().map(|all| distinct(all) - 1).sum::<usize>(),
            "longestSilenceMs": self.longest_silence.as_millis() as u64,
            "firstAcknowledgedMs": self.first_acknowledged.map(|time| time.as_millis() as u64),
            "firstReceivedMs": self.first_received.map(|time| time.as_millis() as u64),
            "told": self.told,
        })
    }
}
