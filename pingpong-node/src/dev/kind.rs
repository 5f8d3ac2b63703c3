//! Which transport.

use super::DevError;
use std::fmt;
use std::str::FromStr;

/// A transport of this build.
///
/// ```
/// use pingpong_node::dev::Kind;
///
/// for kind in Kind::ALL {
///     assert_eq!(kind.to_string().parse::<Kind>()?, *kind); // for an argument, say
/// }
/// # Ok::<(), pingpong_node::dev::DevError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Within the process, with every fault of the contract.
    #[cfg(feature = "mem")]
    Mem,
    /// Over QUIC on the loopback address, with mutual TLS.
    #[cfg(feature = "quic")]
    Quic,
}

impl Kind {
    /// All that the build has.
    pub const ALL: &[Self] = &[
        #[cfg(feature = "mem")]
        Self::Mem,
        #[cfg(feature = "quic")]
        Self::Quic,
    ];

    const fn words(self) -> &'static str {
        match self {
            #[cfg(feature = "mem")]
            Self::Mem => "mem",
            #[cfg(feature = "quic")]
            Self::Quic => "quic",
        }
    }
}

/// The one that the build has; with both it is memory.
impl Default for Kind {
    #[cfg(feature = "mem")]
    fn default() -> Self {
        Self::Mem
    }

    #[cfg(not(feature = "mem"))]
    fn default() -> Self {
        Self::Quic
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl FromStr for Kind {
    type Err = DevError;

    fn from_str(text: &str) -> Result<Self, DevError> {
        let found = Self::ALL.iter().find(|kind| kind.words() == text);
        found.copied().ok_or_else(|| DevError::Kind(text.to_owned()))
    }
}
