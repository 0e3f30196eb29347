//! Series of a block that is far away: entries are read in windows, and what comes behind a window is announced.
//!
//! ```text
//! refs of a run │▓▓▓▓▓▓▓▓▓▓▓▓│▒▒▒▒▒▒▒▒▒▒▒▒│            │     ▓ read: walked now    ▒ announced: on its way
//! runs behind it              │▒▒▒▒│▒▒▒▒▒▒▒▒│░░░░░░│        ░ their lists announced
//! ```
//! A window reaches over many small runs, so that a block with many small metrics takes few requests, too. The symbols
//! are opened for one walk and go with it: of thousands of blocks, only those at work hold theirs.

use std::collections::VecDeque;

use tsdb_reader::index::{Index, Series, SeriesEntries};
use tsdb_reader::{Error, SeriesRef};

use crate::blocks::OpenBlock;

/// Series of a window, for all blocks of a walk together.
const WINDOW_SERIES: usize = 16 << 10;
/// Of a window of one block.
const MOST_SERIES: usize = 4 << 10;
const LEAST_SERIES: usize = 128;
/// Windows of runs whose lists are announced together.
const LISTS_WINDOWS: usize = 8;

/// Reads ahead in one block.
#[derive(Debug)]
pub(super) struct FarSeries {
    index: Index,
    window: usize,
    entries: Option<SeriesEntries>,
    /// Runs whose lists are read, and which nobody has opened yet.
    runs: VecDeque<(usize, Result<Vec<SeriesRef>, Error>)>,
    /// Behind them.
    next_run: usize,
    /// Lists of runs before this one were announced.
    announced: usize,
}

impl FarSeries {
    /// Reads ahead in `block`, one of so many that are walked together; none for a block that is near.
    pub(super) fn new(block: &OpenBlock, walked_together: usize) -> Option<Self> {
        let index = block.block.index();
        index.is_far().then(|| Self {
            index: index.reopened(),
            window: (WINDOW_SERIES / walked_together.max(1)).clamp(LEAST_SERIES, MOST_SERIES),
            entries: None,
            runs: VecDeque::new(),
            next_run: 0,
            announced: 0,
        })
    }

    /// The series of run `run`, and from now on those of the runs before `last_run` that `is_wanted` wants are read
    /// ahead.
    pub(super) fn run_refs(
        &mut self,
        block: &OpenBlock,
        run: usize,
        last_run: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<SeriesRef>, Error> {
        self.runs.retain(|(ahead, _)| *ahead >= run);
        self.next_run = self.next_run.max(run);
        let mut series: usize = self.runs.iter().map(|(_, refs)| refs.as_ref().map_or(0, Vec::len)).sum();
        // Its own, and two windows behind it.
        while self.next_run < last_run && (self.runs.is_empty() || series < self.reach()) {
            if is_wanted(self.next_run) {
                self.announce_lists(block, last_run);
                let refs = block.run_refs(self.next_run);
                series += refs.as_ref().map_or(0, Vec::len);
                self.runs.push_back((self.next_run, refs));
            }
            self.next_run += 1;
        }
        match self.runs.pop_front() {
            Some((ahead, refs)) if ahead == run => refs,
            _ => block.run_refs(run),
        }
    }

    /// Announces the lists of the next runs, when the last ones announced are used up.
    fn announce_lists(&mut self, block: &OpenBlock, last_run: usize) {
        if self.next_run < self.announced {
            return;
        }
        let mut lists = Vec::new();
        let (mut run, mut series) = (self.next_run, 0);
        while run < last_run && series < (LISTS_WINDOWS * self.window) as u64 {
            if let Some((offset, len)) = block.list_of_run(run) {
                lists.push((offset, len));
                series += len;
            }
            run += 1;
        }
        self.announced = run;
        self.index.prefetch_postings(lists);
    }

    /// How many series should be known before they are read.
    pub(super) fn reach(&self) -> usize {
        2 * self.window
    }

    /// Series of the runs behind the one at hand.
    fn upcoming(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        self.runs.iter().flat_map(|(_, refs)| refs.iter().flatten().copied())
    }

    /// Reads a series; `behind` are those that come next in its run.
    pub(super) fn series(
        &mut self,
        series_ref: SeriesRef,
        behind: impl Iterator<Item = SeriesRef>,
        series: &mut Series,
    ) -> Result<(), Error> {
        if !self.entries.as_ref().is_some_and(|entries| entries.has(series_ref)) {
            self.read_window(series_ref, behind);
        }
        match &self.entries {
            Some(entries) => self.index.series_in(entries, series_ref, series),
            None => self.index.series(series_ref, series),
        }
    }

    fn read_window(&mut self, first: SeriesRef, behind: impl Iterator<Item = SeriesRef>) {
        let refs: Vec<_> =
            std::iter::once(first).chain(behind).chain(self.upcoming()).take(self.reach()).collect();
        let (now, next) = refs.split_at(refs.len().min(self.window));
        let announce = |refs: &[SeriesRef]| {
            let mut ascending = refs.to_vec();
            ascending.sort_unstable();
            self.index.prefetch_series(ascending);
        };
        announce(now);
        announce(next);
        // Read one by one, each says what is wrong.
        self.entries = self.index.read_entries(now.iter().copied()).ok();
    }
}
