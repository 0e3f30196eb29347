//! Float counts: what the encodings 3 and 6 store of each histogram.
//!
//! ```text
//! sample 0   count 64 bits │ zero count 64 bits │ sum 64 bits │ 64 bits per bucket
//! sample ≥ 1 count XOR │ zero count XOR │ sum XOR │ XOR per bucket
//! ```
//! Each of them is XORed with its own value of the sample before, in a window of its own.
//! Defined in Prometheus' `tsdb/chunkenc/float_histogram.go`.

use super::super::bits::{Bits, peek_long};
use super::super::window::{CONTROL_BITS, ValueWindow};
use super::HistogramKind;
use super::decoder::{Counts, TIME_CHANGE};
use crate::error::DecodeError;

/// A double, as bits, and its window.
#[derive(Debug, Clone, Copy)]
struct Value {
    bits: u64,
    window: ValueWindow,
}

impl Value {
    fn read(bits: &Bits<'_>, at: &mut u64, name: &'static str) -> Result<Self, DecodeError> {
        Ok(Self { bits: bits.field(at, 64, name)?, window: ValueWindow::NONE })
    }
}

impl Default for Value {
    fn default() -> Self {
        Self { bits: 0, window: ValueWindow::NONE }
    }
}

/// Counts of the last sample, each with its window.
#[derive(Debug, Clone, Default)]
pub(super) struct FloatCounts {
    count: Value,
    zero_count: Value,
    buckets: Vec<u64>,
    windows: Vec<ValueWindow>,
}

impl Counts for FloatCounts {
    const KIND: HistogramKind = HistogramKind::Float;
    const FIRST_BUCKET_BITS: u64 = 64;

    fn read_first(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError> {
        self.count = Value::read(bits, at, "count")?;
        self.zero_count = Value::read(bits, at, "zero count")?;
        Ok(())
    }

    fn read_first_buckets(
        &mut self,
        bits: &Bits<'_>,
        at: &mut u64,
        buckets: usize,
    ) -> Result<(), DecodeError> {
        self.windows.clear();
        self.windows.resize(buckets, ValueWindow::NONE);
        self.buckets.clear();
        let mut place = *at;
        for _ in 0..buckets {
            self.buckets.push(match bits.whole_window(place) {
                Some(bytes) => {
                    let value = peek_long(bytes, place & 7);
                    place += 64;
                    value
                }
                None => bits.field(&mut place, 64, "bucket")?,
            });
        }
        *at = place;
        Ok(())
    }

    #[inline(always)]
    fn read_next(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<i64, DecodeError> {
        let dod_ms = bits.varbit_int(at, TIME_CHANGE)?;
        for value in [&mut self.count, &mut self.zero_count] {
            value.bits ^= value.window.read_change(bits, at)?;
        }
        Ok(dod_ms)
    }

    #[inline(always)]
    fn read_next_buckets(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError> {
        let (mut done, mut place) = (0, *at);
        while done < self.buckets.len() {
            // No branch predicts whether a bucket changes, so those that do not are counted: a zero bit each.
            let (word, left) = bits.word_or_rest(place);
            let same = u64::from(word.leading_zeros()).min(left).min((self.buckets.len() - done) as u64);
            done += usize::try_from(same).unwrap_or(0);
            place += same;
            let (Some(value), Some(window)) = (self.buckets.get_mut(done), self.windows.get_mut(done)) else {
                break;
            };
            let peeked = match bits.whole_window(place) {
                Some(bytes) if same + CONTROL_BITS <= left => window.peek_xor(word << same, bytes, place & 7),
                _ => None,
            };
            *value ^= match peeked {
                Some((xor, width)) => {
                    place += width;
                    xor
                }
                None => window.read_change(bits, &mut place)?,
            };
            done += 1;
        }
        *at = place;
        Ok(())
    }

    fn count(&self) -> u64 {
        self.count.bits
    }

    fn zero_count(&self) -> u64 {
        self.zero_count.bits
    }

    fn append_buckets(&mut self, _first: bool, _positive: usize, into: &mut Vec<u64>) {
        into.extend_from_slice(&self.buckets);
    }
}
