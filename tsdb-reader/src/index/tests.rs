//! Whole indexes: what the reference wrote comes back, and nothing else gets through.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::checksum::crc32c;
use crate::error::Error;
use crate::refs::SeriesRef;
use crate::source::Source;
use crate::testing;

fn open(bytes: &[u8]) -> Result<Index, Error> {
    Index::open(testing::index_only(bytes.to_vec()))
}

/// Reads everything an index has.
fn read_all(bytes: &[u8]) -> Result<Vec<Series>, Error> {
    let index = open(bytes)?;
    let scanned = index.scan_series()?.collect::<Result<Vec<_>, _>>()?;
    for name in index.label_names()? {
        for (_, offset) in index.label_values(name)? {
            index.read_postings(offset)?;
            index.postings_len(offset)?;
        }
    }
    let mut series = Series::new();
    for series_ref in index.all_postings()? {
        index.series(series_ref, &mut series)?;
    }
    Ok(scanned)
}

fn series(expected: &Value) -> Series {
    let mut series = Series { series_ref: SeriesRef(expected["ref"].as_u64().unwrap()), ..Series::default() };
    for pair in expected["labels"].as_array().unwrap() {
        series.labels.push(pair[0].as_str().unwrap().as_bytes(), pair[1].as_str().unwrap().as_bytes());
    }
    for chunk in expected["chunks"].as_array().unwrap() {
        series.chunks.push(ChunkMeta {
            min_time_ms: chunk["mint"].as_i64().unwrap(),
            max_time_ms: chunk["maxt"].as_i64().unwrap(),
            chunk_ref: crate::ChunkRef(chunk["ref"].as_u64().unwrap()),
        });
        let chunk_ref = series.chunks.last().unwrap().chunk_ref;
        assert_eq!(chunk["segment_index"], chunk_ref.segment_position());
        assert_eq!(chunk["segment_offset"], chunk_ref.offset());
    }
    series
}

/// Index files of the vectors, and what they hold.
fn vectors() -> Vec<(&'static str, Vec<u8>, Value)> {
    let whole = ["block_minimal.json", "block_rich.json"]
        .map(|name| (name, testing::block_file(name, "index"), testing::vector(name)["index"].clone()));
    let alone = ["index_v1.json", "index_v2_legacy.json"].map(|name| {
        let vector = testing::vector(name);
        (name, testing::unhex(vector["hex"].as_str().unwrap()), vector["index"].clone())
    });
    whole.into_iter().chain(alone).collect()
}

#[test]
fn indexes_of_the_reference_give_their_series_symbols_and_postings() {
    for (name, bytes, expected) in vectors() {
        let index = open(&bytes).unwrap();
        assert_eq!(expected["version"], index.version(), "{name}");
        assert_eq!(index.size_bytes(), bytes.len() as u64);
        let all: Vec<_> = expected["series"].as_array().unwrap().iter().map(series).collect();
        assert_eq!(read_all(&bytes).unwrap(), all, "{name}");
        let refs: Vec<_> = all.iter().map(|series| series.series_ref).collect();
        assert!(index.all_postings().unwrap().eq(refs), "{name}");

        let symbols = index.symbols().unwrap().iter().map(|(_, text)| String::from_utf8_lossy(text));
        assert!(
            symbols.eq(expected["symbols"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()))
        );

        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut found = Vec::new();
        for name in index.label_names().unwrap() {
            for (value, offset) in index.label_values(name).unwrap() {
                let refs: Vec<u64> = index.read_postings(offset).unwrap().map(|at| at.0).collect();
                assert_eq!(index.postings_len(offset).unwrap() as usize, refs.len());
                found.push((text(name), text(value), refs));
            }
        }
        let expected: Vec<_> = expected["postings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|list| {
                let refs = list["series_refs"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap());
                let string = |key: &str| list[key].as_str().unwrap().to_owned();
                (string("name"), string("value"), refs.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn damaged_indexes_are_refused_as_recommended() {
    for case in testing::malformed("index") {
        let result = read_all(&case.bytes);
        assert_eq!(result.is_ok(), case.accept, "{}: {result:?}", case.name);
    }
}

#[test]
fn truncation_at_every_length_is_an_error() {
    for (name, bytes, _) in vectors() {
        for cut in 0..bytes.len() {
            assert!(open(&bytes[..cut]).is_err(), "{name} cut to {cut}");
        }
    }
}

#[test]
fn flipped_bits_are_an_error_or_change_nothing() {
    for (name, bytes, _) in vectors() {
        if name == "block_rich.json" {
            continue; // Nothing that the small ones do not have, and much longer.
        }
        let whole = read_all(&bytes).unwrap();
        let mut unnoticed = 0;
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = read_all(&flipped) {
                assert_eq!(read, whole, "{name} bit {bit}");
                unnoticed += 1;
            }
        }
        // Padding, legacy sections, and the version byte from 2 to 3.
        assert!(unnoticed < bytes.len() * 8 / 2, "{name}: {unnoticed}");
    }
}

#[test]
fn body_of_version_2_under_version_byte_1_is_known_by_itself() {
    for (name, mut bytes, expected) in vectors() {
        bytes[4] = 1;
        let all: Vec<_> = expected["series"].as_array().unwrap().iter().map(series).collect();
        assert_eq!(read_all(&bytes).unwrap(), all, "{name}");
    }
}

#[test]
fn series_refs_that_lead_nowhere_are_errors() {
    for (name, bytes, _) in vectors() {
        let index = open(&bytes).unwrap();
        let mut series = Series::new();
        for wrong in [0, 1, 4, bytes.len() as u64, u64::from(u32::MAX), u64::MAX / 16, u64::MAX] {
            assert!(index.series(SeriesRef(wrong), &mut series).is_err(), "{name} {wrong}");
        }
    }
}

#[test]
fn broken_section_fails_when_it_is_used_and_each_time() {
    let mut bytes = testing::block_file("block_minimal.json", "index");
    bytes[20] ^= 1; // A symbol.
    let index = open(&bytes).unwrap();
    for _ in 0..2 {
        assert!(index.symbols().is_err());
        assert!(index.scan_series().is_err());
        assert_eq!(index.label_names().unwrap().count(), 2);
    }
}

#[test]
fn scan_is_over_after_an_error_and_other_series_are_reached_by_their_refs() {
    let mut bytes = testing::block_file("block_minimal.json", "index");
    bytes[55] ^= 1; // In the first of two series.
    let index = open(&bytes).unwrap();
    let mut scan = index.scan_series().unwrap();
    assert!(scan.next().unwrap().is_err());
    assert!(scan.next().is_none());
    assert!(index.series(SeriesRef(5), &mut Series::new()).is_ok());
}

/// Sets a checksum over `from..to` right, wherever it is.
fn sum(bytes: &mut [u8], from: usize, to: usize) {
    let sum = crc32c(&bytes[from..to]);
    bytes[to..to + 4].copy_from_slice(&sum.to_be_bytes());
}

proptest! {
    /// A hostile writer sets its checksums right.
    #[test]
    fn no_bytes_panic_behind_right_checksums(
        changes in proptest::collection::vec((5usize..268, any::<u8>()), 1..6),
        version in 1u8..=3,
    ) {
        let mut bytes = testing::block_file("block_minimal.json", "index");
        bytes[4] = version;
        for (at, value) in changes {
            bytes[at] = value;
        }
        let sums = [(9, 33), (49, 71), (81, 96), (104, 116), (124, 136), (144, 152), (160, 168), (176, 216)];
        for (from, to) in sums {
            sum(&mut bytes, from, to);
        }
        sum(&mut bytes, 220, 268);
        let _ = read_all(&bytes);
        if let Ok(index) = open(&bytes) {
            let matchers = crate::parse_selector("{__name__=~\".+\",job!=\"a\"}").unwrap();
            let _ = index.select(&matchers);
            let _ = index.symbols().map(|symbols| symbols.iter().count());
        }
    }

    #[test]
    fn no_table_of_contents_panics(toc in proptest::array::uniform6(prop_oneof![0u64..300, any::<u64>()])) {
        let mut bytes = testing::block_file("block_minimal.json", "index");
        for (number, start) in toc.iter().enumerate() {
            bytes[220 + number * 8..228 + number * 8].copy_from_slice(&start.to_be_bytes());
        }
        sum(&mut bytes, 220, 268);
        let _ = read_all(&bytes);
    }
}

/// Answers every read with nothing, as a file does that was cut after it was opened.
#[derive(Debug)]
struct Vanishing(Arc<dyn Source>, std::sync::atomic::AtomicUsize);

impl Source for Vanishing {
    fn location(&self) -> String {
        self.0.location()
    }

    fn size(&self, file: crate::source::BlockFile) -> std::io::Result<u64> {
        self.0.size(file)
    }

    fn segments(&self) -> std::io::Result<Vec<u32>> {
        self.0.segments()
    }

    fn read(
        &self,
        file: crate::source::BlockFile,
        ranges: &[std::ops::Range<u64>],
    ) -> std::io::Result<Vec<Bytes>> {
        use std::sync::atomic::Ordering;
        let left = self.1.load(Ordering::Relaxed);
        if left == 0 {
            return Ok(vec![Bytes::new(); ranges.len()]);
        }
        self.1.store(left - 1, Ordering::Relaxed);
        self.0.read(file, ranges)
    }
}

#[test]
fn file_that_is_cut_while_it_is_read_is_an_error() {
    let bytes = testing::block_file("block_minimal.json", "index");
    for reads in 0..6 {
        let source = Vanishing(testing::index_only(bytes.clone()), reads.into());
        let read = Index::open(Arc::new(source)).and_then(|index| {
            let series = index.scan_series()?.collect::<Result<Vec<_>, _>>()?;
            for (_, offset) in index.label_values(b"job")? {
                index.read_postings(offset)?;
            }
            Ok(series)
        });
        assert!(read.is_err(), "after {reads} reads");
    }
}
