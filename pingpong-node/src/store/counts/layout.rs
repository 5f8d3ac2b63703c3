//! What is where in the file: its mark, then the [log](super::log), then the tables, which are a whole file to redb.
//!
//! The first two have their room from the beginning, written and not only reserved: a sync of a record then has nothing to say of where it
//! lies. All else in the file is redb's, and only that grows.

use super::FORMAT;
use super::disk::Disk;
use super::format::Wrong;
use crc::{CRC_32_ISCSI, Crc};
use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;

/// What a disk writes as a whole, or where a write is torn.
pub const SECTOR: usize = 512;

/// Where the log begins.
pub(super) const LOG: u64 = SECTOR as u64;

/// Where the tables begin.
pub const TABLES: u64 = 256 * 1024;

/// The first words of a file, in every version. The number of the version follows, and a checksum of both.
const WORDS: &[u8; 16] = b"PingPong counts\n";

/// Whether what was read is what was written.
pub(super) static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

fn mark(format: u32) -> Vec<u8> {
    let mut mark = [&WORDS[..], &format.to_le_bytes()].concat();
    mark.extend(CRC.checksum(&mark).to_le_bytes());
    mark
}

/// Writes the mark and an empty log.
pub(super) fn found(disk: &Disk) -> io::Result<()> {
    let mut begin = mark(FORMAT);
    begin.resize(TABLES as usize, 0);
    disk.write(0, &begin)
}

/// Whether the file has the mark of this version.
pub(super) fn check(disk: &Disk) -> Result<(), Wrong> {
    let length = disk.len().map_err(redb::Error::from)?;
    let mut found = [0; WORDS.len() + 8];
    if length >= found.len() as u64 {
        disk.read(0, &mut found).map_err(redb::Error::from)?;
    }
    if !found.starts_with(WORDS) {
        return Err(Wrong::Stranger(if length == 0 { "it is empty" } else { "it has no mark of one" }));
    }
    let [.., a, b, c, d, _, _, _, _] = found;
    let format = u32::from_le_bytes([a, b, c, d]);
    if found[..] != mark(format) {
        return Err(Wrong::Words("its mark cannot be read".to_owned()));
    }
    match format {
        FORMAT => {}
        newer if newer > FORMAT => return Err(Wrong::Newer(newer)),
        older => return Err(Wrong::Words(format!("its format is {older}, and there never was one below {FORMAT}"))),
    }
    // redb would make a new database of nothing.
    if length <= TABLES { Err(Wrong::Words("it ends too early".to_owned())) } else { Ok(()) }
}

/// The tables' part of a file.
#[derive(Debug)]
pub struct Tables<B>(pub B);

/// A damaged page may name any other one.
fn beyond_the_log(offset: u64) -> io::Result<u64> {
    offset.checked_add(TABLES).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl<B: StorageBackend> StorageBackend for Tables<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len()?.saturating_sub(TABLES))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(beyond_the_log(offset)?, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(beyond_the_log(len)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(beyond_the_log(offset)?, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    // What is locked is a name for what is done, and no part of the file.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}
