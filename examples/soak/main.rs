//! Publishes and reads for a long time and keeps a ledger: nothing that was acknowledged may be missing, nothing may
//! come twice, and everything comes in order. `cargo xtask soak` runs it against an emulator in which things go wrong.
//!
//! EVENTHUB_CONNECTION_STRING says where; each second a line of JSON says how it goes, the last one what came of it.

mod ledger;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use eventhubs::{
    BatchOptions, ClientOptions, ConsumerClient, EventData, ProducerClient, RetryOptions, SendOptions,
    StartPosition, Status, Transport,
};
use ledger::{Ledger, Verdict};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// One writer and one reader each.
const PARTITIONS: usize = 4;
/// How often each writer publishes, and how much.
const PACE: Duration = Duration::from_millis(20);
const BURST: u64 = 10;
const BODY: usize = 512;
/// How often a client is made, used and closed.
const VISIT: Duration = Duration::from_secs(5);
/// A client that hears nothing for this long looks whether the service is there.
const IDLE: Duration = Duration::from_secs(4);
/// How long what was acknowledged may take to arrive, once nothing goes wrong any more.
const DRAIN: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Counts {
    connected: AtomicU64,
    visits: AtomicU64,
    failed_visits: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = std::env::args().nth(1).unwrap_or_else(|| "60".to_owned()).parse()?;
    let connection_string = std::env::var("EVENTHUB_CONNECTION_STRING")?;
    let ledgers: Vec<_> = (0..PARTITIONS).map(|_| Arc::new(Ledger::default())).collect();
    let counts = Arc::new(Counts::default());
    let stop = Arc::new(AtomicBool::new(false));

    let mut writers = Vec::new();
    let mut readers = Vec::new();
    // Two clients of each kind: one over WebSockets, one over TCP.
    for (half, transport) in [Transport::WebSocket, Transport::Tcp].into_iter().enumerate() {
        let producer = ProducerClient::builder()
            .connection_string(&connection_string)
            .options(options(transport))
            .build()?;
        let consumer = ConsumerClient::builder()
            .connection_string(&connection_string)
            .options(options(transport))
            .build()?;
        for statuses in [producer.status(), consumer.status()] {
            tokio::spawn(count_connections(statuses, counts.clone()));
        }
        for partition in (half..PARTITIONS).step_by(2) {
            let ledger = ledgers[partition].clone();
            writers.push(tokio::spawn(write(producer.clone(), partition, ledger.clone(), stop.clone())));
            readers.push(tokio::spawn(read(consumer.clone(), partition, ledger)));
        }
    }
    let visitor = tokio::spawn(visit(connection_string.clone(), counts.clone(), stop.clone()));

    let started = Instant::now();
    let mut each_second = interval(Duration::from_secs(1));
    while started.elapsed() < Duration::from_secs(seconds) {
        each_second.tick().await;
        say(&started, &ledgers, &counts, "");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await?;
    }
    visitor.await?;
    let drained = async {
        while !ledgers.iter().all(|ledger| ledger.is_even()) {
            each_second.tick().await;
        }
    };
    let _ = timeout(DRAIN, drained).await;
    for reader in &readers {
        reader.abort();
    }
    let verdict = ledgers.iter().fold(Verdict::default(), |sum, ledger| sum.add(ledger.verdict()));
    say(&started, &ledgers, &counts, &format!(",\"verdict\":{verdict}"));
    match verdict.is_good() {
        true => Ok(()),
        false => Err("the ledger does not balance".into()),
    }
}

/// Whatever happens lasts less than these allow.
fn options(transport: Transport) -> ClientOptions {
    let retry =
        RetryOptions { max_attempts: 1000, max_delay: Duration::from_secs(1), ..RetryOptions::default() };
    ClientOptions { transport: Some(transport), idle_timeout: IDLE, retry, ..ClientOptions::default() }
}

async fn write(producer: ProducerClient, partition: usize, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let id = partition.to_string();
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let first = ledger.sent();
        let event = |number: u64| {
            let mut body = number.to_string().into_bytes();
            body.resize(BODY, b'.');
            EventData::new(body)
        };
        // In turn one by one, as a list, as a batch.
        let (count, outcome) = match first / BURST % 3 {
            0 => (1, producer.send_with(event(first), SendOptions::to_partition(&id)).await),
            1 => {
                let events = (first..first + BURST).map(event);
                (BURST, producer.send_all(events, SendOptions::to_partition(&id)).await.map(drop))
            }
            _ => {
                let options = BatchOptions { partition_id: Some(id.clone()), ..BatchOptions::default() };
                let sent = async {
                    let mut batch = producer.create_batch_with(options).await?;
                    for number in first..first + BURST {
                        batch.try_add(&event(number))?;
                    }
                    producer.send_batch(batch).await
                };
                (BURST, sent.await)
            }
        };
        ledger.published(count, &outcome);
        if let Err(error) = outcome {
            eprintln!("partition {partition}: {error}");
        }
    }
}

async fn read(consumer: ConsumerClient, partition: usize, ledger: Arc<Ledger>) {
    loop {
        // From the first event on, and after an error from where it ended.
        let from = match ledger.last_sequence() {
            Some(last) => StartPosition::sequence_number(last),
            None => StartPosition::earliest(),
        };
        let mut events = match consumer.partition(partition.to_string()).from(from).open().await {
            Ok(events) => events,
            Err(error) => {
                eprintln!("reader of partition {partition}: {error}");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => ledger.received(&event),
                Err(error) => eprintln!("reader of partition {partition}: {error}"),
            }
        }
    }
}

/// Comes, publishes nothing, looks at the hub, reads one event, and leaves: what a client leaves behind adds up.
async fn visit(connection_string: String, counts: Arc<Counts>, stop: Arc<AtomicBool>) {
    let mut pace = interval(VISIT);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let visit = async {
            let consumer = ConsumerClient::from_connection_string(&connection_string)?;
            consumer.hub_properties().await?;
            let mut events = consumer.partition("0").from(StartPosition::earliest()).open().await?;
            let _ = timeout(VISIT, events.next()).await;
            consumer.close().await;
            Ok::<_, eventhubs::Error>(())
        };
        let count = match visit.await {
            Ok(()) => &counts.visits,
            Err(_) => &counts.failed_visits,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn count_connections(mut statuses: eventhubs::StatusStream, counts: Arc<Counts>) {
    while let Some(status) = statuses.next().await {
        if matches!(status, Status::Connected) {
            counts.connected.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn say(started: &Instant, ledgers: &[Arc<Ledger>], counts: &Counts, more: &str) {
    let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(|ledger| of(ledger)).sum::<u64>();
    println!(
        "{{\"seconds\":{},\"sent\":{},\"received\":{},\"tasks\":{},\"connected\":{},\"visits\":{},\"failedVisits\":{}{more}}}",
        started.elapsed().as_secs(),
        sum(Ledger::sent),
        sum(Ledger::taken),
        Handle::current().metrics().num_alive_tasks(),
        counts.connected.load(Ordering::Relaxed),
        counts.visits.load(Ordering::Relaxed),
        counts.failed_visits.load(Ordering::Relaxed),
    );
}
