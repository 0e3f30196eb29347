//! Verify: every checksum, order, reference, count and time of a block.
//!
//! ```text
//! index.rs      symbols, postings offset table, every postings list, their agreement with the series
//! series.rs     every series: label order, chunk order, and its chunks
//! chunks.rs     every chunk: checksum, encoding, samples, times
//! mod.rs        what opening found, tombstones, segments, counts of meta.json
//! ```
//! All findings are told, not the first; each by a stable name, with its file and where there is one its offset.
//! *Broken* is what cannot be read, or would be read as something else; a *note* is what is unusual and can be
//! read all the same. Memory does not grow with the block.

mod chunks;
mod index;
mod series;

use tsdb_reader::index::Series;
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Block, DecodeErrorKind, Error};

use crate::blocks::OpenBlock;
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use series::Found;

/// Where findings go as they are made.
pub type Tell<'a> = &'a mut dyn FnMut(Finding);

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Series read.
    pub series: u64,
    /// Chunks read.
    pub chunks: u64,
    /// Samples by the headers of the chunks read.
    pub samples: u64,
    /// Findings told, notes included.
    pub findings: u64,
    /// Broken ones among them.
    pub broken: u64,
}

/// Verifies a block, all findings at once.
pub fn verify_block(block: &OpenBlock) -> Vec<Finding> {
    let mut findings = Vec::new();
    verify(&block.block, &block.location, &mut |finding| findings.push(finding));
    findings
}

/// Verifies the block that lies at `location`; tells each finding as soon as it is made.
pub fn verify(block: &Block, location: &str, tell: Tell<'_>) -> Verified {
    let mut checker = Checker { block, location, tell, verified: Verified::default() };
    checker.meta();
    checker.segments();
    checker.tombstones();
    if let Some(found) = checker.index() {
        checker.counts(&found);
    }
    checker.verified
}

/// A block under test, and whom to tell.
struct Checker<'a> {
    block: &'a Block,
    location: &'a str,
    tell: Tell<'a>,
    verified: Verified,
}

impl Checker<'_> {
    fn finding(&mut self, severity: Severity, name: &str, file: BlockFile, message: String) {
        self.verified.findings += 1;
        self.verified.broken += u64::from(severity == Severity::Broken);
        (self.tell)(Finding::new(severity, name, format!("{}/{file}", self.location), message));
    }

    fn broken(&mut self, name: &str, file: BlockFile, message: String) {
        self.finding(Severity::Broken, name, file, message);
    }

    fn note(&mut self, name: &str, file: BlockFile, message: String) {
        self.finding(Severity::Note, name, file, message);
    }

    /// What the reader could not take; `part` begins the finding's name: `symbols-checksum`.
    fn error(&mut self, part: &str, file: BlockFile, error: &Error) {
        let (name, message) = match error {
            Error::Decode { source, .. } => (format!("{part}-{}", kind(&source.kind)), source.to_string()),
            error => (format!("{part}-unreadable"), error_chain(error)),
        };
        self.broken(&name, file, message);
    }

    fn meta(&mut self) {
        let meta = self.block.meta();
        if meta.min_time_ms > meta.max_time_ms {
            let message = format!("minTime {} is after maxTime {}", meta.min_time_ms, meta.max_time_ms);
            self.broken("meta-time-range", BlockFile::Meta, message);
        }
    }

    fn segments(&mut self) {
        match self.block.segments() {
            Err(error) => self.error("segment", BlockFile::Segment(1), &error),
            Ok(segments) => {
                if let Some(missing) = segments.gap() {
                    let message = "it is missing, though later segments are there".to_owned();
                    self.broken("segment-gap", BlockFile::Segment(missing), message);
                }
            }
        }
    }

    fn tombstones(&mut self) {
        let file = BlockFile::Tombstones;
        let tombstones = match self.block.tombstones() {
            Ok(tombstones) => tombstones,
            Err(error) => return self.error("tombstones", file, &error),
        };
        if tombstones.inverted() > 0 {
            let message =
                format!("{} intervals end before they begin; they delete nothing", tombstones.inverted());
            self.note("tombstone-inverted", file, message);
        }
        let mut series = Series::new();
        for (series_ref, _) in tombstones.iter() {
            if self.block.index().series(series_ref, &mut series).is_err() {
                let message = format!("series {series_ref}, of which it deletes, cannot be read");
                self.note("tombstone-without-series", file, message);
            }
        }
    }

    /// What `meta.json` says against what is there. A difference is not broken: nothing relies on these counts.
    fn counts(&mut self, found: &Found) {
        let stats = &self.block.meta().stats;
        if found.is_partial || stats.num_series == 0 && stats.num_chunks == 0 && stats.num_samples == 0 {
            return;
        }
        for (what, stated, found) in [
            ("series", stats.num_series, found.series),
            ("chunks", stats.num_chunks, found.chunks),
            ("samples", stats.num_samples, found.samples),
        ] {
            if stated != found {
                let message = format!("it states {stated} {what}, the block has {found}");
                self.note("meta-count", BlockFile::Meta, message);
            }
        }
    }
}

/// The end of a finding's name.
fn kind(kind: &DecodeErrorKind) -> &'static str {
    match kind {
        DecodeErrorKind::Checksum { .. } => "checksum",
        DecodeErrorKind::Truncated { .. } => "truncated",
        DecodeErrorKind::UnsupportedEncoding { .. } => "encoding",
        DecodeErrorKind::Limit { .. } => "too-large",
        _ => "invalid",
    }
}
