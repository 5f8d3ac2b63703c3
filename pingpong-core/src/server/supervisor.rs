//! The supervisor of one server: it registers it, restarts it after a crash, and gives up when it crashes too often.

use super::runner::{self, Exit};
use super::{Context, Server};
use crate::inbox::{Allow, Inbox, InboxClosed, ServerOptions};
use crate::name::{NodeName, ServerName};
use crate::transport::{RegisterError, Transport};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// How a server is spawned.
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    /// Whom it serves (A1). Default: everyone.
    pub allow: Allow,
    /// How often it may be restarted.
    pub restart: Restart,
    /// How long a handler may go on once the server is to stop. Default 1 s; then it is aborted.
    pub grace: Duration,
}

impl SpawnOptions {
    /// Serves only these nodes, and the local one (A1). What others send is counted, their calls fail with
    /// [`CallFailure::NotAllowed`](crate::CallFailure::NotAllowed).
    ///
    /// ```
    /// use pingpong_core::{NodeName, SpawnOptions};
    ///
    /// let options = SpawnOptions::default().allow_only([NodeName::new("billing.shop.example")?]);
    /// # let _ = options;
    /// # Ok::<(), pingpong_core::name::NameError>(())
    /// ```
    #[must_use]
    pub fn allow_only(mut self, names: impl IntoIterator<Item = NodeName>) -> Self {
        self.allow = Allow::only(names);
        self
    }
}

impl Default for SpawnOptions {
    fn default() -> Self {
        Self { allow: Allow::Everyone, restart: Restart::default(), grace: Duration::from_secs(1) }
    }
}

/// How often a server may be restarted, as OTP's restart intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Restarts within [`within`](Self::within) after which the next crash is the last. Default 3.
    pub max_restarts: u32,
    /// The time in which restarts are counted. Default 5 s.
    pub within: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        Self { max_restarts: 3, within: Duration::from_secs(5) }
    }
}

/// A server has ended although nobody asked it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It crashed more often than it may be restarted.
    #[error("server {server} crashed after {restarts} restarts within {} s, its last crash: {last}", .within.as_secs_f64())]
    GaveUp {
        /// The server.
        server: ServerName,
        /// Restarts within the time.
        restarts: u32,
        /// The configured time.
        within: Duration,
        /// What the last panic said.
        last: String,
    },
    /// It crashed, and could not be registered again.
    #[error("server {server} cannot be registered again: {error}")]
    Register {
        /// The server.
        server: ServerName,
        /// Why not.
        error: RegisterError,
    },
    /// The runtime ended first.
    #[error("the runtime ended before server {server}")]
    Runtime {
        /// The server.
        server: ServerName,
    },
}

/// Registers a server and runs it, until it is stopped, its node shuts down, or it crashed too often.
///
/// `factory` makes the state of each life. It runs within the server's task: a panic in it is a crash, too. Must be called
/// within a tokio runtime: the handlers run there, and need not be where the node runs.
///
/// ```
/// # use pingpong_core::message::Never;
/// use pingpong_core::server::{Context, Restart, Server, ServerError, SpawnOptions, spawn};
/// use pingpong_core::transport::RegisterError;
/// use pingpong_core::{Node, ServerName, Transport};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// # struct Cache;
/// # impl Server for Cache {
/// #     type Cast = Never;
/// #     type Call = Never;
/// #     type Info = ();
/// #     async fn cast(&mut self, _: &Node, message: Never, _: &mut Context<Self>) { match message {} }
/// #     async fn call(&mut self, _: &Node, request: Never, _: &mut Context<Self>) -> Never { request }
/// # }
/// async fn serve(node: Arc<dyn Transport>) -> Result<(), Box<dyn std::error::Error>> {
///     let restart = Restart { max_restarts: 5, within: Duration::from_secs(60) };
///     let options = SpawnOptions { restart, ..SpawnOptions::default() };
///     let cache = match spawn(node, ServerName::new("cache")?, || Cache, options) {
///         Ok(cache) => cache, // dropping it stops the server
///         Err(RegisterError::ShuttingDown) => return Ok(()),
///         Err(error) => return Err(error.into()), // taken, or too many: a person has to change something
///     };
///     match cache.stopped().await {
///         Err(ServerError::GaveUp { restarts, last, .. }) => Err(format!("{restarts} restarts, then {last}").into()),
///         other => Ok(other?),
///     }
/// }
/// ```
///
/// # Errors
/// [`RegisterError`]; nothing was started.
pub fn spawn<S, F>(
    transport: Arc<dyn Transport>,
    name: ServerName,
    factory: F,
    options: SpawnOptions,
) -> Result<ServerHandle, RegisterError>
where
    S: Server,
    F: Fn() -> S + Send + Sync + 'static,
{
    let inbox = register::<S>(&*transport, &name, &options)?;
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (status, seen) = watch::channel(Status::default());
    let handle = ServerHandle { name: name.clone(), commands, status: seen };
    let supervisor = Supervisor {
        transport,
        name,
        factory: Arc::new(factory),
        options,
        status,
        commands: receiver,
        server: PhantomData::<fn() -> S>,
    };
    // It ends itself: when its handle is dropped, at the latest.
    tokio::spawn(supervisor.run(inbox));
    Ok(handle)
}

fn register<S: Server>(
    transport: &dyn Transport,
    name: &ServerName,
    options: &SpawnOptions,
) -> Result<Box<dyn Inbox>, RegisterError> {
    let mut server = if S::EVENTS { ServerOptions::new().with_events() } else { ServerOptions::new() };
    server.allow = options.allow.clone();
    transport.register(name, server)
}

/// Commands that wait for the supervisor; beyond it callers wait.
const COMMANDS: usize = 8;

enum Command {
    Stop,
    Crash(oneshot::Sender<()>),
}

#[derive(Clone, Debug, Default)]
struct Status {
    restarts: u64,
    end: Option<Result<(), ServerError>>,
}

/// The owner of a server. Dropping it stops the server.
pub struct ServerHandle {
    name: ServerName,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
}

impl ServerHandle {
    /// The server's name.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// How often it was restarted since it was spawned.
    pub fn restarts(&self) -> u64 {
        self.status.borrow().restarts
    }

    /// Waits until the server has ended. Ready at once if it already has. Cancel safe.
    ///
    /// # Errors
    /// [`ServerError`] when it ended although nobody stopped it, nor shut the node down.
    pub async fn stopped(&self) -> Result<(), ServerError> {
        let mut status = self.status.clone();
        match status.wait_for(|status| status.end.is_some()).await {
            Ok(status) => status.end.clone().unwrap_or(Ok(())),
            Err(_) => Err(ServerError::Runtime { server: self.name.clone() }),
        }
    }

    /// Stops the server, and waits until it has ended. What waits in its mailbox is dropped and counted (C5).
    ///
    /// The handler that runs now may end within the grace period. Cancel safe: once polled, the stop goes on although the
    /// future is dropped, unless as many commands wait already.
    ///
    /// # Errors
    /// As [`stopped`](Self::stopped): it may have ended on its own before.
    pub async fn stop(&self) -> Result<(), ServerError> {
        // Refused once it has ended: then its end is known already.
        let _ = self.commands.send(Command::Stop).await;
        self.stopped().await
    }

    /// Kills this life of the server as a panic would, and waits until the next one is registered, or there is none.
    ///
    /// For exercises and tests: it counts as a crash. Cancel safe: once polled, it is carried out although the future is dropped, unless
    /// as many commands wait already.
    pub async fn crash(&self) {
        let (ack, done) = oneshot::channel();
        if self.commands.send(Command::Crash(ack)).await.is_ok() {
            // Dropped by the supervisor when it is done.
            let _ = done.await;
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("name", &self.name).finish_non_exhaustive()
    }
}

enum Life {
    Ended,
    Crashed(String, Option<oneshot::Sender<()>>),
}

struct Supervisor<S, F> {
    transport: Arc<dyn Transport>,
    name: ServerName,
    factory: Arc<F>,
    options: SpawnOptions,
    status: watch::Sender<Status>,
    commands: mpsc::Receiver<Command>,
    server: PhantomData<fn() -> S>,
}

impl<S: Server, F: Fn() -> S + Send + Sync + 'static> Supervisor<S, F> {
    async fn run(mut self, mut inbox: Box<dyn Inbox>) {
        let Restart { max_restarts, within } = self.options.restart;
        let mut restarts: VecDeque<Instant> = VecDeque::new();
        let end = loop {
            let (last, _ack) = match self.life(inbox).await {
                Life::Ended => break Ok(()),
                Life::Crashed(words, ack) => (words, ack),
            };
            let now = Instant::now();
            while restarts.front().is_some_and(|at| now.duration_since(*at) > within) {
                restarts.pop_front();
            }
            let counted = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
            tracing::error!(server = %self.name, crash = last, restarts = counted, "crashed");
            if counted >= max_restarts {
                break Err(ServerError::GaveUp { server: self.name.clone(), restarts: counted, within, last });
            }
            restarts.push_back(now);
            inbox = match register::<S>(&*self.transport, &self.name, &self.options) {
                Ok(inbox) => inbox,
                Err(RegisterError::ShuttingDown) => break Ok(()),
                Err(error) => break Err(ServerError::Register { server: self.name.clone(), error }),
            };
            self.status.send_modify(|status| status.restarts += 1);
        };
        if let Err(error) = &end {
            tracing::error!(server = %self.name, %error, "given up");
        }
        self.status.send_modify(|status| status.end = Some(end));
    }

    /// One life, to its very end: its task is gone when this returns.
    async fn life(&mut self, inbox: Box<dyn Inbox>) -> Life {
        let closed = inbox.closed();
        let (stop, stopping) = oneshot::channel();
        let factory = Arc::clone(&self.factory);
        let cx = Context::<S>::new(Arc::clone(&self.transport), self.name.clone());
        let mut task = tokio::spawn(runner::run(move || factory(), inbox, cx, stopping));
        tokio::select! {
            biased;
            command = self.commands.recv() => match command {
                Some(Command::Crash(ack)) => {
                    aborted(task).await;
                    Life::Crashed("killed by command".to_owned(), Some(ack))
                }
                Some(Command::Stop) | None => self.stop(stop, task).await,
            },
            end = &mut task => match end {
                Ok(Exit::Stopped | Exit::Closed(InboxClosed::ShuttingDown)) => Life::Ended,
                Ok(Exit::Closed(why)) => Life::Crashed(why.to_string(), None),
                Err(error) => Life::Crashed(crash_words(error), None),
            },
            why = closed => match why {
                InboxClosed::ShuttingDown => self.stop(stop, task).await,
                why => {
                    aborted(task).await;
                    Life::Crashed(why.to_string(), None)
                }
            },
        }
    }

    async fn stop(&self, stop: oneshot::Sender<()>, mut task: JoinHandle<Exit>) -> Life {
        // Refused when it has just ended by itself.
        let _ = stop.send(());
        match tokio::time::timeout(self.options.grace, &mut task).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(server = %self.name, crash = crash_words(error), "crashed while stopping");
            }
            Err(_) => {
                tracing::warn!(server = %self.name, "a handler went on beyond the grace period; it is aborted");
                aborted(task).await;
            }
        }
        Life::Ended
    }
}

async fn aborted(task: JoinHandle<Exit>) {
    task.abort();
    // However it ended, it is gone.
    let _ = task.await;
}

fn crash_words(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic_words(&*panic),
        Err(error) => error.to_string(),
    }
}

fn panic_words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}
