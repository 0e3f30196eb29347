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
use super::floats::FloatState;
use super::window::{NEW_WINDOW_BITS, ValueWindow};
use super::{FloatSample, STALE_NAN_BITS};
use crate::error::DecodeError;

/// What the next sample depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor2State {
    at: u64,
    time_ms: i64,
    delta_ms: i64,
    /// Bits of the sample, a stale marker included.
    value: u64,
    /// Bits of the last sample that was none.
    baseline: u64,
    window: ValueWindow,
    start_time_ms: i64,
    start_diff_ms: i64,
    /// The first sample with an ST field, or `u32::MAX`.
    first_start: u32,
    first_start_known: bool,
}

/// What a sample begins with, by its first five bits.
#[derive(Clone, Copy)]
struct Control {
    /// Bits of the code and the change of the delta, when a value code of its own follows; else 0.
    width: u64,
    /// One bit for each of the change of the delta.
    mask: u64,
    /// Where in [`VALUES`] the value code is looked up.
    values: u64,
}

/// The controls. 11110 has an impossible `values`: its 69 bits are read field by field.
const CONTROLS: [Control; 32] = {
    const fn followed(prefix: u64, payload: u64) -> Control {
        Control { width: prefix + payload, mask: (1 << payload) - 1, values: 0 }
    }
    let joint = Control { width: 0, mask: 0, values: 8 };
    let (d13, d20) = (followed(3, 13), followed(4, 20));
    let d64 = Control { width: 0, mask: 0, values: UNUSUAL };
    [
        joint, joint, joint, joint, joint, joint, joint, joint, // 00…
        joint, joint, joint, joint, joint, joint, joint, joint, // 01…
        joint, joint, joint, joint, joint, joint, joint, joint, // 10…
        d13, d13, d13, d13, d20, d20, d64, joint, // 110 │ 1110 │ 11110 │ 11111
    ]
};

const UNUSUAL: u64 = 16;

/// What a value code demands.
#[derive(Clone, Copy)]
struct Value {
    /// Bits of the code.
    width: u64,
    /// All ones when significant bits follow.
    changed: u64,
    /// All ones when they stand in a new window.
    new: u64,
    /// All ones for a stale marker.
    stale: u64,
}

/// The value codes by their first three bits; in the second half those that share a code with the time.
const VALUES: [Value; 16] = {
    let all = u64::MAX;
    let same = Value { width: 1, changed: 0, new: 0, stale: 0 };
    let window = Value { width: 2, changed: all, new: 0, stale: 0 };
    let new = Value { width: 3, changed: all, new: all, stale: 0 };
    let stale = Value { width: 3, changed: 0, new: 0, stale: all };
    let joint_window = Value { width: 3, ..window };
    let joint_stale = Value { width: 5, ..stale };
    [
        same,
        same,
        same,
        same,
        window,
        window,
        new,
        stale, // 0 │ 10 │ 110 │ 111
        same,
        same,
        same,
        same,
        joint_window,
        new,
        joint_stale,
        joint_stale, // 0 │ 100 │ 101 │ 11111
    ]
};

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
            at,
            time_ms: 0,
            delta_ms: 0,
            value: 0,
            baseline: 0,
            window: ValueWindow::NONE,
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

    fn at(&self) -> u64 {
        self.at
    }

    fn may_have_start_times(&self) -> bool {
        self.first_start_known || self.first_start != u32::MAX
    }

    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "five bits index 32 controls; a 16th value code is left out before"
    )]
    fn next_fast(mut self, block: &Block, index: u32) -> Option<Self> {
        let bytes = block.window(self.at);
        let bit = self.at & 7;
        let time = peek(bytes, bit);
        let control = CONTROLS[(time >> 59) as usize];
        // Without a width the shift leaves noise, and the mask takes it away.
        let dod_ms = twos_complement(time >> (64u64.wrapping_sub(control.width) & 63), control.mask);
        // At most 24 of the 57 bits are gone, so the 14 bits before the significant ones are there.
        let value = time << control.width;
        let code = VALUES[((value >> 61 | control.values) & 15) as usize];
        let window = self.window.or_new(code.new != 0, value << 3);
        let lead = control.width + code.width + (NEW_WINDOW_BITS & code.new);
        let xor = window.xor(bytes, bit + lead) & code.changed;
        let at = self.at + lead + (window.significant & code.changed);
        // One branch for unlikely things: the sample ends past the block, its window is not valid, its time is long.
        let past_limit = block.limit().wrapping_sub(at).cast_signed();
        if past_limit | (window.trailing & code.changed).cast_signed() < 0 || control.values == UNUSUAL {
            return None;
        }
        if index >= self.first_start {
            return None;
        }
        self.delta_ms = self.delta_ms.wrapping_add(dod_ms);
        self.time_ms = self.time_ms.wrapping_add(self.delta_ms);
        self.baseline ^= xor;
        self.value = (self.baseline & !code.stale) | (STALE_NAN_BITS & code.stale);
        self.window = window;
        self.at = at;
        Some(self)
    }

    #[cold]
    #[inline(never)]
    fn next_checked(mut self, bits: &Bits<'_>, index: u32) -> Result<Self, DecodeError> {
        let at = &mut self.at;
        let previous_ms = self.time_ms;
        if index == 0 {
            self.time_ms = bits.varint(at, "first timestamp")?;
            self.value = bits.field(at, 64, "first value")?;
            self.baseline = if self.value == STALE_NAN_BITS { 0 } else { self.value };
            if self.first_start_known {
                let diff_ms = bits.varint(at, "first start timestamp")?;
                self.start_time_ms = self.time_ms.wrapping_sub(diff_ms);
            }
            return Ok(self);
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
            self.window = ValueWindow::read(bits, at)?;
        }
        if matches!(change, Change::SameWindow | Change::NewWindow) {
            self.baseline ^= self.window.read_xor(bits, at)?;
        }
        self.value = if change == Change::Stale { STALE_NAN_BITS } else { self.baseline };
        if index >= self.first_start {
            return self.next_start(bits, index, previous_ms);
        }
        Ok(self)
    }
}

impl Xor2State {
    /// Reads the ST field of sample `index`, `previous_ms` being the timestamp of the sample before.
    fn next_start(mut self, bits: &Bits<'_>, index: u32, previous_ms: i64) -> Result<Self, DecodeError> {
        let field_ms = bits.varbit_int(&mut self.at, "start timestamp")?;
        let before_ms = if index == self.first_start { 0 } else { self.start_diff_ms };
        self.start_diff_ms = before_ms.wrapping_add(field_ms);
        self.start_time_ms = previous_ms.wrapping_sub(self.start_diff_ms);
        Ok(self)
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
