//! Aggregates as columns, one row per window.
//!
//! ```text
//! ends_ms   299999   599999   600000       last millisecond of the window, or last sample before a cut
//! counts    2        2        1
//! sums      3        11       4            none where the chunk has none; mins and maxs alike
//! ```

/// Aggregates of floats, one row per window. All columns have the same length.
#[derive(Debug, Clone, Default)]
pub struct AggregateColumns {
    /// A time in each window, in milliseconds since the epoch: its last one, or that of the last sample where the chunk
    /// ends within the window.
    pub ends_ms: Vec<i64>,
    /// Numbers of samples.
    pub counts: Vec<u64>,
    /// Sums, NaN bits as stored; none where the chunk has none.
    pub sums: Vec<Option<f64>>,
    /// Smallest values. Thanos writes the largest finite double where all samples were +Inf.
    pub mins: Vec<Option<f64>>,
    /// Largest values. Thanos writes the smallest finite double where all samples were -Inf.
    pub maxs: Vec<Option<f64>>,
}

/// What is known of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AggregateRow {
    /// A time in the window; see [`AggregateColumns::ends_ms`].
    pub end_ms: i64,
    /// Number of samples.
    pub count: u64,
    /// Their sum.
    pub sum: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl AggregateRow {
    /// Start of the window of `resolution_ms` that it lies in; of a resolution below 1 as of 1.
    pub fn window_start_ms(&self, resolution_ms: i64) -> i64 {
        self.end_ms.wrapping_sub(self.end_ms.rem_euclid(resolution_ms.max(1)))
    }

    /// Joins a later window to this one. What one of the two does not know, the joined one does not know either.
    pub fn join(&mut self, later: &Self) {
        let both = |a: Option<f64>, b: Option<f64>, join: fn(f64, f64) -> f64| Some(join(a?, b?));
        self.end_ms = later.end_ms;
        self.count = self.count.saturating_add(later.count);
        self.sum = both(self.sum, later.sum, |a, b| a + b);
        self.min = both(self.min, later.min, |a, b| if b < a || a.is_nan() { b } else { a });
        self.max = both(self.max, later.max, |a, b| if b > a || a.is_nan() { b } else { a });
    }
}

impl AggregateColumns {
    /// Number of windows.
    pub fn len(&self) -> usize {
        self.ends_ms.len()
    }

    /// True without any window.
    pub fn is_empty(&self) -> bool {
        self.ends_ms.is_empty()
    }

    /// Removes all windows, keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the first `rows` windows.
    pub fn truncate(&mut self, rows: usize) {
        self.ends_ms.truncate(rows);
        self.counts.truncate(rows);
        self.sums.truncate(rows);
        self.mins.truncate(rows);
        self.maxs.truncate(rows);
    }

    /// The window at `row`, if it is there.
    pub fn row(&self, row: usize) -> Option<AggregateRow> {
        Some(AggregateRow {
            end_ms: *self.ends_ms.get(row)?,
            count: *self.counts.get(row)?,
            sum: *self.sums.get(row)?,
            min: *self.mins.get(row)?,
            max: *self.maxs.get(row)?,
        })
    }

    /// Appends a window.
    pub fn push(&mut self, row: AggregateRow) {
        self.ends_ms.push(row.end_ms);
        self.counts.push(row.count);
        self.sums.push(row.sum);
        self.mins.push(row.min);
        self.maxs.push(row.max);
    }

    /// Appends to `coarser` what these windows, in order of time, are as windows of `resolution_ms`. A window that
    /// `coarser` ends with is gone on with: it must be one of the same series.
    ///
    /// Two chunks may each have a part of one window; the resolution they are of joins the parts.
    pub fn combine_into(&self, resolution_ms: i64, coarser: &mut Self) {
        let start_ms = |row: &AggregateRow| row.window_start_ms(resolution_ms);
        for mut row in (0..self.len()).filter_map(|row| self.row(row)) {
            let last = coarser.len().saturating_sub(1);
            if let Some(mut window) = coarser.row(last).filter(|window| start_ms(window) == start_ms(&row)) {
                coarser.truncate(last);
                window.join(&row);
                row = window;
            }
            coarser.push(row);
        }
    }
}
