//! Encodings of page bodies, as the Parquet format defines them in `Encodings.md`.
//!
//! ```text
//! levels    length u32 │ runs                                     nullable columns: 1 = a value, 0 = null
//! indices   bit width u8 │ runs                                   RLE_DICTIONARY
//! run       varint (rows << 1) │ value, 1 to 4 bytes              the RLE half of the hybrid encoding
//! packed    varint (groups << 1 | 1) │ 8 values of some bits each …   the bit-packed half
//! PLAIN     value, 8 bytes   or   length u32 │ bytes
//! BSS       first bytes of all values │ second bytes │ … │ eighth bytes
//! DELTA     128 │ 4 │ count │ first value │ block …
//! block     smallest delta │ 4 bit widths │ 4 miniblocks of 32 deltas, less the smallest, bit-packed
//! ```
//! Rows come in runs of a series, so runs are all that their levels and indices need. The bounds of buckets, which
//! change from one to the next, are packed.

/// Appends an unsigned LEB128 number.
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

#[expect(clippy::cast_possible_truncation, reason = "the low byte is what is asked for")]
fn low_byte(value: u64) -> u8 {
    value as u8
}

fn push_zigzag(out: &mut Vec<u8>, value: i64) {
    push_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Joins equal neighbours into runs and appends them.
pub(super) struct RunWriter {
    width_bytes: usize,
    value: u32,
    rows: u64,
}

impl RunWriter {
    /// Runs of values of so many bits.
    pub(super) fn new(bit_width: u32) -> Self {
        Self { width_bytes: bit_width.div_ceil(8) as usize, value: 0, rows: 0 }
    }

    /// Adds rows of a value.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, value: u32, rows: u64) {
        if value != self.value {
            self.flush(out);
            self.value = value;
        }
        self.rows += rows;
    }

    /// Appends the last run.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        if self.rows > 0 {
            push_varint(out, self.rows << 1);
            out.extend(self.value.to_le_bytes().iter().take(self.width_bytes));
            self.rows = 0;
        }
    }
}

/// Bits that hold every index of a dictionary; at least one, since not every reader takes zero.
pub(super) fn index_bit_width(entries: usize) -> u32 {
    match entries {
        0..=2 => 1,
        _ => (entries - 1).ilog2() + 1,
    }
}

/// Appends the definition levels of a page, given as runs of rows with and without a value.
pub(super) fn push_levels(out: &mut Vec<u8>, runs: impl Iterator<Item = (bool, u64)>) {
    push_level_runs(out, 1, runs.map(|(defined, rows)| (u32::from(defined), rows)));
}

/// Appends levels of so many bits, given as runs.
pub(super) fn push_level_runs(out: &mut Vec<u8>, bit_width: u32, runs: impl Iterator<Item = (u32, u64)>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut levels = RunWriter::new(bit_width);
    for (level, entries) in runs {
        levels.push(out, level, entries);
    }
    levels.flush(out);
    // Two bytes at least per run of at least one row, and a page has fewer rows than 2^32 / 16.
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&len.to_le_bytes());
    }
}

/// Appends indices of so many bits as one packed run.
pub(super) fn push_packed(out: &mut Vec<u8>, bit_width: u32, indices: &[u32]) {
    const GROUP: usize = 8;
    push_varint(out, (indices.len().div_ceil(GROUP) as u64) << 1 | 1);
    for indices in indices.chunks(MINIBLOCK) {
        let mut block = [0; MINIBLOCK];
        for (place, &index) in block.iter_mut().zip(indices) {
            *place = index.into();
        }
        push_bit_packed(out, &block, bit_width);
        // Of the last block only groups that are begun are written.
        out.truncate(out.len() - (MINIBLOCK - indices.len()) / GROUP * bit_width as usize);
    }
}

/// Appends a byte array as PLAIN.
pub(super) fn push_plain_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Longer than 4 GiB never gets here: labels end there, and a page is refused at 2 GiB.
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends 8-byte values as PLAIN.
pub(super) fn push_plain<T: Copy>(out: &mut Vec<u8>, values: &[T], to_le_bytes: impl Fn(T) -> [u8; 8]) {
    let start = out.len();
    out.resize(start + values.len() * 8, 0);
    let (places, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<8>();
    for (place, &value) in places.iter_mut().zip(values) {
        *place = to_le_bytes(value);
    }
}

/// Appends doubles as BYTE_STREAM_SPLIT.
pub(super) fn push_byte_stream_split(out: &mut Vec<u8>, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    let start = out.len();
    out.resize(start + values.len() * 8, 0);
    let mut streams = out.get_mut(start..).unwrap_or_default().chunks_exact_mut(values.len());
    // The chunks are exactly eight, as the buffer was sized just above.
    let mut streams: [&mut [u8]; 8] = std::array::from_fn(|_| streams.next().unwrap_or_default());
    let (groups, rest) = values.as_chunks::<8>();
    for (at, group) in groups.iter().enumerate() {
        let columns = transpose(group.map(f64::to_bits));
        for (stream, column) in streams.iter_mut().zip(columns) {
            if let Some(place) = stream.get_mut(at * 8..at * 8 + 8) {
                place.copy_from_slice(&column.to_le_bytes());
            }
        }
    }
    for (at, value) in rest.iter().enumerate() {
        for (stream, byte) in streams.iter_mut().zip(value.to_le_bytes()) {
            if let Some(place) = stream.get_mut(groups.len() * 8 + at) {
                *place = byte;
            }
        }
    }
}

/// Transposes 8 × 8 bytes: swaps halves, then quarters, then bytes across the diagonal.
#[inline]
fn transpose(rows: [u64; 8]) -> [u64; 8] {
    const PAIRS: u64 = 0x0000_ffff_0000_ffff;
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    const HALVES: u64 = 0x0000_0000_ffff_ffff;
    fn swap(a: u64, b: u64, shift: u32, mask: u64) -> (u64, u64) {
        ((a & mask) | ((b & mask) << shift), ((a >> shift) & mask) | (b & !mask))
    }
    let [a, b, c, d, e, f, g, h] = rows;
    let (a, e) = swap(a, e, 32, HALVES);
    let (b, f) = swap(b, f, 32, HALVES);
    let (c, g) = swap(c, g, 32, HALVES);
    let (d, h) = swap(d, h, 32, HALVES);
    let (a, c) = swap(a, c, 16, PAIRS);
    let (b, d) = swap(b, d, 16, PAIRS);
    let (e, g) = swap(e, g, 16, PAIRS);
    let (f, h) = swap(f, h, 16, PAIRS);
    let (a, b) = swap(a, b, 8, BYTES);
    let (c, d) = swap(c, d, 8, BYTES);
    let (e, f) = swap(e, f, 8, BYTES);
    let (g, h) = swap(g, h, 8, BYTES);
    [a, b, c, d, e, f, g, h]
}

/// Deltas per block and per miniblock of DELTA_BINARY_PACKED: the smallest that the format allows, since every
/// change of series spoils a block.
const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Appends integers as DELTA_BINARY_PACKED.
pub(super) fn push_delta_binary_packed(out: &mut Vec<u8>, values: &[i64]) {
    push_varint(out, BLOCK as u64);
    push_varint(out, (BLOCK / MINIBLOCK) as u64);
    push_varint(out, values.len() as u64);
    let (&first, rest) = values.split_first().unwrap_or((&0, &[]));
    push_zigzag(out, first);
    let mut before = first;
    for block in rest.chunks(BLOCK) {
        let mut deltas = [0i64; BLOCK];
        let mut smallest = i64::MAX;
        for (delta, &value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(before);
            smallest = smallest.min(*delta);
            before = value;
        }
        push_delta_block(out, &deltas, block.len(), smallest);
    }
}

fn push_delta_block(out: &mut Vec<u8>, deltas: &[i64; BLOCK], count: usize, smallest: i64) {
    push_zigzag(out, smallest);
    let mut above = [0u64; BLOCK];
    for (above, &delta) in above.iter_mut().zip(deltas).take(count) {
        *above = delta.wrapping_sub(smallest).cast_unsigned();
    }
    let (miniblocks, _) = above.as_chunks::<MINIBLOCK>();
    let widths =
        miniblocks.iter().map(|miniblock| bit_width(miniblock.iter().fold(0, |all, &one| all | one)));
    out.extend(widths.clone().map(|width| low_byte(u64::from(width))));
    for (miniblock, width) in miniblocks.iter().zip(widths) {
        push_bit_packed(out, miniblock, width);
    }
}

fn bit_width(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Appends 32 values of `width` bits each, the lowest bits first: 4 × `width` bytes.
fn push_bit_packed(out: &mut Vec<u8>, values: &[u64; MINIBLOCK], width: u32) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0u64, 0);
    for &value in values {
        word |= value << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            word = if filled == 0 { 0 } else { value >> (width - filled) };
        }
    }
    // 32 widths are a multiple of 32 bits: half a word is left, or nothing.
    if filled > 0 {
        out.extend(word.to_le_bytes().iter().take(4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_stream_split_transposes_any_count_of_values() {
        for count in [0, 1, 7, 8, 9, 64, 100] {
            let values: Vec<f64> = (0..count)
                .map(|i| f64::from_bits(0x0102_0304_0506_0708u64.wrapping_mul(i as u64 * 77 + 1)))
                .collect();
            let mut out = vec![9];
            push_byte_stream_split(&mut out, &values);
            assert_eq!(out.len(), 1 + count * 8);
            for (at, value) in values.iter().enumerate() {
                let bytes: [u8; 8] = std::array::from_fn(|byte| out[1 + byte * count + at]);
                assert_eq!(f64::from_le_bytes(bytes).to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn equal_neighbours_become_one_run() {
        let mut out = Vec::new();
        push_levels(&mut out, [(true, 3), (true, 97), (false, 1), (true, 200)].into_iter());
        assert_eq!(out, [8, 0, 0, 0, 0xc8, 1, 1, 2, 0, 0x90, 3, 1]);
    }

    #[test]
    fn packed_indices_end_with_the_group_that_is_begun() {
        let packed = |count: u32| {
            let mut out = Vec::new();
            push_packed(&mut out, 3, &(0..count).map(|at| at % 8).collect::<Vec<_>>());
            out
        };
        // The example of the format: 0 to 7 in three bits each.
        let group = [0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert_eq!(packed(8), [&[3][..], &group].concat());
        assert_eq!(packed(9), [&[5][..], &group, &[0, 0, 0]].concat());
        assert_eq!(packed(40), [&[11][..], &group.repeat(5)].concat());
        assert_eq!(packed(65).len(), 1 + 9 * 3);
        assert_eq!(packed(0), [1]);
    }

    #[test]
    fn indices_take_the_bits_that_their_dictionary_needs() {
        for (entries, bits) in
            [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9), (65_537, 17)]
        {
            assert_eq!(index_bit_width(entries), bits, "{entries}");
        }
    }

    #[test]
    fn every_bit_width_packs_low_bits_first() {
        for width in 1..=64u32 {
            let mask = u64::MAX >> (64 - width);
            let values: [u64; MINIBLOCK] =
                std::array::from_fn(|i| (i as u64 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask);
            let mut out = Vec::new();
            push_bit_packed(&mut out, &values, width);
            assert_eq!(out.len(), 4 * width as usize);
            for (at, &value) in values.iter().enumerate() {
                let bits = at * width as usize..(at + 1) * width as usize;
                let read =
                    bits.rev().fold(0u64, |read, bit| read << 1 | u64::from(out[bit / 8] >> (bit % 8) & 1));
                assert_eq!(read, value, "width {width}, value {at}");
            }
        }
    }
}
