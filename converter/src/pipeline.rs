//! Pipeline: units spread over threads; the only place that knows threads.
//!
//! ```text
//!            cut slices         encode slices              append in slice order
//! unit 1   ─[ one at a time ]─► slice 0 … slice n ──────► [ one at a time ] ─► commit
//! unit 2   ─[ one at a time ]─► slice 0 … slice n ──────► [ one at a time ] ─► commit
//! ```
//! Each worker takes the step that is nearest to the end: append what is next in its unit, else cut and encode a
//! slice of the oldest unit that has any left, else begin a unit. So a single huge unit keeps all threads busy,
//! and so do thousands of small ones. At most `slices_in_flight` slices are held at once; that alone is what
//! threads and the memory limit decide. The bytes written depend on neither. A slice that encodes to more than its
//! share is appended while it is encoded (`handover`).
//!
//! Of a unit that reads blocks from far away more slices are cut than are encoded: their chunks are on their way
//! meanwhile. These wait in line, within limits of their own, and take their places when they are encoded.

mod handover;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::blocks::{OpenBlock, SliceBlocks};
use crate::classic::{self, ClassicError};
use crate::convert::ConvertError;
use crate::downsample::Policy;
use crate::finding::Findings;
use crate::identities::SeriesIdentity;
use crate::merge::{Wanted, context_start};
use crate::metadata::Metadata;
use crate::order::Order;
use crate::plan::{Shard, Unit};
use crate::predecessors::{Predecessor, Predecessors};
use crate::rows::SampleRows;
use crate::series::{MergedSeries, Reach, SeriesError, SeriesMerge, Walk};
use crate::sink::{Encoder, PartFile, TableWriters};
use crate::tally::Tally;
use crate::unit::{Slice, SliceOutcome, announce_chunks, encode_slice, next_slice};
use handover::Held;

/// Bytes of chunks that are announced and wait to be merged, about, of all units together.
const AHEAD_BYTES: u64 = 32 << 20;
/// Their series, whose labels are held: as many as one more slice may have.
const AHEAD_SERIES: usize = 1 << 16;
/// Their slices: so many take a store that answers in 100 ms longer than that to merge.
const AHEAD_SLICES: usize = 16;

/// What a person waiting wants to know; updated while units run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Samples expected, about.
    pub samples_expected: AtomicU64,
    /// Samples read so far, those of skipped units included.
    pub samples_read: AtomicU64,
    /// Bytes written so far.
    pub bytes_written: AtomicU64,
}

/// What workers share of a run.
pub struct Work<'a> {
    /// The blocks.
    pub blocks: &'a [OpenBlock],
    /// What is known of metrics.
    pub metadata: &'a Arc<Metadata>,
    /// All shards.
    pub shards: &'a [Shard],
    /// Encodes slices.
    pub encoder: &'a Encoder,
    /// DEST.
    pub root: &'a Path,
    /// What is wanted of every unit, but for its bounds.
    pub wanted: Wanted,
    /// How series are walked.
    pub walk: Walk<'a>,
    /// Whether series may become equal.
    pub allow_merge: bool,
    /// Whether labels of replicas are named.
    pub has_replicas: bool,
    /// Whether native histograms become classic series.
    pub classic: bool,
    /// What becomes of a series.
    pub policy: &'a Policy,
    /// Folder of a unit's partition.
    pub folder: &'a (dyn Fn(&Unit) -> String + Sync),
    /// What earlier runs have kept of before a unit.
    pub kept: &'a (dyn Fn(&Unit) -> Result<Predecessors, ConvertError> + Sync),
    /// Ends a unit: publishes its files.
    pub commit: &'a (dyn Fn(&Unit, UnitOutput) -> Result<(), ConvertError> + Sync),
    /// Workers.
    pub threads: usize,
    /// Rows that slices are cut at, about.
    pub rows_per_slice: u64,
    /// Slices held at once.
    pub slices_in_flight: usize,
    /// Told while units run.
    pub progress: &'a Progress,
    /// Set from outside to stop soon.
    pub stop: &'a AtomicBool,
}

/// What a finished unit leaves to commit.
pub struct UnitOutput {
    /// Files under their temporary names.
    pub parts: Vec<PartFile>,
    /// What became of its samples.
    pub tally: Tally,
    /// What could not be read.
    pub findings: Findings,
    /// Its series.
    pub identities: Vec<SeriesIdentity>,
    /// What came before it.
    pub predecessors: Vec<Predecessor>,
}

/// Which chunks a unit reads.
type Keep<'a> = Box<dyn FnMut(&OpenBlock, &tsdb_reader::index::ChunkMeta) -> bool + Send + 'a>;

/// A unit at work.
struct Active<'a> {
    id: u64,
    unit: &'a Unit,
    wanted: Wanted,
    /// Taken by the worker that cuts; none for good when all slices are cut.
    merge: Option<Box<SeriesMerge<'a, Keep<'a>>>>,
    cutting: bool,
    /// Classic series of its histograms.
    own: Vec<Arc<OpenBlock>>,
    kept: Arc<Predecessors>,
    slices: usize,
    /// It reads blocks from far away.
    is_far: bool,
    /// Slices that are cut and not encoded yet, in order.
    ahead: VecDeque<CutSlice>,
    /// Taken by the worker that appends.
    writer: Option<Box<Writer>>,
    appended: usize,
    done: BTreeMap<usize, EncodedSlice>,
    /// To begin again once its writer is back: two writers of one unit would share their temporary files.
    again: bool,
}

impl<'a> Active<'a> {
    fn place(&self, index: usize) -> Place<'a> {
        let Self { id, unit, wanted, is_far, .. } = *self;
        Place { id, index, unit, wanted, own: self.own.clone(), kept: Arc::clone(&self.kept), is_far }
    }
}

struct Writer {
    tables: TableWriters,
    output: UnitOutput,
}

/// A slice whose chunks are on their way.
struct CutSlice {
    slice: Slice,
    /// What the walk could not read until its end.
    findings: Findings,
    /// Bytes of its far chunks, about.
    bytes: u64,
}

/// What is cut ahead of all units.
#[derive(Default)]
struct Ahead {
    slices: usize,
    series: usize,
    bytes: u64,
}

impl Ahead {
    fn is_full(&self) -> bool {
        self.slices >= AHEAD_SLICES || self.series >= AHEAD_SERIES || self.bytes >= AHEAD_BYTES
    }

    fn add(&mut self, cut: &CutSlice) {
        self.slices += 1;
        self.series += cut.slice.series.len();
        self.bytes += cut.bytes;
    }

    fn remove(&mut self, cut: &CutSlice) {
        self.slices -= 1;
        self.series -= cut.slice.series.len();
        self.bytes -= cut.bytes;
    }
}

/// A slice that waits to be appended.
struct EncodedSlice {
    held: Held,
    outcome: SliceOutcome,
}

struct State<'a> {
    pending: VecDeque<&'a Unit>,
    active: Vec<Active<'a>>,
    next_id: u64,
    slices_in_flight: usize,
    ahead: Ahead,
    /// Blocks whose series turned out not to be in order.
    must_sort: BTreeSet<usize>,
    error: Option<ConvertError>,
    /// A worker is gone: what it held will never be done.
    panicked: bool,
}

/// What is next to append in a unit.
struct Append<'a> {
    id: u64,
    unit: &'a Unit,
    writer: Box<Writer>,
    /// None when all are appended.
    slice: Option<EncodedSlice>,
    /// Nothing comes after it.
    is_last: bool,
}

/// A slice of a unit.
struct Place<'a> {
    id: u64,
    index: usize,
    unit: &'a Unit,
    wanted: Wanted,
    own: Vec<Arc<OpenBlock>>,
    kept: Arc<Predecessors>,
    is_far: bool,
}

enum Step<'a> {
    Append(Box<Append<'a>>),
    Cut(Place<'a>, Box<SeriesMerge<'a, Keep<'a>>>),
    Encode(Place<'a>, CutSlice),
    Begin(u64, &'a Unit, Wanted, BTreeSet<usize>),
    Wait,
    Exit,
}

/// Runs `units`, each to its commit. Stops at the first error, or soon after `stop` is set.
pub fn run<'a>(work: &'a Work<'a>, units: impl Iterator<Item = &'a Unit>) -> Result<(), ConvertError> {
    let state = Mutex::new(State {
        pending: units.collect(),
        active: Vec::new(),
        next_id: 0,
        slices_in_flight: 0,
        ahead: Ahead::default(),
        must_sort: BTreeSet::new(),
        error: None,
        panicked: false,
    });
    let changed = Condvar::new();
    let pool = Pool { work, state, changed };
    std::thread::scope(|scope| {
        for _ in 1..work.threads {
            scope.spawn(|| pool.worker());
        }
        pool.worker();
    });
    let state = pool.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.error {
        Some(error) => Err(error),
        None if state.pending.is_empty() && state.active.is_empty() => Ok(()),
        None => Err(ConvertError::Stopped),
    }
}

struct Pool<'a> {
    work: &'a Work<'a>,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

impl<'a> Pool<'a> {
    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) {
        let _others = StopOthers(self);
        let mut rows = SampleRows { metadata: Arc::clone(self.work.metadata), ..SampleRows::default() };
        let mut state = self.lock();
        loop {
            let step = self.next_step(&mut state);
            if matches!(step, Step::Wait) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            let failed = match step {
                Step::Append(append) => self.append(*append),
                Step::Cut(place, merge) => self.cut(place, merge, &mut rows),
                Step::Encode(place, cut) => self.encode(&place, cut, &mut rows),
                Step::Begin(id, unit, wanted, must_sort) => self.begin(id, unit, wanted, &must_sort),
                Step::Exit => {
                    self.changed.notify_all();
                    return;
                }
                Step::Wait => Ok(()),
            };
            state = self.lock();
            if let Err(error) = failed {
                state.error.get_or_insert(error);
            }
            self.changed.notify_all();
        }
    }

    fn is_stopped(&self, state: &State<'a>) -> bool {
        state.error.is_some() || state.panicked || self.work.stop.load(Ordering::Relaxed)
    }

    fn next_step(&self, state: &mut State<'a>) -> Step<'a> {
        if self.is_stopped(state) {
            return Step::Exit;
        }
        if state.pending.is_empty() && state.active.is_empty() {
            return Step::Exit;
        }
        if let Some(append) = next_append(state) {
            return Step::Append(Box::new(append));
        }
        if let Some(step) = self.next_slice_step(state) {
            return step;
        }
        // Units that wait for their last slices are cheap; more of them than threads are not needed.
        if state.active.len() < self.work.threads * 2
            && state.slices_in_flight < self.work.slices_in_flight
            && let Some(unit) = state.pending.pop_front()
        {
            let id = state.next_id;
            state.next_id += 1;
            let bounds = unit.partition.bounds().intersection(self.work.wanted.asked);
            let bounds = bounds.unwrap_or(self.work.wanted.bounds);
            let lookback_ms = if unit.looks_back { self.work.wanted.lookback_ms } else { 0 };
            let wanted = Wanted { bounds, lookback_ms, ..self.work.wanted };
            state.active.push(Active {
                id,
                unit,
                wanted,
                merge: None,
                cutting: true,
                own: Vec::new(),
                kept: Arc::default(),
                slices: 0,
                is_far: unit
                    .members
                    .iter()
                    .any(|&at| self.work.blocks.get(at).is_some_and(OpenBlock::is_far)),
                ahead: VecDeque::new(),
                writer: None,
                appended: 0,
                done: BTreeMap::new(),
                again: false,
            });
            return Step::Begin(id, unit, wanted, state.must_sort.clone());
        }
        Step::Wait
    }

    /// Cuts or encodes a slice of the oldest unit where that can be done. A far slice is cut ahead before one that was
    /// is encoded, as long as there is room.
    fn next_slice_step(&self, state: &mut State<'a>) -> Option<Step<'a>> {
        let State { active, ahead, slices_in_flight, .. } = state;
        let has_place = *slices_in_flight < self.work.slices_in_flight;
        for active in active {
            let may_cut = match active.is_far {
                true => active.ahead.is_empty() || !ahead.is_full(),
                false => has_place,
            };
            if let Some(merge) = active.merge.take_if(|_| may_cut) {
                active.cutting = true;
                active.slices += 1;
                *slices_in_flight += usize::from(!active.is_far);
                return Some(Step::Cut(active.place(active.slices - 1), merge));
            }
            if has_place && let Some(cut) = active.ahead.pop_front() {
                ahead.remove(&cut);
                *slices_in_flight += 1;
                return Some(Step::Encode(active.place(cut.slice.index), cut));
            }
        }
        None
    }

    fn begin(
        &self,
        id: u64,
        unit: &'a Unit,
        wanted: Wanted,
        must_sort: &BTreeSet<usize>,
    ) -> Result<(), ConvertError> {
        let work = self.work;
        let bounds = unit.partition.bounds().intersection(work.wanted.asked);
        let keep = move |block: &OpenBlock, chunk: &tsdb_reader::index::ChunkMeta| {
            let Some(bounds) = bounds else { return false };
            let context_ms = context_start(bounds.min_ms, wanted.lookback_ms, work.has_replicas);
            let is_context =
                || wanted.lookback_ms > 0 && (context_ms..bounds.min_ms).contains(&chunk.max_time_ms);
            block.is_of_unit(chunk, bounds, work.wanted.asked) || is_context()
        };
        let shard = work.shards.get(unit.shard).unwrap_or(&Shard::ALL).clone();
        let walk = Walk { order: Order::Metric, ..work.walk };
        let sort = |at: usize| must_sort.contains(&at);
        let mut reach =
            Reach { blocks: work.blocks, members: unit.members.clone(), own: Vec::new(), shard, wants: None };
        let mut findings = Findings::default();
        if work.classic {
            // Another shard's unit treats its series alike.
            let is_read = |series: &MergedSeries| {
                let treatment = work.policy.treatment(&series.labels, unit.resolution, work.metadata);
                treatment.resolution.is_some()
            };
            let histograms = classic::Histograms {
                reach: reach.clone(),
                wanted,
                walk,
                allow_merge: work.allow_merge,
                is_read: &is_read,
                stop: work.stop,
            };
            (reach.own, findings) = match histograms.blocks(&sort, keep) {
                Ok(built) => built,
                Err(ClassicError::Series(error)) => return self.series_failed(id, error),
                Err(error) => return Err(error.into()),
            };
        }
        let keep: Keep<'a> = Box::new(keep);
        let merge = match SeriesMerge::new(&reach, walk, &sort, work.allow_merge, keep) {
            Ok(merge) => Box::new(merge),
            Err(error) => return self.series_failed(id, error),
        };
        let folder = (work.folder)(unit);
        let tables = TableWriters::new(work.encoder, work.root, &folder, &unit.file_prefix());
        let output = UnitOutput {
            parts: Vec::new(),
            tally: Tally::default(),
            findings,
            identities: Vec::new(),
            predecessors: Vec::new(),
        };
        let kept = (work.kept)(unit)?;
        let mut state = self.lock();
        if let Some(active) = state.active.iter_mut().find(|active| active.id == id) {
            active.merge = Some(merge);
            active.cutting = false;
            active.own = reach.own;
            active.kept = Arc::new(kept);
            active.writer = Some(Box::new(Writer { tables, output }));
        }
        Ok(())
    }

    /// Cuts a slice; a near one is encoded at once.
    fn cut(
        &self,
        place: Place<'a>,
        mut merge: Box<SeriesMerge<'a, Keep<'a>>>,
        rows: &mut SampleRows,
    ) -> Result<(), ConvertError> {
        let Place { id, index, .. } = place;
        let blocks = SliceBlocks::new(self.work.blocks, &place.own);
        let treatment = |series: &MergedSeries| {
            self.work.policy.treatment(&series.labels, place.unit.resolution, self.work.metadata)
        };
        let cut = match next_slice(index, &mut merge, blocks, self.work.rows_per_slice, treatment) {
            Ok(cut) => cut,
            Err(error) => {
                self.lock().slices_in_flight -= usize::from(!place.is_far);
                return self.series_failed(id, error);
            }
        };
        let findings = merge.take_findings();
        let merge = cut.is_some().then_some(merge);
        // The last slice is empty: it carries what the walk could not read.
        let slice = cut.unwrap_or(Slice { index, series: Vec::new() });
        let bytes = if place.is_far { announce_chunks(&slice, blocks) } else { 0 };
        let mut cut = Some(CutSlice { slice, findings, bytes });
        {
            let mut state = self.lock();
            let State { active, ahead, .. } = &mut *state;
            if let Some(active) = active.iter_mut().find(|active| active.id == id) {
                active.cutting = false;
                active.merge = merge;
                if let Some(cut) = cut.take_if(|_| active.is_far) {
                    ahead.add(&cut);
                    active.ahead.push_back(cut);
                }
            }
            self.changed.notify_all();
        }
        cut.map_or(Ok(()), |cut| self.encode(&place, cut, rows))
    }

    /// Encodes a slice that has its place.
    fn encode(&self, place: &Place<'a>, cut: CutSlice, rows: &mut SampleRows) -> Result<(), ConvertError> {
        let Place { id, index, .. } = *place;
        let CutSlice { slice, findings, .. } = cut;
        let blocks = SliceBlocks::new(self.work.blocks, &place.own);
        let mut held = Held::default();
        let hand_over = |encoded| self.hand_over((id, index), encoded, &mut held);
        let mut outcome =
            encode_slice(&slice, blocks, (place.wanted, &place.kept), self.work.encoder, rows, hand_over)?;
        outcome.findings.append(findings);
        for (rule, counts) in std::mem::take(&mut outcome.rules) {
            outcome.tally.rules.insert(self.work.policy.selector(rule).to_owned(), counts);
        }
        self.work.progress.samples_read.fetch_add(outcome.tally.read, Ordering::Relaxed);
        let mut state = self.lock();
        match state.active.iter_mut().find(|active| active.id == id) {
            Some(active) if !active.again => _ = active.done.insert(index, EncodedSlice { held, outcome }),
            _ => state.slices_in_flight -= held.places(),
        }
        Ok(())
    }

    /// A block whose series are not in order is sorted, and its unit begins again; other errors end the run.
    fn series_failed(&self, id: u64, error: SeriesError) -> Result<(), ConvertError> {
        let SeriesError::NotInOrder { at, .. } = error else { return Err(error.into()) };
        let mut state = self.lock();
        state.must_sort.insert(at);
        let State { active, ahead, .. } = &mut *state;
        if let Some(active) = active.iter_mut().find(|active| active.id == id) {
            active.again = true;
            active.ahead.drain(..).for_each(|cut| ahead.remove(&cut));
            let unwanted = std::mem::take(&mut active.done);
            // Before the first slice there is no writer; later another worker may append with it.
            let writer_is_back = active.slices == 0 || active.writer.is_some();
            state.slices_in_flight -= unwanted.values().map(|slice| slice.held.places()).sum::<usize>();
            if writer_is_back {
                begin_again(&mut state, id);
            }
        }
        Ok(())
    }

    fn append(&self, append: Append<'a>) -> Result<(), ConvertError> {
        let Append { id, unit, mut writer, slice, is_last } = append;
        if let Some(EncodedSlice { mut held, outcome }) = slice {
            self.append_rows(&mut writer, &mut held)?;
            writer.output.tally.add(&outcome.tally);
            writer.output.findings.append(outcome.findings);
            writer.output.identities.extend(outcome.identities);
            writer.output.predecessors.extend(outcome.predecessors);
        }
        if !is_last {
            self.give_back(id, writer);
            return Ok(());
        }
        writer.output.parts = writer.tables.finish()?;
        (self.work.commit)(unit, writer.output)?;
        self.lock().active.retain(|active| active.id != id);
        Ok(())
    }
}

/// The slice that is next in some unit, or the end of one.
fn next_append<'a>(state: &mut State<'a>) -> Option<Append<'a>> {
    for active in &mut state.active {
        let all_cut = active.merge.is_none() && !active.cutting;
        let next = active.done.contains_key(&active.appended);
        if (next || all_cut && active.appended == active.slices)
            && let Some(writer) = active.writer.take()
        {
            let slice = active.done.remove(&active.appended);
            state.slices_in_flight -= slice.as_ref().map_or(0, |slice| slice.held.places());
            active.appended += usize::from(next);
            let is_last = all_cut && active.appended == active.slices;
            return Some(Append { id: active.id, unit: active.unit, writer, slice, is_last });
        }
    }
    None
}

/// Gives up what a unit has written, and puts it first in line.
fn begin_again(state: &mut State<'_>, id: u64) {
    if let Some(position) = state.active.iter().position(|active| active.id == id) {
        let active = state.active.remove(position);
        state.pending.push_front(active.unit);
    }
}

/// Tells the other workers when one panics: they would wait for ever for what it held.
struct StopOthers<'p, 'a>(&'p Pool<'a>);

impl Drop for StopOthers<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().panicked = true;
            self.0.changed.notify_all();
        }
    }
}
