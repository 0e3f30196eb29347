//! Discovery: which blocks a SOURCE holds, and which of them are read.
//!
//! A SOURCE is a block folder, a folder of blocks, or an archive of either. Whatever else lies there is either normal in a live place
//! and *skipped*, or *broken* and named; a block that another one supersedes is skipped, so that nothing is read
//! twice (`compaction.parents` and `compaction.sources` of `meta.json`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tsdb_reader::block::read_meta;
use tsdb_reader::head::HeadFiles;
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::source::Source;
use tsdb_reader::{Block, BlockMeta, Error, Labels, Ulid};

use crate::archive::{ArchiveError, ArchiveTree, Unpacked};
use crate::build::BuildError;
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use crate::head::account::HeadAccount;
use crate::head::changes::Listing;
use crate::head::files::{TreeFiles, has_head};
use crate::head::{HeadOptions, read_head};
use crate::metadata::MetricMetadata;
use crate::tree::{EntryKind, LocalTree, Tree};

/// Blocks marked for deletion are read until their mark is older than this.
const DELETION_MARK_DELAY: Duration = Duration::from_secs(24 * 3600);

/// Blocks without `meta.json` that are younger than this may still be uploading.
const PARTIAL_UPLOAD_AGE: Duration = Duration::from_secs(48 * 3600);

/// How often a directory is read that changes meanwhile.
const ATTEMPTS: usize = 3;

/// The finding of a directory that changed each time.
const CHANGED: &str = "changed-while-read";

/// The file that marks a block for deletion.
const DELETION_MARK: &str = "deletion-mark.json";

/// Largest one that is looked into.
const MARK_BYTES: u64 = 1 << 20;

/// How SOURCE is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Bytes of packed archives that may be held in memory.
    pub unpack_limit: u64,
    /// Where what does not fit is unpacked to.
    pub temp_dir: PathBuf,
    /// Read the heads of data directories too.
    pub include_head: bool,
}

impl ReadOptions {
    /// What may be unpacked into memory by a command that holds little else: a quarter of its limit.
    pub fn new(memory_limit: u64, temp_dir: PathBuf) -> Self {
        Self { unpack_limit: memory_limit / 4, temp_dir, include_head: false }
    }

    /// With what is left of the memory beside what is unpacked already.
    fn beside(&self, unpacked: &[Unpacked]) -> Self {
        let held: u64 = unpacked.iter().map(|unpacked| unpacked.memory_bytes).sum();
        Self { unpack_limit: self.unpack_limit.saturating_sub(held), ..self.clone() }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self::new(512 << 20, std::env::temp_dir())
    }
}

/// A SOURCE that cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// There is nothing at the path, or it cannot be listed.
    #[error("cannot read SOURCE {}", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that is no archive, or one that cannot be used.
    #[error("cannot use SOURCE {}", path.display())]
    Archive {
        /// The path given.
        path: PathBuf,
        /// Why.
        source: ArchiveError,
    },
    /// Asked to stop.
    #[error("stopped")]
    Stopped,
    /// Standard input can be read once only.
    #[error("SOURCE - is given twice, and standard input can be read once only")]
    StandardInputTwice,
    /// There is no room for the samples of a head.
    #[error("cannot read the head of {location}")]
    Head {
        /// The data directory.
        location: String,
        /// Why.
        source: BuildError,
    },
    /// What was built of a head cannot be read: an error of this program.
    #[error("cannot open what was built of {location}; please report this")]
    BuiltHead {
        /// The data directory and which part of its head.
        location: String,
        /// Why.
        source: Error,
    },
    /// A folder without blocks.
    #[error(
        "no block in SOURCE {}; a block is a folder named by its ULID with meta.json and index in it{hint}",
        path.display()
    )]
    NoBlock {
        /// The path given.
        path: PathBuf,
        /// Where blocks were seen instead, as a sentence; or empty.
        hint: String,
    },
}

/// A block that can be opened.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub location: String,
    /// Meta and index, opened.
    pub block: Block,
    /// It was built from the head of a data directory.
    pub is_head: bool,
}

/// What discovery gives.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Blocks to read, by minimum time, then ULID.
    pub blocks: Vec<Found>,
    /// Everything else that was there.
    pub findings: Vec<Finding>,
    /// Blocks that cannot be opened; only [`every_block`] gives them.
    pub damaged: Vec<Damaged>,
    /// What was unpacked of archives.
    pub unpacked: Vec<Unpacked>,
    /// What was read of heads.
    pub heads: Heads,
}

/// A block that cannot be opened, and whose files are there.
#[derive(Debug)]
pub struct Damaged {
    /// Where it is.
    pub location: String,
    /// Its files.
    pub source: Arc<dyn Source>,
}

/// The heads of data directories.
#[derive(Debug, Default)]
pub struct Heads {
    /// What became of the samples of each.
    pub accounts: Vec<HeadAccount>,
    /// Bytes of their blocks that are held in memory.
    pub memory_bytes: u64,
    /// The newest metadata of series, where a server logged it, by data directory.
    pub metadata: Vec<(String, Vec<(Labels, MetricMetadata)>)>,
}

/// What is said of a head that was not asked for.
pub(crate) const HEAD_NOT_READ: &str =
    "the head of this data directory, its newest hours, is not read; --include-head reads it";

/// What never asks to stop.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// SOURCE that stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// A folder in a tree that looks like a block.
struct Place<'a> {
    tree: &'a dyn Tree,
    folder: PathBuf,
    location: String,
}

/// A block that cannot be opened.
struct Unreadable {
    /// What it says about itself, if that much can be read.
    meta: Option<Box<BlockMeta>>,
    finding: Finding,
    /// Its files, unless it may still be uploading.
    source: Option<Arc<dyn Source>>,
}

/// Finds the blocks of all `sources` and decides which are read.
///
/// Only a readable block supersedes others; of those that are superseded nothing is looked at but `meta.json` and
/// the ends of the index.
pub fn discover(sources: &[PathBuf], read: &ReadOptions) -> Result<Discovery, DiscoverError> {
    discover_until(sources, read, &NEVER)
}

/// The same, until `stop` is set.
pub fn discover_until(
    sources: &[PathBuf],
    read: &ReadOptions,
    stop: &AtomicBool,
) -> Result<Discovery, DiscoverError> {
    settled(&Opened::open(sources, read, stop)?, read, choose, stop)
}

/// The same for the blocks of an archive that is open already.
pub fn discover_in(mut archive: ArchiveTree, read: &ReadOptions) -> Result<Discovery, DiscoverError> {
    let mut opened = Opened { findings: archive.take_findings(), ..Opened::default() };
    opened.unpacked.extend(archive.unpacked().cloned());
    let path = PathBuf::from(archive.location(Path::new("")));
    opened.trees.push((Arc::new(archive), path));
    settled(&opened, read, choose, &NEVER)
}

/// The same for the blocks in a tree.
pub fn discover_tree(tree: Arc<dyn Tree>, read: &ReadOptions) -> Result<Discovery, DiscoverError> {
    let path = PathBuf::from(tree.location(Path::new("")));
    settled(&Opened { trees: vec![(tree, path)], ..Opened::default() }, read, choose, &NEVER)
}

/// Begins again while someone changes a directory under us: a sample may be in the head, or in a block of its own, when
/// blocks are listed, and in another block when those are read.
fn settled(
    opened: &Opened,
    read: &ReadOptions,
    choose: impl Fn(InSources, &ReadOptions, &AtomicBool) -> Result<Discovery, DiscoverError>,
    stop: &AtomicBool,
) -> Result<Discovery, DiscoverError> {
    for _ in 1..ATTEMPTS {
        let discovery = choose(opened.find(read, stop)?, read, stop)?;
        if !discovery.findings.iter().any(|finding| finding.name == CHANGED) {
            return Ok(discovery);
        }
    }
    choose(opened.find(read, stop)?, read, stop)
}

/// Decides which of the blocks are read.
fn choose(all: InSources, read: &ReadOptions, stop: &AtomicBool) -> Result<Discovery, DiscoverError> {
    let InSources { mut found, marked, mut findings, mut broken, unpacked, directories } = all;
    let mut checked = BTreeSet::new();
    let superseded = loop {
        unless_stopped(stop)?;
        let superseded = superseded(metas(&found));
        let unreadable: Vec<_> = found
            .iter()
            .filter(|(ulid, _)| !superseded.contains_key(ulid) && checked.insert(**ulid))
            .filter_map(|(ulid, found)| check(&found.block).err().map(|error| (*ulid, error)))
            .collect();
        if unreadable.is_empty() {
            break superseded;
        }
        for (ulid, error) in unreadable {
            if let Some(Found { location, block, .. }) = found.remove(&ulid) {
                let finding = unreadable_block(location, &error_chain(&error));
                broken.push(Unreadable { meta: Some(Box::new(block.meta().clone())), finding, source: None });
            }
        }
    };
    findings.extend(broken.into_iter().map(|unreadable| unless_held_by(&found, unreadable)));
    let held = SourcesHeld::by(metas(&found).filter(|meta| !marked.contains(&meta.ulid)));
    let (mut blocks, heads) = read_heads(&directories, &found, &read.beside(&unpacked), &mut findings, stop)?;
    for (ulid, found) in found {
        if let Some(by) = superseded.get(&ulid) {
            let message = format!("superseded by block {by}, which holds its samples");
            findings.push(Finding::new(Severity::Skipped, "superseded-block", found.location, message));
        } else if let Some(resolution_ms) = held.finest(found.block.meta()) {
            let message = match resolution_ms {
                0 => "downsampled, and the raw samples are there",
                _ => "downsampled, and finer aggregates are there",
            };
            findings.push(Finding::new(Severity::Skipped, "downsampled-block", found.location, message));
        } else if marked.contains(&ulid) {
            let message = "marked for deletion more than 24 hours ago";
            findings.push(Finding::new(Severity::Skipped, "marked-block", found.location, message));
        } else if is_empty(found.block.meta()) {
            findings.push(Finding::new(Severity::Skipped, "empty-block", found.location, "holds no samples"));
        } else {
            blocks.push(found);
        }
    }
    blocks.sort_by_key(|found| (found.block.meta().min_time_ms, found.block.meta().ulid));
    Ok(Discovery { blocks, findings, damaged: Vec::new(), unpacked, heads })
}

/// Every block of all `sources` that can be opened, whether it is read or not.
pub fn every_block(sources: &[PathBuf], read: &ReadOptions) -> Result<Discovery, DiscoverError> {
    settled(&Opened::open(sources, read, &NEVER)?, read, keep_all, &NEVER)
}

fn keep_all(all: InSources, read: &ReadOptions, stop: &AtomicBool) -> Result<Discovery, DiscoverError> {
    let InSources { found, mut findings, broken, unpacked, directories, .. } = all;
    let mut damaged = Vec::new();
    for Unreadable { finding, source, .. } in broken {
        damaged.extend(source.map(|source| Damaged { location: finding.place.clone(), source }));
        findings.push(finding);
    }
    let (mut blocks, heads) = read_heads(&directories, &found, &read.beside(&unpacked), &mut findings, stop)?;
    blocks.extend(found.into_values());
    blocks.sort_by_key(|found| (found.block.meta().min_time_ms, found.block.meta().ulid));
    Ok(Discovery { blocks, findings, damaged, unpacked, heads })
}

/// Reads the heads of data directories, each behind its own blocks; names directories that changed meanwhile.
fn read_heads(
    directories: &[Directory],
    found: &BTreeMap<Ulid, Found>,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
    stop: &AtomicBool,
) -> Result<(Vec<Found>, Heads), DiscoverError> {
    let mut blocks: BTreeMap<Ulid, Found> = BTreeMap::new();
    let mut heads = Heads::default();
    for Directory { tree, blocks: own, has_head, listed } in directories {
        let location = tree.location(Path::new(""));
        let changed = |now: &Listing| {
            let change = listed.change(now)?;
            let message = format!(
                "{change} while it was read, each of {ATTEMPTS} times: samples may be in none of what was read; \
                 take a snapshot of it, or stop the server, and read that"
            );
            Some(Finding::new(Severity::Broken, CHANGED, location.clone(), message))
        };
        if !has_head || !read.include_head {
            findings.extend(changed(&Listing::of_blocks(tree.as_ref())));
            if *has_head {
                findings.push(Finding::new(Severity::Skipped, "head", location, HEAD_NOT_READ));
            }
            continue;
        }
        let metas = own.iter().filter_map(|ulid| found.get(ulid)).map(|found| found.block.meta());
        let in_order = metas.filter(|meta| !meta.compaction.says_nothing_about_head());
        let options = HeadOptions {
            min_valid_time_ms: in_order.map(|meta| meta.max_time_ms).max().unwrap_or(i64::MIN),
            temp_dir: &read.temp_dir,
            budget_bytes: usize::try_from(read.unpack_limit / 2).unwrap_or(usize::MAX),
        };
        let files = UntilStopped { files: TreeFiles(Arc::clone(tree)), stop };
        let head = read_head(&files, &options)
            .map_err(|source| DiscoverError::Head { location: location.clone(), source })?;
        unless_stopped(stop)?;
        findings.extend(head.findings);
        findings.extend(changed(&Listing::of(&files.files)));
        heads.accounts.push(head.account);
        heads.metadata.push((location.clone(), head.metadata));
        for (built, name) in [(head.in_order, "head"), (head.late, "head-out-of-order")] {
            let Some(built) = built else { continue };
            let location = format!("{location}/{name}");
            if let Some(first) = blocks.get(&built.ulid) {
                let message = format!("the same samples as {}, read once", first.location);
                findings.push(Finding::new(Severity::Skipped, "repeated-block", location, message));
                continue;
            }
            heads.memory_bytes += built.memory_bytes;
            let block = Block::open(built.source)
                .map_err(|source| DiscoverError::BuiltHead { location: location.clone(), source })?;
            blocks.insert(built.ulid, Found { location, block, is_head: true });
        }
    }
    Ok((blocks.into_values().collect(), heads))
}

/// The files of a head, until asked to stop. What was read until then is of no use.
#[derive(Debug)]
struct UntilStopped<'a> {
    files: TreeFiles,
    stop: &'a AtomicBool,
}

impl HeadFiles for UntilStopped<'_> {
    fn location(&self) -> String {
        self.files.location()
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.files.list(folder)
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        unless_stopped(self.stop).map_err(io::Error::other)?;
        self.files.read(path)
    }
}

fn unless_stopped(stop: &AtomicBool) -> Result<(), DiscoverError> {
    if stop.load(Ordering::Relaxed) { Err(DiscoverError::Stopped) } else { Ok(()) }
}

/// All that lies in the sources.
#[derive(Default)]
struct InSources {
    found: BTreeMap<Ulid, Found>,
    /// Those of them that are marked for deletion, for long enough.
    marked: BTreeSet<Ulid>,
    findings: Vec<Finding>,
    broken: Vec<Unreadable>,
    unpacked: Vec<Unpacked>,
    directories: Vec<Directory>,
}

/// A SOURCE.
struct Directory {
    tree: Arc<dyn Tree>,
    /// Its blocks, wherever they are read from.
    blocks: Vec<Ulid>,
    /// There is a head beside them.
    has_head: bool,
    /// What was in it before anything was read.
    listed: Listing,
}

/// The sources, opened once: standard input cannot be read again.
#[derive(Default)]
struct Opened {
    /// Each with what SOURCE was given as.
    trees: Vec<(Arc<dyn Tree>, PathBuf)>,
    findings: Vec<Finding>,
    unpacked: Vec<Unpacked>,
}

impl Opened {
    fn open(sources: &[PathBuf], read: &ReadOptions, stop: &AtomicBool) -> Result<Self, DiscoverError> {
        let mut opened = Self::default();
        if sources.iter().filter(|path| *path == Path::new(STANDARD_INPUT)).count() > 1 {
            return Err(DiscoverError::StandardInputTwice);
        }
        for path in sources {
            let tree = open_tree(path, read, &mut opened.findings, &mut opened.unpacked, stop)?;
            opened.trees.push((tree, path.clone()));
        }
        Ok(opened)
    }

    /// What lies in them now.
    fn find(&self, read: &ReadOptions, stop: &AtomicBool) -> Result<InSources, DiscoverError> {
        let (findings, unpacked) = (self.findings.clone(), self.unpacked.clone());
        let mut all = InSources { findings, unpacked, ..InSources::default() };
        for (tree, path) in &self.trees {
            find_in(tree, path, read, &mut all, stop)?;
        }
        Ok(all)
    }
}

/// Adds what `tree` holds, which was given as `path`.
fn find_in(
    tree: &Arc<dyn Tree>,
    path: &Path,
    read: &ReadOptions,
    all: &mut InSources,
    stop: &AtomicBool,
) -> Result<(), DiscoverError> {
    let listed = match read.include_head {
        true => Listing::of(&TreeFiles(Arc::clone(tree))),
        false => Listing::of_blocks(tree.as_ref()),
    };
    let mut blocks = Vec::new();
    for folder in block_folders(tree.as_ref(), path, read, &mut all.findings)? {
        unless_stopped(stop)?;
        let place = Place { tree: tree.as_ref(), location: tree.location(&folder), folder };
        let block = match open(&place) {
            Ok(block) => block,
            Err(unreadable) => {
                all.broken.push(unreadable);
                continue;
            }
        };
        let ulid = block.meta().ulid;
        blocks.push(ulid);
        if let Some(first) = all.found.get(&ulid) {
            let message = format!("the same block as {}, read once", first.location);
            all.findings.push(Finding::new(Severity::Skipped, "repeated-block", place.location, message));
            continue;
        }
        match marked_for_deletion(&place, ulid) {
            Ok(None) => {}
            Ok(Some(age)) if age <= DELETION_MARK_DELAY => {}
            Ok(Some(_)) => _ = all.marked.insert(ulid),
            Err(why) => {
                let place = tree.location(&place.folder.join(DELETION_MARK));
                let message = format!("{why}; the block is read as if there was no mark");
                all.findings.push(Finding::new(Severity::Note, "deletion-mark", place, message));
            }
        }
        all.found.insert(ulid, Found { location: place.location, block, is_head: false });
    }
    let has_head = has_head(tree.as_ref());
    all.directories.push(Directory { tree: Arc::clone(tree), blocks, has_head, listed });
    Ok(())
}

/// The files that SOURCE `path` holds; what is to be said of an archive goes to `findings` and `unpacked`.
pub(crate) fn open_tree(
    path: &Path,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
    unpacked: &mut Vec<Unpacked>,
    stop: &AtomicBool,
) -> Result<Arc<dyn Tree>, DiscoverError> {
    let is_input = path == Path::new(STANDARD_INPUT);
    let unreadable = |source| DiscoverError::Unreadable { path: path.to_owned(), source };
    if !is_input && fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(Arc::new(LocalTree::new(path)));
    }
    let read = read.beside(unpacked);
    let opened = match is_input {
        true => ArchiveTree::standard_input(&read, stop),
        false => ArchiveTree::open(path, &read, stop),
    };
    // It may have been cut short, or have failed, for no other reason.
    unless_stopped(stop)?;
    let mut tree = opened.map_err(|source| DiscoverError::Archive { path: path.to_owned(), source })?;
    findings.extend(tree.take_findings());
    unpacked.extend(tree.unpacked().cloned());
    Ok(Arc::new(tree))
}

/// Level-1 sources of blocks, by external labels and resolution.
struct SourcesHeld(BTreeMap<BTreeMap<String, String>, BTreeMap<i64, BTreeSet<Ulid>>>);

impl SourcesHeld {
    fn by<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> Self {
        let mut held: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for meta in metas {
            let of_labels = held.entry(group(meta).0).or_default();
            of_labels.entry(meta.resolution_ms()).or_default().extend(&meta.compaction.sources);
        }
        Self(held)
    }

    /// Of a downsampled block, the finest resolution that every one of its sources is there in, if that is a finer one
    /// and answers all that its own does.
    fn finest(&self, meta: &BlockMeta) -> Option<i64> {
        let (own_ms, sources) = (meta.resolution_ms(), &meta.compaction.sources);
        let answers = |finer_ms: i64| finer_ms == 0 || own_ms % finer_ms == 0;
        let finer = self.0.get(&group(meta).0)?.range(0..own_ms.max(0));
        let mut holding =
            finer.filter(|(at_ms, held)| answers(**at_ms) && sources.iter().all(|at| held.contains(at)));
        holding.next().filter(|_| !sources.is_empty()).map(|(at_ms, _)| *at_ms)
    }
}

/// How long `deletion-mark.json` of Thanos, Mimir or Cortex has been there; or why it does not count.
fn marked_for_deletion(place: &Place<'_>, block: Ulid) -> Result<Option<Duration>, String> {
    let mark = match place.tree.read(&place.folder.join(DELETION_MARK), MARK_BYTES) {
        Ok(mark) => mark,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read it: {error}")),
    };
    let mark: serde_json::Value =
        serde_json::from_slice(&mark).map_err(|error| format!("it is no JSON: {error}"))?;
    if let Some(id) = mark.get("id")
        && id.as_str().and_then(|id| id.parse().ok()) != Some(block)
    {
        return Err("its id is not that of this block".to_owned());
    }
    let seconds = mark.get("deletion_time").filter(|seconds| seconds.is_number());
    let seconds = seconds.ok_or("it has no deletion_time that is a number")?;
    let marked_at = seconds.as_u64().map(Duration::from_secs);
    let marked_at = marked_at.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let marked_at = marked_at
        .ok_or_else(|| format!("deletion_time is {seconds}, expected whole seconds since the year 1970"))?;
    // A mark of the future has no age yet.
    Ok(Some(SystemTime::now().duration_since(marked_at).unwrap_or_default()))
}

/// `meta.json` says so, and states its counts at all.
fn is_empty(meta: &BlockMeta) -> bool {
    meta.stats.num_samples == 0
        && meta.stats.num_series == 0
        && meta.stats.num_chunks == 0
        && meta.compaction.deletable
}

/// The folders that look like blocks in the root of `tree`, or the root itself. `path` is what SOURCE was given as.
fn block_folders(
    tree: &dyn Tree,
    path: &Path,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
) -> Result<Vec<PathBuf>, DiscoverError> {
    if tree.has(Path::new("meta.json")) || tree.has(Path::new("index")) {
        return Ok(vec![PathBuf::new()]);
    }
    let entries = tree.entries(Path::new(""));
    let entries = entries.map_err(|source| DiscoverError::Unreadable { path: path.to_owned(), source })?;
    let mut folders = Vec::new();
    let (mut hints, mut foreign) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = entry.name.to_string_lossy();
        let mut tell = |severity, finding: &str, message: &str| {
            findings.push(Finding::new(severity, finding, tree.location(&entry.name), message));
        };
        let is_block = name.parse::<Ulid>().is_ok();
        if entry.kind != EntryKind::Folder {
            if is_block && entry.kind == EntryKind::DeadLink {
                let message =
                    "a link named as a block is, to a folder that is not there; mend it or remove it";
                tell(Severity::Broken, "unreadable-block", message);
            }
            continue;
        }
        if is_block {
            folders.push(entry.name);
        } else if let Some((ulid, suffix)) = name.split_once('.')
            && ulid.parse::<Ulid>().is_ok()
        {
            let message = format!("unfinished or being deleted (`.{suffix}`)");
            tell(Severity::Skipped, "temporary-block", &message);
        } else if tree.has(&entry.name.join("meta.json")) {
            let message =
                "a block in a folder whose name is no ULID; give it as a SOURCE of its own to read it";
            tell(Severity::Skipped, "foreign-name", message);
            foreign.push(tree.location(&entry.name));
        } else if holds_blocks(tree, &entry.name) {
            hints.push(tree.location(&entry.name));
        }
    }
    let has_head = has_head(tree);
    if folders.is_empty() && !(has_head && read.include_head) {
        hints.append(&mut foreign);
        hints.sort();
        let location = tree.location(Path::new(""));
        let of_archive =
            |name: &str| findings.iter().find(|finding| finding.name == name && finding.place == location);
        let hint = match (hints.first(), of_archive("archive-cut").or(of_archive("archive-name"))) {
            (Some(hint), _) => format!("; {hint} holds some"),
            (None, Some(why)) => format!("; {}", why.message),
            (None, None) if has_head => "; it has a head, which --include-head reads".to_owned(),
            (None, None) => String::new(),
        };
        return Err(DiscoverError::NoBlock { path: path.to_owned(), hint });
    }
    for hint in hints {
        let message = "holds blocks of its own; give it as a SOURCE to read them";
        findings.push(Finding::new(Severity::Skipped, "folder-of-blocks", hint, message));
    }
    Ok(folders)
}

/// True when `folder`, or a folder in it, has an entry named by a ULID: a tenant, or `snapshots/<name>`.
fn holds_blocks(tree: &dyn Tree, folder: &Path) -> bool {
    let entries = |folder: &Path| tree.entries(folder).unwrap_or_default();
    let is_block = |name: &Path| name.to_string_lossy().parse::<Ulid>().is_ok();
    entries(folder).into_iter().any(|entry| {
        let inner = || entries(&folder.join(&entry.name));
        is_block(&entry.name)
            || entry.kind == EntryKind::Folder && inner().iter().any(|inner| is_block(&inner.name))
    })
}

fn open(place: &Place<'_>) -> Result<Block, Unreadable> {
    let Place { tree, folder, location } = place;
    let has_meta = tree.has(&folder.join("meta.json"));
    let incomplete = tree.incomplete(folder);
    if !has_meta && incomplete.is_none() {
        if tree.entries(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let message =
                "it vanished before it was read; if a compaction removed it, read the directory again";
            let finding = Finding::new(Severity::Broken, CHANGED, location.clone(), message);
            return Err(Unreadable { meta: None, finding, source: None });
        }
        let old = age(place).is_none_or(|age| age >= PARTIAL_UPLOAD_AGE);
        let (severity, tail) = match old {
            true => (Severity::Broken, "copy the block again, or remove what is left of it"),
            false => (Severity::Skipped, "it may still be uploading"),
        };
        let message = format!("no meta.json, so the block is incomplete; {tail}");
        let finding = Finding::new(severity, "partial-block", location.clone(), message);
        let source = tree.block(folder).ok().filter(|_| old);
        return Err(Unreadable { meta: None, finding, source });
    }
    let unreadable = |meta, message: &str, source: Option<&Arc<dyn Source>>| {
        let finding = unreadable_block(location, message);
        Unreadable { meta, finding, source: source.cloned() }
    };
    let source = tree.block(folder).map_err(|error| unreadable(None, &error.to_string(), None))?;
    let meta = read_meta(source.as_ref());
    let unreadable = |meta, message: &str| unreadable(meta, message, Some(&source));
    if let Some(why) = incomplete {
        return Err(unreadable(meta.ok().map(Box::new), &why));
    }
    let meta = meta.map_err(|error| unreadable(None, &error_chain(&error)))?;
    Block::with_meta(Arc::clone(&source), meta.clone())
        .map_err(|error| unreadable(Some(Box::new(meta)), &error_chain(&error)))
}

/// Reads what every use of a block needs.
fn check(block: &Block) -> Result<(), Error> {
    let index = block.index();
    index.symbols()?;
    index.all_postings()?;
    let metrics: Vec<_> = index.label_values(METRIC_NAME)?.map(|(_, offset)| offset).collect();
    index.postings_lens(&metrics)?;
    block.tombstones()?;
    block.segments()?;
    Ok(())
}

fn unreadable_block(location: impl Into<String>, message: &str) -> Finding {
    let message = format!("{message}; the block is left out, take a new copy of it");
    Finding::new(Severity::Broken, "unreadable-block", location, message)
}

/// Nothing is missing when another block holds what an unreadable one does.
fn unless_held_by(found: &BTreeMap<Ulid, Found>, unreadable: Unreadable) -> Finding {
    let Unreadable { meta: Some(meta), finding, .. } = unreadable else { return unreadable.finding };
    let (name, message) = match found.get(&meta.ulid) {
        Some(same) => ("repeated-block", format!("unreadable, and the same block as {}", same.location)),
        None => match superseded(metas(found).chain([meta.as_ref()])).get(&meta.ulid) {
            Some(by) => (
                "superseded-block",
                format!("unreadable, and superseded by block {by}, which holds its samples"),
            ),
            None => return finding,
        },
    };
    Finding::new(Severity::Skipped, name, finding.place, message)
}

fn metas(found: &BTreeMap<Ulid, Found>) -> impl Iterator<Item = &BlockMeta> {
    found.values().map(|found| found.block.meta())
}

/// Time since the block was written, by the ULID in its folder's name.
fn age(place: &Place<'_>) -> Option<Duration> {
    // A SOURCE that is the block itself has the name in its location.
    let name = place.folder.file_name().or_else(|| Path::new(&place.location).file_name())?;
    let ulid: Ulid = name.to_str()?.parse().ok()?;
    let written = SystemTime::UNIX_EPOCH + Duration::from_millis(ulid.timestamp_ms());
    SystemTime::now().duration_since(written).ok()
}

/// Blocks that supersede each other only do so among their like.
fn group(meta: &BlockMeta) -> (BTreeMap<String, String>, i64, String) {
    let Some(thanos) = &meta.thanos else { return (BTreeMap::new(), 0, String::new()) };
    let partition = thanos.extensions.get("partition_info");
    let partition = partition.map(ToString::to_string).unwrap_or_default();
    (thanos.labels.clone(), thanos.downsample.resolution_ms, partition)
}

/// What `meta` makes superfluous goes by this: only a block that ranks above another one supersedes it, so that
/// two blocks which name each other do not both vanish.
fn rank(meta: &BlockMeta) -> (usize, usize, i64, Ulid) {
    let rewrites = meta.thanos.as_ref().map_or(0, |thanos| thanos.rewrites.len());
    (meta.compaction.sources.len(), rewrites, meta.compaction.level, meta.ulid)
}

/// Superseded blocks, each with the block that supersedes it.
pub fn superseded<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> BTreeMap<Ulid, Ulid> {
    let mut groups: BTreeMap<_, Vec<&BlockMeta>> = BTreeMap::new();
    for meta in metas {
        groups.entry(group(meta)).or_default().push(meta);
    }
    let mut superseded = BTreeMap::new();
    for mut metas in groups.into_values() {
        metas.sort_by_key(|meta| std::cmp::Reverse(rank(meta)));
        // By level-1 source and by parent: the highest ranking blocks that hold it, so that thousands of blocks
        // are not compared pair by pair.
        let mut holders: BTreeMap<Ulid, Vec<usize>> = BTreeMap::new();
        let mut parent_of: BTreeMap<Ulid, Ulid> = BTreeMap::new();
        for (at, meta) in metas.iter().enumerate() {
            let sources: BTreeSet<Ulid> = meta.compaction.sources.iter().copied().collect();
            let by_parent = parent_of.get(&meta.ulid).copied();
            let by_sources = sources.first().and_then(|first| holders.get(first)).and_then(|candidates| {
                let covers =
                    |&&candidate: &&usize| metas.get(candidate).is_some_and(|by| covers(by, meta, &sources));
                candidates.iter().find(covers).and_then(|&by| metas.get(by)).map(|by| by.ulid)
            });
            if let Some(by) = by_parent.or(by_sources) {
                superseded.insert(meta.ulid, by);
            }
            for parent in &meta.compaction.parents {
                if parent.ulid != meta.ulid {
                    parent_of.entry(parent.ulid).or_insert(meta.ulid);
                }
            }
            for source in sources {
                holders.entry(source).or_default().push(at);
            }
        }
    }
    superseded
}

/// True when `by` holds all that `meta` holds, as far as their sources and time ranges say.
fn covers(by: &BlockMeta, meta: &BlockMeta, sources: &BTreeSet<Ulid>) -> bool {
    let by_sources: BTreeSet<Ulid> = by.compaction.sources.iter().copied().collect();
    sources.is_subset(&by_sources) && by.min_time_ms <= meta.min_time_ms && by.max_time_ms >= meta.max_time_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ULIDs in the order of their letters: `a` is the oldest.
    fn ulid(letter: char) -> Ulid {
        let digits = format!("{:0>26}", letter.to_ascii_uppercase());
        digits.parse().unwrap()
    }

    /// A block `name` over `range` with its sources and parents, one letter each.
    fn block(name: char, range: (i64, i64), level: i64, sources: &str, parents: &str) -> BlockMeta {
        let sources: Vec<_> = sources.chars().map(|at| ulid(at).to_string()).collect();
        let parent = |at| serde_json::json!({"ulid": ulid(at).to_string(), "minTime": 0, "maxTime": 0});
        let json = serde_json::json!({
            "ulid": ulid(name).to_string(), "minTime": range.0, "maxTime": range.1, "version": 1,
            "compaction": {
                "level": level, "sources": sources, "parents": parents.chars().map(parent).collect::<Vec<_>>(),
            },
        });
        BlockMeta::parse(&serde_json::to_vec(&json).unwrap()).unwrap()
    }

    fn with_thanos(mut meta: BlockMeta, thanos: serde_json::Value) -> BlockMeta {
        meta.thanos = Some(serde_json::from_value(thanos).unwrap());
        meta
    }

    /// `(block, by which)` in letters: `"ac bc"` when `c` supersedes `a` and `b`; the same in any order given.
    fn check(metas: &[BlockMeta], expected: &str) {
        let letter = |ulid: &Ulid| ulid.to_string().chars().last().unwrap().to_ascii_lowercase();
        let pairs = |metas: &mut dyn Iterator<Item = &BlockMeta>| {
            let pairs: Vec<String> = superseded(metas)
                .iter()
                .map(|(block, by)| format!("{}{}", letter(block), letter(by)))
                .collect();
            pairs.join(" ")
        };
        assert_eq!(pairs(&mut metas.iter()), expected);
        assert_eq!(pairs(&mut metas.iter().rev()), expected);
    }

    const DAY: (i64, i64) = (0, 100);

    #[test]
    fn a_result_supersedes_its_parents_and_what_their_sources_descend_from() {
        let [a, b] = [block('a', (0, 50), 1, "a", ""), block('b', (50, 100), 1, "b", "")];
        let c = block('c', DAY, 2, "ab", "ab");
        check(&[a.clone(), b.clone()], "");
        check(&[a.clone(), b.clone(), c.clone()], "ac bc");
        check(&[a, b, c, block('d', (0, 200), 3, "abe", "ce")], "ac bc cd");
    }

    #[test]
    fn sources_alone_do_when_the_range_is_covered_too() {
        let a = block('a', (0, 50), 1, "a", "");
        check(&[a.clone(), block('c', DAY, 2, "ab", "")], "ac");
        check(&[a.clone(), block('c', (10, 100), 2, "ab", "")], "");
        check(&[a.clone(), block('c', (0, 49), 2, "ab", "")], "");
        check(&[a, block('c', DAY, 2, "bd", "")], "");
    }

    #[test]
    fn of_blocks_with_the_same_sources_the_rewritten_then_the_newest_one_stays() {
        let (a, b) = (block('a', DAY, 2, "xy", ""), block('b', DAY, 2, "yx", ""));
        check(&[a.clone(), b.clone()], "ab");
        let rewritten = with_thanos(a, serde_json::json!({"rewrites": [{"sources": []}]}));
        check(&[rewritten, with_thanos(b, serde_json::json!({}))], "ba");
    }

    #[test]
    fn blocks_that_name_each_other_do_not_both_vanish() {
        let (a, b) = (block('a', DAY, 1, "a", "b"), block('b', DAY, 1, "b", "a"));
        check(&[a, b], "ab");
        let ring = [block('a', DAY, 1, "a", "b"), block('b', DAY, 1, "b", "c"), block('c', DAY, 1, "c", "a")];
        // Of a ring somebody is left who is superseded by nobody.
        let superseded = superseded(ring.iter());
        assert!(superseded.len() < 3, "{superseded:?}");
        check(&[block('a', DAY, 1, "a", "a")], "");
    }

    #[test]
    fn whoever_supersedes_is_at_the_end_held_by_a_block_that_stays() {
        // All small sets of blocks with hostile sources and parents.
        let lists = ["", "a", "b", "c", "ab", "bc", "abc"];
        for parents in 0..lists.len().pow(3) {
            let at = |n: u32| lists[parents / lists.len().pow(n) % lists.len()];
            for sources in ["a b c", "ab ab c", "abc abc abc", "ab bc ca", "a a ab"] {
                let sources: Vec<_> = sources.split(' ').collect();
                let metas = [
                    block('a', DAY, 1, sources[0], at(0)),
                    block('b', DAY, 2, sources[1], at(1)),
                    block('c', DAY, 1, sources[2], at(2)),
                ];
                let superseded = superseded(metas.iter());
                assert!(superseded.len() < 3, "{superseded:?}");
                for start in superseded.keys() {
                    let (mut at, mut steps) = (start, 0);
                    while let Some(by) = superseded.get(at) {
                        (at, steps) = (by, steps + 1);
                        assert!(steps < 3, "{superseded:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_without_sources_supersede_nothing_and_are_kept() {
        let (a, b) = (block('a', DAY, 1, "", ""), block('b', DAY, 2, "", ""));
        check(&[a.clone(), b], "");
        check(&[a.clone(), block('c', DAY, 2, "a", "")], "");
        check(&[a, block('c', DAY, 2, "ab", "a")], "ac");
    }

    #[test]
    fn shards_tenants_resolutions_and_partitions_do_not_supersede_each_other() {
        let thanos = |name, sources, thanos| with_thanos(block(name, DAY, 2, sources, ""), thanos);
        let shard = |at: &str| serde_json::json!({"labels": {"__compactor_shard_id__": at}});
        check(&[thanos('a', "x", shard("1_of_2")), thanos('b', "x", shard("2_of_2"))], "");
        check(&[thanos('a', "x", shard("1_of_2")), thanos('b', "xy", shard("1_of_2"))], "ab");
        // A block that was split: each shard holds a part of it.
        check(&[block('a', DAY, 1, "x", ""), thanos('b', "x", shard("1_of_2"))], "");
        let cluster = |at: &str| serde_json::json!({"labels": {"cluster": at}});
        check(&[thanos('a', "x", cluster("a")), thanos('b', "xy", cluster("b"))], "");
        let coarse = serde_json::json!({"downsample": {"resolution": 300_000}});
        check(&[thanos('a', "x", serde_json::json!({})), thanos('b', "xy", coarse)], "");
        let partition = |at: i64| serde_json::json!({"extensions": {"partition_info": {"partition_count": 2, "partition_id": at}}});
        check(&[thanos('a', "x", partition(0)), thanos('b', "xy", partition(1))], "");
        check(&[thanos('a', "x", partition(0)), thanos('b', "xy", partition(0))], "ab");
    }

    #[test]
    fn many_blocks_are_decided_without_comparing_all_pairs() {
        let number = |n: usize| format!("{n:0>26}");
        let meta = |n: usize, sources: Vec<String>| {
            let json = serde_json::json!({
                "ulid": number(n), "minTime": n, "maxTime": n + 1, "version": 1,
                "compaction": {"level": 1, "sources": sources},
            });
            BlockMeta::parse(&serde_json::to_vec(&json).unwrap()).unwrap()
        };
        let metas: Vec<_> = (0..20_000).map(|n| meta(n, vec![number(n)])).collect();
        assert!(superseded(metas.iter()).is_empty());
    }

    /// Findings and read blocks of a folder with one block, marked for deletion with `mark`.
    fn marked(mark: &[u8]) -> (Vec<Finding>, usize) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/broken/marked_long_ago");
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join(MARKED);
        fs::create_dir_all(to.join("chunks")).unwrap();
        for file in ["meta.json", "index", "chunks/000001"] {
            fs::copy(fixtures.join(MARKED).join(file), to.join(file)).unwrap();
        }
        fs::write(to.join(DELETION_MARK), mark).unwrap();
        let found = discover(&[dir.path().to_owned()], &ReadOptions::default()).unwrap();
        (found.findings, found.blocks.len())
    }

    /// The block of a fixture.
    const MARKED: &str = "01KDVDNAZ8ETBQ9VYVEJS4NVPX";

    #[test]
    fn a_deletion_mark_counts_when_it_can_be_read_and_is_of_this_block() {
        let mark = |id: &str, time: &str| format!(r#"{{"id":"{id}","deletion_time":{time}}}"#);
        let names = |mark: &str| {
            let (findings, blocks) = marked(mark.as_bytes());
            let names: Vec<_> = findings.into_iter().map(|finding| finding.name).collect();
            (names.join(" "), blocks)
        };
        assert_eq!(names(&mark(MARKED, "1700000000")), ("marked-block".to_owned(), 0));
        assert_eq!(names(r#"{"deletion_time":1700000000}"#), ("marked-block".to_owned(), 0));
        // Years from now.
        assert_eq!(names(&mark(MARKED, "17000000000")), (String::new(), 1));
        let other = "01KDVDNBYGZNZ50D2FX1T88PHW";
        for (mark, why) in [
            (String::new(), "it is no JSON: EOF"),
            ("{}".to_owned(), "it has no deletion_time"),
            ("[7]".to_owned(), "it has no deletion_time"),
            ("\0\0".to_owned(), "it is no JSON: expected value"),
            (mark(MARKED, "\"soon\""), "it has no deletion_time that is a number"),
            (mark(MARKED, "-1"), "deletion_time is -1, expected"),
            (mark(MARKED, "18446744073709551615"), "deletion_time is 18446744073709551615, expected"),
            (mark(other, "1700000000"), "its id is not that of this block"),
        ] {
            let (findings, blocks) = marked(mark.as_bytes());
            let [finding] = findings.as_slice() else { panic!("{mark}: {findings:?}") };
            assert_eq!(
                (finding.name.as_str(), finding.severity),
                ("deletion-mark", Severity::Note),
                "{mark}"
            );
            assert!(finding.message.starts_with(why), "{finding:?}");
            assert!(finding.place.ends_with(DELETION_MARK), "{finding:?}");
            assert_eq!(blocks, 1, "{mark}");
        }
    }
}
