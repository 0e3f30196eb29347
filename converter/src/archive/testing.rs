//! Writes archives for tests, good and bad ones.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::header::{BLOCK_BYTES, Block};

/// A header with its checksum; a name of more than 100 bytes is cut.
pub(super) fn header(name: &str, kind: u8, size: u64) -> Block {
    let mut block = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000644\x000000000\x000000000\x00");
    match size < 1 << 33 {
        true => put(124, format!("{size:011o}").as_bytes()),
        false => put(124, &[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat()),
    }
    put(136, b"00000000000");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    sum(&mut block);
    block
}

/// Writes the checksum of a header.
pub(super) fn sum(block: &mut Block) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Tar {
    pub(super) bytes: Vec<u8>,
}

impl Tar {
    /// Adds a member of any kind with its data.
    pub(super) fn member(mut self, name: &str, kind: u8, data: &[u8]) -> Self {
        self.bytes.extend_from_slice(&header(name, kind, data.len() as u64));
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        self
    }

    pub(super) fn file(self, name: &str, data: &[u8]) -> Self {
        if name.len() <= 100 {
            return self.member(name, b'0', data);
        }
        self.member("././@LongLink", b'L', format!("{name}\0").as_bytes()).member(name, b'0', data)
    }

    pub(super) fn folder(self, name: &str) -> Self {
        self.member(&format!("{name}/"), b'5', b"")
    }

    pub(super) fn link(mut self, name: &str, kind: u8, target: &str) -> Self {
        let mut block = header(name, kind, 0);
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        sum(&mut block);
        self.bytes.extend_from_slice(&block);
        self
    }

    /// Adds a folder of a disk with all that is in it, under `name`, in the order of names.
    pub(super) fn tree(mut self, name: &str, folder: &Path) -> Self {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let inner = format!("{name}/{}", entry.file_name().to_str().unwrap());
            self = if entry.path().is_dir() {
                self.folder(&inner).tree(&inner, &entry.path())
            } else {
                self.file(&inner, &fs::read(entry.path()).unwrap())
            };
        }
        self
    }

    /// The archive with its end mark.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2 * BLOCK_BYTES]);
        self.bytes
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
