//! A batch that is filled event by event.

use bytes::{BufMut, Bytes, BytesMut};

use super::numbering::{self, Marks};
use super::{Content, check, invalid, put_annotations, put_event};
use crate::dialect::annotations::{BATCH_FORMAT, DEFAULT_MAX_MESSAGE_SIZE};
use crate::error::Error;
use crate::model::partition;

/// The head of a data section of more than 255 bytes; the length follows.
const WIDE_DATA: [u8; 4] = [0x00, 0x53, 0x75, 0xb0];
/// The head of a data section of up to 255 bytes; the length follows.
const SMALL_DATA: [u8; 4] = [0x00, 0x53, 0x75, 0xa0];
/// How much longer the wide head is, its length included.
const WIDER: usize = 3;
/// The largest batch: sizes in AMQP have 32 bits.
const MAX_BATCH_BYTES: u64 = 1 << 30;
/// Room taken at first, in bytes; a batch that grows beyond takes more.
const FIRST_ROOM: u64 = 16 * 1024;

/// Events that are sent together: stored in one partition, in order, all or none.
///
/// An event is encoded once, when it is added, and the batch's size is exactly the size of what is sent.
#[derive(Clone, Debug)]
pub struct EventBatch {
    partition_key: Option<String>,
    /// Whether each event keeps the key that it has.
    keeps_keys: bool,
    /// The envelope's sections in front of the events.
    head: Bytes,
    /// One data section per event.
    body: BytesMut,
    len: usize,
    max_size: u64,
    /// Where an idempotent producer's numbers will stand.
    marks: Option<Marks>,
}

/// A batch, ready to be sent, as often as necessary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBatch {
    /// The first part of the encoded message.
    pub head: Bytes,
    /// The rest of the encoded message.
    pub body: Bytes,
    /// The message format.
    pub message_format: u32,
    /// How many events there are.
    pub len: usize,
    /// Where an idempotent producer's numbers have to be written before it is sent.
    pub marks: Option<Marks>,
}

impl EventBatch {
    /// An empty batch that never becomes larger than `max_size` bytes (0: 1 MiB), for events with this partition key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the key is too long.
    pub fn new(max_size: u64, partition_key: Option<String>) -> Result<Self, Error> {
        Self::build(max_size, partition_key, false)
    }

    /// As [`new`](Self::new), with room for an idempotent producer's numbers.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn numbered(max_size: u64, partition_key: Option<String>) -> Result<Self, Error> {
        Self::build(max_size, partition_key, true)
    }

    fn build(max_size: u64, partition_key: Option<String>, is_numbered: bool) -> Result<Self, Error> {
        if let Some(key) = &partition_key {
            partition::check_key(key)?;
        }
        let max_size = if max_size == 0 { DEFAULT_MAX_MESSAGE_SIZE } else { max_size }.min(MAX_BATCH_BYTES);
        let mut head = BytesMut::new();
        put_annotations(&mut head, partition_key.as_deref(), 0, is_numbered, |_| {});
        let envelope = numbering::places(&head) as u32;
        Ok(EventBatch {
            partition_key,
            keeps_keys: false,
            head: head.freeze(),
            body: BytesMut::with_capacity(max_size.min(FIRST_ROOM) as usize),
            len: 0,
            max_size,
            marks: is_numbered.then(|| Marks { envelope, events: Vec::new() }),
        })
    }

    /// For events of many keys, whose partition has been decided about: each keeps its own, and readers see it.
    #[must_use]
    pub fn keeping_keys(self) -> Self {
        EventBatch { keeps_keys: true, ..self }
    }

    /// Adds an event. False, and nothing changed, when it does not fit; an event that does not fit an empty
    /// batch is too large to be sent at all.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when the event has another
    /// partition key than the batch, or holds something that AMQP or the service does not allow.
    pub fn try_add(&mut self, event: &impl Content) -> Result<bool, Error> {
        self.check_key(event.partition_key())?;
        check(event, event.partition_key())?;
        let least = (event.least_size() as u64).saturating_add(SMALL_DATA.len() as u64);
        if self.size().saturating_add(least) > self.max_size {
            return Ok(false);
        }
        let start = self.body.len();
        let event_start = start + WIDE_DATA.len() + 4;
        self.body.put_slice(&WIDE_DATA);
        self.body.put_u32(0);
        let key = if self.keeps_keys { event.partition_key() } else { self.partition_key.as_deref() };
        put_event(&mut self.body, event, key, self.marks.is_some());
        let len = self.body.len() - event_start;
        let mut event_start = event_start;
        match u8::try_from(len) {
            Ok(len) => {
                self.body.copy_within(event_start.., event_start - WIDER);
                self.body.truncate(self.body.len() - WIDER);
                self.body[start..start + 4].copy_from_slice(&SMALL_DATA);
                self.body[start + 4] = len;
                event_start -= WIDER;
            }
            Err(_) => self.body[start + 4..start + 8].copy_from_slice(&(len as u32).to_be_bytes()),
        }
        if self.size() > self.max_size {
            self.body.truncate(start);
            return Ok(false);
        }
        self.len += 1;
        if let Some(marks) = &mut self.marks {
            marks.events.push((event_start + numbering::places(&self.body[event_start..])) as u32);
        }
        Ok(true)
    }

    /// Adds an event of [`encode_for_batch`](super::encode_for_batch). False, and nothing changed, when it does not fit.
    pub fn try_add_encoded(&mut self, event: &[u8]) -> bool {
        let head = match u8::try_from(event.len()) {
            Ok(_) => SMALL_DATA.len() + 1,
            Err(_) => WIDE_DATA.len() + 4,
        };
        if self.size().saturating_add((head + event.len()) as u64) > self.max_size {
            return false;
        }
        match u8::try_from(event.len()) {
            Ok(len) => {
                self.body.put_slice(&SMALL_DATA);
                self.body.put_u8(len);
            }
            Err(_) => {
                self.body.put_slice(&WIDE_DATA);
                self.body.put_u32(event.len() as u32);
            }
        }
        if let Some(marks) = &mut self.marks {
            marks.events.push((self.body.len() + numbering::places(event)) as u32);
        }
        self.body.put_slice(event);
        self.len += 1;
        true
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes are sent, exactly.
    pub fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }

    /// How many bytes may be sent at most.
    pub fn max_size(&self) -> u64 {
        self.max_size
    }

    /// The partition key of all its events.
    pub fn partition_key(&self) -> Option<&str> {
        self.partition_key.as_deref()
    }

    /// The batch, ready to be sent.
    pub fn finish(self) -> EncodedBatch {
        EncodedBatch {
            head: self.head,
            body: self.body.freeze(),
            message_format: BATCH_FORMAT,
            len: self.len,
            marks: self.marks,
        }
    }

    fn check_key(&self, own: Option<&str>) -> Result<(), Error> {
        match (own, self.partition_key()) {
            _ if self.keeps_keys => Ok(()),
            (None, _) => Ok(()),
            (Some(key), Some(of_batch)) if key == of_batch => Ok(()),
            (Some(key), Some(of_batch)) => Err(invalid(format!(
                "the event has partition key '{key}', but all events of the batch have '{of_batch}'"
            ))),
            (Some(key), None) => Err(invalid(format!(
                "the event has partition key '{key}', but the batch has none: give the key to the batch"
            ))),
        }
    }
}
