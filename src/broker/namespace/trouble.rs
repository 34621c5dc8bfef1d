//! What goes wrong with a namespace on purpose.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Namespace;
use crate::amqp::AmqpError;
use crate::broker::Now;
use crate::broker::faults::{FaultKind, LinkRole, On};
use crate::broker::hub::Hub;
use crate::broker::journal::{HubId, HubRecord};
use crate::broker::sync::Letter;
use crate::dialect::conditions::SERVER_BUSY;
use crate::model::moment::Moment;

/// What the service says to a client that it throttles.
pub(in crate::broker) const BUSY: &str = "The request was terminated because the entity is being throttled. Error code : 50002. \
                               Sub error : 102. Please wait 4 seconds and try again.";

impl Namespace {
    /// When [`look`](Self::look) is to be called at the latest, by somebody who waits and has no connection to do it.
    #[cfg_attr(
        not(feature = "emulator"),
        allow(dead_code, reason = "only the emulator's HTTP has nobody else to ask")
    )]
    pub(crate) fn next_errand(&self) -> Option<Moment> {
        if self.shared.faults.any() { self.shared.faults.next_errand() } else { None }
    }

    /// Does what faults have the namespace do by now.
    pub(crate) fn look(&self, now: Now) {
        if !self.shared.faults.any() {
            return;
        }
        self.shared.faults.run_errands(now);
        while let Some((loses_data, down)) = self.shared.faults.due_restart(now) {
            self.start_anew(loses_data, down, now);
        }
    }

    /// Breaks all connections, as a service that starts anew. What only memory holds may be lost.
    pub(in crate::broker) fn start_anew(&self, loses_data: bool, down: Duration, now: Now) {
        self.shared.faults.set_down(down, now);
        self.tell_all(|| Letter::Drop);
        if !loses_data || self.shared.store.journal.is_some() {
            return;
        }
        for old in self.all_hubs() {
            let id = HubId(self.shared.last_hub.fetch_add(1, Ordering::Relaxed) + 1);
            let record = HubRecord { id, created_at: now.unix, ..old.record() };
            let new = Arc::new(Hub::new(record, &self.shared.store));
            self.hubs_mut(|hubs| hubs.insert(old.name.to_lowercase(), new));
            let error = self.shared.tracker.not_found(&old.name, now.unix);
            old.partitions.iter().for_each(|partition| partition.remove(&error));
        }
    }

    /// Does what has to be done when faults change.
    pub(super) fn watch_faults(&self) {
        let weak = Arc::downgrade(&self.shared);
        self.shared.faults.watch(move |now| {
            let Some(shared) = weak.upgrade() else { return false };
            let namespace = Namespace { shared };
            if let Some(now) = now {
                namespace.look(now);
            }
            namespace.tell_all(|| Letter::Faults);
            true
        });
    }

    /// Whether a publication that comes over HTTP is told that the service is busy.
    pub(super) fn is_busy(&self, hub: &str, partition: u32, now: Now) -> bool {
        self.shared.faults.any()
            && self
                .shared
                .faults
                .strike(On::Send, now, |kind, scope| {
                    matches!(kind, FaultKind::Busy)
                        && scope.client.is_none()
                        && scope.has_link(hub, Some(partition), LinkRole::Send)
                })
                .is_some()
    }

    /// The time, as the service has it that talks to nobody in particular.
    pub(super) fn now(&self, now: Now) -> Now {
        if self.shared.faults.any() { self.shared.faults.skewed(now, "") } else { now }
    }

    /// How much longer a publication takes to become durable.
    pub(super) fn slow_disk(&self, hub: &str, partition: u32, client: &str, now: Now) -> Option<Duration> {
        if !self.shared.faults.any() {
            return None;
        }
        let slow = self.shared.faults.strike(On::Send, now, |kind, scope| {
            matches!(kind, FaultKind::SlowDisk { .. })
                && scope.is_client(client)
                && scope.has_link(hub, Some(partition), LinkRole::Send)
        });
        match slow {
            Some(FaultKind::SlowDisk { delay }) => Some(delay),
            _ => None,
        }
    }

    /// How the service's texts name an entity of this namespace.
    pub(in crate::broker) fn system(&self, entity: &str) -> String {
        format!("{}:eventhub:{entity}", self.shared.config.name.to_lowercase())
    }

    /// What a busy service says.
    pub(in crate::broker) fn busy(&self, entity: &str, now: Now) -> AmqpError {
        self.shared.tracker.entity_error(SERVER_BUSY, BUSY, entity, now.unix)
    }
}
