//! Table `samples`: row groups of one slice.
//!
//! ```text
//! column            pages made from             bigquery       compact
//! metric, labels    runs of series              dictionary     dictionary
//! series_id         runs of series              dictionary     dictionary
//! timestamp         rows, never null            PLAIN          DELTA_BINARY_PACKED
//! value             rows, stale marker = null   PLAIN          BYTE_STREAM_SPLIT
//! start_timestamp   rows, 0 = null              PLAIN          DELTA_BINARY_PACKED
//! ```

use std::ops::Range;

use parquet::basic::{Compression, Encoding};
use parquet::data_type::ByteArray;
use parquet::file::statistics::Statistics;
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};
use tsdb_reader::samples::is_stale_nan;

use super::column::{Bounds, ColumnChunkWriter, DataPage, EncodedColumn};
use super::compress::{PageCompressor, library_codec};
use super::encodings::{push_byte_stream_split, push_delta_binary_packed, push_levels, push_plain};
use super::runs::{RunColumn, RunType};
use super::series::SeriesColumns;
use super::{GROUP_ROWS, PAGE_ROWS};
use crate::rows::SampleRows;
use crate::sink::{Layout, OutputOptions, Profile, SinkError};

/// A row group of table `samples`.
#[derive(Debug)]
pub(super) struct SamplesGroup {
    pub(super) columns: Vec<EncodedColumn>,
}

impl SamplesGroup {
    pub(super) fn memory_size(&self) -> usize {
        self.columns.iter().map(|column| column.bytes.len()).sum()
    }
}

/// Encodes table `samples`.
#[derive(Debug)]
pub(super) struct SamplesEncoder {
    options: OutputOptions,
    schema: SchemaDescPtr,
    codec: Compression,
}

/// Rows of one series in one row group.
#[derive(Debug, Clone)]
struct SeriesRun {
    /// Its place among the series of the slice.
    series: usize,
    /// Its rows in the columns of the slice.
    rows: Range<usize>,
}

impl SeriesRun {
    /// Number of rows. A row group has fewer than 2^32.
    fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

impl SamplesEncoder {
    pub(super) fn new(options: &OutputOptions, schema: SchemaDescPtr) -> Result<Self, SinkError> {
        Ok(Self { options: options.clone(), schema, codec: library_codec(options)? })
    }

    /// Encodes a slice, whose series are described by `series`.
    pub(super) fn encode(
        &self,
        rows: &SampleRows,
        series: &SeriesColumns,
    ) -> Result<Vec<SamplesGroup>, SinkError> {
        let mut compressor = PageCompressor::new(&self.options)?;
        let series_ids: Vec<[u8; 8]> = series.series_id.iter().map(|id| id.to_le_bytes()).collect();
        let groups = groups(rows.len()).map(|group| {
            let mut encoding = GroupEncoding {
                encoder: self,
                rows,
                runs: runs(rows, &group),
                group,
                columns: Vec::new(),
                compressor: &mut compressor,
                body: Vec::new(),
            };
            encoding
                .run_column(RunType::ByteArray, Indexed::Yes, |series_at| series.metric.get(series_at))?;
            for promoted in &series.promoted {
                encoding.run_column(RunType::ByteArray, Indexed::No, |series_at| promoted.get(series_at))?;
            }
            if self.options.layout == Layout::Flat {
                encoding.unique_column(RunType::ByteArray, Indexed::NoBounds, |at| series.labels.get(at))?;
            }
            let id = |at: usize| series_ids.get(at).map(<[u8; 8]>::as_slice);
            encoding.unique_column(RunType::Int64, Indexed::Yes, id)?;
            encoding.timestamps()?;
            encoding.values()?;
            encoding.start_timestamps()?;
            Ok(SamplesGroup { columns: encoding.columns })
        });
        groups.collect()
    }
}

/// Row groups of a slice: one, or several of [`GROUP_ROWS`] where it has more than twice as many rows.
fn groups(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = rows - start;
        let taken = if left > 2 * GROUP_ROWS { GROUP_ROWS } else { left };
        let group = start..start + taken;
        start = group.end;
        (taken > 0).then_some(group)
    })
}

/// The series of a row group.
fn runs(rows: &SampleRows, group: &Range<usize>) -> Vec<SeriesRun> {
    let first = rows.series.partition_point(|series| series.end <= group.start);
    let mut start = group.start;
    let series = rows.series.iter().enumerate().skip(first);
    let runs = series.map_while(|(at, series)| {
        let rows = start..series.end.min(group.end);
        start = rows.end;
        (!rows.is_empty()).then_some(SeriesRun { series: at, rows })
    });
    runs.collect()
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

/// A row group in the making.
struct GroupEncoding<'a> {
    encoder: &'a SamplesEncoder,
    rows: &'a SampleRows,
    group: Range<usize>,
    runs: Vec<SeriesRun>,
    columns: Vec<EncodedColumn>,
    compressor: &'a mut PageCompressor,
    /// Body of a page, reused.
    body: Vec<u8>,
}

impl<'a> GroupEncoding<'a> {
    /// Description of the column whose turn it is.
    fn descr(&self) -> ColumnDescPtr {
        self.encoder.schema.column(self.columns.len())
    }

    fn is_compact(&self) -> bool {
        self.encoder.options.profile == Profile::Compact
    }

    /// A column whose values several series share.
    fn run_column<'v>(
        &mut self,
        kind: RunType,
        indexed: Indexed,
        value: impl Fn(usize) -> Option<&'v [u8]>,
    ) -> Result<(), SinkError> {
        let mut column = RunColumn::new(kind);
        for run in &self.runs {
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
        for run in &self.runs {
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
        let (descr, codec) = (self.descr(), self.encoder.codec);
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

    fn timestamps(&mut self) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.encoder.codec, self.is_compact());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, true);
        let mut bounds = TimeBounds::new(&self.runs);
        let (mut min_ms, mut max_ms) = (i64::MAX, i64::MIN);
        for page in pages(self.group.clone()) {
            let times_ms = self.rows.columns.times_ms.get(page.clone()).unwrap_or_default();
            let (page_min_ms, page_max_ms) = bounds.of_page(&page, &self.rows.columns.times_ms);
            (min_ms, max_ms) = (min_ms.min(page_min_ms), max_ms.max(page_max_ms));
            self.body.clear();
            push_levels(&mut self.body, std::iter::once((true, times_ms.len() as u64)));
            let encoding = push_times(&mut self.body, times_ms, compact);
            let (rows, bounds) = (page_rows(&page), Some(int64_bounds(page_min_ms, page_max_ms)));
            writer.data_page(DataPage { body: &self.body, rows, nulls: 0, encoding, bounds })?;
        }
        self.columns.push(writer.close(|nulls| int64_statistics(Some(int64_bounds(min_ms, max_ms)), nulls))?);
        Ok(())
    }

    fn values(&mut self) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.encoder.codec, self.is_compact());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, false);
        let mut kept = Vec::new();
        for page in pages(self.group.clone()) {
            let mut values = self.rows.columns.values.get(page.clone()).unwrap_or_default();
            let rows = page_rows(&page);
            self.body.clear();
            let stale = values.iter().filter(|&&value| is_stale_nan(value)).count();
            if stale == 0 {
                push_levels(&mut self.body, std::iter::once((true, u64::from(rows))));
            } else {
                push_levels(&mut self.body, values.iter().map(|&value| (!is_stale_nan(value), 1)));
                kept.clear();
                kept.extend(values.iter().copied().filter(|&value| !is_stale_nan(value)));
                values = &kept;
            }
            let encoding = match compact {
                true => {
                    push_byte_stream_split(&mut self.body, values);
                    Encoding::BYTE_STREAM_SPLIT
                }
                false => {
                    push_plain(&mut self.body, values, f64::to_le_bytes);
                    Encoding::PLAIN
                }
            };
            let nulls = u32::try_from(stale).unwrap_or(rows);
            writer.data_page(DataPage { body: &self.body, rows, nulls, encoding, bounds: None })?;
        }
        let statistics = |nulls| Some(Statistics::double(None, None, None, Some(nulls), false));
        self.columns.push(writer.close(statistics)?);
        Ok(())
    }

    fn start_timestamps(&mut self) -> Result<(), SinkError> {
        let (descr, codec, compact) = (self.descr(), self.encoder.codec, self.is_compact());
        let mut writer = ColumnChunkWriter::new(descr, codec, self.compressor, false);
        let mut kept = Vec::new();
        for page in pages(self.group.clone()) {
            let rows = page_rows(&page);
            let starts_ms = self.rows.columns.start_times_ms.get(page).unwrap_or_default();
            self.body.clear();
            kept.clear();
            kept.extend(starts_ms.iter().copied().filter(|&start_ms| start_ms != 0));
            let encoding = if kept.is_empty() {
                push_levels(&mut self.body, std::iter::once((false, u64::from(rows))));
                Encoding::PLAIN
            } else {
                push_levels(&mut self.body, starts_ms.iter().map(|&start_ms| (start_ms != 0, 1)));
                push_times(&mut self.body, &kept, compact)
            };
            let nulls = rows - u32::try_from(kept.len()).unwrap_or(rows);
            writer.data_page(DataPage { body: &self.body, rows, nulls, encoding, bounds: None })?;
        }
        self.columns.push(writer.close(|nulls| int64_statistics(None, nulls))?);
        Ok(())
    }
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

fn push_times(body: &mut Vec<u8>, times_ms: &[i64], compact: bool) -> Encoding {
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

fn byte_array_statistics(bounds: Option<Bounds>, nulls: u64) -> Option<Statistics> {
    let (min, max) = bounds.map(|bounds| (ByteArray::from(bounds.min), ByteArray::from(bounds.max))).unzip();
    Some(Statistics::byte_array(min, max, None, Some(nulls), false))
}
