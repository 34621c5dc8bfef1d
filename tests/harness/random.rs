//! Random numbers for tests that go elsewhere each time, and can be sent the same way again.

/// xorshift64*: small, and its state is what a failing run prints.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From the state in this environment variable, which repeats a run; without it each run goes elsewhere.
    pub(crate) fn new(variable: &str) -> Self {
        let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        let now =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        Random(given.unwrap_or_else(now) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the bound, or 0 where there is none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
