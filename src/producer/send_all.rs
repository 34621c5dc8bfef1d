//! Splitting a list of events into batches.

use std::collections::HashMap;

use futures::stream::{FuturesUnordered, TryStreamExt};

use super::client::SendOptions;
use crate::client::SenderHandle;
use crate::dialect::codec::{self, EncodedBatch, EventBatch};
use crate::dialect::event::EventData;
use crate::error::{Error, ErrorKind};

/// Bytes that are encoded before any of them is sent: some batches for a good number of keys, in bounded memory.
const WINDOW: u64 = 32 * 1024 * 1024;

/// Sends all `events` through `sender`; how many there were.
pub(super) async fn run(
    sender: &SenderHandle,
    limit: u64,
    events: impl Iterator<Item = EventData>,
    options: &SendOptions,
    describe: impl Fn(Error) -> Error,
) -> Result<usize, Error> {
    let mut events = events.enumerate().peekable();
    let mut sent = 0;
    while events.peek().is_some() {
        let groups = next_window(&mut events, limit, options)
            .map_err(|(index, error)| describe(error).with_event_index(index))?;
        let count: usize = groups.iter().flat_map(|group| &group.batches).map(|batch| batch.len).sum();
        let sending: FuturesUnordered<_> = groups
            .into_iter()
            .flat_map(Group::into_runs)
            .map(|run| async move {
                for batch in run {
                    sender.submit(batch.into())?.await?;
                }
                Ok::<(), Error>(())
            })
            .collect();
        sending.try_collect::<()>().await?;
        sent += count;
    }
    Ok(sent)
}

/// Events that share a partition key.
struct Group {
    /// Whether the order of batches matters: the service spreads batches without a key anyway.
    is_ordered: bool,
    batches: Vec<EncodedBatch>,
}

impl Group {
    /// Batches that have to wait for one another.
    fn into_runs(self) -> Vec<Vec<EncodedBatch>> {
        match self.is_ordered {
            true => vec![self.batches],
            false => self.batches.into_iter().map(|batch| vec![batch]).collect(),
        }
    }
}

fn next_window(
    events: &mut impl Iterator<Item = (usize, EventData)>,
    limit: u64,
    options: &SendOptions,
) -> Result<Vec<Group>, (usize, Error)> {
    let mut groups: Vec<(EventBatch, Vec<EncodedBatch>)> = Vec::new();
    let mut by_key: HashMap<Option<String>, usize> = HashMap::new();
    let mut encoded = 0;
    for (index, event) in events {
        let failed = |error: Error| (index, error);
        let key = key_of(&event, options).map_err(failed)?;
        let group = match by_key.get(&key) {
            Some(&group) => group,
            None => {
                let batch = EventBatch::new(limit, key.clone()).map_err(failed)?;
                groups.push((batch, Vec::new()));
                by_key.insert(key, groups.len() - 1);
                groups.len() - 1
            }
        };
        let (batch, full) = &mut groups[group];
        let before = batch.size();
        if !batch.try_add(&event).map_err(failed)? {
            let key = batch.partition_key().map(str::to_owned);
            let mut fresh = EventBatch::new(limit, key).map_err(failed)?;
            if !fresh.try_add(&event).map_err(failed)? {
                return Err(failed(too_large(&event, limit)));
            }
            encoded += fresh.size();
            full.push(std::mem::replace(batch, fresh).finish());
        } else {
            encoded += batch.size() - before;
        }
        if encoded >= WINDOW {
            break;
        }
    }
    let finish = |(batch, mut full): (EventBatch, Vec<EncodedBatch>)| {
        let is_ordered = batch.partition_key().is_some() || options.partition_id.is_some();
        full.push(batch.finish());
        // The first batch is empty when the first event did not fit it; there is always another then.
        full.retain(|batch| batch.len > 0);
        Group { is_ordered, batches: full }
    };
    Ok(groups.into_iter().map(finish).collect())
}

fn key_of(event: &EventData, options: &SendOptions) -> Result<Option<String>, Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
    match (event.partition_key(), &options.partition_key, &options.partition_id) {
        (Some(own), _, Some(id)) => {
            invalid(format!("it has partition key '{own}', but everything is to go to partition '{id}'"))
        }
        (Some(own), Some(key), _) if own != key => {
            invalid(format!("it has partition key '{own}', but '{key}' is asked for"))
        }
        (Some(key), _, _) => Ok(Some(key.to_owned())),
        (None, key, _) => Ok(key.clone()),
    }
}

/// The error for an event that does not fit an empty batch.
fn too_large(event: &EventData, limit: u64) -> Error {
    match codec::encode_event(event) {
        Ok(encoded) => codec::too_large(encoded.len() as u64, limit),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(
        events: Vec<EventData>,
        limit: u64,
        options: &SendOptions,
    ) -> Result<Vec<Group>, (usize, Error)> {
        next_window(&mut events.into_iter().enumerate(), limit, options)
    }

    fn keyed(key: &str, bytes: usize) -> EventData {
        EventData::from(vec![0; bytes]).with_partition_key(key)
    }

    #[test]
    fn events_are_grouped_by_key_and_split_by_size() {
        let events = vec![keyed("a", 400), keyed("b", 10), keyed("a", 400), keyed("a", 400), keyed("b", 10)];
        let groups = window(events, 1000, &SendOptions::default()).unwrap();
        let lens: Vec<Vec<usize>> =
            groups.iter().map(|group| group.batches.iter().map(|batch| batch.len).collect()).collect();
        assert_eq!(lens, [vec![2, 1], vec![2]]);
        assert!(groups.iter().all(|group| group.is_ordered));
        for batch in groups.iter().flat_map(|group| &group.batches) {
            assert!(batch.head.len() + batch.body.len() <= 1000);
        }
    }

    #[test]
    fn events_without_a_key_need_no_order() {
        let events = vec![EventData::from(vec![0; 600]), EventData::from(vec![0; 600])];
        let groups = window(events, 1000, &SendOptions::default()).unwrap();
        assert_eq!(groups.into_iter().flat_map(Group::into_runs).count(), 2);
        let events = vec![EventData::from(vec![0; 600]), EventData::from(vec![0; 600])];
        let groups = window(events, 1000, &SendOptions::to_partition("0")).unwrap();
        assert_eq!(groups.into_iter().flat_map(Group::into_runs).count(), 1);
    }

    #[test]
    fn the_event_that_is_too_large_is_named() {
        let events = vec![EventData::from("small"), EventData::from(vec![0; 2000])];
        let (index, error) = window(events, 1000, &SendOptions::default()).err().unwrap();
        assert_eq!((index, error.kind()), (1, ErrorKind::MessageTooLarge));
        assert!(error.to_string().contains("2008 bytes, the limit is 1000"), "{error}");
        let (index, error) =
            window(vec![keyed("a", 1)], 1000, &SendOptions::to_partition("0")).err().unwrap();
        assert_eq!((index, error.kind()), (0, ErrorKind::InvalidArgument));
    }

    #[test]
    fn memory_is_bounded_however_many_events_there_are() {
        let mut endless = (0..).map(|index| (index, EventData::from(vec![0; 1024 * 1024])));
        let groups = next_window(&mut endless, 2 * 1024 * 1024, &SendOptions::default()).unwrap();
        let bytes: usize = groups.iter().flat_map(|group| &group.batches).map(|batch| batch.body.len()).sum();
        assert!(bytes as u64 <= WINDOW + 2 * 1024 * 1024);
    }
}
