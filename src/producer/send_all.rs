//! Splitting a list of events into batches.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::client::SendOptions;
use crate::client::{Crowd, SenderHandle, Submission};
use crate::dialect::codec::{self, Content, EncodedBatch, EventBatch};
use crate::error::{Error, ErrorKind};
use crate::runtime;

/// Bytes that are encoded before any of them is sent: some batches for a good number of keys, in bounded memory.
const WINDOW: u64 = 32 * 1024 * 1024;

/// Sends all `events` through `sender`; how many there were.
pub(super) async fn run(
    sender: &SenderHandle,
    new_batch: impl Fn(Option<String>) -> Result<EventBatch, Error>,
    events: impl Iterator<Item = impl Content>,
    options: &SendOptions,
    describe: impl Fn(Error) -> Error,
) -> Result<usize, Error> {
    let mut events = events.enumerate().peekable();
    let mut sent = 0;
    while events.peek().is_some() {
        let groups = next_window(&mut events, &new_batch, options)
            .map_err(|(index, error)| describe(error).with_event_index(index))?;
        for group in &groups {
            sent += group.batches.iter().map(|batch| batch.len).sum::<usize>();
        }
        together(sender, into_runs(groups)).await?;
    }
    Ok(sent)
}

/// Events that share a partition key.
struct Group {
    /// Whether the order of batches matters: the service spreads batches without a key anyway.
    is_ordered: bool,
    batches: Vec<EncodedBatch>,
}

/// Batches that are sent one after the other.
struct Run {
    batches: std::vec::IntoIter<EncodedBatch>,
    sending: Option<Submission>,
}

/// What may be sent side by side.
fn into_runs(groups: Vec<Group>) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut push =
        |batches: Vec<EncodedBatch>| runs.push(Run { batches: batches.into_iter(), sending: None });
    for group in groups {
        if group.is_ordered {
            push(group.batches);
            continue;
        }
        for batch in group.batches {
            push(vec![batch]);
        }
    }
    runs
}

impl Run {
    fn poll(&mut self, sender: &SenderHandle, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(sending) = &mut self.sending {
                ready!(Pin::new(sending).poll(cx))?;
            }
            match self.batches.next() {
                Some(batch) => self.sending = Some(sender.submit(batch.into())?),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Sends all runs at once, until the first failure.
async fn together(sender: &SenderHandle, mut runs: Vec<Run>) -> Result<(), Error> {
    let crowd = Crowd::new(runs.len());
    let mut left = runs.len();
    poll_fn(|cx| {
        while let Some((number, waker)) = crowd.next(cx) {
            match runs[number].poll(sender, &mut Context::from_waker(waker)) {
                Poll::Ready(Ok(())) => left -= 1,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if left == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Which group has which key: a table of the groups' numbers, by a hash of their keys. A `HashMap` would do the same, and
/// bring along what a page has no other use for.
struct ByKey {
    /// The group's number plus one; a power of two of them, at least half of them 0.
    places: Vec<u32>,
    seed: u64,
}

impl ByKey {
    fn new() -> Self {
        ByKey { places: vec![0; 16], seed: u64::from_ne_bytes(runtime::random_bytes()) }
    }

    fn get(&self, key: Option<&str>, groups: &[(EventBatch, Vec<EncodedBatch>)]) -> Option<usize> {
        match self.places[self.place(key, groups)] {
            0 => None,
            group => Some(group as usize - 1),
        }
    }

    /// Notes the newest group.
    fn push(&mut self, groups: &[(EventBatch, Vec<EncodedBatch>)]) {
        let known = match groups.len() * 2 > self.places.len() {
            true => {
                self.places = vec![0; self.places.len() * 2];
                0
            }
            false => groups.len() - 1,
        };
        for (group, (batch, _)) in groups.iter().enumerate().skip(known) {
            let place = self.place(batch.partition_key(), groups);
            self.places[place] = group as u32 + 1;
        }
    }

    /// Where the key is, or would be.
    fn place(&self, key: Option<&str>, groups: &[(EventBatch, Vec<EncodedBatch>)]) -> usize {
        let last = self.places.len() - 1;
        let mut hash = self.seed;
        for byte in key.unwrap_or_default().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut place = (hash ^ hash >> 32) as usize & last;
        while let Some(group) = (self.places[place] as usize).checked_sub(1) {
            if groups[group].0.partition_key() == key {
                break;
            }
            place = (place + 1) & last;
        }
        place
    }
}

fn next_window(
    events: &mut impl Iterator<Item = (usize, impl Content)>,
    new_batch: &impl Fn(Option<String>) -> Result<EventBatch, Error>,
    options: &SendOptions,
) -> Result<Vec<Group>, (usize, Error)> {
    let mut groups: Vec<(EventBatch, Vec<EncodedBatch>)> = Vec::new();
    let mut by_key = ByKey::new();
    let mut encoded = 0;
    for (index, event) in events {
        let failed = |error: Error| (index, error);
        let key = key_of(event.partition_key(), options).map_err(failed)?;
        let group = match by_key.get(key.as_deref(), &groups) {
            Some(group) => group,
            None => {
                groups.push((new_batch(key).map_err(failed)?, Vec::new()));
                by_key.push(&groups);
                groups.len() - 1
            }
        };
        let (batch, full) = &mut groups[group];
        let before = batch.size();
        if !batch.try_add(&event).map_err(failed)? {
            let key = batch.partition_key().map(str::to_owned);
            let mut fresh = new_batch(key).map_err(failed)?;
            if !fresh.try_add(&event).map_err(failed)? {
                return Err(failed(too_large(&event, fresh.max_size())));
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

fn key_of(own: Option<&str>, options: &SendOptions) -> Result<Option<String>, Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidArgument, message));
    match (own, &options.partition_key, &options.partition_id) {
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
pub(super) fn too_large(event: &impl Content, limit: u64) -> Error {
    match codec::encode_event(event) {
        Ok(encoded) => codec::too_large(encoded.len() as u64, limit),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::event::EventData;

    fn window(
        events: Vec<EventData>,
        limit: u64,
        options: &SendOptions,
    ) -> Result<Vec<Group>, (usize, Error)> {
        next_window(&mut events.into_iter().enumerate(), &|key| EventBatch::new(limit, key), options)
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
    fn many_keys_are_told_apart() {
        let events = (0..1000).chain(0..1000).map(|key| keyed(&format!("key {key}"), 1)).collect();
        let groups = window(events, 1000, &SendOptions::default()).unwrap();
        assert_eq!(groups.len(), 1000);
        assert!(groups.iter().all(|group| group.batches.iter().map(|batch| batch.len).sum::<usize>() == 2));
    }

    #[test]
    fn events_without_a_key_need_no_order() {
        let events = vec![EventData::from(vec![0; 600]), EventData::from(vec![0; 600])];
        let groups = window(events, 1000, &SendOptions::default()).unwrap();
        assert_eq!(into_runs(groups).len(), 2);
        let events = vec![EventData::from(vec![0; 600]), EventData::from(vec![0; 600])];
        let groups = window(events, 1000, &SendOptions::to_partition("0")).unwrap();
        assert_eq!(into_runs(groups).len(), 1);
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
        let groups =
            next_window(&mut endless, &|key| EventBatch::new(2 * 1024 * 1024, key), &SendOptions::default())
                .unwrap();
        let bytes: usize = groups.iter().flat_map(|group| &group.batches).map(|batch| batch.body.len()).sum();
        assert!(bytes as u64 <= WINDOW + 2 * 1024 * 1024);
    }
}
