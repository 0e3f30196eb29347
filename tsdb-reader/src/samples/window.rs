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

/// Bits before the significant ones at most.
pub(super) const CONTROL_BITS: u64 = 2 + NEW_WINDOW_BITS;

/// The window in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueWindow {
    /// From 1 to 64; [`NO_WINDOW`] before the first window.
    pub(super) significant: u64,
    /// Below 64 but before the first window.
    trailing: u64,
}

/// So many bits that a sample which reuses a window before there is one ends far behind any block.
const NO_WINDOW: u64 = 1 << 62;

impl ValueWindow {
    /// Before the first window.
    pub(super) const NONE: Self = Self { significant: NO_WINDOW, trailing: 64 };

    /// The window that the top bits of `fields` describe; `None` when it does not fit 64 bits.
    #[inline(always)]
    pub(super) fn from_fields(fields: u64) -> Option<Self> {
        Some(Self::from_any_fields(fields)).filter(|window| window.trailing < 64)
    }

    /// As [`ValueWindow::from_fields`]; 64 or more are trailing when it does not fit.
    #[inline(always)]
    fn from_any_fields(fields: u64) -> Self {
        let leading = fields >> 59;
        let significant = ((fields >> 53).wrapping_sub(1) & 63) + 1;
        Self { significant, trailing: 64u64.wrapping_sub(leading + significant) }
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

    /// Reads what XOR a value has with the one before it, by its control bits; moves `at` past it.
    #[inline(always)]
    pub(super) fn read_change(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<u64, DecodeError> {
        let Some((xor, width)) = bits.whole_window(*at).and_then(|bytes| self.peek_change(bytes, *at & 7))
        else {
            // A place of its own, for one that is lent out cannot stay in a register.
            let mut place = *at;
            let xor = self.read_change_checked(bits, &mut place)?;
            *at = place;
            return Ok(xor);
        };
        *at += width;
        Ok(xor)
    }

    /// The XOR whose control bits stand at bit `at` of `bytes`, and how wide all of it is. `None` when its window cannot
    /// be, and then nothing has changed.
    #[inline(always)]
    fn peek_change(&mut self, bytes: &Window, at: u64) -> Option<(u64, u64)> {
        let word = peek(bytes, at);
        if word >> 63 == 0 {
            return Some((0, 1));
        }
        self.peek_xor(word, bytes, at)
    }

    /// As [`ValueWindow::read_change`], of a value that differs: its control bits are the topmost of `fields`, and stand
    /// at bit `at` of `bytes`.
    #[inline(always)]
    pub(super) fn peek_xor(&mut self, fields: u64, bytes: &Window, at: u64) -> Option<(u64, u64)> {
        let new = Self::from_any_fields(fields << 2);
        // No branch predicts which of them it is.
        let (window, control) = if fields >> 62 == 0b11 { (new, CONTROL_BITS) } else { (*self, 2) };
        if window.trailing >= 64 {
            return None;
        }
        *self = window;
        let xor = peek_long(bytes, at + control) >> (64 - window.significant) << window.trailing;
        Some((xor, control + window.significant))
    }

    #[cold]
    #[inline(never)]
    fn read_change_checked(&mut self, bits: &Bits<'_>, at: &mut u64) -> Result<u64, DecodeError> {
        // Behind the end of the data the window has zeros.
        if let Some(bytes) = bits.window(*at).filter(|_| !bits.is_traced()) {
            let mut changed = *self;
            if let Some((xor, width)) = changed.peek_change(&bytes, *at & 7)
                && *at + width <= bits.end()
            {
                *self = changed;
                *at += width;
                return Ok(xor);
            }
        }
        if !bits.flag(at, "value control")? {
            return Ok(0);
        }
        if bits.flag(at, "value control")? {
            *self = Self::read(bits, at)?;
        }
        self.read_xor(bits, at)
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
