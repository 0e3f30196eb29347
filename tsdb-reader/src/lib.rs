//! Reads a Prometheus TSDB: its blocks, which are metadata, index, chunks and tombstones, and the files of its head.
//!
//! The crate decodes bytes. It knows no Arrow, starts no threads and prints nothing; where the bytes come from
//! is behind [`source::Source`].
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use tsdb_reader::{Block, Series, parse_selector, source::LocalSource};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = LocalSource::open(Path::new("data/01HF0000000000000000000001"))?;
//! let block = Block::open(Arc::new(source))?;
//! let mut series = Series::new();
//! for series_ref in block.index().select(&parse_selector(r#"up{job=~"a|b"}"#)?)? {
//!     block.index().series(series_ref, &mut series)?;
//!     println!("{} has {} chunks", series.labels, series.chunks.len());
//! }
//! # Ok(())
//! # }
//! ```

pub mod block;
pub mod checksum;
pub mod chunks;
pub mod cursor;
pub mod error;
#[cfg(feature = "head")]
pub mod head;
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
pub mod trace;
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

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
