//! The files of a head: where they come from, and which of them count.
//!
//! [`HeadFiles`] hands out names and bytes and knows nothing of either; [`HeadListing`] sorts the names out.

use std::fmt;
use std::io;

use bytes::Bytes;

mod listing;
mod local;
mod memory;

pub use listing::{HeadListing, NumberedFile, SnapshotFolder, breaks, checkpoints, numbered, snapshots};
pub use local::LocalFiles;
pub use memory::MemoryFiles;

/// The files of one data directory: a folder, or an archive that holds one.
///
/// Paths are relative to the data directory and use `/`: `wal/checkpoint.00000011/00000000`.
pub trait HeadFiles: Send + Sync + fmt::Debug {
    /// Where the data directory is, for messages: a path or a URL.
    fn location(&self) -> String;

    /// Names of the files and folders in `folder`, in any order; the data directory itself is the empty string.
    /// Empty when there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// The whole file at `path`; [`io::ErrorKind::NotFound`] when it is not there.
    fn read(&self, path: &str) -> io::Result<Bytes>;
}
