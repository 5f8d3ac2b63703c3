//! Who a node is: its name, and which of its lives this one is.

use crate::name::NodeName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One life of a name: milliseconds of the wall clock at its start, then 64 random bits.
///
/// A restart is a greater incarnation than every earlier one of that name (contract, "Words"). The random bits tell two
/// starts in one millisecond apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Incarnation {
    millis: u64,
    random: u64,
}

impl Incarnation {
    /// An incarnation that begins at `millis` milliseconds since 1970 (UTC).
    pub const fn new(millis: u64, random: u64) -> Self {
        Self { millis, random }
    }

    /// An incarnation above `seen`: the later of the wall clock and one millisecond after `seen`, with fresh random bits.
    ///
    /// The order holds by the milliseconds alone, unless `seen` is at the end of time; then it is by the random bits.
    #[must_use]
    pub fn above(seen: Self, wall_millis: u64, random: u64) -> Self {
        match seen.millis.checked_add(1) {
            Some(next) => Self::new(next.max(wall_millis), random),
            None => Self::new(seen.millis, seen.random.saturating_add(1)),
        }
    }

    /// The same bytes on every machine.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.millis) << 64) | u128::from(self.random)).to_le_bytes()
    }

    /// Milliseconds since 1970 (UTC) at which this life began, by the node's own clock.
    pub const fn millis(self) -> u64 {
        self.millis
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.millis, self.random)
    }
}

/// A text is not an incarnation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an incarnation; it is milliseconds since 1970, a hyphen, and 16 hexadecimal digits")]
pub struct IncarnationError {
    /// The beginning of the text.
    pub text: String,
}

/// Reads what [`Display`](fmt::Display) writes.
impl FromStr for Incarnation {
    type Err = IncarnationError;

    fn from_str(text: &str) -> Result<Self, IncarnationError> {
        let read = || {
            let (millis, random) = text.split_once('-').filter(|(_, random)| random.len() == 16)?;
            Some(Self::new(millis.parse().ok()?, u64::from_str_radix(random, 16).ok()?))
        };
        read().ok_or_else(|| IncarnationError { text: text.chars().take(64).collect() })
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One running instance of a node. Equal names with different incarnations are different nodes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    /// The name that the node proves to its peers.
    pub name: NodeName,
    /// Which life of that name this is.
    pub incarnation: Incarnation,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.incarnation)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_is_greater_also_when_the_clock_was_set_back() {
        let seen = Incarnation::new(1_000, u64::MAX);
        for wall in [0, 999, 1_000, 1_001, 5_000] {
            assert!(Incarnation::above(seen, wall, 0) > seen, "wall clock {wall}");
        }
        assert_eq!(Incarnation::above(seen, 5_000, 0).millis(), 5_000);
    }

    #[test]
    fn an_incarnation_is_read_as_it_is_written() {
        for incarnation in
            [Incarnation::default(), Incarnation::new(1_732_550_400_000, 0xab), Incarnation::new(u64::MAX, u64::MAX)]
        {
            assert_eq!(incarnation.to_string().parse(), Ok(incarnation));
        }
        for wrong in ["", "1", "1-", "1-ab", "x-0000000000000000", "1-000000000000000g", "1-00000000000000000"] {
            assert!(wrong.parse::<Incarnation>().is_err(), "{wrong}");
        }
    }
}
