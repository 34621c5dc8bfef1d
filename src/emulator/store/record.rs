//! How hubs and events are written down.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};

use crate::broker::journal::{HubId, HubRecord, JournalBatch, JournalEvent, ProducerRecord};
use crate::broker::{HubConfig, Retention};
use crate::model::value::Timestamp;

/// A hub, in JSON: it is written rarely, and fields may come.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredHub {
    name: String,
    partitions: u32,
    consumer_groups: Vec<String>,
    retention: Option<StoredRetention>,
    created_at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredRetention {
    time_ms: u64,
    bytes_per_partition: u64,
}

impl StoredHub {
    pub(super) fn new(record: &HubRecord) -> Self {
        StoredHub {
            name: record.config.name.clone(),
            partitions: record.config.partitions,
            consumer_groups: record.config.consumer_groups.clone(),
            retention: record.config.retention.map(|retention| StoredRetention {
                time_ms: u64::try_from(retention.time.as_millis()).unwrap_or(u64::MAX),
                bytes_per_partition: retention.bytes_per_partition,
            }),
            created_at_ms: record.created_at.as_millis(),
        }
    }

    /// The hub; `None` when it has more partitions than any hub that was ever stored.
    pub(super) fn into_record(self, id: HubId) -> Option<HubRecord> {
        if self.partitions > MOST_PARTITIONS {
            return None;
        }
        let retention = self.retention.map(|stored| Retention {
            time: Duration::from_millis(stored.time_ms),
            bytes_per_partition: stored.bytes_per_partition,
        });
        let config = HubConfig {
            consumer_groups: self.consumer_groups,
            retention,
            ..HubConfig::new(self.name, self.partitions)
        };
        Some(HubRecord { id, config, created_at: Timestamp::from_millis(self.created_at_ms) })
    }
}

/// How many bytes a batch takes.
pub(super) fn encoded_len(batch: &JournalBatch) -> usize {
    let events = batch.events.iter().map(|event| EVENT + event.head.len() + event.body.len());
    BATCH + events.sum::<usize>()
}

/// Writes a batch behind what a record holds. All numbers are little-endian.
pub(super) fn encode(batch: &JournalBatch, out: &mut Vec<u8>) {
    out.put_i64_le(batch.first_sequence);
    out.put_i64_le(batch.enqueued.as_millis());
    out.put_i64_le(batch.end_offset);
    out.put_u32_le(length(batch.events.len()));
    for event in &batch.events {
        out.put_i64_le(event.offset);
        out.put_u32_le(length(event.head.len()));
        out.put_u32_le(length(event.body.len()));
        out.put_slice(&event.head);
        out.put_slice(&event.body);
    }
}

/// The batches of a record; `None` when it is cut off or has numbers that no partition reaches. Events are slices of the
/// record.
pub(super) fn decode(mut record: Bytes) -> Option<Vec<JournalBatch>> {
    let mut batches = Vec::new();
    while !record.is_empty() {
        let first_sequence = record.try_get_i64_le().ok()?;
        let enqueued = Timestamp::from_millis(record.try_get_i64_le().ok()?);
        let end_offset = record.try_get_i64_le().ok()?;
        let count = record.try_get_u32_le().ok()? as usize;
        if !REACHED.contains(&first_sequence) || !REACHED.contains(&end_offset) {
            return None;
        }
        let mut events = Vec::with_capacity(count.min(record.len() / EVENT));
        for _ in 0..count {
            let offset = record.try_get_i64_le().ok()?;
            let head = record.try_get_u32_le().ok()? as usize;
            let body = record.try_get_u32_le().ok()? as usize;
            if record.len() < head.checked_add(body)? || !REACHED.contains(&offset) {
                return None;
            }
            events.push(JournalEvent { offset, head: record.split_to(head), body: record.split_to(body) });
        }
        batches.push(JournalBatch { first_sequence, enqueued, end_offset, events, producer: None });
    }
    Some(batches)
}

/// An idempotent producer as it is written down. Its id is the key.
pub(super) fn encode_producer(producer: &ProducerRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(PRODUCER);
    out.put_i16_le(producer.epoch);
    out.put_i32_le(producer.last);
    out.put_u32_le(producer.reach);
    out.put_i64_le(producer.used.as_millis());
    out
}

/// A producer; `None` when that is none.
pub(super) fn decode_producer(id: i64, mut record: &[u8]) -> Option<ProducerRecord> {
    let epoch = record.try_get_i16_le().ok()?;
    let last = record.try_get_i32_le().ok().filter(|last| *last >= -1)?;
    let reach = record.try_get_u32_le().ok()?;
    let used = Timestamp::from_millis(record.try_get_i64_le().ok()?);
    record.is_empty().then_some(ProducerRecord { id, epoch, last, reach, used })
}

/// Bytes of a producer without its id.
const PRODUCER: usize = 2 + 4 + 4 + 8;
/// Far more than a namespace allows; what a damaged number asks for is not made room for.
const MOST_PARTITIONS: u32 = 1 << 14;
/// The sequence numbers and offsets that partitions have: what is added to them never overflows.
const REACHED: std::ops::Range<i64> = 0..1 << 56;
/// Bytes of a batch without its events.
const BATCH: usize = 8 + 8 + 8 + 4;
/// Bytes of an event without head and body.
const EVENT: usize = 8 + 4 + 4;

fn length(length: usize) -> u32 {
    // The broker's largest message is far below; a length that lies would be found by the reader.
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first_sequence: i64, bodies: &[&'static [u8]]) -> JournalBatch {
        let events = bodies.iter().zip(0..).map(|(body, n)| JournalEvent {
            offset: first_sequence * 100 + n,
            head: Bytes::from_static(b"head"),
            body: Bytes::from_static(body),
        });
        JournalBatch {
            first_sequence,
            enqueued: Timestamp::from_millis(1_700_000_000_000),
            end_offset: first_sequence * 100 + 50,
            events: events.collect(),
            producer: None,
        }
    }

    #[test]
    fn batches_are_read_as_they_were_written() {
        let batches = [batch(0, &[b"one", b""]), batch(2, &[b"three"]), batch(3, &[])];
        let mut record = Vec::new();
        batches.iter().for_each(|batch| encode(batch, &mut record));
        assert_eq!(record.len(), batches.iter().map(encoded_len).sum::<usize>());
        assert_eq!(decode(Bytes::from(record)).unwrap(), batches);
    }

    #[test]
    fn a_record_that_is_cut_off_is_noticed_wherever_it_is_cut() {
        let mut record = Vec::new();
        encode(&batch(0, &[b"one", b"two"]), &mut record);
        let record = Bytes::from(record);
        for end in 1..record.len() {
            assert_eq!(decode(record.slice(..end)), None, "{end}");
        }
    }

    #[test]
    fn numbers_that_no_partition_reaches_are_noticed() {
        let written = |change: fn(&mut JournalBatch)| {
            let mut batch = batch(7, &[b"one"]);
            change(&mut batch);
            let mut record = Vec::new();
            encode(&batch, &mut record);
            decode(Bytes::from(record))
        };
        assert!(written(|_| {}).is_some());
        assert_eq!(written(|batch| batch.first_sequence = i64::MIN), None);
        assert_eq!(written(|batch| batch.first_sequence = i64::MAX), None);
        assert_eq!(written(|batch| batch.end_offset = i64::MAX), None);
        assert_eq!(written(|batch| batch.events[0].offset = -1), None);
    }

    #[test]
    fn a_producer_is_read_as_it_was_written() {
        let used = Timestamp::from_millis(1_700_000_000_000);
        let producer = ProducerRecord { id: 7, epoch: -2, last: i32::MAX, reach: 9, used };
        let record = encode_producer(&producer);
        assert_eq!(decode_producer(7, &record), Some(producer));
        for end in 0..record.len() {
            assert_eq!(decode_producer(7, &record[..end]), None, "{end}");
        }
        assert_eq!(decode_producer(7, &[&record[..], &[0]].concat()), None);
        assert_eq!(decode_producer(7, &encode_producer(&ProducerRecord { last: -2, ..producer })), None);
    }

    #[test]
    fn a_hub_is_read_as_it_was_written() {
        let config = HubConfig {
            consumer_groups: vec!["billing".to_owned()],
            retention: Some(Retention { time: Duration::from_secs(90), bytes_per_partition: 7 }),
            ..HubConfig::new("Orders", 4)
        };
        let record = HubRecord { id: HubId(3), config, created_at: Timestamp::from_millis(5) };
        let json = serde_json::to_vec(&StoredHub::new(&record)).unwrap();
        let read: StoredHub = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.into_record(HubId(3)), Some(record));
        let damaged = String::from_utf8(json).unwrap().replace(":4,", ":4294967295,");
        let read: StoredHub = serde_json::from_str(&damaged).unwrap();
        assert_eq!(read.into_record(HubId(3)), None);
    }
}
