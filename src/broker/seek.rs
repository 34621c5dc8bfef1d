//! Where in a partition a receiver starts.

use super::Now;
use super::partition::Partition;
use crate::amqp::AmqpError;
use crate::dialect::selector::{Position, offset_beyond_end, sequence_number_beyond_end};

/// The sequence number of the first event for a receiver that attaches now.
pub(super) fn seek(partition: &Partition, position: Position, now: Now) -> Result<i64, AmqpError> {
    partition.look(now, |log, end, info| match position {
        Position::Earliest => Ok(log.begin()),
        Position::Latest { inclusive: true } => Ok((end - 1).max(log.begin())),
        Position::Latest { inclusive: false } => Ok(end),
        Position::Offset { offset, .. } if offset > info.last_offset => {
            Err(offset_beyond_end(offset, info.last_offset))
        }
        Position::Offset { offset, inclusive } => {
            Ok(log.first(end, |event| event.offset > offset || inclusive && event.offset == offset))
        }
        Position::SequenceNumber { number, inclusive } => {
            // Readers that count on by themselves ask for the event behind the last one, which is to come.
            let next = info.last_sequence + 1;
            if number > next || number == next && !inclusive {
                return Err(sequence_number_beyond_end(number, info.last_sequence));
            }
            let first = if inclusive { number } else { number.saturating_add(1) };
            Ok(first.clamp(log.begin(), end))
        }
        Position::EnqueuedTime { time, inclusive } => {
            let time = time.as_millis();
            Ok(log.first(end, |event| event.enqueued > time || inclusive && event.enqueued == time))
        }
    })
}
