//! Names: what of an archive is worth knowing, by path.
//!
//! Kept are the files of blocks and, if asked for, of heads; of folders and links those that are named as blocks and
//! parts of heads are, and what such links lead to. All else, such as unfinished blocks, is passed over, so that it takes neither memory nor room
//! on a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tsdb_reader::Ulid;

use super::content::Content;
use super::links::{self, Links};

/// Memory that names may take.
const NAMES_BYTES: usize = 64 << 20;

/// Folders of a head, which lie beside the blocks.
pub(super) const HEAD_FOLDERS: [&str; 3] = ["wal", "wbl", "chunks_head"];

/// What names of checkpoints begin with, which are folders in a log.
const CHECKPOINT: &str = "checkpoint.";

/// What is said of a dead link in the place of a file.
const DEAD_FILE: &str = "it is a link that leads nowhere in the archive; make the archive with --dereference";

/// What a name takes besides its text, about.
const NAME_OVERHEAD_BYTES: usize = 128;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    File(Content),
    Folder,
    /// A symbolic link that leads nowhere, with its target.
    Link(String),
}

/// Paths of an archive, without `.` and with `/` between names.
#[derive(Debug, Default)]
pub(super) struct Names {
    nodes: BTreeMap<String, Node>,
    /// The symbolic links.
    pub(super) links: Links,
    /// What links led to: it is read in their place.
    pub(super) reached: BTreeSet<String>,
    size_bytes: usize,
    /// Keep the files of heads as well.
    pub(super) include_head: bool,
    /// The first link that is not followed, for there is no room for the names of what it leads to.
    pub(super) unfollowed: Option<String>,
    /// The first name that leads out of the archive, and how many there are.
    pub(super) outside: Option<(String, u64)>,
    /// The last file of a block.
    pub(super) last: Option<String>,
}

impl Names {
    /// No names yet; those of files of heads are kept if `include_head` says so.
    pub(super) fn new(include_head: bool) -> Self {
        Self { include_head, ..Self::default() }
    }

    /// What is at each path, by path.
    pub(super) fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// True when there are more names than are kept.
    pub(super) fn is_full(&self) -> bool {
        self.size_bytes > NAMES_BYTES
    }

    /// Says so.
    pub(super) fn full(&self) -> io::Error {
        let message = format!("more than {} names of blocks and their files", self.nodes.len());
        io::Error::new(io::ErrorKind::QuotaExceeded, message)
    }

    /// The path of a file, if it is one that is kept.
    pub(super) fn wanted(&mut self, name: &[u8]) -> Option<String> {
        let path = self.path(name)?;
        self.add_folders(&path);
        let is_wanted = |path: &str| is_of_block(path) || self.include_head && is_of_head(path);
        let by_links = std::iter::successors(Some(path.clone()), |path| self.links.linked(path));
        if by_links.take(links::NESTED).any(|path| is_wanted(&path)) {
            return Some(path);
        }
        // Of a head that is not asked for one file says that it is there.
        let (folder, _) = split(&path);
        if is_of_head(&path) && !self.has_children(folder) {
            self.insert(path, Node::File(Content::Unusable("heads are read with --include-head alone")));
        }
        None
    }

    fn has_children(&self, folder: &str) -> bool {
        let mut behind = self.nodes.range(format!("{folder}/")..);
        behind.next().is_some_and(|(path, _)| split(path).0 == folder)
    }

    /// Adds a file that is kept. What was there before is replaced.
    pub(super) fn add_file(&mut self, path: String, content: Content) {
        self.last = Some(path.clone());
        self.insert(path, Node::File(content));
    }

    /// Adds a file of which the archive does not hold the bytes as they are.
    pub(super) fn add_unusable(&mut self, name: &[u8], why: &'static str) {
        if let Some(path) = self.wanted(name) {
            self.add_file(path, Content::Unusable(why));
        }
    }

    /// Adds a file that is what is at `target` now.
    pub(super) fn add_hard_link(&mut self, name: &[u8], target: &[u8]) {
        let Some(path) = self.wanted(name) else { return };
        let content = match self.path(target).and_then(|target| self.nodes.get(&target)) {
            Some(Node::File(content)) => content.clone(),
            _ => Content::Unusable("it is a hard link to a file that is not before it in the archive"),
        };
        self.add_file(path, content);
    }

    /// Adds a folder if it is named as a block or a part of a head is.
    pub(super) fn add_folder(&mut self, name: &[u8]) {
        if let Some(path) = self.path(name) {
            self.add_folders(&format!("{path}/"));
        }
    }

    /// Adds a symbolic link. It is dead until [`Names::resolve_links`] finds what it leads to.
    pub(super) fn add_symbolic_link(&mut self, name: &[u8], target: &[u8]) {
        let Some(path) = self.path(name) else { return };
        self.add_folders(&path);
        let target = String::from_utf8_lossy(target);
        let (_, last) = split(&path);
        let is_folder = last.parse::<Ulid>().is_ok() || last == "chunks" || HEAD_FOLDERS.contains(&last);
        let is_of_head = last.starts_with(CHECKPOINT) || is_of_head(&format!("{path}/")) || is_of_head(&path);
        let is_wanted = is_folder || is_of_block(&path) || self.include_head && is_of_head;
        self.links.add(&path, &target, is_wanted);
        if is_wanted {
            self.size_bytes += target.len();
            self.insert(path, Node::Link(target.into_owned()));
        }
    }

    /// Puts what symbolic links lead to where they are. Where there are any, names to read the archive once more with.
    pub(super) fn resolve_links(&mut self) -> Option<Self> {
        let again = self.links.again();
        links::resolve(self);
        Some(Self { links: again?, ..Self::new(self.include_head) })
    }

    /// Copies what is at `from`, a file or all that is in a folder, to `to`; false if there is no room for all of it.
    pub(super) fn copy(&mut self, from: &str, to: &str) -> bool {
        if let Some(Node::File(content)) = self.nodes.get(from) {
            let content = content.clone();
            self.reached.insert(from.to_owned());
            self.insert(to.to_owned(), Node::File(content));
            return true;
        }
        let folder = format!("{from}/");
        let (mut copies, mut size_bytes) = (Vec::new(), self.size_bytes);
        for (path, node) in self.nodes.range(folder.clone()..) {
            let Some(rest) = path.strip_prefix(&folder) else { break };
            let path = format!("{to}/{rest}");
            size_bytes += path.len() + NAME_OVERHEAD_BYTES;
            if size_bytes > NAMES_BYTES {
                return false;
            }
            copies.push((path, node.clone()));
        }
        if !copies.is_empty() || matches!(self.nodes.get(from), Some(Node::Folder)) {
            self.reached.insert(from.to_owned());
            self.insert(to.to_owned(), Node::Folder);
        }
        copies.into_iter().for_each(|(path, node)| self.insert(path, node));
        true
    }

    /// Makes dead links that are named as files are files that cannot be read.
    pub(super) fn bury_dead_files(&mut self) {
        for (path, node) in &mut self.nodes {
            let is_folder = split(path).1.starts_with(CHECKPOINT);
            if matches!(node, Node::Link(_)) && !is_folder && (is_of_block(path) || is_of_head(path)) {
                *node = Node::File(Content::Unusable(DEAD_FILE));
            }
        }
    }

    /// Adds the topmost folder in `path` that is named as a block is, be it an unfinished one, or a part of a head.
    fn add_folders(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            let (_, name) = split(folder);
            if is_block_name(name) || HEAD_FOLDERS.contains(&name) {
                if !matches!(self.nodes.get(folder), Some(Node::Folder)) {
                    self.insert(folder.to_owned(), Node::Folder);
                }
                return;
            }
        }
    }

    fn insert(&mut self, path: String, node: Node) {
        if !matches!(node, Node::Link(_)) {
            self.links.remove(&path);
        }
        self.size_bytes += path.len() + NAME_OVERHEAD_BYTES;
        self.nodes.insert(path, node);
    }

    /// The path that a name means, counted from the archive's root. A name that leads out of the archive is noted.
    fn path(&mut self, name: &[u8]) -> Option<String> {
        // What is no text keeps apart from other names, and is the name of no block.
        let name = match std::str::from_utf8(name) {
            Ok(name) => name.to_owned(),
            Err(_) => name.escape_ascii().to_string(),
        };
        if name.split('/').any(|part| part == "..") {
            let (_, count) = self.outside.get_or_insert((name, 0));
            *count += 1;
            return None;
        }
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Some(parts.join("/"))
    }
}

/// Folder and last name of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The folder that a path lies in; none for what lies in the root.
pub(super) fn parent(path: &str) -> Option<&str> {
    Some(path.rsplit_once('/')?.0)
}

/// True when `path` is `folder` or lies in it.
pub(super) fn is_within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A ULID, or one with what unfinished and deleted blocks have behind it.
pub(super) fn is_block_name(name: &str) -> bool {
    name.split('.').next().is_some_and(|ulid| ulid.parse::<Ulid>().is_ok())
}

/// True for files that are read of a finished block.
fn is_of_block(path: &str) -> bool {
    let (folder, name) = split(path);
    let block = match name {
        "meta.json" | "index" | "tombstones" | "deletion-mark.json" => folder,
        _ if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) => match split(folder) {
            (block, "chunks") => block,
            _ => return false,
        },
        _ => return false,
    };
    let is_unfinished = |part: &str| is_block_name(part) && part.contains('.');
    !block.split('/').any(is_unfinished)
}

/// True for files of a head: in one of its folders, or in a folder there.
fn is_of_head(path: &str) -> bool {
    let (folder, _) = split(path);
    let (above, inner) = split(folder);
    let is_part = |name: &str| HEAD_FOLDERS.contains(&name) || name.starts_with("chunk_snapshot.");
    is_part(inner) || is_part(split(above).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "01HF0000000000000000000001";

    #[test]
    fn files_of_blocks_are_wanted_wherever_they_lie_and_nothing_else() {
        let wanted = |name: &str| Names::default().wanted(name.as_bytes());
        for name in
            ["meta.json", "./index", "/data//./tombstones", "a/b/chunks/000001", "x/deletion-mark.json"]
        {
            let path = name.trim_start_matches(['.', '/']).replace("//./", "/");
            assert_eq!(wanted(name), Some(path));
        }
        let unfinished = format!("{BLOCK}.tmp-for-creation/index");
        for name in
            ["wal/00000001", "chunks_head/000001", "queries.active", "chunks/x", "a/000001", &unfinished]
        {
            assert_eq!(wanted(name), None, "{name}");
        }
    }

    #[test]
    fn files_of_heads_are_kept_when_asked_for_and_their_folders_anyway() {
        for name in ["wal/00000001", "d/wal/checkpoint.000002/00000000", "wbl/0", "d/chunk_snapshot.1.2/0"] {
            assert_eq!(Names::new(true).wanted(name.as_bytes()), Some(name.to_owned()));
            assert_eq!(Names::new(false).wanted(name.as_bytes()), None);
        }
        let mut names = Names::default();
        names.wanted(b"d/wal/00000001");
        names.add_folder(b"e/chunks_head/");
        names.wanted(b"d/wal/00000002");
        let paths: Vec<_> = names.nodes().keys().collect();
        assert_eq!(paths, ["d/wal", "d/wal/00000001", "e/chunks_head"]);
    }

    #[test]
    fn names_that_lead_out_are_counted() {
        let mut names = Names::default();
        assert_eq!(names.wanted(b"../index"), None);
        assert_eq!(names.wanted(b"a/../../index"), None);
        names.add_hard_link(b"a/index", b"../../etc/passwd");
        assert_eq!(names.outside, Some(("../index".to_owned(), 3)));
        assert!(matches!(names.nodes().get("a/index"), Some(Node::File(Content::Unusable(_)))));
    }

    #[test]
    fn folders_and_links_are_kept_when_they_are_named_as_blocks_are() {
        let mut names = Names::default();
        names.add_folder(b"data/");
        names.add_folder(format!("data/{BLOCK}/").as_bytes());
        names.wanted(format!("{BLOCK}.tmp/chunks/000001").as_bytes());
        names.add_symbolic_link(b"data/current", b"x");
        names.add_symbolic_link(format!("links/{BLOCK}").as_bytes(), b"x");
        let expected = [
            (format!("{BLOCK}.tmp"), Node::Folder),
            (format!("data/{BLOCK}"), Node::Folder),
            (format!("links/{BLOCK}"), Node::Link("x".to_owned())),
        ];
        assert_eq!(names.nodes().clone().into_iter().collect::<Vec<_>>(), expected);
    }

    /// Paths of files, and `->` behind those of dead links.
    fn resolved(mut names: Names) -> Vec<String> {
        let _again = names.resolve_links();
        let mut told = Vec::new();
        for (path, node) in names.nodes() {
            match node {
                Node::File(_) => told.push(path.clone()),
                Node::Folder => {}
                Node::Link(_) => told.push(format!("{path}->")),
            }
        }
        told
    }

    fn add(names: &mut Names, path: &str) {
        if let Some(path) = names.wanted(path.as_bytes()) {
            names.add_file(path, Content::Unusable(""));
        }
    }

    #[test]
    fn what_links_lead_to_lies_at_their_place_too() {
        let mut names = Names::new(true);
        for (link, target) in [
            ("way", "ext"),
            ("d/wal", "../ext/log"),
            ("d/wbl", "/abs/wbl"),
            ("d/chunks_head", "../way/heads"),
            ("ext/log/checkpoint.00000002", "../saved"),
            ("d/01HF0000000000000000000001/chunks", "../../ext/segments"),
        ] {
            names.add_symbolic_link(link.as_bytes(), target.as_bytes());
        }
        for file in [
            "ext/log/00000003",
            "ext/saved/00000000",
            "abs/wbl/00000000",
            "ext/heads/000001",
            "ext/segments/000001",
            "ext/other/000001",
        ] {
            add(&mut names, file);
        }
        let expected = [
            "abs/wbl/00000000",
            "d/01HF0000000000000000000001/chunks/000001",
            "d/chunks_head/000001",
            "d/wal/00000003",
            "d/wal/checkpoint.00000002/00000000",
            "d/wbl/00000000",
        ];
        let told = resolved(names);
        let told: Vec<_> = told.iter().filter(|path| !path.starts_with("ext/")).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn links_are_no_longer_followed_once_there_is_no_room_for_what_they_lead_to() {
        let mut names = Names::new(true);
        let far = "x".repeat(900);
        for at in 0..100 {
            names.add_symbolic_link(format!("{far}/{at:03}/wal").as_bytes(), b"/ext");
        }
        (0..1000).for_each(|at| add(&mut names, &format!("ext/{at:08}")));
        names.resolve_links();
        let first_dead = names.unfollowed.clone().unwrap();
        let links = names.nodes().iter().filter(|(_, node)| matches!(node, Node::Link(_)));
        let dead: Vec<_> = links.map(|(path, _)| path.clone()).collect();
        assert_eq!(dead.first(), Some(&first_dead));
        assert!((20..80).contains(&dead.len()) && !names.is_full(), "{} links are dead", dead.len());
    }

    #[test]
    fn links_out_of_the_archive_to_nothing_or_around_themselves_stay_dead() {
        let mut names = Names::new(true);
        for (link, target) in [
            ("d/wal", "/elsewhere/wal"),
            ("d/wbl", "../../wbl"),
            ("d/chunks_head", "."),
            ("e/wal", "../f/wal"),
            ("f/wal", "../e/wal"),
        ] {
            names.add_symbolic_link(link.as_bytes(), target.as_bytes());
        }
        add(&mut names, "d/01HF0000000000000000000001/index");
        let expected = [
            "d/01HF0000000000000000000001/index",
            "d/chunks_head->",
            "d/wal->",
            "d/wbl->",
            "e/wal->",
            "f/wal->",
        ];
        assert_eq!(resolved(names), expected);
    }

    #[test]
    fn what_came_before_its_link_is_wanted_when_the_archive_is_read_again() {
        let mut names = Names::new(true);
        add(&mut names, "ext/log/00000003");
        names.add_symbolic_link(b"d/wal", b"../ext/log");
        let mut again = names.resolve_links().unwrap();
        assert!(names.nodes().keys().eq(["d/wal"]));
        add(&mut again, "ext/log/00000003");
        again.add_symbolic_link(b"d/wal", b"../ext/log");
        again.resolve_links();
        assert!(again.nodes().contains_key("d/wal/00000003"));
    }
}
