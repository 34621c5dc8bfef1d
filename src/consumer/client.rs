//! The client that receives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::reader::{AllPartitions, PartitionReader};
use crate::client::{Client, ClientBuilder, Diagnosis, Extras, FromClient, Health, Needs, StatusStream};
use crate::dialect::annotations::DEFAULT_CONSUMER_GROUP;
use crate::dialect::management::{HubProperties, PartitionProperties};
use crate::error::{Error, ErrorKind, shown};

/// Receives events of one event hub, for one consumer group.
///
/// Cheap to clone; clones, and the streams that they open, share one connection, which is made when it is first needed and
/// made again when it is lost.
///
/// ```
/// # use eventhubs::{ConsumerClient, StartPosition};
/// # async fn example(connection_string: &str) -> Result<(), eventhubs::Error> {
/// let consumer = ConsumerClient::from_connection_string(connection_string)?;
/// let mut events = consumer.partition("0").from(StartPosition::earliest()).open().await?;
/// while let Some(event) = events.next().await {
///     let event = event?;
///     println!("{}: {}", event.sequence_number(), event.body_text()?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConsumerClient {
    client: Client,
    consumer_group: Arc<str>,
}

/// The longest name of a consumer group that the service allows.
const MAX_CONSUMER_GROUP: usize = 256;

impl ConsumerClient {
    /// A client with default options, for the consumer group `$Default`. The connection string must name the
    /// event hub (`EntityPath`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`], [`ErrorKind::InvalidArgument`].
    pub fn from_connection_string(text: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connection_string(text).build()
    }

    /// Says where the event hub is, what opens it, and how to behave.
    pub fn builder() -> ClientBuilder<ConsumerClient> {
        ClientBuilder::new()
    }

    /// The connection.
    #[allow(dead_code, reason = "JavaScript asks it without a detour")]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The event hub's name.
    pub fn event_hub(&self) -> &str {
        self.client.hub()
    }

    /// The consumer group's name.
    pub fn consumer_group(&self) -> &str {
        &self.consumer_group
    }

    /// Reads one partition: from where and how is said to what this returns.
    pub fn partition(&self, id: impl Into<String>) -> PartitionReader {
        PartitionReader::new(self.client.clone(), self.consumer_group.clone(), id.into())
    }

    /// Reads all partitions as one stream: from where and how is said to what this returns.
    pub fn all_partitions(&self) -> AllPartitions {
        AllPartitions::new(self.clone())
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
        self.client.hub_properties().await
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
        self.client.partition_properties(partition_id).await
    }

    /// What happens to the connection, links and tokens of this client, as a stream: how things are now, then every change. It is
    /// bounded, and cheap where nothing happens; nothing is told per event.
    ///
    /// ```
    /// # use eventhubs::{ConsumerClient, Status};
    /// # async fn example(consumer: ConsumerClient) {
    /// let mut statuses = consumer.status();
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
        self.client.status()
    }

    /// How this client is doing at the moment, without asking the service: for probes.
    pub fn health(&self) -> Health {
        self.client.health()
    }

    /// Finds out what works, and what does not, on the way to the event hub: name, socket, TLS, WebSocket, AMQP, token, hub, the right
    /// *Listen*, and the clock. Makes connections of its own, sends and takes no event, and ends within 30 seconds, whatever hangs.
    ///
    /// ```
    /// # async fn example(consumer: eventhubs::ConsumerClient) {
    /// let diagnosis = consumer.diagnose().await;
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
        self.client.diagnose(Needs::Listen, &self.consumer_group, limit).await
    }

    /// Closes the connection, for every clone of this client and every stream: what has arrived can still be
    /// taken from them, then they end with [`ErrorKind::Closed`]. Dropping the last clone and stream closes, too.
    ///
    /// # Cancel safety
    /// The connection is closed whether the future is awaited to its end or not.
    pub async fn close(&self) {
        self.client.close().await;
    }
}

impl ClientBuilder<ConsumerClient> {
    /// The consumer group's name. Default: `$Default`, which every event hub has.
    pub fn consumer_group(mut self, name: impl Into<String>) -> Self {
        self.set_consumer_group(name.into());
        self
    }
}

impl FromClient for ConsumerClient {
    fn from_client(client: Client, Extras { consumer_group, .. }: Extras) -> Result<Self, Error> {
        let group = consumer_group.unwrap_or_else(|| DEFAULT_CONSUMER_GROUP.to_owned());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '$');
        if group.is_empty() || group.len() > MAX_CONSUMER_GROUP || !group.chars().all(is_plain) {
            let shown = shown(&group, 80);
            let message = format!(
                "'{shown}' is not the name of a consumer group: 1 to {MAX_CONSUMER_GROUP} letters, digits, '.', '-' and '_'"
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message).with_operation("make a client"));
        }
        Ok(ConsumerClient { client, consumer_group: group.into() })
    }
}

impl fmt::Debug for ConsumerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerClient")
            .field("event_hub", &self.event_hub())
            .field("consumer_group", &self.consumer_group)
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<ConsumerClient>();
};
