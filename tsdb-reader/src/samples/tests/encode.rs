//! Writes float chunks as the reference does; for tests and benches. Its bit writer serves histograms too.

/// One sample: timestamp, start timestamp, bits of the value.
pub type Sample = (i64, i64, u64);

const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Appends fields to a bit stream.
#[derive(Default)]
pub struct BitWriter {
    pub bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    pub fn bits(&mut self, value: u64, width: u32) {
        for bit in (0..width).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let set = u8::from(value >> bit & 1 == 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= set << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }

    pub fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    pub fn varint(&mut self, value: i64) {
        self.uvarint((value << 1 ^ value >> 63).cast_unsigned());
    }

    /// The smallest class that holds `value`, by prefix, its width and the payload's.
    fn class(&mut self, value: i64, classes: &[(u64, u32, u32)], half_open: bool) {
        for &(prefix, prefix_width, width) in classes {
            let half = if width == 0 { 0 } else { 1i64 << (width - 1) };
            let (low, high) = if half_open { (1 - half, half) } else { (-half, half - 1) };
            let fits = if width == 0 { value == 0 } else { (low..=high).contains(&value) };
            if fits {
                self.bits(prefix, prefix_width);
                return self.bits(value.cast_unsigned(), width);
            }
        }
    }

    pub fn varbit_int(&mut self, value: i64) {
        let widths = [(0, 1, 0), (2, 2, 3), (6, 3, 6), (14, 4, 9), (30, 5, 12), (62, 6, 18), (126, 7, 25)];
        if value == 0 || (1 - (1 << 24)..=1 << 24).contains(&value) {
            return self.class(value, &widths, true);
        }
        if (1 - (1 << 55)..=1 << 55).contains(&value) {
            self.bits(254, 8);
            return self.bits(value.cast_unsigned(), 56);
        }
        self.bits(255, 8);
        self.bits(value.cast_unsigned(), 64);
    }
}

/// The window of the reference's writer.
#[derive(Default, Clone)]
pub struct ValueWriter(Option<(u32, u32)>);

impl ValueWriter {
    /// Writes a non-zero XOR behind one of two codes, each with its width.
    pub fn xor(&mut self, out: &mut BitWriter, xor: u64, same: (u64, u32), new: (u64, u32)) {
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        if let Some((old_leading, old_trailing)) = self.0
            && leading >= old_leading
            && trailing >= old_trailing
        {
            out.bits(same.0, same.1);
            return out.bits(xor >> old_trailing, 64 - old_leading - old_trailing);
        }
        self.0 = Some((leading, trailing));
        let significant = 64 - leading - trailing;
        out.bits(new.0, new.1);
        out.bits(leading.into(), 5);
        out.bits((significant & 63).into(), 6);
        out.bits(xor >> trailing, significant);
    }
}

fn count(samples: &[Sample]) -> u64 {
    u64::try_from(samples.len()).unwrap_or(0)
}

/// XOR chunk data.
pub fn xor(samples: &[Sample]) -> Vec<u8> {
    let (mut out, mut values) = (BitWriter::default(), ValueWriter::default());
    let (mut time, mut delta, mut last) = (0i64, 0i64, 0u64);
    out.bits(count(samples), 16);
    for (index, &(t, _, value)) in samples.iter().enumerate() {
        let step = t.wrapping_sub(time);
        match index {
            0 => {
                out.varint(t);
                out.bits(value, 64);
            }
            1 => out.uvarint(step.cast_unsigned()),
            _ => {
                let dod = step.wrapping_sub(delta);
                if (1 - (1 << 19)..=1 << 19).contains(&dod) {
                    out.class(dod, &[(0, 1, 0), (2, 2, 14), (6, 3, 17), (14, 4, 20)], true);
                } else {
                    out.bits(15, 4);
                    out.bits(dod.cast_unsigned(), 64);
                }
            }
        }
        if index > 0 {
            delta = step;
            match value ^ last {
                0 => out.bits(0, 1),
                xor => values.xor(&mut out, xor, (2, 2), (3, 2)),
            }
        }
        (time, last) = (t, value);
    }
    out.bytes
}

/// XOR2 chunk data.
pub fn xor2(samples: &[Sample]) -> Vec<u8> {
    let (mut out, mut values) = (BitWriter::default(), ValueWriter::default());
    let (mut time, mut delta, mut baseline, mut diff) = (0i64, 0i64, 0u64, 0i64);
    let first_st = samples.first().map_or(0, |sample| sample.1);
    let change = samples.iter().position(|sample| sample.1 != first_st).unwrap_or(samples.len()).min(127);
    let starts = change < samples.len();
    out.bits(count(samples), 16);
    out.bits((first_st != 0).into(), 1);
    out.bits(if starts { u64::try_from(change).unwrap_or(0) } else { 0 }, 7);
    for (index, &(t, st, value)) in samples.iter().enumerate() {
        let step = t.wrapping_sub(time);
        let stale = value == STALE;
        if index == 0 {
            out.varint(t);
            out.bits(value, 64);
            if first_st != 0 {
                out.varint(t.wrapping_sub(st));
            }
            baseline = if stale { 0 } else { value };
            time = t;
            continue;
        }
        let dod = if index == 1 { 0 } else { step.wrapping_sub(delta) };
        let xor = if stale { 0 } else { value ^ baseline };
        if index > 1 && dod == 0 {
            match (stale, xor) {
                (true, _) => out.bits(31, 5),
                (_, 0) => out.bits(0, 1),
                _ => values.xor(&mut out, xor, (4, 3), (5, 3)),
            }
        } else {
            if index == 1 {
                out.uvarint(step.cast_unsigned());
            } else if (-(1 << 19)..1 << 19).contains(&dod) {
                out.class(dod, &[(6, 3, 13), (14, 4, 20)], false);
            } else {
                out.bits(30, 5);
                out.bits(dod.cast_unsigned(), 64);
            }
            match (stale, xor) {
                (true, _) => out.bits(7, 3),
                (_, 0) => out.bits(0, 1),
                _ => values.xor(&mut out, xor, (2, 2), (6, 3)),
            }
        }
        if starts && index >= change {
            let next = time.wrapping_sub(st);
            out.varbit_int(if index == change { next } else { next.wrapping_sub(diff) });
            diff = next;
        }
        delta = step;
        if !stale {
            baseline = value;
        }
        time = t;
    }
    out.bytes
}
