//! Runs of variable-width integers: many short ones at once.
//!
//! ```text
//!  0 │ 10 3 bits │ 110 6 bits │ 1110 9 bits │ 11110 12 bits │ 111110 18 bits │ 1111110 25 bits
//!    │ 11111110 56 bits │ 11111111 64 bits
//!
//!  next bits   0 0 10 011 1 …        the first eleven of them are the key of a table, which holds the integers that
//!  integers    0 0 3                 lie within, here three, and where each of them ends
//! ```
//! Buckets of a histogram mostly grow by little, or not at all, so that a key holds some of them; and they come in an
//! order that no branch predicts, so that to read them one by one is slow. A word of the data holds five keys, whatever
//! they are.
//! Checked: that each integer lies within the data. Defined in Prometheus' `tsdb/chunkenc/varbit.go`.

use super::bits::{Bits, half_open, varbit_widths};
use crate::error::DecodeError;

const KEY_BITS: u64 = 11;

/// Integers of a key at most.
const MOST: usize = 6;

/// Slots that have to be there behind those that are asked for.
pub(super) const SLACK: usize = MOST;

/// What the bits of a key mean.
#[derive(Clone, Copy)]
struct Entry {
    values: [i8; MOST],
    /// 0 when the first integer is too long.
    count: u8,
    /// Where the last one ends.
    width: u8,
}

static TABLE: [Entry; 1 << KEY_BITS] = table().0;

/// Where the integers of each key end: from bit 4·i on, the end of the first i of them.
static ENDS: [u32; 1 << KEY_BITS] = table().1;

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, of numbers below 2048"
)]
const fn table() -> ([Entry; 1 << KEY_BITS], [u32; 1 << KEY_BITS]) {
    let mut table = [Entry { values: [0; MOST], count: 0, width: 0 }; 1 << KEY_BITS];
    let mut ends = [0; 1 << KEY_BITS];
    let mut key = 0;
    while key < table.len() {
        let entry = &mut table[key];
        let (mut count, mut at) = (0, 0);
        while count < MOST {
            let rest = ((key as u64) << (64 - KEY_BITS)) << at;
            let Some((prefix, payload)) = varbit_widths(rest) else { break };
            if at + prefix + payload > KEY_BITS {
                break;
            }
            entry.values[count] = half_open(rest >> (64 - prefix - payload), (1 << payload) - 1) as i8;
            at += prefix + payload;
            count += 1;
            ends[key] |= (at as u32) << (4 * count);
        }
        entry.count = count as u8;
        entry.width = at as u8;
        key += 1;
    }
    (table, ends)
}

/// Reads `count` integers into the first slots of `into`; moves `at` past them. There are [`SLACK`] more slots, which
/// hold nothing of use behind it.
#[inline(always)]
pub(super) fn read_varbit_ints(
    bits: &Bits<'_>,
    at: &mut u64,
    count: usize,
    into: &mut [i64],
    name: &'static str,
) -> Result<(), DecodeError> {
    let (mut rest, mut place, mut into) = (count, *at, into);
    while rest > 0 {
        let (mut word, left) = bits.word_or_rest(place);
        // Then the next integer is read by itself.
        let mut is_long = left < KEY_BITS;
        for _ in 0..left / KEY_BITS {
            let key = usize::try_from(word >> (64 - KEY_BITS)).unwrap_or(0);
            let (Some(entry), Some(slots)) = (TABLE.get(key), into.first_chunk_mut()) else {
                is_long = true;
                break;
            };
            *slots = entry.values.map(i64::from);
            let found = usize::from(entry.count);
            if found >= rest {
                // Integers behind the last one are those of other fields.
                let end = ENDS.get(key).map_or(0, |ends| ends >> (4 * rest) & 15);
                *at = place + u64::from(end);
                return Ok(());
            }
            if found == 0 {
                is_long = true;
                break;
            }
            into = into.get_mut(found..).unwrap_or_default();
            rest -= found;
            place += u64::from(entry.width);
            word <<= entry.width & 63;
        }
        if is_long {
            let value = bits.varbit_int(&mut place, name)?;
            let Some((slot, behind)) = into.split_first_mut() else { break };
            *slot = value;
            into = behind;
            rest -= 1;
        }
    }
    *at = place;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::encode::BitWriter;
    use super::*;

    /// Integers of all widths, short ones most of all, in an order of no pattern.
    fn integers() -> Vec<i64> {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let numbers = (0..4000).map(|_| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let wide = [1, 1, 1, 2, 3, 3, 5, 6, 9, 12, 18, 25, 56, 64];
            let width = wide[usize::try_from(random >> 40).unwrap() % wide.len()];
            random.cast_signed() >> (64 - width)
        });
        numbers.collect()
    }

    #[test]
    fn runs_of_any_length_at_any_bit_are_what_was_written() {
        let integers = integers();
        for (start, run) in integers.windows(150).enumerate().step_by(7) {
            let (shift, count) = (start as u64 % 8, start % 150);
            let mut out = BitWriter::default();
            out.bits(0, u32::try_from(shift).unwrap());
            run.iter().for_each(|value| out.varbit_int(*value));
            let bits = Bits::new(&out.bytes, 0);
            let (mut at, mut found) = (shift, vec![0; count + SLACK]);
            read_varbit_ints(&bits, &mut at, count, &mut found, "run").unwrap();
            assert_eq!(found[..count], run[..count]);

            let mut one_by_one = shift;
            for value in &run[..count] {
                assert_eq!(bits.varbit_int(&mut one_by_one, "run"), Ok(*value));
            }
            assert_eq!(at, one_by_one);
        }
    }

    #[test]
    fn run_cut_anywhere_is_an_error() {
        let run = &integers()[..60];
        let mut out = BitWriter::default();
        run.iter().for_each(|value| out.varbit_int(*value));
        for cut in 0..out.bytes.len() {
            let mut found = [0; 60 + SLACK];
            let bits = Bits::new(&out.bytes[..cut], 0x40);
            let error = read_varbit_ints(&bits, &mut 0, 60, &mut found, "run").unwrap_err();
            assert!(error.offset <= 0x40 + cut as u64, "{error}");
        }
    }

    #[test]
    fn integers_side_by_side_are_what_they_are_alone() {
        for values in integers().windows(3).step_by(5) {
            let mut out = BitWriter::default();
            values.iter().for_each(|value| out.varbit_int(*value));
            let bits = Bits::new(&out.bytes, 0);
            let mut at = 0;
            assert_eq!(bits.varbit_ints(&mut at, ["a", "b", "c"]).unwrap()[..], *values);
            assert!(bits.end() - at < 8);
        }
    }
}
