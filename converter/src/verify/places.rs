//! Every byte of the index: which structure it belongs to.
//!
//! ```text
//! ┌──────┬─────────┬┬────────┬┬────────┬┬─────────────┬──────┬──────┬───────┬─────┬───────┬─────┐
//! │ head │ symbols ││ series ││ series ││ label index │ list │ list │ table │ gap │ table │ toc │
//! └──────┴─────────┴┴────────┴┴────────┴┴─────────────┴──────┴──────┴───────┴─────┴───────┴─────┘
//!      padding: zeros, as few as take what follows to a multiple of 16 or 4
//! ```
//! Structures come in any order and are joined to runs as they come: those of one kind in the order of the file, if
//! they were written as they all are. Then there are never more runs than kinds, and one in the end, whatever the size
//! of the index; at most [`RUNS`] are kept.
//!
//! Gaps are looked for only when every structure could be read: that of a broken one is not known for sure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tsdb_reader::index::{Index, Toc};
use tsdb_reader::limits::SERIES_SCAN_BYTES;
use tsdb_reader::source::{BlockFile, Source};

use super::Checker;

/// 40 MiB in all.
const RUNS: usize = 1 << 20;

const FILE: BlockFile = BlockFile::Index;
const HEAD_BYTES: u64 = 5;
const SECTION_ALIGNMENT: u64 = 4;

/// The structures of an index, in file order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Head,
    Symbols,
    Series,
    LabelIndex,
    Postings,
    LabelIndexTable,
    PostingsTable,
    Toc,
}

/// What of an index belongs to which structure.
pub(super) struct Places {
    source: Arc<dyn Source>,
    /// By where they begin.
    runs: BTreeMap<u64, Run>,
    /// Where the last structure of each kind ends.
    ends: BTreeMap<Part, u64>,
    /// The place of some structure is not known.
    is_partial: bool,
    /// There are more runs than are kept.
    is_over: bool,
    window: Bytes,
    window_start: u64,
}

/// Structures with nothing but padding between them.
#[derive(Debug, Clone, Copy)]
struct Run {
    end: u64,
    /// What the offset of the first one is a multiple of.
    alignment: u64,
}

impl Places {
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            runs: BTreeMap::new(),
            ends: BTreeMap::new(),
            is_partial: false,
            is_over: false,
            window: Bytes::new(),
            window_start: 0,
        }
    }

    /// Some structure cannot be read, so that it is not known what belongs to it.
    pub fn lose(&mut self) {
        self.is_partial = true;
    }

    /// Adds a structure; the first bytes that are not zero in the padding before and behind it.
    fn add(&mut self, part: Part, place: Range<u64>, alignment: u64) -> [Option<u64>; 2] {
        let last = self.ends.entry(part).or_default();
        *last = place.end.max(*last);
        if self.is_over {
            return [None, None];
        }
        let mut not_zero = [None, None];
        let (mut start, mut run) = (place.start, Run { end: place.end, alignment });
        if let Some((&before, &Run { end, alignment: of_first })) = self.runs.range(..start).next_back()
            && start.saturating_sub(end) < alignment
        {
            not_zero[0] = self.not_zero(end..start);
            (start, run) = (before, Run { end: run.end.max(end), alignment: of_first });
        }
        while let Some((&behind, &next)) = self.runs.range(place.start..).next()
            && behind.saturating_sub(run.end) < next.alignment
        {
            not_zero[1] = not_zero[1].or(self.not_zero(run.end..behind));
            run.end = run.end.max(next.end);
            self.runs.remove(&behind);
        }
        self.runs.insert(start, run);
        self.is_over = self.runs.len() > RUNS;
        not_zero
    }

    /// The first byte of `padding` that is not zero.
    fn not_zero(&mut self, padding: Range<u64>) -> Option<u64> {
        if padding.is_empty() {
            return None;
        }
        let window = self.window_start..self.window_start.saturating_add(self.window.len() as u64);
        if !(window.start <= padding.start && padding.end <= window.end) {
            let ahead = padding.start..padding.start.saturating_add(SERIES_SCAN_BYTES).max(padding.end);
            self.window_start = ahead.start;
            self.window = self.source.read(FILE, &[ahead]).ok()?.pop().unwrap_or_default();
        }
        let skip = usize::try_from(padding.start - self.window_start).unwrap_or(usize::MAX);
        let bytes = self.window.iter().skip(skip);
        padding.zip(bytes).find(|(_, byte)| **byte != 0).map(|(at, _)| at)
    }

    /// How many runs there are.
    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// What lies between the runs.
    fn gaps(&self) -> Vec<Range<u64>> {
        let mut from = 0;
        let gap = |(&start, run): (&u64, &Run)| {
            let gap = from..start;
            from = run.end;
            gap
        };
        self.runs.iter().map(gap).filter(|gap| !gap.is_empty()).collect()
    }

    /// Where the last structure ends that comes before `part`.
    fn end_before(&self, part: Part) -> u64 {
        self.ends.range(..part).map(|(_, end)| *end).max().unwrap_or_default()
    }
}

impl Checker<'_> {
    /// Notes where a structure of the index lies.
    pub(super) fn place_of(&mut self, part: Part, place: Range<u64>) {
        let alignment = match part {
            Part::Series => self.index.map_or(1, |index| index.layout().series_alignment()),
            Part::LabelIndex | Part::Postings => SECTION_ALIGNMENT,
            _ => 1,
        };
        for at in self.places.add(part, place, alignment).into_iter().flatten() {
            let message = format!("the byte at offset {at:#x} is padding and not zero");
            self.broken("index-padding", FILE, message);
        }
    }

    /// The same of a section, which begins with its length. Returns how many bytes it has.
    pub(super) fn place_of_section(&mut self, index: &Index, part: Part, offset: u64) -> u64 {
        let Ok(place) = index.section_place(offset) else {
            self.places.lose();
            return 0;
        };
        let bytes = place.end.saturating_sub(place.start);
        self.place_of(part, place);
        bytes
    }

    /// Goes through the series entries; `tell` of their checksums, if nobody else looks at them.
    pub(super) fn places_of_series(&mut self, index: &Index, tell: bool) {
        let Ok(mut scan) = index.scan_places() else { return self.places.lose() };
        loop {
            let error = match scan.next_place() {
                Ok(None) => return,
                Ok(Some(place)) => {
                    self.place_of(Part::Series, place.range);
                    match place.checksum {
                        Ok(()) => continue,
                        Err(error) => error.in_file(FILE),
                    }
                }
                Err(error) => error,
            };
            self.places.lose();
            if tell {
                self.error("series", FILE, &error);
            }
        }
    }

    /// Tells of bytes that belong to nothing, and of sections that lie elsewhere than the table of contents says.
    pub(super) fn places(&mut self, index: &Index) {
        self.place_of(Part::Head, 0..HEAD_BYTES);
        let size = index.size_bytes();
        self.place_of(Part::Toc, size.saturating_sub(Toc::LEN)..size);
        if self.places.is_partial {
            return;
        }
        if self.places.is_over {
            let message =
                format!("its parts lie in more than {RUNS} places, so that gaps were not looked for");
            return self.note("index-unaccounted", FILE, message);
        }
        let gaps = self.places.gaps();
        for Range { start, end } in &gaps {
            let message =
                format!("{} bytes from offset {start:#x} to {end:#x} belong to nothing", end - start);
            self.broken("index-gap", FILE, message);
        }
        if !gaps.is_empty() {
            return; // Sections do not begin where the one before ends.
        }
        let toc = index.toc();
        for (part, name, stated) in [
            (Part::Series, "series", toc.series),
            (Part::LabelIndex, "label indices", toc.label_indices),
            (Part::Postings, "postings", toc.postings),
            (Part::LabelIndexTable, "label index table", toc.label_indices_table),
            (Part::PostingsTable, "postings table", toc.postings_table),
        ] {
            let found = self.places.end_before(part);
            // 0 is how a section says that it is not there.
            let may_be_absent = matches!(part, Part::LabelIndex | Part::LabelIndexTable);
            if stated != found && !(stated == 0 && may_be_absent) {
                let message =
                    format!("the table of contents puts the {name} at {stated:#x}, they begin at {found:#x}");
                self.broken("toc-wrong", FILE, message);
            }
        }
    }
}
