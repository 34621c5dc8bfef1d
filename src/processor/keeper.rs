//! Writes the checkpoints of one partition: one at a time, forward only, and none when the partition may be another's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::guarded::GuardedStore;
use super::lease::Lease;
use super::status::{Board, CloseReason, Operation};
use crate::dialect::received::ReceivedEvent;
use crate::error::{Error, ErrorKind};
use crate::model::auto_checkpoint::{AutoCheckpoint, Progress};
use crate::model::checkpoint::Checkpoint;
use crate::model::moment::Moment;
use crate::runtime::{now, spawn};

/// The pause before an automatic checkpoint that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    lease: Arc<Lease>,
    store: GuardedStore,
    board: Arc<Board>,
    /// Nothing is written without being asked for.
    is_never: bool,
    state: Mutex<State>,
    /// Held while something is written.
    turn: futures::lock::Mutex<()>,
}

struct State {
    progress: Progress,
    /// The last one that is in the store for certain, since reading began or went elsewhere.
    stored: Option<Checkpoint>,
    /// How often reading went elsewhere. What was written by an earlier turn says nothing about a later one.
    turns: u64,
    /// Reading went elsewhere, and nothing has been written since.
    is_elsewhere: bool,
}

impl Keeper {
    pub(super) fn new(
        lease: Arc<Lease>,
        store: GuardedStore,
        board: Arc<Board>,
        policy: AutoCheckpoint,
        last: Option<Checkpoint>,
    ) -> Arc<Self> {
        let state = State {
            progress: Progress::new(policy, last.clone()),
            stored: last,
            turns: 0,
            is_elsewhere: false,
        };
        let (state, turn) = (Mutex::new(state), futures::lock::Mutex::new(()));
        Arc::new(Keeper { lease, store, board, is_never: policy.is_never(), state, turn })
    }

    pub(super) fn is_never(&self) -> bool {
        self.is_never
    }

    /// So many events were processed, up to this one. Begins to write a checkpoint when it is time. How many more make another due.
    pub(super) fn processed(self: &Arc<Self>, last: &ReceivedEvent, events: u64) -> u64 {
        if self.is_never {
            return u64::MAX;
        }
        let moment = now();
        let checkpoint = self.checkpoint_of(last);
        self.lock().progress.processed_many(checkpoint, events, moment);
        self.look(moment);
        self.lock().progress.due_after()
    }

    /// Begins to write a checkpoint when it is time.
    pub(super) fn look(self: &Arc<Self>, moment: Moment) {
        if self.is_never {
            return;
        }
        let (due, turns) = {
            let mut state = self.lock();
            (state.progress.due(moment), state.turns)
        };
        if let Some(due) = due {
            let keeper = self.clone();
            // Without a runtime there would be no processor.
            let _ = spawn(async move { keeper.write_due(due, turns).await });
        }
    }

    /// When to look at the latest.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.lock().progress.next_deadline()
    }

    /// Writes a checkpoint at an event. One that is not ahead of what is stored is done already.
    pub(super) async fn checkpoint(&self, event: &ReceivedEvent) -> Result<(), Error> {
        let id = self.lease.partition_id();
        if event.partition_id() != &**id {
            let message = format!("the event is of partition '{}'", event.partition_id());
            return Err(self.described(Error::new(ErrorKind::InvalidArgument, message)));
        }
        let checkpoint = self.checkpoint_of(event);
        let turns = self.lock().turns;
        let _turn = self.turn.lock().await;
        self.write(&checkpoint, turns).await.map_err(|error| self.described(error))?;
        let mut state = self.lock();
        if state.turns == turns {
            state.progress.written_elsewhere(checkpoint);
        }
        Ok(())
    }

    /// Reading begins elsewhere: from there it goes forward again.
    pub(super) fn restart(&self) {
        let mut state = self.lock();
        state.progress.restart();
        (state.stored, state.is_elsewhere) = (None, true);
        state.turns += 1;
    }

    /// The last one, when the partition is given up.
    pub(super) async fn close(&self) {
        let _turn = self.turn.lock().await;
        let (last, turns) = {
            let mut state = self.lock();
            (state.progress.close(), state.turns)
        };
        // Whose partition may be another's by now would write over what that one has written.
        let (Some(last), Ok(())) = (last, self.lease.check()) else { return };
        if let Err(error) = self.write(&last, turns).await {
            self.failed(error);
        }
    }

    async fn write_due(&self, due: Checkpoint, turns: u64) {
        let turn = self.turn.lock().await;
        if self.lock().turns != turns {
            return;
        }
        let outcome = self.write(&due, turns).await;
        drop(turn);
        let mut state = self.lock();
        match &outcome {
            // Whoever went elsewhere meanwhile has a progress of its own.
            _ if state.turns != turns => {}
            Ok(()) => state.progress.written(),
            Err(_) => state.progress.failed(now(), RETRY_PAUSE),
        }
        drop(state);
        outcome.unwrap_or_else(|error| self.failed(error));
        // There may be another deadline now.
        self.lease.poke();
    }

    /// To be called by whoever's turn it is, for a checkpoint from so many goings elsewhere.
    async fn write(&self, checkpoint: &Checkpoint, turns: u64) -> Result<(), Error> {
        let is_elsewhere = {
            let state = self.lock();
            if state.stored.as_ref().is_some_and(|stored| !is_ahead(checkpoint, stored)) {
                return Ok(());
            }
            state.is_elsewhere
        };
        self.lease.sure().await?;
        if is_elsewhere {
            // A store may leave what is ahead and not known here; what is put back now is to be known.
            self.store.list_checkpoints().await?;
        }
        self.store.update_checkpoint(checkpoint).await?;
        let mut state = self.lock();
        if state.turns == turns {
            (state.stored, state.is_elsewhere) = (Some(checkpoint.clone()), false);
        }
        Ok(())
    }

    fn checkpoint_of(&self, event: &ReceivedEvent) -> Checkpoint {
        Checkpoint::new(&**self.lease.partition_id(), event.offset(), event.sequence_number())
    }

    fn failed(&self, error: Error) {
        // A partition that is lost has said so already.
        if !self.lease.closing().is_some_and(CloseReason::is_loss) {
            self.board.failed(Some(self.lease.partition_id()), Operation::WriteCheckpoint, error);
        }
    }

    fn described(&self, error: Error) -> Error {
        if error.operation().is_some() {
            return error;
        }
        error.with_operation(Operation::WriteCheckpoint.words()).with_entity(&**self.lease.partition_id())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ahead(checkpoint: &Checkpoint, stored: &Checkpoint) -> bool {
    match (checkpoint.sequence_number, stored.sequence_number) {
        (Some(mine), Some(known)) => mine > known,
        _ => checkpoint.offset != stored.offset,
    }
}
