//! Archives: a tar archive as a SOURCE, packed or not, from a file or from standard input.
//!
//! ```text
//!               packing.rs        members.rs, header.rs         names.rs         source.rs
//! x.tar      ─────────────────► │ members, front to back │ ─► paths of blocks ─► the files of a block:
//! x.tar.gz   ─► gzip ─────────► │ only headers are read  │    and their files    ranges of the archive,
//! x.tar.zst  ─► zstd ─────────► │ of what is not wanted  │                       of memory, or of the
//! -          ─► any of these ─► │                        │ ─► spool.rs           spooled file
//! ```
//! A plain archive on a disk is mapped and served by ranges: nothing is unpacked. Anything else comes by once; the
//! files of blocks are kept in memory as long as all of them fit [`ReadOptions::unpack_limit`], the rest in a
//! temporary file without a name. Nothing is ever written under a name from an archive.
//!
//! The blocks may lie at any depth. The root of the tree is the folder that holds them; of several the topmost one, and
//! the others are named. Symbolic links are followed within the archive (`links.rs`).
//!
//! [`ReadOptions::unpack_limit`]: crate::discover::ReadOptions::unpack_limit

mod content;
mod gzip;
mod header;
mod input;
mod links;
mod members;
mod names;
mod packing;
mod source;
mod spool;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use serde::Serialize;
use tsdb_reader::source::{LocalFile, Source};
use zstd::stream::read::Decoder;

use crate::discover::{HEAD_NOT_READ, ReadOptions};
use crate::finding::{Finding, Severity};
use crate::tree::{Entry, EntryKind, Tree};
use content::Content;
use gzip::Gunzip;
use header::BLOCK_BYTES;
use input::Input;
use members::{Ending, read_members};
use names::{HEAD_FOLDERS, Names, Node, is_block_name, is_within, split};
use packing::Packing;
use source::ArchiveSource;
use spool::Spool;
pub use spool::SpoolError;
pub(crate) use spool::free_bytes;
use stream::Stream;

/// Names of folders that an error lists.
const LISTED: usize = 5;

/// Why an archive cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("cannot read the archive")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it {0}; give a block folder, a folder of blocks, or a .tar, .tar.gz or .tar.zst of one")]
    NotAnArchive(&'static str),
    /// It cannot be unpacked.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// There are several folders of blocks in it, none above the others, or blocks and a head apart.
    #[error("several folders in it hold {what}: {}; make an archive of one of them", folders.join(", "))]
    Several {
        /// What they hold.
        what: &'static str,
        /// The first of them.
        folders: Vec<String>,
    },
}

/// How much of an archive was unpacked, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unpacked {
    /// The archive.
    pub source: String,
    /// Bytes held in memory.
    pub memory_bytes: u64,
    /// Bytes in a temporary file.
    pub disk_bytes: u64,
    /// The folder of that file.
    pub temp_dir: PathBuf,
}

/// The files of the blocks in an archive, and of its head if asked for.
#[derive(Debug)]
pub struct ArchiveTree {
    /// Where the archive is, for messages.
    location: String,
    /// The folder in the archive that holds the blocks; empty for its root.
    root: String,
    names: Names,
    /// The archive, or what was unpacked of it.
    file: Option<LocalFile>,
    unpacked: Option<Unpacked>,
    /// The last file before the archive ends early, whether it is cut, and how it ends.
    cut: Option<(String, bool, String)>,
    findings: Vec<Finding>,
}

impl ArchiveTree {
    /// The archive in the file `path`. Once `stop` is set it ends early.
    pub fn open(path: &Path, options: &ReadOptions, stop: &AtomicBool) -> Result<Self, ArchiveError> {
        let file = stream::open(path)?;
        let location = path.display().to_string();
        if !file.metadata()?.is_file() {
            return Self::read(&mut Stream { file, stop }, location, options);
        }
        let mapped = LocalFile::mapped(file.try_clone()?)?;
        let head = mapped.read(&(0..BLOCK_BYTES as u64))?;
        match Packing::of(&head).map_err(ArchiveError::NotAnArchive)? {
            Packing::Plain => {
                let (mut names, mut input) =
                    (Names::new(options.include_head), Input::File(&mapped, 0, stop));
                let mut ending = read_members(&mut input, &mut names)?;
                if let Some(again) = names.resolve_links() {
                    names = again;
                    ending = read_members(&mut Input::File(&mapped, 0, stop), &mut names)?;
                    names.resolve_links();
                }
                Self::new(location, names, Some(mapped), None, ending)
            }
            Packing::Gzip | Packing::Zstd => Self::read(&mut Stream { file, stop }, location, options),
        }
    }

    /// The archive on standard input. Once `stop` is set it ends early.
    pub fn standard_input(options: &ReadOptions, stop: &AtomicBool) -> Result<Self, ArchiveError> {
        let file = stream::standard_input()?;
        Self::read(&mut Stream { file, stop }, "standard input".to_owned(), options)
    }

    /// The archive that comes from `stream`, which is read to its end.
    pub fn read(
        stream: &mut dyn Read,
        location: String,
        options: &ReadOptions,
    ) -> Result<Self, ArchiveError> {
        let mut head = [0; BLOCK_BYTES];
        let filled = input::fill(stream, &mut head)?;
        let head = head.get(..filled).unwrap_or_default();
        let packing = Packing::of(head).map_err(ArchiveError::NotAnArchive)?;
        let mut packed = io::BufReader::with_capacity(COPY_BYTES, head.chain(stream));
        let mut spool = Spool::new(options.unpack_limit, &options.temp_dir);
        let mut names = Names::new(options.include_head);
        let ending = match packing {
            Packing::Plain => read_members(&mut Input::Stream(&mut packed, &mut spool), &mut names)?,
            Packing::Gzip => {
                let mut unpacked = Gunzip::new(packed);
                read_members(&mut Input::Stream(&mut unpacked, &mut spool), &mut names)?
            }
            Packing::Zstd => {
                let mut unpacked = Decoder::with_buffer(packed)?;
                unpacked.window_log_max(window_log_max(options.unpack_limit))?;
                read_members(&mut Input::Stream(&mut unpacked, &mut spool), &mut names)?
            }
        };
        if let Ending::Broken(_) = ending
            && names.nodes().is_empty()
            && packing != Packing::Plain
        {
            return Err(ArchiveError::NotAnArchive("is packed, but no tar archive inside"));
        }
        names.resolve_links();
        let unpacked = Unpacked {
            source: location.clone(),
            memory_bytes: spool.memory_bytes,
            disk_bytes: spool.disk_bytes,
            temp_dir: options.temp_dir.clone(),
        };
        let file = spool.into_file()?;
        Self::new(location, names, file, Some(unpacked), ending)
    }

    fn new(
        location: String,
        names: Names,
        file: Option<LocalFile>,
        unpacked: Option<Unpacked>,
        ending: Ending,
    ) -> Result<Self, ArchiveError> {
        let mut tree =
            Self { location, root: String::new(), names, file, unpacked, cut: None, findings: Vec::new() };
        tree.names.bury_dead_files();
        tree.note_ending(ending);
        if let Some((name, count)) = tree.names.outside.clone() {
            let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            let message = format!("{name}{more} leads out of the archive and is not read");
            tree.find(Severity::Broken, "archive-name", message);
        }
        if let Some(link) = &tree.names.unfollowed {
            let message = format!(
                "with what links lead to there are more names than are kept, so the link {link} and others are not \
                 followed; make the archive with --dereference"
            );
            tree.find(Severity::Broken, "archive-links", message);
        }
        tree.find_root()?;
        Ok(tree)
    }

    /// What was unpacked, unless the archive is served as it is.
    pub fn unpacked(&self) -> Option<&Unpacked> {
        self.unpacked.as_ref()
    }

    /// What is to be said of the archive as such.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    fn find(&mut self, severity: Severity, name: &str, message: String) {
        self.findings.push(Finding::new(severity, name, self.location.clone(), message));
    }

    fn note_ending(&mut self, ending: Ending) {
        let last = self.names.last.clone();
        let (why, member) = match ending {
            Ending::Marked => return,
            Ending::Trailing(error) => {
                let message = format!("what follows its end is not read: {error}");
                return self.find(Severity::Note, "archive-trailing-bytes", message);
            }
            Ending::Unmarked => {
                let message = "it has no end mark, so its end may be missing; take a new copy of it";
                return self.find(Severity::Broken, "archive-cut", message.to_owned());
            }
            Ending::Broken(error) => (format!("{error}, and what follows is not read"), None),
            Ending::Cut { member, error } => {
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                let place = match (&member, &last) {
                    (Some(name), _) => format!("inside {name}"),
                    (None, Some(name)) => format!("after {name}"),
                    (None, None) => "before any file of a block".to_owned(),
                };
                (format!("the archive ends early, {place}{error}"), member)
            }
        };
        self.find(Severity::Broken, "archive-cut", format!("{why}; take a new copy of it"));
        let is_inside = member.is_some();
        self.cut = Some((member.or(last).unwrap_or_default(), is_inside, why));
    }

    /// Finds the folder that holds the blocks, or the head if that is asked for; names all others that do.
    fn find_root(&mut self) -> Result<(), ArchiveError> {
        let mut holders: BTreeSet<&str> = BTreeSet::new();
        let (mut others, mut heads): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
        for (path, node) in self.names.nodes().iter().filter(|(path, _)| !self.names.reached.contains(*path))
        {
            let (folder, name) = split(path);
            match node {
                Node::Folder | Node::Link(_) if is_block_name(name) => _ = holders.insert(folder),
                Node::Folder if HEAD_FOLDERS.contains(&name) && self.has_any(&format!("{path}/")) => {
                    heads.insert(folder);
                }
                Node::Link(_) if HEAD_FOLDERS.contains(&name) => _ = heads.insert(folder),
                Node::File(_) if name == "meta.json" => _ = others.insert(folder),
                Node::File(_) if name == "index" => {
                    let segment = format!("{folder}/chunks/").trim_start_matches('/').to_owned();
                    if self.has_any(&segment) {
                        others.insert(folder);
                    }
                }
                _ => {}
            }
        }
        let is_linked = |folder: &str| self.names.reached.contains(folder);
        others.retain(|folder| !folder.split('/').any(is_block_name) && !is_linked(folder));
        // Without a folder that is named as a block is, one with the files of a block will do, or one with a head.
        let of_blocks = if holders.is_empty() { &others } else { &holders };
        let root = match (topmost(of_blocks).as_slice(), topmost(&heads).as_slice()) {
            ([], []) => return Ok(()),
            (folders @ [_, _, ..], _) => return Err(several("blocks", folders)),
            ([], [head]) => *head,
            ([], heads) => return Err(several("heads", heads)),
            ([blocks], _) if !self.names.include_head || heads.is_empty() || heads.contains(blocks) => {
                *blocks
            }
            // A data directory whose only blocks are those of its snapshots.
            ([blocks], [head]) if is_within(blocks, head) => *head,
            ([blocks], heads) => return Err(several("blocks or heads", &[&[*blocks], heads].concat())),
        };
        let mut elsewhere = Vec::new();
        let mut tell = |folder: &str, name, message: &str| {
            let place =
                if folder.is_empty() { self.location.clone() } else { format!("{}:{folder}", self.location) };
            elsewhere.push(Finding::new(Severity::Skipped, name, place, message));
        };
        for folder in &holders {
            // What lies less deep is named by who looks at the root.
            if !is_within(folder, root) || depth_below(folder, root) > 2 {
                tell(
                    folder,
                    "folder-of-blocks",
                    "holds blocks of its own; make an archive of it to read them",
                );
            }
        }
        for folder in others.iter().filter(|folder| **folder != root) {
            if !is_within(folder, root) || depth_below(folder, root) > 1 {
                let message = "a block in a folder whose name is no ULID; make an archive of it to read it";
                tell(folder, "foreign-name", message);
            }
        }
        for folder in heads.iter().filter(|folder| **folder != root) {
            let message = match self.names.include_head {
                true => "holds a head of its own; make an archive of it to read it",
                false => HEAD_NOT_READ,
            };
            tell(folder, "head", message);
        }
        self.root = root.to_owned();
        self.findings.extend(elsewhere);
        Ok(())
    }

    /// True when anything lies below `prefix`, which ends with a slash.
    fn has_any(&self, prefix: &str) -> bool {
        self.children(prefix).next().is_some()
    }

    /// The error of a link at `path` that leads nowhere, if there is one.
    fn check_link(&self, path: &str) -> io::Result<()> {
        let Some(Node::Link(target)) = self.names.nodes().get(path) else { return Ok(()) };
        let message = format!(
            "it is a link to {target}, which leads nowhere in the archive; make the archive with --dereference"
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// Names and nodes below `prefix`, which ends with a slash or is empty; folders once.
    fn children<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, EntryKind)> + 'a {
        let mut from = Bound::Included(prefix.to_owned());
        std::iter::from_fn(move || {
            let range = (std::mem::replace(&mut from, Bound::Unbounded), Bound::Unbounded);
            let (path, node) = self.names.nodes().range(range).next()?;
            let rest = path.strip_prefix(prefix)?;
            Some(match rest.split_once('/') {
                Some((name, _)) => {
                    // Behind all that begins with the name and a slash.
                    from = Bound::Included(format!("{prefix}{name}0"));
                    (name, EntryKind::Folder)
                }
                None => {
                    from = Bound::Excluded(path.clone());
                    (rest, kind_of(node))
                }
            })
        })
    }

    /// The path in the archive of a path in the tree.
    fn path(&self, path: &Path) -> String {
        let mut all = self.root.clone();
        for part in path.components() {
            if let Component::Normal(part) = part {
                if !all.is_empty() {
                    all.push('/');
                }
                all.push_str(&part.to_string_lossy());
            }
        }
        all
    }

    /// The path with a slash behind it, but for the archive's root.
    fn prefix(&self, folder: &Path) -> String {
        let mut prefix = self.path(folder);
        if !prefix.is_empty() {
            prefix.push('/');
        }
        prefix
    }

    fn content(&self, path: &str) -> io::Result<&Content> {
        match self.names.nodes().get(path) {
            Some(Node::File(content)) => Ok(content),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

/// Bytes of a packed stream that are read at once.
const COPY_BYTES: usize = 256 << 10;

/// The largest zstd window within `budget`, as a power of two: a frame may ask for as much memory.
fn window_log_max(budget: u64) -> u32 {
    budget.max(1).ilog2().clamp(23, 27)
}

/// The folders that are least deep.
fn topmost<'a>(folders: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let Some(top) = folders.iter().map(|folder| depth_below(folder, "")).min() else { return Vec::new() };
    folders.iter().copied().filter(|folder| depth_below(folder, "") == top).collect()
}

/// How many levels `folder` lies below `root`, in which it lies.
fn depth_below(folder: &str, root: &str) -> usize {
    let depth = |folder: &str| if folder.is_empty() { 0 } else { 1 + folder.matches('/').count() };
    depth(folder).saturating_sub(depth(root))
}

fn several(what: &'static str, folders: &[&str]) -> ArchiveError {
    let folders =
        folders.iter().take(LISTED).map(|&folder| if folder.is_empty() { "its root" } else { folder });
    ArchiveError::Several { what, folders: folders.map(str::to_owned).collect() }
}

fn kind_of(node: &Node) -> EntryKind {
    match node {
        Node::File(_) => EntryKind::File,
        Node::Folder => EntryKind::Folder,
        Node::Link(_) => EntryKind::DeadLink,
    }
}

impl Tree for ArchiveTree {
    fn location(&self, path: &Path) -> String {
        match self.path(path) {
            path if path.is_empty() => self.location.clone(),
            path => format!("{}:{path}", self.location),
        }
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.check_link(&self.path(folder))?;
        let prefix = self.prefix(folder);
        // A folder may also be there by name, before or after what lies in it.
        let mut entries: BTreeMap<&str, EntryKind> = BTreeMap::new();
        for (name, kind) in self.children(&prefix).filter(|(name, _)| !name.is_empty()) {
            let entry = entries.entry(name).or_insert(kind);
            if kind == EntryKind::Folder {
                *entry = kind;
            }
        }
        Ok(entries.into_iter().map(|(name, kind)| Entry { name: name.into(), kind }).collect())
    }

    fn has(&self, path: &Path) -> bool {
        let path = self.path(path);
        self.names.nodes().get(&path).is_some_and(|node| !matches!(node, Node::Link(_)))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Bytes> {
        let content = self.content(&self.path(path))?;
        match content.size()? {
            size if size > limit => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
            size => content.read(self.file.as_ref(), &(0..size)),
        }
    }

    fn block(&self, folder: &Path) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(ArchiveSource::new(self, folder)))
    }

    fn incomplete(&self, folder: &Path) -> Option<String> {
        if let Err(dead) = self.check_link(&self.path(&folder.join("chunks"))) {
            return Some(format!("cannot read chunks: {dead}"));
        }
        let (last, is_inside, why) = self.cut.as_ref()?;
        let path = self.path(folder);
        // Without its tombstones a block would give back what was deleted.
        let has_all = ["meta.json", "index", "tombstones"].iter().all(|file| self.has(&folder.join(file)));
        let may_lack = *is_inside || !has_all;
        (is_within(last, &path) && may_lack).then(|| why.clone())
    }
}
