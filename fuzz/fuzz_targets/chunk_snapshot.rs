//! A chunk snapshot: a segment of records of its own.
#![no_main]

use fuzz::{mend_segment, read_segment};
use libfuzzer_sys::fuzz_target;
use tsdb_reader::head::SnapshotRecord;
use tsdb_reader::{DecodeError, Labels};

fn read(payload: &[u8]) -> Result<(), DecodeError> {
    let mut labels = Labels::new();
    match SnapshotRecord::open(payload)? {
        SnapshotRecord::Series(series) => {
            if let (_, Some(open)) = series.decode(&mut labels)? {
                let _any_outcome = open.to_chunk().num_samples();
            }
        }
        SnapshotRecord::Tombstones(tombstones) => assert!(tombstones.count() <= payload.len()),
        SnapshotRecord::Exemplars(mut exemplars) => while exemplars.read_next(&mut labels)?.is_some() {},
        SnapshotRecord::Unknown(_) | SnapshotRecord::Empty => {}
    }
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let _any_outcome = read(bytes);
    for payload in read_segment(&mend_segment(bytes)).0 {
        let _any_outcome = read(&payload);
    }
});
