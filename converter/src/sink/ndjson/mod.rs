//! NDJSON: rows as lines of JSON, compressed slice by slice.
//!
//! ```text
//! {"metric":"up","job":"a","series_id":"-42","timestamp":"2026-11-20T00:00:15.000Z","value":1.0}
//! └──────── same for a series ───────────┘             └──────── formatted ────────┘
//! ```
//! - `series_id` is always a string: readers keep integers exactly only within ±2^53.
//! - `value` is always there, `null` for a stale marker, `"NaN"`, `"Infinity"`, `"-Infinity"` for those. So are `count`
//!   and `sum` of a histogram.
//! - Every other null field is left out, of windows those that are not known.
//! - `labels` is an object; keys that differ only in bytes that are not UTF-8 end up the same.

mod compress;
mod row;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::samples::{HistogramColumns, is_stale_nan};

use super::labels::push_labels;
use super::part::PartFile;
use super::tables::{Places, UnitTables};
use super::{
    Compression, EncodedBody, EncodedRows, Extents, Layout, OutputOptions, Samples, SinkError, extents,
    extents_of_histograms, histograms_of, resolutions,
};
use crate::columns::LabelColumn;
use crate::downsample::{Aggregate, AggregateColumns};
use crate::metadata::Metadata;
use crate::rows::{SampleRows, SeriesRows};
use crate::schema::Table;
use crate::text::histogram::{HistogramText, MAX_BUCKET_LEN, MAX_ROW_LEN};
use crate::text::json;
use crate::text::number::{push_f64, push_i64};
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
    segments: Vec<(Table, Segment)>,
}

impl EncodedText {
    pub(super) fn memory_size(&self) -> usize {
        self.segments.iter().map(|(_, segment)| segment.memory_size()).sum()
    }
}

/// The tables of a unit.
#[derive(Debug)]
pub(super) struct NdjsonTables {
    compression: Compression,
    tables: UnitTables<TextFile>,
}

impl NdjsonTables {
    pub(super) fn new(compression: Compression, places: Places) -> Self {
        Self { compression, tables: UnitTables::new(places) }
    }

    /// Appends a slice.
    pub(super) fn append(&mut self, extents: &Extents, text: &EncodedText) -> Result<(), SinkError> {
        let compression = self.compression;
        for (table, segment) in &text.segments {
            let Some(&extent) = extents.get(table) else { continue };
            let begin = |writer| TextFile::new(writer, compression);
            self.tables.of(*table).append(extent, begin, |file| file.append(segment))?;
        }
        Ok(())
    }

    /// Ends all files.
    pub(super) fn finish(self) -> Result<Vec<PartFile>, SinkError> {
        self.tables.finish()
    }
}

/// Longest text of a float and a start time, and what stands around them.
const MAX_ROW_TAIL_LEN: usize = 96;

/// Longest text of a window besides what it begins with.
const MAX_WINDOW_LEN: usize = 384;

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
        let mut slice = Slice::new(self, &rows.metadata);
        let mut replaced_utf8 = 0;
        for series in rows.series.iter().filter(|series| series.extent.samples > 0) {
            slice.describe(series);
            replaced_utf8 += slice.replaced_utf8;
            self.push_series(&mut slice, series)?;
        }
        for resolution in resolutions(rows) {
            for (at, range) in rows.floats_of(resolution) {
                let Some(series) = rows.series.get(at) else { continue };
                slice.describe(series);
                match rows.windows.get(&resolution) {
                    Some(windows) => {
                        self.push_windows(&mut slice, series, &windows.floats, range)?;
                    }
                    None => self.push_samples(&mut slice, series, Samples::new(&rows.columns, range))?,
                }
            }
        }
        self.push_all_histograms(&mut slice, rows)?;
        slice.finish(extents(rows), replaced_utf8)
    }

    pub(super) fn encode_histograms(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let mut slice = Slice::new(self, &rows.metadata);
        self.push_all_histograms(&mut slice, rows)?;
        // Their series are counted when they come themselves.
        slice.finish(extents_of_histograms(rows), 0)
    }

    /// The rows of a series in table `samples`.
    fn push_samples(
        &self,
        slice: &mut Slice<'_>,
        series: &SeriesRows,
        samples: Samples<'_>,
    ) -> Result<(), SinkError> {
        let (segment, Texts { times, row, labels, .. }) = slice.table(Table::Samples(series.resolution))?;
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

    /// The rows of a series in a table of windows.
    fn push_windows(
        &self,
        slice: &mut Slice<'_>,
        series: &SeriesRows,
        windows: &AggregateColumns,
        range: Range<usize>,
    ) -> Result<(), SinkError> {
        let (segment, Texts { times, head, labels, .. }) = slice.table(Table::Samples(series.resolution))?;
        self.begin_head(head, series, labels);
        let mut tail = b"\",\"resolution_ms\":".to_vec();
        push_i64(&mut tail, series.resolution.ms());
        tail.extend_from_slice(b",\"count\":");
        for at in range {
            segment.reserve(head.len() + MAX_WINDOW_LEN)?;
            let out = &mut segment.text;
            out.extend_from_slice(head);
            times.push(out, windows.times_ms.get(at).copied().unwrap_or_default());
            out.extend_from_slice(&tail);
            push_i64(out, windows.counts.get(at).copied().unwrap_or_default());
            for aggregate in Aggregate::ALL {
                let value = windows.column(aggregate).get(at).filter(|value| !is_stale_nan(**value));
                if let Some(&value) = value {
                    out.extend_from_slice(b",\"");
                    out.extend_from_slice(aggregate.name().as_bytes());
                    out.extend_from_slice(b"\":");
                    push_f64(out, value);
                }
            }
            out.extend_from_slice(b"}\n");
        }
        Ok(())
    }

    fn push_all_histograms(&self, slice: &mut Slice<'_>, rows: &SampleRows) -> Result<(), SinkError> {
        for resolution in resolutions(rows) {
            let columns = histograms_of(rows, resolution);
            let samples = rows.windows.get(&resolution).map(|windows| windows.histogram_samples.as_slice());
            for (at, range) in rows.histograms_of(resolution) {
                let Some(series) = rows.series.get(at) else { continue };
                slice.describe(series);
                self.push_histograms(slice, series, columns, samples, range)?;
            }
        }
        Ok(())
    }

    /// The rows of a series in table `histograms`; of windows, with their `samples`.
    fn push_histograms(
        &self,
        slice: &mut Slice<'_>,
        series: &SeriesRows,
        columns: &HistogramColumns,
        samples: Option<&[i64]>,
        range: Range<usize>,
    ) -> Result<(), SinkError> {
        let (segment, texts) = slice.table(Table::Histograms(series.resolution))?;
        let Texts { times, head, labels, histogram_text, .. } = texts;
        self.begin_head(head, series, labels);
        for (at, histogram) in range.map_while(|row| Some((row, columns.row(row)?))) {
            let buckets = MAX_BUCKET_LEN.saturating_mul(histogram.buckets.len());
            segment.reserve(head.len() + MAX_ROW_LEN + buckets)?;
            segment.text.extend_from_slice(head);
            match samples {
                None => histogram_text.push(&mut segment.text, times, &histogram),
                Some(samples) => {
                    let samples = samples.get(at).copied().unwrap_or_default();
                    let resolution_ms = series.resolution.ms();
                    histogram_text.push_window(&mut segment.text, times, &histogram, resolution_ms, samples);
                }
            }
        }
        Ok(())
    }

    /// What a row begins with, up to the digits of its time.
    fn begin_head(&self, head: &mut Vec<u8>, series: &SeriesRows, labels: &[u8]) {
        head.clear();
        head.push(b'{');
        self.push_head(head, series, labels);
        head.extend_from_slice(b",\"timestamp\":\"");
    }

    /// The row of a series in table `series`.
    fn push_series(&self, slice: &mut Slice<'_>, series: &SeriesRows) -> Result<(), SinkError> {
        let (segment, Texts { times, labels, metadata, .. }) = slice.table(Table::Series)?;
        let extent = series.extent;
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
        let known = metadata.of_series(&series.labels);
        let fields = [known.metric_type.or(series.assumed_type()), known.unit, known.help];
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

/// Text of a slice, table by table.
struct Slice<'a> {
    encoder: &'a NdjsonEncoder,
    segments: BTreeMap<Table, SegmentWriter>,
    texts: Texts,
    /// Names and values of the series described last that were not UTF-8.
    replaced_utf8: u64,
}

/// What the series of a slice share.
struct Texts {
    times: TimeWriter,
    row: Row,
    /// What the rows of a series begin with.
    head: Vec<u8>,
    histogram_text: HistogramText,
    /// Labels of a series as JSON.
    labels: Vec<u8>,
    /// Where type, unit and help are found.
    metadata: Arc<Metadata>,
}

impl<'a> Slice<'a> {
    fn new(encoder: &'a NdjsonEncoder, metadata: &Arc<Metadata>) -> Self {
        let texts = Texts {
            times: TimeWriter::new(),
            row: Row::default(),
            head: Vec::new(),
            histogram_text: HistogramText::default(),
            labels: Vec::new(),
            metadata: Arc::clone(metadata),
        };
        Self { encoder, segments: BTreeMap::new(), texts, replaced_utf8: 0 }
    }

    /// Takes up the labels of a series.
    fn describe(&mut self, series: &SeriesRows) {
        self.texts.labels.clear();
        self.replaced_utf8 = push_labels(&mut self.texts.labels, &series.labels);
    }

    /// The text of a table.
    fn table(&mut self, table: Table) -> Result<(&mut SegmentWriter, &mut Texts), SinkError> {
        let segment = match self.segments.entry(table) {
            Entry::Occupied(segment) => segment.into_mut(),
            Entry::Vacant(free) => {
                free.insert(SegmentWriter::new(self.encoder.compression, self.encoder.level)?)
            }
        };
        Ok((segment, &mut self.texts))
    }

    fn finish(self, extents: Extents, replaced_utf8: u64) -> Result<EncodedRows, SinkError> {
        let segments = self.segments.into_iter().map(|(table, segment)| Ok((table, segment.finish()?)));
        let segments = segments.collect::<Result<_, SinkError>>()?;
        Ok(EncodedRows { extents, replaced_utf8, body: EncodedBody::Ndjson(EncodedText { segments }) })
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
