//! DEST: what a conversion writes, and what keeps it whole.
//!
//! ```text
//! DEST/samples/dt=2026-11-20/part-<unit>-<fp8>-0000.parquet      appears whole
//! DEST/_promblock/plan.json            options and shard bounds, chosen once
//! DEST/_promblock/metadata.json        type, unit and help of metrics, as far as files and logs told them
//! DEST/_promblock/units/<unit>.json    written last: the unit's commit
//! DEST/_promblock/units/<unit>.ids     its series, see `identities`
//! DEST/_promblock/units/<unit>.context what came before it, see `predecessors`
//! DEST/_promblock/manifest.json        what is published; readers use its file lists
//! DEST/_promblock/lock                 held by the run that writes; in an object store see `lease`
//! ```
//! DEST is a folder or a prefix of an object store, see `folder` and `bucket`; what is in it is the same.
//!
//! A run that is killed leaves committed units and rubbish; the next run goes on from the units and removes the
//! rubbish: temporary files, and parts that no unit names.

mod bucket;
mod error;
mod files;
mod folder;
mod lease;
mod record;
mod staging;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::bigquery::KitFile;
use crate::identities::{self, IDENTITY_BYTES, SeriesIdentity};
use crate::metadata::Metadata;
use crate::options::ConvertOptions;
use crate::pipeline::UnitOutput;
use crate::plan::Unit;
use crate::predecessors::{PREDECESSOR_BYTES, Predecessors};
use crate::sink::FORMAT_VERSION;
use crate::store::Store;
use crate::store::location::{Location, LocationError, is_url};
use crate::tally::Tally;
use bucket::Bucket;
use files::{DestFiles, Held, KIT_FOLDER, Sharing, UNITS_FOLDER};
use folder::Folder;
use record::held;

pub use error::DestError;
pub use lease::LeaseTimes;
pub use record::{BlockRecord, DestPlan, FileRecord, Frozen, Manifest, UnitRecord};
pub use staging::Staging;

/// Where a DEST lies.
#[derive(Debug, Clone)]
pub enum Destination {
    /// In a folder.
    Folder(PathBuf),
    /// Below a prefix of an object store.
    Store(Store, LeaseTimes),
}

impl Destination {
    /// The DEST that `to` means: a folder, or the URL of a prefix of an object store.
    pub fn parse(to: &Path) -> Result<Self, LocationError> {
        let text = to.to_string_lossy();
        if !is_url(&text) {
            return Ok(to.into());
        }
        match Url::parse(&text)
            .ok()
            .filter(|url| url.scheme() == "file")
            .and_then(|url| url.to_file_path().ok())
        {
            Some(folder) => Ok(Self::Folder(folder)),
            None => Ok(Location::parse(&text)?.open()?.into()),
        }
    }

    fn files(&self) -> Box<dyn DestFiles> {
        match self {
            Self::Folder(root) => Box::new(Folder::new(root)),
            Self::Store(store, times) => Box::new(Bucket::new(store.clone(), *times)),
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Destination {
    fn from(folder: &P) -> Self {
        Self::Folder(folder.as_ref().to_owned())
    }
}

impl From<Store> for Destination {
    fn from(store: Store) -> Self {
        Self::Store(store, LeaseTimes::default())
    }
}

/// An open DEST; no other run writes to it meanwhile.
#[derive(Debug)]
pub struct Dest {
    files: Box<dyn DestFiles>,
    lock: Box<dyn Held>,
}

/// Units that this process alone converts, until it is dropped.
#[derive(Debug)]
pub struct UnitLocks(#[expect(dead_code, reason = "held, not read")] Box<dyn Held>);

/// What a DEST holds, seen without opening it.
#[derive(Debug)]
pub struct Peeked {
    /// What was chosen for it, unless it is new.
    pub plan: Option<DestPlan>,
    /// What is published, if anything is.
    pub manifest: Option<Manifest>,
    /// What earlier runs were told of metrics.
    pub metadata: Metadata,
}

/// What a DEST held before the run.
#[derive(Debug)]
pub struct Opened {
    /// The DEST, locked.
    pub dest: Dest,
    /// What was chosen for it, unless it is new.
    pub plan: Option<DestPlan>,
    /// What is published, if anything is.
    pub manifest: Option<Manifest>,
}

impl Dest {
    /// Opens DEST, or makes it; refuses one that is not ours, in use, or made with other options.
    pub fn open(at: &Destination, options: &ConvertOptions) -> Result<Opened, DestError> {
        let files = at.files();
        if files.size(PLAN)?.is_none() && !files.is_free()? {
            return Err(DestError::NotOurs { path: files.root().to_owned() });
        }
        if let Some(block) = files.enclosing_block()? {
            return Err(DestError::InsideBlock { path: files.root().to_owned(), block });
        }
        Self::locked(files, Sharing::Alone, Some(options))
    }

    /// Opens a DEST that has a plan, to convert some of its units while others may do the same.
    pub fn join(at: &Destination) -> Result<Opened, DestError> {
        Self::open_planned(at, Sharing::WithOthers)
    }

    /// Opens a DEST that has a plan, with the options it was made with.
    pub fn reopen(at: &Destination) -> Result<Opened, DestError> {
        Self::open_planned(at, Sharing::Alone)
    }

    fn open_planned(at: &Destination, sharing: Sharing) -> Result<Opened, DestError> {
        let files = at.files();
        if files.size(PLAN)?.is_none() {
            return Err(DestError::NoPlan { path: files.root().to_owned() });
        }
        Self::locked(files, sharing, None)
    }

    fn locked(
        files: Box<dyn DestFiles>,
        sharing: Sharing,
        options: Option<&ConvertOptions>,
    ) -> Result<Opened, DestError> {
        let lock = files.lock(sharing)?;
        let (plan, manifest) = peek(files.as_ref(), options)?;
        Ok(Opened { dest: Self { files, lock }, plan, manifest })
    }

    /// What a DEST holds, without opening it; refused when it was made with other options than these.
    pub fn peek(at: &Destination, options: &ConvertOptions) -> Result<Peeked, DestError> {
        let files = at.files();
        let (plan, manifest) = peek(files.as_ref(), Some(options))?;
        Ok(Peeked { plan, manifest, metadata: read_json(files.as_ref(), METADATA)?.unwrap_or_default() })
    }

    /// Takes units for this process alone.
    pub fn lock_units(&self, units: &[Unit]) -> Result<UnitLocks, DestError> {
        let units: Vec<&str> = units.iter().map(|unit| unit.unit.as_str()).collect();
        Ok(UnitLocks(self.files.lock_units(&units)?))
    }

    /// Records that a unit was converted again and kept as it was, since less was there.
    pub fn mark_frozen(&self, unit: &Unit) -> Result<(), DestError> {
        self.write(&of_unit(&unit.unit, "frozen"), unit.fingerprint.as_bytes().to_vec())
    }

    /// True when DEST has what `unit` asks for: its record, or an older one that holds more.
    pub fn has(&self, unit: &Unit, record: Option<&UnitRecord>) -> Result<bool, DestError> {
        let Some(record) = record else { return Ok(false) };
        if !self.is_whole(record)? {
            return Ok(false);
        }
        let frozen = || self.files.read(&of_unit(&unit.unit, "frozen"));
        Ok(record.fingerprint == unit.fingerprint
            || frozen()?.is_some_and(|by| by == unit.fingerprint.as_bytes()))
    }

    /// What messages call it: a folder, or a URL.
    pub fn root(&self) -> &Path {
        self.files.root()
    }

    /// Its URL when it is in an object store.
    pub fn url(&self) -> Option<&str> {
        self.files.url()
    }

    /// Bytes that it may hold while units are committed.
    pub fn held_bytes(&self) -> u64 {
        self.files.held_bytes()
    }

    /// Where units are written until they are committed; `samples` are those of units that are converted at once.
    pub fn staging(&self, temp_dir: &Path, samples: u64) -> Result<Staging, DestError> {
        match self.files.url() {
            None => Ok(Staging::InPlace(self.root().to_owned())),
            Some(_) => Staging::apart(temp_dir, samples),
        }
    }

    /// Records what is chosen once.
    pub fn write_plan(&self, plan: &DestPlan) -> Result<(), DestError> {
        self.write_json(PLAN, plan)
    }

    /// What earlier runs were told of metrics.
    pub fn metadata(&self) -> Result<Metadata, DestError> {
        Ok(read_json(self.files.as_ref(), METADATA)?.unwrap_or_default())
    }

    /// Keeps what is known of metrics.
    pub fn write_metadata(&self, metadata: &Metadata) -> Result<(), DestError> {
        self.write_json(METADATA, metadata)
    }

    /// Publishes.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), DestError> {
        self.write_json(MANIFEST, manifest)
    }

    /// All committed units, by name.
    pub fn units(&self) -> Result<Vec<UnitRecord>, DestError> {
        let mut names = self.files.records()?;
        names.sort();
        let mut units: Vec<UnitRecord> = Vec::new();
        for (name, json) in names.iter().zip(self.files.read_each(&names)?) {
            units.extend(parse_json(self.files.as_ref(), name, json)?);
        }
        units.sort_by(|a, b| a.unit.cmp(&b.unit));
        Ok(units)
    }

    /// True when all files of a unit are there with the size they had.
    pub fn is_whole(&self, unit: &UnitRecord) -> Result<bool, DestError> {
        let UnitRecord { unit, tally, files, .. } = unit;
        let predecessors = self.files.size(&of_unit(unit, "context"))?.unwrap_or(0);
        if self.files.size(&of_unit(unit, "ids"))? != Some(tally.series.saturating_mul(IDENTITY_BYTES))
            || predecessors != tally.predecessors.saturating_mul(PREDECESSOR_BYTES)
        {
            return Ok(false);
        }
        for file in files {
            if self.files.size(&file.path)? != Some(file.size_bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the files of a unit their names, then writes its record. Files that it replaces stay until the
    /// manifest no longer names them.
    pub fn commit(&self, unit: &Unit, output: UnitOutput) -> Result<UnitRecord, DestError> {
        let UnitOutput { parts, mut tally, findings, mut identities, predecessors } = output;
        self.lock.check()?;
        let parts = self.files.publish(parts)?.into_iter();
        let files = parts.map(|part| FileRecord {
            table: part.table,
            path: part.path,
            rows: part.rows,
            size_bytes: part.size_bytes,
            min_time_ms: part.min_time_ms,
            max_time_ms: part.max_time_ms,
            crc32c: format!("{:08x}", part.crc32c),
        });
        let files = files.collect();
        self.write(&of_unit(&unit.unit, "ids"), identities::encode(&mut identities))?;
        let predecessors = self.predecessors(unit)?.with(predecessors);
        tally.predecessors = predecessors.len() as u64;
        let context = of_unit(&unit.unit, "context");
        match predecessors.is_empty() {
            true => self.files.remove(&context)?,
            false => self.write(&context, predecessors.encode())?,
        }
        let record = UnitRecord {
            unit: unit.unit.clone(),
            partition: unit.partition.clone(),
            shard: unit.shard,
            resolution: unit.resolution,
            fingerprint: unit.fingerprint.clone(),
            blocks: unit.blocks.clone(),
            files,
            tally,
            findings,
        };
        self.write_json(&of_unit(&unit.unit, "json"), &record)?;
        Ok(record)
    }

    /// Removes what killed runs and replaced units left behind: temporary files, and parts that none of `units`
    /// names.
    pub fn sweep<'u>(&self, units: impl IntoIterator<Item = &'u UnitRecord>) -> Result<(), DestError> {
        let files = units.into_iter().flat_map(|unit| &unit.files);
        let named: BTreeSet<&str> = files.map(|file| file.path.as_str()).collect();
        self.lock.check()?;
        self.files.sweep(&named)
    }

    /// What earlier runs have kept of before a unit.
    pub fn predecessors(&self, unit: &Unit) -> Result<Predecessors, DestError> {
        let bytes = self.files.read(&of_unit(&unit.unit, "context"))?;
        Ok(bytes.map_or_else(Predecessors::default, |bytes| Predecessors::decode(&bytes)))
    }

    /// Whether, and why, a redo of `record`'s unit is not to be committed: it holds less than what is published, for the
    /// input is gone. A redo of which more is deleted by tombstones may hold less.
    pub fn frozen(
        &self,
        record: &UnitRecord,
        redo: &Tally,
        identities: &mut [SeriesIdentity],
    ) -> Result<Option<Frozen>, DestError> {
        if self.has_fewer_samples(record, redo, identities)? {
            return Ok(Some(Frozen::Samples));
        }
        let is_asked_for = held(redo) > held(&record.tally) || redo.tombstoned > record.tally.tombstoned;
        if is_asked_for {
            return Ok(None);
        }
        let is_coarser = redo.from_aggregates > record.tally.from_aggregates;
        let loses_steps = redo.steps_lost > record.tally.steps_lost;
        Ok(is_coarser.then_some(Frozen::Coarser).or(loses_steps.then_some(Frozen::Steps)))
    }

    fn has_fewer_samples(
        &self,
        record: &UnitRecord,
        redo: &Tally,
        identities: &mut [SeriesIdentity],
    ) -> Result<bool, DestError> {
        if record.shrinks_to(redo) || redo.tombstoned > record.tally.tombstoned {
            return Ok(record.shrinks_to(redo));
        }
        let name = of_unit(&record.unit, "ids");
        let Some(mut file) = self.files.open(&name)? else { return Ok(false) };
        let published = identities::read_range(file.as_mut(), i64::MIN, i64::MAX);
        let published = published.map_err(|error| self.files.unreadable(&name, error))?;
        identities.sort_unstable();
        Ok(identities::shrinks(&published, identities))
    }

    /// Refuses when one `series_id` stands for different series in any two of `units`.
    ///
    /// Ids are looked at in ranges, so that memory does not grow with the number of units.
    pub fn check_identities(&self, units: &[UnitRecord]) -> Result<(), DestError> {
        const HELD: u64 = 4 << 20;
        let series: u64 = units.iter().map(|unit| unit.tally.series).sum();
        let ranges = i128::from(series / HELD + 1);
        let bound = |range: i128| i128::from(i64::MIN) + (range << 64) / ranges;
        for range in 0..ranges {
            let (first, last) = (bound(range), bound(range + 1) - 1);
            let cut = |at: i128| i64::try_from(at).unwrap_or(i64::MAX);
            let mut seen: Vec<(i64, u64, usize)> = Vec::new();
            for (at, unit) in units.iter().enumerate() {
                let name = of_unit(&unit.unit, "ids");
                let missing = || self.files.unreadable(&name, io::ErrorKind::NotFound.into());
                let mut file = self.files.open(&name)?.ok_or_else(missing)?;
                let read = identities::read_range(file.as_mut(), cut(first), cut(last));
                let read = read.map_err(|error| self.files.unreadable(&name, error))?;
                seen.extend(read.into_iter().map(|series| (series.series_id, series.check, at)));
            }
            seen.sort_unstable();
            let clash = seen.windows(2).find(|pair| matches!(pair, [a, b] if a.0 == b.0 && a.1 != b.1));
            if let Some(&[(series_id, _, first), (_, _, second)]) = clash {
                let name = |at: usize| format!("unit {}", units.get(at).map_or("", |unit| &unit.unit));
                return Err(DestError::Collision { series_id, series: vec![name(first), name(second)] });
            }
        }
        Ok(())
    }

    /// Writes the BigQuery kit.
    pub fn write_kit(&self, files: Vec<KitFile>) -> Result<(), DestError> {
        self.lock.check()?;
        let mut files = files.into_iter();
        files.try_for_each(|file| {
            self.files.write(&format!("{KIT_FOLDER}/{}", file.name), file.contents, file.executable)
        })
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), DestError> {
        let damaged = |source| DestError::Damaged { path: self.files.path(name), source };
        let mut json = serde_json::to_vec_pretty(value).map_err(damaged)?;
        json.push(b'\n');
        self.write(name, json)
    }

    fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), DestError> {
        self.lock.check()?;
        self.files.write(name, bytes, false)
    }
}

/// Options and shard bounds, chosen once.
const PLAN: &str = "_promblock/plan.json";
/// What is known of metrics.
const METADATA: &str = "_promblock/metadata.json";
/// What is published.
const MANIFEST: &str = "_promblock/manifest.json";

/// A file of a unit beside its record, or the record.
fn of_unit(unit: &str, extension: &str) -> String {
    format!("{UNITS_FOLDER}/{unit}.{extension}")
}

fn peek(
    files: &dyn DestFiles,
    options: Option<&ConvertOptions>,
) -> Result<(Option<DestPlan>, Option<Manifest>), DestError> {
    let mut plan: Option<DestPlan> = read_json(files, PLAN)?;
    if plan.is_none() && !files.is_free()? {
        return Err(DestError::NotOurs { path: files.root().to_owned() });
    }
    if options.is_some() && files.size(MANIFEST)?.is_none() && files.records()?.is_empty() {
        // Nothing is committed yet, so options may still change.
        plan = None;
    }
    if let Some(plan) = &plan {
        check_plan(files.root(), plan, options)?;
    }
    Ok((plan, read_json(files, MANIFEST)?))
}

fn check_plan(root: &Path, plan: &DestPlan, options: Option<&ConvertOptions>) -> Result<(), DestError> {
    if plan.format_version != FORMAT_VERSION {
        return Err(DestError::OtherFormat { path: root.to_owned(), found: plan.format_version.clone() });
    }
    let Some(options) = options else { return Ok(()) };
    let mut differences = options.differences(&plan.options);
    if let Some(shards) = options.shards
        && plan.options.shards != Some(shards)
    {
        differences.push(format!("shards: {shards} asked for, {} in DEST", plan.shard_bounds.len() + 1));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(DestError::OtherOptions { path: root.to_owned(), differences })
}

fn read_json<T: DeserializeOwned>(files: &dyn DestFiles, name: &str) -> Result<Option<T>, DestError> {
    parse_json(files, name, files.read(name)?)
}

fn parse_json<T: DeserializeOwned>(
    files: &dyn DestFiles,
    name: &str,
    json: Option<Vec<u8>>,
) -> Result<Option<T>, DestError> {
    let Some(json) = json else { return Ok(None) };
    let damaged = |source| DestError::Damaged { path: files.path(name), source };
    serde_json::from_slice(&json).map(Some).map_err(damaged)
}
