//! Open blocks: what a unit needs to know of a block besides its bytes.
//!
//! Opened once per run and shared by all units: the block's metrics with the places of their postings, the
//! series without a metric, the series that `--match` selects, the labels pipeline, and the partitions that the
//! block has rows for.

use std::collections::BTreeSet;
use std::ops::Range;

use tsdb_reader::chunks::Chunks;
use tsdb_reader::index::{ChunkMeta, PostingsOffset, Series};
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::matcher::{MatchOp, Matcher};
use tsdb_reader::samples::{FloatColumns, HistogramColumns, HistogramDecoder};
use tsdb_reader::{Block, Error, SeriesRef, Tombstones, Ulid};

use crate::plan::Shard;
use crate::relabel::{Relabel, external_labels};
use crate::time::{Partition, PartitionBy, TimeBounds};

/// Partitions that a block may claim by its time range alone; above, its samples are looked at.
const CLAIMED_PARTITIONS: i128 = 20_000;

/// One metric of a block.
#[derive(Debug)]
pub struct MetricPostings {
    /// The metric name.
    pub metric: Vec<u8>,
    /// Where its postings are.
    pub offset: PostingsOffset,
    /// How many series it has.
    pub series: u64,
}

/// A block with all that units share of it.
#[derive(Debug)]
pub struct OpenBlock {
    /// The block.
    pub block: Block,
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
    pub metrics: Vec<MetricPostings>,
    /// Series without a metric name.
    nameless: Vec<SeriesRef>,
    /// What `--match` selects, ascending; all without it.
    selected: Option<Vec<SeriesRef>>,
    /// It was built from the head of a data directory.
    pub is_head: bool,
    /// Bounds of the partitions planned for the block, ascending, cut to the time range asked for.
    pub planned: Vec<TimeBounds>,
}

/// The blocks that a slice is read from: those of the run, and behind them one that its unit may have of its own.
#[derive(Debug, Clone, Copy)]
pub struct SliceBlocks<'a> {
    run: &'a [OpenBlock],
    own: Option<&'a OpenBlock>,
}

impl<'a> SliceBlocks<'a> {
    /// The blocks of the run, and the unit's own.
    pub fn new(run: &'a [OpenBlock], own: Option<&'a OpenBlock>) -> Self {
        Self { run, own }
    }

    /// The blocks of the run.
    pub fn of_run(self) -> &'a [OpenBlock] {
        self.run
    }

    /// The block at a position.
    pub fn get(self, at: usize) -> Option<&'a OpenBlock> {
        self.run.get(at).or(self.own.filter(|_| self.is_own(at)))
    }

    /// True for the position of the unit's own block.
    pub fn is_own(self, at: usize) -> bool {
        at == self.run.len()
    }
}

impl<'a> From<&'a [OpenBlock]> for SliceBlocks<'a> {
    fn from(run: &'a [OpenBlock]) -> Self {
        Self::new(run, None)
    }
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
        let chunks = Chunks::open(block.source().clone())?;
        let tombstones = block.tombstones()?.clone();
        let index = block.index();
        let values: Vec<_> = index.label_values(METRIC_NAME)?.collect();
        let offsets: Vec<_> = values.iter().map(|&(_, offset)| offset).collect();
        let lens = index.postings_lens(&offsets)?;
        let metrics: Vec<_> = values
            .iter()
            .zip(lens)
            .map(|(&(metric, offset), len)| MetricPostings {
                metric: metric.to_vec(),
                offset,
                series: len.into(),
            })
            .collect();
        let named: u64 = metrics.iter().map(|metric| metric.series).sum();
        let nameless = match index.all_postings()? {
            all if all.len() as u64 == named => Vec::new(),
            _ => match Matcher::new(METRIC_NAME, MatchOp::Equal, "") {
                Ok(no_metric) => index.select(&[no_metric])?,
                Err(_) => Vec::new(), // Only regular expressions can fail.
            },
        };
        let selected = select(&block, &relabel, selectors)?;
        let planned = Vec::new();
        Ok(Self {
            block,
            chunks,
            tombstones,
            location,
            relabel,
            rank,
            metrics,
            nameless,
            selected,
            is_head: false,
            planned,
        })
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

    /// Samples of a chunk on average, by meta.json: never 0, and no more than a header can promise.
    pub fn samples_per_chunk(&self) -> u64 {
        let stats = &self.block.meta().stats;
        stats.num_samples.checked_div(stats.num_chunks).unwrap_or(120).clamp(1, u16::MAX.into())
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

    /// The series of run `run`, ascending.
    pub fn run_refs(&self, run: usize) -> Result<Vec<SeriesRef>, Error> {
        let refs = match run.checked_sub(1).and_then(|at| self.metrics.get(at)) {
            None if run == 0 => self.nameless.clone(),
            None => Vec::new(),
            Some(metric) => self.block.index().read_postings(metric.offset)?.collect(),
        };
        Ok(self.only_selected(refs))
    }

    /// All series that are selected, ascending.
    pub fn all_refs(&self) -> Result<Vec<SeriesRef>, Error> {
        match &self.selected {
            Some(selected) => Ok(selected.clone()),
            None => Ok(self.block.index().all_postings()?.collect()),
        }
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
        let meta = self.block.meta();
        let claimed = TimeBounds { min_ms: meta.min_time_ms, max_ms: meta.max_time_ms.saturating_sub(1) };
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
    block: &Block,
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
        let refs = if own.is_empty() {
            block.index().all_postings()?.collect()
        } else {
            block.index().select(&own)?
        };
        selected.extend(refs);
    }
    Ok(Some(selected.into_iter().collect()))
}
