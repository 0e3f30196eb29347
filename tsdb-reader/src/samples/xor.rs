//! XOR: the float encoding of Prometheus 2 and the default of 3.
//!
//! ```text
//! ┌───────────┬───────────┬────────────┬────────────┬────────┬────────┬────────┬───┬─────┐
//! │ count u16 │ t₀ varint │ v₀ 64 bits │ Δ₁ uvarint │ value₁ │ time₂  │ value₂ │ … │ pad │
//! └───────────┴───────────┴────────────┴────────────┴────────┴────────┴────────┴───┴─────┘
//!  time  = 0 │ 10 14 bits │ 110 17 bits │ 1110 20 bits │ 1111 64 bits       change of the delta
//!  value = 0 │ 10 significant bits │ 11 new window, significant bits        XOR with the value before
//! ```
//! Checked: that every sample lies within the data, and its window. What follows the last sample is ignored.
//! Times wrap, as in the reference. Any input may fail, none may panic.
//! Defined in Prometheus' `tsdb/docs/format/chunks.md`, section XOR chunk data, and `tsdb/chunkenc/xor.go`.

use std::hint::select_unpredictable;

use super::FloatSample;
use super::bits::{Bits, Block, half_open, peek};
use super::floats::FloatState;
use super::window::{NEW_WINDOW_BITS, ValueWindow};
use crate::error::DecodeError;

/// What the next sample depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorState {
    at: u64,
    time_ms: i64,
    delta_ms: i64,
    value: u64,
    window: ValueWindow,
}

/// A class of time fields, by the prefix it begins with.
#[derive(Clone, Copy)]
struct Class {
    /// Prefix and payload.
    width: u64,
    /// One bit for each of the payload.
    mask: u64,
}

/// The classes by the first four bits. 1111 has no width: its 68 bits are read field by field.
const CLASSES: [Class; 16] = {
    const fn class(prefix: u64, payload: u64) -> Class {
        Class { width: prefix + payload, mask: (1 << payload) - 1 }
    }
    let (same, d14, d17, d20) = (class(1, 0), class(2, 14), class(3, 17), class(4, 20));
    let d64 = Class { width: 0, mask: 0 };
    [same, same, same, same, same, same, same, same, d14, d14, d14, d14, d17, d17, d20, d64]
};

impl FloatState for XorState {
    fn open(bits: &Bits<'_>) -> Result<(u32, Self), DecodeError> {
        let mut at = 0;
        let count = bits.field(&mut at, 16, "number of samples")?;
        let state = Self { at, time_ms: 0, delta_ms: 0, value: 0, window: ValueWindow::NONE };
        Ok((u32::try_from(count).unwrap_or(0), state))
    }

    #[inline(always)]
    fn sample(&self) -> FloatSample {
        FloatSample { timestamp_ms: self.time_ms, start_timestamp_ms: 0, value: f64::from_bits(self.value) }
    }

    fn at(&self) -> u64 {
        self.at
    }

    fn may_have_start_times(&self) -> bool {
        false
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "four bits index sixteen classes")]
    fn next_fast(self, block: &Block, _index: u32) -> Option<Self> {
        let bytes = block.window(self.at);
        let bit = self.at & 7;
        let time = peek(bytes, bit);
        let Class { width, mask } = CLASSES[(time >> 60) as usize];
        let dod_ms = half_open(time >> (64u64.wrapping_sub(width) & 63), mask);
        // At most 24 of the 57 bits are gone, so the 13 bits before the significant ones are there.
        let value = time << width;
        let changed = value.cast_signed() >> 63;
        let is_new = value >= 0b11 << 62;
        let window = self.window.or_new(is_new, value << 2);
        let control = select_unpredictable(is_new, 2 + NEW_WINDOW_BITS, 2);
        let lead = bit + width + control;
        let xor = window.xor(bytes, lead) & changed.cast_unsigned();
        let at = self.at + width + select_unpredictable(changed < 0, control + window.significant, 1);
        // One branch for unlikely things: the sample ends past the block, its window is not valid, its time is long.
        let past_limit = block.limit().wrapping_sub(at).cast_signed();
        if past_limit | (window.trailing.cast_signed() & changed) < 0 || width == 0 {
            return None;
        }
        let delta_ms = self.delta_ms.wrapping_add(dod_ms);
        Some(Self {
            at,
            time_ms: self.time_ms.wrapping_add(delta_ms),
            delta_ms,
            value: self.value ^ xor,
            window,
        })
    }

    #[cold]
    #[inline(never)]
    fn next_checked(mut self, bits: &Bits<'_>, index: u32) -> Result<Self, DecodeError> {
        let at = &mut self.at;
        match index {
            0 => {
                self.time_ms = bits.varint(at, "first timestamp")?;
                self.value = bits.field(at, 64, "first value")?;
                return Ok(self);
            }
            1 => self.delta_ms = bits.uvarint(at, "timestamp delta")?.cast_signed(),
            _ => {
                const NAME: &str = "change of timestamp delta";
                let payload = match bits.ones(at, 4, NAME)? {
                    0 => 0,
                    1 => 14,
                    2 => 17,
                    3 => 20,
                    _ => 64,
                };
                let raw = bits.field(at, payload, NAME)?;
                let dod_ms =
                    if payload == 64 { raw.cast_signed() } else { half_open(raw, (1 << payload) - 1) };
                self.delta_ms = self.delta_ms.wrapping_add(dod_ms);
            }
        }
        self.time_ms = self.time_ms.wrapping_add(self.delta_ms);
        if bits.flag(at, "value control")? {
            if bits.flag(at, "value control")? {
                self.window = ValueWindow::read(bits, at)?;
            }
            self.value ^= self.window.read_xor(bits, at)?;
        }
        Ok(self)
    }
}
