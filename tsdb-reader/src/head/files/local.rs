//! The files of a head in a folder on a local disk.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::HeadFiles;
use crate::source::open_regular;

/// The files of a data directory on disk.
#[derive(Debug, Clone)]
pub struct LocalFiles {
    dir: PathBuf,
    mapped: bool,
}

impl LocalFiles {
    /// The data directory `dir`, its files mapped into memory.
    ///
    /// No server may run on it: one cuts its files short, and a file that is cut short while it is mapped ends this
    /// process. For a place where that can happen there is [`LocalFiles::with_copies`].
    #[cfg(feature = "mmap")]
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::new(dir, true)
    }

    /// The data directory `dir`, its files read into memory one at a time.
    pub fn with_copies(dir: &Path) -> io::Result<Self> {
        Self::new(dir, false)
    }

    fn new(dir: &Path, mapped: bool) -> io::Result<Self> {
        if !fs::metadata(dir)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { dir: dir.to_owned(), mapped })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl HeadFiles for LocalFiles {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.dir.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            // Names that are no text are none of a head's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        let mut file = open_regular(&self.dir.join(path))?;
        #[cfg(feature = "mmap")]
        if self.mapped {
            return crate::source::map(&file);
        }
        debug_assert!(!self.mapped, "only the mmap feature makes mapped files");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_copied_files_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("wal")).unwrap();
        fs::write(dir.path().join("wal/00000000"), b"0123").unwrap();
        fs::write(dir.path().join("wal/00000001"), b"").unwrap();
        for files in [
            #[cfg(feature = "mmap")]
            LocalFiles::open(dir.path()).unwrap(),
            LocalFiles::with_copies(dir.path()).unwrap(),
        ] {
            let mut names = files.list("wal").unwrap();
            names.sort();
            assert_eq!(names, ["00000000", "00000001"]);
            assert_eq!(files.list("").unwrap(), ["wal"]);
            assert!(files.list("wbl").unwrap().is_empty());
            assert_eq!(files.read("wal/00000000").unwrap(), "0123");
            assert!(files.read("wal/00000001").unwrap().is_empty());
            assert_eq!(files.read("wal/00000002").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(files.read("wal").is_err());
        }
        assert!(LocalFiles::with_copies(&dir.path().join("wal/00000000")).is_err());
    }
}
