//! Native histograms as JSON, with the fields of table `histograms`.
//!
//! ```text
//! {"metric":"latency",…,"timestamp":"…Z","count":35.0,"sum":18.4,…,"buckets":[{"lower":0.5,"upper":1.0,"count":9.0},…]}
//! └── by the caller ────────────┘                                             └── once per layout ────┘
//! ```
//! `count` and `sum` are always there, `null` for a stale marker; so are the buckets, an empty list where there are
//! none.

use std::sync::Arc;

use tsdb_reader::samples::{CounterResetHint, HistogramLayout, HistogramRow};

use super::number::{push_f64, push_i64};
use super::time::TimeWriter;

/// Longest text of a row besides what it begins with and its buckets.
pub const MAX_ROW_LEN: usize = 400;

/// Longest text of a bucket.
pub const MAX_BUCKET_LEN: usize = 128;

/// Writes histograms; keeps the text of bounds from one row to the next.
#[derive(Debug, Default)]
pub struct HistogramText {
    /// What the texts were made from.
    layout: Option<Arc<HistogramLayout>>,
    /// `{"lower":0.5,"upper":1.0,"count":` of every bucket.
    bounds: Vec<u8>,
    bound_ends: Vec<usize>,
    scratch: Vec<(f64, f64)>,
}

impl HistogramText {
    /// Appends a histogram from the digits of its time, which follow `"timestamp":"`, to the end of the line.
    pub fn push(&mut self, out: &mut Vec<u8>, times: &mut TimeWriter, row: &HistogramRow<'_>) {
        times.push(out, row.timestamp_ms);
        out.push(b'"');
        if row.start_timestamp_ms != 0 {
            out.extend_from_slice(b",\"start_timestamp\":\"");
            times.push(out, row.start_timestamp_ms);
            out.push(b'"');
        }
        if row.is_stale() {
            out.extend_from_slice(b",\"count\":null,\"sum\":null,\"buckets\":[]}\n");
            return;
        }
        self.push_values(out, row);
        out.extend_from_slice(b"}\n");
    }

    /// Appends a window's histogram likewise: how many `samples` it stands for, and their increase or sum.
    pub fn push_window(
        &mut self,
        out: &mut Vec<u8>,
        times: &mut TimeWriter,
        row: &HistogramRow<'_>,
        resolution_ms: i64,
        samples: i64,
    ) {
        times.push(out, row.timestamp_ms);
        out.extend_from_slice(b"\",\"resolution_ms\":");
        push_i64(out, resolution_ms);
        out.extend_from_slice(b",\"samples\":");
        push_i64(out, samples);
        self.push_values(out, row);
        out.extend_from_slice(b"}\n");
    }

    /// Appends `,"count":…` to the buckets.
    fn push_values(&mut self, out: &mut Vec<u8>, row: &HistogramRow<'_>) {
        out.extend_from_slice(b",\"count\":");
        push_f64(out, row.as_f64(row.count));
        out.extend_from_slice(b",\"sum\":");
        push_f64(out, row.sum);
        out.extend_from_slice(b",\"histogram_schema\":");
        push_i64(out, row.layout.schema.into());
        out.extend_from_slice(b",\"zero_threshold\":");
        push_f64(out, row.layout.zero_threshold);
        out.extend_from_slice(b",\"zero_count\":");
        push_f64(out, row.as_f64(row.zero_count));
        out.extend_from_slice(b",\"counter_reset_hint\":\"");
        out.extend_from_slice(hint_name(row.hint).as_bytes());
        out.extend_from_slice(b"\",\"buckets\":[");
        self.choose(row.layout);
        let mut start = 0;
        for (&end, count) in self.bound_ends.iter().zip(row.counts_ascending()) {
            if start > 0 {
                out.push(b',');
            }
            out.extend_from_slice(self.bounds.get(start..end).unwrap_or_default());
            push_f64(out, row.as_f64(count));
            out.push(b'}');
            start = end;
        }
        out.push(b']');
    }

    /// Makes the texts of a layout, unless it is that of the row before.
    fn choose(&mut self, layout: &Arc<HistogramLayout>) {
        if self.layout.as_ref().is_some_and(|known| Arc::ptr_eq(known, layout)) {
            return;
        }
        self.layout = Some(Arc::clone(layout));
        self.bounds.clear();
        self.bound_ends.clear();
        layout.ascending_bounds(&mut self.scratch);
        for &(lower, upper) in &self.scratch {
            self.bounds.extend_from_slice(b"{\"lower\":");
            push_f64(&mut self.bounds, lower);
            self.bounds.extend_from_slice(b",\"upper\":");
            push_f64(&mut self.bounds, upper);
            self.bounds.extend_from_slice(b",\"count\":");
            self.bound_ends.push(self.bounds.len());
        }
    }
}

/// The name of a counter reset hint.
pub fn hint_name(hint: CounterResetHint) -> &'static str {
    match hint {
        CounterResetHint::Unknown => "unknown",
        CounterResetHint::Reset => "reset",
        CounterResetHint::NotReset => "not_reset",
        CounterResetHint::Gauge => "gauge",
    }
}

#[cfg(test)]
mod tests {
    use tsdb_reader::samples::{HistogramKind, STALE_NAN_BITS, Span};

    use super::*;

    fn text(rows: &[HistogramRow<'_>]) -> Vec<serde_json::Value> {
        let (mut writer, mut times, mut out) = (HistogramText::default(), TimeWriter::new(), Vec::new());
        for row in rows {
            out.extend_from_slice(b"{\"timestamp\":\"");
            writer.push(&mut out, &mut times, row);
        }
        out.split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn row<'a>(layout: &'a Arc<HistogramLayout>, buckets: &'a [u64]) -> HistogramRow<'a> {
        HistogramRow {
            timestamp_ms: 0,
            start_timestamp_ms: 0,
            sum: f64::NEG_INFINITY,
            count: 3,
            zero_count: 1,
            kind: HistogramKind::Integer,
            hint: CounterResetHint::NotReset,
            layout,
            buckets,
        }
    }

    #[test]
    fn buckets_ascend_and_what_is_not_finite_is_a_word() {
        let exponential = Arc::new(HistogramLayout {
            positive_spans: vec![Span { offset: 0, length: 2 }],
            negative_spans: vec![Span { offset: 1, length: 1 }],
            ..HistogramLayout::default()
        });
        let custom = Arc::new(HistogramLayout {
            schema: -53,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            custom_bounds: vec![1.5],
            ..HistogramLayout::default()
        });
        let lines =
            text(&[row(&exponential, &[1, 0, 7]), row(&custom, &[2, 1]), row(&exponential, &[1, 0, 7])]);
        let bucket = |lower: serde_json::Value, upper: serde_json::Value, count: f64| serde_json::json!({"lower": lower, "upper": upper, "count": count});
        let expected = serde_json::json!([
            bucket((-2.0).into(), (-1.0).into(), 7.0),
            bucket(0.5.into(), 1.0.into(), 1.0),
            bucket(1.0.into(), 2.0.into(), 0.0),
        ]);
        assert_eq!(lines[0]["buckets"], expected);
        assert_eq!(lines[2], lines[0]);
        let expected = serde_json::json!([
            bucket("-Infinity".into(), 1.5.into(), 2.0),
            bucket(1.5.into(), "Infinity".into(), 1.0)
        ]);
        assert_eq!(lines[1]["buckets"], expected);
        assert_eq!(lines[1]["sum"], "-Infinity");
        assert_eq!(lines[1]["counter_reset_hint"], "not_reset");
    }

    #[test]
    fn a_stale_marker_has_null_count_and_sum_and_no_buckets() {
        let empty = Arc::default();
        let stale =
            HistogramRow { sum: f64::from_bits(STALE_NAN_BITS), start_timestamp_ms: 5, ..row(&empty, &[]) };
        let expected = serde_json::json!([{
            "timestamp": "1970-01-01T00:00:00.000Z",
            "start_timestamp": "1970-01-01T00:00:00.005Z",
            "count": null,
            "sum": null,
            "buckets": [],
        }]);
        assert_eq!(serde_json::Value::from(text(&[stale])), expected);
    }

    #[test]
    fn a_row_is_never_longer_than_is_reserved_for_it() {
        let layout = Arc::new(HistogramLayout {
            schema: -53,
            zero_threshold: -f64::MIN_POSITIVE / 3.0,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            custom_bounds: vec![-1.234_567_890_123_456_7e-300],
            ..HistogramLayout::default()
        });
        let bits = (-1.234_567_890_123_456_7e-300f64).to_bits();
        let row = HistogramRow {
            timestamp_ms: -62_135_596_800_000,
            start_timestamp_ms: i64::MIN,
            sum: f64::from_bits(bits),
            count: bits,
            zero_count: bits,
            kind: HistogramKind::Float,
            ..row(&layout, &[0])
        };
        let (mut writer, mut out) = (HistogramText::default(), Vec::new());
        writer.push(&mut out, &mut TimeWriter::new(), &HistogramRow { buckets: &[bits], ..row });
        assert!(out.len() <= MAX_ROW_LEN + MAX_BUCKET_LEN, "{}", out.len());
    }
}
