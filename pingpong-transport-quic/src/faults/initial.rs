//! The parts of QUIC's long header that are not encrypted (RFC 8999, section 5.1).

/// The connection ids of a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) destination: &'a [u8],
    pub(super) source: &'a [u8],
}

/// Whether the datagram starts with an Initial packet of version 1.
pub(super) fn is_initial(data: &[u8]) -> bool {
    data.first().is_some_and(|first| first & 0xf0 == 0xc0)
}

impl<'a> Header<'a> {
    /// The long header that a datagram starts with.
    pub(super) fn of(data: &'a [u8]) -> Option<Self> {
        let (first, rest) = data.split_first()?;
        if first & 0x80 == 0 {
            return None;
        }
        let (_version, rest) = rest.split_at_checked(4)?;
        let (destination, rest) = id(rest)?;
        let (source, _) = id(rest)?;
        Some(Self { destination, source })
    }
}

fn id(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = data.split_first()?;
    // No version has longer ids.
    if *len > 20 {
        return None;
    }
    rest.split_at_checked(usize::from(*len))
}
