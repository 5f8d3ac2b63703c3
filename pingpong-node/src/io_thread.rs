//! A thread of its own for what must not wait: heartbeats, dials, sockets and lanes.
//!
//! The tasks of a node share the runtime that it was started on. There a handler that blocks its thread (a long computation, a
//! synchronous library) holds up whatever else that thread would run, and if it is the heartbeats, the peers take this node for
//! dead. On an [`IoThread`] the node runs by itself: however long a handler blocks, only its own server waits (and, at last, is
//! stopped for it, O3).
//!
//! ```
//! use pingpong_node::link::Link;
//! use pingpong_node::{Mesh, MeshConfig, io_thread::IoThread};
//!
//! /// `bind` opens the endpoint there: its sockets must not wait either.
//! async fn start<L: Link>(
//!     bind: impl FnOnce() -> L + Send + 'static,
//!     config: MeshConfig,
//! ) -> Result<(IoThread, Mesh<L>), Box<dyn std::error::Error>> {
//!     let io = IoThread::start("pingpong-io")?;
//!     let mesh = io.run(async move { Mesh::start(bind(), config).await }).await;
//!     // Servers are spawned on the service's own runtime, and use the node from there.
//!     Ok((io, mesh.ok_or("the thread has ended")??))
//! }
//! ```

use std::fmt;
use std::io;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A runtime on a thread of its own. Dropping it ends the thread, and all tasks on it; so shut the node down before.
pub struct IoThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl IoThread {
    /// Starts the thread; the name is what debuggers and `top` show, at most 15 bytes of it.
    ///
    /// # Errors
    /// What the system says when it gives no thread, or no means to wait for sockets.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Ended by a word, or by the drop of the one who would say it.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs this on the thread, and waits for its end; `None` if the thread ended first, or the work panicked.
    ///
    /// Tasks that it spawns stay there. Cancel safe: the work goes on if this is dropped after its first poll.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.handle.spawn(work).await.ok()
    }

    /// The runtime of the thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends the thread, and waits for it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Refused if the thread has ended already.
            let _ = stop.send(());
        }
        // A thread that drops the last hold on itself cannot wait for itself; it ends all the same.
        let other = |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(other) {
            // It panics only if a task of tokio's own does.
            let _ = thread.join();
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for IoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoThread").finish_non_exhaustive()
    }
}
