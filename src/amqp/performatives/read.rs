//! Performatives, read leniently: what is left out is absent, and unknown states are passed over.

use bytes::Bytes;

use super::{
    ACCEPTED, Attach, Begin, Disposition, ERROR, Flow, LinkFlow, MODIFIED, Open, REJECTED, RELEASED, SOURCE,
    Source, TARGET, Target, Transfer, code_of,
};
use crate::amqp::decode::{DecodeError, Fields, Reader};
use crate::amqp::types::{AmqpError, Outcome, Role};
use crate::model::value::{Symbol, Value};

pub(in crate::amqp) fn open(reader: &mut Reader<'_>) -> Result<Open, DecodeError> {
    let mut fields = Fields::of(reader);
    let container_id = fields.required_string("open without container-id");
    let hostname = fields.string();
    let max_frame_size = fields.u32().unwrap_or(u32::MAX);
    let channel_max = fields.u16().unwrap_or(u16::MAX);
    let idle_timeout = fields.u32().filter(|millis| *millis > 0);
    fields.skip();
    fields.skip();
    let open = Open {
        container_id,
        hostname,
        max_frame_size,
        channel_max,
        idle_timeout,
        offered_capabilities: fields.symbols(),
        desired_capabilities: fields.symbols(),
        properties: fields.symbol_map(),
    };
    fields.finish().map(|()| open)
}

pub(in crate::amqp) fn begin(reader: &mut Reader<'_>) -> Result<Begin, DecodeError> {
    let mut fields = Fields::of(reader);
    let begin = Begin {
        remote_channel: fields.u16(),
        next_outgoing_id: fields.required_u32("begin without next-outgoing-id"),
        incoming_window: fields.required_u32("begin without incoming-window"),
        outgoing_window: fields.required_u32("begin without outgoing-window"),
        handle_max: fields.u32().unwrap_or(u32::MAX),
    };
    fields.finish().map(|()| begin)
}

/// The handle, the initial delivery-count and the rest.
pub(in crate::amqp) fn attach(reader: &mut Reader<'_>) -> Result<(u32, Option<u32>, Attach), DecodeError> {
    let mut fields = Fields::of(reader);
    let name = fields.required_string("attach without name");
    let handle = fields.required_u32("attach without handle");
    let role = required_role(&mut fields, "attach without role");
    let snd_settle_mode = fields.u8();
    let rcv_settle_mode = fields.u8();
    let source = fields.composite(source);
    let target = fields.composite(target);
    fields.skip();
    fields.skip();
    let initial_delivery_count = fields.u32();
    let attach = Attach {
        name,
        role,
        snd_settle_mode,
        rcv_settle_mode,
        source,
        target,
        max_message_size: fields.u64(),
        offered_capabilities: fields.symbols(),
        desired_capabilities: fields.symbols(),
        properties: fields.symbol_map(),
    };
    fields.finish().map(|()| (handle, initial_delivery_count, attach))
}

pub(in crate::amqp) fn flow(reader: &mut Reader<'_>) -> Result<Flow, DecodeError> {
    let mut fields = Fields::of(reader);
    let next_incoming_id = fields.u32();
    let incoming_window = fields.required_u32("flow without incoming-window");
    let next_outgoing_id = fields.required_u32("flow without next-outgoing-id");
    let outgoing_window = fields.required_u32("flow without outgoing-window");
    let handle = fields.u32();
    let delivery_count = fields.u32();
    let link_credit = fields.u32();
    fields.skip();
    let drain = fields.bool().unwrap_or(false);
    let echo = fields.bool().unwrap_or(false);
    fields.finish()?;
    let link = handle.map(|handle| LinkFlow {
        handle,
        delivery_count,
        link_credit: link_credit.unwrap_or(0),
        drain,
    });
    Ok(Flow { next_incoming_id, incoming_window, next_outgoing_id, outgoing_window, link, echo })
}

pub(in crate::amqp) fn transfer(reader: &mut Reader<'_>) -> Result<Transfer, DecodeError> {
    let mut fields = Fields::of(reader);
    let handle = fields.required_u32("transfer without handle");
    let delivery_id = fields.u32();
    let tag = fields.binary_span();
    let message_format = fields.u32();
    let settled = fields.bool();
    let more = fields.bool().unwrap_or(false);
    fields.skip();
    fields.skip();
    fields.skip();
    let aborted = fields.bool().unwrap_or(false);
    fields.finish()?;
    Ok(Transfer { handle, delivery_id, tag, message_format, settled, more, aborted })
}

pub(in crate::amqp) fn disposition(reader: &mut Reader<'_>) -> Result<Disposition, DecodeError> {
    let mut fields = Fields::of(reader);
    let role = required_role(&mut fields, "disposition without role");
    let first = fields.required_u32("disposition without first");
    let last = fields.u32().unwrap_or(first);
    let settled = fields.bool().unwrap_or(false);
    let outcome = fields.composite(outcome).flatten();
    fields.finish().map(|()| Disposition { role, first, last, settled, outcome })
}

/// The handle, whether the link is closed, and why.
pub(in crate::amqp) fn detach(
    reader: &mut Reader<'_>,
) -> Result<(u32, bool, Option<AmqpError>), DecodeError> {
    let mut fields = Fields::of(reader);
    let handle = fields.required_u32("detach without handle");
    let closed = fields.bool().unwrap_or(false);
    let error = fields.composite(error);
    fields.finish().map(|()| (handle, closed, error))
}

pub(in crate::amqp) fn end_or_close(reader: &mut Reader<'_>) -> Result<Option<AmqpError>, DecodeError> {
    let mut fields = Fields::of(reader);
    let error = fields.composite(error);
    fields.finish().map(|()| error)
}

pub(in crate::amqp) fn sasl_mechanisms(reader: &mut Reader<'_>) -> Result<Vec<Symbol>, DecodeError> {
    let mut fields = Fields::of(reader);
    let mechanisms = fields.symbols();
    fields.finish().map(|()| mechanisms)
}

pub(in crate::amqp) fn sasl_init(reader: &mut Reader<'_>) -> Result<(Symbol, Option<Bytes>), DecodeError> {
    let mut fields = Fields::of(reader);
    let mechanism = fields.required_string("sasl-init without mechanism");
    let response = fields.binary();
    fields.finish().map(|()| (Symbol::from(mechanism), response))
}

pub(in crate::amqp) fn sasl_outcome(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let mut fields = Fields::of(reader);
    let code = fields.u8();
    fields.finish()?;
    code.ok_or(DecodeError("sasl-outcome without code"))
}

fn required_role(fields: &mut Fields<'_, '_>, missing: &'static str) -> Role {
    match fields.bool() {
        Some(true) => Role::Receiver,
        Some(false) => Role::Sender,
        None => {
            fields.fail(DecodeError(missing));
            Role::Sender
        }
    }
}

fn source(reader: &mut Reader<'_>) -> Result<Source, DecodeError> {
    if reader.descriptor(code_of)? != SOURCE {
        return Err(DecodeError("something else where a source is needed"));
    }
    let mut fields = Fields::of(reader);
    let address = fields.string();
    for _ in 0..6 {
        fields.skip();
    }
    let filter = fields.symbol_map();
    fields.finish().map(|()| Source { address, filter })
}

/// A coordinator or another kind of target has no address that could mean anything here.
fn target(reader: &mut Reader<'_>) -> Result<Target, DecodeError> {
    let start = reader.position();
    if reader.descriptor(code_of).unwrap_or(0) != TARGET {
        reader.set_position(start);
        reader.skip()?;
        return Ok(Target::default());
    }
    let mut fields = Fields::of(reader);
    let address = fields.string();
    fields.finish().map(|()| Target { address })
}

fn error(reader: &mut Reader<'_>) -> Result<AmqpError, DecodeError> {
    if reader.descriptor(code_of)? != ERROR {
        return Err(DecodeError("something else where an error is needed"));
    }
    let mut fields = Fields::of(reader);
    let condition = Symbol::from(fields.required_string("an error without condition"));
    let description = fields.string();
    let info = match fields.value() {
        Some(Value::Map(info)) => info,
        _ => Vec::new(),
    };
    fields.finish().map(|()| AmqpError { condition, description, info })
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
    let mut fields = Fields::of(reader);
    let outcome = match code {
        ACCEPTED => Outcome::Accepted,
        REJECTED => Outcome::Rejected(fields.composite(error)),
        RELEASED => Outcome::Released,
        _ => Outcome::Modified {
            delivery_failed: fields.bool().unwrap_or(false),
            undeliverable_here: fields.bool().unwrap_or(false),
        },
    };
    fields.finish().map(|()| Some(outcome))
}
