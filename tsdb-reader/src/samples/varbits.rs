//! Runs of variable-width integers: many short ones at once.
//!
//! ```text
//!  0 │ 10 3 bits │ 110 6 bits │ 1110 9 bits │ 11110 12 bits │ 111110 18 bits │ 1111110 25 bits
//!    │ 11111110 56 bits │ 11111111 64 bits
//!
//!  next bits   0 0 10 011 1 …        the first ten of them are the key of a table, which holds the integers that lie
//!  integers    0 0 3                 within, here three, and where each of them ends
//! ```
//! Buckets of a histogram mostly grow by little, or not at all, so that a key holds some of them; and they come in an
//! order that no branch predicts, so that to read them one by one is slow.
//! Checked: that each integer lies within the data. Defined in Prometheus' `tsdb/chunkenc/varbit.go`.

use super::bits::{Bits, half_open, varbit_widths};
use crate::error::DecodeError;

const KEY_BITS: u64 = 10;

/// Integers of a key at most.
const MOST: usize = 7;

/// Slots that have to be there behind those that are asked for.
pub(super) const SLACK: usize = MOST;

/// What the bits of a key mean.
#[derive(Clone, Copy)]
struct Entry {
    values: [i8; MOST],
    count: u8,
    /// Where each integer ends.
    ends: [u8; MOST],
    /// Where the last one does.
    width: u8,
}

static TABLE: [Entry; 1 << KEY_BITS] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, of numbers below 1024"
)]
const fn table() -> [Entry; 1 << KEY_BITS] {
    let mut table = [Entry { values: [0; MOST], count: 0, ends: [0; MOST], width: 0 }; 1 << KEY_BITS];
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
            entry.ends[count] = at as u8;
            count += 1;
        }
        entry.count = count as u8;
        entry.width = at as u8;
        key += 1;
    }
    table
}

/// Reads `count` integers into the first slots of `into`; moves `at` past them. There are [`SLACK`] more slots, which
/// hold nothing of use behind it.
pub(super) fn read_varbit_ints(
    bits: &Bits<'_>,
    at: &mut u64,
    count: usize,
    into: &mut [i64],
    name: &'static str,
) -> Result<(), DecodeError> {
    let (mut done, mut place) = (0, *at);
    while done < count {
        let word = bits.word_or_rest(place);
        let (found, width) = read_word(word, count - done, into.get_mut(done..).unwrap_or_default());
        done += found;
        place += width;
        if done < count
            && let Some(slot) = into.get_mut(done)
        {
            // Too long for the rest of the word.
            *slot = bits.varbit_int(&mut place, name)?;
            done += 1;
        }
    }
    *at = place;
    Ok(())
}

/// Reads up to `count` integers, as far as they lie in the `left` topmost bits of `word`; tells how many, and how wide
/// they are.
#[inline(always)]
fn read_word((mut word, left): (u64, u64), count: usize, into: &mut [i64]) -> (usize, u64) {
    let (mut done, mut used) = (0, 0);
    while used + KEY_BITS <= left && done < count {
        let key = usize::try_from(word >> (64 - KEY_BITS)).unwrap_or(0);
        let (Some(entry), Some(slots)) = (TABLE.get(key), into.get_mut(done..done + SLACK)) else { break };
        for (slot, value) in slots.iter_mut().zip(entry.values) {
            *slot = value.into();
        }
        let found = usize::from(entry.count);
        let width = if found == 0 {
            let Some((prefix, payload)) = varbit_widths(word) else { break };
            let width = prefix + payload;
            if used + width > left {
                break;
            }
            if let Some(slot) = slots.first_mut() {
                *slot = half_open(word >> (64 - width), (1 << payload) - 1);
            }
            done += 1;
            width
        } else if found <= count - done {
            done += found;
            entry.width.into()
        } else {
            // The last ones are those of another field.
            let width = (count - done).checked_sub(1).and_then(|last| entry.ends.get(last));
            done = count;
            width.copied().unwrap_or(0).into()
        };
        word <<= width;
        used += width;
    }
    (done, used)
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
