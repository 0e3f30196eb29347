//! Table of contents: where the sections of an index lie.
//!
//! ```text
//! ┌─────────────┬────────────┬───────────────────┬─────────────────────────┬──────────────┬────────────────────┬────────────┐
//! │ symbols u64 │ series u64 │ label indices u64 │ label indices table u64 │ postings u64 │ postings table u64 │ crc32c u32 │
//! └─────────────┴────────────┴───────────────────┴─────────────────────────┴──────────────┴────────────────────┴────────────┘
//!   the last 52 bytes of the file; file offsets; 0 = section absent; the checksum covers all before it
//! ```
//! Checked: the checksum, and that every section begins before the table of contents does.
//! Defined in Prometheus' `tsdb/docs/format/index.md`, section TOC.

use crate::checksum;
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::trace::Trace;

/// Where the sections of an index lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    /// Symbol table.
    pub symbols: u64,
    /// Series; from version 2 the first entry is at the next multiple of 16.
    pub series: u64,
    /// Label indices, which nothing reads any more. Since Prometheus 3.7 equal to `postings`.
    pub label_indices: u64,
    /// Label offset table, which nothing reads any more. Since Prometheus 3.7 equal to `postings_table`.
    pub label_indices_table: u64,
    /// Postings lists; the first one is at the next multiple of 4.
    pub postings: u64,
    /// Postings offset table.
    pub postings_table: u64,
}

impl Toc {
    /// Bytes at the end of the file.
    pub const LEN: u64 = 52;

    /// Decodes the last 52 bytes of an index, which stand at `offset`.
    pub fn decode(bytes: &[u8], offset: u64) -> Result<Self, DecodeError> {
        Self::decode_traced(bytes, offset, None)
    }

    pub(super) fn decode_traced(
        bytes: &[u8],
        offset: u64,
        trace: Option<&Trace>,
    ) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes, offset).traced(trace);
        let covered = cursor.take("toc", Self::LEN - 4)?;
        checksum::verify(&mut cursor, "toc", covered)?;
        Self::sections(Cursor::new(covered, offset).traced(trace), Err)
    }

    /// As [`Toc::decode`], past damage: what is wrong, and where the sections lie if that can be believed. Offsets
    /// behind the table are cut to where it begins.
    pub(super) fn decode_damaged(bytes: &[u8], offset: u64) -> (Option<Self>, Vec<DecodeError>) {
        let mut cursor = Cursor::new(bytes, offset);
        let covered = match cursor.take("toc", Self::LEN - 4) {
            Ok(covered) => covered,
            Err(error) => return (None, vec![error]),
        };
        let mut errors: Vec<_> = checksum::verify(&mut cursor, "toc", covered).err().into_iter().collect();
        let has_checksum = errors.is_empty();
        let mut outside = Vec::new();
        let toc = Self::sections(Cursor::new(covered, offset), |error| {
            outside.push(error);
            Ok(())
        });
        // Where a file was cut stands something else, and hardly a number that small.
        if !has_checksum && outside.len() > 1 {
            return (None, errors);
        }
        errors.append(&mut outside);
        (toc.ok(), errors)
    }

    /// The offsets that `cursor` stands before; `outside` decides about those behind the table.
    fn sections(
        mut cursor: Cursor<'_>,
        mut outside: impl FnMut(DecodeError) -> Result<(), DecodeError>,
    ) -> Result<Self, DecodeError> {
        let offset = cursor.offset();
        let mut section = |field| {
            let at = cursor.offset();
            let start = cursor.u64(field)?;
            if start > offset {
                outside(DecodeError::invalid(at, field, start, "an offset before the toc"))?;
            }
            Ok(start.min(offset))
        };
        Ok(Self {
            symbols: section("toc symbols")?,
            series: section("toc series")?,
            label_indices: section("toc label indices")?,
            label_indices_table: section("toc label indices table")?,
            postings: section("toc postings")?,
            postings_table: section("toc postings table")?,
        })
    }

    /// Where the series section ends: where the next section begins.
    pub fn series_end(&self) -> u64 {
        if self.label_indices == 0 { self.postings } else { self.label_indices }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn bytes() -> Vec<u8> {
        let index = testing::block_file("block_minimal.json", "index");
        index[index.len() - 52..].to_vec()
    }

    #[test]
    fn toc_of_the_reference_decodes() {
        let toc = Toc::decode(&bytes(), 220).unwrap();
        let expected = Toc {
            symbols: 5,
            series: 37,
            label_indices: 100,
            label_indices_table: 172,
            postings: 100,
            postings_table: 172,
        };
        assert_eq!(toc, expected);
        assert_eq!(toc.series_end(), 100);
    }

    #[test]
    fn truncation_and_every_flipped_bit_are_errors() {
        let bytes = bytes();
        for cut in 0..bytes.len() {
            assert!(Toc::decode(&bytes[..cut], 220).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Toc::decode(&flipped, 220).is_err());
        }
    }

    #[test]
    fn damaged_table_is_believed_unless_it_is_none() {
        let sound = bytes();
        assert_eq!(Toc::decode_damaged(&sound, 220), (Toc::decode(&sound, 220).ok(), Vec::new()));
        let mut flipped = sound.clone();
        flipped[8] ^= 0x80; // The series begin behind the file.
        let (toc, errors) = Toc::decode_damaged(&flipped, 220);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert_eq!(toc, Toc::decode(&sound, 220).ok().map(|toc| Toc { series: 220, ..toc }));
        assert_eq!(Toc::decode_damaged(&[0x55; 52], 220).0, None);
        for cut in 0..sound.len() {
            assert_eq!(Toc::decode_damaged(&sound[..cut], 220).1.len(), 1);
        }
    }

    #[test]
    fn section_behind_the_toc_is_named() {
        let error = Toc::decode(&bytes(), 150).unwrap_err();
        assert_eq!(
            error.to_string(),
            "toc label indices table is 172, expected an offset before the toc at offset 0xae"
        );
    }
}
