//! Validity: what the reference demands of a histogram that it takes in.
//!
//! ```text
//! layout   schema · spans · custom bounds          the same for all histograms of a chunk
//! counts   every bucket · their sum · the count    of each histogram
//! ```
//! Decoders do not ask for it, nor does the reference when it reads: data that breaks a rule is read as it is.
//! Defined in Prometheus' `model/histogram/histogram.go` and `float_histogram.go`, `Validate`.

use std::fmt;

use super::{CUSTOM_BUCKETS_SCHEMA, HistogramKind, HistogramLayout, HistogramRow, Span};

/// Something that is true of every sound histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HistogramRule {
    /// The schema is one of -4 to 8, or that of custom buckets.
    Schema,
    /// Spans do not go back.
    SpanOrder,
    /// There are as many buckets as the spans say.
    BucketNumber,
    /// Only custom buckets have bounds of their own.
    NoCustomBounds,
    /// Custom bounds are numbers.
    BoundNumber,
    /// Each custom bound is above the one before it.
    BoundOrder,
    /// The last custom bound is finite.
    BoundFinite,
    /// There is a custom bound for every bucket, but for that up to infinity.
    BoundForBucket,
    /// Custom buckets have no zero bucket.
    NoZeroBucket,
    /// Custom buckets have no negative side.
    NoNegativeBuckets,
    /// No count is negative.
    CountSign,
    /// The count of observations is the sum of all buckets. It may be more when the sum of observations is NaN.
    CountSum,
}

impl HistogramRule {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Schema,
        Self::SpanOrder,
        Self::BucketNumber,
        Self::NoCustomBounds,
        Self::BoundNumber,
        Self::BoundOrder,
        Self::BoundFinite,
        Self::BoundForBucket,
        Self::NoZeroBucket,
        Self::NoNegativeBuckets,
        Self::CountSign,
        Self::CountSum,
    ];

    /// A name that does not change.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "histogram-schema",
            Self::SpanOrder => "histogram-span-order",
            Self::BucketNumber => "histogram-bucket-number",
            Self::NoCustomBounds => "histogram-no-custom-bounds",
            Self::BoundNumber => "histogram-bound-number",
            Self::BoundOrder => "histogram-bound-order",
            Self::BoundFinite => "histogram-bound-finite",
            Self::BoundForBucket => "histogram-bound-for-bucket",
            Self::NoZeroBucket => "histogram-no-zero-bucket",
            Self::NoNegativeBuckets => "histogram-no-negative-buckets",
            Self::CountSign => "histogram-count-sign",
            Self::CountSum => "histogram-count-sum",
        }
    }
}

impl fmt::Display for HistogramRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Schema => "the schema is not one of -4 to 8, or -53 for custom buckets",
            Self::SpanOrder => "a span has a negative offset",
            Self::BucketNumber => "the spans describe another number of buckets than there are",
            Self::NoCustomBounds => "there are custom bounds, but the schema is exponential",
            Self::BoundNumber => "a custom bound is NaN",
            Self::BoundOrder => "a custom bound is not above the one before it",
            Self::BoundFinite => "the last custom bound is +Inf",
            Self::BoundForBucket => "there are too few custom bounds for the buckets",
            Self::NoZeroBucket => "there is a zero bucket, but the buckets are custom",
            Self::NoNegativeBuckets => "there are negative buckets, but the buckets are custom",
            Self::CountSign => "a count is negative",
            Self::CountSum => "the count is not the sum of the buckets",
        })
    }
}

impl HistogramLayout {
    /// The rules that all histograms of this layout break.
    pub fn broken_rules(&self) -> Vec<HistogramRule> {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        let bounds = &self.custom_bounds;
        let pairs = || bounds.iter().zip(bounds.iter().skip(1));
        let first = usize::from(!custom);
        let goes_back = |spans: &[Span]| spans.iter().skip(first).any(|span| span.offset < 0);
        let rules = [
            (HistogramRule::Schema, !custom && !(-4..=8).contains(&self.schema)),
            (HistogramRule::SpanOrder, goes_back(&self.positive_spans) || goes_back(&self.negative_spans)),
            (HistogramRule::NoCustomBounds, !custom && !bounds.is_empty()),
            (HistogramRule::BoundNumber, custom && bounds.iter().any(|bound| bound.is_nan())),
            (HistogramRule::BoundOrder, custom && pairs().any(|(before, bound)| bound <= before)),
            (HistogramRule::BoundFinite, custom && bounds.last() == Some(&f64::INFINITY)),
            (HistogramRule::BoundForBucket, custom && self.end() > bounds.len() as u64 + 1),
            (HistogramRule::NoZeroBucket, custom && self.zero_threshold != 0.0),
            (HistogramRule::NoNegativeBuckets, custom && !self.negative_spans.is_empty()),
        ];
        rules.into_iter().filter_map(|(rule, broken)| broken.then_some(rule)).collect()
    }

    /// The index after the last positive bucket, when no span goes back.
    fn end(&self) -> u64 {
        self.positive_spans.iter().fold(0, |end: u64, span| {
            let offset = u64::try_from(span.offset).unwrap_or(0);
            end.saturating_add(offset).saturating_add(span.length.into())
        })
    }
}

impl HistogramRow<'_> {
    /// The rules that this histogram breaks. A stale marker breaks none.
    pub fn broken_rules(&self) -> Vec<HistogramRule> {
        if self.is_stale() {
            return Vec::new();
        }
        let mut broken = self.layout.broken_rules();
        broken.extend(self.broken_count_rules());
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    /// The rules that it breaks beside those that its layout does.
    pub fn broken_count_rules(&self) -> Vec<HistogramRule> {
        if self.is_stale() {
            return Vec::new();
        }
        let custom = self.layout.schema == CUSTOM_BUCKETS_SCHEMA;
        let promised = self.layout.positive_buckets().saturating_add(self.layout.negative_buckets());
        let rules = [
            (HistogramRule::BucketNumber, promised != self.buckets.len() as u64),
            (HistogramRule::NoZeroBucket, custom && self.as_f64(self.zero_count) != 0.0),
            (HistogramRule::CountSign, self.has_negative_count()),
            (HistogramRule::CountSum, self.kind == HistogramKind::Integer && !self.counts_add_up()),
        ];
        rules.into_iter().filter_map(|(rule, broken)| broken.then_some(rule)).collect()
    }

    fn has_negative_count(&self) -> bool {
        match self.kind {
            HistogramKind::Integer => self.buckets.iter().any(|count| count.cast_signed() < 0),
            HistogramKind::Float => {
                let counts = self.buckets.iter().chain([&self.count, &self.zero_count]);
                counts.into_iter().any(|count| f64::from_bits(*count) < 0.0)
            }
        }
    }

    /// Of integers alone: sums of doubles depend on their order.
    fn counts_add_up(&self) -> bool {
        let sum = self.buckets.iter().fold(self.zero_count, |sum, count| sum.wrapping_add(*count));
        if self.sum.is_nan() { sum <= self.count } else { sum == self.count }
    }
}
