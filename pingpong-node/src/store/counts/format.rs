//! What is in the tables.
//!
//! There are two. `slots` has (name, milliseconds and random bits of the epoch) -> count. `facts` has text -> text, so that any
//! program can say what it found:
//!
//! | fact | what it says |
//! | --- | --- |
//! | `cluster`, `node` | whose counts these are |
//! | `opened-by` | the incarnation of the node that opened the store last |
//! | `batches` | how many batches the tables have, so that after a failure it can be told whether one was kept; those of the log follow |
//! | `epoch`, `origin`, `standing` | the identity, from the first batch on |

use super::{FileStoreError, Owner};
use pingpong_core::exercise::{Batch, Counts, Identity, Kept, Origin, Slot, Standing};
use pingpong_core::{Incarnation, NodeName};
use redb::{
    AccessGuard, Database, Durability, Error, ReadOnlyTable, ReadableDatabase, TableDefinition, WriteTransaction,
};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const SLOTS: TableDefinition<(&str, u64, u64), u64> = TableDefinition::new("slots");
const FACTS: TableDefinition<&str, &str> = TableDefinition::new("facts");

/// What is known of a store before its slots are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) opened_by: Incarnation,
    pub(super) batches: u64,
    pub(super) identity: Option<Identity>,
}

/// What is wrong with a file, and not yet said of which.
pub(super) enum Wrong {
    Redb(Error),
    Stranger(&'static str),
    Words(String),
    Newer(u32),
    AnotherCluster(pingpong_core::ClusterName),
    AnotherNode(NodeName),
}

impl<E: Into<Error>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Wrong {
    pub(super) fn of(self, path: &Path, owner: &Owner) -> FileStoreError {
        let path = path.to_owned();
        match self {
            Self::Redb(error) => refused(path, error),
            Self::Stranger(words) => FileStoreError::NotAStore { path, words: words.to_owned() },
            Self::Words(words) => FileStoreError::Damaged { path, words },
            Self::Newer(format) => FileStoreError::Newer { path, format },
            Self::AnotherCluster(of) => FileStoreError::AnotherCluster { path, of, cluster: owner.cluster.clone() },
            Self::AnotherNode(of) => FileStoreError::AnotherNode { path, of, name: owner.node.clone() },
        }
    }
}

fn refused(path: PathBuf, error: Error) -> FileStoreError {
    match error {
        // The second is a lock of another generation of redb.
        Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => FileStoreError::InUse { path },
        // This is how redb says it of a file without its mark.
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            FileStoreError::NotAStore { path, words: error.to_string() }
        }
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            FileStoreError::Damaged { path, words: "it ends too early".to_owned() }
        }
        Error::Io(error) => FileStoreError::Io { path, what: "read", error },
        error => FileStoreError::Damaged { path, words: error.to_string() },
    }
}

/// What the system says.
pub(super) fn system(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Reads the facts, and whether they are those of this owner.
pub(super) fn facts(db: &Database, owner: &Owner) -> Result<Facts, Wrong> {
    let table = db.begin_read()?.open_table(FACTS)?;
    let cluster = fact(&table, "cluster")?;
    if cluster != owner.cluster {
        return Err(Wrong::AnotherCluster(cluster));
    }
    let node = fact(&table, "node")?;
    if node != owner.node {
        return Err(Wrong::AnotherNode(node));
    }
    let identity = match table.get("epoch")? {
        None => None,
        Some(_) => Some(Identity {
            epoch: fact(&table, "epoch")?,
            origin: one_of(&table, "origin", [Origin::Init, Origin::Replacement], origin)?,
            standing: one_of(
                &table,
                "standing",
                [Standing::Observer, Standing::Active, Standing::Recovering],
                standing,
            )?,
        }),
    };
    let batches = fact(&table, "batches")?;
    if identity.is_none() && batches > 0 {
        return Err(Wrong::Words("it does not say its epoch".to_owned()));
    }
    Ok(Facts { opened_by: fact(&table, "opened-by")?, batches, identity })
}

type Row<'a> = (AccessGuard<'a, (&'static str, u64, u64)>, AccessGuard<'a, u64>);
type FactTable = ReadOnlyTable<&'static str, &'static str>;

fn fact<T: FromStr<Err: Display>>(table: &FactTable, name: &str) -> Result<T, Wrong> {
    let Some(text) = table.get(name)? else {
        return Err(Wrong::Words(format!("it does not say its {name}")));
    };
    text.value().parse().map_err(|error| Wrong::Words(format!("its {name} cannot be read: {error}")))
}

fn one_of<T: Copy, const N: usize>(
    table: &FactTable,
    name: &str,
    all: [T; N],
    word: fn(T) -> &'static str,
) -> Result<T, Wrong> {
    let text: String = fact(table, name)?;
    let found = all.into_iter().find(|it| word(*it) == text);
    found.ok_or_else(|| Wrong::Words(format!("its {name} is {text:?}, and this program knows no such")))
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Init => "init",
        Origin::Replacement => "replacement",
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Observer => "observer",
        Standing::Active => "active",
        Standing::Recovering => "recovering",
    }
}

/// Everything that is kept, with what the log has; `None` before the first batch.
pub(super) fn read(db: &Database, owner: &Owner, logged: &BTreeMap<Slot, u64>) -> Result<Option<Kept>, Wrong> {
    let identity = facts(db, owner)?.identity;
    let slots = db.begin_read()?.open_table(SLOTS)?;
    let row = |row: Result<_, redb::StorageError>| {
        let (key, count): Row<'_> = row?;
        let (producer, millis, random) = key.value();
        let producer = NodeName::new(producer).map_err(|error| Wrong::Words(error.to_string()))?;
        let slot = Slot { producer, epoch: Incarnation::new(millis, random) };
        let count = logged.get(&slot).copied().unwrap_or(count.value());
        Ok((slot, count))
    };
    let rows = slots.range::<(&str, u64, u64)>(..)?.map(row);
    let logged = logged.iter().map(|(slot, count)| Ok((slot.clone(), *count)));
    let counts: Counts = rows.chain(logged).collect::<Result<_, Wrong>>()?;
    Ok(identity.map(|identity| Kept { identity, counts }))
}

/// Makes the tables of a new store.
pub(super) fn found(
    db: &Database,
    owner: &Owner,
    opened_by: Incarnation,
    first: Option<Identity>,
) -> Result<(), Error> {
    let txn = begin(db)?;
    {
        let mut facts = txn.open_table(FACTS)?;
        facts.insert("cluster", owner.cluster.as_str())?;
        facts.insert("node", owner.node.as_str())?;
        facts.insert("opened-by", opened_by.to_string().as_str())?;
        facts.insert("batches", "0")?;
        txn.open_table(SLOTS)?;
    }
    if let Some(identity) = first {
        put_identity(&txn, identity)?;
    }
    Ok(txn.commit()?)
}

/// Keeps all batches up to that number, which together are this one: all of it, or nothing.
pub(super) fn put(db: &Database, batch: &Batch, number: u64, opened_by: Option<Incarnation>) -> Result<(), Error> {
    let txn = begin(db)?;
    {
        let mut slots = txn.open_table(SLOTS)?;
        for slot in &batch.forgotten {
            slots.remove(key(slot)?)?;
        }
        for (slot, count) in &batch.raised {
            slots.insert(key(slot)?, count)?;
        }
    }
    if let Some(identity) = batch.identity {
        put_identity(&txn, identity)?;
    }
    {
        let mut facts = txn.open_table(FACTS)?;
        facts.insert("batches", number.to_string().as_str())?;
        if let Some(opened_by) = opened_by {
            facts.insert("opened-by", opened_by.to_string().as_str())?;
        }
    }
    Ok(txn.commit()?)
}

/// One phase: one sync for all that the commit changed. Both slots and all pages have checksums, so that a commit of which the disk has
/// only a part is found out when it is opened, and the one before is taken. Nobody outside chooses what is in the pages, which is what
/// two phases would be for.
fn begin(db: &Database) -> Result<WriteTransaction, Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_two_phase_commit(false);
    Ok(txn)
}

fn key(slot: &Slot) -> Result<(&str, u64, u64), Error> {
    // An incarnation shows its random bits in its text alone, which it promises to read again.
    let text = slot.epoch.to_string();
    let random = text.rsplit_once('-').and_then(|(_, random)| u64::from_str_radix(random, 16).ok());
    let random = random.ok_or_else(|| Error::Corrupted(format!("{text} is no incarnation")))?;
    Ok((slot.producer.as_str(), slot.epoch.millis(), random))
}

fn put_identity(txn: &WriteTransaction, identity: Identity) -> Result<(), Error> {
    let mut facts = txn.open_table(FACTS)?;
    facts.insert("epoch", identity.epoch.to_string().as_str())?;
    facts.insert("origin", origin(identity.origin))?;
    facts.insert("standing", standing(identity.standing))?;
    Ok(())
}
