//! Rows: what merge hands to a sink.
//!
//! Rows are columns of samples cut into series: all that a row says of its series is stored once per series.
//!
//! ```text
//! series      │ up{job="a"}          end 3 │ up{job="b"}  end 5 │ latency{…}   end 5 │
//! columns     │ row 0 │ row 1 │ row 2       │ row 3 │ row 4      │                    │   times_ms, values, …
//! histograms  │                             │                    │ row 0 │ row 1      │   table histograms
//! ```
//! A series may have both kinds. Histograms are large, so those of a series may go to the sink in several parts;
//! its row in table `series` tells of them all.

use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::Labels;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use crate::metadata::Metadata;

/// A series of some rows.
#[derive(Debug, Clone)]
pub struct SeriesRows {
    /// Labels after the pipeline.
    pub labels: Labels,
    /// Prometheus' stable hash of `labels`, its bits as signed.
    pub series_id: i64,
    /// End of its float samples in the columns; they begin where those of the series before end.
    pub end: usize,
    /// Its native histograms.
    pub histograms: SeriesHistograms,
}

/// The native histograms of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeriesHistograms {
    /// End of those in the histogram columns; they begin where those of the series before end.
    pub end: usize,
    /// How many there are in all: more than in the columns when some have gone ahead, or are still to come.
    pub count: u64,
    /// Time of the first of all; nothing without any.
    pub min_time_ms: i64,
    /// Time of the last of all; nothing without any.
    pub max_time_ms: i64,
}

/// What table `series` says of the rows of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SeriesExtent {
    /// Rows of all tables.
    pub(crate) samples: u64,
    pub(crate) min_time_ms: i64,
    pub(crate) max_time_ms: i64,
}

impl SeriesRows {
    /// The extent of the series, whose float samples have these times; none without any row.
    pub(crate) fn extent(&self, times_ms: &[i64]) -> Option<SeriesExtent> {
        let SeriesHistograms { count, min_time_ms, max_time_ms, .. } = self.histograms;
        let floats = match times_ms {
            [first, .., last] | [first @ last] => Some((*first, *last)),
            [] => None,
        };
        let histograms = (count > 0).then_some((min_time_ms, max_time_ms));
        let (first, last) = match (floats, histograms) {
            (Some(one), Some(other)) => (one.0.min(other.0), one.1.max(other.1)),
            (one, other) => one.or(other)?,
        };
        let samples = times_ms.len() as u64 + count;
        Some(SeriesExtent { samples, min_time_ms: first, max_time_ms: last })
    }
}

/// Samples of consecutive series, in output order: metric (null first), label pairs bytewise, time.
///
/// Every series has at least one row, and all float samples that its unit holds.
#[derive(Debug, Clone, Default)]
pub struct SampleRows {
    /// The series in output order.
    pub series: Vec<SeriesRows>,
    /// Where type, unit and help of the series are found.
    pub metadata: Arc<Metadata>,
    /// Their float samples; within a series timestamps strictly ascend. Stale markers stand there as their NaN bits.
    pub columns: FloatColumns,
    /// Their native histograms, likewise.
    pub histograms: HistogramColumns,
}

impl SampleRows {
    /// Number of float samples.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True without any series, hence without any row.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Removes all rows, keeps the metadata and the memory of the columns.
    pub fn clear(&mut self) {
        self.series.clear();
        self.columns.clear();
        self.histograms.clear();
    }

    /// Removes the histograms, which have gone ahead of their series.
    pub fn clear_histograms(&mut self) {
        self.histograms.clear();
        self.series.iter_mut().for_each(|series| series.histograms.end = 0);
    }

    /// The series with the range of their float samples.
    pub fn iter(&self) -> impl Iterator<Item = (&SeriesRows, Range<usize>)> + '_ {
        self.ranges(|series| series.end)
    }

    /// The series with the range of their histograms.
    pub fn iter_histograms(&self) -> impl Iterator<Item = (&SeriesRows, Range<usize>)> + '_ {
        self.ranges(|series| series.histograms.end)
    }

    fn ranges(
        &self,
        end_of: impl Fn(&SeriesRows) -> usize,
    ) -> impl Iterator<Item = (&SeriesRows, Range<usize>)> {
        let mut start = 0;
        self.series.iter().map(move |series| {
            let rows = start..end_of(series).max(start);
            start = rows.end;
            (series, rows)
        })
    }
}

/// What a histogram weighs besides its buckets, in buckets.
const ROW_WEIGHT: usize = 10;

/// How much memory histograms take, in buckets of 8 bytes.
pub fn histograms_weight(columns: &HistogramColumns) -> usize {
    columns.buckets.len().saturating_add(columns.len().saturating_mul(ROW_WEIGHT))
}
