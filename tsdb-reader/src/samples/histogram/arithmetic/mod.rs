//! Arithmetic of native histograms: sums, differences and resets, also where buckets are not the same.
//!
//! ```text
//! same buckets     4 7 1  +  1 0 2  =  5 7 3                             one loop
//! other spans      buckets that one has alone stand between the others
//! other schemas    the finer one is reduced: index i of schema s falls into ((i − 1) >> (s − s′)) + 1
//! other zeros      the narrower zero bucket is widened, up to a bound of the populated bucket that it reaches into
//! other bounds     custom bounds that one has alone fall away: [1 2 5] and [1 3 5] make [1 5]
//! ```
//! Checked when a histogram is taken from a row: that buckets and custom bounds ascend and are as many as the layout
//! says. Then every operation is defined, but for exponential buckets with custom ones.
//!
//! Results have the buckets of the reference, and its doubles bit for bit; a NaN is only some NaN. Spans are the fewest
//! that describe the buckets, where the reference may cut them; and spans without buckets are as if not there, where
//! the reference counts in the wrong bucket.
//! Defined in Prometheus' `model/histogram/float_histogram.go`.

mod combine;
mod custom;
mod float_histogram;
mod reset;
mod sides;
mod window;
mod zero;

pub use combine::Reconciled;
pub use float_histogram::FloatHistogram;
pub use window::{HistogramWindow, Taken};

use super::HistogramRule;

/// Why histograms cannot be added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArithmeticError {
    /// One has exponential buckets, the other custom ones.
    #[error("one histogram has exponential buckets, the other custom ones: they cannot be added up")]
    MixedBuckets,
    /// One is a gauge, the other a counter.
    #[error("one histogram is a gauge, the other a counter: they cannot be added up")]
    MixedKinds,
    /// A rule is broken that sums rest on.
    #[error("the histogram cannot be added up: {0}")]
    Rule(HistogramRule),
    /// The zero threshold is NaN.
    #[error("the histogram cannot be added up: its zero threshold is NaN")]
    ZeroThreshold,
    /// A bucket index does not fit 32 bits.
    #[error("the histogram cannot be added up: its bucket index {0} does not fit 32 bits")]
    BucketIndex(i64),
    /// Resolution can only be reduced, and only that of exponential buckets.
    #[error("a histogram of schema {from} cannot be reduced to schema {to}, which must be lower, from -9 on")]
    Resolution {
        /// The schema of the histogram.
        from: i32,
        /// The one that was asked for.
        to: i32,
    },
}

#[cfg(test)]
mod tests;
