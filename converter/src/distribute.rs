//! Units spread over machines: a plan is written once, its units are converted anywhere, a commit publishes.
//!
//! ```text
//! promblock plan SOURCE --to DEST > plan      header line, then one JSON line per unit
//! promblock convert SOURCE --to DEST --unit FILE     any lines of the plan, any number of processes at once
//! promblock commit DEST --plan plan           all there? then the manifest
//! ```
//! DEST has the options and shard bounds; a unit line has its fingerprint, so that a worker which sees other blocks
//! than the planner did refuses, and so does the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::convert::{
    ConvertError, Planned, Published, RunOptions, UnitsWork, block_records, dest_plan, is_current,
    plan_units, publish, refuse_broken, report, run_units, slices_in_flight, units_by_name,
};
use crate::dest::{BlockRecord, Dest, DestError, DestPlan, Destination, Opened, Peeked, UnitRecord};
use crate::discover::{NEVER, ReadOptions};
use crate::finding::Findings;
use crate::head::account::HeadAccount;
use crate::metadata::{KnownMetadata, Metadata};
use crate::options::ConvertOptions;
use crate::pipeline::Progress;
use crate::plan::{Ledger, Unit};
use crate::report::{Report, Scope, UnitCounts};
use crate::sink::{Encoder, FORMAT_VERSION};

/// The first line of a plan: what a commit needs to know besides the units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHeader {
    /// Version of what is written.
    pub plan_format: String,
    /// Units that follow.
    pub units: usize,
    /// Blocks to read.
    pub blocks: Vec<BlockRecord>,
    /// What discovery found.
    pub findings: Findings,
    /// What each level-1 source is known to cover.
    pub ledger: Ledger,
    /// What was read of heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<HeadAccount>,
}

/// A plan, or some lines of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanFile {
    /// Its header, unless only units were given.
    pub header: Option<PlanHeader>,
    /// Its units.
    pub units: Vec<Unit>,
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A line is no unit.
    #[error("line {line} is neither the header nor a unit of a plan")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Another version made it.
    #[error("the plan has output format {found}, this promblock writes {FORMAT_VERSION}; plan again")]
    OtherFormat {
        /// Its format.
        found: String,
    },
    /// The header is missing.
    #[error("the plan has no header line; give all that `promblock plan` printed")]
    NoHeader,
    /// Lines are missing.
    #[error("{found} of the plan's {promised} units are there; give all that `promblock plan` printed")]
    Cut {
        /// Units found.
        found: usize,
        /// Units promised.
        promised: usize,
    },
    /// A unit is not what these blocks and options give.
    #[error("unit {unit} of the plan does not fit SOURCE and DEST as they are now; plan again")]
    OtherUnit {
        /// The unit.
        unit: String,
    },
    /// Units are not converted yet.
    #[error(
        "{missing} of {all} units are not converted, {first} is the first; convert them with --unit, then commit"
    )]
    Missing {
        /// How many.
        missing: usize,
        /// Of how many.
        all: usize,
        /// The first of them.
        first: String,
    },
}

impl PlanFile {
    /// Parses the lines of a plan, or some of them.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(unit) => plan.units.push(unit),
                Err(source) => match serde_json::from_str::<PlanHeader>(line) {
                    Ok(header) if header.plan_format != FORMAT_VERSION => {
                        return Err(PlanError::OtherFormat { found: header.plan_format });
                    }
                    Ok(header) => plan.header = Some(header),
                    Err(_) => return Err(PlanError::Line { line: number + 1, source }),
                },
            }
        }
        Ok(plan)
    }
}

/// What a plan tells before it is made.
#[derive(Debug)]
pub struct DryRun {
    /// The plan of the DEST, or what it would be.
    pub dest: DestPlan,
    /// Units and open blocks.
    pub planned: Planned,
    /// Names of the units that DEST has already.
    pub done: BTreeSet<String>,
}

/// Plans without touching DEST.
pub fn dry_run(
    sources: &[PathBuf],
    read: &ReadOptions,
    to: impl Into<Destination>,
    options: &ConvertOptions,
) -> Result<DryRun, ConvertError> {
    Encoder::with_resolutions(options.output.clone(), options.downsampling.resolutions())?;
    let mut noted = Findings::default();
    let given = Metadata::read(&options.metadata, &mut noted)?;
    let Peeked { plan: known, manifest, metadata } = Dest::peek(&to.into(), options)?;
    let metadata = KnownMetadata { kept: metadata, given };
    let (ledger, before) = manifest.map(|manifest| (manifest.ledger, manifest.units)).unwrap_or_default();
    let mut planned = plan_units(sources, read, options, known.as_ref(), ledger, metadata, &NEVER)?;
    planned.findings.append(noted);
    let before: BTreeMap<&str, &UnitRecord> = before.iter().map(|unit| (unit.unit.as_str(), unit)).collect();
    let is_done = |unit: &&Unit| before.get(unit.unit.as_str()).is_some_and(|done| is_current(done, unit));
    let done = planned.units.iter().filter(is_done).map(|unit| unit.unit.clone()).collect();
    let dest = known.unwrap_or_else(|| dest_plan(&planned, options));
    Ok(DryRun { dest, planned, done })
}

/// Plans, and records options and shard bounds in DEST.
pub fn plan(
    sources: &[PathBuf],
    read: &ReadOptions,
    to: impl Into<Destination>,
    options: &ConvertOptions,
) -> Result<(PlanHeader, Planned), ConvertError> {
    Encoder::with_resolutions(options.output.clone(), options.downsampling.resolutions())?;
    let mut noted = Findings::default();
    let given = Metadata::read(&options.metadata, &mut noted)?;
    let Opened { dest, plan: known, manifest } = Dest::open(&to.into(), options)?;
    let metadata = KnownMetadata { kept: dest.metadata()?, given };
    let kept = metadata.kept.clone();
    let ledger = manifest.map(|manifest| manifest.ledger).unwrap_or_default();
    let mut planned = plan_units(sources, read, options, known.as_ref(), ledger, metadata, &NEVER)?;
    planned.findings.append(noted);
    if known.is_none() {
        dest.write_plan(&dest_plan(&planned, options))?;
    }
    if *planned.metadata != kept {
        dest.write_metadata(&planned.metadata)?;
    }
    let header = PlanHeader {
        plan_format: FORMAT_VERSION.to_owned(),
        units: planned.units.len(),
        blocks: block_records(&planned.blocks),
        findings: planned.findings.clone(),
        ledger: planned.ledger.clone(),
        heads: planned.heads.accounts.clone(),
    };
    Ok((header, planned))
}

/// Converts just `units`, with the options that DEST has. Publishes nothing.
pub fn convert_units(
    sources: &[PathBuf],
    to: impl Into<Destination>,
    units: &[Unit],
    run: &RunOptions,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Report, ConvertError> {
    slices_in_flight(run, 0)?;
    let Opened { dest, plan, manifest } = Dest::join(&to.into())?;
    let plan = plan.ok_or_else(|| DestError::NoPlan { path: dest.root().to_owned() })?;
    let mut options = plan.options.clone();
    let encoder = Encoder::with_resolutions(options.output.clone(), options.downsampling.resolutions())?;
    let ledger = manifest.map(|manifest| manifest.ledger).unwrap_or_default();
    // The plan has chosen the tiers: by now others might fit.
    options.downsampling.planned = units.iter().map(|unit| (unit.unit.clone(), unit.resolution)).collect();
    let metadata = KnownMetadata { kept: dest.metadata()?, given: Vec::new() };
    let planned = plan_units(sources, &run.read(), &options, Some(&plan), ledger, metadata, stop)?;
    let slices_in_flight = slices_in_flight(run, planned.held_bytes() + dest.held_bytes())?;
    if run.strict {
        refuse_broken(&planned.blocks, &planned.findings)?;
    }
    let by_name: BTreeMap<&str, &Unit> =
        planned.units.iter().map(|unit| (unit.unit.as_str(), unit)).collect();
    let mut to_do = Vec::new();
    for unit in units {
        match by_name.get(unit.unit.as_str()) {
            // The planned one knows its blocks.
            Some(&now) if now.fingerprint == unit.fingerprint => to_do.push(now.clone()),
            _ => return Err(PlanError::OtherUnit { unit: unit.unit.clone() }.into()),
        }
    }
    let _locks = dest.lock_units(&to_do)?;
    let before = units_by_name(&dest)?;
    let work = UnitsWork {
        dest: &dest,
        planned: &planned,
        options: &options,
        run,
        encoder: &encoder,
        slices_in_flight,
    };
    let done = run_units(&work, &to_do, &before, progress, stop)?;
    Ok(report(&planned, &options, done, false))
}

/// Publishes what the units of a plan left in DEST; refused as long as one is missing.
pub fn commit(to: impl Into<Destination>, plan: PlanFile) -> Result<Report, ConvertError> {
    let header = plan.header.ok_or(PlanError::NoHeader)?;
    if header.units != plan.units.len() {
        return Err(PlanError::Cut { found: plan.units.len(), promised: header.units }.into());
    }
    let Opened { dest, plan: dest_plan, .. } = Dest::reopen(&to.into())?;
    let dest_plan = dest_plan.ok_or_else(|| DestError::NoPlan { path: dest.root().to_owned() })?;
    let resolutions = dest_plan.options.downsampling.resolutions();
    let encoder = Encoder::with_resolutions(dest_plan.options.output.clone(), resolutions)?;
    let records = units_by_name(&dest)?;
    let mut missing: Vec<&Unit> = Vec::new();
    for unit in &plan.units {
        if !dest.has(unit, records.get(&unit.unit))? {
            missing.push(unit);
        }
    }
    if let Some(first) = missing.first() {
        let (missing, all) = (missing.len(), plan.units.len());
        return Err(PlanError::Missing { missing, all, first: first.unit.clone() }.into());
    }
    let all: Vec<_> = records.values().cloned().collect();
    dest.check_identities(&all)?;
    let of_plan: Vec<_> = plan.units.iter().filter_map(|unit| records.get(&unit.unit).cloned()).collect();
    let options = dest_plan.options;
    let reads_all =
        options.selectors.is_empty() && options.min_time_ms.is_none() && options.max_time_ms.is_none();
    let is_frozen =
        |unit: &&Unit| records.get(&unit.unit).is_some_and(|at| at.fingerprint != unit.fingerprint);
    let frozen = plan.units.iter().filter(is_frozen).count() as u64;
    let counts = UnitCounts { done: of_plan.len() as u64 - frozen, frozen, ..UnitCounts::default() };
    // Workers may have converted their units at different times, from different blocks of the same content.
    let scope = Scope { reads_all, all_units: false };
    let report = Report::new(&of_plan, header.blocks, header.findings, counts, scope);
    let report = report.with_heads(header.heads);
    let published = Published { options, shard_bounds: dest_plan.shard_bounds, ledger: header.ledger };
    publish(&dest, &encoder, published, &report, all)?;
    Ok(report)
}
