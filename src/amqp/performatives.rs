//! The performatives, with every field that this dialect uses.
//!
//! They are written in full: every field of the standard has its place, absent ones as null, because a widely
//! used client indexes into the lists without looking at their length. They are read leniently.

mod read;
mod write;

pub(super) use read::*;
pub(super) use write::*;

use super::types::{Outcome, Role};
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

impl Attach {
    /// A link of this name and role, everything else absent.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Attach {
            name: name.into(),
            role,
            snd_settle_mode: None,
            rcv_settle_mode: None,
            source: None,
            target: None,
            max_message_size: None,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: Vec::new(),
        }
    }
}

impl Source {
    /// A source at `address`, without a filter.
    pub fn at(address: impl Into<String>) -> Self {
        Source { address: Some(address.into()), filter: Vec::new() }
    }
}

impl Target {
    /// A target at `address`.
    pub fn at(address: impl Into<String>) -> Self {
        Target { address: Some(address.into()) }
    }
}

pub(super) const OPEN: u64 = 0x10;
pub(super) const BEGIN: u64 = 0x11;
pub(super) const ATTACH: u64 = 0x12;
pub(super) const FLOW: u64 = 0x13;
pub(super) const TRANSFER: u64 = 0x14;
pub(super) const DISPOSITION: u64 = 0x15;
pub(super) const DETACH: u64 = 0x16;
pub(super) const END: u64 = 0x17;
pub(super) const CLOSE: u64 = 0x18;
pub(super) const SASL_MECHANISMS: u64 = 0x40;
pub(super) const SASL_INIT: u64 = 0x41;
pub(super) const SASL_OUTCOME: u64 = 0x44;

const ERROR: u64 = 0x1d;
const ACCEPTED: u64 = 0x24;
const REJECTED: u64 = 0x25;
const RELEASED: u64 = 0x26;
const MODIFIED: u64 = 0x27;
const SOURCE: u64 = 0x28;
const TARGET: u64 = 0x29;

/// `begin`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Begin {
    pub(super) remote_channel: Option<u16>,
    pub(super) next_outgoing_id: u32,
    pub(super) incoming_window: u32,
    pub(super) outgoing_window: u32,
    pub(super) handle_max: u32,
}

/// `flow`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flow {
    pub(super) next_incoming_id: Option<u32>,
    pub(super) incoming_window: u32,
    pub(super) next_outgoing_id: u32,
    pub(super) outgoing_window: u32,
    pub(super) link: Option<LinkFlow>,
    pub(super) echo: bool,
}

/// The part of `flow` that is about one link.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LinkFlow {
    pub(super) handle: u32,
    pub(super) delivery_count: Option<u32>,
    pub(super) link_credit: u32,
    pub(super) drain: bool,
}

/// `transfer`, without its payload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transfer {
    pub(super) handle: u32,
    pub(super) delivery_id: Option<u32>,
    /// Where the delivery-tag lies in the frame.
    pub(super) tag: Option<(usize, usize)>,
    pub(super) message_format: Option<u32>,
    pub(super) settled: Option<bool>,
    pub(super) more: bool,
    pub(super) aborted: bool,
}

/// `disposition`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Disposition {
    pub(super) role: Role,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) settled: bool,
    /// `None` when there is no state, or one that is not terminal.
    pub(super) outcome: Option<Outcome>,
}

/// The descriptor of a performative by its symbolic name.
pub(super) fn code_of(name: &str) -> Option<u64> {
    Some(match name {
        "amqp:open:list" => OPEN,
        "amqp:begin:list" => BEGIN,
        "amqp:attach:list" => ATTACH,
        "amqp:flow:list" => FLOW,
        "amqp:transfer:list" => TRANSFER,
        "amqp:disposition:list" => DISPOSITION,
        "amqp:detach:list" => DETACH,
        "amqp:end:list" => END,
        "amqp:close:list" => CLOSE,
        "amqp:error:list" => ERROR,
        "amqp:accepted:list" => ACCEPTED,
        "amqp:rejected:list" => REJECTED,
        "amqp:released:list" => RELEASED,
        "amqp:modified:list" => MODIFIED,
        "amqp:source:list" => SOURCE,
        "amqp:target:list" => TARGET,
        "amqp:sasl-mechanisms:list" => SASL_MECHANISMS,
        "amqp:sasl-init:list" => SASL_INIT,
        "amqp:sasl-outcome:list" => SASL_OUTCOME,
        _ => return None,
    })
}
