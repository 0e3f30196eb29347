//! Open blocks: what a unit needs to know of a block besides its bytes.
//!
//! Opened once per run and shared by all units: the block's metrics with the places of their postings, the
//! series without a metric, the series that `--match` selects, the labels pipeline, and the partitions that the
//! block has rows for.

mod metrics;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::chunks::Chunks;
use tsdb_reader::index::{ChunkMeta, Index, PostingsOffset, Series};
use tsdb_reader::matcher::Matcher;
use tsdb_reader::samples::{FloatColumns, HistogramColumns, HistogramDecoder};
use tsdb_reader::{Block, Error, Labels, SeriesRef, Tombstones, Ulid};

use crate::coverage::Coverage;
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use crate::plan::Shard;
use crate::relabel::{Relabel, external_labels};
use crate::time::{Partition, PartitionBy, TimeBounds};

pub(crate) use metrics::Metrics;
pub use metrics::{MetricSeries, Place};

/// Partitions that a block may claim by its time range alone; above, its samples are looked at.
const CLAIMED_PARTITIONS: i128 = 20_000;

/// A block with all that units share of it.
#[derive(Debug)]
pub struct OpenBlock {
    /// The block.
    pub block: Block,
    /// It is read from far away.
    is_far: bool,
    /// Its chunk segments.
    pub chunks: Chunks,
    /// Its tombstones.
    pub tombstones: Tombstones,
    /// Where it is, for messages.
    pub location: String,
    /// The labels pipeline of its series.
    pub relabel: Relabel,
    /// Newer blocks have the higher rank; of two samples with the same timestamp the newer block's is written.
    pub rank: u32,
    /// Metrics in ascending order.
    pub metrics: Vec<MetricSeries>,
    /// Series without a metric name.
    nameless: Vec<SeriesRef>,
    /// Where its lists do not agree with its series: then the labels of these decide.
    pub disagreement: Option<String>,
    /// What `--match` selects, ascending; all without it.
    selected: Option<Vec<SeriesRef>>,
    /// It was built from the head of a data directory.
    pub is_head: bool,
    /// Bounds of the partitions planned for the block, ascending, cut to the time range asked for.
    pub planned: Vec<TimeBounds>,
    /// Of a downsampled block, the times at which finer ones hold what it was made of.
    pub finer: Coverage,
}

/// The blocks that a slice is read from: those of the run, and behind them those that its unit has of its own.
#[derive(Debug, Clone, Copy)]
pub struct SliceBlocks<'a> {
    run: &'a [OpenBlock],
    own: &'a [Arc<OpenBlock>],
    /// Of all own blocks: how series are spread over them goes by the memory limit, which must not matter.
    own_samples_per_chunk: u64,
}

impl<'a> SliceBlocks<'a> {
    /// The blocks of the run, and the unit's own.
    pub fn new(run: &'a [OpenBlock], own: &'a [Arc<OpenBlock>]) -> Self {
        let own_samples_per_chunk = samples_per_chunk(own.iter().map(|block| &block.block));
        Self { run, own, own_samples_per_chunk }
    }

    /// The blocks of the run.
    pub fn of_run(self) -> &'a [OpenBlock] {
        self.run
    }

    /// The block at a position.
    pub fn get(self, at: usize) -> Option<&'a OpenBlock> {
        let own = || self.own.get(at.checked_sub(self.run.len())?).map(Arc::as_ref);
        self.run.get(at).or_else(own)
    }

    /// True when one of the run's blocks is far away.
    pub fn any_far(self) -> bool {
        self.run.iter().any(OpenBlock::is_far)
    }

    /// True for the positions of the unit's own blocks.
    pub fn is_own(self, at: usize) -> bool {
        at >= self.run.len()
    }

    /// Samples of a chunk on average in the block at a position, by meta.json: never 0, and no more than a header can
    /// promise.
    pub fn samples_per_chunk(self, at: usize) -> u64 {
        match self.run.get(at) {
            Some(block) => samples_per_chunk([&block.block]),
            None => self.own_samples_per_chunk,
        }
    }
}

impl<'a> From<&'a [OpenBlock]> for SliceBlocks<'a> {
    fn from(run: &'a [OpenBlock]) -> Self {
        Self::new(run, &[])
    }
}

fn samples_per_chunk<'b>(blocks: impl IntoIterator<Item = &'b Block>) -> u64 {
    let (mut samples, mut chunks) = (0u64, 0u64);
    for stats in blocks.into_iter().map(|block| &block.meta().stats) {
        samples = samples.saturating_add(stats.num_samples);
        chunks = chunks.saturating_add(stats.num_chunks);
    }
    samples.checked_div(chunks).unwrap_or(120).clamp(1, u16::MAX.into())
}

impl OpenBlock {
    /// Reads what units share of `block`. `selectors` are ORed; none selects all.
    pub fn open(
        block: Block,
        location: String,
        relabel: Relabel,
        rank: u32,
        selectors: &[Vec<Matcher>],
    ) -> Result<Self, Error> {
        let metrics = Metrics::of_block(&block)?;
        Self::with_metrics(block, metrics, location, relabel, rank, selectors)
    }

    /// The same, of a block whose metrics are known.
    pub(crate) fn with_metrics(
        block: Block,
        metrics: Metrics,
        location: String,
        relabel: Relabel,
        rank: u32,
        selectors: &[Vec<Matcher>],
    ) -> Result<Self, Error> {
        let chunks = Chunks::open(block.source().clone())?;
        let tombstones = block.tombstones()?.clone();
        let Metrics { list: metrics, nameless, disagreement } = metrics;
        let is_far = block.index().is_far();
        let reopened = is_far.then(|| block.index().reopened());
        let index = reopened.as_ref().unwrap_or(block.index());
        let selected = match &disagreement {
            None => select(index, &relabel, selectors)?,
            Some(_) => select_by_labels(index, &relabel, selectors, all_of(&metrics, &nameless)),
        };
        let planned = Vec::new();
        Ok(Self {
            is_far,
            block,
            chunks,
            tombstones,
            location,
            relabel,
            rank,
            metrics,
            nameless,
            disagreement,
            selected,
            is_head: false,
            planned,
            finer: Coverage::default(),
        })
    }

    /// What a person should know of lists that do not agree with the series.
    pub fn disagreement_found(&self) -> Option<Finding> {
        let message = format!(
            "{}; the labels of the series were believed instead, so that none is missing; \
             look at it with promblock verify, and take a new copy of the block",
            self.disagreement.as_ref()?
        );
        Some(Finding::new(Severity::Broken, "postings-wrong", self.name(), message))
    }

    /// True where every request takes long. Of such a block only its lists were compared with each other when it was
    /// opened: that its series are those of their metric shows when they are read.
    pub fn is_far(&self) -> bool {
        self.is_far
    }

    /// ULID and place, for messages.
    pub fn name(&self) -> String {
        format!("{} ({})", self.ulid(), self.location)
    }

    /// The block's ULID.
    pub fn ulid(&self) -> Ulid {
        self.block.meta().ulid
    }

    /// The block's external labels, as they go into series.
    pub fn external(block: &Block) -> std::collections::BTreeMap<String, String> {
        block.meta().thanos.as_ref().map(|thanos| external_labels(&thanos.labels)).unwrap_or_default()
    }

    /// What is said of an error in it: the same for all chunks that one missing segment makes unreadable.
    pub fn describe(&self, error: &Error) -> String {
        match error {
            Error::NoSegment { segments: 0, .. } => format!(
                "it has no chunk segments, so none of its {} chunks can be read; take a new copy of it",
                self.block.meta().stats.num_chunks
            ),
            Error::NoSegment { position, segments, .. } => format!(
                "it has {segments} chunk segments, so chunks in segment {position}, counted from 0, cannot be read; \
                 take a new copy of it"
            ),
            Error::SegmentGap { missing, .. } => format!(
                "chunks/{missing:06} is missing, so neither its chunks nor those of segments behind it can be read; \
                 take a new copy of the block"
            ),
            _ => error_chain(error),
        }
    }

    /// Width of its windows in milliseconds when it is a downsampled block; 0 for a raw one.
    pub fn resolution_ms(&self) -> i64 {
        self.block.meta().resolution_ms().max(0)
    }

    /// The times that `meta.json` states.
    pub fn stated(&self) -> TimeBounds {
        let meta = self.block.meta();
        TimeBounds { min_ms: meta.min_time_ms, max_ms: meta.max_time_ms.saturating_sub(1) }
    }

    /// False when meta.json says that all of its samples are floats. Before Prometheus 3.6 it did not say.
    pub fn may_have_histograms(&self) -> bool {
        let stats = &self.block.meta().stats;
        stats.num_histogram_samples > 0 || stats.num_float_samples != stats.num_samples
    }

    /// Runs of series in `shard`: run 0 is the series without a metric, run n the metric n - 1.
    pub fn runs_of(&self, shard: &Shard) -> (usize, usize) {
        let before = |bound: &Option<Vec<u8>>, open: usize| match bound {
            None => open,
            Some(bound) => 1 + self.metrics.partition_point(|at| at.metric < *bound),
        };
        (before(&shard.from, 0), before(&shard.to, 1 + self.metrics.len()))
    }

    /// The metric of run `run`, if it has one.
    pub fn metric_of_run(&self, run: usize) -> Option<&[u8]> {
        Some(&self.metrics.get(run.checked_sub(1)?)?.metric)
    }

    /// Where the postings list of run `run` lies, and how long it is, if it has one.
    pub(crate) fn list_of_run(&self, run: usize) -> Option<(PostingsOffset, u64)> {
        match self.metrics.get(run.checked_sub(1)?)? {
            MetricSeries { place: Place::List(offset), series, .. } => Some((*offset, *series)),
            MetricSeries { place: Place::Labels(_), .. } => None,
        }
    }

    /// The series of run `run`, ascending.
    pub fn run_refs(&self, run: usize) -> Result<Vec<SeriesRef>, Error> {
        let refs = match run.checked_sub(1).and_then(|at| self.metrics.get(at)) {
            None if run == 0 => self.nameless.clone(),
            None => Vec::new(),
            Some(MetricSeries { place: Place::List(offset), .. }) => {
                self.block.index().read_postings(*offset)?.collect()
            }
            Some(MetricSeries { place: Place::Labels(refs), .. }) => refs.clone(),
        };
        Ok(self.only_selected(refs))
    }

    /// All series that are selected, ascending.
    pub fn all_refs(&self) -> Result<Vec<SeriesRef>, Error> {
        match (&self.selected, &self.disagreement) {
            (Some(selected), _) => Ok(selected.clone()),
            (None, Some(_)) => Ok(all_of(&self.metrics, &self.nameless)),
            (None, None) => Ok(self.block.index().all_postings()?.collect()),
        }
    }

    /// How many series are selected, and of how many.
    pub fn selected_of(&self) -> (u64, u64) {
        let named: u64 = self.metrics.iter().map(|metric| metric.series).sum();
        let all = named.saturating_add(self.nameless.len() as u64);
        (self.selected.as_ref().map_or(all, |selected| selected.len() as u64), all)
    }

    fn only_selected(&self, refs: Vec<SeriesRef>) -> Vec<SeriesRef> {
        let Some(selected) = &self.selected else { return refs };
        let from = refs.first().map_or(0, |first| selected.partition_point(|at| at < first));
        let mut selected = selected.get(from..).unwrap_or_default().iter().peekable();
        let mut is_selected = |at: &SeriesRef| {
            while selected.next_if(|&next| next < at).is_some() {}
            selected.peek() == Some(&at)
        };
        refs.into_iter().filter(|at| is_selected(at)).collect()
    }

    /// Positions in `planned` of the partitions that a chunk overlaps by the times in the index.
    pub fn planned_for(&self, chunk: &ChunkMeta) -> Range<usize> {
        let from = self.planned.partition_point(|bounds| bounds.max_ms < chunk.min_time_ms);
        let to = self.planned.partition_point(|bounds| bounds.min_ms <= chunk.max_time_ms);
        from..to.max(from)
    }

    /// True for a chunk that the unit of these bounds reads for its rows: one that overlaps them, or a stray one that
    /// nobody else would count.
    pub fn is_of_unit(&self, chunk: &ChunkMeta, bounds: TimeBounds, asked: TimeBounds) -> bool {
        let planned = self.planned_for(chunk);
        let is_stray = planned.is_empty()
            && asked.overlaps(chunk.min_time_ms, chunk.max_time_ms)
            && self.planned.first() == Some(&bounds);
        is_stray || self.planned.get(planned).unwrap_or_default().contains(&bounds)
    }

    /// Position of the partition whose unit owns `chunk`: the first it overlaps; the block's first one when it
    /// overlaps none, so that somebody counts it.
    pub fn owner(&self, chunk: &ChunkMeta) -> usize {
        let overlapped = self.planned_for(chunk);
        if overlapped.is_empty() { 0 } else { overlapped.start }
    }

    /// The partitions that the block has rows for within `asked`.
    ///
    /// By the block's time range; a block that claims an absurd one is read for the times of its samples.
    pub fn partitions(&self, by: PartitionBy, asked: TimeBounds) -> Result<BTreeSet<Partition>, Error> {
        let claimed = self.stated();
        let length = i128::from(claimed.max_ms) - i128::from(claimed.min_ms);
        let anywhere =
            by.partition_of(claimed.min_ms.clamp(TimeBounds::ROWS.min_ms, TimeBounds::ROWS.max_ms));
        let absurd = length < 0
            || by != PartitionBy::None && length / i128::from(by.shortest_ms()) > CLAIMED_PARTITIONS;
        if absurd {
            let mut partitions = self.partitions_of_samples(by, asked)?;
            if partitions.is_empty() {
                // Nothing can be written, but somebody has to count it.
                partitions.extend(anywhere);
            }
            return Ok(partitions);
        }
        let mut partitions = BTreeSet::new();
        let Some(bounds) = claimed.intersection(asked) else { return Ok(partitions) };
        let Some(bounds) = bounds.intersection(TimeBounds::ROWS) else {
            partitions.extend(anywhere);
            return Ok(partitions);
        };
        let mut time_ms = bounds.min_ms;
        while let Some(partition) =
            by.partition_of(time_ms).filter(|partition| partition.start_ms <= bounds.max_ms)
        {
            time_ms = partition.last_ms.saturating_add(1);
            partitions.insert(partition);
        }
        Ok(partitions)
    }

    fn partitions_of_samples(
        &self,
        by: PartitionBy,
        asked: TimeBounds,
    ) -> Result<BTreeSet<Partition>, Error> {
        let mut partitions = BTreeSet::new();
        let mut series = Series::default();
        let (mut read, mut columns) = (Vec::new(), FloatColumns::default());
        let (mut decoder, mut histograms) = (HistogramDecoder::default(), HistogramColumns::default());
        let mut last: Option<TimeBounds> = None;
        for series_ref in self.all_refs()? {
            if self.block.index().series(series_ref, &mut series).is_err() {
                continue; // The unit that reads it names it.
            }
            let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
            read.clear();
            self.chunks.read(&refs, &mut read);
            for chunk in read.iter().flatten() {
                columns.clear();
                histograms.clear();
                let _named_by_its_unit = match chunk.encoding().holds_histograms() {
                    true => decoder.append(chunk, &mut histograms),
                    false => chunk.append_to(&mut columns),
                };
                for &time_ms in columns.times_ms.iter().chain(&histograms.times_ms) {
                    if last.is_some_and(|bounds| bounds.contains(time_ms)) || !asked.contains(time_ms) {
                        continue;
                    }
                    if let Some(partition) = by.partition_of(time_ms) {
                        last = Some(partition.bounds());
                        partitions.insert(partition);
                    }
                }
            }
        }
        Ok(partitions)
    }
}

/// Series that any of `selectors` selects, by the labels with external ones applied.
fn select(
    index: &Index,
    relabel: &Relabel,
    selectors: &[Vec<Matcher>],
) -> Result<Option<Vec<SeriesRef>>, Error> {
    if selectors.is_empty() {
        return Ok(None);
    }
    let mut selected = BTreeSet::new();
    for matchers in selectors {
        // An external label has one value in the whole block: it decides here, the index does not know it.
        let (external, own): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| relabel.external(matcher.name()).is_some());
        let value = |matcher: &Matcher| relabel.external(matcher.name()).unwrap_or_default();
        if external.into_iter().any(|matcher| !matcher.matches(value(matcher))) {
            continue;
        }
        let own: Vec<Matcher> = own.into_iter().cloned().collect();
        let refs = if own.is_empty() { index.all_postings()?.collect() } else { index.select(&own)? };
        selected.extend(refs);
    }
    Ok(Some(selected.into_iter().collect()))
}

/// All series of metrics that were found by labels, ascending.
fn all_of(metrics: &[MetricSeries], nameless: &[SeriesRef]) -> Vec<SeriesRef> {
    let refs = metrics.iter().flat_map(|metric| match &metric.place {
        Place::Labels(refs) => refs.as_slice(),
        Place::List(_) => &[],
    });
    let mut all: Vec<_> = refs.chain(nameless).copied().collect();
    all.sort_unstable();
    all
}

/// As [`select`], of `refs` and by their labels. Series that cannot be read are selected, so that they are named.
fn select_by_labels(
    index: &Index,
    relabel: &Relabel,
    selectors: &[Vec<Matcher>],
    mut refs: Vec<SeriesRef>,
) -> Option<Vec<SeriesRef>> {
    if selectors.is_empty() {
        return None;
    }
    let (mut series, mut identity) = (Series::default(), Labels::new());
    refs.retain(|&series_ref| {
        if index.series(series_ref, &mut series).is_err() {
            return true;
        }
        relabel.identify(&series.labels, &mut identity);
        let value = |matcher: &Matcher| identity.get(matcher.name()).unwrap_or_default();
        let is_met = |matcher: &Matcher| matcher.matches(value(matcher));
        selectors.iter().any(|matchers| matchers.iter().all(is_met))
    });
    Some(refs)
}
