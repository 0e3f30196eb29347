//! Every fixture, converted, equals what the reference reads from it.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Samples, convert_to, data_files, expected, fixture_names, fixtures, samples_in, scratch};
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::sink::{Format, Layout, OutputOptions, Profile};
use tsdb_converter::time::PartitionBy;

fn options(layout: Layout, profile: Profile) -> ConvertOptions {
    let output = OutputOptions { layout, profile, ..OutputOptions::new(Format::Parquet) };
    ConvertOptions { output, ..ConvertOptions::default() }
}

/// What a fixture has rows for: timestamps of the years 1 to 9999.
fn writable(mut samples: Samples) -> (Samples, u64) {
    let mut outside = 0;
    for of_series in samples.values_mut() {
        let before = of_series.len();
        of_series.retain(|&(time_ms, ..)| tsdb_converter::time::TimeBounds::ROWS.contains(time_ms));
        outside += (before - of_series.len()) as u64;
    }
    samples.retain(|_, of_series| !of_series.is_empty());
    (samples, outside)
}

fn compare(name: &str, options: &ConvertOptions) {
    let folder = scratch();
    let dest = folder.path().join("out");
    let expected = expected(name);
    let converted = convert_to(&fixtures().join("blocks").join(name), &dest, options, 2);
    let report = converted.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(report.adds_up, "{name}: {report:#?}");
    let (floats, outside) = writable(expected.floats);
    let found = samples_in(&dest);
    assert_eq!(found.len(), floats.len(), "{name}: series");
    for (series_id, samples) in &floats {
        assert_eq!(found.get(series_id), Some(samples), "{name}: {}", expected.labels[series_id]);
    }
    let rows: u64 = floats.values().map(|samples| samples.len() as u64).sum();
    assert_eq!(report.samples.written, rows, "{name}");
    let by_header: u64 = expected.header["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|block| block["superseded"] != true)
        .filter_map(|block| block["samples"].as_u64())
        .sum();
    assert_eq!(report.samples.read, by_header, "{name}: {report:#?}");
    let histograms = report.samples.lost_samples() - outside;
    assert_eq!(report.exit_code() != 0, histograms + outside > 0, "{name}: {report:#?}");
    assert!(histograms >= expected.histograms, "{name}: {report:#?}");
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
