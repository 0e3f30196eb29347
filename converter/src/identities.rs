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
    /// Rows that the unit has of it.
    pub samples: u64,
}

impl SeriesIdentity {
    /// The identity of a series with `samples` rows.
    pub fn new(labels: &Labels, samples: u64) -> Self {
        Self { series_id: series_id(labels), check: stable_hash(labels, CHECK_SEED), samples }
    }
}

/// Prometheus' stable hash of a label set: XXH64 over names and values, each ended by 0xff; its bits as signed.
pub fn series_id(labels: &Labels) -> i64 {
    stable_hash(labels, 0).cast_signed()
}

fn stable_hash(labels: &Labels, seed: u64) -> u64 {
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

/// Those of a file whose ids lie in `[first, last]`, found by bisection.
pub fn read_range(file: &mut File, first: i64, last: i64) -> io::Result<Vec<SeriesIdentity>> {
    let count = file.metadata()?.len() / IDENTITY_BYTES;
    let from = position(file, count, |id| id < first)?;
    let to = position(file, count, |id| id <= last)?;
    file.seek(SeekFrom::Start(from * IDENTITY_BYTES))?;
    let mut bytes = Vec::new();
    file.take((to - from) * IDENTITY_BYTES).read_to_end(&mut bytes)?;
    Ok(decode(&bytes).collect())
}

/// How many ids at the front satisfy `before`.
fn position(file: &mut File, count: u64, before: impl Fn(i64) -> bool) -> io::Result<u64> {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from + (to - from) / 2;
        let mut id = [0; 8];
        file.seek(SeekFrom::Start(middle * IDENTITY_BYTES))?;
        file.read_exact(&mut id)?;
        if before(i64::from_le_bytes(id)) {
            from = middle + 1;
        } else {
            to = middle;
        }
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
