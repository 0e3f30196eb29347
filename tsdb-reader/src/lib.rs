//! Reads the blocks of a Prometheus TSDB: metadata, index, chunks, tombstones.
//!
//! The crate decodes bytes. It knows no Arrow, starts no threads and prints nothing; where the bytes come from
//! is behind [`source::Source`].

pub mod block;
pub mod checksum;
pub mod chunks;
pub mod cursor;
pub mod error;
pub mod index;
pub mod labels;
pub mod limits;
pub mod matcher;
pub mod meta;
mod once;
pub mod refs;
pub mod samples;
pub mod source;
#[cfg(test)]
mod testing;
pub mod tombstones;
pub mod ulid;

pub use block::Block;
pub use chunks::{Chunk, Chunks, Encoding};
pub use error::{DecodeError, DecodeErrorKind, Error};
pub use index::{ChunkMeta, Index, Series};
pub use labels::Labels;
pub use matcher::{MatchOp, Matcher, SelectorError, parse_selector};
pub use meta::BlockMeta;
pub use refs::{ChunkRef, SeriesRef};
pub use tombstones::{Interval, Tombstones};
pub use ulid::Ulid;
