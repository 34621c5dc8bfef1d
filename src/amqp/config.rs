//! What a connection announces, and the bounds it keeps.

use std::time::Duration;

use super::types::SaslProfile;
use crate::model::value::{Symbol, Value};

/// What a connection announces, and what it insists on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our container's name.
    pub container_id: String,
    /// Client: the host asked for.
    pub hostname: Option<String>,
    /// More about us in `open`.
    pub properties: Vec<(Symbol, Value)>,
    /// Extensions we would like.
    pub desired_capabilities: Vec<Symbol>,
    /// The silence we allow the peer, announced in `open`; the connection is over after twice this.
    pub idle_timeout: Option<Duration>,
    /// Client: how we authenticate. Servers offer `MSSBCBS`, `PLAIN`, `ANONYMOUS` and `EXTERNAL`.
    pub sasl: SaslProfile,
    /// What we insist on.
    pub limits: Limits,
}

/// Bounds on what a peer can make us hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame we take, in bytes.
    pub max_frame_size: u32,
    /// The highest channel a peer may use.
    pub channel_max: u16,
    /// The highest handle a peer may use on a session.
    pub handle_max: u32,
    /// Links of one connection together, those being refused or detached included.
    pub max_links: usize,
    /// The largest message we take on a link that does not say, in bytes.
    pub max_message_size: u64,
    /// Bytes that may be held, over all links, for messages of which frames are still to come.
    pub max_unfinished_bytes: u64,
    /// Transfers that a peer may send on a session before it hears from us.
    pub session_window: u32,
    /// How long the opening handshake may take, and the closing one.
    pub handshake_timeout: Duration,
}

impl Default for Limits {
    /// What the service announces, with a message bound of 64 MiB that no tier reaches.
    fn default() -> Self {
        Limits {
            max_frame_size: 65_536,
            channel_max: 4_999,
            handle_max: 255,
            max_links: 16_384,
            max_message_size: 64 << 20,
            max_unfinished_bytes: 128 << 20,
            session_window: 5_000,
            handshake_timeout: Duration::from_secs(15),
        }
    }
}

impl Default for Config {
    /// An anonymous container that allows two minutes of silence.
    fn default() -> Self {
        Config {
            container_id: String::new(),
            hostname: None,
            properties: Vec::new(),
            desired_capabilities: Vec::new(),
            idle_timeout: Some(Duration::from_secs(60)),
            sasl: SaslProfile::Anonymous,
            limits: Limits::default(),
        }
    }
}
