//! Sinks: rows become part files.
//!
//! ```text
//! any thread, pure                      one per unit, in slice order
//! SampleRows ──Encoder──► EncodedRows ──TableWriters──► PartFile … ──publish──► samples/dt=…/part-…-0000.parquet
//!                         row groups or    samples/        whole, under a                 histograms/dt=…/part-…
//!                         text segments    histograms/     temporary name                 series/dt=…/part-…
//!                                          samples_5m/ …                                  samples_5m/dt=…/part-…
//!                                          series/
//! ```
//! Encoding is a pure function of rows and options, and files are cut by what was appended alone. So the bytes do
//! not depend on threads, memory or machine: no clock, host name or path gets into a file.
//!
//! A third format is one more folder here.

mod error;
mod labels;
mod ndjson;
mod options;
mod parquet;
mod part;
mod tables;

#[cfg(test)]
mod tests;

pub use error::SinkError;
pub(crate) use labels::labels_json;
pub use options::{Compression, Format, Layout, OutputOptions, Profile};
pub use part::{Part, PartFile};
use tables::Extent;
pub use tables::TableWriters;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use crate::columns::{LabelColumn, label_columns};
use crate::resolution::Resolution;
use crate::rows::SampleRows;
use crate::schema::Table;

/// Version of the written format. It is part of every fingerprint, and the files carry it; raise it with any change
/// of the bytes.
pub const FORMAT_VERSION: &str = "1.0";

/// Encodes slices of rows; shared by all threads of a run.
#[derive(Debug)]
pub struct Encoder {
    options: OutputOptions,
    label_columns: Vec<LabelColumn>,
    format: FormatEncoder,
}

#[derive(Debug)]
enum FormatEncoder {
    Parquet(Arc<parquet::ParquetEncoder>),
    Ndjson(ndjson::NdjsonEncoder),
}

impl Encoder {
    /// Checks the options and prepares all that does not depend on rows, which are raw ones.
    pub fn new(options: OutputOptions) -> Result<Self, SinkError> {
        Self::with_resolutions(options, [Resolution::RAW])
    }

    /// The same for rows of these resolutions.
    pub fn with_resolutions(
        options: OutputOptions,
        resolutions: impl IntoIterator<Item = Resolution>,
    ) -> Result<Self, SinkError> {
        options.validate()?;
        let label_columns = label_columns(&options.label_columns)?;
        let format = match options.format {
            Format::Parquet => {
                let tables = Table::of(resolutions);
                let encoder = parquet::ParquetEncoder::new(&options, &label_columns, &tables)?;
                FormatEncoder::Parquet(Arc::new(encoder))
            }
            Format::Ndjson => FormatEncoder::Ndjson(ndjson::NdjsonEncoder::new(&options, &label_columns)),
        };
        Ok(Self { options, label_columns, format })
    }

    /// The options it was made with.
    pub fn options(&self) -> &OutputOptions {
        &self.options
    }

    /// The columns of promoted labels, for the manifest.
    pub fn label_columns(&self) -> &[LabelColumn] {
        &self.label_columns
    }

    /// Encodes one slice of rows: whole series in output order, up to about a million rows.
    ///
    /// Costs processor time alone; call it on any thread.
    pub fn encode(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        match &self.format {
            FormatEncoder::Parquet(encoder) => encoder.encode(rows),
            FormatEncoder::Ndjson(encoder) => encoder.encode(rows),
        }
    }

    /// Encodes the histograms of a slice alone, ahead of its other rows, which are to come without them.
    ///
    /// Costs processor time alone; call it on any thread.
    pub fn encode_histograms(&self, rows: &SampleRows) -> Result<EncodedRows, SinkError> {
        match &self.format {
            FormatEncoder::Parquet(encoder) => encoder.encode_histograms(rows),
            FormatEncoder::Ndjson(encoder) => encoder.encode_histograms(rows),
        }
    }
}

/// One slice of rows, encoded: goes to [`TableWriters::append`].
#[derive(Debug)]
pub struct EncodedRows {
    extents: Extents,
    /// Label names and values that were not UTF-8.
    replaced_utf8: u64,
    body: EncodedBody,
}

#[derive(Debug)]
enum EncodedBody {
    Parquet(parquet::EncodedParquet),
    Ndjson(ndjson::EncodedText),
}

impl EncodedRows {
    /// Rows of a table.
    pub fn rows_of(&self, table: Table) -> u64 {
        self.extents.get(&table).map_or(0, |extent| extent.rows)
    }

    /// Label names and values, counted once per series, in which bytes that are not UTF-8 became U+FFFD.
    pub fn replaced_utf8(&self) -> u64 {
        self.replaced_utf8
    }

    /// Bytes it holds.
    pub fn memory_size(&self) -> usize {
        size_of::<Self>()
            + match &self.body {
                EncodedBody::Parquet(body) => body.memory_size(),
                EncodedBody::Ndjson(body) => body.memory_size(),
            }
    }
}

/// The samples of one series.
#[derive(Debug, Clone, Copy)]
struct Samples<'a> {
    times_ms: &'a [i64],
    values: &'a [f64],
    /// Empty, or as long as the others; 0 for unknown.
    starts_ms: &'a [i64],
}

impl<'a> Samples<'a> {
    fn new(columns: &'a FloatColumns, rows: Range<usize>) -> Self {
        Self {
            times_ms: columns.times_ms.get(rows.clone()).unwrap_or_default(),
            values: columns.values.get(rows.clone()).unwrap_or_default(),
            starts_ms: columns.start_times_ms.get(rows).unwrap_or_default(),
        }
    }
}

/// What the rows of a slice amount to, table by table; no table without rows.
type Extents = BTreeMap<Table, Extent>;

/// Those of all tables.
fn extents(rows: &SampleRows) -> Extents {
    let mut extents = extents_of_histograms(rows);
    for resolution in resolutions(rows) {
        let times_ms = match rows.windows.get(&resolution) {
            Some(windows) => &windows.floats.times_ms,
            None => &rows.columns.times_ms,
        };
        add_extent(&mut extents, Table::Samples(resolution), rows.floats_of(resolution), times_ms);
    }
    let mut series = Extent::NONE;
    for one in rows.series.iter().filter(|one| one.extent.samples > 0) {
        series.add(1, one.extent.min_time_ms, one.extent.max_time_ms);
    }
    if series.rows > 0 {
        extents.insert(Table::Series, series);
    }
    extents
}

/// Those of histograms alone.
fn extents_of_histograms(rows: &SampleRows) -> Extents {
    let mut extents = Extents::new();
    for resolution in resolutions(rows) {
        let times_ms = &histograms_of(rows, resolution).times_ms;
        add_extent(&mut extents, Table::Histograms(resolution), rows.histograms_of(resolution), times_ms);
    }
    extents
}

fn add_extent(
    extents: &mut Extents,
    table: Table,
    series: impl Iterator<Item = (usize, Range<usize>)>,
    times_ms: &[i64],
) {
    let mut extent = Extent::NONE;
    for (_, range) in series {
        let times_ms = times_ms.get(range).unwrap_or_default();
        if let [first, .., last] | [first @ last] = times_ms {
            extent.add(times_ms.len() as u64, *first, *last);
        }
    }
    if extent.rows > 0 {
        extents.insert(table, extent);
    }
}

/// The resolutions that `rows` may have rows of.
fn resolutions(rows: &SampleRows) -> impl Iterator<Item = Resolution> + '_ {
    std::iter::once(Resolution::RAW).chain(rows.windows.keys().copied())
}

/// The histogram columns of a resolution.
fn histograms_of(rows: &SampleRows, resolution: Resolution) -> &HistogramColumns {
    rows.windows.get(&resolution).map_or(&rows.histograms, |windows| &windows.histograms)
}
