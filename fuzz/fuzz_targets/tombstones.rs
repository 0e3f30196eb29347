//! Tombstones: intervals come out merged and ascending.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb_reader::Tombstones;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tombstones) = Tombstones::decode(bytes) else { return };
    for (series_ref, intervals) in tombstones.iter() {
        assert_eq!(tombstones.intervals(series_ref), intervals);
        assert!(intervals.iter().all(|gone| gone.min_time_ms <= gone.max_time_ms));
        assert!(intervals.is_sorted_by(|a, b| a.max_time_ms < b.min_time_ms));
    }
});
