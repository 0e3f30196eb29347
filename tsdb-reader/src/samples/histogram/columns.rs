//! Histograms as columns: what decoders append to.
//!
//! ```text
//! row        0          1          2
//! times_ms   t0         t1         t2           and one entry each in start_times_ms, sums, counts, …
//! layout_of  0          0          1            position in `layouts`
//! buckets    │ 4 7 1    │ 4 8 1    │ 2 2 2 2 │  all rows in one list; bucket_ends tells where a row's end
//! ```

use std::ops::Range;
use std::sync::Arc;

use super::{CounterResetHint, HistogramKind, HistogramLayout};
use crate::samples::is_stale_nan;

/// Histograms in columns, one row per sample.
///
/// Counts keep the bits of the file: integers of [`HistogramKind::Integer`], bits of a double of
/// [`HistogramKind::Float`]. Bucket counts are absolute, not differences to the bucket before: first those of the
/// positive spans in order of their index, then those of the negative spans. A stale marker has no buckets.
#[derive(Debug, Clone, Default)]
pub struct HistogramColumns {
    /// Milliseconds since the epoch.
    pub times_ms: Vec<i64>,
    /// Start timestamps in milliseconds since the epoch, 0 for unknown.
    pub start_times_ms: Vec<i64>,
    /// Sums of observations, NaN bits as stored. A stale marker has the bits of one.
    pub sums: Vec<f64>,
    /// Numbers of observations, as bits. Without meaning in a stale marker.
    pub counts: Vec<u64>,
    /// Observations in the zero bucket, as bits. Without meaning in a stale marker.
    pub zero_counts: Vec<u64>,
    /// How counts are to be read.
    pub kinds: Vec<HistogramKind>,
    /// Resets since the row before, as the decoder of the chunk knows them.
    pub hints: Vec<CounterResetHint>,
    /// Position in `layouts`.
    pub layout_of: Vec<u32>,
    /// The layouts that rows refer to.
    pub layouts: Vec<Arc<HistogramLayout>>,
    /// Where the buckets of each row end in `buckets`; they begin where those of the row before end.
    pub bucket_ends: Vec<usize>,
    /// Absolute counts of all rows, as bits.
    pub buckets: Vec<u64>,
}

/// One histogram of some columns.
#[derive(Debug, Clone, Copy)]
pub struct HistogramRow<'a> {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// When the counter began, in milliseconds since the epoch; 0 = unknown.
    pub start_timestamp_ms: i64,
    /// Sum of observations.
    pub sum: f64,
    /// Number of observations, as bits.
    pub count: u64,
    /// Observations in the zero bucket, as bits.
    pub zero_count: u64,
    /// How counts are to be read.
    pub kind: HistogramKind,
    /// Resets since the row before.
    pub hint: CounterResetHint,
    /// Which buckets there are.
    pub layout: &'a Arc<HistogramLayout>,
    /// Absolute counts as bits: of the positive spans, then of the negative ones.
    pub buckets: &'a [u64],
}

impl HistogramColumns {
    /// Number of histograms.
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    /// True without any histogram.
    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// Removes all histograms, keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.layouts.clear();
    }

    /// Keeps the first `rows` histograms. Layouts stay.
    pub fn truncate(&mut self, rows: usize) {
        self.buckets.truncate(self.bucket_range(rows).start);
        self.times_ms.truncate(rows);
        self.start_times_ms.truncate(rows);
        self.sums.truncate(rows);
        self.counts.truncate(rows);
        self.zero_counts.truncate(rows);
        self.kinds.truncate(rows);
        self.hints.truncate(rows);
        self.layout_of.truncate(rows);
        self.bucket_ends.truncate(rows);
    }

    /// The place in `buckets` of those of `row`; an empty one at the end for rows that are not there.
    pub fn bucket_range(&self, row: usize) -> Range<usize> {
        let end_of = |row: usize| self.bucket_ends.get(row).copied();
        let start = row.checked_sub(1).map_or(Some(0), end_of).unwrap_or(self.buckets.len());
        start..end_of(row).unwrap_or(self.buckets.len()).max(start)
    }

    /// The histogram at `row`, if it is there.
    pub fn row(&self, row: usize) -> Option<HistogramRow<'_>> {
        let layout = usize::try_from(*self.layout_of.get(row)?).ok()?;
        Some(HistogramRow {
            timestamp_ms: *self.times_ms.get(row)?,
            start_timestamp_ms: *self.start_times_ms.get(row)?,
            sum: *self.sums.get(row)?,
            count: *self.counts.get(row)?,
            zero_count: *self.zero_counts.get(row)?,
            kind: *self.kinds.get(row)?,
            hint: *self.hints.get(row)?,
            layout: self.layouts.get(layout)?,
            buckets: self.buckets.get(self.bucket_range(row))?,
        })
    }

    /// Adds a layout for rows to come; the one added last is used again when it is equal.
    pub fn intern(&mut self, layout: &Arc<HistogramLayout>) -> u32 {
        let known = self.layouts.last().is_some_and(|last| Arc::ptr_eq(last, layout) || last == layout);
        if !known {
            self.layouts.push(Arc::clone(layout));
        }
        u32::try_from(self.layouts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Appends a histogram.
    pub fn push(&mut self, row: HistogramRow<'_>) {
        let layout = self.intern(row.layout);
        self.times_ms.push(row.timestamp_ms);
        self.start_times_ms.push(row.start_timestamp_ms);
        self.sums.push(row.sum);
        self.counts.push(row.count);
        self.zero_counts.push(row.zero_count);
        self.kinds.push(row.kind);
        self.hints.push(row.hint);
        self.layout_of.push(layout);
        self.buckets.extend_from_slice(row.buckets);
        self.bucket_ends.push(self.buckets.len());
    }
}

impl HistogramRow<'_> {
    /// True for the marker that ends a series; then only the timestamps mean anything.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// A count of this histogram as a double; exact up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "said so")]
    pub fn as_f64(&self, count: u64) -> f64 {
        match self.kind {
            HistogramKind::Integer => count as f64,
            HistogramKind::Float => f64::from_bits(count),
        }
    }
}
