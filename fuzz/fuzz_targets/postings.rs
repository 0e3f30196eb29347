//! Postings of an index: ascending, and sought as they are walked.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::Index;
use tsdb_reader::index::PostingsOffset;
use tsdb_reader::source::{BlockFile, MemorySource};

fuzz_target!(|input: (u64, Vec<u8>)| {
    let (offset, bytes) = input;
    let source = MemorySource::new().with(BlockFile::Index, Bytes::from(bytes));
    let Ok(index) = Index::open(Arc::new(source)) else { return };
    let all = index.all_postings().ok();
    let at_offset = index.read_postings(PostingsOffset(offset)).ok();
    for postings in all.into_iter().chain(at_offset) {
        let refs: Vec<_> = postings.clone().collect();
        assert!(refs.is_sorted());
        for &target in refs.iter().step_by(1 + refs.len() / 50) {
            assert_eq!(postings.clone().seek(target), Some(target));
        }
    }
});
