//! The blocks of a unit's classic series, made before the unit's rows are.
//!
//! ```text
//! blocks of the run ──Merger──► native histograms ──Unrolling──► BlockBuilder ──► a few blocks more for the unit
//! ```
//! As members of blocks of their own, classic series are ordered, merged with stored ones and given ids like all
//! others. Which histograms a unit reads goes by the names that come out of them: `latency` may lie in another shard
//! than `latency_bucket`. A block ends when its table of series takes too much memory; what blocks hold beyond that is
//! in the temporary folder.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::fast::FixedState;
use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};
use tsdb_reader::{Block, Labels, Ulid};

use super::{Bounds, Unrolling, UpperBound, names, renamed};
use crate::blocks::OpenBlock;
use crate::build::{BlockBuilder, BuildError};
use crate::finding::Findings;
use crate::identities::series_id;
use crate::merge::{Appended, Became, Consumer, Merger, Take, Wanted};
use crate::plan::Shard;
use crate::relabel::{LabelOptions, Relabel};
use crate::series::{MergedSeries, Reach, SeriesError, SeriesMerge, Walk};

/// Buckets of a series that are held at once, about.
const BUCKETS_AT_ONCE: usize = 1 << 20;

/// Upper bounds of a series whose classic series are built at once: each has an open chunk.
const BOUNDS_AT_ONCE: usize = 1 << 16;

/// Why there is no block of classic series.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicError {
    /// The series of histograms cannot be walked.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// Two series of histograms have the same buckets as classic series.
    #[error(
        "{series} and another native histogram that differs in `le` alone both become {shaped}; leave one of them out with --match, write --histograms nested, or pass --allow-merge to write them as one series"
    )]
    Merged {
        /// The second one.
        series: String,
        /// A series that both become.
        shaped: String,
    },
    /// Classic series cannot be kept.
    #[error("cannot write native histograms as classic series")]
    Build(#[from] BuildError),
    /// What was built cannot be read.
    #[error("cannot read classic series back")]
    Read(#[from] tsdb_reader::Error),
}

/// What classic series are made from.
pub struct Histograms<'a> {
    /// The unit's blocks.
    pub reach: Reach<'a>,
    /// What is wanted of the unit.
    pub wanted: Wanted,
    /// How series are walked; what it has for sorting is for the blocks, too.
    pub walk: Walk<'a>,
    /// Whether series may become equal.
    pub allow_merge: bool,
    /// Whether the samples of a series are read for rows or windows, too: what is wrong with them is found there.
    pub is_read: &'a (dyn Fn(&MergedSeries) -> bool + Sync),
    /// Set from outside to stop soon; what comes back then is not whole.
    pub stop: &'a AtomicBool,
}

impl Histograms<'_> {
    /// The classic series of the unit's shard, as blocks; none without any. The findings are of the walk, and of
    /// histograms that nobody else reads.
    pub fn blocks(
        &self,
        must_sort: &dyn Fn(usize) -> bool,
        keep: impl FnMut(&OpenBlock, &ChunkMeta) -> bool,
    ) -> Result<(Vec<Arc<OpenBlock>>, Findings), ClassicError> {
        let becomes = |metric: &[u8]| names(metric).iter().any(|name| self.wants(name));
        let reach = Reach { shard: Shard::ALL, wants: Some(&becomes), ..self.reach.clone() };
        let mut merge = SeriesMerge::new(&reach, self.walk, must_sort, self.allow_merge, keep)?;
        let mut merger = Merger::new(self.reach.blocks, Wanted { nested: true, ..self.wanted });
        let mut unroll = Unroll::new(self);
        while let Some(series) = merge.next()? {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            unroll.series(&mut merger, &series)?;
        }
        unroll.end_block()?;
        let mut findings = merge.take_findings();
        findings.append(unroll.findings);
        Ok((unroll.blocks, findings))
    }

    fn wants(&self, metric: &[u8]) -> bool {
        self.reach.shard.contains(metric)
    }
}

/// Turns series of histograms into classic ones, one after the other.
struct Unroll<'a> {
    of: &'a Histograms<'a>,
    blocks: Vec<Arc<OpenBlock>>,
    findings: Findings,
    builder: BlockBuilder,
    /// What blocks may hold in memory besides those that are done.
    left_bytes: usize,
    siblings: Siblings,
    floats: FloatColumns,
    histograms: HistogramColumns,
    bounds: Bounds,
    /// All histograms of the series are in the columns at once.
    is_whole: bool,
    /// There when the bounds of the series are known.
    unrolling: Option<Unrolling>,
}

impl<'a> Unroll<'a> {
    fn new(of: &'a Histograms<'a>) -> Self {
        // Chunks and index of a block may take as much each.
        let left_bytes = of.walk.sort_budget_bytes / 2;
        Self {
            of,
            blocks: Vec::new(),
            findings: Findings::default(),
            builder: BlockBuilder::new(of.walk.temp_dir, left_bytes),
            left_bytes,
            siblings: Siblings::default(),
            floats: FloatColumns::default(),
            histograms: HistogramColumns::default(),
            bounds: Bounds::default(),
            is_whole: true,
            unrolling: None,
        }
    }

    /// Adds what the histograms of `series` become. They are gone through for their bounds, then for the counts of
    /// so many bounds at once: a series of more than a portion is merged again each time.
    fn series(&mut self, merger: &mut Merger<'_>, series: &MergedSeries) -> Result<(), ClassicError> {
        (self.bounds, self.is_whole, self.unrolling) = (Bounds::default(), true, None);
        self.histograms.clear();
        merger.feed(series, Take::WithContext, BUCKETS_AT_ONCE, self)?;
        let found = merger.take_findings();
        if !(self.of.is_read)(series) {
            self.findings.append(found);
        }
        if self.histograms.is_empty() {
            return Ok(());
        }
        if !self.of.allow_merge {
            self.siblings.enter(&series.labels, |metric| self.of.wants(metric))?;
        }
        for bounds in self.bounds.in_order().chunks(BOUNDS_AT_ONCE) {
            if self.of.stop.load(Ordering::Relaxed) {
                break;
            }
            let wants = |metric: &[u8]| self.of.wants(metric);
            self.unrolling = Unrolling::new(&series.labels, bounds, wants, &mut self.builder);
            if self.is_whole {
                self.push()?;
            } else if self.unrolling.is_some() {
                self.histograms.clear();
                merger.feed(series, Take::WithContext, BUCKETS_AT_ONCE, self)?;
                let _told = merger.take_findings();
            }
            if let Some(unrolling) = &self.unrolling {
                unrolling.finish(&mut self.builder)?;
            }
            // Only here: how chunks are cut must not go by memory.
            if self.builder.table_bytes() > self.of.walk.sort_budget_bytes / 4 {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn push(&mut self) -> Result<(), BuildError> {
        if let Some(unrolling) = &self.unrolling {
            unrolling.push(&self.histograms, &mut self.builder)?;
        }
        Ok(())
    }

    /// Ends the block, and begins another.
    fn end_block(&mut self) -> Result<(), ClassicError> {
        let next = BlockBuilder::new(self.of.walk.temp_dir, 0);
        let builder = std::mem::replace(&mut self.builder, next);
        let Some(built) = builder.finish(|hash| Ulid::from_bytes(u128::from(hash).to_be_bytes()))? else {
            return Ok(());
        };
        let held_bytes = usize::try_from(built.memory_bytes).unwrap_or(usize::MAX);
        self.left_bytes = self.left_bytes.saturating_sub(held_bytes);
        self.builder = BlockBuilder::new(self.of.walk.temp_dir, self.left_bytes);
        let block = Block::open(built.source)?;
        let relabel = Relabel::new(Default::default(), LabelOptions::default());
        let mut block = OpenBlock::open(block, "classic series".to_owned(), relabel, 0, &[])?;
        block.planned = vec![self.of.wanted.bounds];
        self.blocks.push(Arc::new(block));
        Ok(())
    }
}

/// The series of one metric: those equal but for `le` would become the same series.
#[derive(Default)]
struct Siblings {
    metric: Vec<u8>,
    /// Hashes of labels without `le`.
    known: HashSet<i64, FixedState>,
}

impl Siblings {
    /// Enters a series. Those of a metric must come one after the other.
    fn enter(&mut self, labels: &Labels, wants: impl Fn(&[u8]) -> bool) -> Result<(), ClassicError> {
        let Some(metric) = labels.metric() else { return Ok(()) };
        let [buckets, ..] = names(metric);
        if !wants(&buckets) {
            return Ok(());
        }
        if self.metric != metric {
            self.metric = metric.to_vec();
            self.known.clear();
        }
        let shaped = renamed(labels, &buckets, Some(UpperBound::INFINITE));
        if self.known.insert(series_id(&shaped)) {
            return Ok(());
        }
        Err(ClassicError::Merged { series: labels.to_string(), shaped: shaped.to_string() })
    }
}

impl Consumer for Unroll<'_> {
    type Error = BuildError;

    fn floats(&mut self) -> &mut FloatColumns {
        &mut self.floats
    }

    fn histograms(&mut self) -> &mut HistogramColumns {
        &mut self.histograms
    }

    fn begin(&mut self, _series: &MergedSeries, _appended: Appended) -> Result<(), BuildError> {
        self.floats.clear();
        Ok(())
    }

    fn portion(&mut self, more: bool) -> Result<(), BuildError> {
        if self.unrolling.is_some() {
            self.push()?;
            self.histograms.clear();
            return Ok(());
        }
        self.bounds.add(&self.histograms, self.of.wanted.bounds.min_ms);
        if more {
            self.is_whole = false;
            self.histograms.clear();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Became, BuildError> {
        Ok(Became::Rows)
    }
}
