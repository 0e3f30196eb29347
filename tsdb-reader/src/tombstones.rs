//! Tombstones: intervals deleted from single series.
//!
//! ```text
//! ┌────────────────┬────────┬──────────────────────────────────────────────────────────┬─────────────┐
//! │ 0x0130BA30 u32 │ 1 u8   │ { series ref uvarint, min varint, max varint } to the end │ crc32c u32  │
//! └────────────────┴────────┴──────────────────────────────────────────────────────────┴─────────────┘
//!                             the checksum covers the entries only; there is no count
//! ```
//! Checked: magic, version, checksum, and that the entries end where the checksum begins. Order, overlaps and
//! neighbours are not relied on: intervals come out sorted and merged.
//! Defined in Prometheus' `tsdb/docs/format/tombstones.md`.

use std::ops::Range;

use crate::checksum;
use crate::cursor::Cursor;
use crate::error::DecodeError;
use crate::refs::SeriesRef;
use crate::trace::Trace;

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
const CHECKSUM_LEN: u64 = 4;

/// A deleted span of time, closed on both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// First deleted millisecond since the epoch.
    pub min_time_ms: i64,
    /// Last deleted millisecond since the epoch.
    pub max_time_ms: i64,
}

impl Interval {
    /// True when `time_ms` is deleted.
    pub fn contains(self, time_ms: i64) -> bool {
        self.min_time_ms <= time_ms && time_ms <= self.max_time_ms
    }

    /// True when all of the closed span from `min_time_ms` to `max_time_ms` is deleted.
    pub fn covers(self, min_time_ms: i64, max_time_ms: i64) -> bool {
        self.min_time_ms <= min_time_ms && max_time_ms <= self.max_time_ms
    }

    /// True when some of the closed span from `min_time_ms` to `max_time_ms` is deleted.
    pub fn overlaps(self, min_time_ms: i64, max_time_ms: i64) -> bool {
        self.min_time_ms <= max_time_ms && min_time_ms <= self.max_time_ms
    }
}

/// What is deleted from the series of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tombstones {
    /// Ascending; beside each where its intervals end, which is where those of the next one start.
    series: Vec<(SeriesRef, usize)>,
    intervals: Vec<Interval>,
    checksum: Option<u32>,
    entries: usize,
    inverted: usize,
}

impl Tombstones {
    /// Nothing deleted: what a block without the file has.
    pub fn none() -> Self {
        Self::default()
    }

    /// Decodes a whole `tombstones` file.
    pub fn decode(file: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_traced(file, None)
    }

    /// As [`Tombstones::decode`]; every field is noted in `trace`.
    pub fn decode_traced(file: &[u8], trace: Option<&Trace>) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(file, 0).traced(trace);
        cursor.magic("tombstones magic", MAGIC)?;
        let version = cursor.u8("tombstones version")?;
        if version != VERSION {
            return Err(DecodeError::invalid(4, "tombstones version", version.into(), "1"));
        }
        let entries_offset = cursor.offset();
        let Some(entries_len) = (cursor.rest().len() as u64).checked_sub(CHECKSUM_LEN) else {
            return Err(cursor.truncated("tombstones checksum", CHECKSUM_LEN));
        };
        let entries = cursor.take("tombstones entries", entries_len)?;
        let checksum = checksum::verify(&mut cursor, "tombstones entries", entries)?;

        let mut found = Vec::new();
        let mut inverted = 0;
        let mut cursor = Cursor::new(entries, entries_offset).traced(trace);
        while !cursor.is_empty() {
            let series_ref = SeriesRef(cursor.uvarint("tombstone series ref")?);
            let min_time_ms = cursor.varint("tombstone min time")?;
            let max_time_ms = cursor.varint("tombstone max time")?;
            if min_time_ms <= max_time_ms {
                found.push((series_ref, Interval { min_time_ms, max_time_ms }));
            } else {
                inverted += 1;
            }
        }
        found.sort_unstable();
        let entries = found.len() + inverted;
        let mut tombstones = Self::merged(found);
        tombstones.entries = entries;
        tombstones.checksum = Some(checksum);
        tombstones.inverted = inverted;
        Ok(tombstones)
    }

    /// Collects intervals in any order.
    pub fn from_intervals(intervals: impl IntoIterator<Item = (SeriesRef, Interval)>) -> Self {
        let mut sorted: Vec<_> = intervals.into_iter().collect();
        sorted.sort_unstable();
        Self::merged(sorted)
    }

    fn merged(sorted: Vec<(SeriesRef, Interval)>) -> Self {
        let mut tombstones = Self::default();
        for (series_ref, interval) in sorted {
            let last_series = tombstones.series.last_mut().filter(|(last, _)| *last == series_ref);
            let Some((_, end)) = last_series else {
                tombstones.intervals.push(interval);
                tombstones.series.push((series_ref, tombstones.intervals.len()));
                continue;
            };
            match tombstones.intervals.last_mut() {
                // Intervals that touch are one: 1 ms apart is adjacent.
                Some(last) if interval.min_time_ms <= last.max_time_ms.saturating_add(1) => {
                    last.max_time_ms = last.max_time_ms.max(interval.max_time_ms);
                }
                _ => tombstones.intervals.push(interval),
            }
            *end = tombstones.intervals.len();
        }
        tombstones
    }

    /// What is deleted from one series: sorted, neither overlapping nor touching.
    pub fn intervals(&self, series_ref: SeriesRef) -> &[Interval] {
        let Ok(at) = self.series.binary_search_by_key(&series_ref, |(at, _)| *at) else {
            return &[];
        };
        self.intervals.get(self.span(at)).unwrap_or_default()
    }

    /// All series with something deleted, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesRef, &[Interval])> + '_ {
        self.series
            .iter()
            .enumerate()
            .map(|(at, (series_ref, _))| (*series_ref, self.intervals.get(self.span(at)).unwrap_or_default()))
    }

    fn span(&self, at: usize) -> Range<usize> {
        let end_of = |at: usize| self.series.get(at).map_or(0, |(_, end)| *end);
        at.checked_sub(1).map_or(0, end_of)..end_of(at)
    }

    /// True when nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Number of intervals after merging.
    pub fn len(&self) -> usize {
        self.intervals.len()
    }

    /// Number of intervals in the file, before merging; 0 without a file.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The checksum the file carries; none without a file. Two blocks with equal checksums delete the same.
    pub fn checksum(&self) -> Option<u32> {
        self.checksum
    }

    /// Entries of the file that end before they start. They delete nothing.
    pub fn inverted(&self) -> usize {
        self.inverted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn interval(min_time_ms: i64, max_time_ms: i64) -> Interval {
        Interval { min_time_ms, max_time_ms }
    }

    /// A name, a file, and what it deletes.
    type Case = (String, Vec<u8>, Vec<(SeriesRef, Interval)>);

    fn vectors() -> Vec<Case> {
        let file = testing::vector("tombstones.json");
        let cases = file["cases"].as_array().unwrap().iter();
        cases
            .map(|case| {
                let entries = case["entries_any_ref_order"].as_array().into_iter().flatten();
                let entries = entries.map(|entry| {
                    let interval = interval(entry["mint"].as_i64().unwrap(), entry["maxt"].as_i64().unwrap());
                    (SeriesRef(entry["ref"].as_u64().unwrap()), interval)
                });
                let name = case["name"].as_str().unwrap().to_owned();
                (name, testing::unhex(case["hex"].as_str().unwrap()), entries.collect())
            })
            .collect()
    }

    #[test]
    fn files_of_the_reference_decode_to_their_intervals() {
        for (name, bytes, expected) in vectors() {
            let tombstones = Tombstones::decode(&bytes).unwrap();
            let found: Vec<_> =
                tombstones.iter().flat_map(|(at, all)| all.iter().map(move |one| (at, *one))).collect();
            assert_eq!(found, expected, "{name}");
            assert_eq!(tombstones.is_empty(), expected.is_empty(), "{name}");
            for (series_ref, interval) in expected {
                assert!(tombstones.intervals(series_ref).contains(&interval), "{name}");
            }
            assert_eq!(tombstones.intervals(SeriesRef(u64::MAX)), []);
        }
    }

    #[test]
    fn truncation_at_every_length_is_an_error() {
        for (name, bytes, _) in vectors() {
            for cut in 0..bytes.len() {
                assert!(Tombstones::decode(&bytes[..cut]).is_err(), "{name} cut to {cut}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_an_error() {
        for (name, bytes, _) in vectors() {
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Tombstones::decode(&flipped).is_err(), "{name} bit {bit}");
            }
        }
    }

    #[test]
    fn damaged_files_are_refused_as_recommended() {
        for case in testing::malformed("tombstones") {
            let result = Tombstones::decode(&case.bytes);
            assert_eq!(result.is_ok(), case.accept, "{}: {result:?}", case.name);
        }
    }

    #[test]
    fn overlapping_and_touching_intervals_are_merged() {
        let all = |series_ref, spans: &[(i64, i64)]| {
            spans
                .iter()
                .map(move |&(min, max)| (SeriesRef(series_ref), interval(min, max)))
                .collect::<Vec<_>>()
        };
        let spans = [(30, 40), (10, 19), (20, 25), (i64::MIN, i64::MIN), (15, 17), (41, 41), (43, 43)];
        let mut entries = all(7, &spans);
        entries.extend(all(3, &[(0, i64::MAX), (5, i64::MAX)]));
        let tombstones = Tombstones::from_intervals(entries);
        assert_eq!(
            tombstones.intervals(SeriesRef(7)),
            [interval(i64::MIN, i64::MIN), interval(10, 25), interval(30, 41), interval(43, 43)]
        );
        assert_eq!(tombstones.intervals(SeriesRef(3)), [interval(0, i64::MAX)]);
        assert_eq!(tombstones.intervals(SeriesRef(5)), []);
        assert_eq!(tombstones.len(), 5);
    }

    #[test]
    fn entry_that_ends_before_it_starts_deletes_nothing_and_is_counted() {
        let entries = [5, 20, 10];
        let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
        file.extend(entries);
        file.extend(checksum::crc32c(&entries).to_be_bytes());
        let tombstones = Tombstones::decode(&file).unwrap();
        assert!(tombstones.is_empty());
        assert_eq!((tombstones.entries(), tombstones.inverted()), (1, 1));
    }

    #[test]
    fn interval_is_closed_on_both_ends() {
        let deleted = interval(10, 20);
        assert!(deleted.contains(10) && deleted.contains(20));
        assert!(!deleted.contains(9) && !deleted.contains(21));
        assert!(deleted.covers(10, 20) && !deleted.covers(10, 21));
        assert!(deleted.overlaps(20, 30) && !deleted.overlaps(21, 30));
    }
}
