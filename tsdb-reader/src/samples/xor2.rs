//! XOR2: XOR with one control code for time and value, cheap stale markers and start timestamps (ST).
//!
//! ```text
//! ┌───────────┬─────────┬─────────┬───────────┬────────────┬───────┬────────────┬────────┬───────┬───┬─────┐
//! │ count u16 │ K 1 bit │ C 7 bits│ t₀ varint │ v₀ 64 bits │ [ST₀] │ Δ₁ uvarint │ value₁ │ [ST₁] │ … │ pad │
//! └───────────┴─────────┴─────────┴───────────┴────────────┴───────┴────────────┴────────┴───────┴───┴─────┘
//!  K: ST₀ is there, a varint t₀ − st₀.  C: the first sample with an ST field, 0 = none.
//!
//!  sample ≥ 2 = 0                     same delta, same value
//!               10 0 bits │ 10 1 new  same delta; the value in the same window, or in a new one
//!               110 13 bits  value    change of the delta, in two's complement
//!               1110 20 bits value
//!               11110 64 bits value
//!               11111                 same delta, stale marker
//!  value      = 0 │ 10 bits │ 110 new window, bits │ 111        same, same window, new window, stale marker
//! ```
//! Values are XORed with the baseline, the last value that was no stale marker. An ST field is the change of the
//! distance from the timestamp before.
//! Checked: that every sample lies within the data, and its window. What follows the last sample is ignored.
//! Times wrap, as in the reference. Any input may fail, none may panic.
//! Defined in Prometheus' `tsdb/docs/format/chunks.md`, section XOR2 chunk data, and `tsdb/chunkenc/xor2.go`.

use super::bits::{Bits, Block, peek, twos_complement};
use super::floats::{FloatState, Place, Step};
use super::window::{NEW_WINDOW_BITS, ValueWindow};
use super::{FloatColumns, FloatSample, STALE_NAN_BITS};
use crate::error::DecodeError;

/// What the next sample depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor2State {
    place: Place,
    time_ms: i64,
    delta_ms: i64,
    /// Bits of the sample, a stale marker included.
    value: u64,
    /// Bits of the last sample that was none.
    baseline: u64,
    start_time_ms: i64,
    start_diff_ms: i64,
    /// The first sample with an ST field, or `u32::MAX`.
    first_start: u32,
    first_start_known: bool,
}

impl FloatState for Xor2State {
    fn open(bits: &Bits<'_>) -> Result<(u32, Self), DecodeError> {
        let mut at = 0;
        let count = bits.field(&mut at, 16, "number of samples")?;
        let first_start_known = bits.flag(&mut at, "start timestamp header")?;
        let first_start = match bits.field(&mut at, 7, "start timestamp header")? {
            0 => u32::MAX,
            index => u32::try_from(index).unwrap_or(u32::MAX),
        };
        let state = Self {
            place: Place { at, window: ValueWindow::NONE },
            time_ms: 0,
            delta_ms: 0,
            value: 0,
            baseline: 0,
            start_time_ms: 0,
            start_diff_ms: 0,
            first_start,
            first_start_known,
        };
        Ok((u32::try_from(count).unwrap_or(0), state))
    }

    #[inline(always)]
    fn sample(&self) -> FloatSample {
        FloatSample {
            timestamp_ms: self.time_ms,
            start_timestamp_ms: self.start_time_ms,
            value: f64::from_bits(self.value),
        }
    }

    fn place(&mut self) -> &mut Place {
        &mut self.place
    }

    fn first_start(&self) -> u32 {
        self.first_start
    }

    fn may_have_start_times(&self) -> bool {
        self.first_start_known || self.first_start != u32::MAX
    }

    #[inline(always)]
    fn step(mut place: Place, block: &Block) -> Option<Step> {
        let bytes = block.window(place.at)?;
        let bit = place.at & 7;
        let time = peek(bytes, bit);
        // Whether the delta changes, and then the value, is a matter of chance: no branch may depend on it. A
        // change of more than 4 seconds, a new window and a stale marker are rare.
        let top = time >> 48;
        let (width, dod_ms, late) = if top < 0b1110 << 12 {
            let late = ((time & (time << 1)).cast_signed() >> 63).cast_unsigned();
            (16 & late, twos_complement(top, (1 << 13) - 1) & late.cast_signed(), late)
        } else if top < 0b1111 << 12 {
            (24, twos_complement(time >> 40, (1 << 20) - 1), u64::MAX)
        } else {
            return None;
        };
        // At most 24 of the 57 bits are gone, so the 14 bits before the significant ones are there.
        let value = time << width;
        let changed = (value.cast_signed() >> 63).cast_unsigned();
        // The same window is 10 behind a changed delta, and 100 as a joint code; one bit more is a new window.
        let mut control = 3u64.wrapping_add(late);
        if (value >> 61) & 1u64.wrapping_sub(late) & changed != 0 {
            if value >= 0b111 << 61 {
                return None;
            }
            control = 3 + NEW_WINDOW_BITS;
            place.window = ValueWindow::from_fields(value << 3)?;
        }
        let xor = place.window.xor(bytes, bit + width + control);
        place.at = (place.at + 1 + width).wrapping_add((control - 1 + place.window.significant) & changed);
        Some(Step { next: place, dod_ms, xor: xor & changed })
    }

    fn apply(&mut self, dods_ms: &[i64], xors: &[u64], columns: &mut FloatColumns) {
        let Self { mut time_ms, mut delta_ms, mut baseline, .. } = *self;
        columns.times_ms.extend(dods_ms.iter().map(|dod_ms| {
            delta_ms = delta_ms.wrapping_add(*dod_ms);
            time_ms = time_ms.wrapping_add(delta_ms);
            time_ms
        }));
        columns.values.extend(xors.iter().map(|xor| {
            baseline ^= xor;
            f64::from_bits(baseline)
        }));
        *self = Self { time_ms, delta_ms, baseline, value: baseline, ..*self };
    }

    fn apply_start(&mut self, index: u32, previous_ms: i64, field_ms: Option<i64>) -> i64 {
        if let Some(field_ms) = field_ms {
            let before_ms = if index == self.first_start { 0 } else { self.start_diff_ms };
            self.start_diff_ms = before_ms.wrapping_add(field_ms);
            self.start_time_ms = previous_ms.wrapping_sub(self.start_diff_ms);
        }
        self.start_time_ms
    }

    #[cold]
    #[inline(never)]
    fn next_checked(&mut self, bits: &Bits<'_>, index: u32) -> Result<(), DecodeError> {
        let Place { at, window } = &mut self.place;
        let previous_ms = self.time_ms;
        if index == 0 {
            self.time_ms = bits.varint(at, "first timestamp")?;
            self.value = bits.field(at, 64, "first value")?;
            self.baseline = if self.value == STALE_NAN_BITS { 0 } else { self.value };
            if self.first_start_known {
                let diff_ms = bits.varint(at, "first start timestamp")?;
                self.start_time_ms = self.time_ms.wrapping_sub(diff_ms);
            }
            return Ok(());
        }
        let mut change = Change::None;
        if index == 1 {
            self.delta_ms = bits.uvarint(at, "timestamp delta")?.cast_signed();
            change = Change::read(bits, at)?;
        } else {
            const NAME: &str = "change of timestamp delta";
            let ones = bits.ones(at, 5, "control code")?;
            let dod_ms = match ones {
                0 => 0,
                1 => {
                    let new = bits.flag(at, "value control")?;
                    change = if new { Change::NewWindow } else { Change::SameWindow };
                    0
                }
                2 => twos_complement(bits.field(at, 13, NAME)?, (1 << 13) - 1),
                3 => twos_complement(bits.field(at, 20, NAME)?, (1 << 20) - 1),
                4 => bits.field(at, 64, NAME)?.cast_signed(),
                _ => {
                    change = Change::Stale;
                    0
                }
            };
            self.delta_ms = self.delta_ms.wrapping_add(dod_ms);
            if matches!(ones, 2..=4) {
                change = Change::read(bits, at)?;
            }
        }
        self.time_ms = self.time_ms.wrapping_add(self.delta_ms);
        if change == Change::NewWindow {
            *window = ValueWindow::read(bits, at)?;
        }
        if matches!(change, Change::SameWindow | Change::NewWindow) {
            self.baseline ^= window.read_xor(bits, at)?;
        }
        self.value = if change == Change::Stale { STALE_NAN_BITS } else { self.baseline };
        if index >= self.first_start {
            let field_ms = bits.varbit_int(at, "start timestamp")?;
            self.apply_start(index, previous_ms, Some(field_ms));
        }
        Ok(())
    }
}

/// What became of the value, read field by field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    SameWindow,
    NewWindow,
    Stale,
}

impl Change {
    fn read(bits: &Bits<'_>, at: &mut u64) -> Result<Self, DecodeError> {
        Ok(match bits.ones(at, 3, "value control")? {
            0 => Self::None,
            1 => Self::SameWindow,
            2 => Self::NewWindow,
            _ => Self::Stale,
        })
    }
}
