//! Tests of the head's decoders against what the reference wrote.

mod chunks;
mod damage;
mod data_directories;
mod records;
mod segments;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::testing::{file, vector};

use crate::error::DecodeError;
use crate::head::{RawRecord, SegmentReader};

/// Offsets and payloads of a segment, and the error it ends with.
fn read_all(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, Option<DecodeError>) {
    let mut reader = SegmentReader::new(bytes);
    let mut records = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(RawRecord { offset, payload })) => records.push((offset, payload.to_vec())),
            Ok(None) => return (records, None),
            Err(error) => {
                assert_eq!(reader.next_record(), Ok(None), "an error is the end");
                return (records, Some(error));
            }
        }
    }
}

/// The files of a data directory, those of its blocks left out.
fn head_files(vector_name: &str) -> BTreeMap<String, Bytes> {
    let vector = vector(vector_name);
    let files = vector["files"].as_object().unwrap().iter();
    let of_head = files.filter(|(path, _)| path.starts_with(['w', 'c']));
    of_head.map(|(path, entry)| (path.clone(), Bytes::from(file(entry)))).collect()
}

const DATA_DIRECTORIES: [&str; 3] = ["datadir_plain.json", "datadir_memsnap.json", "datadir_st_xor2.json"];

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// The bits of a double, written `0x…`.
fn bits(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}
