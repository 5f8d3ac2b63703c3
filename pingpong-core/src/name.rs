//! Names of nodes, servers and clusters: parsed once at the edge, valid everywhere behind it.
//!
//! A node's name stands in its certificate as a DNS name, so it must be one. Upper case is refused instead of folded: one
//! name has one spelling, in code, certificates, logs and metrics.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name. The text and the rule are in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("the {kind} name is empty; give it 1 to {limit} characters")]
    Empty {
        /// What was to be named.
        kind: &'static str,
        /// Greatest length in bytes.
        limit: usize,
    },
    /// The text is longer than the limit.
    #[error("the {kind} name is {length} bytes long, the limit is {limit}; shorten it")]
    TooLong {
        /// What was to be named.
        kind: &'static str,
        /// Length of the text in bytes.
        length: usize,
        /// Greatest length in bytes.
        limit: usize,
    },
    /// A character, or its place, is not allowed.
    #[error("the {kind} name {text:?} is not valid: {rule}")]
    Character {
        /// What was to be named.
        kind: &'static str,
        /// The text that was given.
        text: String,
        /// The rule it breaks.
        rule: &'static str,
    },
}

const LABELS: &str = "use labels of 1 to 63 lower-case letters, digits and inner hyphens, joined by dots, the last one not of digits alone";

fn labels(kind: &'static str, text: &str, limit: usize) -> Result<CompactString, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { kind, limit });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { kind, length: text.len(), limit });
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // A name that ends in a number would be read as an address, and has no certificate.
    let number = |l: &str| l.bytes().all(|b| b.is_ascii_digit());
    if text.split('.').all(label) && !text.rsplit('.').next().is_some_and(number) {
        Ok(CompactString::from(text))
    } else {
        Err(NameError::Character { kind, text: text.to_owned(), rule: LABELS })
    }
}

fn identifier(kind: &'static str, text: &str, limit: usize) -> Result<CompactString, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { kind, limit });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { kind, length: text.len(), limit });
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if text.as_bytes()[0].is_ascii_lowercase() && text.bytes().all(inner) {
        Ok(CompactString::from(text))
    } else {
        let rule = "begin with a lower-case letter, go on with lower-case letters, digits, '-', '_' and '.'";
        Err(NameError::Character { kind, text: text.to_owned(), rule })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "CompactString", into = "CompactString")]
        pub struct $name(CompactString);

        impl $name {
            /// Greatest length in bytes.
            pub const MAX_LEN: usize = $limit;

            /// Parses a name.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                $check($kind, text, Self::MAX_LEN).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<CompactString> for $name {
            type Error = NameError;
            fn try_from(text: CompactString) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for CompactString {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a node: a DNS name in lower case, 1 to 253 bytes, labels of 1 to 63 bytes (RFC 1035, section 2.3.4), the last
    /// one not of digits alone (RFC 3696, section 2).
    ///
    /// It is the identity that the node proves to its peers (A1). Names are ordered by their bytes; of two nodes the one
    /// with the smaller name chooses the connection (M9).
    ///
    /// ```
    /// use pingpong_core::NodeName;
    /// assert!(NodeName::new("n1.cluster.example").is_ok());
    /// assert!(NodeName::new("Not_A_Host").is_err());
    /// ```
    NodeName, "node", labels, 253
);
name!(
    /// The name of a server, a named receiver on a node, at most one of a name on each node: 1 to 64 bytes.
    ///
    /// It begins with a lower-case letter and goes on with lower-case letters, digits, `-`, `_` and `.`.
    ServerName, "server", identifier, 64
);
name!(
    /// The name of a cluster: nodes of another cluster are refused (A1). 1 to 64 bytes, as a server's name.
    ClusterName, "cluster", identifier, 64
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_dns_names() {
        for good in ["a", "n1", "1a", "a-b.c", "0.1.a"] {
            assert_eq!(NodeName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", "a-", "a..b", ".a", "a.", "a_b", "ä", "a b", "1", "0.1", "node.1"] {
            assert!(NodeName::new(bad).is_err(), "{bad:?}");
        }
        assert!(NodeName::new(&"a".repeat(63)).is_ok());
        assert!(NodeName::new(&"a".repeat(64)).is_err());
        let long = vec!["a".repeat(49); 6].join(".");
        assert!(matches!(NodeName::new(&long), Err(NameError::TooLong { length: 299, limit: 253, .. })));
    }

    #[test]
    fn server_names_are_identifiers() {
        for good in ["consumer", "a.b-c_d0"] {
            assert!(ServerName::new(good).is_ok());
        }
        for bad in ["", "0a", "A", "a b", "_a"] {
            assert!(ServerName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_from_bytes_is_checked_too() {
        let bytes = postcard::to_stdvec("UPPER").unwrap();
        assert!(postcard::from_bytes::<NodeName>(&bytes).is_err());
    }
}
