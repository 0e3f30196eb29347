//! Native histograms: what chunks of the encodings 2, 3, 5 and 6 decode to.
//!
//! ```text
//! layout   schema 3, spans (offset -2, length 2) (offset 1, length 1)      one per chunk, shared by its histograms
//! buckets  index        -2   -1    0    1
//!          count         4    7    ·    1                                  absolute, one per bucket of the spans
//! ```
//! Defined in Prometheus' `model/histogram` and `tsdb/chunkenc/histogram*.go`.

mod columns;

pub use columns::{HistogramColumns, HistogramRow};

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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistogramLayout {
    /// Resolution: -9 to 52, or [`CUSTOM_BUCKETS_SCHEMA`].
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
