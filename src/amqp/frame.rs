//! Frames: how performatives and payloads lie on the wire.

use bytes::{BufMut, BytesMut};

/// The protocol header in front of AMQP frames.
pub(super) const AMQP_HEADER: [u8; 8] = *b"AMQP\x00\x01\x00\x00";
/// The protocol header in front of SASL frames.
pub(super) const SASL_HEADER: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
/// The smallest frame, and the size of a protocol header.
pub(super) const HEAD: usize = 8;
/// Bytes of a transfer frame before its payload, as [`put_transfer`] writes it.
pub(super) const TRANSFER_HEAD: usize = 42;
/// The frame size that every peer takes before `open` says more.
pub(super) const MIN_MAX_FRAME_SIZE: u32 = 512;

/// What kind of performatives a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Amqp,
    Sasl,
}

/// The head of a frame.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) channel: u16,
    /// Where the body starts, counted from the frame's start.
    pub(super) body: usize,
}

/// What a transfer's head says.
pub(super) struct TransferHead {
    pub(super) channel: u16,
    pub(super) handle: u32,
    pub(super) delivery_id: u32,
    pub(super) message_format: u32,
    pub(super) settled: bool,
    pub(super) more: bool,
    pub(super) payload: usize,
}

/// Reads the head of a whole frame; `None` when it is malformed.
pub(super) fn head(frame: &[u8]) -> Option<Frame> {
    let kind = match frame[5] {
        0 => Kind::Amqp,
        1 => Kind::Sasl,
        _ => return None,
    };
    let body = usize::from(frame[4]) * 4;
    if body < HEAD || body > frame.len() {
        return None;
    }
    Some(Frame { kind, channel: u16::from_be_bytes([frame[6], frame[7]]), body })
}

/// Appends a frame whose body `body` writes.
pub(super) fn put(out: &mut BytesMut, kind: Kind, channel: u16, body: impl FnOnce(&mut BytesMut)) {
    let start = begin(out, kind, channel);
    body(out);
    finish(out, start);
}

fn begin(out: &mut BytesMut, kind: Kind, channel: u16) -> usize {
    let start = out.len();
    let [high, low] = channel.to_be_bytes();
    out.put_slice(&[0, 0, 0, 0, 2, u8::from(kind == Kind::Sasl), high, low]);
    start
}

fn finish(out: &mut BytesMut, start: usize) {
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends the head of a transfer frame; its payload follows.
pub(super) fn put_transfer(out: &mut BytesMut, transfer: &TransferHead) {
    // Every field has a fixed place and width, so the head is a template with eight holes.
    let mut head: [u8; TRANSFER_HEAD] = [
        0, 0, 0, 0, 2, 0, 0, 0, // size, doff, type, channel
        0x00, 0x53, 0x14, 0xc0, 0x1d, 11, // transfer: a list of all eleven fields
        0x70, 0, 0, 0, 0, // handle
        0x70, 0, 0, 0, 0, // delivery-id
        0xa0, 4, 0, 0, 0, 0, // delivery-tag
        0x70, 0, 0, 0, 0, // message-format
        0x41, 0x42, // settled, more
        0x40, 0x40, 0x40, 0x40, // rcv-settle-mode, state, resume, aborted
        0x41, // batchable
    ];
    let size = (TRANSFER_HEAD + transfer.payload) as u32;
    head[0..4].copy_from_slice(&size.to_be_bytes());
    head[6..8].copy_from_slice(&transfer.channel.to_be_bytes());
    head[15..19].copy_from_slice(&transfer.handle.to_be_bytes());
    head[20..24].copy_from_slice(&transfer.delivery_id.to_be_bytes());
    head[26..30].copy_from_slice(&transfer.delivery_id.to_be_bytes());
    head[31..35].copy_from_slice(&transfer.message_format.to_be_bytes());
    head[35] = if transfer.settled { 0x41 } else { 0x42 };
    head[36] = if transfer.more { 0x41 } else { 0x42 };
    out.put_slice(&head);
}
