//! Limits: what a size read from a file may make the reader allocate.
//!
//! Every length is first checked against the bytes that are left; these limits bound what remains.

/// Bytes fetched for a chunk whose length is not known yet. Chunks of Prometheus stay below 2 KiB.
pub const CHUNK_READ_AHEAD_BYTES: u64 = 4096;

/// Bytes fetched for a series entry whose length is not known yet.
pub const SERIES_READ_AHEAD_BYTES: u64 = 4096;

/// Largest `meta.json` that is read. Thanos lists every file of a block in it.
pub const META_BYTES: u64 = 64 << 20;
