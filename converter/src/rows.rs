//! Rows: what merge hands to a sink.
//!
//! Rows are columns of samples cut into series: all that a row says of its series is stored once per series.
//!
//! ```text
//! series   │ up{job="a"}          end 3 │ up{job="b"}  end 5 │
//! columns  │ row 0 │ row 1 │ row 2       │ row 3 │ row 4      │   times_ms, values, start_times_ms
//! ```

use std::ops::Range;

use tsdb_reader::Labels;
use tsdb_reader::samples::FloatColumns;

/// A series of some rows.
#[derive(Debug, Clone)]
pub struct SeriesRows {
    /// Labels after the pipeline.
    pub labels: Labels,
    /// Prometheus' stable hash of `labels`, its bits as signed.
    pub series_id: i64,
    /// End of its rows in the columns; they begin where those of the series before end.
    pub end: usize,
}

/// Float samples of consecutive series, in output order: metric (null first), label pairs bytewise, time.
///
/// Every series has at least one row, and all rows that its unit holds.
#[derive(Debug, Clone, Default)]
pub struct SampleRows {
    /// The series in output order.
    pub series: Vec<SeriesRows>,
    /// Their samples; within a series timestamps strictly ascend. Stale markers stand there as their NaN bits.
    pub columns: FloatColumns,
}

impl SampleRows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True without any row.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Removes all rows, keeps the memory of the columns.
    pub fn clear(&mut self) {
        self.series.clear();
        self.columns.clear();
    }

    /// The series with the range of their rows.
    pub fn iter(&self) -> impl Iterator<Item = (&SeriesRows, Range<usize>)> + '_ {
        let mut start = 0;
        self.series.iter().map(move |series| {
            let rows = start..series.end;
            start = series.end;
            (series, rows)
        })
    }
}
