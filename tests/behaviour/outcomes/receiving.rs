//! A receiver while something goes wrong.

use std::time::Duration;

use eventhubs::{
    ConsumerClient, Error, ErrorKind, EventStream, PartitionReader, ProducerClient, ReceivedEvent,
    SendOptions, StartPosition, Status,
};

use super::cases::Case;
use super::row::{Row, code};
use super::statuses::Log;
use super::{ATTEMPT, GRACE, HOLD, Hurt, PARTITION, RECOVERY, emulator, helper, subject};
use crate::harness::{clock, spawn, within};
use crate::support::{Running, soon, take};

/// Events before the fault: so many that a log that begins anew is shorter for a while.
const BEFORE: usize = 20;
/// Events while the fault holds, and after it.
const EACH: usize = 5;

/// A receiver that a case happens to.
struct Reading {
    consumer: ConsumerClient,
    stream: EventStream,
    /// The number and text of each event of the log that is there now.
    received: Vec<(i64, String)>,
    last_offset: Option<String>,
    /// Errors after which it went on.
    passing: usize,
    /// The error that ended the stream.
    ended: Option<Error>,
}

pub(super) async fn run(case: &Case, row: &mut Row) {
    let mut running = emulator(case).await;
    let helper = helper(ProducerClient::builder(), &running).build().unwrap();
    let consumer = subject(ConsumerClient::builder(), &running).build().unwrap();
    let log = Log::of(consumer.status());
    send(&helper, "before", BEFORE).await;
    let stream = soon(reader(&consumer, StartPosition::earliest()).open()).await.unwrap();
    let mut reading =
        Reading { consumer, stream, received: Vec::new(), last_offset: None, passing: 0, ended: None };
    for event in take(&mut reading.stream, BEFORE).await {
        reading.note(&event);
    }
    let start = log.len();

    let mut hurt = Hurt::begin(case, &mut running).await;
    let begin = clock();
    let sending = spawn({
        let helper = helper.clone();
        async move { send(&helper, "during", EACH).await }
    });
    hurt.returns(&mut running).await;
    while clock() - begin < HOLD && reading.ended.is_none() && reading.received.len() < BEFORE + EACH {
        let left = HOLD.saturating_sub(clock() - begin);
        match within(left, reading.step()).await {
            None => break,
            Some(outcome) if row.outcome.is_empty() => {
                row.outcome = outcome;
                row.settled = clock() - begin;
            }
            Some(_) => {}
        }
    }
    if let Some(error) = &reading.ended {
        // The end is what counts, whatever came before.
        row.outcome = code(error);
        row.settled = clock() - begin;
        row.expect(error.operation().is_some() && error.entity().is_some(), || {
            format!("what was tried? {error}")
        });
    } else if row.outcome.is_empty() {
        row.outcome = "waits".to_owned();
        row.settled = clock() - begin;
    }

    row.hits = hurt.heal(&mut running).await;
    let healed = clock();
    if reading.ended.is_some() {
        reading.reopen(row).await;
    }
    soon(sending).await;
    send(&helper, "after", EACH).await;
    let mut whole = contents(&running).await;
    let behind = reading.received.len();
    // Errors that pass tell the reader that attempts are used up; asked again, the stream goes on.
    let all = within(RECOVERY + GRACE, async {
        while reading.received.len() < whole.len() {
            let known = reading.received.len();
            reading.step().await;
            if known == behind && reading.received.len() > known {
                row.recovered = clock() - healed;
            }
            if reading.ended.is_some() {
                return;
            }
        }
    });
    let in_time = all.await.is_some();
    let (count, of) = (reading.received.len(), whole.len());
    row.expect(in_time, || format!("{count} of {of} events arrived"));
    let more = within(Duration::from_millis(150), reading.step()).await;
    row.expect(more.is_none(), || format!("more arrived than there is: {more:?}"));
    whole.truncate(count);
    let received = &reading.received;
    row.expect(*received == whole, || format!("received is {received:?}, stored is {whole:?}"));
    if reading.passing > 0 {
        row.remark = format!("{} errors that pass", reading.passing);
    }
    row.told = log.since(start);
    let health = reading.consumer.health();
    row.expect(health.is_healthy && matches!(health.state, Status::Connected), || format!("{health:?}"));
    soon(reading.consumer.close()).await;
    log.check(row).await;
}

impl Reading {
    /// The next thing that comes, in a word.
    async fn step(&mut self) -> String {
        match self.stream.next().await {
            Some(Ok(event)) => {
                self.note(&event);
                "received".to_owned()
            }
            Some(Err(error)) => {
                let text = code(&error);
                match error.is_transient() {
                    true => self.passing += 1,
                    false => self.ended = Some(error),
                }
                text
            }
            // Which it must not without an error.
            None => std::future::pending().await,
        }
    }

    /// The stream has ended: what a program does then that wants everything.
    async fn reopen(&mut self, row: &mut Row) {
        let Some(error) = self.ended.take() else { return };
        let is_gone = error.kind() == ErrorKind::InvalidPosition;
        if is_gone {
            // What was received is of a log that is no more.
            self.received.clear();
        }
        let position = match &self.last_offset {
            Some(offset) if !is_gone => StartPosition::offset(offset),
            _ => StartPosition::earliest(),
        };
        match within(RECOVERY + GRACE, reader(&self.consumer, position).open()).await {
            Some(Ok(stream)) => self.stream = stream,
            other => row.expect(false, || {
                format!("it cannot be opened again: {:?}", other.map(|opened| opened.err()))
            }),
        }
    }

    fn note(&mut self, event: &ReceivedEvent) {
        self.last_offset = Some(event.offset().to_owned());
        self.received.push(entry(event));
    }
}

/// A reader that has to say that it wants more after each event or so.
fn reader(consumer: &ConsumerClient, position: StartPosition) -> PartitionReader {
    consumer.partition(PARTITION).from(position).prefetch(4)
}

fn entry(event: &ReceivedEvent) -> (i64, String) {
    (event.sequence_number(), event.body_text().unwrap().trim_end().to_owned())
}

async fn send(producer: &ProducerClient, text: &str, count: usize) {
    for number in 0..count {
        let text = format!("{text} {number}{}", " ".repeat(100));
        soon(producer.send_with(text, SendOptions::to_partition(PARTITION))).await.unwrap();
    }
}

/// Everything that is in the log.
async fn contents(running: &Running) -> Vec<(i64, String)> {
    let consumer = helper(ConsumerClient::builder(), running).build().unwrap();
    let reader = consumer.partition(PARTITION).from(StartPosition::earliest());
    let mut events = soon(reader.open()).await.unwrap();
    let end = soon(consumer.partition_properties(PARTITION)).await.unwrap().last_enqueued_sequence_number;
    let mut whole: Vec<(i64, String)> = Vec::new();
    while whole.last().is_none_or(|(number, _)| *number < end) {
        whole.extend(soon(events.next_batch(100, ATTEMPT)).await.unwrap().iter().map(entry));
    }
    soon(consumer.close()).await;
    whole
}
