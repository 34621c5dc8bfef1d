//! What people hold.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, closed};
use super::file::FileJournal;
use super::journal::LetterChange;
use super::ledger::cost;
use super::options::{OutboxOptions, WhenFull};
use super::pump;
use super::record::Entry;
use super::wire::Wire;
use crate::client::{ClientBuilder, StatusStream, check_partition_id};
use crate::dialect::codec::{decode_event, encode_event};
use crate::dialect::event::EventData;
use crate::error::{Error, ErrorKind};
use crate::model::value::Timestamp;
use crate::producer::{ProducerClient, SendOptions};
use crate::runtime::{blocking, spawn, unix_now, within};

/// How long a disk may take: one that hangs must not hang its users.
const DISK_PATIENCE: Duration = Duration::from_secs(60);

/// Takes events whether the service can be reached or not, keeps them on disk, and sends them when it can.
///
/// Cheap to clone. When the last clone is dropped, sending stops; what waits is sent when the outbox is opened again. One process
/// owns an outbox's directory at a time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use eventhubs::outbox::{Outbox, OutboxOptions};
/// use eventhubs::{EventData, ProducerClient};
///
/// # let directory = tempfile::tempdir()?;
/// # let connection_string = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0;EntityPath=orders;UseDevelopmentEmulator=true";
/// let producer = ProducerClient::builder().connection_string(connection_string);
/// let outbox = Outbox::open(directory.path(), producer, OutboxOptions::default()).await?;
///
/// // Resolves when the event is on disk, with or without a network.
/// outbox.enqueue(EventData::from("21.5 °C").with_partition_key("device-7")).await?;
/// assert_eq!(outbox.state().waiting_events, 1);
/// outbox.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Outbox(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    wire: Arc<Wire>,
    directory: PathBuf,
}

/// How an outbox is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutboxState {
    /// Events on disk that the service has not acknowledged.
    pub waiting_events: usize,
    /// Their bytes, as [`OutboxOptions::max_bytes`] counts them.
    pub waiting_bytes: u64,
    /// How long the oldest of them has waited, by the wall clock.
    pub oldest_age: Option<Duration>,
    /// Those among them that have been sent and wait for the acknowledgement.
    pub in_flight: usize,
    /// Events that the service has acknowledged since the outbox was opened.
    pub sent: u64,
    /// Why nothing could be sent when that was tried last. `None` since something was.
    pub last_error: Option<Error>,
    /// Events that can never be sent and are [kept to be looked at](Outbox::dead_letters).
    pub dead_letters: usize,
    /// Such events that were dropped, since there were too many.
    pub dropped_dead_letters: u64,
    /// Bytes of the journal on disk.
    pub disk_bytes: u64,
    /// What was found damaged when the outbox was opened, and where it was put.
    pub damage: Option<String>,
}

/// An event that can never be sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What it is called in this outbox.
    pub id: u64,
    /// The event.
    pub event: EventData,
    /// The partition that was asked for.
    pub partition_id: Option<String>,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// When it was given up.
    pub given_up_at: Timestamp,
    /// The error's [code](Error::code).
    pub code: String,
    /// What the error said.
    pub reason: String,
}

impl Outbox {
    /// Opens the outbox that is kept in `directory`, which is made if need be, and begins to send what waits there. `producer` says
    /// where to; nothing is connected before there is something to send.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when another process has the directory open (it says which), or when what `producer`
    /// was told makes no client; [`ErrorKind::Protocol`] when there is something else in the directory's place; what the
    /// system says about the disk.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn open(
        directory: impl AsRef<Path>,
        producer: ClientBuilder<ProducerClient>,
        options: OutboxOptions,
    ) -> Result<Self, Error> {
        let directory = directory.as_ref().to_owned();
        let describe = |error: Error| {
            error.with_operation("open the outbox in").with_entity(directory.display().to_string())
        };
        let (durability, path) = (options.durability, directory.clone());
        let opened = within(DISK_PATIENCE, blocking(move || FileJournal::open(&path, durability))).await;
        let (journal, found) = match opened {
            Some(Ok(Some(opened))) => opened.map_err(describe)?,
            Some(Ok(None)) => return Err(describe(closed())),
            Some(Err(no_runtime)) => {
                return Err(describe(Error::new(ErrorKind::InvalidArgument, no_runtime.to_string())));
            }
            None => return Err(describe(slow())),
        };
        if let Some(damage) = &found.damage {
            tracing::warn!("the outbox in {}: {damage}", directory.display());
        }
        let core = Core::new(options, journal, found);
        let wire = Arc::new(Wire::new(producer, &core)?);
        let pump = pump::run(core.clone(), wire.clone());
        spawn(pump).map_err(|no_runtime| Error::new(ErrorKind::InvalidArgument, no_runtime.to_string()))?;
        Ok(Outbox(Arc::new(Handle { core, wire, directory })))
    }

    /// Keeps an event and sees to it that it is sent, to the partition of its key, or to any. Resolves when it is on disk.
    ///
    /// Calls that are under way at the same time share one write: many at once cost hardly more than one.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`] when there is no room, after the time that [`OutboxOptions::when_full`] says, or when the disk is
    /// full; [`ErrorKind::InvalidArgument`] for an event that the service does not allow; [`ErrorKind::Closed`]; what the
    /// system says about the disk.
    ///
    /// # Cancel safety
    /// When the future is dropped while it waits for room, the event is not kept. Later it may be kept, and is sent then.
    pub async fn enqueue(&self, event: impl Into<EventData>) -> Result<(), Error> {
        self.enqueue_with(event, SendOptions::default()).await
    }

    /// Keeps an event and sees to it that it is sent where `options` say.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue); [`ErrorKind::InvalidArgument`] when both a key and a partition are given.
    ///
    /// # Cancel safety
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_with(&self, event: impl Into<EventData>, options: SendOptions) -> Result<(), Error> {
        let entry = entry(event.into(), &options).map_err(|error| self.describe(error))?;
        self.keep(vec![entry]).await
    }

    /// Keeps events, all or none, with one write. They need not end up in the same partition.
    ///
    /// # Errors
    /// As [`enqueue_with`](Self::enqueue_with). When one event is to blame, [`Error::event_index`] says which.
    ///
    /// # Cancel safety
    /// As [`enqueue`](Self::enqueue), for all events together.
    pub async fn enqueue_all<I>(&self, events: I, options: SendOptions) -> Result<(), Error>
    where
        I: IntoIterator,
        I::Item: Into<EventData>,
    {
        let mut entries = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            let entry = entry(event.into(), &options);
            entries.push(entry.map_err(|error| self.describe(error.with_event_index(index)))?);
        }
        if entries.is_empty() { Ok(()) } else { self.keep(entries).await }
    }

    /// Waits until all events that had been enqueued are sent, or are dead letters.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when that takes longer than `time`, with the reason why nothing can be sent;
    /// [`ErrorKind::Closed`]. The events wait on in either case.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn flush(&self, time: Duration) -> Result<(), Error> {
        let core = &self.0.core;
        let behind = core.lock().ledger.next_event();
        let sent = core.until(|state| match state.ledger.first_event() {
            Some(id) if id < behind => state.is_closing.then(|| Err(closed())),
            _ => Some(Ok(())),
        });
        let late = || {
            let state = self.state();
            let why = match state.last_error {
                Some(error) => format!(": {error}"),
                None => String::new(),
            };
            let message =
                format!("{} events still wait after {} s{why}", state.waiting_events, time.as_secs_f32());
            Error::new(ErrorKind::Timeout, message)
        };
        let sent = within(time, sent).await.unwrap_or_else(|| Err(late()));
        sent.map_err(|error| error.with_operation("flush the outbox in").with_entity(self.place()))
    }

    /// How the outbox is doing, without asking anybody.
    pub fn state(&self) -> OutboxState {
        let core = &self.0.core;
        let state = core.lock();
        let (waiting_events, waiting_bytes) = state.ledger.size();
        let age = |since: Timestamp| {
            let millis = unix_now().as_millis().saturating_sub(since.as_millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or_default())
        };
        OutboxState {
            waiting_events,
            waiting_bytes,
            oldest_age: state.ledger.oldest().map(age),
            in_flight: state.ledger.under_way(),
            sent: state.sent,
            last_error: state.last_error.clone(),
            dead_letters: state.letters.len(),
            dropped_dead_letters: state.dropped_letters,
            disk_bytes: core.disk_bytes(),
            damage: state.damage.clone(),
        }
    }

    /// What happens to the connection that events are sent over; see [`ProducerClient::status`].
    pub fn status(&self) -> StatusStream {
        self.0.wire.producer.status()
    }

    /// The events that can never be sent, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when one of them cannot be decoded.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        let letters = self.0.core.lock().letters.clone();
        let letter = |letter: super::record::Letter| {
            Ok(DeadLetter {
                id: letter.entry.id,
                event: decode_event(&letter.entry.event)?,
                partition_id: letter.entry.partition,
                enqueued_at: letter.entry.at,
                given_up_at: letter.died,
                code: letter.code,
                reason: letter.reason,
            })
        };
        letters.into_iter().map(letter).collect()
    }

    /// Forgets dead letters that have been looked at, by their ids.
    ///
    /// # Errors
    /// What the system says about the disk; [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    /// They are forgotten whether the future is awaited to its end or not.
    pub async fn remove_dead_letters(&self, ids: &[u64]) -> Result<(), Error> {
        let core = &self.0.core;
        let left = {
            let mut state = core.lock();
            state.letters.retain(|letter| !ids.contains(&letter.entry.id));
            state.letters.iter().cloned().collect()
        };
        let removed = within(DISK_PATIENCE, core.change_letters(LetterChange::Replace(left))).await;
        removed.unwrap_or_else(|| Err(slow())).map_err(|error| self.describe(error))
    }

    /// Stops sending and lets go of the directory, for every clone. What waits is sent when the outbox is opened again. A batch whose
    /// acknowledgement is awaited gets a few seconds for it.
    ///
    /// # Cancel safety
    /// The outbox is closed whether the future is awaited to its end or not.
    pub async fn close(&self) {
        let core = &self.0.core;
        core.tell(|state| state.is_closing = true);
        core.until(|state| state.is_pump_gone.then_some(())).await;
        self.0.wire.producer.close().await;
    }

    async fn keep(&self, entries: Vec<Entry>) -> Result<(), Error> {
        let core = &self.0.core;
        let kept = async {
            core.check_size(entries.len(), entries.iter().map(cost).sum())?;
            let kept = match core.options.when_full {
                WhenFull::Refuse => core.keep_now(entries)?,
                WhenFull::Wait(time) => match within(time, core.keep(entries)).await {
                    Some(kept) => kept?,
                    None => return Err(core.full(time)),
                },
            };
            match within(DISK_PATIENCE, kept).await {
                Some(kept) => kept.unwrap_or_else(|_| Err(closed())),
                None => Err(slow().with_outcome_unknown(true)),
            }
        };
        kept.await.map_err(|error| self.describe(error))
    }

    fn describe(&self, error: Error) -> Error {
        error.with_operation("enqueue in the outbox in").with_entity(self.place())
    }

    fn place(&self) -> String {
        self.0.directory.display().to_string()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.tell(|state| state.is_closing = true);
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}

fn entry(event: EventData, options: &SendOptions) -> Result<Entry, Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
    let event = match (&options.partition_key, event.partition_key()) {
        (Some(key), Some(own)) if key != own => {
            return invalid(format!("partition key '{key}' is asked for, but the event has '{own}'"));
        }
        (Some(key), _) => event.with_partition_key(key.clone()),
        (None, _) => event,
    };
    if let Some(partition) = &options.partition_id {
        check_partition_id(partition)?;
        if let Some(key) = event.partition_key() {
            return invalid(format!(
                "both partition '{partition}' and partition key '{key}' are given: leave one out, as each decides about the \
                 partition"
            ));
        }
    }
    Ok(Entry {
        id: 0,
        at: unix_now(),
        key: event.partition_key().map(str::to_owned),
        partition: options.partition_id.clone(),
        alone: false,
        event: encode_event(&event)?,
    })
}

fn slow() -> Error {
    Error::new(ErrorKind::Timeout, format!("the disk has not answered within {} s", DISK_PATIENCE.as_secs()))
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Outbox>();
};
