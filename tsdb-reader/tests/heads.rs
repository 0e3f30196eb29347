//! The head of every data directory among the fixtures, read file by file.

#![cfg(feature = "head")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use tsdb_reader::head::files::{LocalFiles, NumberedFile, breaks};
use tsdb_reader::head::{
    HeadChunks, HeadFiles, HeadListing, RawRecord, Record, SegmentReader, SnapshotRecord,
};
use tsdb_reader::samples::{FloatColumns, HistogramColumns, HistogramDecoder};
use tsdb_reader::{DecodeError, Error, Labels};

fn data_directories() -> BTreeMap<String, PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/datadirs");
    let folders = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path.join("data"))).collect()
}

/// An error and its sources, as a user would see it.
fn text(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Passes over every entry.
fn entries(payload: &[u8]) -> Result<(), DecodeError> {
    let mut labels = Labels::new();
    match Record::open(payload)? {
        Record::Series(mut all) => {
            while all.read_next(&mut labels)?.is_some() {
                assert!(labels.is_sorted());
            }
        }
        Record::Samples(mut all) => all.try_for_each(|entry| entry.map(|_| ()))?,
        Record::Tombstones(mut all) => all.try_for_each(|entry| entry.map(|_| ()))?,
        Record::Markers(mut all) => all.try_for_each(|entry| entry.map(|_| ()))?,
        Record::Metadata(mut all) => all.try_for_each(|entry| entry.map(|_| ()))?,
        Record::Exemplars(mut all) => while all.read_next(&mut labels)?.is_some() {},
        Record::Histograms(mut all) => {
            while all.read_next()?.is_some() {}
            assert_eq!(all.skipped(), 0);
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// What is wrong with a head, one line each.
fn read(files: &dyn HeadFiles) -> Vec<String> {
    let listing = HeadListing::read(files).unwrap();
    let mut wrong = Vec::new();
    for list in [&listing.wal, &listing.wbl, &listing.head_chunks] {
        wrong.extend(breaks(list).map(|(a, b)| format!("{} is followed by {}", a.path, b.path)));
    }
    for file in listing.checkpoint_segments.iter().chain(&listing.wal).chain(&listing.wbl) {
        segment(files, file, &mut wrong, |record| {
            entries(record.payload).map_err(|error| record.error(&file.path, error))
        });
    }
    for file in &listing.snapshot_segments {
        segment(files, file, &mut wrong, |record| {
            if let SnapshotRecord::Series(series) = SnapshotRecord::open(record.payload).unwrap()
                && let (_, Some(open)) = series.decode(&mut Labels::new()).unwrap()
            {
                assert!(open.to_chunk().num_samples().unwrap() > 0);
            }
            Ok(())
        });
    }
    for file in &listing.head_chunks {
        let is_newest = Some(file) == listing.head_chunks.last();
        for chunk in HeadChunks::open(files.read(&file.path).unwrap(), file.number, is_newest).unwrap() {
            let chunk = chunk.unwrap();
            let mut times_ms = FloatColumns::default();
            let mut histograms = HistogramColumns::default();
            if chunk.chunk.floats().is_ok() {
                chunk.chunk.append_to(&mut times_ms).unwrap();
            } else {
                HistogramDecoder::default().append(&chunk.chunk, &mut histograms).unwrap();
            }
            let times_ms = if times_ms.is_empty() { histograms.times_ms } else { times_ms.times_ms };
            assert_eq!(times_ms.first(), Some(&chunk.min_time_ms));
            assert_eq!(times_ms.last(), Some(&chunk.max_time_ms));
        }
    }
    wrong
}

fn segment(
    files: &dyn HeadFiles,
    file: &NumberedFile,
    wrong: &mut Vec<String>,
    mut take: impl FnMut(RawRecord<'_>) -> Result<(), Error>,
) {
    let bytes = files.read(&file.path).unwrap();
    let mut reader = SegmentReader::new(&bytes);
    loop {
        let end = match reader.next_record() {
            Ok(Some(record)) => take(record).err(),
            Ok(None) => return,
            Err(error) => Some(error.in_head_file(&file.path)),
        };
        if let Some(error) = end {
            return wrong.push(text(&error));
        }
    }
}

/// What is wrong with the data directories that something is wrong with.
const WRONG: [(&str, &str); 7] = [
    ("head_chunks_gap", "chunks_head/000001 is followed by chunks_head/000003"),
    (
        "wal_corrupt_middle",
        "cannot decode wal/00000002: checksum of fragment is 0x8922203f in the file, 0x1a2d924c over its bytes \
         at offset 0x5b7",
    ),
    ("wal_gap", "wal/00000001 is followed by wal/00000003"),
    (
        "wal_loki",
        "cannot decode wal/00000000, inside the record at offset 0x0: this is a write-ahead log of Loki (it holds \
         log lines, no samples; name the data directory of a Prometheus) at offset 0x0",
    ),
    (
        "wal_old_format",
        "cannot decode wal/000000: this is a write-ahead log of Prometheus 2.3 or older (start a Prometheus between \
         2.4 and 2.51 on the data directory once, which rewrites it) at offset 0x0",
    ),
    ("wal_torn", "cannot decode wal/00000004: record is cut off by the end of the file at offset 0x6dc"),
    (
        "wal_torn_late",
        "cannot decode wal/00000000: record is cut off by the end of the file at offset 0x312e",
    ),
];

#[test]
fn every_head_is_sound_or_its_damage_is_named() {
    let mut damaged = Vec::new();
    for (name, dir) in data_directories() {
        let wrong = read(&LocalFiles::with_copies(&dir).unwrap());
        #[cfg(feature = "mmap")]
        assert_eq!(wrong, read(&LocalFiles::open(&dir).unwrap()));
        damaged.extend(wrong.into_iter().map(|wrong| (name.clone(), wrong)));
    }
    let expected = WRONG.map(|(name, wrong)| (name.to_owned(), wrong.to_owned()));
    assert_eq!(damaged, expected);
}
