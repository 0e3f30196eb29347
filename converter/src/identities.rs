//! Identities: which series a unit holds, and how many samples of each.
//!
//! ```text
//! units/<unit>.ids   │ series_id i64 │ second hash u64 │ samples u64 │ …      little-endian, ascending by series_id
//! ```
//! Kept beside a unit's record for two questions: whether one `series_id` stands for two series anywhere in DEST,
//! and whether a redo of the unit would hold less of any series than what is published.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tsdb_reader::Labels;
use xxhash_rust::xxh64::Xxh64;

/// Bytes of one series in the file.
pub const IDENTITY_BYTES: u64 = 24;

/// Seed of the second hash, which tells a collision of `series_id` from the same series.
const CHECK_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A series of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesIdentity {
    /// Prometheus' stable hash of its labels, the bits as signed.
    pub series_id: i64,
    /// A second hash: series with one id and different second hashes are different series.
    pub check: u64,
    /// Samples that the unit has of it: its rows, and what other replicas stand for.
    pub samples: u64,
}

impl SeriesIdentity {
    /// The identity of a series with so many samples.
    pub fn new(labels: &Labels, samples: u64) -> Self {
        Self { series_id: series_id(labels), check: stable_hash(labels, CHECK_SEED), samples }
    }
}

/// Prometheus' stable hash of a label set: XXH64 over names and values, each ended by 0xff; its bits as signed.
pub fn series_id(labels: &Labels) -> i64 {
    stable_hash(labels, 0).cast_signed()
}

pub(crate) fn stable_hash(labels: &Labels, seed: u64) -> u64 {
    let mut hash = Xxh64::new(seed);
    for (name, value) in labels.iter() {
        hash.update(name);
        hash.update(&[0xff]);
        hash.update(value);
        hash.update(&[0xff]);
    }
    hash.digest()
}

/// The bytes of the file; sorts what it is given.
pub fn encode(identities: &mut [SeriesIdentity]) -> Vec<u8> {
    identities.sort_unstable();
    let mut bytes = Vec::with_capacity(identities.len() * 24);
    for SeriesIdentity { series_id, check, samples } in identities.iter() {
        bytes.extend_from_slice(&series_id.to_le_bytes());
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes.extend_from_slice(&samples.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> impl Iterator<Item = SeriesIdentity> + '_ {
    let (words, _) = bytes.as_chunks::<8>();
    let (series, _) = words.as_chunks::<3>();
    series.iter().map(|[series_id, check, samples]| SeriesIdentity {
        series_id: i64::from_le_bytes(*series_id),
        check: u64::from_le_bytes(*check),
        samples: u64::from_le_bytes(*samples),
    })
}

/// A file whose ranges can be read.
pub trait ReadAt {
    /// Its size.
    fn size_bytes(&mut self) -> io::Result<u64>;

    /// The `length` bytes from `offset` on, as far as there are any.
    fn read_at(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>>;
}

impl ReadAt for File {
    fn size_bytes(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        self.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        self.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Those of a file whose ids lie in `[first, last]`. In a large file they are found by a few reads of a page.
pub fn read_range(file: &mut dyn ReadAt, first: i64, last: i64) -> io::Result<Vec<SeriesIdentity>> {
    let count = file.size_bytes()? / IDENTITY_BYTES;
    let from = position(file, count, first)?;
    let to = last.checked_add(1).map_or(Ok(count), |end| position(file, count, end))?;
    let bytes = file.read_at(from * IDENTITY_BYTES, to.saturating_sub(from) * IDENTITY_BYTES)?;
    let read = decode(&bytes).filter(|series| (first..=last).contains(&series.series_id));
    Ok(read.collect())
}

/// Identities that are read at once to find a place.
const PAGE: u64 = 512;

/// How many ids at the front are smaller than `bound`. Ids are spread evenly, so a look where `bound` should be
/// mostly finds it; the rest is bisection.
fn position(file: &mut dyn ReadAt, count: u64, bound: i64) -> io::Result<u64> {
    if bound == i64::MIN {
        return Ok(0);
    }
    let share = (i128::from(bound) - i128::from(i64::MIN)).cast_unsigned();
    let guess = u64::try_from((u128::from(count) * share) >> 64).unwrap_or(count);
    let (mut from, mut to) = (0, count);
    let mut look_at = guess;
    while from < to {
        let start = look_at.saturating_sub(PAGE / 2).clamp(from, to.saturating_sub(PAGE).max(from));
        let bytes = file.read_at(start * IDENTITY_BYTES, PAGE.min(to - start) * IDENTITY_BYTES)?;
        let page: Vec<i64> = decode(&bytes).map(|series| series.series_id).collect();
        let before = page.partition_point(|id| *id < bound);
        if page.is_empty() {
            return Ok(start); // It has become shorter.
        } else if before == 0 && start > from {
            to = start;
        } else if before == page.len() {
            from = start + before as u64;
        } else {
            return Ok(start + before as u64);
        }
        look_at = from + (to - from) / 2;
    }
    Ok(from)
}

/// True when `redo` has fewer samples than `published` of any series. Both ascend.
pub fn shrinks(published: &[SeriesIdentity], redo: &[SeriesIdentity]) -> bool {
    let mut redo = redo.iter().peekable();
    published.iter().any(|old| {
        while redo.next_if(|new| (new.series_id, new.check) < (old.series_id, old.check)).is_some() {}
        let same = redo.peek().filter(|new| (new.series_id, new.check) == (old.series_id, old.check));
        same.is_none_or(|new| new.samples < old.samples)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn identity(series_id: i64, samples: u64) -> SeriesIdentity {
        SeriesIdentity { series_id, check: 7, samples }
    }

    #[test]
    fn series_ids_are_prometheus_stable_hashes() {
        let hash = |pairs: &[(&str, &str)]| {
            let labels = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            series_id(&labels).cast_unsigned()
        };
        // As `labels.StableHash` of Prometheus 3.15 gives them.
        assert_eq!(hash(&[("A", "x"), ("__name__", "n"), ("a", "y"), ("job", "z")]), 0xa8cc_d3fa_e33f_867d);
        let up = [("__name__", "up"), ("instance", "localhost:9090"), ("job", "prometheus")];
        assert_eq!(hash(&up), 0xf28c_8afc_d224_e55f);
    }

    #[test]
    fn every_range_of_a_file_is_found_by_bisection() {
        let mut identities: Vec<_> = [5, -3, i64::MIN, 9, i64::MAX, 0].map(|id| identity(id, 1)).to_vec();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&encode(&mut identities)).unwrap();
        for first in [i64::MIN, -4, -3, 0, 1, 9, 10, i64::MAX] {
            for last in [i64::MIN, -3, -2, 0, 8, 9, i64::MAX] {
                let expected: Vec<_> =
                    identities.iter().filter(|at| (first..=last).contains(&at.series_id)).copied().collect();
                if first <= last {
                    assert_eq!(read_range(&mut file, first, last).unwrap(), expected, "{first}..={last}");
                }
            }
        }
    }

    #[test]
    fn a_redo_shrinks_when_any_series_has_less() {
        let published = [identity(1, 10), identity(5, 10)];
        assert!(!shrinks(&published, &[identity(1, 10), identity(3, 1), identity(5, 11)]));
        assert!(shrinks(&published, &[identity(1, 9), identity(5, 100)]));
        assert!(shrinks(&published, &[identity(1, 10), identity(4, 100)]));
        assert!(shrinks(&published, &[]));
        assert!(!shrinks(&[], &published));
    }
}
