//! Leases: what keeps two runs from writing to one DEST in an object store.
//!
//! ```text
//! _promblock/lock                  held by a run that is alone: convert, plan, commit
//! _promblock/workers/<id>          held by each convert --unit, of which there may be many
//! _promblock/units/<unit>.lock     names the worker that converts the unit; as good as its lease
//! ```
//! A lease is an object that is written only if it is not there yet, and then every few seconds only if it is still what
//! was written last. So it never has two holders. One that does not change for a while was held by a run that is gone,
//! and is taken over, again only if it is unchanged. Who waits measures that time: clocks of machines differ, and no
//! time in the object is believed. A holder that could not renew in time asks the store before it writes anything else.
//!
//! A run that is alone takes the lock and then looks for workers; a worker writes its lease and then looks for the lock.
//! So one of the two sees the other. If both do, both give way.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::DestError;
use super::files::Held;
use crate::store::{Store, Version, WriteIf, is_precondition_failed};

/// Most bytes that are read of a lease.
const LIMIT: u64 = 64 << 10;

/// How long a lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A lease that has not changed for this long is taken over.
    pub lasts: Duration,
    /// How often it is renewed: several times while it lasts.
    pub renewed: Duration,
    /// How often one that waits looks at it.
    pub watched: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lasts: seconds(60), renewed: seconds(15), watched: seconds(3) }
    }
}

/// What a lease says. It changes each time: the version of equal bytes may be equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    /// Names the run, whichever machine it is on.
    id: String,
    /// For people.
    owner: String,
    /// How long others wait for a change.
    lease_seconds: u64,
    /// Times it was renewed.
    renewed: u64,
}

impl Contents {
    fn new(times: LeaseTimes) -> Self {
        Self { id: new_id(), owner: owner(), lease_seconds: times.lasts.as_secs().max(1), renewed: 0 }
    }

    fn bytes(&self) -> Bytes {
        serde_json::to_vec_pretty(self).unwrap_or_default().into()
    }
}

/// A lease that is held, renewed by a thread of its own and removed when dropped.
pub(super) struct Lease {
    shared: Arc<Shared>,
    renewal: Option<JoinHandle<()>>,
}

struct Shared {
    store: Store,
    name: String,
    times: LeaseTimes,
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    contents: Contents,
    version: Version,
    renewed: Instant,
    /// By the other clock too: one stands still while a machine sleeps, the other may be set.
    renewed_at: SystemTime,
    lost: bool,
    ended: bool,
}

/// What became of another's lease.
enum Watched {
    /// It is renewed.
    Alive(String),
    /// It is gone.
    Removed,
    /// Nobody renews it; the version it stays at.
    Dead(Version),
}

/// A name that no other run has.
fn new_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random() ^ u64::from(std::process::id()))
}

fn owner() -> String {
    let host =
        std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let host = host.map_or_else(|| "an unknown host".to_owned(), |host| host.trim().to_owned());
    format!("process {} on {host}", std::process::id())
}

impl Lease {
    /// Takes the lease `name`, unless another run holds it; waits for one that may be gone.
    pub(super) fn take(store: &Store, name: &str, times: LeaseTimes) -> Result<Self, DestError> {
        let contents = Contents::new(times);
        loop {
            let began = (Instant::now(), SystemTime::now());
            let version = match store.write(name, contents.bytes(), WriteIf::New) {
                Ok(version) => {
                    if let Err(error) = check_conditions(store, name, &contents) {
                        let _best_effort = store.remove(name);
                        return Err(error);
                    }
                    version
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    return Err(DestError::NoConditions {
                        path: store.location().into(),
                        source: Some(error),
                    });
                }
                Err(error) if is_precondition_failed(&error) => {
                    match watch(store, name, times, Some(&contents.id))? {
                        Watched::Alive(owner) => {
                            return Err(DestError::Leased { path: store.location().into(), owner });
                        }
                        Watched::Removed => continue,
                        Watched::Dead(version) => {
                            match store.write(name, contents.bytes(), WriteIf::Unchanged(version)) {
                                Ok(version) => version,
                                // Another one was faster, or this one was and its answer was lost: look again.
                                Err(error) if is_precondition_failed(&error) => continue,
                                Err(error) => return Err(DestError::Store(error)),
                            }
                        }
                    }
                }
                Err(error) => return Err(DestError::Store(error)),
            };
            return Ok(Self::held(store, name, times, contents, version, began));
        }
    }

    /// Writes the lease of a worker, which has a name of its own.
    pub(super) fn of_worker(store: &Store, folder: &str, times: LeaseTimes) -> Result<Self, DestError> {
        Self::take(store, &format!("{folder}/{}", new_id()), times)
    }

    fn held(
        store: &Store,
        name: &str,
        times: LeaseTimes,
        contents: Contents,
        version: Version,
        (renewed, renewed_at): (Instant, SystemTime),
    ) -> Self {
        let state = State { contents, version, renewed, renewed_at, lost: false, ended: false };
        let shared = Arc::new(Shared {
            store: store.clone(),
            name: name.to_owned(),
            times,
            state: Mutex::new(state),
            ended: Condvar::new(),
        });
        let renewing = Arc::clone(&shared);
        let renewal =
            std::thread::Builder::new().name("lease".to_owned()).spawn(move || renewing.renew_until_end());
        // Without its thread it is renewed when it is checked.
        Self { shared, renewal: renewal.ok() }
    }

    /// What it is called in the store.
    pub(super) fn name(&self) -> &str {
        &self.shared.name
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew_until_end(&self) {
        let mut state = self.lock();
        while !state.ended && !state.lost {
            let (waited, timeout) =
                self.ended.wait_timeout(state, self.times.renewed).unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if timeout.timed_out() && !state.ended && !state.lost {
                // What fails is tried again, and checked before anything is written.
                let _tried_again = self.renew(&mut state);
            }
        }
    }

    fn renew(&self, state: &mut State) -> Result<(), DestError> {
        let began = (Instant::now(), SystemTime::now());
        state.contents.renewed += 1;
        let written =
            self.store.write(&self.name, state.contents.bytes(), WriteIf::Unchanged(state.version.clone()));
        state.version = match written {
            Ok(version) => version,
            Err(error) if is_precondition_failed(&error) => match self
                .store
                .read_version(&self.name, LIMIT, None)
            {
                // It was written, and the answer was lost.
                Ok((bytes, version)) if id_of(&bytes).is_some_and(|id| id == state.contents.id) => version,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(DestError::Store(error)),
                _ => {
                    state.lost = true;
                    return Err(self.lost());
                }
            },
            Err(error) => return Err(DestError::Store(error)),
        };
        (state.renewed, state.renewed_at) = began;
        Ok(())
    }

    fn lost(&self) -> DestError {
        DestError::LeaseLost { path: self.store.location().into() }
    }

    /// Fails when the lease is lost; asks the store when that is not known.
    fn check(&self) -> Result<(), DestError> {
        let mut state = self.lock();
        let certain = self.times.lasts / 2;
        let by_other_clock = state.renewed_at.elapsed();
        match (
            state.lost,
            state.renewed.elapsed() < certain && by_other_clock.is_ok_and(|since| since < certain),
        ) {
            (true, _) => Err(self.lost()),
            (false, true) => Ok(()),
            (false, false) => self.renew(&mut state),
        }
    }
}

impl Held for Lease {
    fn check(&self) -> Result<(), DestError> {
        self.shared.check()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.shared.store.locate(&self.shared.name))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_ours = self.shared.check().is_ok();
        self.shared.lock().ended = true;
        self.shared.ended.notify_all();
        if let Some(renewal) = self.renewal.take() {
            let _it_has_ended = renewal.join();
        }
        if is_ours {
            // One that stays is taken over once its time has passed.
            let _best_effort = self.shared.store.remove(&self.shared.name);
        }
    }
}

fn id_of(bytes: &[u8]) -> Option<String> {
    serde_json::from_slice::<Contents>(bytes).ok().map(|contents| contents.id)
}

/// Makes sure that a store which took the lease refuses it a second time: some ignore conditions.
fn check_conditions(store: &Store, name: &str, contents: &Contents) -> Result<(), DestError> {
    match store.write(name, contents.bytes(), WriteIf::New) {
        Err(error) if is_precondition_failed(&error) => Ok(()),
        Err(error) => Err(DestError::Store(error)),
        Ok(_) => Err(DestError::NoConditions { path: store.location().into(), source: None }),
    }
}

/// Looks at another's lease until it is known what became of it. One that `own` wrote counts as dead.
fn watch(store: &Store, name: &str, times: LeaseTimes, own: Option<&str>) -> Result<Watched, DestError> {
    let seen = Instant::now();
    let (bytes, first) = match store.read_version(name, LIMIT, None) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Watched::Removed),
        Err(error) => return Err(DestError::Store(error)),
    };
    let contents: Option<Contents> = serde_json::from_slice(&bytes).ok();
    if bytes.is_empty() || contents.as_ref().is_some_and(|contents| Some(contents.id.as_str()) == own) {
        // An empty one comes from a folder that was copied.
        return Ok(Watched::Dead(first));
    }
    let (owner, lasts) = match contents {
        Some(contents) => (contents.owner, Duration::from_secs(contents.lease_seconds.min(600))),
        None => ("unknown".to_owned(), times.lasts),
    };
    while seen.elapsed() < lasts {
        std::thread::sleep(times.watched);
        match store.head(name) {
            Ok(now) if now.version() != first => {
                return Ok(Watched::Alive(owner));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Watched::Removed),
            Err(error) => return Err(DestError::Store(error)),
        }
    }
    Ok(Watched::Dead(first))
}

/// Fails when another run holds the lease `name`; removes that of a run that is gone.
pub(super) fn refuse_held(store: &Store, name: &str, times: LeaseTimes) -> Result<(), DestError> {
    let leased = |owner: String| DestError::Leased { path: store.location().into(), owner };
    match watch(store, name, times, None)? {
        Watched::Alive(owner) => Err(leased(owner)),
        Watched::Removed => Ok(()),
        Watched::Dead(version) => {
            // Taken over first, so that what is removed is not another's.
            match store.write(name, Contents::new(times).bytes(), WriteIf::Unchanged(version)) {
                Ok(_) => store.remove(name).map_err(DestError::Store),
                Err(error) if is_precondition_failed(&error) => Err(leased("unknown".to_owned())),
                Err(error) => Err(DestError::Store(error)),
            }
        }
    }
}

/// Writes that the worker with the lease `worker` converts a unit, unless another one that lives does.
pub(super) fn take_unit(store: &Store, name: &str, worker: &str, times: LeaseTimes) -> Result<(), DestError> {
    let ours = || Bytes::copy_from_slice(worker.as_bytes());
    let mut when = WriteIf::New;
    loop {
        match store.write(name, ours(), when) {
            Ok(_) => return Ok(()),
            Err(error) if is_precondition_failed(&error) => {}
            Err(error) => return Err(DestError::Store(error)),
        }
        when = match store.read_version(name, LIMIT, None) {
            Ok((holder, _)) if *holder == *worker.as_bytes() => return Ok(()),
            Ok((holder, version)) => {
                if let Ok(holder) = std::str::from_utf8(&holder)
                    && !holder.is_empty()
                {
                    refuse_held(store, holder, times)?;
                }
                WriteIf::Unchanged(version)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => WriteIf::New,
            Err(error) => return Err(DestError::Store(error)),
        };
    }
}
