//! Ctrl-C, and the other signals that ask a program to end.

use super::error::DemoError;
use std::io;

/// The signals, from when it was made: none is missed, and none ends the program by itself any more.
pub(crate) struct Signals {
    #[cfg(unix)]
    kinds: [tokio::signal::unix::Signal; 3],
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, DemoError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(failed);
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(listen);
        Ok(Self { kinds: [interrupt?, terminate?, hangup?] })
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, DemoError> {
        Ok(Self {})
    }

    /// Waits for one of them.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.kinds;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn received(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg_attr(not(unix), allow(dead_code))]
fn failed(error: io::Error) -> DemoError {
    DemoError::system("signals cannot be listened for")(error)
}
