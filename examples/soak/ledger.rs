//! What was published to a partition, and what of it arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use eventhubs::{Error, ReceivedEvent};

/// Numbers are published in order; each is acknowledged, refused, or in doubt.
#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The next number to publish.
    sent: u64,
    acknowledged: u64,
    /// Runs of numbers (first, one behind the last) of which it is not known that they are stored.
    unsure: BTreeMap<u64, u64>,
    /// The number that has to come next.
    next: u64,
    taken: u64,
    last_sequence: Option<i64>,
    verdict: Verdict,
}

/// What went wrong, and what was declared.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: u64,
    /// Sends whose outcome was an error.
    pub(crate) failed: u64,
    /// Acknowledged, and never seen.
    lost: u64,
    /// Seen by a reader for the second time.
    repeated: u64,
    /// Not what had to come next.
    disordered: u64,
    /// Stored twice, because an acknowledgement was lost and the same was sent again: declared.
    stored_again: u64,
    /// Acknowledged, but not arrived in time.
    outstanding: u64,
}

impl Ledger {
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken
    }

    pub(crate) fn last_sequence(&self) -> Option<i64> {
        self.lock().last_sequence
    }

    /// The next `count` numbers were published, or not.
    pub(crate) fn published(&self, count: u64, outcome: &Result<(), Error>) {
        let mut state = self.lock();
        let first = state.sent;
        state.sent += count;
        match outcome {
            Ok(()) => state.acknowledged = state.sent,
            Err(_) => {
                state.verdict.failed += 1;
                state.unsure.insert(first, first + count);
            }
        }
        state.verdict.acknowledged += if outcome.is_ok() { count } else { 0 };
    }

    /// A reader has taken an event.
    pub(crate) fn received(&self, event: &ReceivedEvent) {
        let mut state = self.lock();
        let sequence = event.sequence_number();
        match state.last_sequence {
            Some(last) if sequence <= last => {
                state.verdict.repeated += 1;
                return;
            }
            Some(last) if sequence > last + 1 => state.verdict.lost += (sequence - last - 1) as u64,
            _ => {}
        }
        state.last_sequence = Some(sequence);
        let body = event.body_text().unwrap_or_default();
        let Ok(number) = body.trim_end_matches('.').parse::<u64>() else {
            state.verdict.disordered += 1;
            return;
        };
        state.taken += 1;
        if number < state.next {
            // The same bytes once more, directly behind the first time, or much later: that is no order.
            match state.next - number <= 16 {
                true => state.verdict.stored_again += 1,
                false => state.verdict.disordered += 1,
            }
            return;
        }
        // What was passed over must be something that was not acknowledged.
        let mut missing = state.next;
        while missing < number {
            let run =
                state.unsure.range(..=missing).next_back().map(|(_, end)| *end).filter(|end| *end > missing);
            match run {
                Some(end) => missing = end.min(number),
                None => {
                    state.verdict.lost += 1;
                    missing += 1;
                }
            }
        }
        state.next = number + 1;
    }

    /// Whether everything that was acknowledged has arrived.
    pub(crate) fn is_even(&self) -> bool {
        let state = self.lock();
        state.next >= state.acknowledged
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let state = self.lock();
        Verdict { outstanding: state.acknowledged.saturating_sub(state.next), ..state.verdict }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.lost + self.repeated + self.disordered + self.outstanding == 0 && self.acknowledged > 0
    }

    pub(crate) fn add(self, other: Verdict) -> Verdict {
        Verdict {
            acknowledged: self.acknowledged + other.acknowledged,
            failed: self.failed + other.failed,
            lost: self.lost + other.lost,
            repeated: self.repeated + other.repeated,
            disordered: self.disordered + other.disordered,
            stored_again: self.stored_again + other.stored_again,
            outstanding: self.outstanding + other.outstanding,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{\"good\":{},\"acknowledged\":{},\"failed\":{},\"lost\":{},\"repeated\":{},\"disordered\":{},\"storedAgain\":{},\"outstanding\":{}}}",
            self.is_good(),
            self.acknowledged,
            self.failed,
            self.lost,
            self.repeated,
            self.disordered,
            self.stored_again,
            self.outstanding
        )
    }
}
