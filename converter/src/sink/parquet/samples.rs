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

use parquet::basic::Compression;
use parquet::schema::types::SchemaDescPtr;

use super::GROUP_ROWS;
use super::compress::{PageCompressor, library_codec};
use super::group::{GroupWriter, RowGroup, SeriesRun};
use super::series::SeriesColumns;
use crate::rows::SampleRows;
use crate::sink::{OutputOptions, SinkError};

/// Encodes table `samples`.
#[derive(Debug)]
pub(super) struct SamplesEncoder {
    options: OutputOptions,
    schema: SchemaDescPtr,
    codec: Compression,
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
    ) -> Result<Vec<RowGroup>, SinkError> {
        let mut compressor = PageCompressor::new(&self.options)?;
        let groups = groups(rows.len()).map(|group| {
            let runs = runs(rows, &group);
            let mut writer =
                GroupWriter::new(&self.options, &self.schema, self.codec, &runs, group, &mut compressor);
            writer.identity(series)?;
            writer.timestamps(&rows.columns.times_ms)?;
            writer.values(&rows.columns.values)?;
            writer.start_timestamps(&rows.columns.start_times_ms)?;
            Ok(writer.finish())
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
    let mut runs = Vec::new();
    for (at, series) in series {
        if start >= group.end {
            break;
        }
        // A series of histograms alone has no rows here.
        let rows = start..series.end.min(group.end);
        if !rows.is_empty() {
            start = rows.end;
            runs.push(SeriesRun { series: at, rows });
        }
    }
    runs
}
