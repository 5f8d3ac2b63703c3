//! A disk in memory that can be crashed, can lie, and can fail; and the stores on it.

use pingpong_core::exercise::{Batch, CommitError, Counts, Identity, Kept, Origin, Slot, Standing, Store};
use pingpong_core::{Incarnation, NodeName};
use pingpong_node::store::counts::{FileStore, FileStoreError, Owner};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What tells whether a half of a write reached the disk.
const SECTOR: usize = 512;

#[derive(Clone)]
pub(crate) enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails, and does nothing.
    Nothing,
    /// The call fails; of a write, every second sector is there.
    Half,
    /// The call fails; of a write, all is there but its last bytes.
    Most,
    /// The call does all, and says that it failed.
    All,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) content: Vec<u8>,
    /// What a crash cannot take away.
    pub(crate) synced: Vec<u8>,
    /// Every change, since the disk was made; unless it is to be forgotten.
    pub(crate) log: Vec<Op>,
    pub(crate) forgetful: bool,
    pub(crate) syncs: usize,
    /// The change of this number fails, once.
    pub(crate) fault: Option<(usize, Fault)>,
    /// The same, after that one.
    pub(crate) then: Option<(usize, Fault)>,
    /// Nothing can be written or resized.
    pub(crate) full: bool,
    /// Nothing can be read.
    pub(crate) blind: bool,
    /// How often it was closed, which lets its lock go.
    pub(crate) closed: usize,
    /// Whoever writes panics.
    pub(crate) panics: bool,
    /// What the file must not grow beyond.
    pub(crate) limit: Option<u64>,
}

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    pub(crate) fn of(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { content, ..State::default() })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        self.state().content.clone()
    }

    pub(crate) fn changes(&self) -> usize {
        self.state().log.len()
    }

    fn change(&self, op: Op) -> io::Result<()> {
        assert!(!self.state().panics, "a write that panics");
        let mut state = self.state();
        let number = state.log.len();
        let sync = matches!(op, Op::Sync);
        let end = match &op {
            Op::Write(offset, bytes) => *offset + bytes.len() as u64,
            Op::SetLen(len) => *len,
            Op::Sync => 0,
        };
        if !sync && (state.full || state.limit.is_some_and(|limit| end > limit)) {
            return Err(ErrorKind::StorageFull.into());
        }
        let fault = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        match fault {
            None => {
                apply(&mut state.content, &op);
                state.syncs += usize::from(sync);
                if !state.forgetful {
                    if sync {
                        state.synced = state.content.clone();
                    }
                    state.log.push(op);
                }
                return Ok(());
            }
            Some(Fault::Nothing) => {}
            Some(Fault::Half) => {
                if let Op::Write(offset, bytes) = &op {
                    for (sector, half) in bytes.chunks(SECTOR).enumerate().filter(|(sector, _)| sector % 2 == 1) {
                        apply(&mut state.content, &Op::Write(offset + (sector * SECTOR) as u64, half.to_vec()));
                    }
                }
            }
            Some(Fault::Most) => {
                if let Op::Write(offset, bytes) = &op {
                    let most = bytes[..bytes.len().saturating_sub(64)].to_vec();
                    apply(&mut state.content, &Op::Write(*offset, most));
                }
            }
            Some(Fault::All) => apply(&mut state.content, &op),
        }
        // It is not tried again at the same number.
        state.fault = state.then.take();
        let len = state.content.len() as u64;
        state.log.push(Op::SetLen(len));
        Err(io::Error::other("a fault"))
    }
}

pub(crate) fn apply(content: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(offset, bytes) => {
            let start = usize::try_from(*offset).unwrap();
            let end = start + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[start..end].copy_from_slice(bytes);
        }
        Op::SetLen(len) => content.resize(usize::try_from(*len).unwrap(), 0),
        Op::Sync => {}
    }
}

/// What a disk may have after a crash: all that was synced for certain, and of what was changed since then any part.
pub(crate) fn crashed(synced: &[u8], since: &[Op], seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut content = synced.to_vec();
    // Also crashes that keep nearly all, or nearly nothing.
    let kept: f64 = [0.05, 0.5, 0.95][random.random_range(0..3)];
    for op in since {
        match op {
            Op::Write(offset, bytes) if random.random_bool(0.3) => {
                for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                    if random.random_bool(kept) {
                        apply(&mut content, &Op::Write(offset + (sector * SECTOR) as u64, part.to_vec()));
                    }
                }
            }
            op if random.random_bool(kept) => apply(&mut content, op),
            _ => {}
        }
    }
    content
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if state.blind {
            return Err(io::Error::other("it cannot be read"));
        }
        let start = usize::try_from(offset).unwrap();
        let bytes = state.content.get(start..start + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Op::SetLen(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Op::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Op::Write(offset, data.to_vec()))
    }

    fn close(&self) -> io::Result<()> {
        self.state().closed += 1;
        Ok(())
    }
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub(crate) fn owner() -> Owner {
    Owner { cluster: "c1".parse().unwrap(), node: name("n1") }
}

pub(crate) fn at(millis: u64) -> Incarnation {
    Incarnation::new(millis, 7)
}

pub(crate) fn slot(number: u64) -> Slot {
    Slot { producer: name(&format!("n{}", number / 3 + 1)), epoch: Incarnation::new(number % 3, number) }
}

/// As long as a slot can be: some thousands of them are more than redb keeps in memory.
pub(crate) fn long_slot(number: u64) -> Slot {
    let label = "x".repeat(63);
    let producer = name(&format!("n{number:062}.{label}.{label}.{}", "x".repeat(61)));
    Slot { producer, epoch: Incarnation::new(u64::MAX, number) }
}

pub(crate) fn large(count: u64) -> Batch {
    Batch { raised: (0..6_000).map(|number| (long_slot(number), count)).collect(), ..Batch::default() }
}

pub(crate) fn identity() -> Identity {
    Identity { epoch: at(1), origin: Origin::Init, standing: Standing::Active }
}

pub(crate) fn raise(slots: impl IntoIterator<Item = (u64, u64)>) -> Batch {
    let raised = slots.into_iter().map(|(number, count)| (slot(number), count)).collect();
    Batch { raised, ..Batch::default() }
}

pub(crate) fn place() -> &'static Path {
    Path::new("/place/counts.redb")
}

/// The content of a new store that `init` made, closed.
pub(crate) fn new_content() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counts.redb");
    FileStore::init(&path, &owner(), identity()).unwrap();
    std::fs::read(path).unwrap()
}

pub(crate) fn open(disk: &Disk) -> Result<FileStore, FileStoreError> {
    FileStore::over(disk.clone(), place(), &owner(), at(2))
}

/// What opening it shows.
pub(crate) async fn shown(content: Vec<u8>) -> Result<Option<Kept>, FileStoreError> {
    let mut store = open(&Disk::of(content))?;
    Ok(store.load().await.unwrap())
}

/// What a store must show, kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) identity: Option<Identity>,
    pub(crate) slots: std::collections::BTreeMap<Slot, u64>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { identity: Some(identity()), slots: Default::default() }
    }

    pub(crate) fn take(&mut self, batch: &Batch) {
        for slot in &batch.forgotten {
            self.slots.remove(slot);
        }
        self.slots.extend(batch.raised.iter().cloned());
        self.identity = batch.identity.or(self.identity);
    }

    pub(crate) fn kept(&self) -> Option<Kept> {
        let counts = || self.slots.iter().map(|(slot, count)| (slot.clone(), *count)).collect::<Counts>();
        self.identity.map(|identity| Kept { identity, counts: counts() })
    }
}

/// A batch of some slots that rise, and seldom of others that are forgotten, or of a new standing.
pub(crate) fn some_batch(random: &mut StdRng, model: &Model) -> Batch {
    let slots = [1, 3, 30, 400][random.random_range(0..4)];
    let mut batch = Batch::default();
    for _ in 0..random.random_range(1..=slots) {
        let slot = slot(random.random_range(0..600));
        if batch.raised.iter().all(|(raised, _)| *raised != slot) {
            let count = model.slots.get(&slot).copied().unwrap_or(0);
            batch.raised.push((slot, count + random.random_range(1..5)));
        }
    }
    if random.random_bool(0.3) {
        let raised: std::collections::BTreeSet<_> = batch.raised.iter().map(|(slot, _)| slot.clone()).collect();
        batch.forgotten = model.slots.keys().filter(|slot| !raised.contains(slot)).take(5).cloned().collect();
    }
    if random.random_bool(0.1) {
        batch.identity = Some(Identity { epoch: at(random.random_range(1..9)), ..identity() });
    }
    batch
}

pub(crate) fn is_refused(result: &Result<(), CommitError>) -> bool {
    matches!(result, Err(CommitError::Refused { .. }))
}

pub(crate) fn is_unknown(result: &Result<(), CommitError>) -> bool {
    matches!(result, Err(CommitError::Unknown { .. }))
}
