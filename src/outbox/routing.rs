//! Which partition an event goes to.

use std::sync::Arc;

use super::core::{Core, State};
use super::pump::{note, pause, unless_closing};
use super::wire::Wire;
use crate::error::{Error, ErrorKind};
use crate::model::partition::for_key;

/// Keyless events that go to one partition before the next one's turn.
const SPREAD: usize = 500;
/// The lane of events whose partition is not known. No partition is called so.
pub(super) const LOST: &str = "";

/// Gives each event that arrived its partition; `turn` says whose turn it is to get keyless ones.
pub(super) fn route(state: &mut State, turn: &mut usize) {
    let mut spread = 0;
    let partitions = &state.partitions;
    while let Some(id) = state.arrived.pop_front() {
        let Some(entry) = state.ledger.entry(id) else { continue };
        let partition = match (&entry.partition, &entry.key) {
            (Some(partition), _) if !partitions.contains(partition) => {
                state.lost.push_back(id);
                continue;
            }
            (Some(partition), _) => partition,
            (None, Some(key)) => &partitions[for_key(key, partitions.len() as u32) as usize],
            (None, None) => {
                spread += 1;
                if spread % SPREAD == 0 {
                    *turn += 1;
                }
                &partitions[*turn % partitions.len()]
            }
        };
        state.queues.entry(partition.clone()).or_default().push_back(id);
    }
    *turn += usize::from(spread > 0);
}

/// Looks whether the hub has by now the partitions that events are for; those that have none are given up.
pub(super) async fn find_partitions(core: Arc<Core>, wire: Arc<Wire>) -> String {
    let mut failed = 0;
    loop {
        let count = core.lock().lost.len();
        if count == 0 {
            break;
        }
        let Some(found) = unless_closing(&core, wire.partition_ids()).await else { break };
        let settled = match found {
            Ok(partitions) => settle(&core, count, partitions).await,
            Err(error) => Err(error),
        };
        let Err(error) = settled else { continue };
        failed += 1;
        note(&core, error);
        if unless_closing(&core, pause(failed)).await.is_none() {
            break;
        }
    }
    LOST.to_owned()
}

/// Passes on those of the first `count` events that have a partition among these, and gives up the others.
async fn settle(core: &Arc<Core>, count: usize, partitions: Vec<String>) -> Result<(), Error> {
    let known = partitions.join(", ");
    core.lock().partitions.clone_from(&partitions);
    for _ in 0..count {
        let entry = {
            let state = core.lock();
            state.lost.front().and_then(|id| state.ledger.entry(*id)).cloned()
        };
        let Some(entry) = entry else { return Ok(()) };
        let (id, asked) = (entry.id, entry.partition.clone().unwrap_or_default());
        if partitions.contains(&asked) {
            core.tell(|state| state.arrived.push_back(id));
        } else {
            let message = format!("the event hub has no partition '{asked}', only {known}");
            core.bury(entry, &Error::new(ErrorKind::InvalidArgument, message)).await?;
        }
        core.lock().lost.pop_front();
    }
    Ok(())
}
