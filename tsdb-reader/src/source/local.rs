//! A block folder on a local disk.
//!
//! Files are opened on first use and kept: as memory maps, or as open files that are read at given places.
//! Checked: that no two names in `chunks/` mean the same segment. What the bytes mean is not known here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use super::{BlockFile, LocalFile, Source, open_regular, segments_of};

/// The files of a block in a folder.
#[derive(Debug)]
pub struct LocalSource {
    dir: PathBuf,
    mapped: bool,
    files: RwLock<BTreeMap<BlockFile, LocalFile>>,
}

impl LocalSource {
    /// The block in `dir`, its files mapped into memory. No file is opened yet.
    ///
    /// The block must be finished: a file that another process cuts short while it is mapped ends this process.
    #[cfg(feature = "mmap")]
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::new(dir, true)
    }

    /// The block in `dir`, its files read range by range: for network file systems, and for files that may be
    /// cut short while they are read.
    pub fn with_positioned_reads(dir: &Path) -> io::Result<Self> {
        Self::new(dir, false)
    }

    fn new(dir: &Path, mapped: bool) -> io::Result<Self> {
        if !fs::metadata(dir)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { dir: dir.to_owned(), mapped, files: RwLock::default() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn file(&self, file: BlockFile) -> io::Result<LocalFile> {
        if let Some(open) = self.files.read().unwrap_or_else(PoisonError::into_inner).get(&file) {
            return Ok(open.clone());
        }
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = files.get(&file) {
            return Ok(open.clone());
        }
        let open = self.open_file(file)?;
        files.insert(file, open.clone());
        Ok(open)
    }

    fn open_file(&self, file: BlockFile) -> io::Result<LocalFile> {
        let opened = open_regular(&self.path(file)?)?;
        if self.mapped { LocalFile::mapped(opened) } else { LocalFile::positioned(opened) }
    }

    fn path(&self, file: BlockFile) -> io::Result<PathBuf> {
        let usual = self.dir.join(file.to_string());
        match file {
            BlockFile::Segment(number) if !usual.exists() => {
                let named = self.segment_names()?.into_iter().find(|(at, _)| *at == number);
                Ok(named.map_or(usual, |(_, name)| self.dir.join("chunks").join(name)))
            }
            _ => Ok(usual),
        }
    }

    /// Numbers and names of the segments, ascending.
    fn segment_names(&self) -> io::Result<Vec<(u32, String)>> {
        let entries = match fs::read_dir(self.dir.join("chunks")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        segments_of(names.collect::<io::Result<Vec<String>>>()?)
    }
}

impl Source for LocalSource {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        Ok(self.file(file)?.size())
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(self.segment_names()?.into_iter().map(|(number, _)| number).collect())
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let file = self.file(file)?;
        ranges.iter().map(|range| file.read(range)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(segments: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index"), b"0123456789").unwrap();
        fs::write(dir.path().join("tombstones"), b"").unwrap();
        fs::create_dir(dir.path().join("chunks")).unwrap();
        for name in segments {
            fs::write(dir.path().join("chunks").join(name), name.as_bytes()).unwrap();
        }
        dir
    }

    fn sources(dir: &Path) -> Vec<LocalSource> {
        vec![
            #[cfg(feature = "mmap")]
            LocalSource::open(dir).unwrap(),
            LocalSource::with_positioned_reads(dir).unwrap(),
        ]
    }

    #[test]
    fn mapped_and_positioned_reads_agree_and_are_cut_at_the_end() {
        let dir = block(&[]);
        for source in sources(dir.path()) {
            let ranges = [0..4, 8..12, 20..30, 3..3, u64::MAX - 1..u64::MAX];
            let read = source.read(BlockFile::Index, &ranges).unwrap();
            assert_eq!(read, [&b"0123"[..], b"89", b"", b"", b""]);
            assert_eq!(source.size(BlockFile::Index).unwrap(), 10);
        }
    }

    #[test]
    fn empty_file_reads_as_empty_and_missing_file_is_not_found() {
        let dir = block(&[]);
        for source in sources(dir.path()) {
            assert_eq!(source.size(BlockFile::Tombstones).unwrap(), 0);
            assert_eq!(
                source.read(BlockFile::Tombstones, std::slice::from_ref(&(0..9))).unwrap(),
                [Bytes::new()]
            );
            assert_eq!(source.size(BlockFile::Meta).unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(source.size(BlockFile::Segment(1)).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn segments_are_sorted_by_number_and_other_names_are_no_segments() {
        let dir = block(&["1000000", "000002", "999999", "000001", "000003.tmp", "x", "7"]);
        for source in sources(dir.path()) {
            assert_eq!(source.segments().unwrap(), [1, 2, 7, 999_999, 1_000_000]);
            let whole = 0..100;
            assert_eq!(source.read(BlockFile::Segment(7), std::slice::from_ref(&whole)).unwrap(), ["7"]);
            assert_eq!(
                source.read(BlockFile::Segment(1_000_000), std::slice::from_ref(&whole)).unwrap(),
                ["1000000"]
            );
        }
    }

    #[test]
    fn two_names_of_one_segment_are_an_error() {
        let dir = block(&["000001", "1"]);
        for source in sources(dir.path()) {
            assert_eq!(
                source.segments().unwrap_err().to_string(),
                "chunks/000001 and chunks/1 are the same segment"
            );
        }
        assert!(
            LocalSource::with_positioned_reads(block(&["99999999999"]).path()).unwrap().segments().is_err()
        );
    }

    #[test]
    fn block_without_chunks_folder_has_no_segments() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalSource::with_positioned_reads(dir.path()).unwrap().segments().unwrap().is_empty());
        assert!(LocalSource::with_positioned_reads(&dir.path().join("missing")).is_err());
    }
}
