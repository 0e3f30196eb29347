//! Folders: which of a SOURCE hold blocks, and what is said of the others.
//!
//! ```text
//! SOURCE/<ULID>/                  a folder of blocks: snapshot, data directory, bucket of Thanos, one tenant
//! SOURCE/<tenant>/<ULID>/         a bucket of tenants: Mimir, Cortex
//! SOURCE/snapshots/<name>/<ULID>/ neither: other blocks beside the server's, or none
//! ```
//! A folder is a tenant when it lies in a SOURCE without blocks or head of its own, and is asked for by its name, has the
//! index or the marks of a bucket, or blocks that someone uploaded to one. So copies of a server beside each other,
//! which hold the same series, are not taken for tenants.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tsdb_reader::{BlockMeta, Ulid};

use super::marks::{self, GLOBAL_MARKERS, MARKERS, Markers};
use super::{DiscoverError, META_BYTES, ReadOptions};
use crate::finding::{Finding, Severity};
use crate::head::files::has_head;
use crate::tree::{Entry, EntryKind, Tree};

/// Where a bucket of tenants keeps its list of blocks.
const BUCKET_INDEX: &str = "bucket-index.json.gz";

/// Where Thanos keeps copies of `meta.json`, by the thousand.
const COPIES: &str = "debug";

/// How many blocks of a folder are looked at for whether it is a tenant: the first ones may not be whole.
const LOOKED_AT: usize = 5;

/// Blocks that lie together: those of a SOURCE, or of a tenant in it.
#[derive(Debug)]
pub(super) struct Holder {
    /// Whose they are.
    pub tenant: Option<String>,
    /// The folder that holds them.
    pub folder: PathBuf,
    /// Their folders.
    pub blocks: Vec<PathBuf>,
    /// The marks beside them.
    pub markers: Markers,
}

/// What lies in a folder.
#[derive(Default)]
struct Scan {
    blocks: Vec<PathBuf>,
    /// Other folders.
    others: Vec<PathBuf>,
    has_markers: bool,
}

impl Holder {
    /// The root of a SOURCE.
    fn root(blocks: Vec<PathBuf>, markers: Markers) -> Self {
        Self { tenant: None, folder: PathBuf::new(), blocks, markers }
    }
}

/// Finds the blocks of SOURCE `tree`, which was given as `path`.
pub(super) fn holders(
    tree: &dyn Tree,
    path: &Path,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Holder>, DiscoverError> {
    let unreadable = |source| DiscoverError::Unreadable { path: path.to_owned(), source };
    if tree.has(Path::new("meta.json")) || tree.has(Path::new("index")) {
        return Ok(vec![Holder::root(vec![PathBuf::new()], Markers::default())]);
    }
    let (root, begin) = (Path::new(""), findings.len());
    let entries = tree.entries(root).map_err(unreadable)?;
    let Scan { blocks, others, has_markers } = scan(tree, root, entries, findings);
    let folders = look_into(tree, &others, findings).map_err(unreadable)?;
    let has_head = has_head(tree);
    let is_tenant =
        |folder: &Folder| blocks.is_empty() && !has_head && folder.is_tenant(tree, &read.choice.tenants);
    let (tenants, others): (Vec<Folder>, Vec<Folder>) = folders.into_iter().partition(is_tenant);
    let is_missing = |name: &&String| !tenants.iter().any(|tenant| tenant.is_named(name));
    if let Some(missing) = read.choice.tenants.iter().find(is_missing) {
        return Err(DiscoverError::NoTenant { path: path.to_owned(), tenant: missing.clone() });
    }
    let hints: Vec<String> = others
        .iter()
        .filter(|folder| folder.holds_blocks(tree))
        .map(|folder| tree.location(&folder.name))
        .collect();
    if blocks.is_empty() && tenants.is_empty() && !(has_head && read.include_head) {
        let told = findings.get(begin..).unwrap_or_default().iter();
        let foreign = told.filter(|at| at.name == "foreign-name").map(|at| at.place.clone());
        return Err(no_block(tree, path, hints.into_iter().chain(foreign).collect(), has_head, findings));
    }
    for hint in hints {
        let message = "holds blocks of its own; give it as a SOURCE to read them";
        findings.push(Finding::new(Severity::Skipped, "folder-of-blocks", hint, message));
    }
    if tenants.is_empty() {
        let holder = Holder::root(blocks, markers(tree, root, has_markers).map_err(unreadable)?);
        return Ok(kept(tree, holder, None, read, findings).into_iter().collect());
    }
    let marked = others.iter().find(|folder| folder.is_named(GLOBAL_MARKERS));
    let mut holders = Vec::new();
    for Folder { name, entries } in tenants {
        let Some(tenant) = name.to_str().map(str::to_owned) else { continue };
        if !read.choice.tenants.is_empty() && !read.choice.tenants.contains(&tenant) {
            continue;
        }
        let Scan { blocks, mut others, has_markers } = scan(tree, &name, entries, findings);
        others.retain(|folder| !folder.ends_with(MARKERS));
        look_into(tree, &others, findings).map_err(unreadable)?;
        let markers = markers(tree, &name, has_markers).map_err(unreadable)?;
        let global = marked.filter(|folder| folder.has(&tenant)).map(|folder| folder.name.join(&name));
        let holder = Holder { tenant: Some(tenant), folder: name, blocks, markers };
        holders.extend(kept(tree, holder, global, read, findings));
    }
    Ok(holders)
}

/// Sorts what lies in `folder`.
fn scan(tree: &dyn Tree, folder: &Path, entries: Vec<Entry>, findings: &mut Vec<Finding>) -> Scan {
    let mut scan = Scan::default();
    for Entry { name, kind } in entries {
        let path = folder.join(&name);
        let text = name.to_string_lossy();
        let mut tell = |severity, finding: &str, message: &str| {
            findings.push(Finding::new(severity, finding, tree.location(&path), message));
        };
        let is_block = text.parse::<Ulid>().is_ok();
        if kind != EntryKind::Folder {
            if is_block && kind == EntryKind::DeadLink {
                let message =
                    "a link named as a block is, to a folder that is not there; mend it or remove it";
                tell(Severity::Broken, "unreadable-block", message);
            }
            continue;
        }
        if is_block {
            scan.blocks.push(path);
        } else if let Some((ulid, suffix)) = text.split_once('.')
            && ulid.parse::<Ulid>().is_ok()
        {
            let message = format!("unfinished or being deleted (`.{suffix}`)");
            tell(Severity::Skipped, "temporary-block", &message);
        } else {
            scan.has_markers |= text == MARKERS;
            scan.others.push(path);
        }
    }
    scan
}

/// A folder that is no block.
struct Folder {
    name: PathBuf,
    entries: Vec<Entry>,
}

/// Lists `folders`. Blocks under a name of their own are told and left out.
fn look_into(tree: &dyn Tree, folders: &[PathBuf], findings: &mut Vec<Finding>) -> io::Result<Vec<Folder>> {
    let mut listed = Vec::new();
    for name in folders {
        let entries = match tree.entries(name) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let message = format!("{error}; if it holds blocks, they are not read");
                findings.push(Finding::new(
                    Severity::Skipped,
                    "unreadable-folder",
                    tree.location(name),
                    message,
                ));
                continue;
            }
            Err(error) => return Err(error),
        };
        if entries.iter().any(|entry| entry.name == Path::new("meta.json")) {
            let message =
                "a block in a folder whose name is no ULID; give it as a SOURCE of its own to read it";
            findings.push(Finding::new(Severity::Skipped, "foreign-name", tree.location(name), message));
            continue;
        }
        listed.push(Folder { name: name.clone(), entries });
    }
    Ok(listed)
}

impl Folder {
    fn is_named(&self, name: &str) -> bool {
        self.name == Path::new(name)
    }

    fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == Path::new(name))
    }

    fn blocks(&self) -> impl Iterator<Item = &Path> {
        let is_block = |name: &&Path| name.to_string_lossy().parse::<Ulid>().is_ok();
        self.entries.iter().map(|entry| entry.name.as_path()).filter(is_block)
    }

    /// True for the folder of a tenant; see above.
    fn is_tenant(&self, tree: &dyn Tree, asked: &BTreeSet<String>) -> bool {
        let Some(name) = self.name.to_str().filter(|name| !name.starts_with("__")) else { return false };
        let uploaded = |block: &Path| {
            let json = tree.read(&self.name.join(block).join("meta.json"), META_BYTES).ok()?;
            Some(BlockMeta::parse(&json).ok()?.thanos.is_some())
        };
        let has_blocks = || self.blocks().next().is_some();
        asked.contains(name)
            || has_blocks() && (self.has(BUCKET_INDEX) || self.has(MARKERS))
            || self.blocks().filter_map(uploaded).take(LOOKED_AT).any(|uploaded| uploaded)
    }

    /// True when the folder, or a folder in it, has an entry named by a ULID: a server, or `snapshots/<name>`.
    fn holds_blocks(&self, tree: &dyn Tree) -> bool {
        let inner = |entry: &Entry| {
            let entries = tree.entries(&self.name.join(&entry.name)).unwrap_or_default();
            Self { name: PathBuf::new(), entries }.blocks().next().is_some()
        };
        let mut folders = self.entries.iter().filter(|entry| entry.kind == EntryKind::Folder);
        self.blocks().next().is_some() || !self.is_named(COPIES) && folders.any(inner)
    }
}

fn markers(tree: &dyn Tree, folder: &Path, has_markers: bool) -> io::Result<Markers> {
    if has_markers { Markers::list(tree, folder) } else { Ok(Markers::default()) }
}

/// The holder, unless it is marked for deletion as a whole.
fn kept(
    tree: &dyn Tree,
    holder: Holder,
    global: Option<PathBuf>,
    read: &ReadOptions,
    findings: &mut Vec<Finding>,
) -> Option<Holder> {
    let marks = holder.markers.of_tenant(global);
    if marks::oldest(tree, marks, None, &read.choice, findings).is_none() {
        return Some(holder);
    }
    let message =
        format!("the tenant is marked for deletion, so its blocks are not read: {}", holder.blocks.len());
    findings.push(Finding::new(Severity::Skipped, "marked-tenant", tree.location(&holder.folder), message));
    None
}

fn no_block(
    tree: &dyn Tree,
    path: &Path,
    mut places: Vec<String>,
    has_head: bool,
    findings: &[Finding],
) -> DiscoverError {
    places.sort();
    let location = tree.location(Path::new(""));
    let of_archive =
        |name: &str| findings.iter().find(|finding| finding.name == name && finding.place == location);
    let hint = match (places.first(), of_archive("archive-cut").or(of_archive("archive-name"))) {
        (Some(place), _) => format!("; {place} holds some"),
        (None, Some(why)) => format!("; {}", why.message),
        (None, None) if has_head => "; it has a head, which --include-head reads".to_owned(),
        (None, None) => String::new(),
    };
    DiscoverError::NoBlock { path: path.to_owned(), hint }
}
