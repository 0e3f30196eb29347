//! Predecessors: the sample before a unit that the first step of each of its counters begins at.
//!
//! ```text
//! units/<unit>.context   │ key u64 │ time i64 │ value f64 │ …      little-endian, ascending by key
//!
//! day before   · · · ·│─────── unit ───────          a late block changes the unit when the day before is gone:
//!              gone   ▲ kept here                    its first step begins where it began before
//! ```
//! A histogram is too large to be kept; of one there is its time, and NaN, which no kept value is. So a redo that lacks
//! it knows that a step is lost. Keys are stable hashes of labels. The file is not believed: what lies outside the
//! lookback is not used, and a cut entry is none.

use tsdb_reader::Labels;

use crate::identities;
use crate::resolution::Resolution;

/// Bytes of one entry in the file.
pub const PREDECESSOR_BYTES: u64 = 24;

/// What came before a unit of one series.
#[derive(Debug, Clone, Copy)]
pub struct Predecessor {
    /// Names the series, see [`key`].
    pub key: u64,
    /// Time of the sample; `i64::MIN` says that there is none any more.
    pub time_ms: i64,
    /// Its value; NaN is a histogram.
    pub value: f64,
}

impl Predecessor {
    /// A series has one of floats and one of histograms.
    fn place(&self) -> (u64, bool) {
        (self.key, self.value.is_nan())
    }
}

/// Names a series. Where aggregates stay as they are, it has another name in the table of each of their resolutions.
pub fn key(labels: &Labels, as_is: Option<Resolution>) -> u64 {
    identities::stable_hash(labels, as_is.map_or(0, |resolution| resolution.ms().cast_unsigned()))
}

/// What is kept of one series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kept {
    /// The last float before the unit.
    pub float: Option<(i64, f64)>,
    /// Time of the last histogram.
    pub histogram_ms: Option<i64>,
}

impl Kept {
    /// Of it, what satisfies `is_good` by its time.
    #[must_use]
    pub fn filter(self, is_good: impl Fn(i64) -> bool) -> Self {
        Self {
            float: self.float.filter(|(time_ms, _)| is_good(*time_ms)),
            histogram_ms: self.histogram_ms.filter(|time_ms| is_good(*time_ms)),
        }
    }
}

/// What is kept of the series of a unit.
#[derive(Debug, Clone, Default)]
pub struct Predecessors(Vec<Predecessor>);

impl Predecessors {
    /// Reads the bytes of a file.
    pub fn decode(bytes: &[u8]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let (entries, _) = words.as_chunks::<3>();
        let entry = |[key, time, value]: &[[u8; 8]; 3]| Predecessor {
            key: u64::from_le_bytes(*key),
            time_ms: i64::from_le_bytes(*time),
            value: f64::from_le_bytes(*value),
        };
        Self(Vec::new()).with(entries.iter().map(entry).collect())
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 24);
        for Predecessor { key, time_ms, value } in &self.0 {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&time_ms.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// The same with what is `newer`, the last word on each series; those that it does not name keep theirs.
    #[must_use]
    pub fn with(self, newer: Vec<Predecessor>) -> Self {
        let mut all: Vec<_> = newer.into_iter().rev().chain(self.0).collect();
        all.sort_by_key(Predecessor::place);
        all.dedup_by_key(|entry| entry.place());
        all.retain(|entry| entry.time_ms != i64::MIN);
        Self(all)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is kept of a series.
    pub fn of(&self, key: u64) -> Kept {
        let start = self.0.partition_point(|entry| entry.key < key);
        let mut kept = Kept::default();
        for entry in self.0.get(start..).unwrap_or_default().iter().take_while(|entry| entry.key == key) {
            match entry.value.is_nan() {
                true => kept.histogram_ms = Some(entry.time_ms),
                false => kept.float = Some((entry.time_ms, entry.value)),
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(key: u64, time_ms: i64, value: f64) -> Predecessor {
        Predecessor { key, time_ms, value }
    }

    fn histogram(key: u64, time_ms: i64) -> Predecessor {
        float(key, time_ms, f64::NAN)
    }

    #[test]
    fn floats_and_histograms_of_a_series_round_trip_side_by_side() {
        let all = vec![histogram(7, -5), float(u64::MAX, 3, 0.5), float(7, i64::MAX, -0.0), float(0, 1, 2.0)];
        let bytes = Predecessors::default().with(all).encode();
        assert_eq!(bytes.len() as u64, 4 * PREDECESSOR_BYTES);
        let kept = Predecessors::decode(&bytes);
        assert_eq!(kept.encode(), bytes);
        assert_eq!(kept.of(7), Kept { float: Some((i64::MAX, -0.0)), histogram_ms: Some(-5) });
        assert_eq!(kept.of(0), Kept { float: Some((1, 2.0)), histogram_ms: None });
        assert_eq!(kept.of(u64::MAX).float, Some((3, 0.5)));
        assert_eq!(kept.of(8), Kept::default());
    }

    #[test]
    fn a_file_of_any_length_gives_its_whole_entries() {
        let bytes = Predecessors::default().with(vec![float(1, 1, 1.0), float(2, 2, 2.0)]).encode();
        for len in 0..=bytes.len() {
            assert_eq!(Predecessors::decode(&bytes[..len]).len(), len / 24);
        }
    }

    #[test]
    fn what_is_newer_wins_and_may_say_that_there_is_none() {
        let old = Predecessors::default().with(vec![
            float(1, 1, 1.0),
            histogram(1, 1),
            float(2, 2, 2.0),
            histogram(3, 3),
        ]);
        let none = |value| float(1, i64::MIN, value);
        let new = old.with(vec![none(0.0), none(f64::NAN), float(1, 5, 5.0), float(2, i64::MIN, 0.0)]);
        assert_eq!(new.of(1), Kept { float: Some((5, 5.0)), histogram_ms: None });
        assert_eq!(new.of(2), Kept::default());
        assert_eq!(new.of(3).histogram_ms, Some(3));
        assert_eq!(new.len(), 2);
    }
}
