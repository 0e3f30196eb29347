//! The part files of one unit: its slices appended in order, files cut when they have reached their size.
//!
//! ```text
//! slice 0 │ slice 1 │ slice 2 │ slice 3 │ slice 4          append
//! └──── part-…-0000 ─────────┘└──── part-…-0001 ─…         cut by what was appended, by nothing else
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ndjson::NdjsonTables;
use super::parquet::ParquetTables;
use super::part::{Part, PartFile, PartWriter};
use super::{EncodedBody, EncodedRows, Encoder, FormatEncoder, SinkError};
use crate::schema::Table;

/// Writes the tables of one unit: `samples`, `histograms`, those of other resolutions, and `series`.
///
/// Slices must come in the order of their rows, whole series each. Dropped before [`TableWriters::finish`], it
/// removes what it wrote.
///
/// ```
/// use tsdb_converter::rows::SampleRows;
/// use tsdb_converter::sink::{Encoder, OutputOptions, TableWriters};
///
/// let dest = tempfile::tempdir()?;
/// let encoder = Encoder::new(OutputOptions::default())?;
/// let mut tables = TableWriters::new(&encoder, dest.path(), "dt=2026-11-20", "part-2026-11-20-0000-1a2b3c4d");
/// tables.append(encoder.encode(&SampleRows::default())?)?;
/// for file in tables.finish()? {
///     println!("{}", file.publish()?.path);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TableWriters {
    format: FormatTables,
}

#[derive(Debug)]
enum FormatTables {
    Parquet(Box<ParquetTables>),
    Ndjson(Box<NdjsonTables>),
}

impl TableWriters {
    /// Writers of a unit. Its files become `<dest>/<table>/<partition>/<file_prefix>-0000.<extension>` and so on;
    /// an empty `partition` adds no folder. Nothing is created before the first row.
    pub fn new(encoder: &Encoder, dest: &Path, partition: &str, file_prefix: &str) -> Self {
        let place = Places {
            dest: dest.to_owned(),
            partition: partition.to_owned(),
            file_prefix: file_prefix.to_owned(),
            extension: encoder.options().extension(),
            target_file_size_bytes: encoder.options().target_file_size_bytes,
        };
        let format = match &encoder.format {
            FormatEncoder::Parquet(encoder) => {
                FormatTables::Parquet(Box::new(ParquetTables::new(encoder.clone(), place)))
            }
            FormatEncoder::Ndjson(_) => {
                FormatTables::Ndjson(Box::new(NdjsonTables::new(encoder.options().compression, place)))
            }
        };
        Self { format }
    }

    /// Appends the next slice, encoded by the same encoder.
    pub fn append(&mut self, rows: EncodedRows) -> Result<(), SinkError> {
        let EncodedRows { extents, body, .. } = rows;
        match (&mut self.format, body) {
            (FormatTables::Parquet(tables), EncodedBody::Parquet(body)) => tables.append(&extents, body),
            (FormatTables::Ndjson(tables), EncodedBody::Ndjson(body)) => tables.append(&extents, &body),
            _ => Err(SinkError::OtherEncoder),
        }
    }

    /// Bytes it holds besides the buffers of open files.
    pub fn memory_size(&self) -> usize {
        match &self.format {
            FormatTables::Parquet(tables) => tables.memory_size(),
            FormatTables::Ndjson(_) => 0,
        }
    }

    /// Ends all files. They are whole then, and wait for [`PartFile::publish`]; `samples` come first.
    pub fn finish(self) -> Result<Vec<PartFile>, SinkError> {
        match self.format {
            FormatTables::Parquet(tables) => tables.finish(),
            FormatTables::Ndjson(tables) => tables.finish(),
        }
    }

    /// Gives up: removes all that was written.
    pub fn abort(self) {
        drop(self);
    }
}

/// How much of a table is appended, and its times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) rows: u64,
    pub(super) series: u64,
    /// `i64::MAX` without rows.
    pub(super) min_time_ms: i64,
    /// `i64::MIN` without rows.
    pub(super) max_time_ms: i64,
}

impl Extent {
    /// No rows.
    pub(super) const NONE: Self = Self { rows: 0, series: 0, min_time_ms: i64::MAX, max_time_ms: i64::MIN };

    /// Adds the rows of a series.
    pub(super) fn add(&mut self, rows: u64, min_time_ms: i64, max_time_ms: i64) {
        self.rows += rows;
        self.series += 1;
        self.min_time_ms = self.min_time_ms.min(min_time_ms);
        self.max_time_ms = self.max_time_ms.max(max_time_ms);
    }
}

/// Where the files of a unit go.
#[derive(Debug)]
pub(super) struct Places {
    dest: PathBuf,
    /// Folder of the partition; empty without.
    partition: String,
    file_prefix: String,
    extension: &'static str,
    target_file_size_bytes: u64,
}

impl Places {
    fn of(&self, table: Table) -> Place {
        Place {
            table,
            dest: self.dest.clone(),
            folder: match self.partition.as_str() {
                "" => table.name(),
                partition => format!("{table}/{partition}"),
            },
            file_prefix: self.file_prefix.clone(),
            extension: self.extension,
            target_file_size_bytes: self.target_file_size_bytes,
        }
    }
}

/// The files of a unit, table by table; tables begin with their first rows.
#[derive(Debug)]
pub(super) struct UnitTables<F> {
    places: Places,
    tables: BTreeMap<Table, TableWriter<F>>,
}

impl<F: TableFile> UnitTables<F> {
    pub(super) fn new(places: Places) -> Self {
        Self { places, tables: BTreeMap::new() }
    }

    /// The files of `table`.
    pub(super) fn of(&mut self, table: Table) -> &mut TableWriter<F> {
        let places = &self.places;
        self.tables.entry(table).or_insert_with(|| TableWriter::new(places.of(table)))
    }

    /// All files, whole, in the order of the tables.
    pub(super) fn finish(self) -> Result<Vec<PartFile>, SinkError> {
        let mut files = Vec::new();
        for table in self.tables.into_values() {
            files.extend(table.finish()?);
        }
        Ok(files)
    }
}

/// Where the files of a table go.
#[derive(Debug)]
pub(super) struct Place {
    table: Table,
    dest: PathBuf,
    /// Relative to `dest`, with `/`.
    folder: String,
    file_prefix: String,
    extension: &'static str,
    target_file_size_bytes: u64,
}

impl Place {
    fn file_name(&self, number: usize) -> String {
        format!("{}-{number:04}.{}", self.file_prefix, self.extension)
    }
}

/// A file of some format that is being written.
pub(super) trait TableFile: Sized {
    /// Bytes so far.
    fn size_bytes(&self) -> u64;

    /// Ends the file.
    fn finish(self, part: Part) -> Result<PartFile, SinkError>;
}

/// The files of one table.
#[derive(Debug)]
pub(super) struct TableWriter<F> {
    place: Place,
    open: Option<OpenPart<F>>,
    done: Vec<PartFile>,
}

#[derive(Debug)]
struct OpenPart<F> {
    file: F,
    part: Part,
}

impl<F: TableFile> TableWriter<F> {
    pub(super) fn new(place: Place) -> Self {
        Self { place, open: None, done: Vec::new() }
    }

    /// Appends with `write` to the open file, or to a new one that `begin` makes; ends the file if that brought it
    /// to its size. Nothing happens without rows.
    pub(super) fn append(
        &mut self,
        extent: Extent,
        begin: impl FnOnce(PartWriter) -> Result<F, SinkError>,
        write: impl FnOnce(&mut F) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        if extent.rows == 0 {
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(begin)?,
        };
        // A file that fails is dropped here, and removed by that.
        write(&mut open.file)?;
        let part = &mut open.part;
        part.rows += extent.rows;
        part.series += extent.series;
        part.min_time_ms = part.min_time_ms.min(extent.min_time_ms);
        part.max_time_ms = part.max_time_ms.max(extent.max_time_ms);
        let is_full = open.file.size_bytes() >= self.place.target_file_size_bytes;
        self.open = Some(open);
        if is_full { self.cut() } else { Ok(()) }
    }

    /// Ends the open file unless it may go on.
    pub(super) fn cut_unless(&mut self, may_go_on: impl FnOnce(&F) -> bool) -> Result<(), SinkError> {
        match &self.open {
            Some(open) if !may_go_on(&open.file) => self.cut(),
            _ => Ok(()),
        }
    }

    /// All files, whole.
    pub(super) fn finish(mut self) -> Result<Vec<PartFile>, SinkError> {
        self.cut()?;
        Ok(self.done)
    }

    fn begin(
        &self,
        begin: impl FnOnce(PartWriter) -> Result<F, SinkError>,
    ) -> Result<OpenPart<F>, SinkError> {
        let Place { table, dest, folder, .. } = &self.place;
        let file_name = self.place.file_name(self.done.len());
        let path = format!("{folder}/{file_name}");
        let file = begin(PartWriter::create(&dest.join(folder), &file_name)?)?;
        let part = Part {
            table: table.name(),
            path,
            rows: 0,
            series: 0,
            size_bytes: 0,
            min_time_ms: i64::MAX,
            max_time_ms: i64::MIN,
            crc32c: 0,
        };
        Ok(OpenPart { file, part })
    }

    fn cut(&mut self) -> Result<(), SinkError> {
        if let Some(open) = self.open.take() {
            self.done.push(open.file.finish(open.part)?);
        }
        Ok(())
    }
}
