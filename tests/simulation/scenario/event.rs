//! The events of a simulation: each says which it is, and has bytes by which damage shows.

use eventhubs::simulation::Random;

/// Begins a body.
const MAGIC: [u8; 4] = *b"\xF5sim";
const HEAD: usize = 4 + 1 + 4 + 4;

/// Which event: whose, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub producer: u8,
    pub number: u32,
}

impl Id {
    /// The body of this event.
    pub fn body(self, length: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(HEAD + length);
        body.extend_from_slice(&MAGIC);
        body.push(self.producer);
        body.extend_from_slice(&self.number.to_le_bytes());
        body.extend_from_slice(&(length as u32).to_le_bytes());
        body.extend((0..length).map(|at| self.fill(at)));
        body
    }

    /// Which event's body this is, when it is whole.
    pub fn of(body: &[u8]) -> Option<Id> {
        let (head, rest) = body.split_at_checked(HEAD)?;
        if head[..4] != MAGIC {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let id = Id { producer: head[4], number: word(5) };
        let is_whole =
            rest.len() == word(9) as usize && rest.iter().enumerate().all(|(at, byte)| *byte == id.fill(at));
        is_whole.then_some(id)
    }

    /// Which event an encoded message has for its body.
    pub fn of_message(message: &[u8]) -> Option<Id> {
        let at = message.windows(4).position(|window| window == MAGIC)?;
        Id::of(&message[at..])
    }

    fn fill(self, at: usize) -> u8 {
        // Never the first byte of the magic.
        (self.number as usize + at * 7) as u8 & 0x7f
    }
}

/// How long a body is: mostly short, sometimes not.
pub fn length(random: &mut Random) -> usize {
    match random.below(100) {
        0..70 => random.below(120) as usize,
        70..95 => random.below(1500) as usize,
        95..99 => random.below(12_000) as usize,
        _ => random.below(150_000) as usize,
    }
}
