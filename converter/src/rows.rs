//! Rows: what merge and downsampling hand to a sink.
//!
//! Rows are columns cut into series: all that a row says of its series is stored once per series. A series has rows of
//! one resolution, raw or windows, or stands there once for each; each resolution has columns of its own.
//!
//! ```text
//! series      │ up{job="a"}  raw  end 3 │ up{job="b"}  5m  end 2 │ latency{…}  raw  end 3 │
//! columns     │ row 0 │ row 1 │ row 2   │                        │                        │   times_ms, values, …
//! histograms  │                         │                        │ row 0 │ row 1          │   table histograms
//! windows 5m                            │ row 0 │ row 1          │                            table samples_5m
//! ```
//! A series may have floats and histograms. Histograms are large, so those of a series may go to the sink in several
//! parts; its row in table `series` tells of them all.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tsdb_reader::Labels;
use tsdb_reader::samples::{FloatColumns, HistogramColumns};

use crate::downsample::AggregateColumns;
use crate::metadata::Metadata;
use crate::resolution::Resolution;

/// A series of some rows.
#[derive(Debug, Clone)]
pub struct SeriesRows {
    /// Labels after the pipeline.
    pub labels: Labels,
    /// Prometheus' stable hash of `labels`, its bits as signed.
    pub series_id: i64,
    /// Resolution of its rows.
    pub resolution: Resolution,
    /// It was taken for a counter: its type where metadata has none.
    pub is_counter: bool,
    /// End of its float rows in the columns of its resolution; they begin where those of the series before it with the
    /// same resolution end.
    pub end: usize,
    /// End of its rows in the histogram columns of its resolution, likewise.
    pub histograms_end: usize,
    /// What table `series` says of it: all its samples, those of histograms that have gone ahead included. Nothing where
    /// the same series stands before it with rows of another resolution, which tells of both.
    pub extent: SeriesExtent,
}

impl SeriesRows {
    /// A series without rows yet, raw.
    pub fn new(labels: Labels, series_id: i64, extent: SeriesExtent) -> Self {
        let resolution = Resolution::RAW;
        Self { labels, series_id, resolution, is_counter: false, end: 0, histograms_end: 0, extent }
    }

    /// The type of its metric where metadata has none.
    pub(crate) fn assumed_type(&self) -> Option<&'static [u8]> {
        self.is_counter.then_some(b"counter")
    }
}

/// The samples of a series in its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesExtent {
    /// How many, whatever rows they became.
    pub samples: u64,
    /// Time of the first; nothing without any.
    pub min_time_ms: i64,
    /// Time of the last; nothing without any.
    pub max_time_ms: i64,
}

impl Default for SeriesExtent {
    fn default() -> Self {
        Self::NONE
    }
}

impl SeriesExtent {
    /// No samples.
    pub const NONE: Self = Self { samples: 0, min_time_ms: i64::MAX, max_time_ms: i64::MIN };

    /// Of samples at these times, which ascend.
    pub fn of(times_ms: &[i64]) -> Self {
        match times_ms {
            [first, .., last] | [first @ last] => {
                Self { samples: times_ms.len() as u64, min_time_ms: *first, max_time_ms: *last }
            }
            [] => Self::NONE,
        }
    }

    /// Of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            samples: self.samples.saturating_add(other.samples),
            min_time_ms: self.min_time_ms.min(other.min_time_ms),
            max_time_ms: self.max_time_ms.max(other.max_time_ms),
        }
    }
}

/// The rows of one resolution other than raw.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    /// Of float samples.
    pub floats: AggregateColumns,
    /// Of native histograms: their increase, of gauges their sum; times are starts of windows.
    pub histograms: HistogramColumns,
    /// How many histograms each of these windows has.
    pub histogram_samples: Vec<i64>,
}

impl Windows {
    /// Removes all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.clear_histograms();
    }

    fn clear_histograms(&mut self) {
        self.histograms.clear();
        self.histogram_samples.clear();
    }
}

/// Rows of consecutive series, in output order: metric (null first), label pairs bytewise, time.
///
/// Every series has at least one row, and all that its unit holds.
#[derive(Debug, Clone, Default)]
pub struct SampleRows {
    /// The series in output order.
    pub series: Vec<SeriesRows>,
    /// Where type, unit and help of the series are found.
    pub metadata: Arc<Metadata>,
    /// Raw float samples; within a series timestamps strictly ascend. Stale markers stand there as their NaN bits.
    pub columns: FloatColumns,
    /// Raw native histograms, likewise.
    pub histograms: HistogramColumns,
    /// Windows, by resolution.
    pub windows: BTreeMap<Resolution, Windows>,
}

impl SampleRows {
    /// Number of raw float samples.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True without any series, hence without any row.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Rows of floats, raw ones and windows.
    pub fn float_rows(&self) -> usize {
        self.columns.len() + self.windows.values().map(|windows| windows.floats.len()).sum::<usize>()
    }

    /// Removes all rows, keeps the metadata and the memory of the columns.
    pub fn clear(&mut self) {
        self.series.clear();
        self.columns.clear();
        self.histograms.clear();
        self.windows.values_mut().for_each(Windows::clear);
    }

    /// Removes the histograms, which have gone ahead of their series.
    pub fn clear_histograms(&mut self) {
        self.histograms.clear();
        self.windows.values_mut().for_each(Windows::clear_histograms);
        self.series.iter_mut().for_each(|series| series.histograms_end = 0);
    }

    /// Positions of the series of `resolution` with the range of their float rows.
    pub fn floats_of(&self, resolution: Resolution) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        self.ranges(resolution, |series| series.end)
    }

    /// Positions of the series of `resolution` with the range of their histograms.
    pub fn histograms_of(&self, resolution: Resolution) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        self.ranges(resolution, |series| series.histograms_end)
    }

    /// Series without rows there are passed over.
    fn ranges(
        &self,
        resolution: Resolution,
        end_of: impl Fn(&SeriesRows) -> usize,
    ) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut start = 0;
        let of_resolution = move |series: &SeriesRows| series.resolution == resolution;
        self.series.iter().enumerate().filter(move |(_, series)| of_resolution(series)).filter_map(
            move |(at, series)| {
                let rows = start..end_of(series).max(start);
                start = rows.end;
                (!rows.is_empty()).then_some((at, rows))
            },
        )
    }
}

/// What a histogram weighs besides its buckets, in buckets.
const ROW_WEIGHT: usize = 10;

/// How much memory histograms take, in buckets of 8 bytes.
pub fn histograms_weight(columns: &HistogramColumns) -> usize {
    columns.buckets.len().saturating_add(columns.len().saturating_mul(ROW_WEIGHT))
}
