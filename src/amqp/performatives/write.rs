//! Performatives, written in full.

use bytes::{BufMut, BytesMut};

use super::{
    ACCEPTED, ATTACH, Attach, BEGIN, Begin, DETACH, DISPOSITION, Disposition, ERROR, FLOW, Flow, MODIFIED,
    OPEN, Open, REJECTED, RELEASED, SASL_INIT, SASL_MECHANISMS, SASL_OUTCOME, SOURCE, Source, TARGET, Target,
};
use crate::amqp::encode;
use crate::amqp::types::{AmqpError, Outcome, Role};
use crate::model::value::{Symbol, Value};

pub(in crate::amqp) fn put_open(out: &mut BytesMut, open: &Open) {
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

pub(in crate::amqp) fn put_begin(out: &mut BytesMut, begin: &Begin) {
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

pub(in crate::amqp) fn put_attach(out: &mut BytesMut, handle: u32, attach: &Attach) {
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

pub(in crate::amqp) fn put_flow(out: &mut BytesMut, flow: &Flow) {
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

pub(in crate::amqp) fn put_disposition(out: &mut BytesMut, disposition: &Disposition) {
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

pub(in crate::amqp) fn put_detach(out: &mut BytesMut, handle: u32, closed: bool, error: Option<&AmqpError>) {
    list(out, DETACH, 3, |out| {
        uint(out, handle);
        boolean(out, closed);
        opt_error(out, error);
    });
}

pub(in crate::amqp) fn put_end_or_close(out: &mut BytesMut, code: u64, error: Option<&AmqpError>) {
    list(out, code, 1, |out| opt_error(out, error));
}

pub(in crate::amqp) fn put_sasl_mechanisms(out: &mut BytesMut, mechanisms: &[Symbol]) {
    list(out, SASL_MECHANISMS, 1, |out| symbols(out, mechanisms));
}

pub(in crate::amqp) fn put_sasl_init(
    out: &mut BytesMut,
    mechanism: &Symbol,
    response: &[u8],
    hostname: Option<&str>,
) {
    list(out, SASL_INIT, 3, |out| {
        encode::symbol(out, mechanism);
        encode::binary(out, response);
        opt_string(out, hostname);
    });
}

pub(in crate::amqp) fn put_sasl_outcome(out: &mut BytesMut, code: u8) {
    list(out, SASL_OUTCOME, 2, |out| {
        opt_ubyte(out, Some(code));
        null(out);
    });
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
