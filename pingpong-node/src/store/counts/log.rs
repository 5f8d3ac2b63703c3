//! The log: what the tables do not have yet.
//!
//! A commit of redb writes its header and some six pages, for a batch that says that one slot rose. A record of the log is one sector, in a
//! place that the file has had from its beginning, so a sync of it is as short as syncs are. When the log is full, all that is in it goes into
//! the tables at once, and it begins anew.
//!
//! What holds:
//! - A record begins with a sector, so that a crash which tears a write leaves all others as they are.
//! - From the beginning on the records have the numbers that follow the tables' last batch, without a gap. What comes after them is
//!   of an earlier round, or is none.
//! - A record is synced before the next one is written. So one that cannot be read is the last one, and was not acknowledged; if one of
//!   a later number can be read, something else has changed the file. Damage to the very last records looks as if they had never been
//!   written: that is an older state, as of a disk that lies (CANNOT 7).

use super::disk::Disk;
use super::format::Wrong;
use super::layout::{CRC, LOG, SECTOR, TABLES};
use pingpong_core::exercise::Slot;
use redb::StorageBackend;
use std::collections::BTreeMap;

/// A batch of more slots than this is for the tables.
const MOST_SLOTS: usize = 1_000;

/// The number of a batch, and the slots that rose in it.
type Record = (u64, Vec<(Slot, u64)>);

/// Where the next record goes.
#[derive(Debug)]
pub(super) struct Log {
    end: u64,
}

/// What the log has.
pub(super) struct Logged {
    pub(super) log: Log,
    /// How many batches there are with those of the log.
    pub(super) batches: u64,
    /// The slots that rose in them.
    pub(super) raised: BTreeMap<Slot, u64>,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It is on the disk.
    Kept,
    /// There is no room for it.
    NoRoom,
    /// It is not in the log, for certain.
    Refused,
    /// It is in the log or not.
    Unknown,
}

impl Log {
    /// Reads the records after the batch that the tables had last.
    pub(super) fn read(disk: &Disk, mut batches: u64) -> Result<Logged, Wrong> {
        let mut sectors = vec![0; (TABLES - LOG) as usize];
        disk.read(LOG, &mut sectors).map_err(redb::Error::from)?;
        let (mut raised, mut at) = (BTreeMap::new(), 0);
        while let Some(((number, slots), length)) = record(&sectors[at..])
            && number == batches.wrapping_add(1)
        {
            raised.extend(slots);
            batches = number;
            at += length;
        }
        let beyond = (at..sectors.len()).step_by(SECTOR).filter_map(|at| record(&sectors[at..]));
        if let Some(number) = beyond.map(|((number, _), _)| number).find(|number| *number > batches) {
            let words = format!("batch {} in its log cannot be read, and batch {number} can", batches.wrapping_add(1));
            return Err(Wrong::Words(words));
        }
        Ok(Logged { log: Self { end: LOG + at as u64 }, batches, raised })
    }

    /// Keeps the slots that rose in the batch of that number.
    pub(super) fn append(&mut self, disk: &Disk, number: u64, raised: &[(Slot, u64)]) -> Appended {
        if raised.len() > MOST_SLOTS {
            return Appended::NoRoom;
        }
        // A name or a number that cannot be encoded does not exist; the tables would say what is wrong with it.
        let Ok(mut record) = postcard::to_stdvec_crc32(&(number, raised), CRC.digest()) else {
            return Appended::NoRoom;
        };
        record.resize(record.len().next_multiple_of(SECTOR), 0);
        if self.end + record.len() as u64 > TABLES {
            return Appended::NoRoom;
        }
        if disk.write(self.end, &record).is_err() {
            // It may be there all the same, and would be found there at the next start. What is read is what a disk gets.
            let mut found = vec![0; record.len()];
            match disk.read(self.end, &mut found) {
                Err(_) => return Appended::Unknown,
                Ok(()) if found != record => return Appended::Refused,
                Ok(()) => {}
            }
        }
        if disk.sync_data().is_err() {
            return Appended::Unknown;
        }
        self.end += record.len() as u64;
        Appended::Kept
    }

    /// Begins anew, once the tables have all that is in it.
    pub(super) fn restart(&mut self) {
        self.end = LOG;
    }
}

/// The record that begins there, and how long it is.
fn record(bytes: &[u8]) -> Option<(Record, usize)> {
    let (record, rest) = postcard::take_from_bytes_crc32(bytes, CRC.digest()).ok()?;
    Some((record, (bytes.len() - rest.len()).next_multiple_of(SECTOR)))
}
