//! `eventhubs send`: publishes lines, files or JSON.

mod input;
mod source;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{IsTerminal, stderr, stdin};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::connect::ConnectArgs;
use super::table::{bytes, grouped};
use crate::dialect::event::EventData;
use crate::model::value::Value;
use crate::producer::{ProducerClient, SendOptions};
use input::Input;
use source::{Piece, Pieces};

/// Publish lines, files or JSON, from standard input or from files.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct SendArgs {
    /// What to read; standard input when nothing is named, or as -
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What makes an event
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Events with the same key go to the same partition, in order
    #[arg(short, long, value_name = "TEXT", conflicts_with = "partition", help_heading = "Where events go")]
    key: Option<String>,
    /// To this partition
    #[arg(short, long, value_name = "ID", help_heading = "Where events go")]
    partition: Option<String>,
    /// A property for every event; may be repeated
    #[arg(short = 'P', long = "property", value_name = "NAME=VALUE", value_parser = input::property, help_heading = "What they carry")]
    properties: Vec<(String, Value)>,
    /// The media type of every event's body, such as application/json
    #[arg(long, value_name = "TYPE", help_heading = "What they carry")]
    content_type: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What makes an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Every line is an event
    #[default]
    Lines,
    /// Every line is a JSON object: body or bodyBase64, and key, partition, messageId, contentType, properties
    Json,
    /// Every file is an event
    Files,
}

const EXAMPLES: &str = "\
Examples:
  echo hello | eventhubs send --event-hub orders
  eventhubs send --event-hub orders --key eu orders.csv
  eventhubs send --event-hub orders --format files --content-type image/png *.png
  echo '{\"body\":\"hi\",\"key\":\"a\",\"properties\":{\"n\":1}}' | eventhubs send --event-hub orders --format json
  tail -f app.log | eventhubs send --event-hub logs";

/// Events that are handed to the client at once: enough to fill batches, few enough to go on soon.
const MOST_EVENTS: usize = 20_000;
const MOST_BYTES: usize = 16 << 20;
/// How often the progress is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// Events that are ready to be sent, by the partition that they name.
#[derive(Default)]
struct Ready {
    events: BTreeMap<Option<String>, Vec<(EventData, usize, u64)>>,
    count: usize,
    /// What was read, for the progress, and what of it becomes bodies.
    read: usize,
    bodies: usize,
}

/// What has been done so far.
#[derive(Default)]
struct Done {
    events: u64,
    read: u64,
    bodies: u64,
}

impl SendArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        let producer = self.connect.producer()?;
        if self.files.is_empty() && stdin().is_terminal() {
            eprintln!("Type what to send, one event a line; Ctrl-D ends.");
        }
        let mut pieces = Pieces::read(self.files.clone(), self.format == Format::Files);
        let progress = progress(pieces.total);
        let started = Instant::now();
        let mut done = Done::default();
        let outcome = self.pump(&producer, &mut pieces, &progress, &mut done).await;
        progress.finish_and_clear();
        outcome.map_err(|error| match done.events {
            0 => error.to_string(),
            sent => format!("{error} (sent before it: {})", events(sent)),
        })?;
        let took = started.elapsed().as_secs_f64();
        eprintln!("Sent {}, {} in {took:.1} s.", events(done.events), bytes(done.bodies));
        producer.close().await;
        Ok(())
    }

    async fn pump(
        &self,
        producer: &ProducerClient,
        pieces: &mut Pieces,
        progress: &ProgressBar,
        done: &mut Done,
    ) -> Result<(), Box<dyn Error>> {
        let mut read = Vec::new();
        loop {
            let mut ready = Ready::default();
            // Waits for something, then takes what else is there: `tail -f` is not kept waiting for a full batch.
            while ready.count < MOST_EVENTS && ready.read < MOST_BYTES {
                if ready.count > 0 && pieces.pieces.is_empty() {
                    break;
                }
                if pieces.pieces.recv_many(&mut read, 1).await == 0 {
                    break;
                }
                for piece in read.drain(..) {
                    // What came before a line that is wrong is sent: it was there first.
                    match piece.map_err(Into::into).and_then(|piece| self.prepare(piece, pieces, &mut ready))
                    {
                        Ok(()) => {}
                        Err(error) => {
                            self.send(producer, ready, pieces, progress, done).await?;
                            return Err(error);
                        }
                    }
                }
            }
            if ready.count == 0 && pieces.pieces.is_closed() && pieces.pieces.is_empty() {
                return Ok(());
            }
            self.send(producer, ready, pieces, progress, done).await?;
        }
    }

    fn prepare(&self, piece: Piece, pieces: &Pieces, ready: &mut Ready) -> Result<(), Box<dyn Error>> {
        let place = || pieces.place(piece.source, piece.line);
        let input = match self.format {
            Format::Json => {
                let text = str::from_utf8(&piece.text).map_err(|_| format!("{} is not UTF-8", place()))?;
                if text.trim().is_empty() {
                    return Ok(());
                }
                input::json(text).map_err(|why| format!("cannot send {}: {why}", place()))?
            }
            Format::Lines | Format::Files => Input { body: piece.text.clone(), ..Input::default() },
        };
        ready.read += piece.text.len();
        ready.bodies += input.body.len();
        let partition = input.partition.clone().or_else(|| self.partition.clone());
        let event = self.event(input);
        if let (Some(partition), Some(key)) = (&partition, event.partition_key()) {
            return Err(format!(
                "cannot send {}: it names both the partition '{partition}' and the key '{key}'; leave one out",
                place()
            )
            .into());
        }
        ready.count += 1;
        ready.events.entry(partition).or_default().push((event, piece.source, piece.line));
        Ok(())
    }

    fn event(&self, input: Input) -> EventData {
        let mut event = EventData::new(input.body);
        // A JSON line that names its partition has said where it goes.
        let key = match (input.key, &self.key) {
            (None, Some(key)) if input.partition.is_none() => Some(key.clone()),
            (key, _) => key,
        };
        if let Some(key) = key {
            event = event.with_partition_key(key);
        }
        if let Some(id) = input.message_id {
            event = event.with_message_id(id);
        }
        if let Some(id) = input.correlation_id {
            event = event.with_correlation_id(id);
        }
        if let Some(content_type) = input.content_type.or_else(|| self.content_type.clone()) {
            event = event.with_content_type(content_type);
        }
        // What a line says itself comes last, and wins.
        for (name, value) in self.properties.iter().cloned().chain(input.properties) {
            event.set_property(name, value);
        }
        event
    }

    async fn send(
        &self,
        producer: &ProducerClient,
        ready: Ready,
        pieces: &Pieces,
        progress: &ProgressBar,
        done: &mut Done,
    ) -> Result<(), Box<dyn Error>> {
        for (partition, events) in ready.events {
            let count = events.len() as u64;
            let places: Vec<_> = events.iter().map(|(_, source, line)| (*source, *line)).collect();
            let options = partition.map(SendOptions::to_partition).unwrap_or_default();
            producer.send_all(events.into_iter().map(|(event, ..)| event), options).await.map_err(
                |error| match error.event_index().and_then(|index| places.get(index)) {
                    Some(&(source, line)) => {
                        format!(
                            "cannot send {}: {} ({})",
                            pieces.place(source, line),
                            error.message(),
                            error.code()
                        )
                    }
                    None => error.to_string(),
                },
            )?;
            done.events += count;
        }
        done.read += ready.read as u64;
        done.bodies += ready.bodies as u64;
        progress.set_position(done.read);
        progress.set_message(events(done.events));
        Ok(())
    }
}

fn events(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "event" } else { "events" })
}

/// On a terminal: a bar when the end is known, a count when it is not. Elsewhere nothing.
fn progress(total: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:40} {bytes}/{total_bytes}  {msg}  {bytes_per_sec}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes}  {msg}  {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(REDRAW);
    bar
}
