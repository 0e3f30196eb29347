//! Payloads of every type, and what the reference reads from them.

use serde_json::{Value, json};

use super::{bits, number};
use crate::error::DecodeError;
use crate::head::{HeadSeriesRef, Record};
use crate::labels::Labels;
use crate::samples::{HistogramKind, HistogramRow};
use crate::testing::{unhex, vector};

/// Every entry of a record, as text.
pub(super) fn entries(payload: &[u8]) -> (Vec<String>, Option<DecodeError>) {
    let mut found = Vec::new();
    let error = collect(payload, &mut found).err();
    (found, error)
}

fn collect(payload: &[u8], found: &mut Vec<String>) -> Result<(), DecodeError> {
    let mut labels = Labels::new();
    match Record::open(payload)? {
        Record::Series(mut series) => {
            while let Some(series_ref) = series.read_next(&mut labels)? {
                found.push(format!("{series_ref} {labels}"));
            }
        }
        Record::Samples(samples) => {
            for sample in samples {
                let sample = sample?;
                let (t, st, v) = (sample.timestamp_ms, sample.start_timestamp_ms, sample.value.to_bits());
                found.push(format!("{} t={t} st={st} v={v:#x}", sample.series_ref));
            }
        }
        Record::Tombstones(tombstones) => {
            for one in tombstones {
                let one = one?;
                let (min, max) = (one.interval.min_time_ms, one.interval.max_time_ms);
                assert_eq!(one.ends_series(), (min, max) == (i64::MIN, i64::MAX));
                found.push(format!("{} {min}..{max}", one.series_ref));
            }
        }
        Record::Exemplars(mut exemplars) => {
            while let Some(one) = exemplars.read_next(&mut labels)? {
                let bits = one.value.to_bits();
                found.push(format!("{} t={} v={bits:#x} {labels}", one.series_ref, one.timestamp_ms));
            }
        }
        Record::Markers(markers) => {
            for marker in markers {
                let marker = marker?;
                let (file, offset) = (marker.chunk_ref.file(), marker.chunk_ref.offset());
                found.push(format!("{} {file}/{offset}", marker.series_ref));
            }
        }
        Record::Metadata(metadata) => {
            for one in metadata {
                let one = one?;
                let (unit, help) = (String::from_utf8_lossy(one.unit), String::from_utf8_lossy(one.help));
                found.push(format!("{} {} {unit:?} {help:?}", one.series_ref, one.metric_type.as_str()));
            }
        }
        Record::Histograms(mut histograms) => {
            while let Some((series_ref, row)) = histograms.read_next()? {
                found.push(format!("{series_ref} {}", histogram(&row)));
            }
        }
        Record::Unknown(kind) => found.push(format!("unknown {kind}")),
        Record::Empty => {}
    }
    Ok(())
}

/// A histogram as the vectors have it.
pub(super) fn histogram(row: &HistogramRow<'_>) -> Value {
    let text = |bits: u64| match row.kind {
        HistogramKind::Integer => json!(bits),
        HistogramKind::Float => json!(format!("{bits:#018x}")),
    };
    let length =
        |spans: &[crate::samples::Span]| spans.iter().map(|span| span.length as usize).sum::<usize>();
    let spans = |spans: &[crate::samples::Span]| -> Vec<Value> {
        spans.iter().map(|span| json!([span.offset, span.length])).collect()
    };
    let positive = length(&row.layout.positive_spans).min(row.buckets.len());
    let double = |value: f64| format!("{:#018x}", value.to_bits());
    let counts = |counts: &[u64]| counts.iter().map(|&count| text(count)).collect::<Vec<_>>();
    json!({
        "t": row.timestamp_ms,
        "st": row.start_timestamp_ms,
        "hint": row.hint as u8,
        "schema": row.layout.schema,
        "zero_threshold": double(row.layout.zero_threshold),
        "zero_count": text(row.zero_count),
        "count": text(row.count),
        "sum": double(row.sum),
        "positive_spans": spans(&row.layout.positive_spans),
        "negative_spans": spans(&row.layout.negative_spans),
        "positive_counts": counts(&row.buckets[..positive]),
        "negative_counts": counts(&row.buckets[positive..]),
        "custom_values": row.layout.custom_bounds.iter().map(|&bound| double(bound)).collect::<Vec<_>>(),
        "stale": row.is_stale(),
    })
}

/// Of a histogram in a vector the fields that `histogram` gives.
pub(super) fn picked(entry: &Value) -> Value {
    let fields = [
        "t",
        "st",
        "hint",
        "schema",
        "zero_threshold",
        "zero_count",
        "count",
        "sum",
        "positive_spans",
        "negative_spans",
        "positive_counts",
        "negative_counts",
        "custom_values",
        "stale",
    ];
    fields.iter().map(|&field| (field.to_owned(), entry[field].clone())).collect()
}

/// What a vector says of one entry, as `entries` prints it.
fn expected(kind: i64, entry: &Value) -> String {
    let series_ref = HeadSeriesRef(entry["ref"].as_u64().unwrap());
    let labels = || -> Labels {
        let pairs = entry["labels"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
        let pairs: Vec<_> = pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect()
    };
    match kind {
        1 => format!("{series_ref} {}", labels()),
        2 | 11 => {
            let (t, st, v) = (number(&entry["t"]), number(&entry["st"]), bits(&entry["v"]));
            format!("{series_ref} t={t} st={st} v={v:#x}")
        }
        3 => format!("{series_ref} {}..{}", number(&entry["mint"]), number(&entry["maxt"])),
        4 => {
            let (t, v) = (number(&entry["t"]), bits(&entry["v"]));
            format!("{series_ref} t={t} v={v:#x} {}", labels())
        }
        5 => format!("{series_ref} {}/{}", number(&entry["file"]), number(&entry["offset"])),
        6 => {
            let types =
                ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
            let metric_type = types[usize::try_from(number(&entry["type"])).unwrap()];
            format!("{series_ref} {metric_type} {} {}", entry["unit"], entry["help"])
        }
        _ => {
            format!("{series_ref} {}", picked(entry))
        }
    }
}

/// Name, payload, and its entries.
pub(super) fn cases() -> Vec<(String, Vec<u8>, Vec<String>)> {
    let vector = vector("wal_records.json");
    let cases = vector["cases"].as_array().unwrap().iter();
    cases
        .map(|case| {
            let payload = unhex(case["hex"].as_str().unwrap());
            let kind = number(&case["type"]);
            let decoded = case["decoded"].as_array().unwrap();
            let entries = decoded.iter().map(|entry| expected(kind, entry)).collect();
            (case["name"].as_str().unwrap().to_owned(), payload, entries)
        })
        .collect()
}

#[test]
fn records_of_every_type_decode_as_the_reference_does() {
    let mut types = std::collections::BTreeSet::new();
    for (name, payload, expected) in cases() {
        let (found, error) = entries(&payload);
        assert_eq!(error, None, "{name}");
        assert_eq!(found, expected, "{name}");
        types.insert(payload[0]);
    }
    assert!(types.into_iter().eq(1..=13));
}
