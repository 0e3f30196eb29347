//! Samples: what the chunks of a series decode to.
//!
//! One file per encoding, over `bits` (bit streams) and `window` (the XOR of values); `floats` reads the float
//! encodings one by one or into columns.

mod bits;
mod floats;
mod window;
mod xor;
mod xor2;

#[cfg(test)]
mod tests;

pub use floats::{FloatSamples, append_chunks};

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

    /// Brings `start_times_ms` up to the samples from `start` on, which have these start timestamps, or none.
    pub(crate) fn append_start_times(&mut self, start: usize, start_times_ms: &[i64]) {
        if self.start_times_ms.is_empty() && start_times_ms.iter().all(|&start_time_ms| start_time_ms == 0) {
            return;
        }
        self.start_times_ms.resize(start, 0);
        self.start_times_ms.extend_from_slice(start_times_ms);
        self.start_times_ms.resize(self.times_ms.len(), 0);
    }

    /// Removes all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.times_ms.clear();
        self.values.clear();
        self.start_times_ms.clear();
    }
}
