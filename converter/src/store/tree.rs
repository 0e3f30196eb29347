//! A bucket as a tree of files.
//!
//! The folder of a block is listed once, with all below it, and its listing is kept: it says which objects there are, their
//! sizes and etags, so that no request asks whether something is there. Reads demand the etag that was listed: an object that
//! changed since is an error, never mixed bytes. Other folders are listed whenever they are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tsdb_reader::Ulid;
use tsdb_reader::source::{BlockFile, Source, cut};

use super::ranges::{BucketSource, Ranges};
use super::{FolderListing, Object, Store};
use crate::tree::{Entry, EntryKind, Tree};

/// Largest object that is fetched before it is asked for.
const WARM_BYTES: u64 = 1 << 20;

/// Objects that are fetched before they are asked for, at once: with the limit above, that bounds the memory.
const WARM_OBJECTS: usize = 1_000;

/// Bytes of such objects that are held.
const WARM_TOTAL_BYTES: u64 = 64 << 20;

/// A prefix of a bucket.
pub struct BucketTree {
    store: Store,
    ranges: Ranges,
    known: Mutex<Known>,
}

/// What is known of the bucket.
#[derive(Default)]
struct Known {
    /// Folders of blocks, with the objects below each by their path in it.
    blocks: BTreeMap<String, Arc<BTreeMap<String, Object>>>,
    /// Other folders, as they were listed last.
    folders: BTreeMap<String, Arc<FolderListing>>,
    /// Small objects that were fetched in advance, each until it is read.
    warm: BTreeMap<String, Bytes>,
}

impl fmt::Debug for BucketTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketTree({})", self.store.location())
    }
}

/// The folder of the block that `path` leads into, and the rest of it; none outside of blocks.
fn split_block(path: &str) -> Option<(&str, &str)> {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        if part.parse::<Ulid>().is_ok() {
            return Some((path.get(..end)?, path.get(end..)?.trim_start_matches('/')));
        }
        end += 1;
    }
    None
}

fn split_name(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl BucketTree {
    /// The objects below the prefix of `store`, of which there must be one.
    pub fn open(store: Store, ranges: Ranges) -> io::Result<Self> {
        let tree = Self { store, ranges, known: Mutex::default() };
        let root = tree.list("")?;
        if root.folders.is_empty() && root.objects.is_empty() {
            let message = match tree.store.head("") {
                Ok(_) => {
                    "it is an object, no folder; an archive is read from a disk, or from standard input as SOURCE -"
                }
                Err(_) => "nothing lies there; look at the prefix, and whether the credentials may list it",
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(tree)
    }

    /// The store that it reads.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies right in `folder` now.
    fn list(&self, folder: &str) -> io::Result<Arc<FolderListing>> {
        let listing = Arc::new(self.store.list(folder)?);
        let mut known = self.known();
        // Blocks that are gone are looked for again, and those that were not whole.
        let folders: BTreeSet<&str> = listing.folders.iter().map(String::as_str).collect();
        known.blocks.retain(|block, objects| {
            let (parent, name) = split_name(block);
            parent != folder || folders.contains(name) && objects.contains_key("meta.json")
        });
        known.folders.insert(folder.to_owned(), Arc::clone(&listing));
        Ok(listing)
    }

    /// The objects of the block in `folder`, by their path in it.
    fn block_objects(&self, folder: &str) -> io::Result<Arc<BTreeMap<String, Object>>> {
        let known = self.known().blocks.get(folder).cloned();
        match known {
            Some(objects) => Ok(objects),
            None => Ok(self.keep(folder, self.store.list_all(folder)?)),
        }
    }

    fn keep(&self, folder: &str, objects: Vec<Object>) -> Arc<BTreeMap<String, Object>> {
        let inner = |object: Object| {
            let path = object.path.strip_prefix(folder).unwrap_or(&object.path);
            (path.trim_start_matches('/').to_owned(), object)
        };
        let objects = Arc::new(objects.into_iter().map(inner).collect::<BTreeMap<_, _>>());
        self.known().blocks.insert(folder.to_owned(), Arc::clone(&objects));
        objects
    }

    /// The object at `path`, as it was listed.
    fn object(&self, path: &str) -> io::Result<Object> {
        if let Some((block, inner)) = split_block(path) {
            return self.block_objects(block)?.get(inner).cloned().ok_or_else(not_found);
        }
        let (parent, _) = split_name(path);
        let listing = self.known().folders.get(parent).cloned();
        let listing = match listing {
            Some(listing) => listing,
            None => self.list(parent)?,
        };
        listing.objects.iter().find(|object| object.path == path).cloned().ok_or_else(not_found)
    }

    /// True when the folder that `folder` lies in was listed, and it was not there.
    fn is_known_to_be_missing(&self, folder: &str) -> bool {
        let (parent, name) = split_name(folder);
        let known = self.known();
        known.folders.get(parent).is_some_and(|listing| !listing.folders.iter().any(|at| at == name))
    }

    /// Lists the folders of the blocks that `paths` lead into, and fetches what is small of `paths`.
    fn fetch(&self, paths: &[PathBuf]) -> io::Result<()> {
        let blocks: BTreeSet<&str> =
            paths.iter().filter_map(|path| Some(split_block(path.to_str()?)?.0)).collect();
        let unlisted: Vec<String> = {
            let known = self.known();
            let unlisted = blocks.into_iter().filter(|block| !known.blocks.contains_key(*block));
            unlisted.map(str::to_owned).collect()
        };
        for (folder, listed) in unlisted.iter().zip(self.store.list_many(unlisted.clone())?) {
            // What fails now fails again when it is read, and is named there.
            let Ok(objects) = listed else { continue };
            self.keep(folder, objects);
        }
        let listed = |path: &PathBuf| {
            let (block, inner) = split_block(path.to_str()?)?;
            let object = self.known().blocks.get(block)?.get(inner)?.clone();
            (object.meta.size <= WARM_BYTES).then_some(object)
        };
        let mut left_bytes = WARM_TOTAL_BYTES;
        let mut small: Vec<Object> = paths.iter().filter_map(listed).collect();
        small.truncate(WARM_OBJECTS);
        small.retain(|object| {
            let fits = object.meta.size <= left_bytes;
            left_bytes -= if fits { object.meta.size } else { 0 };
            fits
        });
        let asked = small.iter().map(|object| (object.path.clone(), object.etag().map(str::to_owned)));
        let fetched = self.store.read_many(asked.collect(), WARM_BYTES)?;
        let mut known = self.known();
        for (object, bytes) in small.into_iter().zip(fetched) {
            if let Ok(bytes) = bytes {
                known.warm.insert(object.path, bytes);
            }
        }
        Ok(())
    }
}

impl Tree for BucketTree {
    fn location(&self, path: &Path) -> String {
        self.store.locate(&path.to_string_lossy())
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let folder = text(folder)?;
        let mut entries: BTreeMap<String, EntryKind> = BTreeMap::new();
        if let Some((block, inner)) = split_block(folder) {
            for path in self.block_objects(block)?.keys() {
                let below = match inner {
                    "" => Some(path.as_str()),
                    inner => path.strip_prefix(inner).and_then(|rest| rest.strip_prefix('/')),
                };
                match below.map(|below| below.split_once('/').ok_or(below)) {
                    Some(Ok((name, _))) => entries.insert(name.to_owned(), EntryKind::Folder),
                    Some(Err(name)) => entries.insert(name.to_owned(), EntryKind::File),
                    None => None,
                };
            }
        } else {
            if !folder.is_empty() && self.is_known_to_be_missing(folder) {
                return Err(not_found());
            }
            let listing = self.list(folder)?;
            let files =
                listing.objects.iter().map(|object| (split_name(&object.path).1.to_owned(), EntryKind::File));
            entries.extend(files);
            entries.extend(listing.folders.iter().map(|name| (name.clone(), EntryKind::Folder)));
        }
        if entries.is_empty() && !folder.is_empty() {
            // There is no folder without objects.
            return Err(not_found());
        }
        Ok(entries.into_iter().map(|(name, kind)| Entry { name: name.into(), kind }).collect())
    }

    fn has(&self, path: &Path) -> bool {
        let Ok(path) = text(path) else { return false };
        // What cannot be listed may well be there; reading it tells.
        match self.object(path) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Bytes> {
        let path = text(path)?;
        let warm = self.known().warm.remove(path);
        if let Some(bytes) = warm {
            let fits = bytes.len() as u64 <= limit;
            return if fits { Ok(bytes) } else { Err(io::Error::from(io::ErrorKind::FileTooLarge)) };
        }
        let object = self.object(path)?;
        if object.meta.size > limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(self.store.read_version(path, limit, object.etag())?.0)
    }

    fn block(&self, folder: &Path) -> io::Result<Arc<dyn Source>> {
        let folder = text(folder)?;
        let objects = self.block_objects(folder)?;
        let mut warm = BTreeMap::new();
        let meta = if folder.is_empty() { "meta.json".to_owned() } else { format!("{folder}/meta.json") };
        if let Some(bytes) = self.known().warm.remove(&meta) {
            warm.insert(BlockFile::Meta, bytes);
        }
        let listed = objects.iter().map(|(name, object)| (name.clone(), object.meta.clone()));
        let location = self.store.locate(folder);
        let source = BucketSource::new(self.ranges.clone(), self.store.objects(), location, listed)?;
        Ok(Arc::new(BlockObjects { source, warm }))
    }

    fn incomplete(&self, _: &Path) -> Option<String> {
        None
    }

    fn warm(&self, paths: &[PathBuf]) {
        // What could not be fetched is asked for again, and named, when it is needed.
        let _not_yet = self.fetch(paths);
    }
}

/// The files of a block in a bucket.
#[derive(Debug)]
struct BlockObjects {
    source: BucketSource,
    /// What was fetched already.
    warm: BTreeMap<BlockFile, Bytes>,
}

impl Source for BlockObjects {
    fn location(&self) -> String {
        self.source.location()
    }

    fn size(&self, file: BlockFile) -> io::Result<u64> {
        self.source.size(file)
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        self.source.segments()
    }

    fn read(&self, file: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let Some(bytes) = self.warm.get(&file) else { return self.source.read(file, ranges) };
        Ok(ranges.iter().map(|range| cut(bytes, range)).collect())
    }

    fn is_far(&self) -> bool {
        true
    }

    fn prefetch(&self, file: BlockFile, ranges: &[Range<u64>]) {
        if !self.warm.contains_key(&file) {
            self.source.prefetch(file, ranges);
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::store::ranges::RangeOptions;
    use crate::store::{WriteIf, is_precondition_failed};

    fn open(store: Store) -> io::Result<BucketTree> {
        let ranges = Ranges::new(store.handle().clone(), RangeOptions::within(1 << 20));
        BucketTree::open(store, ranges)
    }

    const A: &str = "01KDVDNAZ8ETBQ9VYVEJS4NVPX";
    const B: &str = "01KDVDNBYGZNZ50D2FX1T88PHW";

    fn bucket(paths: &[&str]) -> Store {
        let store = Store::new(Arc::new(InMemory::new()), "memory://bucket", "p").unwrap();
        for path in paths {
            store.write(path, Bytes::from((*path).to_owned()), WriteIf::Always).unwrap();
        }
        store
    }

    fn blocks() -> Store {
        let of = |block: &str| {
            ["meta.json", "index", "chunks/000001", "chunks/000002"].map(|file| format!("{block}/{file}"))
        };
        let paths: Vec<String> = [of(A), of(B)].concat();
        bucket(&paths.iter().map(String::as_str).chain(["debug/metas/x.json"]).collect::<Vec<_>>())
    }

    fn names(tree: &BucketTree, folder: &str) -> io::Result<String> {
        let entries = tree.entries(Path::new(folder))?;
        let name = |entry: &Entry| {
            let slash = if entry.kind == EntryKind::Folder { "/" } else { "" };
            format!("{}{slash}", entry.name.display())
        };
        Ok(entries.iter().map(name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn folders_are_those_that_objects_lie_in() {
        let tree = open(blocks()).unwrap();
        assert_eq!(names(&tree, "").unwrap(), format!("{A}/ {B}/ debug/"));
        assert_eq!(names(&tree, A).unwrap(), "chunks/ index meta.json");
        assert_eq!(names(&tree, &format!("{A}/chunks")).unwrap(), "000001 000002");
        assert_eq!(names(&tree, "debug").unwrap(), "metas/");
        for missing in ["wal", "debug/x", "01KDVDNBYGZNZ50D2FX1T88PHX", &format!("{A}/x")] {
            assert_eq!(names(&tree, missing).unwrap_err().kind(), io::ErrorKind::NotFound, "{missing}");
        }
        assert_eq!(tree.location(Path::new("debug/x")), "memory://bucket/debug/x");
    }

    #[test]
    fn whether_something_is_there_costs_one_listing_of_its_block() {
        let tree = open(blocks()).unwrap();
        let before = tree.store().usage();
        for (path, expected) in [("meta.json", true), ("deletion-mark.json", false), ("chunks/000002", true)]
        {
            assert_eq!(tree.has(&Path::new(A).join(path)), expected);
        }
        assert_eq!(
            tree.read(&Path::new(A).join("tombstones"), 9).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(!tree.has(Path::new("meta.json")) && !tree.has(Path::new("index")));
        let too_large = tree.read(&Path::new(A).join("index"), 3).unwrap_err();
        assert_eq!(too_large.kind(), io::ErrorKind::FileTooLarge);
        let block = tree.block(Path::new(A)).unwrap();
        assert_eq!((block.segments().unwrap(), block.size(BlockFile::Index).unwrap()), (vec![1, 2], 32));
        assert_eq!(block.size(BlockFile::Tombstones).unwrap_err().kind(), io::ErrorKind::NotFound);
        let after = tree.store().usage();
        assert_eq!((after.lists - before.lists, after.requests - before.requests), (1, 1));
    }

    #[test]
    fn ranges_are_cut_at_the_end_and_answered_in_the_order_asked() {
        let tree = open(blocks()).unwrap();
        let block = tree.block(Path::new(A)).unwrap();
        let ranges = [27..30, 0..2, 30..99, 5..5, u64::MAX - 1..u64::MAX];
        assert_eq!(block.read(BlockFile::Index, &ranges).unwrap(), ["ind", "01", "ex", "", ""]);
        assert!(block.read(BlockFile::Index, &[]).unwrap().is_empty());
    }

    #[test]
    fn an_object_that_changed_since_it_was_listed_is_an_error() {
        let tree = open(blocks()).unwrap();
        let block = tree.block(Path::new(A)).unwrap();
        let index = format!("{A}/index");
        tree.store()
            .write(&index, Bytes::from_static(b"another one of another size"), WriteIf::Always)
            .unwrap();
        let error = block.read(BlockFile::Index, std::slice::from_ref(&(0..4))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle, "{error}");
        assert!(error.to_string().contains("memory://bucket/01KDVDNAZ8ETBQ9VYVEJS4NVPX/index"), "{error}");
        assert!(is_precondition_failed(&tree.read(Path::new(&index), 99).unwrap_err()));
    }

    #[test]
    fn warmed_objects_are_read_without_a_request() {
        let tree = open(blocks()).unwrap();
        let metas = [A, B, "01KDVDNBYGZNZ50D2FX1T88PHX"].map(|block| Path::new(block).join("meta.json"));
        tree.warm(&metas);
        let before = tree.store().usage();
        assert_eq!((before.lists, before.gets), (4, 2));
        assert_eq!(tree.read(&metas[0], 99).unwrap(), format!("{A}/meta.json"));
        let block = tree.block(Path::new(B)).unwrap();
        let read = block.read(BlockFile::Meta, std::slice::from_ref(&(0..99))).unwrap();
        assert_eq!(read, [format!("{B}/meta.json")]);
        assert!(!tree.has(&metas[2]));
        assert_eq!(tree.store().usage(), before);
    }

    #[test]
    fn blocks_that_are_uploaded_or_removed_meanwhile_are_seen_by_the_next_listing() {
        let store = blocks();
        let tree = open(store.clone()).unwrap();
        let meta = format!("{A}/meta.json");
        store.remove(&meta).unwrap();
        assert!(!tree.has(Path::new(&meta)));
        store.write(&meta, Bytes::from_static(b"{}"), WriteIf::Always).unwrap();
        assert!(tree.has(Path::new(&format!("{B}/meta.json"))));
        for object in store.list_all(B).unwrap() {
            store.remove(&object.path).unwrap();
        }
        assert_eq!(names(&tree, "").unwrap(), format!("{A}/ debug/"));
        assert!(tree.has(Path::new(&meta)));
        assert!(!tree.has(Path::new(&format!("{B}/meta.json"))));
    }

    #[test]
    fn a_prefix_with_nothing_in_it_is_an_error_that_says_what_to_look_at() {
        let error = open(bucket(&[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing lies there; look at the prefix, and whether the credentials may list it"
        );
        let archive = bucket(&["x.tar"]).within("x.tar").unwrap();
        let error = open(archive).unwrap_err();
        assert!(error.to_string().starts_with("it is an object, no folder"), "{error}");
    }

    #[test]
    fn paths_are_split_at_the_block_they_lead_into() {
        assert_eq!(
            split_block(&format!("tenant/{A}/chunks/000001")),
            Some((&*format!("tenant/{A}"), "chunks/000001"))
        );
        assert_eq!(split_block(A), Some((A, "")));
        assert_eq!(split_block("tenant/markers/x"), None);
        assert_eq!(split_block(""), None);
    }
}
