//! One task owns one connection; cheap handles talk to it.
//!
//! [`Client`] is what producers and consumers stand on. Behind it are a letter box ([`shared`]), links as callers
//! see them ([`sender`], [`receiver`]), and the task ([`driver`]) that owns the socket and the engine.

mod audience;
mod authorization;
mod builder;
mod config;
mod credential;
mod crowd;
mod diagnosis;
mod driver;
mod endpoint;
mod events;
mod link;
mod links;
mod management;
mod numbering;
mod options;
mod receiver;
mod request;
mod sender;
mod shared;
mod slots;
mod status;
mod watch;
mod wire;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

#[allow(unused_imports, reason = "the processor's statuses are told in the same way")]
pub(crate) use audience::{Audience, Listening};
pub use builder::ClientBuilder;
#[cfg(feature = "js")]
#[allow(unused_imports, reason = "only JavaScript's clients are set up without a builder")]
pub(crate) use builder::Setup;
pub(crate) use builder::{Extras, FromClient};
pub use credential::{AccessToken, TokenProvider};
pub(crate) use crowd::Crowd;
#[allow(unused_imports, reason = "the crate's own clients and its command line name it")]
pub(crate) use diagnosis::Needs;
pub use diagnosis::{Check, Diagnosis, Verdict};
pub use options::{ClientOptions, Transport};
pub(crate) use receiver::{ReceiverHandle, ReceiverSpec, Taken};
pub(crate) use sender::{Message, SenderHandle, Submission};
pub use status::{Health, Status, StatusStream};

use crate::dialect::address::Address;
use crate::dialect::management::{HubProperties, PartitionProperties};
use crate::error::{Error, ErrorKind, shown};
use crate::model::publishing::PublishingState;
use crate::model::retry::RetryOptions;
use crate::runtime;
use config::Config;
use numbering::Numbering;
use shared::Shared;

/// A client's end of its connection. The connection is made when something needs it, and closed with the last
/// clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Owner>);

/// Closes the connection when the last handle is gone.
struct Owner {
    shared: Arc<Shared>,
}

impl Client {
    fn new(config: Config) -> Self {
        Client(Arc::new(Owner { shared: Shared::new(config) }))
    }

    /// The hub that it leads to.
    pub(crate) fn hub(&self) -> &str {
        &self.0.shared.config.hub
    }

    /// The namespace's host name.
    pub(crate) fn host(&self) -> &str {
        &self.0.shared.config.host
    }

    /// A link to send through.
    pub(crate) fn sender(&self, address: Address) -> SenderHandle {
        SenderHandle::new(&self.0.shared, address, None)
    }

    /// A link of an idempotent producer, which goes on where `imported` ended.
    pub(crate) fn idempotent_sender(
        &self,
        address: Address,
        imported: Option<PublishingState>,
    ) -> SenderHandle {
        SenderHandle::new(&self.0.shared, address, Some(Numbering::new(imported)))
    }

    /// A link to receive from.
    pub(crate) fn receiver(&self, spec: ReceiverSpec) -> ReceiverHandle {
        ReceiverHandle::new(&self.0.shared, spec)
    }

    pub(crate) async fn hub_properties(&self) -> Result<HubProperties, Error> {
        HubProperties::from_reply(management::ask(&self.0.shared, None).await?)
    }

    pub(crate) async fn partition_properties(&self, partition: &str) -> Result<PartitionProperties, Error> {
        PartitionProperties::from_reply(management::ask(&self.0.shared, Some(partition)).await?)
    }

    /// What happens from now on.
    pub(crate) fn status(&self) -> StatusStream {
        self.0.shared.board.listen()
    }

    /// How things are.
    pub(crate) fn health(&self) -> Health {
        self.0.shared.health()
    }

    /// What works, and what does not, on the way to the hub. Uses connections of its own.
    pub(crate) async fn diagnose(&self, needs: Needs, group: &str, limit: Duration) -> Diagnosis {
        diagnosis::run(&self.0.shared.config, needs, group, limit).await
    }

    /// Where it dials.
    #[allow(dead_code, reason = "for the diagnosis that JavaScript makes itself")]
    pub(crate) fn endpoint(&self) -> String {
        self.0.shared.config.endpoint.to_string()
    }

    /// Opens a socket to there, and closes it.
    #[allow(dead_code, reason = "for the diagnosis that JavaScript makes itself")]
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let config = &self.0.shared.config;
        let dialled = runtime::dial(config.endpoint.clone(), config.trust.clone()).await;
        dialled.map(drop).map_err(|error| Error::new(ErrorKind::ConnectFailed, error.message))
    }

    /// Closes the connection for every clone. Resolves when it is down.
    pub(crate) async fn close(&self) {
        self.0.shared.close();
        poll_fn(|cx| self.0.shared.poll_closed(cx)).await;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Refuses what cannot be a partition's id, before it becomes part of an address.
pub(crate) fn check_partition_id(id: &str) -> Result<(), Error> {
    const LONGEST: usize = 64;
    if !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Ok(());
    }
    let shown = shown(id, LONGEST);
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("'{shown}' is not the id of a partition, such as '0'"),
    ))
}

/// How long to wait after `failed` attempts, the last of them with `error`: as the options say, and at least as long as the service
/// asks, within reason.
fn pause(retry: &RetryOptions, failed: u32, error: &Error) -> Duration {
    const LONGEST_ASKED: Duration = Duration::from_secs(300);
    let pause = retry.pause(failed, jitter(), error.kind() == ErrorKind::ServerBusy);
    error.retry_after().map_or(pause, |asked| pause.max(asked.min(LONGEST_ASKED)))
}

/// A random number in `0.0..1.0`, to spread what would otherwise happen all at once.
fn jitter() -> f64 {
    let random = u32::from_ne_bytes(runtime::random_bytes());
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}
