//! Symbols: every label name and value of a block, once.
//!
//! ```text
//! ┌─────────┬───────────┬───────┬───────┬───┬───────┬────────────┐
//! │ len u32 │ count u32 │ str 0 │ str 1 │ … │ str n │ crc32c u32 │   str = length uvarint, bytes
//! └─────────┴───────────┴───────┴───────┴───┴───────┴────────────┘
//!             the checksum covers the `len` bytes from `count` on
//! ```
//! A reference is the number of the string from 0, in index version 1 the file offset of its length.
//!
//! Checked on open: the checksum, that `count` fits `len`, that every string ends inside the section. Not checked:
//! their order, which the reference writer keeps (sorted by bytes) and nothing here needs.
//! Defined in Prometheus' `tsdb/docs/format/index.md`, section Symbol Table.

use bytes::Bytes;

use super::Layout;
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::limits;
use crate::trace::Trace;

/// Names a string of the symbol table; its meaning depends on the index version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolRef(pub u64);

/// The symbol table of an index.
#[derive(Debug)]
pub struct Symbols {
    /// The section from `count` to the last string.
    body: Bytes,
    /// File offset of `body`.
    offset: u64,
    layout: Layout,
    count: usize,
    /// Where in `body` every `stride`th string begins.
    starts: Vec<u32>,
    stride: usize,
}

impl Symbols {
    /// Opens the section whose checksum was verified; `offset` is the file offset of `body`.
    pub(super) fn open(
        body: Bytes,
        offset: u64,
        layout: Layout,
        trace: Option<&Trace>,
    ) -> Result<Self, DecodeError> {
        Self::with_offsets(body, offset, layout, limits::SYMBOL_OFFSETS, trace)
    }

    fn with_offsets(
        body: Bytes,
        offset: u64,
        layout: Layout,
        most_offsets: usize,
        trace: Option<&Trace>,
    ) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(&body, offset).traced(trace);
        let count = cursor.u32("symbol count")?;
        if u64::from(count) > cursor.rest().len() as u64 {
            return Err(cursor.truncated("symbols", count.into()));
        }
        let count = count as usize;
        let stride = count.div_ceil(most_offsets).max(1);
        let mut starts = Vec::with_capacity(count.div_ceil(stride));
        for number in 0..count {
            if number % stride == 0 {
                let start = cursor.offset() - offset;
                // The section's length is a u32, so a place in it is one too.
                let start = u32::try_from(start).map_err(|_| cursor.truncated("symbol", 0))?;
                starts.push(start);
            }
            cursor.str("symbol")?;
        }
        Ok(Self { body, offset, layout, count, starts, stride })
    }

    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without any symbol.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The string that `symbol` names.
    pub fn lookup(&self, symbol: SymbolRef) -> Result<&[u8], DecodeError> {
        self.get(symbol).ok_or_else(|| {
            let expected = match self.layout {
                Layout::V1 => "the offset of a symbol",
                Layout::V2 => "a number below the symbol count",
            };
            DecodeError::invalid(self.offset, "symbol ref", symbol.0, expected)
        })
    }

    /// File offset of the string that `symbol` names.
    pub fn offset(&self, symbol: SymbolRef) -> Option<u64> {
        self.cursor_of(symbol).map(|cursor| cursor.offset())
    }

    pub(super) fn get(&self, symbol: SymbolRef) -> Option<&[u8]> {
        self.cursor_of(symbol)?.str("symbol").ok()
    }

    /// A cursor that stands at the string that `symbol` names.
    fn cursor_of(&self, symbol: SymbolRef) -> Option<Cursor<'_>> {
        match self.layout {
            Layout::V1 => {
                // `count` stands before the first string.
                let start = symbol.0.checked_sub(self.offset).filter(|start| *start >= 4)?;
                self.cursor_at(usize::try_from(start).ok()?)
            }
            Layout::V2 => {
                let number = usize::try_from(symbol.0).ok().filter(|number| *number < self.count)?;
                let start = *self.starts.get(number / self.stride)?;
                let mut cursor = self.cursor_at(start as usize)?;
                for _ in 0..number % self.stride {
                    cursor.str("symbol").ok()?;
                }
                Some(cursor)
            }
        }
    }

    fn cursor_at(&self, start: usize) -> Option<Cursor<'_>> {
        let rest = self.body.get(start..)?;
        Some(Cursor::new(rest, self.offset + start as u64))
    }

    /// All symbols in file order, with the references that name them.
    pub fn iter(&self) -> impl Iterator<Item = (SymbolRef, &[u8])> + '_ {
        let mut cursor = self.cursor_at(4).unwrap_or_else(|| Cursor::new(&[], self.offset));
        (0..self.count as u64).map_while(move |number| {
            let symbol = match self.layout {
                Layout::V1 => SymbolRef(cursor.offset()),
                Layout::V2 => SymbolRef(number),
            };
            cursor.str("symbol").ok().map(|text| (symbol, text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(strings: &[&[u8]]) -> Bytes {
        let mut body = u32::try_from(strings.len()).unwrap().to_be_bytes().to_vec();
        for text in strings {
            body.push(u8::try_from(text.len()).unwrap());
            body.extend_from_slice(text);
        }
        body.into()
    }

    const STRINGS: [&[u8]; 6] = [b"", b"__name__", b"a", b"job", b"\xff\x00", b"up"];

    #[test]
    fn every_symbol_is_found_whatever_the_stride() {
        for most_offsets in 1..=STRINGS.len() {
            let symbols =
                Symbols::with_offsets(section(&STRINGS), 9, Layout::V2, most_offsets, None).unwrap();
            assert!(symbols.starts.len() <= most_offsets);
            for (number, text) in STRINGS.iter().enumerate() {
                assert_eq!(symbols.lookup(SymbolRef(number as u64)), Ok(*text));
            }
            let all: Vec<_> = symbols.iter().map(|(_, text)| text).collect();
            assert_eq!(all, STRINGS);
            let offsets: Vec<_> = symbols.iter().filter_map(|(symbol, _)| symbols.offset(symbol)).collect();
            assert_eq!(offsets, [13, 14, 23, 25, 29, 32]);
            assert_eq!(symbols.offset(SymbolRef(6)), None);
        }
    }

    #[test]
    fn version_1_names_symbols_by_file_offset() {
        let symbols = Symbols::open(section(&STRINGS), 9, Layout::V1, None).unwrap();
        assert_eq!(symbols.lookup(SymbolRef(14)), Ok(&b"__name__"[..]));
        for (symbol, text) in symbols.iter() {
            assert_eq!(symbols.lookup(symbol), Ok(text));
        }
        for outside in [0, 8, 9, 12, 9 + section(&STRINGS).len() as u64, u64::MAX] {
            assert!(symbols.lookup(SymbolRef(outside)).is_err(), "{outside}");
        }
    }

    #[test]
    fn reference_past_the_last_symbol_says_what_was_found() {
        let symbols = Symbols::open(section(&STRINGS), 9, Layout::V2, None).unwrap();
        let error = symbols.lookup(SymbolRef(127)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "symbol ref is 127, expected a number below the symbol count at offset 0x9"
        );
        assert!(symbols.lookup(SymbolRef(u64::MAX)).is_err());
    }

    #[test]
    fn truncation_at_every_length_is_an_error() {
        let body = section(&STRINGS);
        for cut in 0..body.len() {
            assert!(Symbols::open(body.slice(..cut), 9, Layout::V2, None).is_err());
        }
    }

    #[test]
    fn count_larger_than_the_section_allocates_nothing() {
        let error =
            Symbols::open(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0]), 9, Layout::V2, None).unwrap_err();
        assert_eq!(error.to_string(), "symbols needs 4294967295 bytes, 1 left at offset 0xd");
    }
}
