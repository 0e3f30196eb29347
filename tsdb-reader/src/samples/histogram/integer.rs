//! Integer counts: what the encodings 2 and 5 store of each histogram.
//!
//! ```text
//! sample 0   count varbit_uint │ zero count varbit_uint │ sum 64 bits │ difference varbit_int, one per bucket
//! sample ≥ 1 Δ² count varbit_int │ Δ² zero count varbit_int │ sum XOR │ Δ² difference varbit_int, one per bucket
//! ```
//! A bucket is stored as its difference to the bucket before it on the same side, and of that the change of the change
//! since the sample before. Sums of both kinds can be taken in any order: here that over the buckets comes first, so
//! that what goes on from sample to sample are whole counts.
//! Counts wrap, as in the reference. Defined in Prometheus' `tsdb/chunkenc/histogram.go`.

use std::iter::zip;

use super::super::bits::Bits;
use super::super::varbits::{SLACK, read_varbit_ints};
use super::HistogramKind;
use super::decoder::{Counts, TIME_CHANGE};
use crate::error::DecodeError;

/// A count, and how much it grew.
#[derive(Debug, Clone, Copy, Default)]
struct Growing {
    value: u64,
    delta: u64,
}

impl Growing {
    fn change(&mut self, dod: i64) {
        self.delta = self.delta.wrapping_add(dod.cast_unsigned());
        self.value = self.value.wrapping_add(self.delta);
    }
}

/// Counts of the last sample, and the memory to read the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct IntegerCounts {
    count: Growing,
    zero_count: Growing,
    buckets: Vec<Growing>,
    /// Fields of the sample that was read last.
    fields: Vec<i64>,
}

impl Counts for IntegerCounts {
    const KIND: HistogramKind = HistogramKind::Integer;
    const FIRST_BUCKET_BITS: u64 = 1;

    fn read_first(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError> {
        self.count = Growing { value: bits.varbit_uint(at, "count")?, delta: 0 };
        self.zero_count = Growing { value: bits.varbit_uint(at, "zero count")?, delta: 0 };
        Ok(())
    }

    fn read_first_buckets(
        &mut self,
        bits: &Bits<'_>,
        at: &mut u64,
        buckets: usize,
    ) -> Result<(), DecodeError> {
        self.buckets.clear();
        self.buckets.resize(buckets, Growing::default());
        self.fields.resize(buckets + SLACK, 0);
        read_varbit_ints(bits, at, buckets, &mut self.fields, "bucket")
    }

    #[inline(always)]
    fn read_next(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<i64, DecodeError> {
        let names = [TIME_CHANGE, "change of count", "change of zero count"];
        let [dod_ms, count, zero_count] = bits.varbit_ints(at, names)?;
        self.count.change(count);
        self.zero_count.change(zero_count);
        Ok(dod_ms)
    }

    #[inline(always)]
    fn read_next_buckets(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<(), DecodeError> {
        read_varbit_ints(bits, at, self.buckets.len(), &mut self.fields, "bucket")
    }

    fn count(&self) -> u64 {
        self.count.value
    }

    fn zero_count(&self) -> u64 {
        self.zero_count.value
    }

    #[inline(always)]
    fn append_buckets(&mut self, first: bool, positive: usize, into: &mut Vec<u64>) {
        let (buckets, negative) = self.buckets.split_at_mut_checked(positive).unwrap_or_default();
        let (fields, negative_fields) = self.fields.split_at_checked(positive).unwrap_or_default();
        // What the first sample holds are no deltas: it leaves them 0.
        let growing = if first { 0 } else { u64::MAX };
        for (buckets, fields) in [(buckets, fields), (negative, negative_fields)] {
            let mut sum = 0u64;
            into.extend(zip(buckets, fields).map(|(bucket, field)| {
                sum = sum.wrapping_add(field.cast_unsigned());
                let delta = bucket.delta.wrapping_add(sum);
                bucket.value = bucket.value.wrapping_add(delta);
                bucket.delta = delta & growing;
                bucket.value
            }));
        }
    }
}
