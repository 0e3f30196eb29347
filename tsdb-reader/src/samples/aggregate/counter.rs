//! The counter aggregates of a series: one chain over all of its chunks.
//!
//! ```text
//! chunk 1   (0, 1)  (299, 2)  (599, 6)  (599, 6)        first raw value, totals, last raw value again
//! chunk 2                                        (650, 4)  (899, 8)  (899, 8)
//! total         1         2         6                 10        14
//! increase      0         1         4                  4         4     of chunk 2: 4 is less than 6, a reset
//! ```
//! The totals of a chunk begin with its first raw value. What lies between two chunks is the step from the last raw
//! value of one to the first of the other. So chunks must come in order of time and none may be left out: the step over
//! a gap is taken for a true one.
//!
//! The chain is that of Thanos, but that Thanos leaves out samples up to 1970 behind a first chunk that is empty.
//! Histograms have no such chain: their counters hold no raw values, and between two chunks a reset must be told from the
//! counts.

use super::super::FloatColumns;

/// Follows the counter aggregates of one series through its chunks.
#[derive(Debug, Clone, Default)]
pub struct CounterChain {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    time_ms: i64,
    value: f64,
    total: f64,
    /// Both are those of a sample, as the end of a chunk says.
    is_raw: bool,
}

/// What a sample of a counter aggregate is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CounterStep {
    /// The counter at this time.
    Total {
        /// Since the first sample of the chain, whose own value is included.
        total: f64,
        /// Since the sample before; 0 of the first.
        increase: f64,
    },
    /// The last raw value of a chunk, at the time of the sample before: what the next chunk goes on from.
    LastRaw,
    /// No number. The chain goes on as if it were not there.
    NotANumber,
    /// Earlier than the sample before. The chain goes on as if it were not there.
    Earlier,
}

/// A counter without its resets, in columns of the same length.
#[derive(Debug, Clone, Default)]
pub struct CounterColumns {
    /// Milliseconds since the epoch: of the first sample of each chunk, then in each window as of its other aggregates.
    pub times_ms: Vec<i64>,
    /// Totals since the first sample of the series, whose own value is included.
    pub totals: Vec<f64>,
    /// Increases since the row before; 0 of the first.
    pub increases: Vec<f64>,
}

impl CounterChain {
    /// Goes to the next sample of the counter aggregates of a series.
    pub fn step(&mut self, timestamp_ms: i64, value: f64) -> CounterStep {
        if value.is_nan() {
            return CounterStep::NotANumber;
        }
        let Some(last) = &mut self.last else {
            self.last = Some(Last { time_ms: timestamp_ms, value, total: value, is_raw: false });
            return CounterStep::Total { total: value, increase: 0.0 };
        };
        if timestamp_ms < last.time_ms {
            return CounterStep::Earlier;
        }
        if timestamp_ms == last.time_ms {
            (last.value, last.is_raw) = (value, true);
            return CounterStep::LastRaw;
        }
        let increase = if value >= last.value { value - last.value } else { value };
        *last = Last { time_ms: timestamp_ms, value, total: last.total + increase, is_raw: false };
        CounterStep::Total { total: last.total, increase }
    }

    /// Time and value of the last raw sample, when the chain stands at the end of a sound chunk.
    pub fn last_raw(&self) -> Option<(i64, f64)> {
        self.last.filter(|last| last.is_raw).map(|last| (last.time_ms, last.value))
    }

    /// Goes through the samples of one counter aggregate and appends the totals. Says how many samples were left out
    /// because they are no numbers or are earlier than the one before.
    pub fn append(&mut self, samples: &FloatColumns, columns: &mut CounterColumns) -> u64 {
        let mut left_out = 0;
        for (&timestamp_ms, &value) in samples.times_ms.iter().zip(&samples.values) {
            match self.step(timestamp_ms, value) {
                CounterStep::Total { total, increase } => {
                    columns.times_ms.push(timestamp_ms);
                    columns.totals.push(total);
                    columns.increases.push(increase);
                }
                CounterStep::LastRaw => {}
                CounterStep::NotANumber | CounterStep::Earlier => left_out += 1,
            }
        }
        left_out
    }
}

impl CounterColumns {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// True without any sample.
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// Removes all samples, keeps the memory.
    pub fn clear(&mut self) {
        self.times_ms.clear();
        self.totals.clear();
        self.increases.clear();
    }
}
