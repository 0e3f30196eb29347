//! What is built is read back equal by the reader of blocks.

use std::collections::BTreeMap;

use serde_json::Value;
use tsdb_reader::chunks::Chunks;
use tsdb_reader::index::Series;
use tsdb_reader::samples::{
    CounterResetHint, FloatColumns, HistogramColumns, HistogramKind, HistogramLayout, STALE_NAN_BITS,
};
use tsdb_reader::{Block, parse_selector};

use super::*;

/// Time, start time, bits of the value.
type Sample = (i64, i64, u64);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn builder(budget_bytes: usize) -> BlockBuilder {
    BlockBuilder::new(std::env::temp_dir(), budget_bytes)
}

fn sample(&(timestamp_ms, start_timestamp_ms, bits): &Sample) -> FloatSample {
    FloatSample { timestamp_ms, start_timestamp_ms, value: f64::from_bits(bits) }
}

fn ulid(hash: u64) -> Ulid {
    Ulid::from_bytes(u128::from(hash).to_be_bytes())
}

fn open(built: &BuiltBlock) -> Block {
    Block::open(built.source.clone()).unwrap()
}

/// All float samples of a block by the text of their labels, and the encodings of its chunks.
fn floats(block: &Block) -> BTreeMap<String, (Vec<Sample>, Vec<Encoding>)> {
    let chunks = Chunks::open(block.source().clone()).unwrap();
    let mut all = BTreeMap::new();
    let mut series = Series::new();
    for series_ref in block.index().all_postings().unwrap() {
        block.index().series(series_ref, &mut series).unwrap();
        let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
        let mut read = Vec::new();
        chunks.read(&refs, &mut read);
        let (mut samples, mut encodings) = (Vec::new(), Vec::new());
        for (chunk, meta) in read.into_iter().zip(&series.chunks) {
            let (chunk, mut columns) = (chunk.unwrap(), FloatColumns::default());
            chunk.append_to(&mut columns).unwrap();
            assert_eq!(columns.len(), chunk.num_samples().unwrap() as usize);
            assert_eq!(columns.times_ms.first(), Some(&meta.min_time_ms));
            assert_eq!(columns.times_ms.last(), Some(&meta.max_time_ms));
            encodings.push(chunk.encoding());
            for (at, (&time_ms, value)) in columns.times_ms.iter().zip(&columns.values).enumerate() {
                let start_ms = columns.start_times_ms.get(at).copied().unwrap_or_default();
                samples.push((time_ms, start_ms, value.to_bits()));
            }
        }
        all.insert(series.labels.to_string(), (samples, encodings));
    }
    all
}

/// Samples of every kind that the float encodings tell apart, of each series its own.
fn odd_samples(seed: u64) -> Vec<Sample> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut time_ms = -5_000_000i64;
    let mut bits = 1f64.to_bits();
    let mut start_ms = 0;
    let mut samples = Vec::new();
    for _ in 0..500 {
        let steps = [15_000, 15_000, 15_001, 14_990, 15_000 + 9000, 200_000, 1_200_000, 1 << 40];
        time_ms += steps[usize::try_from(random(steps.len() as u64)).unwrap()];
        bits = match random(8) {
            0 | 1 => bits,
            2 => STALE_NAN_BITS,
            3 => 0x7ff8_0000_0000_0001,
            4 => random(u64::MAX),
            5 => (-0f64).to_bits(),
            _ => (f64::from_bits(bits) + 1.0).to_bits(),
        };
        if seed % 2 == 1 && random(40) == 0 {
            start_ms = if random(3) == 0 { 0 } else { time_ms - 1 - random(5000) as i64 };
        }
        samples.push((time_ms, start_ms, bits));
    }
    samples
}

#[test]
fn interleaved_floats_of_many_series_read_back_with_their_bits_in_memory_and_from_a_file() {
    let series: Vec<_> = (0..20).map(odd_samples).collect();
    let built = |budget| {
        let mut builder = builder(budget);
        // Added against label order.
        let ids: Vec<_> = (0..series.len())
            .map(|n| builder.add_series(labels(&[("__name__", "m"), ("n", &format!("{:02}", 99 - n))])))
            .collect();
        for at in 0..500 {
            for (id, samples) in ids.iter().zip(&series) {
                builder.push_float(*id, sample(&samples[at])).unwrap();
            }
        }
        builder.finish(ulid).unwrap().unwrap()
    };
    let (in_memory, from_file) = (built(usize::MAX), built(0));
    assert_eq!(in_memory.ulid, from_file.ulid);
    assert_eq!(in_memory.source.files, from_file.source.files);
    let block = open(&from_file);
    assert_eq!((block.meta().stats.num_samples, block.meta().stats.num_series), (10_000, 20));
    let read = floats(&block);
    for (n, samples) in series.iter().enumerate() {
        let (found, encodings) = &read[&format!("{{__name__=\"m\", n=\"{:02}\"}}", 99 - n)];
        assert_eq!(found, samples);
        let has_starts = samples.iter().any(|sample| sample.1 != 0);
        assert_eq!(encodings.contains(&Encoding::Xor2), has_starts);
    }
    let findings = crate::verify::verify(&block, "here", &mut |finding| panic!("{finding:?}"));
    assert_eq!((findings.samples, findings.findings), (10_000, 0));
}

#[test]
fn postings_of_a_built_index_answer_selectors() {
    let mut builder = builder(1 << 20);
    for (job, metric) in [("a", "up"), ("b", "up"), ("a", "down"), ("é", "")] {
        let series = match metric {
            "" => labels(&[("job", job)]),
            metric => labels(&[("__name__", metric), ("job", job)]),
        };
        let id = builder.add_series(series);
        builder.push_float(id, sample(&(1, 0, 0))).unwrap();
    }
    let without_samples = builder.add_series(labels(&[("__name__", "none")]));
    let block = open(&builder.finish(ulid).unwrap().unwrap());
    let count = |selector: &str| block.index().select(&parse_selector(selector).unwrap()).unwrap().len();
    assert_eq!(count(r#"{job="a"}"#), 2);
    assert_eq!(count(r#"up{job=~"a|b"}"#), 2);
    assert_eq!(count(r#"{__name__="",job="é"}"#), 1);
    assert_eq!(count(r#"none"#), 0);
    assert_eq!(without_samples, SeriesId(4));
}

#[test]
fn a_block_without_samples_is_none() {
    let mut builder = builder(1 << 20);
    let id = builder.add_series(labels(&[("__name__", "up")]));
    builder.push_float(id, sample(&(1, 0, 0))).unwrap();
    builder.forget(id);
    assert!(builder.finish(ulid).unwrap().is_none());
}

#[test]
fn series_with_equal_labels_become_one_and_chunks_are_taken_over_as_they_are() {
    let mut first = builder(1 << 20);
    let id = first.add_series(labels(&[("__name__", "up")]));
    let samples: Vec<Sample> = (0..50).map(|at| (at * 1000, 0, (at as f64).to_bits())).collect();
    samples.iter().for_each(|at| first.push_float(id, sample(at)).unwrap());
    let block = open(&first.finish(ulid).unwrap().unwrap());
    let chunk = Chunks::open(block.source().clone()).unwrap().scan_segment(0).next().unwrap().unwrap().1;

    let mut second = builder(1 << 20);
    let (late, early) = (labels(&[("__name__", "up")]), labels(&[("__name__", "up")]));
    let (late, early) = (second.add_series(late), second.add_series(early));
    second.push_float(late, sample(&(50_000, 0, 7))).unwrap();
    let stored = second.store_chunk(chunk.encoding(), chunk.data(), (0, 49_000)).unwrap().unwrap();
    assert!(second.store_chunk(chunk.encoding(), &chunk.data().slice(..1), (0, 0)).unwrap().is_none());
    second.attach(early, stored).unwrap();
    second.push_float(early, sample(&(49_500, 0, 7))).unwrap();
    second.delete(early, Interval { min_time_ms: 3, max_time_ms: 4 });
    second.delete(late, Interval { min_time_ms: -9, max_time_ms: -5 });
    let block = open(&second.finish(ulid).unwrap().unwrap());
    let read = floats(&block);
    assert_eq!(read.len(), 1);
    let expected: Vec<_> = samples.iter().copied().chain([(49_500, 0, 7), (50_000, 0, 7)]).collect();
    assert_eq!(read["{__name__=\"up\"}"].0, expected);
    let (_, deleted) = block.tombstones().unwrap().iter().next().unwrap();
    assert_eq!(deleted.len(), 2);
}

/// A histogram with all its bits.
type Bits = (i64, i64, u64, u64, u64, HistogramKind, CounterResetHint, HistogramLayout, Vec<u64>);

fn histograms(encoding: Encoding, data: &[u8]) -> HistogramColumns {
    let mut columns = HistogramColumns::default();
    Chunk::new(encoding, data.to_vec().into(), 1, 0).append_histograms_to(&mut columns).unwrap();
    columns
}

fn bits(columns: &HistogramColumns) -> Vec<Bits> {
    let row = |row: HistogramRow<'_>| {
        let times = (row.timestamp_ms, row.start_timestamp_ms);
        let layout = HistogramLayout::clone(row.layout);
        let buckets = row.buckets.to_vec();
        (times.0, times.1, row.sum.to_bits(), row.count, row.zero_count, row.kind, row.hint, layout, buckets)
    };
    (0..columns.len()).map(|at| row(columns.row(at).unwrap())).collect()
}

/// Chunks as the reference writes them: name, encoding, data.
fn reference_chunks(file: &str) -> Vec<(String, Encoding, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tsdb-reader/tests/vectors/");
    let vector: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{path}{file}")).unwrap()).unwrap();
    chunks_of(&vector["cases"])
}

fn chunks_of(chunks: &Value) -> Vec<(String, Encoding, Vec<u8>)> {
    let unhex = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let chunk = |case: &Value| {
        let encoding = Encoding::from_byte(case["encoding"].as_u64().unwrap().try_into().unwrap());
        (case["name"].to_string(), encoding, unhex(case["hex"].as_str().unwrap()))
    };
    chunks.as_array().unwrap().iter().map(chunk).collect()
}

#[test]
fn histogram_chunks_are_byte_for_byte_those_of_the_reference() {
    let mut same = 0;
    for file in
        ["chunks_histogram_st", "chunks_float_histogram", "chunks_float_histogram_st", "chunks_varbit"]
    {
        for (name, encoding, data) in reference_chunks(&format!("{file}.json")) {
            let expected = histograms(encoding, &data);
            let header = if encoding.as_byte() < 5 { data[2] >> 6 } else { data[0] >> 6 };
            let hint = [
                CounterResetHint::Unknown,
                CounterResetHint::NotReset,
                CounterResetHint::Reset,
                CounterResetHint::Gauge,
            ][usize::from(header)];
            let Some(first) = expected.row(0) else { continue };
            // A builder takes no start timestamp into a chunk that began without one.
            if (first.start_timestamp_ms == 0) != expected.start_times_ms.iter().all(|&at| at == 0) {
                continue;
            }
            let mut chunk = HistogramChunk::new(first, hint);
            (1..expected.len()).for_each(|at| chunk.push(expected.row(at).unwrap()));
            let (found, written) = chunk.finish();
            assert_eq!(bits(&histograms(found, written)), bits(&expected), "{file} {name}");
            if found == encoding {
                assert_eq!(written, data, "{file} {name}");
                same += 1;
            }
        }
    }
    assert!(same > 90, "{same}");
}

#[test]
fn histogram_chunks_are_cut_where_the_reference_cuts_them() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../tsdb-reader/tests/vectors/chunks_histogram_cuts.json");
    let vector: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for group in vector["groups"].as_array().unwrap() {
        let name = &group["name"];
        let expected = chunks_of(&group["chunks"]);
        let mut builder = builder(1 << 20);
        let id = builder.add_series(labels(&[("__name__", "m")]));
        for (_, encoding, data) in &expected {
            let rows = histograms(*encoding, data);
            (0..rows.len()).for_each(|at| builder.push_histogram(id, rows.row(at).unwrap()).unwrap());
        }
        let block = open(&builder.finish(ulid).unwrap().unwrap());
        let chunks = Chunks::open(block.source().clone()).unwrap();
        let written: Vec<_> = chunks.scan_segment(0).map(|chunk| chunk.unwrap().1).collect();
        let written: Vec<_> = written.iter().map(|chunk| (chunk.encoding(), chunk.data().to_vec())).collect();
        let expected: Vec<_> = expected.into_iter().map(|(_, encoding, data)| (encoding, data)).collect();
        assert_eq!(written, expected, "{name}");
    }
}
