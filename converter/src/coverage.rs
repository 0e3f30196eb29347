//! Coverage: which times blocks hold, so that aggregates are used only where nothing finer is.
//!
//! ```text
//! raw               ├──────────────┤ ├───────────┤
//! 5m    ├──────────────────────┤                        superseded where a raw block of the same series covers it
//! 1h    ├──────────────────────────────────────┤        superseded where one of these two does
//! ```
//! It is decided by what `meta.json` states, not by samples: a gap in raw samples is one, and what is deleted stays so.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blocks::OpenBlock;
use crate::time::TimeBounds;

/// Narrowest windows that aggregates are of.
const FINEST_MS: i64 = 300_000;

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

/// Tells each downsampled block which times finer ones hold that may have the same series: those whose external labels
/// come out the same.
pub fn enter_finer(blocks: &mut [OpenBlock]) {
    let mut finer: BTreeMap<(String, i64), Vec<TimeBounds>> = BTreeMap::new();
    if blocks.iter().all(|block| block.resolution_ms() == 0) {
        return;
    }
    for block in blocks.iter() {
        let of_kind = finer.entry((block.relabel.common_labels().to_string(), block.resolution_ms()));
        of_kind.or_default().extend(held_by(block));
    }
    let mut known: BTreeMap<(String, i64), Arc<Coverage>> = BTreeMap::new();
    for block in blocks.iter_mut().filter(|block| block.resolution_ms() > 0) {
        let kind = (block.relabel.common_labels().to_string(), block.resolution_ms());
        let coverage = known.entry(kind).or_insert_with_key(|(labels, resolution_ms)| {
            let range = (labels.clone(), i64::MIN)..(labels.clone(), *resolution_ms);
            Arc::new(finer.range(range).flat_map(|(_, bounds)| bounds).copied().collect())
        });
        block.finer = Arc::clone(coverage);
    }
}

/// The times a block states, within its partitions: some state absurd ones. Whole windows of five minutes: a block may
/// state that it ends with its last sample, and what it has a part of is not looked for elsewhere.
fn held_by(block: &OpenBlock) -> impl Iterator<Item = TimeBounds> {
    let TimeBounds { min_ms, max_ms } = block.stated();
    let last = max_ms.rem_euclid(FINEST_MS);
    let stated = TimeBounds {
        min_ms: min_ms.saturating_sub(min_ms.rem_euclid(FINEST_MS)),
        max_ms: max_ms.saturating_add(FINEST_MS - 1 - last),
    };
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
