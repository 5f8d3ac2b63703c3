//! The signals that ask a program to end.

use super::error::ClusterError;
use std::fmt;

/// A signal that ends this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) enum Signal {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
}

impl Signal {
    /// The same on every system.
    fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Terminate => 15,
        }
    }

    /// What a shell says of a program that a signal has ended.
    pub(crate) fn exit_code(self) -> u8 {
        128 + self.number()
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hangup => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Whoever may want this program to end.
pub(crate) trait Interrupts {
    /// Waits for the next signal. Cancel safe.
    async fn next(&mut self) -> Signal;
}

/// The signals of this process, from when it was made: none is missed, and none ends the program by itself any more.
#[derive(Default)]
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: Vec<(Signal, tokio::signal::unix::Signal)>,
    #[cfg(not(unix))]
    listens: bool,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> Result<Self, ClusterError> {
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let mut streams = Vec::new();
        for kind in [Signal::Interrupt, Signal::Terminate, Signal::Quit, Signal::Hangup] {
            // `nohup` means what it says.
            if kind == Signal::Hangup && ignored & (1 << (kind.number() - 1)) != 0 {
                continue;
            }
            let stream = signal(SignalKind::from_raw(kind.number().into()));
            streams.push((kind, stream.map_err(ClusterError::system("signals cannot be listened for"))?));
        }
        Ok(Self { streams })
    }
}

#[cfg(unix)]
impl Interrupts for Signals {
    async fn next(&mut self) -> Signal {
        use std::task::Poll;
        std::future::poll_fn(|cx| {
            let received = self.streams.iter_mut().find_map(|(kind, stream)| match stream.poll_recv(cx) {
                Poll::Ready(Some(())) => Some(*kind),
                _ => None,
            });
            received.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The signals that this process was told to ignore when it was started, as bits. Only Linux tells; nohup elsewhere does
/// not keep it from a hangup.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> Result<Self, ClusterError> {
        Ok(Self { listens: true })
    }
}

#[cfg(not(unix))]
impl Interrupts for Signals {
    async fn next(&mut self) -> Signal {
        if !self.listens || tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
