//! Bits: how chunks are written, field by field, most significant bit first.
//!
//! ```text
//!  varbit   0 │ 10 3 bits │ 110 6 │ 1110 9 │ 11110 12 │ 111110 18 │ 1111110 25 │ 11111110 56 │ 11111111 64
//!  xor      0 │ 10 significant bits │ 11 leading 5, significant 6, significant bits
//! ```
//! Defined in Prometheus' `tsdb/chunkenc/{bstream,varbit,xor}.go`.

/// Widths of the payloads of a varbit; the prefix is as many ones as classes before it, and a zero.
const VARBIT_WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// A stream of bits.
#[derive(Debug, Clone, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl BitWriter {
    /// A stream that begins with `header`.
    pub(super) fn new(header: &[u8]) -> Self {
        Self { bytes: header.to_vec(), free: 0 }
    }

    /// What was written; the last byte is filled up with zeros.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Overwrites the bytes at the front.
    pub(super) fn set_header(&mut self, header: &[u8]) {
        if let Some(bytes) = self.bytes.get_mut(..header.len()) {
            bytes.copy_from_slice(header);
        }
    }

    /// The lowest `width` bits of `value`, at most 64.
    pub(super) fn bits(&mut self, value: u64, width: u32) {
        let mut left = width;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let field = (value >> (left - taken)) & ((1 << taken) - 1);
            if let Some(last) = self.bytes.last_mut() {
                // At most 8 bits, shifted to where they belong.
                *last |= u8::try_from(field << (self.free - taken)).unwrap_or(0);
            }
            self.free -= taken;
            left -= taken;
        }
    }

    /// An unsigned LEB128, in groups of 8 bits at the current place.
    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    /// A zig-zag varint, in groups of 8 bits at the current place.
    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint((value << 1 ^ value >> 63).cast_unsigned());
    }

    /// A signed varbit: a payload of n bits holds `1 - 2^(n-1)` to `2^(n-1)`.
    pub(super) fn varbit_int(&mut self, value: i64) {
        let fits = |width: u32| (1 - (1i64 << (width - 1))..=1 << (width - 1)).contains(&value);
        self.varbit(value.cast_unsigned(), value == 0, fits);
    }

    /// An unsigned varbit.
    pub(super) fn varbit_uint(&mut self, value: u64) {
        self.varbit(value, value == 0, |width| value >> width == 0);
    }

    fn varbit(&mut self, value: u64, is_zero: bool, fits: impl Fn(u32) -> bool) {
        if is_zero {
            return self.bits(0, 1);
        }
        for (ones, &width) in (1u32..).zip(&VARBIT_WIDTHS) {
            if fits(width) {
                self.bits(((1 << ones) - 1) << 1, ones + 1);
                return self.bits(value, width);
            }
        }
        self.bits(0xff, 8);
        self.bits(value, 64);
    }
}

/// A value that is written as its XOR with the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorValue {
    /// Bits of the value written last.
    pub(super) value: u64,
    /// Leading and trailing zeros of the window in force.
    window: Option<(u8, u8)>,
}

/// The codes before the significant bits, each with its width.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorCodes {
    pub(super) same_window: (u64, u32),
    pub(super) new_window: (u64, u32),
}

impl XorCodes {
    /// Of XOR chunks and of histograms.
    pub(super) const XOR: Self = Self { same_window: (0b10, 2), new_window: (0b11, 2) };
}

impl XorValue {
    /// The first value, which is written whole.
    pub(super) fn new(value: u64) -> Self {
        Self { value, window: None }
    }

    /// A value that may be equal to the one before.
    pub(super) fn next(&mut self, out: &mut BitWriter, value: u64) {
        match value ^ self.value {
            0 => out.bits(0, 1),
            xor => self.write(out, xor, XorCodes::XOR),
        }
        self.value = value;
    }

    /// An XOR that is not 0; what the value is now is left to the caller.
    pub(super) fn write(&mut self, out: &mut BitWriter, xor: u64, codes: XorCodes) {
        let (leading, trailing) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        if let Some((old_leading, old_trailing)) = self.window {
            let (old_leading, old_trailing) = (u32::from(old_leading), u32::from(old_trailing));
            if leading >= old_leading && trailing >= old_trailing {
                out.bits(codes.same_window.0, codes.same_window.1);
                return out.bits(xor >> old_trailing, 64 - old_leading - old_trailing);
            }
        }
        let byte = |zeros: u32| u8::try_from(zeros).unwrap_or(0);
        self.window = Some((byte(leading), byte(trailing)));
        let significant = 64 - leading - trailing;
        out.bits(codes.new_window.0, codes.new_window.1);
        out.bits(leading.into(), 5);
        out.bits((significant & 63).into(), 6); // 64 is written as 0.
        out.bits(xor >> trailing, significant);
    }
}

/// Start timestamps of a chunk: the first one, and from the first change on one per sample.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StartTimes {
    first_ms: i64,
    /// The first sample with a field of its own; 0 before there is one.
    change: u8,
    /// The field written last, not as a difference.
    diff_ms: i64,
}

/// From this sample on every one has a field, so that the header's 7 bits suffice.
const LAST_CHANGE: u32 = 127;

impl StartTimes {
    /// Writes that of sample `index`; `previous_ms` is the timestamp of the sample before, of the first its own.
    pub(super) fn write(&mut self, out: &mut BitWriter, index: u32, previous_ms: i64, start_ms: i64) {
        if index == 0 {
            self.first_ms = start_ms;
            if start_ms != 0 {
                out.varint(previous_ms.wrapping_sub(start_ms));
            }
            return;
        }
        let diff_ms = previous_ms.wrapping_sub(start_ms);
        if self.change != 0 {
            out.varbit_int(diff_ms.wrapping_sub(self.diff_ms));
        } else if start_ms != self.first_ms || index == LAST_CHANGE {
            self.change = u8::try_from(index).unwrap_or(0);
            out.varbit_int(diff_ms);
        } else {
            return;
        }
        self.diff_ms = diff_ms;
    }

    /// The header byte: whether the first one is known, and the sample of the first change.
    pub(super) fn header(&self) -> u8 {
        u8::from(self.first_ms != 0) << 7 | self.change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_widths_fill_bytes_from_the_top() {
        let mut out = BitWriter::default();
        out.bits(0b101, 3);
        out.bits(0xffff_ffff_ffff_fff1, 4);
        out.bits(0x0123_4567_89ab_cdef, 64);
        out.bits(1, 1);
        assert_eq!(out.bytes(), [0xa2, 0x02, 0x46, 0x8a, 0xcf, 0x13, 0x57, 0x9b, 0xdf]);
    }

    #[test]
    fn varbits_take_the_smallest_class() {
        let int = |value| {
            let mut out = BitWriter::default();
            out.varbit_int(value);
            out.bytes().len()
        };
        assert_eq!([0, 4, -3, 5, 32, -32, 256, 257].map(int), [1, 1, 1, 2, 2, 2, 2, 3]);
        assert_eq!([i64::MIN, i64::MAX, 1 << 55, -(1 << 55)].map(int), [9, 9, 8, 9]);
        let mut out = BitWriter::default();
        out.varbit_uint(7);
        assert_eq!(out.bytes(), [0b1011_1000]);
    }
}
