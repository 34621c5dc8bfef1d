//! How an idempotent producer numbers its events, so that none is stored twice.

/// How far an idempotent producer has come in one partition.
///
/// With it another client goes on where one ended: give it to
/// [`ClientBuilder::publishing_state`](crate::ClientBuilder::publishing_state). Whoever goes on sends again first what was not
/// acknowledged before, in the same batches: the service knows events by their numbers, and swallows what it has.
///
/// Never go on with an old state, such as one from a backup: what is new would get numbers that were used, and the service would
/// accept it as what it has, and store nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishingState {
    /// Which producer this is, as the service named it.
    pub producer_id: i64,
    /// Of two clients that are the same producer, the service listens to the one with the higher epoch, and to the newer one when
    /// they are equal.
    pub epoch: i16,
    /// The number of the last event that is known to be stored; -1 when there is none.
    pub sequence_number: i32,
}

impl PublishingState {
    /// The number of the next event.
    pub fn next(&self) -> i32 {
        after(self.sequence_number, 1)
    }
}

/// The number `count` behind `number`: the one behind the largest is 0.
pub fn after(number: i32, count: u32) -> i32 {
    (i64::from(number) + i64::from(count)).rem_euclid(NUMBERS) as i32
}

/// How far `number` lies behind `from`, or, when it is negative, before it: whichever is nearer.
pub fn distance(from: i32, number: i32) -> i64 {
    let ahead = (i64::from(number) - i64::from(from)).rem_euclid(NUMBERS);
    if ahead < NUMBERS / 2 { ahead } else { ahead - NUMBERS }
}

/// How many sequence numbers there are: from 0 to the largest `int`.
const NUMBERS: i64 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_zero_and_again_behind_the_largest() {
        let state = PublishingState { producer_id: 1, epoch: 0, sequence_number: -1 };
        assert_eq!(state.next(), 0);
        assert_eq!(PublishingState { sequence_number: i32::MAX, ..state }.next(), 0);
        assert_eq!(after(i32::MAX - 1, 3), 1);
        assert_eq!(after(7, 0), 7);
    }

    #[test]
    fn distances_know_of_the_wrap() {
        assert_eq!(distance(5, 5), 0);
        assert_eq!(distance(5, 9), 4);
        assert_eq!(distance(5, 0), -5);
        assert_eq!(distance(i32::MAX, 1), 2);
        assert_eq!(distance(1, i32::MAX), -2);
    }
}
