//! A producer: one client, used in every way there is.

use std::future::Future;
use std::time::Duration;

use eventhubs::simulation::{Random, note, now, sleep, within};
use eventhubs::{BatchOptions, Error, ErrorKind, EventData, ProducerClient, RetryOptions, SendOptions};
use futures::StreamExt;
use futures::stream::FuturesOrdered;

use super::event::{Id, length};
use super::ledger::{Copies, Fate, Form, Target};
use super::listener::Listener;
use super::plan::{Habit, ProducerPlan};
use super::{PARTITIONS, Scene};

struct Producer {
    number: u8,
    client: ProducerClient,
    retry: RetryOptions,
    is_idempotent: bool,
    random: Random,
    scene: Scene,
    listener: Listener,
    /// How long it may be without a word about why nothing goes on.
    patience: Duration,
    /// Events so far, and calls.
    sent: u32,
    turn: u32,
}

pub async fn work(number: u8, plan: ProducerPlan, scene: Scene) {
    let retry = plan.options.retry.clone();
    let patience = retry.attempt_timeout + plan.options.idle_timeout * 2 + Duration::from_secs(10);
    let client = ProducerClient::builder()
        .connection_string(scene.service.connection_string())
        .options(plan.options)
        .idempotent(plan.is_idempotent)
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return scene.wrong(format!("no client is made: {error}")),
    };
    let listener = Listener::to(number.into(), client.status());
    let mut producer = Producer {
        number,
        client,
        retry,
        is_idempotent: plan.is_idempotent,
        random: plan.random,
        scene,
        listener,
        patience,
        sent: 0,
        turn: 0,
    };
    let mut is_seen_after_storm = false;
    loop {
        if producer.sent >= plan.events {
            if is_seen_after_storm {
                break;
            }
            // A last word under a clear sky: whatever happened, the client works.
            producer.scene.calm.wait().await;
            sleep(super::RECOVERY + Duration::from_secs(1)).await;
            is_seen_after_storm = true;
        }
        let habit = match plan.habit {
            _ if is_seen_after_storm => 0,
            Habit::Mixed => producer.random.below(16),
            Habit::Single => 0,
            Habit::Pipelined => 3,
            Habit::Batches => 6,
        };
        producer.turn += 1;
        match habit {
            0..3 => producer.one().await,
            3..6 => producer.many().await,
            6..9 => producer.batch().await,
            9..12 => producer.all().await,
            12..14 => producer.given_up().await,
            14 => producer.too_large().await,
            _ => producer.properties().await,
        }
        let pause = producer.random.below(plan.pause.as_micros() as u64 + 1);
        if pause > 0 {
            sleep(Duration::from_micros(pause)).await;
        }
    }
    let health = producer.client.health();
    if !health.is_healthy {
        producer.scene.wrong(format!("producer {number} is not healthy under a clear sky: {health:?}"));
    }
    if plan.is_closed {
        let closing = now();
        if within(Duration::from_secs(10), producer.client.close()).await.is_none() {
            producer.scene.wrong(format!("producer {number} does not close"));
        }
        let mut ledger = producer.scene.ledger.borrow_mut();
        ledger.check_time("closing a producer", closing, Duration::from_secs(3));
    }
}

impl Producer {
    async fn one(&mut self) {
        let target = self.target();
        let (id, event) = self.event(&target);
        let call = self.begins(Form::Loose, vec![(id, target.clone())]);
        let client = self.client.clone();
        let sent = self.timed("a send", 1, client.send_with(event, options(&target))).await;
        self.ends(call, sent);
    }

    /// Several calls at once, whose events stay in order.
    async fn many(&mut self) {
        let target = self.target();
        let count = self.random.between(2, 40);
        let client = self.client.clone();
        let (mut calls, mut sends) = (Vec::new(), FuturesOrdered::new());
        for _ in 0..count {
            let (id, event) = self.event(&target);
            calls.push(self.begins(Form::Loose, vec![(id, target.clone())]));
            let (client, options) = (client.clone(), options(&target));
            sends.push_back(async move { client.send_with(event, options).await });
        }
        let results: Vec<_> = self.timed_any("concurrent sends", 1, sends.collect()).await;
        for (call, sent) in calls.into_iter().zip(results) {
            self.ends(call, sent);
        }
    }

    async fn batch(&mut self) {
        let target = self.target();
        let count = self.random.between(1, 60);
        let mut batch_options = BatchOptions::default();
        match &target {
            Target::Partition(partition) => batch_options.partition_id = Some(partition.to_string()),
            Target::Key(key) => batch_options.partition_key = Some(key.clone()),
            Target::Any => {}
        }
        let client = self.client.clone();
        let made = self.timed("making a batch", 1, client.create_batch_with(batch_options)).await;
        let mut batch = match made {
            Ok(batch) => batch,
            Err(error) => return self.failed(&error),
        };
        let mut events = Vec::new();
        for _ in 0..count {
            let (id, mut event) = self.event(&target);
            if let Target::Key(key) = &target {
                event = event.with_partition_key(key.clone());
            }
            match batch.try_add(&event) {
                Ok(true) => events.push((id, target.clone())),
                Ok(false) => break,
                Err(error) => return self.scene.wrong(format!("an event does not go into a batch: {error}")),
            }
        }
        let call = self.begins(Form::Batch, events);
        let sent = self.timed("sending a batch", 1, client.send_batch(batch)).await;
        self.ends(call, sent);
    }

    async fn all(&mut self) {
        let count = self.random.between(1, 80);
        let is_keyed = self.random.chance(60) && !self.is_idempotent;
        let target = if is_keyed { Target::Any } else { self.target() };
        let (mut events, mut data) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let own = if is_keyed { self.key() } else { target.clone() };
            let (id, mut event) = self.event(&own);
            if let (true, Target::Key(key)) = (is_keyed, &own) {
                event = event.with_partition_key(key.clone());
            }
            events.push((id, own));
            data.push(event);
        }
        let call = self.begins(Form::Loose, events);
        let client = self.client.clone();
        let sent = self.timed("sending all", count as u32 + 1, client.send_all(data, options(&target))).await;
        if let Ok(sent) = &sent
            && *sent != count as usize
        {
            self.scene.wrong(format!("{sent} of {count} events were sent"));
        }
        match sent {
            Ok(_) => self.ends(call, Ok(())),
            Err(error) => {
                // Some of its batches may have got through before one failed.
                self.failed(&error);
                self.scene.ledger.borrow_mut().ends(call, Fate::Unknown);
            }
        }
    }

    /// A call that its caller loses interest in.
    async fn given_up(&mut self) {
        let target = self.target();
        let (id, event) = self.event(&target);
        let call = self.begins(Form::Loose, vec![(id, target.clone())]);
        let client = self.client.clone();
        let patience = Duration::from_micros(self.random.below(30_000));
        match within(patience, client.send_with(event, options(&target))).await {
            Some(sent) => self.ends(call, sent),
            None => self.scene.ledger.borrow_mut().ends(call, Fate::Unknown),
        }
    }

    async fn too_large(&mut self) {
        let target = self.target();
        let (id, _) = self.event(&target);
        let call = self.begins(Form::Loose, vec![(id, target.clone())]);
        let client = self.client.clone();
        let event = EventData::from(id.body(1 << 20));
        let sent = self.timed("a send that is too large", 1, client.send_with(event, options(&target))).await;
        match &sent {
            Ok(()) => self.scene.wrong(format!("{id:?} is too large and was sent")),
            Err(error) if error.kind() == ErrorKind::MessageTooLarge => {
                self.scene.ledger.borrow_mut().ends(call, Fate::Refused);
            }
            Err(_) => self.ends(call, sent),
        }
    }

    async fn properties(&mut self) {
        let client = self.client.clone();
        let partition = self.random.below(PARTITIONS.into()).to_string();
        let told = self.timed("asking for properties", 1, client.partition_properties(&partition)).await;
        if let Err(error) = told {
            self.failed(&error);
        }
    }

    fn event(&mut self, _target: &Target) -> (Id, EventData) {
        let id = Id { producer: self.number, number: self.sent };
        self.sent += 1;
        (id, EventData::from(id.body(length(&mut self.random))))
    }

    fn target(&mut self) -> Target {
        match self.random.below(10) {
            // Numbers are a partition's, so somebody has to say which.
            0..10 if self.is_idempotent => Target::Partition(self.random.below(PARTITIONS.into()) as u32),
            0..5 => Target::Partition(self.random.below(PARTITIONS.into()) as u32),
            5..8 => self.key(),
            _ => Target::Any,
        }
    }

    fn key(&mut self) -> Target {
        Target::Key(format!("key-{}", self.random.below(6)))
    }

    fn begins(&self, form: Form, events: Vec<(Id, Target)>) -> usize {
        let copies = copies(self.is_idempotent, &self.retry);
        self.scene.ledger.borrow_mut().begins(self.turn, form, events, copies)
    }

    fn ends(&self, call: usize, sent: Result<(), Error>) {
        let fate = match &sent {
            Ok(()) => Fate::Acknowledged,
            Err(error) => {
                self.failed(error);
                match error.kind() {
                    ErrorKind::MessageTooLarge | ErrorKind::InvalidArgument | ErrorKind::NotFound => {
                        Fate::Refused
                    }
                    _ => Fate::Unknown,
                }
            }
        };
        self.scene.ledger.borrow_mut().ends(call, fate);
    }

    fn failed(&self, error: &Error) {
        self.scene.ledger.borrow_mut().figures.failed_calls += 1;
        note("fails", self.number.into(), 0, || error.to_string());
        if !error.is_transient() && !self.scene.ledger.borrow().may_end(error) {
            self.scene.wrong(format!(
                "producer {}: a passing failure is told as a final one: {error}",
                self.number
            ));
        }
    }

    /// Waits for a call that consists of `parts`, each with the deadline that the retry options promise.
    async fn timed<T>(
        &self,
        what: &str,
        parts: u32,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let started = now();
        let is_settled = self.scene.ledger.borrow().is_settled(started);
        let result = self.timed_any(what, parts, call).await;
        if let (true, Err(error)) = (is_settled && error_is_not_size(&result), &result) {
            self.scene.wrong(format!("producer {}: {what} fails under a clear sky: {error}", self.number));
        }
        result
    }

    async fn timed_any<T>(&self, what: &str, parts: u32, call: impl Future<Output = T>) -> T {
        let started = now();
        let result = call.await;
        let patience = self.patience * parts;
        if now() - started > patience && !self.listener.has_told(started) {
            let took = now() - started;
            self.scene.wrong(format!("producer {} is silent while {what} takes {took:?}", self.number));
        }
        // Who waits is connected again without being asked, after a pause that the options or the service decide about.
        let gap = self.listener.longest_gap(started);
        if gap > self.retry.max_delay + BUSY + Duration::from_secs(1) {
            self.scene.wrong(format!(
                "producer {} makes no connection for {gap:?} although {what} waits for one",
                self.number
            ));
        }
        let limit = deadline(&self.retry) * parts + Duration::from_secs(1);
        self.scene.ledger.borrow_mut().check_time(what, started, limit);
        result
    }
}

/// What is added to a pause when the service asks to slow down.
const BUSY: Duration = Duration::from_secs(4);

/// How often an event may be stored.
pub fn copies(is_idempotent: bool, retry: &RetryOptions) -> Copies {
    if is_idempotent { Copies::One } else { Copies::Attempts(retry.max_attempts) }
}

/// How long a call may take, as [`RetryOptions`] say.
pub fn deadline(retry: &RetryOptions) -> Duration {
    let attempts = (retry.attempt_timeout + retry.max_delay + BUSY) * retry.max_attempts;
    retry.total_deadline.unwrap_or(attempts)
}

fn error_is_not_size<T>(result: &Result<T, Error>) -> bool {
    result.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::MessageTooLarge)
}

fn options(target: &Target) -> SendOptions {
    match target {
        Target::Partition(partition) => SendOptions::to_partition(partition.to_string()),
        Target::Key(key) => SendOptions::with_key(key.clone()),
        Target::Any => SendOptions::default(),
    }
}
