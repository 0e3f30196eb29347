//! Replicas: of the same series, scraped several times, one at a time is followed.
//!
//! ```text
//! replica 0   blocks, merged ─► · · · · ·       · ·      each as any series: overlaps, tombstones, duplicates
//! replica 1   blocks, merged ─►  · · · · · · · · · ·
//!             ├── an hour ──────┼── an hour ─────────    followed anew from each hour (UTC) on, see `penalty`
//! followed                      · · · · ·  · · · · ·     the others are counted as removed
//! ```
//! Which samples are followed depends on all that were followed before, without an end: who is on a replica stays on it
//! until it has a gap. A query in Thanos begins at its start. Here every hour is one: all partitions consist of whole
//! hours, so that the samples are the same by whatever time output is cut, and a unit reads nothing but its partition.
//! An hour is what Thanos answers to a query of that hour; where it begins, a sample more than usual may be kept. With
//! `--min-time` the first hour begins there.
//!
//! Replicas are folded in the order of their replica labels, that of one without any first; Thanos' querier, which is not
//! told the labels, takes chunks by their times instead. Floats and histograms are followed alike. A series may have
//! replicas in one block.
//!
//! # Counters
//!
//! A step from a replica to another is not that of their values: one of them may be late, or have missed the end of a
//! counter that was reset. So the totals of the replicas are compared, as Thanos does for `increase` and `rate`, from
//! the hour of the earlier sample on. Such steps are [`Switch`]es; all others are those of a single replica. Rows and the
//! other aggregates have the values as they were scraped. The steps of native histograms are not corrected, nor by Thanos.
//!
//! Thanos leaves stale markers out before it chooses for a counter; here the samples of rows and steps are the same.

mod penalty;
mod switches;

use super::Merger;
use super::choice::Candidate;
use super::parts::Part;
use penalty::{Point, follow};
use switches::{Counter, Totals};

pub use switches::{Switch, add_switches};

/// Replicas are followed anew from each hour on.
const HOUR_MS: i64 = 3_600_000;

/// What was chosen between the replicas of a series.
#[derive(Debug, Default)]
pub(super) struct ReplicaChoice {
    /// Steps of a counter from one replica to another, in order of time.
    pub(super) switches: Vec<Switch>,
    /// Samples that are not followed.
    pub(super) removed: u64,
    counter: Counter,
}

impl ReplicaChoice {
    /// Forgets all of a series.
    pub(super) fn clear(&mut self) {
        self.switches.clear();
        self.removed = 0;
        self.counter.clear();
    }
}

/// True when `parts` are not all of one replica. What stands for histograms is of none.
pub(super) fn are_replicas(parts: &[Part<'_>]) -> bool {
    let mut replicas = parts.iter().filter(|part| !part.is_classic).map(|part| part.replica);
    let first = replicas.next();
    replicas.any(|replica| Some(replica) != first)
}

/// The time from which a unit that begins at `start_ms` reads for its lookback. Replicas are followed from the hour on.
pub fn context_start(start_ms: i64, lookback_ms: i64, has_replicas: bool) -> i64 {
    let context_ms = start_ms.saturating_sub(lookback_ms);
    if has_replicas { hour(context_ms).saturating_mul(HOUR_MS) } else { context_ms }
}

fn hour(time_ms: i64) -> i64 {
    time_ms.div_euclid(HOUR_MS)
}

impl Merger<'_> {
    /// Keeps of `candidates` one for each timestamp of the replicas that are followed, and what is derived.
    pub(super) fn choose_replicas(&mut self, candidates: &mut Vec<Candidate>) {
        let start_ms = self.wanted.bounds.min_ms;
        // A unit that begins within an hour begins with a query of its own.
        let query = |at: &Candidate| (hour(at.time_ms), at.time_ms >= start_ms);
        candidates.sort_by_key(|at| (at.is_classic, query(at), at.replica, at.preference()));
        let stored = candidates.partition_point(|at| !at.is_classic);
        let derived = candidates.split_off(stored);
        let mut kept: Option<Candidate> = None;
        candidates.retain(|at| {
            let same = kept.filter(|kept| (kept.replica, kept.time_ms) == (at.replica, at.time_ms));
            match same {
                Some(same) => self.count_duplicate(&same, at),
                None => kept = Some(*at),
            }
            same.is_none()
        });
        let mut chosen = derived;
        for of_query in candidates.chunk_by(|a, b| query(a) == query(b)) {
            self.follow(of_query, &mut chosen);
        }
        *candidates = chosen;
    }

    /// Adds to `chosen` the samples that are followed of one hour.
    fn follow(&mut self, candidates: &[Candidate], chosen: &mut Vec<Candidate>) {
        let choice = &mut self.replicas;
        let is_counter = self.take.has_context();
        let totals = if is_counter { choice.counter.totals(candidates) } else { Totals::none(candidates) };
        let replicas: Vec<&[Point]> = totals.replicas(candidates);
        let followed = follow(&replicas);
        let before = chosen.len();
        chosen.extend(followed.points.iter().filter_map(|point| candidates.get(point.at)));
        if is_counter {
            choice.counter.add_switches(candidates, &totals, &followed, &mut choice.switches);
        }
        // All of an hour are before the unit, or none.
        if candidates.first().is_some_and(|first| first.time_ms >= self.wanted.bounds.min_ms) {
            choice.removed += (candidates.len() - (chosen.len() - before)) as u64;
        }
    }
}

#[cfg(test)]
mod tests;
