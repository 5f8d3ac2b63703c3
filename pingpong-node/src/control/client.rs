//! Asks a running node.

use super::protocol::{Answer, Failure, Request};
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;

/// A node cannot be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error(
        "no node answers at {}: {error}; {}",
        .path.display(),
        match error.kind() {
            io::ErrorKind::PermissionDenied => "ask as the user that the node runs as, or as root",
            _ => "start it with control.socket set to that path, or name another one by --socket",
        }
    )]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The connection ended before the answer.
    #[error("the node at {} ended the connection before it had answered; its log says why", .path.display())]
    Ended {
        /// The socket.
        path: PathBuf,
    },
    /// The answer makes no sense.
    #[error("the node at {} answers what this program does not understand ({words}); use programs of one version", .path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        words: String,
    },
    /// The node says that it could not be done.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A request that has been sent, and its answers.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    answers: Lines<BufReader<UnixStream>>,
}

impl Client {
    /// Sends a request to the node at that socket.
    ///
    /// Cancel safe as far as this process goes: dropped before it is ready, the node may have the request or not.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub async fn ask(path: &Path, request: &Request) -> Result<Self, ClientError> {
        let unreachable = |error| ClientError::Unreachable { path: path.to_owned(), error };
        let mut stream = UnixStream::connect(path).await.map_err(unreachable)?;
        let mut line = serde_json::to_vec(request).map_err(|error| unreachable(error.into()))?;
        line.push(b'\n');
        stream.write_all(&line).await.map_err(unreachable)?;
        Ok(Self { path: path.to_owned(), answers: BufReader::new(stream).lines() })
    }

    /// The next answer; `None` when there are no more. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError`]; what the node could not do is [`ClientError::Failed`].
    pub async fn next(&mut self) -> Result<Option<Answer>, ClientError> {
        let Ok(line) = self.answers.next_line().await else { return Ok(None) };
        let Some(line) = line else { return Ok(None) };
        match serde_json::from_str(&line) {
            Ok(Answer::Failed(failure)) => Err(failure.into()),
            Ok(answer) => Ok(Some(answer)),
            Err(error) => Err(ClientError::Protocol { path: self.path.clone(), words: error.to_string() }),
        }
    }

    /// The one answer to a request that has one. Cancel safe: dropped before it is ready, the answer is lost, and the node has carried
    /// the request out all the same.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and [`ClientError::Ended`].
    pub async fn only(mut self) -> Result<Answer, ClientError> {
        self.next().await?.ok_or(ClientError::Ended { path: self.path })
    }
}
