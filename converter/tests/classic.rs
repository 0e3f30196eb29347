//! Native histograms written as classic series.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use common::{
    Samples, convert_to, convert_with, data_files, fixtures, int, run_options, samples_in, scratch,
};
use serde_json::Value;
use tsdb_converter::build::BlockBuilder;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::{ConvertOptions, Histograms, StaleMarkers};
use tsdb_converter::report::Report;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::samples::{
    CounterResetHint, FloatSample, HistogramKind, HistogramLayout, HistogramRow, STALE_NAN_BITS, Span,
};
use tsdb_reader::source::{BlockFile, Source};
use tsdb_reader::{Labels, Ulid};

fn with(histograms: Histograms) -> ConvertOptions {
    ConvertOptions { histograms, ..ConvertOptions::default() }
}

fn block(fixture: &str) -> std::path::PathBuf {
    fixtures().join("blocks").join(fixture)
}

fn converted(source: &Path, options: &ConvertOptions) -> (Samples, Report) {
    let dest = scratch();
    let report = convert_to(source, dest.path(), options, 2).unwrap();
    assert!(report.adds_up, "{report:?}");
    (samples_in(dest.path()), report)
}

#[test]
fn custom_buckets_become_what_the_reference_makes_of_them() {
    let (found, report) = converted(&block("histogram_custom_bounds"), &with(Histograms::Classic));
    let text = fs::read_to_string(fixtures().join("expected/histogram_custom_bounds.classic")).unwrap();
    let mut series = 0;
    for line in text.lines() {
        let expected: Value = serde_json::from_str(line).unwrap();
        let labels = common::labels(&expected["labels"]);
        let sample = |at: &Value| {
            (int(&at[0]), u64::from_str_radix(at[1].as_str().unwrap(), 16).unwrap(), int(&at[2]))
        };
        let samples: Vec<_> = expected["samples"].as_array().unwrap().iter().map(sample).collect();
        assert_eq!(found.get(&series_id(&labels)), Some(&samples), "{labels}");
        series += 1;
    }
    assert!(series > 200);
    assert_eq!((report.samples.written, report.samples.unrolled), (0, report.samples.read));
}

#[test]
fn both_is_nested_and_classic_together() {
    for fixture in common::fixture_names().iter().filter(|name| name.starts_with("histogram")) {
        let (nested, of_nested) = converted(&block(fixture), &with(Histograms::Nested));
        let (classic, of_classic) = converted(&block(fixture), &with(Histograms::Classic));
        let (both, of_both) = converted(&block(fixture), &with(Histograms::Both));
        assert_eq!(both, classic, "{fixture}");
        assert!(nested.iter().all(|(id, samples)| classic.get(id) == Some(samples)), "{fixture}");
        let histograms = of_nested.samples.written_histograms;
        assert_eq!((of_both.samples.written_histograms, of_both.samples.unrolled), (histograms, 0));
        assert_eq!((of_classic.samples.written_histograms, of_classic.samples.unrolled), (0, histograms));
        assert_eq!(of_both.samples.written_classic, of_classic.samples.written_classic);
        assert_eq!(of_both.samples.written, of_nested.samples.written);
        assert!(of_both.samples.written_classic >= 3 * histograms, "{fixture}");
    }
}

#[test]
fn shards_threads_and_memory_do_not_change_classic_series() {
    let options = |shards| ConvertOptions {
        shards: Some(shards),
        partition_by: PartitionBy::Hour,
        ..with(Histograms::Both)
    };
    // The bounds of shards lie among the metrics that come out, not at their ends.
    let source = scratch();
    let names = ["latency", "latency_bucket", "latency_c", "latency_count", "latency_sum", "latency_zz"];
    write_block(source.path(), 1, |builder| {
        for name in names {
            let series = builder.add_series(labels(name, &[("job", "a")]));
            if name == "latency" || name == "latency_c" {
                (0..20).for_each(|at| push_histogram(builder, series, at * 15_000, &[1, at as u64, 3]));
            } else {
                (0..20).for_each(|at| push_float(builder, series, at * 15_000 + 1, at as f64));
            }
        }
    });
    let (whole, of_whole) = converted(source.path(), &options(1));
    for shards in 2..6 {
        let (sharded, report) = converted(source.path(), &options(shards));
        assert_eq!(sharded, whole, "{shards} shards");
        assert_eq!(report.samples.written_classic, of_whole.samples.written_classic);
    }
    let files = |threads, memory_limit| {
        let dest = scratch();
        let run = tsdb_converter::convert::RunOptions { memory_limit, ..run_options(threads) };
        convert_with(source.path(), dest.path(), &options(3), &run).unwrap();
        data_files(dest.path())
    };
    let expected = files(1, 512 << 20);
    assert!(expected == files(4, 512 << 20) && expected == files(2, 160 << 20));
}

#[test]
fn bounds_are_those_that_are_populated_in_the_partition() {
    let source = scratch();
    const HOUR_MS: i64 = 3_600_000;
    write_block(source.path(), 1, |builder| {
        let series = builder.add_series(labels("m", &[]));
        push_histogram(builder, series, HOUR_MS - 1, &[1, 0, 0]);
        push_histogram(builder, series, HOUR_MS, &[1, 2, 0]);
    });
    let by = |partition_by| ConvertOptions { partition_by, ..with(Histograms::Classic) };
    let (by_hour, _) = converted(source.path(), &by(PartitionBy::Hour));
    let bucket = |le| series_id(&labels("m_bucket", &[("le", le)]));
    let values = |samples: &Samples, le| -> Vec<(i64, f64)> {
        let of_series = samples.get(&bucket(le)).into_iter().flatten();
        of_series.map(|&(time_ms, bits, _)| (time_ms, f64::from_bits(bits))).collect()
    };
    assert_eq!(values(&by_hour, "1.0"), [(HOUR_MS - 1, 1.0), (HOUR_MS, 1.0)]);
    assert_eq!(values(&by_hour, "2.0"), [(HOUR_MS, 3.0)]);
    assert_eq!(values(&by_hour, "4.0"), []);
    let (by_day, _) = converted(source.path(), &by(PartitionBy::Day));
    assert_eq!(values(&by_day, "2.0"), [(HOUR_MS - 1, 1.0), (HOUR_MS, 3.0)]);
}

#[test]
fn a_stored_sample_goes_before_a_derived_one_of_the_same_series_and_time() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        let native = builder.add_series(labels("m", &[]));
        (0..4).for_each(|at| push_histogram(builder, native, at * 10, &[1, 1, 1]));
        let stored = builder.add_series(labels("m_count", &[]));
        push_float(builder, stored, 0, 77.0);
        push_float(builder, stored, 5, 78.0);
        push_float(builder, stored, 20, f64::from_bits(STALE_NAN_BITS));
    });
    let (found, report) = converted(source.path(), &with(Histograms::Both));
    let count: Vec<_> = found[&series_id(&labels("m_count", &[]))].iter().map(|at| (at.0, at.1)).collect();
    let three = 3f64.to_bits();
    let expected =
        [(0, 77f64.to_bits()), (5, 78f64.to_bits()), (10, three), (20, STALE_NAN_BITS), (30, three)];
    assert_eq!(count, expected);
    assert_eq!((report.samples.read, report.samples.written, report.samples.duplicates), (7, 7, 0));
    assert_eq!((report.samples.written_classic, report.samples.duplicate_classic), (4 * 5 + 2, 2));
}

#[test]
fn dropped_stale_markers_leave_no_derived_ones() {
    let options = ConvertOptions { stale_markers: StaleMarkers::Drop, ..with(Histograms::Both) };
    let (found, report) = converted(&block("histogram_stale_markers"), &options);
    assert!(report.samples.stale_dropped > 0);
    assert!(found.values().flatten().all(|&(_, bits, _)| bits != STALE_NAN_BITS));
}

#[test]
fn histograms_without_a_name_have_no_classic_form_and_are_counted_as_lost() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        let series = builder.add_series(Labels::from_iter([(&b"job"[..], &b"a"[..])]));
        (0..3).for_each(|at| push_histogram(builder, series, at, &[1, 1, 1]));
    });
    let (found, report) = converted(source.path(), &with(Histograms::Classic));
    assert!(found.is_empty());
    assert_eq!((report.samples.unrolled, report.samples.lost_samples(), report.exit_code()), (0, 3, 1));
    let (_, report) = converted(source.path(), &with(Histograms::Both));
    assert_eq!((report.samples.written, report.exit_code()), (3, 0));
}

#[test]
fn labels_pipeline_comes_first_and_le_is_added_last() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        let series = builder.add_series(labels("m", &[("job", "a"), ("le", "x"), ("zone", "z")]));
        push_histogram(builder, series, 0, &[1, 0, 0]);
    });
    let mut options = with(Histograms::Classic);
    options.labels.drop.extend(["job".to_owned(), "le".to_owned()]);
    let (found, _) = converted(source.path(), &options);
    let expected = [
        labels("m_bucket", &[("le", "+Inf"), ("zone", "z")]),
        labels("m_bucket", &[("le", "1.0"), ("zone", "z")]),
        labels("m_count", &[("zone", "z")]),
        labels("m_sum", &[("zone", "z")]),
    ];
    let mut expected: Vec<_> = expected.iter().map(series_id).collect();
    expected.sort_unstable();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn table_series_names_derived_series_in_order() {
    let dest = scratch();
    convert_to(&block("histograms"), dest.path(), &with(Histograms::Classic), 1).unwrap();
    let mut metrics = Vec::new();
    for batch in common::batches_in(dest.path(), "series") {
        let column = batch["metric"].as_string::<i32>();
        metrics.extend(column.iter().map(|metric| metric.unwrap_or_default().to_owned()));
    }
    assert!(metrics.is_sorted());
    let mut counts = BTreeMap::new();
    metrics.iter().for_each(|metric| *counts.entry(metric.rsplit('_').next().unwrap()).or_insert(0) += 1);
    assert!(counts["bucket"] > counts["count"] && counts["count"] == counts["sum"], "{counts:?}");
}

fn labels(metric: &str, others: &[(&str, &str)]) -> Labels {
    let mut labels: Labels = others.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    labels.push(b"__name__", metric.as_bytes());
    labels.sort();
    labels
}

/// Positive buckets (0.5,1], (1,2] and (2,4].
fn push_histogram(
    builder: &mut BlockBuilder,
    series: tsdb_converter::build::SeriesId,
    timestamp_ms: i64,
    buckets: &[u64],
) {
    let layout = HistogramLayout {
        positive_spans: vec![Span { offset: 0, length: u32::try_from(buckets.len()).unwrap() }],
        ..HistogramLayout::default()
    };
    let count = buckets.iter().sum();
    let row = HistogramRow {
        timestamp_ms,
        start_timestamp_ms: 0,
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

fn push_float(
    builder: &mut BlockBuilder,
    series: tsdb_converter::build::SeriesId,
    timestamp_ms: i64,
    value: f64,
) {
    builder.push_float(series, FloatSample { timestamp_ms, start_timestamp_ms: 0, value }).unwrap();
}

/// Writes a block of what `fill` adds.
fn write_block(folder: &Path, number: u8, fill: impl FnOnce(&mut BlockBuilder)) {
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

#[test]
fn counts_in_meta_json_decide_nothing() {
    let expected = converted(&block("histogram_schemas"), &with(Histograms::Classic)).0;
    let source = scratch();
    common::copy_folder(&block("histogram_schemas"), source.path());
    let folder = fs::read_dir(source.path()).unwrap().next().unwrap().unwrap().path();
    let mut meta: Value = serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
    let samples = meta["stats"]["numSamples"].clone();
    meta["stats"]["numFloatSamples"] = samples;
    meta["stats"].as_object_mut().unwrap().remove("numHistogramSamples");
    fs::write(folder.join("meta.json"), meta.to_string()).unwrap();
    assert!(converted(source.path(), &with(Histograms::Classic)).0 == expected);
    meta.as_object_mut().unwrap().remove("stats");
    fs::write(folder.join("meta.json"), meta.to_string()).unwrap();
    assert!(converted(source.path(), &with(Histograms::Classic)).0 == expected);
}

#[test]
fn what_is_learned_of_a_derived_name_is_written() {
    let (dest, files) = (scratch(), scratch());
    let metadata = files.path().join("metadata.json");
    fs::write(&metadata, r#"{"latency_seconds_count":[{"type":"counter","help":"C","unit":""}]}"#).unwrap();
    let options = with(Histograms::Classic);
    convert_to(&block("histogram_schemas"), dest.path(), &options, 1).unwrap();
    let options = ConvertOptions { metadata: vec![metadata], ..options };
    let report = convert_to(&block("histogram_schemas"), dest.path(), &options, 1).unwrap();
    assert_eq!((report.units.done, report.units.skipped), (1, 0));
    let types: Vec<_> = common::batches_in(dest.path(), "series")
        .iter()
        .flat_map(|batch| {
            batch["type"].as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(!types.is_empty() && types.iter().all(|found| found == "counter"));
}
