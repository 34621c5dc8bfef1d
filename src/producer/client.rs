//! The client that sends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::batch::{BatchOptions, EventBatch};
use super::send_all;
use crate::client::{
    Client, ClientBuilder, Diagnosis, Extras, FromClient, Health, Message, Needs, SenderHandle, StatusStream,
    Submission,
};
use crate::dialect::address::Address;
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;
use crate::dialect::codec::{self, Content};
use crate::dialect::event::EventData;
use crate::dialect::management::{HubProperties, PartitionProperties};
use crate::error::{Error, ErrorKind};
use crate::model::publishing::PublishingState;

/// Sends events to one event hub.
///
/// Cheap to clone; clones share one connection, which is made when it is first needed and made again when it is lost.
/// Many calls may be under way at once: they share links and leave together.
///
/// An event whose call fails may still have been stored, when the connection was lost before the answer came: delivery
/// is at least once, never less.
///
/// ```
/// # use eventhubs::{EventData, ProducerClient, SendOptions};
/// # async fn example(connection_string: &str) -> Result<(), eventhubs::Error> {
/// let producer = ProducerClient::from_connection_string(connection_string)?;
/// producer.send("the service chooses the partition").await?;
/// producer.send(EventData::from("same key, same partition").with_partition_key("device-7")).await?;
/// producer.send_with("into this one", SendOptions::to_partition("0")).await?;
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProducerClient(Arc<Inner>);

struct Inner {
    client: Client,
    /// The link on which the service chooses the partition.
    hub: Arc<SenderHandle>,
    /// Links to partitions, made when they are first used.
    /// By id, in its order.
    partitions: Mutex<Vec<(String, Arc<SenderHandle>)>>,
    /// Where an idempotent producer goes on, by partition; `None`: it is an ordinary one.
    publishing: Option<Vec<(String, PublishingState)>>,
}

/// Where events go. By default the service chooses a partition, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// The partition.
    pub partition_id: Option<String>,
    /// What the service chooses the partition by. Not together with `partition_id`.
    pub partition_key: Option<String>,
}

impl SendOptions {
    /// To one partition.
    pub fn to_partition(id: impl Into<String>) -> Self {
        SendOptions { partition_id: Some(id.into()), partition_key: None }
    }

    /// To the partition that the service chooses by `key`.
    pub fn with_key(key: impl Into<String>) -> Self {
        SendOptions { partition_id: None, partition_key: Some(key.into()) }
    }
}

impl ProducerClient {
    /// A client with default options. The connection string must name the event hub (`EntityPath`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`], [`ErrorKind::InvalidArgument`].
    pub fn from_connection_string(text: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connection_string(text).build()
    }

    /// Says where the event hub is, what opens it, and how to behave.
    pub fn builder() -> ClientBuilder<ProducerClient> {
        ClientBuilder::new()
    }

    /// The connection.
    #[allow(dead_code, reason = "JavaScript asks it without a detour")]
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// The event hub's name.
    pub fn event_hub(&self) -> &str {
        self.0.client.hub()
    }

    /// Sends one event, to the partition of its key, or to the one that the service chooses.
    ///
    /// # Errors
    /// [`ErrorKind::MessageTooLarge`], [`ErrorKind::Unauthorized`], [`ErrorKind::NotFound`], or what is left of a
    /// passing failure when all attempts are used up: [`ErrorKind::Timeout`], [`ErrorKind::ConnectionLost`],
    /// [`ErrorKind::ConnectFailed`], [`ErrorKind::ServerBusy`].
    ///
    /// # Cancel safety
    /// When the future is dropped, an event that is still waiting is not sent. One that has left may be stored.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "trace", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn send(&self, event: impl Into<EventData>) -> Result<(), Error> {
        self.send_with(event, SendOptions::default()).await
    }

    /// Sends one event where `options` say.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`ErrorKind::InvalidArgument`] when both a key and a partition are given.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "trace", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn send_with(&self, event: impl Into<EventData>, options: SendOptions) -> Result<(), Error> {
        self.send_one(event.into(), options).await
    }

    /// As [`send_with`](Self::send_with), of anything that is encoded as an event.
    pub(crate) async fn send_one(&self, event: impl Content, options: SendOptions) -> Result<(), Error> {
        let sender = self.sender(&options, event.partition_key())?;
        let key = options.partition_key.as_deref().or(event.partition_key());
        let message = match self.is_idempotent() {
            false => encoded(&event, key),
            true => numbered(&event, key),
        };
        let sent = sender.submit(message.map_err(|error| self.describe(error))?)?.await;
        self.forget_unknown(&sender, &sent);
        sent
    }

    /// An empty batch for the partition that the service chooses, with room for as much as the service takes at once.
    ///
    /// # Errors
    /// As [`create_batch_with`](Self::create_batch_with).
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn create_batch(&self) -> Result<EventBatch, Error> {
        self.create_batch_with(BatchOptions::default()).await
    }

    /// An empty batch. Connects, to learn how much the service takes at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when both a key and a partition are given, or a larger size than the service
    /// takes; whatever keeps the link from being made.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn create_batch_with(&self, options: BatchOptions) -> Result<EventBatch, Error> {
        let BatchOptions { partition_id, partition_key, max_size } = options;
        let route = SendOptions { partition_id, partition_key };
        let sender = self.sender(&route, None)?;
        let limit = self.limit(&sender).await?;
        let max_size = match max_size {
            Some(wanted) if wanted > limit || wanted == 0 => {
                let message =
                    format!("a batch of {wanted} bytes is asked for, from 1 to {limit} are allowed");
                return Err(self.describe(Error::new(ErrorKind::InvalidArgument, message)));
            }
            Some(wanted) => wanted,
            None => limit,
        };
        let inner = new_batch(self.is_idempotent(), max_size, route.partition_key);
        let inner = inner.map_err(|error| self.describe(error))?;
        Ok(EventBatch { inner, partition_id: route.partition_id })
    }

    /// An empty batch for a partition that was chosen here, by the keys of its events: they keep them.
    #[allow(dead_code, reason = "pages have no use for it")]
    pub(crate) async fn create_keyed_batch(&self, partition_id: &str) -> Result<EventBatch, Error> {
        let options = BatchOptions { partition_id: Some(partition_id.to_owned()), ..BatchOptions::default() };
        let batch = self.create_batch_with(options).await?;
        Ok(batch.keeping_keys())
    }

    /// Sends a batch: all its events or none, in order, into one partition. An empty batch is sent at once.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send), for all events of the batch together.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn send_batch(&self, batch: EventBatch) -> Result<(), Error> {
        self.send_message(batch, None).await
    }

    /// As [`send_batch`](Self::send_batch), with numbers from `first`: of an idempotent producer's events that may have been
    /// sent before, with the same numbers and in the same batch. What is stored already is not stored again, and no error. Batches
    /// for a partition leave in the order in which these futures are polled first.
    #[allow(dead_code, reason = "whoever keeps events sends them again")]
    pub(crate) async fn send_batch_numbered(&self, batch: EventBatch, first: i32) -> Result<(), Error> {
        self.send_message(batch, Some(first)).await
    }

    /// Goes on in a partition as this producer, or as a new one.
    #[allow(dead_code, reason = "whoever keeps events keeps their producers")]
    pub(crate) fn publish_as(&self, partition_id: &str, state: Option<PublishingState>) -> Result<(), Error> {
        crate::client::check_partition_id(partition_id).map_err(|error| self.describe(error))?;
        let address =
            Address::HubPartition { hub: self.event_hub().to_owned(), partition: partition_id.to_owned() };
        let sender = Arc::new(self.0.client.idempotent_sender(address, state));
        let mut partitions = self.0.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.retain(|(known, _)| known != partition_id);
        let place = partitions.partition_point(|(known, _)| known.as_str() < partition_id);
        partitions.insert(place, (partition_id.to_owned(), sender));
        Ok(())
    }

    pub(crate) async fn send_message(&self, batch: EventBatch, first: Option<i32>) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let route = SendOptions { partition_id: batch.partition_id, partition_key: None };
        let sender = self.sender(&route, None)?;
        let batch = batch.inner.finish();
        if batch.marks.is_some() != self.is_idempotent() {
            let message =
                "the batch is another client's: of an idempotent and an ordinary producer each sends its own";
            return Err(self.describe(Error::new(ErrorKind::InvalidArgument, message)));
        }
        let sent = sender.submit(Message { first, ..batch.into() })?.await;
        self.forget_unknown(&sender, &sent);
        sent
    }

    /// Hands a partition's batch to its link, behind all that were handed over before: its place is taken when this returns.
    pub(super) fn hand_over(
        &self,
        partition_id: &str,
        batch: codec::EventBatch,
    ) -> Result<Submission, Error> {
        self.sender(&SendOptions::to_partition(partition_id), None)?.submit(batch.finish().into())
    }

    /// The largest batch that a partition's link takes. Attaches it, where that has not been done.
    pub(super) async fn limit_of(&self, partition_id: &str) -> Result<u64, Error> {
        self.limit(&*self.sender(&SendOptions::to_partition(partition_id), None)?).await
    }

    /// How far this idempotent producer has come in a partition. Attaches the link, where that has not been done: who the producer is
    /// is for the service to say.
    ///
    /// What is not acknowledged yet is not counted, whether it is stored or not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the client is not [idempotent](ClientBuilder::idempotent); whatever keeps the link from
    /// being made.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn publishing_state(&self, partition_id: &str) -> Result<PublishingState, Error> {
        if !self.is_idempotent() {
            let message =
                "the producer is not idempotent, it numbers nothing: set `idempotent` when it is made";
            return Err(self.describe(Error::new(ErrorKind::InvalidArgument, message)));
        }
        let sender = self.sender(&SendOptions::to_partition(partition_id), None)?;
        if let Some(state) = sender.publishing_state() {
            return Ok(state);
        }
        let attached = sender.attached()?.await;
        self.forget_unknown(&sender, &attached);
        attached?;
        let missing = || Error::new(ErrorKind::Internal, "the link is attached, but not who its producer is");
        sender.publishing_state().ok_or_else(missing)
    }

    /// Sends any number of events, in as few batches as they need. Events with the same partition key stay in order, and
    /// so do all events when `options` name one partition or key; others are spread by the service.
    ///
    /// Events are encoded some 32 MiB ahead of what is sent. When an event among them is too large, nothing of those
    /// 32 MiB is sent; what came before has been.
    ///
    /// Returns how many events were sent.
    ///
    /// # Errors
    /// As [`send`](Self::send). When one event is to blame, [`Error::event_index`] says which.
    ///
    /// # Cancel safety
    /// When the future is dropped, some events have been sent and others have not.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn send_all<I>(&self, events: I, options: SendOptions) -> Result<usize, Error>
    where
        I: IntoIterator,
        I::Item: Into<EventData>,
    {
        self.send_each(events.into_iter().map(Into::into), options).await
    }

    /// As [`send_all`](Self::send_all), of anything that is encoded as an event.
    pub(crate) async fn send_each(
        &self,
        events: impl Iterator<Item = impl Content>,
        options: SendOptions,
    ) -> Result<usize, Error> {
        let sender = self.sender(&options, None)?;
        let sent = match self.limit(&sender).await {
            Ok(limit) => {
                let new_batch = |key| new_batch(self.is_idempotent(), limit, key);
                send_all::run(&sender, new_batch, events, &options, |error| self.describe(error)).await
            }
            Err(error) => Err(error),
        };
        self.forget_unknown(&sender, &sent);
        sent
    }

    /// The properties of the event hub.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Unauthorized`], or what is left of a passing failure.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn hub_properties(&self) -> Result<HubProperties, Error> {
        self.0.client.hub_properties().await
    }

    /// The ids of the event hub's partitions.
    ///
    /// # Errors
    /// As [`hub_properties`](Self::hub_properties).
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn partition_ids(&self) -> Result<Vec<String>, Error> {
        Ok(self.hub_properties().await?.partition_ids)
    }

    /// The properties of one partition.
    ///
    /// # Errors
    /// As [`hub_properties`](Self::hub_properties).
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[cfg_attr(not(feature = "js"), tracing::instrument(level = "debug", skip_all, fields(hub = self.event_hub()), err(level = "debug")))]
    pub async fn partition_properties(&self, partition_id: &str) -> Result<PartitionProperties, Error> {
        self.0.client.partition_properties(partition_id).await
    }

    /// What happens to the connection, links and tokens of this client, as a stream: how things are now, then every change. It is
    /// bounded, and cheap where nothing happens; nothing is told per event.
    ///
    /// ```
    /// # use eventhubs::{ProducerClient, Status};
    /// # async fn example(producer: ProducerClient) {
    /// let mut statuses = producer.status();
    /// while let Some(status) = statuses.next().await {
    ///     match status {
    ///         Status::Reconnecting { attempt, delay, cause } => eprintln!("attempt {attempt} in {delay:?}: {cause}"),
    ///         Status::Connected => eprintln!("connected"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn status(&self) -> StatusStream {
        self.0.client.status()
    }

    /// How this client is doing at the moment, without asking the service: for probes.
    pub fn health(&self) -> Health {
        self.0.client.health()
    }

    /// Finds out what works, and what does not, on the way to the event hub: name, socket, TLS, WebSocket, AMQP, token, hub, the right
    /// *Send*, and the clock. Makes connections of its own, sends and takes no event, and ends within 30 seconds, whatever hangs.
    ///
    /// ```
    /// # async fn example(producer: eventhubs::ProducerClient) {
    /// let diagnosis = producer.diagnose().await;
    /// for check in &diagnosis.checks {
    ///     println!("{}: {} {}", check.name, check.verdict.code(), check.detail);
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn diagnose(&self) -> Diagnosis {
        self.diagnose_within(Duration::MAX).await
    }

    /// As [`diagnose`](Self::diagnose), with less time.
    pub(crate) async fn diagnose_within(&self, limit: Duration) -> Diagnosis {
        self.0.client.diagnose(Needs::Send, DEFAULT_CONSUMER_GROUP, limit).await
    }

    /// Closes the connection, for every clone of this client. Calls that are under way fail with
    /// [`ErrorKind::Closed`]; await them first. Dropping the last clone closes, too, without waiting.
    ///
    /// # Cancel safety
    /// The connection is closed whether the future is awaited to its end or not.
    pub async fn close(&self) {
        self.0.client.close().await;
    }

    /// Whether events are numbered.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.0.publishing.is_some()
    }

    fn sender(&self, route: &SendOptions, own_key: Option<&str>) -> Result<Arc<SenderHandle>, Error> {
        let invalid = |message: String| Err(self.describe(Error::new(ErrorKind::InvalidArgument, message)));
        match (&route.partition_id, route.partition_key.as_deref(), own_key) {
            (Some(id), Some(key), _) | (Some(id), None, Some(key)) => invalid(format!(
                "both partition '{id}' and partition key '{key}' are given: leave one out, as each decides \
                 about the partition"
            )),
            (None, Some(key), Some(own)) if key != own => {
                invalid(format!("partition key '{key}' is asked for, but the event has '{own}'"))
            }
            (None, ..) if self.is_idempotent() => invalid(
                "an idempotent producer numbers the events of each partition, so it has to be told the partition: give \
                 `partition_id`, or use a `BufferedProducerClient`, which chooses one"
                    .to_owned(),
            ),
            (None, ..) => Ok(self.0.hub.clone()),
            (Some(id), None, None) => {
                crate::client::check_partition_id(id).map_err(|error| self.describe(error))?;
                let mut partitions = self.0.partitions.lock().unwrap_or_else(PoisonError::into_inner);
                let place = match partitions.binary_search_by(|(known, _)| known.as_str().cmp(id)) {
                    Ok(place) => return Ok(partitions[place].1.clone()),
                    Err(place) => place,
                };
                let hub = self.event_hub().to_owned();
                let address = Address::HubPartition { hub, partition: id.clone() };
                let sender = Arc::new(match &self.0.publishing {
                    None => self.0.client.sender(address),
                    Some(publishing) => {
                        let imported = publishing.iter().find(|(known, _)| known == id);
                        self.0.client.idempotent_sender(address, imported.map(|(_, state)| *state))
                    }
                });
                partitions.insert(place, (id.clone(), sender.clone()));
                Ok(sender)
            }
        }
    }

    async fn limit(&self, sender: &SenderHandle) -> Result<u64, Error> {
        if let Some(limit) = sender.limit() {
            return Ok(limit);
        }
        sender.attached()?.await?;
        let missing = || Error::new(ErrorKind::Internal, "the link is attached, but its limit is not known");
        sender.limit().ok_or_else(missing)
    }

    /// Whoever tries out partitions that do not exist must not collect links to them.
    fn forget_unknown<T>(&self, sender: &Arc<SenderHandle>, sent: &Result<T, Error>) {
        let is_unknown =
            |error: &Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidArgument);
        if !sent.as_ref().is_err_and(is_unknown) {
            return;
        }
        let mut partitions = self.0.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.retain(|(_, known)| !Arc::ptr_eq(known, sender));
    }

    fn describe(&self, error: Error) -> Error {
        error.with_operation("send to").with_entity(self.event_hub())
    }
}

impl ClientBuilder<ProducerClient> {
    /// Has the producer number its events, so that the service stores none twice, however often it has to be sent. Every send then
    /// names a partition. Each partition's batches are stored in the order in which they were sent.
    ///
    /// ```
    /// # use eventhubs::{ProducerClient, SendOptions};
    /// # async fn example(connection_string: &str) -> Result<(), eventhubs::Error> {
    /// let producer = ProducerClient::builder().connection_string(connection_string).idempotent(true).build()?;
    /// producer.send_with("stored once", SendOptions::to_partition("0")).await?;
    /// let state = producer.publishing_state("0").await?;
    /// producer.close().await;
    ///
    /// // Later, or elsewhere:
    /// let producer = ProducerClient::builder().connection_string(connection_string).idempotent(true).publishing_state("0", state);
    /// producer.build()?.send_with("the next number", SendOptions::to_partition("0")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.setup_mut().idempotent = idempotent;
        self
    }

    /// Goes on in a partition where another idempotent producer ended. A higher epoch than the one it had keeps that one out.
    pub fn publishing_state(mut self, partition_id: impl Into<String>, state: PublishingState) -> Self {
        let (id, publishing) = (partition_id.into(), &mut self.setup_mut().publishing);
        publishing.retain(|(known, _)| *known != id);
        publishing.push((id, state));
        self
    }
}

impl FromClient for ProducerClient {
    fn from_client(client: Client, Extras { idempotent, publishing, .. }: Extras) -> Result<Self, Error> {
        let invalid = |message: String| {
            let error = Error::new(ErrorKind::InvalidArgument, message);
            Err(error.with_operation("make a client"))
        };
        if !idempotent && !publishing.is_empty() {
            return invalid("a publishing state is given, but the producer is not idempotent".to_owned());
        }
        for (id, state) in &publishing {
            crate::client::check_partition_id(id)?;
            if state.sequence_number < -1 {
                let number = state.sequence_number;
                return invalid(format!(
                    "the publishing state of partition '{id}' has sequence number {number}; the smallest is -1, before the first event"
                ));
            }
        }
        let hub = client.sender(Address::Hub { hub: client.hub().to_owned() });
        let publishing = idempotent.then_some(publishing);
        let partitions = Mutex::default();
        Ok(ProducerClient(Arc::new(Inner { hub: Arc::new(hub), partitions, client, publishing })))
    }
}

impl fmt::Debug for ProducerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerClient").field("event_hub", &self.event_hub()).finish_non_exhaustive()
    }
}

fn encoded(event: &impl Content, key: Option<&str>) -> Result<Message, Error> {
    let head = codec::encode_with_key(event, key)?;
    Ok(Message { format: 0, head, body: bytes::Bytes::new(), marks: None, first: None })
}

/// A single event with numbers is a batch of one, as those are what has places for them. How much its link takes is for the link to
/// say when the message leaves: to wait for that here would be a second wait, with a deadline of its own.
fn numbered(event: &impl Content, key: Option<&str>) -> Result<Message, Error> {
    let mut batch = codec::EventBatch::numbered(u64::MAX, key.map(str::to_owned))?;
    if !batch.try_add(event)? {
        return Err(send_all::too_large(event, u64::MAX));
    }
    Ok(batch.finish().into())
}

fn new_batch(is_idempotent: bool, limit: u64, key: Option<String>) -> Result<codec::EventBatch, Error> {
    match is_idempotent {
        true => codec::EventBatch::numbered(limit, key),
        false => codec::EventBatch::new(limit, key),
    }
}

impl From<codec::EncodedBatch> for Message {
    fn from(batch: codec::EncodedBatch) -> Self {
        let codec::EncodedBatch { head, body, message_format: format, marks, .. } = batch;
        Message { format, head, body, marks, first: None }
    }
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<ProducerClient>();
};
