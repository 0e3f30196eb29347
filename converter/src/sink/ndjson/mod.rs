//! NDJSON: rows as lines of JSON, compressed slice by slice.
//!
//! ```text
//! {"metric":"up","job":"a","series_id":"-42","timestamp":"2026-11-20T00:00:15.000Z","value":1.0}
//! └──────── same for a series ───────────┘             └──────── formatted ────────┘
//! ```
//! - `series_id` is always a string: readers keep integers exactly only within ±2^53.
//! - `value` is always there, `null` for a stale marker, `"NaN"`, `"Infinity"`, `"-Infinity"` for those.
//! - Every other null field is left out.
//! - `labels` is an object; keys that differ only in bytes that are not UTF-8 end up the same.

mod compress;
mod row;

use std::cmp::{max, min};

use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;

use super::labels::{TYPE_LABEL, UNIT_LABEL, push_labels};
use super::part::PartFile;
use super::tables::{Extent, Place, TableWriter};
use super::{Compression, EncodedBody, EncodedRows, Layout, OutputOptions, Samples, SinkError};
use crate::columns::LabelColumn;
use crate::rows::{SampleRows, SeriesRows};
use crate::text::json;
use crate::text::number::push_i64;
use crate::text::time::TimeWriter;
use compress::{Segment, SegmentWriter, TextFile};
use row::Row;

/// Encodes slices as text.
#[derive(Debug)]
pub(super) struct NdjsonEncoder {
    flat: bool,
    promoted: Vec<Promoted>,
    compression: Compression,
    level: i32,
}

#[derive(Debug)]
struct Promoted {
    label: Vec<u8>,
    /// `"column":`
    key: Vec<u8>,
}

/// A slice as text.
#[derive(Debug)]
pub(super) struct EncodedText {
    samples: Segment,
    series: Segment,
}

impl EncodedText {
    pub(super) fn memory_size(&self) -> usize {
        self.samples.memory_size() + self.series.memory_size()
    }
}

/// The tables of a unit.
#[derive(Debug)]
pub(super) struct NdjsonTables {
    compression: Compression,
    samples: TableWriter<TextFile>,
    series: TableWriter<TextFile>,
}

impl NdjsonTables {
    pub(super) fn new(compression: Compression, samples: Place, series: Place) -> Self {
        Self { compression, samples: TableWriter::new(samples), series: TableWriter::new(series) }
    }

    /// Appends a slice.
    pub(super) fn append(&mut self, extent: Extent, text: &EncodedText) -> Result<(), SinkError> {
        let begin = |writer| TextFile::new(writer, self.compression);
        self.samples.append(extent, begin, |file| file.append(&text.samples))?;
        let extent = Extent { rows: extent.series, ..extent };
        self.series.append(extent, begin, |file| file.append(&text.series))
    }

    /// Ends all files.
    pub(super) fn finish(self) -> Result<Vec<PartFile>, SinkError> {
        let mut files = self.samples.finish()?;
        files.extend(self.series.finish()?);
        Ok(files)
    }
}

/// Longest text of a float and a start time, and what stands around them.
const MAX_ROW_TAIL_LEN: usize = 96;

/// Rows between two looks at how full the text is.
const ROWS_PER_RESERVE: usize = 64;

impl NdjsonEncoder {
    pub(super) fn new(options: &OutputOptions, label_columns: &[LabelColumn]) -> Self {
        let promoted = label_columns.iter().map(|column| {
            let mut key = Vec::new();
            json::push_str(&mut key, column.column.as_bytes());
            key.push(b':');
            Promoted { label: column.label.clone().into_bytes(), key }
        });
        Self {
            flat: options.layout == Layout::Flat,
            promoted: promoted.collect(),
            compression: options.compression,
            level: options.level(),
        }
    }

    pub(super) fn encode(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let mut slice = Slice {
            samples: SegmentWriter::new(self.compression, self.level)?,
            series: SegmentWriter::new(self.compression, self.level)?,
            times: TimeWriter::new(),
            row: Row::default(),
            labels: Vec::new(),
        };
        let (mut min_time_ms, mut max_time_ms) = (i64::MAX, i64::MIN);
        let mut replaced_utf8 = 0;
        for (series, range) in rows.iter() {
            let samples = Samples::new(&rows.columns, range);
            let (Some(&first_ms), Some(&last_ms)) = (samples.times_ms.first(), samples.times_ms.last())
            else {
                continue;
            };
            min_time_ms = min(min_time_ms, first_ms);
            max_time_ms = max(max_time_ms, last_ms);
            slice.labels.clear();
            replaced_utf8 += push_labels(&mut slice.labels, &series.labels);
            self.push_samples(&mut slice, series, samples)?;
            self.push_series(&mut slice, series, (first_ms, last_ms), samples.times_ms.len())?;
        }
        Ok(EncodedRows {
            rows: rows.len() as u64,
            series: rows.series.len() as u64,
            min_time_ms,
            max_time_ms,
            replaced_utf8,
            body: EncodedBody::Ndjson(EncodedText {
                samples: slice.samples.finish()?,
                series: slice.series.finish()?,
            }),
        })
    }

    /// The rows of a series in table `samples`.
    fn push_samples(
        &self,
        slice: &mut Slice,
        series: &SeriesRows,
        samples: Samples<'_>,
    ) -> Result<(), SinkError> {
        let Slice { samples: segment, times, row, labels, .. } = slice;
        row.begin(|out| {
            self.push_identity(out, &series.labels);
            if self.flat {
                out.extend_from_slice(b"\"labels\":");
                out.extend_from_slice(labels);
                out.push(b',');
            }
            push_series_id(out, series.series_id);
            out.push(b',');
        });
        let mut starts_ms = samples.starts_ms.iter().copied();
        let chunks = samples.times_ms.chunks(ROWS_PER_RESERVE).zip(samples.values.chunks(ROWS_PER_RESERVE));
        for (times_ms, values) in chunks {
            segment.reserve(ROWS_PER_RESERVE * (row.head_len() + MAX_ROW_TAIL_LEN))?;
            for (&time_ms, &value) in times_ms.iter().zip(values) {
                row.push(&mut segment.text, times, time_ms, value, starts_ms.next().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// The row of a series in table `series`.
    fn push_series(
        &self,
        slice: &mut Slice,
        series: &SeriesRows,
        (first_ms, last_ms): (i64, i64),
        samples: usize,
    ) -> Result<(), SinkError> {
        let Slice { series: segment, times, labels, .. } = slice;
        // Metric, promoted labels and pairs are the labels again, up to three times their text.
        segment.reserve(4 * labels.len() + 4 * MAX_ROW_TAIL_LEN)?;
        let out = &mut segment.text;
        out.push(b'{');
        push_series_id(out, series.series_id);
        out.push(b',');
        self.push_identity(out, &series.labels);
        out.extend_from_slice(b"\"labels\":");
        out.extend_from_slice(labels);
        push_label_pairs(out, &series.labels);
        out.extend_from_slice(b",\"min_timestamp\":\"");
        times.push(out, first_ms);
        out.extend_from_slice(b"\",\"max_timestamp\":\"");
        times.push(out, last_ms);
        out.extend_from_slice(b"\",\"samples\":");
        push_i64(out, i64::try_from(samples).unwrap_or(i64::MAX));
        for (key, label) in [(&b",\"type\":"[..], TYPE_LABEL), (b",\"unit\":", UNIT_LABEL)] {
            if let Some(value) = series.labels.get(label) {
                out.extend_from_slice(key);
                json::push_str(out, value);
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Metric and promoted labels, each followed by a comma.
    fn push_identity(&self, out: &mut Vec<u8>, labels: &Labels) {
        if let Some(metric) = labels.metric() {
            out.extend_from_slice(b"\"metric\":");
            json::push_str(out, metric);
            out.push(b',');
        }
        for promoted in &self.promoted {
            if let Some(value) = labels.get(&promoted.label) {
                out.extend_from_slice(&promoted.key);
                json::push_str(out, value);
                out.push(b',');
            }
        }
    }
}

/// Text of a slice, and buffers that its series share.
struct Slice {
    samples: SegmentWriter,
    series: SegmentWriter,
    times: TimeWriter,
    row: Row,
    /// Labels of a series as JSON.
    labels: Vec<u8>,
}

fn push_series_id(out: &mut Vec<u8>, series_id: i64) {
    out.extend_from_slice(b"\"series_id\":\"");
    push_i64(out, series_id);
    out.push(b'"');
}

fn push_label_pairs(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b",\"label_pairs\":[");
    let mut comma = false;
    for (name, value) in labels.iter().filter(|&(name, _)| name != METRIC_NAME) {
        if comma {
            out.push(b',');
        }
        comma = true;
        out.extend_from_slice(b"{\"name\":");
        json::push_str(out, name);
        out.extend_from_slice(b",\"value\":");
        json::push_str(out, value);
        out.push(b'}');
    }
    out.push(b']');
}
