//! Sinks: rows become part files.
//!
//! ```text
//! any thread, pure                      one per unit, in slice order
//! SampleRows ──Encoder──► EncodedRows ──TableWriters──► PartFile … ──publish──► samples/dt=…/part-…-0000.parquet
//!                         row groups or    samples/        whole, under a                 histograms/dt=…/part-…
//!                         text segments    histograms/     temporary name                 series/dt=…/part-…
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

use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::samples::FloatColumns;

use crate::columns::{LabelColumn, label_columns};
use crate::rows::{SampleRows, SeriesRows};

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
    /// Rows of table `samples`.
    pub fn rows(&self) -> u64 {
        self.extents.samples.rows
    }

    /// Rows of table `histograms`.
    pub fn histograms(&self) -> u64 {
        self.extents.histograms.rows
    }

    /// Series, which is rows of table `series`.
    pub fn series(&self) -> u64 {
        self.extents.series.series
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

/// What the rows of a slice amount to, table by table.
#[derive(Debug)]
struct Extents {
    samples: Extent,
    histograms: Extent,
    series: Extent,
}

impl Extents {
    /// Those of all tables.
    fn new(rows: &SampleRows) -> Self {
        let Self { mut samples, mut series, histograms } = Self::of_histograms(rows);
        for (one, range) in rows.iter() {
            let times_ms = rows.columns.times_ms.get(range).unwrap_or_default();
            if let [first, .., last] | [first @ last] = times_ms {
                samples.add(times_ms.len() as u64, *first, *last);
            }
            if let Some(extent) = one.extent(times_ms) {
                series.add(1, extent.min_time_ms, extent.max_time_ms);
            }
        }
        Self { samples, series, histograms }
    }

    /// That of table `histograms` alone.
    fn of_histograms(rows: &SampleRows) -> Self {
        let mut histograms = Extent::NONE;
        for (_, range) in rows.iter_histograms() {
            let times_ms = rows.histograms.times_ms.get(range).unwrap_or_default();
            if let [first, .., last] | [first @ last] = times_ms {
                histograms.add(times_ms.len() as u64, *first, *last);
            }
        }
        Self { samples: Extent::NONE, histograms, series: Extent::NONE }
    }
}

/// Series with histograms at hand, and where those stand.
fn with_histograms(rows: &SampleRows) -> impl Iterator<Item = (&SeriesRows, Range<usize>)> + '_ {
    rows.iter_histograms().filter(|(_, range)| !range.is_empty())
}
