//! Sinks: rows become part files.
//!
//! ```text
//! any thread, pure                      one per unit, in slice order
//! SampleRows ──Encoder──► EncodedRows ──TableWriters──► PartFile … ──publish──► samples/dt=…/part-…-0000.parquet
//!                         row groups or    samples/        whole, under a                 series/dt=…/part-…
//!                         text segments    series/         temporary name
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
pub use tables::TableWriters;

use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::samples::FloatColumns;

use crate::columns::{LabelColumn, label_columns};
use crate::rows::SampleRows;

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
    /// Checks the options and prepares all that does not depend on rows.
    pub fn new(options: OutputOptions) -> Result<Self, SinkError> {
        options.validate()?;
        let label_columns = label_columns(&options.label_columns)?;
        let format = match options.format {
            Format::Parquet => {
                FormatEncoder::Parquet(Arc::new(parquet::ParquetEncoder::new(&options, &label_columns)?))
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
}

/// One slice of rows, encoded: goes to [`TableWriters::append`].
#[derive(Debug)]
pub struct EncodedRows {
    /// Rows of table `samples`.
    rows: u64,
    /// Rows of table `series`.
    series: u64,
    /// Smallest timestamp; `i64::MAX` without rows.
    min_time_ms: i64,
    /// Largest timestamp; `i64::MIN` without rows.
    max_time_ms: i64,
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
    /// Rows of table `samples`.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Series, which is rows of table `series`.
    pub fn series(&self) -> u64 {
        self.series
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
