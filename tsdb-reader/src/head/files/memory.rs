//! The files of a head in memory: for tests, fuzzing, and bytes that came from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;

use super::HeadFiles;

/// The files of a data directory in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    /// The files that are there, by their path.
    pub files: BTreeMap<String, Bytes>,
}

impl MemoryFiles {
    /// Without any file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }
}

impl HeadFiles for MemoryFiles {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let inside = |path: &str| {
            let inside =
                if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
            Some(inside.split('/').next().unwrap_or_default().to_owned())
        };
        let names: BTreeSet<_> = self.files.keys().filter_map(|path| inside(path)).collect();
        Ok(names.into_iter().collect())
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}
