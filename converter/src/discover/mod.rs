//! Discovery: which blocks a SOURCE holds, and which of them are read.
//!
//! A SOURCE is a block folder, a folder of blocks, a bucket of tenants, or an archive of any. Whatever else lies there is
//! either normal in a live place and *skipped*, or *broken* and named; a block that another one supersedes is skipped, so
//! that nothing is read twice (`compaction.parents` and `compaction.sources` of `meta.json`).
//!
//! `folders` finds blocks, `listed` reads the `meta.json` of each, `decide` chooses by metas and `marks`, and opens what is
//! read: a bucket has thousands of blocks, and an open one costs requests.

mod choice;
mod decide;
mod folders;
mod heads;
mod listed;
mod marks;
mod supersede;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tsdb_reader::limits::META_BYTES;
use tsdb_reader::source::Source;
use tsdb_reader::{Block, BlockMeta, Error, Labels};

use crate::archive::{ArchiveError, ArchiveTree, Unpacked};
use crate::blocks::Metrics;
use crate::build::BuildError;
use crate::finding::Finding;
use crate::head::account::HeadAccount;
use crate::head::changes::Listing;
use crate::head::files::{TreeFiles, has_head};
use crate::metadata::MetricMetadata;
use crate::store::Stores;
use crate::store::location::LocationError;
use crate::store::tree::BucketTree;
use crate::tree::{LocalTree, Tree};

pub use choice::Choice;
use decide::choose;
use folders::{Holder, holders};
use heads::read_heads;
use listed::{Key, Listed, Place, Unreadable, open_listed, read_listed};
pub(crate) use supersede::group;
pub use supersede::superseded;

/// Blocks without `meta.json` that are younger than this may still be uploading.
const PARTIAL_UPLOAD_AGE: Duration = Duration::from_secs(48 * 3600);

/// How often a directory is read that changes meanwhile.
const ATTEMPTS: usize = 3;

/// The finding of a directory that changed each time.
const CHANGED: &str = "changed-while-read";

/// How SOURCE is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Bytes of packed archives that may be held in memory.
    pub unpack_limit: u64,
    /// Where what does not fit is unpacked to.
    pub temp_dir: PathBuf,
    /// Read the heads of data directories too.
    pub include_head: bool,
    /// The stores that URLs, or a configuration, lead to.
    pub stores: Stores,
    /// Which blocks are read.
    pub choice: Choice,
}

impl ReadOptions {
    /// What may be unpacked into memory by a command that holds little else: a quarter of its limit.
    pub fn new(memory_limit: u64, temp_dir: PathBuf) -> Self {
        let (stores, choice) = (Stores::default(), Choice::default());
        Self { unpack_limit: memory_limit / 4, temp_dir, include_head: false, stores, choice }
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
    /// A store that cannot be used.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A bucket, or what is used like one, has no head.
    #[error(
        "--include-head reads data directories, and SOURCE {location} is in a store; leave it out, or give a path"
    )]
    HeadInStore {
        /// The URL.
        location: String,
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
    /// A tenant asked for is not there.
    #[error(
        "no tenant {tenant} in SOURCE {}; a tenant is a folder of blocks in a SOURCE that has none of its own",
        path.display()
    )]
    NoTenant {
        /// The path given.
        path: PathBuf,
        /// The name given.
        tenant: String,
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
    /// Its metrics, of a block that is far away: they are fetched once.
    pub(crate) metrics: Option<Metrics>,
}

/// What discovery gives.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Blocks to read, by minimum time, then ULID.
    pub blocks: Vec<Found>,
    /// What the others say that would be read too, but hold nothing of the time asked for.
    pub outside: Vec<BlockMeta>,
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

/// Finds the blocks of all `sources` and decides which are read.
///
/// Only a readable block supersedes others; of those that are not read nothing is looked at but `meta.json`.
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

/// Every block of all `sources` that can be opened, whether it is read or not.
pub fn every_block(sources: &[PathBuf], read: &ReadOptions) -> Result<Discovery, DiscoverError> {
    settled(&Opened::open(sources, read, &NEVER)?, read, keep_all, &NEVER)
}

fn keep_all(all: InSources, read: &ReadOptions, stop: &AtomicBool) -> Result<Discovery, DiscoverError> {
    let InSources { mut found, mut findings, mut broken, unpacked, directories } = all;
    let mut blocks = Vec::new();
    for key in found.keys().cloned().collect::<Vec<_>>() {
        blocks.extend(open_listed(&key, &mut found, false, &mut broken));
    }
    findings.extend(found.values().flat_map(Listed::repeated));
    let mut damaged = Vec::new();
    for Unreadable { finding, source, .. } in broken {
        damaged.extend(source.map(|source| Damaged { location: finding.place.clone(), source }));
        findings.push(finding);
    }
    let (heads_blocks, heads) =
        read_heads(&directories, &found, &read.beside(&unpacked), &mut findings, stop)?;
    blocks.extend(heads_blocks);
    blocks.sort_by_key(|found| (found.block.meta().min_time_ms, found.block.meta().ulid));
    Ok(Discovery { blocks, outside: Vec::new(), findings, damaged, unpacked, heads })
}

fn unless_stopped(stop: &AtomicBool) -> Result<(), DiscoverError> {
    if stop.load(Ordering::Relaxed) { Err(DiscoverError::Stopped) } else { Ok(()) }
}

/// All that lies in the sources.
#[derive(Default)]
struct InSources {
    found: BTreeMap<Key, Listed>,
    findings: Vec<Finding>,
    broken: Vec<Unreadable>,
    unpacked: Vec<Unpacked>,
    directories: Vec<Directory>,
}

/// A SOURCE, or a tenant in it.
struct Directory {
    tree: Arc<dyn Tree>,
    /// Its folder in the tree.
    folder: PathBuf,
    /// Its blocks, wherever they are read from.
    blocks: Vec<Key>,
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
    let root = Path::new("");
    let listed = match read.include_head {
        true => Listing::of(&TreeFiles(Arc::clone(tree))),
        false => Listing::of_blocks(tree.as_ref(), root),
    };
    let holders = holders(tree.as_ref(), path, read, &mut all.findings)?;
    let metas: Vec<_> =
        holders.iter().flat_map(|at| &at.blocks).map(|folder| folder.join("meta.json")).collect();
    tree.warm(&metas);
    for Holder { tenant, folder, blocks, markers } in holders {
        let (is_root, mut keys) = (folder == root, Vec::new());
        // What is in the folder of a tenant was listed just now.
        let listed =
            if is_root { listed.clone() } else { Listing::of_names(blocks.iter().map(PathBuf::as_path)) };
        for folder in blocks {
            unless_stopped(stop)?;
            let (tree, location) = (Arc::clone(tree), tree.location(&folder));
            let mut place = Place { tree, folder, location, marks: Vec::new() };
            match read_listed(&place, tenant.as_deref(), &read.choice) {
                Err(unreadable) => all.broken.push(*unreadable),
                Ok(meta) => {
                    place.marks = markers.of_block(&place.folder, meta.ulid).collect();
                    let key = (tenant.clone().unwrap_or_default(), meta.ulid);
                    keys.push(key.clone());
                    match all.found.entry(key) {
                        Entry::Occupied(mut same) => same.get_mut().others.push((meta, place)),
                        Entry::Vacant(new) => _ = new.insert(Listed { meta, place, others: Vec::new() }),
                    }
                }
            }
        }
        let has_head = is_root && has_head(tree.as_ref());
        all.directories.push(Directory { tree: Arc::clone(tree), folder, blocks: keys, has_head, listed });
    }
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
    if let Some(store) = read.stores.open(path, findings)? {
        let location = store.location().to_owned();
        if read.include_head {
            return Err(DiscoverError::HeadInStore { location });
        }
        let ranges = read.stores.ranges(&store, read.unpack_limit / 2);
        let tree = BucketTree::open(store, ranges);
        let tree = tree.map_err(|source| DiscoverError::Unreadable { path: location.into(), source })?;
        return Ok(Arc::new(tree));
    }
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
