//! Aggregates: the columns of windows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tsdb_reader::samples::STALE_NAN_BITS;

/// What a window says of its samples, besides their count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The first.
    First,
    /// The last.
    Last,
    /// By how much the counter has grown.
    Increase,
}

impl Aggregate {
    /// All, in the order of their columns.
    pub const ALL: [Self; 6] = [Self::Sum, Self::Min, Self::Max, Self::First, Self::Last, Self::Increase];

    /// Name of its column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::Increase => "increase",
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some aggregates. The count is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AggregateSet {
    bits: u8,
}

impl AggregateSet {
    /// All of them.
    pub const ALL: Self = Self { bits: (1 << Aggregate::ALL.len()) - 1 };
    /// None: the count alone.
    pub const NONE: Self = Self { bits: 0 };

    /// True when `aggregate` is one of them.
    pub fn contains(self, aggregate: Aggregate) -> bool {
        self.bits & (1 << aggregate as u8) != 0
    }

    /// The same with `aggregate`.
    #[must_use]
    pub fn with(self, aggregate: Aggregate) -> Self {
        Self { bits: self.bits | (1 << aggregate as u8) }
    }
}

impl FromIterator<Aggregate> for AggregateSet {
    fn from_iter<T: IntoIterator<Item = Aggregate>>(aggregates: T) -> Self {
        aggregates.into_iter().fold(Self::NONE, Self::with)
    }
}

impl FromStr for Aggregate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|aggregate| aggregate.name() == text);
        found.ok_or_else(|| format!("{text:?} is none of count, sum, min, max, first, last and increase"))
    }
}

/// Windows of one resolution, column by column: all are of one length.
///
/// A null is [`AggregateColumns::NULL`], the bits of a stale marker: no aggregate has them, for stale markers are in no window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AggregateColumns {
    /// Starts of the windows, milliseconds since the epoch.
    pub times_ms: Vec<i64>,
    /// Samples in the window.
    pub counts: Vec<i64>,
    /// Their sum.
    pub sums: Vec<f64>,
    /// The smallest.
    pub mins: Vec<f64>,
    /// The largest.
    pub maxs: Vec<f64>,
    /// The first.
    pub firsts: Vec<f64>,
    /// The last.
    pub lasts: Vec<f64>,
    /// By how much the counter has grown; null where it is none.
    pub increases: Vec<f64>,
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AggregateRow {
    /// Start of the window, milliseconds since the epoch.
    pub time_ms: i64,
    /// Samples in the window.
    pub count: i64,
    /// The others in the order of [`Aggregate::ALL`].
    pub values: [f64; 6],
}

impl AggregateRow {
    /// Joins a later part of the same window to this one. What one of the two does not know, the joined one does not
    /// know either; nor its first and last, which are not asked for.
    pub fn join(&mut self, later: &Self) {
        let both = |a: f64, b: f64, join: fn(f64, f64) -> f64| match is_null(a) || is_null(b) {
            true => AggregateColumns::NULL,
            false => join(a, b),
        };
        let [sum, min, max, first, last, increase] = &mut self.values;
        let [later_sum, later_min, later_max, _, _, later_increase] = later.values;
        self.count = self.count.saturating_add(later.count);
        *sum = both(*sum, later_sum, |a, b| a + b);
        *min = both(*min, later_min, |a, b| if b < a || a.is_nan() { b } else { a });
        *max = both(*max, later_max, |a, b| if b > a || a.is_nan() { b } else { a });
        (*first, *last) = (AggregateColumns::NULL, AggregateColumns::NULL);
        *increase = both(*increase, later_increase, |a, b| a + b);
    }
}

fn is_null(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

impl AggregateColumns {
    /// The null of these columns.
    pub const NULL: f64 = f64::from_bits(STALE_NAN_BITS);

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// True without any window.
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// Removes all windows, keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// The column of `aggregate`.
    pub fn column(&self, aggregate: Aggregate) -> &[f64] {
        match aggregate {
            Aggregate::Sum => &self.sums,
            Aggregate::Min => &self.mins,
            Aggregate::Max => &self.maxs,
            Aggregate::First => &self.firsts,
            Aggregate::Last => &self.lasts,
            Aggregate::Increase => &self.increases,
        }
    }

    fn column_mut(&mut self, aggregate: Aggregate) -> &mut Vec<f64> {
        match aggregate {
            Aggregate::Sum => &mut self.sums,
            Aggregate::Min => &mut self.mins,
            Aggregate::Max => &mut self.maxs,
            Aggregate::First => &mut self.firsts,
            Aggregate::Last => &mut self.lasts,
            Aggregate::Increase => &mut self.increases,
        }
    }

    /// Keeps the first `rows` windows.
    pub fn truncate(&mut self, rows: usize) {
        self.times_ms.truncate(rows);
        self.counts.truncate(rows);
        for aggregate in Aggregate::ALL {
            self.column_mut(aggregate).truncate(rows);
        }
    }

    /// The window at `row`, if it is there.
    pub fn row(&self, row: usize) -> Option<AggregateRow> {
        let mut values = [Self::NULL; 6];
        for (aggregate, value) in Aggregate::ALL.into_iter().zip(&mut values) {
            *value = *self.column(aggregate).get(row)?;
        }
        Some(AggregateRow { time_ms: *self.times_ms.get(row)?, count: *self.counts.get(row)?, values })
    }

    /// Adds, from row `start` on, the windows of `others`; both are in order of time, and so is the result. Parts of
    /// one window are joined.
    pub fn add_from(&mut self, start: usize, others: &Self) {
        if others.is_empty() {
            return;
        }
        let rows =
            |columns: &Self, from| (from..columns.len()).filter_map(|at| columns.row(at)).collect::<Vec<_>>();
        let mut all = rows(self, start);
        all.extend(rows(others, 0));
        all.sort_by_key(|row| row.time_ms);
        self.truncate(start);
        let mut open: Option<AggregateRow> = None;
        for row in all {
            match &mut open {
                Some(open) if open.time_ms == row.time_ms => open.join(&row),
                _ => open.replace(row).iter().for_each(|done| self.push(done)),
            }
        }
        open.iter().for_each(|done| self.push(done));
    }

    /// Appends a window.
    pub fn push(&mut self, row: &AggregateRow) {
        self.times_ms.push(row.time_ms);
        self.counts.push(row.count);
        for (aggregate, value) in Aggregate::ALL.into_iter().zip(row.values) {
            self.column_mut(aggregate).push(value);
        }
    }

    /// Makes null, from row `start` on, all aggregates that are not in `kept`.
    pub fn keep_only(&mut self, kept: AggregateSet, start: usize) {
        for aggregate in Aggregate::ALL.into_iter().filter(|&aggregate| !kept.contains(aggregate)) {
            self.column_mut(aggregate).iter_mut().skip(start).for_each(|value| *value = Self::NULL);
        }
    }
}
