//! The head on disk: the newest hours of a database, not a block yet.
//!
//! ```text
//! wal/00000012 …                          every series and sample since the checkpoint        segment, record
//! wal/checkpoint.00000011/00000000 …      what is still needed of the segments up to 11       segment, record
//! wbl/00000000 …                          out-of-order samples as they arrived                segment, record
//! chunks_head/000001 …                    chunks that are full                                chunks
//! chunk_snapshot.000007.0000032768/…      the chunks still open, as of a shutdown             segment, snapshot
//! ```
//! [`segment`] cuts a file into records, [`record`] decodes them; [`files`] finds the files. Nothing here knows what
//! a record does to the one before it: that is the work of whoever replays them.
//! Defined in Prometheus' `tsdb/docs/format/wal.md`, `head_chunks.md` and `memory_snapshot.md`.

pub mod chunks;
mod compression;
pub mod files;
pub mod record;
mod refs;
pub mod segment;
pub mod snapshot;

pub use chunks::{HeadChunk, HeadChunks};
pub use files::{HeadFiles, HeadListing};
pub use record::Record;
pub use refs::{HeadChunkRef, HeadSeriesRef};
pub use segment::{RawRecord, SegmentReader};
pub use snapshot::SnapshotRecord;

#[cfg(test)]
mod tests;
