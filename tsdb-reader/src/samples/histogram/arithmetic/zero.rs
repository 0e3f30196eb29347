//! Zero buckets: one wide enough for both histograms, whose bound lies in no populated bucket of either.

use super::super::bounds::exponential_bound;
use super::float_histogram::FloatHistogram;

/// A zero bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zero {
    pub(super) threshold: f64,
    pub(super) count: f64,
    /// Buckets that begin below this are counted in it. Before it is widened there are none, even where some overlap.
    pub(super) swallowed_below: f64,
}

impl FloatHistogram {
    /// The zero bucket as it is.
    pub(super) fn zero(&self) -> Zero {
        Zero {
            threshold: self.layout().zero_threshold,
            count: self.zero_count,
            swallowed_below: f64::NEG_INFINITY,
        }
    }

    /// What becomes of the zero bucket `zero` of this histogram when it is to reach `threshold`, which lies above its
    /// own: it takes in the buckets that begin below, and reaches up to the end of a populated one.
    pub(super) fn widened(&self, zero: Zero, mut threshold: f64) -> Zero {
        let schema = self.layout().schema;
        let mut count = zero.count;
        // Both sides have the same bounds: from the end of a bucket of one it reaches into none of the other.
        for side in self.sides() {
            for (index, bucket) in side.buckets() {
                let lower = exponential_bound(index.wrapping_sub(1), schema);
                if lower < zero.swallowed_below {
                    continue;
                }
                if lower >= threshold {
                    break;
                }
                count += bucket;
                let upper = exponential_bound(index, schema);
                if upper > threshold {
                    if bucket != 0.0 {
                        threshold = upper;
                    }
                    break;
                }
            }
        }
        Zero { threshold, count, swallowed_below: threshold }
    }

    /// The zero buckets of this histogram and of `other` once they reach equally far.
    pub(super) fn reconciled_zeros(&self, other: &Self) -> (Zero, Zero) {
        let (mut ours, mut theirs) = (self.zero(), other.zero());
        // Each turn raises a threshold to a bound of some bucket, so they meet.
        while ours.threshold != theirs.threshold {
            if ours.threshold > theirs.threshold {
                theirs = other.widened(other.zero(), ours.threshold);
            }
            if theirs.threshold > ours.threshold {
                ours = self.widened(ours, theirs.threshold);
            }
        }
        (ours, theirs)
    }
}
