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
    /// Time of the histogram that the first step is known to begin at.
    kept_ms: Option<i64>,
    /// Time of the last one before the windows.
    last_before_ms: Option<i64>,
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
    /// Time of the last histogram of a counter within the lookback before the first window; of an aggregate, one at or
    /// before that of its last histogram.
    pub before_ms: Option<i64>,
    /// There was a later one, which the first step began at; now it adds nothing.
    pub lost_step: bool,
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
            kept_ms: None,
            last_before_ms: None,
            folded: FoldedHistograms::default(),
        }
    }

    /// Begins the next series, of which `aggregates` come from downsampled blocks, and whose first step is known to
    /// begin at `kept_ms`.
    pub fn begin(&mut self, resolution: Resolution, aggregates: AggregateHistograms, kept_ms: Option<i64>) {
        self.window.begin_series();
        (self.resolution, self.open_ms) = (resolution, None);
        (self.aggregates, self.kept_ms, self.last_before_ms) = (aggregates, kept_ms, None);
        self.folded = FoldedHistograms::default();
    }

    /// Takes some more histograms of the series, in time order; windows that are complete go to `windows`.
    pub fn push(&mut self, histograms: &HistogramColumns, windows: &mut Windows) {
        for row in (0..histograms.len()).map_while(|row| histograms.row(row)) {
            self.push_aggregates(Some(row.timestamp_ms), windows);
            self.take(&row, 1, row.timestamp_ms, windows);
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
            let window_ms = self.resolution.window_start(row.timestamp_ms);
            self.take(&row, samples, window_ms, windows);
        }
        self.aggregates = aggregates;
    }

    /// Takes a histogram that stands for so many, none of which came before `from_ms`.
    fn take(&mut self, row: &HistogramRow<'_>, samples: u64, from_ms: i64, windows: &mut Windows) {
        let time_ms = row.timestamp_ms;
        let is_context = time_ms < self.start_ms;
        let window_ms = self.resolution.window_start(time_ms);
        if self.open_ms != Some(window_ms) {
            self.close(windows);
            self.open_ms = Some(window_ms);
        }
        let lost_step = !is_context && self.forgets_earlier(row);
        // A counter that began before what is gone has been counted there.
        let start_timestamp_ms = if lost_step { 0 } else { row.start_timestamp_ms };
        let taken = self.window.push(&HistogramRow { start_timestamp_ms, ..*row });
        if is_context {
            let is_near = self.start_ms.saturating_sub(self.lookback_ms) <= time_ms;
            let is_counter = row.hint != CounterResetHint::Gauge;
            if taken == Ok(Taken::Summed) && is_near && is_counter {
                (self.last_before_ms, self.folded.before_ms) = (Some(time_ms), Some(from_ms));
            }
            return;
        }
        if !matches!(taken, Ok(Taken::StaleMarker | Taken::NanSum)) {
            self.kept_ms = None;
        }
        match taken {
            Ok(Taken::Summed) => {
                self.folded.lost_step |= lost_step;
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

    /// Where the first step began later than anything that is left of before, it has no beginning: from an earlier one
    /// it would count twice what led to the later one. True when the step is lost by that.
    fn forgets_earlier(&mut self, row: &HistogramRow<'_>) -> bool {
        let is_gone = |kept_ms: &i64| self.last_before_ms.is_none_or(|before_ms| before_ms < *kept_ms);
        let Some(kept_ms) = self.kept_ms.filter(is_gone) else { return false };
        self.window.begin_series();
        let is_near = row.timestamp_ms.saturating_sub(kept_ms) <= self.lookback_ms;
        let began_since = kept_ms < row.start_timestamp_ms && row.start_timestamp_ms <= row.timestamp_ms;
        is_near && row.hint != CounterResetHint::Gauge && !began_since
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
