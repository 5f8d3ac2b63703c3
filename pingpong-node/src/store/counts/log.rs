//! The log: what the tables do not have yet.
//!
//! A commit of redb writes its header and some six pages, for a batch that says that one slot rose. A record of the log is one sector, in a
//! place that the file has had from its beginning, so a sync of it is as short as syncs are. When the log is full, all that is in it goes into
//! the tables at once, and it begins anew.
//!
//! A record is the encoded pair of the batch's number and the slots that rose, with a checksum (postcard, CRC-32C), cut into pieces of 511
//! bytes. Each piece has a sector, whose first byte says whether the record begins there. So whatever slots others send, nothing within a
//! record looks like the beginning of one.
//!
//! What holds:
//! - A record begins with a sector, so that a crash which tears a write leaves all others as they are. That takes a disk that does not lose
//!   the sectors beside the one that it writes.
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
use std::iter::{once, repeat};

/// A batch of more slots than this is for the tables.
const MOST_SLOTS: usize = 1_000;

/// The first byte of a sector: a record begins there, or goes on. Others are of no record.
const BEGINS: u8 = 1;
const GOES_ON: u8 = 2;

/// What a sector has of a record.
const PIECE: usize = SECTOR - 1;

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
        while let Some(((number, slots), length)) = decoded(&sectors[at..])
            && number == batches.wrapping_add(1)
        {
            raised.extend(slots);
            batches = number;
            at += length;
        }
        let beyond = (at..sectors.len()).step_by(SECTOR).filter_map(|at| decoded(&sectors[at..]));
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
        // What cannot be encoded does not exist; the tables would say what is wrong with it.
        let Some(sectors) = encoded(number, raised) else { return Appended::NoRoom };
        if self.end + sectors.len() as u64 > TABLES {
            return Appended::NoRoom;
        }
        if disk.write(self.end, &sectors).is_err() {
            // It may be there all the same, and would be found there at the next start. What is read is what a disk gets.
            let mut found = vec![0; sectors.len()];
            if disk.read(self.end, &mut found).is_err() {
                return Appended::Unknown;
            }
            if decoded(&found).is_none_or(|((found, _), _)| found != number) {
                return Appended::Refused;
            }
        }
        if disk.sync_data().is_err() {
            return Appended::Unknown;
        }
        self.end += sectors.len() as u64;
        Appended::Kept
    }

    /// Begins anew, once the tables have all that is in it.
    pub(super) fn restart(&mut self) {
        self.end = LOG;
    }
}

/// The sectors of a record.
fn encoded(number: u64, raised: &[(Slot, u64)]) -> Option<Vec<u8>> {
    let record = postcard::to_stdvec_crc32(&(number, raised), CRC.digest()).ok()?;
    let mut sectors = Vec::with_capacity(record.len().div_ceil(PIECE) * SECTOR);
    for (piece, first) in record.chunks(PIECE).zip(once(BEGINS).chain(repeat(GOES_ON))) {
        sectors.push(first);
        sectors.extend_from_slice(piece);
        sectors.resize(sectors.len().next_multiple_of(SECTOR), 0);
    }
    Some(sectors)
}

/// The record that begins there, and how long its sectors are.
fn decoded(sectors: &[u8]) -> Option<(Record, usize)> {
    let mut pieces = sectors.chunks_exact(SECTOR);
    let begin = pieces.next().filter(|sector| sector[0] == BEGINS)?;
    let rest = pieces.take_while(|sector| sector[0] == GOES_ON);
    let bytes: Vec<u8> = once(begin).chain(rest).flat_map(|sector| &sector[1..]).copied().collect();
    let (record, left): (Record, _) = postcard::take_from_bytes_crc32(&bytes, CRC.digest()).ok()?;
    Some((record, (bytes.len() - left.len()).div_ceil(PIECE) * SECTOR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingpong_core::{Incarnation, NodeName};

    fn slots(count: usize) -> Vec<(Slot, u64)> {
        let slot = |number: usize| Slot {
            producer: NodeName::new(&format!("n{number}")).unwrap(),
            epoch: Incarnation::new(number as u64, 7),
        };
        (0..count).map(|number| (slot(number), number as u64)).collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_only_where_it_begins() {
        for count in [0, 1, 40, 1_000] {
            let raised = slots(count);
            let mut sectors = encoded(9, &raised).unwrap();
            let length = sectors.len();
            // What follows is of an earlier round.
            sectors.extend(encoded(3, &slots(100)).unwrap());
            assert_eq!(decoded(&sectors), Some(((9, raised), length)), "{count} slots");
            assert!((SECTOR..length).step_by(SECTOR).all(|at| decoded(&sectors[at..]).is_none()), "{count} slots");
        }
    }

    /// Others choose what slots there are: here such that a sector has nothing but a record of theirs.
    #[test]
    fn nothing_within_a_record_is_the_beginning_of_one() {
        let forged = encoded(u64::MAX, &[]).unwrap();
        let mut sectors = encoded(1, &slots(300)).unwrap();
        assert!(sectors.len() >= 3 * SECTOR);
        sectors[SECTOR + 1..2 * SECTOR].copy_from_slice(&forged[1..]);
        assert_eq!(decoded(&sectors[SECTOR..]), None);
        sectors[SECTOR] = BEGINS;
        assert_eq!(decoded(&sectors[SECTOR..]).map(|((number, _), _)| number), Some(u64::MAX));
    }

    /// Files of this format are read by all later programs.
    #[test]
    fn the_bytes_of_a_record_stay_what_they_are() {
        let producer = NodeName::new("n1").unwrap();
        let raised = [(Slot { producer, epoch: Incarnation::new(300, 7) }, 5)];
        let sectors = encoded(2, &raised).unwrap();
        let record = [1, 2, 1, 2, b'n', b'1', 172, 2, 7, 5];
        assert_eq!(sectors[..record.len()], record);
        assert_eq!(sectors.len(), SECTOR);
        assert_eq!(CRC.checksum(&record[1..]).to_le_bytes(), sectors[record.len()..][..4]);
        assert!(sectors[record.len() + 4..].iter().all(|byte| *byte == 0));
    }
}
