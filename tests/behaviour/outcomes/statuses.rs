//! Everything that a client tells, from its beginning to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventhubs::{Status, StatusStream};

use super::row::Row;
use crate::harness::{spawn, within};

/// Collects what a client tells.
pub(super) struct Log {
    told: Arc<Mutex<Vec<Status>>>,
    end: std::pin::Pin<Box<dyn Future<Output = u64>>>,
}

impl Log {
    pub(super) fn of(mut statuses: StatusStream) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        let end = spawn(async move {
            while let Some(status) = statuses.next().await {
                log.lock().unwrap().push(status);
            }
            statuses.missed()
        });
        Log { told, end: Box::pin(end) }
    }

    /// How much was told so far.
    pub(super) fn len(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// What was told since then.
    pub(super) fn since(&self, start: usize) -> Vec<Status> {
        self.told.lock().unwrap()[start..].to_vec()
    }

    /// The client was closed: everything was told, and makes sense.
    pub(super) async fn check(self, row: &mut Row) {
        let missed = within(Duration::from_secs(5), self.end).await;
        row.expect(missed == Some(0), || format!("the stream of statuses missed {missed:?}, or did not end"));
        let told = self.told.lock().unwrap();
        let codes: Vec<_> = told.iter().map(Status::code).collect();
        let mut connection: Option<&Status> = None;
        for status in told.iter() {
            match status {
                Status::Connecting { .. }
                | Status::Connected
                | Status::Disconnected { .. }
                | Status::Reconnecting { .. }
                | Status::Closed => {
                    row.expect(connection.is_none_or(|before| follows(before, status)), || {
                        format!("{} behind {}: {codes:?}", status.code(), connection.map_or("", Status::code))
                    });
                    connection = Some(status);
                }
                Status::TokenRefreshed { .. }
                | Status::Resumed { .. }
                | Status::Attached { .. }
                | Status::Stalled { .. } => {
                    row.expect(matches!(connection, Some(Status::Connected)), || {
                        format!("{} without a connection: {codes:?}", status.code())
                    });
                }
                _ => {}
            }
        }
        row.expect(matches!(told.last(), Some(Status::Closed)), || {
            format!("its end was not told: {codes:?}")
        });
    }
}

/// Whether a connection can be so after it was so.
fn follows(before: &Status, after: &Status) -> bool {
    match (before, after) {
        (Status::Closed, _) => false,
        (_, Status::Closed) => true,
        (Status::Reconnecting { attempt: planned, .. }, Status::Connecting { attempt }) => attempt == planned,
        (Status::Disconnected { .. }, Status::Connecting { .. } | Status::Reconnecting { .. }) => true,
        (Status::Connecting { .. }, Status::Connected | Status::Reconnecting { .. }) => true,
        (Status::Connecting { .. } | Status::Connected, Status::Disconnected { .. }) => true,
        _ => false,
    }
}
