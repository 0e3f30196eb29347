//! Every fixture, read through folders on disk, gives what Prometheus reads from it.

#![cfg(feature = "mmap")]
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tsdb_reader::index::{Layout, PostingsOffset};
use tsdb_reader::matcher::parse_matchers;
use tsdb_reader::samples::TracedSample;
use tsdb_reader::source::{BlockFile, LocalSource, MemorySource, Source};
use tsdb_reader::trace::Trace;
use tsdb_reader::{
    Block, Chunk, Chunks, Encoding, Error, Index, Labels, Matcher, Series, SeriesRef, parse_selector,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn open(dir: &Path) -> Result<Block, Error> {
    Block::open(Arc::new(LocalSource::open(dir).unwrap()))
}

/// All of a block that this crate's index side can check.
fn read_all(block: &Block) -> Result<Vec<Series>, Error> {
    let index = block.index();
    let scanned = index.scan_series()?.collect::<Result<Vec<_>, _>>()?;
    let by_postings: Vec<_> = index.all_postings()?.collect();
    assert!(scanned.iter().map(|series| series.series_ref).eq(by_postings.iter().copied()));
    let mut read = Series::new();
    for series in &scanned {
        index.series(series.series_ref, &mut read)?;
        assert_eq!(&read, series);
    }
    check_postings(index, &scanned)?;
    block.tombstones()?;
    for chunk in scanned.iter().flat_map(|series| &series.chunks) {
        block.segments()?.number(chunk.chunk_ref)?;
    }
    Ok(scanned)
}

/// Names, values and postings lists are those that the series themselves give.
fn check_postings(index: &Index, scanned: &[Series]) -> Result<(), Error> {
    let mut expected: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<SeriesRef>>> = BTreeMap::new();
    for series in scanned {
        for (name, value) in series.labels.iter() {
            let values = expected.entry(name.to_vec()).or_default();
            values.entry(value.to_vec()).or_default().push(series.series_ref);
        }
    }
    assert!(index.label_names()?.eq(expected.keys()));
    for (name, values) in &expected {
        let found: Vec<_> = index.label_values(name)?.collect();
        assert!(found.iter().map(|(value, _)| *value).eq(values.keys()));
        let offsets: Vec<PostingsOffset> = found.iter().map(|(_, offset)| *offset).collect();
        let lens = index.postings_lens(&offsets)?;
        let lists = index.read_postings_many(&offsets)?;
        for ((list, len), (value, refs)) in lists.into_iter().zip(lens).zip(values) {
            assert_eq!(list.len(), len as usize);
            assert!(list.eq(refs.iter().copied()));
            assert!(index.postings(name, value)?.unwrap().eq(refs.iter().copied()));
        }
        assert!(index.postings(name, b"no such value")?.is_none());
    }
    assert_eq!(index.label_values(b"no such name")?.count(), 0);
    let symbols: BTreeSet<_> = index.symbols()?.iter().map(|(_, text)| text.to_vec()).collect();
    assert_eq!(symbols.len(), index.symbols()?.len());
    Ok(())
}

fn string(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        hex => {
            let text = hex["hex"].as_str().unwrap();
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        }
    }
}

fn labels(value: &Value) -> Labels {
    let mut labels = Labels::new();
    for pair in value.as_array().unwrap() {
        labels.push(&string(&pair[0]), &string(&pair[1]));
    }
    labels
}

/// The lines of an expected file.
fn expected(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The labels of a series with the block's external labels, which override.
fn outside_labels(series: &Series, block: &Block) -> Labels {
    let mut all: BTreeMap<&[u8], &[u8]> = series.labels.iter().collect();
    all.extend(block.meta().external_labels().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    all.into_iter().collect()
}

#[test]
fn every_block_has_the_series_and_chunks_that_the_reference_counts() {
    let mut blocks = 0;
    for fixture in folders(&fixtures().join("blocks")) {
        let lines = expected(&fixtures().join(format!("expected/{}.ndjson", name(&fixture))));
        let mut found = BTreeSet::new();
        for dir in folders(&fixture) {
            let block = open(&dir).unwrap();
            assert_eq!(block.meta().ulid.to_string(), name(&dir));
            let series = read_all(&block).unwrap();
            let chunks: usize = series.iter().map(|series| series.chunks.len()).sum();
            let counts = lines[0]["blocks"].as_array().unwrap().iter();
            let counts = counts.filter(|counts| counts["ulid"] == name(&dir).as_str()).collect::<Vec<_>>();
            for counts in &counts {
                if counts["superseded"] == true && counts["series"].is_null() {
                    continue;
                }
                assert_eq!(counts["series"], series.len(), "{}", dir.display());
                assert_eq!(counts["chunks"], chunks, "{}", dir.display());
            }
            assert_eq!(counts.len(), 1, "{}", dir.display());
            found.extend(series.iter().map(|series| outside_labels(series, &block)));
            blocks += 1;
        }
        for line in &lines[1..] {
            assert!(found.contains(&labels(&line["labels"])), "{}: {}", name(&fixture), line["labels"]);
        }
    }
    assert!(blocks > 50, "{blocks}");
}

#[test]
fn positioned_reads_give_what_maps_give() {
    for fixture in folders(&fixtures().join("blocks")) {
        for dir in folders(&fixture) {
            let positioned = LocalSource::with_positioned_reads(&dir).unwrap();
            let positioned = read_all(&Block::open(Arc::new(positioned)).unwrap()).unwrap();
            assert_eq!(positioned, read_all(&open(&dir).unwrap()).unwrap(), "{}", dir.display());
        }
    }
}

#[test]
fn index_versions_are_read_by_their_layout() {
    for (fixture, version, layout) in [
        ("index_v1", 1, Layout::V1),
        ("index_v2_legacy", 2, Layout::V2),
        ("index_v3", 3, Layout::V2),
        ("xor_basic", 2, Layout::V2),
    ] {
        let block = open(&folders(&fixtures().join("blocks").join(fixture))[0]).unwrap();
        assert_eq!((block.index().version(), block.index().layout()), (version, layout), "{fixture}");
    }
}

fn select(index: &Index, matchers: &[Matcher]) -> Vec<SeriesRef> {
    let selected = index.select(matchers).unwrap();
    // What postings say must be what the labels say.
    let passes = |series: &Series| {
        matchers.iter().all(|matcher| matcher.matches(series.labels.get(matcher.name()).unwrap_or_default()))
    };
    let scanned = index.scan_series().unwrap().map(Result::unwrap);
    let brute: Vec<_> = scanned.filter(passes).map(|series| series.series_ref).collect();
    assert_eq!(selected, brute, "{matchers:?}");
    selected
}

#[test]
fn selectors_pick_the_series_that_the_reference_picks() {
    let text = fs::read_to_string(fixtures().join("expected/selectors.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut selectors = 0;
    for fixture in file["fixtures"].as_array().unwrap() {
        let dir = fixtures().join("blocks").join(fixture["fixture"].as_str().unwrap());
        let block = open(&folders(&dir)[0]).unwrap();
        let all: Vec<_> = block.index().all_postings().unwrap().collect();
        assert_eq!(fixture["series_in_block"], all.len());
        let lists = [("selectors", true), ("all_matchers_match_empty", false)];
        for (key, accepted) in lists {
            for case in fixture[key].as_array().into_iter().flatten() {
                let selector = case["selector"].as_str().unwrap();
                let matchers = parse_matchers(selector).unwrap();
                assert_eq!(parse_selector(selector).is_ok(), accepted, "{selector}");
                let numbers = case["series"].as_array().unwrap().iter();
                let expected: Vec<_> =
                    numbers.map(|at| all[usize::try_from(at.as_u64().unwrap()).unwrap()]).collect();
                assert_eq!(select(block.index(), &matchers), expected, "{selector}");
                selectors += 1;
            }
        }
    }
    assert!(selectors > 150, "{selectors}");
    for case in file["invalid"].as_array().unwrap() {
        let selector = case["selector"].as_str().unwrap();
        assert!(parse_selector(selector).is_err(), "{selector}");
    }
}

/// The first error of a folder, as a caller would print it.
fn complaint(folder: &str) -> Option<String> {
    folders(&fixtures().join("broken").join(folder)).iter().find_map(|dir| {
        let error = open(dir).and_then(|block| read_all(&block)).err()?;
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Some(text)
    })
}

#[test]
fn damaged_folders_say_what_is_wrong_and_where() {
    let cases = [
        ("chunks_missing", "chunk reference 0x8 names segment 0, the block has 0"),
        ("index_empty", "cannot decode index: index head and toc needs 57 bytes, 0 left at offset 0x0"),
        ("index_magic", "cannot decode index: index magic is 0xaaaad700, expected 0xbaaad700 at offset 0x0"),
        ("index_missing", "cannot read index: No such file or directory (os error 2)"),
        (
            "index_postings_crc",
            "cannot decode index: checksum of postings is 0xe27c6448 in the file, \
             0xbfecd921 over its bytes at offset 0xd0",
        ),
        (
            "index_series_crc",
            "cannot decode index: checksum of series is 0xe05eef30 in the file, \
             0x5191f0f5 over its bytes at offset 0x87",
        ),
        (
            "index_symbols_crc",
            "cannot decode index: checksum of symbols is 0x4e304815 in the file, \
             0x343ba8d6 over its bytes at offset 0x28",
        ),
        (
            "index_table_crc",
            "cannot decode index: checksum of postings table is 0x8d234249 in the file, \
             0x4a5ee4f8 over its bytes at offset 0x158",
        ),
        (
            "index_toc_crc",
            "cannot decode index: checksum of toc is 0x70fe221c in the file, \
             0xb0f21222 over its bytes at offset 0x18c",
        ),
        (
            "index_truncated",
            "cannot decode index: checksum of toc is 0x00000003 in the file, \
             0x873e8acd over its bytes at offset 0xc4",
        ),
        ("index_version_4", "cannot decode index: index version is 4, expected 1, 2 or 3 at offset 0x4"),
        ("meta_bad_ulid", "cannot parse meta.json: a ULID has 26 characters, found 10 at line 2 column 21"),
        ("meta_empty", "cannot parse meta.json: EOF while parsing a value at line 1 column 0"),
        ("meta_missing", "cannot read meta.json: No such file or directory (os error 2)"),
        ("meta_truncated", "cannot parse meta.json: EOF while parsing an object at line 7 column 19"),
        ("meta_version_9", "meta.json has version 9, expected 1"),
        ("segment_missing", "chunk reference 0x100000008 names segment 1, but chunks/000002 is missing"),
        ("segment_missing_last", "chunk reference 0x300000008 names segment 3, the block has 3"),
        (
            "tombstones_crc",
            "cannot decode tombstones: checksum of tombstones entries is 0xdd6b6c46 in the file, \
             0x99d12f11 over its bytes at offset 0x1f",
        ),
        (
            "tombstones_cut_entry",
            "cannot decode tombstones: tombstone max time needs 3 bytes, 2 left at offset 0x19",
        ),
        (
            "tombstones_empty_file",
            "cannot decode tombstones: tombstones magic needs 4 bytes, 0 left at offset 0x0",
        ),
        (
            "tombstones_magic",
            "cannot decode tombstones: tombstones magic is 0x0120ba30, expected 0x0130ba30 at offset 0x0",
        ),
        (
            "tombstones_truncated",
            "cannot decode tombstones: checksum of tombstones entries is 0x65c0eef8 in the file, \
             0x76204fd9 over its bytes at offset 0x18",
        ),
    ];
    for (folder, expected) in cases {
        assert_eq!(complaint(folder).unwrap(), expected, "{folder}");
    }
}

#[test]
fn folders_that_are_sound_on_the_index_side_are_read_without_complaint() {
    let sound = [
        "chunk_crc_flipped",
        "chunks_out_of_order",
        "chunks_overlapping",
        "folder_renamed",
        "index_v2_marked_1",
        "meta_no_counts",
        "meta_range_reversed",
        "meta_wrong_counts",
        "series_out_of_order",
        "series_twice",
        "segment_zero_tail",
        "tombstones_unknown_series",
    ];
    for folder in sound {
        assert_eq!(complaint(folder), None, "{folder}");
    }
}

#[test]
fn a_body_under_version_byte_1_is_read_by_what_it_is_whatever_the_meta_says() {
    let cases = [
        ("broken/index_v2_marked_1", (1, Layout::V2, true)),
        ("broken/index_v2_marked_1_alone", (1, Layout::V2, false)),
        ("broken/index_v1_in_meta_2", (1, Layout::V1, true)),
        ("broken/index_v1_aligned", (1, Layout::V1, true)),
        ("blocks/index_v1", (1, Layout::V1, false)),
    ];
    for (folder, expected) in cases {
        let mut layouts = Vec::new();
        for dir in folders(&fixtures().join(folder)) {
            let block = open(&dir).unwrap();
            assert!(!read_all(&block).unwrap().is_empty(), "{folder}");
            let index = block.index();
            layouts.push((index.version(), index.layout(), block.meta().written_as_version_2()));
        }
        assert!(layouts.contains(&expected), "{folder}: {layouts:?}");
    }
}

#[test]
fn a_body_of_version_2_whose_series_begin_behind_the_symbols_is_known_by_its_postings() {
    for dir in folders(&fixtures().join("blocks/overlap_three")) {
        let mut index = fs::read(dir.join("index")).unwrap();
        index[4] = 1;
        let source = MemorySource::new()
            .with(BlockFile::Meta, fs::read(dir.join("meta.json")).unwrap())
            .with(BlockFile::Index, index)
            .with(BlockFile::Segment(1), fs::read(dir.join("chunks/000001")).unwrap());
        let block = Block::open(Arc::new(source)).unwrap();
        assert!(block.index().toc().series.is_multiple_of(16));
        assert_eq!(block.index().layout(), Layout::V2);
        assert_eq!(read_all(&block).unwrap(), read_all(&open(&dir).unwrap()).unwrap());
    }
}

#[test]
fn missing_segment_is_told_from_its_neighbours() {
    for dir in folders(&fixtures().join("blocks/many_segments")) {
        let source = LocalSource::open(&dir).unwrap();
        let numbers = source.segments().unwrap();
        assert!(numbers.len() > 1);
        for number in numbers {
            assert!(source.size(BlockFile::Segment(number)).unwrap() > 8);
        }
        assert_eq!(open(&dir).unwrap().segments().unwrap().gap(), None);
    }
}

#[test]
fn fields_of_a_traced_chunk_lie_one_behind_the_other_and_give_its_samples() {
    let mut samples = 0;
    for dir in folders(&fixtures().join("blocks")).iter().flat_map(|fixture| folders(fixture)) {
        let chunks = Chunks::open(Arc::new(LocalSource::open(&dir).unwrap())).unwrap();
        for position in 0..u32::try_from(chunks.segments().contiguous()).unwrap() {
            for (_, chunk) in chunks.scan_segment(position).map(Result::unwrap).take(200) {
                if chunk.encoding() != Encoding::Aggregate {
                    samples += check_trace(&chunk);
                }
            }
        }
    }
    assert!(samples > 10_000);
}

fn check_trace(chunk: &Chunk) -> usize {
    let trace = Trace::new(usize::MAX);
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    let traced = chunk.trace_samples(&trace, &mut |sample| match sample {
        Some(TracedSample::Float(sample)) => floats.push(format!("{sample:?}")),
        Some(TracedSample::Histogram(sample)) => histograms.push(format!("{sample:?}")),
        None => {}
    });
    let mut end = 8 * chunk.offset();
    for field in trace.take().0 {
        assert_eq!(8 * field.offset + u64::from(field.bit), end, "{field:?}");
        end += field.width;
    }
    if chunk.encoding().holds_histograms() {
        let mut read = chunk.histograms().unwrap();
        assert!(
            histograms.iter().all(|traced| read.next().unwrap().is_ok_and(|at| format!("{at:?}") == *traced))
        );
        assert_eq!(read.next().and_then(Result::err), traced.clone().err());
    } else {
        let read: Vec<_> = chunk.floats().unwrap().map(|sample| format!("{:?}", sample.unwrap())).collect();
        assert_eq!(floats, read);
    }
    let left = 8 * (chunk.offset() + chunk.data().len() as u64) - end;
    assert!(left < 8 || traced.is_err() || floats.len() + histograms.len() == 0, "{left} bits of {chunk:?}");
    floats.len() + histograms.len()
}
