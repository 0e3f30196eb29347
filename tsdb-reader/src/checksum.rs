//! Checksums: CRC-32C (Castagnoli), stored big-endian, the only one in these formats.

use crate::cursor::Cursor;
use crate::error::{DecodeError, DecodeErrorKind};

/// Bytes of a stored checksum.
pub(crate) const BYTES: usize = size_of::<u32>();

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Reads the checksum at `cursor` and compares it with that of `covered`; returns it. A traced cursor notes both.
pub fn verify(cursor: &mut Cursor<'_>, field: &'static str, covered: &[u8]) -> Result<u32, DecodeError> {
    let offset = cursor.offset();
    let stored = cursor.array(field).map(u32::from_be_bytes)?;
    let computed = crc32c(covered);
    let is_noted = cursor.note_checksum(offset, stored, computed);
    if stored == computed || is_noted {
        Ok(stored)
    } else {
        Err(DecodeError { offset, kind: DecodeErrorKind::Checksum { field, stored, computed } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_usual_digits_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn wrong_checksum_reports_both_values_and_its_offset() {
        let error = verify(&mut Cursor::new(&[0, 0, 0, 1], 9), "toc", b"123456789").unwrap_err();
        assert_eq!(
            error.to_string(),
            "checksum of toc is 0x00000001 in the file, 0xe3069283 over its bytes at offset 0x9"
        );
    }
}
