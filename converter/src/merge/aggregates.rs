//! Aggregates: windows of downsampled blocks, where nothing finer is.
//!
//! ```text
//! windows        ├─ 20 ─┼─ 20 ─┼─ 20 ─┼─ 20 ─┼─ 20 ─┤      samples that they count
//! raw, kin              ├····· ····· ···············┤      blocks that descend from the same ones: it covers
//!                  row    super  super  super  super
//! raw, stranger                  ·   ············          20 of 20: all that the window holds; 12 of 20 are a part
//!                  row    row    mixed  super  mixed
//! raw, replica             ····· ····· ········            other external labels: stands for what lies within it
//! ```
//! Raw samples and aggregates are never in one window. Where a series has finer samples of its own in a window these win,
//! be it in a backfilled block. What is not used is *superseded* when it is held by what is used: by a block that covers
//! it, see [`crate::coverage`], by samples with its count, sum and extremes, or by a replica from its first sample to its
//! last. Else it is *mixed*, and lost. What a counter grew by in lost windows is lost with them.

use tsdb_reader::DecodeError;
use tsdb_reader::chunks::Chunk;
use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{
    Aggregate, AggregateChunk, AggregateColumns, AggregateDecoder, CounterChain, CounterColumns,
    CounterResetHint, FloatColumns, HistogramColumns,
};

use super::keep::{FinerThere, Terms, Window};
use super::parts::Part;
use super::replicas::are_replicas;
use super::{Merger, Take};
use crate::blocks::OpenBlock;
use crate::coverage::Coverage;
use crate::downsample::{
    self, AggregateRow, Aggregates, Follows, HistogramPart, Increases, Known, Steps, WindowPart,
};
use crate::resolution::Resolution;
use crate::series::Member;
use crate::tally::Loss;
use crate::time::TimeBounds;

/// Reads chunk after chunk, keeps its memory.
#[derive(Debug, Default)]
pub(super) struct AggregateReader {
    decoder: AggregateDecoder,
    columns: AggregateColumns,
    counter: CounterColumns,
    /// The last sample of the counter.
    last: Option<(i64, f64)>,
    /// Totals of a counter, or sums of a gauge.
    histograms: HistogramColumns,
    counts: Vec<u64>,
}

impl AggregateReader {
    /// Reads a chunk; says whether it holds histograms.
    fn read(&mut self, chunk: &Chunk, with_counter: bool) -> Result<bool, DecodeError> {
        self.columns.clear();
        self.counter.clear();
        self.last = None;
        let chunk = chunk.aggregates()?;
        self.decoder.append(&chunk, &mut self.columns)?;
        if chunk.holds_histograms() {
            self.read_histograms(&chunk, Aggregate::Counter)?;
            if self.histograms.hints.first().is_none_or(|hint| *hint == CounterResetHint::Gauge) {
                self.read_histograms(&chunk, Aggregate::Sum)?;
            }
        } else if with_counter {
            let mut chain = CounterChain::default();
            self.decoder.append_counter(&chunk, &mut chain, &mut self.counter)?;
            self.last = chain.last_raw();
        }
        Ok(chunk.holds_histograms())
    }

    fn read_histograms(&mut self, chunk: &AggregateChunk, aggregate: Aggregate) -> Result<(), DecodeError> {
        self.histograms.clear();
        self.counts.clear();
        self.decoder.append_histograms(chunk, aggregate, &mut self.histograms, &mut self.counts)?;
        Ok(())
    }
}

/// What of a series is finer than the aggregates of one of its blocks.
struct Finer<'f> {
    /// Where finer blocks hold what the aggregates were made of.
    covered: &'f Coverage,
    /// Chunks of finer blocks whose samples are not at hand one by one.
    chunks: Coverage,
    /// Replicas that are finer, each from its first sample to its last.
    replicas: Coverage,
    /// Their chunks.
    replica_chunks: Coverage,
    /// Raw chunks among the aggregates or coarser ones.
    no_finer: Coverage,
    raw: FloatSamples<'f>,
}

/// Float samples of a series: rows of columns, from one on.
type FloatSamples<'f> = (&'f FloatColumns, usize);

impl Finer<'_> {
    /// What is there of a window, and of the unit's window it would be a part of; `is_held` when finer samples are all
    /// of its own.
    fn there(
        &self,
        (bounds, stated): (TimeBounds, TimeBounds),
        whole: TimeBounds,
        is_held: bool,
    ) -> FinerThere {
        let within = bounds.intersection(stated).unwrap_or(bounds);
        let has_any = self.has_numbers(bounds) || self.chunks.overlaps(bounds) || is_held;
        let is_same = self.covered.contains(within) || is_held;
        let stands = has_any && self.replicas.contains(within);
        FinerThere {
            holds: is_same || stands,
            is_same,
            inside: has_any || self.covered.overlaps(bounds),
            in_whole: self.chunks.overlaps(whole) || self.has_numbers(whole),
        }
    }

    /// True when the finer floats inside `bounds` are those of this window, or as good as all of them when a replica
    /// has some. Of a window at the end of a chunk, another chunk may have the rest.
    fn holds_floats(
        &self,
        bounds: TimeBounds,
        row: &AggregateRow,
        is_at_end: bool,
        windows: &Aggregates,
    ) -> bool {
        let found = self.numbers(bounds).fold(None, |found, value| Some(add(found, value)));
        let found = match (found, windows.finer_in(bounds)) {
            (Some(mut raw), Some(of_windows)) => {
                raw.join(&of_windows);
                Some(raw)
            }
            (raw, of_windows) => raw.or(of_windows),
        };
        let Some(found) = found else { return false };
        if self.is_spare(bounds) {
            return found.count.saturating_add(1) >= row.count;
        }
        row.count == 0
            || found.count == row.count && is_same(row, &found)
            || found.count > row.count && is_at_end && encloses(&found, row)
    }

    /// The same of histograms at these times, which are compared by their number.
    fn holds_histograms(
        &self,
        bounds: TimeBounds,
        count: u64,
        is_at_end: bool,
        times_ms: impl Iterator<Item = i64>,
    ) -> bool {
        let found = times_ms.filter(|&at| self.is_finer(at)).count() as u64;
        let spare = u64::from(self.is_spare(bounds));
        found > 0 && (found == count || found > count && is_at_end || spare > 0 && found + spare >= count)
    }

    /// True where a replica has samples: these need not be as many in a window.
    fn is_spare(&self, bounds: TimeBounds) -> bool {
        self.replica_chunks.overlaps(bounds)
    }

    /// True unless a raw chunk that is not finer may have the sample.
    fn is_finer(&self, time_ms: i64) -> bool {
        !self.no_finer.overlaps(TimeBounds { min_ms: time_ms, max_ms: time_ms })
    }

    fn has_numbers(&self, bounds: TimeBounds) -> bool {
        self.numbers(bounds).next().is_some()
    }

    /// Raw samples inside that are numbers.
    fn numbers(&self, bounds: TimeBounds) -> impl Iterator<Item = f64> {
        let (columns, start) = self.raw;
        let times_ms = columns.times_ms.get(start..).unwrap_or_default();
        let values = columns.values.get(start..).unwrap_or_default();
        let from = times_ms.partition_point(|&at| at < bounds.min_ms);
        let inside = times_ms.get(from..).unwrap_or_default().iter();
        let inside = inside.zip(values.get(from..).unwrap_or_default());
        let inside = inside.take_while(move |&(&at, _)| at <= bounds.max_ms);
        let numbers = inside.filter(|&(&at, value)| !value.is_nan() && self.is_finer(at));
        numbers.map(|(_, &value)| value)
    }
}

/// The window with one more sample.
fn add(window: Option<AggregateRow>, value: f64) -> AggregateRow {
    let null = downsample::AggregateColumns::NULL;
    let one = AggregateRow { time_ms: 0, count: 1, values: [value, value, value, null, null, null] };
    match window {
        Some(mut window) => {
            window.join(&one);
            window
        }
        None => one,
    }
}

/// What sums of the same samples differ by when they are added in another order, relative to the largest and their number.
const ROUNDING: f64 = 1e-14;

/// True when as many samples may be the same ones. What one of the two does not know is no difference.
fn is_same(row: &AggregateRow, found: &AggregateRow) -> bool {
    let [sum, min, max, ..] = row.values;
    let [found_sum, found_min, found_max, ..] = found.values;
    let largest = found_min.abs().max(found_max.abs());
    let rounding = ROUNDING * largest * (found.count as f64);
    let is_unknown = |a: f64, b: f64| a.is_nan() || b.is_nan();
    let alike = |a: f64, b: f64| is_unknown(a, b) || finite(a) == finite(b);
    let is_sum = is_unknown(sum, found_sum) || sum == found_sum || (sum - found_sum).abs() <= rounding;
    is_sum && alike(min, found_min) && alike(max, found_max)
}

/// True when `found` may have all samples of `row`.
fn encloses(found: &AggregateRow, row: &AggregateRow) -> bool {
    let [_, min, max, ..] = row.values;
    let [_, found_min, found_max, ..] = found.values;
    !(finite(found_min) > finite(min) || finite(found_max) < finite(max))
}

/// As extremes of aggregates are, which know no infinity.
fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

impl Merger<'_> {
    /// Makes windows of the chunks of downsampled blocks, and says how many histograms these have for windows to come.
    /// `raw_parts` are the other chunks, `raw` their float samples.
    pub(super) fn append_aggregates(
        &mut self,
        parts: &[Part<'_>],
        members: &[Member],
        raw_parts: &[Part<'_>],
        raw: FloatSamples<'_>,
    ) -> u64 {
        self.aggregates.clear();
        let Take::Windows { resolution, context, kept } = self.take else { return 0 };
        let read = self.aggregates.before(self.wanted.bounds.min_ms, raw);
        let is_later = |kept: &(i64, f64)| read.is_none_or(|read| read.time_ms < kept.0);
        kept.filter(is_later).into_iter().for_each(|kept| self.aggregates.know(kept.into()));
        let mut terms = Terms::default();
        let mut reader = std::mem::take(&mut self.aggregate_reader);
        let mut finest_first: Vec<_> = parts.iter().collect();
        finest_first.sort_by_key(|part| (part.block.resolution_ms(), part.meta.min_time_ms));
        let mut finer: Option<(usize, Finer<'_>)> = None;
        let mut resolution_ms = 0;
        for (at, part) in finest_first.into_iter().enumerate() {
            let holds_histograms = match reader.read(part.chunk, context) {
                Ok(holds_histograms) => holds_histograms,
                Err(error) => {
                    self.lose_rest(part, 0, error);
                    continue;
                }
            };
            if resolution_ms != part.block.resolution_ms() {
                resolution_ms = part.block.resolution_ms();
                self.aggregates.end_resolution();
            }
            let (member, _) = part.place;
            let finer = match &mut finer {
                Some((of, finer)) if *of == member => finer,
                other => &mut other.insert((member, self.finer(part, members, raw_parts, raw))).1,
            };
            if holds_histograms {
                self.push_histograms((at, part), &reader, resolution, finer, &mut terms);
            } else {
                self.push_windows(part, &reader, resolution, finer, &mut terms);
            }
        }
        self.aggregate_reader = reader;
        let steps = Steps { lookback_ms: self.wanted.lookback_ms };
        self.aggregates.settle_steps(raw, steps);
        let combined = self.aggregates.combine(resolution);
        self.enter(terms);
        self.tally.aggregated += combined.used;
        self.tally.from_aggregates += combined.used;
        let histograms = self.aggregates.choose_histograms(resolution);
        if are_replicas(parts) {
            self.tally.replica_removed += combined.duplicates + histograms.duplicates;
        } else {
            self.tally.duplicates += combined.duplicates + histograms.duplicates;
            self.tally.conflicts += combined.conflicts;
        }
        self.tally.from_aggregates += histograms.used;
        histograms.used
    }

    /// Adds the windows of one chunk that belong to this unit.
    fn push_windows(
        &mut self,
        part: &Part<'_>,
        reader: &AggregateReader,
        resolution: Resolution,
        finer: &Finer<'_>,
        terms: &mut Terms,
    ) {
        let Some(own) = Resolution::windows(part.block.resolution_ms()) else { return };
        let values = downsample::last_values(&reader.counter, &reader.columns, reader.last);
        let mut increases = Increases::new(&reader.counter);
        let judge = self.judge(part);
        let kept = match self.take {
            Take::Windows { kept, .. } => kept,
            _ => None,
        };
        let is_counter = !reader.counter.times_ms.is_empty();
        let rows = (0..reader.columns.len()).map_while(|row| reader.columns.row(row));
        let mut before: Option<Follows> = None;
        let last_row = reader.columns.len().saturating_sub(1);
        for (number, (at, value)) in rows.zip(values).enumerate() {
            let (increase, first) = increases.until(at.end_ms);
            let (bounds, whole) = (own.window(at.end_ms), resolution.window(at.end_ms));
            let known = |value: Option<f64>| value.unwrap_or(downsample::AggregateColumns::NULL);
            let unknown = downsample::AggregateColumns::NULL;
            let row = AggregateRow {
                time_ms: bounds.min_ms,
                count: i64::try_from(at.count).unwrap_or(i64::MAX),
                values: [known(at.sum), known(at.min), known(at.max), unknown, unknown, increase],
            };
            let is_at_end = number == 0 || number == last_row;
            let is_held = finer.holds_floats(bounds, &row, is_at_end, &self.aggregates);
            let finer = finer.there((bounds, part.block.stated()), whole, is_held);
            let window = Window { end_ms: at.end_ms, bounds, count: at.count, finer };
            if !finer.inside && at.count > 0 && is_counter {
                // What was kept of a window is its last sample.
                let kept = kept.filter(|(time_ms, _)| bounds.contains(*time_ms)).map(|(_, value)| value);
                self.aggregates.know(Known { time_ms: at.end_ms, value: value.or(kept) });
            }
            let follows = before.map(|before| Follows { next: value, ..before });
            if is_counter && at.count > 0 {
                // Finer samples that are all of a window's end where it does.
                let since_ms =
                    if !finer.inside || finer.is_same { at.end_ms } else { bounds.min_ms.saturating_sub(1) };
                before = Some(Follows { end_ms: at.end_ms, since_ms, value, next: None });
            }
            if self.keeps_window(&judge, &window, terms) {
                self.aggregates.push(WindowPart {
                    member: part.place.0,
                    rank: part.block.rank,
                    end_ms: at.end_ms,
                    row,
                    first,
                    follows,
                });
            }
        }
    }

    /// Adds the histograms of one chunk, the number `at` of them, that belong to this unit or to its context.
    fn push_histograms(
        &mut self,
        (at, part): (usize, &Part<'_>),
        reader: &AggregateReader,
        resolution: Resolution,
        finer: &Finer<'_>,
        terms: &mut Terms,
    ) {
        let Some(own) = Resolution::windows(part.block.resolution_ms()) else { return };
        let judge = self.judge(part);
        let histograms = &reader.histograms;
        let mut rows = (0..histograms.len()).map_while(|row| histograms.row(row)).peekable();
        let last_row = reader.columns.len().saturating_sub(1);
        for (number, row) in (0..reader.columns.len()).map_while(|row| reader.columns.row(row)).enumerate() {
            let histogram = rows.next_if(|histogram| histogram.timestamp_ms == row.end_ms);
            let (bounds, whole) = (own.window(row.end_ms), resolution.window(row.end_ms));
            let is_at_end = number == 0 || number == last_row;
            let times_ms = self.histograms.times_in(bounds);
            let is_held = finer.holds_histograms(bounds, row.count, is_at_end, times_ms);
            let finer = finer.there((bounds, part.block.stated()), whole, is_held);
            let window = Window { end_ms: row.end_ms, bounds, count: row.count, finer };
            let is_kept = self.keeps_window(&judge, &window, terms);
            let is_context = !is_kept && self.take.has_context() && row.end_ms < self.wanted.bounds.min_ms;
            match histogram {
                Some(histogram) if is_kept || is_context => {
                    let member = part.place.0;
                    let part =
                        HistogramPart::new(member, part.block.rank, at, bounds.min_ms, row.count, is_context);
                    self.aggregates.histograms.push(part, histogram);
                }
                None if is_kept => self.tally.lose(Loss::EncodingAggregate, 1),
                _ => {}
            }
        }
    }

    /// What is finer than the block of `part`.
    fn finer<'f>(
        &self,
        part: &Part<'f>,
        members: &[Member],
        raw_parts: &[Part<'_>],
        raw: FloatSamples<'f>,
    ) -> Finer<'f> {
        let own_ms = part.block.resolution_ms();
        let blocks = members.iter().filter_map(|member| Some((member, self.blocks.get(member.block)?)));
        let finer: Vec<_> = blocks.filter(|(_, block)| block.resolution_ms() < own_ms).collect();
        let chunks = finer.iter().filter(|(_, block)| block.resolution_ms() > 0);
        let chunks = chunks.flat_map(|(member, _)| &member.chunks).map(times);
        let is_finer = |raw: &&Part<'_>| raw.block.resolution_ms() < own_ms;
        let histograms = raw_parts.iter().filter(|raw| is_finer(raw) && raw.holds_histograms());
        let external = |block: &OpenBlock| OpenBlock::external(&block.block);
        let own_labels = external(part.block);
        let replicas: Vec<_> = finer
            .iter()
            .filter(|(_, block)| external(block) != own_labels)
            .map(|(member, _)| member)
            .collect();
        let extent = |chunks: &[ChunkMeta]| {
            let max_ms = chunks.iter().map(|chunk| chunk.max_time_ms).max()?;
            Some(TimeBounds { min_ms: chunks.first()?.min_time_ms, max_ms })
        };
        Finer {
            covered: &part.block.finer,
            chunks: chunks.chain(histograms.map(|raw| times(raw.meta))).collect(),
            replicas: replicas.iter().filter_map(|member| extent(&member.chunks)).collect(),
            replica_chunks: replicas.iter().flat_map(|member| &member.chunks).map(times).collect(),
            no_finer: raw_parts.iter().filter(|raw| !is_finer(raw)).map(|raw| times(raw.meta)).collect(),
            raw,
        }
    }
}

fn times(chunk: &ChunkMeta) -> TimeBounds {
    TimeBounds { min_ms: chunk.min_time_ms, max_ms: chunk.max_time_ms }
}
