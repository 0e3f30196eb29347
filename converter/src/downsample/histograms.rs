//! Histograms of one series become windows: of counters their increase, of gauges their sum.

use tsdb_reader::samples::{
    ArithmeticError, CounterResetHint, HistogramColumns, HistogramRow, HistogramWindow, Taken,
};

use super::thanos::AggregateHistograms;
use crate::resolution::Resolution;
use crate::rows::{SeriesExtent, Windows};

/// Folds the histograms of one series after the other, portion by portion.
#[derive(Debug)]
pub struct HistogramFold {
    window: HistogramWindow,
    resolution: Resolution,
    /// Histograms before it are in no window: they are where the first step begins.
    start_ms: i64,
    lookback_ms: i64,
    open_ms: Option<i64>,
    /// Histograms in the open window, those that aggregates stand for included.
    open_samples: u64,
    /// Aggregates of the series; these take their turn by time.
    aggregates: AggregateHistograms,
    folded: FoldedHistograms,
}

/// What became of the histograms of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoldedHistograms {
    /// Windows.
    pub rows: u64,
    /// Histograms in them, and their times.
    pub extent: SeriesExtent,
    /// Stale markers and those whose sum is NaN: they are in none.
    pub left_out: u64,
    /// Histograms that cannot be added up with the others of their window.
    pub lost: u64,
    /// Why the first of these cannot.
    pub error: Option<ArithmeticError>,
    /// Histograms of a counter within the lookback before the first window.
    pub context: u64,
}

impl HistogramFold {
    /// For a unit whose windows begin at `start_ms`, and steps of at most `lookback_ms`.
    pub fn new(start_ms: i64, lookback_ms: i64) -> Self {
        Self {
            window: HistogramWindow::new(lookback_ms),
            resolution: Resolution::RAW,
            start_ms,
            lookback_ms,
            open_ms: None,
            open_samples: 0,
            aggregates: AggregateHistograms::default(),
            folded: FoldedHistograms::default(),
        }
    }

    /// Begins the next series, of which `aggregates` come from downsampled blocks.
    pub fn begin(&mut self, resolution: Resolution, aggregates: AggregateHistograms) {
        self.window.begin_series();
        (self.resolution, self.open_ms) = (resolution, None);
        self.aggregates = aggregates;
        self.folded = FoldedHistograms::default();
    }

    /// Takes some more histograms of the series, in time order; windows that are complete go to `windows`.
    pub fn push(&mut self, histograms: &HistogramColumns, windows: &mut Windows) {
        for row in (0..histograms.len()).map_while(|row| histograms.row(row)) {
            self.push_aggregates(Some(row.timestamp_ms), windows);
            self.take(&row, 1, windows);
        }
    }

    /// Ends the series.
    pub fn end(&mut self, windows: &mut Windows) -> FoldedHistograms {
        self.push_aggregates(None, windows);
        self.close(windows);
        self.folded
    }

    /// Takes the aggregates that end before `end_ms`; without it all that are left.
    fn push_aggregates(&mut self, end_ms: Option<i64>, windows: &mut Windows) {
        let mut aggregates = std::mem::take(&mut self.aggregates);
        while let Some((row, samples)) = aggregates.next_before(end_ms) {
            self.take(&row, samples, windows);
        }
        self.aggregates = aggregates;
    }

    /// Takes a histogram that stands for so many.
    fn take(&mut self, row: &HistogramRow<'_>, samples: u64, windows: &mut Windows) {
        let time_ms = row.timestamp_ms;
        let is_context = time_ms < self.start_ms;
        let window_ms = self.resolution.window_start(time_ms);
        if self.open_ms != Some(window_ms) {
            self.close(windows);
            self.open_ms = Some(window_ms);
        }
        let taken = self.window.push(row);
        if is_context {
            let is_near = self.start_ms.saturating_sub(self.lookback_ms) <= time_ms;
            let is_counter = row.hint != CounterResetHint::Gauge;
            self.folded.context += u64::from(taken == Ok(Taken::Summed) && is_near && is_counter);
            return;
        }
        match taken {
            Ok(Taken::Summed) => {
                self.open_samples = self.open_samples.saturating_add(samples);
                let extent = SeriesExtent { samples, min_time_ms: time_ms, max_time_ms: time_ms };
                self.folded.extent = self.folded.extent.with(extent);
            }
            Ok(Taken::StaleMarker | Taken::NanSum) => self.folded.left_out += 1,
            Err(error) => {
                self.folded.lost += 1;
                self.folded.error.get_or_insert(error);
            }
        }
    }

    fn close(&mut self, windows: &mut Windows) {
        let open_ms = self.open_ms.take().filter(|&open_ms| open_ms >= self.start_ms);
        if let (Some(open_ms), Some(sum)) = (open_ms, self.window.sum()) {
            sum.append_to(open_ms, 0, &mut windows.histograms);
            windows.histogram_samples.push(i64::try_from(self.open_samples).unwrap_or(i64::MAX));
            self.folded.rows += 1;
        }
        self.window.begin_window();
        self.open_samples = 0;
    }
}
