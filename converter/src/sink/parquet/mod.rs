//! Parquet: slices become row groups, row groups become files.
//!
//! ```text
//! SampleRows ──┬─ samples ───── run columns, times, values ── pages ──► row group of one slice
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

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use ::parquet::file::metadata::SortingColumn;
use ::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr, WriterVersion,
};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{ColumnPath, SchemaDescPtr, TypePtr};

use super::part::{Part, PartFile, PartWriter};
use super::tables::{Extent, Place, TableFile, TableWriter};
use super::{EncodedBody, EncodedRows, Extents, FORMAT_VERSION, OutputOptions, SinkError, with_histograms};
use crate::columns::LabelColumn;
use crate::rows::SampleRows;
use crate::schema::{Table, TableSchema};
use compress::library_codec;
use group::{RowGroup, SeriesRun};
use histograms::HistogramsEncoder;
use samples::SamplesEncoder;
use series::{EncodedSeries, PendingSeries, SeriesColumns, SeriesEncoder, SeriesGroup};

/// Rows of a row group of table `samples` where a slice has more than twice as many.
const GROUP_ROWS: usize = 512 << 10;

/// Rows of a page: eight bytes each are the mebibyte that is usual for pages. The byte streams of such a page are as long
/// as zstd's blocks, so that each stream gets tables of its own, and scrapes of one target repeat within a page.
const PAGE_ROWS: u32 = 128 << 10;

/// A slice as row groups.
#[derive(Debug)]
pub(super) struct EncodedParquet {
    samples: Vec<RowGroup>,
    histograms: Option<RowGroup>,
    /// Rows ascend by metric.
    sorted: bool,
    /// None where histograms have gone ahead.
    series: Option<EncodedSeries>,
}

impl EncodedParquet {
    pub(super) fn memory_size(&self) -> usize {
        let groups = self.samples.iter().chain(&self.histograms);
        groups.map(RowGroup::memory_size).sum::<usize>()
            + self.series.as_ref().map_or(0, EncodedSeries::memory_size)
    }
}

/// Encodes slices as row groups, and knows how files begin.
pub(super) struct ParquetEncoder {
    label_columns: Vec<LabelColumn>,
    samples: SamplesEncoder,
    samples_file: FileSetup,
    histograms: HistogramsEncoder,
    histograms_file: FileSetup,
    series: SeriesEncoder,
    series_file: FileSetup,
}

impl fmt::Debug for ParquetEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetEncoder").field("samples", &self.samples).finish_non_exhaustive()
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
    pub(super) fn new(options: &OutputOptions, label_columns: &[LabelColumn]) -> Result<Self, SinkError> {
        let schema_of = |table| -> Result<_, SinkError> {
            let arrow = Arc::new(TableSchema::new(table, options)?.arrow());
            let schema = ArrowSchemaConverter::new().schema_root("schema").convert(&arrow)?;
            Ok((arrow, Arc::new(schema)))
        };
        let (_, samples_schema) = schema_of(Table::Samples)?;
        let (_, histograms_schema) = schema_of(Table::Histograms)?;
        let (series_arrow, series_schema) = schema_of(Table::Series)?;
        let series_file = FileSetup::new(Arc::clone(&series_schema), series_properties(options)?);
        // The library hands out column writers by way of a file; this one is never written.
        let no_file =
            SerializedFileWriter::new(std::io::sink(), series_file.root(), Arc::clone(&series_file.sorted))?;
        Ok(Self {
            label_columns: label_columns.to_owned(),
            samples: SamplesEncoder::new(options, Arc::clone(&samples_schema))?,
            samples_file: FileSetup::new(samples_schema, properties(options)?),
            histograms: HistogramsEncoder::new(options, Arc::clone(&histograms_schema))?,
            histograms_file: FileSetup::new(histograms_schema, properties(options)?),
            series: SeriesEncoder {
                factory: ArrowRowGroupWriterFactory::new(&no_file, Arc::clone(&series_arrow)),
                schema: series_arrow,
            },
            series_file,
        })
    }

    pub(super) fn encode(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let mut series = SeriesColumns::new(&self.label_columns);
        series.metadata = Arc::clone(&rows.metadata);
        for (one, range) in rows.iter() {
            let times_ms = rows.columns.times_ms.get(range).unwrap_or_default();
            series.push(one, &self.label_columns, one.extent(times_ms).unwrap_or_default());
        }
        let runs = rows.iter_histograms().enumerate();
        let runs = runs.map(|(series, (_, rows))| SeriesRun { series, rows });
        let runs: Vec<_> = runs.filter(|run| !run.rows.is_empty()).collect();
        Ok(EncodedRows {
            extents: Extents::new(rows),
            replaced_utf8: series.replaced_utf8,
            body: EncodedBody::Parquet(EncodedParquet {
                samples: self.samples.encode(rows, &series)?,
                histograms: self.histograms.encode(&rows.histograms, &runs, &series)?,
                sorted: series.is_sorted(),
                series: Some(self.series.encode(&series)?),
            }),
        })
    }

    pub(super) fn encode_histograms(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        let mut series = SeriesColumns::new(&self.label_columns);
        let mut runs = Vec::new();
        for (one, rows) in with_histograms(rows) {
            runs.push(SeriesRun { series: series.len(), rows });
            series.push(one, &self.label_columns, one.extent(&[]).unwrap_or_default());
        }
        Ok(EncodedRows {
            extents: Extents::of_histograms(rows),
            // Their series are counted when they come themselves.
            replaced_utf8: 0,
            body: EncodedBody::Parquet(EncodedParquet {
                samples: Vec::new(),
                histograms: self.histograms.encode(&rows.histograms, &runs, &series)?,
                sorted: series.is_sorted(),
                series: None,
            }),
        })
    }
}

/// The tables of a unit.
#[derive(Debug)]
pub(super) struct ParquetTables {
    encoder: Arc<ParquetEncoder>,
    samples: TableWriter<ParquetFile>,
    histograms: TableWriter<ParquetFile>,
    series: TableWriter<ParquetFile>,
    pending: PendingSeries,
}

impl ParquetTables {
    pub(super) fn new(encoder: Arc<ParquetEncoder>, place: impl Fn(Table) -> Place) -> Self {
        Self {
            encoder,
            samples: TableWriter::new(place(Table::Samples)),
            histograms: TableWriter::new(place(Table::Histograms)),
            series: TableWriter::new(place(Table::Series)),
            pending: PendingSeries::default(),
        }
    }

    /// Appends a slice.
    pub(super) fn append(&mut self, extents: &Extents, body: EncodedParquet) -> Result<(), SinkError> {
        let sorted = body.sorted;
        let begin = |writer| self.encoder.samples_file.begin(writer, sorted);
        append_groups(&mut self.samples, extents.samples, sorted, begin, body.samples)?;
        let begin = |writer| self.encoder.histograms_file.begin(writer, sorted);
        append_groups(&mut self.histograms, extents.histograms, sorted, begin, body.histograms)?;
        let Some(series) = body.series else { return Ok(()) };
        for group in self.pending.append(series, &self.encoder.series)? {
            self.append_series(group)?;
        }
        Ok(())
    }

    fn append_series(&mut self, group: SeriesGroup) -> Result<(), SinkError> {
        let sorted = group.sorted;
        self.series.cut_unless(|file| file.sorted == sorted)?;
        let extent = Extent {
            rows: group.rows,
            series: group.rows,
            min_time_ms: group.min_time_ms,
            max_time_ms: group.max_time_ms,
        };
        let begin = |writer| self.encoder.series_file.begin(writer, sorted);
        self.series.append(extent, begin, |file| file.append_series(group))
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
        let mut files = self.samples.finish()?;
        files.extend(self.histograms.finish()?);
        files.extend(self.series.finish()?);
        Ok(files)
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
