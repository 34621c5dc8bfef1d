//! What is measured: one function a mode.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};

use eventhubs::{
    BatchOptions, BufferedOptions, BufferedProducerClient, ConsumerClient, EnqueueOptions, EventData,
    EventStream, ProducerClient, SendOptions, StartPosition, Transport,
};
use futures::stream::{self, StreamExt, TryStreamExt};

/// Batches under way at a time: enough that the connection never waits for an answer.
const BATCHES: usize = 8;
/// Single events under way at a time, unless said otherwise.
const SINGLES: usize = 1_000;
/// Receipts that are kept before the oldest is waited for: more than a buffer holds, so that it has come.
const RECEIPTS: usize = 3_000;
/// Connections that are made at a time.
const DIALLED: usize = 50;
/// Events that are taken from a stream at a time.
const TAKEN: usize = 2_000;
/// Nothing for this long is a failure, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command line.
pub(crate) struct Arguments {
    connection_string: String,
    hub: String,
    mode: String,
    transport: Transport,
    partition: String,
    pub(crate) size: usize,
    pub(crate) count: usize,
    in_flight: usize,
    links: usize,
}

/// What one run measured.
pub(crate) struct Outcome {
    pub(crate) events: usize,
    pub(crate) elapsed: Duration,
    laps: Vec<Duration>,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut arguments = Arguments {
            connection_string: String::new(),
            hub: String::new(),
            mode: String::new(),
            transport: Transport::WebSocket,
            partition: "0".to_owned(),
            size: 1024,
            count: 100_000,
            in_flight: SINGLES,
            links: 1,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--connection-string" => arguments.connection_string = value,
                "--hub" => arguments.hub = value,
                "--mode" => arguments.mode = value,
                "--partition" => arguments.partition = value,
                "--size" => arguments.size = value.parse()?,
                "--count" => arguments.count = value.parse()?,
                "--in-flight" => arguments.in_flight = value.parse()?,
                "--links" => arguments.links = value.parse()?,
                "--transport" => {
                    arguments.transport = match value.as_str() {
                        "ws" => Transport::WebSocket,
                        "tcp" => Transport::Tcp,
                        other => return Err(format!("'{other}' is neither ws nor tcp").into()),
                    };
                }
                other => return Err(format!("there is no {other}").into()),
            }
        }
        Ok(arguments)
    }

    fn producer(&self) -> Result<ProducerClient, eventhubs::Error> {
        self.producer_that(false)
    }

    fn producer_that(&self, is_idempotent: bool) -> Result<ProducerClient, eventhubs::Error> {
        ProducerClient::builder()
            .idempotent(is_idempotent)
            .connection_string(&self.connection_string)
            .event_hub(&self.hub)
            .transport(self.transport)
            .build()
    }

    fn consumer(&self) -> Result<ConsumerClient, eventhubs::Error> {
        ConsumerClient::builder()
            .connection_string(&self.connection_string)
            .event_hub(&self.hub)
            .transport(self.transport)
            .build()
    }

    fn event(&self) -> EventData {
        EventData::new(vec![b'x'; self.size])
    }

    fn here(&self) -> SendOptions {
        SendOptions::to_partition(&self.partition)
    }
}

impl Outcome {
    fn since(start: Instant, events: usize) -> Self {
        Outcome { events, elapsed: start.elapsed(), laps: Vec::new() }
    }

    /// The fields of the line of JSON.
    pub(crate) fn fields(&self, arguments: &Arguments) -> String {
        let transport = if arguments.transport == Transport::Tcp { "tcp" } else { "ws" };
        let mut fields = format!(
            r#""peer":"eventhubs","transport":"{transport}","mode":"{}","size":{},"events":{},"seconds":{}"#,
            arguments.mode,
            arguments.size,
            self.events,
            self.elapsed.as_secs_f64()
        );
        let mut laps = self.laps.clone();
        laps.sort_unstable();
        if let Some(last) = laps.len().checked_sub(1) {
            let at = |share: f64| laps[(last as f64 * share).round() as usize].as_secs_f64() * 1e6;
            fields.push_str(&format!(r#","p50Micros":{},"p99Micros":{}"#, at(0.5), at(0.99)));
        }
        fields
    }
}

/// Runs the mode that was asked for; `None` where there is nothing to measure.
pub(crate) async fn run(arguments: &Arguments) -> Result<Option<Outcome>, Box<dyn Error>> {
    match arguments.mode.as_str() {
        "send" => send(arguments, &arguments.partition, arguments.count).await.map(Some),
        "receive" => receive(arguments).await.map(Some),
        "single" => single(arguments).await.map(Some),
        "latency" => latency(arguments).await.map(Some),
        "buffered" => buffered(arguments, false, false).await.map(Some),
        "buffered-receipts" => buffered(arguments, true, false).await.map(Some),
        "buffered-idempotent" => buffered(arguments, false, true).await.map(Some),
        "fill" => fill(arguments).await.map(Some),
        "links" => links(arguments).await.map(Some),
        "idle" => idle(arguments).await.map(|()| None),
        other => Err(format!("there is no mode '{other}'").into()),
    }
}

/// Full batches, some of them under way at a time.
async fn send(arguments: &Arguments, partition: &str, count: usize) -> Result<Outcome, Box<dyn Error>> {
    let producer = arguments.producer()?;
    let event = arguments.event();
    let options = || BatchOptions { partition_id: Some(partition.to_owned()), ..Default::default() };
    // Connects, and learns how much a batch takes.
    let mut first = producer.create_batch_with(options()).await?;
    let mut fits = 0;
    while first.try_add(&event)? {
        fits += 1;
    }
    let start = Instant::now();
    stream::iter((0..count).step_by(fits).map(|from| fits.min(count - from)))
        .map(|share| {
            let (producer, event) = (&producer, &event);
            async move {
                let mut batch = producer.create_batch_with(options()).await?;
                for _ in 0..share {
                    batch.try_add(event)?;
                }
                producer.send_batch(batch).await
            }
        })
        .buffer_unordered(BATCHES)
        .try_collect::<()>()
        .await?;
    let outcome = Outcome::since(start, count);
    producer.close().await;
    Ok(outcome)
}

/// One event a call, many under way.
async fn single(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let producer = arguments.producer()?;
    let event = arguments.event();
    producer.send_with(event.clone(), arguments.here()).await?;
    let start = Instant::now();
    stream::iter(0..arguments.count)
        .map(|_| producer.send_with(event.clone(), arguments.here()))
        .buffer_unordered(arguments.in_flight)
        .try_collect::<()>()
        .await?;
    let outcome = Outcome::since(start, arguments.count);
    producer.close().await;
    Ok(outcome)
}

/// One event a call, each after the answer to the one before.
async fn latency(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let producer = arguments.producer()?;
    let event = arguments.event();
    producer.send_with(event.clone(), arguments.here()).await?;
    let mut laps = Vec::with_capacity(arguments.count);
    let start = Instant::now();
    for _ in 0..arguments.count {
        let lap = Instant::now();
        producer.send_with(event.clone(), arguments.here()).await?;
        laps.push(lap.elapsed());
    }
    let outcome = Outcome { events: arguments.count, elapsed: start.elapsed(), laps };
    producer.close().await;
    Ok(outcome)
}

/// One event a call into a buffer, with the defaults, until all are acknowledged; with their receipts waited for, or dropped.
async fn buffered(
    arguments: &Arguments,
    waits_for_receipts: bool,
    is_idempotent: bool,
) -> Result<Outcome, Box<dyn Error>> {
    let producer = arguments.producer_that(is_idempotent)?;
    let producer = BufferedProducerClient::new(producer, BufferedOptions::default())?;
    let event = arguments.event();
    let here = || EnqueueOptions { partition_id: Some(arguments.partition.clone()), ..Default::default() };
    // Connects, and attaches the link.
    drop(producer.enqueue_with(event.clone(), here()).await?);
    producer.flush().await?;
    let mut receipts = VecDeque::with_capacity(RECEIPTS);
    let start = Instant::now();
    for _ in 0..arguments.count {
        let receipt = producer.enqueue_with(event.clone(), here()).await?;
        if waits_for_receipts {
            if receipts.len() == RECEIPTS
                && let Some(oldest) = receipts.pop_front()
            {
                oldest.await?;
            }
            receipts.push_back(receipt);
        }
    }
    producer.flush().await?;
    for receipt in receipts {
        receipt.await?;
    }
    let outcome = Outcome::since(start, arguments.count);
    producer.close().await?;
    Ok(outcome)
}

/// One partition from its start.
async fn receive(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let consumer = arguments.consumer()?;
    let stream = consumer.partition(&arguments.partition).from(StartPosition::earliest()).open().await?;
    let outcome = take(stream, arguments).await?;
    consumer.close().await;
    Ok(outcome)
}

/// Puts the events for `links` into as many partitions, all the same share.
async fn fill(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let start = Instant::now();
    let share = arguments.count / arguments.links;
    for partition in 0..arguments.links {
        send(arguments, &partition.to_string(), share).await?;
    }
    Ok(Outcome::since(start, share * arguments.links))
}

/// All partitions of a hub from their start, each by a link of its own.
async fn links(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let consumer = arguments.consumer()?;
    let stream = consumer.all_partitions().from(StartPosition::earliest()).open().await?;
    let open = stream.partition_ids().count();
    if open != arguments.links {
        return Err(format!("{open} links are open, {} were asked for", arguments.links).into());
    }
    let outcome = take(stream, arguments).await?;
    consumer.close().await;
    Ok(outcome)
}

/// From the first event's arrival to the last one's; looks at every body.
async fn take(mut stream: EventStream, arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let mut taken = 0;
    let mut start = Instant::now();
    while taken < arguments.count {
        let events = stream.next_batch(TAKEN.min(arguments.count - taken), PATIENCE).await?;
        if taken == 0 {
            start = Instant::now();
        }
        if events.is_empty() {
            return Err(format!("only {taken} of {} events arrived", arguments.count).into());
        }
        for event in &events {
            if event.body_bytes()?.len() != arguments.size {
                return Err(
                    format!("event {} of the partition has another size", event.sequence_number()).into()
                );
            }
        }
        taken += events.len();
    }
    Ok(Outcome::since(start, taken))
}

/// Connections that do nothing, until the input ends.
async fn idle(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let consumers: Vec<ConsumerClient> = stream::iter(0..arguments.count)
        .map(|_| async {
            let consumer = arguments.consumer()?;
            // Connects and authorizes.
            consumer.partition_properties(&arguments.partition).await?;
            Ok::<_, eventhubs::Error>(consumer)
        })
        .buffer_unordered(DIALLED)
        .try_collect()
        .await?;
    println!("{{\"connections\":{}}}", consumers.len());
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(())
}
