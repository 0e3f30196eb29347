//! Native histograms: what chunks of the encodings 2, 3, 5 and 6 decode to.
//!
//! ```text
//! layout   schema 3, spans (offset -2, length 2) (offset 1, length 1)      one per chunk, shared by its histograms
//! buckets  index        -2   -1    0    1
//!          count         4    7    ·    1                                  absolute, one per bucket of the spans
//! ```
//! Defined in Prometheus' `model/histogram` and `tsdb/chunkenc/histogram*.go`.

mod arithmetic;
mod bounds;
mod buckets;
mod columns;
mod decoder;
mod float;
mod integer;
mod layout;
mod reduce;
mod start_time;
mod validity;

pub use arithmetic::{ArithmeticError, FloatHistogram, HistogramWindow, Reconciled, Taken};
pub use buckets::{Bucket, Histogram};
pub use columns::{HistogramColumns, HistogramRow};
pub use decoder::{HistogramDecoder, HistogramSamples};
pub(crate) use decoder::{counter_reset_header, trace_histograms};
#[cfg(feature = "head")]
pub(crate) use layout::{invalid, is_known_schema};
#[cfg(feature = "head")]
pub(crate) use reduce::{FINEST_SCHEMA, Reduction};
pub use validity::HistogramRule;

/// Schema of custom buckets, whose bounds stand in the layout.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// Consecutive buckets of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// Of the first span the index of its first bucket; of others the buckets left out since the span before.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// What the histograms of a chunk have in common: which buckets there are.
///
/// Two layouts are equal when all their bits are: a NaN equals itself, and zeros of different signs differ.
#[derive(Debug, Clone, Default)]
pub struct HistogramLayout {
    /// Resolution: -9 to 8, or [`CUSTOM_BUCKETS_SCHEMA`]. Finer ones than 8 are read as 8.
    pub schema: i32,
    /// The zero bucket reaches from minus this to this, both included.
    pub zero_threshold: f64,
    /// Buckets of positive observations.
    pub positive_spans: Vec<Span>,
    /// Buckets of negative observations, indexes ascending away from zero.
    pub negative_spans: Vec<Span>,
    /// Upper bounds of custom buckets, ascending, without +Inf; empty for other schemas.
    pub custom_bounds: Vec<f64>,
}

/// What is known of resets between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CounterResetHint {
    /// Nothing is known.
    #[default]
    Unknown,
    /// The counter was reset before this histogram.
    Reset,
    /// It was not.
    NotReset,
    /// It is a gauge.
    Gauge,
}

/// How the counts of a histogram are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HistogramKind {
    /// Counts are integers.
    Integer,
    /// Counts are doubles.
    Float,
}

impl HistogramKind {
    /// The sum of two counts, as bits. Integers wrap.
    pub fn add(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Integer => a.wrapping_add(b),
            Self::Float => (f64::from_bits(a) + f64::from_bits(b)).to_bits(),
        }
    }
}

#[cfg(test)]
mod tests;
