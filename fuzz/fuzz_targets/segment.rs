//! A chunk segment: scanned from front to back, and every float chunk decoded.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::samples::FloatColumns;
use tsdb_reader::source::{BlockFile, MemorySource};
use tsdb_reader::{ChunkRef, Chunks};

fuzz_target!(|bytes: &[u8]| {
    let source = MemorySource::new().with(BlockFile::Segment(1), Bytes::copy_from_slice(bytes));
    let Ok(chunks) = Chunks::open(Arc::new(source)) else { return };
    let mut columns = FloatColumns::default();
    for chunk in chunks.scan_segment(0) {
        let Ok(chunk) = chunk else { break };
        columns.clear();
        let _any_outcome = chunk.append_to(&mut columns);
    }
    let mut read = Vec::new();
    chunks.read(&[ChunkRef::new(0, 8), ChunkRef::new(0, 9), ChunkRef::new(1, 8)], &mut read);
    assert_eq!(read.len(), 3);
});
