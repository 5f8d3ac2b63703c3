//! How two nodes become linked, stay linked and part: pure decisions, checked by a model.
//!
//! Nothing here does I/O or reads a clock: the shell ([`crate::mesh`]) feeds events, passes wall clock, monotonic time and
//! random bits in, and carries out the actions *in their order*. The model in `tests/` drives the very same types.
//!
//! - [`Machine`]: one for a node; handshakes, sessions, incarnations, goodbye, peer exchange.
//! - [`Detector`]: one for a session; is the peer still there?
//! - [`ClockOffset`]: one for a session; what does the peer's monotonic clock show now?
//! - [`Redial`]: one for a node; whom to dial next, at which address, and when.
//!
//! Invariants: one session and one offer for each name; a session's `Up` and `Down` alternate; an incarnation older than
//! one that was ever `Up` here is never linked; every collection is bounded (N20).

mod clock;
mod detector;
mod machine;
mod message;
mod redial;

pub use clock::{ClockOffset, Echo, Heartbeat, Offset};
#[cfg(feature = "model")]
pub use detector::Rules as DetectorRules;
pub use detector::{Detector, TICKS_PER_HEARTBEAT, TICKS_PER_TIMEOUT, Verdict, tick_length, ticks_per_heartbeat};
pub use machine::{Action, ConnId, Event, Handshake, Identity, Limits, Machine, News, Outside, Session};
#[cfg(feature = "model")]
pub use machine::{Rule, Rules};
pub use message::{
    CloseReason, Hello, LaneOffset, MAX_ADDRESSES, Message, Peers, PeersDigest, SessionId, Told, Versions,
};
pub use redial::{Attempt, AttemptId, Due, Outcome, Redial, RedialSettings, Target};
