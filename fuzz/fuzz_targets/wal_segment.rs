//! A segment: read as it is, with its checksums mended, and cut short, which gives the beginning of the same records.
#![no_main]

use fuzz::{mend_segment, read_record, read_segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _any_outcome = read_segment(bytes);
    let mended = mend_segment(bytes);
    let (payloads, _) = read_segment(&mended);
    for payload in &payloads {
        let _any_outcome = read_record(payload);
    }
    let (mut beginning, _) = read_segment(&mended[..mended.len() / 2]);
    // Filled up with zeros, what is left of the last one may have a hostile checksum by chance.
    beginning.pop();
    assert!(payloads.starts_with(&beginning));
});
