//! Native histograms written as classic series.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::cast::AsArray;
use common::written::{labels, push_float, push_histogram, write_block};
use common::{
    Samples, convert_to, convert_with, data_files, fixtures, int, run_options, samples_in, scratch,
};
use serde_json::Value;
use tsdb_converter::distribute::dry_run;
use tsdb_converter::estimate::estimate;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::{ConvertOptions, Histograms, StaleMarkers};
use tsdb_converter::report::Report;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;
use tsdb_reader::samples::{
    CounterResetHint, HistogramKind, HistogramLayout, HistogramRow, STALE_NAN_BITS, Span,
};

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
fn a_histogram_that_is_no_row_leaves_its_place_to_a_derived_sample() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        for metric in ["m", "m_sum"] {
            let native = builder.add_series(labels(metric, &[]));
            (0..4).for_each(|at| push_histogram(builder, native, at * 10, &[1, 1, 1]));
        }
    });
    let sum = series_id(&labels("m_sum", &[]));
    let (found, report) = converted(source.path(), &with(Histograms::Classic));
    assert_eq!(found[&sum].len(), 4);
    let samples = &report.samples;
    assert_eq!((samples.unrolled, samples.duplicates, samples.duplicate_classic), (8, 0, 0));
    assert_eq!(samples.written_classic, 2 * 4 * 6);
    // As a row it keeps it.
    let (_, report) = converted(source.path(), &with(Histograms::Both));
    let samples = &report.samples;
    assert_eq!((samples.written, samples.duplicate_classic), (8, 4));
    assert_eq!(samples.written_classic, 2 * 4 * 6 - 4);
}

#[test]
fn what_is_wrong_with_a_histogram_is_told_once() {
    const SERIES: usize = 150;
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        for at in 0..SERIES {
            let series = builder.add_series(labels("m", &[("instance", &at.to_string())]));
            push_histogram(builder, series, 0, &[1, 1, 1]);
        }
    });
    let folder = fs::read_dir(source.path()).unwrap().next().unwrap().unwrap().path();
    let segment = folder.join("chunks/000001");
    let mut bytes = fs::read(&segment).unwrap();
    // All chunks are equal: their last bytes are of the checksum.
    let entry = (bytes.len() - 8) / SERIES;
    bytes[8..].chunks_mut(entry).for_each(|chunk| *chunk.last_mut().unwrap() ^= 1);
    fs::write(&segment, bytes).unwrap();
    for asked in [Histograms::Nested, Histograms::Classic, Histograms::Both] {
        let (_, report) = converted(source.path(), &with(asked));
        assert_eq!(report.samples.unreadable_chunks, SERIES as u64);
        let told = report.findings.list.len() as u64 + report.findings.more;
        // And that meta.json counts others.
        assert_eq!(told, SERIES as u64 + 1, "{asked:?}");
    }
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
fn an_own_label_le_gives_way_to_the_bound_in_buckets_and_stays_elsewhere() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        let series = builder.add_series(labels("m", &[("le", "x"), ("zone", "z")]));
        push_histogram(builder, series, 0, &[1, 0, 0]);
    });
    let (found, _) = converted(source.path(), &with(Histograms::Classic));
    let expected = [
        labels("m_bucket", &[("le", "+Inf"), ("zone", "z")]),
        labels("m_bucket", &[("le", "1.0"), ("zone", "z")]),
        labels("m_count", &[("le", "x"), ("zone", "z")]),
        labels("m_sum", &[("le", "x"), ("zone", "z")]),
    ];
    let mut expected: Vec<_> = expected.iter().map(series_id).collect();
    expected.sort_unstable();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn histograms_that_differ_in_le_alone_are_refused_unless_they_may_merge() {
    for others in [&[][..], &[("le", "y")]] {
        let source = scratch();
        write_block(source.path(), 1, |builder| {
            for (labels, buckets) in
                [(labels("m", others), [3, 1, 1]), (labels("m", &[("le", "x")]), [1, 1, 9])]
            {
                let series = builder.add_series(labels);
                (0..300).for_each(|at| push_histogram(builder, series, at, &buckets));
            }
        });
        let dest = scratch();
        let refused = convert_to(source.path(), dest.path(), &with(Histograms::Classic), 1).unwrap_err();
        let message = refused.to_string();
        let first_words = "{__name__=\"m\", le=\"";
        let shaped = "both become {__name__=\"m_bucket\", le=\"+Inf\"}";
        assert!(message.starts_with(first_words) && message.contains(shaped), "{message}");
        assert!(convert_to(source.path(), scratch().path(), &with(Histograms::Nested), 1).is_ok());
        let options = ConvertOptions { allow_merge: true, ..with(Histograms::Both) };
        let (found, report) = converted(source.path(), &options);
        // Both have a sample at each time in each of four series of buckets; count and sum stay apart.
        assert_eq!((report.samples.written, report.samples.duplicate_classic), (600, 4 * 300));
        assert_eq!(report.samples.written_classic, 4 * 300 + 4 * 300);
        let infinite = &found[&series_id(&labels("m_bucket", &[("le", "+Inf")]))];
        assert_eq!(infinite.len(), 300);
        assert!(infinite.iter().all(|&(_, bits, _)| bits == 5f64.to_bits()));
    }
}

#[test]
fn a_histogram_of_very_many_buckets_comes_out_whole() {
    const BUCKETS: u32 = 70_000;
    let source = scratch();
    let layout = std::sync::Arc::new(HistogramLayout {
        schema: 8,
        positive_spans: vec![Span { offset: 0, length: BUCKETS }],
        ..HistogramLayout::default()
    });
    let buckets = vec![1; BUCKETS as usize];
    // Those of the second series are not in memory together.
    let rows = [("m", 1), ("n", 16)];
    write_block(source.path(), 1, |builder| {
        for (metric, rows) in rows {
            let series = builder.add_series(labels(metric, &[]));
            for timestamp_ms in 0..rows {
                let row = HistogramRow {
                    timestamp_ms,
                    start_timestamp_ms: 0,
                    sum: 1.0,
                    count: u64::from(BUCKETS),
                    zero_count: 0,
                    kind: HistogramKind::Integer,
                    hint: CounterResetHint::Unknown,
                    layout: &layout,
                    buckets: &buckets,
                };
                builder.push_histogram(series, row).unwrap();
            }
        }
    });
    let (found, report) = converted(source.path(), &with(Histograms::Classic));
    assert_eq!(report.samples.written_classic, (1 + 16) * (u64::from(BUCKETS) + 3));
    assert_eq!(found.len(), 2 * (BUCKETS as usize + 3));
    for (metric, rows) in rows {
        let bucket = found.get(&series_id(&labels(&format!("{metric}_bucket"), &[("le", "+Inf")])));
        let expected: Vec<_> = (0..rows).map(|at| (at, f64::from(BUCKETS).to_bits(), 0)).collect();
        assert_eq!(bucket, Some(&expected));
    }
    let mut values: Vec<_> = found.values().map(|samples| f64::from_bits(samples[0].1)).collect();
    values.sort_by(f64::total_cmp);
    // Of each series: the sum, the buckets, and +Inf and the count once more.
    let mut expected: Vec<_> = (1..=BUCKETS).chain([1, BUCKETS, BUCKETS]).map(f64::from).collect();
    expected.extend_from_within(..);
    expected.sort_by(f64::total_cmp);
    assert!(values == expected);
}

#[test]
fn classic_series_that_take_more_than_the_memory_for_them_come_out_the_same() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        for at in 0..1500 {
            let series = builder.add_series(labels("m", &[("instance", &format!("{at:05}")), ("job", "a")]));
            (0..130).for_each(|time_ms| push_histogram(builder, series, time_ms, &[1, 1, 1, 1, 1, 1, 1]));
        }
    });
    let files = |threads, memory_limit| {
        let dest = scratch();
        let run = tsdb_converter::convert::RunOptions { memory_limit, ..run_options(threads) };
        convert_with(source.path(), dest.path(), &with(Histograms::Both), &run).unwrap();
        data_files(dest.path())
    };
    let expected = files(1, 4 << 30);
    assert!(expected == files(2, 160 << 20) && expected == files(8, 160 << 20));
}

#[test]
fn rows_of_histograms_are_estimated_as_they_will_be_written() {
    let source = scratch();
    write_block(source.path(), 1, |builder| {
        for at in 0..30 {
            let series = builder.add_series(labels("m", &[("job", &at.to_string())]));
            // The first bucket is not populated: of eight bounds seven, +Inf, count and sum are written.
            (0..130).for_each(|time_ms| push_histogram(builder, series, time_ms, &[0, 1, 1, 1, 1, 1, 1, 1]));
            let series = builder.add_series(labels("up", &[("job", &at.to_string())]));
            (0..500).for_each(|time_ms| push_float(builder, series, time_ms, 1.0));
        }
    });
    let (floats, histograms) = (30 * 500, 30 * 130);
    for (asked, nested, classic) in [
        (Histograms::Nested, histograms, 0),
        (Histograms::Classic, 0, 10 * histograms),
        (Histograms::Both, histograms, 10 * histograms),
    ] {
        let options = with(asked);
        let dry_run = dry_run(
            &[source.path().to_owned()],
            &run_options(1).read(),
            &scratch().path().join("out"),
            &options,
        );
        let estimate = estimate(&dry_run.unwrap(), &options);
        let rows = (estimate.rows, estimate.histogram_rows, estimate.classic_rows);
        assert_eq!(rows, (floats + nested + classic, nested, classic));
        let (_, report) = converted(source.path(), &options);
        let of_histograms = (report.samples.written_histograms, report.samples.written_classic);
        assert_eq!(of_histograms, (nested, classic));
    }
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
