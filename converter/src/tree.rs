//! Trees of files: what a SOURCE is, be it a folder on a disk, an archive or a bucket.
//!
//! Discovery walks a [`Tree`] and asks it for the blocks in it, so that what is found, and what is said of it, does
//! not depend on what holds the files. Paths are relative to the tree's root; the empty path is the root itself.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tsdb_reader::source::{LocalSource, Source, open_regular};

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A link that leads nowhere from here.
    DeadLink,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the folder.
    pub name: PathBuf,
    /// What it is.
    pub kind: EntryKind,
}

/// Files in folders.
pub trait Tree: Send + Sync + fmt::Debug {
    /// Where `path` is, for messages.
    fn location(&self, path: &Path) -> String;

    /// What lies in `folder`, by name. A link that leads nowhere is not as if nothing were there: its error is none of
    /// [`io::ErrorKind::NotFound`].
    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// True when there is a file, or whatever else, at `path`.
    fn has(&self, path: &Path) -> bool;

    /// The bytes of a small file; [`io::ErrorKind::FileTooLarge`] above `limit`.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Bytes>;

    /// The files of the block in `folder`.
    fn block(&self, folder: &Path) -> io::Result<Arc<dyn Source>>;

    /// Says which small files will be read next, so that a tree that is far away can fetch them together.
    fn warm(&self, _paths: &[PathBuf]) {}

    /// Why files of the block in `folder` may be missing, if there is a reason to think so.
    fn incomplete(&self, folder: &Path) -> Option<String>;
}

/// A folder on a disk.
#[derive(Debug)]
pub struct LocalTree {
    root: PathBuf,
}

impl LocalTree {
    /// The folder at `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn path(&self, path: &Path) -> PathBuf {
        // Joining nothing would add a slash.
        if path.as_os_str().is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

/// What is said of a link to a folder that is not there; of anything else `error`.
fn unless_dead_link(path: &Path, error: io::Error) -> io::Error {
    match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => dead_link(&target.to_string_lossy()),
        _ => error,
    }
}

/// The error of a link to `target`, which is not there.
pub(crate) fn dead_link(target: &str) -> io::Error {
    let message = format!("it is a link to {target}, which is not there; mend it, or remove it");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl Tree for LocalTree {
    fn location(&self, path: &Path) -> String {
        self.path(path).display().to_string()
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let path = self.path(folder);
        for entry in fs::read_dir(&path).map_err(|error| unless_dead_link(&path, error))? {
            let entry = entry?;
            let path = entry.path();
            let kind = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => EntryKind::Folder,
                Err(_) if path.is_symlink() => EntryKind::DeadLink,
                _ => EntryKind::File,
            };
            entries.push(Entry { name: entry.file_name().into(), kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn has(&self, path: &Path) -> bool {
        self.path(path).exists()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Bytes> {
        let file = open_regular(&self.path(path))?;
        let most = limit.saturating_add(1);
        // Growing while it is read would take up to twice the memory.
        let expected = usize::try_from(file.metadata()?.len().min(most)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(expected);
        file.take(most).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes.into())
    }

    fn block(&self, folder: &Path) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(LocalSource::open(&self.path(folder))?))
    }

    fn incomplete(&self, _: &Path) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_are_errors_and_pipes_are_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("gone", dir.path().join("wal")).unwrap();
        let tree = LocalTree::new(dir.path());
        let error = tree.entries(Path::new("wal")).unwrap_err();
        assert_eq!(error.to_string(), "it is a link to gone, which is not there; mend it, or remove it");
        assert_eq!(tree.entries(Path::new("wbl")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("index")).status().unwrap();
        assert!(made.success());
        let refused = "it is a pipe, a socket or a device, no file";
        assert_eq!(tree.read(Path::new("index"), 1 << 20).unwrap_err().to_string(), refused);
        let block = tree.block(Path::new("")).unwrap();
        assert_eq!(block.size(tsdb_reader::source::BlockFile::Index).unwrap_err().to_string(), refused);
    }
}
