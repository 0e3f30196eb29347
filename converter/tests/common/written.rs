//! Blocks that a test writes itself.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tsdb_converter::build::{BlockBuilder, SeriesId};
use tsdb_reader::samples::{
    CounterResetHint, FloatSample, HistogramKind, HistogramLayout, HistogramRow, Span,
};
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{Labels, Ulid};

pub fn labels(metric: &str, others: &[(&str, &str)]) -> Labels {
    let mut labels: Labels = others.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    labels.push(b"__name__", metric.as_bytes());
    labels.sort();
    labels
}

/// Positive buckets (0.5,1], (1,2] and (2,4].
pub fn push_histogram(builder: &mut BlockBuilder, series: SeriesId, timestamp_ms: i64, buckets: &[u64]) {
    push_histogram_since(builder, series, timestamp_ms, 0, buckets);
}

/// The same with the time at which the counter began.
pub fn push_histogram_since(
    builder: &mut BlockBuilder,
    series: SeriesId,
    timestamp_ms: i64,
    start_timestamp_ms: i64,
    buckets: &[u64],
) {
    let layout = HistogramLayout {
        positive_spans: vec![Span { offset: 0, length: u32::try_from(buckets.len()).unwrap() }],
        ..HistogramLayout::default()
    };
    let count = buckets.iter().sum();
    let row = HistogramRow {
        timestamp_ms,
        start_timestamp_ms,
        sum: count as f64,
        count,
        zero_count: 0,
        kind: HistogramKind::Integer,
        hint: CounterResetHint::Unknown,
        layout: &Arc::new(layout),
        buckets,
    };
    builder.push_histogram(series, row).unwrap();
}

pub fn push_float(builder: &mut BlockBuilder, series: SeriesId, timestamp_ms: i64, value: f64) {
    builder.push_float(series, FloatSample { timestamp_ms, start_timestamp_ms: 0, value }).unwrap();
}

/// Writes a block of what `fill` adds.
pub fn write_block(folder: &Path, number: u8, fill: impl FnOnce(&mut BlockBuilder)) {
    let mut builder = BlockBuilder::new(std::env::temp_dir(), 1 << 20);
    fill(&mut builder);
    let ulid = Ulid::from_bytes([number; 16]);
    let built = builder.finish(|_| ulid).unwrap().unwrap();
    let folder = folder.join(ulid.to_string());
    fs::create_dir_all(folder.join("chunks")).unwrap();
    for file in [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones, BlockFile::Segment(1)] {
        let size = built.source.size(file).unwrap();
        let bytes = built.source.read(file, std::slice::from_ref(&(0..size))).unwrap();
        fs::write(folder.join(file.to_string()), &bytes[0]).unwrap();
    }
}
