//! A DEST in an object store: objects appear whole, a listing tells what is there, and leases keep others out.
//!
//! ```text
//! --temp-dir/…/samples/dt=2026-11-20/.tmp-part-…      a unit's files while it is converted
//!                      │ commit: several at once, large ones in parts
//! DEST/samples/dt=2026-11-20/part-…                   there when its upload is complete
//! DEST/_promblock/units/<unit>.json                   written last: the unit's commit
//! ```
//! What is there is listed when the units are read, at the start of a run and before it publishes; in between it is
//! what that listing said and what this run did since. Nobody else writes here meanwhile, but to units that are not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::DestError;
use super::files::{DestFiles, Held, OWN_FOLDER, Sharing, UNITS_FOLDER, is_left_over, is_record};
use super::lease::{Lease, LeaseTimes, refuse_held, take_unit};
use crate::identities::ReadAt;
use crate::schema::Table;
use crate::sink::{Part, PartFile};
use crate::store::{Object, Store, Version, WriteIf};

/// The lease of a run that is alone.
const LOCK: &str = "_promblock/lock";
/// The folder of leases of workers.
const WORKERS: &str = "_promblock/workers";
/// Most bytes of a file that is read whole.
const READ_LIMIT: u64 = 4 << 30;
/// Files that are uploaded at once.
const UPLOADS: usize = 2;
/// Bytes that are held for them: each has four parts of 8 MiB under way.
const UPLOAD_BYTES: u64 = 64 << 20;
/// Small objects that are read, written or removed at once.
const REQUESTS: usize = 16;

/// A prefix of an object store.
#[derive(Debug)]
pub(super) struct Bucket {
    store: Store,
    root: PathBuf,
    times: LeaseTimes,
    /// Name of the lease that is held.
    lease: OnceLock<String>,
    known: Mutex<Known>,
    /// Held by the unit whose files are uploaded: one after the other, for the memory they take.
    uploading: Mutex<()>,
}

/// What is known of the objects there.
#[derive(Debug, Default)]
struct Known {
    /// Sizes and versions by name, once they were listed.
    listed: Option<BTreeMap<String, (u64, Option<Version>)>>,
    /// Records as they were read.
    records: BTreeMap<String, (Version, Vec<u8>)>,
}

impl Bucket {
    pub(super) fn new(store: Store, times: LeaseTimes) -> Self {
        let root = PathBuf::from(store.location());
        Self {
            store,
            root,
            times,
            lease: OnceLock::new(),
            known: Mutex::default(),
            uploading: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was written, or removed.
    fn note(&self, name: &str, now: Option<(u64, Option<Version>)>) {
        let mut known = self.known();
        known.records.remove(name);
        match (&mut known.listed, now) {
            (Some(listed), Some(now)) => _ = listed.insert(name.to_owned(), now),
            (Some(listed), None) => _ = listed.remove(name),
            (None, _) => {}
        }
    }

    fn remove_each(&self, names: &[String]) -> Result<(), DestError> {
        at_once(REQUESTS, names, |name| self.remove(name)).map(drop)
    }

    fn read_record(&self, name: &str) -> Result<Option<Vec<u8>>, DestError> {
        if let Some((_, bytes)) = self.known().records.get(name) {
            return Ok(Some(bytes.clone()));
        }
        match self.store.read_version(name, READ_LIMIT, None) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DestError::Store(error)),
            Ok((bytes, version)) => {
                let bytes = bytes.to_vec();
                self.known().records.insert(name.to_owned(), (version, bytes.clone()));
                Ok(Some(bytes))
            }
        }
    }
}

impl DestFiles for Bucket {
    fn root(&self) -> &Path {
        &self.root
    }

    fn url(&self) -> Option<&str> {
        Some(self.store.location())
    }

    fn held_bytes(&self) -> u64 {
        UPLOAD_BYTES
    }

    fn is_free(&self) -> Result<bool, DestError> {
        let listing = self.store.list("").map_err(DestError::Store)?;
        Ok(listing.objects.is_empty() && listing.folders.iter().all(|folder| folder == OWN_FOLDER))
    }

    fn enclosing_block(&self) -> Result<Option<PathBuf>, DestError> {
        for folder in self.store.ancestors() {
            match folder.head("meta.json") {
                Ok(_) => return Ok(Some(PathBuf::from(folder.location()))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Whoever may write here need not see what is around it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(DestError::Store(error)),
            }
        }
        Ok(None)
    }

    fn lock(&self, sharing: Sharing) -> Result<Box<dyn Held>, DestError> {
        let lease = match sharing {
            Sharing::Alone => {
                let lease = Lease::take(&self.store, LOCK, self.times)?;
                let workers = self.store.list(WORKERS).map_err(DestError::Store)?.objects;
                at_once(REQUESTS, &workers, |worker| refuse_held(&self.store, &worker.path, self.times))?;
                lease
            }
            Sharing::WithOthers => {
                let lease = Lease::of_worker(&self.store, WORKERS, self.times)?;
                refuse_held(&self.store, LOCK, self.times)?;
                lease
            }
        };
        let _first = self.lease.set(lease.name().to_owned());
        Ok(Box::new(lease))
    }

    fn lock_units(&self, units: &[&str]) -> Result<Box<dyn Held>, DestError> {
        let names: Vec<String> = units.iter().map(|unit| format!("{UNITS_FOLDER}/{unit}.lock")).collect();
        let worker = self.lease.get().map_or("", String::as_str);
        let mut held = UnitLeases { store: self.store.clone(), names: Vec::new() };
        for name in names {
            take_unit(&self.store, &name, worker, self.times)?;
            held.names.push(name);
        }
        Ok(Box::new(held))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DestError> {
        match self.store.read(name, READ_LIMIT) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DestError::Store(error)),
        }
    }

    fn read_each(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, DestError> {
        at_once(REQUESTS, names, |name| self.read_record(name))
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn ReadAt>>, DestError> {
        let Some(size) = self.size(name)? else { return Ok(None) };
        Ok(Some(Box::new(ObjectAt { store: self.store.clone(), name: name.to_owned(), size })))
    }

    fn size(&self, name: &str) -> Result<Option<u64>, DestError> {
        if let Some(listed) = &self.known().listed {
            return Ok(listed.get(name).map(|(size, _)| *size));
        }
        match self.store.head(name) {
            Ok(object) => Ok(Some(object.meta.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DestError::Store(error)),
        }
    }

    fn records(&self) -> Result<Vec<String>, DestError> {
        let objects = self.store.list_all("").map_err(DestError::Store)?;
        let found = |object: Object| {
            let known = (object.meta.size, Some(object.version()));
            (object.path, known)
        };
        let listed: BTreeMap<_, _> = objects.into_iter().map(found).collect();
        let of_units = |name: &&String| {
            let file_name = name.strip_prefix(UNITS_FOLDER).and_then(|rest| rest.strip_prefix('/'));
            file_name.is_some_and(is_record)
        };
        let records = listed.keys().filter(of_units).cloned().collect();
        let mut known = self.known();
        known.records.retain(|name, (version, _)| {
            listed
                .get(name)
                .is_some_and(|(_, now)| now.as_ref().is_some_and(|now| now.e_tag == version.e_tag))
        });
        known.listed = Some(listed);
        Ok(records)
    }

    fn write(&self, name: &str, bytes: Vec<u8>, _executable: bool) -> Result<(), DestError> {
        let size = bytes.len() as u64;
        let version = self.store.write(name, bytes.into(), WriteIf::Always).map_err(DestError::Store)?;
        self.note(name, Some((size, Some(version))));
        Ok(())
    }

    fn publish(&self, parts: Vec<PartFile>) -> Result<Vec<Part>, DestError> {
        let _one_by_one = self.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        at_once(UPLOADS, &parts, |file| {
            let part = file.part().clone();
            self.store.upload(&part.path, file.temporary_path()).map_err(DestError::Store)?;
            self.note(&part.path, Some((part.size_bytes, None)));
            Ok(part)
        })
    }

    fn remove(&self, name: &str) -> Result<(), DestError> {
        self.store.remove(name).map_err(DestError::Store)?;
        self.note(name, None);
        Ok(())
    }

    fn sweep(&self, named: &BTreeSet<&str>) -> Result<(), DestError> {
        let is_ours = |name: &str| {
            let folder = name.split('/').next().unwrap_or_default();
            // Nobody else is at work, so locks of units are those of killed workers.
            folder == OWN_FOLDER && name.starts_with(UNITS_FOLDER) && name.ends_with(".lock")
                || (folder == OWN_FOLDER || Table::of_name(folder).is_some()) && is_left_over(name, named)
        };
        let left_over: Vec<String> = match &self.known().listed {
            Some(listed) => listed.keys().filter(|name| is_ours(name)).cloned().collect(),
            None => Vec::new(),
        };
        self.remove_each(&left_over)
    }

    fn unreadable(&self, _name: &str, error: io::Error) -> DestError {
        DestError::Store(error)
    }
}

/// Locks of units, removed when dropped.
#[derive(Debug)]
struct UnitLeases {
    store: Store,
    names: Vec<String>,
}

impl Held for UnitLeases {}

impl Drop for UnitLeases {
    fn drop(&mut self) {
        // Those that stay name a worker that is gone.
        let _best_effort =
            at_once(REQUESTS, &self.names, |name| self.store.remove(name).map_err(DestError::Store));
    }
}

/// An object whose ranges are read.
#[derive(Debug)]
struct ObjectAt {
    store: Store,
    name: String,
    size: u64,
}

impl ReadAt for ObjectAt {
    fn size_bytes(&mut self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(length).min(self.size);
        if offset >= end {
            return Ok(Vec::new());
        }
        let range = offset..end;
        let read = self.store.read_ranges(&self.name, std::slice::from_ref(&range), None)?;
        Ok(read.into_iter().next().unwrap_or_default().to_vec())
    }
}

/// Does `work` for each item, up to `most` at once: each waits for a store. The first error ends it.
fn at_once<T: Sync, R: Send>(
    most: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, DestError> + Sync,
) -> Result<Vec<R>, DestError> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let some = || {
        let mut done = Vec::new();
        while let Some((at, item)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            items.get(at).map(|item| (at, item))
        } {
            match work(item) {
                Ok(result) => done.push((at, result)),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..most.min(items.len())).map(|_| scope.spawn(some)).collect();
        let mut done = some();
        for other in others {
            match other.join() {
                Ok(of_other) => done.extend(of_other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
