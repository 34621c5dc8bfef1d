//! The performatives, with every field that this dialect uses.
//!
//! They are written in full: every field of the standard has its place, absent ones as null, because a widely
//! used client indexes into the lists without looking at their length. They are read leniently.

use bytes::{BufMut, Bytes, BytesMut};

use super::decode::{DecodeError, Fields, Reader};
use super::encode;
use super::types::{AmqpError, Outcome, Role};
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

pub(super) fn put_open(out: &mut BytesMut, open: &Open) {
    list(out, OPEN, 10, |out| {
        encode::string(out, &open.container_id);
        opt_string(out, open.hostname.as_deref());
        uint(out, open.max_frame_size);
        ushort(out, open.channel_max);
        opt_uint(out, open.idle_timeout);
        null(out);
        null(out);
        symbols(out, &open.offered_capabilities);
        symbols(out, &open.desired_capabilities);
        symbol_map(out, &open.properties);
    });
}

pub(super) fn put_begin(out: &mut BytesMut, begin: &Begin) {
    list(out, BEGIN, 8, |out| {
        match begin.remote_channel {
            Some(channel) => ushort(out, channel),
            None => null(out),
        }
        uint(out, begin.next_outgoing_id);
        uint(out, begin.incoming_window);
        uint(out, begin.outgoing_window);
        uint(out, begin.handle_max);
        null(out);
        null(out);
        null(out);
    });
}

pub(super) fn put_attach(out: &mut BytesMut, handle: u32, attach: &Attach) {
    descriptor(out, ATTACH);
    encode::compound_large(out, 0xd0, 14, |out| {
        encode::string(out, &attach.name);
        uint(out, handle);
        boolean(out, attach.role == Role::Receiver);
        opt_ubyte(out, attach.snd_settle_mode);
        opt_ubyte(out, attach.rcv_settle_mode);
        match &attach.source {
            Some(source) => put_source(out, source),
            None => null(out),
        }
        match &attach.target {
            Some(target) => put_target(out, target),
            None => null(out),
        }
        null(out);
        null(out);
        // Mandatory for the sender, and to be ignored from the receiver.
        opt_uint(out, (attach.role == Role::Sender).then_some(0));
        match attach.max_message_size {
            Some(size) => {
                out.put_u8(0x80);
                out.put_u64(size);
            }
            None => null(out),
        }
        symbols(out, &attach.offered_capabilities);
        symbols(out, &attach.desired_capabilities);
        symbol_map(out, &attach.properties);
    });
}

pub(super) fn put_flow(out: &mut BytesMut, flow: &Flow) {
    list(out, FLOW, 11, |out| {
        opt_uint(out, flow.next_incoming_id);
        uint(out, flow.incoming_window);
        uint(out, flow.next_outgoing_id);
        uint(out, flow.outgoing_window);
        match &flow.link {
            Some(link) => {
                uint(out, link.handle);
                opt_uint(out, link.delivery_count);
                uint(out, link.link_credit);
                null(out);
                boolean(out, link.drain);
            }
            None => out.put_slice(&[0x40; 5]),
        }
        boolean(out, flow.echo);
        null(out);
    });
}

pub(super) fn put_disposition(out: &mut BytesMut, disposition: &Disposition) {
    list(out, DISPOSITION, 6, |out| {
        boolean(out, disposition.role == Role::Receiver);
        uint(out, disposition.first);
        match disposition.last == disposition.first {
            true => null(out),
            false => uint(out, disposition.last),
        }
        boolean(out, disposition.settled);
        match &disposition.outcome {
            Some(outcome) => put_outcome(out, outcome),
            None => null(out),
        }
        null(out);
    });
}

pub(super) fn put_detach(out: &mut BytesMut, handle: u32, closed: bool, error: Option<&AmqpError>) {
    list(out, DETACH, 3, |out| {
        uint(out, handle);
        boolean(out, closed);
        opt_error(out, error);
    });
}

pub(super) fn put_end_or_close(out: &mut BytesMut, code: u64, error: Option<&AmqpError>) {
    list(out, code, 1, |out| opt_error(out, error));
}

pub(super) fn put_sasl_mechanisms(out: &mut BytesMut, mechanisms: &[Symbol]) {
    list(out, SASL_MECHANISMS, 1, |out| symbols(out, mechanisms));
}

pub(super) fn put_sasl_init(out: &mut BytesMut, mechanism: &Symbol, response: &[u8], hostname: Option<&str>) {
    list(out, SASL_INIT, 3, |out| {
        encode::symbol(out, mechanism);
        encode::binary(out, response);
        opt_string(out, hostname);
    });
}

pub(super) fn put_sasl_outcome(out: &mut BytesMut, code: u8) {
    list(out, SASL_OUTCOME, 2, |out| {
        opt_ubyte(out, Some(code));
        null(out);
    });
}

pub(super) fn open(reader: &mut Reader<'_>) -> Result<Open, DecodeError> {
    let mut fields = Fields::of(reader)?;
    let container_id = fields.string()?.ok_or(DecodeError("open without container-id"))?;
    let hostname = fields.string()?;
    let max_frame_size = fields.u32()?.unwrap_or(u32::MAX);
    let channel_max = fields.u16()?.unwrap_or(u16::MAX);
    let idle_timeout = fields.u32()?.filter(|millis| *millis > 0);
    fields.skip()?;
    fields.skip()?;
    Ok(Open {
        container_id,
        hostname,
        max_frame_size,
        channel_max,
        idle_timeout,
        offered_capabilities: fields.symbols()?,
        desired_capabilities: fields.symbols()?,
        properties: fields.symbol_map()?,
    })
}

pub(super) fn begin(reader: &mut Reader<'_>) -> Result<Begin, DecodeError> {
    let mut fields = Fields::of(reader)?;
    Ok(Begin {
        remote_channel: fields.u16()?,
        next_outgoing_id: fields.u32()?.ok_or(DecodeError("begin without next-outgoing-id"))?,
        incoming_window: fields.u32()?.ok_or(DecodeError("begin without incoming-window"))?,
        outgoing_window: fields.u32()?.ok_or(DecodeError("begin without outgoing-window"))?,
        handle_max: fields.u32()?.unwrap_or(u32::MAX),
    })
}

/// The handle, the initial delivery-count and the rest.
pub(super) fn attach(reader: &mut Reader<'_>) -> Result<(u32, Option<u32>, Attach), DecodeError> {
    let mut fields = Fields::of(reader)?;
    let name = fields.string()?.ok_or(DecodeError("attach without name"))?;
    let handle = fields.u32()?.ok_or(DecodeError("attach without handle"))?;
    let role = role(fields.bool()?.ok_or(DecodeError("attach without role"))?);
    let snd_settle_mode = fields.u8()?;
    let rcv_settle_mode = fields.u8()?;
    let source = fields.composite(source)?;
    let target = fields.composite(target)?;
    fields.skip()?;
    fields.skip()?;
    let initial_delivery_count = fields.u32()?;
    let attach = Attach {
        name,
        role,
        snd_settle_mode,
        rcv_settle_mode,
        source,
        target,
        max_message_size: fields.u64()?,
        offered_capabilities: fields.symbols()?,
        desired_capabilities: fields.symbols()?,
        properties: fields.symbol_map()?,
    };
    Ok((handle, initial_delivery_count, attach))
}

pub(super) fn flow(reader: &mut Reader<'_>) -> Result<Flow, DecodeError> {
    let mut fields = Fields::of(reader)?;
    let next_incoming_id = fields.u32()?;
    let incoming_window = fields.u32()?.ok_or(DecodeError("flow without incoming-window"))?;
    let next_outgoing_id = fields.u32()?.ok_or(DecodeError("flow without next-outgoing-id"))?;
    let outgoing_window = fields.u32()?.ok_or(DecodeError("flow without outgoing-window"))?;
    let handle = fields.u32()?;
    let delivery_count = fields.u32()?;
    let link_credit = fields.u32()?;
    fields.skip()?;
    let drain = fields.bool()?.unwrap_or(false);
    let echo = fields.bool()?.unwrap_or(false);
    let link = handle.map(|handle| LinkFlow {
        handle,
        delivery_count,
        link_credit: link_credit.unwrap_or(0),
        drain,
    });
    Ok(Flow { next_incoming_id, incoming_window, next_outgoing_id, outgoing_window, link, echo })
}

pub(super) fn transfer(reader: &mut Reader<'_>) -> Result<Transfer, DecodeError> {
    let mut fields = Fields::of(reader)?;
    let handle = fields.u32()?.ok_or(DecodeError("transfer without handle"))?;
    let delivery_id = fields.u32()?;
    let tag = fields.binary_span()?;
    let message_format = fields.u32()?;
    let settled = fields.bool()?;
    let more = fields.bool()?.unwrap_or(false);
    fields.skip()?;
    fields.skip()?;
    fields.skip()?;
    let aborted = fields.bool()?.unwrap_or(false);
    fields.finish();
    Ok(Transfer { handle, delivery_id, tag, message_format, settled, more, aborted })
}

pub(super) fn disposition(reader: &mut Reader<'_>) -> Result<Disposition, DecodeError> {
    let mut fields = Fields::of(reader)?;
    let role = role(fields.bool()?.ok_or(DecodeError("disposition without role"))?);
    let first = fields.u32()?.ok_or(DecodeError("disposition without first"))?;
    let last = fields.u32()?.unwrap_or(first);
    let settled = fields.bool()?.unwrap_or(false);
    let outcome = fields.composite(outcome)?.flatten();
    Ok(Disposition { role, first, last, settled, outcome })
}

/// The handle, whether the link is closed, and why.
pub(super) fn detach(reader: &mut Reader<'_>) -> Result<(u32, bool, Option<AmqpError>), DecodeError> {
    let mut fields = Fields::of(reader)?;
    let handle = fields.u32()?.ok_or(DecodeError("detach without handle"))?;
    let closed = fields.bool()?.unwrap_or(false);
    Ok((handle, closed, fields.composite(error)?))
}

pub(super) fn end_or_close(reader: &mut Reader<'_>) -> Result<Option<AmqpError>, DecodeError> {
    Fields::of(reader)?.composite(error)
}

pub(super) fn sasl_mechanisms(reader: &mut Reader<'_>) -> Result<Vec<Symbol>, DecodeError> {
    Fields::of(reader)?.symbols()
}

pub(super) fn sasl_init(reader: &mut Reader<'_>) -> Result<(Symbol, Option<Bytes>), DecodeError> {
    let mut fields = Fields::of(reader)?;
    let mechanism = fields.symbol()?.ok_or(DecodeError("sasl-init without mechanism"))?;
    Ok((mechanism, fields.binary()?))
}

pub(super) fn sasl_outcome(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    Fields::of(reader)?.u8()?.ok_or(DecodeError("sasl-outcome without code"))
}

fn role(is_receiver: bool) -> Role {
    if is_receiver { Role::Receiver } else { Role::Sender }
}

fn source(reader: &mut Reader<'_>) -> Result<Source, DecodeError> {
    if reader.descriptor(code_of)? != SOURCE {
        return Err(DecodeError("something else where a source is needed"));
    }
    let mut fields = Fields::of(reader)?;
    let address = fields.string()?;
    for _ in 0..6 {
        fields.skip()?;
    }
    let filter = fields.symbol_map()?;
    fields.finish();
    Ok(Source { address, filter })
}

/// A coordinator or another kind of target has no address that could mean anything here.
fn target(reader: &mut Reader<'_>) -> Result<Target, DecodeError> {
    let start = reader.position();
    if reader.descriptor(code_of).unwrap_or(0) != TARGET {
        reader.set_position(start);
        reader.skip()?;
        return Ok(Target::default());
    }
    let mut fields = Fields::of(reader)?;
    let address = fields.string()?;
    fields.finish();
    Ok(Target { address })
}

fn error(reader: &mut Reader<'_>) -> Result<AmqpError, DecodeError> {
    if reader.descriptor(code_of)? != ERROR {
        return Err(DecodeError("something else where an error is needed"));
    }
    let mut fields = Fields::of(reader)?;
    let condition = fields.symbol()?.ok_or(DecodeError("an error without condition"))?;
    let description = fields.string()?;
    let info = match fields.value()? {
        Some(Value::Map(info)) => info,
        _ => Vec::new(),
    };
    fields.finish();
    Ok(AmqpError { condition, description, info })
}

/// The terminal outcome of a delivery state; other states are passed over.
fn outcome(reader: &mut Reader<'_>) -> Result<Option<Outcome>, DecodeError> {
    let start = reader.position();
    let code = reader.descriptor(code_of).unwrap_or(0);
    if !(ACCEPTED..=MODIFIED).contains(&code) {
        reader.set_position(start);
        reader.skip()?;
        return Ok(None);
    }
    let mut fields = Fields::of(reader)?;
    let outcome = match code {
        ACCEPTED => Outcome::Accepted,
        REJECTED => Outcome::Rejected(fields.composite(error)?),
        RELEASED => Outcome::Released,
        _ => Outcome::Modified {
            delivery_failed: fields.bool()?.unwrap_or(false),
            undeliverable_here: fields.bool()?.unwrap_or(false),
        },
    };
    fields.finish();
    Ok(Some(outcome))
}

fn descriptor(out: &mut BytesMut, code: u64) {
    out.put_slice(&[0x00, 0x53, code as u8]);
}

fn list(out: &mut BytesMut, code: u64, count: usize, body: impl FnOnce(&mut BytesMut)) {
    descriptor(out, code);
    encode::compound(out, 0xc0, 0xd0, count, body);
}

fn put_source(out: &mut BytesMut, source: &Source) {
    list(out, SOURCE, 11, |out| {
        opt_string(out, source.address.as_deref());
        out.put_slice(&[0x40; 6]);
        symbol_map(out, &source.filter);
        out.put_slice(&[0x40; 3]);
    });
}

fn put_target(out: &mut BytesMut, target: &Target) {
    list(out, TARGET, 7, |out| {
        opt_string(out, target.address.as_deref());
        out.put_slice(&[0x40; 6]);
    });
}

fn put_outcome(out: &mut BytesMut, outcome: &Outcome) {
    match outcome {
        Outcome::Accepted => list(out, ACCEPTED, 0, |_| {}),
        Outcome::Rejected(error) => list(out, REJECTED, 1, |out| opt_error(out, error.as_ref())),
        Outcome::Released => list(out, RELEASED, 0, |_| {}),
        Outcome::Modified { delivery_failed, undeliverable_here } => list(out, MODIFIED, 3, |out| {
            boolean(out, *delivery_failed);
            boolean(out, *undeliverable_here);
            null(out);
        }),
        Outcome::Unknown => null(out),
    }
}

fn opt_error(out: &mut BytesMut, error: Option<&AmqpError>) {
    let Some(error) = error else { return null(out) };
    list(out, ERROR, 3, |out| {
        encode::symbol(out, &error.condition);
        opt_string(out, error.description.as_deref());
        match error.info.is_empty() {
            true => null(out),
            false => encode::value(out, &Value::Map(error.info.clone())),
        }
    });
}

fn null(out: &mut BytesMut) {
    out.put_u8(0x40);
}

fn boolean(out: &mut BytesMut, value: bool) {
    out.put_u8(if value { 0x41 } else { 0x42 });
}

fn opt_ubyte(out: &mut BytesMut, value: Option<u8>) {
    match value {
        Some(n) => out.put_slice(&[0x50, n]),
        None => null(out),
    }
}

fn ushort(out: &mut BytesMut, n: u16) {
    out.put_u8(0x60);
    out.put_u16(n);
}

fn uint(out: &mut BytesMut, n: u32) {
    out.put_u8(0x70);
    out.put_u32(n);
}

fn opt_uint(out: &mut BytesMut, value: Option<u32>) {
    match value {
        Some(n) => uint(out, n),
        None => null(out),
    }
}

fn opt_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => encode::string(out, text),
        None => null(out),
    }
}

fn symbols(out: &mut BytesMut, symbols: &[Symbol]) {
    if symbols.is_empty() {
        return null(out);
    }
    if symbols.iter().any(|symbol| symbol.as_str().len() > 255) {
        return encode::value(out, &Value::Array(symbols.iter().cloned().map(Value::Symbol).collect()));
    }
    encode::compound_large(out, 0xf0, symbols.len(), |out| {
        out.put_u8(0xa3);
        for symbol in symbols {
            out.put_u8(symbol.as_str().len() as u8);
            out.put_slice(symbol.as_str().as_bytes());
        }
    });
}

fn symbol_map(out: &mut BytesMut, entries: &[(Symbol, Value)]) {
    if entries.is_empty() {
        return null(out);
    }
    encode::compound(out, 0xc1, 0xd1, entries.len() * 2, |out| {
        for (key, value) in entries {
            encode::symbol(out, key);
            encode::value(out, value);
        }
    });
}
