//! A cursor over big-endian fields that knows its place in the file.
//!
//! Checked on every read: that the bytes are there. Nothing is allocated.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::trace::{FieldValue, Trace};

/// Reads big-endian fields of one section and knows its place in the file.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    offset: u64,
    trace: Option<&'a Trace>,
}

impl<'a> Cursor<'a> {
    /// A cursor over `bytes`, whose first byte stands at `offset` of its file.
    pub fn new(bytes: &'a [u8], offset: u64) -> Self {
        Self { rest: bytes, offset, trace: None }
    }

    /// Notes every field read from here on in `trace`.
    #[must_use]
    pub fn traced(self, trace: Option<&'a Trace>) -> Self {
        Self { trace, ..self }
    }

    /// Notes the field from `start` to here.
    #[inline]
    fn note(&self, name: &'static str, start: u64, value: FieldValue) {
        if let Some(trace) = self.trace {
            trace.note(name, start, 0, self.offset.saturating_sub(start).saturating_mul(8), value);
        }
    }

    /// File offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True when all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated(field, N as u64));
        };
        (self.rest, self.offset) = (rest, self.offset + N as u64);
        Ok(*head)
    }

    /// The next `len` bytes; `len` may come from the file.
    pub fn bytes(&mut self, field: &'static str, len: u64) -> Result<&'a [u8], DecodeError> {
        let start = self.offset;
        let bytes = self.take(field, len)?;
        self.note(field, start, FieldValue::Bytes);
        Ok(bytes)
    }

    /// The next `len` bytes, whose fields are read by another cursor.
    pub(crate) fn take(&mut self, field: &'static str, len: u64) -> Result<&'a [u8], DecodeError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let Some((head, rest)) = split else {
            return Err(self.truncated(field, len));
        };
        (self.rest, self.offset) = (rest, self.offset + len);
        Ok(head)
    }

    /// Notes a checksum that began at `start`; false without a trace.
    pub(crate) fn note_checksum(&self, start: u64, stored: u32, computed: u32) -> bool {
        self.note("checksum", start, FieldValue::Checksum { stored, computed });
        self.trace.is_some()
    }

    /// Leaves off all but the next `len` bytes.
    pub(crate) fn shorten(&mut self, len: usize) {
        self.rest = self.rest.get(..len).unwrap_or(self.rest);
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let start = self.offset;
        let [byte] = self.array(field)?;
        self.note(field, start, FieldValue::Unsigned(byte.into()));
        Ok(byte)
    }

    /// A big-endian `u16`.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        let start = self.offset;
        let value = self.array(field).map(u16::from_be_bytes)?;
        self.note(field, start, FieldValue::Unsigned(value.into()));
        Ok(value)
    }

    /// A big-endian `u32`.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let start = self.offset;
        let value = self.array(field).map(u32::from_be_bytes)?;
        self.note(field, start, FieldValue::Unsigned(value.into()));
        Ok(value)
    }

    /// A big-endian `u64`.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let start = self.offset;
        let value = self.array(field).map(u64::from_be_bytes)?;
        self.note(field, start, FieldValue::Unsigned(value));
        Ok(value)
    }

    /// An unsigned LEB128 of at most 64 bits; non-minimal forms are accepted, as the reference does.
    #[inline]
    pub fn uvarint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let start = self.offset;
        let value = self.take_uvarint(field)?;
        self.note(field, start, FieldValue::Unsigned(value));
        Ok(value)
    }

    #[inline]
    fn take_uvarint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        // Nearly all counts, lengths and symbols of an index take one byte or two.
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                (self.rest, self.offset) = (rest, self.offset + 1);
                Ok(byte.into())
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                (self.rest, self.offset) = (rest, self.offset + 2);
                Ok(u64::from(low & 0x7f) | (u64::from(high) << 7))
            }
            _ => self.long_uvarint(field),
        }
    }

    fn long_uvarint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && byte > 1 {
                return Err(DecodeError {
                    offset: self.offset,
                    kind: DecodeErrorKind::VarintOverflow { field },
                });
            }
            value |= bits << (7 * at);
            if byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                self.offset += at as u64 + 1;
                return Ok(value);
            }
        }
        if self.rest.len() >= 10 {
            return Err(DecodeError { offset: self.offset, kind: DecodeErrorKind::VarintOverflow { field } });
        }
        Err(self.truncated(field, self.rest.len() as u64 + 1))
    }

    /// A zig-zag varint.
    pub fn varint(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let start = self.offset;
        let raw = self.take_uvarint(field)?;
        let value = (raw >> 1).cast_signed() ^ -((raw & 1).cast_signed());
        self.note(field, start, FieldValue::Signed(value));
        Ok(value)
    }

    /// A string: its length as uvarint, then its bytes.
    pub fn str(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let start = self.offset;
        let len = self.take_uvarint(field)?;
        let text = self.take(field, len)?;
        self.note(field, start, FieldValue::Bytes);
        Ok(text)
    }

    /// The number that a kind of file begins with.
    pub fn magic(&mut self, field: &'static str, expected: u32) -> Result<(), DecodeError> {
        let offset = self.offset;
        let found = self.u32(field)?;
        if found == expected {
            return Ok(());
        }
        Err(DecodeError { offset, kind: DecodeErrorKind::Magic { field, found, expected } })
    }

    /// The error for a field that asks for `needed` bytes at the current place.
    pub fn truncated(&self, field: &'static str, needed: u64) -> DecodeError {
        let left = self.rest.len() as u64;
        DecodeError { offset: self.offset, kind: DecodeErrorKind::Truncated { field, needed, left } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_field_reports_its_name_and_file_offset() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4, 5], 0x40);
        assert_eq!(cursor.u16("version"), Ok(0x0102));
        let error = cursor.u32("symbols").unwrap_err();
        assert_eq!(error.to_string(), "symbols needs 4 bytes, 3 left at offset 0x42");
    }

    #[test]
    fn varints_of_every_length_round_trip() {
        for shift in 0..64 {
            let value = u64::MAX >> shift;
            let mut bytes = Vec::new();
            let mut left = value;
            while left >= 0x80 {
                bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
                left >>= 7;
            }
            bytes.push(u8::try_from(left).unwrap());
            let mut cursor = Cursor::new(&bytes, 0);
            assert_eq!(cursor.uvarint("n"), Ok(value));
            assert!(cursor.is_empty());
            for cut in 0..bytes.len() {
                assert!(Cursor::new(&bytes[..cut], 0).uvarint("n").is_err());
            }
        }
        assert!(Cursor::new(&[0xff; 11], 0).uvarint("n").is_err());
        assert!(
            Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], 0).uvarint("n").is_err()
        );
        assert_eq!(Cursor::new(&[3], 0).varint("n"), Ok(-2));
    }
}
