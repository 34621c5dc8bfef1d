//! The task that sends what waits.
//!
//! Each partition is a lane with one batch under way at a time, so that order is kept, whatever is sent again. Lanes do not wait for each
//! other, but their records reach the disk together.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::core::Core;
use super::journal::Urgency;
use super::ledger::Identity;
use super::record::{Batch, Entry, Record};
use super::routing::{LOST, find_partitions, route};
use super::wire::{Fate, Wire, fate};
use crate::dialect::codec::decode_event;
use crate::error::{Error, ErrorKind};
use crate::producer::EventBatch;
use crate::runtime::{BoxFuture, Timer, now, random_bytes};

/// Events in a batch at most: what is said about a batch in the journal stays short.
const MAX_BATCH_EVENTS: usize = 4096;
/// The pauses between attempts to send the same batch; the client has made its own attempts before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a batch that is under way may take when the outbox is closed.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);

/// Sends until the outbox is closed.
pub(super) async fn run(core: Arc<Core>, wire: Arc<Wire>) {
    Pump { core: core.clone(), wire, lanes: FuturesUnordered::new(), running: BTreeSet::new(), turn: 0 }
        .run()
        .await;
    // Nothing is told to the journal behind this.
    core.close_journal().await;
    core.tell(|state| state.is_pump_gone = true);
}

struct Pump {
    core: Arc<Core>,
    wire: Arc<Wire>,
    lanes: FuturesUnordered<BoxFuture<'static, String>>,
    running: BTreeSet<String>,
    /// Whose turn it is to get keyless events.
    turn: usize,
}

impl Pump {
    async fn run(mut self) {
        let Some(partitions) = self.partitions().await else { return };
        self.core.lock().partitions = partitions;
        let busy = self.core.lock().ledger.busy_partitions();
        for partition in busy {
            self.start(partition);
        }
        while self.work().await {}
        // What is under way is answered, if that does not take long, so that it need not be sent again.
        let mut timer = Timer::default();
        let deadline = now() + CLOSING_PATIENCE;
        poll_fn(|cx| match self.lanes.poll_next_unpin(cx) {
            Poll::Ready(None) => Poll::Ready(()),
            Poll::Ready(Some(_)) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => timer.poll_until(deadline, cx),
        })
        .await;
    }

    /// The hub's partitions, asked for when the first event waits.
    async fn partitions(&mut self) -> Option<Vec<String>> {
        let mut failed = 0;
        loop {
            let core = self.core.clone();
            let is_wanted = core
                .until(|state| {
                    let (events, _) = state.ledger.size();
                    (state.is_closing || events > 0).then_some(!state.is_closing)
                })
                .await;
            if !is_wanted {
                return None;
            }
            let error = match unless_closing(&self.core, self.wire.partition_ids()).await? {
                Ok(partitions) => return Some(partitions),
                Err(error) => error,
            };
            note(&self.core, error);
            failed += 1;
            unless_closing(&self.core, pause(failed)).await?;
        }
    }

    /// Goes on with what is ready; false when the outbox is closed.
    async fn work(&mut self) -> bool {
        let is_open = poll_fn(|cx| {
            self.core.pump.register(cx.waker());
            let (is_closing, has_arrivals) = {
                let state = self.core.lock();
                (state.is_closing, !state.arrived.is_empty())
            };
            if is_closing {
                return Poll::Ready(false);
            }
            if has_arrivals {
                return Poll::Ready(true);
            }
            match self.lanes.poll_next_unpin(cx) {
                Poll::Ready(Some(partition)) => {
                    self.running.remove(&partition);
                    Poll::Ready(true)
                }
                _ => Poll::Pending,
            }
        })
        .await;
        if is_open {
            route(&mut self.core.lock(), &mut self.turn);
            self.find();
            let waiting: Vec<_> = {
                let state = self.core.lock();
                let queues = state.queues.iter().filter(|(_, queue)| !queue.is_empty());
                queues.map(|(partition, _)| partition.clone()).collect()
            };
            waiting.into_iter().for_each(|partition| self.start(partition));
        }
        is_open
    }

    fn start(&mut self, partition: String) {
        if self.running.insert(partition.clone()) {
            self.lanes.push(Box::pin(lane(self.core.clone(), self.wire.clone(), partition)));
        }
    }

    /// Has it looked, on the side, what becomes of events for partitions that are not known: neither the service nor the disk must hold up
    /// the others.
    fn find(&mut self) {
        if !self.core.lock().lost.is_empty() && self.running.insert(LOST.to_owned()) {
            self.lanes.push(Box::pin(find_partitions(self.core.clone(), self.wire.clone())));
        }
    }
}

/// Sends what waits for one partition, batch by batch, until nothing does or the outbox is closed.
async fn lane(core: Arc<Core>, wire: Arc<Wire>, partition: String) -> String {
    let mut failed = 0;
    while !core.lock().is_closing {
        match step(&core, &wire, &partition).await {
            Ok(true) => failed = 0,
            Ok(false) => break,
            Err(error) => {
                failed += 1;
                note(&core, error);
                if unless_closing(&core, pause(failed)).await.is_none() {
                    break;
                }
            }
        }
    }
    partition
}

/// One batch; false when there is nothing to send.
async fn step(core: &Arc<Core>, wire: &Wire, partition: &str) -> Result<bool, Error> {
    let under_way = core.lock().ledger.batch(partition).cloned();
    let (batch, encoded) = match under_way {
        // It is another producer's kind: the options have changed.
        Some(batch) if batch.first.is_some() != wire.is_numbered => {
            return dissolve(core, &batch, false).await.map(|()| true);
        }
        Some(batch) => match encoded_again(core, wire, &batch).await? {
            Some(encoded) => (batch, encoded),
            None => return dissolve(core, &batch, false).await.map(|()| true),
        },
        None => match begin(core, wire, partition).await? {
            Some(begun) => begun,
            None => return Ok(!is_idle(core, partition)),
        },
    };
    let identity = core.lock().ledger.identity(partition);
    let numbers = batch.first.and_then(|first| identity.map(|identity| (identity, first)));
    let Err(error) = wire.send(partition, encoded, numbers).await else {
        let count = batch.events.len() as u64;
        {
            let mut state = core.lock();
            state.sent += count;
            state.last_error = None;
        }
        core.record(vec![Record::Done { batch: batch.number }], Urgency::Later).await?;
        return Ok(true);
    };
    match fate(&error) {
        Fate::Waits => Err(error),
        Fate::Refused if batch.events.len() > 1 => {
            dissolve(core, &batch, true).await?;
            Ok(true)
        }
        Fate::Refused => {
            let entry = core.lock().ledger.entry(batch.events[0]).cloned();
            dissolve(core, &batch, true).await?;
            if let Some(entry) = entry {
                bury_first(core, partition, entry, &error).await?;
            }
            Ok(true)
        }
        Fate::Renews => {
            dissolve(core, &batch, false).await?;
            core.lock().old_identities.insert(partition.to_owned());
            Err(error)
        }
    }
}

fn is_idle(core: &Core, partition: &str) -> bool {
    core.lock().queues.get(partition).is_none_or(|queue| queue.is_empty())
}

/// Fills a batch with what waits, and has it kept. `None` when nothing waits, or what did was given up.
async fn begin(core: &Arc<Core>, wire: &Wire, partition: &str) -> Result<Option<(Batch, EventBatch)>, Error> {
    if is_idle(core, partition) {
        return Ok(None);
    }
    let identity = if wire.is_numbered { Some(identity(core, wire, partition).await?) } else { None };
    let mut encoded = wire.batch(partition).await?;
    let mut events = Vec::new();
    let mut hopeless = None;
    {
        let mut state = core.lock();
        let state = &mut *state;
        let Some(queue) = state.queues.get_mut(partition) else { return Ok(None) };
        while let Some(id) = queue.front().copied().filter(|_| events.len() < MAX_BATCH_EVENTS) {
            let Some(entry) = state.ledger.entry(id) else {
                queue.pop_front();
                continue;
            };
            if entry.alone && !events.is_empty() {
                break;
            }
            let added = decode_event(&entry.event).and_then(|event| encoded.try_add(&event));
            match added {
                Ok(true) => {}
                Ok(false) if !events.is_empty() => break,
                Ok(false) => {
                    let (size, limit) = (entry.event.len(), encoded.max_size());
                    let message = format!("it is {size} bytes when encoded, a batch may have {limit}");
                    hopeless = Some((entry.clone(), Error::new(ErrorKind::MessageTooLarge, message)));
                    break;
                }
                Err(_) if !events.is_empty() => break,
                Err(error) => {
                    hopeless = Some((entry.clone(), error));
                    break;
                }
            }
            events.push(id);
            queue.pop_front();
            if entry.alone {
                break;
            }
        }
    }
    if let Some((entry, error)) = hopeless {
        bury_first(core, partition, entry, &error).await?;
        return Ok(None);
    }
    if events.is_empty() {
        return Ok(None);
    }
    match core.begin(partition, events.clone(), identity).await {
        Ok(batch) => Ok(Some((batch, encoded))),
        Err(error) => {
            wait_again(core, partition, &events);
            Err(error)
        }
    }
}

/// The events of a batch that was begun before; `None` when they do not fit any more.
async fn encoded_again(core: &Core, wire: &Wire, batch: &Batch) -> Result<Option<EventBatch>, Error> {
    let mut encoded = wire.batch(&batch.partition).await?;
    let state = core.lock();
    for id in &batch.events {
        let Some(entry) = state.ledger.entry(*id) else { return Ok(None) };
        if !decode_event(&entry.event).and_then(|event| encoded.try_add(&event)).unwrap_or(false) {
            return Ok(None);
        }
    }
    Ok(Some(encoded))
}

async fn dissolve(core: &Arc<Core>, batch: &Batch, alone: bool) -> Result<(), Error> {
    core.record(vec![Record::Dissolved { batch: batch.number, alone }], Urgency::Always).await?;
    wait_again(core, &batch.partition, &batch.events);
    Ok(())
}

/// Puts the event that is in front of its partition's others with the dead letters.
///
/// Should the service have it after all, the acknowledgement of an earlier attempt having been lost, then it has it under a number that
/// the event behind it would get, which would vanish as one that the service knows: so what comes gets numbers of another producer.
async fn bury_first(core: &Arc<Core>, partition: &str, entry: Entry, reason: &Error) -> Result<(), Error> {
    let id = entry.id;
    core.bury(entry, reason).await?;
    let mut state = core.lock();
    state.old_identities.insert(partition.to_owned());
    if let Some(queue) = state.queues.get_mut(partition).filter(|queue| queue.front() == Some(&id)) {
        queue.pop_front();
    }
    Ok(())
}

/// Puts events back in front of the others.
fn wait_again(core: &Core, partition: &str, events: &[u64]) {
    let mut state = core.lock();
    let queue = state.queues.entry(partition.to_owned()).or_default();
    events.iter().rev().for_each(|id| queue.push_front(*id));
}

async fn identity(core: &Arc<Core>, wire: &Wire, partition: &str) -> Result<Identity, Error> {
    let known = {
        let state = core.lock();
        state.ledger.identity(partition).filter(|_| !state.old_identities.contains(partition))
    };
    match known {
        Some(identity) => Ok(identity),
        None => renew(core, wire, partition).await,
    }
}

/// Gets another identity for a partition and has it kept.
async fn renew(core: &Arc<Core>, wire: &Wire, partition: &str) -> Result<Identity, Error> {
    let identity = wire.identity(partition).await?;
    let Identity { producer_id, epoch, next } = identity;
    let record = Record::Identity { partition: partition.to_owned(), producer_id, epoch, next };
    core.record(vec![record], Urgency::Always).await?;
    core.lock().old_identities.remove(partition);
    Ok(identity)
}

pub(super) fn note(core: &Core, error: Error) {
    tracing::debug!("the outbox cannot send: {error}");
    core.tell(|state| state.last_error = Some(error));
}

/// What comes of `work`, unless the outbox is closed before.
pub(super) async fn unless_closing<T>(core: &Core, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut closing = std::pin::pin!(core.until(|state| state.is_closing.then_some(())));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Pin::as_mut(&mut closing).poll(cx).map(|()| None),
    })
    .await
}

pub(super) async fn pause(failed: u32) {
    let spread = 0.8 + 0.4 * f64::from(u16::from_ne_bytes(random_bytes())) / f64::from(u16::MAX);
    let longest = FIRST_PAUSE.saturating_mul(1 << (failed - 1).min(10)).min(LONGEST_PAUSE);
    let (mut timer, deadline) = (Timer::default(), now() + longest.mul_f64(spread));
    poll_fn(|cx| timer.poll_until(deadline, cx)).await;
}
