//! Verify: every checksum, order, reference, count and time of a block.
//!
//! ```text
//! index.rs          symbols, postings offset table, every postings list
//! label_indices.rs  label indices, by which nothing is read
//! places.rs         every byte of the index: bytes that belong to nothing, padding
//! postings.rs       that lists and series agree
//! series.rs         every series: label order, chunk order, and its chunks
//! chunks.rs         every chunk: checksum, encoding, samples, times
//! segments.rs       every byte of the segments: chunks that no series names, or two
//! files.rs          files that are none of the block's
//! names.rs          what findings are called
//! mod.rs            what opening found, tombstones, segments, counts of meta.json
//! ```
//! All findings are told, not the first; each by a stable name, with its file and where there is one its offset.
//! Of one name the first [`TOLD`] are told, the others counted. *Broken* is what cannot be read, what would be read
//! as something else, and what no writer wrote; a *note* is what is unusual and can be read all the same.
//!
//! Memory does not grow with the block: what is kept between structures has its limit in `places.rs`, `postings.rs` and
//! `segments.rs`. Beside it are one series with its chunks, the names of the segments, and what the reader keeps of an
//! open block.
//!
//! Of a block that cannot be opened every part is looked at that can be found: see [`verify_damaged`].

mod chunks;
pub mod files;
mod index;
mod label_indices;
pub mod names;
mod places;
mod postings;
mod segments;
mod series;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tsdb_reader::block::{Segments, read_meta, read_tombstones};
use tsdb_reader::index::{Index, Series, Toc};
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{Block, BlockMeta, Error, Tombstones, Ulid};

use crate::blocks::OpenBlock;
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use places::Places;
use series::Found;

/// Findings of one name that are told of one block; the others are counted.
pub const TOLD: u64 = 100;

/// In the head of a segment, behind magic and version.
const SEGMENT_PADDING: Range<u64> = 5..8;

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
    let mut checker = Checker::new(block.source(), location, tell);
    (checker.meta, checker.index) = (Some(block.meta()), Some(block.index()));
    checker.check(block.tombstones().as_ref().copied());
    checker.verified
}

/// Verifies the files of a block that cannot be opened: its meta, tombstones and segments each for itself, and of
/// the index what can be found in spite of its damage.
pub fn verify_damaged(source: &Arc<dyn Source>, location: &str, tell: Tell<'_>) -> Verified {
    let meta = read_meta(source.as_ref());
    let (index, index_errors) = Index::open_damaged(Arc::clone(source));
    let mut checker = Checker::new(source, location, tell);
    (checker.meta, checker.index) = (meta.as_ref().ok(), index.as_ref());
    if let Err(error) = &meta {
        checker.error("meta", BlockFile::Meta, error);
    }
    let toc = source.size(BlockFile::Index).unwrap_or_default().checked_sub(Toc::LEN);
    for error in &index_errors {
        let part = if toc.is_some_and(|toc| is_behind(error, toc)) { "toc" } else { "index" };
        checker.error(part, BlockFile::Index, error);
    }
    // Where it leads behind itself is told, and not once more by who follows it there.
    checker.broken_toc = toc.filter(|toc| index_errors.iter().any(|error| is_behind(error, *toc)));
    checker.check(read_tombstones(source.as_ref()).as_ref());
    checker.verified
}

/// A block under test, and whom to tell.
struct Checker<'a> {
    source: &'a Arc<dyn Source>,
    /// None when it cannot be read.
    meta: Option<&'a BlockMeta>,
    /// None when it cannot be opened.
    index: Option<&'a Index>,
    location: &'a str,
    tell: Tell<'a>,
    verified: Verified,
    /// How many findings of each name there were.
    made: BTreeMap<(Severity, String), u64>,
    /// Where the table of contents begins, if something is wrong with it.
    broken_toc: Option<u64>,
    /// What of the index belongs to which structure.
    places: Places,
}

impl<'a> Checker<'a> {
    fn new(source: &'a Arc<dyn Source>, location: &'a str, tell: Tell<'a>) -> Self {
        let (verified, made) = (Verified::default(), BTreeMap::new());
        let places = Places::new(Arc::clone(source));
        Self { source, meta: None, index: None, location, tell, verified, made, broken_toc: None, places }
    }

    /// Checks all there is.
    fn check(&mut self, tombstones: Result<&Tombstones, &Error>) {
        self.meta();
        self.segments();
        match tombstones {
            Ok(tombstones) => self.tombstones(tombstones),
            Err(error) => self.error("tombstones", BlockFile::Tombstones, error),
        }
        match self.index.map(|index| self.index(index)) {
            Some(Some(found)) => self.counts(&found, tombstones.ok()),
            Some(None) => {}
            None => self.chunks_alone(),
        }
        self.tell_rest();
    }

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
        if file == BlockFile::Index && self.broken_toc.is_some_and(|toc| is_behind(error, toc)) {
            return;
        }
        let (name, message) = refusal(part, error);
        self.broken(&name, file, message);
    }

    fn meta(&mut self) {
        let Some(meta) = self.meta else { return };
        let folder = Path::new(self.location).file_name().and_then(|name| name.to_str());
        if let Some(named) = folder.and_then(|name| name.parse::<Ulid>().ok())
            && named != meta.ulid
        {
            let message = format!("it states ULID {}, which counts; the folder is named {named}", meta.ulid);
            self.note("meta-ulid", BlockFile::Meta, message);
        }
        if meta.min_time_ms > meta.max_time_ms {
            let message = format!("minTime {} is after maxTime {}", meta.min_time_ms, meta.max_time_ms);
            self.broken("meta-time-range", BlockFile::Meta, message);
        }
    }

    fn segments(&mut self) {
        match Segments::list(self.source.as_ref()) {
            Err(error) => self.error("segment", BlockFile::Segment(1), &error),
            Ok(segments) => {
                if let Some(missing) = segments.gap() {
                    let message = "it is missing, though later segments are there: no reference into those \
                                   is followed, they are looked at by themselves";
                    self.broken("segment-gap", BlockFile::Segment(missing), message.to_owned());
                }
                segments.numbers().iter().for_each(|number| self.segment_padding(*number));
            }
        }
    }

    /// Readers pass over the three bytes, and a later version may use them.
    fn segment_padding(&mut self, number: u32) {
        let file = BlockFile::Segment(number);
        let padding = self.source.read(file, &[SEGMENT_PADDING]).unwrap_or_default();
        if padding.iter().flatten().any(|byte| *byte != 0) {
            let message = format!("bytes that are to be zero at offset {:#x} are not", SEGMENT_PADDING.start);
            self.note("segment-padding", file, message);
        }
    }

    fn tombstones(&mut self, tombstones: &Tombstones) {
        let file = BlockFile::Tombstones;
        if tombstones.inverted() > 0 {
            let message =
                format!("{} intervals end before they begin; they delete nothing", tombstones.inverted());
            self.note("tombstone-inverted", file, message);
        }
        let Some(index) = self.index else { return };
        let mut series = Series::new();
        for (series_ref, _) in tombstones.iter() {
            if index.series(series_ref, &mut series).is_err() {
                let message = format!("series {series_ref}, of which it deletes, cannot be read");
                self.note("tombstone-without-series", file, message);
            }
        }
    }

    /// What `meta.json` says against what is there. A difference is not broken: nothing relies on these counts.
    fn counts(&mut self, found: &Found, tombstones: Option<&Tombstones>) {
        let Some(stats) = self.meta.map(|meta| &meta.stats) else { return };
        if found.is_partial || stats.num_series == 0 && stats.num_chunks == 0 && stats.num_samples == 0 {
            return;
        }
        let mut counts = vec![
            ("series", stats.num_series, found.series),
            ("chunks", stats.num_chunks, found.chunks),
            ("samples", stats.num_samples, found.samples),
        ];
        // A downsampled block keeps those of its source.
        let is_raw = self.meta.is_some_and(|meta| meta.resolution_ms() == 0);
        if is_raw && (stats.num_float_samples > 0 || stats.num_histogram_samples > 0) {
            counts.push(("float samples", stats.num_float_samples, found.floats));
            counts.push(("histogram samples", stats.num_histogram_samples, found.histograms));
        }
        if let Some(tombstones) = tombstones
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

/// True for what is wrong at `offset` or behind it.
fn is_behind(error: &Error, offset: u64) -> bool {
    matches!(error, Error::Decode { source, .. } if source.offset >= offset)
}

/// Name and message of what the reader refuses of a part.
fn refusal(part: &str, error: &Error) -> (String, String) {
    match error {
        Error::Decode { source, .. } => (format!("{part}-{}", names::way(&source.kind)), source.to_string()),
        Error::Meta { .. } | Error::MetaVersion { .. } | Error::ThanosMetaVersion { .. } => {
            (format!("{part}-invalid"), error_chain(error))
        }
        error => (format!("{part}-unreadable"), error_chain(error)),
    }
}
