//! Chance from a seed, the same on every machine.

use std::ops::RangeInclusive;

/// Each roll is decided by the seed and the rolls before.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Mixed: the streams of two seeds that follow each other would be one stream else, a roll apart.
        Self(Self(seed).next())
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of these numbers.
    pub(crate) fn from(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    /// True so often in a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.from(1..=100) <= chance
    }

    /// One of these, which must be some.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.from(0..=of.len() as u64 - 1) as usize].clone()
    }

    /// All of these, in any order.
    pub(crate) fn shuffled<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut left = of.to_vec();
        let mut shuffled = Vec::new();
        while !left.is_empty() {
            let at = self.from(0..=left.len() as u64 - 1) as usize;
            shuffled.push(left.swap_remove(at));
        }
        shuffled
    }
}
