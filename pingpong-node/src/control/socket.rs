//! The file of a control socket: its owner alone can open it, from its first moment on.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The control socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Another process listens there.
    #[error("the control socket {} is in use by another process; stop that one, or give each node a socket of its own", .path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is there, and is no socket; remove it, or choose another path for control.socket", .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses something.
    #[error("the control socket {} cannot be made: {error}; choose a directory that this user may write to", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A bound socket. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds the socket. A file that a process left which is gone is replaced.
    pub(crate) async fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |error| SocketError::Io { path: path.to_owned(), error };
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(there) if !there.file_type().is_socket() => {
                return Err(SocketError::NotASocket { path: path.to_owned() });
            }
            Ok(_) => match UnixStream::connect(path).await {
                Ok(_) => return Err(SocketError::InUse { path: path.to_owned() }),
                // Nobody listens; or whoever did has ended since the connection was begun.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => {}
                Err(error) => return Err(failed(error)),
            },
        }
        // Made where nobody else can reach it, and moved to its place when its rights are right.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A name that is free, whatever a process of the same number has left: in containers all have the same.
        let private = tempfile::Builder::new().prefix(".pingpong-").tempdir_in(parent).map_err(failed)?;
        let listener = bind_in(private.path(), path).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

fn bind_in(private: &Path, path: &Path) -> io::Result<UnixListener> {
    let new = private.join("s");
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Whoever has replaced it keeps his: only one process binds a path at a time.
        let _ = std::fs::remove_file(&self.path);
    }
}
