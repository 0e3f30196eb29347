//! The payload of a record: no entry takes less than a byte, and an error can be named.
#![no_main]

use fuzz::read_record;
use libfuzzer_sys::fuzz_target;
use tsdb_reader::head::RawRecord;

fuzz_target!(|payload: &[u8]| match read_record(payload) {
    Ok(entries) => assert!(entries <= payload.len()),
    Err(error) => {
        assert!(error.offset <= payload.len() as u64);
        let named = RawRecord { offset: 0, payload }.error("wal/00000000", error);
        assert!(named.to_string().contains("wal/00000000"));
    }
});
