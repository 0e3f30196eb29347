//! `meta.json`: what parses keeps its fields when written and parsed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb_reader::BlockMeta;

fuzz_target!(|bytes: &[u8]| {
    let Ok(meta) = BlockMeta::parse(bytes) else { return };
    let json = serde_json::to_vec(&meta).expect("what was parsed can be written");
    let again = BlockMeta::parse(&json).expect("what was written parses");
    assert_eq!(serde_json::to_vec(&again).expect("what was parsed can be written"), json);
});
