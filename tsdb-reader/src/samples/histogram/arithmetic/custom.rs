//! Custom buckets of different bounds: both histograms are brought to the bounds that they share.

use super::float_histogram::FloatHistogram;

/// The bounds that both have.
pub(super) fn intersection(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    let mut theirs = theirs.iter().peekable();
    let is_shared = |bound: &f64| {
        while theirs.next_if(|other| *other < bound).is_some() {}
        theirs.next_if(|other| *other == bound).is_some()
    };
    ours.iter().copied().filter(is_shared).collect()
}

impl FloatHistogram {
    /// The custom buckets with their places among the `shared` bounds, ascending.
    pub(super) fn mapped_to(&self, shared: &[f64]) -> impl Iterator<Item = (usize, f64)> {
        let [side, _] = self.sides();
        let mut place = 0;
        side.buckets().map(move |(index, count)| {
            let bound = usize::try_from(index).ok().and_then(|index| self.layout().custom_bounds.get(index));
            // Without a bound it is the bucket up to +Inf, the last one.
            let Some(bound) = bound else { return (shared.len(), count) };
            while shared.get(place).is_some_and(|shared| shared < bound) {
                place += 1;
            }
            (place, count)
        })
    }
}

/// A sum, and what it lost by rounding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Compensated {
    pub(super) sum: f64,
    lost: f64,
}

impl Compensated {
    pub(super) fn add(&mut self, count: f64) {
        let sum = self.sum + count;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= count.abs() {
            self.lost += (self.sum - sum) + count;
        } else {
            self.lost += (count - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// True when nothing was counted, not even what rounding lost.
    pub(super) fn is_empty(self) -> bool {
        self.sum == 0.0 && self.lost == 0.0
    }
}
