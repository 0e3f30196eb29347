//! Start timestamps of histogram chunks: a field behind each sample, from the first sample on whose own differs.
//!
//! ```text
//! header byte   K 1 bit │ C 7 bits
//! sample 0      varint t₀ − st₀                          when K is set
//! sample ≥ C    varbit_int: change of tᵢ₋₁ − stᵢ         when C is not 0; the first one is the difference itself
//! ```
//! Times wrap, as in the reference. Defined in Prometheus' `tsdb/chunkenc/st.go`.

use super::super::bits::Bits;
use crate::error::DecodeError;

/// Where start timestamps stand, and the last one.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartTimes {
    first_known: bool,
    /// The first sample with a field of its own, or `u32::MAX`.
    first_change: u32,
    time_ms: i64,
    diff_ms: i64,
}

impl StartTimes {
    /// Of encodings without any.
    pub(super) const NONE: Self = Self { first_known: false, first_change: u32::MAX, time_ms: 0, diff_ms: 0 };

    /// Reads the header byte; moves `at` past it.
    pub(super) fn open(bits: &Bits<'_>, at: &mut u64) -> Result<Self, DecodeError> {
        const NAME: &str = "start timestamp header";
        let first_known = bits.flag(at, NAME)?;
        let first_change = match bits.field(at, 7, NAME)? {
            0 => u32::MAX,
            index => u32::try_from(index).unwrap_or(u32::MAX),
        };
        Ok(Self { first_known, first_change, ..Self::NONE })
    }

    /// The start timestamp of sample `index` at `time_ms`, the one before it at `previous_ms`. Moves `at` past its
    /// field, if it has one.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        bits: &Bits<'_>,
        at: &mut u64,
        index: u32,
        time_ms: i64,
        previous_ms: i64,
    ) -> Result<i64, DecodeError> {
        if index == 0 && self.first_known {
            self.time_ms = time_ms.wrapping_sub(bits.varint(at, "first start timestamp")?);
        } else if index >= self.first_change {
            let field_ms = bits.varbit_int(at, "start timestamp")?;
            self.diff_ms = self.diff_ms.wrapping_add(field_ms);
            self.time_ms = previous_ms.wrapping_sub(self.diff_ms);
        }
        Ok(self.time_ms)
    }
}
