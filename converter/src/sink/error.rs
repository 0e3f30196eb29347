//! Why rows could not be written.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::columns::LabelColumnsError;

/// Why a sink failed. Nothing it had begun appears under a final name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The compression is not one of the format's.
    #[error("--compression {compression} does not fit this --format: choose one of {allowed}")]
    Compression {
        /// What was asked for.
        compression: &'static str,
        /// What the format takes.
        allowed: String,
    },
    /// The level is not one of the compression's.
    #[error("--compression-level {level} does not fit --compression {compression}: {}", advice(levels))]
    Level {
        /// What was asked for.
        compression: &'static str,
        /// The level.
        level: i32,
        /// The levels there are.
        levels: Option<RangeInclusive<i32>>,
    },
    /// The promoted labels cannot become columns.
    #[error(transparent)]
    LabelColumns(#[from] LabelColumnsError),
    /// No space left.
    #[error("disk full while writing {}: free some space or choose another --to; a rerun goes on from there", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is larger than files may be.
    #[error(
        "{} is larger than a file may be here: raise the limit (ulimit -f) or choose another --to; a rerun goes on from there",
        path.display()
    )]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
    /// The Parquet library refused.
    #[error("cannot write Parquet file {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: ParquetError,
    },
    /// Rows could not be encoded.
    #[error("cannot encode rows as Parquet")]
    Encode {
        /// What the library said.
        #[from]
        source: ParquetError,
    },
    /// Rows could not be compressed.
    #[error("cannot compress rows")]
    Compress {
        /// What the library said.
        source: io::Error,
    },
    /// Rows of another format.
    #[error("rows were encoded for another format than that of their tables")]
    OtherEncoder,
    /// More than a page or a dictionary can hold.
    #[error(
        "a page of column {column} takes {size_bytes} bytes, Parquet allows 2 GiB: its labels are too long"
    )]
    PageTooLarge {
        /// The column.
        column: String,
        /// What it would take.
        size_bytes: usize,
    },
}

fn advice(levels: &Option<RangeInclusive<i32>>) -> String {
    match levels {
        Some(levels) => format!("choose {} to {}", levels.start(), levels.end()),
        None => "it has no levels, remove the flag".to_owned(),
    }
}

impl SinkError {
    /// An error of the file system on a path.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path, source },
            io::ErrorKind::FileTooLarge => Self::FileTooLarge { path, source },
            _ => Self::Io { action, path, source },
        }
    }

    /// An error of the Parquet library while it wrote to a path.
    pub(super) fn parquet(path: &Path, source: ParquetError) -> Self {
        match source {
            ParquetError::External(external) => match external.downcast::<io::Error>() {
                Ok(source) => Self::io("write", path, *source),
                Err(external) => {
                    Self::Parquet { path: path.to_owned(), source: ParquetError::External(external) }
                }
            },
            source => Self::Parquet { path: path.to_owned(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_whoever_was_writing() {
        let path = Path::new("out/samples/.tmp-part");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [SinkError::io("write", path, full()), SinkError::parquet(path, full().into())] {
            assert!(matches!(error, SinkError::DiskFull { .. }));
            assert!(error.to_string().contains("out/samples/.tmp-part: free some space"));
        }
        let denied = SinkError::io("create", path, io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(denied.to_string(), "cannot create out/samples/.tmp-part");
    }
}
