//! Where a node can be dialled. What an address means is the backend's business; core only passes it on.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An address that a backend can dial: 1 to 255 bytes of printable ASCII.
///
/// The QUIC backend reads `host:port` (a DNS name, an IPv4 or a bracketed IPv6 address); the in-memory one a node's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct Address(CompactString);

/// A text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address {text:?} is not valid: use 1 to {limit} bytes of printable ASCII without spaces, it has {length}")]
pub struct AddressError {
    /// The beginning of the text that was given.
    pub text: String,
    /// Its length in bytes.
    pub length: usize,
    /// Greatest length in bytes.
    pub limit: usize,
}

impl Address {
    /// Greatest length in bytes.
    pub const MAX_LEN: usize = 255;

    /// Checks an address.
    ///
    /// # Errors
    /// [`AddressError`] when the text is empty, too long, or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let start = text.chars().take(64).collect();
            return Err(AddressError { text: start, length: text.len(), limit: Self::MAX_LEN });
        }
        Ok(Self(CompactString::from(text)))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<CompactString> for Address {
    type Error = AddressError;
    fn try_from(text: CompactString) -> Result<Self, AddressError> {
        Self::new(&text)
    }
}

impl From<Address> for CompactString {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_short_printable_words() {
        assert!(Address::new("[::1]:4000").is_ok());
        for bad in ["", "a b", "ü:1", "a\n"] {
            assert!(Address::new(bad).is_err(), "{bad:?}");
        }
        assert!(Address::new(&"a".repeat(256)).is_err());
    }
}
