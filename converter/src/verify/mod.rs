//! Verify: every checksum, order, reference, count and time of a block.
//!
//! ```text
//! index.rs      symbols, postings offset table, every postings list
//! postings.rs   that lists and series agree
//! series.rs     every series: label order, chunk order, and its chunks
//! chunks.rs     every chunk: checksum, encoding, samples, times
//! segments.rs   every byte of the segments: chunks that no series names, or two
//! files.rs      files that are none of the block's
//! names.rs      what findings are called
//! mod.rs        what opening found, tombstones, segments, counts of meta.json
//! ```
//! All findings are told, not the first; each by a stable name, with its file and where there is one its offset.
//! Of one name the first [`TOLD`] are told, the others counted. *Broken* is what cannot be read, or would be read as
//! something else; a *note* is what is unusual and can be read all the same. Memory does not grow with the block.

mod chunks;
pub mod files;
mod index;
pub mod names;
mod postings;
mod segments;
mod series;

use std::collections::BTreeMap;

use tsdb_reader::index::Series;
use tsdb_reader::source::BlockFile;
use tsdb_reader::{Block, Error};

use crate::blocks::OpenBlock;
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use series::Found;

/// Findings of one name that are told of one block; the others are counted.
pub const TOLD: u64 = 100;

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
    /// Findings made, notes and those that were only counted included.
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
    let mut checker = Checker { block, location, tell, verified: Verified::default(), made: BTreeMap::new() };
    checker.meta();
    checker.segments();
    checker.tombstones();
    if let Some(found) = checker.index() {
        checker.counts(&found);
    }
    checker.tell_rest();
    checker.verified
}

/// A block under test, and whom to tell.
struct Checker<'a> {
    block: &'a Block,
    location: &'a str,
    tell: Tell<'a>,
    verified: Verified,
    /// How many findings of each name there were.
    made: BTreeMap<(Severity, String), u64>,
}

impl Checker<'_> {
    fn finding(&mut self, severity: Severity, name: &str, file: BlockFile, message: String) {
        self.verified.findings += 1;
        self.verified.broken += u64::from(severity == Severity::Broken);
        let made = self.made.entry((severity, name.to_owned())).or_default();
        *made += 1;
        if *made > TOLD {
            return;
        }
        (self.tell)(Finding::new(severity, name, format!("{}/{file}", self.location), message));
    }

    fn broken(&mut self, name: &str, file: BlockFile, message: String) {
        self.finding(Severity::Broken, name, file, message);
    }

    fn note(&mut self, name: &str, file: BlockFile, message: String) {
        self.finding(Severity::Note, name, file, message);
    }

    /// Tells how many findings were only counted.
    fn tell_rest(&mut self) {
        for ((severity, name), made) in &self.made {
            if let Some(more) = made.checked_sub(TOLD).filter(|more| *more > 0) {
                let message = format!("and {more} more like the {TOLD} told before");
                (self.tell)(Finding::new(*severity, name, self.location, message));
            }
        }
    }

    /// What the reader could not take; `part` begins the finding's name: `symbols-checksum`.
    fn error(&mut self, part: &str, file: BlockFile, error: &Error) {
        let (name, message) = match error {
            Error::Decode { source, .. } => {
                (format!("{part}-{}", names::way(&source.kind)), source.to_string())
            }
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
        let mut counts = vec![
            ("series", stats.num_series, found.series),
            ("chunks", stats.num_chunks, found.chunks),
            ("samples", stats.num_samples, found.samples),
        ];
        if stats.num_float_samples > 0 || stats.num_histogram_samples > 0 {
            counts.push(("float samples", stats.num_float_samples, found.floats));
            counts.push(("histogram samples", stats.num_histogram_samples, found.histograms));
        }
        if let Ok(tombstones) = self.block.tombstones()
            && stats.num_tombstones > 0
            // Written before or after merging, by the writer.
            && stats.num_tombstones != tombstones.len() as u64
        {
            counts.push(("tombstones", stats.num_tombstones, tombstones.entries() as u64));
        }
        for (what, stated, found) in counts {
            if stated != found {
                let message = format!("it states {stated} {what}, the block has {found}");
                self.note("meta-count", BlockFile::Meta, message);
            }
        }
    }
}
