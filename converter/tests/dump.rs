//! Dumps equal what promtool prints.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{fixtures, scratch};
use tsdb_converter::discover::Choice;
use tsdb_converter::dump::{DumpFormat, DumpOptions, DumpReport, dump};
use tsdb_converter::store::Stores;
use tsdb_converter::tally::Loss;

/// Folders where promtool, which knows neither external labels nor downsampling and merges conflicts otherwise,
/// prints other samples than ours are meant to be; see the table in the README of the fixtures.
const DIFFERS: &[&str] = &[
    "overlap_conflict",
    "overlap_three",
    "histogram_overlap",
    "superseded_sources",
    "external_labels",
    "replicas",
    "downsampled",
];

/// Folders for which promtool's OpenMetrics is not what the format asks for, or not the same samples: stale markers
/// printed as NaN, names and values quoted as in Go, times rounded as floats.
const OTHER_OPENMETRICS: &[&str] = &[
    "stale_markers",
    "nan_payloads",
    "utf8_names",
    "invalid_names",
    "odd_values",
    "extreme_times",
    "labels_before_name",
];

fn dump_fixture(name: &str, format: DumpFormat) -> (String, DumpReport) {
    let folder = scratch();
    let options = DumpOptions {
        sources: vec![fixtures().join("blocks").join(name)],
        format,
        selectors: Vec::new(),
        min_time_ms: None,
        max_time_ms: None,
        temp_dir: folder.path().to_owned(),
        memory_limit: 64 << 20,
        include_head: false,
        stores: Stores::default(),
        choice: Choice::default(),
    };
    let mut text = Vec::new();
    let report = dump(&options, &mut text).unwrap_or_else(|error| panic!("{name}: {error}"));
    (String::from_utf8(text).unwrap(), report)
}

/// Compares line by line, so that a difference is short to read.
fn compare(name: &str, found: &str, expected: &str) {
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}: line {}", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "{name}: length");
}

fn names_with(extension: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixtures().join("expected"))
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(extension).map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() > 30, "fixtures are missing");
    names
}

#[test]
fn dump_is_byte_for_byte_what_promtool_prints() {
    for name in names_with(".prom") {
        if DIFFERS.contains(&name.as_str()) {
            continue;
        }
        let expected = fs::read_to_string(fixtures().join(format!("expected/{name}.prom"))).unwrap();
        let (found, report) = dump_fixture(&name, DumpFormat::Prom);
        compare(&name, &found, &expected);
        assert!(!report.has_losses(), "{name}");
        assert_eq!(report.tally.difference(), 0, "{name}");
        assert_eq!(report.tally.written, found.lines().count() as u64, "{name}");
    }
}

#[test]
fn openmetrics_is_what_promtool_prints_where_that_is_right() {
    for name in names_with(".om") {
        if DIFFERS.contains(&name.as_str()) || OTHER_OPENMETRICS.contains(&name.as_str()) {
            continue;
        }
        let expected = fs::read_to_string(fixtures().join(format!("expected/{name}.om"))).unwrap();
        let (found, report) = dump_fixture(&name, DumpFormat::OpenMetrics);
        // Ours keep families together; both end with `# EOF`.
        let sorted = |text: &str| {
            let mut lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.pop(), Some("# EOF"), "{name}");
            lines.sort_unstable();
            lines.join("\n")
        };
        if report.tally.lost_samples() > 0 {
            // promtool cuts a series at its first histogram; ours leave out the histograms alone.
            let found: BTreeSet<&str> = found.lines().collect();
            assert!(expected.lines().all(|line| found.contains(line)), "{name}");
            continue;
        }
        compare(&name, &sorted(&found), &sorted(&expected));
        assert_eq!(report.tally.stale_dropped, 0, "{name}");
    }
}

#[test]
fn openmetrics_leaves_stale_markers_out_and_counts_them() {
    let (found, report) = dump_fixture("stale_markers", DumpFormat::OpenMetrics);
    assert!(report.tally.stale_dropped > 0);
    assert!(!found.contains("NaN"), "{found}");
    assert!(found.ends_with("# EOF\n"));
    assert!(!report.has_losses());
}

#[test]
fn openmetrics_leaves_histograms_out_and_counts_them() {
    for name in ["histograms_mixed", "histograms_start_times", "histogram_stale_markers"] {
        let (found, report) = dump_fixture(name, DumpFormat::OpenMetrics);
        let (_, all) = dump_fixture(name, DumpFormat::Prom);
        let left_out = report.tally.lost[&Loss::NoOpenMetricsForm];
        assert!(left_out > 0 && report.has_losses(), "{name}");
        assert_eq!(report.tally.difference(), 0, "{name}");
        assert_eq!(report.tally.written + report.tally.stale_dropped + left_out, all.tally.written, "{name}");
        assert_eq!(report.tally.written, found.lines().count() as u64 - 1, "{name}");
        assert_eq!(report.tally.written_histograms, 0, "{name}");
    }
}

#[test]
fn ndjson_has_histograms_among_the_values_with_the_fields_of_their_table() {
    let (found, report) = dump_fixture("histograms_mixed", DumpFormat::Ndjson);
    let lines: Vec<serde_json::Value> =
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, report.tally.written);
    let histograms: Vec<_> = lines.iter().filter(|line| line.get("buckets").is_some()).collect();
    assert_eq!(histograms.len() as u64, report.tally.written_histograms);
    assert!(
        histograms.iter().all(|line| line.get("value").is_none() && line["counter_reset_hint"].is_string())
    );
    let of_series = |at: &serde_json::Value| at["labels"].to_string();
    for pair in lines.windows(2).filter(|pair| of_series(&pair[0]) == of_series(&pair[1])) {
        assert!(pair[0]["timestamp"].as_str() < pair[1]["timestamp"].as_str(), "{pair:?}");
    }
    assert_eq!(report.tally.lost_samples(), 0);
}

#[test]
fn ndjson_lines_are_json_of_every_sample() {
    let (found, report) = dump_fixture("special_values", DumpFormat::Ndjson);
    for line in found.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["labels"]["__name__"], "special");
    }
    assert_eq!(report.tally.written, found.lines().count() as u64);
    let (found, report) = dump_fixture("extreme_times", DumpFormat::Ndjson);
    assert!(report.has_losses(), "times that ISO 8601 cannot write are lost");
    assert_eq!(report.tally.difference(), 0);
    assert_eq!(report.tally.written, found.lines().count() as u64);
}
