//! A consumer: one client, which reads some partitions or all of them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use eventhubs::model::moment::Moment;
use eventhubs::simulation::{Random, note, now, sleep, spawn, within};
use eventhubs::{
    ConsumerClient, Error, ErrorKind, EventStream, ReceivedEvent, RetryOptions, StartPosition, Timestamp,
};
use futures::future::{Either, select};

use super::event::Id;
use super::listener::Listener;
use super::plan::ConsumerPlan;
use super::{PARTITIONS, Scene};

struct Consumer {
    number: u32,
    client: ConsumerClient,
    options: Options,
    scene: Scene,
}

#[derive(Clone)]
struct Options {
    retry: RetryOptions,
    connect_timeout: Duration,
    idle_timeout: Duration,
    stall_timeout: Duration,
    pause: Duration,
    prefetch: Option<u32>,
}

/// Where a stream begins in a partition, and what may come first then.
struct Start {
    position: StartPosition,
    least: i64,
    /// Unless it depends on when the service looks.
    most: Option<i64>,
}

pub async fn work(number: u32, plan: ConsumerPlan, scene: Scene) {
    let options = Options {
        retry: plan.options.retry.clone(),
        connect_timeout: plan.options.connect_timeout,
        idle_timeout: plan.options.idle_timeout,
        stall_timeout: plan.options.stall_timeout,
        pause: plan.pause,
        prefetch: plan.prefetch,
    };
    let client = ConsumerClient::builder()
        .connection_string(scene.service.connection_string())
        .options(plan.options)
        .consumer_group(format!("group-{number}"))
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return scene.wrong(format!("no client is made: {error}")),
    };
    let listener = Listener::to(100 + u64::from(number), client.status());
    let patience = (options.idle_timeout * 2).max(options.stall_timeout * 12)
        + options.retry.attempt_timeout
        + Duration::from_secs(30);
    let _ = spawn("watches", watch(number, patience, listener, scene.clone()));
    sleep(plan.delay).await;
    let mut random = plan.random;
    let streams: Vec<Option<Vec<u32>>> = match plan.partitions {
        None => vec![None],
        Some(partitions) => partitions.into_iter().map(|partition| Some(vec![partition])).collect(),
    };
    let tasks: Vec<_> = (0..)
        .zip(streams)
        .map(|(stream, partitions)| {
            let consumer =
                Consumer { number, client: client.clone(), options: options.clone(), scene: scene.clone() };
            spawn("reader", consumer.read(partitions, random.fork(stream)))
        })
        .collect();
    let is_early = plan.is_closed && random.chance(50);
    if !is_early {
        for task in tasks {
            task.join().await;
        }
        if plan.is_closed {
            close(&client, number, &scene).await;
        }
        return;
    }
    // Closed under the streams: they end.
    scene.done.wait().await;
    close(&client, number, &scene).await;
    for task in tasks {
        task.join().await;
    }
}

/// Sees to it that nothing is held up without a word.
async fn watch(number: u32, patience: Duration, listener: Listener, scene: Scene) {
    const STEP: Duration = Duration::from_secs(5);
    let mut waiting: BTreeMap<usize, (i64, Moment)> = BTreeMap::new();
    while within(STEP, scene.done.wait()).await.is_none() {
        let lags = scene.ledger.borrow().lags(scene.service.store());
        let lags: Vec<_> = lags.into_iter().filter(|(_, consumer, ..)| *consumer == number).collect();
        waiting.retain(|reading, _| lags.iter().any(|(lagging, ..)| lagging == reading));
        for (reading, _, partition, next) in lags {
            let (before, since) = *waiting.entry(reading).or_insert((next, now()));
            if before != next || listener.has_told(since) {
                waiting.insert(reading, (next, now()));
            } else if now() - since > patience {
                waiting.insert(reading, (next, now()));
                scene.wrong(format!(
                    "consumer {number} is silent: event {next} of partition {partition} lies there for {:?}",
                    now() - since
                ));
            }
        }
    }
}

async fn close(client: &ConsumerClient, number: u32, scene: &Scene) {
    let closing = now();
    if within(Duration::from_secs(10), client.close()).await.is_none() {
        scene.wrong(format!("consumer {number} does not close"));
    }
    scene.ledger.borrow_mut().check_time("closing a consumer", closing, Duration::from_secs(3));
}

impl Consumer {
    async fn read(self, partitions: Option<Vec<u32>>, mut random: Random) {
        let ids = partitions.clone().unwrap_or_else(|| (0..PARTITIONS).collect());
        let mut starts: Vec<Start> =
            ids.iter().map(|partition| self.start(*partition, &mut random)).collect();
        let mut readings: Vec<usize> = Vec::new();
        loop {
            let Some(stream) = self.open_some_time(partitions.as_deref(), &ids, &starts).await else {
                return;
            };
            self.begins(&ids, &starts, &mut readings);
            if self.take(stream, &ids, &readings, &mut random).await {
                return;
            }
            for (start, reading) in starts.iter_mut().zip(&readings) {
                if let Some(last) = self.scene.ledger.borrow().last_taken(*reading) {
                    let next = Some(last + 1);
                    let position = StartPosition::sequence_number(last);
                    *start = Start { position, least: last + 1, most: next };
                }
            }
        }
    }

    /// A stream has been opened: the first, or one that goes on where another failed.
    fn begins(&self, ids: &[u32], starts: &[Start], readings: &mut Vec<usize>) {
        let mut ledger = self.scene.ledger.borrow_mut();
        let is_first = readings.is_empty();
        for (at, (partition, start)) in ids.iter().zip(starts).enumerate() {
            let last = || self.scene.service.store().last_sequence(*partition);
            let most = start.most.unwrap_or_else(|| last() + 1);
            match is_first {
                true => readings.push(ledger.reads(self.number, *partition, start.least, most)),
                false => ledger.goes_on(readings[at], most),
            }
        }
    }

    /// Opens a stream, however often that fails.
    async fn open_some_time(
        &self,
        partitions: Option<&[u32]>,
        ids: &[u32],
        starts: &[Start],
    ) -> Option<EventStream> {
        loop {
            let started = now();
            let is_settled = self.scene.ledger.borrow().is_settled(started);
            let opened = self.open(partitions, ids, starts).await;
            self.scene.ledger.borrow_mut().check_time("opening a stream", started, self.open_deadline());
            match opened {
                Ok(stream) => return Some(stream),
                Err(_) if self.scene.done.is_given() => return None,
                Err(error) => self.failed(&error, is_settled),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn open(
        &self,
        partitions: Option<&[u32]>,
        ids: &[u32],
        starts: &[Start],
    ) -> Result<EventStream, Error> {
        match partitions {
            None => {
                let mut reader = self.client.all_partitions();
                for (partition, start) in ids.iter().zip(starts) {
                    reader = reader.from_in(partition.to_string(), start.position.clone());
                }
                if let Some(prefetch) = self.options.prefetch {
                    reader = reader.prefetch(prefetch);
                }
                reader.open().await
            }
            Some(_) => {
                let mut reader = self.client.partition(ids[0].to_string()).from(starts[0].position.clone());
                if let Some(prefetch) = self.options.prefetch {
                    reader = reader.prefetch(prefetch);
                }
                reader.open().await
            }
        }
    }

    /// Takes events until all is done; whether it is. If not, the stream has failed for good, as it may.
    async fn take(
        &self,
        mut stream: EventStream,
        ids: &[u32],
        readings: &[usize],
        random: &mut Random,
    ) -> bool {
        let mut is_closed = false;
        loop {
            let is_settled = self.scene.ledger.borrow().is_settled(now());
            // Some take one by one, some many at once, some change their mind while they wait.
            let step = random.below(10);
            let patience = Duration::from_micros(random.below(20_000));
            let taken = {
                let next = pin!(async {
                    match step {
                        0..6 => stream.next().await.map(|event| event.map(|event| vec![event])),
                        6..8 => Some(stream.next_batch(50, Duration::from_millis(200)).await),
                        _ => match within(patience, stream.next()).await {
                            Some(next) => next.map(|event| event.map(|event| vec![event])),
                            None => Some(Ok(Vec::new())),
                        },
                    }
                });
                match is_closed {
                    true => match within(Duration::from_secs(5), next).await {
                        Some(taken) => taken,
                        None => {
                            self.scene.wrong(format!("a stream of consumer {} does not end", self.number));
                            return true;
                        }
                    },
                    false => match select(next, pin!(self.scene.done.wait())).await {
                        Either::Left((taken, _)) => taken,
                        Either::Right(_) => {
                            // What its client's being closed does to it is seen by some.
                            if random.chance(50) {
                                return true;
                            }
                            self.client.close().await;
                            is_closed = true;
                            continue;
                        }
                    },
                }
            };
            match taken {
                Some(Ok(events)) => {
                    for event in events {
                        self.took(&event, ids, readings);
                    }
                }
                Some(Err(error)) if error.kind() == ErrorKind::Closed && self.scene.done.is_given() => {
                    is_closed = true;
                }
                Some(Err(error)) => {
                    self.failed(&error, is_settled);
                    if self.scene.ledger.borrow().may_end(&error) && !is_closed {
                        return false;
                    }
                }
                None if self.scene.done.is_given() => return true,
                None => {
                    self.scene.wrong(format!("a stream of consumer {} ends", self.number));
                    return true;
                }
            }
            let pause = match self.scene.calm.is_given() {
                true => 0,
                false => random.below(self.options.pause.as_micros() as u64 + 1),
            };
            if pause > 0 {
                sleep(Duration::from_micros(pause)).await;
            }
        }
    }

    fn took(&self, event: &ReceivedEvent, ids: &[u32], readings: &[usize]) {
        let place = ids.iter().position(|id| id.to_string() == event.partition_id());
        let Some(place) = place else {
            return self
                .scene
                .wrong(format!("an event of partition '{}' was not asked for", event.partition_id()));
        };
        let id = event.body_bytes().ok().and_then(|body| Id::of(&body));
        note(
            "takes",
            u64::from(self.number) * 10 + u64::from(ids[place]),
            event.sequence_number() as u64,
            || "",
        );
        self.scene.ledger.borrow_mut().takes(readings[place], event.sequence_number(), id);
    }

    fn failed(&self, error: &Error, is_settled: bool) {
        self.scene.ledger.borrow_mut().figures.failed_reads += 1;
        note("fails", 100 + u64::from(self.number), 0, || error.to_string());
        if !error.is_transient() && !self.scene.ledger.borrow().may_end(error) {
            self.scene.wrong(format!(
                "consumer {}: a passing failure is told as a final one: {error}",
                self.number
            ));
        } else if is_settled {
            self.scene.wrong(format!("consumer {} fails under a clear sky: {error}", self.number));
        }
    }

    /// Somewhere in what is stored now, or at an end of it.
    fn start(&self, partition: u32, random: &mut Random) -> Start {
        let events = self.scene.service.store().events(partition);
        let next = events.len() as i64;
        let exactly = |position, first| Start { position, least: first, most: Some(first) };
        let kind = random.below(10);
        if events.is_empty() || kind < 4 {
            return match kind {
                3 => Start { position: StartPosition::latest(), least: next, most: None },
                _ => exactly(StartPosition::earliest(), 0),
            };
        }
        let event = random.pick(&events);
        let sequence = event.sequence;
        match kind {
            4 => Start { position: StartPosition::latest(), least: next, most: None },
            5 => exactly(StartPosition::sequence_number(sequence), sequence + 1),
            6 => exactly(StartPosition::sequence_number(sequence).inclusive(), sequence),
            7 => exactly(StartPosition::offset(event.offset.to_string()), sequence + 1),
            8 => exactly(StartPosition::offset(event.offset.to_string()).inclusive(), sequence),
            _ => {
                let time = StartPosition::enqueued_time(Timestamp::from_millis(event.enqueued));
                // Those of the same millisecond are not later.
                let later = events.iter().find(|other| other.enqueued > event.enqueued);
                let least = later.map_or(next, |later| later.sequence);
                // What comes within the same millisecond is not later either.
                let most = if later.is_some() { Some(least) } else { None };
                Start { position: time, least, most }
            }
        }
    }

    /// Opening asks for the partitions, a token, and the links, each of which may be tried as often as allowed.
    fn open_deadline(&self) -> Duration {
        let Options { retry, connect_timeout, .. } = &self.options;
        let attempt = *connect_timeout + retry.attempt_timeout * 3 + retry.max_delay + Duration::from_secs(5);
        attempt * retry.max_attempts * 2
    }
}
