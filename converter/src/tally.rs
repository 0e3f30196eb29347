//! Tallies: what became of every sample that was read.
//!
//! Each term is counted where it happens, none is a remainder. A chunk that straddles partitions is read by
//! several units; one of them *owns* it, counts the header's samples as read, and those that other units write
//! as handed over. The others count theirs as taken over, so that for every unit and for all of them together
//!
//! ```text
//! read + taken over = handed over + written + unrolled + aggregated + left out + superseded + dropped by rule
//!                   + tombstoned + outside the time range + duplicates + replica removed + stale dropped + lost
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why samples were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The chunk's bytes end or make no sense after the samples that were kept.
    UndecodableChunk,
    /// The timestamp lies outside the years 1 to 9999.
    TimestampOutOfRange,
    /// The timestamp lies in no partition of the time range that the block's `meta.json` states.
    OutsideBlockRange,
    /// Native histogram chunks (encoding 2), in records of versions that did not read them.
    EncodingHistogram,
    /// Float histogram chunks (encoding 3), in such records.
    EncodingFloatHistogram,
    /// Histogram chunks with start timestamps (encoding 5), in such records.
    EncodingHistogramSt,
    /// Float histogram chunks with start timestamps (encoding 6), in such records.
    EncodingFloatHistogramSt,
    /// Aggregate chunks of Thanos (encoding 0xff).
    EncodingAggregate,
    /// Chunks of an encoding nobody has defined.
    EncodingUnknown,
    /// Native histograms without a metric name: classic series have no name to derive theirs from.
    NamelessHistogram,
    /// Native histograms that cannot be added up with others of their window: a gauge with a counter, exponential
    /// buckets with custom ones.
    NotAddable,
    /// Aggregates of a window that finer samples cover in part.
    MixedWindow,
    /// Native histograms, in a dump as OpenMetrics text, which has no form for them.
    NoOpenMetricsForm,
}

impl Loss {
    /// True when another run may read what this one lost: the same bytes may be repaired under the same ULID, and
    /// what an earlier version could not decode is decoded now. The other losses stay what they are.
    pub fn may_be_repaired(self) -> bool {
        match self {
            Self::UndecodableChunk
            | Self::EncodingHistogram
            | Self::EncodingFloatHistogram
            | Self::EncodingHistogramSt
            | Self::EncodingFloatHistogramSt => true,
            Self::TimestampOutOfRange
            | Self::OutsideBlockRange
            | Self::EncodingAggregate
            | Self::EncodingUnknown
            | Self::NotAddable
            | Self::MixedWindow
            | Self::NoOpenMetricsForm
            | Self::NamelessHistogram => false,
        }
    }
}

/// What a rule did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTally {
    /// Series of a unit that it was the first to match.
    pub series: u64,
    /// Their samples.
    pub samples: u64,
    /// Rows that these have become.
    pub rows: u64,
}

impl RuleTally {
    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.series += other.series;
        self.samples += other.samples;
        self.rows += other.rows;
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Counts of samples, unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// By the headers of the chunks read.
    pub read: u64,
    /// Of chunks that another unit owns.
    pub taken_over: u64,
    /// To the other units of the same chunk.
    pub handed_over: u64,
    /// Rows of the samples and histograms tables.
    pub written: u64,
    /// Rows of the histograms table. Part of `written`.
    pub written_histograms: u64,
    /// Native histograms that are written as classic series instead of rows of their own.
    pub unrolled: u64,
    /// Rows of classic series that stand for native histograms. They are derived: not part of `written`.
    pub written_classic: u64,
    /// Samples of such series that are not written, because a stored one has the same series and timestamp.
    pub duplicate_classic: u64,
    /// In windows.
    #[serde(skip_serializing_if = "is_zero")]
    pub aggregated: u64,
    /// Of them, windows of downsampled blocks, which know less than the samples they were made of.
    #[serde(skip_serializing_if = "is_zero")]
    pub from_aggregates: u64,
    /// Stale markers and NaN of series that became windows: they are in none.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Aggregates of a downsampled block where there are finer ones or raw samples.
    #[serde(skip_serializing_if = "is_zero")]
    pub superseded: u64,
    /// Rows of windows. They are derived: not part of `written`.
    #[serde(skip_serializing_if = "is_zero")]
    pub windows: u64,
    /// Of them, those of histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub histogram_windows: u64,
    /// Series whose predecessors are kept, those of histograms apart from those of floats: see `predecessors`.
    #[serde(skip_serializing_if = "is_zero")]
    pub predecessors: u64,
    /// Series of histograms whose first step is lost, since what it began at is gone.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps_lost: u64,
    /// Of series that a rule drops.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_by_rule: u64,
    /// What rules did, by selector.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, RuleTally>,
    /// Deleted by a tombstone.
    pub tombstoned: u64,
    /// Before `--min-time`, or at or after `--max-time`.
    pub outside_time_range: u64,
    /// Same series and timestamp as a sample that is written.
    pub duplicates: u64,
    /// Of a replica, where another one stands for the series; of aggregates also those of another block.
    #[serde(skip_serializing_if = "is_zero")]
    pub replica_removed: u64,
    /// Stale markers dropped as asked.
    pub stale_dropped: u64,
    /// Lost, by reason.
    pub lost: BTreeMap<Loss, u64>,
    /// Duplicates whose value differs from the one that is written. Part of `duplicates`.
    pub conflicts: u64,
    /// Chunks that could not be read at all, so that their samples are unknown.
    pub unreadable_chunks: u64,
    /// Chunks read.
    pub chunks: u64,
    /// Series with at least one row.
    pub series: u64,
    /// Series that became equal to another one through dropped or kept labels.
    pub merged_series: u64,
    /// Labels with bytes that are not UTF-8, written with U+FFFD.
    pub replaced_utf8: u64,
    /// Samples by the headers of the chunks owned, for each block.
    pub read_by_block: BTreeMap<String, u64>,
}

impl Tally {
    /// Samples lost for any reason.
    pub fn lost_samples(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Adds `count` samples lost for `loss`.
    pub fn lose(&mut self, loss: Loss, count: u64) {
        if count > 0 {
            *self.lost.entry(loss).or_default() += count;
        }
    }

    /// What is left after all terms: 0, or there is a bug.
    pub fn difference(&self) -> i128 {
        let into = i128::from(self.read) + i128::from(self.taken_over);
        let out = [
            self.handed_over,
            self.written,
            self.unrolled,
            self.aggregated,
            self.left_out,
            self.superseded,
            self.dropped_by_rule,
            self.tombstoned,
            self.outside_time_range,
            self.duplicates,
            self.replica_removed,
            self.stale_dropped,
            self.lost_samples(),
        ];
        into - out.iter().map(|&term| i128::from(term)).sum::<i128>()
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.taken_over += other.taken_over;
        self.handed_over += other.handed_over;
        self.written += other.written;
        self.written_histograms += other.written_histograms;
        self.unrolled += other.unrolled;
        self.written_classic += other.written_classic;
        self.duplicate_classic += other.duplicate_classic;
        self.aggregated += other.aggregated;
        self.from_aggregates += other.from_aggregates;
        self.left_out += other.left_out;
        self.superseded += other.superseded;
        self.windows += other.windows;
        self.histogram_windows += other.histogram_windows;
        self.predecessors += other.predecessors;
        self.steps_lost += other.steps_lost;
        self.dropped_by_rule += other.dropped_by_rule;
        for (selector, rule) in &other.rules {
            self.rules.entry(selector.clone()).or_default().add(*rule);
        }
        self.tombstoned += other.tombstoned;
        self.outside_time_range += other.outside_time_range;
        self.duplicates += other.duplicates;
        self.replica_removed += other.replica_removed;
        self.stale_dropped += other.stale_dropped;
        for (&loss, &count) in &other.lost {
            self.lose(loss, count);
        }
        self.conflicts += other.conflicts;
        self.unreadable_chunks += other.unreadable_chunks;
        self.chunks += other.chunks;
        self.series += other.series;
        self.merged_series += other.merged_series;
        self.replaced_utf8 += other.replaced_utf8;
        for (block, &count) in &other.read_by_block {
            *self.read_by_block.entry(block.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_adds_up_when_every_sample_has_a_term() {
        let mut tally = Tally { read: 10, taken_over: 2, handed_over: 3, written: 4, ..Tally::default() };
        assert_eq!(tally.difference(), 5);
        tally.tombstoned = 1;
        tally.duplicates = 1;
        tally.stale_dropped = 1;
        tally.outside_time_range = 1;
        tally.lose(Loss::EncodingAggregate, 1);
        assert_eq!(tally.difference(), 0);
        let mut both = tally.clone();
        both.add(&tally);
        assert_eq!((both.read, both.lost_samples(), both.difference()), (20, 2, 0));
    }
}
