//! Partitions of time: the days, hours or months (UTC) that output is cut into.
//!
//! Years 1 to 9999 are what BigQuery and ISO 8601 can write; what lies outside is no row of any partition.

use std::fmt;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Serialize};

/// First millisecond that a row can have: 0001-01-01T00:00:00Z.
pub const MIN_ROW_TIME_MS: i64 = -62_135_596_800_000;
/// Last millisecond that a row can have: 9999-12-31T23:59:59.999Z.
pub const MAX_ROW_TIME_MS: i64 = 253_402_300_799_999;

/// Closed bounds in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBounds {
    /// First millisecond inside.
    pub min_ms: i64,
    /// Last millisecond inside.
    pub max_ms: i64,
}

impl TimeBounds {
    /// All of time.
    pub const ALL: Self = Self { min_ms: i64::MIN, max_ms: i64::MAX };
    /// What a row can have.
    pub const ROWS: Self = Self { min_ms: MIN_ROW_TIME_MS, max_ms: MAX_ROW_TIME_MS };

    /// True when `time_ms` lies inside.
    pub fn contains(self, time_ms: i64) -> bool {
        (self.min_ms..=self.max_ms).contains(&time_ms)
    }

    /// True when the closed interval `[min_ms, max_ms]` has a millisecond in common.
    pub fn overlaps(self, min_ms: i64, max_ms: i64) -> bool {
        self.min_ms <= max_ms && min_ms <= self.max_ms
    }

    /// Milliseconds inside; 0 for bounds that are reversed.
    pub fn length_ms(self) -> u128 {
        u128::try_from(i128::from(self.max_ms) - i128::from(self.min_ms) + 1).unwrap_or_default()
    }

    /// What both have in common, if anything.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self { min_ms: self.min_ms.max(other.min_ms), max_ms: self.max_ms.min(other.max_ms) };
        (both.min_ms <= both.max_ms).then_some(both)
    }
}

/// How output is cut by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionBy {
    /// One partition per UTC day: `dt=2026-11-20`.
    #[default]
    Day,
    /// One partition per hour: `dt=2026-11-20T05`.
    Hour,
    /// One partition per month: `dt=2026-11`.
    Month,
    /// No partitions: files lie in the table's folder.
    None,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Partition {
    /// First millisecond.
    pub start_ms: i64,
    /// Last millisecond, inclusive.
    pub last_ms: i64,
    /// The value of the hive key `dt`, or `all`.
    pub key: String,
}

impl Partition {
    /// Bounds of its rows.
    pub fn bounds(&self) -> TimeBounds {
        TimeBounds { min_ms: self.start_ms, max_ms: self.last_ms }
    }
}

impl PartitionBy {
    /// The partition that holds `time_ms`; none outside the years 1 to 9999.
    pub fn partition_of(self, time_ms: i64) -> Option<Partition> {
        if !TimeBounds::ROWS.contains(time_ms) {
            return None;
        }
        if self == Self::None {
            return Some(Partition {
                start_ms: MIN_ROW_TIME_MS,
                last_ms: MAX_ROW_TIME_MS,
                key: "all".into(),
            });
        }
        let time = EPOCH.checked_add(SignedDuration::from_millis(time_ms)).ok()?;
        let (start, length) = match self {
            Self::Hour => (time.date().at(time.hour(), 0, 0, 0), Span::new().hours(1)),
            Self::Month => (time.date().first_of_month().at(0, 0, 0, 0), Span::new().months(1)),
            Self::Day | Self::None => (time.date().at(0, 0, 0, 0), Span::new().days(1)),
        };
        let start_ms = to_ms(start);
        // The last partition of the year 9999 has no next one to begin.
        let last_ms = match start.checked_add(length) {
            Ok(next) => to_ms(next) - 1,
            Err(_) => MAX_ROW_TIME_MS,
        };
        let format = match self {
            Self::Hour => "%Y-%m-%dT%H",
            Self::Month => "%Y-%m",
            Self::Day | Self::None => "%Y-%m-%d",
        };
        Some(Partition { start_ms, last_ms, key: start.strftime(format).to_string() })
    }

    /// Milliseconds of the shortest partition of this kind; all of time without partitions.
    pub fn shortest_ms(self) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => 24 * HOUR_MS,
            Self::Month => 28 * 24 * HOUR_MS,
            Self::None => i64::MAX,
        }
    }

    /// The folder of `partition` below a table's folder; empty without partitions.
    pub fn folder(self, partition: &Partition) -> String {
        if self == Self::None { String::new() } else { format!("dt={}", partition.key) }
    }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Month => "month",
            Self::None => "none",
        })
    }
}

/// Civil time alone: jiff's `Timestamp` ends a day before the year 9999 does.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

fn to_ms(time: DateTime) -> i64 {
    let since_epoch = time.duration_since(EPOCH);
    since_epoch.as_secs() * 1000 + i64::from(since_epoch.subsec_millis())
}

/// A time for people: RFC 3339 in UTC where it can be written so, else milliseconds.
pub fn display_time(time_ms: i64) -> String {
    match EPOCH.checked_add(SignedDuration::from_millis(time_ms)) {
        Ok(time) if TimeBounds::ROWS.contains(time_ms) => format!("{time}Z"),
        _ => format!("{time_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(by: PartitionBy, time_ms: i64) -> (i64, i64, String) {
        let partition = by.partition_of(time_ms).unwrap();
        (partition.start_ms, partition.last_ms, partition.key)
    }

    #[test]
    fn days_hours_and_months_are_cut_at_utc_borders() {
        let noon = 1_763_640_000_000; // 2025-11-20T12:00:00Z
        assert_eq!(
            partition(PartitionBy::Day, noon),
            (1_763_596_800_000, 1_763_683_199_999, "2025-11-20".into())
        );
        assert_eq!(
            partition(PartitionBy::Hour, noon),
            (1_763_640_000_000, 1_763_643_599_999, "2025-11-20T12".into())
        );
        assert_eq!(
            partition(PartitionBy::Month, noon),
            (1_761_955_200_000, 1_764_547_199_999, "2025-11".into())
        );
        assert_eq!(partition(PartitionBy::None, noon).2, "all");
    }

    #[test]
    fn times_before_1970_belong_to_the_day_before() {
        assert_eq!(partition(PartitionBy::Day, -1), (-86_400_000, -1, "1969-12-31".into()));
        assert_eq!(partition(PartitionBy::Day, 0).2, "1970-01-01");
    }

    #[test]
    fn years_1_and_9999_are_the_last_ones_that_have_partitions() {
        for by in [PartitionBy::Day, PartitionBy::Hour, PartitionBy::Month, PartitionBy::None] {
            assert_eq!(partition(by, MIN_ROW_TIME_MS).0, MIN_ROW_TIME_MS);
            assert_eq!(partition(by, MAX_ROW_TIME_MS).1, MAX_ROW_TIME_MS);
            for outside in [MIN_ROW_TIME_MS - 1, MAX_ROW_TIME_MS + 1, i64::MIN, i64::MAX] {
                assert_eq!(by.partition_of(outside), None);
            }
        }
        assert_eq!(partition(PartitionBy::Day, MIN_ROW_TIME_MS).2, "0001-01-01");
    }
}
