//! A whole index: opened, and every list and series in it read. Errors are fine; the two ways of walking agree.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::source::{BlockFile, MemorySource};
use tsdb_reader::{Index, Series};

fuzz_target!(|bytes: &[u8]| {
    let source = MemorySource::new().with(BlockFile::Index, Bytes::copy_from_slice(bytes));
    let Ok(index) = Index::open(Arc::new(source)) else { return };
    if let Ok(names) = index.label_names() {
        for name in names.take(1000) {
            for (value, offset) in index.label_values(name).into_iter().flatten().take(1000) {
                let by_offset = index.read_postings(offset).map(|postings| postings.count()).ok();
                let by_name = index.postings(name, value).map(|postings| postings.map(Iterator::count));
                if let (Some(by_offset), Ok(Some(by_name))) = (by_offset, by_name) {
                    assert_eq!(by_offset, by_name);
                }
            }
        }
    }
    let mut series = Series::new();
    if let Ok(mut scan) = index.scan_series() {
        let mut again = Series::new();
        while let Ok(true) = scan.read_next(&mut series) {
            index.series(series.series_ref, &mut again).expect("what was scanned can be read");
            assert_eq!(series, again);
        }
    }
    for series_ref in index.all_postings().into_iter().flatten() {
        let _any_outcome = index.series(series_ref, &mut series);
    }
});
