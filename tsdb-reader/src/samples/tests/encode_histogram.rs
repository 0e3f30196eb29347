//! Writes histogram chunks as the reference does; for tests and benches.

use super::encode::{BitWriter, ValueWriter};

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// What all samples of a chunk share.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub schema: i64,
    pub zero_threshold: f64,
    /// Offset and length, of the positive side and the negative.
    pub spans: [Vec<(i32, u32)>; 2],
    pub custom_bounds: Vec<f64>,
}

/// One histogram. Counts are integers, or bits of doubles; those of buckets are absolute.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub time_ms: i64,
    pub start_time_ms: i64,
    pub count: u64,
    pub zero_count: u64,
    pub sum: u64,
    pub buckets: [Vec<u64>; 2],
}

/// The encodings, by their header and their counts.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub float: bool,
    pub starts: bool,
}

fn varbit_uint(out: &mut BitWriter, value: u64) {
    let classes =
        [(0, 1, 0), (2, 2, 3), (6, 3, 6), (14, 4, 9), (30, 5, 12), (62, 6, 18), (126, 7, 25), (254, 8, 56)];
    for (prefix, prefix_width, width) in classes {
        if value >> width == 0 {
            out.bits(prefix, prefix_width);
            return out.bits(value, width);
        }
    }
    out.bits(255, 8);
    out.bits(value, 64);
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number of a small range")]
fn layout(out: &mut BitWriter, layout: &Layout) {
    let threshold = layout.zero_threshold.to_bits();
    let (fraction, exponent) = (threshold & ((1 << 52) - 1), threshold >> 52);
    match exponent {
        _ if layout.zero_threshold == 0.0 => out.bits(0, 8),
        780..=1033 if fraction == 0 => out.bits(exponent + 244 - 1023, 8),
        _ => {
            out.bits(255, 8);
            out.bits(threshold, 64);
        }
    }
    out.varbit_int(layout.schema);
    for spans in &layout.spans {
        varbit_uint(out, spans.len() as u64);
        for &(offset, length) in spans {
            varbit_uint(out, length.into());
            out.varbit_int(offset.into());
        }
    }
    if layout.schema == -53 {
        varbit_uint(out, layout.custom_bounds.len() as u64);
        for &bound in &layout.custom_bounds {
            let thousandths = bound * 1000.0;
            if (0.0..=33_554_430.0).contains(&thousandths) && thousandths.round() / 1000.0 == bound {
                varbit_uint(out, thousandths.round() as u64 + 1);
            } else {
                out.bits(0, 1);
                out.bits(bound.to_bits(), 64);
            }
        }
    }
}

/// A number that is stored as the change of its change.
#[derive(Default, Clone)]
struct Number {
    value: u64,
    delta: u64,
}

impl Number {
    fn write(&mut self, out: &mut BitWriter, value: u64) {
        let delta = value.wrapping_sub(self.value);
        out.varbit_int(delta.wrapping_sub(self.delta).cast_signed());
        *self = Self { value, delta };
    }

    /// Writes that it went on as before.
    fn write_same(&mut self, out: &mut BitWriter) {
        self.write(out, self.value.wrapping_add(self.delta));
    }
}

/// A double that is stored as its XOR with the one before.
#[derive(Default, Clone)]
struct Double {
    value: u64,
    window: ValueWriter,
}

impl Double {
    fn write(&mut self, out: &mut BitWriter, value: u64) {
        match value ^ self.value {
            0 => out.bits(0, 1),
            xor => self.window.xor(out, xor, (2, 2), (3, 2)),
        }
        self.value = value;
    }
}

/// Differences of each count to the one before it, side by side.
fn differences(sample: &Sample) -> Vec<u64> {
    let sides = sample.buckets.iter().flat_map(|side| {
        let before = std::iter::once(&0).chain(side);
        side.iter().zip(before).map(|(count, before)| count.wrapping_sub(*before))
    });
    sides.collect()
}

/// Chunk data. `reset` are the two bits of the counter reset header.
pub fn histograms(form: Form, reset: u64, shared: &Layout, samples: &[Sample]) -> Vec<u8> {
    let mut out = BitWriter::default();
    let count = samples.len() as u64;
    let mut starts = StartWriter::new(form.starts, samples);
    if form.starts {
        out.bits(reset, 2);
        out.bits(count, 14);
        out.bits(starts.header(), 8);
    } else {
        out.bits(count, 16);
        out.bits(reset << 6, 8);
    }
    if samples.is_empty() {
        return out.bytes;
    }
    layout(&mut out, shared);
    let mut time = Number::default();
    let mut sum = Double::default();
    let mut numbers = Vec::new();
    let mut doubles = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let counts = [sample.count, sample.zero_count];
        let buckets = if form.float { sample.buckets.concat() } else { differences(sample) };
        if index == 0 {
            out.varbit_int(sample.time_ms);
            time.value = sample.time_ms.cast_unsigned();
            numbers = counts.iter().chain(&buckets).map(|&value| Number { value, delta: 0 }).collect();
            let double = |&value| Double { value, window: ValueWriter::default() };
            doubles = counts.iter().chain(&buckets).map(double).collect();
            sum.value = sample.sum;
            for count in counts {
                if form.float { out.bits(count, 64) } else { varbit_uint(&mut out, count) }
            }
            out.bits(sample.sum, 64);
            for bucket in buckets {
                if form.float { out.bits(bucket, 64) } else { out.varbit_int(bucket.cast_signed()) }
            }
        } else {
            time.write(&mut out, sample.time_ms.cast_unsigned());
            let stale = sample.sum == STALE;
            let values = counts.iter().chain(buckets.iter().filter(|_| !stale));
            for (place, &value) in values.enumerate() {
                if place == 2 {
                    sum.write(&mut out, sample.sum);
                }
                match (form.float, numbers.get_mut(place), doubles.get_mut(place)) {
                    (false, Some(number), _) if stale => number.write_same(&mut out),
                    (false, Some(number), _) => number.write(&mut out, value),
                    (_, _, Some(double)) => double.write(&mut out, value),
                    _ => {}
                }
            }
            if stale || buckets.is_empty() {
                sum.write(&mut out, sample.sum);
            }
        }
        starts.write(&mut out, index, sample);
    }
    out.bytes
}

/// Start timestamps: where they change first, and how far the last one was from the sample before.
struct StartWriter {
    first_known: bool,
    first_change: usize,
    previous_ms: i64,
    diff: i64,
}

impl StartWriter {
    fn new(starts: bool, samples: &[Sample]) -> Self {
        let first = samples.first().map_or(0, |sample| sample.start_time_ms);
        let change = samples.iter().position(|sample| sample.start_time_ms != first);
        let change = change.unwrap_or(samples.len()).min(127);
        let first_change = if starts && change < samples.len() { change } else { usize::MAX };
        Self { first_known: starts && first != 0, first_change, previous_ms: 0, diff: 0 }
    }

    fn header(&self) -> u64 {
        let change = if self.first_change == usize::MAX { 0 } else { self.first_change as u64 };
        u64::from(self.first_known) << 7 | change
    }

    fn write(&mut self, out: &mut BitWriter, index: usize, sample: &Sample) {
        if index == 0 && self.first_known {
            out.varint(sample.time_ms.wrapping_sub(sample.start_time_ms));
        } else if index >= self.first_change {
            let diff = self.previous_ms.wrapping_sub(sample.start_time_ms);
            out.varbit_int(diff.wrapping_sub(self.diff));
            self.diff = diff;
        }
        self.previous_ms = sample.time_ms;
    }
}
