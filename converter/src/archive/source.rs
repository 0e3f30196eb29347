//! A block in an archive.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use tsdb_reader::source::{BlockFile, LocalFile, Source, segments_of};

use super::ArchiveTree;
use super::content::Content;
use crate::tree::Tree;

/// The files of a block in an archive.
#[derive(Debug)]
pub(super) struct ArchiveSource {
    location: String,
    file: Option<LocalFile>,
    contents: BTreeMap<BlockFile, Content>,
    /// What is wrong with the names of its segments.
    segments_error: Option<String>,
}

impl ArchiveSource {
    /// The block in `folder`.
    pub(super) fn new(tree: &ArchiveTree, folder: &Path) -> Self {
        let prefix = tree.prefix(folder);
        let mut contents = BTreeMap::new();
        let mut add = |file: BlockFile, name: &str| {
            if let Ok(content) = tree.content(&format!("{prefix}{name}")) {
                contents.insert(file, content.clone());
            }
        };
        for file in [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones] {
            add(file, &file.to_string());
        }
        let names = format!("{prefix}chunks/");
        let segments = segments_of(tree.children(&names).map(|(name, _)| name.to_owned()));
        for (number, name) in segments.as_deref().unwrap_or_default() {
            add(BlockFile::Segment(*number), &format!("chunks/{name}"));
        }
        Self {
            location: tree.location(folder),
            file: tree.file.clone(),
            contents,
            segments_error: segments.err().map(|error| error.to_string()),
        }
    }

    fn content(&self, file: BlockFile) -> io::Result<&Content> {
        self.contents.get(&file).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Source for ArchiveSource {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        self.content(file)?.size()
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        if let Some(message) = &self.segments_error {
            return Err(io::Error::new(io::ErrorKind::InvalidData, message.clone()));
        }
        Ok(self.contents.keys().filter_map(|file| file.segment_number()).collect())
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let content = self.content(file)?;
        ranges.iter().map(|range| content.read(self.file.as_ref(), range)).collect()
    }
}
