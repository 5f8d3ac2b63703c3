//! The file of a node's counts: where `run` opens it, and what `init` makes of it.

use super::given::Given;
use super::output::{Outcome, complain, say};
use pingpong_node::config::IncarnationStore;
use pingpong_node::exercise::{Identity, Ledger, LedgerOptions, MemoryStore, OpenError, Origin, Standing};
use pingpong_node::settings::{Settings, SettingsError};
use pingpong_node::store::{DataDir, FileStore, FileStoreError, StoreError};
use pingpong_node::{Incarnation, Node};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What a start makes of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Goes on with it; without one, it was lost.
    Again,
    /// In memory: there never was one.
    First,
    /// Sets it aside.
    Forget,
}

/// The counts of a node cannot be opened, or made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CountsError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    File(#[from] FileStoreError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Data(#[from] StoreError),
    #[error("{} cannot be set aside: {error}; move it away by hand, with the node stopped", .path.display())]
    Aside { path: PathBuf, error: io::Error },
    #[error(
        "the node has a data directory: make its empty store with `pingpong-node init`, once, and start it without --init"
    )]
    InitWithData,
    #[error(
        "`init` makes the store in the node's data directory, and none is configured: set data, or start the node with --init"
    )]
    NoData,
    #[error(
        "`--forget-store` sets the file of counts aside, and the node has none: no data directory is configured, and each start begins with nothing; \
         set data, or start it without --forget-store"
    )]
    NothingToForget,
    #[error("{0}")]
    Incarnation(String),
    #[error(
        "the counts in {} are of incarnation {kept}, and this node is only {now}: its clock was set back, and its incarnation lost; set the clock \
         right, and start it again",
        .path.display()
    )]
    Behind { path: PathBuf, kept: Incarnation, now: Incarnation },
}

impl CountsError {
    /// Above which incarnation the next start must be, if that is what is wrong.
    pub(super) fn rise_above(&self) -> Option<Incarnation> {
        match self {
            Self::Behind { kept, .. } => Some(*kept),
            _ => None,
        }
    }
}

/// Opens the counts of a node that has just started.
pub(super) async fn open(settings: &Settings, node: &Node, start: Start) -> Result<Arc<Ledger>, CountsError> {
    let members = settings.voters()?;
    if let Some(members) = members.as_ref().filter(|members| members.len() % 2 == 0) {
        tracing::warn!(members = members.len(), "an even number of members tolerates no more than one less");
    }
    let Some(path) = settings.counts_file() else {
        if start == Start::Forget {
            return Err(CountsError::NothingToForget);
        }
        let options = LedgerOptions { members, init: start == Start::First, ..LedgerOptions::default() };
        return Ok(Ledger::open(MemoryStore, node, options).await?);
    };
    if start == Start::First {
        return Err(CountsError::InitWithData);
    }
    if start == Start::Forget {
        let aside = FileStore::set_aside(&path).map_err(|error| CountsError::Aside { path: path.clone(), error })?;
        if let Some(aside) = aside {
            tracing::warn!(file = %path.display(), aside = %aside.display(), "the counts are set aside: the node begins with none");
        }
    }
    let store = FileStore::open(&path, &settings.owner(), node.incarnation)?;
    // Peers take no slot whose epoch its node has not reached.
    let kept = store.opened_before();
    if kept > node.incarnation {
        return Err(CountsError::Behind { path, kept, now: node.incarnation });
    }
    Ok(Ledger::open(store, node, LedgerOptions { members, ..LedgerOptions::default() }).await?)
}

/// Checks the file, unless a node uses it.
pub(super) fn check(settings: &Settings) -> Result<(), CountsError> {
    let Some(path) = settings.counts_file() else { return Ok(()) };
    match FileStore::check(&path, &settings.owner()) {
        Err(FileStoreError::InUse { .. }) => Ok(()),
        checked => Ok(checked?),
    }
}

/// Makes the empty store of a node that was never there before (P25).
pub(super) fn init(given: &Given) -> ExitCode {
    let settings = match given.settings() {
        Ok(settings) => settings,
        Err(error) => return needs_a_person(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}; close other programs")).into(),
    };
    match runtime.block_on(make(&settings)) {
        Ok(path) => say(&format!("{} is made: {} may start\n", path.display(), settings.name)).into(),
        Err(error) => needs_a_person(&error),
    }
}

fn needs_a_person(error: &impl std::fmt::Display) -> ExitCode {
    complain(error);
    Outcome::NeedsAPerson.into()
}

async fn make(settings: &Settings) -> Result<PathBuf, CountsError> {
    let (Some(data), Some(path)) = (&settings.data, settings.counts_file()) else { return Err(CountsError::NoData) };
    let dir = DataDir::open(data, &settings.name)?;
    let outside = settings.mesh()?.outside;
    let seen = dir.load().await.map_err(CountsError::Incarnation)?.unwrap_or_default();
    let epoch = Incarnation::above(seen, outside.wall_millis(), outside.random());
    // First: the store's epoch must not be above the incarnation of any start to come.
    dir.store(epoch).await.map_err(CountsError::Incarnation)?;
    let identity = Identity { epoch, origin: Origin::Init, standing: Standing::Recovering };
    FileStore::init(&path, &settings.owner(), identity)?;
    Ok(path)
}

/// The next start must be above this incarnation: another store of this node's name has it (P23).
pub(super) async fn rise_above(settings: &Settings, known: Incarnation) {
    let Some(data) = &settings.data else { return };
    let raised = async {
        let dir = DataDir::open(data, &settings.name).map_err(|error| error.to_string())?;
        let kept = dir.load().await?.unwrap_or_default();
        if kept < known { dir.store(known).await } else { Ok(()) }
    };
    let raised = raised.await;
    if let Err(error) = raised {
        tracing::error!(error, "the incarnation cannot be raised; set the clock right, and start the node again");
    }
}
