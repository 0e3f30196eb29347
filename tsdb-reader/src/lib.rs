//! Reads the blocks of a Prometheus TSDB: metadata, index, chunks, tombstones.
//!
//! The crate decodes bytes. It knows no Arrow, starts no threads and prints nothing; where the bytes come from
//! is behind [`source::Source`].

pub mod chunks;
pub mod cursor;
pub mod error;
pub mod labels;
pub mod limits;
pub mod refs;
pub mod samples;
pub mod source;

pub use chunks::{Chunk, Chunks, Encoding};
pub use error::{DecodeError, DecodeErrorKind, Error};
pub use labels::Labels;
pub use refs::{ChunkRef, SeriesRef};
