//! Lines of each form, into a reused buffer: what all lines of a series begin with is made once.

use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;

use super::DumpFormat;
use super::go_float;
use super::go_quote::{is_bare_name, push_labels};
use crate::text::histogram::HistogramText;
use crate::text::json;
use crate::text::number::{push_f64, push_i64};
use crate::text::time::TimeWriter;
use tsdb_reader::samples::{HistogramKind, HistogramRow, is_stale_nan};

/// Writes lines.
#[derive(Debug)]
pub struct Lines {
    format: DumpFormat,
    /// What each line of the series begins with.
    prefix: Vec<u8>,
    times: TimeWriter,
    histogram: HistogramText,
    replaced_utf8: u64,
}

impl Lines {
    /// A writer of lines.
    pub fn new(format: DumpFormat) -> Self {
        Self {
            format,
            prefix: Vec::new(),
            times: TimeWriter::new(),
            histogram: HistogramText::default(),
            replaced_utf8: 0,
        }
    }

    /// Begins a series.
    pub fn begin(&mut self, labels: &Labels) {
        self.prefix.clear();
        match self.format {
            DumpFormat::Prom => {
                push_labels(&mut self.prefix, labels);
                self.prefix.push(b' ');
            }
            DumpFormat::OpenMetrics => {
                self.replaced_utf8 += push_exposition(&mut self.prefix, labels);
                self.prefix.push(b' ');
            }
            DumpFormat::Ndjson => {
                self.prefix.extend_from_slice(br#"{"labels":{"#);
                for (at, (name, value)) in labels.iter().enumerate() {
                    if at > 0 {
                        self.prefix.push(b',');
                    }
                    self.replaced_utf8 += u64::from(json::push_str(&mut self.prefix, name));
                    self.prefix.push(b':');
                    self.replaced_utf8 += u64::from(json::push_str(&mut self.prefix, value));
                }
                self.prefix.extend_from_slice(br#"},"timestamp":""#);
            }
        }
    }

    /// Appends a line for each sample of the series begun.
    pub fn push(&mut self, out: &mut Vec<u8>, times_ms: &[i64], values: &[f64]) {
        let samples = times_ms.iter().zip(values);
        out.reserve(times_ms.len() * (self.prefix.len() + 48));
        match self.format {
            DumpFormat::Prom => {
                for (&time_ms, &value) in samples {
                    out.extend_from_slice(&self.prefix);
                    go_float::push(out, value);
                    out.push(b' ');
                    push_i64(out, time_ms);
                    out.push(b'\n');
                }
            }
            DumpFormat::OpenMetrics => {
                for (&time_ms, &value) in samples {
                    out.extend_from_slice(&self.prefix);
                    go_float::push(out, value);
                    out.push(b' ');
                    push_seconds(out, time_ms);
                    out.push(b'\n');
                }
            }
            DumpFormat::Ndjson => {
                for (&time_ms, &value) in samples {
                    out.extend_from_slice(&self.prefix);
                    self.times.push(out, time_ms);
                    out.extend_from_slice(br#"","value":"#);
                    if is_stale_nan(value) {
                        out.extend_from_slice(b"null");
                    } else {
                        push_f64(out, value);
                    }
                    out.extend_from_slice(b"}\n");
                }
            }
        }
    }

    /// Appends the line of a histogram of the series begun; in OpenMetrics there is none.
    pub fn push_histogram(&mut self, out: &mut Vec<u8>, row: &HistogramRow<'_>) {
        match self.format {
            DumpFormat::Prom => {
                out.extend_from_slice(&self.prefix);
                push_go_histogram(out, row);
                out.push(b' ');
                push_i64(out, row.timestamp_ms);
                out.push(b'\n');
            }
            DumpFormat::OpenMetrics => {}
            DumpFormat::Ndjson => {
                out.extend_from_slice(&self.prefix);
                self.histogram.push(out, &mut self.times, row);
            }
        }
    }

    /// Appends what stands behind all lines.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.format == DumpFormat::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    /// Label names and values, counted once per series, in which bytes that are not UTF-8 became U+FFFD.
    pub fn replaced_utf8(&self) -> u64 {
        self.replaced_utf8
    }
}

/// Appends a histogram as Prometheus prints it: buckets that hold something, from the lowest on.
fn push_go_histogram(out: &mut Vec<u8>, row: &HistogramRow<'_>) {
    let push_count = |out: &mut Vec<u8>, count: u64| match row.kind {
        HistogramKind::Integer => out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes()),
        HistogramKind::Float => go_float::push(out, f64::from_bits(count)),
    };
    out.extend_from_slice(b"{count:");
    push_count(out, row.count);
    out.extend_from_slice(b", sum:");
    go_float::push(out, row.sum);
    for bucket in row.all_buckets().filter(|bucket| row.as_f64(bucket.count) != 0.0) {
        out.extend_from_slice(if bucket.lower_inclusive { b", [" } else { b", (" });
        go_float::push(out, bucket.lower);
        out.push(b',');
        go_float::push(out, bucket.upper);
        out.extend_from_slice(if bucket.upper_inclusive { b"]:" } else { b"):" });
        push_count(out, bucket.count);
    }
    out.push(b'}');
}

/// Appends a series as OpenMetrics writes it: `up{job="a"}`, or `{"with.dot",job="a"}` where the name needs quotes.
/// Returns the number of strings that were not UTF-8.
fn push_exposition(out: &mut Vec<u8>, labels: &Labels) -> u64 {
    let metric = labels.metric();
    let bare = metric.filter(|name| is_bare_metric(name));
    out.extend_from_slice(bare.unwrap_or_default());
    out.push(b'{');
    let (mut replaced, mut first) = (0, true);
    if bare.is_none()
        && let Some(name) = metric
    {
        replaced += push_string(out, name);
        first = false;
    }
    for (name, value) in labels.iter().filter(|&(name, _)| name != METRIC_NAME) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        if is_bare_name(name) {
            out.extend_from_slice(name);
        } else {
            replaced += push_string(out, name);
        }
        out.push(b'=');
        replaced += push_string(out, value);
    }
    out.push(b'}');
    replaced
}

fn is_bare_metric(name: &[u8]) -> bool {
    let without_colons: Vec<u8> = name.iter().map(|&byte| if byte == b':' { b'_' } else { byte }).collect();
    is_bare_name(&without_colons)
}

/// Appends a quoted string; only quotes, backslashes and line ends are escaped, as the format has it.
fn push_string(out: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    let mut replaced = 0;
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            replaced = 1;
        }
    }
    out.push(b'"');
    replaced
}

/// Appends a time in seconds with three digits behind the point, exactly.
fn push_seconds(out: &mut Vec<u8>, time_ms: i64) {
    if time_ms < 0 {
        out.push(b'-');
    }
    let ms = time_ms.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(ms / 1000).as_bytes());
    out.push(b'.');
    let rest = ms % 1000;
    for digit in [rest / 100, rest / 10 % 10, rest % 10] {
        out.extend(u8::try_from(digit).map(|digit| b'0' + digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: DumpFormat, pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> String {
        let labels = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let (times_ms, values): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        let (mut lines, mut out) = (Lines::new(format), Vec::new());
        lines.begin(&labels);
        lines.push(&mut out, &times_ms, &values);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn openmetrics_quotes_names_that_need_it_and_escapes_three_characters_only() {
        let form = |pairs: &[(&str, &str)]| lines(DumpFormat::OpenMetrics, pairs, &[(-1, 1e6)]);
        assert_eq!(
            form(&[("__name__", "a:b"), ("c", "\"\\\n\t")]),
            "a:b{c=\"\\\"\\\\\\n\t\"} 1e+06 -0.001\n"
        );
        assert_eq!(form(&[("__name__", "a.b"), ("d.e", "é")]), "{\"a.b\",\"d.e\"=\"é\"} 1e+06 -0.001\n");
        assert_eq!(form(&[("__name__", "up")]), "up{} 1e+06 -0.001\n");
        assert_eq!(form(&[("job", "x")]), "{job=\"x\"} 1e+06 -0.001\n");
    }

    #[test]
    fn ndjson_writes_stale_markers_as_null() {
        let stale = f64::from_bits(tsdb_reader::samples::STALE_NAN_BITS);
        let text = lines(DumpFormat::Ndjson, &[("__name__", "up")], &[(0, stale), (1500, f64::NAN)]);
        let expected = [
            r#"{"labels":{"__name__":"up"},"timestamp":"1970-01-01T00:00:00.000Z","value":null}"#,
            r#"{"labels":{"__name__":"up"},"timestamp":"1970-01-01T00:00:01.500Z","value":"NaN"}"#,
        ];
        assert_eq!(text, expected.join("\n") + "\n");
    }
}
