//! Segments and records of whole data directories, cut at every length and with flipped bits.

use super::records::{cases, entries};
use super::{DATA_DIRECTORIES, head_files, read_all};
use crate::head::SnapshotRecord;
use crate::labels::Labels;

/// All segments of the data directories, without the zeros that fill their last page.
fn segments() -> Vec<(String, Vec<u8>)> {
    let files = DATA_DIRECTORIES.into_iter().flat_map(|name| {
        head_files(name).into_iter().map(move |(path, bytes)| (format!("{name} {path}"), bytes))
    });
    let segments = files.filter(|(path, _)| !path.contains("chunks_head"));
    let segments: Vec<_> = segments
        .map(|(path, bytes)| {
            let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            (path, bytes[..end].to_vec())
        })
        .collect();
    assert_eq!(segments.len(), 19);
    segments
}

#[test]
fn segment_cut_at_any_length_gives_the_records_before_the_cut() {
    for (path, bytes) in segments() {
        let (truth, _) = read_all(&bytes);
        for cut in (0..bytes.len()).rev() {
            let (found, error) = read_all(&bytes[..cut]);
            assert!(truth.starts_with(&found), "{path} cut to {cut}");
            let next = truth.get(found.len()).map(|(offset, _)| *offset);
            let is_whole = next.is_none_or(|offset| offset >= cut as u64);
            assert_eq!(
                error.map(|error| (error.is_torn(), error.offset)),
                if is_whole { None } else { next.map(|at| (true, at)) },
                "{path} cut to {cut}"
            );
        }
    }
}

#[test]
fn segment_with_a_flipped_bit_gives_the_records_before_it() {
    for (path, bytes) in segments() {
        let (truth, _) = read_all(&bytes);
        for at in 0..bytes.len() {
            let bit = (at * 5) % 8;
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let (found, error) = read_all(&flipped);
            // Nothing covers the flags that name the compression: such a record decodes to nonsense, or not at all.
            let is_flag = matches!(bit, 3 | 4) && truth.iter().any(|(offset, _)| *offset == at as u64);
            assert!(is_flag || truth.starts_with(&found), "{path} bit {bit} of byte {at}");
            assert!(is_flag || bit > 4 || error.is_some(), "{path} bit {bit} of byte {at}");
        }
    }
}

#[test]
fn record_cut_at_any_length_gives_its_first_entries_or_an_error() {
    for (name, payload, truth) in cases() {
        for cut in 1..payload.len() {
            let (found, error) = entries(&payload[..cut]);
            assert!(truth.starts_with(&found), "{name} cut to {cut}");
            assert!(error.is_some() || found.len() < truth.len(), "{name} cut to {cut}");
            assert!(error.is_none_or(|error| error.offset <= cut as u64), "{name} cut to {cut}");
        }
    }
}

#[test]
fn record_with_any_flipped_bit_decodes_or_fails() {
    for (_, payload, _) in cases() {
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _any_outcome = entries(&flipped);
        }
    }
}

#[test]
fn snapshot_record_cut_at_any_length_or_with_a_flipped_bit_decodes_or_fails() {
    let files = head_files("datadir_memsnap.json");
    let (records, _) = read_all(&files["chunk_snapshot.000007.0000032768/00000000"]);
    let mut labels = Labels::new();
    let mut outcome = |payload: &[u8]| match SnapshotRecord::open(payload) {
        Ok(SnapshotRecord::Series(series)) => series.decode(&mut labels).is_ok(),
        Ok(SnapshotRecord::Tombstones(mut tombstones)) => tombstones.all(|tombstone| tombstone.is_ok()),
        Ok(SnapshotRecord::Exemplars(mut exemplars)) => {
            while let Ok(Some(_)) = exemplars.read_next(&mut labels) {}
            true
        }
        Ok(_) | Err(_) => false,
    };
    for (_, payload) in records {
        assert!(outcome(&payload));
        for cut in 0..payload.len() {
            assert!(!outcome(&payload[..cut]) || payload[0] == 3, "cut to {cut}");
        }
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            outcome(&flipped);
        }
    }
}
