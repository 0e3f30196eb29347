//! What is special about native histograms: their hints, and units written before they could be read.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use common::written::{labels, push_histogram, write_block};
use common::{
    Histograms, convert_to, convert_with, data_files, fixtures, histograms_in, manifest, run_options,
    samples_in, scratch,
};
use tsdb_converter::convert::RunOptions;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::sink::{Compression, Format};
use tsdb_converter::time::PartitionBy;
use tsdb_reader::samples::{CounterResetHint, FloatColumns, HistogramColumns};
use tsdb_reader::source::LocalSource;
use tsdb_reader::{Block, Chunks, Series};

/// A sample of a block in the order of the index: its time, and what the block says of resets before it.
struct Stored {
    time_ms: i64,
    is_histogram: bool,
    hint: CounterResetHint,
}

/// The samples of a fixture of one block, deleted ones too, by series.
fn stored(name: &str) -> BTreeMap<i64, Vec<Stored>> {
    let folder = fs::read_dir(fixtures().join("blocks").join(name)).unwrap().next().unwrap().unwrap().path();
    let block = Block::open(Arc::new(LocalSource::open(&folder).unwrap())).unwrap();
    let chunks = Chunks::open(Arc::clone(block.source())).unwrap();
    let mut by_series = BTreeMap::new();
    let mut series = Series::new();
    for series_ref in block.index().all_postings().unwrap() {
        block.index().series(series_ref, &mut series).unwrap();
        let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
        let (mut read, mut samples) = (Vec::new(), Vec::<Stored>::new());
        chunks.read(&refs, &mut read);
        for chunk in read.into_iter().map(Result::unwrap) {
            if !chunk.encoding().holds_histograms() {
                let mut columns = FloatColumns::default();
                chunk.append_to(&mut columns).unwrap();
                let hint = CounterResetHint::Unknown;
                samples.extend(columns.times_ms.iter().map(|&time_ms| Stored {
                    time_ms,
                    is_histogram: false,
                    hint,
                }));
                continue;
            }
            let mut columns = HistogramColumns::default();
            chunk.append_histograms_to(&mut columns).unwrap();
            let begins_behind_histogram = samples.last().is_some_and(|before| before.is_histogram);
            for row in (0..columns.len()).map(|row| columns.row(row).unwrap()) {
                let hint = match columns.times_ms[0] == row.timestamp_ms && begins_behind_histogram {
                    true => chunk.counter_reset_header().unwrap(),
                    false => row.hint,
                };
                samples.push(Stored { time_ms: row.timestamp_ms, is_histogram: true, hint });
            }
        }
        by_series.insert(series_id(&series.labels), samples);
    }
    by_series
}

#[test]
fn a_hint_is_what_the_block_says_where_the_sample_before_is_kept_and_unknown_elsewhere() {
    let names = [
        "histogram_resets",
        "histogram_gauges",
        "histogram_recoded",
        "histogram_alternating",
        "histogram_tombstones",
        "histogram_stale_markers",
        "histograms",
        "histograms_mixed",
        "histograms_start_times",
    ];
    let mut seen = BTreeMap::<String, u64>::new();
    for name in names {
        let stored = stored(name);
        for partition_by in [PartitionBy::None, PartitionBy::Hour] {
            let folder = scratch();
            let options = ConvertOptions { partition_by, ..ConvertOptions::default() };
            convert_to(&fixtures().join("blocks").join(name), folder.path(), &options, 1).unwrap();
            let (histograms, floats) = (histograms_in(folder.path()), samples_in(folder.path()));
            for (id, of_series) in &histograms {
                let of_block = &stored[id];
                let is_kept = |time_ms: i64| {
                    let is_float = |floats: &Vec<common::Sample>| floats.iter().any(|at| at.0 == time_ms);
                    of_series.iter().any(|at| at.time_ms == time_ms) || floats.get(id).is_some_and(is_float)
                };
                let partition = |time_ms: i64| partition_by.partition_of(time_ms).unwrap();
                for histogram in of_series {
                    let Some(values) = &histogram.values else { continue };
                    let at = of_block.iter().position(|at| at.time_ms == histogram.time_ms).unwrap();
                    let follows =
                        at.checked_sub(1).map(|before| of_block[before].time_ms).is_some_and(|before| {
                            is_kept(before) && partition(before) == partition(histogram.time_ms)
                        });
                    let expected = match of_block[at].hint {
                        CounterResetHint::Gauge => "gauge",
                        CounterResetHint::Reset if follows => "reset",
                        CounterResetHint::NotReset if follows => "not_reset",
                        _ => "unknown",
                    };
                    assert_eq!(values.hint, expected, "{name} {partition_by:?} {}", histogram.time_ms);
                    *seen.entry(values.hint.clone()).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_unit_that_lost_histograms_to_an_earlier_version_is_converted_again() {
    let folder = scratch();
    let source = fixtures().join("blocks/histograms_mixed");
    let convert = || convert_to(&source, folder.path(), &ConvertOptions::default(), 1).unwrap();
    let first = convert();
    assert_eq!(convert().units.skipped, first.units.done);
    // As an earlier version left it: histograms lost, no table of them.
    let whole: Histograms = histograms_in(folder.path());
    for unit in manifest(folder.path()).units {
        let path = folder.path().join(format!("_promblock/units/{}.json", unit.unit));
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let histograms = record["tally"]["written_histograms"].as_u64().unwrap();
        let written = record["tally"]["written"].as_u64().unwrap();
        record["tally"]["written"] = (written - histograms).into();
        record["tally"].as_object_mut().unwrap().remove("written_histograms");
        record["tally"]["lost"] = serde_json::json!({ "encoding_histogram": histograms });
        record["files"].as_array_mut().unwrap().retain(|file| file["table"] != "histograms");
        fs::write(&path, record.to_string()).unwrap();
    }
    let again = convert();
    assert_eq!((again.units.done, again.units.skipped), (first.units.done, 0));
    assert!(!again.has_losses());
    assert_eq!(histograms_in(folder.path()), whole);
}

#[test]
fn series_that_encode_to_more_than_their_share_come_out_the_same_whatever_the_threads() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        let mut state = 1u64;
        for name in ["a", "b", "c"] {
            let series = builder.add_series(labels(name, &[]));
            let mut buckets = vec![0u64; 160];
            for time_ms in 0..2500 {
                for count in &mut buckets {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *count += state >> 52;
                }
                push_histogram(builder, series, time_ms, &buckets);
            }
        }
    });
    let mut options = ConvertOptions::default();
    (options.output.format, options.output.compression) = (Format::Ndjson, Compression::None);
    let files = |threads, memory_limit| {
        let dest = scratch();
        let run = RunOptions { memory_limit, ..run_options(threads) };
        let report = convert_with(source.path(), dest.path(), &options, &run).unwrap();
        assert!(report.adds_up && report.samples.written == 7500);
        data_files(dest.path())
    };
    let expected = files(1, 512 << 20);
    let size_bytes: usize = expected.values().map(Vec::len).sum();
    assert!(size_bytes > 64 << 20, "{size_bytes}");
    assert!(expected == files(3, 512 << 20) && expected == files(4, 260 << 20));
}
