//! A unit at work: its series cut into slices, and a slice turned into encoded rows.
//!
//! A *slice* is a run of consecutive series of a unit, the grain of parallel work. Where slices are cut depends on
//! the blocks alone, never on threads or memory.

mod far;

use std::collections::BTreeMap;

use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use crate::blocks::{OpenBlock, SliceBlocks};
use crate::downsample::{
    AggregateColumns, Aggregates, DownsampleOptions, Folded, HistogramFold, Known, Treatment, fold,
};
use crate::finding::{Finding, Findings, Severity};
use crate::identities::SeriesIdentity;
use crate::merge::{self, Appended, Became, Consumer, Merger, Switch, Take, Wanted, add_switches};
use crate::predecessors::{self, Kept, Predecessor, Predecessors};
use crate::resolution::Resolution;
use crate::rows::{SampleRows, SeriesExtent, SeriesRows, Windows, histograms_weight};
use crate::series::{Member, MergedSeries, SeriesError, SeriesMerge};
use crate::sink::{EncodedRows, Encoder, Format, SinkError};
use crate::tally::{RuleTally, Tally};

use far::FarChunks;
pub use far::announce_chunks;

/// Series of a slice at most: their labels are held while it is encoded.
const SERIES_PER_SLICE: usize = 1 << 16;

/// Consecutive series of a unit.
#[derive(Debug)]
pub struct Slice {
    /// Position in its unit.
    pub index: usize,
    /// Series in output order, and what becomes of each.
    pub series: Vec<(MergedSeries, Treatment)>,
}

/// Samples that weigh as much as a row where they become windows: 5 minutes of a scrape every 15 seconds are 20.
const SAMPLES_PER_WINDOW: u64 = 16;

/// Bytes of chunks that weigh as much as a row: floats take less, but for random ones.
const CHUNK_BYTES_PER_ROW: u64 = 4;

/// Rows that a slice of this format is cut at, about: a Parquet row group, or as much text as is held at once.
pub fn rows_per_slice(format: Format) -> u64 {
    match format {
        Format::Parquet => 1 << 19,
        Format::Ndjson => 1 << 16,
    }
}

/// Buckets of histograms that go to the sink together, about: a Parquet row group, or as much text as is held at once.
pub fn buckets_per_part(format: Format) -> usize {
    match format {
        Format::Parquet => 1 << 20,
        Format::Ndjson => 1 << 17,
    }
}

/// Cuts the next slice off `merge`, about `rows` long; none at the end.
///
/// The rows of a chunk are taken to be as many as chunks of its block hold on average: to know better, the chunks
/// would have to be read here. Where a block has histograms, rows may be large: there the bytes of chunks count, too.
pub fn next_slice<K>(
    index: usize,
    merge: &mut SeriesMerge<'_, K>,
    blocks: SliceBlocks<'_>,
    rows: u64,
    treatment: impl Fn(&MergedSeries) -> Treatment,
) -> Result<Option<Slice>, SeriesError>
where
    K: FnMut(&OpenBlock, &ChunkMeta) -> bool,
{
    let (mut series, mut expected) = (Vec::new(), 0);
    while expected < rows && series.len() < SERIES_PER_SLICE {
        let Some(next) = merge.next()? else { break };
        let treatment = treatment(&next);
        let weight = next.members.iter().map(|member| weight(member, blocks)).sum::<u64>();
        expected += if treatment.is_windows() { weight.div_ceil(SAMPLES_PER_WINDOW) } else { weight };
        series.push((next, treatment));
    }
    Ok((!series.is_empty()).then_some(Slice { index, series }))
}

/// What a series of one block weighs, in rows.
fn weight(member: &Member, blocks: SliceBlocks<'_>) -> u64 {
    let Some(block) = blocks.get(member.block) else { return member.chunks.len() as u64 };
    let rows = member.chunks.len() as u64 * blocks.samples_per_chunk(member.block);
    match block.may_have_histograms() {
        true => rows.max(chunk_bytes(&member.chunks) / CHUNK_BYTES_PER_ROW),
        false => rows,
    }
}

/// Size of the chunks, by where they begin; the last one of a segment is taken to be like the others.
fn chunk_bytes(chunks: &[ChunkMeta]) -> u64 {
    let (mut bytes, mut known) = (0, 0);
    for pair in chunks.windows(2) {
        let [ChunkMeta { chunk_ref, .. }, ChunkMeta { chunk_ref: next, .. }] = pair else { continue };
        if chunk_ref.segment_position() == next.segment_position() && chunk_ref < next {
            bytes += next.offset() - chunk_ref.offset();
            known += 1;
        }
    }
    let mean = bytes.checked_div(known).unwrap_or(0);
    bytes + mean.saturating_mul(chunks.len() as u64 - known)
}

/// What is known of a slice when all of its rows are handed over.
#[derive(Debug, Default)]
pub struct SliceOutcome {
    /// What became of its samples.
    pub tally: Tally,
    /// What could not be read.
    pub findings: Findings,
    /// Of each series with rows.
    pub identities: Vec<SeriesIdentity>,
    /// Of each counter with windows: what the next run is to know of before the unit.
    pub predecessors: Vec<Predecessor>,
    /// What rules did, by their number.
    pub rules: BTreeMap<usize, RuleTally>,
}

/// Merges and encodes a slice; its rows of all tables go to `hand_over`, in order. First steps may begin at what is
/// `kept` of the unit.
pub fn encode_slice<E: From<SinkError>>(
    slice: &Slice,
    blocks: SliceBlocks<'_>,
    (wanted, kept): (Wanted, &Predecessors),
    encoder: &Encoder,
    rows: &mut SampleRows,
    hand_over: impl FnMut(EncodedRows) -> Result<(), E>,
) -> Result<SliceOutcome, E> {
    rows.clear();
    let format = encoder.options().format;
    let portion_buckets = buckets_per_part(format);
    let mut merger = Merger::new(blocks, wanted);
    let mut tables = Tables {
        encoder,
        // Chunks may hold more than the average: then the slice is encoded in parts.
        rows_per_part: 2 * rows_per_slice(format),
        portion_buckets,
        start_ms: wanted.bounds.min_ms,
        lookback_ms: wanted.lookback_ms,
        treatment: Treatment::RAW,
        all_kept: kept,
        key: 0,
        kept: Kept::default(),
        floats: FloatColumns::default(),
        histograms: HistogramColumns::default(),
        aggregates: Aggregates::default(),
        switches: Vec::new(),
        fold: HistogramFold::new(wanted.bounds.min_ms, wanted.lookback_ms),
        folded: Folded::default(),
        rows,
        outcome: SliceOutcome::default(),
        hand_over,
    };
    // Series that were counted again with each of their resolutions.
    let mut twice = 0;
    let mut far = FarChunks::new(slice, blocks);
    for (at, (series, treatment)) in slice.series.iter().enumerate() {
        if let Some(far) = &mut far {
            far.reach(at);
        }
        let before = merger.counted();
        if treatment.is_as_is {
            for (series, treatment) in as_they_are(series, *treatment, blocks) {
                let take = tables.take(&series, treatment, blocks);
                merger.feed(&series, take, portion_buckets, &mut tables)?;
                tables.list_once();
            }
            twice += (merger.counted().series - before.series).saturating_sub(1);
        } else {
            let take = tables.take(series, *treatment, blocks);
            merger.feed(series, take, portion_buckets, &mut tables)?;
        }
        tables.encode_full()?;
        if let Some(rule) = treatment.rule {
            let done = merger.counted();
            tables.outcome.rules.entry(rule).or_default().add(RuleTally {
                series: 1,
                samples: done.samples - before.samples,
                rows: done.rows - before.rows,
            });
        }
    }
    tables.encode_rows()?;
    let Tables { mut outcome, .. } = tables;
    let (tally, findings) = merger.finish();
    outcome.tally.add(&tally);
    outcome.tally.series -= twice;
    outcome.findings.append(findings);
    Ok(outcome)
}

/// A series for each resolution that its blocks have: raw, and those that are kept.
fn as_they_are(
    series: &MergedSeries,
    treatment: Treatment,
    blocks: SliceBlocks<'_>,
) -> Vec<(MergedSeries, Treatment)> {
    let kept: Vec<Resolution> = DownsampleOptions::as_is().kept().collect();
    let mut parts: BTreeMap<Resolution, Vec<Member>> = BTreeMap::new();
    for member in &series.members {
        let of_block = blocks.get(member.block).and_then(|block| Resolution::windows(block.resolution_ms()));
        let resolution = of_block.filter(|of_block| kept.contains(of_block)).unwrap_or(Resolution::RAW);
        parts.entry(resolution).or_default().push(member.clone());
    }
    let mut merged = series.merged;
    let part = |(resolution, members)| {
        let treatment = Treatment { resolution: Some(resolution), ..treatment };
        (
            MergedSeries { labels: series.labels.clone(), members, merged: std::mem::take(&mut merged) },
            treatment,
        )
    };
    parts.into_iter().map(part).collect()
}

/// Rows of a slice on their way to the encoder.
struct Tables<'t, H> {
    encoder: &'t Encoder,
    rows_per_part: u64,
    portion_buckets: usize,
    /// Where the unit begins.
    start_ms: i64,
    lookback_ms: i64,
    /// What becomes of the series at hand.
    treatment: Treatment,
    all_kept: &'t Predecessors,
    /// Names the series at hand there, and what is kept of it.
    key: u64,
    kept: Kept,
    /// Its floats and histograms, where they become windows.
    floats: FloatColumns,
    histograms: HistogramColumns,
    /// Its windows from downsampled blocks.
    aggregates: Aggregates,
    /// Its steps from one replica to another.
    switches: Vec<Switch>,
    fold: HistogramFold,
    folded: Folded,
    rows: &'t mut SampleRows,
    outcome: SliceOutcome,
    hand_over: H,
}

impl<E: From<SinkError>, H: FnMut(EncodedRows) -> Result<(), E>> Tables<'_, H> {
    /// What is read of the next series. Whether it has histograms that count is known only when they are decoded.
    fn take(&mut self, series: &MergedSeries, treatment: Treatment, blocks: SliceBlocks<'_>) -> Take {
        (self.treatment, self.kept) = (treatment, Kept::default());
        let may_have_histograms = || {
            let blocks = series.members.iter().filter_map(|member| blocks.get(member.block));
            blocks.into_iter().any(OpenBlock::may_have_histograms)
        };
        let Treatment { resolution, steps, .. } = treatment;
        match treatment.windows() {
            Some(resolution) => {
                let context = steps.is_some() || may_have_histograms();
                if context {
                    self.look_up(series, blocks);
                }
                let kept = self.kept.float.filter(|_| steps.is_some());
                Take::Windows { resolution, context, kept }
            }
            None if resolution.is_none() => Take::Nothing,
            None => Take::Samples,
        }
    }

    /// Finds what is kept of the next series: what is not deleted of it.
    fn look_up(&mut self, series: &MergedSeries, blocks: SliceBlocks<'_>) {
        let Treatment { resolution, is_as_is, .. } = self.treatment;
        self.key = predecessors::key(&series.labels, resolution.filter(|_| is_as_is));
        let is_deleted = |time_ms| {
            series.members.iter().any(|member| {
                let block = blocks.get(member.block);
                let gone =
                    block.map(|block| block.tombstones.intervals(member.series_ref)).unwrap_or_default();
                gone.iter().any(|gone| (gone.min_time_ms..=gone.max_time_ms).contains(&time_ms))
            })
        };
        let kept = self.all_kept.of(self.key);
        self.kept = kept.filter(|time_ms| self.is_near(time_ms) && !is_deleted(time_ms));
        if kept.float != self.kept.float {
            self.keep(i64::MIN, 0.0); // Unless another takes its place.
        }
        if kept.histogram_ms != self.kept.histogram_ms {
            self.keep(i64::MIN, f64::NAN);
        }
    }

    /// True for a time within the lookback before the unit.
    fn is_near(&self, time_ms: i64) -> bool {
        (self.start_ms.saturating_sub(self.lookback_ms)..self.start_ms).contains(&time_ms)
    }

    /// Keeps a predecessor of the series at hand, instead of what was kept of its kind.
    fn keep(&mut self, time_ms: i64, value: f64) {
        self.outcome.predecessors.push(Predecessor { key: self.key, time_ms, value });
    }

    fn keep_float(&mut self, before: Option<Known>) {
        if let Some(Known { time_ms, value: Some(value) }) =
            before.filter(|before| self.is_near(before.time_ms))
        {
            self.keep(time_ms, value);
        }
    }

    fn encode_rows(&mut self) -> Result<(), E> {
        if !self.rows.is_empty() {
            (self.hand_over)(self.encoder.encode(self.rows)?)?;
            self.rows.clear();
        }
        Ok(())
    }

    /// Encodes the rows when they are many.
    fn encode_full(&mut self) -> Result<(), E> {
        if self.rows.float_rows() as u64 >= self.rows_per_part { self.encode_rows() } else { Ok(()) }
    }

    /// Where the last series stands there with other resolutions, the first of them tells of all.
    fn list_once(&mut self) {
        let Some((last, before)) = self.rows.series.split_last_mut() else { return };
        let of_same = before.iter_mut().rev().take_while(|series| series.series_id == last.series_id);
        let Some(first) = of_same.last() else { return };
        let extent = std::mem::take(&mut last.extent);
        first.extent = first.extent.with(extent);
        first.is_counter |= last.is_counter;
    }

    /// Notes where the histograms of the series at hand end.
    fn place_histograms(&mut self) {
        let Some(row) = self.rows.series.last_mut() else { return };
        let windows = self.rows.windows.get(&row.resolution);
        row.histograms_end = windows.map_or(self.rows.histograms.len(), |windows| windows.histograms.len());
    }

    /// Ends the windows of the series at hand, if it has windows.
    fn end_windows(&mut self) -> Option<merge::Windows> {
        let windows = self.rows.windows.entry(self.treatment.windows()?).or_default();
        let (floats, histograms) = (self.folded, self.fold.end(windows));
        let is_latest = |before_ms: &i64| self.kept.histogram_ms.is_none_or(|kept_ms| kept_ms <= *before_ms);
        if let Some(before_ms) = histograms.before_ms.filter(is_latest) {
            self.keep(before_ms, f64::NAN);
        }
        self.outcome.tally.steps_lost += u64::from(histograms.lost_step);
        self.place_histograms();
        if let Some(row) = self.rows.series.last_mut() {
            row.extent = row.extent.with(histograms.extent);
            if let Some(error) = histograms.error {
                let message = format!("{} histograms are in no window: {error}", histograms.lost);
                let place = row.labels.to_string();
                self.outcome.findings.push(Finding::new(
                    Severity::Note,
                    "histograms-not-added",
                    place,
                    message,
                ));
            }
        }
        // Stale markers alone are no rows.
        self.rows.series.pop_if(|row| row.extent.samples == 0);
        Some(merge::Windows {
            rows: floats.rows + histograms.rows,
            histograms: histograms.rows,
            left_out: floats.left_out + histograms.left_out,
            lost: histograms.lost,
        })
    }

    /// The windows of the resolution at hand.
    fn windows(&mut self) -> Option<(Resolution, &mut Windows)> {
        let resolution = self.treatment.windows()?;
        Some((resolution, self.rows.windows.entry(resolution).or_default()))
    }
}

impl<E: From<SinkError>, H: FnMut(EncodedRows) -> Result<(), E>> Consumer for Tables<'_, H> {
    type Error = E;

    fn floats(&mut self) -> &mut FloatColumns {
        if self.treatment.is_windows() { &mut self.floats } else { &mut self.rows.columns }
    }

    fn histograms(&mut self) -> &mut HistogramColumns {
        if self.treatment.is_windows() { &mut self.histograms } else { &mut self.rows.histograms }
    }

    fn aggregates(&mut self, aggregates: &mut Aggregates) {
        std::mem::swap(&mut self.aggregates, aggregates);
    }

    fn switches(&mut self, switches: &mut Vec<Switch>) {
        std::mem::swap(&mut self.switches, switches);
    }

    fn begin(&mut self, series: &MergedSeries, appended: Appended) -> Result<(), E> {
        self.outcome.tally.merged_series += series.merged;
        // With another replica, less may be followed, but not less be there.
        let samples = appended.samples().saturating_add(appended.replica_removed);
        let identity = SeriesIdentity::new(&series.labels, samples);
        match self.outcome.identities.last_mut() {
            Some(last) if (last.series_id, last.check) == (identity.series_id, identity.check) => {
                last.samples = last.samples.saturating_add(identity.samples);
            }
            _ => self.outcome.identities.push(identity),
        }
        let mut row = SeriesRows::new(series.labels.clone(), identity.series_id, SeriesExtent::NONE);
        let Treatment { steps, aggregates: kept, .. } = self.treatment;
        let (start_ms, floats) = (self.start_ms, std::mem::take(&mut self.floats));
        let mut aggregates = std::mem::take(&mut self.aggregates);
        let mut switches = std::mem::take(&mut self.switches);
        if let Some((resolution, windows)) = self.windows() {
            let start = windows.floats.len();
            if steps.is_none() {
                aggregates.windows.increases.fill(AggregateColumns::NULL);
            }
            let known = &aggregates.known;
            let mut folded = fold(&floats, known, start_ms, resolution, steps, &mut windows.floats);
            if let Some(steps) = steps {
                let windows = (&mut windows.floats, start);
                add_switches(&switches, (&floats, known), start_ms, resolution, steps, windows);
            }
            windows.floats.add_from(start, &aggregates.windows);
            windows.floats.keep_only(kept, start);
            folded.rows = (windows.floats.len() - start) as u64;
            row.resolution = resolution;
            row.end = windows.floats.len();
            row.histograms_end = windows.histograms.len();
            row.is_counter = steps.is_some() && folded.rows > 0;
            row.extent = folded.extent().with(aggregates.extent);
            self.folded = folded;
            let before = steps.and_then(|_| aggregates.before(start_ms, (&floats, 0)));
            self.fold.begin(resolution, std::mem::take(&mut aggregates.histograms), self.kept.histogram_ms);
            self.keep_float(before);
        } else {
            let columns = &self.rows.columns;
            let times_ms = columns.times_ms.get(columns.len() - appended.samples..).unwrap_or_default();
            row.extent = appended.histograms.with(SeriesExtent::of(times_ms));
            row.histograms_end = self.rows.histograms.len();
            row.end = columns.len();
        }
        aggregates.clear();
        switches.clear();
        (self.floats, self.aggregates, self.switches) = (floats, aggregates, switches);
        self.floats.clear();
        self.rows.series.push(row);
        Ok(())
    }

    fn without_rows(&mut self, _series: &MergedSeries, before: Option<Known>) {
        self.keep_float(before.filter(|_| self.treatment.is_windows() && self.treatment.steps.is_some()));
    }

    /// Where histograms are cut depends on what they hold alone, be it in the middle of a series.
    fn portion(&mut self, _more: bool) -> Result<(), E> {
        let weight = match self.treatment.windows().and_then(|at| self.rows.windows.get_mut(&at)) {
            Some(windows) => {
                self.fold.push(&self.histograms, windows);
                self.histograms.clear();
                histograms_weight(&windows.histograms)
            }
            None => histograms_weight(&self.rows.histograms),
        };
        self.place_histograms();
        if weight >= self.portion_buckets {
            (self.hand_over)(self.encoder.encode_histograms(self.rows)?)?;
            self.rows.clear_histograms();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Became, E> {
        Ok(self.end_windows().map_or(Became::Rows, Became::Windows))
    }
}
