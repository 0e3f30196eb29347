//! A file of head chunks, as it is and with its checksums mended.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::checksum::crc32c;
use tsdb_reader::head::{HeadChunk, HeadChunks};

fn read(bytes: Vec<u8>) -> Vec<HeadChunk> {
    let chunks = HeadChunks::open(Bytes::from(bytes), 1, true).into_iter().flatten();
    let chunks: Vec<_> = chunks.filter_map(Result::ok).collect();
    assert!(chunks.is_sorted_by(|a, b| a.chunk_ref < b.chunk_ref));
    chunks
}

fuzz_target!(|bytes: &[u8]| {
    let mut mended = bytes.to_vec();
    let mut at = 8;
    // Lengths of one byte or two are those that are written.
    while let Some(&[entry @ .., low, high]) = mended.get(at..).and_then(|rest| rest.first_chunk::<27>()) {
        let (start, len) = match (low, high) {
            (..0x80, _) => (at + 26, usize::from(low)),
            (_, ..0x80) => (at + 27, usize::from(low & 0x7f) | usize::from(high) << 7),
            _ => break,
        };
        let end = start + len;
        if entry[..24] == [0; 24] || end + 4 > mended.len() {
            break;
        }
        let checksum = crc32c(&mended[at..end]);
        mended[end..end + 4].copy_from_slice(&checksum.to_be_bytes());
        at = end + 4;
    }
    let found = read(bytes.to_vec());
    let mended = read(mended);
    assert!(found.len() <= mended.len());
    for chunk in found.iter().chain(&mended) {
        let _any_outcome = chunk.chunk.num_samples();
    }
});
