//! The wire of a connection on which something goes wrong: both ways pass through here then.

use bytes::Bytes;

use super::BrokerConnection;
use crate::broker::Now;
use crate::broker::faults::{Dice, Direction, FaultKind, On, Pipe, Weather};
use crate::model::moment::{Moment, earliest};

/// A wire that is, or was, in trouble.
pub(super) struct Wire {
    pub(super) to_client: Pipe,
    pub(super) to_service: Pipe,
    cut: Cut,
    dice: Dice,
}

/// Whether the connection breaks in the middle of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    No,
    /// The next frame to the client is cut.
    Next,
    /// What is on its way is the end.
    Done,
}

impl Default for Wire {
    fn default() -> Self {
        Wire { to_client: Pipe::new(1), to_service: Pipe::new(2), cut: Cut::No, dice: Dice::new(3) }
    }
}

impl Wire {
    /// Breaks in the middle of the next frame to the client.
    pub(super) fn cut(&mut self) {
        if self.cut == Cut::No {
            self.cut = Cut::Next;
        }
    }

    /// Breaks when what is on its way to the client has arrived.
    pub(super) fn end(&mut self) {
        self.cut = Cut::Done;
    }

    /// Swallows what is sent that way from now on.
    pub(super) fn kill(&mut self, direction: Direction) {
        if direction.to_client() {
            self.to_client.kill();
        }
        if direction.to_service() {
            self.to_service.kill();
        }
    }

    /// Whether the client will never hear anything again, and not notice.
    pub(super) fn is_silent(&self) -> bool {
        self.to_client.is_dead()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        earliest([self.to_client.next_deadline(), self.to_service.next_deadline()])
    }

    /// Whether it is as good as none.
    fn is_well(&self) -> bool {
        let is_well = |pipe: &Pipe| pipe.is_empty() && !pipe.is_dead();
        self.cut == Cut::No && is_well(&self.to_client) && is_well(&self.to_service)
    }
}

impl BrokerConnection {
    /// Takes bytes that arrived at the far end of the wire.
    pub(super) fn feed_through(&mut self, bytes: Bytes, now: Now) {
        let now = self.believed(now);
        self.look_in_time(now);
        if self.trouble.is_dropped || self.trouble.wire.as_ref().is_some_and(|wire| wire.cut == Cut::Done) {
            return;
        }
        self.let_fall_silent(Direction::Service, now);
        let weather = self.weather(Direction::Service, now);
        if weather == Weather::default() && self.trouble.wire.is_none() {
            return self.hear(bytes, now);
        }
        self.trouble.wire().to_service.push(bytes, weather, now.moment);
        self.hear_due(now);
    }

    /// Bytes that arrive at the far end of the wire.
    pub(super) fn output_through(&mut self, now: Now) -> Option<Bytes> {
        let now = self.believed(now);
        self.look_in_time(now);
        self.read_letters(now);
        self.hear_due(now);
        loop {
            if self.trouble.is_dropped {
                return None;
            }
            if let Some(wire) = &mut self.trouble.wire {
                if let Some(bytes) = wire.to_client.pop(now.moment) {
                    return Some(bytes);
                }
                if wire.cut == Cut::Done && wire.to_client.is_empty() {
                    self.drop_now();
                    return None;
                }
                if wire.to_client.is_full() || wire.cut == Cut::Done {
                    return None;
                }
            }
            let Some(bytes) = self.next_output(now) else { break };
            if let Some(bytes) = self.send_through(bytes, now) {
                return Some(bytes);
            }
        }
        if let Some(wire) = &self.trouble.wire {
            // Who cannot be heard any more must not be seen to leave either.
            self.is_written_out = self.engine.is_closed() && wire.to_client.is_empty() && !wire.is_silent();
            if wire.is_well() {
                self.trouble.wire = None;
            }
        }
        None
    }

    /// Hears what has arrived by now.
    pub(super) fn hear_due(&mut self, now: Now) {
        while let Some(bytes) = self.trouble.wire.as_mut().and_then(|wire| wire.to_service.pop(now.moment)) {
            self.hear(bytes, now);
        }
    }

    /// Has everything that was said so far be on its way, so that what goes wrong next goes wrong behind it.
    pub(super) fn flush(&mut self, now: Now) {
        while let Some(bytes) = self.engine.poll_output(now.moment) {
            if let Some(bytes) = self.send_through(bytes, now) {
                self.trouble.wire().to_client.push(bytes, Weather::default(), now.moment);
            }
        }
    }

    /// The time, as the service has it that this client meets.
    pub(super) fn believed(&self, now: Now) -> Now {
        match self.trouble.faults.any() {
            true => self.trouble.faults.skewed(now, &self.trouble.client),
            false => now,
        }
    }

    /// What was delayed by a fault that is over arrives.
    pub(super) fn clear_up(&mut self, now: Now) {
        let is_delayed =
            |kind: &FaultKind| matches!(kind, FaultKind::Delay { .. } | FaultKind::Bandwidth { .. });
        let faults = &self.trouble.faults;
        let holds = faults.holds(now, |kind, scope| (is_delayed(kind) && self.concerns(scope)).then_some(()));
        if let (None, Some(wire)) = (holds, &mut self.trouble.wire) {
            wire.to_client.release(now.moment);
            wire.to_service.release(now.moment);
        }
    }

    /// What is left of bytes to the client that can be written at once.
    fn send_through(&mut self, mut bytes: Bytes, now: Now) -> Option<Bytes> {
        self.let_fall_silent(Direction::Client, now);
        let weather = self.weather(Direction::Client, now);
        if weather == Weather::default() && self.trouble.wire.is_none() {
            return Some(bytes);
        }
        let wire = self.trouble.wire();
        if wire.cut == Cut::Next && !wire.to_client.is_dead() {
            let first = frame_len(&bytes);
            bytes.truncate(1 + wire.dice.below(first.saturating_sub(1)));
            wire.cut = Cut::Done;
        }
        wire.to_client.push(bytes, weather, now.moment);
        None
    }

    /// Looks whether this is where the connection falls silent.
    fn let_fall_silent(&mut self, way: Direction, now: Now) {
        let struck = self.trouble.faults.strike(On::Always, now, |kind, scope| match kind {
            FaultKind::HalfOpen { direction } => {
                let is_dead = |pipe: fn(&Wire) -> &Pipe| {
                    self.trouble.wire.as_ref().is_some_and(|wire| pipe(wire).is_dead())
                };
                let is_new = match way {
                    Direction::Service => direction.to_service() && !is_dead(|wire| &wire.to_service),
                    _ => direction.to_client() && !is_dead(|wire| &wire.to_client),
                };
                is_new && self.concerns(scope)
            }
            _ => false,
        });
        if let Some(FaultKind::HalfOpen { direction }) = struck {
            self.trouble.wire().kill(direction);
        }
    }

    fn weather(&self, way: Direction, now: Now) -> Weather {
        let goes = |direction: &Direction| match way {
            Direction::Service => direction.to_service(),
            _ => direction.to_client(),
        };
        let faults = &self.trouble.faults;
        let mut weather = Weather::default();
        let late = faults.strike(On::Always, now, |kind, scope| {
            matches!(kind, FaultKind::Delay { direction, .. } if goes(direction)) && self.concerns(scope)
        });
        if let Some(FaultKind::Delay { delay, jitter, .. }) = late {
            (weather.delay, weather.jitter) = (delay, jitter);
        }
        let slow = faults.strike(On::Always, now, |kind, scope| {
            matches!(kind, FaultKind::Bandwidth { direction, .. } if goes(direction)) && self.concerns(scope)
        });
        if let Some(FaultKind::Bandwidth { bytes_per_second, .. }) = slow {
            weather.bytes_per_second = Some(bytes_per_second);
        }
        weather
    }
}

/// How long the first frame is, or the header in front of all frames.
fn frame_len(bytes: &[u8]) -> usize {
    let size = match bytes {
        [b'A', b'M', b'Q', b'P', ..] => 8,
        [a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        _ => bytes.len(),
    };
    size.min(bytes.len())
}
