//! A buffered producer: whatever happens on the way, each event's receipt has an end, and each partition keeps the order.

use std::time::Duration;

use eventhubs::simulation::{Random, note, now, sleep, within};
use eventhubs::{
    BufferedOptions, BufferedProducerClient, EnqueueOptions, Error, EventData, ProducerClient, Receipt,
    RetryOptions,
};
use futures::FutureExt;
use futures::future::join_all;

use super::event::{Id, length};
use super::ledger::{Copies, Fate, Form, Target};
use super::plan::ProducerPlan;
use super::producers::{copies, deadline};
use super::{PARTITIONS, RECOVERY, Scene};

struct Producer {
    number: u8,
    client: BufferedProducerClient,
    retry: RetryOptions,
    copies: Copies,
    random: Random,
    scene: Scene,
    /// Calls whose events are in the buffer, or on their way.
    open: Vec<(usize, Receipt)>,
    sent: u32,
    /// Every call is one of its own: no two of them may change places.
    turn: u32,
}

pub async fn work(number: u8, plan: ProducerPlan, scene: Scene) {
    let (retry, mut random) = (plan.options.retry.clone(), plan.random);
    let client = ProducerClient::builder()
        .connection_string(scene.service.connection_string())
        .options(plan.options)
        .idempotent(plan.is_idempotent)
        .build();
    let options = BufferedOptions {
        max_wait_time: Duration::from_millis(*random.pick(&[0, 1, 50, 1000])),
        max_buffered_events_per_partition: *random.pick(&[1, 4, 50, 1500]),
        max_buffered_bytes: *random.pick(&[2_000, 4 << 20, 4 << 20]),
        max_concurrent_sends: *random.pick(&[1, 2, 32]),
        max_concurrent_sends_per_partition: None,
    };
    let client = match client.and_then(|client| BufferedProducerClient::new(client, options)) {
        Ok(client) => client,
        Err(error) => return scene.wrong(format!("no client is made: {error}")),
    };
    let copies = copies(plan.is_idempotent, &retry);
    let mut producer =
        Producer { number, client, retry, copies, random, scene, open: Vec::new(), sent: 0, turn: 0 };
    while producer.sent < plan.events {
        match producer.random.below(20) {
            0..10 => producer.one().await,
            10..15 => producer.many().await,
            15..17 => producer.given_up().await,
            17 => producer.oldest().await,
            _ => producer.flush().await,
        }
        let pause = producer.random.below(plan.pause.as_micros() as u64 + 1);
        if pause > 0 {
            sleep(Duration::from_micros(pause)).await;
        }
    }
    producer.flush().await;
    producer.last_word().await;
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
        let (call, event, options) = self.event();
        let entered = self.client.enqueue_with(event, options).await;
        self.entered(call, entered);
    }

    /// Several at once, which find room in the order in which they ask for it.
    async fn many(&mut self) {
        let count = self.random.between(2, 40);
        let events: Vec<_> = (0..count).map(|_| self.event()).collect();
        let client = self.client.clone();
        let calls = events.into_iter().map(|(call, event, options)| {
            let client = client.clone();
            async move { (call, client.enqueue_with(event, options).await) }
        });
        for (call, entered) in join_all(calls).await {
            self.entered(call, entered);
        }
    }

    /// Who gives up waiting for room has not enqueued anything.
    async fn given_up(&mut self) {
        let (call, event, options) = self.event();
        let patience = Duration::from_micros(self.random.below(30_000));
        match within(patience, self.client.enqueue_with(event, options)).await {
            Some(entered) => self.entered(call, entered),
            None => self.scene.ledger.borrow_mut().ends(call, Fate::Refused),
        }
    }

    async fn oldest(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let (call, receipt) = self.open.remove(0);
        let end = receipt.await;
        self.ends(call, end);
    }

    /// Behind a flush every receipt of before has come to its end.
    async fn flush(&mut self) {
        if let Err(error) = self.client.flush().await {
            self.scene.wrong(format!("producer {} cannot flush: {error}", self.number));
        }
        for (call, receipt) in std::mem::take(&mut self.open) {
            match receipt.now_or_never() {
                Some(end) => self.ends(call, end),
                None => self.scene.wrong(format!("producer {}: a flush does not end a receipt", self.number)),
            }
        }
    }

    /// Under a clear sky: whatever happened, the client works.
    async fn last_word(&mut self) {
        self.scene.calm.wait().await;
        sleep(RECOVERY + Duration::from_secs(1)).await;
        let started = now();
        let failed = self.scene.ledger.borrow().figures.failed_calls;
        self.one().await;
        self.flush().await;
        let limit = deadline(&self.retry) + Duration::from_secs(2);
        self.scene.ledger.borrow_mut().check_time("a flush under a clear sky", started, limit);
        let health = self.client.producer().health();
        if !health.is_healthy || self.client.total_buffered_event_count() > 0 {
            self.scene
                .wrong(format!("producer {} is not healthy under a clear sky: {health:?}", self.number));
        }
        // Others may fail at the same time, but not now.
        if self.scene.ledger.borrow().figures.failed_calls > failed {
            self.scene.wrong(format!("producer {}: something fails under a clear sky", self.number));
        }
    }

    fn event(&mut self) -> (usize, EventData, EnqueueOptions) {
        let id = Id { producer: self.number, number: self.sent };
        self.sent += 1;
        self.turn += 1;
        let (target, options) = match self.random.below(10) {
            0..5 => {
                let partition = self.random.below(PARTITIONS.into()) as u32;
                let partition_id = Some(partition.to_string());
                (Target::Partition(partition), EnqueueOptions { partition_id, ..Default::default() })
            }
            5..8 => {
                let key = format!("key-{}", self.random.below(6));
                let partition_key = Some(key.clone());
                (Target::Key(key), EnqueueOptions { partition_key, ..Default::default() })
            }
            _ => (Target::Any, EnqueueOptions::default()),
        };
        let event = EventData::from(id.body(length(&mut self.random)));
        let mut ledger = self.scene.ledger.borrow_mut();
        let call = ledger.begins(self.turn, Form::Loose, vec![(id, target)], self.copies);
        (call, event, options)
    }

    fn entered(&mut self, call: usize, entered: Result<Receipt, Error>) {
        match entered {
            Ok(receipt) => self.open.push((call, receipt)),
            Err(error) => {
                self.failed(&error);
                self.scene.ledger.borrow_mut().ends(call, Fate::Refused);
            }
        }
    }

    fn ends(&self, call: usize, end: Result<String, Error>) {
        let fate = match &end {
            Ok(partition) => {
                self.scene.ledger.borrow_mut().was_told(call, partition);
                Fate::Acknowledged
            }
            Err(error) => {
                self.failed(error);
                if error.outcome_unknown() { Fate::Unknown } else { Fate::Refused }
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
}
