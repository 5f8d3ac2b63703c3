//! Failures in words: dates, TLS alerts, and which side refused what.

use quinn::{ConnectionError, VarInt};
use quinn_proto::TransportErrorCode;
use rustls::AlertDescription;
use time::OffsetDateTime;

/// Transport error codes that carry a TLS alert in their last byte (RFC 9001, section 4.8).
const ALERTS: std::ops::Range<u64> = 0x100..0x200;
/// The endpoint takes no new connections (RFC 9000, section 20.1).
const CONNECTION_REFUSED: u64 = 2;

/// The code of a close by a side that does not accept the other, outside of TLS. The reason is text for people.
pub(crate) const REFUSED: VarInt = VarInt::from_u32(1);

/// Text of a peer that may not have proved who it is: cut, and nothing in it that a terminal or a log would take for its own.
pub(crate) fn said(text: &[u8]) -> String {
    const MOST: usize = 200;
    String::from_utf8_lossy(text.get(..MOST).unwrap_or(text)).escape_debug().to_string()
}

/// Seconds since 1970 as a date.
pub(crate) fn date(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) => {
            let (year, month, day) = at.to_calendar_date();
            let (hour, minute, second) = at.to_hms();
            format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", u8::from(month))
        }
        Err(_) => format!("{seconds} s after 1970"),
    }
}

/// Replaces times, which the TLS library writes as seconds since 1970, by dates; and leaves out what it says of now, so that the same reason has
/// the same words the next time.
fn with_dates(words: &str) -> String {
    let words = match (words.find("verification time "), words.find("(UNIX), but ")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &words[..from], &words[to + "(UNIX), but ".len()..]),
        _ => words.to_owned(),
    };
    let words = match (words.rfind(" ("), words.ends_with(" ago)") || words.ends_with(" in future)")) {
        (Some(from), true) => &words[..from],
        _ => &words[..],
    };
    let mut result: Vec<String> = Vec::new();
    for word in words.split(' ') {
        // `verification time 123 (UNIX), but certificate is not valid after 456 (78 seconds ago)`
        let is_time = result.last().is_some_and(|last| matches!(last.as_str(), "time" | "after" | "until" | "before"));
        match (word.parse(), word.strip_prefix("(UNIX)")) {
            (Ok(seconds), _) if is_time => result.push(date(seconds)),
            (_, Some(rest)) => {
                let last = result.pop().unwrap_or_default();
                result.push(last + rest);
            }
            _ => result.push(word.to_owned()),
        }
    }
    result.join(" ")
}

/// An alert of TLS, as its standard names it, and what it means to the one who gets it. `expires`: this side's certificate.
fn alert(code: u64, expires: i64) -> String {
    let alert = AlertDescription::from(u8::try_from(code & 0xff).unwrap_or_default());
    let meaning = match alert {
        // The second one: an authority of the same name, with another key.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "this node's certificate is not signed by an authority that the peer trusts"
        }
        AlertDescription::CertificateExpired => {
            return format!(
                "this node's certificate has expired, or is not valid yet by the peer's clock; it holds until {} (TLS alert \
                 {alert:?})",
                date(expires)
            );
        }
        AlertDescription::CertificateRevoked => "this node's certificate has been revoked",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "this node's certificate does not hold for the peer, or is not that of the node that it dialled"
        }
        AlertDescription::NoApplicationProtocol => "the peer speaks another protocol",
        _ => "the peer ended the handshake",
    };
    format!("{meaning} (TLS alert {alert:?})")
}

/// How a connection failed: whether the two sides do not accept each other, and words.
pub(crate) struct Failure {
    pub(crate) refused: bool,
    pub(crate) words: String,
}

/// Whether a peer has given its own dial up, and has nothing against this side: it says no more than that during a handshake
/// (RFC 9000, section 10.2.3). Or one of the two has restarted and has forgotten the dial: it takes the answer for the first packet of
/// another one, which is not protected as such a packet is (RFC 9001, section 5.2); in a crowd it asks first that the address be shown
/// (RFC 9000, section 8.1.2).
pub(crate) fn given_up(error: &ConnectionError) -> bool {
    const QUIETLY: [TransportErrorCode; 2] = [TransportErrorCode::NO_ERROR, TransportErrorCode::APPLICATION_ERROR];
    /// QUIC's text is all that tells: when the peer has forgotten, and when this side has.
    const FORGOTTEN: [&str; 2] = ["client sent Retry", "authentication failed"];
    match error {
        ConnectionError::ConnectionClosed(close) => QUIETLY.contains(&close.error_code),
        ConnectionError::TransportError(error) => {
            error.code == TransportErrorCode::PROTOCOL_VIOLATION && FORGOTTEN.contains(&error.reason.as_str())
        }
        _ => false,
    }
}

/// Words for the end of a connection, or of an attempt. `expires`: until when this side's certificate holds.
pub(crate) fn failure(error: &ConnectionError, expires: i64) -> Failure {
    let lost = |words: &str| Failure { refused: false, words: words.to_owned() };
    match error {
        ConnectionError::TransportError(error) => {
            let refused = ALERTS.contains(&u64::from(error.code));
            let mut words = with_dates(&error.reason);
            // The second one: an authority of the same name, with another key.
            if words.ends_with("UnknownIssuer") || words.ends_with("BadSignature") {
                words.push_str("; the peer's certificate is not signed by an authority that this side trusts");
            }
            let words = match refused {
                true => format!("this side refuses the peer: {words}"),
                false => format!("protocol error ({}): {words}", error.code),
            };
            Failure { refused, words }
        }
        ConnectionError::ConnectionClosed(close) => match u64::from(close.error_code) {
            code if ALERTS.contains(&code) => {
                Failure { refused: true, words: format!("the peer refuses this side: {}", alert(code, expires)) }
            }
            CONNECTION_REFUSED => lost("the peer takes no further connections at the moment"),
            _ => lost(&format!("the peer's QUIC ended the connection: {}", close.error_code)),
        },
        ConnectionError::ApplicationClosed(close) => {
            Failure { refused: close.error_code == REFUSED, words: format!("the peer closed: {}", said(&close.reason)) }
        }
        ConnectionError::VersionMismatch => {
            Failure { refused: true, words: "the peer speaks no version of QUIC that this side does".to_owned() }
        }
        ConnectionError::Reset => lost("the peer has restarted and does not know the connection"),
        ConnectionError::TimedOut => lost("nothing came from the peer for too long"),
        ConnectionError::LocallyClosed => lost("this side closed"),
        ConnectionError::CidsExhausted => lost("no connection id is left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_peer_is_cut_and_escaped() {
        assert_eq!(said(b"full\n\x1b[31m\xff"), "full\\n\\u{1b}[31m\u{fffd}");
        assert_eq!(said(&[b'x'; 1_000]).len(), 200);
    }

    #[test]
    fn times_become_dates() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        let words =
            "expired: verification time 172801 (UNIX), but certificate is not valid after 172800 (1 seconds ago)";
        assert_eq!(with_dates(words), "expired: certificate is not valid after 1970-01-03 00:00:00 UTC");
        assert_eq!(with_dates("valid until 86400 (UNIX), at most"), "valid until 1970-01-02 00:00:00 UTC, at most");
        for other in ["", "12", "after x", "after", "after 99999999999999999999"] {
            assert_eq!(with_dates(other), other);
        }
    }
}
