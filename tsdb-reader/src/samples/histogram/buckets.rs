//! Buckets: the counts of a histogram with their indexes and bounds, in the orders that are asked for.
//!
//! ```text
//! stored      positive 0 1 2 … │ negative 0 1 2 …        indexes ascend away from zero on both sides
//! ascending   negative … 2 1 0 │ positive 0 1 2 …        by bounds, the zero bucket left out
//! all         negative … 2 1 0 │ zero │ positive 0 1 2 …
//! ```
//! Defined in Prometheus' `model/histogram/{generic,float_histogram}.go`.

use std::iter::{self, zip};
use std::sync::Arc;

use super::bounds::{indexes, indexes_descending};
use super::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, HistogramKind, HistogramLayout, HistogramRow};

/// One bucket with what it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its place on its side; 0 for the zero bucket.
    pub index: i32,
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// True when observations of `lower` are in it.
    pub lower_inclusive: bool,
    /// True when observations of `upper` are in it.
    pub upper_inclusive: bool,
    /// Observations, as bits.
    pub count: u64,
}

/// One histogram that owns its buckets.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// When the counter began, in milliseconds since the epoch; 0 = unknown.
    pub start_timestamp_ms: i64,
    /// Sum of observations.
    pub sum: f64,
    /// Number of observations, as bits.
    pub count: u64,
    /// Observations in the zero bucket, as bits.
    pub zero_count: u64,
    /// How counts are to be read.
    pub kind: HistogramKind,
    /// Resets since the histogram before.
    pub hint: CounterResetHint,
    /// Which buckets there are.
    pub layout: Arc<HistogramLayout>,
    /// Absolute counts as bits: of the positive spans, then of the negative ones.
    pub buckets: Vec<u64>,
}

impl Histogram {
    /// The histogram as a row, which knows its buckets.
    pub fn as_row(&self) -> HistogramRow<'_> {
        HistogramRow {
            timestamp_ms: self.timestamp_ms,
            start_timestamp_ms: self.start_timestamp_ms,
            sum: self.sum,
            count: self.count,
            zero_count: self.zero_count,
            kind: self.kind,
            hint: self.hint,
            layout: &self.layout,
            buckets: &self.buckets,
        }
    }
}

impl From<HistogramRow<'_>> for Histogram {
    fn from(row: HistogramRow<'_>) -> Self {
        Self {
            timestamp_ms: row.timestamp_ms,
            start_timestamp_ms: row.start_timestamp_ms,
            sum: row.sum,
            count: row.count,
            zero_count: row.zero_count,
            kind: row.kind,
            hint: row.hint,
            layout: Arc::clone(row.layout),
            buckets: row.buckets.to_vec(),
        }
    }
}

impl<'a> HistogramRow<'a> {
    /// Absolute counts of the positive spans, then of the negative ones.
    fn sides(&self) -> (&'a [u64], &'a [u64]) {
        let positive = usize::try_from(self.layout.positive_buckets()).unwrap_or(usize::MAX);
        self.buckets.split_at_checked(positive).unwrap_or((self.buckets, &[]))
    }

    /// Absolute counts of the positive spans, as bits.
    pub fn positive_counts(&self) -> &'a [u64] {
        self.sides().0
    }

    /// Absolute counts of the negative spans, as bits.
    pub fn negative_counts(&self) -> &'a [u64] {
        self.sides().1
    }

    /// Of integer counts, the difference of each positive bucket to the one before it.
    pub fn positive_deltas(&self) -> impl Iterator<Item = i64> + 'a {
        deltas(self.positive_counts())
    }

    /// Of integer counts, the difference of each negative bucket to the one before it.
    pub fn negative_deltas(&self) -> impl Iterator<Item = i64> + 'a {
        deltas(self.negative_counts())
    }

    /// The counts of all buckets but the zero bucket, from the lowest bounds on. Their bounds are
    /// [`HistogramLayout::ascending_bounds`].
    pub fn counts_ascending(&self) -> impl Iterator<Item = u64> + 'a {
        let (positive, negative) = self.sides();
        negative.iter().rev().chain(positive).copied()
    }

    /// Lower bound, upper bound and count, as bits, of all buckets but the zero bucket, from the lowest on.
    pub fn buckets_ascending(&self) -> impl Iterator<Item = (f64, f64, u64)> + 'a {
        let buckets = self.negative_buckets_ascending().chain(self.positive_buckets());
        buckets.map(|bucket| (bucket.lower, bucket.upper, bucket.count))
    }

    /// The buckets of the positive spans.
    pub fn positive_buckets(&self) -> impl Iterator<Item = Bucket> + 'a {
        let layout: &'a HistogramLayout = self.layout;
        zip(self.positive_counts(), indexes(&layout.positive_spans))
            .map(|(count, index)| layout.bucket(index, layout.positive_bounds(index), *count))
    }

    /// The buckets of the negative spans, from the one farthest from zero on.
    pub fn negative_buckets_ascending(&self) -> impl Iterator<Item = Bucket> + 'a {
        let layout: &'a HistogramLayout = self.layout;
        zip(self.negative_counts().iter().rev(), indexes_descending(&layout.negative_spans))
            .map(|(count, index)| layout.bucket(index, layout.negative_bounds(index), *count))
    }

    /// The bucket around zero; none with custom buckets.
    pub fn zero_bucket(&self) -> Option<Bucket> {
        (self.layout.schema != CUSTOM_BUCKETS_SCHEMA).then_some(Bucket {
            index: 0,
            lower: -self.layout.zero_threshold,
            upper: self.layout.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        })
    }

    /// All buckets from the lowest on, the zero bucket among them unless it is empty.
    ///
    /// Buckets beside it keep their bounds, even where it overlaps them: so does the reference print histograms,
    /// but for buckets whose count is nothing.
    pub fn all_buckets(&self) -> impl Iterator<Item = Bucket> + 'a {
        let zero = self.zero_bucket().filter(|zero| self.as_f64(zero.count) != 0.0);
        self.with_zero_bucket(zero)
    }

    /// The same, but where the zero bucket overlaps others they reach only up to it: so does the reference calculate.
    pub fn all_buckets_trimmed(&self) -> impl Iterator<Item = Bucket> + 'a {
        let threshold = self.layout.zero_threshold;
        let zero = self.zero_bucket().filter(|zero| self.as_f64(zero.count) > 0.0);
        self.with_zero_bucket(zero).map(move |mut bucket| {
            if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            } else if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            }
            bucket
        })
    }

    fn with_zero_bucket(&self, zero: Option<Bucket>) -> impl Iterator<Item = Bucket> + 'a {
        self.negative_buckets_ascending().chain(zero).chain(self.positive_buckets())
    }
}

impl HistogramLayout {
    fn bucket(&self, index: i32, (lower, upper): (f64, f64), count: u64) -> Bucket {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        Bucket {
            index,
            lower,
            upper,
            lower_inclusive: if custom { index == 0 } else { lower < 0.0 },
            upper_inclusive: custom || upper > 0.0,
            count,
        }
    }
}

fn deltas(counts: &[u64]) -> impl Iterator<Item = i64> {
    let before = iter::once(&0).chain(counts);
    zip(counts, before).map(|(count, before)| count.wrapping_sub(*before).cast_signed())
}
