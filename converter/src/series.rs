//! Series of many blocks in one order: each block's cursor, and the merge over them.
//!
//! ```text
//! block A   m1{a}  m1{c}  m2{a} ──┐
//! block B   m1{b}  m2{a} ─────────┼──►  m1{a}:A  m1{b}:B  m1{c}:A  m2{a}:A+B
//! block C   m2{a}  m3{a} ──┘      C     …
//! ```
//! A cursor walks the metrics of its shard in order, and the series of a metric in index order, which is the
//! output order unless the labels pipeline changes it; then the metric's series are sorted again ([`crate::sort`]).

mod far;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use tsdb_reader::index::{ChunkMeta, Series};
use tsdb_reader::{Labels, SeriesRef};

use crate::blocks::OpenBlock;
use crate::error::error_chain;
use crate::finding::{Finding, Findings, Severity};
use crate::order::Order;
use crate::plan::Shard;
use crate::sort::{Sorted, Sorter};

use far::FarSeries;

/// What stops the walk over series.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// Sorting failed on the temporary folder.
    #[error("cannot sort series in the temporary folder; choose another one with --temp-dir")]
    Sort(#[source] io::Error),
    /// A block's series are not in label order; they must be sorted.
    #[error("series of block {block} are not in label order")]
    NotInOrder {
        /// Position of the block among those opened.
        at: usize,
        /// ULID and location of the block.
        block: String,
    },
    /// Two series became one.
    #[error(
        "{first} and {second} both become {shaped}; keep a label that tells them apart, or pass --allow-merge to write them as one series"
    )]
    Merged {
        /// A series as it was.
        first: String,
        /// Another series as it was.
        second: String,
        /// What both become.
        shaped: String,
    },
}

/// How to walk.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'a> {
    /// The order asked for.
    pub order: Order,
    /// Where sorting spills to.
    pub temp_dir: &'a Path,
    /// Bytes that sorting may hold, for all cursors together.
    pub sort_budget_bytes: usize,
}

/// True for metrics that are wanted.
pub type MetricFilter<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// Which series to walk.
#[derive(Clone)]
pub struct Reach<'a> {
    /// All blocks of the run.
    pub blocks: &'a [OpenBlock],
    /// Positions of those to read.
    pub members: Vec<usize>,
    /// Blocks besides; their positions are behind all others.
    pub own: Vec<Arc<OpenBlock>>,
    /// The metrics to read.
    pub shard: Shard,
    /// Of those the metrics wanted, by name; all without it. Given, series without a metric are left out.
    pub wants: Option<MetricFilter<'a>>,
}

impl<'a> Reach<'a> {
    /// All series of `blocks`.
    pub fn all(blocks: &'a [OpenBlock]) -> Self {
        Self { blocks, members: (0..blocks.len()).collect(), own: Vec::new(), shard: Shard::ALL, wants: None }
    }
}

/// A block of the run, or one that a unit has of its own.
enum BlockHandle<'a> {
    OfRun(&'a OpenBlock),
    Own(Arc<OpenBlock>),
}

impl Deref for BlockHandle<'_> {
    type Target = OpenBlock;

    fn deref(&self) -> &OpenBlock {
        match self {
            Self::OfRun(block) => block,
            Self::Own(block) => block,
        }
    }
}

/// One series of one block.
#[derive(Debug, Clone)]
pub struct Member {
    /// Position of the block among those opened.
    pub block: usize,
    /// The series in that block.
    pub series_ref: SeriesRef,
    /// Its chunks, as the filter of the cursor left them.
    pub chunks: Vec<ChunkMeta>,
    /// Which of the series' replicas it is of, counted in the order of their replica labels.
    pub replica: u32,
}

/// A series with all blocks that hold it.
#[derive(Debug)]
pub struct MergedSeries {
    /// Labels after the pipeline.
    pub labels: Labels,
    /// Where its samples are, by block.
    pub members: Vec<Member>,
    /// Series that were different before labels were dropped, kept or added, besides the first.
    pub merged: u64,
}

/// References of one metric, in the order they are to be visited.
#[derive(Debug)]
enum Refs {
    Index(std::vec::IntoIter<SeriesRef>),
    Sorted(Box<SortedRefs>),
}

/// Sorted references, some of them taken already to know what comes.
#[derive(Debug)]
struct SortedRefs {
    sorted: Sorted,
    taken: VecDeque<SeriesRef>,
    /// How many are taken; of a block that is near, the next one alone.
    ahead: usize,
}

impl SortedRefs {
    fn next(&mut self) -> io::Result<Option<SeriesRef>> {
        if self.taken.len() <= self.ahead / 2 {
            while self.taken.len() < self.ahead
                && let Some(keyed) = self.sorted.next()
            {
                self.taken.push_back(keyed?.1);
            }
        }
        Ok(self.taken.pop_front())
    }
}

impl Refs {
    fn next(&mut self) -> io::Result<Option<SeriesRef>> {
        match self {
            Self::Index(refs) => Ok(refs.next()),
            Self::Sorted(sorted) => sorted.next(),
        }
    }

    /// Those that come next, as far as they are known.
    fn behind(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        let (refs, taken) = match self {
            Self::Index(refs) => (Some(refs.as_slice()), None),
            Self::Sorted(sorted) => (None, Some(&sorted.taken)),
        };
        refs.into_iter().flatten().chain(taken.into_iter().flatten()).copied()
    }
}

/// The series of one block, in order.
struct Cursor<'a> {
    at: usize,
    block: BlockHandle<'a>,
    walk: Walk<'a>,
    wants: Option<MetricFilter<'a>>,
    sort: bool,
    /// Position in the block's runs of series that the shard has: nameless ones first, then by metric.
    next_run: usize,
    last_run: usize,
    refs: Refs,
    /// Of a block that is far away.
    far: Option<FarSeries>,
    head: Option<Head>,
    last_key: Vec<u8>,
    series: Series,
    findings: Findings,
}

struct Head {
    key: Vec<u8>,
    /// Without replica labels.
    identity: Labels,
    replica: Labels,
    shaped: Labels,
    member: Member,
}

impl<'a> Cursor<'a> {
    fn new(at: usize, block: BlockHandle<'a>, reach: &Reach<'a>, walk: Walk<'a>, sort: bool) -> Self {
        let far = FarSeries::new(&block, reach.members.len());
        let (next_run, last_run) = match walk.order {
            Order::Labels => (0, 1),
            Order::Metric => block.runs_of(&reach.shard),
        };
        Self {
            at,
            walk,
            wants: reach.wants,
            sort: sort || !block.relabel.is_identity(),
            block,
            far,
            next_run,
            last_run,
            refs: Refs::Index(Vec::new().into_iter()),
            head: None,
            last_key: Vec::new(),
            series: Series::default(),
            findings: Findings::default(),
        }
    }

    /// A part of the index that cannot be read is named and left out; the rest goes on.
    fn broken(&mut self, name: &str, error: &tsdb_reader::Error) {
        let message = format!("{}; its samples are missing", error_chain(error));
        self.findings.push(Finding::new(Severity::Broken, name, self.block.name(), message));
    }

    /// A series that would go before one that is written already is named and left out.
    fn out_of_order(&mut self, head: &Head) {
        let message = format!(
            "{} comes behind a series that sorts after it, though they were sorted, so its samples are missing; \
             take a new copy of the block",
            head.shaped
        );
        self.findings.push(Finding::new(Severity::Broken, "series-out-of-order", self.block.name(), message));
    }

    /// Whether the series that was read last has the metric of its run. The lists of a near block were compared with
    /// the series when it was opened.
    fn is_of_run(&self) -> bool {
        self.walk.order == Order::Labels
            || self.block.disagreement.is_some()
            || self.series.labels.metric() == self.block.metric_of_run(self.next_run - 1)
    }

    fn of_other_metric(&mut self) {
        let of_list = match self.block.metric_of_run(self.next_run - 1) {
            Some(metric) => format!("in the list for __name__={:?}", String::from_utf8_lossy(metric)),
            None => "in no list of a metric".to_owned(),
        };
        let message = format!(
            "{} is {of_list}, so its samples are missing; look at it with promblock verify, and take a new copy of \
             the block",
            self.series.labels
        );
        self.findings.push(Finding::new(Severity::Broken, "postings-wrong", self.block.name(), message));
    }

    /// Moves to the next series that has a chunk which `keep` wants.
    fn advance(&mut self, keep: &mut dyn FnMut(&OpenBlock, &ChunkMeta) -> bool) -> Result<(), SeriesError> {
        self.head = None;
        loop {
            let Some(series_ref) = self.refs.next().map_err(SeriesError::Sort)? else {
                if self.next_run >= self.last_run {
                    return Ok(());
                }
                self.next_run += 1;
                let run = self.next_run - 1;
                if wants_run(self.wants, &self.block, run) {
                    self.refs = self.open_run(run, keep)?;
                }
                continue;
            };
            if let Some(head) = self.read(series_ref, keep) {
                if head.key < self.last_key {
                    if !self.sort {
                        return Err(SeriesError::NotInOrder { at: self.at, block: self.block.name() });
                    }
                    self.out_of_order(&head);
                    continue;
                }
                self.last_key.clone_from(&head.key);
                self.head = Some(head);
                return Ok(());
            }
        }
    }

    fn open_run(
        &mut self,
        run: usize,
        keep: &mut dyn FnMut(&OpenBlock, &ChunkMeta) -> bool,
    ) -> Result<Refs, SeriesError> {
        let refs = match (self.walk.order, &mut self.far) {
            (Order::Labels, _) => self.block.all_refs(),
            (Order::Metric, None) => self.block.run_refs(run),
            (Order::Metric, Some(far)) => {
                let is_wanted = |run: usize| wants_run(self.wants, &self.block, run);
                far.run_refs(&self.block, run, self.last_run, is_wanted)
            }
        };
        let refs = refs.unwrap_or_else(|error| {
            self.broken("unreadable-postings", &error);
            Vec::new()
        });
        if !self.sort {
            return Ok(Refs::Index(refs.into_iter()));
        }
        let mut sorter = Sorter::new(self.walk.temp_dir, self.walk.sort_budget_bytes);
        self.refs = Refs::Index(refs.into_iter());
        while let Some(series_ref) = self.refs.next().map_err(SeriesError::Sort)? {
            if let Some(head) = self.read(series_ref, &mut *keep) {
                sorter.push(head.key, series_ref).map_err(SeriesError::Sort)?;
            }
        }
        let sorted = sorter.finish().map_err(SeriesError::Sort)?;
        let ahead = self.far.as_ref().map_or(1, FarSeries::reach);
        Ok(Refs::Sorted(Box::new(SortedRefs { sorted, taken: VecDeque::new(), ahead })))
    }

    fn read(
        &mut self,
        series_ref: SeriesRef,
        keep: &mut dyn FnMut(&OpenBlock, &ChunkMeta) -> bool,
    ) -> Option<Head> {
        let read = match &mut self.far {
            None => self.block.block.index().series(series_ref, &mut self.series),
            Some(far) => far.series(series_ref, self.refs.behind(), &mut self.series),
        };
        if let Err(error) = read {
            self.broken("unreadable-series", &error);
            return None;
        }
        if self.far.is_some() && !self.is_of_run() {
            self.of_other_metric();
            return None;
        }
        let chunks: Vec<ChunkMeta> =
            self.series.chunks.iter().filter(|chunk| keep(&self.block, chunk)).copied().collect();
        if chunks.is_empty() {
            return None;
        }
        let member = Member { block: self.at, series_ref, chunks, replica: 0 };
        let (mut identity, mut replica, mut shaped) = (Labels::new(), Labels::new(), Labels::new());
        if self.block.relabel.is_identity() {
            shaped.clone_from(&self.series.labels);
        } else {
            self.block.relabel.identify(&self.series.labels, &mut identity);
            replica = self.block.relabel.take_replica(&mut identity);
            self.block.relabel.shape(&identity, &mut shaped);
        }
        let mut key = Vec::new();
        self.walk.order.key(&shaped, &mut key);
        Some(Head { key, identity, replica, shaped, member })
    }
}

/// True for runs whose metric is wanted.
fn wants_run(wants: Option<MetricFilter<'_>>, block: &OpenBlock, run: usize) -> bool {
    wants.is_none_or(|wants| block.metric_of_run(run).is_some_and(wants))
}

/// The series of all blocks of a shard, in order, equal ones joined.
pub struct SeriesMerge<'a, K> {
    cursors: Vec<Cursor<'a>>,
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    keep: K,
    allow_merge: bool,
}

impl<'a, K: FnMut(&OpenBlock, &ChunkMeta) -> bool> SeriesMerge<'a, K> {
    /// Opens a cursor on each block of `reach`. Chunks that `keep` does not want are left out, and series without any
    /// left.
    pub fn new(
        reach: &Reach<'a>,
        walk: Walk<'a>,
        must_sort: &dyn Fn(usize) -> bool,
        allow_merge: bool,
        keep: K,
    ) -> Result<Self, SeriesError> {
        let mut cursors: Vec<Cursor<'a>> = Vec::new();
        for &at in &reach.members {
            if let Some(block) = reach.blocks.get(at) {
                cursors.push(Cursor::new(at, BlockHandle::OfRun(block), reach, walk, must_sort(at)));
            }
        }
        for (own, at) in reach.own.iter().zip(reach.blocks.len()..) {
            cursors.push(Cursor::new(at, BlockHandle::Own(Arc::clone(own)), reach, walk, false));
        }
        let share = walk.sort_budget_bytes / cursors.len().max(1);
        for cursor in &mut cursors {
            cursor.walk.sort_budget_bytes = share;
        }
        let mut merge = Self { cursors, heap: BinaryHeap::new(), keep, allow_merge };
        for at in 0..merge.cursors.len() {
            merge.advance(at)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, at: usize) -> Result<(), SeriesError> {
        let Some(cursor) = self.cursors.get_mut(at) else { return Ok(()) };
        cursor.advance(&mut self.keep)?;
        if let Some(head) = &mut cursor.head {
            self.heap.push(Reverse((std::mem::take(&mut head.key), at)));
        }
        Ok(())
    }

    /// The next series; none at the end.
    #[expect(clippy::should_implement_trait, reason = "an error ends the walk: no Iterator")]
    pub fn next(&mut self) -> Result<Option<MergedSeries>, SeriesError> {
        let Some(Reverse((key, at))) = self.heap.pop() else { return Ok(None) };
        let Some(head) = self.cursors.get_mut(at).and_then(|cursor| cursor.head.take()) else {
            return Ok(None);
        };
        let identity = head.identity;
        let mut series = MergedSeries { labels: head.shaped, members: vec![head.member], merged: 0 };
        let mut replicas = vec![head.replica];
        self.advance(at)?;
        while self.heap.peek().is_some_and(|Reverse((next, _))| *next == key) {
            let Some(Reverse((_, at))) = self.heap.pop() else { break };
            let Some(head) = self.cursors.get_mut(at).and_then(|cursor| cursor.head.take()) else { break };
            self.check_same(&identity, &head.identity, &series.labels)?;
            series.merged += u64::from(!same_series(&identity, &head.identity));
            series.members.push(head.member);
            replicas.push(head.replica);
            self.advance(at)?;
        }
        number_replicas(&mut series.members, &replicas);
        Ok(Some(series))
    }

    /// What could not be read so far; empties the list.
    pub fn take_findings(&mut self) -> Findings {
        let mut all = Findings::default();
        for cursor in &mut self.cursors {
            all.append(std::mem::take(&mut cursor.findings));
        }
        all
    }

    fn check_same(&self, first: &Labels, second: &Labels, shaped: &Labels) -> Result<(), SeriesError> {
        if self.allow_merge || same_series(first, second) {
            return Ok(());
        }
        Err(SeriesError::Merged {
            first: first.to_string(),
            second: second.to_string(),
            shaped: shaped.to_string(),
        })
    }
}

/// Numbers replicas by their labels, which are those of `members`.
fn number_replicas(members: &mut [Member], labels: &[Labels]) {
    if labels.iter().all(Labels::is_empty) {
        return;
    }
    let mut in_order: Vec<_> = labels.iter().collect();
    in_order.sort_unstable();
    in_order.dedup();
    for (member, labels) in members.iter_mut().zip(labels) {
        let number = in_order.partition_point(|at| *at < labels);
        member.replica = u32::try_from(number).unwrap_or(u32::MAX);
    }
}

/// True when two series that come out with equal labels went in as one. A series of a block that changes no labels
/// has no identity of its own: where one block changes none, no block drops any, and equal labels are one series.
fn same_series(first: &Labels, second: &Labels) -> bool {
    first.is_empty() || second.is_empty() || first == second
}
