//! DEST: the folder that a conversion writes, and what keeps it whole.
//!
//! ```text
//! DEST/samples/dt=2026-11-20/part-<unit>-<fp8>-0000.parquet      appears whole, by rename
//! DEST/_promblock/plan.json            options and shard bounds, chosen once
//! DEST/_promblock/metadata.json        type, unit and help of metrics, as far as files and logs told them
//! DEST/_promblock/units/<unit>.json    written last: the unit's commit
//! DEST/_promblock/units/<unit>.ids     its series, see `identities`
//! DEST/_promblock/manifest.json        what is published; readers use its file lists
//! DEST/_promblock/lock                 held by the run that writes
//! ```
//! A run that is killed leaves committed units and rubbish; the next run goes on from the units and removes the
//! rubbish: temporary files, and parts that no unit names.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bigquery::KitFile;
use crate::finding::Findings;
use crate::head::account::HeadAccount;
use crate::identities::{self, IDENTITY_BYTES, SeriesIdentity};
use crate::metadata::Metadata;
use crate::options::ConvertOptions;
use crate::plan::{Ledger, Unit};
use crate::resolution::Resolution;
use crate::schema::Table;
use crate::sink::{FORMAT_VERSION, PartFile, SinkError};
use crate::tally::Tally;
use crate::time::Partition;

/// The folder for what is not data.
const OWN_FOLDER: &str = "_promblock";
/// The folder of the BigQuery kit, in the own folder.
const KIT_FOLDER: &str = "bigquery";
/// What files are called until they are whole; the sinks' part files are, too.
const TEMPORARY_PREFIX: &str = ".tmp-";

/// Why a DEST cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestError {
    /// Something else lies there.
    #[error("DEST {} is not empty and not written by promblock; choose an empty or new folder", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// Writing there would change a block.
    #[error("DEST {} lies inside block {}; choose a folder outside of it", path.display(), block.display())]
    InsideBlock {
        /// The folder.
        path: PathBuf,
        /// The block.
        block: PathBuf,
    },
    /// It was made with other options.
    #[error(
        "DEST {} was written with other options ({}); use those, or another DEST",
        path.display(),
        differences.join("; ")
    )]
    OtherOptions {
        /// The folder.
        path: PathBuf,
        /// One per option.
        differences: Vec<String>,
    },
    /// Another version wrote it.
    #[error(
        "DEST {} has output format {found}, this promblock writes {FORMAT_VERSION}; use the other version, or another DEST",
        path.display()
    )]
    OtherFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// Nothing was planned for it.
    #[error("DEST {} has no plan; run `promblock plan` for it first", path.display())]
    NoPlan {
        /// The folder.
        path: PathBuf,
    },
    /// Another run is at work.
    #[error("another promblock is writing to DEST {}; wait until it has ended", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file of ours is damaged.
    #[error("cannot parse {}; restore it, or remove DEST and convert again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part file cannot be published.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Two series share an id.
    #[error(
        "series_id {series_id} stands for two series: {}; convert them to different DESTs (--match)",
        series.join(" and ")
    )]
    Collision {
        /// The id.
        series_id: i64,
        /// The series, or the units that hold them where their blocks are gone.
        series: Vec<String>,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DestError {
    let path = path.to_owned();
    move |source| match SinkError::io(action, &path, source) {
        SinkError::Io { action, path, source } => DestError::Io { action, path, source },
        full => full.into(),
    }
}

/// What is chosen once per DEST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestPlan {
    /// Version of what is written.
    pub format_version: String,
    /// Options that shape the output.
    pub options: ConvertOptions,
    /// Metrics at which shards end.
    pub shard_bounds: Vec<String>,
}

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The table it belongs to.
    pub table: String,
    /// Path relative to DEST.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Smallest timestamp in it.
    pub min_time_ms: i64,
    /// Largest timestamp in it.
    pub max_time_ms: i64,
    /// CRC-32C of the file, 8 hex digits.
    pub crc32c: String,
}

/// What a committed unit read and wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Its name.
    pub unit: String,
    /// Its partition.
    pub partition: Partition,
    /// Position of its shard.
    pub shard: usize,
    /// Resolution of its tier.
    #[serde(default, skip_serializing_if = "Resolution::is_default")]
    pub resolution: Resolution,
    /// Hash of all that shapes its bytes.
    pub fingerprint: String,
    /// ULIDs of the blocks read.
    pub blocks: Vec<String>,
    /// Files written.
    pub files: Vec<FileRecord>,
    /// What became of every sample.
    pub tally: Tally,
    /// What could not be read.
    pub findings: Findings,
}

impl UnitRecord {
    /// True when a redo holds less than this in all. Tombstones do not count as shrinking; a compaction that applied them does not either.
    fn shrinks_to(&self, redo: &Tally) -> bool {
        let kept = |tally: &Tally| tally.written + tally.unrolled + tally.aggregated + tally.left_out;
        let with_tombstoned = |tally: &Tally| kept(tally) + tally.tombstoned;
        kept(redo) < kept(&self.tally) && with_tombstoned(redo) < with_tombstoned(&self.tally)
    }
}

/// A block as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Its ULID.
    pub ulid: String,
    /// Where it was read.
    pub location: String,
    /// First millisecond, by meta.json.
    pub min_time_ms: i64,
    /// First millisecond after it, by meta.json.
    pub max_time_ms: i64,
    /// Samples, by meta.json.
    pub samples: u64,
    /// Samples by the headers of the chunks read.
    pub read: u64,
}

/// `manifest.json`: what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of what is written.
    pub format_version: String,
    /// Options that shape the output.
    pub options: ConvertOptions,
    /// Metrics at which shards end.
    pub shard_bounds: Vec<String>,
    /// The column of each promoted label.
    pub label_columns: Vec<(String, String)>,
    /// What each level-1 source is known to cover.
    pub ledger: Ledger,
    /// Blocks of the last run.
    pub blocks: Vec<BlockRecord>,
    /// Findings of the last run.
    pub findings: Findings,
    /// What the last run read of heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<HeadAccount>,
    /// All units, of all runs.
    pub units: Vec<UnitRecord>,
}

/// An open DEST; no other run writes to it meanwhile.
#[derive(Debug)]
pub struct Dest {
    root: PathBuf,
    _lock: File,
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
    /// Opens the folder `root`, or makes it; refuses one that is not ours, in use, or made with other options.
    pub fn open(root: &Path, options: &ConvertOptions) -> Result<Opened, DestError> {
        let own = root.join(OWN_FOLDER);
        if !own.join("plan.json").exists() && !is_free(root)? {
            return Err(DestError::NotOurs { path: root.to_owned() });
        }
        let absolute = std::path::absolute(root).map_err(io_error("find", root))?;
        if let Some(block) = absolute.ancestors().find(|at| at.join("meta.json").exists()) {
            return Err(DestError::InsideBlock { path: root.to_owned(), block: block.to_owned() });
        }
        fs::create_dir_all(own.join("units")).map_err(io_error("create", &own))?;
        let dest = Self::lock(root, File::try_lock)?;
        let (plan, manifest) = Self::peek(root, Some(options))?;
        Ok(Opened { dest, plan, manifest })
    }

    /// Opens a folder that has a plan, to convert some of its units while others may do the same.
    pub fn join(root: &Path) -> Result<Opened, DestError> {
        Self::open_planned(root, File::try_lock_shared)
    }

    /// Opens a folder that has a plan, with the options it was made with.
    pub fn reopen(root: &Path) -> Result<Opened, DestError> {
        Self::open_planned(root, File::try_lock)
    }

    fn open_planned(
        root: &Path,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<Opened, DestError> {
        if !root.join(OWN_FOLDER).join("plan.json").exists() {
            return Err(DestError::NoPlan { path: root.to_owned() });
        }
        let dest = Self::lock(root, lock)?;
        let (plan, manifest) = Self::peek(root, None)?;
        Ok(Opened { dest, plan, manifest })
    }

    fn lock(root: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Self, DestError> {
        let path = root.join(OWN_FOLDER).join("lock");
        let file = File::create(&path).map_err(io_error("create", &path))?;
        match lock(&file) {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(DestError::Locked { path: root.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }

    /// What a DEST holds, without opening it; refused when it was made with other options than these.
    pub fn peek(
        root: &Path,
        options: Option<&ConvertOptions>,
    ) -> Result<(Option<DestPlan>, Option<Manifest>), DestError> {
        let own = root.join(OWN_FOLDER);
        let mut plan: Option<DestPlan> = read_json(&own.join("plan.json"))?;
        if plan.is_none() && !is_free(root)? {
            return Err(DestError::NotOurs { path: root.to_owned() });
        }
        if options.is_some() && !own.join("manifest.json").exists() && !has_units(&own)? {
            // Nothing is committed yet, so options may still change.
            plan = None;
        }
        if let Some(plan) = &plan {
            check_plan(root, plan, options)?;
        }
        Ok((plan, read_json(&own.join("manifest.json"))?))
    }

    /// Takes units for this process alone until the files returned are dropped.
    pub fn lock_units(&self, units: &[Unit]) -> Result<Vec<File>, DestError> {
        let lock = |unit: &Unit| {
            let path = self.own_folder().join(format!("units/{}.lock", unit.unit));
            let file = File::create(&path).map_err(io_error("create", &path))?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => Err(DestError::Locked { path: self.root.clone() }),
                Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
            }
        };
        units.iter().map(lock).collect()
    }

    /// Records that a unit was converted again and kept as it was, since less was there.
    pub fn mark_frozen(&self, unit: &Unit) -> Result<(), DestError> {
        self.write(&format!("units/{}.frozen", unit.unit), unit.fingerprint.as_bytes())
    }

    /// True when DEST has what `unit` asks for: its record, or an older one that holds more.
    pub fn has(&self, unit: &Unit, record: Option<&UnitRecord>) -> bool {
        let Some(record) = record.filter(|record| self.is_whole(record)) else { return false };
        let frozen = || fs::read(self.own_folder().join(format!("units/{}.frozen", unit.unit)));
        record.fingerprint == unit.fingerprint || frozen().is_ok_and(|by| by == unit.fingerprint.as_bytes())
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of what is not data.
    pub fn own_folder(&self) -> PathBuf {
        self.root.join(OWN_FOLDER)
    }

    /// Records what is chosen once.
    pub fn write_plan(&self, plan: &DestPlan) -> Result<(), DestError> {
        self.write_json("plan.json", plan)
    }

    /// What earlier runs were told of metrics.
    pub fn metadata(root: &Path) -> Result<Metadata, DestError> {
        Ok(read_json(&root.join(OWN_FOLDER).join("metadata.json"))?.unwrap_or_default())
    }

    /// Keeps what is known of metrics.
    pub fn write_metadata(&self, metadata: &Metadata) -> Result<(), DestError> {
        self.write_json("metadata.json", metadata)
    }

    /// Publishes.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), DestError> {
        self.write_json("manifest.json", manifest)
    }

    /// All committed units, by name.
    pub fn units(&self) -> Result<Vec<UnitRecord>, DestError> {
        let folder = self.own_folder().join("units");
        let mut units = Vec::new();
        for entry in fs::read_dir(&folder).map_err(io_error("list", &folder))? {
            let path = entry.map_err(io_error("list", &folder))?.path();
            if is_record(&path)
                && let Some(unit) = read_json(&path)?
            {
                units.push(unit);
            }
        }
        units.sort_by(|a: &UnitRecord, b| a.unit.cmp(&b.unit));
        Ok(units)
    }

    /// True when all files of a unit are there with the size they had.
    pub fn is_whole(&self, unit: &UnitRecord) -> bool {
        let identities = fs::metadata(self.identities_path(&unit.unit));
        let identities = identities.is_ok_and(|found| found.len() == unit.tally.series * IDENTITY_BYTES);
        identities
            && unit.files.iter().all(|file| {
                fs::metadata(self.root.join(&file.path)).is_ok_and(|found| found.len() == file.size_bytes)
            })
    }

    /// Gives the files of a unit their names, then writes its record. Files that it replaces stay until the
    /// manifest no longer names them.
    pub fn commit(
        &self,
        unit: &Unit,
        parts: Vec<PartFile>,
        tally: Tally,
        findings: Findings,
        identities: &mut [SeriesIdentity],
    ) -> Result<UnitRecord, DestError> {
        let mut files = Vec::new();
        for part in parts {
            let part = part.publish()?;
            files.push(FileRecord {
                table: part.table,
                path: part.path,
                rows: part.rows,
                size_bytes: part.size_bytes,
                min_time_ms: part.min_time_ms,
                max_time_ms: part.max_time_ms,
                crc32c: format!("{:08x}", part.crc32c),
            });
        }
        self.write(&format!("units/{}.ids", unit.unit), &identities::encode(identities))?;
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
        self.write_json(&format!("units/{}.json", unit.unit), &record)?;
        Ok(record)
    }

    /// Removes what killed runs and replaced units left behind: temporary files, and parts that none of `units`
    /// names.
    pub fn sweep<'u>(&self, units: impl IntoIterator<Item = &'u UnitRecord>) -> Result<(), DestError> {
        let named: BTreeSet<PathBuf> =
            units.into_iter().flat_map(|unit| &unit.files).map(|file| self.root.join(&file.path)).collect();
        for entry in fs::read_dir(&self.root).map_err(io_error("list", &self.root))? {
            let entry = entry.map_err(io_error("list", &self.root))?;
            if Table::of_name(&entry.file_name().to_string_lossy()).is_some() {
                self.sweep_folder(&entry.path(), &named)?;
            }
        }
        let own = self.own_folder();
        for folder in [own.join("units"), own.join(KIT_FOLDER), own] {
            self.sweep_folder(&folder, &named)?;
        }
        Ok(())
    }

    fn sweep_folder(&self, folder: &Path, named: &BTreeSet<PathBuf>) -> Result<(), DestError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(io_error("list", folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(io_error("list", folder))?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if name.starts_with("dt=") {
                    self.sweep_folder(&path, named)?;
                    // Fails when something is left in it, as it should.
                    let _kept = fs::remove_dir(&path);
                }
            } else if name.starts_with(TEMPORARY_PREFIX)
                || name.starts_with("part-") && !named.contains(&path)
            {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn identities_path(&self, unit: &str) -> PathBuf {
        self.own_folder().join(format!("units/{unit}.ids"))
    }

    /// True when a redo of `record`'s unit would hold less than what is published: the input is gone, so the unit
    /// stays as it is. A redo of which more is deleted by tombstones may hold less.
    pub fn would_shrink(
        &self,
        record: &UnitRecord,
        redo: &Tally,
        identities: &mut [SeriesIdentity],
    ) -> Result<bool, DestError> {
        // Steps that begin in blocks which are gone would be lost, or begin too early.
        if redo.aggregated > 0
            && redo.context < record.tally.context
            && redo.tombstoned <= record.tally.tombstoned
        {
            return Ok(true);
        }
        if record.shrinks_to(redo) || redo.tombstoned > record.tally.tombstoned {
            return Ok(record.shrinks_to(redo));
        }
        let path = self.identities_path(&record.unit);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(io_error("read", &path))?,
        };
        let published =
            identities::read_range(&mut file, i64::MIN, i64::MAX).map_err(io_error("read", &path))?;
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
                let path = self.identities_path(&unit.unit);
                let mut file = File::open(&path).map_err(io_error("read", &path))?;
                let read = identities::read_range(&mut file, cut(first), cut(last));
                let read = read.map_err(io_error("read", &path))?;
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

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), DestError> {
        let path = self.own_folder().join(name);
        let mut json =
            serde_json::to_vec_pretty(value).map_err(|source| DestError::Damaged { path, source })?;
        json.push(b'\n');
        self.write(name, &json)
    }

    /// Writes the BigQuery kit.
    pub fn write_kit(&self, files: &[KitFile]) -> Result<(), DestError> {
        for file in files {
            self.write_file(&format!("{KIT_FOLDER}/{}", file.name), &file.contents, file.executable)?;
        }
        Ok(())
    }

    /// Writes a file below the own folder so that it appears whole.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DestError> {
        self.write_file(name, bytes, false)
    }

    fn write_file(&self, name: &str, bytes: &[u8], executable: bool) -> Result<(), DestError> {
        let path = self.own_folder().join(name);
        let (folder, file_name) = (path.parent().unwrap_or(&self.root), path.file_name().unwrap_or_default());
        fs::create_dir_all(folder).map_err(io_error("create", folder))?;
        let temporary = folder.join(format!("{TEMPORARY_PREFIX}{}", file_name.to_string_lossy()));
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            if executable {
                make_executable(&file)?;
            }
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| {
            let _best_effort = fs::remove_file(&temporary);
            io_error("write", &path)(source)
        })
    }
}

#[cfg(unix)]
fn make_executable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_file: &File) -> io::Result<()> {
    Ok(())
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

/// True when any unit is committed.
fn has_units(own: &Path) -> Result<bool, DestError> {
    let folder = own.join("units");
    let mut entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(io_error("list", &folder))?,
    };
    Ok(entries.any(|entry| entry.is_ok_and(|entry| is_record(&entry.path()))))
}

/// True for `units/<unit>.json`, not for what a killed run left under a temporary name.
fn is_record(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".json") && !name.starts_with(TEMPORARY_PREFIX)
}

/// True when nothing is there, or only what we may have begun.
fn is_free(root: &Path) -> Result<bool, DestError> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries.map_err(io_error("list", root))?,
    };
    for entry in entries {
        if entry.map_err(io_error("list", root))?.file_name() != OWN_FOLDER {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DestError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|source| DestError::Damaged { path: path.to_owned(), source }),
    }
}

fn remove_file(path: &Path) -> Result<(), DestError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}
