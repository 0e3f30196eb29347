//! The kit's files: schemas that BigQuery takes, SQL, and lists that depend on what is published alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "bigquery/support.rs"]
mod support;

mod common;

use std::collections::BTreeSet;

use common::{convert_to, fixtures, manifest};
use serde_json::Value;
use support::{DAY_0_MS, DAY_MS, HOUR_MS, Published, compare, text};
use tsdb_converter::bigquery::published_files;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::schema::Table;
use tsdb_converter::sink::{Compression, Format, Layout, OutputOptions};
use tsdb_converter::time::PartitionBy;

fn every_kind() -> Vec<Published> {
    let mut all = Vec::new();
    for format in [Format::Parquet, Format::Ndjson] {
        for layout in [Layout::Star, Layout::Flat] {
            for label_columns in [vec![], vec!["job", "Instance", "k8s.io/app", "_TABLE_x"]] {
                let label_columns = label_columns.into_iter().map(str::to_owned).collect();
                let output = OutputOptions { layout, label_columns, ..OutputOptions::new(format) };
                for partition_by in
                    [PartitionBy::Day, PartitionBy::Hour, PartitionBy::Month, PartitionBy::None]
                {
                    let mut published = Published::new(output.clone(), partition_by).with_tiers();
                    published.add(DAY_0_MS, 2);
                    if partition_by != PartitionBy::None {
                        published.add(DAY_0_MS + 40 * DAY_MS + 5 * HOUR_MS, 1);
                    }
                    all.push(published);
                }
            }
        }
    }
    all
}

/// Checks fields as BigQuery does.
fn check_fields(fields: &Value, depth: usize) {
    assert!(depth <= 15);
    let mut names = BTreeSet::new();
    for field in fields.as_array().unwrap() {
        let known = ["name", "type", "mode", "description", "fields"];
        assert!(field.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{field}");
        let name = field["name"].as_str().unwrap();
        let lower = name.to_ascii_lowercase();
        assert!(!name.is_empty() && name.len() <= 300, "{name}");
        assert!(!name.starts_with(|first: char| first.is_ascii_digit()), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
        for prefix in [
            "_table_",
            "_file_",
            "_partition",
            "_row_timestamp",
            "__root__",
            "_colidentifier",
            "_change_sequence_number",
            "_change_type",
            "_change_timestamp",
        ] {
            assert!(!lower.starts_with(prefix), "{name}");
        }
        assert!(names.insert(lower), "{name} twice but for case");
        let kind = field["type"].as_str().unwrap();
        assert!(["STRING", "INTEGER", "FLOAT", "TIMESTAMP", "JSON", "RECORD"].contains(&kind), "{kind}");
        // What is required here and optional in a file cannot be appended.
        assert!(["NULLABLE", "REPEATED"].contains(&field["mode"].as_str().unwrap()), "{field}");
        assert!(field["description"].as_str().unwrap().len() <= 1024);
        assert_eq!(kind == "RECORD", field.get("fields").is_some(), "{field}");
        if kind == "RECORD" {
            check_fields(&field["fields"], depth + 1);
        }
    }
}

#[test]
fn schema_files_keep_the_rules_of_bigquery() {
    for published in every_kind() {
        let kit = published.kit();
        for &table in &published.tables {
            let schema: Value = serde_json::from_str(&text(&kit, &format!("{table}.schema.json"))).unwrap();
            check_fields(&schema, 1);
            let kind_of = |column: &str| {
                let field = schema.as_array().unwrap().iter().find(|field| field["name"] == column);
                field.map(|field| (field["type"].as_str().unwrap(), field["mode"].as_str().unwrap()))
            };
            let time = if table == Table::Series { "min_timestamp" } else { "timestamp" };
            assert_eq!(kind_of(time), Some(("TIMESTAMP", "NULLABLE")));
            let tables = text(&kit, "tables.tsv");
            let clustering =
                tables.lines().find_map(|line| line.strip_prefix(&format!("{table}\t"))).unwrap();
            let columns: Vec<&str> = clustering.split(',').collect();
            assert!((2..=4).contains(&columns.len()), "{clustering}");
            for column in columns {
                let (kind, mode) = kind_of(column).unwrap();
                assert!(["STRING", "INTEGER"].contains(&kind) && mode == "NULLABLE", "{column}");
            }
        }
    }
}

#[test]
fn sql_is_as_expected_for_a_star_by_day_and_a_flat_table_by_hour() {
    let label_columns = vec!["job".to_owned(), "k8s.io/app".to_owned(), "instance".to_owned()];
    let star =
        Published::new(OutputOptions { label_columns, ..OutputOptions::default() }, PartitionBy::Day).kit();
    compare("star_tables_by_day", &text(&star, "tables.sql"));
    compare("star_views_by_day", &text(&star, "views.sql"));
    let output = OutputOptions { layout: Layout::Flat, ..OutputOptions::new(Format::Ndjson) };
    let flat = Published::new(output, PartitionBy::Hour).kit();
    compare("flat_tables_by_hour", &text(&flat, "tables.sql"));
    compare("flat_views_by_hour", &text(&flat, "views.sql"));
}

#[test]
fn windows_have_a_view_of_averages_and_rates_with_the_labels_of_their_table() {
    let label_columns = vec!["job".to_owned()];
    let output = OutputOptions { label_columns, layout: Layout::Flat, ..OutputOptions::default() };
    let kit = Published::new(output, PartitionBy::Day).with_tiers().kit();
    let (tables, views) = (text(&kit, "tables.sql"), text(&kit, "views.sql"));
    assert!(tables.contains("description = \"One row per series and window of 1h with histograms.\""));
    let (_, rates) = views.split_once("-- samples_5m as averages").unwrap();
    let (rates, other) = rates.split_once("-- samples_1h as averages").unwrap();
    assert!(!other.contains(" as averages"), "{other}");
    compare("flat_rates", rates);
}

#[test]
fn tables_are_partitioned_as_the_output_is() {
    for (partition_by, clause) in [
        (PartitionBy::Day, "PARTITION BY DATE(timestamp)"),
        (PartitionBy::Hour, "PARTITION BY TIMESTAMP_TRUNC(timestamp, HOUR)"),
        (PartitionBy::Month, "PARTITION BY TIMESTAMP_TRUNC(timestamp, MONTH)"),
    ] {
        let sql = text(&Published::new(OutputOptions::default(), partition_by).kit(), "tables.sql");
        assert_eq!(sql.matches(clause).count(), 2, "{sql}");
        assert!(sql.contains(&clause.replace("timestamp", "min_timestamp")));
        assert_eq!(sql.matches("require_partition_filter").count(), 2);
    }
    let sql = text(&Published::new(OutputOptions::default(), PartitionBy::None).kit(), "tables.sql");
    assert!(!sql.contains("PARTITION BY") && !sql.contains("require_partition_filter"));
    assert_eq!(sql.matches("CLUSTER BY `metric`, `series_id`").count(), 3);
}

#[test]
fn decorators_name_partitions_as_bigquery_does() {
    for (partition_by, expected) in [
        (PartitionBy::Day, "2026-11-18\t20261118\t"),
        (PartitionBy::Hour, "2026-11-18T00\t2026111800\t"),
        (PartitionBy::Month, "2026-11\t202611\t"),
        (PartitionBy::None, "all\t-\t"),
    ] {
        let mut published = Published::new(OutputOptions::default(), partition_by);
        published.add(DAY_0_MS, 1);
        let files = text(&published.kit(), "files.tsv");
        assert!(files.contains(&format!("\nsamples\t{expected}")), "{files}");
    }
}

#[test]
fn order_of_the_files_published_does_not_matter() {
    let published = Published::days(3, 3);
    let mut reversed = published.clone();
    reversed.files.reverse();
    assert_eq!(published.kit(), reversed.kit());
}

#[test]
fn fingerprint_changes_with_the_checksum_of_one_file_of_the_partition_alone() {
    let published = Published::days(2, 2);
    let mut changed = published.clone();
    changed.files[1].checksum = "00000000".to_owned();
    let fingerprints = |published: &Published| -> Vec<String> {
        let files = text(&published.kit(), "files.tsv");
        files.lines().skip(1).map(|line| line.split('\t').nth(3).unwrap().to_owned()).collect()
    };
    let (before, after) = (fingerprints(&published), fingerprints(&changed));
    // series of two days, then samples: two files of the first day, two of the second.
    let differ: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
    assert_eq!(differ, [false, false, true, true, false, false]);
}

#[test]
fn ndjson_with_zstd_has_no_load_command_and_says_so() {
    let output = OutputOptions { compression: Compression::Zstd, ..OutputOptions::new(Format::Ndjson) };
    let kit = Published::new(output, PartitionBy::Day).kit();
    assert!(!text(&kit, "load.sh").contains("bq"));
    assert!(text(&kit, "load.sh").contains("BigQuery cannot load NDJSON compressed with zstd"));
    assert!(text(&kit, "README.txt").contains("BigQuery cannot load NDJSON compressed with zstd"));
}

#[test]
fn every_file_of_a_conversion_is_in_the_kit_with_the_rows_of_the_manifest() {
    let dest = tempfile::tempdir().unwrap();
    convert_to(&fixtures().join("blocks/midnight"), dest.path(), &ConvertOptions::default(), 1).unwrap();
    let manifest = manifest(dest.path());
    let published = Published::new(OutputOptions::default(), PartitionBy::Day);
    let kit = published.kit_of(&published_files(&manifest.units));
    let listed: BTreeSet<(String, u64)> = text(&kit, "files.tsv")
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|columns| (columns[4].to_owned(), columns[5].parse().unwrap()))
        .collect();
    let files = manifest.units.iter().flat_map(|unit| &unit.files);
    let expected: BTreeSet<(String, u64)> = files.map(|file| (file.path.clone(), file.rows)).collect();
    assert!(expected.len() > 2);
    assert_eq!(listed, expected);
}
