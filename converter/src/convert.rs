//! Convert: the main job, from SOURCE to a published DEST.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tsdb_reader::Labels;
use tsdb_reader::index::Series;
use tsdb_reader::matcher::{Matcher, SelectorError, parse_matchers};

use crate::archive::Unpacked;
use crate::bigquery::{KitFile, KitInput, kit, published_files};
use crate::blocks::OpenBlock;
use crate::classic::ClassicError;
use crate::dest::{
    BlockRecord, Dest, DestError, DestPlan, Destination, Frozen, Manifest, Opened, UnitRecord,
};
use crate::discover::{Choice, DiscoverError, Discovery, Found, Heads, ReadOptions, discover_until};
use crate::distribute::PlanError;
use crate::downsample::{Policy, PolicyError};
use crate::error::error_chain;
use crate::finding::{Finding, Findings, Severity};
use crate::identities;
use crate::merge::Wanted;
use crate::metadata::{KnownMetadata, Metadata, MetadataError, MetricMetadata};
use crate::options::{ConvertOptions, StaleMarkers};
use crate::order::Order;
use crate::pipeline::{self, Progress, UnitOutput, Work};
use crate::plan::{self, Ledger, Shard, Unit};
use crate::relabel::{LabelOptionsError, Relabel, replicas_apart};
use crate::report::{Report, Scope, UnitCounts};
use crate::resolution::Resolution;
use crate::schema::{Table, TableSchema};
use crate::series::{SeriesError, Walk};
use crate::sink::{Encoder, FORMAT_VERSION, SinkError};
use crate::store::Stores;
use crate::time::{PartitionBy, TimeBounds, display_time};
use crate::unit::rows_per_slice;

/// What one slice may hold while it is merged and encoded, by measurement, rounded up.
const SLICE_BYTES: u64 = 56 << 20;
/// What a run holds besides slices: tables of the indexes, file buffers, the program.
const BASE_BYTES: u64 = 48 << 20;

/// Why a conversion did not happen, or not to its end. The manifest is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A SOURCE cannot be used.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// DEST cannot be used.
    #[error(transparent)]
    Dest(#[from] DestError),
    /// Rows cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Series cannot be walked.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The labels asked for make no sense.
    #[error(transparent)]
    LabelOptions(#[from] LabelOptionsError),
    /// A selector does not parse.
    #[error("--match {selector}")]
    Selector {
        /// As given.
        selector: String,
        /// Where and why.
        source: SelectorError,
    },
    /// No time is left between the bounds.
    #[error("the time range is empty: --min-time {} is not before --max-time {}", display_time(*min_time_ms), display_time(*max_time_ms))]
    EmptyTimeRange {
        /// As given.
        min_time_ms: i64,
        /// As given.
        max_time_ms: i64,
    },
    /// Windows would lie in two partitions.
    #[error(
        "windows of {resolution} do not fill partitions by {by}; use --partition-by {fitting}, or a resolution that does"
    )]
    WindowPartition {
        /// Of the windows.
        resolution: Resolution,
        /// As asked for.
        by: PartitionBy,
        /// What would do.
        fitting: PartitionBy,
    },
    /// A selector of a rule or of counters does not parse.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The memory limit does not suffice for one slice.
    #[error(
        "--memory-limit of {} MiB is too small, this conversion needs at least {} MiB",
        limit >> 20,
        needed.div_ceil(1 << 20)
    )]
    MemoryLimit {
        /// As given, in bytes.
        limit: u64,
        /// What is needed, in bytes.
        needed: u64,
    },
    /// `--strict` found something broken.
    #[error("--strict: {} broken: {first}; nothing was written", count)]
    Strict {
        /// How many findings.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Native histograms do not become classic series.
    #[error(transparent)]
    Classic(#[from] ClassicError),
    /// A metadata file cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The plan given cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Asked to stop.
    #[error("stopped; committed units stay, run the same command again to go on from there")]
    Stopped,
}

/// Options that do not shape the output.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Workers.
    pub threads: usize,
    /// Bytes of anonymous memory that may be held.
    pub memory_limit: u64,
    /// Where sorting spills to.
    pub temp_dir: PathBuf,
    /// Refuse before anything is written when anything is broken.
    pub strict: bool,
    /// Read the heads of data directories too.
    pub include_head: bool,
    /// The stores that SOURCE may lie in.
    pub stores: Stores,
    /// Which blocks are read.
    pub choice: Choice,
}

impl RunOptions {
    /// How SOURCE is read.
    pub fn read(&self) -> ReadOptions {
        // What a run needs least is left to it; a quarter of the limit is enough for most archives.
        let spare = (self.memory_limit / 8 * 7).saturating_sub(BASE_BYTES + SLICE_BYTES);
        let unpack_limit = spare.min(self.memory_limit / 4);
        ReadOptions {
            unpack_limit,
            temp_dir: self.temp_dir.clone(),
            include_head: self.include_head,
            stores: self.stores.clone(),
            choice: self.choice.clone(),
        }
    }
}

/// The plan of a run, with what is open for it.
#[derive(Debug)]
pub struct Planned {
    /// Blocks to read.
    pub blocks: Vec<OpenBlock>,
    /// Units in the order they are begun.
    pub units: Vec<Unit>,
    /// Metrics at which shards end.
    pub shard_bounds: Vec<String>,
    /// What each level-1 source is known to cover.
    pub ledger: Ledger,
    /// What discovery and opening found.
    pub findings: Findings,
    /// What was unpacked of archives.
    pub unpacked: Vec<Unpacked>,
    /// What is known of metrics.
    pub metadata: Arc<Metadata>,
    /// What was read of heads.
    pub heads: Heads,
    /// The time range asked for.
    pub asked: TimeBounds,
    /// Bytes that may be held of what is fetched from stores.
    pub far_bytes: u64,
}

impl Planned {
    /// Bytes that are held in memory of SOURCE.
    pub fn held_bytes(&self) -> u64 {
        let unpacked: u64 = self.unpacked.iter().map(|unpacked| unpacked.memory_bytes).sum();
        unpacked + self.heads.memory_bytes + self.far_bytes
    }
}

/// Finds and opens the blocks of `sources`; plans the units for a DEST that `known` plan and ledger come from.
pub fn plan_units(
    sources: &[PathBuf],
    read: &ReadOptions,
    options: &ConvertOptions,
    known: Option<&DestPlan>,
    ledger: Ledger,
    metadata: KnownMetadata,
    stop: &AtomicBool,
) -> Result<Planned, ConvertError> {
    let mut read = read.clone();
    options.labels.tenant_label().clone_into(&mut read.choice.tenant_label);
    read.choice.asked = asked_or_looked_back_to(options.asked().unwrap_or(TimeBounds::ALL), options);
    let discovery = discover_until(sources, &read, stop).map_err(|error| match error {
        DiscoverError::Stopped => ConvertError::Stopped,
        error => error.into(),
    })?;
    let planned = plan_found(discovery, options, known, ledger, metadata)?;
    Ok(Planned { far_bytes: read.stores.held_bytes(), ..planned })
}

/// The same for what was found.
pub(crate) fn plan_found(
    discovery: Discovery,
    options: &ConvertOptions,
    known: Option<&DestPlan>,
    mut ledger: Ledger,
    metadata: KnownMetadata,
) -> Result<Planned, ConvertError> {
    options.labels.check()?;
    check_resolutions(options)?;
    let asked = options.asked().ok_or(ConvertError::EmptyTimeRange {
        min_time_ms: options.min_time_ms.unwrap_or(i64::MIN),
        max_time_ms: options.max_time_ms.unwrap_or(i64::MAX),
    })?;
    let selectors = parse_selectors(&options.selectors)?;
    let mut findings = Findings::default();
    for finding in discovery.findings {
        findings.push(finding);
    }
    let mut blocks = open_blocks(discovery.blocks, options, &selectors, &mut findings);
    let mut partitions = Vec::new();
    blocks.retain(|block| match block.partitions(options.partition_by, asked) {
        Ok(of_block) => {
            partitions.push(of_block);
            true
        }
        Err(error) => {
            findings.push(unreadable(&block.name(), &error));
            false
        }
    });
    if let Some(label) = replicas_apart(blocks.iter().map(|block| &block.relabel))
        && options.labels.replica.is_empty()
    {
        let message = format!(
            "some blocks differ in the external label {label} alone, which usually tells replicas apart, so each of their \
             series is written once for each; to follow one replica at a time, pass --replica-label {label}"
        );
        findings.push(Finding::new(Severity::Note, "replicas-apart", "SOURCE", message));
    }
    plan::enter_sources(&mut ledger, &blocks, &discovery.outside);
    let shard_bounds = match known {
        Some(known) => known.shard_bounds.clone(),
        None => {
            let count = partitions.iter().flatten().collect::<BTreeSet<_>>().len();
            plan::shard_bounds(&blocks, count, options)
        }
    };
    let Discovery { unpacked, mut heads, outside, .. } = discovery;
    let logged = logged_metadata(std::mem::take(&mut heads.metadata), options, &mut findings);
    let metadata = Arc::new(metadata.with_logged(logged, &mut findings));
    // Ages are counted from the newest block's end, whether it is asked for or not.
    let mut aged = options.clone();
    aged.downsampling.now_ms.get_or_insert(plan::newest_end(&blocks, &outside));
    let units = plan::units(&mut blocks, &partitions, asked, &shard_bounds, &ledger, &metadata, &aged);
    Ok(Planned {
        blocks,
        units,
        shard_bounds,
        ledger,
        findings,
        unpacked,
        metadata,
        heads,
        asked,
        far_bytes: 0,
    })
}

/// The times that blocks are opened for: those asked for, and where there are windows, the lookback before them.
fn asked_or_looked_back_to(asked: TimeBounds, options: &ConvertOptions) -> TimeBounds {
    let makes_windows = options.downsampling.resolutions().iter().any(|resolution| !resolution.is_raw());
    let lookback_ms = if makes_windows { options.downsampling.lookback_ms } else { 0 };
    TimeBounds { min_ms: asked.min_ms.saturating_sub(lookback_ms), ..asked }
}

/// What logs say of metrics, as they are called after the labels pipeline, by data directory.
fn logged_metadata(
    logged: Vec<(String, Vec<(Labels, MetricMetadata)>)>,
    options: &ConvertOptions,
    findings: &mut Findings,
) -> Vec<(String, Metadata)> {
    let relabel = Relabel::new(BTreeMap::new(), options.labels.clone());
    let (mut identity, mut shaped) = (Labels::new(), Labels::new());
    let mut of_directory = |place: String, of_series: Vec<(Labels, MetricMetadata)>| {
        let mut entries: BTreeMap<Vec<u8>, BTreeSet<MetricMetadata>> = BTreeMap::new();
        for (labels, metadata) in of_series {
            relabel.identify(&labels, &mut identity);
            relabel.shape(&identity, &mut shaped);
            if let Some(metric) = shaped.metric() {
                entries.entry(metric.to_vec()).or_default().insert(metadata);
            }
        }
        let metadata = Metadata::of_entries(entries, &place, findings);
        (place, metadata)
    };
    logged.into_iter().map(|(place, of_series)| of_directory(place, of_series)).collect()
}

/// Refuses resolutions whose windows would lie in two partitions, and selectors that do not parse.
fn check_resolutions(options: &ConvertOptions) -> Result<Policy, ConvertError> {
    let by = options.partition_by;
    match options.downsampling.resolutions().into_iter().find(|resolution| !resolution.fits(by)) {
        Some(resolution) => {
            Err(ConvertError::WindowPartition { resolution, by, fitting: resolution.fitting() })
        }
        None => Ok(Policy::new(&options.downsampling)?),
    }
}

/// Parses the selectors of `--match`.
pub fn parse_selectors(selectors: &[String]) -> Result<Vec<Vec<Matcher>>, ConvertError> {
    let parse = |selector: &String| {
        parse_matchers(selector)
            .map_err(|source| ConvertError::Selector { selector: selector.clone(), source })
    };
    selectors.iter().map(parse).collect()
}

fn unreadable(block: &str, error: &tsdb_reader::Error) -> Finding {
    let message = format!("{}; the block is left out, take a new copy of it", error_chain(error));
    Finding::new(Severity::Broken, "unreadable-block", block, message)
}

/// Opens blocks for reading; those that cannot be opened are named. The newest ULID gets the highest rank.
pub fn open_blocks(
    found: Vec<Found>,
    options: &ConvertOptions,
    selectors: &[Vec<Matcher>],
    findings: &mut Findings,
) -> Vec<OpenBlock> {
    let mut by_age: Vec<_> = found.iter().map(|found| found.block.meta().ulid).collect();
    by_age.sort_unstable();
    let mut blocks = Vec::new();
    for Found { location, block, is_head, metrics } in found {
        let rank =
            u32::try_from(by_age.partition_point(|ulid| *ulid < block.meta().ulid)).unwrap_or(u32::MAX);
        let name = format!("{} ({location})", block.meta().ulid);
        let relabel = Relabel::new(OpenBlock::external(&block), options.labels.clone());
        let opened = match metrics {
            Some(metrics) => OpenBlock::with_metrics(block, metrics, location, relabel, rank, selectors),
            None => OpenBlock::open(block, location, relabel, rank, selectors),
        };
        match opened {
            Ok(mut block) => {
                block.is_head = is_head;
                if let Some(finding) = block.disagreement_found() {
                    findings.push(finding);
                }
                blocks.push(block);
            }
            Err(error) => findings.push(unreadable(&name, &error)),
        }
    }
    blocks
}

/// Converts `sources` to the DEST `to`.
pub fn convert(
    sources: &[PathBuf],
    to: impl Into<Destination>,
    options: &ConvertOptions,
    run: &RunOptions,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Report, ConvertError> {
    let encoder = Encoder::with_resolutions(options.output.clone(), options.downsampling.resolutions())?;
    slices_in_flight(run, 0)?;
    // What can be refused is refused before DEST is touched.
    options.labels.check()?;
    check_resolutions(options)?;
    parse_selectors(&options.selectors)?;
    let mut noted = Findings::default();
    let given = Metadata::read(&options.metadata, &mut noted)?;
    let Opened { dest, plan: known, manifest } = Dest::open(&to.into(), options)?;
    let metadata = KnownMetadata { kept: dest.metadata()?, given };
    let kept = metadata.kept.clone();
    let (ledger, published) = manifest.map(|manifest| (manifest.ledger, manifest.units)).unwrap_or_default();
    let mut planned = plan_units(sources, &run.read(), options, known.as_ref(), ledger, metadata, stop)?;
    planned.findings.append(noted);
    let slices_in_flight = slices_in_flight(run, planned.held_bytes() + dest.held_bytes())?;
    if run.strict {
        refuse_broken(&planned.blocks, &planned.findings)?;
    }
    if known.is_none() {
        dest.write_plan(&dest_plan(&planned, options))?;
    }
    if *planned.metadata != kept {
        dest.write_metadata(&planned.metadata)?;
    }
    let before = units_by_name(&dest)?;
    // What is published stays until something else is.
    dest.sweep(before.values().chain(&published))?;

    let work =
        UnitsWork { dest: &dest, planned: &planned, options, run, encoder: &encoder, slices_in_flight };
    let done = run_units(&work, &planned.units, &before, progress, stop)?;
    let all = dest.units()?;
    // What is published as it is was checked when it was.
    if all != published
        && let Err(error) = dest.check_identities(&all)
    {
        return Err(name_series(error, &planned.blocks).into());
    }
    let report = report(&planned, options, done, true);
    let published =
        Published { options: options.clone(), shard_bounds: planned.shard_bounds, ledger: planned.ledger };
    publish(&dest, &encoder, published, &report, all)?;
    Ok(report)
}

/// What is chosen once for a DEST.
pub(crate) fn dest_plan(planned: &Planned, options: &ConvertOptions) -> DestPlan {
    DestPlan {
        format_version: FORMAT_VERSION.to_owned(),
        options: options.clone(),
        shard_bounds: planned.shard_bounds.clone(),
    }
}

pub(crate) fn units_by_name(dest: &Dest) -> Result<BTreeMap<String, UnitRecord>, DestError> {
    Ok(dest.units()?.into_iter().map(|unit| (unit.unit.clone(), unit)).collect())
}

/// What converting units takes.
pub(crate) struct UnitsWork<'a> {
    pub dest: &'a Dest,
    pub planned: &'a Planned,
    pub options: &'a ConvertOptions,
    pub run: &'a RunOptions,
    pub encoder: &'a Encoder,
    pub slices_in_flight: usize,
}

/// What became of units.
pub(crate) struct DoneUnits {
    /// Their records as DEST has them now.
    pub records: Vec<UnitRecord>,
    /// How many ended how.
    pub counts: UnitCounts,
    /// Units that are kept as they were, with why, and what could not be read for them this time.
    pub frozen: Vec<(String, Frozen, Findings)>,
}

/// The record of a unit as DEST has it now; why it is kept as it was, and what could not be read for it.
type EndedUnit = (UnitRecord, Option<(Frozen, Findings)>);

/// Converts and commits those of `units` that DEST does not have yet; `before` is what it has.
pub(crate) fn run_units(
    work: &UnitsWork<'_>,
    units: &[Unit],
    before: &BTreeMap<String, UnitRecord>,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<DoneUnits, ConvertError> {
    let UnitsWork { dest, planned, options, run, encoder, slices_in_flight } = *work;
    progress.samples_expected.store(units.iter().map(|unit| unit.weight).sum(), Ordering::Relaxed);
    let mut counts = UnitCounts::default();
    let mut of_run: BTreeMap<String, UnitRecord> = BTreeMap::new();
    let mut to_do = Vec::new();
    for unit in units {
        match before.get(&unit.unit) {
            Some(done) if is_done(dest, done, unit)? => {
                counts.skipped += 1;
                progress.samples_read.fetch_add(done.tally.read, Ordering::Relaxed);
                of_run.insert(unit.unit.clone(), done.clone());
            }
            _ => to_do.push(unit),
        }
    }
    let committed: Mutex<Vec<EndedUnit>> = Mutex::new(Vec::new());
    let commit = |unit: &Unit, mut output: UnitOutput| -> Result<(), ConvertError> {
        let old = before.get(&unit.unit);
        let frozen = match old {
            Some(old) => dest.frozen(old, &output.tally, &mut output.identities)?,
            None => None,
        };
        let (record, frozen) = match (old, frozen) {
            (Some(old), Some(why)) => {
                dest.mark_frozen(unit)?;
                (old.clone(), Some((why, output.findings)))
            }
            _ => (dest.commit(unit, output)?, None),
        };
        committed.lock().unwrap_or_else(PoisonError::into_inner).push((record, frozen));
        Ok(())
    };
    let wanted = Wanted {
        bounds: planned.asked,
        asked: planned.asked,
        writable: TimeBounds::ROWS,
        drop_stale: options.stale_markers == StaleMarkers::Drop,
        nested: options.histograms.are_nested(),
        lookback_ms: options.downsampling.lookback_ms,
    };
    let mut weights: Vec<u64> = to_do.iter().map(|unit| unit.weight).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let at_once =
        weights.iter().take(run.threads.max(1)).fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    let staging = dest.staging(&run.temp_dir, at_once)?;
    let policy = Policy::new(&options.downsampling)?;
    let sort_budget_bytes =
        usize::try_from(run.memory_limit / 8).unwrap_or(usize::MAX) / (run.threads.max(1) * 2);
    let work = Work {
        blocks: &planned.blocks,
        metadata: &planned.metadata,
        shards: &Shard::between(&planned.shard_bounds),
        encoder,
        root: staging.path(),
        wanted,
        walk: Walk { order: Order::Metric, temp_dir: &run.temp_dir, sort_budget_bytes },
        allow_merge: options.allow_merge,
        has_replicas: !options.labels.replica.is_empty(),
        classic: options.histograms.are_classic(),
        policy: &policy,
        folder: &|unit| options.partition_by.folder(&unit.partition),
        kept: &|unit| Ok(dest.predecessors(unit)?),
        commit: &commit,
        threads: run.threads.clamp(1, slices_in_flight),
        rows_per_slice: rows_per_slice(options.output.format),
        slices_in_flight,
        progress,
        stop,
    };
    pipeline::run(&work, to_do.into_iter()).map_err(|error| match error {
        ConvertError::Sink(error) => staging.explain(error).map_or_else(Into::into, Into::into),
        error => error,
    })?;

    let mut frozen_units = Vec::new();
    for (record, frozen) in committed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match frozen {
            Some((why, findings)) => {
                counts.frozen += 1;
                frozen_units.push((record.unit.clone(), why, findings));
            }
            None => counts.done += 1,
        }
        of_run.insert(record.unit.clone(), record);
    }
    Ok(DoneUnits { records: of_run.into_values().collect(), counts, frozen: frozen_units })
}

/// The report of a run over blocks.
pub(crate) fn report(
    planned: &Planned,
    options: &ConvertOptions,
    done: DoneUnits,
    all_units: bool,
) -> Report {
    let mut findings = planned.findings.clone();
    for (unit, why, of_unit) in done.frozen {
        findings.push(Finding::new(Severity::Note, "frozen-unit", unit, why.message()));
        findings.append(of_unit);
    }
    let reads_all = options.selectors.is_empty() && planned.asked == TimeBounds::ALL;
    let scope = Scope { reads_all, all_units };
    let report = Report::new(&done.records, block_records(&planned.blocks), findings, done.counts, scope);
    Report { unpacked: planned.unpacked.clone(), ..report.with_heads(planned.heads.accounts.clone()) }
}

/// What a manifest says besides the report and the units.
pub(crate) struct Published {
    pub options: ConvertOptions,
    pub shard_bounds: Vec<String>,
    pub ledger: Ledger,
}

/// Writes the manifest over all units of DEST, whose series ids were checked.
pub(crate) fn publish(
    dest: &Dest,
    encoder: &Encoder,
    published: Published,
    report: &Report,
    units: Vec<UnitRecord>,
) -> Result<(), DestError> {
    dest.write_kit(kit_files(&published.options, dest.url(), &units)?)?;
    let label_columns = encoder.label_columns().iter();
    let manifest = Manifest {
        format_version: FORMAT_VERSION.to_owned(),
        options: published.options,
        shard_bounds: published.shard_bounds,
        label_columns: label_columns.map(|at| (at.label.clone(), at.column.clone())).collect(),
        ledger: published.ledger,
        blocks: report.blocks.clone(),
        findings: report.findings.clone(),
        heads: report.heads.clone(),
        units,
    };
    dest.write_manifest(&manifest)?;
    dest.sweep(&manifest.units)
}

/// The BigQuery kit for what `units` hold.
fn kit_files(
    options: &ConvertOptions,
    dest_url: Option<&str>,
    units: &[UnitRecord],
) -> Result<Vec<KitFile>, SinkError> {
    let tables = Table::of(options.downsampling.resolutions());
    let tables = tables.into_iter().map(|table| TableSchema::new(table, &options.output));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    Ok(kit(&KitInput {
        tables: &tables,
        output: &options.output,
        partition_by: options.partition_by,
        dest_url,
        files: &published_files(units),
    }))
}

/// A unit is done when nothing that shapes it has changed, and its files are there.
fn is_done(dest: &Dest, done: &UnitRecord, unit: &Unit) -> Result<bool, DestError> {
    Ok(is_current(done, unit) && dest.is_whole(done)?)
}

/// True when nothing that shapes a unit has changed; one that met broken bytes is tried again, for they may have been
/// repaired, and so is one that reads a head.
pub(crate) fn is_current(done: &UnitRecord, unit: &Unit) -> bool {
    let sound = done.findings.is_empty() && !done.tally.lost.keys().any(|loss| loss.may_be_repaired());
    done.fingerprint == unit.fingerprint && !unit.reads_head && sound
}

/// Slices that fit the memory limit beside what is held of SOURCE.
pub(crate) fn slices_in_flight(run: &RunOptions, held: u64) -> Result<usize, ConvertError> {
    let needed = BASE_BYTES + SLICE_BYTES;
    // An eighth is for sorting.
    let usable = (run.memory_limit / 8 * 7).saturating_sub(held);
    if usable < needed {
        return Err(ConvertError::MemoryLimit { limit: run.memory_limit, needed: needed / 7 * 8 + 8 });
    }
    let slices = usize::try_from((usable - BASE_BYTES) / SLICE_BYTES).unwrap_or(usize::MAX);
    // A few more than threads keep them busy while one slice is awaited.
    Ok(slices.min(run.threads.max(1) * 2 + 1))
}

/// Replaces the units in a collision by the two series, where their blocks are at hand.
fn name_series(error: DestError, blocks: &[OpenBlock]) -> DestError {
    let DestError::Collision { series_id, series: units } = error else { return error };
    let mut named = BTreeSet::new();
    let (mut series, mut own, mut shaped) = (Series::default(), Labels::new(), Labels::new());
    for block in blocks {
        for series_ref in block.all_refs().unwrap_or_default() {
            if block.block.index().series(series_ref, &mut series).is_ok() {
                block.relabel.identify(&series.labels, &mut own);
                block.relabel.shape(&own, &mut shaped);
                if identities::series_id(&shaped) == series_id {
                    named.insert(shaped.to_string());
                }
            }
        }
    }
    let series = if named.len() > 1 { named.into_iter().collect() } else { units };
    DestError::Collision { series_id, series }
}

pub(crate) fn refuse_broken(blocks: &[OpenBlock], findings: &Findings) -> Result<(), ConvertError> {
    let mut broken: Vec<Finding> =
        findings.list.iter().filter(|finding| finding.severity == Severity::Broken).cloned().collect();
    for block in blocks {
        broken.extend(
            crate::verify::verify_block(block).into_iter().filter(|at| at.severity == Severity::Broken),
        );
    }
    match broken.first() {
        None => Ok(()),
        Some(first) => Err(ConvertError::Strict {
            count: broken.len(),
            first: format!("{} {}: {}", first.place, first.name, first.message),
        }),
    }
}

/// What the manifest and the report say of each block, before anything is read.
pub(crate) fn block_records(blocks: &[OpenBlock]) -> Vec<BlockRecord> {
    let record = |block: &OpenBlock| {
        let meta = block.block.meta();
        let ulid = meta.ulid.to_string();
        BlockRecord {
            location: block.location.clone(),
            min_time_ms: meta.min_time_ms,
            max_time_ms: meta.max_time_ms,
            samples: meta.stats.num_samples,
            read: 0,
            ulid,
        }
    };
    blocks.iter().map(record).collect()
}
