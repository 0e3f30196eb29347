//! The files of a head in a [`Tree`].
//!
//! They are copied one by one, not mapped: a server may be at work on them, and would end this process by cutting
//! one short.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tsdb_reader::head::HeadFiles;

use crate::tree::Tree;

/// Largest file that is read, and that a server writes. Segments have 128 MiB, unless someone chose up to 256; head
/// chunk files 128 MiB.
const FILE_BYTES: u64 = 256 << 20;

/// The data directory at the root of a tree.
#[derive(Debug, Clone)]
pub struct TreeFiles(pub Arc<dyn Tree>);

/// True when a tree has the files of a head at its root. Empty folders are none: archives do not keep them. One that
/// cannot be listed may hold some; who reads it names it.
pub fn has_head(tree: &dyn Tree) -> bool {
    let has_files = |folder| match tree.entries(Path::new(folder)) {
        Ok(entries) => !entries.is_empty(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    ["wal", "chunks_head", "wbl"].into_iter().any(has_files)
}

impl HeadFiles for TreeFiles {
    fn location(&self) -> String {
        self.0.location(Path::new(""))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        match self.0.entries(Path::new(folder)) {
            // Names that are no text are none of a head's.
            Ok(entries) => {
                Ok(entries.iter().filter_map(|entry| entry.name.to_str()).map(str::to_owned).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        self.0.read(Path::new(path), FILE_BYTES)
    }
}
