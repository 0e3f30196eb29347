//! Parquet: slices become row groups, row groups become files.
//!
//! ```text
//! SampleRows ──┬─ samples ───── run columns, times, values ── pages ──► row group of one slice
//!              ├─ windows ───── the same, one for each resolution
//!              ├─ histograms ── the same, buckets ─────────── pages ──► row group of about a million buckets
//!              └─ series ────── library's column writers ─────────────► row group of several slices
//! ```
//! Rows of a row group and of a page depend on nothing but the rows. No page carries a clock, a host or a path;
//! the files name [`FORMAT_VERSION`] instead of the library's version.

mod column;
mod compress;
mod encodings;
mod group;
mod histograms;
mod runs;
mod samples;
mod series;
mod strings;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use ::parquet::basic::Compression;
use ::parquet::file::metadata::SortingColumn;
use ::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr, WriterVersion,
};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{ColumnPath, SchemaDescPtr, TypePtr};

use super::part::{Part, PartFile, PartWriter};
use super::tables::{Extent, Places, TableFile, TableWriter, UnitTables};
use super::{
    EncodedBody, EncodedRows, Extents, FORMAT_VERSION, OutputOptions, SinkError, extents,
    extents_of_histograms, histograms_of, resolutions,
};
use crate::columns::LabelColumn;
use crate::rows::SampleRows;
use crate::schema::{Table, TableSchema};
use compress::{PageCompressor, library_codec};
use group::{GroupWriter, RowGroup, SeriesRun};
use series::{EncodedSeries, PendingSeries, SeriesColumns, SeriesEncoder, SeriesGroup};

/// Rows of a row group of table `samples` where a slice has more than twice as many.
const GROUP_ROWS: usize = 512 << 10;

/// Rows of a page: eight bytes each are the mebibyte that is usual for pages. The byte streams of such a page are as long
/// as zstd's blocks, so that each stream gets tables of its own, and scrapes of one target repeat within a page.
const PAGE_ROWS: u32 = 128 << 10;

/// A slice as row groups.
#[derive(Debug)]
pub(super) struct EncodedParquet {
    groups: Vec<(Table, Vec<RowGroup>)>,
    /// Rows ascend by metric.
    sorted: bool,
    /// None where histograms have gone ahead.
    series: Option<EncodedSeries>,
}

impl EncodedParquet {
    pub(super) fn memory_size(&self) -> usize {
        let groups = self.groups.iter().flat_map(|(_, groups)| groups);
        groups.map(RowGroup::memory_size).sum::<usize>()
            + self.series.as_ref().map_or(0, EncodedSeries::memory_size)
    }
}

/// Encodes slices as row groups, and knows how files begin.
pub(super) struct ParquetEncoder {
    options: OutputOptions,
    label_columns: Vec<LabelColumn>,
    /// The tables of samples and histograms.
    tables: BTreeMap<Table, FileSetup>,
    series: SeriesEncoder,
    series_file: FileSetup,
}

impl fmt::Debug for ParquetEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetEncoder").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// Schema and properties of the files of a table.
#[derive(Debug)]
struct FileSetup {
    schema: SchemaDescPtr,
    sorted: WriterPropertiesPtr,
    unsorted: WriterPropertiesPtr,
}

impl FileSetup {
    /// Row order is declared by metric, as far as it is known: `series_id` and labels follow no order of their own.
    fn new(schema: SchemaDescPtr, properties: WriterPropertiesBuilder) -> Self {
        let metric = schema.columns().iter().position(|column| column.name() == "metric");
        let metric = metric.and_then(|at| i32::try_from(at).ok());
        let sorting =
            metric.map(|column_idx| vec![SortingColumn { column_idx, descending: false, nulls_first: true }]);
        Self {
            schema,
            sorted: Arc::new(properties.clone().set_sorting_columns(sorting).build()),
            unsorted: Arc::new(properties.build()),
        }
    }

    fn root(&self) -> TypePtr {
        self.schema.root_schema_ptr()
    }

    fn begin(&self, writer: PartWriter, sorted: bool) -> Result<ParquetFile, SinkError> {
        let properties = if sorted { &self.sorted } else { &self.unsorted };
        let path = writer.path().to_owned();
        match SerializedFileWriter::new(writer, self.root(), Arc::clone(properties)) {
            Ok(writer) => Ok(ParquetFile { writer, path, sorted }),
            Err(source) => Err(SinkError::parquet(&path, source)),
        }
    }
}

impl ParquetEncoder {
    pub(super) fn new(
        options: &OutputOptions,
        label_columns: &[LabelColumn],
        tables: &[Table],
    ) -> Result<Self, SinkError> {
        let schema_of = |table| -> Result<_, SinkError> {
            let arrow = Arc::new(TableSchema::new(table, options)?.arrow());
            let schema = ArrowSchemaConverter::new().schema_root("schema").convert(&arrow)?;
            Ok((arrow, Arc::new(schema)))
        };
        let of_rows = tables.iter().filter(|&&table| table != Table::Series);
        let tables = of_rows.map(|&table| {
            let (_, schema) = schema_of(table)?;
            Ok((table, FileSetup::new(schema, properties(options)?)))
        });
        let tables = tables.collect::<Result<_, SinkError>>()?;
        let (series_arrow, series_schema) = schema_of(Table::Series)?;
        let series_file = FileSetup::new(Arc::clone(&series_schema), series_properties(options)?);
        // The library hands out column writers by way of a file; this one is never written.
        let no_file =
            SerializedFileWriter::new(std::io::sink(), series_file.root(), Arc::clone(&series_file.sorted))?;
        Ok(Self {
            options: options.clone(),
            label_columns: label_columns.to_owned(),
            tables,
            series: SeriesEncoder {
                factory: ArrowRowGroupWriterFactory::new(&no_file, Arc::clone(&series_arrow)),
                schema: series_arrow,
            },
            series_file,
        })
    }

    pub(super) fn encode(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let described = self.describe(rows, (0..rows.series.len()).collect());
        // A series with rows of several resolutions is listed once.
        let is_listed = |&at: &usize| rows.series.get(at).is_some_and(|series| series.extent.samples > 0);
        let listed: Vec<_> = (0..rows.series.len()).filter(is_listed).collect();
        let listed = (listed.len() < rows.series.len()).then(|| self.describe(rows, listed));
        let series = &listed.as_ref().unwrap_or(&described).series;
        Ok(EncodedRows {
            extents: extents(rows),
            replaced_utf8: series.replaced_utf8,
            body: EncodedBody::Parquet(EncodedParquet {
                groups: self.groups(rows, &described, |_| true)?,
                sorted: described.series.is_sorted(),
                series: Some(self.series.encode(series)?),
            }),
        })
    }

    pub(super) fn encode_histograms(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let with_histograms: BTreeSet<_> =
            resolutions(rows).flat_map(|at| rows.histograms_of(at)).map(|(at, _)| at).collect();
        let described = self.describe(rows, with_histograms.into_iter().collect());
        Ok(EncodedRows {
            extents: extents_of_histograms(rows),
            // Their series are counted when they come themselves.
            replaced_utf8: 0,
            body: EncodedBody::Parquet(EncodedParquet {
                groups: self.groups(rows, &described, |table| matches!(table, Table::Histograms(_)))?,
                sorted: described.series.is_sorted(),
                series: None,
            }),
        })
    }

    fn describe(&self, rows: &SampleRows, positions: Vec<usize>) -> Described {
        let mut series = SeriesColumns::new(&self.label_columns);
        series.metadata = Arc::clone(&rows.metadata);
        for one in positions.iter().filter_map(|&at| rows.series.get(at)) {
            series.push(one, &self.label_columns);
        }
        Described { positions, series }
    }

    /// The row groups of those tables that `wanted` names.
    fn groups(
        &self,
        rows: &SampleRows,
        described: &Described,
        wanted: impl Fn(Table) -> bool,
    ) -> Result<Vec<(Table, Vec<RowGroup>)>, SinkError> {
        let mut encoder = GroupsEncoder {
            options: &self.options,
            codec: library_codec(&self.options)?,
            compressor: PageCompressor::new(&self.options)?,
            rows,
            described,
        };
        let tables = self.tables.iter().filter(|(table, _)| wanted(**table));
        tables.map(|(&table, file)| Ok((table, encoder.encode(table, &file.schema)?))).collect()
    }
}

/// Some series of a slice.
struct Described {
    /// Their positions, ascending.
    positions: Vec<usize>,
    series: SeriesColumns,
}

impl Described {
    /// Runs of series that are described.
    fn runs(&self, series: impl Iterator<Item = (usize, Range<usize>)>) -> Vec<SeriesRun> {
        let run = |(at, rows)| Some(SeriesRun { series: self.positions.binary_search(&at).ok()?, rows });
        series.filter_map(run).collect()
    }
}

/// Encodes the tables of one slice.
struct GroupsEncoder<'a> {
    options: &'a OutputOptions,
    codec: Compression,
    compressor: PageCompressor,
    rows: &'a SampleRows,
    described: &'a Described,
}

impl GroupsEncoder<'_> {
    fn encode(&mut self, table: Table, schema: &SchemaDescPtr) -> Result<Vec<RowGroup>, SinkError> {
        let (rows, described) = (self.rows, self.described);
        let series = &described.series;
        match table {
            Table::Samples(resolution) => {
                let runs = described.runs(rows.floats_of(resolution));
                let groups = groups(runs.last().map_or(0, |run| run.rows.end));
                let encode = |group: Range<usize>| {
                    let runs = runs_of(&runs, &group);
                    let mut writer = self.writer(schema, &runs, group);
                    match rows.windows.get(&resolution) {
                        Some(windows) => windows::write(&mut writer, resolution, &windows.floats, series)?,
                        None => samples::write(&mut writer, &rows.columns, series)?,
                    }
                    Ok(writer.finish())
                };
                groups.map(encode).collect()
            }
            Table::Histograms(resolution) => {
                let runs = described.runs(rows.histograms_of(resolution));
                let columns = histograms_of(rows, resolution);
                if columns.is_empty() {
                    return Ok(Vec::new());
                }
                let mut writer = self.writer(schema, &runs, 0..columns.len());
                writer.identity(series)?;
                writer.timestamps(&columns.times_ms)?;
                match rows.windows.get(&resolution) {
                    Some(windows) => {
                        writer.constant(resolution.ms())?;
                        writer.integers(&windows.histogram_samples)?;
                    }
                    None => writer.start_timestamps(&columns.start_times_ms)?,
                }
                histograms::write(&mut writer, columns)?;
                Ok(vec![writer.finish()])
            }
            Table::Series => Ok(Vec::new()),
        }
    }

    fn writer<'w>(
        &'w mut self,
        schema: &'w SchemaDescPtr,
        runs: &'w [SeriesRun],
        group: Range<usize>,
    ) -> GroupWriter<'w> {
        GroupWriter::new(self.options, schema, self.codec, runs, group, &mut self.compressor)
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

/// The runs of a row group.
fn runs_of(runs: &[SeriesRun], group: &Range<usize>) -> Vec<SeriesRun> {
    let first = runs.partition_point(|run| run.rows.end <= group.start);
    let inside = runs.iter().skip(first).take_while(|run| run.rows.start < group.end);
    let cut = |run: &SeriesRun| run.rows.start.max(group.start)..run.rows.end.min(group.end);
    inside.map(|run| SeriesRun { series: run.series, rows: cut(run) }).collect()
}

/// The tables of a unit.
#[derive(Debug)]
pub(super) struct ParquetTables {
    encoder: Arc<ParquetEncoder>,
    tables: UnitTables<ParquetFile>,
    pending: PendingSeries,
}

impl ParquetTables {
    pub(super) fn new(encoder: Arc<ParquetEncoder>, places: Places) -> Self {
        Self { encoder, tables: UnitTables::new(places), pending: PendingSeries::default() }
    }

    /// Appends a slice.
    pub(super) fn append(&mut self, extents: &Extents, body: EncodedParquet) -> Result<(), SinkError> {
        let sorted = body.sorted;
        for (table, groups) in body.groups {
            if let (Some(&extent), Some(file)) = (extents.get(&table), self.encoder.tables.get(&table)) {
                let begin = |writer| file.begin(writer, sorted);
                append_groups(self.tables.of(table), extent, sorted, begin, groups)?;
            }
        }
        let Some(series) = body.series else { return Ok(()) };
        for group in self.pending.append(series, &self.encoder.series)? {
            self.append_series(group)?;
        }
        Ok(())
    }

    fn append_series(&mut self, group: SeriesGroup) -> Result<(), SinkError> {
        let sorted = group.sorted;
        let extent = Extent {
            rows: group.rows,
            series: group.rows,
            min_time_ms: group.min_time_ms,
            max_time_ms: group.max_time_ms,
        };
        let begin = |writer| self.encoder.series_file.begin(writer, sorted);
        let table = self.tables.of(Table::Series);
        table.cut_unless(|file| file.sorted == sorted)?;
        table.append(extent, begin, |file| file.append_series(group))
    }

    /// Bytes of series that wait for a row group.
    pub(super) fn memory_size(&self) -> usize {
        self.pending.memory_size()
    }

    /// Ends all files.
    pub(super) fn finish(mut self) -> Result<Vec<PartFile>, SinkError> {
        if let Some(group) = self.pending.flush(&self.encoder.series)? {
            self.append_series(group)?;
        }
        self.tables.finish()
    }
}

/// Appends row groups of samples or histograms.
fn append_groups(
    table: &mut TableWriter<ParquetFile>,
    extent: Extent,
    sorted: bool,
    begin: impl FnOnce(PartWriter) -> Result<ParquetFile, SinkError>,
    groups: impl IntoIterator<Item = RowGroup>,
) -> Result<(), SinkError> {
    if extent.rows > 0 {
        // A file says once for all of it whether it is sorted.
        table.cut_unless(|file| file.sorted == sorted)?;
    }
    table.append(extent, begin, |file| groups.into_iter().try_for_each(|group| file.append_rows(group)))
}

/// What all files have in common.
fn properties(options: &OutputOptions) -> Result<WriterPropertiesBuilder, SinkError> {
    Ok(WriterProperties::builder()
        .set_created_by(format!("promblock {FORMAT_VERSION}"))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(library_codec(options)?))
}

/// Properties of table `series`, which the library encodes.
fn series_properties(options: &OutputOptions) -> Result<WriterPropertiesBuilder, SinkError> {
    let path = |name: &str| ColumnPath::from(name);
    // Nearly every row has its own value in these: a dictionary would be tried and given up.
    let unique = ["series_id", "labels", "min_timestamp", "max_timestamp", "samples"];
    let indexed = ["series_id", "metric", "min_timestamp", "max_timestamp"];
    let mut properties = properties(options)?
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(path("labels"), EnabledStatistics::None)
        .set_data_page_row_count_limit(8 << 10);
    for name in unique {
        properties = properties.set_column_dictionary_enabled(path(name), false);
    }
    for name in indexed {
        properties = properties.set_column_statistics_enabled(path(name), EnabledStatistics::Page);
    }
    Ok(properties)
}

/// A Parquet file that is being written.
#[derive(Debug)]
struct ParquetFile {
    writer: SerializedFileWriter<PartWriter>,
    path: PathBuf,
    /// It says that its rows ascend by metric.
    sorted: bool,
}

impl ParquetFile {
    /// Appends a row group of samples or histograms.
    fn append_rows(&mut self, group: RowGroup) -> Result<(), SinkError> {
        let written = self.writer.next_row_group().and_then(|mut writer| {
            for column in group.columns {
                writer.append_column(&column.bytes, column.close)?;
            }
            writer.close()
        });
        written.map(|_| ()).map_err(|source| SinkError::parquet(&self.path, source))
    }

    /// Appends a row group of table `series`.
    fn append_series(&mut self, group: SeriesGroup) -> Result<(), SinkError> {
        let written = self.writer.next_row_group().and_then(|mut writer| {
            for column in group.columns {
                column.append_to_row_group(&mut writer)?;
            }
            writer.close()
        });
        written.map(|_| ()).map_err(|source| SinkError::parquet(&self.path, source))
    }
}

impl TableFile for ParquetFile {
    fn size_bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    fn finish(self, part: Part) -> Result<PartFile, SinkError> {
        let writer = self.writer.into_inner().map_err(|source| SinkError::parquet(&self.path, source))?;
        writer.finish(part)
    }
}
