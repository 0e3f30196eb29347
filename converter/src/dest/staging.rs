//! Where the files of a unit are until it is committed: in a folder DEST itself, else a folder that goes with the run.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::DestError;
use crate::archive::free_bytes;
use crate::sink::SinkError;

/// Bytes that a sample takes as stored, about; fewer when there is much to compress.
const BYTES_PER_SAMPLE: u64 = 2;

/// The folder that units are written to.
#[derive(Debug)]
pub enum Staging {
    /// DEST, whose files have temporary names until they are committed.
    InPlace(PathBuf),
    /// A folder that is removed when dropped; files are uploaded from it.
    Apart(tempfile::TempDir),
}

impl Staging {
    /// A folder in `temp_dir` with room for units of `samples`, those that are converted at once.
    pub(super) fn apart(temp_dir: &Path, samples: u64) -> Result<Self, DestError> {
        let failed = |source| DestError::Staging { path: temp_dir.to_owned(), source };
        let folder = tempfile::Builder::new().prefix("promblock-").tempdir_in(temp_dir).map_err(failed)?;
        let needed = samples.saturating_mul(BYTES_PER_SAMPLE);
        let available = File::open(temp_dir).ok().and_then(|temp_dir| free_bytes(&temp_dir));
        match available {
            Some(available) if available < needed => {
                Err(DestError::StagingTooSmall { path: temp_dir.to_owned(), needed, available })
            }
            _ => Ok(Self::Apart(folder)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::InPlace(folder) => folder,
            Self::Apart(folder) => folder.path(),
        }
    }

    /// Says of a full disk that it is this one; gives other errors back.
    pub fn explain(&self, error: SinkError) -> Result<DestError, SinkError> {
        match (self, error) {
            (Self::Apart(folder), SinkError::DiskFull { source, .. }) => {
                Ok(DestError::StagingFull { path: folder.path().to_owned(), source })
            }
            (_, error) => Err(error),
        }
    }
}
