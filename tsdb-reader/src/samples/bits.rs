//! Bit streams: fields of any width at any bit, most significant bit first.
//!
//! ```text
//!  byte       i                 i+1
//!  bit   0 1 2 3 4 5 6 7   0 1 2 3 4 5 6 7
//!            └── field of 9 bits ──┘            at = 8·i + 2
//! ```
//! Two ways to read. [`Bits::field`] and its kin check every field and name the one that is missing. A [`Block`]
//! is a copy of part of the data with room behind it: it hands out the 16 bytes in which a whole sample lies, from
//! which [`peek`] and [`peek_long`] take fields without any check. Behind the end of the data they read noise, so
//! whoever reads a block asks in the end whether it went [too far](Bits::end), and then reads again with checks.
//! Fields of histograms are peeked from the data itself, where [enough of it is left](Bits::word_or_rest).
//! Defined in Prometheus' `tsdb/chunkenc/bstream.go`.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::trace::{FieldValue, Trace};

/// Bytes from which the fields of one sample are peeked.
pub(super) type Window = [u8; WINDOW_BYTES];

const WINDOW_BYTES: usize = 16;

/// Bits of a [`peek`] that are there wherever it begins.
pub(super) const PEEK_BITS: u64 = 57;

/// Bytes of a block. Most chunks are smaller than one.
const BLOCK_BYTES: usize = 512;

/// Part of the data of a chunk, from a multiple of its size on, and a window more.
#[derive(Debug, Clone)]
pub(super) struct Block {
    bytes: [u8; BLOCK_BYTES + WINDOW_BYTES],
    /// Where in the data the block begins.
    start: usize,
}

impl Block {
    pub(super) fn new() -> Self {
        Self { bytes: [0; BLOCK_BYTES + WINDOW_BYTES], start: usize::MAX }
    }

    /// Makes room for other data.
    pub(super) fn clear(&mut self) {
        self.start = usize::MAX;
    }

    /// Copies the part in which bit `at` lies, unless it is there; returns the bit at which it begins.
    pub(super) fn load(&mut self, bits: &Bits<'_>, at: u64) -> u64 {
        let start = usize::try_from(at >> 3).unwrap_or(usize::MAX) & !(BLOCK_BYTES - 1);
        if start != self.start {
            self.start = start;
            let rest = bits.data.get(start..).unwrap_or_default();
            let len = rest.len().min(self.bytes.len());
            for (to, from) in self.bytes.get_mut(..len).into_iter().zip(rest.get(..len)) {
                to.copy_from_slice(from);
            }
        }
        start as u64 * 8
    }

    /// The 16 bytes from the byte of bit `at` of the block on; `None` behind the block.
    #[inline(always)]
    pub(super) fn window(&self, at: u64) -> Option<&Window> {
        let byte = usize::try_from(at >> 3).ok()?;
        self.bytes.get(byte..byte + WINDOW_BYTES)?.first_chunk()
    }
}

/// The data of one chunk, read by bit positions counted from its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    offset: u64,
    /// The data, from which words are taken; nothing with a trace, which notes what is read field by field.
    words: &'a [u8],
    trace: Option<&'a Trace>,
}

impl<'a> Bits<'a> {
    /// A stream over `data`, whose first byte stands at `offset` of its file.
    pub(super) fn new(data: &'a [u8], offset: u64) -> Self {
        Self { data, offset, words: data, trace: None }
    }

    /// As [`Bits::new`]; fields that are read with checks are noted in `trace`.
    pub(super) fn traced(data: &'a [u8], offset: u64, trace: &'a Trace) -> Self {
        Self { data, offset, words: &[], trace: Some(trace) }
    }

    /// True when fields are noted, and so are to be read one by one.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Notes the field between two positions.
    #[inline]
    fn note(&self, name: &'static str, start: u64, end: u64, value: FieldValue) {
        if let Some(trace) = self.trace {
            trace.note(name, self.offset, start, end.saturating_sub(start), value);
        }
    }

    /// Position after the last bit.
    pub(super) fn end(&self) -> u64 {
        self.data.len() as u64 * 8
    }

    /// The 16 bytes from the byte of bit `at` on; `None` near the end of the data.
    #[inline(always)]
    pub(super) fn whole_window(&self, at: u64) -> Option<&'a Window> {
        self.words.get(usize::try_from(at >> 3).ok()?..)?.first_chunk()
    }

    /// The 16 bytes from the byte of bit `at` on, zeros behind the end. `None` when that byte is past it.
    pub(super) fn window(&self, at: u64) -> Option<Window> {
        let rest = self.data.get(usize::try_from(at >> 3).ok()?..)?;
        if let Some(window) = rest.first_chunk() {
            return Some(*window);
        }
        let mut window = [0; WINDOW_BYTES];
        window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Some(window)
    }

    /// The 57 bits from `at` on, and zeros below them; `None` near the end of the data.
    #[inline(always)]
    pub(super) fn word(&self, at: u64) -> Option<u64> {
        let rest = self.words.get(usize::try_from(at >> 3).ok()?..)?;
        Some(u64::from_be_bytes(*rest.first_chunk()?) << (at & 7))
    }

    /// What is left of the data from `at` on, and how many bits that is, at most 57; zeros below them.
    #[inline(always)]
    pub(super) fn word_or_rest(&self, at: u64) -> (u64, u64) {
        self.word(at).map_or_else(|| self.rest(at), |word| (word, PEEK_BITS))
    }

    #[cold]
    #[inline(never)]
    fn rest(&self, at: u64) -> (u64, u64) {
        if self.is_traced() {
            return (0, 0);
        }
        let word = self.window(at).map_or(0, |window| peek(&window, at & 7));
        (word, self.end().saturating_sub(at).min(PEEK_BITS))
    }

    /// The field of `width` bits at `at`, which moves past it. `width` is at most 64.
    pub(super) fn field(&self, at: &mut u64, width: u64, name: &'static str) -> Result<u64, DecodeError> {
        let start = *at;
        let bits = self.take(at, width, name)?;
        self.note(name, start, *at, FieldValue::Unsigned(bits));
        Ok(bits)
    }

    /// As [`Bits::field`], of part of a field.
    fn take(&self, at: &mut u64, width: u64, name: &'static str) -> Result<u64, DecodeError> {
        let end = at.saturating_add(width);
        if width == 0 {
            return Ok(0);
        }
        let Some(window) = self.window(*at).filter(|_| end <= self.end()) else {
            return Err(self.truncated(*at, width, name));
        };
        let bits = peek_long(&window, *at & 7) >> (64 - width);
        *at = end;
        Ok(bits)
    }

    /// True when the bit at `at` is set; moves past it.
    pub(super) fn flag(&self, at: &mut u64, name: &'static str) -> Result<bool, DecodeError> {
        self.field(at, 1, name).map(|bit| bit == 1)
    }

    /// The number of one bits at `at`, up to `most`; moves past them and the zero that ends them.
    pub(super) fn ones(&self, at: &mut u64, most: u32, name: &'static str) -> Result<u32, DecodeError> {
        let start = *at;
        let ones = self.take_ones(at, most, name)?;
        self.note(name, start, *at, FieldValue::Unsigned(ones.into()));
        Ok(ones)
    }

    fn take_ones(&self, at: &mut u64, most: u32, name: &'static str) -> Result<u32, DecodeError> {
        for count in 0..most {
            if self.take(at, 1, name)? == 0 {
                return Ok(count);
            }
        }
        Ok(most)
    }

    /// An unsigned LEB128 of at most 64 bits, its groups at any bit; moves `at` past it.
    pub(super) fn uvarint(&self, at: &mut u64, name: &'static str) -> Result<u64, DecodeError> {
        let start = *at;
        let value = self.take_uvarint(at, name)?;
        self.note(name, start, *at, FieldValue::Unsigned(value));
        Ok(value)
    }

    fn take_uvarint(&self, at: &mut u64, name: &'static str) -> Result<u64, DecodeError> {
        if at.is_multiple_of(8)
            && let Some(rest) = usize::try_from(*at >> 3).ok().and_then(|byte| self.data.get(byte..))
            && let Some((value, width)) = short_uvarint(rest)
        {
            *at += width;
            return Ok(value);
        }
        let (start, mut value) = (*at, 0);
        for group in 0..10 {
            let byte = self.take(at, 8, name)?;
            if group == 9 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << (7 * group);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError { offset: self.place(start), kind: DecodeErrorKind::VarintOverflow { field: name } })
    }

    /// A zig-zag varint; moves `at` past it.
    pub(super) fn varint(&self, at: &mut u64, name: &'static str) -> Result<i64, DecodeError> {
        let start = *at;
        let raw = self.take_uvarint(at, name)?;
        let value = (raw >> 1).cast_signed() ^ -((raw & 1).cast_signed());
        self.note(name, start, *at, FieldValue::Signed(value));
        Ok(value)
    }

    /// Variable-width signed integer of histogram chunks and start timestamps; moves `at` past it.
    #[inline(always)]
    pub(super) fn varbit_int(&self, at: &mut u64, name: &'static str) -> Result<i64, DecodeError> {
        self.varbit(at, name, true).map(|(raw, payload)| signed_varbit(raw, payload))
    }

    /// Variable-width unsigned integer of histogram chunks; moves `at` past it.
    #[inline(always)]
    pub(super) fn varbit_uint(&self, at: &mut u64, name: &'static str) -> Result<u64, DecodeError> {
        self.varbit(at, name, false).map(|(raw, _)| raw)
    }

    /// The payload of a variable-width integer and its width; moves `at` past it.
    #[inline(always)]
    fn varbit(&self, at: &mut u64, name: &'static str, signed: bool) -> Result<(u64, u64), DecodeError> {
        if let Some(word) = self.word(*at)
            && let Some((prefix, payload)) = varbit_widths(word)
        {
            *at += prefix + payload;
            // A payload of nothing leaves no bit, whatever it is shifted by.
            return Ok(((word << prefix) >> 1 >> (63 - payload), payload));
        }
        // A place of its own, for one that is lent out cannot stay in a register.
        let mut place = *at;
        let varbit = self.varbit_checked(&mut place, name, signed)?;
        *at = place;
        Ok(varbit)
    }

    /// Some variable-width signed integers, one behind the other; moves `at` past them.
    #[inline(always)]
    pub(super) fn varbit_ints<const N: usize>(
        &self,
        at: &mut u64,
        names: [&'static str; N],
    ) -> Result<[i64; N], DecodeError> {
        let mut values = [0; N];
        if let Some(word) = self.word(*at) {
            let (mut rest, mut used) = (word, 0);
            for value in &mut values {
                let (prefix, payload) = varbit_widths(rest).unwrap_or((64, 0));
                *value = half_open((rest << (prefix & 63)) >> 1 >> (63 - payload), (1 << payload) - 1);
                used += prefix + payload;
                rest = rest.unbounded_shl(u32::try_from(prefix + payload).unwrap_or(u32::MAX));
            }
            // As many bits as a word has at any place.
            if used <= PEEK_BITS {
                *at += used;
                return Ok(values);
            }
        }
        for (value, name) in values.iter_mut().zip(names) {
            *value = self.varbit_int(at, name)?;
        }
        Ok(values)
    }

    #[cold]
    #[inline(never)]
    fn varbit_checked(
        &self,
        at: &mut u64,
        name: &'static str,
        signed: bool,
    ) -> Result<(u64, u64), DecodeError> {
        let (word, left) = self.rest(*at);
        if let Some((prefix, payload)) = varbit_widths(word)
            && prefix + payload <= left
        {
            *at += prefix + payload;
            return Ok(((word << prefix) >> 1 >> (63 - payload), payload));
        }
        let start = *at;
        let payload = match self.take_ones(at, 8, name)? {
            0 => 0,
            1 => 3,
            2 => 6,
            3 => 9,
            4 => 12,
            5 => 18,
            6 => 25,
            7 => 56,
            _ => 64,
        };
        let raw = self.take(at, payload, name)?;
        let value = match signed {
            true => FieldValue::Signed(signed_varbit(raw, payload)),
            false => FieldValue::Unsigned(raw),
        };
        self.note(name, start, *at, value);
        Ok((raw, payload))
    }

    /// Checks that `width` bits follow `at`.
    pub(super) fn require(&self, at: u64, width: u64, name: &'static str) -> Result<(), DecodeError> {
        if width > self.end().saturating_sub(at) {
            return Err(self.truncated(at, width, name));
        }
        Ok(())
    }

    /// File offset of the byte that holds bit `at`.
    pub(super) fn place(&self, at: u64) -> u64 {
        self.offset.saturating_add(at >> 3)
    }

    fn truncated(&self, at: u64, width: u64, field: &'static str) -> DecodeError {
        let left = (self.data.len() as u64).saturating_sub(at >> 3);
        let needed = (at & 7).saturating_add(width).div_ceil(8);
        DecodeError { offset: self.place(at), kind: DecodeErrorKind::Truncated { field, needed, left } }
    }
}

/// The unsigned LEB128 that `bytes` begin with and its bits, when 8 bytes are there and it takes no more.
#[inline(always)]
fn short_uvarint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0;
    for (group, byte) in bytes.first_chunk::<8>()?.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * group);
        if *byte < 0x80 {
            return Some((value, 8 * (group as u64 + 1)));
        }
    }
    None
}

/// Bits of `window` from bit `at` on, at the top of a word; its lowest 7 bits may miss. `at` is below 64.
#[inline(always)]
pub(super) fn peek(window: &Window, at: u64) -> u64 {
    word(window, at).0 << (at & 7)
}

/// The 64 bits of `window` from bit `at` on. `at` is below 64.
#[inline(always)]
pub(super) fn peek_long(window: &Window, at: u64) -> u64 {
    let (word, next) = word(window, at);
    // Shifted by 8 the byte after the word is gone: right for a field that begins with its byte.
    (word << (at & 7)) | (u64::from(next) >> (8 - (at & 7)))
}

/// The variable-width signed integer at bit `at` of `window` and its width; `None` for the widest two classes.
#[inline(always)]
pub(super) fn peek_varbit_int(window: &Window, at: u64) -> Option<(i64, u64)> {
    let bits = peek(window, at);
    let (prefix, payload) = varbit_widths(bits)?;
    Some((half_open(bits >> (64 - prefix - payload), (1 << payload) - 1), prefix + payload))
}

/// Prefix and payload of the variable-width integer that `bits` begin with; `None` for the widest two classes.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "seven bits are below 128")]
pub(super) const fn varbit_widths(bits: u64) -> Option<(u64, u64)> {
    match VARBIT_WIDTHS[(bits >> 57) as usize] {
        (0, _) => None,
        (prefix, payload) => Some((prefix as u64, payload as u64)),
    }
}

/// Prefix and payload by the first seven bits.
static VARBIT_WIDTHS: [(u8, u8); 128] = varbit_width_table();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn varbit_width_table() -> [(u8, u8); 128] {
    const CLASSES: [(u8, u8); 8] = [(1, 0), (2, 3), (3, 6), (4, 9), (5, 12), (6, 18), (7, 25), (0, 0)];
    let mut table = [(0, 0); 128];
    let mut bits = 0;
    while bits < table.len() {
        table[bits] = CLASSES[((bits as u64) << 57).leading_ones() as usize];
        bits += 1;
    }
    table
}

#[inline(always)]
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the first byte is masked to 0..=7, and 9 bytes from 7 on end with the window"
)]
fn word(window: &Window, at: u64) -> (u64, u8) {
    let byte = (at as usize >> 3) & 7;
    let mut word = [0; 8];
    word.copy_from_slice(&window[byte..byte + 8]);
    (u64::from_be_bytes(word), window[byte + 8])
}

/// The payload of a variable-width integer as a signed one.
#[inline(always)]
fn signed_varbit(raw: u64, payload: u64) -> i64 {
    if payload == 64 { raw.cast_signed() } else { half_open(raw, (1 << payload) - 1) }
}

/// `raw` as the reference signs most of its classes: the largest half of `mask + 1` values is negative, but for
/// the middle, which is positive. `mask` has a bit for each of the class' bits; above them `raw` may hold anything.
#[inline(always)]
pub(super) const fn half_open(raw: u64, mask: u64) -> i64 {
    let shift = mask >> 1;
    (raw.wrapping_add(shift) & mask).wrapping_sub(shift).cast_signed()
}

/// `raw` as two's complement of as many bits as `mask` has; above them `raw` may hold anything.
#[inline(always)]
pub(super) fn twos_complement(raw: u64, mask: u64) -> i64 {
    let shift = mask.wrapping_add(1) >> 1;
    (raw.wrapping_add(shift) & mask).wrapping_sub(shift).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_width_at_every_bit_match_a_bit_by_bit_reader() {
        let data: Vec<u8> = (0u32..40).map(|i| (i * 0x9d + 7).to_be_bytes()[3] ^ 0x5a).collect();
        let bits = Bits::new(&data, 0);
        for at in 0..bits.end() {
            for width in 0..=64.min(bits.end() - at) {
                let slow = (at..at + width).fold(0u64, |value, bit| {
                    let byte = data[usize::try_from(bit / 8).unwrap()];
                    value << 1 | u64::from(byte >> (7 - bit % 8) & 1)
                });
                let mut place = at;
                assert_eq!(bits.field(&mut place, width, "field"), Ok(slow), "{width} bits at {at}");
                assert_eq!(place, at + width);
            }
        }
    }

    #[test]
    fn field_past_the_end_reports_bytes_and_file_offset() {
        let bits = Bits::new(&[0xff; 3], 0x40);
        let error = bits.field(&mut 13, 14, "value").unwrap_err();
        assert_eq!(error.to_string(), "value needs 3 bytes, 2 left at offset 0x41");
    }

    #[test]
    fn signs_at_the_edges_of_a_class() {
        for (raw, half, twos) in [(0, 0, 0), (3, 3, 3), (4, 4, -4), (5, -3, -3), (7, -1, -1)] {
            assert_eq!(half_open(raw, 7), half);
            assert_eq!(half_open(raw | 0xf8, 7), half);
            assert_eq!(twos_complement(raw, 7), twos);
        }
        assert_eq!((half_open(u64::MAX, 0), twos_complement(u64::MAX, 0)), (0, 0));
    }

    #[test]
    fn varint_of_more_than_64_bits_is_an_error() {
        let bits = Bits::new(&[0xff; 12], 0x40);
        for at in [8, 11] {
            let error = bits.uvarint(&mut at.clone(), "delta").unwrap_err();
            assert_eq!(error.to_string(), "delta is a varint of more than 64 bits at offset 0x41");
        }
    }

    #[test]
    fn varint_reads_alike_at_every_bit() {
        let value = 0x1234_5678_9abc_u64;
        for at in 0..16 {
            let groups =
                (0..7).map(|group| (value >> (7 * group) & 0x7f | if group < 6 { 0x80 } else { 0 }, 8));
            let mut stream = 0u128;
            for (byte, width) in groups {
                stream = stream << width | u128::from(byte);
            }
            let bytes = (stream << (128 - 56 - at)).to_be_bytes();
            let mut place = at;
            assert_eq!(Bits::new(&bytes, 0).uvarint(&mut place, "n"), Ok(value));
            assert_eq!(place, at + 56);
        }
    }
}
