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

use super::bits::{Bits, Block, half_open, peek};
use super::floats::{FloatState, Place, Step};
use super::window::{NEW_WINDOW_BITS, ValueWindow};
use super::{FloatColumns, FloatSample};
use crate::error::DecodeError;

/// What the next sample depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorState {
    place: Place,
    time_ms: i64,
    delta_ms: i64,
    value: u64,
}

impl FloatState for XorState {
    fn open(bits: &Bits<'_>) -> Result<(u32, Self), DecodeError> {
        let mut at = 0;
        let count = bits.field(&mut at, 16, "number of samples")?;
        let place = Place { at, window: ValueWindow::NONE };
        let state = Self { place, time_ms: 0, delta_ms: 0, value: 0 };
        Ok((u32::try_from(count).unwrap_or(0), state))
    }

    #[inline(always)]
    fn sample(&self) -> FloatSample {
        FloatSample { timestamp_ms: self.time_ms, start_timestamp_ms: 0, value: f64::from_bits(self.value) }
    }

    fn place(&mut self) -> &mut Place {
        &mut self.place
    }

    fn first_start(&self) -> u32 {
        u32::MAX
    }

    fn may_have_start_times(&self) -> bool {
        false
    }

    #[inline(always)]
    fn step(mut place: Place, block: &Block) -> Option<Step> {
        let bytes = block.window(place.at)?;
        let bit = place.at & 7;
        let time = peek(bytes, bit);
        // Whether the delta changes, and then the value, is a matter of chance: no branch may depend on it. A
        // change of more than 8 seconds and a new window are rare.
        let top = time >> 48;
        let (width_less_1, dod_ms) = if top < 0b11 << 14 {
            let late = time.cast_signed() >> 63;
            (late.cast_unsigned() & 15, half_open(top, (1 << 14) - 1) & late)
        } else {
            match time >> 60 {
                0b1100 | 0b1101 => (19, half_open(time >> 44, (1 << 17) - 1)),
                0b1110 => (23, half_open(time >> 40, (1 << 20) - 1)),
                _ => return None,
            }
        };
        // At most 24 of the 57 bits are gone, so the 13 bits before the significant ones are there.
        let value = (time << 1) << width_less_1;
        let mut control_less_1 = 1;
        if value >> 62 == 0b11 {
            control_less_1 += NEW_WINDOW_BITS;
            place.window = ValueWindow::from_fields(value << 2)?;
        }
        let changed = (value.cast_signed() >> 63).cast_unsigned();
        let xor = place.window.xor(bytes, bit + width_less_1 + control_less_1 + 2);
        place.at =
            (place.at + 2 + width_less_1).wrapping_add((control_less_1 + place.window.significant) & changed);
        Some(Step { next: place, dod_ms, xor: xor & changed })
    }

    fn apply(&mut self, dods_ms: &[i64], xors: &[u64], columns: &mut FloatColumns) {
        let Self { mut time_ms, mut delta_ms, mut value, .. } = *self;
        columns.times_ms.extend(dods_ms.iter().map(|dod_ms| {
            delta_ms = delta_ms.wrapping_add(*dod_ms);
            time_ms = time_ms.wrapping_add(delta_ms);
            time_ms
        }));
        columns.values.extend(xors.iter().map(|xor| {
            value ^= xor;
            f64::from_bits(value)
        }));
        *self = Self { time_ms, delta_ms, value, ..*self };
    }

    fn apply_start(&mut self, _index: u32, _previous_ms: i64, _field_ms: Option<i64>) -> i64 {
        0
    }

    #[cold]
    #[inline(never)]
    fn next_checked(&mut self, bits: &Bits<'_>, index: u32) -> Result<(), DecodeError> {
        let Place { at, window } = &mut self.place;
        match index {
            0 => {
                self.time_ms = bits.varint(at, "first timestamp")?;
                self.value = bits.field(at, 64, "first value")?;
                return Ok(());
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
        self.value ^= window.read_change(bits, at)?;
        Ok(())
    }
}
