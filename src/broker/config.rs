//! What a namespace is made of, and what it insists on.

use std::fmt;
use std::ops::BitOr;
use std::time::Duration;

/// A namespace as it is to be.
#[derive(Clone, Debug)]
pub struct NamespaceConfig {
    /// The namespace's name, for the texts of errors.
    pub name: String,
    /// Hubs that exist from the start.
    pub hubs: Vec<HubConfig>,
    /// Who may do what.
    pub rules: Vec<AccessRule>,
    /// The key that opens everything under any key name, as the official emulator's `SAS_KEY_VALUE` does;
    /// `None` when only [`rules`](Self::rules) count.
    pub development_key: Option<AccessKey>,
    /// Whether any Entra ID token (`jwt`) is taken at its word with all rights. They cannot be verified here.
    pub accept_any_jwt: bool,
    /// How long events are kept where a hub does not say otherwise.
    pub retention: Retention,
    /// What is refused.
    pub limits: NamespaceLimits,
    /// How long peers may do nothing.
    pub idle: IdlePolicy,
}

/// A hub as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// The hub's name; case does not distinguish hubs.
    pub name: String,
    /// How many partitions it has, for ever.
    pub partitions: u32,
    /// Consumer groups besides `$Default`.
    pub consumer_groups: Vec<String>,
    /// How long its events are kept; the namespace's retention when `None`.
    pub retention: Option<Retention>,
}

/// How long events are kept. Whichever bound is reached first drops the oldest ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events older than this are dropped.
    pub time: Duration,
    /// The oldest events of a partition are dropped when it holds more bytes than this.
    pub bytes_per_partition: u64,
}

/// A key and what it allows: a shared access policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// The key's name (`SharedAccessKeyName`).
    pub key_name: String,
    /// The key's text.
    pub key: AccessKey,
    /// What it allows.
    pub rights: Rights,
    /// Where it is valid.
    pub scope: Scope,
}

/// The text of an access key. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey(String);

/// Where a rule is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the whole namespace.
    Namespace,
    /// On one hub.
    Hub(String),
}

/// What a rule allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rights(u8);

/// Bounds on what clients can make a namespace hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// The largest publication, a batch's envelope included, in bytes.
    pub max_message_size: u64,
    /// Connections at one time.
    pub connections: usize,
    /// Links of one connection.
    pub links_per_connection: usize,
    /// Grants (tokens put for different entities) of one connection.
    pub grants_per_connection: usize,
    /// Hubs.
    pub hubs: usize,
    /// Partitions of one hub.
    pub partitions_per_hub: u32,
    /// Consumer groups of one hub, `$Default` included.
    pub consumer_groups_per_hub: usize,
    /// Bytes of events in all partitions together; publications beyond are refused until retention made room.
    pub stored_bytes: u64,
}

/// How long peers may do nothing before they are let go. `None` is for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdlePolicy {
    /// From `open` to the first link.
    pub first_link: Option<Duration>,
    /// Without any link.
    pub no_links: Option<Duration>,
    /// A `$cbs` or `$management` link without a request.
    pub request_link: Option<Duration>,
    /// A sender link without a publication.
    pub publisher: Option<Duration>,
}

impl NamespaceConfig {
    /// The key text that every Azure SDK sends to an emulator.
    pub const DEVELOPMENT_KEY: &'static str = "SAS_KEY_VALUE";
}

impl Default for NamespaceConfig {
    fn default() -> Self {
        NamespaceConfig {
            name: "emulatorns1".to_owned(),
            hubs: Vec::new(),
            rules: Vec::new(),
            development_key: Some(AccessKey::new(Self::DEVELOPMENT_KEY)),
            accept_any_jwt: false,
            retention: Retention::default(),
            limits: NamespaceLimits::default(),
            idle: IdlePolicy::default(),
        }
    }
}

impl HubConfig {
    /// A hub with `partitions` partitions and the consumer group `$Default`.
    pub fn new(name: impl Into<String>, partitions: u32) -> Self {
        HubConfig { name: name.into(), partitions, consumer_groups: Vec::new(), retention: None }
    }
}

impl Default for Retention {
    /// One hour, as the official emulator, and 1 GiB a partition.
    fn default() -> Self {
        Retention { time: Duration::from_secs(3600), bytes_per_partition: 1 << 30 }
    }
}

impl Default for NamespaceLimits {
    /// The Standard tier where it says something; memory for a developer's machine.
    fn default() -> Self {
        NamespaceLimits {
            max_message_size: 1_048_576,
            connections: 5000,
            links_per_connection: 4096,
            grants_per_connection: 4096,
            hubs: 1000,
            partitions_per_hub: 1024,
            consumer_groups_per_hub: 1000,
            stored_bytes: 4 << 30,
        }
    }
}

impl Default for IdlePolicy {
    /// The service's figures; its two shorter ones doubled for people who stop in a debugger.
    fn default() -> Self {
        IdlePolicy {
            first_link: Some(Duration::from_secs(120)),
            no_links: Some(Duration::from_secs(600)),
            request_link: Some(Duration::from_secs(600)),
            publisher: Some(Duration::from_secs(1800)),
        }
    }
}

impl AccessKey {
    /// A key from its text, which is used as it is: keys are never decoded.
    pub fn new(text: impl Into<String>) -> Self {
        AccessKey(text.into())
    }

    /// The key's text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(…)")
    }
}

impl Rights {
    /// Nothing.
    pub const NONE: Rights = Rights(0);
    /// Publishing.
    pub const SEND: Rights = Rights(1);
    /// Receiving and reading of properties.
    pub const LISTEN: Rights = Rights(2);
    /// Everything.
    pub const MANAGE: Rights = Rights(7);

    /// Whether these include all of `needed`.
    pub fn include(self, needed: Rights) -> bool {
        self.0 & needed.0 == needed.0
    }
}

impl BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Rights::NONE => "no rights",
            Rights::SEND => "Send",
            Rights::LISTEN => "Listen",
            Rights::MANAGE => "Manage",
            _ => "Send,Listen",
        })
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let config = NamespaceConfig::default();
        assert!(!format!("{config:?}").contains("SAS_KEY_VALUE"));
    }

    #[test]
    fn manage_includes_send_and_listen_but_not_the_reverse() {
        assert!(Rights::MANAGE.include(Rights::SEND | Rights::LISTEN));
        assert!(!(Rights::SEND | Rights::LISTEN).include(Rights::MANAGE));
        assert!(!Rights::SEND.include(Rights::LISTEN));
    }
}
