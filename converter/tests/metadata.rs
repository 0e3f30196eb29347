//! Metadata of metrics in table `series`, read back from Parquet.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use arrow_array::cast::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tsdb_converter::options::ConvertOptions;

use common::{convert_to, fixtures, manifest, scratch};

/// Metric, type, unit and help of each series in DEST, once.
fn told(dest: &Path) -> BTreeSet<[Option<String>; 4]> {
    let mut told = BTreeSet::new();
    for file in manifest(dest).units.iter().flat_map(|unit| &unit.files).filter(|at| at.table == "series") {
        let open = File::open(dest.join(&file.path)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(open).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let columns = ["metric", "type", "unit", "help"].map(|name| batch.column_by_name(name).unwrap());
            for row in 0..batch.num_rows() {
                told.insert(columns.map(|column| {
                    let texts = column.as_string::<i32>();
                    texts.iter().nth(row).unwrap().map(str::to_owned)
                }));
            }
        }
    }
    told
}

fn row(fields: [&str; 4]) -> [Option<String>; 4] {
    fields.map(|field| (!field.is_empty()).then(|| field.to_owned()))
}

#[test]
fn rows_tell_what_is_known_of_their_metric_and_null_otherwise() {
    let dir = scratch();
    let (file, dest) = (dir.path().join("m.json"), dir.path().join("out"));
    fs::write(&file, r#"{"up":[{"type":"gauge","help":"Is it up?"}],"random":[{"unit":"bits"}]}"#).unwrap();
    let source = fixtures().join("blocks/xor_basic");
    let options = ConvertOptions { metadata: vec![file], ..ConvertOptions::default() };
    convert_to(&source, &dest, &options, 2).unwrap();
    let expected = [
        ["http_requests_total", "", "", ""],
        ["random", "", "bits", ""],
        ["room_temperature_celsius", "", "", ""],
        ["up", "gauge", "", "Is it up?"],
    ];
    assert_eq!(told(&dest), expected.into_iter().map(row).collect());
}

#[test]
fn labels_of_a_series_come_before_the_file() {
    let source = fixtures().join("blocks/reserved_labels");
    let dir = scratch();
    let before = dir.path().join("before");
    convert_to(&source, &before, &ConvertOptions::default(), 1).unwrap();
    let by_label: Vec<_> = told(&before).into_iter().filter(|row| row[1].is_some()).collect();
    assert!(!by_label.is_empty(), "the fixture has no series with __type__");
    let metric = by_label[0][0].clone().unwrap();
    let (file, dest) = (dir.path().join("m.json"), dir.path().join("out"));
    fs::write(&file, format!(r#"{{"{metric}":[{{"type":"info","help":"h"}}]}}"#)).unwrap();
    let options = ConvertOptions { metadata: vec![file], ..ConvertOptions::default() };
    convert_to(&source, &dest, &options, 1).unwrap();
    let now = told(&dest);
    for [of_metric, metric_type, unit, _] in by_label {
        let help = (of_metric.as_deref() == Some(&metric)).then(|| "h".to_owned());
        assert!(now.contains(&[of_metric, metric_type, unit, help]), "{now:?}");
    }
}
