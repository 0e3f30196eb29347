//! Table `samples`: a row group of one slice.
//!
//! ```text
//! column            pages made from             bigquery       compact
//! metric, labels    runs of series              dictionary     dictionary
//! series_id         runs of series              dictionary     dictionary
//! timestamp         rows, never null            PLAIN          DELTA_BINARY_PACKED
//! value             rows, stale marker = null   PLAIN          BYTE_STREAM_SPLIT
//! start_timestamp   rows, 0 = null              PLAIN          DELTA_BINARY_PACKED
//! ```

use tsdb_reader::samples::FloatColumns;

use super::group::GroupWriter;
use super::series::SeriesColumns;
use crate::sink::SinkError;

/// Writes the columns of a row group.
pub(super) fn write(
    writer: &mut GroupWriter<'_>,
    columns: &FloatColumns,
    series: &SeriesColumns,
) -> Result<(), SinkError> {
    writer.identity(series)?;
    writer.timestamps(&columns.times_ms)?;
    writer.doubles(&columns.values, &columns.values)?;
    writer.start_timestamps(&columns.start_times_ms)
}
