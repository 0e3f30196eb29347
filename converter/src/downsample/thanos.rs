//! Aggregates of downsampled blocks: windows of one resolution become windows of a multiple of it.
//!
//! ```text
//! 5m       ├─┼─┼─┼─┼─┼─┼─┤├─┼─┼─┼─┤      parts, chunk by chunk; a chunk may end inside a window
//! 1h       ├──── window ─────┼──────     of parts with one start the fullest block's, then all joined
//! counter  v₁ +s +s … +s vₙ │ v₁ +s …    steps within a chunk, then the step from vₙ to the next v₁
//! raw                   · · · · ·        takes over inside a chunk: a step from the last window that is used
//! ```
//! A chunk of a counter begins with its first raw value and ends with its last one, so that the step from one chunk to the
//! next is that of two samples. Where something finer takes over inside a chunk, a step leads from the end of the last
//! window before it, never from the chunk before: the windows between have counted what lies between. The value there is
//! told by [`last_values`], or it is unknown, and the step adds nothing. Where something else fills a gap between two
//! windows of one chunk, the step into the second begins there, see [`Follows`].

use tsdb_reader::samples::{
    self, CounterColumns, CounterResetHint, FloatColumns, HistogramColumns, HistogramRow,
};

use super::aggregates::{AggregateColumns, AggregateRow};
use super::fold::{Known, Steps, step};
use crate::resolution::Resolution;
use crate::rows::SeriesExtent;
use crate::time::TimeBounds;

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
    /// First sample of the chunk, when it is in the window: the step to it is to be added.
    pub first: Option<(i64, f64)>,
    /// The window before in the chunk, when it is not the first: the step from there is counted.
    pub follows: Option<Follows>,
}

/// A window of a counter's chunk that another one follows.
#[derive(Debug, Clone, Copy)]
pub struct Follows {
    /// Its time in the chunk.
    pub end_ms: i64,
    /// What is known after this time is not of its samples.
    pub since_ms: i64,
    /// Its last value.
    pub value: Option<f64>,
    /// That of the window that follows.
    pub next: Option<f64>,
}

impl Follows {
    /// Increase of the window that follows, of which `row` has what its chunk says, when `before` is the last that is
    /// known before it.
    ///
    /// What lies between the two windows has counted its own steps. With its value the step into the window is
    /// that much shorter. Where resets or unknown values hide by how much, less is counted, never too much.
    fn increase(&self, row: &AggregateRow, before: Option<Known>, steps: Steps) -> f64 {
        let [_, min, _, _, _, increase] = row.values;
        let is_near = |from_ms: i64| row.time_ms.saturating_sub(from_ms) <= steps.lookback_ms;
        let between = match before.filter(|before| before.time_ms > self.since_ms) {
            None if is_near(self.end_ms) => return increase,
            between => between.filter(|between| is_near(between.time_ms)).and_then(|between| between.value),
        };
        let Some(between) = between else { return self.increase_inside(row) };
        let counted = match self.value {
            Some(value) if between >= value || near(between, value) => between - value,
            Some(value) if min >= value => 0.0,
            _ => between,
        };
        (increase - counted.max(0.0)).max(0.0)
    }

    /// Increase of the window that follows without the step into it, where no reset is in it; else 0.
    fn increase_inside(&self, row: &AggregateRow) -> f64 {
        let [_, min, max, _, _, increase] = row.values;
        let Some(last) = self.next.filter(|&last| near(last, max)) else { return 0.0 };
        let goes_on = self.value.is_some_and(|value| near(increase, last - value));
        if goes_on || near(increase, last) { (max - min).max(0.0) } else { 0.0 }
    }
}

/// True for values that differ by rounding.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
}

/// The aggregates of one series.
#[derive(Debug, Clone, Default)]
pub struct Aggregates {
    /// Windows of the resolution that is asked for, in order of time.
    pub windows: AggregateColumns,
    /// Of a counter, where windows end that nothing finer lies in, in order of time.
    pub known: Vec<Known>,
    /// The samples in the windows.
    pub extent: SeriesExtent,
    /// Histograms, with those of before the unit that the first step begins at.
    pub histograms: AggregateHistograms,
    parts: Vec<WindowPart>,
    /// How many of the parts are sorted: those finer than what comes now.
    finer: usize,
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
        (self.extent, self.finer) = (SeriesExtent::NONE, 0);
    }

    /// Adds a part of a window.
    pub fn push(&mut self, part: WindowPart) {
        self.parts.push(part);
    }

    /// Ends what is pushed of one resolution; what follows is coarser.
    pub fn end_resolution(&mut self) {
        self.parts.sort_by_key(|part| (part.row.time_ms, part.member));
        self.finer = self.parts.len();
    }

    /// What finer windows inside `bounds` say together.
    pub fn finer_in(&self, bounds: TimeBounds) -> Option<AggregateRow> {
        let finer = self.parts.get(..self.finer).unwrap_or_default();
        let from = finer.partition_point(|part| part.row.time_ms < bounds.min_ms);
        let to = finer.partition_point(|part| part.row.time_ms <= bounds.max_ms);
        let of_starts =
            finer.get(from..to).unwrap_or_default().chunk_by(|a, b| a.row.time_ms == b.row.time_ms);
        let rows = of_starts.filter_map(|parts| Some(fullest(parts)?.0));
        rows.reduce(|mut row, later| {
            row.join(&later);
            row
        })
    }

    /// Adds where a window ends. Of two with one time the first that has a value stays.
    pub fn know(&mut self, known: Known) {
        let at = self.known.partition_point(|before| before.time_ms <= known.time_ms);
        match at.checked_sub(1).and_then(|before| self.known.get_mut(before)) {
            Some(before) if before.time_ms == known.time_ms => before.value = before.value.or(known.value),
            _ => self.known.insert(at, known),
        }
    }

    /// The last value before `time_ms` that is known here or one of `raw`, from a row on, which ascend.
    pub fn before(&self, time_ms: i64, (raw, start): (&FloatColumns, usize)) -> Option<Known> {
        let times_ms = raw.times_ms.get(start..).unwrap_or_default();
        let values = raw.values.get(start..).unwrap_or_default();
        let raws = times_ms.iter().copied().zip(values.iter().copied());
        let end = times_ms.partition_point(|&at| at < time_ms);
        let raw = raws.take(end).rev().find(|(_, value)| !value.is_nan()).map(Known::from);
        Known::latest(raw, &self.known, time_ms)
    }

    /// Adds the steps to the first samples of chunks, and makes those shorter that something lies in. `raw` has the
    /// float samples of the series from a row on.
    pub fn settle_steps(&mut self, raw: (&FloatColumns, usize), steps: Steps) {
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            let [.., increase] = part.row.values;
            if increase.to_bits() == AggregateColumns::NULL.to_bits() {
                continue;
            }
            let settled = match (part.first, part.follows) {
                (Some(first), _) => increase + step(self.before(first.0, raw), first, 0, steps),
                (None, Some(follows)) => {
                    follows.increase(&part.row, self.before(part.row.time_ms, raw), steps)
                }
                (None, None) => increase,
            };
            let [.., increase] = &mut part.row.values;
            *increase = settled;
        }
        self.parts = parts;
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
}

impl<'a> Increases<'a> {
    /// Of a chunk with this counter.
    pub fn new(counter: &'a CounterColumns) -> Self {
        Self { counter, next: 0 }
    }

    /// That of the next window, which ends at `end_ms`, without the step to the chunk's first sample; null when the
    /// counter does not say. Beside it that sample, if the window holds it.
    pub fn until(&mut self, end_ms: i64) -> (f64, Option<(i64, f64)>) {
        let CounterColumns { times_ms, totals, increases } = self.counter;
        let (mut increase, mut first, mut is_known) = (0.0, None, false);
        while let Some(&time_ms) = times_ms.get(self.next).filter(|&&at| at <= end_ms) {
            if self.next == 0 {
                first = totals.first().map(|&value| (time_ms, value));
            }
            increase += increases.get(self.next).copied().unwrap_or_default();
            is_known = time_ms == end_ms;
            self.next += 1;
        }
        (if is_known { increase } else { AggregateColumns::NULL }, first)
    }
}

/// What totals may differ by, relative to the last of the chunk: they are sums of thousands of rounded differences.
const ROUNDING: f64 = 1e-12;

/// A window of a counter's chunk.
#[derive(Debug, Clone, Copy)]
struct Seen {
    min: f64,
    max: f64,
    total: f64,
}

/// The last value in each window of a chunk, where it is certain.
///
/// ```text
/// values  8 │ 9 12 │ 14 15 │ 17  3 │ 4  6 │ 9         a reset in the third window after the first value
/// totals  8 │   12 │    15 │    20 │   23 │ 26
/// last        12 ◄─── 15 ──►  ?  ◄── 6 ◄── 9 = vₙ     15 is as much above 12 as the totals say: no reset in between
///                             3 ◄────┘                 6 is 3 more than the last value before
/// ```
/// Where the largest values of two windows are as far apart as the totals, the first window ends with its largest: else
/// the total would have grown by more. From a value on, the next is known when its window goes on from it without a reset;
/// back from a value, the one before is it less the increase, and a reset would make that 0 or less. All of this holds
/// for counters, none of which is negative. `last` is the last sample of the chunk.
pub fn last_values(
    counter: &CounterColumns,
    windows: &samples::AggregateColumns,
    last: Option<(i64, f64)>,
) -> Vec<Option<f64>> {
    let total_at = |end_ms: i64| {
        let at = counter.times_ms.binary_search(&end_ms).ok()?;
        counter.totals.get(at).copied()
    };
    let rows = || (0..windows.len()).map_while(|row| windows.row(row));
    let seen: Vec<Option<Seen>> =
        rows().map(|row| Some(Seen { min: row.min?, max: row.max?, total: total_at(row.end_ms)? })).collect();
    // Whole numbers are not rounded.
    let is_whole = |total: &f64| total.fract() == 0.0 && total.abs() < 9_007_199_254_740_992.0;
    let rounding = match counter.totals.iter().all(is_whole) {
        true => 0.0,
        false => ROUNDING * counter.totals.last().copied().unwrap_or_default(),
    };
    let near = |a: f64, b: f64| (a - b).abs() <= rounding;
    let anchor = |(at, row): (usize, samples::AggregateRow)| {
        if let Some((_, value)) = last.filter(|&(last_ms, _)| last_ms == row.end_ms) {
            return Some(value);
        }
        let of_row = (*seen.get(at)?)?;
        let ends_largest = |next: Seen| {
            let grown = next.total - of_row.total;
            of_row.min >= 0.0 && next.min >= 0.0 && near(next.max, of_row.max + grown)
        };
        let next = seen.get(at + 1).copied().flatten();
        (of_row.min == of_row.max || next.is_some_and(ends_largest)).then_some(of_row.max)
    };
    let mut values: Vec<Option<f64>> = rows().enumerate().map(anchor).collect();
    // Value and total before the window; the first value is the first total.
    let mut before = counter.totals.first().map(|&first| (first, first));
    for (value, seen) in values.iter_mut().zip(&seen) {
        if let (None, Some((before, total_before)), Some(seen)) = (*value, before, seen) {
            let goes_on = near(seen.max, before + (seen.total - total_before));
            *value = (goes_on && seen.min > rounding && seen.min >= before).then_some(seen.max);
        }
        before = value.zip(seen.map(|seen| seen.total));
    }
    // Value and window after the window.
    let mut after: Option<(f64, Seen)> = None;
    for (value, seen) in values.iter_mut().zip(&seen).rev() {
        if let (None, Some((after, next)), Some(seen)) = (*value, after, seen) {
            let found = after - (next.total - seen.total);
            let is_inside = seen.min - rounding <= found && found <= seen.max + rounding;
            let exact = if near(found, seen.max) { seen.max } else { found };
            *value = (next.min >= 0.0 && found > rounding && is_inside).then_some(exact);
        }
        after = value.zip(*seen);
    }
    values
}

#[cfg(test)]
mod tests;
