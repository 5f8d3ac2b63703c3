//! A node as a service: from settings to a running node that people operate, and back.
//!
//! ```no_run
//! use pingpong_node::daemon::Daemon;
//! use pingpong_node::settings::Settings;
//! use std::path::Path;
//!
//! # async fn main_of_a_service() -> Result<(), Box<dyn std::error::Error>> {
//! let text = std::fs::read_to_string("service.toml")?;
//! let daemon = Daemon::start(Settings::from_toml(Path::new("service.toml"), &text)?).await?;
//! let transport = daemon.transport(); // spawn the service's own servers on it
//! let end = daemon.run().await; // until a signal, `pingpong-node stop`, or a newer process of its name
//! std::process::exit(end.exit_code().into());
//! # }
//! ```
//!
//! | part | what it is |
//! | --- | --- |
//! | here | start, signals, end |
//! | `identity` | certificates that are renewed while the node runs |
//! | `faults` | cuts by command, with the feature `faults` alone |
//! | `health` | health, readiness and metrics over HTTP |

#[cfg(feature = "faults")]
pub(crate) mod faults;
mod health;
mod identity;
mod metrics;
#[cfg(unix)]
mod signals;

use crate::control::{Adapters, ControlSocket, Desk, SocketError, serve};
use crate::io_thread::IoThread;
use crate::settings::{Settings, SettingsError};
use health::HealthError;
use identity::Watched;
use pingpong_core::exercise::Exercise;
use pingpong_core::mesh::StartError;
use pingpong_core::server::SpawnOptions;
use pingpong_core::transport::{Shutdown, StopReason};
use pingpong_core::{Mesh, ServerName, Transport};
use pingpong_transport_quic::BindError;
#[cfg(not(feature = "faults"))]
use pingpong_transport_quic::QuicLink;
use signals::Signals;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A daemon cannot start; nothing of it was started (S1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The settings do not make a node.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The endpoint cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The Mesh does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The control socket cannot be made.
    #[error(transparent)]
    Control(#[from] SocketError),
    /// Health cannot be served.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The system gives no thread, or no signals.
    #[error("{what}: {error}; close other programs, or raise the limits of this one")]
    System {
        /// What cannot be had.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

/// How a daemon ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: StopReason,
    /// Whether the peers had everything.
    pub shutdown: Shutdown,
}

/// The exit code that a service manager must not restart on: a person has to do something first (`EX_CONFIG` of sysexits.h).
pub const NEEDS_A_PERSON: u8 = 78;

impl End {
    /// What the process should exit with: 0 if it was asked to stop; [`NEEDS_A_PERSON`] if another process of its name is newer (S3);
    /// else 1.
    pub const fn exit_code(&self) -> u8 {
        match self.reason {
            StopReason::Shutdown => 0,
            StopReason::Replaced { .. } => NEEDS_A_PERSON,
            _ => 1,
        }
    }
}

/// A running node over QUIC, with all that its settings ask for.
///
/// Its links run on a thread of their own, so that handlers which block do not cost it its links. Dropping it ends the node without
/// a goodbye; [`run`](Self::run) and [`stop`](Self::stop) say one.
pub struct Daemon {
    settings: Settings,
    desk: Arc<Desk>,
    address: SocketAddr,
    signals: Signals,
    /// Control, health, and the watch over the identity; they end with the daemon, before the thread they run on.
    _tasks: JoinSet<()>,
    _io: IoThread,
}

impl Daemon {
    /// Starts a node. Must be called within a tokio runtime, on which the service's own servers will run.
    ///
    /// It returns once the node listens; links come up afterwards. Signals are caught from here on.
    ///
    /// Cancel safe: dropped before it is ready, whatever was started ends.
    ///
    /// # Errors
    /// [`DaemonError`] names the item and the remedy.
    pub async fn start(settings: Settings) -> Result<Self, DaemonError> {
        Self::begin(settings).await
    }

    /// A box, so that all that a node is made of is compiled here once, and not in each program that has one.
    fn begin(settings: Settings) -> Pin<Box<dyn Future<Output = Result<Self, DaemonError>> + Send>> {
        Box::pin(async move {
            let identity = settings.read_identity().map_err(SettingsError::from)?;
            let quic = settings.quic(identity.clone())?;
            settings.check(&quic)?;
            let mesh = settings.mesh_with_store()?;
            let signals =
                Signals::listen().map_err(|error| DaemonError::System { what: "signals cannot be caught", error })?;
            let control = match &settings.control.socket {
                Some(path) => Some(ControlSocket::bind(path).await?),
                None => None,
            };
            let health = settings.health.listen.map(health::bind).transpose()?;
            let no_thread = |error| DaemonError::System { what: "no thread can be had", error };
            let io = IoThread::start("pingpong-io").map_err(no_thread)?;
            #[cfg(feature = "faults")]
            let (faults, cuttable) = {
                let faults = Arc::new(faults::Faults::default());
                (Arc::clone(&faults), faults)
            };
            let started = io.run(async move {
                #[cfg(not(feature = "faults"))]
                let link = QuicLink::bind(quic)?;
                #[cfg(feature = "faults")]
                let link = cuttable.bind(quic)?;
                let (address, renewal) = (link.local_address(), link.renewal());
                let advertise = pingpong_core::link::Link::addresses(&link);
                let mesh = Mesh::start(link, mesh).await?;
                Ok::<_, DaemonError>((mesh, address, renewal, advertise))
            });
            let gone = || no_thread(io::Error::other("it has ended"));
            let (mesh, address, renewal, advertise) = started.await.ok_or_else(gone)??;
            let watched = Watched::new(settings.clone(), renewal, &identity);
            let desk = Arc::new(Desk {
                mesh: Arc::new(mesh),
                #[cfg(feature = "faults")]
                faults,
                runtime: io.handle().clone(),
                cluster: settings.cluster.to_string(),
                listen: address.to_string(),
                advertise: advertise.iter().map(ToString::to_string).collect(),
                certificate_expires: watched.expires(),
                min_links: settings.min_links,
                adapters: Adapters::default(),
                exercise: OnceLock::new(),
                stop: watch::Sender::new(false),
            });
            let mut tasks = JoinSet::new();
            tasks.spawn_on(watched.run(signals.renewals()), io.handle());
            if let Some(socket) = control {
                tasks.spawn_on(serve(socket, Arc::clone(&desk)), io.handle());
            }
            if let Some(listener) = health {
                tasks.spawn_on(health::serve(listener, Arc::clone(&desk)), io.handle());
            }
            Ok(Self { settings, desk, address, signals, _tasks: tasks, _io: io })
        })
    }

    /// The node.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.desk.mesh) as Arc<dyn Transport>
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// How a server of that name is to be spawned: with the allow list of the settings.
    pub fn spawn_options(&self, server: &ServerName) -> SpawnOptions {
        SpawnOptions { allow: self.settings.allow(server), ..SpawnOptions::default() }
    }

    /// The servers that take calls in JSON by the control socket.
    pub fn adapters(&self) -> &Adapters {
        &self.desk.adapters
    }

    /// From now on `ping` and `counts` of the control socket are about this exercise. Only the first one counts.
    pub fn operate(&self, exercise: Arc<Exercise>) {
        // Refused if there is one already.
        let _ = self.desk.exercise.set(exercise);
    }

    /// Waits until the node is ready: it listens, its seeds were dialled once, and it has the links that it must have. Cancel safe.
    pub async fn ready(&self) {
        self.desk.mesh.dialled_seeds().await;
        let mut events = self.desk.mesh.monitor();
        while !self.desk.readiness().is_ready() {
            if events.next().await.is_none() {
                // It has stopped, and will never be.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the node stops, or is asked to; [`run`](Self::run) then carries it out. Cancel safe.
    pub async fn ending(&self) {
        let (mut signals, mut stop) = (self.signals.clone(), self.desk.stop.subscribe());
        tokio::select! {
            _ = signals.end() => {}
            _ = stop.wait_for(|stop| *stop) => {}
            _ = self.desk.mesh.stopped() => {}
        }
    }

    /// Runs until the node stops by itself, or is asked to by SIGTERM, SIGINT or the control socket; then it leaves (S2), within
    /// `leave` of the settings. A second signal ends it at once.
    ///
    /// Not cancel safe: dropped before it is ready, the node ends without a goodbye. Wait for [`ending`](Self::ending) in `select!`.
    pub async fn run(self) -> End {
        let mut stop = self.desk.stop.subscribe();
        let mut signals = self.signals.clone();
        let asked = async {
            tokio::select! {
                signal = signals.end() => tracing::info!(?signal, "asked to stop"),
                _ = stop.wait_for(|stop| *stop) => tracing::info!("asked to stop by the control socket"),
            }
        };
        tokio::select! {
            () = asked => {}
            reason = self.desk.mesh.stopped() => {
                return End { reason, shutdown: Shutdown { flushed: false } };
            }
        }
        self.desk.stop.send_replace(true);
        let leave = self.settings.leave;
        let shutdown = tokio::select! {
            shutdown = self.desk.mesh.shutdown(leave) => shutdown,
            signal = signals.end() => {
                tracing::warn!(?signal, "asked again: it leaves without waiting for its peers");
                self.desk.mesh.shutdown(Duration::ZERO).await
            }
        };
        End { reason: self.desk.mesh.stopped().await, shutdown }
    }

    /// Leaves the cluster (S2), within `leave` of the settings.
    ///
    /// Not cancel safe: dropped before it is ready, the node ends without the rest of its goodbye.
    pub async fn stop(self) -> End {
        self.desk.stop.send_replace(true);
        let shutdown = self.desk.mesh.shutdown(self.settings.leave).await;
        End { reason: self.desk.mesh.stopped().await, shutdown }
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("node", &self.desk.mesh.node())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
