//! Windows: what the histograms of one series add up to in a stretch of time.
//!
//! ```text
//! time              0    10    20    30   ‖  40    100          ‖ begins a window; 60 is beyond the lookback
//! counter           5     7     3     4   ‖   6      9
//! step adds         ·     2     3     1   ‖   2      ·          sums: 6, 2
//! gauge adds        5     7     3     4   ‖   6      9          sums: 19, 15
//! ```
//! A step from one histogram of a counter to the next belongs to the window of the later one. It adds the difference, or
//! the later one itself after a reset; a start timestamp within the step is one too. A step longer than the lookback
//! adds nothing, nor does a first histogram, unless the start timestamp lies within the lookback: then the histogram
//! itself. So sums over small windows add up to those over large ones, wherever reading begins, as long as it begins a
//! lookback before.
//!
//! Left out are stale markers, and histograms whose sum is NaN, for the sum of the whole window would be. Steps go from
//! the histogram before them to the one behind; a reset that one of them tells of counts. A sum of ±Inf is kept: what
//! comes later may make it NaN, while counts and buckets stay right.

use std::mem;

use super::super::{CounterResetHint, HistogramRow};
use super::{ArithmeticError, FloatHistogram};

/// What became of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It belongs to the window, even if it added nothing.
    Summed,
    /// It is a stale marker and left out.
    StaleMarker,
    /// Its sum is NaN and it is left out.
    NanSum,
}

/// Adds up the histograms of one window after the other, of one series after the other.
#[derive(Debug, Clone, Default)]
pub struct HistogramWindow {
    lookback_ms: i64,
    /// The last histogram of a counter, and when it was.
    previous: FloatHistogram,
    previous_ms: Option<i64>,
    left_out: LeftOut,
    current: FloatHistogram,
    step: FloatHistogram,
    sum: FloatHistogram,
    samples: u64,
    is_gauge: bool,
    /// Whether anything was added to `sum`.
    added: bool,
    bounds_differ: bool,
}

/// What histograms since the last one of use have said of resets.
#[derive(Debug, Clone, Copy, Default)]
struct LeftOut {
    some: bool,
    reset: bool,
}

impl HistogramWindow {
    /// For steps of at most `lookback_ms` milliseconds.
    pub fn new(lookback_ms: i64) -> Self {
        Self { lookback_ms, ..Self::default() }
    }

    /// Begins with another series and its first window.
    pub fn begin_series(&mut self) {
        self.previous_ms = None;
        self.left_out = LeftOut::default();
        self.begin_window();
    }

    /// Begins the next window of the series: forgets the sums, not the histogram that steps go on from.
    pub fn begin_window(&mut self) {
        self.samples = 0;
        self.added = false;
        self.bounds_differ = false;
    }

    /// Takes the next histogram of the series, in order of time.
    ///
    /// After an error the histogram is not in the sums. If it could be read at all, the next step goes on from it.
    pub fn push(&mut self, row: &HistogramRow<'_>) -> Result<Taken, ArithmeticError> {
        if row.is_stale() || row.sum.is_nan() {
            self.leave_out(row.hint);
            return Ok(if row.is_stale() { Taken::StaleMarker } else { Taken::NanSum });
        }
        if let Err(error) = self.current.set(row) {
            self.leave_out(row.hint);
            return Err(error);
        }
        let is_gauge = row.hint == CounterResetHint::Gauge;
        let taken = self.take(row.timestamp_ms, row.start_timestamp_ms, is_gauge);
        mem::swap(&mut self.previous, &mut self.current);
        self.previous_ms = (!is_gauge).then_some(row.timestamp_ms);
        self.left_out = LeftOut::default();
        taken.map(|()| Taken::Summed)
    }

    /// Number of histograms in the sum.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The increase of a counter, or the sum of the histograms of a gauge; the hint of the latter says so. `None` without
    /// any histogram.
    pub fn sum(&self) -> Option<&FloatHistogram> {
        (self.samples > 0).then_some(&self.sum)
    }

    /// True when custom bounds changed within the window, so that the sum has only those that all have.
    pub fn bounds_differ(&self) -> bool {
        self.bounds_differ
    }

    fn leave_out(&mut self, hint: CounterResetHint) {
        self.left_out.some = true;
        self.left_out.reset |= hint == CounterResetHint::Reset;
    }

    /// Adds what `current` adds.
    fn take(&mut self, time_ms: i64, start_ms: i64, is_gauge: bool) -> Result<(), ArithmeticError> {
        if self.samples > 0 && self.is_gauge != is_gauge {
            return Err(ArithmeticError::MixedKinds);
        }
        let since_ms = self.previous_ms.filter(|since| time_ms.saturating_sub(*since) <= self.lookback_ms);
        let earliest_ms = since_ms.unwrap_or(time_ms.saturating_sub(self.lookback_ms));
        let starts = start_ms != 0 && start_ms > earliest_ms && start_ms <= time_ms;
        let term = if is_gauge || starts || since_ms.is_some() && self.was_reset() {
            Some(&self.current)
        } else if since_ms.is_some() {
            self.step.copy_from(&self.current);
            self.bounds_differ |= self.step.sub(&self.previous)?.bounds_differ;
            Some(&self.step)
        } else {
            None
        };
        if !self.added {
            self.sum.set_zero_of(term.unwrap_or(&self.current));
        }
        if let Some(term) = term {
            self.bounds_differ |= self.sum.add(term)?.bounds_differ;
            self.added = true;
        }
        self.is_gauge = is_gauge;
        self.samples = self.samples.saturating_add(1);
        Ok(())
    }

    fn was_reset(&mut self) -> bool {
        if self.left_out.some && self.current.hint == CounterResetHint::NotReset {
            // It speaks of the step from one that was left out.
            self.current.hint = CounterResetHint::Unknown;
        }
        self.left_out.reset
            || self.current.is_custom() != self.previous.is_custom()
            || self.current.detect_reset(&self.previous)
    }
}
