//! The performatives, with every field that this dialect uses.


use super::types::Role;
use crate::model::value::{Symbol, Value};

/// `open`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Open {
    /// The container's name.
    pub container_id: String,
    /// The host that the client wants to talk to.
    pub hostname: Option<String>,
    /// The largest frame that the sender of this takes, in bytes.
    pub max_frame_size: u32,
    /// The highest channel that may be used.
    pub channel_max: u16,
    /// Milliseconds of silence that the sender of this allows.
    pub idle_timeout: Option<u32>,
    /// Extensions that the sender offers.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that the sender would like.
    pub desired_capabilities: Vec<Symbol>,
    /// More about the connection.
    pub properties: Vec<(Symbol, Value)>,
}

/// `attach`
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// The link's name.
    pub name: String,
    /// The sender's of this performative own role.
    pub role: Role,
    /// 0 unsettled, 1 settled, 2 mixed.
    pub snd_settle_mode: Option<u8>,
    /// 0 first, 1 second.
    pub rcv_settle_mode: Option<u8>,
    /// Where messages come from.
    pub source: Option<Source>,
    /// Where messages go to.
    pub target: Option<Target>,
    /// The largest message in bytes; `None` or 0 is without limit.
    pub max_message_size: Option<u64>,
    /// Extensions offered.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions desired.
    pub desired_capabilities: Vec<Symbol>,
    /// More about the link.
    pub properties: Vec<(Symbol, Value)>,
}

/// `source`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Source {
    /// The node's address.
    pub address: Option<String>,
    /// The filter set, as it is on the wire, so that it can be echoed to the letter.
    pub filter: Vec<(Symbol, Value)>,
}

/// `target`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Target {
    /// The node's address.
    pub address: Option<String>,
}
