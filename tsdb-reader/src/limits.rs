//! Limits: what a size read from a file may make the reader allocate.
//!
//! Every length is first checked against the bytes that are left; these limits bound what remains.

/// Bytes fetched for a chunk whose length is not known yet. Chunks of Prometheus stay below 2 KiB.
pub const CHUNK_READ_AHEAD_BYTES: u64 = 4096;

/// Bytes fetched for a series entry whose length is not known yet.
pub const SERIES_READ_AHEAD_BYTES: u64 = 4096;

/// Largest `meta.json` that is read. Thanos lists every file of a block in it.
pub const META_BYTES: u64 = 64 << 20;

/// Bytes of an index section fetched before its length is known. Most postings lists fit.
pub const SECTION_READ_AHEAD_BYTES: u64 = 4096;

/// Bytes at the front and at the end of an index fetched together with its head and its table of contents, where a
/// request takes long.
pub const FAR_INDEX_ENDS_BYTES: u64 = 64 << 10;

/// Bytes of the series section fetched at a time by a scan.
pub const SERIES_SCAN_BYTES: u64 = 4 << 20;

/// Names and values of one series. An entry is short, but each of its symbols may be long, and named often.
pub const LABELS_BYTES: u64 = 256 << 20;

/// Offsets kept of the symbol table; of larger tables every second, third… symbol's.
pub const SYMBOL_OFFSETS: usize = 1 << 20;

/// Largest `tombstones` file that is read.
pub const TOMBSTONES_BYTES: u64 = 64 << 20;

/// Memory of one compiled regular expression.
pub const REGEX_BYTES: usize = 10 << 20;

/// Buckets of all histograms of a chunk, 8 bytes each once they are decoded. Chunks of Prometheus have some thousand.
pub const CHUNK_BUCKETS: u64 = 1 << 24;

/// A record of the write-ahead log after decompression. Those of Prometheus stay below a few MiB; a segment is cut
/// at 128 MiB.
pub const RECORD_BYTES: u64 = 256 << 20;
