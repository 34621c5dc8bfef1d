//! `eventhubs receive`: prints events.

mod format;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use futures::future::try_join_all;

use super::connect::ConnectArgs;
use super::position;
use super::table::grouped;
use crate::consumer::{ConsumerClient, EventStream};
use crate::dialect::management::PartitionProperties;
use crate::dialect::received::ReceivedEvent;
use crate::model::position::{Anchor, StartPosition};
use format::{Format, WriteError};

/// Print events: those that are there, and with --follow those that come.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReceiveArgs {
    /// Where to start: earliest, latest, offset:448, sequence:7, a time, or how long ago, such as 15m
    #[arg(long, value_name = "POSITION", default_value = "earliest", value_parser = position::parse)]
    from: StartPosition,
    /// One partition instead of all
    #[arg(short, long, value_name = "ID")]
    partition: Option<String>,
    /// Go on with what arrives, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Stop after so many events
    #[arg(short = 'n', long, value_name = "NUMBER")]
    count: Option<u64>,
    /// What an event looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Read as this consumer group
    #[arg(short = 'g', long, value_name = "NAME", default_value = "$Default")]
    consumer_group: String,
    /// Read exclusively: take the partitions from readers with a lower level or none
    #[arg(long, value_name = "NUMBER")]
    owner_level: Option<i64>,
    #[command(flatten)]
    connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  eventhubs receive --event-hub orders
  eventhubs receive --event-hub orders --follow --from latest
  eventhubs receive --event-hub orders --from 15m --format json | jq -r .body
  eventhubs receive --event-hub orders --partition 0 --from sequence:1000 --count 10";

/// Events that are printed at most before the output is flushed.
const BATCH: usize = 1000;
/// How long the end of a partition is waited for, when it is known to come.
const PATIENCE: Duration = Duration::from_secs(60);

impl ReceiveArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        if !self.follow && *self.from.anchor() == Anchor::Latest && self.count.is_none() {
            return Err(
                "--from latest is behind everything that is there: add --follow to wait for what comes"
                    .into(),
            );
        }
        let consumer = self.connect.consumer(&self.consumer_group)?;
        let ends = if self.waits() { None } else { Some(self.ends(&consumer).await?) };
        if ends.as_ref().is_some_and(HashMap::is_empty) || self.count == Some(0) {
            return Ok(());
        }
        let stream = self.open(&consumer).await?;
        let printed = tokio::select! {
            printed = self.print(stream, ends) => printed?,
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        };
        if io::stderr().is_terminal() && !io::stdout().is_terminal() {
            eprintln!("Received {} events.", grouped(printed));
        }
        consumer.close().await;
        Ok(())
    }

    /// Whether it goes on when it has seen what is there: when told to, or when behind the end it counts.
    fn waits(&self) -> bool {
        self.follow || *self.from.anchor() == Anchor::Latest
    }

    async fn open(&self, consumer: &ConsumerClient) -> Result<EventStream, crate::Error> {
        match (&self.partition, self.owner_level) {
            (Some(id), None) => consumer.partition(id).from(self.from.clone()).open().await,
            (Some(id), Some(level)) => {
                consumer.partition(id).from(self.from.clone()).owner_level(level).open().await
            }
            (None, None) => consumer.all_partitions().from(self.from.clone()).open().await,
            (None, Some(level)) => {
                consumer.all_partitions().from(self.from.clone()).owner_level(level).open().await
            }
        }
    }

    /// The last event of each partition that has one to print.
    async fn ends(&self, consumer: &ConsumerClient) -> Result<HashMap<String, i64>, crate::Error> {
        let ids = match &self.partition {
            Some(id) => vec![id.clone()],
            None => consumer.partition_ids().await?,
        };
        let partitions = try_join_all(ids.iter().map(|id| consumer.partition_properties(id))).await?;
        Ok(partitions
            .into_iter()
            .filter(|partition| has_any(partition, &self.from))
            .map(|partition| (partition.partition_id, partition.last_enqueued_sequence_number))
            .collect())
    }

    /// Prints until the ends are reached, the count is, or nobody reads any more.
    async fn print(
        &self,
        mut stream: EventStream,
        mut ends: Option<HashMap<String, i64>>,
    ) -> Result<u64, Box<dyn Error>> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut printed = 0;
        loop {
            let left = self.count.map_or(u64::MAX, |count| count - printed);
            let room = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
            let events = match stream.next_batch(room, PATIENCE).await {
                Ok(events) => events,
                Err(error) if self.follow && error.is_transient() => {
                    eprintln!("warning: {error}; trying again");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if events.is_empty() && ends.is_some() {
                return Err(
                    format!("no event came within {} s, though there are more", PATIENCE.as_secs()).into()
                );
            }
            for event in &events {
                if !is_wanted(event, &mut ends) {
                    continue;
                }
                match self.format.write(event, &mut out) {
                    Ok(()) => printed += 1,
                    // As `head` does when it has seen enough.
                    Err(WriteError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(printed);
                    }
                    Err(WriteError::Output(error)) => return Err(format!("cannot write: {error}").into()),
                    Err(WriteError::Event(error)) => return Err(error.into()),
                }
            }
            match out.flush() {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(printed),
                flushed => flushed.map_err(|error| format!("cannot write: {error}"))?,
            }
            if self.count == Some(printed) || ends.as_ref().is_some_and(HashMap::is_empty) {
                return Ok(printed);
            }
        }
    }
}

/// Whether an event lies before the end that is being read to; remembers which ends are reached.
fn is_wanted(event: &ReceivedEvent, ends: &mut Option<HashMap<String, i64>>) -> bool {
    let Some(ends) = ends else { return true };
    let Some(&end) = ends.get(event.partition_id()) else { return false };
    if event.sequence_number() >= end {
        ends.remove(event.partition_id());
    }
    event.sequence_number() <= end
}

/// Whether a partition has an event at or behind a position.
fn has_any(partition: &PartitionProperties, from: &StartPosition) -> bool {
    if partition.is_empty {
        return false;
    }
    match from.anchor() {
        Anchor::Latest => false,
        Anchor::SequenceNumber(number) => *number <= partition.last_enqueued_sequence_number,
        Anchor::EnqueuedTime(time) => partition.last_enqueued_time.is_none_or(|last| *time <= last),
        Anchor::Offset(offset) => {
            match (offset.parse::<i64>(), partition.last_enqueued_offset.parse::<i64>()) {
                (Ok(offset), Ok(last)) => offset <= last,
                // Offsets of replicated hubs are no numbers; the service knows.
                _ => true,
            }
        }
        _ => true,
    }
}
