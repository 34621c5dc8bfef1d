//! What a store's rows mean, without a store.

use std::sync::Arc;

use bytes::Bytes;

use super::{Contents, Heads, Record, StoredHub, damaged, too_many};
use crate::broker::journal::{AppendDone, HubId, HubRecord, Journal, JournalBatch, ProducerRecord, Restore};

/// What is restored from the row of one hub and from records with the partitions under whose keys they stand.
pub(in crate::emulator) fn restore(hub: &[u8], records: Vec<(u32, Bytes)>) -> Result<Restore, String> {
    const HUB: HubId = HubId(1);
    let (mut contents, mut heads) = (Contents::default(), Heads::default());
    let hub: StoredHub = serde_json::from_slice(hub).map_err(damaged)?;
    heads.add_hub(HUB);
    contents.hubs.push(hub.into_record(HUB).ok_or_else(too_many)?);
    for (partition, bytes) in records {
        Record { key: (HUB.0, partition, 0), bytes: bytes.into() }.add_to(&mut contents, &mut heads)?;
    }
    Ok(contents.into_restore())
}

/// A journal that keeps nothing.
pub(in crate::emulator) fn journal() -> Arc<dyn Journal> {
    Arc::new(Forgetful)
}

struct Forgetful;

impl Journal for Forgetful {
    fn append(&self, _: HubId, _: u32, _: JournalBatch, done: AppendDone) {
        done.call(Ok(()));
    }

    fn trim(&self, _: HubId, _: u32, _: i64) {}

    fn put_producer(&self, _: HubId, _: u32, _: ProducerRecord) {}

    fn remove_producer(&self, _: HubId, _: u32, _: i64) {}

    fn put_hub(&self, _: HubRecord) {}

    fn remove_hub(&self, _: HubId) {}
}
