//! Stores: buckets, and what can be used like one, behind blocking calls.
//!
//! ```text
//!  a thread of the pipeline ── list, read, write ──► Store ── a request ──► I/O threads ──► s3, gs, az, http, file
//!                           ◄────── bytes, or an io::Error that names URL, operation, answer ──────
//! ```
//! Requests run on a few threads of their own, which do nothing else; who asks waits. What is asked is counted.
//! Paths are those of objects below the store's prefix, with `/` between their parts.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{
    GetOptions, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use tokio::runtime::{Builder, Handle, Runtime};

pub mod config;
mod error;
pub mod fields;
pub mod location;
mod metered;
mod opened;
mod profile;
pub mod ranges;
pub mod tree;

pub use error::{StoreError, is_precondition_failed, store_error};
pub use metered::StoreUsage;
/// Tells whether an object is still the one that was seen; stores use one field or the other.
pub use object_store::UpdateVersion as Version;
pub use opened::{StoreReport, Stores};

use metered::{Meter, Metered};

/// Threads that speak to stores. They copy bytes and encrypt them, which two do faster than most networks.
const IO_THREADS: usize = 2;

/// Threads for what blocks: names of hosts, local files.
const BLOCKING_THREADS: usize = 16;

/// Files up to this size are written by one request, larger ones in parts of it: the fewer requests the better, yet a
/// part is held in memory.
const PART_BYTES: u64 = 8 << 20;

/// Parts of one file that are under way at once.
const PARTS_IN_FLIGHT: usize = 4;

/// Small requests of one call that are under way at once.
const REQUESTS_AT_ONCE: usize = 32;

/// Parts that a store takes of one object.
const MAX_PARTS: u64 = 10_000;

/// A bucket, a folder or a web server, and a prefix in it. Cheap to clone: clones share connections and counters.
#[derive(Clone)]
pub struct Store {
    /// URL of the prefix, without a slash at its end.
    location: Arc<str>,
    prefix: ObjectPath,
    objects: Arc<dyn ObjectStore>,
    meter: Arc<Meter>,
    handle: Handle,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its path below the store's prefix.
    pub path: String,
    /// What the store says of it; `location` is its whole path.
    pub meta: ObjectMeta,
}

impl Object {
    /// The etag to ask for when it is read, so that it is still the same. Weak ones never match.
    pub fn etag(&self) -> Option<&str> {
        self.meta.e_tag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }

    /// Tells whether it is still the same.
    pub fn version(&self) -> Version {
        version_of(&self.meta)
    }
}

/// What lies in a folder of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderListing {
    /// Names of the folders in it, ascending.
    pub folders: Vec<String>,
    /// Objects right in it, by path.
    pub objects: Vec<Object>,
}

/// When an object may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteIf {
    /// Whatever is there.
    Always,
    /// When nothing is there.
    New,
    /// When what is there is still this.
    Unchanged(Version),
}

impl Store {
    /// The prefix `prefix` of `objects`, called `location` in messages: a URL without secrets.
    pub fn new(objects: Arc<dyn ObjectStore>, location: &str, prefix: &str) -> io::Result<Self> {
        let meter = Arc::new(Meter::default());
        Ok(Self {
            location: location.trim_end_matches('/').into(),
            prefix: object_path(prefix)?,
            objects: Arc::new(Metered::new(objects, Arc::clone(&meter))),
            meter,
            handle: io_handle()?,
        })
    }

    /// The same store, below `folder`.
    pub fn within(&self, folder: &str) -> io::Result<Self> {
        let prefix = self.object(folder)?;
        Ok(Self { location: self.locate(folder.trim_matches('/')).into(), prefix, ..self.clone() })
    }

    /// The same store and those of the folders around it, up to the root of the bucket.
    pub fn ancestors(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        let (mut prefix, mut location) = (self.prefix.as_ref(), &*self.location);
        while !prefix.is_empty() {
            prefix = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
            location = location.rsplit_once('/').map_or(location, |(folder, _)| folder);
            all.push(Self { location: location.into(), prefix: ObjectPath::from(prefix), ..self.clone() });
        }
        all
    }

    /// Its URL, for messages.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The URL of `path`, for messages.
    pub fn locate(&self, path: &str) -> String {
        if path.is_empty() { self.location.to_string() } else { format!("{}/{path}", self.location) }
    }

    /// The store itself, counted; its paths are those that [`Store::object`] gives.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The threads that requests run on.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The whole path of the object at `path`.
    pub fn object(&self, path: &str) -> io::Result<ObjectPath> {
        match (self.prefix.as_ref(), path) {
            ("", path) => object_path(path),
            (prefix, "") => object_path(prefix),
            (prefix, path) => object_path(&format!("{prefix}/{path}")),
        }
    }

    /// What was asked so far of this store, its clones included.
    pub fn usage(&self) -> StoreUsage {
        self.meter.usage()
    }

    /// What lies right in `folder`. A folder without objects is not there, which is no error: it has no entries.
    pub fn list(&self, folder: &str) -> io::Result<FolderListing> {
        let (objects, prefix) = (Arc::clone(&self.objects), self.object(folder)?);
        let listed =
            self.ask("list", folder, async move { objects.list_with_delimiter(Some(&prefix)).await })?;
        let folders = listed.common_prefixes.iter().filter_map(|folder| folder.filename());
        let mut folders: Vec<String> = folders.map(str::to_owned).collect();
        folders.sort();
        Ok(FolderListing { folders, objects: self.named(folder, listed.objects) })
    }

    /// All objects below `folder`, by path.
    pub fn list_all(&self, folder: &str) -> io::Result<Vec<Object>> {
        let (store, owned) = (self.clone(), folder.to_owned());
        self.run("list", folder, async move { store.walk(&owned).await })?
    }

    /// The same for many folders at once.
    pub fn list_many(&self, folders: Vec<String>) -> io::Result<Vec<io::Result<Vec<Object>>>> {
        let store = self.clone();
        let walk = move |folder: String| {
            let store = store.clone();
            async move { store.walk(&folder).await }
        };
        let walks = stream::iter(folders).map(walk).buffered(REQUESTS_AT_ONCE);
        self.run("list", "", walks.collect())
    }

    async fn walk(&self, folder: &str) -> io::Result<Vec<Object>> {
        let prefix = self.object(folder)?;
        let listed = self.objects.list(Some(&prefix)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| store_error("list", self.locate(folder), error))?;
        Ok(self.named(folder, listed))
    }

    /// Size and version of the object at `path`.
    pub fn head(&self, path: &str) -> io::Result<Object> {
        let (objects, object) = (Arc::clone(&self.objects), self.object(path)?);
        let meta = self.ask("look at", path, async move { objects.head(&object).await })?;
        Ok(Object { path: path.to_owned(), meta })
    }

    /// The whole object at `path`, unless it has more than `limit` bytes: [`io::ErrorKind::FileTooLarge`].
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Bytes> {
        Ok(self.read_version(path, limit, None)?.0)
    }

    /// The same, with the version read; with `etag`, only if the object still has it.
    pub fn read_version(&self, path: &str, limit: u64, etag: Option<&str>) -> io::Result<(Bytes, Version)> {
        let (store, object, etag) = (self.clone(), path.to_owned(), etag.map(str::to_owned));
        self.run("read", path, async move { store.fetch(&object, limit, etag).await })?
    }

    /// Whole objects, many at once, each given by its path and etag and read as by [`Store::read_version`].
    pub fn read_many(
        &self,
        objects: Vec<(String, Option<String>)>,
        limit: u64,
    ) -> io::Result<Vec<io::Result<Bytes>>> {
        let store = self.clone();
        let fetch = move |(path, etag): (String, Option<String>)| {
            let store = store.clone();
            async move { store.fetch(&path, limit, etag).await.map(|(bytes, _)| bytes) }
        };
        let fetches = stream::iter(objects).map(fetch).buffered(REQUESTS_AT_ONCE);
        self.run("read", "", fetches.collect())
    }

    async fn fetch(&self, path: &str, limit: u64, etag: Option<String>) -> io::Result<(Bytes, Version)> {
        let failed = |error| store_error("read", self.locate(path), error);
        let options = GetOptions { if_match: etag, ..GetOptions::default() };
        let got = self.objects.get_opts(&self.object(path)?, options).await.map_err(failed)?;
        let (size, version) = (got.meta.size, version_of(&got.meta));
        if size > limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let mut body = got.into_stream();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(failed)?);
            if bytes.len() as u64 > size {
                break;
            }
        }
        if bytes.len() as u64 != size {
            return Err(self.wrong_length(path, bytes.len() as u64, size));
        }
        Ok((bytes.into(), version))
    }

    /// The bytes of each of `ranges` of the object at `path`, which has them all; with `etag`, only if it still has it.
    /// Ranges that are close together are fetched as one.
    pub fn read_ranges(
        &self,
        path: &str,
        ranges: &[Range<u64>],
        etag: Option<&str>,
    ) -> io::Result<Vec<Bytes>> {
        let (objects, object) = (Arc::clone(&self.objects), self.object(path)?);
        let (owned, etag) = (ranges.to_vec(), etag.map(str::to_owned));
        let read = async move {
            let fetch = |range: Range<u64>| {
                let options = GetOptions { if_match: etag.clone(), ..GetOptions::default() };
                let options = options.with_range(Some(range));
                let (objects, object) = (Arc::clone(&objects), object.clone());
                async move { objects.get_opts(&object, options).await?.bytes().await }
            };
            object_store::coalesce_ranges(&owned, fetch, object_store::OBJECT_STORE_COALESCE_DEFAULT).await
        };
        let read = self.ask("read", path, read)?;
        for (range, bytes) in ranges.iter().zip(&read) {
            let expected = range.end.saturating_sub(range.start);
            if bytes.len() as u64 != expected {
                return Err(self.wrong_length(path, bytes.len() as u64, expected));
            }
        }
        Ok(read)
    }

    /// Writes a small object, and gives its version. See [`is_precondition_failed`] for what `when` may lead to.
    pub fn write(&self, path: &str, bytes: Bytes, when: WriteIf) -> io::Result<Version> {
        let (objects, object) = (Arc::clone(&self.objects), self.object(path)?);
        let mode = match when {
            WriteIf::Always => PutMode::Overwrite,
            WriteIf::New => PutMode::Create,
            WriteIf::Unchanged(version) => PutMode::Update(version),
        };
        let options = PutOptions::from(mode);
        let put = async move { objects.put_opts(&object, PutPayload::from(bytes), options).await };
        Ok(self.ask("write", path, put)?.into())
    }

    /// Writes a local file as the object at `path`, over whatever is there. It is seen whole or not at all.
    pub fn upload(&self, path: &str, file: &std::path::Path) -> io::Result<()> {
        let mut file = File::open(file)?;
        let size = file.metadata()?.len();
        if size <= PART_BYTES {
            let mut bytes = Vec::new();
            file.take(PART_BYTES).read_to_end(&mut bytes)?;
            return self.write(path, bytes.into(), WriteIf::Always).map(drop);
        }
        let (objects, object) = (Arc::clone(&self.objects), self.object(path)?);
        let begun = self.ask("write", path, async move { objects.put_multipart(&object).await })?;
        // All parts but the last have the same size, which some stores ask for.
        let part_bytes = PART_BYTES.max(size.div_ceil(MAX_PARTS));
        let mut upload = begun;
        match self.upload_parts(path, upload.as_mut(), &mut file, part_bytes) {
            Ok(()) => self.ask("write", path, async move { upload.complete().await }).map(drop),
            Err(error) => {
                // Best effort: the bucket's rules remove what stays.
                let _aborted = self.ask("abort the upload of", path, async move { upload.abort().await });
                Err(error)
            }
        }
    }

    fn upload_parts(
        &self,
        path: &str,
        upload: &mut dyn MultipartUpload,
        file: &mut File,
        part_bytes: u64,
    ) -> io::Result<()> {
        let mut under_way = VecDeque::new();
        loop {
            let mut part = Vec::new();
            file.by_ref().take(part_bytes).read_to_end(&mut part)?;
            let is_last = part.is_empty();
            if !is_last {
                under_way.push_back(self.handle.spawn(upload.put_part(part.into())));
            }
            while under_way.len() >= PARTS_IN_FLIGHT || is_last {
                let Some(part) = under_way.pop_front() else { return Ok(()) };
                self.ask("write", path, async move { part.await? })?;
            }
        }
    }

    /// Removes the object at `path`. One that is not there is removed already.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let (objects, object) = (Arc::clone(&self.objects), self.object(path)?);
        match self.ask("remove", path, async move { objects.delete(&object).await }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Waits for a request about `path`.
    fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let answered = self.run(operation, path, request)?;
        answered.map_err(|error| store_error(operation, self.locate(path), error))
    }

    /// Waits for what an I/O thread does, which is none that waits here itself. Not by `block_on`, which panics on a thread
    /// that runs tasks.
    fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        request: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            let _nobody_waits = answer.send(request.await);
        });
        let ended =
            |_| io::Error::other(format!("cannot {operation} {}: its thread ended", self.locate(path)));
        answered.recv().map_err(ended)
    }

    fn wrong_length(&self, path: &str, found: u64, expected: u64) -> io::Error {
        let object = self.locate(path);
        let message =
            format!("{object}: the store sent {found} bytes, expected {expected}; run the command again");
        io::Error::new(io::ErrorKind::UnexpectedEof, message)
    }

    /// The objects of a listing of `folder` with their paths below the prefix, by path.
    fn named(&self, folder: &str, listed: Vec<ObjectMeta>) -> Vec<Object> {
        let named = listed.into_iter().filter_map(|meta| {
            let path = meta.location.as_ref().strip_prefix(self.prefix.as_ref())?.trim_start_matches('/');
            // Some stores have an object for the folder itself.
            let path = (!path.is_empty() && path != folder).then(|| path.to_owned())?;
            Some(Object { path, meta })
        });
        let mut objects: Vec<Object> = named.collect();
        objects.sort_by(|a, b| a.path.cmp(&b.path));
        objects
    }
}

/// Without what is inside: it holds keys.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.location)
    }
}

fn version_of(meta: &ObjectMeta) -> Version {
    Version { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

fn object_path(path: &str) -> io::Result<ObjectPath> {
    ObjectPath::parse(path).map_err(|error| io::Error::new(io::ErrorKind::InvalidFilename, error))
}

/// The threads that speak to stores, one set for the process.
fn io_handle() -> io::Result<Handle> {
    static IO: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let begin = || {
        Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("store")
            .enable_all()
            .build()
    };
    match IO.get_or_init(begin) {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot begin I/O threads: {error}"))),
    }
}

#[cfg(test)]
mod tests;
