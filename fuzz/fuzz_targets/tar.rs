//! Archives: any bytes are refused, or give blocks that can be read; packed and plain ones the same.
#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tsdb_converter::archive::ArchiveTree;
use tsdb_converter::discover::{Choice, ReadOptions, discover_in};
use tsdb_converter::store::Stores;
use tsdb_reader::index::Series;

/// Spooled to no disk: what does not fit is refused.
const UNPACK_BYTES: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let read = ReadOptions {
        unpack_limit: UNPACK_BYTES,
        temp_dir: PathBuf::from("/nowhere"),
        include_head: bytes.len() % 2 == 1,
        stores: Stores::default(),
        choice: Choice::default(),
    };
    let Ok(tree) = ArchiveTree::read(&mut &*bytes, "x.tar".to_owned(), &read) else { return };
    let unpacked = tree.unpacked().expect("a stream is unpacked");
    assert!(unpacked.memory_bytes <= UNPACK_BYTES && unpacked.disk_bytes == 0);
    let Ok(found) = discover_in(tree, &read) else { return };
    let mut series = Series::new();
    for found in found.blocks {
        let index = found.block.index();
        let _whatever = found.block.tombstones();
        let Ok(refs) = index.all_postings() else { continue };
        for series_ref in refs.take(100) {
            let _whatever = index.series(series_ref, &mut series);
        }
    }
});
