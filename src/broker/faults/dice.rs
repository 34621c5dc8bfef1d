//! Dice that fall the same way each time.

use std::time::Duration;

use crate::model::moment::scaled;

/// SplitMix64 (Sebastiano Vigna, public domain).
#[derive(Clone, Debug)]
pub(in crate::broker) struct Dice(u64);

impl Dice {
    pub(in crate::broker) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// From 0, less than 1.
    pub(in crate::broker) fn fraction(&mut self) -> f64 {
        // As many bits as a fraction has.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0, less than `end`; 0 when that is 0.
    pub(in crate::broker) fn below(&mut self, end: usize) -> usize {
        (self.fraction() * end as f64) as usize
    }

    /// Up to `most`.
    pub(in crate::broker) fn duration(&mut self, most: Duration) -> Duration {
        scaled(most, self.fraction())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }
}
