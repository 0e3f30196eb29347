//! Aggregates: windows of downsampled blocks, where nothing finer is.

use tsdb_reader::DecodeError;
use tsdb_reader::chunks::Chunk;
use tsdb_reader::samples::{
    Aggregate, AggregateChunk, AggregateColumns, AggregateDecoder, CounterChain, CounterColumns,
    CounterResetHint, FloatColumns, HistogramColumns,
};

use super::keep::{Terms, Window};
use super::parts::Part;
use super::{Merger, Take};
use crate::coverage::Coverage;
use crate::downsample::{self, AggregateRow, HistogramPart, Increases, Steps, WindowPart};
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

impl Merger<'_> {
    /// Makes windows of the chunks of downsampled blocks, and says how many histograms these have for windows to come.
    /// `columns` have the float samples of the series from row `start` on.
    pub(super) fn append_aggregates(
        &mut self,
        parts: &[Part<'_>],
        members: &[Member],
        (columns, start): (&FloatColumns, usize),
    ) -> u64 {
        self.aggregates.clear();
        let Take::Windows { resolution, context } = self.take else { return 0 };
        let mut terms = Terms::default();
        let mut reader = std::mem::take(&mut self.aggregate_reader);
        let mut in_time: Vec<_> = parts.iter().collect();
        in_time.sort_by_key(|part| part.meta.min_time_ms);
        let mut finer: Option<(usize, Coverage)> = None;
        for (at, part) in in_time.into_iter().enumerate() {
            let holds_histograms = match reader.read(part.chunk, context) {
                Ok(holds_histograms) => holds_histograms,
                Err(error) => {
                    self.lose_rest(part, 0, error);
                    continue;
                }
            };
            let (member, _) = part.place;
            let finer = match &mut finer {
                Some((of, coverage)) if *of == member => coverage,
                other => &mut other.insert((member, self.finer(part, members))).1,
            };
            if holds_histograms {
                self.push_histograms((at, part), &reader, resolution, finer, &mut terms);
            } else {
                self.push_windows(part, &reader, resolution, finer, (columns, start), &mut terms);
            }
            reader.last.into_iter().for_each(|last| self.aggregates.know(last));
        }
        self.aggregate_reader = reader;
        let combined = self.aggregates.combine(resolution);
        self.enter(terms);
        self.tally.aggregated += combined.used;
        let histograms = self.aggregates.choose_histograms(resolution);
        self.tally.duplicates += combined.duplicates + histograms.duplicates;
        self.tally.conflicts += combined.conflicts;
        histograms.used
    }

    /// Adds the windows of one chunk that belong to this unit.
    fn push_windows(
        &mut self,
        part: &Part<'_>,
        reader: &AggregateReader,
        resolution: Resolution,
        finer: &Coverage,
        (columns, start): (&FloatColumns, usize),
        terms: &mut Terms,
    ) {
        let Some(own) = Resolution::windows(part.block.resolution_ms()) else { return };
        let first_ms = reader.counter.times_ms.first().copied();
        let before = first_ms.and_then(|first_ms| self.aggregates.before(first_ms, columns, start));
        let steps = Steps { lookback_ms: self.wanted.lookback_ms };
        let mut increases = Increases::new(&reader.counter, before, steps);
        let judge = self.judge(part);
        let start_ms = self.wanted.bounds.min_ms;
        let is_near = |&(at_ms, _): &(i64, f64)| {
            first_ms.is_some_and(|first_ms| first_ms.saturating_sub(at_ms) <= steps.lookback_ms)
        };
        let began_ms = before.filter(is_near).map(|(at_ms, _)| at_ms).or(first_ms);
        for at in (0..reader.columns.len()).map_while(|row| reader.columns.row(row)) {
            let increase = increases.until(at.end_ms);
            let bounds = own.window(at.end_ms);
            let whole = resolution.window(at.end_ms);
            let window = Window { end_ms: at.end_ms, bounds, whole, count: at.count, finer };
            if self.keeps_window(&judge, &window, terms) {
                let known = |value: Option<f64>| value.unwrap_or(downsample::AggregateColumns::NULL);
                let unknown = downsample::AggregateColumns::NULL;
                self.aggregates.has_predecessor |= began_ms.is_some_and(|began_ms| began_ms < start_ms);
                self.aggregates.push(WindowPart {
                    member: part.place.0,
                    rank: part.block.rank,
                    end_ms: at.end_ms,
                    row: AggregateRow {
                        time_ms: bounds.min_ms,
                        count: i64::try_from(at.count).unwrap_or(i64::MAX),
                        values: [known(at.sum), known(at.min), known(at.max), unknown, unknown, increase],
                    },
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
        finer: &Coverage,
        terms: &mut Terms,
    ) {
        let Some(own) = Resolution::windows(part.block.resolution_ms()) else { return };
        let judge = self.judge(part);
        let histograms = &reader.histograms;
        let mut rows = (0..histograms.len()).map_while(|row| histograms.row(row)).peekable();
        for row in (0..reader.columns.len()).map_while(|row| reader.columns.row(row)) {
            let histogram = rows.next_if(|histogram| histogram.timestamp_ms == row.end_ms);
            let bounds = own.window(row.end_ms);
            let whole = resolution.window(row.end_ms);
            let window = Window { end_ms: row.end_ms, bounds, whole, count: row.count, finer };
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

    /// The times for which there is something finer than the block of `part`: by what its like states, and by the chunks
    /// that the series has in other blocks.
    fn finer(&self, part: &Part<'_>, members: &[Member]) -> Coverage {
        let is_finer = |member: &&Member| {
            let block = self.blocks.get(member.block);
            block.is_some_and(|block| block.resolution_ms() < part.block.resolution_ms())
        };
        let chunks = members.iter().filter(is_finer).flat_map(|member| &member.chunks);
        let of_chunks =
            chunks.map(|chunk| TimeBounds { min_ms: chunk.min_time_ms, max_ms: chunk.max_time_ms });
        part.block.finer.intervals().iter().copied().chain(of_chunks).collect()
    }
}
