//! Coverage: where finer blocks hold what aggregates were made of.
//!
//! ```text
//! level-1 sources    a         b         c         d
//! raw                     ├─── b ───┼─── c ───┤
//! 5m             ├── a ───┼─── b ───┤                   superseded where raw b is
//! 1h             ├── a ───┼─── b ───┼─── c ───┼── d ─┤  superseded where one of these two is
//! raw                  ├──── e ────┤                    descends from none of them: covers nothing
//! ```
//! A finer block covers the times that it states when it has a level-1 source in common with the aggregates, the same
//! external labels, and is the same part of a block that was split by series. There nothing is looked for in aggregates: a
//! gap in raw samples is one, and what is deleted stays so. A window that is covered in part is not superseded. Where finer
//! blocks together have all of its sources, all of a block is covered: what it states may begin before their first sample.
//!
//! Whatever else a series has of finer samples is decided window by window, see [`crate::merge`].

use std::collections::{BTreeMap, BTreeSet};

use tsdb_reader::Ulid;

use crate::blocks::OpenBlock;
use crate::discover::group;
use crate::time::TimeBounds;

/// Times, as intervals that ascend and have something between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    intervals: Vec<TimeBounds>,
}

impl FromIterator<TimeBounds> for Coverage {
    fn from_iter<T: IntoIterator<Item = TimeBounds>>(bounds: T) -> Self {
        let mut all: Vec<_> = bounds.into_iter().filter(|at| at.min_ms <= at.max_ms).collect();
        all.sort_by_key(|at| at.min_ms);
        let mut intervals: Vec<TimeBounds> = Vec::new();
        for next in all {
            match intervals.last_mut() {
                Some(last) if next.min_ms <= last.max_ms.saturating_add(1) => {
                    last.max_ms = last.max_ms.max(next.max_ms);
                }
                _ => intervals.push(next),
            }
        }
        Self { intervals }
    }
}

impl Coverage {
    /// The intervals.
    pub fn intervals(&self) -> &[TimeBounds] {
        &self.intervals
    }

    /// True when any of `bounds` is covered.
    pub fn overlaps(&self, bounds: TimeBounds) -> bool {
        self.reaching(bounds.min_ms).is_some_and(|at| at.min_ms <= bounds.max_ms)
    }

    /// True when all of `bounds` is covered.
    pub fn contains(&self, bounds: TimeBounds) -> bool {
        self.reaching(bounds.min_ms)
            .is_some_and(|at| at.min_ms <= bounds.min_ms && bounds.max_ms <= at.max_ms)
    }

    /// The first interval that ends at or after `time_ms`.
    fn reaching(&self, time_ms: i64) -> Option<&TimeBounds> {
        self.intervals.get(self.intervals.partition_point(|at| at.max_ms < time_ms))
    }
}

/// Tells each downsampled block which times finer ones hold that descend from what it was made of.
pub fn enter_finer(blocks: &mut [OpenBlock]) {
    if blocks.iter().all(|block| block.resolution_ms() == 0) {
        return;
    }
    let mut holders: BTreeMap<_, BTreeMap<Ulid, Vec<usize>>> = BTreeMap::new();
    for (at, block) in blocks.iter().enumerate() {
        let of_kin = holders.entry(kin(block)).or_default();
        for &source in &block.block.meta().compaction.sources {
            of_kin.entry(source).or_default().push(at);
        }
    }
    let finer_than = |block: &OpenBlock| -> Coverage {
        let of_kin = holders.get(&kin(block));
        let sources = block.block.meta().compaction.sources.iter();
        let sharing = sources.filter_map(|source| of_kin?.get(source)).flatten().copied();
        let sharing: BTreeSet<usize> = sharing.collect();
        let sharing = sharing.into_iter().filter_map(|at| blocks.get(at));
        let finer: Vec<&OpenBlock> =
            sharing.filter(|finer| finer.resolution_ms() < block.resolution_ms()).collect();
        let held = finer.iter().flat_map(|finer| &finer.block.meta().compaction.sources);
        let held: BTreeSet<&Ulid> = held.collect();
        let mut sources = block.block.meta().compaction.sources.iter();
        match !finer.is_empty() && sources.all(|source| held.contains(source)) {
            true => held_by(block).collect(),
            false => finer.into_iter().flat_map(held_by).collect(),
        }
    };
    let found: Vec<Coverage> = blocks.iter().map(finer_than).collect();
    for (block, finer) in blocks.iter_mut().zip(found) {
        block.finer = finer;
    }
}

/// What blocks have in common that hold the same series: external labels, and which part of a block that was split.
fn kin(block: &OpenBlock) -> (BTreeMap<String, String>, String) {
    let (labels, _, partition) = group(block.block.meta());
    (labels, partition)
}

/// The times a block states, within its partitions: some state absurd ones.
fn held_by(block: &OpenBlock) -> impl Iterator<Item = TimeBounds> {
    let stated = block.stated();
    block.planned.iter().filter_map(move |bounds| bounds.intersection(stated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(min_ms: i64, max_ms: i64) -> TimeBounds {
        TimeBounds { min_ms, max_ms }
    }

    #[test]
    fn intervals_that_touch_are_one() {
        let coverage: Coverage =
            [bounds(20, 29), bounds(0, 9), bounds(10, 12), bounds(5, 4), bounds(i64::MAX, i64::MAX)]
                .into_iter()
                .collect();
        assert_eq!(coverage.intervals(), [bounds(0, 12), bounds(20, 29), bounds(i64::MAX, i64::MAX)]);
        for (at, overlaps, contains) in [
            (bounds(0, 12), true, true),
            (bounds(9, 13), true, false),
            (bounds(13, 19), false, false),
            (bounds(13, 20), true, false),
            (bounds(-5, 40), true, false),
            (bounds(30, 40), false, false),
        ] {
            assert_eq!((coverage.overlaps(at), coverage.contains(at)), (overlaps, contains), "{at:?}");
        }
        assert!(!Coverage::default().overlaps(TimeBounds::ALL));
    }
}
