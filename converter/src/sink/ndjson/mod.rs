//! NDJSON: rows as lines of JSON, compressed slice by slice.
//!
//! ```text
//! {"metric":"up","job":"a","series_id":"-42","timestamp":"2026-11-20T00:00:15.000Z","value":1.0}
//! └──────── same for a series ───────────┘             └──────── formatted ────────┘
//! ```
//! - `series_id` is always a string: readers keep integers exactly only within ±2^53.
//! - `value` is always there, `null` for a stale marker, `"NaN"`, `"Infinity"`, `"-Infinity"` for those. So are `count`
//!   and `sum` of a histogram.
//! - Every other null field is left out.
//! - `labels` is an object; keys that differ only in bytes that are not UTF-8 end up the same.

mod compress;
mod row;

use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;

use super::labels::push_labels;
use super::part::PartFile;
use super::tables::{Place, TableWriter};
use super::{
    Compression, EncodedBody, EncodedRows, Extents, Layout, OutputOptions, Samples, SinkError,
    with_histograms,
};
use crate::columns::LabelColumn;
use crate::metadata::Metadata;
use crate::rows::{SampleRows, SeriesExtent, SeriesRows};
use crate::schema::Table;
use crate::text::histogram::{HistogramText, MAX_BUCKET_LEN, MAX_ROW_LEN};
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
    histograms: Segment,
    series: Segment,
}

impl EncodedText {
    pub(super) fn memory_size(&self) -> usize {
        self.samples.memory_size() + self.histograms.memory_size() + self.series.memory_size()
    }
}

/// The tables of a unit.
#[derive(Debug)]
pub(super) struct NdjsonTables {
    compression: Compression,
    samples: TableWriter<TextFile>,
    histograms: TableWriter<TextFile>,
    series: TableWriter<TextFile>,
}

impl NdjsonTables {
    pub(super) fn new(compression: Compression, place: impl Fn(Table) -> Place) -> Self {
        Self {
            compression,
            samples: TableWriter::new(place(Table::Samples)),
            histograms: TableWriter::new(place(Table::Histograms)),
            series: TableWriter::new(place(Table::Series)),
        }
    }

    /// Appends a slice.
    pub(super) fn append(&mut self, extents: &Extents, text: &EncodedText) -> Result<(), SinkError> {
        let begin = |writer| TextFile::new(writer, self.compression);
        self.samples.append(extents.samples, begin, |file| file.append(&text.samples))?;
        self.histograms.append(extents.histograms, begin, |file| file.append(&text.histograms))?;
        self.series.append(extents.series, begin, |file| file.append(&text.series))
    }

    /// Ends all files.
    pub(super) fn finish(self) -> Result<Vec<PartFile>, SinkError> {
        let mut files = self.samples.finish()?;
        files.extend(self.histograms.finish()?);
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
        let mut slice = Slice::new(self, &rows.metadata)?;
        let mut replaced_utf8 = 0;
        for ((series, range), (_, histograms)) in rows.iter().zip(rows.iter_histograms()) {
            let samples = Samples::new(&rows.columns, range);
            let Some(extent) = series.extent(samples.times_ms) else { continue };
            slice.labels.clear();
            replaced_utf8 += push_labels(&mut slice.labels, &series.labels);
            if !samples.times_ms.is_empty() {
                self.push_samples(&mut slice, series, samples)?;
            }
            self.push_histograms(&mut slice, series, rows, histograms)?;
            self.push_series(&mut slice, series, extent)?;
        }
        slice.finish(Extents::new(rows), replaced_utf8)
    }

    pub(super) fn encode_histograms(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let mut slice = Slice::new(self, &rows.metadata)?;
        for (series, histograms) in with_histograms(rows) {
            slice.labels.clear();
            // Counted when the series comes itself.
            let _replaced_utf8 = push_labels(&mut slice.labels, &series.labels);
            self.push_histograms(&mut slice, series, rows, histograms)?;
        }
        slice.finish(Extents::of_histograms(rows), 0)
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
            self.push_head(out, series, labels);
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

    /// The rows of a series in table `histograms`.
    fn push_histograms(
        &self,
        slice: &mut Slice,
        series: &SeriesRows,
        rows: &SampleRows,
        range: Range<usize>,
    ) -> Result<(), SinkError> {
        let Slice { histograms: segment, times, labels, histogram_head, histogram_text, .. } = slice;
        if range.is_empty() {
            return Ok(());
        }
        histogram_head.clear();
        histogram_head.push(b'{');
        self.push_head(histogram_head, series, labels);
        histogram_head.extend_from_slice(b",\"timestamp\":\"");
        for histogram in range.map_while(|row| rows.histograms.row(row)) {
            let buckets = MAX_BUCKET_LEN.saturating_mul(histogram.buckets.len());
            segment.reserve(histogram_head.len() + MAX_ROW_LEN + buckets)?;
            segment.text.extend_from_slice(histogram_head);
            histogram_text.push(&mut segment.text, times, &histogram);
        }
        Ok(())
    }

    /// The row of a series in table `series`.
    fn push_series(
        &self,
        slice: &mut Slice,
        series: &SeriesRows,
        extent: SeriesExtent,
    ) -> Result<(), SinkError> {
        let Slice { series: segment, times, labels, metadata, .. } = slice;
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
        times.push(out, extent.min_time_ms);
        out.extend_from_slice(b"\",\"max_timestamp\":\"");
        times.push(out, extent.max_time_ms);
        out.extend_from_slice(b"\",\"samples\":");
        push_i64(out, i64::try_from(extent.samples).unwrap_or(i64::MAX));
        let known = metadata.of_series(&series.labels, series.series_id);
        let fields = [known.metric_type, known.unit, known.help];
        for (key, value) in [&b",\"type\":"[..], b",\"unit\":", b",\"help\":"].into_iter().zip(fields) {
            if let Some(value) = value {
                out.extend_from_slice(key);
                json::push_str(out, value);
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// What a row says of its series, up to the `series_id`.
    fn push_head(&self, out: &mut Vec<u8>, series: &SeriesRows, labels: &[u8]) {
        self.push_identity(out, &series.labels);
        if self.flat {
            out.extend_from_slice(b"\"labels\":");
            out.extend_from_slice(labels);
            out.push(b',');
        }
        push_series_id(out, series.series_id);
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
    histograms: SegmentWriter,
    series: SegmentWriter,
    times: TimeWriter,
    row: Row,
    /// What the histograms of a series begin with.
    histogram_head: Vec<u8>,
    histogram_text: HistogramText,
    /// Labels of a series as JSON.
    labels: Vec<u8>,
    /// Where type, unit and help are found.
    metadata: Arc<Metadata>,
}

impl Slice {
    fn new(encoder: &NdjsonEncoder, metadata: &Arc<Metadata>) -> Result<Self, SinkError> {
        let segment = || SegmentWriter::new(encoder.compression, encoder.level);
        Ok(Self {
            samples: segment()?,
            histograms: segment()?,
            series: segment()?,
            times: TimeWriter::new(),
            row: Row::default(),
            histogram_head: Vec::new(),
            histogram_text: HistogramText::default(),
            labels: Vec::new(),
            metadata: Arc::clone(metadata),
        })
    }

    fn finish(self, extents: Extents, replaced_utf8: u64) -> Result<EncodedRows, SinkError> {
        Ok(EncodedRows {
            extents,
            replaced_utf8,
            body: EncodedBody::Ndjson(EncodedText {
                samples: self.samples.finish()?,
                histograms: self.histograms.finish()?,
                series: self.series.finish()?,
            }),
        })
    }
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
