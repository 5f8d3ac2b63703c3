//! Standard output and standard error, each written by a task of its own.
//!
//! A reader may have stopped reading: a pager, a terminal after Ctrl-S. That must not keep the demo from its signals, nor
//! cost a step its time.

use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Texts that wait for the reader; beyond them, what must be read waits, and what may be missed is dropped.
const TEXTS: usize = 64;

/// Where text goes. Dropping it ends its task, whatever was not written.
#[derive(Debug)]
pub(crate) struct Output {
    texts: mpsc::Sender<String>,
    writer: JoinSet<io::Result<()>>,
}

impl Output {
    /// Must be called within a tokio runtime.
    pub(crate) fn to(mut stream: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (texts, mut queue) = mpsc::channel::<String>(TEXTS);
        let mut writer = JoinSet::new();
        writer.spawn(async move {
            while let Some(text) = queue.recv().await {
                stream.write_all(text.as_bytes()).await?;
                stream.flush().await?;
            }
            Ok(())
        });
        Self { texts, writer }
    }

    /// Says what must be read, and waits for room. Cancel safe: said, or not.
    pub(crate) async fn say(&self, text: String) {
        // Refused once writing has failed, which `finish` tells.
        let _ = self.texts.send(text).await;
    }

    /// Says what may be missed.
    pub(crate) fn hint(&self, text: String) {
        let _ = self.texts.try_send(text);
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// What the system says. A reader that has gone is none: it wants no more.
    pub(crate) async fn finish(self) -> io::Result<()> {
        let Self { texts, mut writer } = self;
        drop(texts);
        let written = writer.join_next().await.unwrap_or(Ok(Ok(())));
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_is_said_is_written_in_order() {
        let (mut reader, writer) = tokio::io::duplex(8);
        let output = Output::to(writer);
        let read = tokio::spawn(async move {
            let mut text = String::new();
            reader.read_to_string(&mut text).await.unwrap();
            text
        });
        for word in 0..100 {
            output.say(format!("{word} ")).await;
        }
        output.finish().await.unwrap();
        assert_eq!(read.await.unwrap().split_whitespace().count(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_keeps_nobody_and_one_that_has_gone_is_no_error() {
        let (reader, writer) = tokio::io::duplex(8);
        let output = Output::to(writer);
        for _ in 0..10 * TEXTS {
            output.hint("more than fits".to_owned());
        }
        let more = async {
            output.say("there is room once the first one is being written".to_owned()).await;
            output.say("and no more".to_owned()).await;
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), more).await.is_err());
        drop(reader);
        output.say("nobody reads this".to_owned()).await;
        output.finish().await.unwrap();
    }
}
