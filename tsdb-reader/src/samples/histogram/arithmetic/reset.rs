//! Resets: whether a counter began anew between two histograms.

use std::iter::zip;

use super::super::CounterResetHint;
use super::custom::intersection;
use super::float_histogram::FloatHistogram;
use super::sides::{Stretch, stretches};

impl FloatHistogram {
    /// True when the counter was reset between `previous` and this histogram.
    ///
    /// A hint of this histogram that says so, or says not, is believed. Otherwise it was reset when anything counted
    /// less: the count, the zero bucket or a bucket, where a bucket that is not there counts nothing. Coarser schemas,
    /// wider zero buckets and other custom bounds alone are no reset; finer, narrower, and a change between exponential
    /// and custom buckets are one.
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.same_buckets(previous) {
            return self.zero_count < previous.zero_count || self.fell_bucket_by_bucket(previous);
        }
        if self.is_custom()
            && previous.is_custom()
            && self.layout().custom_bounds != previous.layout().custom_bounds
        {
            return self.fell_within_shared_bounds(previous);
        }
        self.fell_when_reduced(previous)
    }

    /// Where the buckets are the same.
    pub(super) fn fell_bucket_by_bucket(&self, previous: &Self) -> bool {
        let has_width = self.layout().zero_threshold != 0.0;
        let ranges = self.ranges(if has_width { self.shape().swallowed } else { [0; 2] });
        ranges.into_iter().any(|range| {
            let now = self.buckets().get(range.clone()).unwrap_or_default();
            let before = previous.buckets().get(range).unwrap_or_default();
            now.iter().zip(before).fold(false, |fell, (now, before)| fell | (now < before))
        })
    }

    fn fell_within_shared_bounds(&self, previous: &Self) -> bool {
        let shared = intersection(&self.layout().custom_bounds, &previous.layout().custom_bounds);
        let counts = |histogram: &Self| {
            let mut counts = vec![0.0; shared.len() + 1];
            for (place, count) in histogram.mapped_to(&shared) {
                if let Some(sum) = counts.get_mut(place) {
                    *sum += count;
                }
            }
            counts
        };
        counts(self).iter().zip(counts(previous)).any(|(now, before)| *now < before)
    }

    pub(super) fn fell_when_reduced(&self, previous: &Self) -> bool {
        let (schema, threshold) = (self.layout().schema, self.layout().zero_threshold);
        if self.is_custom() != previous.is_custom()
            || schema > previous.layout().schema
            || threshold < previous.layout().zero_threshold
        {
            return true;
        }
        let mut zero = previous.zero();
        if threshold != zero.threshold {
            zero = previous.widened(zero, threshold);
        }
        if zero.threshold != threshold || self.zero_count < zero.count {
            return true;
        }
        if previous.layout().schema > schema {
            let mut coarser = previous.clone();
            coarser.reduce_to(schema);
            return self.fell_in_some_span(&coarser);
        }
        self.fell_in_some_span(previous)
    }

    /// Where schemas are the same. Buckets within the zero bucket of this histogram are left out.
    fn fell_in_some_span(&self, previous: &Self) -> bool {
        let (schema, threshold) = (self.layout().schema, self.layout().zero_threshold);
        // Without a width, the reference looks at all buckets, at those that end at zero too.
        let has_width = threshold != 0.0;
        zip(self.sides(), previous.sides()).any(|(now, before)| {
            let [now, before] = [now, before]
                .map(|side| if has_width { side.but_swallowed(schema, threshold) } else { side });
            stretches(now, before).any(|Stretch { ours: now, theirs: before, .. }| {
                if now.is_empty() {
                    before.iter().any(|before| *before != 0.0)
                } else {
                    zip(now, before).any(|(now, before)| now < before)
                }
            })
        })
    }
}
