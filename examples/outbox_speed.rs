//! How long an outbox takes to keep an event, for so many that enqueue side by side, and how fast it sends what waits.
//!
//! ```text
//! cargo run --release --features emulator --example outbox_speed -- /var/tmp
//! ```
//!
//! The directory decides: what is measured is its disk, which is measured alone first. The emulator is in the same process, in memory.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use eventhubs::emulator::{Emulator, EmulatorConfig};
use eventhubs::outbox::{Durability, Outbox, OutboxOptions};
use eventhubs::{EventData, ProducerClient, SendOptions};

const HUB: &str = "speed";
/// Bytes of an event's body.
const BODY: usize = 256;
/// Events for each row.
const EVENTS: usize = 4000;
/// Events that wait before they are sent.
const WAITING: usize = 50_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let mut config = EmulatorConfig::default().with_hub(HUB, 4);
    config.tls = None;
    let mut emulator = Emulator::start(config).await?;
    emulator.stop().await?;
    println!("the disk alone, in turn:    {}", spread(&mut disk(Path::new(&place))?));
    for (name, durability) in [("power cut", Durability::PowerCut), ("process", Durability::Process)] {
        for side_by_side in [1, 8, 64] {
            let directory = Path::new(&place).join(format!("outbox-speed-{}", std::process::id()));
            let options = OutboxOptions { durability, ..OutboxOptions::default() };
            let outbox = open(&directory, &emulator, options).await?;
            let started = Instant::now();
            let mut times = enqueue(&outbox, side_by_side).await?;
            let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
            println!(
                "{name:>9}, {side_by_side:>2} side by side: {}, {rate:>7.0} events/s",
                spread(&mut times)
            );
            outbox.close().await;
            std::fs::remove_dir_all(&directory)?;
        }
    }
    let directory = Path::new(&place).join(format!("outbox-speed-{}", std::process::id()));
    let outbox = open(&directory, &emulator, OutboxOptions::default()).await?;
    let events = (0..WAITING).map(|number| event(number % 100));
    outbox.enqueue_all(events, SendOptions::default()).await?;
    outbox.close().await;
    emulator.start_again().await?;
    let started = Instant::now();
    let outbox = open(&directory, &emulator, OutboxOptions::default()).await?;
    outbox.flush(Duration::from_secs(60)).await?;
    let took = started.elapsed().as_secs_f64();
    println!("{WAITING} events that waited were sent in {took:.2} s: {:.0} events/s", WAITING as f64 / took);
    outbox.close().await;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn open(
    directory: &Path,
    emulator: &Emulator,
    options: OutboxOptions,
) -> Result<Outbox, eventhubs::Error> {
    let producer = ProducerClient::builder().connection_string(emulator.connection_string()).event_hub(HUB);
    Outbox::open(directory, producer, options).await
}

/// How long it takes to write so many bytes behind a file's end, and to have them on the disk.
fn disk(place: &Path) -> std::io::Result<Vec<Duration>> {
    let path = place.join(format!("outbox-speed-{}.disk", std::process::id()));
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..EVENTS / 4 {
        let started = Instant::now();
        file.write_all(&[b'x'; BODY])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(times)
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let share = |of: usize| times[times.len() * of / 100].as_secs_f64() * 1e6;
    format!("p50 {:>6.0} µs, p99 {:>6.0} µs", share(50), share(99))
}

fn event(key: usize) -> EventData {
    EventData::from(vec![b'x'; BODY]).with_partition_key(format!("key-{key}"))
}

/// How long each call took.
async fn enqueue(outbox: &Outbox, side_by_side: usize) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let tasks: Vec<_> = (0..side_by_side)
        .map(|key| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..EVENTS / side_by_side {
                    let started = Instant::now();
                    outbox.enqueue(event(key)).await?;
                    times.push(started.elapsed());
                }
                Ok::<_, eventhubs::Error>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(times)
}
