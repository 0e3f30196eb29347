//! Sums and differences.

use std::iter::zip;

use super::super::CounterResetHint;
use super::super::bounds::exponential_bound;
use super::ArithmeticError;
use super::custom::{Compensated, intersection};
use super::float_histogram::{Draft, FloatHistogram};
use super::sides::{SpanWriter, Stretch, reduced, stretches};
use super::zero::Zero;

/// What had to give way so that two histograms could be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// One hint says reset, the other not: the result says unknown.
    pub hints_collide: bool,
    /// Custom bounds differed: the result has those that both had.
    pub bounds_differ: bool,
}

impl FloatHistogram {
    /// Adds `other`. After an error nothing has changed.
    pub fn add(&mut self, other: &Self) -> Result<Reconciled, ArithmeticError> {
        self.combine(other, 1.0)
    }

    /// Takes `other` away. After an error nothing has changed.
    ///
    /// The hint becomes what it becomes in a sum, and buckets that `other` has alone become negative.
    pub fn sub(&mut self, other: &Self) -> Result<Reconciled, ArithmeticError> {
        self.combine(other, -1.0)
    }

    /// Reduces exponential buckets to the coarser `schema`. After an error nothing has changed.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), ArithmeticError> {
        let from = self.layout().schema;
        if self.is_custom() || !(-9..from).contains(&schema) {
            return Err(ArithmeticError::Resolution { from, to: schema });
        }
        self.reduce_to(schema);
        Ok(())
    }

    /// Adds `other` times `sign`, which is 1 or -1.
    fn combine(&mut self, other: &Self, sign: f64) -> Result<Reconciled, ArithmeticError> {
        if self.is_custom() != other.is_custom() {
            return Err(ArithmeticError::MixedBuckets);
        }
        let hints_collide = self.join_hint(other.hint);
        self.count += other.count * sign;
        self.sum += other.sum * sign;
        let mut bounds_differ = false;
        if self.same_buckets(other) {
            self.zero_count += other.zero_count * sign;
            self.combine_bucket_by_bucket(other, sign);
        } else if self.layout().custom_bounds == other.layout().custom_bounds {
            self.combine_with_others(other, sign);
        } else {
            bounds_differ = true;
            self.combine_within_shared_bounds(other, sign);
        }
        Ok(Reconciled { hints_collide, bounds_differ })
    }

    /// Makes the hint that of the sum; true when it is unknown because the two contradict each other.
    fn join_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        let hint = self.hint;
        self.hint = match (hint, other) {
            (Gauge, _) | (_, Gauge) => Gauge,
            (Reset, Reset) => Reset,
            (NotReset, NotReset) => NotReset,
            _ => Unknown,
        };
        matches!((hint, other), (Reset, NotReset) | (NotReset, Reset))
    }

    /// Where the buckets are the same.
    pub(super) fn combine_bucket_by_bucket(&mut self, other: &Self, sign: f64) {
        for range in self.ranges(self.shape().swallowed) {
            let theirs = other.buckets().get(range.clone()).unwrap_or_default();
            let ours = self.buckets_mut().get_mut(range).unwrap_or_default();
            for (ours, theirs) in zip(ours, theirs) {
                *ours += theirs * sign;
            }
        }
    }

    /// Where schemas, zero buckets or spans differ, but not custom bounds.
    pub(super) fn combine_with_others(&mut self, other: &Self, sign: f64) {
        let (our_zero, their_zero) = self.reconciled_zeros(other);
        self.zero_count = our_zero.count + their_zero.count * sign;
        self.widen_to(our_zero);
        if self.layout().schema > other.layout().schema {
            self.reduce_to(other.layout().schema);
        }
        if other.layout().schema > self.layout().schema {
            let mut coarser = other.clone();
            coarser.reduce_to(self.layout().schema);
            self.combine_spans(&coarser, sign);
        } else {
            self.combine_spans(other, sign);
        }
    }

    /// Where spans differ. What `other` counts within the zero bucket of this histogram is left out.
    fn combine_spans(&mut self, other: &Self, sign: f64) {
        let mut draft = self.begin_draft();
        let Draft { layout, buckets } = &mut draft;
        let (schema, threshold) = (layout.schema, layout.zero_threshold);
        let written = [&mut layout.positive_spans, &mut layout.negative_spans];
        for ((ours, theirs), written) in zip(zip(self.sides(), other.sides()), written) {
            let mut written = SpanWriter::new(written);
            let theirs = theirs.but_swallowed(schema, threshold);
            for Stretch { first, ours, theirs } in stretches(ours, theirs) {
                written.push(first, ours.len().max(theirs.len()));
                if ours.is_empty() {
                    buckets.extend(theirs.iter().map(|theirs| theirs * sign));
                } else if theirs.is_empty() {
                    buckets.extend_from_slice(ours);
                } else {
                    buckets.extend(zip(ours, theirs).map(|(ours, theirs)| ours + theirs * sign));
                }
            }
        }
        self.adopt(draft, Some(other.shape()));
    }

    /// Makes the zero bucket reach as far as `zero` does: the buckets within it go, and empty ones with them.
    fn widen_to(&mut self, zero: Zero) {
        if zero.swallowed_below == f64::NEG_INFINITY {
            return;
        }
        let mut draft = self.begin_draft();
        let schema = draft.layout.schema;
        draft.layout.zero_threshold = zero.threshold;
        draft.fill(self.sides().map(|side| {
            side.buckets().filter(|(index, count)| {
                *count != 0.0 && exponential_bound(index.wrapping_sub(1), schema) >= zero.threshold
            })
        }));
        self.adopt(draft, None);
    }

    /// Reduces exponential buckets to a coarser schema.
    pub(super) fn reduce_to(&mut self, schema: i32) {
        let mut draft = self.begin_draft();
        let shift = draft.layout.schema.abs_diff(schema);
        draft.layout.schema = schema;
        draft.fill(self.sides().map(|side| reduced(side.buckets(), shift)));
        self.adopt(draft, None);
    }

    /// Where custom bounds differ.
    fn combine_within_shared_bounds(&mut self, other: &Self, sign: f64) {
        let shared = intersection(&self.layout().custom_bounds, &other.layout().custom_bounds);
        let mut sums = vec![Compensated::default(); shared.len() + 1];
        for (histogram, sign) in [(&*self, 1.0), (other, sign)] {
            for (place, count) in histogram.mapped_to(&shared) {
                if let Some(sum) = sums.get_mut(place) {
                    sum.add(count * sign);
                }
            }
        }
        let mut draft = self.begin_draft();
        let counted = zip(0.., &sums).filter(|(_, sum)| !sum.is_empty());
        draft.fill([counted.map(|(index, sum)| (index, sum.sum))]);
        draft.layout.custom_bounds = shared;
        self.adopt(draft, Some(other.shape()));
    }
}
