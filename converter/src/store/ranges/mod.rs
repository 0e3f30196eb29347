//! Ranges: the bytes of blocks in a bucket, fetched by byte range and held once for all who read them.
//!
//! ```text
//! read, prefetch ──► what is missing ──► requests ──────────► store      cut to a size, so many at once
//!       ▲            gaps bridged        │ body of each: as long as asked, of the object that was listed
//!       │                                ▼
//!       └─ slices ◄───────────────── extents: object, offset, bytes      within a budget; read ones go first
//! ```
//! An *extent* is what one request fetched. Extents of an object never overlap; one that is still in flight is waited
//! for by all who want it, and never asked for twice. What does not fit the budget beside what is in flight waits; only
//! a read that is larger than the whole budget goes beyond it, by one window of its own, and its extents are dropped as
//! soon as they were copied out.
//!
//! Memory is what the budget says, and for each thread that reads one window, an eighth of it: extents that are evicted
//! while somebody still copies from them.
//!
//! Checked: that a body is as long as asked, and that the object is the one that was listed, by size and entity tag.
//! Nothing is decoded here, and no thread of the runtime does more than wait for bytes.

mod extents;
mod fetch;
mod missing;
mod source;
#[cfg(test)]
mod testing;
#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use extents::{Extent, Extents};
use fetch::FetchError;
use missing::{cut, joined};

pub use fetch::Object;
pub use source::BucketSource;

/// Largest gap between two ranges that is fetched with them.
///
/// A request takes 10 to 50 ms before its first byte, in which a connection of 50 MB/s brings 0.5 to 2.5 MB; a gap of
/// this size costs 5 ms. So bridging is always the faster way, and a block is still not read for a hundredth of it.
const GAP_BYTES: u64 = 256 << 10;

/// Most bytes of one request: at 50 MB/s it takes 80 ms, so that the wait before the first byte weighs little.
const REQUEST_BYTES: u64 = 4 << 20;

/// Fewest, however small the budget is.
const LEAST_REQUEST_BYTES: u64 = 64 << 10;

/// How a run fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeOptions {
    /// Bytes of extents, those in flight included.
    pub memory_bytes: u64,
    /// Most bytes of one request.
    pub request_bytes: u64,
    /// Largest gap that is fetched with what lies around it.
    pub gap_bytes: u64,
    /// Requests at once.
    pub requests_in_flight: usize,
    /// How often a request is made whose body comes short, or fails for no reason that is the object's.
    pub attempts: u32,
}

impl RangeOptions {
    /// What suits a budget.
    pub fn within(memory_bytes: u64) -> Self {
        let request_bytes = (memory_bytes / 16).clamp(LEAST_REQUEST_BYTES, REQUEST_BYTES);
        Self {
            memory_bytes,
            request_bytes,
            gap_bytes: GAP_BYTES.min(request_bytes / 2),
            requests_in_flight: 16,
            attempts: 4,
        }
    }

    /// Bytes that a reader waits for together.
    fn window_bytes(self) -> u64 {
        (self.memory_bytes / 8).max(self.request_bytes)
    }
}

/// What was fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RangeCounts {
    /// Requests made, those made again included.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Requests made again.
    pub retries: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
}

/// The extents of all sources of a run, and the requests that fetch them.
#[derive(Clone)]
pub struct Ranges(Arc<Shared>);

struct Shared {
    handle: Handle,
    options: RangeOptions,
    permits: Semaphore,
    counters: Counters,
    extents: Mutex<Extents>,
    /// An extent has landed, or room was made.
    landed: Condvar,
    next_object: AtomicU64,
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranges").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Ranges {
    /// Nothing fetched yet. Requests run on `handle`, a runtime with timers whose threads nobody blocks; who reads is
    /// no thread of it.
    pub fn new(handle: Handle, options: RangeOptions) -> Self {
        Self(Arc::new(Shared {
            handle,
            options,
            permits: Semaphore::new(options.requests_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            counters: Counters::default(),
            extents: Mutex::new(Extents::default()),
            landed: Condvar::new(),
            next_object: AtomicU64::new(0),
        }))
    }

    /// How it fetches.
    pub fn options(&self) -> RangeOptions {
        self.0.options
    }

    /// What was fetched so far.
    pub fn counts(&self) -> RangeCounts {
        let Counters { requests, bytes, retries } = &self.0.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RangeCounts { requests: load(requests), bytes: load(bytes), retries: load(retries) }
    }

    /// Bytes held, and of those the bytes in flight.
    pub fn held_bytes(&self) -> (u64, u64) {
        let extents = self.lock();
        (extents.held_bytes(), extents.in_flight_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, Extents> {
        self.0.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number_object(&self) -> u64 {
        self.0.next_object.fetch_add(1, Ordering::Relaxed)
    }

    /// The bytes of each range, which lie within the object.
    fn read(&self, object: &Arc<Object>, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let window = self.0.options.window_bytes();
        let mut answers = Vec::with_capacity(ranges.len());
        let mut rest = ranges;
        while let Some(first) = rest.first() {
            if first.end - first.start > window {
                answers.push(self.read_large(object, first)?);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let mut bytes = 0;
            let fits = |range: &&Range<u64>| {
                bytes += range.end - range.start;
                bytes <= window
            };
            let (together, behind) = rest.split_at(rest.iter().take_while(fits).count());
            for (range, extents) in together.iter().zip(self.claim(object, together)) {
                answers.push(self.bytes(range, &extents)?);
            }
            rest = behind;
        }
        Ok(answers)
    }

    /// A range that is larger than a window, copied window by window.
    fn read_large(&self, object: &Arc<Object>, range: &Range<u64>) -> io::Result<Bytes> {
        let window = self.0.options.window_bytes();
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let mut whole = BytesMut::with_capacity(usize::try_from(range.end - range.start).map_err(too_large)?);
        let mut at = range.start;
        while at < range.end {
            let part = at..range.end.min(at.saturating_add(window));
            for extents in self.claim(object, std::slice::from_ref(&part)) {
                self.copy(&part, &extents, &mut whole)?;
            }
            at = part.end;
        }
        Ok(whole.freeze())
    }

    /// Begins to fetch what is missing of `ranges`; for each of them, the extents that it lies in.
    fn claim(&self, object: &Arc<Object>, ranges: &[Range<u64>]) -> Vec<Vec<Arc<Extent>>> {
        let wanted = joined(ranges.to_vec());
        let mut extents = self.lock();
        loop {
            let requests = self.requests(&extents, object, &wanted);
            let needed = requests.iter().map(|range| range.end - range.start).sum();
            // Room may be made of what is wanted itself: it is taken before.
            let mut there: Vec<_> =
                wanted.iter().flat_map(|range| extents.covering(object.id, range)).collect();
            if extents.make_room(needed, self.0.options.memory_bytes) {
                let landings = self.begin(&mut extents, object, requests, true);
                drop(extents);
                there.extend(landings.iter().map(|landing| Arc::clone(&landing.extent)));
                self.send(landings);
                return ranges.iter().map(|range| covering(&mut there, range)).collect();
            }
            drop(there);
            extents = self.0.landed.wait(extents).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`Ranges::read`], without waiting, and only as far as there is room that nobody waits for.
    fn prefetch(&self, object: &Arc<Object>, ranges: &[Range<u64>]) {
        let wanted = joined(ranges.to_vec());
        let mut extents = self.lock();
        let mut landings = Vec::new();
        for request in self.requests(&extents, object, &wanted) {
            if !extents.make_room_ahead(request.end - request.start, self.0.options.memory_bytes) {
                break;
            }
            landings.extend(self.begin(&mut extents, object, vec![request], false));
        }
        drop(extents);
        self.send(landings);
    }

    /// The requests that bring what is missing of `wanted`.
    fn requests(&self, extents: &Extents, object: &Object, wanted: &[Range<u64>]) -> Vec<Range<u64>> {
        let RangeOptions { gap_bytes, request_bytes, .. } = self.0.options;
        cut(extents.missing(object.id, wanted, gap_bytes), request_bytes)
    }

    /// Enters extents for ranges of which nothing is there yet, and whether somebody waits for them.
    fn begin(
        &self,
        extents: &mut Extents,
        object: &Arc<Object>,
        requests: Vec<Range<u64>>,
        is_read: bool,
    ) -> Vec<Landing> {
        let mut enter = |range| {
            let extent = Arc::new(Extent::new(range));
            extents.begin(object.id, Arc::clone(&extent), is_read);
            Landing { ranges: self.clone(), object: Arc::clone(object), extent }
        };
        requests.into_iter().map(&mut enter).collect()
    }

    /// Sends their requests. A runtime that has ended drops them at once, so nothing may be locked here.
    fn send(&self, landings: Vec<Landing>) {
        for landing in landings {
            self.0.handle.spawn(landing.fetch());
        }
    }

    /// The bytes of a range that lies in `extents`: a slice where it is one of them.
    fn bytes(&self, range: &Range<u64>, extents: &[Arc<Extent>]) -> io::Result<Bytes> {
        if let [extent] = extents {
            return Ok(extent.slice(range, &self.wait(extent)?));
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(range.end - range.start).unwrap_or_default());
        self.copy(range, extents, &mut whole)?;
        Ok(whole.freeze())
    }

    fn copy(&self, range: &Range<u64>, extents: &[Arc<Extent>], into: &mut BytesMut) -> io::Result<()> {
        for extent in extents {
            into.extend_from_slice(&extent.slice(range, &self.wait(extent)?));
        }
        Ok(())
    }

    fn wait(&self, extent: &Extent) -> Result<Bytes, FetchError> {
        if let Some(landed) = extent.landed() {
            return landed;
        }
        let mut extents = self.lock();
        loop {
            if let Some(landed) = extent.landed() {
                return landed;
            }
            extents = self.0.landed.wait(extents).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops what is held of an object.
    fn forget(&self, object: &Object) {
        self.lock().forget(object.id);
        self.0.landed.notify_all();
    }
}

/// Those of `extents` that a range lies in, in order.
fn covering(extents: &mut Vec<Arc<Extent>>, range: &Range<u64>) -> Vec<Arc<Extent>> {
    if !extents.is_sorted_by_key(|extent| extent.range().start) {
        extents.sort_unstable_by_key(|extent| extent.range().start);
    }
    // One extent may cover several ranges, and was taken for each.
    extents.dedup_by_key(|extent| extent.range().start);
    let overlaps = |extent: &&Arc<Extent>| {
        let at = extent.range();
        at.start < range.end && range.start < at.end
    };
    extents.iter().filter(overlaps).cloned().collect()
}

/// An extent on its way. It lands in any case, also when the runtime ends before.
struct Landing {
    ranges: Ranges,
    object: Arc<Object>,
    extent: Arc<Extent>,
}

impl Landing {
    async fn fetch(self) {
        let shared = &self.ranges.0;
        // Nobody closes them.
        let _permit = shared.permits.acquire().await;
        let fetched = self.object.fetch(self.extent.range(), shared.options.attempts, &shared.counters).await;
        self.extent.land(fetched);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.extent.landed().is_none() {
            self.extent.land(Err(self.object.given_up(self.extent.range())));
        }
        self.ranges.lock().end(self.object.id, &self.extent, self.ranges.0.options.memory_bytes);
        self.ranges.0.landed.notify_all();
    }
}
