//! Extents: what was fetched of objects, and what is on its way.
//!
//! Evicted first is what was read longest ago, then what was fetched ahead and nobody has read yet, the oldest first.
//! What is in flight is never evicted.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::fetch::FetchError;
use super::missing::missing;

/// Bytes of an object, there or on their way.
#[derive(Debug)]
pub(super) struct Extent {
    range: Range<u64>,
    landed: OnceLock<Result<Bytes, FetchError>>,
}

impl Extent {
    pub(super) fn new(range: Range<u64>) -> Self {
        Self { range, landed: OnceLock::new() }
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// What came of the request; none while it is in flight.
    pub(super) fn landed(&self) -> Option<Result<Bytes, FetchError>> {
        self.landed.get().cloned()
    }

    /// Ends the request; what it ended with first counts.
    pub(super) fn land(&self, fetched: Result<Bytes, FetchError>) {
        let _ended_before = self.landed.set(fetched);
    }

    /// The part of `range` that lies in this extent, whose bytes are `bytes`.
    pub(super) fn slice(&self, range: &Range<u64>, bytes: &Bytes) -> Bytes {
        let place = |at: u64| {
            let at = at.clamp(self.range.start, self.range.end) - self.range.start;
            usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len())
        };
        bytes.slice(place(range.start)..place(range.end))
    }
}

/// Its turn to go: what was read before what was not, and then the oldest.
type Turn = (bool, u64);

#[derive(Debug)]
struct Entry {
    extent: Arc<Extent>,
    /// Somebody has read it, or waits for it.
    is_read: bool,
    /// None while it is in flight.
    turn: Option<Turn>,
}

/// All extents of a run.
#[derive(Debug, Default)]
pub(super) struct Extents {
    /// By object, then where they begin; those of an object do not overlap.
    objects: HashMap<u64, BTreeMap<u64, Entry>>,
    turns: BTreeMap<Turn, (u64, u64)>,
    clock: u64,
    held_bytes: u64,
    in_flight_bytes: u64,
    /// Of those that landed and nobody has read yet.
    ahead_bytes: u64,
}

impl Extents {
    /// Bytes of all extents, those in flight included.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub(super) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// What requests have to bring so that `wanted`, which ascends, is there or on its way.
    pub(super) fn missing(&self, object: u64, wanted: &[Range<u64>], gap_bytes: u64) -> Vec<Range<u64>> {
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Vec::new() };
        let of_object = self.objects.get(&object);
        let there = of_object.into_iter().flat_map(|entries| {
            let before = entries.range(..=first.start).next_back().map_or(first.start, |(start, _)| *start);
            entries.range(before..last.end).map(|(_, entry)| entry.extent.range())
        });
        missing(wanted, there, gap_bytes)
    }

    /// Makes room for `needed` bytes more; false when what is in flight leaves too little. When nothing is in flight
    /// there is room for more than there is.
    pub(super) fn make_room(&mut self, needed: u64, most_bytes: u64) -> bool {
        if self.in_flight_bytes > 0 && self.in_flight_bytes.saturating_add(needed) > most_bytes {
            return needed == 0;
        }
        self.evict_down_to(most_bytes.saturating_sub(needed));
        true
    }

    fn evict_down_to(&mut self, most_bytes: u64) {
        while self.held_bytes > most_bytes
            && let Some((&turn, _)) = self.turns.first_key_value()
        {
            self.evict(turn);
        }
    }

    /// The same for bytes that nobody waits for: only what was read goes for them, and they and their like take half
    /// of all there is at most.
    pub(super) fn make_room_ahead(&mut self, needed: u64, most_bytes: u64) -> bool {
        if self.in_flight_bytes.saturating_add(self.ahead_bytes).saturating_add(needed) > most_bytes / 2 {
            return false;
        }
        while self.held_bytes.saturating_add(needed) > most_bytes {
            match self.turns.first_key_value() {
                Some((&turn @ (false, _), _)) => self.evict(turn),
                _ => return false,
            }
        }
        true
    }

    fn evict(&mut self, turn: Turn) {
        if let Some((object, start)) = self.turns.remove(&turn)
            && let Some(entry) = self.remove(object, start)
        {
            self.count_out(turn, entry.extent.len());
        }
    }

    fn remove(&mut self, object: u64, start: u64) -> Option<Entry> {
        let entries = self.objects.get_mut(&object)?;
        let removed = entries.remove(&start);
        if entries.is_empty() {
            self.objects.remove(&object);
        }
        removed
    }

    fn count_out(&mut self, (is_ahead, _): Turn, len: u64) {
        self.held_bytes -= len;
        if is_ahead {
            self.ahead_bytes -= len;
        }
    }

    /// Enters an extent that is on its way, and whether somebody waits for it.
    pub(super) fn begin(&mut self, object: u64, extent: Arc<Extent>, is_read: bool) {
        self.held_bytes += extent.len();
        self.in_flight_bytes += extent.len();
        let start = extent.range.start;
        self.objects.entry(object).or_default().insert(start, Entry { extent, is_read, turn: None });
    }

    /// An extent has landed. One that failed is dropped, so that it is asked for again; so is one of an object that was
    /// forgotten meanwhile.
    pub(super) fn end(&mut self, object: u64, extent: &Arc<Extent>, most_bytes: u64) {
        self.in_flight_bytes -= extent.len();
        self.clock += 1;
        let (start, clock) = (extent.range.start, self.clock);
        let entries = self.objects.get_mut(&object);
        let entry = entries.and_then(|entries| entries.get_mut(&start));
        match (entry.filter(|entry| Arc::ptr_eq(&entry.extent, extent)), extent.landed.get()) {
            (Some(entry), Some(Ok(_))) => {
                let turn = (!entry.is_read, clock);
                entry.turn = Some(turn);
                self.turns.insert(turn, (object, start));
                self.ahead_bytes += if entry.is_read { 0 } else { extent.len() };
            }
            (entry, _) => {
                let is_entered = entry.is_some();
                self.held_bytes -= extent.len();
                if is_entered {
                    self.remove(object, start);
                }
            }
        }
        self.evict_down_to(most_bytes);
    }

    /// The extents that a range lies in, in order; they count as read.
    pub(super) fn covering(&mut self, object: u64, range: &Range<u64>) -> Vec<Arc<Extent>> {
        let mut covering = Vec::with_capacity(1);
        if range.is_empty() {
            return covering;
        }
        let Some(entries) = self.objects.get_mut(&object) else { return covering };
        let first = entries.range(..=range.start).next_back().map_or(range.start, |(start, _)| *start);
        for (&start, entry) in entries.range_mut(first..range.end) {
            if entry.extent.range.end <= range.start {
                continue;
            }
            entry.is_read = true;
            if let Some(before) = entry.turn {
                self.turns.remove(&before);
                self.ahead_bytes -= if before.0 { entry.extent.len() } else { 0 };
                self.clock += 1;
                let turn = (false, self.clock);
                entry.turn = Some(turn);
                self.turns.insert(turn, (object, start));
            }
            covering.push(Arc::clone(&entry.extent));
        }
        covering
    }

    /// Drops what is held of an object.
    pub(super) fn forget(&mut self, object: u64) {
        for entry in self.objects.remove(&object).into_iter().flat_map(BTreeMap::into_values) {
            if let Some(turn) = entry.turn {
                self.turns.remove(&turn);
                self.count_out(turn, entry.extent.len());
            }
        }
    }
}
