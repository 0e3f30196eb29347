#![no_main]

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{ChunkRef, Chunks, Error};

/// One segment.
#[derive(Debug)]
struct Segment(Bytes);

impl Source for Segment {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn size(&self, _: BlockFile) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        Ok(vec![1])
    }

    fn read(&self, _: BlockFile, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
        let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        Ok(ranges.iter().map(|range| self.0.slice(cut(range.start)..cut(range.end))).collect())
    }
}

// A scan and the refs it gives must agree, and no ref may do harm.
fuzz_target!(|data: &[u8]| {
    let chunks = Chunks::open(Arc::new(Segment(Bytes::copy_from_slice(data)))).unwrap();
    let scanned: Vec<_> = chunks.scan_segment(0).filter_map(Result::ok).collect();
    let refs: Vec<_> = scanned.iter().map(|(chunk_ref, _)| *chunk_ref).collect();
    let mut found = Vec::new();
    chunks.read(&refs, &mut found);
    for ((_, scanned), found) in scanned.iter().zip(&found) {
        let found = found.as_ref().unwrap();
        assert_eq!(found.data(), scanned.data());
        let _ = found.num_samples();
    }
    let everywhere: Vec<_> =
        (0..u32::try_from(data.len().min(300)).unwrap()).map(|at| ChunkRef::new(0, at)).collect();
    let mut found: Vec<Result<_, Error>> = Vec::new();
    chunks.read(&everywhere, &mut found);
    assert_eq!(found.len(), everywhere.len());
});
