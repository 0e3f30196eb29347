//! The block of a unit's classic series, made before the unit's rows are.
//!
//! ```text
//! blocks of the run ──Merger──► native histograms ──Unrolling──► BlockBuilder ──► one block more for the unit
//! ```
//! As members of a block of their own, classic series are ordered, merged with stored ones and given ids like all
//! others. Which histograms a unit reads goes by the names that come out of them: `latency` may lie in another shard
//! than `latency_bucket`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tsdb_reader::index::ChunkMeta;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};
use tsdb_reader::{Block, Ulid};

use super::{Bounds, Unrolling, names};
use crate::blocks::OpenBlock;
use crate::build::{BlockBuilder, BuildError};
use crate::finding::Findings;
use crate::merge::{Merger, Wanted};
use crate::plan::Shard;
use crate::relabel::{LabelOptions, Relabel};
use crate::series::{Reach, SeriesError, SeriesMerge, Walk};

/// Buckets of a series that are held at once, about.
const BUCKETS_AT_ONCE: usize = 1 << 20;

/// Why there is no block of classic series.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicError {
    /// The series of histograms cannot be walked.
    #[error(transparent)]
    Series(#[from] SeriesError),
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
    /// How series are walked.
    pub walk: Walk<'a>,
    /// Whether series may become equal.
    pub allow_merge: bool,
    /// Where samples go that do not fit the budget.
    pub temp_dir: &'a Path,
    /// Bytes of samples held.
    pub budget_bytes: usize,
    /// Set from outside to stop soon; what comes back then is not whole.
    pub stop: &'a AtomicBool,
}

impl Histograms<'_> {
    /// The classic series of the unit's shard, as a block; none without any. The findings are of the histograms read.
    pub fn block(
        &self,
        must_sort: &dyn Fn(usize) -> bool,
        keep: impl FnMut(&OpenBlock, &ChunkMeta) -> bool,
    ) -> Result<(Option<Arc<OpenBlock>>, Findings), ClassicError> {
        let mut findings = Findings::default();
        let wants = |metric: &[u8]| self.reach.shard.contains(metric);
        let becomes = |metric: &[u8]| names(metric).iter().any(|name| wants(name));
        let blocks = self.reach.blocks;
        let reach = Reach { own: None, shard: Shard::ALL, wants: Some(&becomes), ..self.reach.clone() };
        let mut merge = SeriesMerge::new(&reach, self.walk, must_sort, self.allow_merge, keep)?;
        let mut merger = Merger::new(blocks, Wanted { nested: true, ..self.wanted });
        let mut builder = BlockBuilder::new(self.temp_dir, self.budget_bytes);
        let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
        while let Some(series) = merge.next()? {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let mut begin = |merger: &mut Merger<'_>| {
                floats.clear();
                merger.append(&series.members, &mut floats).histograms.count > 0
            };
            if !begin(&mut merger) {
                continue;
            }
            let mut next = |merger: &mut Merger<'_>| {
                histograms.clear();
                let more = merger.append_histograms(&mut histograms, BUCKETS_AT_ONCE);
                (more, std::mem::take(&mut histograms))
            };
            let mut bounds = Bounds::default();
            let (mut more, mut columns) = next(&mut merger);
            let is_whole = !more;
            bounds.add(&columns);
            while more {
                (more, columns) = next(&mut merger);
                bounds.add(&columns);
            }
            let Some(unrolling) = Unrolling::new(&series.labels, &bounds, wants, &mut builder) else {
                continue;
            };
            if !is_whole {
                // The bounds of all of it are known now: once more from the front.
                begin(&mut merger);
                (more, columns) = next(&mut merger);
            }
            unrolling.push(&columns, &mut builder)?;
            while more {
                (more, columns) = next(&mut merger);
                unrolling.push(&columns, &mut builder)?;
            }
            unrolling.finish(&mut builder)?;
            histograms = columns;
        }
        findings.append(merge.take_findings());
        findings.append(merger.finish().1);
        let Some(built) = builder.finish(|hash| Ulid::from_bytes(u128::from(hash).to_be_bytes()))? else {
            return Ok((None, findings));
        };
        let block = Block::open(built.source)?;
        let relabel = Relabel::new(Default::default(), LabelOptions::default());
        let mut block = OpenBlock::open(block, "classic series".to_owned(), relabel, 0, &[])?;
        block.planned = vec![self.wanted.bounds];
        Ok((Some(Arc::new(block)), findings))
    }
}
