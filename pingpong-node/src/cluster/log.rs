//! The last words of a node: what its process wrote to standard error last.
//!
//! They are kept here, and in no file: nothing has to be cleaned up, and a full disk disturbs nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are kept.
const KEPT: usize = 8 * 1024;
/// Lines that are shown.
const LINES: usize = 10;

/// The log of a node, through all its lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<VecDeque<u8>>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is written to a pipe, until its end.
    pub(crate) async fn follow(self, mut pipe: impl AsyncRead + Unpin) {
        let mut piece = [0; 1024];
        // A pipe that cannot be read has no more to say.
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            let mut kept = self.lock();
            kept.extend(&piece[..length]);
            let beyond = kept.len().saturating_sub(KEPT);
            kept.drain(..beyond);
        }
    }

    /// The last lines.
    pub(crate) fn words(&self) -> String {
        let bytes: Vec<u8> = self.lock().iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_no_more_however_much_is_said() {
        let log = Log::default();
        assert_eq!(log.words(), "");
        let said: String = (1..=9_999).map(|line| format!("line {line}\n")).collect();
        log.clone().follow(said.as_bytes()).await;
        log.clone().follow(&b"\xffand the next life"[..]).await;
        assert!(log.lock().len() <= KEPT);
        let words = log.words();
        assert!(words.starts_with("line 9991\n") && words.ends_with("line 9999\n\u{fffd}and the next life"), "{words}");
    }
}
