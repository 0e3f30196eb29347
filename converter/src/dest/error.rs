//! Why a DEST cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::sink::{FORMAT_VERSION, SinkError};

/// Why a DEST cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestError {
    /// Something else lies there.
    #[error("DEST {} is not empty and not written by promblock; choose an empty or new folder", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// Writing there would change a block.
    #[error("DEST {} lies inside block {}; choose a folder outside of it", path.display(), block.display())]
    InsideBlock {
        /// The folder.
        path: PathBuf,
        /// The block.
        block: PathBuf,
    },
    /// It was made with other options.
    #[error(
        "DEST {} was written with other options ({}); use those, or another DEST",
        path.display(),
        differences.join("; ")
    )]
    OtherOptions {
        /// The folder.
        path: PathBuf,
        /// One per option.
        differences: Vec<String>,
    },
    /// Another version wrote it.
    #[error(
        "DEST {} has output format {found}, this promblock writes {FORMAT_VERSION}; use the other version, or another DEST",
        path.display()
    )]
    OtherFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// Nothing was planned for it.
    #[error("DEST {} has no plan; run `promblock plan` for it first", path.display())]
    NoPlan {
        /// The folder.
        path: PathBuf,
    },
    /// Another run is at work.
    #[error("another promblock is writing to DEST {}; wait until it has ended", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file of ours is damaged.
    #[error("cannot parse {}; restore it, or remove DEST and convert again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An object store refused.
    #[error(transparent)]
    Store(io::Error),
    /// Another run is at work in an object store.
    #[error(
        "another promblock ({owner}) is writing to DEST {}; wait until it has ended, one that was killed is taken over \
         a minute after that",
        path.display()
    )]
    Leased {
        /// The URL.
        path: PathBuf,
        /// Who it says it is.
        owner: String,
    },
    /// Another run has taken over.
    #[error(
        "another promblock has taken over DEST {}, for this one could not tell it that it is alive; nothing was \
         committed since, run the same command again when the other has ended",
        path.display()
    )]
    LeaseLost {
        /// The URL.
        path: PathBuf,
    },
    /// Runs cannot be kept apart.
    #[error(
        "the store of DEST {} does not write on condition that nothing is there, so that two runs could not be kept \
         apart; write to a folder and copy that",
        path.display()
    )]
    NoConditions {
        /// The URL.
        path: PathBuf,
        /// What the store said, unless it ignored the condition.
        source: Option<io::Error>,
    },
    /// No folder for files before they are uploaded.
    #[error("cannot keep files in {} until they are uploaded; give another folder with --temp-dir", path.display())]
    Staging {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No space left for files before they are uploaded.
    #[error(
        "disk full in {}, where files are kept until they are uploaded: free some space or give another folder with \
         --temp-dir; a rerun goes on from there",
        path.display()
    )]
    StagingFull {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not enough space for files before they are uploaded.
    #[error(
        "about {} MiB are needed in {}, where files are kept until they are uploaded, {} MiB are free there; give \
         another folder with --temp-dir",
        needed >> 20, path.display(), available >> 20
    )]
    StagingTooSmall {
        /// The folder.
        path: PathBuf,
        /// What is needed, in bytes.
        needed: u64,
        /// What is free, in bytes.
        available: u64,
    },
    /// A part file cannot be published.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Two series share an id.
    #[error(
        "series_id {series_id} stands for two series: {}; convert them to different DESTs (--match)",
        series.join(" and ")
    )]
    Collision {
        /// The id.
        series_id: i64,
        /// The series, or the units that hold them where their blocks are gone.
        series: Vec<String>,
    },
}

/// Makes an error of the file system on `path` one of DEST.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DestError {
    let path = path.to_owned();
    move |source| match SinkError::io(action, &path, source) {
        SinkError::Io { action, path, source } => DestError::Io { action, path, source },
        full => full.into(),
    }
}
