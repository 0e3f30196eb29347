//! Resolutions: how wide the windows are that samples are aggregated in.
//!
//! ```text
//! 5m   │ 10:00:00.000 … 10:04:59.999 │ 10:05:00.000 … 10:09:59.999 │     aligned to the epoch, named by its start
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::{PartitionBy, TimeBounds};

/// Units of durations in milliseconds, the largest first. Weeks and years are read, never written.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units that a duration is written in.
const WRITTEN: [&str; 5] = ["d", "h", "m", "s", "ms"];

/// Why a text is no duration or resolution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {wanted}, such as {examples}")]
pub struct DurationError {
    text: String,
    wanted: &'static str,
    examples: &'static str,
}

/// Milliseconds of a duration as Prometheus writes it: `5m`, `1h30m`, `0d`.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let wrong =
        || DurationError { text: text.to_owned(), wanted: "duration", examples: "30s, 5m, 1h30m or 40d" };
    let (mut rest, mut total) = (text, 0i64);
    let mut units = UNITS.iter();
    if text.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|at: char| !at.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|at: char| at.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        // Each unit at most once, the larger first.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(*unit_ms).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(total)
}

/// A duration in the largest unit that it is a multiple of: `90m`, `14d`.
pub fn display_duration(ms: i64) -> String {
    let fits = |name: &&str, unit_ms: i64| WRITTEN.contains(name) && ms % unit_ms == 0;
    let unit = UNITS.iter().find(|(name, unit_ms)| fits(name, *unit_ms));
    let (name, unit_ms) = unit.copied().unwrap_or(("ms", 1));
    format!("{}{name}", ms / unit_ms)
}

/// Raw samples, or windows of a width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resolution {
    /// Width of a window; 0 for raw.
    ms: i64,
}

impl Resolution {
    /// Samples as they are.
    pub const RAW: Self = Self { ms: 0 };

    /// Windows of `ms` milliseconds; none unless that is positive.
    pub fn windows(ms: i64) -> Option<Self> {
        (ms > 0).then_some(Self { ms })
    }

    /// True for samples as they are; for what leaves them out of JSON.
    pub(crate) fn is_default(&self) -> bool {
        self.is_raw()
    }

    /// True for samples as they are.
    pub fn is_raw(self) -> bool {
        self.ms == 0
    }

    /// Width of a window in milliseconds; 0 for raw.
    pub fn ms(self) -> i64 {
        self.ms
    }

    /// Start of the window that holds `time_ms`. Raw samples stand for themselves.
    pub fn window_start(self, time_ms: i64) -> i64 {
        match self.ms {
            0 => time_ms,
            ms => time_ms.saturating_sub(time_ms.rem_euclid(ms)),
        }
    }

    /// Last millisecond of the window that holds `time_ms`.
    pub fn window_last(self, time_ms: i64) -> i64 {
        match self.ms {
            0 => time_ms,
            ms => time_ms.saturating_add(ms - 1 - time_ms.rem_euclid(ms)),
        }
    }

    /// Bounds of the window that holds `time_ms`.
    pub fn window(self, time_ms: i64) -> TimeBounds {
        let min_ms = self.window_start(time_ms);
        TimeBounds { min_ms, max_ms: min_ms.saturating_add(self.ms.max(1) - 1) }
    }

    /// Whether whole windows fill every partition; raw samples always do.
    pub fn fits(self, by: PartitionBy) -> bool {
        const DAY_MS: i64 = 86_400_000;
        match by {
            _ if self.is_raw() => true,
            PartitionBy::None => true,
            PartitionBy::Day | PartitionBy::Month => DAY_MS % self.ms == 0,
            PartitionBy::Hour => DAY_MS / 24 % self.ms == 0,
        }
    }

    /// The shortest partitions that whole windows fill.
    pub fn fitting(self) -> PartitionBy {
        [PartitionBy::Hour, PartitionBy::Day]
            .into_iter()
            .find(|&by| self.fits(by))
            .unwrap_or(PartitionBy::None)
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms {
            0 => f.write_str("raw"),
            ms => f.write_str(&display_duration(ms)),
        }
    }
}

impl FromStr for Resolution {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "raw" {
            return Ok(Self::RAW);
        }
        parse_duration(text).ok().and_then(Self::windows).ok_or_else(|| DurationError {
            text: text.to_owned(),
            wanted: "resolution",
            examples: "raw, 5m, 1h or 1d",
        })
    }
}

impl TryFrom<String> for Resolution {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl From<Resolution> for String {
    fn from(resolution: Resolution) -> Self {
        resolution.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_writes_them() {
        for (text, ms) in [
            ("0d", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1y2w3d4h5m6s7ms", 31_536_000_000 + 17 * 86_400_000 + 14_706_007),
            ("250ms", 250),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
        for text in ["", "5", "m", "5 m", "-5m", "1m1h", "1m1m", "5x", "9223372036854775807y", "5m "] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(
            "5x".parse::<Resolution>().unwrap_err().to_string(),
            "\"5x\" is no resolution, such as raw, 5m, 1h or 1d"
        );
        assert!("0s".parse::<Resolution>().is_err());
    }

    #[test]
    fn equal_resolutions_have_one_name() {
        for (text, name) in [
            ("raw", "raw"),
            ("60m", "1h"),
            ("1h30m", "90m"),
            ("24h", "1d"),
            ("1w", "7d"),
            ("15s", "15s"),
            ("1500ms", "1500ms"),
        ] {
            assert_eq!(text.parse::<Resolution>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn windows_are_aligned_to_the_epoch_before_it_too() {
        let five_minutes = Resolution::windows(300_000).unwrap();
        for (time_ms, start_ms) in
            [(0, 0), (299_999, 0), (300_000, 300_000), (-1, -300_000), (-300_000, -300_000)]
        {
            assert_eq!(five_minutes.window_start(time_ms), start_ms);
            assert_eq!(five_minutes.window_last(time_ms), start_ms + 299_999);
        }
        assert_eq!(five_minutes.window_last(i64::MAX), i64::MAX);
        assert_eq!(Resolution::RAW.window_start(7), 7);
    }

    #[test]
    fn whole_windows_fill_partitions_or_a_fitting_one_is_named() {
        let resolution = |text: &str| text.parse::<Resolution>().unwrap();
        assert!(resolution("5m").fits(PartitionBy::Hour));
        assert!(!resolution("2h").fits(PartitionBy::Hour));
        assert_eq!(resolution("2h").fitting(), PartitionBy::Day);
        assert!(resolution("1d").fits(PartitionBy::Month));
        assert!(!resolution("7h").fits(PartitionBy::Day));
        assert_eq!(resolution("7d").fitting(), PartitionBy::None);
    }
}
