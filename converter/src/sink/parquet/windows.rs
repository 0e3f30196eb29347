//! Tables of windows, such as `samples_5m`: a row group of one slice.
//!
//! ```text
//! column                          pages made from        bigquery       compact
//! metric, labels, series_id       runs of series         dictionary     dictionary
//! timestamp                       rows, never null       PLAIN          DELTA_BINARY_PACKED
//! resolution_ms                   one run                dictionary     dictionary
//! count                           rows, never null       PLAIN          DELTA_BINARY_PACKED
//! sum, min, max, first, …         rows, some null        PLAIN          BYTE_STREAM_SPLIT
//! ```

use super::group::GroupWriter;
use super::series::SeriesColumns;
use crate::downsample::{Aggregate, AggregateColumns};
use crate::resolution::Resolution;
use crate::sink::SinkError;

/// Writes the columns of a row group.
pub(super) fn write(
    writer: &mut GroupWriter<'_>,
    resolution: Resolution,
    columns: &AggregateColumns,
    series: &SeriesColumns,
) -> Result<(), SinkError> {
    writer.identity(series)?;
    writer.timestamps(&columns.times_ms)?;
    writer.constant(resolution.ms())?;
    writer.integers(&columns.counts)?;
    // Null has the bits of a stale marker here, too.
    Aggregate::ALL.into_iter().try_for_each(|aggregate| {
        let values = columns.column(aggregate);
        writer.doubles(values, values)
    })
}
