//! The places that a batch keeps free for an idempotent producer's numbers, which it gets when it leaves.

use bytes::{BufMut, Bytes, BytesMut};

/// Three annotations next to each other, of fixed width, so that numbers can be written over others.
const PLACES: &[u8] = b"\xa3\x19com.microsoft:producer-id\x81\0\0\0\0\0\0\0\0\
\xa3\x1ccom.microsoft:producer-epoch\x61\0\0\
\xa3\x26com.microsoft:producer-sequence-number\x71\0\0\0\0";
/// Where in them the numbers are.
const ID: usize = 2 + 25 + 1;
const EPOCH: usize = ID + 8 + 2 + 28 + 1;
const NUMBER: usize = EPOCH + 2 + 2 + 38 + 1;

/// How many entries of an annotations map they are.
pub(super) const COUNT: usize = 3;

/// Where in a batch the places are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// In the head, for the envelope.
    pub(super) envelope: u32,
    /// In the body, for each event.
    pub(super) events: Vec<u32>,
}

/// Appends the places.
pub(super) fn put_places(out: &mut BytesMut) {
    out.put_slice(PLACES);
}

/// Where the places are in an annotations section that begins with them.
pub(super) fn places(section: &[u8]) -> usize {
    // A descriptor of three bytes, then the map's head: code, size, count, of one byte each or of four.
    match section.get(3) {
        Some(0xc1) => 3 + 3,
        _ => 3 + 9,
    }
}

impl Marks {
    /// How many events there are to be numbered.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Writes a producer's id, its epoch and the numbers from `first` into a batch. Copies it only when somebody else has hold of it.
    pub fn write(
        &self,
        head: &mut Bytes,
        body: &mut Bytes,
        producer_id: i64,
        epoch: i16,
        numbers: impl Iterator<Item = i32>,
    ) {
        let mut numbers = numbers.peekable();
        let first = numbers.peek().copied().unwrap_or_default();
        change(head, |head| write(head, self.envelope, producer_id, epoch, first));
        change(body, |body| {
            for (mark, number) in self.events.iter().zip(numbers) {
                write(body, *mark, producer_id, epoch, number);
            }
        });
    }
}

fn change(bytes: &mut Bytes, write: impl FnOnce(&mut [u8])) {
    let mut own = match std::mem::take(bytes).try_into_mut() {
        Ok(own) => own,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    write(&mut own);
    *bytes = own.freeze();
}

fn write(bytes: &mut [u8], mark: u32, producer_id: i64, epoch: i16, number: i32) {
    let Some(places) = bytes.get_mut(mark as usize..).filter(|places| places.len() >= PLACES.len()) else {
        return;
    };
    places[ID..ID + 8].copy_from_slice(&producer_id.to_be_bytes());
    places[EPOCH..EPOCH + 2].copy_from_slice(&epoch.to_be_bytes());
    places[NUMBER..NUMBER + 4].copy_from_slice(&number.to_be_bytes());
}
