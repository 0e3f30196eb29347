//! Classic series of native histograms: one histogram becomes `_bucket`, `_count` and `_sum`.
//!
//! ```text
//! latency          (-1,-0.5]:2  [-0.1,0.1]:1  (1,2]:4   count 7, sum 6.5        one native histogram
//! latency_bucket   le="-0.5" 2   le="0.1" 3   le="2.0" 7   le="+Inf" 7
//! latency_count    7
//! latency_sum      6.5
//! ```
//! - Exponential buckets: one series for the upper bound of every bucket that is populated at any time in the rows
//!   given, those of negative and zero buckets included, and one for `+Inf`, which is the count. A value is the number
//!   of observations in buckets that end at or below `le`: where the resolution changes, the coarser buckets count
//!   from their own upper bounds on.
//! - Custom buckets: one series for each bound that a histogram has itself, and one for `+Inf`, which is the sum of
//!   all buckets: it is not the count where the histogram contradicts itself.
//! - Buckets are added up as doubles, from the lowest bound on, integers too: beyond 2^53 they round, they never wrap.
//! - A stale marker ends all series.
//!
//! Names and `le` are those of Prometheus' own conversion of custom buckets (`model/histogram/convert.go`). It counts
//! a bucket that is left out between two spans of integers as the one before it; here it is empty.

mod block;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use tsdb_reader::Labels;
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::samples::{
    CUSTOM_BUCKETS_SCHEMA, FloatSample, HistogramColumns, HistogramLayout, HistogramRow, STALE_NAN_BITS,
};

use crate::build::{BlockBuilder, BuildError, SeriesId};
use crate::dump::go_float;

pub use block::{ClassicError, Histograms};

/// The label of an upper bound.
const BUCKET_LABEL: &[u8] = b"le";
const BUCKET: &[u8] = b"_bucket";
const COUNT: &[u8] = b"_count";
const SUM: &[u8] = b"_sum";

/// The metrics that `metric` becomes.
pub fn names(metric: &[u8]) -> [Vec<u8>; 3] {
    [BUCKET, COUNT, SUM].map(|suffix| [metric, suffix].concat())
}

/// An upper bound, in the order of the numbers. Both zeros are one.
#[derive(Debug, Clone, Copy)]
struct UpperBound(f64);

impl UpperBound {
    const INFINITE: Self = Self(f64::INFINITY);

    fn new(bound: f64) -> Self {
        Self(if bound == 0.0 { 0.0 } else { bound })
    }

    /// As the value of `le`.
    fn le(self) -> Vec<u8> {
        let mut le = Vec::new();
        go_float::push(&mut le, self.0);
        if self.0.is_finite() && !le.iter().any(|byte| matches!(byte, b'e' | b'.')) {
            le.extend_from_slice(b".0");
        }
        le
    }
}

impl PartialEq for UpperBound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for UpperBound {}

impl PartialOrd for UpperBound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UpperBound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Buckets of one layout in the order of their upper bounds.
#[derive(Debug)]
struct Buckets {
    is_custom: bool,
    /// Upper bound, and the place of the count in a row's buckets; none for the zero bucket.
    ascending: Vec<(UpperBound, Option<usize>)>,
}

impl Buckets {
    fn new(layout: &HistogramLayout) -> Self {
        let is_custom = layout.schema == CUSTOM_BUCKETS_SCHEMA;
        let mut bounds = Vec::new();
        layout.ascending_bounds(&mut bounds);
        // A row has its positive buckets first, then the negative ones, away from zero.
        let negative = usize::try_from(layout.negative_buckets()).unwrap_or(0);
        let place = |at: usize| match at.checked_sub(negative) {
            Some(positive) => positive,
            None => bounds.len().saturating_sub(at + 1),
        };
        let mut ascending: Vec<_> = bounds
            .iter()
            .enumerate()
            .map(|(at, &(_, upper))| (UpperBound::new(upper), Some(place(at))))
            .collect();
        if is_custom {
            // Bounds whose buckets are left out between spans are bounds all the same.
            let known: BTreeSet<_> = ascending.iter().map(|&(upper, _)| upper).collect();
            let others = layout.custom_bounds.iter().map(|&bound| UpperBound::new(bound));
            ascending
                .extend(others.filter(|bound| !known.contains(bound)).map(|bound| (bound, Some(usize::MAX))));
        } else {
            ascending.push((UpperBound::new(layout.zero_threshold), None));
        }
        // Buckets may overlap the zero bucket.
        ascending.sort_by_key(|&(upper, _)| upper);
        Self { is_custom, ascending }
    }

    fn counts<'r>(&'r self, row: &'r HistogramRow<'_>) -> impl Iterator<Item = (UpperBound, u64)> + 'r {
        self.ascending.iter().map(|&(upper, place)| match place {
            Some(place) => (upper, row.buckets.get(place).copied().unwrap_or(0)),
            None => (upper, row.zero_count),
        })
    }
}

/// The buckets of every layout of some columns.
fn buckets_of(columns: &HistogramColumns) -> Vec<Buckets> {
    columns.layouts.iter().map(|layout| Buckets::new(layout)).collect()
}

/// Rows of columns with their buckets.
fn rows<'c>(
    columns: &'c HistogramColumns,
    buckets: &'c [Buckets],
) -> impl Iterator<Item = (HistogramRow<'c>, &'c Buckets)> {
    (0..columns.len()).filter_map(|row| {
        let layout = usize::try_from(*columns.layout_of.get(row)?).ok()?;
        Some((columns.row(row)?, buckets.get(layout)?))
    })
}

/// The upper bounds that the histograms of a series need.
#[derive(Debug, Default)]
pub struct Bounds {
    exponential: BTreeSet<UpperBound>,
    custom: BTreeSet<UpperBound>,
}

impl Bounds {
    /// How many classic series the histograms become, those of count and sum too.
    pub fn series(&self) -> usize {
        let finite = self.all().filter(|&at| at != UpperBound::INFINITE).count();
        finite + 3
    }

    fn all(&self) -> impl Iterator<Item = UpperBound> + '_ {
        self.exponential.union(&self.custom).copied()
    }

    /// All bounds from the lowest on, `+Inf` among them; true for those of exponential buckets.
    fn in_order(&self) -> Vec<(UpperBound, bool)> {
        let all: BTreeSet<_> = self.all().chain([UpperBound::INFINITE]).collect();
        all.into_iter().map(|at| (at, self.exponential.contains(&at))).collect()
    }

    /// Takes in those of more histograms, from the time `start_ms` on.
    pub fn add(&mut self, columns: &HistogramColumns, start_ms: i64) {
        let buckets = buckets_of(columns);
        // Most rows populate what the rows before did: each bucket is looked up once.
        let mut is_known: Vec<Vec<bool>> = buckets.iter().map(|at| vec![false; at.ascending.len()]).collect();
        for at in (0..columns.len()).filter_map(|row| Some((columns.row(row)?, *columns.layout_of.get(row)?)))
        {
            let (row, layout) = at;
            let layout = usize::try_from(layout).unwrap_or(usize::MAX);
            let (Some(buckets), Some(is_known)) = (buckets.get(layout), is_known.get_mut(layout)) else {
                continue;
            };
            if row.is_stale() || row.timestamp_ms < start_ms {
                continue;
            }
            for ((upper, count), is_known) in buckets.counts(&row).zip(is_known) {
                if !*is_known && (buckets.is_custom || row.as_f64(count) != 0.0) {
                    *is_known = true;
                    let bounds = if buckets.is_custom { &mut self.custom } else { &mut self.exponential };
                    bounds.insert(upper);
                }
            }
        }
    }
}

/// The classic series of one histogram series, or some of them, on their way into a block.
struct Unrolling {
    count: Option<SeriesId>,
    sum: Option<SeriesId>,
    /// By upper bound; nothing when they are not wanted.
    buckets: BTreeMap<UpperBound, SeriesId>,
    exponential: Vec<(UpperBound, SeriesId)>,
}

impl Unrolling {
    /// Adds the series of some bounds of a histogram with these labels to `builder`, those of count and sum with
    /// `+Inf`; those of metrics that `wants` does not want are left out. Nothing when none is left, or without a
    /// metric name.
    fn new(
        labels: &Labels,
        bounds: &[(UpperBound, bool)],
        wants: impl Fn(&[u8]) -> bool,
        builder: &mut BlockBuilder,
    ) -> Option<Self> {
        let metric = labels.metric()?;
        let mut add = |suffix: &[u8], le: Option<UpperBound>| {
            let name = [metric, suffix].concat();
            wants(&name).then(|| builder.add_series(renamed(labels, &name, le)))
        };
        let (mut count, mut sum) = (None, None);
        if bounds.iter().any(|&(at, _)| at == UpperBound::INFINITE) {
            (count, sum) = (add(COUNT, None), add(SUM, None));
        }
        let (mut buckets, mut exponential) = (BTreeMap::new(), Vec::new());
        for &(at, is_exponential) in bounds {
            let Some(id) = add(BUCKET, Some(at)) else { break };
            buckets.insert(at, id);
            if is_exponential && at != UpperBound::INFINITE {
                exponential.push((at, id));
            }
        }
        let is_empty = count.is_none() && sum.is_none() && buckets.is_empty();
        (!is_empty).then_some(Self { count, sum, buckets, exponential })
    }

    /// Appends the samples of more histograms, in time order.
    fn push(&self, columns: &HistogramColumns, builder: &mut BlockBuilder) -> Result<(), BuildError> {
        let buckets = buckets_of(columns);
        for (row, buckets) in rows(columns, &buckets) {
            self.push_row(&row, buckets, builder)?;
        }
        Ok(())
    }

    /// Ends the chunks of all series, whose samples are all there: an open chunk takes more memory than an ended one.
    fn finish(&self, builder: &mut BlockBuilder) -> Result<(), BuildError> {
        let all = self.count.iter().chain(&self.sum).chain(self.buckets.values());
        all.copied().try_for_each(|id| builder.cut(id))
    }

    fn push_row(
        &self,
        row: &HistogramRow<'_>,
        buckets: &Buckets,
        builder: &mut BlockBuilder,
    ) -> Result<(), BuildError> {
        let sample = |value| FloatSample {
            timestamp_ms: row.timestamp_ms,
            start_timestamp_ms: row.start_timestamp_ms,
            value,
        };
        if row.is_stale() {
            let all = self.count.iter().chain(&self.sum).chain(self.buckets.values());
            return all
                .copied()
                .try_for_each(|id| builder.push_float(id, sample(f64::from_bits(STALE_NAN_BITS))));
        }
        let count = row.as_f64(row.count);
        if let Some(id) = self.count {
            builder.push_float(id, sample(count))?;
        }
        if let Some(id) = self.sum {
            builder.push_float(id, sample(row.sum))?;
        }
        let mut so_far = 0.0;
        let mut counts = buckets.counts(row).peekable();
        let mut push = |bound: UpperBound, id: SeriesId| {
            while let Some((_, count)) = counts.next_if(|&(upper, _)| upper <= bound) {
                so_far += row.as_f64(count);
            }
            builder.push_float(id, sample(so_far))
        };
        if buckets.is_custom {
            for &(bound, id) in &self.of(buckets) {
                push(bound, id)?;
            }
        } else {
            for &(bound, id) in &self.exponential {
                push(bound, id)?;
            }
        }
        match self.buckets.get(&UpperBound::INFINITE) {
            Some(&id) if buckets.is_custom => push(UpperBound::INFINITE, id),
            Some(&id) => builder.push_float(id, sample(count)),
            None => Ok(()),
        }
    }

    /// The series of a layout's own bounds.
    fn of(&self, buckets: &Buckets) -> Vec<(UpperBound, SeriesId)> {
        let mut series: Vec<_> = buckets
            .ascending
            .iter()
            .filter(|&&(at, _)| at != UpperBound::INFINITE)
            .filter_map(|(at, _)| Some((*at, *self.buckets.get(at)?)))
            .collect();
        series.dedup_by_key(|(at, _)| *at);
        series
    }
}

/// `labels` with another metric name, and with `le` if given.
fn renamed(labels: &Labels, metric: &[u8], bound: Option<UpperBound>) -> Labels {
    let le = bound.map(UpperBound::le);
    let mut renamed = Labels::new();
    for (name, value) in labels.iter() {
        match name {
            METRIC_NAME => renamed.push(name, metric),
            BUCKET_LABEL if le.is_some() => {}
            _ => renamed.push(name, value),
        }
    }
    if let Some(le) = le {
        renamed.push(BUCKET_LABEL, &le);
        renamed.sort();
    }
    renamed
}
