//! The files of a DEST: what a folder and an object store have in common.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::DestError;
use crate::identities::ReadAt;
use crate::sink::{Part, PartFile};

/// Who else may be at work in a DEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody.
    Alone,
    /// Others that convert units of the same plan.
    WithOthers,
}

/// A lock that is held until it is dropped.
pub(super) trait Held: fmt::Debug + Send + Sync {
    /// Fails when it is lost: then nothing may be written any more.
    fn check(&self) -> Result<(), DestError> {
        Ok(())
    }
}

/// The files of a DEST. Names are relative to it, with `/`; a file appears under its name whole or not at all.
pub(super) trait DestFiles: fmt::Debug + Send + Sync {
    /// DEST as messages call it: a folder, or the URL of one.
    fn root(&self) -> &Path;

    /// URL of DEST when it is in an object store.
    fn url(&self) -> Option<&str> {
        None
    }

    /// Bytes that it may hold while units are committed.
    fn held_bytes(&self) -> u64 {
        0
    }

    /// What messages call the file `name`.
    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// True when nothing is there, or only what we may have begun.
    fn is_free(&self) -> Result<bool, DestError>;

    /// The block that DEST lies in.
    fn enclosing_block(&self) -> Result<Option<PathBuf>, DestError>;

    /// Takes DEST, which is made if need be.
    fn lock(&self, sharing: Sharing) -> Result<Box<dyn Held>, DestError>;

    /// Takes units, under a lock that is shared.
    fn lock_units(&self, units: &[&str]) -> Result<Box<dyn Held>, DestError>;

    /// The bytes of a file, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DestError>;

    /// The same of many.
    fn read_each(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, DestError> {
        names.iter().map(|name| self.read(name)).collect()
    }

    /// A file to read ranges of, if it is there.
    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DestError>;

    /// Its size, if it is there.
    fn size(&self, name: &str) -> Result<Option<u64>, DestError>;

    /// Names of the units' records as they are now, in any order.
    fn records(&self) -> Result<Vec<String>, DestError>;

    /// Writes a small file over whatever is there.
    fn write(&self, name: &str, bytes: Vec<u8>, executable: bool) -> Result<(), DestError>;

    /// Gives part files their names, over whatever is there.
    fn publish(&self, parts: Vec<PartFile>) -> Result<Vec<Part>, DestError>;

    /// Removes a file, if it is there.
    fn remove(&self, name: &str) -> Result<(), DestError>;

    /// Removes what killed runs left behind, and parts that are not `named`.
    fn sweep(&self, named: &BTreeSet<&str>) -> Result<(), DestError>;

    /// What became of reading from what [`DestFiles::open`] gave.
    fn unreadable(&self, name: &str, error: std::io::Error) -> DestError;
}

/// The folder for what is not data.
pub(super) const OWN_FOLDER: &str = "_promblock";
/// The folder of units, in the own folder.
pub(super) const UNITS_FOLDER: &str = "_promblock/units";
/// The folder of the BigQuery kit, in the own folder.
pub(super) const KIT_FOLDER: &str = "_promblock/bigquery";
/// What files are called until they are whole; the sinks' part files are, too.
pub(super) const TEMPORARY_PREFIX: &str = ".tmp-";

/// True for `<unit>.json`, not for what a killed run left under a temporary name.
pub(super) fn is_record(file_name: &str) -> bool {
    file_name.ends_with(".json") && !file_name.starts_with(TEMPORARY_PREFIX)
}

/// True for a file that killed runs may leave: one that was not whole yet, or a part that is not `named`.
pub(super) fn is_left_over(name: &str, named: &BTreeSet<&str>) -> bool {
    let file_name = name.rsplit('/').next().unwrap_or(name);
    file_name.starts_with(TEMPORARY_PREFIX) || file_name.starts_with("part-") && !named.contains(name)
}
