//! Every fixture, converted, equals what the reference reads from it.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{
    Histogram, convert_to, data_files, expected, fixture_names, fixtures, histograms_in, samples_in, scratch,
};
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::sink::{Format, Layout, OutputOptions, Profile};
use tsdb_converter::time::PartitionBy;

fn options(layout: Layout, profile: Profile) -> ConvertOptions {
    let output = OutputOptions { layout, profile, ..OutputOptions::new(Format::Parquet) };
    ConvertOptions { output, ..ConvertOptions::default() }
}

/// What a fixture has rows for: timestamps of the years 1 to 9999; and how many samples are left out.
fn writable<T>(
    mut by_series: BTreeMap<i64, Vec<T>>,
    time_of: impl Fn(&T) -> i64,
) -> (BTreeMap<i64, Vec<T>>, u64) {
    let mut outside = 0;
    for of_series in by_series.values_mut() {
        let before = of_series.len();
        of_series.retain(|at| tsdb_converter::time::TimeBounds::ROWS.contains(time_of(at)));
        outside += (before - of_series.len()) as u64;
    }
    by_series.retain(|_, of_series| !of_series.is_empty());
    (by_series, outside)
}

/// The reference looks at each chunk alone; promblock also at what is kept around it.
fn without_hint_of_counters(mut histogram: Histogram) -> Histogram {
    if let Some(values) = &mut histogram.values
        && values.hint != "gauge"
    {
        values.hint.clear();
    }
    histogram
}

fn compare(name: &str, options: &ConvertOptions) {
    let folder = scratch();
    let dest = folder.path().join("out");
    let expected = expected(name);
    let converted = convert_to(&fixtures().join("blocks").join(name), &dest, options, 2);
    let report = converted.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(report.adds_up, "{name}: {report:#?}");
    let (floats, floats_outside) = writable(expected.floats, |&(time_ms, ..)| time_ms);
    let found = samples_in(&dest);
    assert_eq!(found.len(), floats.len(), "{name}: series");
    for (series_id, samples) in &floats {
        assert_eq!(found.get(series_id), Some(samples), "{name}: {}", expected.labels[series_id]);
    }
    let (histograms, histograms_outside) = writable(expected.histograms, |histogram| histogram.time_ms);
    let mut found = histograms_in(&dest);
    assert_eq!(found.len(), histograms.len(), "{name}: series of histograms");
    for (series_id, histograms) in &histograms {
        let found = found.remove(series_id).unwrap_or_default();
        assert_eq!(found.len(), histograms.len(), "{name}: {}", expected.labels[series_id]);
        for (found, expected_one) in found.into_iter().zip(histograms) {
            let expected_one = without_hint_of_counters(expected_one.clone());
            assert_eq!(
                without_hint_of_counters(found),
                expected_one,
                "{name}: {}",
                expected.labels[series_id]
            );
        }
    }
    let histogram_rows: u64 = histograms.values().map(|of_series| of_series.len() as u64).sum();
    let rows = floats.values().map(|samples| samples.len() as u64).sum::<u64>() + histogram_rows;
    assert_eq!(report.samples.written, rows, "{name}");
    assert_eq!(report.samples.written_histograms, histogram_rows, "{name}");
    let series: BTreeSet<_> = floats.keys().chain(histograms.keys()).collect();
    if options.partition_by == PartitionBy::None {
        assert_eq!(report.samples.series, series.len() as u64, "{name}");
    }
    let by_header: u64 = expected.header["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|block| block["superseded"] != true)
        .filter_map(|block| block["samples"].as_u64())
        .sum();
    assert_eq!(report.samples.read, by_header, "{name}: {report:#?}");
    let count = |name: &str| expected.header[name].as_u64().unwrap_or_default();
    assert_eq!(report.samples.conflicts, count("conflicts"), "{name}: {report:#?}");
    assert_eq!(report.samples.duplicates, count("duplicates") + count("conflicts"), "{name}: {report:#?}");
    let outside = floats_outside + histograms_outside;
    assert_eq!(report.samples.lost_samples(), outside, "{name}: {report:#?}");
    assert_eq!(report.exit_code() != 0, outside > 0, "{name}: {report:#?}");
}

#[test]
fn every_fixture_gives_the_samples_of_the_reference_in_star_layout() {
    for name in fixture_names() {
        compare(&name, &options(Layout::Star, Profile::Bigquery));
    }
}

#[test]
fn every_fixture_gives_the_samples_of_the_reference_in_flat_layout_and_compact_profile() {
    for name in fixture_names() {
        compare(&name, &options(Layout::Flat, Profile::Compact));
    }
}

#[test]
fn every_fixture_gives_the_samples_of_the_reference_by_hour_month_and_unpartitioned() {
    for name in fixture_names() {
        for partition_by in [PartitionBy::Hour, PartitionBy::Month, PartitionBy::None] {
            if partition_by == PartitionBy::Hour && name == "long_span" {
                continue; // Months of hours: nothing new, and slow.
            }
            compare(&name, &ConvertOptions { partition_by, ..options(Layout::Star, Profile::Compact) });
        }
    }
}

#[test]
fn two_series_with_one_id_are_refused_by_name() {
    let folder = scratch();
    let source = fixtures().join("blocks/hash_collision");
    let error = convert_to(&source, folder.path(), &ConvertOptions::default(), 2).unwrap_err().to_string();
    assert!(error.contains("stands for two series: {__name__="), "{error}");
    assert!(!folder.path().join("_promblock/manifest.json").exists());
}

#[test]
fn the_thread_count_never_changes_a_byte() {
    for name in fixture_names() {
        let convert = |threads| {
            let folder = scratch();
            let options = ConvertOptions { shards: Some(3), ..options(Layout::Star, Profile::Compact) };
            convert_to(&fixtures().join("blocks").join(&name), folder.path(), &options, threads).unwrap();
            data_files(folder.path())
        };
        let one = convert(1);
        assert_eq!(one, convert(2), "{name}");
        assert_eq!(one, convert(8), "{name}");
    }
}
