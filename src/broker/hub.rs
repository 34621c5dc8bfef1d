//! One hub: its partitions and consumer groups.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::config::{HubConfig, NamespaceLimits};
use super::journal::HubRecord;
use super::namespace::{HubError, HubInfo, Route};
use super::partition::{Partition, Store};
use super::sync::lock;
use crate::model::partition;

/// The consumer group that every hub has.
pub(super) const DEFAULT_GROUP: &str = "$Default";

/// The longest name of a hub, in characters.
const MAX_HUB_NAME: usize = 256;

/// The longest name of a consumer group, in characters.
const MAX_GROUP_NAME: usize = 256;

/// A hub.
pub(super) struct Hub {
    /// At least one, and never another one.
    pub(super) partitions: Vec<Arc<Partition>>,
    /// As the journal keeps it.
    record: Mutex<HubRecord>,
    /// The hub's id and name, which never change.
    pub(super) id: super::journal::HubId,
    pub(super) name: String,
    turn: AtomicUsize,
}

impl Hub {
    /// A hub without events. `record.config.retention` must be set.
    pub(super) fn new(record: HubRecord, store: &Arc<Store>) -> Self {
        let retention = record.config.retention.unwrap_or_default();
        let partition = |number| Arc::new(Partition::new(record.id, number, retention, store.clone()));
        Hub {
            partitions: (0..record.config.partitions).map(partition).collect(),
            id: record.id,
            name: record.config.name.clone(),
            record: Mutex::new(record),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn record(&self) -> HubRecord {
        lock(&self.record).clone()
    }

    pub(super) fn info(&self) -> HubInfo {
        let record = self.record();
        let mut consumer_groups = vec![DEFAULT_GROUP.to_owned()];
        consumer_groups.extend(record.config.consumer_groups);
        HubInfo {
            name: record.config.name,
            partitions: record.config.partitions,
            consumer_groups,
            created_at: record.created_at,
        }
    }

    /// Whether there is such a consumer group, in whatever case.
    pub(super) fn has_group(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(DEFAULT_GROUP)
            || lock(&self.record).config.consumer_groups.iter().any(|group| same(group, name))
    }

    pub(super) fn add_group(&self, name: &str, limits: &NamespaceLimits) -> Result<(), HubError> {
        check_name("a consumer group", name, MAX_GROUP_NAME)?;
        if self.has_group(name) {
            return Err(HubError::Exists(format!("consumer group '{name}' of hub '{}'", self.name)));
        }
        let groups = &mut lock(&self.record).config.consumer_groups;
        if groups.len() + 1 >= limits.consumer_groups_per_hub {
            return Err(HubError::LimitReached(format!(
                "hub '{}' has {} consumer groups, more are not allowed",
                self.name, limits.consumer_groups_per_hub
            )));
        }
        groups.push(name.to_owned());
        Ok(())
    }

    pub(super) fn remove_group(&self, name: &str) -> Result<(), HubError> {
        if name.eq_ignore_ascii_case(DEFAULT_GROUP) {
            return Err(HubError::Invalid(format!("every hub has the consumer group '{DEFAULT_GROUP}'")));
        }
        let groups = &mut lock(&self.record).config.consumer_groups;
        let Some(index) = groups.iter().position(|group| same(group, name)) else {
            return Err(HubError::NotFound(format!("consumer group '{name}' of hub '{}'", self.name)));
        };
        groups.remove(index);
        Ok(())
    }

    /// The partition with this id, which must be written as the hub lists it.
    pub(super) fn partition(&self, id: &str) -> Option<&Arc<Partition>> {
        let number: usize = id.parse().ok()?;
        self.partitions.get(number).filter(|_| number.to_string() == id)
    }

    /// Where a publication goes; `None` when it names a partition that does not exist.
    pub(super) fn route(&self, route: &Route) -> Option<&Arc<Partition>> {
        match route {
            Route::Partition(number) => self.partitions.get(*number as usize),
            Route::Publisher(key) => Some(self.choose(Some(key))),
            Route::Any { partition_key } => Some(self.choose(partition_key.as_deref())),
        }
    }

    /// The partition of a key; without one it is the next partition's turn.
    pub(super) fn choose(&self, key: Option<&str>) -> &Arc<Partition> {
        let count = self.partitions.len();
        let index = match key {
            Some(key) => partition::for_key(key, count as u32) as usize,
            None => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        &self.partitions[index]
    }

    /// What the service says of a partition that does not exist.
    pub(super) fn no_such_partition(&self) -> String {
        format!(
            "The specified partition is invalid for an EventHub partition sender or receiver. It should be \
             between 0 and {}.",
            self.partitions.len() - 1
        )
    }
}

/// Checks a hub that is to be created.
pub(super) fn check(hub: &HubConfig, limits: &NamespaceLimits) -> Result<(), HubError> {
    check_name("a hub", &hub.name, MAX_HUB_NAME)?;
    if hub.partitions == 0 || hub.partitions > limits.partitions_per_hub {
        return Err(HubError::Invalid(format!(
            "hub '{}' cannot have {} partitions: from 1 to {} are allowed",
            hub.name, hub.partitions, limits.partitions_per_hub
        )));
    }
    for (i, group) in hub.consumer_groups.iter().enumerate() {
        check_name("a consumer group", group, MAX_GROUP_NAME)?;
        if hub.consumer_groups[..i].iter().any(|other| same(other, group)) {
            return Err(HubError::Exists(format!("consumer group '{group}' of hub '{}'", hub.name)));
        }
    }
    if hub.consumer_groups.len() + 1 > limits.consumer_groups_per_hub {
        return Err(HubError::LimitReached(format!(
            "hub '{}' cannot have more than {} consumer groups, '{DEFAULT_GROUP}' included",
            hub.name, limits.consumer_groups_per_hub
        )));
    }
    Ok(())
}

/// Whether two names are the same hub or consumer group.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn check_name(what: impl Display, name: &str, longest: usize) -> Result<(), HubError> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let fits = !name.is_empty()
        && name.len() <= longest
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(60).collect();
    Err(HubError::Invalid(format!(
        "{what} cannot be named '{}': names have 1 to {longest} letters, digits, '.', '-' and '_', and start \
         and end with a letter or digit",
        shown.escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_services_rules() {
        let limits = NamespaceLimits::default();
        for name in ["a", "7", "orders", "a.b-c_d9"] {
            assert_eq!(check(&HubConfig::new(name, 1), &limits), Ok(()), "{name}");
        }
        let long = "x".repeat(257);
        for name in ["", "-a", "a-", "a b", "a/b", "$cbs", "ö", "a\u{0}b", long.as_str()] {
            assert!(matches!(check(&HubConfig::new(name, 1), &limits), Err(HubError::Invalid(_))), "{name}");
        }
    }

    #[test]
    fn counts_are_bounded() {
        let limits =
            NamespaceLimits { partitions_per_hub: 32, consumer_groups_per_hub: 2, ..Default::default() };
        for partitions in [0, 33] {
            assert!(check(&HubConfig::new("h", partitions), &limits).is_err());
        }
        let groups = |names: &[&str]| HubConfig {
            consumer_groups: names.iter().map(ToString::to_string).collect(),
            ..HubConfig::new("h", 1)
        };
        assert!(check(&groups(&["a"]), &limits).is_ok());
        assert!(matches!(check(&groups(&["a", "b"]), &limits), Err(HubError::LimitReached(_))));
        assert!(matches!(check(&groups(&["a", "A"]), &limits), Err(HubError::Exists(_))));
    }
}
