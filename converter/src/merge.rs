//! Merge: the chunks of one series, from all blocks, become one time line.
//!
//! ```text
//! block A  ├─chunk─┤├─chunk─┤                 disjoint chunks are decoded straight into the rows;
//! block B              ├─chunk─┤├─chunk─┤     a series with overlaps is decoded, sorted and freed of duplicates
//!
//! members ─► parts ─┬─ direct ─┬─► floats ───────────────────► Consumer: rows, text, classic series
//!                   ├─ choice ─┴─► histograms, in portions ──►
//!                   │    └ replicas, where there are several
//!                   └─ aggregates of downsampled blocks ─────► windows, where nothing finer is
//! ```
//! One sample per timestamp is kept, whether float or histogram: a value beats a stale marker, then the newest block
//! wins, then a histogram. Every sample that a chunk's header promises ends in a row or in a term of the [`Tally`].
//! Histograms are chosen first and handed out after, so that those of a series need not be in memory together.

mod aggregates;
mod choice;
mod consumer;
mod direct;
mod histograms;
mod keep;
mod parts;
mod replicas;

use tsdb_reader::chunks::Encoding;
use tsdb_reader::samples::{FloatColumns, FloatDecoder};

use crate::blocks::SliceBlocks;
use crate::downsample::Aggregates;
use crate::finding::Findings;
use crate::resolution::Resolution;
use crate::rows::SeriesExtent;
use crate::series::MergedSeries;
use crate::tally::{Loss, Tally};
use crate::time::TimeBounds;
use aggregates::AggregateReader;
use choice::Candidate;
use histograms::ChosenHistograms;
use keep::{Terms, truncate};
use parts::{Part, Reads};
use replicas::{ReplicaChoice, are_replicas};

pub use consumer::{Became, Consumer, Windows};
pub use replicas::{Switch, add_switches, context_start};

/// What of a series is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Bounds of the unit's rows: its partition, cut to the time range asked for.
    pub bounds: TimeBounds,
    /// The time range asked for.
    pub asked: TimeBounds,
    /// Times that a row can have.
    pub writable: TimeBounds,
    /// Leave stale markers out.
    pub drop_stale: bool,
    /// Write native histograms as rows of their own; without it they are merged and counted, no more.
    pub nested: bool,
    /// How far before the bounds chunks are at hand, for those who want to know what came before; 0 = not at all.
    pub lookback_ms: i64,
}

/// What is taken of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Take {
    /// Nothing: its samples are counted as dropped by a rule.
    Nothing,
    /// Its samples.
    Samples,
    /// Its samples, and before those of the unit the ones within the lookback, which are nobody's rows.
    WithContext,
    /// Its samples and aggregates that windows of a resolution can be made of.
    Windows {
        /// That of the windows.
        resolution: Resolution,
        /// With those within the lookback, as above.
        context: bool,
        /// A float of before the unit that an earlier run has seen; its block may be gone.
        kept: Option<(i64, f64)>,
    },
}

impl Take {
    fn has_context(self) -> bool {
        matches!(self, Self::WithContext | Self::Windows { context: true, .. })
    }
}

/// Merges series by series; keeps its buffers between them.
#[derive(Debug)]
pub struct Merger<'a> {
    blocks: SliceBlocks<'a>,
    wanted: Wanted,
    decoder: FloatDecoder,
    reads: Reads,
    scratch: FloatColumns,
    candidates: Vec<Candidate>,
    histograms: ChosenHistograms,
    /// Samples by the headers of the chunks owned, by position of the block.
    read_by_block: Vec<u64>,
    tally: Tally,
    findings: Findings,
    /// What is taken of the series at hand.
    take: Take,
    aggregates: Aggregates,
    aggregate_reader: AggregateReader,
    /// What was chosen between the replicas of the series at hand.
    replicas: ReplicaChoice,
}

/// The rows of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Float samples.
    pub samples: usize,
    /// Native histograms, those of the lookback apart.
    pub histograms: SeriesExtent,
    /// Rows of classic series that stand for native histograms.
    pub classic: u64,
    /// Samples of a downsampled block, of which aggregates are known.
    pub aggregates: SeriesExtent,
    /// Histograms that such a block has of them.
    pub aggregate_histograms: u64,
    /// Samples of replicas that are no rows, because another replica stands for them.
    pub replica_removed: u64,
}

impl Appended {
    /// Samples of all kinds.
    pub fn samples(&self) -> u64 {
        self.rows().saturating_add(self.aggregates.samples)
    }

    /// Samples of all kinds that are read one by one.
    pub fn rows(&self) -> u64 {
        self.samples as u64 + self.histograms.samples
    }
}

impl<'a> Merger<'a> {
    /// A merger over `blocks`.
    pub fn new(blocks: impl Into<SliceBlocks<'a>>, wanted: Wanted) -> Self {
        let blocks = blocks.into();
        Self {
            blocks,
            wanted,
            decoder: FloatDecoder::default(),
            reads: Reads::default(),
            scratch: FloatColumns::default(),
            candidates: Vec::new(),
            histograms: ChosenHistograms::default(),
            read_by_block: vec![0; blocks.of_run().len()],
            tally: Tally::default(),
            findings: Findings::default(),
            take: Take::Samples,
            aggregates: Aggregates::default(),
            aggregate_reader: AggregateReader::default(),
            replicas: ReplicaChoice::default(),
        }
    }

    /// What became of the samples of all series so far, and what could not be read.
    pub fn finish(mut self) -> (Tally, Findings) {
        for (block, &read) in
            self.blocks.of_run().iter().zip(&self.read_by_block).filter(|&(_, &read)| read > 0)
        {
            self.tally.read_by_block.insert(block.ulid().to_string(), read);
        }
        (self.tally, self.findings)
    }

    /// What could not be read since it was last asked.
    pub fn take_findings(&mut self) -> Findings {
        std::mem::take(&mut self.findings)
    }

    /// Hands the rows of a series to `consumer`, histograms in portions of about so many buckets; nothing of a series
    /// without rows.
    pub fn feed<C: Consumer>(
        &mut self,
        series: &MergedSeries,
        take: Take,
        portion_buckets: usize,
        consumer: &mut C,
    ) -> Result<(), C::Error> {
        if take == Take::Nothing {
            self.drop_series(series);
            return Ok(());
        }
        self.take = take;
        let start = consumer.floats().len();
        let appended = self.append(series, consumer.floats());
        if appended.samples() == 0 {
            let before = self.aggregates.before(self.wanted.bounds.min_ms, (consumer.floats(), start));
            consumer.without_rows(series, before);
            truncate(consumer.floats(), start);
            return Ok(());
        }
        if appended.aggregates.samples > 0 || !self.aggregates.known.is_empty() {
            consumer.aggregates(&mut self.aggregates);
        }
        if !self.replicas.switches.is_empty() {
            consumer.switches(&mut self.replicas.switches);
        }
        consumer.begin(series, appended)?;
        let mut more = appended.histograms.samples > 0;
        while more {
            more = self.histograms.append_to(consumer.histograms(), portion_buckets);
            consumer.portion(more)?;
        }
        match consumer.end()? {
            Became::Rows => self.count_rows(appended),
            Became::Windows(windows) => self.count_windows(appended, windows),
        }
        Ok(())
    }

    /// Appends the float samples of a series to `columns`, and chooses its histograms.
    fn append(&mut self, series: &MergedSeries, columns: &mut FloatColumns) -> Appended {
        self.histograms.clear();
        self.replicas.clear();
        let start = columns.len();
        let reads = self.read(series);
        let parts = self.parts(&series.members, &reads);
        let is_aggregate = |part: &Part<'_>| part.chunk.encoding() == Encoding::Aggregate;
        let (aggregates, parts): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_aggregate);
        // Chunks of one block ascend; with several blocks they may interleave without overlapping.
        let mut in_time: Vec<&Part<'_>> = parts.iter().collect();
        in_time.sort_by_key(|part| part.meta.min_time_ms);
        let classic = parts.iter().filter(|part| part.is_classic).count();
        let is_mixed = classic > 0 && classic < parts.len();
        let must_choose = is_mixed || are_replicas(&parts) || parts.iter().any(Part::holds_histograms);
        let terms = if must_choose {
            self.append_merged(&parts, columns)
        } else if self.append_inside(&in_time, columns) {
            Terms::default()
        } else {
            truncate(columns, start);
            self.append_disjoint(&in_time, columns).unwrap_or_else(|| {
                truncate(columns, start);
                self.append_merged(&parts, columns)
            })
        };
        self.enter(terms);
        let aggregate_histograms =
            self.append_aggregates(&aggregates, &series.members, &parts, (columns, start));
        self.reads = reads;
        let times_ms = columns.times_ms.get(start..).unwrap_or_default();
        let context = match self.take.has_context() {
            true => times_ms.partition_point(|&at| at < self.wanted.bounds.min_ms),
            false => 0,
        };
        let mut appended = Appended {
            samples: times_ms.len() - context,
            histograms: self.histograms.extent(),
            classic: terms.classic,
            aggregates: self.aggregates.extent,
            aggregate_histograms,
            replica_removed: self.replicas.removed,
        };
        self.tally.replica_removed += self.replicas.removed;
        if classic > 0 && !is_mixed {
            appended.classic = appended.rows();
        }
        if !self.wanted.nested {
            let unrolled = std::mem::take(&mut appended.histograms).samples;
            match series.labels.metric() {
                Some(_) => self.tally.unrolled += unrolled,
                None => self.tally.lose(Loss::NamelessHistogram, unrolled),
            }
        }
        appended
    }

    /// Reads the chunks of a series that are taken; the memory goes back to `reads` when they are done with.
    fn read(&mut self, series: &MergedSeries) -> Reads {
        let mut reads = std::mem::take(&mut self.reads);
        reads.places.clear();
        reads.chunks.clear();
        for (member_at, member) in series.members.iter().enumerate() {
            if let Some(block) = self.blocks.get(member.block) {
                let first = reads.places.len();
                let chunks = member.chunks.iter().enumerate();
                let taken = chunks.filter(|(_, chunk)| self.takes(member.block, block, chunk));
                reads.places.extend(taken.map(|(at, _)| (member_at, at)));
                let places = reads.places.iter().skip(first);
                let refs: Vec<_> = places
                    .filter_map(|&(_, at)| member.chunks.get(at))
                    .map(|chunk| chunk.chunk_ref)
                    .collect();
                block.chunks.read(&refs, &mut reads.chunks);
            }
        }
        reads
    }
}
