use bytes::Bytes;
use serde_json::Value;

use super::super::FloatColumns;
use super::super::tests::encode;
use super::*;
use crate::chunks::{Chunk, Encoding};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::samples::HistogramColumns;
use crate::testing::{unhex, vector};

mod columns;
mod damage;
mod reference;

/// Time and bits of a value.
type Sample = (i64, u64);

/// Encoding and data of the five entries.
type Entries = [Option<(u8, Vec<u8>)>; 5];

fn chunk(data: &[u8]) -> Chunk {
    Chunk::new(Encoding::Aggregate, Bytes::copy_from_slice(data), 1, 0x100)
}

fn encode(entries: &Entries) -> Vec<u8> {
    let mut out = encode::BitWriter::default();
    for entry in entries {
        let Some((encoding, data)) = entry else {
            out.uvarint(0);
            continue;
        };
        out.uvarint(data.len() as u64);
        out.bytes.push(*encoding);
        out.bytes.extend(data);
    }
    out.bytes
}

fn xor(samples: &[Sample]) -> Option<(u8, Vec<u8>)> {
    let samples: Vec<_> = samples.iter().map(|&(time_ms, value)| (time_ms, 0, value)).collect();
    Some((1, encode::xor(&samples)))
}

fn floats(chunk: &Chunk) -> Result<Vec<Sample>, DecodeError> {
    let mut columns = FloatColumns::default();
    chunk.append_to(&mut columns)?;
    Ok(columns.times_ms.into_iter().zip(columns.values.into_iter().map(f64::to_bits)).collect())
}

/// Everything that is read of some data; the error is the first of them.
fn decode(data: &[u8]) -> Result<(AggregateColumns, CounterColumns), DecodeError> {
    let chunk = chunk(data);
    let aggregates = chunk.aggregates()?;
    assert_eq!(chunk.num_samples(), Ok(aggregates.num_samples()));
    let (mut decoder, mut rows) = (AggregateDecoder::default(), AggregateColumns::default());
    let appended = decoder.append(&aggregates, &mut rows);
    for column in [&rows.sums, &rows.mins, &rows.maxs] {
        assert_eq!((column.len(), rows.counts.len()), (rows.len(), rows.len()));
    }
    let mut counter = CounterColumns::default();
    if aggregates.holds_histograms() {
        for aggregate in [Aggregate::Sum, Aggregate::Counter] {
            let (mut histograms, mut counts) = (HistogramColumns::default(), Vec::new());
            let without = decoder.append_histograms(&aggregates, aggregate, &mut histograms, &mut counts);
            assert_eq!(histograms.len(), counts.len());
            let windows = without? + histograms.len() as u64;
            assert_eq!(windows, u64::from(aggregates.num_samples()));
        }
    } else {
        decoder.append_counter(&aggregates, &mut CounterChain::default(), &mut counter)?;
    }
    assert!(appended.is_ok() || rows.is_empty());
    appended.map(|()| (rows, counter))
}

fn bits(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// An aggregate chunk that Thanos wrote.
struct Case {
    name: String,
    data: Vec<u8>,
    aggregates: Value,
}

/// Chunks of one series.
struct Series {
    name: String,
    chunks: Vec<Case>,
}

/// Series of a downsampled block.
fn series(block: &str) -> Vec<Series> {
    let vector = vector("thanos_downsample.json");
    let series = vector[block]["series"].as_array().unwrap().iter().map(|series| {
        let name = format!("{block} {}", series["labels"][0][1].as_str().unwrap());
        let chunks = series["chunks"].as_array().unwrap().iter().map(|chunk| Case {
            name: name.clone(),
            data: unhex(chunk["aggr"]["hex"].as_str().unwrap()),
            aggregates: chunk["aggr"].clone(),
        });
        Series { name: name.clone(), chunks: chunks.collect() }
    });
    series.collect()
}

/// Every aggregate chunk that Thanos wrote.
fn cases() -> Vec<Case> {
    let mut cases: Vec<_> =
        ["res_5m", "res_1h"].into_iter().flat_map(series).flat_map(|series| series.chunks).collect();
    for case in vector("aggr_chunks.json")["cases"].as_array().unwrap() {
        let data = unhex(case["aggr"]["hex"].as_str().unwrap());
        cases.push(Case { name: case["name"].to_string(), data, aggregates: case["aggr"].clone() });
    }
    for case in vector("thanos_downsample_edge.json")["cases"].as_array().unwrap() {
        for chunk in case["chunks"].as_array().unwrap() {
            let data = unhex(chunk["hex"].as_str().unwrap());
            cases.push(Case { name: case["name"].to_string(), data, aggregates: chunk["aggr"].clone() });
        }
    }
    assert!(cases.len() >= 40, "{}", cases.len());
    cases
}

impl Case {
    /// The samples of a float aggregate, none where it is absent.
    fn floats(&self, aggregate: Aggregate) -> Option<Vec<Sample>> {
        let found = &self.aggregates[aggregate.name()];
        let samples = found.as_array().or_else(|| found["samples"].as_array())?;
        let sample = |sample: &Value| match sample.as_array() {
            Some(pair) => (pair[0].as_i64().unwrap(), bits(&pair[1])),
            None => (sample["t"].as_i64().unwrap(), bits(&sample["v"])),
        };
        Some(samples.iter().map(sample).collect())
    }

    fn holds_histograms(&self) -> bool {
        self.aggregates["counter"]["encoding"] == 3
    }
}
