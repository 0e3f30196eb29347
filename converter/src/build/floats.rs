//! Float chunks as they grow: XOR, or XOR2 for samples with start timestamps.
//!
//! ```text
//! XOR    count u16 │ t₀ varint │ v₀ │ Δ₁ uvarint │ value │ change of Δ │ value │ …
//! XOR2   count u16 │ K, C │ t₀ varint │ v₀ │ [ST₀] │ Δ₁ uvarint │ value │ [ST₁] │ joint code │ …
//! ```
//! The same bytes as the reference writes for the same samples.
//! Defined in Prometheus' `tsdb/chunkenc/{xor,xor2,st}.go`.

use tsdb_reader::Encoding;
use tsdb_reader::samples::{FloatSample, STALE_NAN_BITS};

use super::bits::{BitWriter, StartTimes, XorCodes, XorValue};

/// A float chunk that is not finished.
#[derive(Debug, Clone)]
pub(super) struct FloatChunk {
    out: BitWriter,
    count: u16,
    first_ms: i64,
    time_ms: i64,
    delta_ms: i64,
    /// Of XOR2 its baseline: the last value that was no stale marker.
    value: XorValue,
    /// There in XOR2.
    starts: Option<StartTimes>,
}

impl FloatChunk {
    /// A chunk of one sample.
    pub(super) fn new(sample: FloatSample) -> Self {
        let bits = sample.value.to_bits();
        let mut starts = (sample.start_timestamp_ms != 0).then(StartTimes::default);
        let mut out = BitWriter::new(if starts.is_some() { &[0; 3] } else { &[0; 2] });
        let mut value = XorValue::new(bits);
        out.varint(sample.timestamp_ms);
        out.bits(bits, 64);
        if let Some(starts) = &mut starts {
            starts.write(&mut out, 0, sample.timestamp_ms, sample.start_timestamp_ms);
            if bits == STALE_NAN_BITS {
                value.value = 0;
            }
        }
        let time_ms = sample.timestamp_ms;
        Self { out, count: 1, first_ms: time_ms, time_ms, delta_ms: 0, value, starts }
    }

    /// Samples so far.
    pub(super) fn len(&self) -> u16 {
        self.count
    }

    /// Times of the first and the last sample.
    pub(super) fn times_ms(&self) -> (i64, i64) {
        (self.first_ms, self.time_ms)
    }

    /// True when the encoding of this chunk can hold `sample`.
    pub(super) fn takes(&self, sample: FloatSample) -> bool {
        self.starts.is_some() || sample.start_timestamp_ms == 0
    }

    /// Appends a sample that the chunk [takes](Self::takes).
    pub(super) fn push(&mut self, sample: FloatSample) {
        let delta_ms = sample.timestamp_ms.wrapping_sub(self.time_ms);
        let dod_ms = delta_ms.wrapping_sub(self.delta_ms);
        let previous_ms = self.time_ms;
        let (out, index) = (&mut self.out, u32::from(self.count));
        match &mut self.starts {
            None => {
                match index {
                    1 => out.uvarint(delta_ms.cast_unsigned()),
                    _ => xor_time(out, dod_ms),
                }
                self.value.next(out, sample.value.to_bits());
            }
            Some(starts) => {
                xor2_sample(out, &mut self.value, (index == 1).then_some(delta_ms), dod_ms, sample.value);
                starts.write(out, index, previous_ms, sample.start_timestamp_ms);
            }
        }
        (self.time_ms, self.delta_ms) = (sample.timestamp_ms, delta_ms);
        self.count = self.count.wrapping_add(1);
    }

    /// Encoding and data.
    pub(super) fn finish(&mut self) -> (Encoding, &[u8]) {
        let [high, low] = self.count.to_be_bytes();
        let encoding = match &self.starts {
            None => {
                self.out.set_header(&[high, low]);
                Encoding::Xor
            }
            Some(starts) => {
                self.out.set_header(&[high, low, starts.header()]);
                Encoding::Xor2
            }
        };
        (encoding, self.out.bytes())
    }
}

/// The change of the delta in XOR: a payload of n bits holds `1 - 2^(n-1)` to `2^(n-1)`.
fn xor_time(out: &mut BitWriter, dod_ms: i64) {
    if dod_ms == 0 {
        return out.bits(0, 1);
    }
    for (prefix, prefix_width, width) in [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)] {
        if (1 - (1i64 << (width - 1))..=1 << (width - 1)).contains(&dod_ms) {
            out.bits(prefix, prefix_width);
            return out.bits(dod_ms.cast_unsigned(), width);
        }
    }
    out.bits(0b1111, 4);
    out.bits(dod_ms.cast_unsigned(), 64);
}

/// A sample of XOR2 behind the first one; the second one has its delta as it is.
fn xor2_sample(
    out: &mut BitWriter,
    baseline: &mut XorValue,
    second_delta_ms: Option<i64>,
    dod_ms: i64,
    value: f64,
) {
    const JOINT: XorCodes = XorCodes { same_window: (0b100, 3), new_window: (0b101, 3) };
    const ALONE: XorCodes = XorCodes { same_window: (0b10, 2), new_window: (0b110, 3) };
    let bits = value.to_bits();
    let is_stale = bits == STALE_NAN_BITS;
    let codes = if let Some(delta_ms) = second_delta_ms {
        out.uvarint(delta_ms.cast_unsigned());
        ALONE
    } else if dod_ms == 0 {
        JOINT
    } else {
        if (-(1 << 12)..1 << 12).contains(&dod_ms) {
            out.bits(0b110, 3);
            out.bits(dod_ms.cast_unsigned(), 13);
        } else if (-(1 << 19)..1 << 19).contains(&dod_ms) {
            out.bits(0b1110, 4);
            out.bits(dod_ms.cast_unsigned(), 20);
        } else {
            out.bits(0b11110, 5);
            out.bits(dod_ms.cast_unsigned(), 64);
        }
        ALONE
    };
    if is_stale {
        let is_joint = second_delta_ms.is_none() && dod_ms == 0;
        return if is_joint { out.bits(0b11111, 5) } else { out.bits(0b111, 3) };
    }
    match bits ^ baseline.value {
        0 => out.bits(0, 1),
        xor => baseline.write(out, xor, codes),
    }
    baseline.value = bits;
}
