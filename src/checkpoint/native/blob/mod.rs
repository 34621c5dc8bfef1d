//! Remembers in Azure Blob Storage, to the letter as the official clients do.
//!
//! A record is an empty block blob whose metadata says everything:
//! `<namespace>/<event hub>/<group>/ownership/<partition>` with `ownerid`, and `…/checkpoint/<partition>` with `offset`
//! and `sequencenumber`; the three names in lower case. Storage's etag decides races, its clock gives the time.

mod call;
mod checkpoints;
mod container;
mod listing;
mod records;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};

use self::call::{Answered, Call, Caller};
use self::checkpoints::Versions;
use self::container::{Access, Container};
use self::listing::{Item, Page, http_time, unquoted};
use self::records::{Kind, OWNER, of_ownership};
use super::super::{CheckpointStore, RecordFailure, Records};
use crate::client::TokenProvider;
use crate::error::{Error, ErrorKind};
use crate::model::checkpoint::{Checkpoint, ConsumerGroup, Ownership};
use crate::model::moment::Moment;
use crate::model::retry::RetryOptions;
use crate::runtime::now;
use crate::runtime::{HttpAnswer, Trust};

/// So many claims are on their way at the same time.
const AT_ONCE: usize = 16;
/// As many blobs a page as storage gives.
const PAGE: u32 = 5_000;
/// How long an operation may take when its options do not say: less than an ownership lasts.
const DEADLINE: Duration = Duration::from_secs(30);

/// Keeps everything in a container of Azure Blob Storage, as the official clients of other languages do: members of all
/// languages can share a group, and a checkpoint of one is continued by another.
///
/// The container has to be there; [`create_container`](Self::create_container) makes it. Needs the feature `blob`.
///
/// ```no_run
/// # async fn run() -> Result<(), eventhubs::Error> {
/// use eventhubs::checkpoint::BlobStore;
///
/// let store = BlobStore::from_connection_string("UseDevelopmentStorage=true", "checkpoints")?;
/// store.create_container().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BlobStore {
    caller: Arc<Caller>,
    trust: Trust,
    reads_other_cases: bool,
    page: u32,
    versions: Versions,
}

impl BlobStore {
    /// A store in the container that a signed URL opens, such as
    /// `https://contoso.blob.core.windows.net/checkpoints?sv=…&sig=…`. The signature has to allow reading, writing and
    /// listing (`sp=rwl`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no URL of a container, or has no signature. The message never holds it.
    pub fn from_sas_url(url: impl AsRef<str>) -> Result<Self, Error> {
        let (container, query) = Container::parse(url.as_ref())?;
        let signed = |query: &String| {
            query.bytes().all(|byte| byte.is_ascii_graphic())
                && query.split('&').any(|part| part.starts_with("sig="))
        };
        match query.filter(signed) {
            Some(query) => Ok(Self::new(container, Access::Sas(query))),
            None => {
                let message = format!("the URL of {container} has no signature ('sig=') behind it");
                Err(Error::new(ErrorKind::InvalidArgument, message))
            }
        }
    }

    /// A store in a container of the account that a connection string names: with a key, with a signature, or
    /// `UseDevelopmentStorage=true` for Azurite on this machine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConnectionString`] when the text cannot be understood, and
    /// [`ErrorKind::InvalidArgument`] when the container cannot be called so.
    pub fn from_connection_string(text: impl AsRef<str>, container: impl AsRef<str>) -> Result<Self, Error> {
        let (container, access) = Container::from_connection_string(text.as_ref(), container.as_ref())?;
        Ok(Self::new(container, access))
    }

    /// A store in the container at a URL such as `https://contoso.blob.core.windows.net/checkpoints`, opened by tokens of
    /// Microsoft Entra ID. The provider is asked for `https://storage.azure.com/`; the role that is needed is "Storage
    /// Blob Data Contributor".
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no URL of a container, or would send tokens without encryption.
    pub fn from_token_provider(url: impl AsRef<str>, provider: impl TokenProvider) -> Result<Self, Error> {
        let (container, _) = Container::parse(url.as_ref())?;
        let is_here = matches!(container.server.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if !container.server.is_tls && !is_here {
            let message = format!("{container} is not encrypted: a token must not be sent there");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self::new(container, Access::token(provider)))
    }

    fn new(container: Container, access: Access) -> Self {
        let retry = RetryOptions {
            base_delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(10),
            total_deadline: Some(DEADLINE),
            ..RetryOptions::default()
        };
        let trust = Trust::default();
        let caller = Arc::new(Caller::new(container, access, retry, trust.clone()));
        BlobStore { caller, trust, reads_other_cases: false, page: PAGE, versions: Versions::default() }
    }

    /// How often and how fast a request is tried again that failed for a passing reason, and how long an operation takes
    /// at most. Default: 4 attempts of 10 s, 30 s over all.
    #[must_use]
    pub fn with_retry(self, retry: RetryOptions) -> Self {
        let trust = self.trust.clone();
        self.again(retry, trust)
    }

    /// Trusts the certificates in `pem` too, for a storage with a certificate of one's own.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it holds no certificate.
    pub fn with_ca_pem(self, pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        let trust = Trust::with_extra(pem.as_ref())
            .map_err(|why| Error::new(ErrorKind::InvalidArgument, format!("the CA cannot be used: {why}")))?;
        let retry = self.caller.retry.clone();
        Ok(self.again(retry, trust))
    }

    /// Also reads checkpoints whose blobs are named in the case that is given here, as clients write that do not fold
    /// names (Java's, the official one for Rust up to 0.9). Of two checkpoints of a partition the one that is further
    /// on counts; what is written is in lower case.
    #[must_use]
    pub fn with_names_in_other_cases(mut self) -> Self {
        self.reads_other_cases = true;
        self
    }

    /// Makes the container, unless it is there.
    ///
    /// # Errors
    /// When storage refuses or cannot be reached. A signed URL for one container may not make it.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time; the container is then there or not.
    pub async fn create_container(&self) -> Result<(), Error> {
        let call = Call {
            method: "PUT",
            query: vec![("restype", "container".into())],
            expected: &["ContainerAlreadyExists"],
            ..Call::default()
        };
        let made = self.caller.call(&call, self.deadline()).await;
        made.map(|_| ()).map_err(|error| {
            error.with_operation("create the container").with_entity(self.caller.container.to_string())
        })
    }

    fn again(self, retry: RetryOptions, trust: Trust) -> Self {
        let (container, access) = (self.caller.container.clone(), self.caller.access.clone());
        let caller = Arc::new(Caller::new(container, access, retry, trust.clone()));
        BlobStore { caller, trust, ..self }
    }

    fn deadline(&self) -> Moment {
        now() + self.caller.retry.total_deadline.unwrap_or(DEADLINE)
    }

    /// The blobs whose names begin so, with the partitions that they are for.
    async fn list(&self, prefix: &str, deadline: Moment) -> Result<Vec<(Item, String)>, Error> {
        let (mut items, mut marker): (Vec<(Item, String)>, Option<String>) = (Vec::new(), None);
        loop {
            let mut query = vec![
                ("restype", "container".into()),
                ("comp", "list".into()),
                ("prefix", prefix.to_owned()),
                ("include", "metadata".into()),
                ("maxresults", self.page.to_string()),
            ];
            query.extend(marker.iter().map(|marker| ("marker", marker.clone())));
            let call = Call { method: "GET", query, ..Call::default() };
            let answer = self.caller.call(&call, deadline).await?.http;
            let page = Page::parse(&answer.body).map_err(|why| {
                let message = format!("{} answered with what is no listing: {why}", self.caller.container);
                Error::new(ErrorKind::Protocol, message)
            })?;
            for item in page.items.into_iter().filter(|item| !item.is_directory()) {
                // What lies deeper is not a group's.
                let partition =
                    item.name.strip_prefix(prefix).filter(|rest| !rest.is_empty() && !rest.contains('/'));
                if let Some(partition) = partition.map(str::to_owned) {
                    items.push((item, partition));
                }
            }
            match page.next {
                Some(next) if marker.as_ref() == Some(&next) => {
                    let message = format!("{} names the same next page for ever", self.caller.container);
                    return Err(Error::new(ErrorKind::Protocol, message));
                }
                Some(next) => marker = Some(next),
                None => return Ok(items),
            }
        }
    }

    async fn claim(
        &self,
        group: &ConsumerGroup,
        claim: &Ownership,
        deadline: Moment,
    ) -> Result<Option<Ownership>, Error> {
        let mut headers = of_ownership(claim)?;
        let blob = Some(Kind::Ownership.name(group, &claim.partition_id)?);
        let call = match &claim.etag {
            Some(etag) => {
                if !etag.bytes().all(|byte| byte.is_ascii_graphic()) {
                    // Storage never named a version so: it is not that of any record.
                    return Ok(None);
                }
                headers.push(("if-match", format!("\"{}\"", unquoted(etag))));
                let query = vec![("comp", "metadata".into())];
                Call { method: "PUT", blob, query, headers, expected: &["ConditionNotMet", "BlobNotFound"] }
            }
            None => {
                headers.extend([("if-none-match", "*".into()), ("x-ms-blob-type", "BlockBlob".into())]);
                let expected = &["BlobAlreadyExists", "ConditionNotMet"];
                Call { method: "PUT", blob, headers, expected, ..Call::default() }
            }
        };
        let answered = self.caller.call(&call, deadline).await?;
        match answered {
            Answered { code: None, http, .. } => self.version(claim, &http).map(Some),
            Answered { may_be_second: true, .. } => self.is_ours_already(claim, &call, deadline).await,
            _ => Ok(None),
        }
    }

    /// A claim that was won, or failed for another reason than a lost race.
    async fn decide(
        &self,
        group: &ConsumerGroup,
        folded: &ConsumerGroup,
        claim: &Ownership,
        deadline: Moment,
    ) -> Option<Result<Ownership, RecordFailure>> {
        let won = self.claim(folded, claim, deadline).await.transpose()?;
        Some(won.map_err(|error| RecordFailure {
            partition_id: claim.partition_id.clone(),
            etag: None,
            error: named("claim a partition of", group)(error),
        }))
    }

    /// Whether a claim that looks lost was won by an attempt whose answer never came.
    async fn is_ours_already(
        &self,
        claim: &Ownership,
        call: &Call,
        deadline: Moment,
    ) -> Result<Option<Ownership>, Error> {
        let call =
            Call { method: "HEAD", blob: call.blob.clone(), expected: &["BlobNotFound"], ..Call::default() };
        let answered = self.caller.call(&call, deadline).await?;
        let is_ours = answered.code.is_none() && answered.http.header(OWNER) == Some(claim.owner_id.as_str());
        if !is_ours {
            return Ok(None);
        }
        let record = self.version(claim, &answered.http)?;
        Ok(Some(record).filter(|record| record.etag.as_deref() != claim.etag.as_deref().map(unquoted)))
    }

    /// What was claimed, with the version that storage gave it.
    fn version(&self, claim: &Ownership, answer: &HttpAnswer) -> Result<Ownership, Error> {
        Ok(Ownership {
            etag: Some(self.etag(answer)?.to_owned()),
            last_modified: answer.header("last-modified").and_then(http_time),
            ..claim.clone()
        })
    }

    fn etag<'a>(&self, answer: &'a HttpAnswer) -> Result<&'a str, Error> {
        answer.header("etag").map(unquoted).ok_or_else(|| {
            let message = format!("{} answered without an etag", self.caller.container);
            Error::new(ErrorKind::Protocol, message)
        })
    }
}

impl CheckpointStore for BlobStore {
    fn list_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let listed = async {
                let items = self.list(&Kind::Ownership.prefix(&group.folded())?, self.deadline()).await?;
                Ok(items.iter().map(|(item, partition)| records::ownership(item, partition)).collect())
            };
            listed.await.map_err(named("list the ownerships of", group))
        })
    }

    fn claim_ownership<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        claims: &'a [Ownership],
    ) -> BoxFuture<'a, Result<Records<Ownership>, Error>> {
        Box::pin(async move {
            let (folded, deadline) = (group.folded(), self.deadline());
            let mut decided = Vec::with_capacity(claims.len());
            for claim in claims {
                decided.push(self.decide(group, &folded, claim, deadline));
            }
            let decided: Vec<_> = stream::iter(decided).buffer_unordered(AT_ONCE).collect().await;
            let mut all: Records<Ownership> = decided.into_iter().flatten().collect();
            if all.failures.len() == claims.len()
                && let Some(failure) = all.failures.pop()
            {
                return Err(failure.error);
            }
            Ok(all)
        })
    }

    fn list_checkpoints<'a>(
        &'a self,
        group: &'a ConsumerGroup,
    ) -> BoxFuture<'a, Result<Records<Checkpoint>, Error>> {
        Box::pin(
            async move { self.checkpoints(group).await.map_err(named("list the checkpoints of", group)) },
        )
    }

    fn update_checkpoint<'a>(
        &'a self,
        group: &'a ConsumerGroup,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let written = self.write(&group.folded(), checkpoint).await;
            written.map_err(named("write a checkpoint of", group))
        })
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobStore({}, {:?})", self.caller.container, self.caller.access)
    }
}

fn named(operation: &'static str, group: &ConsumerGroup) -> impl Fn(Error) -> Error {
    let entity = group.to_string();
    move |error| error.with_operation(operation).with_entity(entity.clone())
}

#[cfg(test)]
mod tests;
