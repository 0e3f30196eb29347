//! Aggregates of downsampled blocks: windows of one resolution become windows of a multiple of it.
//!
//! ```text
//! 5m       ├─┼─┼─┼─┼─┼─┼─┤├─┼─┼─┼─┤      parts, chunk by chunk; a chunk may end inside a window
//! 1h       ├──── window ─────┼──────     of parts with one start the fullest block's, then all joined
//! counter  v₁ +s +s … +s vₙ │ v₁ +s …    steps within a chunk, then the step from vₙ to the next v₁
//! ```
//! A chunk of a counter begins with its first raw value and ends with its last one, so that the step from one chunk to the
//! next is that of two samples, and so is one from or to raw samples. Between windows of one chunk the totals do not tell
//! long steps from short ones: there the lookback is not asked.

use tsdb_reader::samples::{CounterColumns, CounterResetHint, FloatColumns, HistogramColumns, HistogramRow};

use super::aggregates::{AggregateColumns, AggregateRow};
use super::fold::{Steps, step};
use crate::resolution::Resolution;
use crate::rows::SeriesExtent;

/// One window of an aggregate chunk, or what of it lies in the chunk.
#[derive(Debug, Clone, Copy)]
pub struct WindowPart {
    /// Position of the block's series among those that are merged.
    pub member: usize,
    /// Of two blocks with a window of the same samples, the one of the higher rank is newer.
    pub rank: u32,
    /// A time in the window, at or after that of its last sample here.
    pub end_ms: i64,
    /// What is known of it; its time is the start of the window of the block's resolution.
    pub row: AggregateRow,
}

/// The aggregates of one series.
#[derive(Debug, Clone, Default)]
pub struct Aggregates {
    /// Windows of the resolution that is asked for, in order of time.
    pub windows: AggregateColumns,
    /// Times and values of samples that are known besides: the last one of each chunk of a counter, in order of time.
    pub known: Vec<(i64, f64)>,
    /// The samples in the windows.
    pub extent: SeriesExtent,
    /// The first step began before the first window.
    pub has_predecessor: bool,
    /// Histograms, with those of before the unit that the first step begins at.
    pub histograms: AggregateHistograms,
    parts: Vec<WindowPart>,
}

/// The histogram aggregates of one series: totals of a counter, or sums of a gauge.
///
/// The totals begin anew with each chunk, and what a reset made of them is not told. So the step from one chunk to the
/// next is exact only when the counter was not reset within the first.
#[derive(Debug, Clone, Default)]
pub struct AggregateHistograms {
    columns: HistogramColumns,
    parts: Vec<HistogramPart>,
    /// Of the parts, those handed out.
    done: usize,
}

/// A histogram of an aggregate chunk.
#[derive(Debug, Clone, Copy)]
pub struct HistogramPart {
    /// Position of the block's series among those that are merged.
    pub member: usize,
    /// As of [`WindowPart`].
    pub rank: u32,
    /// Which of the chunks of the series it is from.
    pub chunk: usize,
    /// Start of the window of the block's resolution.
    pub start_ms: i64,
    /// How many histograms it stands for.
    pub samples: u64,
    /// It lies before the unit.
    pub is_context: bool,
    /// Its row in the columns.
    row: usize,
}

impl HistogramPart {
    /// A part whose row is to come.
    pub fn new(
        member: usize,
        rank: u32,
        chunk: usize,
        start_ms: i64,
        samples: u64,
        is_context: bool,
    ) -> Self {
        Self { member, rank, chunk, start_ms, samples, is_context, row: 0 }
    }
}

impl AggregateHistograms {
    /// Adds a histogram.
    pub fn push(&mut self, part: HistogramPart, row: HistogramRow<'_>) {
        self.parts.push(HistogramPart { row: self.columns.len(), ..part });
        self.columns.push(row);
    }

    fn clear(&mut self) {
        self.columns.clear();
        self.parts.clear();
        self.done = 0;
    }

    /// Keeps the parts of one block for each window; those before the unit are not counted.
    fn choose(&mut self, resolution: Resolution, extent: &mut SeriesExtent) -> Combined {
        let mut combined = Combined::default();
        self.parts.sort_by_key(|part| (part.start_ms, part.member, part.row));
        let mut chosen = Vec::with_capacity(self.parts.len());
        for of_start in self.parts.chunk_by(|a, b| a.start_ms == b.start_ms) {
            let samples = |of_block: &[HistogramPart]| {
                of_block.iter().fold(0u64, |sum, part| sum.saturating_add(part.samples))
            };
            let of_blocks = of_start.chunk_by(|a, b| a.member == b.member);
            let fullest =
                of_blocks.max_by_key(|of_block| (samples(of_block), of_block.first().map(|part| part.rank)));
            let counted =
                |parts: &[HistogramPart]| parts.iter().filter(|part| !part.is_context).count() as u64;
            let used = fullest.unwrap_or_default();
            combined.used += counted(used);
            combined.duplicates += counted(of_start) - counted(used);
            for part in used.iter().filter(|part| !part.is_context) {
                let (min_time_ms, max_time_ms) =
                    (part.start_ms, self.columns.times_ms.get(part.row).copied());
                let max_time_ms = max_time_ms.unwrap_or(resolution.window(min_time_ms).max_ms);
                *extent = extent.with(SeriesExtent { samples: part.samples, min_time_ms, max_time_ms });
            }
            chosen.extend_from_slice(used);
        }
        self.parts = chosen;
        combined
    }

    /// The next one with how many it stands for, if it ends before `end_ms`.
    pub(super) fn next_before(&mut self, end_ms: Option<i64>) -> Option<(HistogramRow<'_>, u64)> {
        let part = *self.parts.get(self.done)?;
        let row = self.columns.row(part.row)?;
        if end_ms.is_some_and(|end_ms| row.timestamp_ms >= end_ms) {
            return None;
        }
        let before = self.done.checked_sub(1).and_then(|before| self.parts.get(before));
        let follows = before.is_some_and(|before| before.chunk == part.chunk && before.row + 1 == part.row);
        self.done += 1;
        // A hint speaks of the step from the row before it in the chunk.
        let hint =
            if follows || row.hint == CounterResetHint::Gauge { row.hint } else { CounterResetHint::Unknown };
        Some((HistogramRow { hint, ..row }, part.samples))
    }
}

/// What became of the parts of windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Combined {
    /// They are in windows.
    pub used: u64,
    /// Another block has the same window.
    pub duplicates: u64,
    /// Of these, those that differ from what is used.
    pub conflicts: u64,
}

impl Aggregates {
    /// Forgets all of a series, keeps the memory.
    pub fn clear(&mut self) {
        self.windows.clear();
        self.known.clear();
        self.parts.clear();
        self.histograms.clear();
        (self.extent, self.has_predecessor) = (SeriesExtent::NONE, false);
    }

    /// Adds a part of a window.
    pub fn push(&mut self, part: WindowPart) {
        self.parts.push(part);
    }

    /// Adds the last sample of a chunk.
    pub fn know(&mut self, sample: (i64, f64)) {
        let at = self.known.partition_point(|&(time_ms, _)| time_ms <= sample.0);
        self.known.insert(at, sample);
    }

    /// The last sample before `time_ms` that is known here or one of `raw` from row `start` on, which ascend.
    pub fn before(&self, time_ms: i64, raw: &FloatColumns, start: usize) -> Option<(i64, f64)> {
        let known = self.known.partition_point(|&(at, _)| at < time_ms).checked_sub(1);
        let known = known.and_then(|at| self.known.get(at)).copied();
        let times_ms = raw.times_ms.get(start..).unwrap_or_default();
        let values = raw.values.get(start..).unwrap_or_default();
        let raws = times_ms.iter().copied().zip(values.iter().copied());
        let end = times_ms.partition_point(|&at| at < time_ms);
        let raw = raws.take(end).rev().find(|(_, value)| !value.is_nan());
        match (known, raw) {
            (Some(known), Some(raw)) if raw.0 > known.0 => Some(raw),
            (known, raw) => known.or(raw),
        }
    }

    /// Keeps those histograms that are to be used.
    pub fn choose_histograms(&mut self, resolution: Resolution) -> Combined {
        self.histograms.choose(resolution, &mut self.extent)
    }

    /// Makes windows of all parts.
    pub fn combine(&mut self, resolution: Resolution) -> Combined {
        let mut combined = Combined::default();
        self.parts.sort_by_key(|part| (part.row.time_ms, part.member));
        let mut open: Option<AggregateRow> = None;
        for of_start in self.parts.chunk_by(|a, b| a.row.time_ms == b.row.time_ms) {
            let Some((mut row, of_block)) = fullest(of_start) else { continue };
            let used = of_block.len() as u64;
            combined.used += used;
            combined.duplicates += of_start.len() as u64 - used;
            combined.conflicts += conflicts(of_start, of_block);
            let end_ms = of_block.last().map_or(row.time_ms, |part| part.end_ms);
            self.extent = self.extent.with(SeriesExtent {
                samples: u64::try_from(row.count).unwrap_or(0),
                min_time_ms: row.time_ms,
                max_time_ms: end_ms,
            });
            row.time_ms = resolution.window_start(row.time_ms);
            match &mut open {
                Some(open) if open.time_ms == row.time_ms => open.join(&row),
                _ => open.replace(row).iter().for_each(|done| self.windows.push(done)),
            }
        }
        open.iter().for_each(|done| self.windows.push(done));
        combined
    }
}

/// Of parts with one start, those of the block that counts most samples; of several such, the newest.
fn fullest(parts: &[WindowPart]) -> Option<(AggregateRow, &[WindowPart])> {
    let of_blocks = parts.chunk_by(|a, b| a.member == b.member);
    let joined = of_blocks.filter_map(|of_block| Some((joined(of_block)?, of_block)));
    joined.max_by_key(|(row, of_block)| (row.count, of_block.first().map(|part| part.rank)))
}

fn joined(parts: &[WindowPart]) -> Option<AggregateRow> {
    let (first, others) = parts.split_first()?;
    let mut row = first.row;
    others.iter().for_each(|part| row.join(&part.row));
    Some(row)
}

/// Parts that are not `used` and differ from what is.
fn conflicts(parts: &[WindowPart], used: &[WindowPart]) -> u64 {
    let bits = |part: &WindowPart| (part.row.count, part.row.values.map(f64::to_bits));
    let is_other = |part: &&WindowPart| used.first().is_some_and(|used| used.member != part.member);
    let others = parts.iter().filter(is_other);
    others.filter(|part| !used.iter().any(|used| bits(used) == bits(part))).count() as u64
}

/// By how much a counter has grown in the windows of one chunk.
#[derive(Debug)]
pub struct Increases<'a> {
    counter: &'a CounterColumns,
    next: usize,
    first_step: f64,
}

impl<'a> Increases<'a> {
    /// Of a chunk with this counter; `before` is the sample before its first one.
    pub fn new(counter: &'a CounterColumns, before: Option<(i64, f64)>, steps: Steps) -> Self {
        let first = counter.times_ms.first().copied().zip(counter.totals.first().copied());
        let first_step = first.map_or(0.0, |first| step(before, first, 0, steps));
        Self { counter, next: 0, first_step }
    }

    /// That of the next window, which ends at `end_ms`; null when the counter does not say.
    pub fn until(&mut self, end_ms: i64) -> f64 {
        let (mut increase, mut is_known) = (0.0, false);
        while let Some(&time_ms) = self.counter.times_ms.get(self.next).filter(|&&at| at <= end_ms) {
            // The first of a chunk is no step within it.
            let within = self.counter.increases.get(self.next).copied().unwrap_or_default();
            increase += if self.next == 0 { self.first_step } else { within };
            is_known = time_ms == end_ms;
            self.next += 1;
        }
        if is_known { increase } else { AggregateColumns::NULL }
    }
}
