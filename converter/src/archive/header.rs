//! The header of a member: one block of 512 bytes before its data.
//!
//! ```text
//!   0 ┌ name 100 ┬ mode, uid, gid 24 ┬ size 12 ┬ mtime 12 ┬ checksum 8 ┬ type 1 ┬ link name 100 ┐ 257
//! 257 ├ magic 8: `ustar\0` `00` (POSIX), `ustar  \0` (GNU), or nothing ┬ owner, device 80 ┬ prefix 155 ┬ 12 ┤ 512
//! ```
//! Numbers are octal text, or big-endian with the first bit set. The checksum is the sum of all bytes, its own field
//! taken as spaces; some old writers summed signed bytes.
//!
//! Checked: the checksum, and that size and checksum are numbers. Defined in POSIX, `pax`, and in the manual of GNU tar.

use tsdb_reader::DecodeError;

/// Size of headers, and what data is padded to.
pub(super) const BLOCK_BYTES: usize = 512;

/// A block of an archive.
pub(super) type Block = [u8; BLOCK_BYTES];

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// The same bytes as an earlier member.
    HardLink,
    SymbolicLink,
    /// A file without its holes; `more` when a block that lists further pieces follows.
    Sparse {
        more: bool,
    },
    /// Name of the next member, by GNU tar.
    LongName,
    /// Link name of the next member, by GNU tar.
    LongLink,
    /// Records about the next member, by POSIX.
    Extended,
    /// Records about all members, devices, what only backups hold, and what is not known.
    Other,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// Bytes of data that follow.
    pub(super) size: u64,
}

impl Header {
    /// Decodes the block at `offset`; none for a block of zeros, which ends an archive.
    pub(super) fn decode(block: &Block, offset: u64) -> Result<Option<Self>, DecodeError> {
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let field = |at: usize, len: usize| block.get(at..at + len).unwrap_or_default();
        check_sum(block, field(148, 8), offset)?;
        let mut name = text(field(0, 100)).to_vec();
        let prefix = text(field(345, 155));
        if field(257, 6) == b"ustar\0" && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let kind = match field(156, 1) {
            b"0" | b"7" | b"\0" if name.ends_with(b"/") => Kind::Folder,
            b"0" | b"7" | b"\0" => Kind::File,
            b"1" => Kind::HardLink,
            b"2" => Kind::SymbolicLink,
            b"5" => Kind::Folder,
            b"L" => Kind::LongName,
            b"K" => Kind::LongLink,
            b"S" => Kind::Sparse { more: field(482, 1) != b"\0" },
            b"x" | b"X" => Kind::Extended,
            _ => Kind::Other,
        };
        // Links, folders, devices and pipes have no data, whatever size old writers gave them.
        let size = match field(156, 1) {
            [b'1'..=b'6'] => 0,
            _ => number(field(124, 12)).ok_or_else(|| {
                DecodeError::invalid(offset + 124, "size in a tar header", 0, "an octal or binary number")
            })?,
        };
        Ok(Some(Self { kind, name, link: text(field(157, 100)).to_vec(), size }))
    }
}

fn check_sum(block: &Block, stored: &[u8], offset: u64) -> Result<(), DecodeError> {
    let (mut unsigned, mut signed) = (0u64, 0i64);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { byte };
        unsigned += u64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    match number(stored) {
        Some(stored) if stored == unsigned || i64::try_from(stored) == Ok(signed) => Ok(()),
        stored => Err(DecodeError::invalid(
            offset + 148,
            "checksum of a tar header",
            stored.unwrap_or_default(),
            "the sum of its bytes",
        )),
    }
}

/// The bytes before the first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Octal text, between spaces and zeros; or a binary number when its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first()? {
        (0x80, rest) => rest
            .iter()
            .try_fold(0u64, |number, &byte| number.checked_mul(256).map(|number| number | u64::from(byte))),
        (0x81.., _) => None, // Negative, or beyond 64 bits.
        _ => {
            let digits = text(field).trim_ascii();
            digits.iter().try_fold(0u64, |number, &byte| match byte {
                b'0'..=b'7' => number.checked_mul(8).map(|number| number | u64::from(byte - b'0')),
                _ => None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::header;

    #[test]
    fn a_header_gives_name_kind_and_size() {
        let block = header("data/index", b'0', 1234);
        let decoded = Header::decode(&block, 0).unwrap().unwrap();
        assert_eq!((decoded.kind, decoded.size), (Kind::File, 1234));
        assert_eq!(decoded.name, b"data/index");
        assert_eq!(Header::decode(&[0; 512], 0), Ok(None));
    }

    #[test]
    fn any_flipped_byte_breaks_the_checksum() {
        let good = header("data/index", b'0', 1234);
        for at in 0..BLOCK_BYTES {
            let mut block = good;
            block[at] ^= 0x01;
            // Behind the six digits of a checksum its field holds what no reader looks at.
            let ignored = (154..156).contains(&at);
            assert!(Header::decode(&block, 512).is_err() || ignored, "byte {at}");
        }
        let mut block = good;
        block[0] ^= 0x01;
        let message = Header::decode(&block, 512).unwrap_err().to_string();
        assert!(message.starts_with("checksum of a tar header is "), "{message}");
        assert!(message.ends_with(" at offset 0x294"), "{message}");
    }

    #[test]
    fn numbers_are_octal_or_binary_and_never_overflow() {
        assert_eq!(number(b"00000002322\0"), Some(1234));
        assert_eq!(number(b"   2322 \0\0\0\0"), Some(1234));
        assert_eq!(number(b"777777777777"), Some((1 << 36) - 1));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x10\0\0\0\0"), Some(1 << 36));
        assert_eq!(number(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"12x"), None);
        assert_eq!(number(b"\0\0\0\0"), Some(0));
    }
}
