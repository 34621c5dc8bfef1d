//! `eventhubs demo`: real records there and back, every one of them checked.

mod flights;
mod ledger;

use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use futures::future::try_join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::connect::ConnectArgs;
use super::console;
use super::stop::stop_requested;
use super::table::{Table, bytes, grouped};
use crate::consumer::{AllPartitions, ConsumerClient};
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;
use crate::dialect::event::EventData;
use crate::dialect::management::PartitionProperties;
use crate::dialect::received::ReceivedEvent;
use crate::emulator::{Emulator, EmulatorConfig};
use crate::model::position::StartPosition;
use crate::model::value::Uuid;
use crate::producer::{ProducerClient, SendOptions};
use flights::Flight;
use ledger::Ledger;

/// Publish flight records, read them back, check every one, and show how fast that was.
///
/// Starts an emulator of its own, and talks to it over ws://, unless a connection string is given. Every record is
/// published with the airport that the flight left from as its key; what comes back must have the right key, partition,
/// order and bytes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct DemoArgs {
    /// The folder with flights-200k.json and flights-3m.csv of the npm package vega-datasets 1.31;
    /// without it records of the same shape are made up
    #[arg(long, value_name = "DIR")]
    flights: Option<PathBuf>,
    /// Publish so many records instead of all 231 083
    #[arg(short = 'n', long, value_name = "NUMBER")]
    count: Option<usize>,
    /// Partitions of the hub, where the demo starts its own emulator
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: u32,
    /// Then serve the console, with what was published, until Ctrl-C
    #[arg(long, conflicts_with = "connection_string")]
    open: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  eventhubs demo
  eventhubs demo --flights node_modules/vega-datasets/data
  eventhubs demo --transport tcp
  eventhubs demo --connection-string \"$EVENTHUB_CONNECTION_STRING\" --event-hub orders";

const HUB: &str = "flights";
/// Events that are published in one call: the progress moves on, and batches are still filled.
const PUBLISHED_AT_ONCE: usize = 50_000;
const TAKEN_AT_ONCE: usize = 5_000;
/// No event for this long means that none comes any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// The property that tells this run's events apart in a hub that others use, too.
const RUN: &str = "demo-run";

/// How many events and bytes one direction moved, and in what time.
struct Leg {
    name: &'static str,
    events: usize,
    bytes: u64,
    took: Duration,
}

impl DemoArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let flights = self.records()?;
        let (emulator, connect, run) = if self.connect.names_a_namespace() {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|error| format!("cannot make a random number: {error}"))?;
            (None, self.connect.clone(), Some(Uuid::from_random(random).to_string()))
        } else {
            let mut config = EmulatorConfig::default().with_hub(HUB, self.partitions);
            config.console = if self.open { console::find() } else { None };
            let emulator = Emulator::start(config).await?;
            println!(
                "Started an emulator on port {}, hub '{HUB}' with {} partitions.",
                emulator.port(),
                self.partitions
            );
            let connect = self.connect.to(emulator.connection_string(), HUB);
            (Some(emulator), connect, None)
        };
        let producer = connect.producer()?;
        let consumer = connect.consumer(DEFAULT_CONSUMER_GROUP)?;
        let ids = consumer.partition_ids().await?;
        let before = try_join_all(ids.iter().map(|id| consumer.partition_properties(id))).await?;

        let published = publish(&producer, &flights, run.as_deref()).await?;
        let mut ledger = Ledger::new(&flights, u32::try_from(ids.len())?);
        let airports = ledger.keys();
        let back = read_back(&consumer, &before, &mut ledger, flights.len(), run.as_deref()).await?;
        let digest = ledger.close()?;
        producer.close().await;
        consumer.close().await;

        println!("\n{}", table(&[published, back]));
        println!(
            "{} events of {airports} airports came back from {} partitions:",
            grouped(flights.len() as u64),
            ids.len()
        );
        println!("every key in its partition and in order, every byte as it was sent.");
        println!("SHA-256 of all bodies: {digest}");
        match emulator {
            Some(emulator) if self.open => serve(emulator).await,
            _ => Ok(()),
        }
    }

    fn records(&self) -> Result<Vec<Flight>, Box<dyn Error>> {
        let mut flights = match &self.flights {
            Some(directory) => flights::read(directory)?,
            None => {
                println!(
                    "Made-up records, as no --flights were given (`cargo xtask demo` fetches the real ones)."
                );
                flights::make_up(flights::MADE_UP)
            }
        };
        if let Some(count) = self.count {
            flights.truncate(count.max(1));
        }
        let size: u64 = flights.iter().map(|flight| flight.body.len() as u64).sum();
        println!("{} flight records, {}.", grouped(flights.len() as u64), bytes(size));
        Ok(flights)
    }
}

/// Keeps the emulator running for whoever looks at the events in the console.
async fn serve(emulator: Emulator) -> Result<(), Box<dyn Error>> {
    if emulator.serves_console() {
        println!("\nThe console with all of them: http://localhost:{}/", emulator.port());
    } else {
        println!("\nThere is no console beside this program (`cargo xtask demo --open` builds it).");
        println!("What is there, in figures: http://localhost:{}/", emulator.port());
    }
    println!("Ctrl-C stops it.");
    stop_requested().await?;
    Ok(emulator.shutdown().await?)
}

async fn publish(
    producer: &ProducerClient,
    flights: &[Flight],
    run: Option<&str>,
) -> Result<Leg, Box<dyn Error>> {
    let progress = progress("publishing", flights.len());
    let started = Instant::now();
    let mut size = 0;
    for chunk in flights.chunks(PUBLISHED_AT_ONCE) {
        let events = chunk.iter().map(|flight| {
            size += flight.body.len() as u64;
            let event = EventData::new(flight.body.clone()).with_partition_key(&*flight.origin);
            match run {
                Some(run) => event.with_property(RUN, run),
                None => event,
            }
        });
        producer.send_all(events, SendOptions::default()).await?;
        progress.inc(chunk.len() as u64);
    }
    progress.finish_and_clear();
    Ok(Leg { name: "published", events: flights.len(), bytes: size, took: started.elapsed() })
}

async fn read_back(
    consumer: &ConsumerClient,
    before: &[PartitionProperties],
    ledger: &mut Ledger<'_>,
    expected: usize,
    run: Option<&str>,
) -> Result<Leg, Box<dyn Error>> {
    let progress = progress("reading back", expected);
    let started = Instant::now();
    let mut stream = behind(consumer.all_partitions(), before).open().await?;
    let mut size = 0;
    while ledger.seen() < expected {
        let events = stream.next_batch(TAKEN_AT_ONCE, PATIENCE).await?;
        if events.is_empty() {
            let (seen, seconds) = (grouped(ledger.seen() as u64), PATIENCE.as_secs());
            return Err(format!(
                "only {seen} of {} events came back; no more within {seconds} s",
                grouped(expected as u64)
            )
            .into());
        }
        for event in &events {
            if is_of(event, run)? {
                let body = event.body_bytes()?;
                size += body.len() as u64;
                ledger.check(event.partition_id().parse()?, event.partition_key(), &body)?;
            }
        }
        progress.set_position(ledger.seen() as u64);
    }
    progress.finish_and_clear();
    Ok(Leg { name: "read back", events: ledger.seen(), bytes: size, took: started.elapsed() })
}

/// Each partition from behind what it held before.
fn behind(mut reader: AllPartitions, before: &[PartitionProperties]) -> AllPartitions {
    reader = reader.from(StartPosition::earliest());
    for partition in before.iter().filter(|partition| partition.last_enqueued_time.is_some()) {
        let last = StartPosition::sequence_number(partition.last_enqueued_sequence_number);
        reader = reader.from_in(&partition.partition_id, last);
    }
    reader
}

fn is_of(event: &ReceivedEvent, run: Option<&str>) -> Result<bool, Box<dyn Error>> {
    match run {
        None => Ok(true),
        Some(run) => Ok(event.property(RUN)?.is_some_and(|value| value.as_str() == Some(run))),
    }
}

fn table(legs: &[Leg]) -> Table {
    let mut table = Table::new(["", "events", "bytes", "seconds", "events/s", "bytes/s"]);
    for leg in legs {
        let seconds = leg.took.as_secs_f64().max(1e-9);
        table.row([
            leg.name.to_owned(),
            grouped(leg.events as u64),
            bytes(leg.bytes),
            format!("{seconds:.2}"),
            grouped((leg.events as f64 / seconds) as u64),
            bytes((leg.bytes as f64 / seconds) as u64),
        ]);
    }
    table
}

fn progress(doing: &'static str, total: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total as u64).with_message(doing);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:12} {bar:40} {human_pos}/{human_len}  {per_sec}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
