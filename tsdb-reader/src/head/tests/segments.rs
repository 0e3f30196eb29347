//! Segment files, plain and compressed, sound and damaged.

use serde_json::Value;

use super::read_all;
use crate::checksum;
use crate::error::DecodeErrorKind;
use crate::head::SegmentReader;
use crate::head::files::{breaks, numbered};
use crate::limits::RECORD_BYTES;
use crate::testing::{file, unhex, vector};

#[test]
fn records_of_plain_and_compressed_segments_are_those_written() {
    let vector = vector("wal_segments.json");
    for case in vector["cases"].as_array().unwrap() {
        let name = &case["compression"];
        let mut found = Vec::new();
        for entry in case["files"].as_object().unwrap().values() {
            let (records, error) = read_all(&file(entry));
            assert_eq!(error, None, "{name}");
            found.extend(records.into_iter().map(|(_, payload)| payload));
        }
        let expected = case["records"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            match &expected["hex"] {
                Value::String(hex) => assert_eq!(*found, unhex(hex), "{name}"),
                // Long ones are given by their checksum.
                _ => {
                    let checksum = format!("{:#010x}", checksum::crc32c(found));
                    assert_eq!((found.len() as u64, &checksum[..]), fingerprint(expected), "{name}");
                }
            }
        }
    }
}

fn fingerprint(record: &Value) -> (u64, &str) {
    (record["len"].as_u64().unwrap(), record["crc32c"].as_str().unwrap())
}

#[test]
fn damaged_segments_are_refused_as_the_reference_does() {
    let vector = vector("malformed.json");
    let mut seen = 0;
    for case in vector["cases"].as_array().unwrap().iter().filter(|case| case["file"] == "wal") {
        let name = case["name"].as_str().unwrap();
        let mut records = Vec::new();
        let mut error = None;
        for segment in case["segments"].as_array().unwrap() {
            let (found, end) = read_all(&file(segment));
            records.extend(found);
            error = error.or(end);
        }
        assert_eq!(records.len() as u64, case["records_before"].as_u64().unwrap(), "{name}");
        let torn = matches!(name, "torn_header" | "torn_payload" | "only_first_fragment");
        assert_eq!(error.as_ref().is_some_and(|error| error.is_torn()), torn, "{name}: {error:?}");
        let in_record = records.iter().find_map(|(_, payload)| super::records::entries(payload).1);
        let accept = case["recommended"] == "accept";
        assert_eq!(error.is_none() && in_record.is_none(), accept, "{name}: {error:?} {in_record:?}");
        seen += 1;
    }
    assert!(seen > 20);
    for case in vector["cases"].as_array().unwrap().iter().filter(|case| case["file"] == "wal directory") {
        let names: Vec<_> =
            case["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        assert_eq!(breaks(&numbered("wal", &names)).count(), 1);
    }
}

fn fragment(kind: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&[kind][..], &len, &checksum::crc32c(data).to_be_bytes(), data].concat()
}

#[test]
fn log_of_an_old_server_is_refused_with_what_to_do() {
    let (_, error) = read_all(&[0x43, 0xaf, 0x00, 0xef, 1, 0, 0, 0]);
    let error = error.unwrap();
    assert!(error.is_foreign());
    assert!(error.to_string().contains("2.3 or older"), "{error}");
}

#[test]
fn record_goes_on_behind_the_padding_of_a_page() {
    let mut bytes = fragment(1, &[9; 32_768 - 7 - 7 - 3]);
    bytes.extend(fragment(2, b""));
    bytes.extend([0; 3]);
    assert_eq!(bytes.len(), 32_768);
    bytes.extend(fragment(3, b"ab"));
    bytes.extend(fragment(4, b"c"));
    bytes.extend(fragment(1, b""));
    bytes.extend(fragment(0xe1, b"d"));
    let (records, error) = read_all(&bytes);
    assert_eq!(error, None);
    let payloads: Vec<_> = records[1..].iter().map(|(offset, payload)| (*offset, &payload[..])).collect();
    assert_eq!(payloads, [(32_758, &b"abc"[..]), (32_785, b""), (32_792, b"d")]);
}

#[test]
fn zeros_that_a_cut_took_from_a_record_are_put_back() {
    let mut bytes = fragment(1, b"record 1");
    bytes.extend(fragment(1, b"ends in zeros\0\0\0"));
    for cut in 0..4 {
        let (records, error) = read_all(&bytes[..bytes.len() - cut]);
        assert_eq!((records.len(), error), (2, None), "{cut} bytes cut");
        assert_eq!(records[1].1, b"ends in zeros\0\0\0");
    }
    assert!(read_all(&bytes[..bytes.len() - 4]).1.unwrap().is_torn());
}

#[test]
fn length_beyond_the_last_page_is_corruption_and_not_a_torn_write() {
    let mut bytes = fragment(1, b"data");
    bytes[1] = 0x7f;
    bytes.resize(32_768, 0);
    let (_, error) = read_all(&bytes);
    assert!(!error.unwrap().is_torn());
}

#[test]
fn record_that_claims_to_be_huge_is_refused_before_anything_is_allocated() {
    let kind = |flag: u8, data: &[u8]| read_all(&fragment(1 | flag, data)).1.unwrap().kind;
    // A snappy block of 4 GiB - 1 in 7 bytes; a zstd frame of 2^62 bytes in 12.
    let snappy = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, b'a'];
    assert!(matches!(kind(1 << 3, &snappy), DecodeErrorKind::Compression { codec: "snappy", .. }));
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    zstd.extend((1u64 << 62).to_le_bytes());
    zstd.extend([0x03, 0, 0, b'a']);
    assert!(matches!(kind(1 << 4, &zstd), DecodeErrorKind::Compression { codec: "zstd", .. }));
    // Blocks of 128 KiB of one byte each, one block more than the limit, with and without their sum in the header.
    let blocks = 1 + RECORD_BYTES / (128 << 10);
    let found = blocks * (128 << 10);
    let [size @ .., 0] = ((128u32 << 10) << 3 | 1 << 1).to_le_bytes() else { unreachable!() };
    let blocks = [&size[..], b"a"].concat().repeat(usize::try_from(blocks).unwrap());
    let sized =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0xc0, 7 << 3][..], &found.to_le_bytes(), &blocks, &[1, 0, 0]].concat();
    let streamed = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3][..], &blocks, &[1, 0, 0]].concat();
    for (data, found) in [(sized, found), (streamed, RECORD_BYTES + 1)] {
        let limit = DecodeErrorKind::Limit { field: "decompressed record", found, limit: RECORD_BYTES };
        assert_eq!(kind(1 << 4, &data), limit);
    }
}

#[test]
fn zstd_frames_of_unknown_size_are_read() {
    let data = zstd::encode_all(&b"a record of some length"[..], 1).unwrap();
    let bytes = [fragment(1 | 1 << 4, &data), fragment(1, b"next")].concat();
    let mut reader = SegmentReader::new(&bytes);
    assert_eq!(reader.next_record().unwrap().unwrap().payload, b"a record of some length");
    assert_eq!(reader.next_record().unwrap().unwrap().payload, b"next");
    assert_eq!(reader.next_record(), Ok(None));
    assert_eq!(reader.offset(), bytes.len() as u64);
}
