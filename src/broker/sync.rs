//! Locks and letters: how threads of different connections meet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Waker;
use super::journal::HubId;
use super::namespace::{PublishDone, Published};
use crate::amqp::{AmqpError, LinkId};

/// Locks. A panic of another thread while it held the lock does not spread: what the broker guards is whole
/// between any two statements that can panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where others leave word for a connection. The connection reads it when it is polled.
pub(super) struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    waker: Waker,
}

/// Word for a connection.
#[derive(Debug)]
pub(super) enum Letter {
    /// There are events for a receiver that had caught up.
    Ready(LinkId),
    /// A publication is durable, or could not be made so. Without a delivery-id nobody waits for the outcome.
    Published { link: LinkId, delivery_id: Option<u32>, outcome: Result<Published, Box<AmqpError>> },
    /// A link must go.
    Detach { link: LinkId, error: Box<AmqpError> },
    /// A hub is gone, and its links must go.
    HubGone { hub: HubId, error: Box<AmqpError> },
    /// A consumer group (its name in lower case) is gone, and its links must go.
    GroupGone { hub: HubId, group: String, error: Box<AmqpError> },
    /// The connection must go.
    Close(Box<AmqpError>),
    /// The connection breaks without a word.
    Drop,
    /// Something goes wrong now, or no longer.
    Faults,
}

/// Who wants to know what became of a publication.
pub(super) enum Ack {
    /// A delivery on a connection's link.
    Delivery { mailbox: Arc<Mailbox>, link: LinkId, delivery_id: Option<u32> },
    /// Someone else.
    Direct(PublishDone),
}

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Self {
        Mailbox { letters: Mutex::new(Vec::new()), waker }
    }

    /// Leaves word. Not to be called while a lock is held: it wakes the driver.
    pub(super) fn post(&self, letter: Letter) {
        let first = {
            let mut letters = lock(&self.letters);
            letters.push(letter);
            letters.len() == 1
        };
        if first {
            self.waker.wake();
        }
    }

    /// Exchanges what has come for `empty`, so that its memory is used again.
    pub(super) fn take(&self, empty: &mut Vec<Letter>) {
        std::mem::swap(&mut *lock(&self.letters), empty);
    }
}

impl Ack {
    /// Tells. Not to be called while a lock is held.
    pub(super) fn call(self, outcome: Result<Published, AmqpError>) {
        match self {
            Ack::Delivery { mailbox, link, delivery_id } => {
                let outcome = outcome.map_err(Box::new);
                mailbox.post(Letter::Published { link, delivery_id, outcome });
            }
            Ack::Direct(done) => (done.0)(outcome),
        }
    }
}
