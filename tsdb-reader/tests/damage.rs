//! Every file of every fixture, cut short and with flipped bits: what is read is the truth or an error.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tsdb_reader::samples::{Aggregate, FloatColumns, HistogramColumns};
use tsdb_reader::source::{BlockFile, MemorySource};
use tsdb_reader::{Block, BlockMeta, Chunk, Chunks, Error, Series, SeriesRef};

/// Damages of each kind that a file gets, at most; small files get every one.
const DAMAGES: usize = 2000;

type Files = BTreeMap<BlockFile, Bytes>;

fn files_of(block: &Path) -> Files {
    let mut files = Files::new();
    let mut read = |file: BlockFile| {
        if let Ok(bytes) = fs::read(block.join(file.to_string())) {
            files.insert(file, bytes.into());
        }
    };
    [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones].into_iter().for_each(&mut read);
    (1..=999).take_while(|&number| block.join(BlockFile::Segment(number).to_string()).exists()).for_each(
        |number| {
            read(BlockFile::Segment(number));
        },
    );
    files
}

/// What a chunk decodes to: times, bits of values or of sums and counts, start times; or what its aggregates do; or its
/// bytes where there is no decoder.
#[derive(Debug, PartialEq)]
enum Decoded {
    Floats(Vec<i64>, Vec<u64>, Vec<i64>),
    Histograms(Vec<i64>, Vec<u64>, Vec<i64>),
    Aggregates(Vec<Option<Decoded>>),
    Other(Bytes),
}

/// Everything that a block gives: each part by itself, or none where it is an error.
#[derive(Debug, Default)]
struct Contents {
    meta: Option<BlockMeta>,
    refs: Option<Vec<SeriesRef>>,
    series: BTreeMap<SeriesRef, Series>,
    chunks: BTreeMap<(SeriesRef, usize), Decoded>,
    deleted: Option<Vec<(SeriesRef, i64, i64)>>,
}

fn decode(chunk: &Chunk) -> Option<Decoded> {
    if chunk.encoding().holds_histograms() {
        let mut columns = HistogramColumns::default();
        chunk.append_histograms_to(&mut columns).ok()?;
        let sums = columns.sums.iter().map(|sum| sum.to_bits());
        let bits = sums.chain(columns.counts).chain(columns.zero_counts).chain(columns.buckets).collect();
        return Some(Decoded::Histograms(columns.times_ms, bits, columns.start_times_ms));
    }
    if let Ok(aggregates) = chunk.aggregates() {
        let entries = Aggregate::ALL.into_iter().filter_map(|aggregate| aggregates.get(aggregate));
        return Some(Decoded::Aggregates(entries.map(decode).collect()));
    }
    let mut columns = FloatColumns::default();
    match chunk.floats() {
        Err(_) => Some(Decoded::Other(chunk.data().clone())),
        Ok(_) => chunk.append_to(&mut columns).is_ok().then(|| {
            let bits = columns.values.iter().map(|value| value.to_bits()).collect();
            Decoded::Floats(columns.times_ms, bits, columns.start_times_ms)
        }),
    }
}

fn read(files: &Files) -> Result<Contents, Error> {
    let source =
        files.iter().fold(MemorySource::new(), |source, (&file, bytes)| source.with(file, bytes.clone()));
    let source = Arc::new(source);
    let block = Block::open(source.clone())?;
    let mut contents = Contents { meta: Some(block.meta().clone()), ..Contents::default() };
    if let Ok(tombstones) = block.tombstones() {
        let intervals = tombstones.iter().flat_map(|(series_ref, intervals)| {
            intervals.iter().map(move |gone| (series_ref, gone.min_time_ms, gone.max_time_ms))
        });
        contents.deleted = Some(intervals.collect());
    }
    let chunks = Chunks::open(source)?;
    contents.refs = block.index().all_postings().ok().map(Iterator::collect);
    for &series_ref in contents.refs.iter().flatten() {
        let mut series = Series::new();
        if block.index().series(series_ref, &mut series).is_err() {
            continue;
        }
        let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
        let mut found = Vec::new();
        chunks.read(&refs, &mut found);
        assert_eq!(found.len(), refs.len());
        for (at, chunk) in found.into_iter().enumerate() {
            if let Some(decoded) = chunk.ok().as_ref().and_then(decode) {
                contents.chunks.insert((series_ref, at), decoded);
            }
        }
        contents.series.insert(series_ref, series);
    }
    Ok(contents)
}

/// All that `found` has is in `truth`.
fn compare(context: &str, file: BlockFile, found: &Contents, truth: &Contents) {
    if file != BlockFile::Meta {
        assert_eq!(found.meta, truth.meta, "{context}");
    }
    if found.refs.is_some() {
        assert_eq!(found.refs, truth.refs, "{context}: postings");
    }
    if found.deleted.is_some() {
        assert_eq!(found.deleted, truth.deleted, "{context}: tombstones");
    }
    for (series_ref, series) in &found.series {
        assert_eq!(Some(series), truth.series.get(series_ref), "{context}");
    }
    for (place, decoded) in &found.chunks {
        assert_eq!(Some(decoded), truth.chunks.get(place), "{context}: chunk {place:?}");
    }
}

fn blocks() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/blocks");
    let folders = |path: &Path| {
        let mut folders: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders
    };
    let blocks: Vec<_> = folders(&fixtures).iter().flat_map(|fixture| folders(fixture)).collect();
    assert!(blocks.len() > 50, "fixtures are missing");
    blocks
}

fn damage(apply: impl Fn(&[u8], usize) -> Vec<u8>) {
    for block in blocks() {
        let files = files_of(&block);
        let truth = read(&files).unwrap();
        for (&file, sound) in &files {
            // Whole blocks are read again for each damage: large ones get fewer.
            let weight = 1 + files.values().map(Bytes::len).sum::<usize>() / 50_000;
            let step = (sound.len() * weight / DAMAGES).max(1);
            for at in (0..sound.len()).step_by(step) {
                let mut damaged = files.clone();
                damaged.insert(file, apply(sound, at).into());
                if let Ok(found) = read(&damaged) {
                    compare(&format!("{}/{file} at {at}", block.display()), file, &found, &truth);
                }
            }
        }
    }
}

#[test]
fn every_file_of_every_fixture_cut_short_gives_the_truth_or_an_error() {
    damage(|sound, len| sound[..len].to_vec());
}

#[test]
fn every_file_of_every_fixture_with_a_flipped_bit_gives_the_truth_or_an_error() {
    damage(|sound, at| {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
}
