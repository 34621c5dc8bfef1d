//! What a consumer group remembers outside of the service: how far each partition was read, and who reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::moment::Moment;
use super::position::StartPosition;
use super::value::Timestamp;
use crate::error::{Error, ErrorKind};

/// Whose checkpoints and ownerships belong together: a consumer group of an event hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerGroup {
    /// The namespace's host, such as `contoso.servicebus.windows.net`.
    pub namespace: String,
    /// The event hub.
    pub event_hub: String,
    /// The group, such as `$Default`.
    pub name: String,
}

/// How far a partition was read. At least one of offset and sequence number is known, or it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The partition.
    pub partition_id: String,
    /// The offset of the last event that is done with. Where the service's words disagree, it decides.
    pub offset: Option<String>,
    /// The sequence number of the last event that is done with.
    pub sequence_number: Option<i64>,
}

/// Who reads a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// The partition.
    pub partition_id: String,
    /// The processor that reads it; empty when the last one has given it up.
    pub owner_id: String,
    /// When the ownership was claimed or renewed, by the store's clock. A store sets it; claims need none.
    pub last_modified: Option<Timestamp>,
    /// The version of the record, as the store named it. A claim with the wrong one is refused; a claim without one
    /// only succeeds where there is no record yet.
    pub etag: Option<String>,
}

impl Checkpoint {
    /// A checkpoint at an event's offset and sequence number.
    pub fn new(partition_id: impl Into<String>, offset: impl Into<String>, sequence_number: i64) -> Self {
        Checkpoint {
            partition_id: partition_id.into(),
            offset: Some(offset.into()),
            sequence_number: Some(sequence_number),
        }
    }

    /// Where reading goes on: behind the event. The offset is preferred, as the official clients do.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when neither offset nor sequence number is there.
    pub fn position(&self) -> Result<StartPosition, Error> {
        match (&self.offset, self.sequence_number) {
            (Some(offset), _) if !offset.is_empty() => Ok(StartPosition::offset(offset)),
            (_, Some(number)) => Ok(StartPosition::sequence_number(number)),
            _ => {
                let message = format!(
                    "the checkpoint of partition '{}' has neither an offset nor a sequence number",
                    self.partition_id
                );
                Err(Error::new(ErrorKind::InvalidArgument, message))
            }
        }
    }

    /// Whether taking this one in place of `known` would read events twice.
    pub fn is_behind(&self, known: &Checkpoint) -> bool {
        match (self.sequence_number, known.sequence_number) {
            (Some(mine), Some(known)) => mine < known,
            _ => false,
        }
    }
}

impl Ownership {
    /// A claim on a partition that has no record yet.
    pub fn new(partition_id: impl Into<String>, owner_id: impl Into<String>) -> Self {
        Ownership {
            partition_id: partition_id.into(),
            owner_id: owner_id.into(),
            last_modified: None,
            etag: None,
        }
    }

    /// The same record claimed by another, or by the same once more.
    #[must_use]
    pub fn claimed_by(&self, owner_id: impl Into<String>) -> Self {
        Ownership { owner_id: owner_id.into(), last_modified: None, ..self.clone() }
    }

    /// Whether its owner has given it up.
    pub fn is_released(&self) -> bool {
        self.owner_id.is_empty()
    }
}

impl ConsumerGroup {
    /// The group with its names in lower case, as stores keep it: to the service names are the same in any case.
    #[must_use]
    pub fn folded(&self) -> Self {
        ConsumerGroup {
            namespace: self.namespace.to_lowercase(),
            event_hub: self.event_hub.to_lowercase(),
            name: self.name.to_lowercase(),
        }
    }
}

impl fmt::Display for ConsumerGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.event_hub, self.name)
    }
}

/// What a processor has seen of ownerships over time, to tell living owners from dead ones.
///
/// A store's times are by the store's clock, and clocks differ. So a record that was seen to change within the expiry is
/// alive, however old its time looks here; and one that was not seen to change for as long is dead, however young its
/// time looks. Its time decides only at first sight, when nothing else is known.
#[derive(Clone, Debug, Default)]
pub struct Sightings(Vec<(String, Sighting)>);

#[derive(Clone, Debug, Default)]
struct Sighting {
    /// It has been looked at.
    is_known: bool,
    etag: Option<String>,
    owner_id: String,
    /// When it was first seen as it is.
    since: Moment,
    /// Whether it was seen as something else before.
    has_changed: bool,
    /// Since when the partition has had no living owner.
    free_since: Option<Moment>,
    /// When its owner counts as dead, unless it is seen to change before.
    dies_at: Option<Moment>,
}

impl Sightings {
    /// The living owner of each partition of `partition_ids`, by a listing made now.
    pub fn owners<'a>(
        &mut self,
        partition_ids: &[String],
        listing: &'a [Ownership],
        expiry: Duration,
        now: Moment,
        unix: Timestamp,
    ) -> Vec<Option<&'a str>> {
        let records: BTreeMap<&str, &Ownership> =
            listing.iter().map(|record| (record.partition_id.as_str(), record)).collect();
        let records = partition_ids.iter().map(|id| records.get(id.as_str()).copied());
        self.owners_of(partition_ids, records, expiry, now, unix)
    }

    /// As [`owners`](Self::owners), with the record of each partition.
    pub(crate) fn owners_of<'a>(
        &mut self,
        partition_ids: &[String],
        records: impl Iterator<Item = Option<&'a Ownership>>,
        expiry: Duration,
        now: Moment,
        unix: Timestamp,
    ) -> Vec<Option<&'a str>> {
        let mut owners = Vec::with_capacity(partition_ids.len());
        if !self.0.iter().map(|(id, _)| id).eq(partition_ids) {
            self.arrange(partition_ids);
        }
        for (place, record) in records.enumerate().take(partition_ids.len()) {
            let sighting = &mut self.0[place].1;
            sighting.see(record, now);
            sighting.dies_at = record.and_then(|record| sighting.death(record, expiry, now, unix));
            let owner = record.filter(|_| sighting.dies_at.is_some_and(|moment| now < moment));
            sighting.free_since = match owner {
                Some(_) => None,
                None => sighting.free_since.or(Some(now)),
            };
            owners.push(owner.map(|record| record.owner_id.as_str()));
        }
        owners
    }

    /// When the first of the living owners except `me` counts as dead, if nothing is seen to change before.
    pub fn next_death(&self, me: &str) -> Option<Moment> {
        let sightings = self.0.iter().map(|(_, sighting)| sighting);
        let others = sightings.filter(|sighting| sighting.free_since.is_none() && sighting.owner_id != me);
        others.filter_map(|sighting| sighting.dies_at).min()
    }

    /// Whether a partition has had no living owner for so long that those whose share it is do not want it.
    pub fn is_left_over(&self, partition_id: &str, patience: Duration, now: Moment) -> bool {
        let place = self.0.iter().position(|(id, _)| id == partition_id);
        place.is_some_and(|place| self.is_left_over_at(place, patience, now))
    }

    /// As [`is_left_over`](Self::is_left_over), by the partition's place among those of the last listing.
    pub(crate) fn is_left_over_at(&self, place: usize, patience: Duration, now: Moment) -> bool {
        let since = self.0.get(place).and_then(|(_, sighting)| sighting.free_since);
        since.is_some_and(|since| now - since >= patience)
    }

    /// Keeps what is known of these partitions, in their order.
    fn arrange(&mut self, partition_ids: &[String]) {
        let mut before: BTreeMap<String, Sighting> = std::mem::take(&mut self.0).into_iter().collect();
        let known = partition_ids.iter().map(|id| (id.clone(), before.remove(id).unwrap_or_default()));
        self.0 = known.collect();
    }
}

impl Sighting {
    fn of(record: Option<&Ownership>, now: Moment) -> Self {
        Sighting {
            is_known: true,
            etag: record.and_then(|record| record.etag.clone()),
            owner_id: record.map_or_else(String::new, |record| record.owner_id.clone()),
            since: now,
            has_changed: false,
            free_since: None,
            dies_at: None,
        }
    }

    /// Notes when it has become something else.
    fn see(&mut self, record: Option<&Ownership>, now: Moment) {
        let etag = record.and_then(|record| record.etag.as_ref());
        let owner_id = record.map_or("", |record| record.owner_id.as_str());
        if !self.is_known || self.etag.as_ref() != etag || self.owner_id != owner_id {
            let (has_changed, free_since) = (self.is_known, self.free_since);
            *self = Sighting { has_changed, free_since, ..Sighting::of(record, now) };
        }
    }

    /// When its owner counts as dead, or has; `None` where there is none.
    fn death(&self, record: &Ownership, expiry: Duration, now: Moment, unix: Timestamp) -> Option<Moment> {
        if record.is_released() {
            return None;
        }
        let by_change = self.since + expiry;
        if self.has_changed {
            return Some(by_change);
        }
        let age = unix.as_millis().saturating_sub(record.last_modified?.as_millis());
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        Some(by_change.min(now + expiry.saturating_sub(age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRY: Duration = Duration::from_secs(60);

    fn record(owner: &str, etag: &str, written: i64) -> Ownership {
        Ownership {
            last_modified: Some(Timestamp::from_millis(written)),
            etag: Some(etag.into()),
            ..Ownership::new("0", owner)
        }
    }

    struct Watch(Sightings, [String; 1]);

    impl Watch {
        fn new() -> Self {
            Watch(Sightings::default(), ["0".into()])
        }

        /// Sees one record, at a second of the own clock and a millisecond of the calendar.
        fn sees(&mut self, record: &Ownership, second: u64, unix: i64) -> bool {
            let (now, unix) =
                (Moment::from_origin(Duration::from_secs(second)), Timestamp::from_millis(unix));
            let listing = std::slice::from_ref(record);
            self.0.owners(&self.1, listing, EXPIRY, now, unix)[0].is_some()
        }
    }

    #[test]
    fn at_first_sight_the_stores_time_decides() {
        assert!(Watch::new().sees(&record("a", "1", 1_000), 0, 60_999));
        assert!(!Watch::new().sees(&record("a", "1", 1_000), 0, 61_000));
        assert!(!Watch::new().sees(&Ownership { last_modified: None, ..record("a", "1", 0) }, 0, 0));
    }

    #[test]
    fn who_renews_is_alive_whatever_the_clocks_say() {
        let mut watch = Watch::new();
        // The calendar here is an hour ahead of the store's.
        assert!(!watch.sees(&record("a", "1", 0), 0, 3_600_000));
        assert!(watch.sees(&record("a", "2", 10_000), 10, 3_610_000));
        assert!(watch.sees(&record("a", "2", 10_000), 69, 3_669_000));
        assert!(!watch.sees(&record("a", "2", 10_000), 70, 3_670_000));
    }

    #[test]
    fn who_does_not_renew_is_dead_even_with_a_time_in_the_future() {
        let mut watch = Watch::new();
        let future = record("a", "1", 1_000_000_000);
        assert!(watch.sees(&future, 0, 0));
        assert!(watch.sees(&future, 59, 59_000));
        assert!(!watch.sees(&future, 60, 60_000));
    }

    #[test]
    fn when_the_next_owner_dies_is_known() {
        let mut watch = Watch::new();
        let at = |second| Some(Moment::from_origin(Duration::from_secs(second)));
        assert!(watch.sees(&record("a", "1", 0), 5, 20_000));
        assert_eq!((watch.0.next_death("me"), watch.0.next_death("a")), (at(45), None));
        assert!(watch.sees(&record("a", "2", 21_000), 6, 21_000));
        assert_eq!(watch.0.next_death("me"), at(66));
        assert!(!watch.sees(&record("a", "2", 21_000), 66, 81_000));
        assert_eq!(watch.0.next_death("me"), None);
    }

    #[test]
    fn a_clock_that_goes_backwards_kills_nobody() {
        let mut watch = Watch::new();
        assert!(watch.sees(&record("a", "1", 100_000), 0, 100_000));
        assert!(watch.sees(&record("a", "2", 5_000), 10, 5_000));
    }

    #[test]
    fn what_is_given_up_is_free_at_once_and_left_over_after_a_while() {
        let mut watch = Watch::new();
        assert!(watch.sees(&record("a", "1", 0), 0, 0));
        assert!(!watch.sees(&record("", "2", 0), 1, 1));
        let at = |second| Moment::from_origin(Duration::from_secs(second));
        assert!(!watch.0.is_left_over("0", EXPIRY, at(60)));
        assert!(watch.0.is_left_over("0", EXPIRY, at(61)));
        assert!(watch.sees(&record("b", "3", 61_000), 61, 61_000));
        assert!(!watch.0.is_left_over("0", EXPIRY, at(200)));
    }

    #[test]
    fn a_checkpoint_leads_behind_its_event_and_an_empty_one_nowhere() {
        let checkpoint = Checkpoint::new("0", "4096", 17);
        assert_eq!(checkpoint.position().unwrap(), StartPosition::offset("4096"));
        let numbered = Checkpoint { offset: Some(String::new()), ..checkpoint.clone() };
        assert_eq!(numbered.position().unwrap(), StartPosition::sequence_number(17));
        let empty = Checkpoint { offset: None, sequence_number: None, ..checkpoint.clone() };
        assert_eq!(empty.position().unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(Checkpoint::new("0", "1", 16).is_behind(&checkpoint));
        assert!(!checkpoint.is_behind(&checkpoint) && !empty.is_behind(&checkpoint));
    }
}
