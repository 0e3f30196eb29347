//! A block: one folder of `meta.json`, `index`, `chunks/` and `tombstones`.
//!
//! ```text
//! 01HF0000000000000000000001/
//!   meta.json              meta.rs
//!   index                  index/
//!   chunks/000001 …        chunks.rs
//!   tombstones             tombstones.rs; may be missing
//! ```
//! Opening a block reads `meta.json`, and head and table of contents of the index. All else is read when asked for.
//!
//! Checked: sizes against [`crate::limits`] before anything is read whole, and that no segment is missing before the
//! one a chunk reference means: references count segment files, so that behind a gap they would all mean another
//! file. No segment at all is fine, as long as no chunk is asked for.
//! Defined in Prometheus' `tsdb/docs/format/README.md`.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{DecodeError, DecodeErrorKind, Error};
use crate::index::Index;
use crate::limits;
use crate::meta::BlockMeta;
use crate::once::OnceValue;
use crate::refs::ChunkRef;
use crate::source::{BlockFile, Source};
use crate::tombstones::Tombstones;

/// One block.
#[derive(Debug)]
pub struct Block {
    source: Arc<dyn Source>,
    meta: BlockMeta,
    index: Index,
    tombstones: OnceValue<Tombstones>,
    segments: OnceValue<Segments>,
}

impl Block {
    /// Opens the block that `source` holds.
    pub fn open(source: Arc<dyn Source>) -> Result<Self, Error> {
        let meta = read_meta(source.as_ref())?;
        Self::with_meta(source, meta)
    }

    /// Opens the block that `source` holds, whose meta was read before.
    pub fn with_meta(source: Arc<dyn Source>, meta: BlockMeta) -> Result<Self, Error> {
        let index = Index::open(Arc::clone(&source))?;
        Ok(Self { source, meta, index, tombstones: OnceValue::new(), segments: OnceValue::new() })
    }

    /// What the block says about itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Its index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where its bytes come from.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// What is deleted from it, read on first use. Nothing when the file is missing.
    pub fn tombstones(&self) -> Result<&Tombstones, Error> {
        self.tombstones.get_or_try_make(|| read_tombstones(self.source.as_ref()))
    }

    /// Its chunk segments, listed on first use.
    pub fn segments(&self) -> Result<&Segments, Error> {
        self.segments.get_or_try_make(|| Segments::list(&*self.source))
    }
}

/// Reads and parses the `meta.json` of a block without opening it.
pub fn read_meta(source: &dyn Source) -> Result<BlockMeta, Error> {
    BlockMeta::parse(&read_whole(source, BlockFile::Meta, limits::META_BYTES)?)
}

/// Reads and decodes the `tombstones` of a block without opening it. Nothing is deleted when the file is missing.
pub fn read_tombstones(source: &dyn Source) -> Result<Tombstones, Error> {
    let file = BlockFile::Tombstones;
    match read_whole(source, file, limits::TOMBSTONES_BYTES) {
        Ok(bytes) => Tombstones::decode(&bytes).map_err(|error| error.in_file(file)),
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Tombstones::none()),
        Err(error) => Err(error),
    }
}

fn read_whole(source: &dyn Source, file: BlockFile, limit: u64) -> Result<Bytes, Error> {
    let in_file = |source| Error::Read { file, source };
    let size = source.size(file).map_err(in_file)?;
    if size > limit {
        let kind = DecodeErrorKind::Limit { field: "file size", found: size, limit };
        return Err(DecodeError { offset: 0, kind }.in_file(file));
    }
    let whole: Range<u64> = 0..size;
    let read = source.read(file, std::slice::from_ref(&whole)).map_err(in_file)?;
    Ok(read.into_iter().next().unwrap_or_default())
}

/// The chunk segments of a block, and which of them a chunk reference means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segments {
    numbers: Vec<u32>,
    /// How many of them are numbered 1, 2, 3… without a gap.
    contiguous: usize,
}

impl Segments {
    /// The segments with these numbers, ascending.
    pub fn new(numbers: Vec<u32>) -> Self {
        let contiguous = (1u32..).zip(&numbers).take_while(|(expected, number)| expected == *number).count();
        Self { numbers, contiguous }
    }

    /// The segments of the block behind `source`.
    pub fn list(source: &dyn Source) -> Result<Self, Error> {
        let numbers = source.segments();
        numbers.map(Self::new).map_err(|source| Error::Read { file: BlockFile::Segment(1), source })
    }

    /// Their numbers, ascending.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// How many of them references can name: those before the first gap.
    pub fn contiguous(&self) -> usize {
        self.contiguous
    }

    /// The first number that is missing among them. References from that position on are not followed.
    pub fn gap(&self) -> Option<u32> {
        if self.contiguous == self.numbers.len() {
            return None;
        }
        u32::try_from(self.contiguous).ok()?.checked_add(1)
    }

    /// The number of the segment that `chunk_ref` points into.
    pub fn number(&self, chunk_ref: ChunkRef) -> Result<u32, Error> {
        let at = usize::try_from(chunk_ref.segment_position()).unwrap_or(usize::MAX);
        let number = self.numbers.get(at).filter(|_| at < self.contiguous);
        number.copied().ok_or_else(|| self.none_at(chunk_ref))
    }

    /// The error for a reference that leads to none of them.
    pub(crate) fn none_at(&self, ChunkRef(chunk_ref): ChunkRef) -> Error {
        let position = ChunkRef(chunk_ref).segment_position();
        match self.gap() {
            Some(missing) => Error::SegmentGap { chunk_ref, position, missing },
            None => Error::NoSegment { chunk_ref, position, segments: self.numbers.len() as u64 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::source::MemorySource;
    use crate::testing;

    /// Notes what is read.
    #[derive(Debug)]
    struct Noted {
        inner: MemorySource,
        reads: Mutex<Vec<(BlockFile, Range<u64>)>>,
    }

    impl Source for Noted {
        fn location(&self) -> String {
            self.inner.location()
        }

        fn size(&self, file: BlockFile) -> io::Result<u64> {
            self.inner.size(file)
        }

        fn segments(&self) -> io::Result<Vec<u32>> {
            self.inner.segments()
        }

        fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
            self.reads.lock().unwrap().extend(ranges.iter().map(|range| (file, range.clone())));
            self.inner.read(file, ranges)
        }
    }

    #[test]
    fn opening_reads_the_meta_and_head_and_toc_of_the_index_only() {
        let inner = testing::block("block_rich.json");
        let source = Arc::new(Noted { inner, reads: Mutex::default() });
        let block = Block::open(Arc::clone(&source) as Arc<dyn Source>).unwrap();
        let reads = source.reads.lock().unwrap().clone();
        let expected = [(BlockFile::Meta, 0..271), (BlockFile::Index, 0..5), (BlockFile::Index, 7049..7101)];
        assert_eq!(reads, expected);
        assert_eq!(block.meta().ulid.to_string(), "01HF0000000000000000000002");
    }

    #[test]
    fn missing_tombstones_are_none_and_missing_index_is_an_error() {
        let mut source = testing::block("block_rich.json");
        assert_eq!(Block::open(Arc::new(source.clone())).unwrap().tombstones().unwrap().len(), 3);
        source.files.remove(&BlockFile::Tombstones);
        assert!(Block::open(Arc::new(source.clone())).unwrap().tombstones().unwrap().is_empty());
        source.files.remove(&BlockFile::Index);
        assert_eq!(Block::open(Arc::new(source)).unwrap_err().to_string(), "cannot read index");
    }

    #[test]
    fn broken_tombstones_are_an_error_each_time() {
        let source =
            testing::block("block_minimal.json").with(BlockFile::Tombstones, &b"\x01\x30\xba\x30"[..]);
        let block = Block::open(Arc::new(source)).unwrap();
        for _ in 0..2 {
            assert_eq!(block.tombstones().unwrap_err().to_string(), "cannot decode tombstones");
        }
    }

    #[test]
    fn chunk_ref_means_a_file_by_position_and_none_behind_a_gap() {
        let segments = Segments::new(vec![1, 2, 4]);
        assert_eq!(segments.gap(), Some(3));
        assert_eq!(segments.number(ChunkRef::new(1, 8)).unwrap(), 2);
        assert_eq!(
            segments.number(ChunkRef::new(2, 8)).unwrap_err().to_string(),
            "chunk reference 0x200000008 names segment 2, but chunks/000003 is missing"
        );
        let segments = Segments::new(vec![1, 2]);
        assert_eq!(segments.gap(), None);
        assert_eq!(
            segments.number(ChunkRef::new(2, 8)).unwrap_err().to_string(),
            "chunk reference 0x200000008 names segment 2, the block has 2"
        );
        assert_eq!(Segments::new(vec![2]).gap(), Some(1));
        assert!(Segments::default().number(ChunkRef(8)).is_err());
    }
}
