//! Windows: the significant bits in which a value differs from the one before it.
//!
//! ```text
//!  value XOR previous    0 0 0 … x x x x x … 0 0
//!                        leading  significant  trailing
//!  new window            leading 5 bits │ significant 6 bits, 0 = 64 │ significant bits
//!  same window           significant bits
//! ```
//! Checked: that leading and significant bits fit 64, and that there is a window before it is used again.
//! Defined in Prometheus' `tsdb/chunkenc/xor.go`, `xorRead`.

use std::hint::select_unpredictable;

use super::bits::{Bits, Window, peek_long};
use crate::error::DecodeError;

/// Bits of a new window before its significant ones.
pub(super) const NEW_WINDOW_BITS: u64 = 5 + 6;

/// The window in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueWindow {
    /// From 1 to 64.
    pub(super) significant: u64,
    /// Above 63 while there is no valid window: its top bit is set then.
    pub(super) trailing: u64,
}

impl ValueWindow {
    /// Before the first window.
    pub(super) const NONE: Self = Self { significant: 1, trailing: u64::MAX };

    /// The window that `fields` begins with: 5 bits of leading zeros, 6 of significant bits.
    #[inline(always)]
    pub(super) fn from_fields(fields: u64) -> Self {
        let leading = fields >> 59;
        let significant = ((fields >> 53).wrapping_sub(1) & 63) + 1;
        Self { significant, trailing: 64u64.wrapping_sub(leading + significant) }
    }

    /// The window that `fields` begins with when `is_new`, else this one; without a branch.
    #[inline(always)]
    pub(super) fn or_new(self, is_new: bool, fields: u64) -> Self {
        let new = Self::from_fields(fields);
        Self {
            significant: select_unpredictable(is_new, new.significant, self.significant),
            trailing: select_unpredictable(is_new, new.trailing, self.trailing),
        }
    }

    /// The XOR whose significant bits stand at bit `at` of `bytes`; noise when the window is not valid.
    #[inline(always)]
    pub(super) fn xor(self, bytes: &Window, at: u64) -> u64 {
        (peek_long(bytes, at) >> (64 - self.significant)) << (self.trailing & 63)
    }

    /// Reads a new window, every field checked; moves `at` past it.
    pub(super) fn read(bits: &Bits<'_>, at: &mut u64) -> Result<Self, DecodeError> {
        let start = *at;
        let fields = bits.field(at, NEW_WINDOW_BITS, "new value window")?;
        let window = Self::from_fields(fields << (64 - NEW_WINDOW_BITS));
        if window.trailing > 63 {
            let found = (fields >> 6) + window.significant;
            let expected = "at most 64 bits";
            return Err(DecodeError::invalid(
                bits.place(start),
                "leading and significant bits of a value",
                found,
                expected,
            ));
        }
        Ok(window)
    }

    /// Reads the significant bits of an XOR, checked; moves `at` past them.
    pub(super) fn read_xor(self, bits: &Bits<'_>, at: &mut u64) -> Result<u64, DecodeError> {
        if self.trailing > 63 {
            return Err(DecodeError::invalid(
                bits.place(*at),
                "value window",
                0,
                "a window before it is reused",
            ));
        }
        Ok(bits.field(at, self.significant, "value bits")? << self.trailing)
    }
}
