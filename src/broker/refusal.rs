//! How the service says no: its conditions, and its texts with their tracking trailer.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::amqp::AmqpError;
use crate::dialect::conditions::NOT_FOUND;
use crate::model::value::{Symbol, Timestamp};

/// Makes the trailer that ends nearly every text of the service, with a new tracking id each time.
pub(super) struct Tracker {
    namespace: String,
    seed: u64,
    count: AtomicU64,
}

impl Tracker {
    /// Ids that differ from those of a namespace made at another time.
    pub(super) fn new(namespace: &str, now: Timestamp) -> Self {
        let seed = mix(now.as_millis() as u64 ^ 0x6576_656e_7468_7562);
        Tracker { namespace: namespace.to_lowercase(), seed, count: AtomicU64::new(0) }
    }

    /// Thirty-two hexadecimal digits that were not used before.
    pub(super) fn id(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", mix(self.seed.wrapping_add(count)), mix(self.seed ^ mix(count)))
    }

    /// A number that was not used before, from 1 to what JavaScript counts to.
    pub(super) fn number(&self) -> i64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        (mix(self.seed.wrapping_add(count)) >> 11).max(1) as i64
    }

    /// An error of the service itself.
    pub(super) fn error(&self, condition: &'static str, text: impl Display, now: Timestamp) -> AmqpError {
        self.finish(condition, text, "NoSystemTracker", now)
    }

    /// An error about an entity: `orders`, `orders~3`, `orders~3|$default`.
    pub(super) fn entity_error(
        &self,
        condition: &'static str,
        text: impl Display,
        entity: impl Display,
        now: Timestamp,
    ) -> AmqpError {
        let tracker = format!("{}:eventhub:{entity}", self.namespace);
        self.finish(condition, text, &tracker, now)
    }

    /// What does not exist, by the name that the service gives it.
    pub(super) fn not_found(&self, entity: impl Display, now: Timestamp) -> AmqpError {
        let name = format!("{}:eventhub:{entity}", self.namespace);
        let text = format!("The messaging entity '{name}' could not be found.");
        self.finish(NOT_FOUND, text, &name, now)
    }

    fn finish(&self, condition: &'static str, text: impl Display, system: &str, now: Timestamp) -> AmqpError {
        AmqpError::new(Symbol::from_static(condition), self.trailed(text, system, now))
    }

    /// `text` with a trailer that names `system`.
    pub(super) fn trailed(&self, text: impl Display, system: &str, now: Timestamp) -> String {
        let mut time = now.to_string();
        time.truncate("2026-01-31T09:05:07".len());
        format!("{text} TrackingId:{}_G0, SystemTracker:{system}, Timestamp:{time}", self.id())
    }
}

/// The finalizer of SplitMix64 (Sebastiano Vigna, public domain): neighbours become strangers.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn texts_end_with_the_services_trailer() {
        let tracker = Tracker::new("Contoso", Timestamp::from_millis(0));
        let error = tracker.not_found("orders~0|audit", Timestamp::from_millis(1_767_225_600_250));
        let text = error.description.unwrap();
        let (said, trailer) = text.split_once(" TrackingId:").unwrap();
        assert_eq!(said, "The messaging entity 'contoso:eventhub:orders~0|audit' could not be found.");
        assert!(trailer[..32].chars().all(|c| c.is_ascii_hexdigit()), "{trailer}");
        assert_eq!(
            &trailer[32..],
            "_G0, SystemTracker:contoso:eventhub:orders~0|audit, Timestamp:2026-01-01T00:00:00"
        );
        assert_eq!(error.condition.as_str(), "amqp:not-found");
    }

    #[test]
    fn no_tracking_id_is_given_twice() {
        let tracker = Tracker::new("n", Timestamp::from_millis(1));
        let ids: HashSet<_> = (0..1000).map(|_| tracker.id()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
