//! The index of a block: from labels to series, from series to chunks.
//!
//! ```text
//! ┌────────────────┬────────────┐
//! │ 0xBAAAD700 u32 │ version u8 │   1, 2 or 3
//! ├────────────────┴────────────┤
//! │ symbol table                │   symbols.rs
//! │ series                      │   series.rs, scan.rs
//! │ label indices               │   label_index.rs; up to Prometheus 3.6, only checked
//! │ postings lists              │   postings.rs
//! │ label offset table          │   the same
//! │ postings offset table       │   postings_table.rs
//! │ table of contents, 52 bytes │   toc.rs
//! └─────────────────────────────┘
//! ```
//! An index may have 64 GiB, and opening one costs two small reads: head and table of contents. Symbols and postings
//! offset table are opened on first use, lists and series entries when asked for. Of what is opened, every checksum
//! is verified; every length is checked against the place of the table of contents before anything is fetched.
//!
//! Versions: 1 (Prometheus 2.0, 2.1) names symbols and series by file offset. 2 (since 2.2) numbers symbols and
//! aligns series to 16 bytes. 3 is read like 2. Prometheus 2.1.0 wrote bodies of version 2 under the version byte 1,
//! so that of version 1 the body is asked: see [`Layout`].
//! Defined in Prometheus' `tsdb/docs/format/index.md`.

mod label_index;
mod postings;
mod postings_table;
mod reader;
mod scan;
mod series;
mod symbols;
#[cfg(test)]
mod tests;
mod toc;

pub use label_index::{LabelIndex, LabelIndexEntry, LabelIndexTable};
pub use postings::{Postings, PostingsOffset};
pub use postings_table::{PostingsEntries, PostingsEntry, PostingsTable};
pub use reader::{Index, LabelNames, LabelValues, Layout, SeriesEntries};
pub use scan::{EntryPlace, SeriesScan};
pub use series::{ChunkMeta, Series};
pub use symbols::{SymbolRef, Symbols};
pub use toc::Toc;
