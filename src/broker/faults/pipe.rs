//! One way of a wire: bytes go in, and come out later, slowly, or not at all.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::dice::Dice;
use crate::model::moment::Moment;

/// How much a pipe holds before it is full, in bytes.
const ROOM: usize = 1 << 20;
/// A slow pipe lets bytes out in pieces of so much time.
const PIECE: Duration = Duration::from_millis(50);
/// In bytes. Smaller pieces would be more work than the wire is worth.
const SMALLEST_PIECE: usize = 64;

/// One way of a wire.
#[derive(Debug)]
pub struct Pipe {
    /// What is on its way, and when it arrives.
    queue: VecDeque<(Moment, Bytes)>,
    held: usize,
    /// When the last byte has left the sender.
    sent: Moment,
    /// When the last byte arrives.
    last: Moment,
    is_dead: bool,
    dice: Dice,
}

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// They take so long.
    pub delay: Duration,
    /// And up to so much longer.
    pub jitter: Duration,
    /// No more of them leave in a second.
    pub bytes_per_second: Option<u64>,
}

impl Pipe {
    /// An empty pipe, whose dice begin at `seed`.
    pub fn new(seed: u64) -> Self {
        Pipe {
            queue: VecDeque::new(),
            held: 0,
            sent: Moment::ORIGIN,
            last: Moment::ORIGIN,
            is_dead: false,
            dice: Dice::new(seed),
        }
    }

    /// Takes bytes, which come out when the weather has them do so, in the order in which they came.
    pub fn push(&mut self, mut bytes: Bytes, weather: Weather, now: Moment) {
        if self.is_dead {
            return;
        }
        let Some(speed) = weather.bytes_per_second else { return self.put(bytes, weather, now) };
        let piece = usize::try_from(speed.saturating_mul(PIECE.as_millis() as u64) / 1000);
        let piece = piece.unwrap_or(usize::MAX).max(SMALLEST_PIECE);
        while !bytes.is_empty() {
            let next = bytes.split_to(piece.min(bytes.len()));
            let nanos = (next.len() as u128 * 1_000_000_000 / u128::from(speed.max(1))).min(u64::MAX.into());
            self.sent = self.sent.max(now) + Duration::from_nanos(nanos as u64);
            self.put(next, weather, self.sent);
        }
    }

    /// Bytes that have arrived.
    pub fn pop(&mut self, now: Moment) -> Option<Bytes> {
        self.queue.front().filter(|(at, _)| *at <= now)?;
        let (_, bytes) = self.queue.pop_front()?;
        self.held -= bytes.len();
        Some(bytes)
    }

    /// When the next bytes arrive.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.queue.front().map(|(at, _)| *at)
    }

    /// Has everything arrive at once: the weather is fine again.
    pub fn release(&mut self, now: Moment) {
        self.queue.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
        (self.sent, self.last) = (now, now);
    }

    /// Swallows everything that is taken from now on, for ever: what came after a gap would make no sense.
    pub fn kill(&mut self) {
        self.is_dead = true;
    }

    /// Whether it swallows everything.
    pub fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether it holds so much that nothing more should be put in.
    pub fn is_full(&self) -> bool {
        self.held >= ROOM
    }

    /// Bytes that are on their way.
    pub fn held(&self) -> usize {
        self.held
    }

    fn put(&mut self, bytes: Bytes, weather: Weather, leaves: Moment) {
        let delay = weather.delay + self.dice.duration(weather.jitter);
        self.last = self.last.max(leaves + delay);
        self.held += bytes.len();
        self.queue.push_back((self.last, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    fn drain(pipe: &mut Pipe, now: Moment) -> usize {
        std::iter::from_fn(|| pipe.pop(now)).map(|bytes| bytes.len()).sum()
    }

    #[test]
    fn bytes_arrive_later_and_in_order() {
        let mut pipe = Pipe::new(1);
        let weather = Weather {
            delay: Duration::from_millis(100),
            jitter: Duration::from_millis(50),
            ..Weather::default()
        };
        for n in 0..100_u8 {
            pipe.push(Bytes::from(vec![n]), weather, at(n.into()));
        }
        assert_eq!(pipe.pop(at(99)), None);
        let arrived: Vec<u8> = std::iter::from_fn(|| pipe.pop(at(249))).map(|bytes| bytes[0]).collect();
        assert_eq!(arrived, (0..100).collect::<Vec<u8>>());
        assert!(pipe.is_empty() && pipe.next_deadline().is_none() && pipe.held() == 0);
    }

    #[test]
    fn a_slow_pipe_passes_as_many_bytes_as_time_allows() {
        let mut pipe = Pipe::new(1);
        let weather = Weather { bytes_per_second: Some(10_000), ..Weather::default() };
        pipe.push(Bytes::from(vec![7; 20_000]), weather, at(0));
        assert_eq!(drain(&mut pipe, at(40)), 0);
        assert_eq!(drain(&mut pipe, at(500)), 5_000);
        assert_eq!(drain(&mut pipe, at(2000)), 15_000);
        // Time in which nothing was sent is not saved up.
        pipe.push(Bytes::from(vec![7; 1000]), weather, at(9000));
        assert_eq!(drain(&mut pipe, at(9050)), 500);
    }

    #[test]
    fn a_dead_pipe_gives_what_was_on_its_way_and_nothing_more() {
        let mut pipe = Pipe::new(1);
        let weather = Weather { delay: Duration::from_millis(10), ..Weather::default() };
        pipe.push(Bytes::from_static(b"before"), weather, at(0));
        pipe.kill();
        pipe.push(Bytes::from_static(b"after"), weather, at(0));
        assert_eq!(drain(&mut pipe, at(1000)), 6);
    }

    #[test]
    fn fine_weather_brings_everything_at_once() {
        let mut pipe = Pipe::new(1);
        let weather = Weather { delay: Duration::from_secs(100), ..Weather::default() };
        pipe.push(Bytes::from_static(b"one"), weather, at(0));
        pipe.release(at(5));
        pipe.push(Bytes::from_static(b"two"), Weather::default(), at(5));
        assert_eq!(drain(&mut pipe, at(5)), 6);
    }
}
