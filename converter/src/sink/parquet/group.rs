//! A row group in the making, column by column in the order of the schema.
//!
//! ```text
//! runs       │ series 0, rows 0–99 │ series 1, rows 100–219 │ …      metric, labels, series_id: a value per run
//! pages      │ 128 Ki rows                  │ 128 Ki rows   │ …      everything else: a value per row
//! ```
//! What the tables of samples and of histograms have in common.

use std::ops::Range;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::ByteArray;
use parquet::file::statistics::Statistics;
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};
use tsdb_reader::samples::is_stale_nan;

use super::PAGE_ROWS;
use super::column::{Bounds, ColumnChunkWriter, DataPage, EncodedColumn};
use super::compress::PageCompressor;
use super::encodings::{
    index_bit_width, push_byte_stream_split, push_delta_binary_packed, push_level_runs, push_levels,
    push_packed, push_plain,
};
use super::runs::{RunColumn, RunType};
use super::series::SeriesColumns;
use crate::sink::{Layout, OutputOptions, Profile, SinkError};

/// A row group of samples or histograms.
#[derive(Debug)]
pub(super) struct RowGroup {
    pub(super) columns: Vec<EncodedColumn>,
}

impl RowGroup {
    pub(super) fn memory_size(&self) -> usize {
        self.columns.iter().map(|column| column.bytes.len()).sum()
    }
}

/// Rows of one series in one row group.
#[derive(Debug, Clone)]
pub(super) struct SeriesRun {
    /// Its place among the series of the slice.
    pub(super) series: usize,
    /// Its rows in the columns of the slice.
    pub(super) rows: Range<usize>,
}

impl SeriesRun {
    /// Number of rows. A row group has fewer than 2^32.
    fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

/// What is said of the values of a run column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Indexed {
    /// Bounds of the chunk and of its pages.
    Yes,
    /// Bounds of the chunk.
    No,
    /// Only how many are null.
    NoBounds,
}

/// Writes one row group.
pub(super) struct GroupWriter<'a> {
    options: &'a OutputOptions,
    schema: &'a SchemaDescPtr,
    codec: Compression,
    runs: &'a [SeriesRun],
    group: Range<usize>,
    columns: Vec<EncodedColumn>,
    compressor: &'a mut PageCompressor,
    /// Body of a page, reused.
    body: Vec<u8>,
}

impl<'a> GroupWriter<'a> {
    /// Begins the row group of rows `group`, which are those of `runs`.
    pub(super) fn new(
        options: &'a OutputOptions,
        schema: &'a SchemaDescPtr,
        codec: Compression,
        runs: &'a [SeriesRun],
        group: Range<usize>,
        compressor: &'a mut PageCompressor,
    ) -> Self {
        Self { options, schema, codec, runs, group, columns: Vec::new(), compressor, body: Vec::new() }
    }

    /// Ends the row group.
    pub(super) fn finish(self) -> RowGroup {
        RowGroup { columns: self.columns }
    }

    /// Description of the column whose turn it is.
    fn descr(&self) -> ColumnDescPtr {
        self.schema.column(self.columns.len())
    }

    fn is_compact(&self) -> bool {
        self.options.profile == Profile::Compact
    }

    /// What rows say of their series: metric, promoted labels, labels where the layout has them, series_id.
    pub(super) fn identity(&mut self, series: &SeriesColumns) -> Result<(), SinkError> {
        self.run_column(RunType::ByteArray, Indexed::Yes, |at| series.metric.get(at))?;
        for promoted in &series.promoted {
            self.run_column(RunType::ByteArray, Indexed::No, |at| promoted.get(at))?;
        }
        if self.options.layout == Layout::Flat {
            self.unique_column(RunType::ByteArray, Indexed::NoBounds, |at| series.labels.get(at))?;
        }
        let series_ids: Vec<[u8; 8]> = series.series_id.iter().map(|id| id.to_le_bytes()).collect();
        let id = |at: usize| series_ids.get(at).map(<[u8; 8]>::as_slice);
        self.unique_column(RunType::Int64, Indexed::Yes, id)
    }

    /// A column whose values several series share.
    fn run_column<'v>(
        &mut self,
        kind: RunType,
        indexed: Indexed,
        value: impl Fn(usize) -> Option<&'v [u8]>,
    ) -> Result<(), SinkError> {
        let mut column = RunColumn::new(kind);
        for run in self.runs {
            column.push(value(run.series), run.len());
        }
        self.write_runs(kind, indexed, &column)
    }

    /// A column with another value for every series.
    fn unique_column<'v>(
        &mut self,
        kind: RunType,
        indexed: Indexed,
        value: impl Fn(usize) -> Option<&'v [u8]>,
    ) -> Result<(), SinkError> {
        let mut column = RunColumn::new(kind);
        for run in self.runs {
            column.push_unique(value(run.series).unwrap_or_default(), run.len());
        }
        self.write_runs(kind, indexed, &column)
    }

    fn write_runs(
        &mut self,
        kind: RunType,
        indexed: Indexed,
        column: &RunColumn<'_>,
    ) -> Result<(), SinkError> {
        let (descr, codec) = (self.descr(), self.codec);
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, indexed == Indexed::Yes);
        column.write(&mut writer, &mut self.body, indexed == Indexed::Yes)?;
        let bounds = if indexed == Indexed::NoBounds { None } else { column.bounds() };
        let encoded = writer.close(|nulls| match kind {
            RunType::ByteArray => byte_array_statistics(bounds, nulls),
            RunType::Int64 => int64_statistics(bounds, nulls),
        })?;
        self.columns.push(encoded);
        Ok(())
    }

    /// Timestamps of all rows of the slice.
    pub(super) fn timestamps(&mut self, times_ms: &[i64]) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.codec, self.is_compact());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, true);
        let mut bounds = TimeBounds::new(self.runs);
        let (mut min_ms, mut max_ms) = (i64::MAX, i64::MIN);
        for page in pages(self.group.clone()) {
            let (page_min_ms, page_max_ms) = bounds.of_page(&page, times_ms);
            let times_ms = times_ms.get(page.clone()).unwrap_or_default();
            (min_ms, max_ms) = (min_ms.min(page_min_ms), max_ms.max(page_max_ms));
            self.body.clear();
            push_levels(&mut self.body, std::iter::once((true, times_ms.len() as u64)));
            let encoding = push_integers(&mut self.body, times_ms, compact);
            let (rows, bounds) = (page_rows(&page), Some(int64_bounds(page_min_ms, page_max_ms)));
            writer.data_page(DataPage {
                body: &self.body,
                rows,
                entries: rows,
                nulls: 0,
                encoding,
                bounds,
            })?;
        }
        self.columns.push(writer.close(|nulls| int64_statistics(Some(int64_bounds(min_ms, max_ms)), nulls))?);
        Ok(())
    }

    /// Doubles of all rows of the slice; null where `values`, those of the same rows, have a stale marker.
    pub(super) fn doubles(&mut self, doubles: &[f64], values: &[f64]) -> Result<(), SinkError> {
        self.nullable(doubles, values, |&value| is_stale_nan(value), push_doubles, double_statistics)
    }

    /// Start timestamps of all rows of the slice, 0 for null; or none at all.
    pub(super) fn start_timestamps(&mut self, starts_ms: &[i64]) -> Result<(), SinkError> {
        let push = |body: &mut Vec<u8>, starts_ms: &[i64], compact| match starts_ms {
            [] => Encoding::PLAIN,
            _ => push_integers(body, starts_ms, compact),
        };
        let statistics = |nulls| int64_statistics(None, nulls);
        self.nullable(starts_ms, starts_ms, |&start_ms| start_ms == 0, push, statistics)
    }

    /// A column without bounds, null where the mark of the row says so, or is missing.
    fn nullable<T: Copy, M>(
        &mut self,
        values: &[T],
        marks: &[M],
        is_null: impl Fn(&M) -> bool,
        push: impl Fn(&mut Vec<u8>, &[T], bool) -> Encoding,
        statistics: impl FnOnce(u64) -> Option<Statistics>,
    ) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.codec, self.is_compact());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, false);
        let mut kept = Vec::new();
        for page in pages(self.group.clone()) {
            let rows = page_rows(&page);
            let mut values = values.get(page.clone()).unwrap_or_default();
            let marks = marks.get(page).unwrap_or_default();
            let there = page_rows_of(marks.iter().filter(|mark| !is_null(mark)).count());
            self.body.clear();
            if there == 0 || there == rows {
                push_levels(&mut self.body, std::iter::once((there > 0, u64::from(rows))));
            } else {
                push_levels(&mut self.body, marks.iter().map(|mark| (!is_null(mark), 1)));
            }
            if there < rows {
                kept.clear();
                kept.extend(
                    values.iter().zip(marks).filter(|(_, mark)| !is_null(mark)).map(|(&value, _)| value),
                );
                values = &kept;
            }
            let encoding = push(&mut self.body, values, compact);
            writer.data_page(DataPage {
                body: &self.body,
                rows,
                entries: rows,
                nulls: rows.saturating_sub(there),
                encoding,
                bounds: None,
            })?;
        }
        self.columns.push(writer.close(statistics)?);
        Ok(())
    }

    /// One integer for all rows of the group.
    pub(super) fn constant(&mut self, value: i64) -> Result<(), SinkError> {
        let bytes = value.to_le_bytes();
        let mut column = RunColumn::new(RunType::Int64);
        column.push(Some(bytes.as_slice()), page_rows_of(self.group.len()));
        self.write_runs(RunType::Int64, Indexed::No, &column)
    }

    /// Integers of all rows of the slice.
    pub(super) fn integers(&mut self, values: &[i64]) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.codec, self.is_compact());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, false);
        for page in pages(self.group.clone()) {
            let rows = page_rows(&page);
            self.body.clear();
            push_levels(&mut self.body, std::iter::once((true, u64::from(rows))));
            let encoding = push_integers(&mut self.body, values.get(page).unwrap_or_default(), compact);
            let page = DataPage { body: &self.body, rows, entries: rows, nulls: 0, encoding, bounds: None };
            writer.data_page(page)?;
        }
        self.columns.push(writer.close(|nulls| int64_statistics(None, nulls))?);
        Ok(())
    }

    /// A column of few different values, one for each row of the group.
    pub(super) fn row_column<'v>(
        &mut self,
        kind: RunType,
        values: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Result<(), SinkError> {
        let mut column = RunColumn::new(kind);
        values.for_each(|value| column.push(value, 1));
        self.write_runs(kind, Indexed::No, &column)
    }

    /// A column of doubles in the elements of lists, one list of `lens` for each row of the group.
    pub(super) fn list_column(&mut self, lens: &[u32], values: &ListValues<'_>) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.codec, self.is_compact());
        let defined = u32::from(descr.max_def_level().unsigned_abs());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, false);
        if let ListValues::Keys { dictionary, .. } = values {
            self.body.clear();
            push_plain(&mut self.body, dictionary, f64::to_le_bytes);
            writer.dictionary(&self.body, u32::try_from(dictionary.len()).unwrap_or(u32::MAX))?;
        }
        let mut first = 0;
        for (lens, count) in list_pages(lens) {
            let each = lens.iter().map(|&len| u64::from(len));
            self.body.clear();
            // A list begins anew with its first element, and goes on with the others.
            let repetition = each.clone().flat_map(|len| [(0, 1), (1, len.saturating_sub(1))]);
            push_level_runs(&mut self.body, 1, repetition.filter(|&(_, entries)| entries > 0));
            let definition = each.map(|len| if len == 0 { (EMPTY_LIST, 1) } else { (defined, len) });
            push_level_runs(&mut self.body, u32::BITS - defined.leading_zeros(), definition);
            let encoding = values.push(&mut self.body, first..first + count, compact);
            first += count;
            let nulls = page_rows_of(lens.iter().filter(|&&len| len == 0).count());
            writer.data_page(DataPage {
                body: &self.body,
                rows: page_rows_of(lens.len()),
                entries: page_rows_of(count).saturating_add(nulls),
                nulls,
                encoding,
                bounds: None,
            })?;
        }
        self.columns.push(writer.close(double_statistics)?);
        Ok(())
    }
}

/// Definition level of a list without elements.
const EMPTY_LIST: u32 = 1;

/// Values of a column within lists, one after the other.
pub(super) enum ListValues<'a> {
    /// As they are.
    Doubles(&'a [f64]),
    /// Their places in a dictionary.
    Keys { keys: &'a [u32], dictionary: &'a [f64] },
}

impl ListValues<'_> {
    /// Appends the values of a page.
    fn push(&self, body: &mut Vec<u8>, page: Range<usize>, compact: bool) -> Encoding {
        match self {
            Self::Doubles(values) => push_doubles(body, values.get(page).unwrap_or_default(), compact),
            Self::Keys { keys, dictionary } => {
                let keys = keys.get(page).unwrap_or_default();
                let width = index_bit_width(dictionary.len());
                body.extend(width.to_le_bytes().first());
                push_packed(body, width, keys);
                Encoding::RLE_DICTIONARY
            }
        }
    }
}

/// Cuts lists into pages of whole rows; with each the number of its elements.
fn list_pages(mut lens: &[u32]) -> impl Iterator<Item = (&[u32], usize)> {
    std::iter::from_fn(move || {
        let (mut rows, mut count) = (0, 0);
        for &len in lens {
            if count >= PAGE_ROWS as usize || rows >= PAGE_ROWS as usize {
                break;
            }
            rows += 1;
            count += usize::try_from(len).unwrap_or(usize::MAX);
        }
        let (page, rest) = lens.split_at_checked(rows)?;
        lens = rest;
        (!page.is_empty()).then_some((page, count))
    })
}

/// Pages of a row group.
fn pages(group: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    group
        .clone()
        .step_by(PAGE_ROWS as usize)
        .map(move |start| start..group.end.min(start + PAGE_ROWS as usize))
}

fn page_rows(page: &Range<usize>) -> u32 {
    // At most PAGE_ROWS.
    u32::try_from(page.len()).unwrap_or(PAGE_ROWS)
}

/// Rows or elements in a page. A page of more is too large to be written.
fn page_rows_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn push_doubles(body: &mut Vec<u8>, values: &[f64], compact: bool) -> Encoding {
    if compact {
        push_byte_stream_split(body, values);
        Encoding::BYTE_STREAM_SPLIT
    } else {
        push_plain(body, values, f64::to_le_bytes);
        Encoding::PLAIN
    }
}

fn push_integers(body: &mut Vec<u8>, times_ms: &[i64], compact: bool) -> Encoding {
    if compact {
        push_delta_binary_packed(body, times_ms);
        Encoding::DELTA_BINARY_PACKED
    } else {
        push_plain(body, times_ms, i64::to_le_bytes);
        Encoding::PLAIN
    }
}

/// Smallest and largest time of pages: times ascend within a series, so its ends are enough.
struct TimeBounds<'a> {
    runs: &'a [SeriesRun],
}

impl<'a> TimeBounds<'a> {
    fn new(runs: &'a [SeriesRun]) -> Self {
        Self { runs }
    }

    fn of_page(&mut self, page: &Range<usize>, times_ms: &[i64]) -> (i64, i64) {
        let (mut min_ms, mut max_ms) = (i64::MAX, i64::MIN);
        while let Some((run, after)) = self.runs.split_first() {
            let rows = run.rows.start.max(page.start)..run.rows.end.min(page.end);
            if let Some([first, .., last] | [first @ last]) = times_ms.get(rows) {
                (min_ms, max_ms) = (min_ms.min(*first), max_ms.max(*last));
            }
            if run.rows.end > page.end {
                break;
            }
            self.runs = after;
        }
        (min_ms, max_ms)
    }
}

fn int64_bounds(min: i64, max: i64) -> Bounds {
    Bounds { min: min.to_le_bytes().to_vec(), max: max.to_le_bytes().to_vec() }
}

fn int64_statistics(bounds: Option<Bounds>, nulls: u64) -> Option<Statistics> {
    let bounds = bounds.map(|bounds| (bounds.min.as_slice().try_into(), bounds.max.as_slice().try_into()));
    let (min, max) = match bounds {
        Some((Ok(min), Ok(max))) => (Some(i64::from_le_bytes(min)), Some(i64::from_le_bytes(max))),
        _ => (None, None),
    };
    Some(Statistics::int64(min, max, None, Some(nulls), false))
}

fn double_statistics(nulls: u64) -> Option<Statistics> {
    Some(Statistics::double(None, None, None, Some(nulls), false))
}

fn byte_array_statistics(bounds: Option<Bounds>, nulls: u64) -> Option<Statistics> {
    let (min, max) = bounds.map(|bounds| (ByteArray::from(bounds.min), ByteArray::from(bounds.max))).unzip();
    Some(Statistics::byte_array(min, max, None, Some(nulls), false))
}
