//! Samples: what the chunks of a series decode to.
//!
//! One file per encoding, over `bits` (bit streams), `varbits` (runs of integers in them) and `window` (the XOR of
//! values); `floats` reads the float encodings one by one or into columns, `histogram` those of native histograms,
//! `aggregate` those of Thanos, which hold chunks of the others.

mod aggregate;
mod bits;
mod floats;
mod histogram;
mod varbits;
mod window;
mod xor;
mod xor2;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use aggregate::trace_aggregates;
pub use aggregate::{
    Aggregate, AggregateChunk, AggregateColumns, AggregateDecoder, AggregateRow, CounterChain,
    CounterColumns, CounterStep,
};
pub use floats::{FloatDecoder, FloatSamples};
pub(crate) use floats::{append_chunk, trace_floats};
pub use histogram::{
    ArithmeticError, Bucket, CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram,
    HistogramColumns, HistogramDecoder, HistogramKind, HistogramLayout, HistogramRow, HistogramRule,
    HistogramSamples, HistogramWindow, Reconciled, Span, Taken,
};
#[cfg(feature = "head")]
pub(crate) use histogram::{FINEST_SCHEMA, Reduction, invalid, is_known_schema};
pub(crate) use histogram::{counter_reset_header, trace_histograms};

/// One float sample.
#[derive(Debug, Clone, Copy)]
pub struct FloatSample {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// When the counter began, in milliseconds since the epoch; 0 = unknown.
    pub start_timestamp_ms: i64,
    /// The value, its NaN bits as stored.
    pub value: f64,
}

/// A sample that is decoded by itself.
#[derive(Debug, Clone)]
pub enum TracedSample {
    /// Of a chunk of floats.
    Float(FloatSample),
    /// Of a chunk of histograms.
    Histogram(Histogram),
}

/// Bits of the value that marks the end of a series.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// True for the stale marker alone, not for other NaNs.
pub fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// Float samples as columns: what the hot path appends to.
///
/// `times_ms` and `values` have the same length. `start_times_ms` is empty until a sample carries a start
/// timestamp; from then on it has the same length as the others, 0 for unknown.
#[derive(Debug, Clone, Default)]
pub struct FloatColumns {
    /// Milliseconds since the epoch.
    pub times_ms: Vec<i64>,
    /// Values, NaN bits as stored.
    pub values: Vec<f64>,
    /// Start timestamps in milliseconds since the epoch.
    pub start_times_ms: Vec<i64>,
}

impl FloatColumns {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// True without any sample.
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    fn push(&mut self, sample: FloatSample) {
        self.set_start_time(self.len(), sample.start_timestamp_ms);
        self.times_ms.push(sample.timestamp_ms);
        self.values.push(sample.value);
    }

    /// Takes the start timestamp of sample `place`, in ascending order. Those left out are 0.
    fn set_start_time(&mut self, place: usize, start_time_ms: i64) {
        if start_time_ms != 0 {
            self.start_times_ms.resize(place, 0);
            self.start_times_ms.push(start_time_ms);
        }
    }

    /// Makes the start timestamps as many as the samples, when there are any.
    fn pad_start_times(&mut self) {
        if !self.start_times_ms.is_empty() {
            self.start_times_ms.resize(self.times_ms.len(), 0);
        }
    }

    /// Removes all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.times_ms.clear();
        self.values.clear();
        self.start_times_ms.clear();
    }
}
