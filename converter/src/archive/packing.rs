//! What an archive is packed with, by its first bytes: names tell nothing of standard input.

use super::header::{Block, Header};

/// How a tar archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes of a file, up to a block of them; or what they look like instead.
    pub(super) fn of(head: &[u8]) -> Result<Self, &'static str> {
        match head {
            [0x1f, 0x8b, ..] => return Ok(Self::Gzip),
            // A frame, or one that is to be skipped: some parallel compressors begin with those.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Ok(Self::Zstd),
            [] => return Err("is empty"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                return Err("is packed with xz; unpack it with `xz -d` first");
            }
            [b'B', b'Z', b'h', ..] => return Err("is packed with bzip2; unpack it with `bzip2 -d` first"),
            [b'P', b'K', 3 | 5, _, ..] => return Err("is a zip archive"),
            _ => {}
        }
        match Block::try_from(head) {
            Ok(block) if Header::decode(&block, 0).is_ok() => Ok(Self::Plain),
            _ => Err("is a file, and no tar archive"),
        }
    }
}
