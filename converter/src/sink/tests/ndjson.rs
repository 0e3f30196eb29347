//! NDJSON, read by general decompressors and a general JSON parser.

use std::io::Read;

use serde_json::{Value, json};

use super::*;

fn options(layout: Layout, compression: Compression) -> OutputOptions {
    let label_columns = vec!["job".into(), "k8s.io/app".into()];
    OutputOptions { layout, compression, label_columns, ..OutputOptions::new(Format::Ndjson) }
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    match path.extension().unwrap().to_str().unwrap() {
        // The decoder of one member: anything behind it would be left over.
        "gz" => {
            let mut decoder = flate2::bufread::GzDecoder::new(bytes.as_slice());
            decoder.read_to_string(&mut text).unwrap();
            assert!(decoder.into_inner().is_empty());
        }
        "zst" => {
            zstd::stream::read::Decoder::new(bytes.as_slice()).unwrap().read_to_string(&mut text).unwrap();
        }
        _ => text = String::from_utf8(bytes).unwrap(),
    }
    text
}

fn lines(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn sample_rows_are_as_documented() {
    let written = write(&options(Layout::Star, Compression::None), &[special_rows()]);
    let text = text(&written.only_path("samples"));
    let first = text.lines().next().unwrap();
    let id = special_rows().series[0].series_id;
    assert_eq!(
        first,
        format!(
            r#"{{"job":"no metric","series_id":"{id}","timestamp":"1969-12-31T23:59:59.999Z","value":1.5}}"#
        )
    );
    let rows = lines(&text);
    assert!(text.contains("\"value\":-0.0}"));
    assert_eq!(rows[2]["value"], Value::Null);
    assert!(rows[2].as_object().unwrap().contains_key("value"));
    assert_eq!(rows[3]["value"], "NaN");
    assert!(rows[3].get("job").is_none());
    let up = &rows[4..];
    assert_eq!(up[0]["metric"], "up");
    assert_eq!(up[0]["timestamp"], "0001-01-01T00:00:00.000Z");
    assert_eq!(up[0]["value"], "Infinity");
    assert_eq!(up[0]["start_timestamp"], "1969-12-31T23:59:59.995Z");
    assert_eq!(up[1]["value"], "-Infinity");
    assert!(up[1].get("start_timestamp").is_none());
    assert_eq!((&up[2]["value"], &up[3]["value"]), (&json!("NaN"), &json!("NaN")));
    assert_eq!(up[6]["value"].as_f64(), Some(f64::MAX));
    assert_eq!(up[0]["job"], "quote\" backslash\\ newline\n nul\0");
    assert_eq!(up[0]["lx_k8s_02eio_02fapp"], "\u{e9}\u{10ffff}");
}

#[test]
fn labels_are_an_object_with_sorted_keys_and_without_the_metric() {
    let written = write(&options(Layout::Flat, Compression::None), &[special_rows()]);
    let rows = lines(&text(&written.only_path("samples")));
    let labels = rows[4]["labels"].as_object().unwrap();
    let keys: Vec<_> = labels.keys().collect();
    assert_eq!(keys, ["__type__", "__unit__", "job", "k8s.io/app", "z\u{fffd}"]);
    assert_eq!(labels["z\u{fffd}"], "\u{fffd}\u{fffd}");
    assert_eq!(rows[3]["labels"], json!({}));
    let fields: Vec<_> = rows[4].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "metric",
        "job",
        "lx_k8s_02eio_02fapp",
        "labels",
        "series_id",
        "timestamp",
        "value",
        "start_timestamp",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn series_rows_tell_labels_times_and_counts() {
    let written = write(&options(Layout::Star, Compression::Gzip), &[special_rows()]);
    let rows = lines(&text(&written.only_path("series")));
    assert_eq!(rows.len(), 3);
    let row = rows[2].as_object().unwrap();
    let fields: Vec<_> = row.keys().map(String::as_str).collect();
    assert_eq!(
        fields.join(" "),
        "series_id metric job lx_k8s_02eio_02fapp labels label_pairs min_timestamp max_timestamp samples type unit"
    );
    assert_eq!(row["label_pairs"][0], json!({"name": "__type__", "value": "gauge"}));
    assert_eq!(row["label_pairs"].as_array().unwrap().len(), 5);
    assert_eq!((&row["type"], &row["unit"]), (&json!("gauge"), &json!("seconds")));
    assert_eq!(row["min_timestamp"], "0001-01-01T00:00:00.000Z");
    assert_eq!(row["max_timestamp"], "9999-12-31T23:59:59.999Z");
    assert_eq!(row["samples"], 7);
    assert_eq!(rows[1]["label_pairs"], json!([]));
}

#[test]
fn every_compression_holds_the_same_text_across_slices_and_buffers() {
    // More than one buffer of text per slice.
    let slices = [scraped_rows(40, 500), SampleRows::default(), special_rows(), scraped_rows(100, 2)];
    let texts = [Compression::None, Compression::Gzip, Compression::Zstd].map(|compression| {
        let written = write(&options(Layout::Flat, compression), &slices);
        (text(&written.only_path("samples")), text(&written.only_path("series")))
    });
    assert!(texts[0].0.len() > 3 << 20);
    assert_eq!(lines(&texts[0].0).len(), slices.iter().map(SampleRows::len).sum::<usize>());
    assert!(texts[1] == texts[0] && texts[2] == texts[0]);
}

#[test]
fn values_read_back_bit_for_bit() {
    let rows = scraped_rows(30, 300);
    let written = write(&options(Layout::Star, Compression::Zstd), std::slice::from_ref(&rows));
    let text = text(&written.only_path("samples"));
    assert_eq!(text.lines().count(), rows.len());
    for ((line, &value), &time_ms) in text.lines().zip(&rows.columns.values).zip(&rows.columns.times_ms) {
        // The text itself, since the JSON parser rounds.
        match line.split_once("\"value\":").unwrap().1.trim_end_matches('}') {
            "null" => assert_eq!(value.to_bits(), STALE_NAN_BITS),
            "\"NaN\"" => assert!(value.is_nan()),
            number => assert_eq!(number.parse::<f64>().unwrap().to_bits(), value.to_bits()),
        }
        let row: Value = serde_json::from_str(line).unwrap();
        let time: jiff::Timestamp = row["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(time.as_millisecond(), time_ms);
    }
}
