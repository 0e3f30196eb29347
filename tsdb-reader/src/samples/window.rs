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

use super::bits::{Bits, PEEK_BITS, Window, peek, peek_long};
use crate::error::DecodeError;

/// Bits of a new window before its significant ones.
pub(super) const NEW_WINDOW_BITS: u64 = 5 + 6;

/// The window in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueWindow {
    /// From 1 to 64; [`NO_WINDOW`] before the first window.
    pub(super) significant: u64,
    /// Below 64.
    trailing: u64,
}

/// So many bits that a sample which reuses a window before there is one ends far behind any block.
const NO_WINDOW: u64 = 1 << 62;

impl ValueWindow {
    /// Before the first window.
    pub(super) const NONE: Self = Self { significant: NO_WINDOW, trailing: 0 };

    /// The window that the top bits of `fields` describe; `None` when it does not fit 64 bits.
    #[inline(always)]
    pub(super) fn from_fields(fields: u64) -> Option<Self> {
        let leading = fields >> 59;
        let significant = ((fields >> 53).wrapping_sub(1) & 63) + 1;
        Some(Self { significant, trailing: 64u64.checked_sub(leading + significant)? })
    }

    /// The XOR whose significant bits stand at bit `at` of `bytes`; noise when there is no window.
    #[inline(always)]
    pub(super) fn xor(self, bytes: &Window, at: u64) -> u64 {
        let bits = if self.significant <= PEEK_BITS { peek(bytes, at) } else { peek_long(bytes, at) };
        (bits >> (64u64.wrapping_sub(self.significant) & 63)) << (self.trailing & 63)
    }

    /// Reads a new window, every field checked; moves `at` past it.
    pub(super) fn read(bits: &Bits<'_>, at: &mut u64) -> Result<Self, DecodeError> {
        let start = *at;
        let fields = bits.field(at, NEW_WINDOW_BITS, "new value window")? << (64 - NEW_WINDOW_BITS);
        Self::from_fields(fields).ok_or_else(|| {
            let found = (fields >> 59) + ((fields >> 53).wrapping_sub(1) & 63) + 1;
            let field = "leading and significant bits of a value";
            DecodeError::invalid(bits.place(start), field, found, "at most 64 bits")
        })
    }

    /// Reads the significant bits of an XOR, checked; moves `at` past them.
    pub(super) fn read_xor(self, bits: &Bits<'_>, at: &mut u64) -> Result<u64, DecodeError> {
        if self.significant == NO_WINDOW {
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
