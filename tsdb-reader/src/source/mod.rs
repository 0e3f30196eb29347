//! Sources: where the bytes of a block come from.
//!
//! A source hands out byte ranges and decodes nothing. It is asked for a *list* of ranges, so that a store with
//! high latency can fetch them together or join neighbours.

use std::fmt;
use std::io;
use std::ops::Range;

use bytes::Bytes;

mod file;
mod local;
mod memory;
#[cfg(feature = "mmap")]
mod mmap;

pub use file::{LocalFile, open_regular};
pub use local::LocalSource;
pub use memory::MemorySource;
#[cfg(all(feature = "head", feature = "mmap"))]
pub(crate) use mmap::map;

/// A file of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockFile {
    /// `meta.json`
    Meta,
    /// `index`
    Index,
    /// `tombstones`
    Tombstones,
    /// `chunks/NNNNNN`, by the number in its name.
    Segment(u32),
}

impl BlockFile {
    /// The number in the name of a segment; none of other files.
    pub fn segment_number(self) -> Option<u32> {
        match self {
            Self::Segment(number) => Some(number),
            Self::Meta | Self::Index | Self::Tombstones => None,
        }
    }
}

impl fmt::Display for BlockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta.json"),
            Self::Index => f.write_str("index"),
            Self::Tombstones => f.write_str("tombstones"),
            Self::Segment(number) => write!(f, "chunks/{number:06}"),
        }
    }
}

/// The files of one block.
pub trait Source: Send + Sync + fmt::Debug {
    /// Where the block is, for messages: a path or a URL.
    fn location(&self) -> String;

    /// Size of `file` in bytes; [`io::ErrorKind::NotFound`] when it is not there.
    fn size(&self, file: BlockFile) -> io::Result<u64>;

    /// Numbers of the chunk segments, ascending. Empty without a `chunks` folder.
    fn segments(&self) -> io::Result<Vec<u32>>;

    /// The bytes of each range, in the order asked. A range that reaches past the end of the file is cut there,
    /// so an answer may be shorter than asked, or empty.
    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>>;

    /// True where every request takes long, such as in a bucket. Of such a source nothing is read that need not be, and
    /// what will be is announced by [`Source::prefetch`].
    fn is_far(&self) -> bool {
        false
    }

    /// Announces ranges that will be read soon. A source may begin to fetch them: it does not wait for that, and what
    /// fails shows when they are read.
    fn prefetch(&self, _file: BlockFile, _ranges: &[Range<u64>]) {}
}

/// Numbers and names of the segments among the `names` in a `chunks` folder, ascending by number. Names that are not
/// all digits are no segments; two names of one number are an error.
pub fn segments_of(names: impl IntoIterator<Item = String>) -> io::Result<Vec<(u32, String)>> {
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut segments = Vec::new();
    for name in names {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let number = name.parse::<u32>();
        let number = number.map_err(|_| invalid(format!("chunks/{name}: number too large")))?;
        segments.push((number, name));
    }
    segments.sort();
    for ((a, a_name), (b, b_name)) in segments.iter().zip(segments.iter().skip(1)) {
        if a == b {
            return Err(invalid(format!("chunks/{a_name} and chunks/{b_name} are the same segment")));
        }
    }
    Ok(segments)
}

/// The part of `range` that `bytes` has, without copying.
pub fn cut(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    bytes.slice(start..end)
}
