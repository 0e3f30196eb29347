//! Heads of data directories: what a server that starts on one would answer, no more and no less.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt, fs, io};

use bytes::Bytes;

use common::{convert_with, manifest, rows_in, run_options, samples_in, scratch};
use serde_json::Value;
use tsdb_converter::convert::RunOptions;
use tsdb_converter::discover::{Discovery, ReadOptions, discover, discover_tree};
use tsdb_converter::finding::Severity;
use tsdb_converter::head::account::{Dropped, HeadAccount};
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::report::Report;
use tsdb_converter::tree::{Entry, LocalTree, Tree};
use tsdb_reader::Ulid;
use tsdb_reader::chunks::Chunks;
use tsdb_reader::head::{HeadChunks, SegmentReader};
use tsdb_reader::index::Series;
use tsdb_reader::samples::{FloatColumns, HistogramColumns, HistogramKind, HistogramRow, Span};
use tsdb_reader::source::{BlockFile, Source};

/// A sample with all its bits; of a histogram the buckets that are not empty.
#[derive(Debug, Clone, PartialEq)]
enum Sample {
    Float { bits: u64, start_ms: i64 },
    Histogram(Box<Histogram>),
    StaleHistogram { start_ms: i64 },
}

#[derive(Debug, Clone, PartialEq)]
struct Histogram {
    kind: HistogramKind,
    start_ms: i64,
    sum: u64,
    count: u64,
    zero_count: u64,
    schema: i64,
    zero_threshold: u64,
    bounds: Vec<u64>,
    positive: BTreeMap<i64, u64>,
    negative: BTreeMap<i64, u64>,
}

type Samples = BTreeMap<String, BTreeMap<i64, Sample>>;

fn vector(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tsdb-reader/tests/vectors");
    serde_json::from_str(&fs::read_to_string(format!("{path}/{name}.json")).unwrap()).unwrap()
}

/// Writes the files of a vector to a folder.
fn unpack(vector: &Value, folder: &Path) {
    for (path, file) in vector["files"].as_object().unwrap() {
        let hex = file["hex"].as_str().unwrap();
        let mut bytes: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        bytes.resize(usize::try_from(file["size"].as_u64().unwrap()).unwrap(), 0);
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn bits(value: &Value) -> u64 {
    match value.as_str() {
        Some(hex) => u64::from_str_radix(hex.strip_prefix("0x").unwrap(), 16).unwrap(),
        None => value.as_u64().unwrap(),
    }
}

fn expected(vector: &Value) -> Samples {
    let mut samples = Samples::new();
    for series in vector["expected_series"].as_array().unwrap() {
        let labels = common::labels(&series["labels"]).to_string();
        let of_series = series["samples"].as_array().unwrap().iter().map(|sample| {
            let start_ms = sample["st"].as_i64().unwrap_or(0);
            let value = match sample["v"].as_str() {
                Some(_) => Sample::Float { bits: bits(&sample["v"]), start_ms },
                None => Sample::Histogram(Box::new(expected_histogram(sample, start_ms))),
            };
            (sample["t"].as_i64().unwrap(), value)
        });
        samples.insert(labels, of_series.collect());
    }
    samples
}

fn expected_histogram(sample: &Value, start_ms: i64) -> Histogram {
    let list = |name: &str| sample[name].as_array().unwrap().iter().map(bits).collect::<Vec<_>>();
    let side = |name: &str| {
        let spans: Vec<Span> = sample[format!("{name}_spans")]
            .as_array()
            .unwrap()
            .iter()
            .map(|span| Span {
                offset: span[0].as_i64().unwrap().try_into().unwrap(),
                length: span[1].as_u64().unwrap().try_into().unwrap(),
            })
            .collect();
        buckets(&spans, &list(&format!("{name}_counts")))
    };
    let is_float = sample["type"] == "float_histogram";
    Histogram {
        kind: if is_float { HistogramKind::Float } else { HistogramKind::Integer },
        start_ms,
        sum: bits(&sample["sum"]),
        count: bits(&sample["count"]),
        zero_count: bits(&sample["zero_count"]),
        schema: sample["schema"].as_i64().unwrap(),
        zero_threshold: bits(&sample["zero_threshold"]),
        bounds: list("custom_values"),
        positive: side("positive"),
        negative: side("negative"),
    }
}

fn buckets(spans: &[Span], counts: &[u64]) -> BTreeMap<i64, u64> {
    let mut indexes = Vec::new();
    let mut next = 0i64;
    for span in spans {
        next += i64::from(span.offset);
        indexes.extend(next..next + i64::from(span.length));
        next += i64::from(span.length);
    }
    assert_eq!(indexes.len(), counts.len());
    indexes.into_iter().zip(counts.iter().copied()).filter(|&(_, count)| count != 0).collect()
}

fn histogram(row: HistogramRow<'_>) -> Histogram {
    let positive: u32 = row.layout.positive_spans.iter().map(|span| span.length).sum();
    let (positive, negative) = row.buckets.split_at(positive.try_into().unwrap());
    Histogram {
        kind: row.kind,
        start_ms: row.start_timestamp_ms,
        sum: row.sum.to_bits(),
        count: row.count,
        zero_count: row.zero_count,
        schema: row.layout.schema.into(),
        zero_threshold: row.layout.zero_threshold.to_bits(),
        bounds: row.layout.custom_bounds.iter().map(|bound| bound.to_bits()).collect(),
        positive: buckets(&row.layout.positive_spans, positive),
        negative: buckets(&row.layout.negative_spans, negative),
    }
}

fn discovered(folder: &Path) -> Discovery {
    let read = ReadOptions { include_head: true, ..ReadOptions::default() };
    discover(&[folder.to_owned()], &read).unwrap()
}

/// All samples of all blocks that are not deleted.
fn samples(discovery: &Discovery) -> Samples {
    read_samples(discovery, false)
}

fn read_samples(discovery: &Discovery, deleted_too: bool) -> Samples {
    let mut all = Samples::new();
    for found in &discovery.blocks {
        let block = &found.block;
        let chunks = Chunks::open(block.source().clone()).unwrap();
        let tombstones = block.tombstones().unwrap();
        let mut series = Series::new();
        for series_ref in block.index().all_postings().unwrap() {
            block.index().series(series_ref, &mut series).unwrap();
            let refs: Vec<_> = series.chunks.iter().map(|chunk| chunk.chunk_ref).collect();
            let mut read = Vec::new();
            chunks.read(&refs, &mut read);
            let (mut floats, mut histograms) = (FloatColumns::default(), HistogramColumns::default());
            for chunk in read {
                let chunk = chunk.unwrap();
                match chunk.encoding().holds_histograms() {
                    true => chunk.append_histograms_to(&mut histograms).unwrap(),
                    false => chunk.append_to(&mut floats).unwrap(),
                }
            }
            let starts = floats.start_times_ms.iter().copied().chain(std::iter::repeat(0));
            let floats = floats
                .times_ms
                .iter()
                .zip(&floats.values)
                .zip(starts)
                .map(|((&at, value), start_ms)| (at, Sample::Float { bits: value.to_bits(), start_ms }));
            let histograms = (0..histograms.len()).map(|at| {
                let row = histograms.row(at).unwrap();
                let sample = match row.is_stale() {
                    true => Sample::StaleHistogram { start_ms: row.start_timestamp_ms },
                    false => Sample::Histogram(Box::new(histogram(row))),
                };
                (row.timestamp_ms, sample)
            });
            let deleted = tombstones.intervals(series_ref);
            let kept = floats
                .chain(histograms)
                .filter(|(at, _)| deleted_too || !deleted.iter().any(|interval| interval.contains(*at)));
            all.entry(series.labels.to_string()).or_default().extend(kept);
        }
    }
    all.retain(|_, samples| !samples.is_empty());
    all
}

fn unpacked(name: &str) -> (tempfile::TempDir, PathBuf, Samples) {
    let (scratch, vector) = (scratch(), vector(name));
    let folder = scratch.path().join("data");
    unpack(&vector, &folder);
    (scratch, folder, expected(&vector))
}

fn account(discovery: &Discovery) -> &HeadAccount {
    assert_eq!(discovery.heads.accounts.len(), 1);
    let account = &discovery.heads.accounts[0];
    assert!(account.adds_up(), "{account:?}");
    account
}

fn names(discovery: &Discovery, severity: Severity) -> Vec<&str> {
    let of_severity = discovery.findings.iter().filter(|finding| finding.severity == severity);
    of_severity.map(|finding| finding.name.as_str()).collect()
}

fn assert_same(found: &Samples, expected: &Samples, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (labels, samples) in expected {
        let found = &found[labels];
        for (time_ms, sample) in samples {
            assert_eq!(found.get(time_ms), Some(sample), "{what} {labels} {time_ms}");
        }
        let more: Vec<_> = found.keys().filter(|at| !samples.contains_key(at)).collect();
        assert!(more.is_empty(), "{what} {labels}: {more:?} are too many");
    }
}

const DIRECTORIES: [&str; 3] = ["datadir_plain", "datadir_st_xor2", "datadir_memsnap"];

#[test]
fn a_data_directory_with_its_head_has_every_sample_that_the_server_answers() {
    for name in DIRECTORIES {
        let (_scratch, folder, expected) = unpacked(name);
        let discovery = discovered(&folder);
        assert_same(&samples(&discovery), &expected, name);
        let account = account(&discovery);
        assert_eq!((account.lost(), names(&discovery, Severity::Broken)), (0, Vec::new()), "{name}");
        assert_eq!(discovery.blocks.iter().filter(|found| found.is_head).count(), 2, "{name}");
    }
}

/// Every sample found is one the server answers with the whole head; returns how many there are.
fn assert_some(found: &Samples, expected: &Samples, what: &str) -> usize {
    for (labels, samples) in found {
        for (time_ms, sample) in samples {
            let of_server = expected.get(labels).and_then(|samples| samples.get(time_ms));
            assert_eq!(of_server, Some(sample), "{what} {labels} {time_ms}");
        }
    }
    found.values().map(BTreeMap::len).sum()
}

#[test]
fn a_log_cut_anywhere_in_its_newest_segment_gives_what_is_before_the_cut() {
    for name in DIRECTORIES {
        let (_scratch, folder, expected) = unpacked(name);
        // What is deleted by the last records is there without them.
        let with_deleted = read_samples(&discovered(&folder), true);
        let segment = folder.join("wal/00000007");
        let whole = fs::read(&segment).unwrap();
        let mut cuts = Vec::new();
        let mut reader = SegmentReader::new(&whole);
        while let Some(record) = reader.next_record().unwrap() {
            let end = usize::try_from(record.offset).unwrap() + 7;
            cuts.extend([end - 7, end - 6, end - 1, end, end + 1]);
        }
        let records_end = usize::try_from(reader.offset()).unwrap();
        cuts.extend([0, 1, records_end, whole.len()]);
        cuts.retain(|cut| *cut <= whole.len());
        cuts.sort_unstable();
        cuts.dedup();
        let mut last = 0;
        for cut in cuts {
            fs::write(&segment, &whole[..cut]).unwrap();
            let discovery = discovered(&folder);
            let found = read_samples(&discovery, true);
            let count = assert_some(&found, &with_deleted, &format!("{name} cut to {cut}"));
            assert!(count >= last, "{name}: {count} samples cut to {cut}, {last} before");
            last = count;
            assert_eq!(account(&discovery).lost(), 0, "{name} cut to {cut}");
            assert_eq!(names(&discovery, Severity::Broken), Vec::<&str>::new(), "{name} cut to {cut}");
        }
        assert_same(&samples(&discovered(&folder)), &expected, name);
    }
}

#[test]
fn damage_inside_the_log_keeps_what_came_before_and_is_named_with_its_segment() {
    for name in ["datadir_plain", "datadir_st_xor2"] {
        let (_scratch, folder, expected) = unpacked(name);
        let segment = folder.join("wal/00000005");
        let mut bytes = fs::read(&segment).unwrap();
        bytes[100] ^= 1;
        fs::write(&segment, bytes).unwrap();
        let discovery = discovered(&folder);
        account(&discovery);
        assert_some(&samples(&discovery), &expected, name);
        assert_eq!(names(&discovery, Severity::Broken), ["damaged-log"], "{name}");
        let broken = discovery.findings.iter().find(|finding| finding.name == "damaged-log").unwrap();
        assert!(broken.place.ends_with("wal/00000005"), "{broken:?}");
        assert!(broken.message.contains("2 segments behind it"), "{broken:?}");
    }
}

#[test]
fn a_missing_segment_is_named_and_samples_of_series_it_named_are_counted_as_lost() {
    let (_scratch, folder, expected) = unpacked("datadir_plain");
    fs::remove_file(folder.join("wal/checkpoint.00000003/00000000")).unwrap();
    fs::remove_file(folder.join("wal/00000005")).unwrap();
    let discovery = discovered(&folder);
    assert_some(&samples(&discovery), &expected, "gap");
    assert_eq!(names(&discovery, Severity::Broken), ["log-gap", "head-samples-lost"]);
    let account = account(&discovery);
    assert!(account.lost() > 0 && account.log.dropped[&Dropped::UnknownSeries] > 0, "{account:?}");
}

#[test]
fn files_that_a_crash_leaves_behind_change_nothing() {
    for name in DIRECTORIES {
        let (_scratch, folder, expected) = unpacked(name);
        fs::write(folder.join("wal/00000008"), b"").unwrap();
        fs::write(folder.join("wal/00000009"), [0; 32768]).unwrap();
        fs::write(folder.join("wbl/00000008"), b"").unwrap();
        fs::create_dir(folder.join("wal/checkpoint.00000007.tmp")).unwrap();
        let last = if name == "datadir_memsnap" { 8 } else { 7 };
        fs::write(folder.join(format!("chunks_head/{last:06}")), [0; 4096]).unwrap();
        let discovery = discovered(&folder);
        assert_same(&samples(&discovery), &expected, name);
        account(&discovery);
        assert_eq!(names(&discovery, Severity::Broken), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn head_chunks_that_are_damaged_or_gone_are_in_the_logs() {
    for name in DIRECTORIES {
        for damage in ["flip", "torn", "remove"] {
            let (_scratch, folder, expected) = unpacked(name);
            let mut files: Vec<_> = fs::read_dir(folder.join("chunks_head")).unwrap().flatten().collect();
            files.sort_by_key(fs::DirEntry::path);
            let newest = files.last().unwrap().path();
            let mut bytes = fs::read(&newest).unwrap();
            match damage {
                "flip" => bytes[60] ^= 1,
                "torn" => bytes.truncate(60),
                _ => {}
            }
            match damage {
                "remove" => fs::remove_file(&newest).unwrap(),
                _ => fs::write(&newest, bytes).unwrap(),
            }
            let discovery = discovered(&folder);
            assert_same(&samples(&discovery), &expected, &format!("{name} {damage}"));
            account(&discovery);
            let broken = names(&discovery, Severity::Broken);
            let named = if damage == "flip" { vec!["damaged-head-chunks"] } else { Vec::new() };
            assert_eq!(broken, named, "{name} {damage}");
        }
    }
}

#[test]
fn a_snapshot_takes_the_place_of_a_log_that_is_gone() {
    let (_scratch, folder, expected) = unpacked("datadir_memsnap");
    fs::remove_dir_all(folder.join("wal/checkpoint.00000003")).unwrap();
    for segment in 4..=6 {
        fs::remove_file(folder.join(format!("wal/{segment:08}"))).unwrap();
    }
    let discovery = discovered(&folder);
    assert_same(&samples(&discovery), &expected, "snapshot");
    assert_eq!(names(&discovery, Severity::Note), ["chunk-snapshot"]);
    assert_eq!((account(&discovery).lost(), names(&discovery, Severity::Broken)), (0, Vec::new()));
}

#[test]
fn a_snapshot_takes_the_place_of_a_log_that_is_damaged_before_it() {
    for damaged in ["wal/00000005", "wal/checkpoint.00000003/00000000"] {
        let (_scratch, folder, expected) = unpacked("datadir_memsnap");
        let mut bytes = fs::read(folder.join(damaged)).unwrap();
        bytes[100] ^= 1;
        fs::write(folder.join(damaged), bytes).unwrap();
        let discovery = discovered(&folder);
        assert_same(&samples(&discovery), &expected, damaged);
        assert_eq!(names(&discovery, Severity::Broken), ["damaged-log"], "{damaged}");
        assert_eq!(names(&discovery, Severity::Note), ["chunk-snapshot"], "{damaged}");
        let broken = discovery.findings.iter().find(|finding| finding.name == "damaged-log").unwrap();
        assert!(broken.message.ends_with("is read instead of the log before it"), "{broken:?}");
        assert_eq!(account(&discovery).lost(), 0);
    }
}

#[test]
fn a_damaged_snapshot_does_not_take_the_place_of_a_damaged_log_that_has_more() {
    let (_scratch, folder, _) = unpacked("datadir_memsnap");
    let flip = |path: &str| {
        let mut bytes = fs::read(folder.join(path)).unwrap();
        bytes[100] ^= 1;
        fs::write(folder.join(path), bytes).unwrap();
    };
    flip("wal/00000006");
    let before = samples(&discovered(&folder));
    let snapshot =
        fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let snapshot = snapshot.into_iter().find(|name| name.starts_with("chunk_snapshot")).unwrap();
    flip(&format!("{snapshot}/00000000"));
    let discovery = discovered(&folder);
    assert!(samples(&discovery).len() <= before.len());
    assert_eq!(names(&discovery, Severity::Broken), ["damaged-log"]);
    assert_eq!(names(&discovery, Severity::Skipped), ["chunk-snapshot"]);
    account(&discovery);
}

#[test]
fn a_log_of_another_program_or_age_is_refused_and_the_blocks_are_there() {
    let (_scratch, folder, _) = unpacked("datadir_plain");
    let mut old = vec![0x43, 0xaf, 0x00, 0xef];
    old.resize(32768, 0);
    fs::remove_dir_all(folder.join("wal/checkpoint.00000003")).unwrap();
    fs::write(folder.join("wal/00000004"), old).unwrap();
    let discovery = discovered(&folder);
    assert_eq!(names(&discovery, Severity::Broken), ["foreign-log"]);
    assert_eq!(discovery.blocks.len(), 3);
    assert!(!discovery.blocks.iter().any(|found| found.is_head));
}

#[test]
fn a_head_without_any_block_is_a_source_and_without_the_flag_it_is_none() {
    let (_scratch, folder, _) = unpacked("datadir_plain");
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        if entry.path().join("meta.json").exists() {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let discovery = discovered(&folder);
    assert!(account(&discovery).samples > 0);
    assert_eq!(account(&discovery).min_valid_time_ms, None);
    let error = discover(std::slice::from_ref(&folder), &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("; it has a head, which --include-head reads"), "{error}");
}

#[test]
fn without_the_flag_the_head_is_named_and_not_read() {
    let (_scratch, folder, _) = unpacked("datadir_plain");
    let discovery = discover(std::slice::from_ref(&folder), &ReadOptions::default()).unwrap();
    assert_eq!(names(&discovery, Severity::Skipped), ["head"]);
    assert_eq!(discovery.blocks.len(), 3);
}

#[test]
fn the_same_head_under_two_paths_is_read_once() {
    let (scratch, folder, expected) = unpacked("datadir_plain");
    let copy = scratch.path().join("copy");
    common::copy_folder(&folder, &copy);
    let read = ReadOptions { include_head: true, ..ReadOptions::default() };
    let discovery = discover(&[folder, copy], &read).unwrap();
    assert_same(&samples(&discovery), &expected, "two paths");
    assert_eq!(discovery.blocks.len(), 5);
    assert_eq!(discovery.heads.accounts.len(), 2);
}

fn convert(folder: &Path, dest: &Path, include_head: bool) -> Report {
    let run = RunOptions { include_head, ..run_options(2) };
    let report = convert_with(folder, dest, &ConvertOptions::default(), &run).unwrap();
    assert!(report.adds_up, "{report:?}");
    report
}

#[test]
fn a_unit_that_reads_a_head_is_done_again_and_gives_the_same() {
    let (scratch, folder, _) = unpacked("datadir_plain");
    let dest = scratch.path().join("out");
    let first = convert(&folder, &dest, true);
    let rows = rows_in(&dest);
    let ledger = manifest(&dest).ledger;
    let second = convert(&folder, &dest, true);
    assert_eq!((second.units.done, second.units.frozen), (first.units.done, 0));
    assert_eq!((rows_in(&dest), manifest(&dest).ledger), (rows, ledger));
    assert_eq!(manifest(&dest).heads, second.heads);
    assert_eq!(second.heads.len(), 1);
}

/// Writes the head as blocks, and removes its files.
fn persist_head(folder: &Path) {
    let discovery = discovered(folder);
    for (number, found) in discovery.blocks.iter().filter(|found| found.is_head).enumerate() {
        let ulid = format!("01M7YSH00000000000000000{number:02}");
        let (block, source) = (folder.join(&ulid), found.block.source());
        fs::create_dir_all(block.join("chunks")).unwrap();
        for file in [BlockFile::Index, BlockFile::Tombstones, BlockFile::Segment(1), BlockFile::Meta] {
            let whole = 0..source.size(file).unwrap();
            let bytes = source.read(file, &[whole]).unwrap().remove(0);
            if file == BlockFile::Meta {
                let mut meta: Value = serde_json::from_slice(&bytes).unwrap();
                meta["ulid"] = ulid.clone().into();
                meta["compaction"]["sources"] = vec![ulid.clone()].into();
                fs::write(block.join("meta.json"), meta.to_string()).unwrap();
            } else {
                fs::write(block.join(file.to_string()), bytes).unwrap();
            }
        }
    }
    for gone in ["wal", "wbl", "chunks_head"] {
        fs::remove_dir_all(folder.join(gone)).unwrap();
    }
}

#[test]
fn what_moved_from_the_head_into_a_block_since_freezes_nothing() {
    let (scratch, folder, _) = unpacked("datadir_plain");
    let dest = scratch.path().join("out");
    convert(&folder, &dest, true);
    let before = samples_in(&dest);

    persist_head(&folder);
    for include_head in [true, false] {
        let report = convert(&folder, &dest, include_head);
        assert_eq!(report.units.frozen, 0);
        assert_eq!(samples_in(&dest), before);
    }
}

#[test]
fn a_run_without_the_head_keeps_what_a_run_with_it_published() {
    let (scratch, folder, _) = unpacked("datadir_plain");
    let dest = scratch.path().join("out");
    convert(&folder, &dest, true);
    let before = samples_in(&dest);
    let report = convert(&folder, &dest, false);
    assert!(report.units.frozen > 0);
    assert_eq!(samples_in(&dest), before);
}

/// A sample of an expected file of the fixtures.
fn fixture_sample(sample: &Value) -> (i64, Sample) {
    let hex = |value: &Value| match value.as_str() {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => value.as_u64().unwrap(),
    };
    let start_ms = sample[2].as_i64().unwrap();
    let (time_ms, value) = (sample[0].as_i64().unwrap(), &sample[1]);
    if value.is_string() {
        return (time_ms, Sample::Float { bits: hex(value), start_ms });
    }
    if value["stale"] == true {
        return (time_ms, Sample::StaleHistogram { start_ms });
    }
    let is_float = value["float"] == true;
    let list = |name: &str| value[name].as_array().unwrap().iter().map(hex).collect::<Vec<_>>();
    let side = |name: &str| {
        let span = |span: &Value| Span {
            offset: span[0].as_i64().unwrap().try_into().unwrap(),
            length: span[1].as_u64().unwrap().try_into().unwrap(),
        };
        let spans: Vec<Span> = value[format!("{name}_spans")].as_array().unwrap().iter().map(span).collect();
        buckets(&spans, &list(&format!("{name}_counts")))
    };
    let histogram = Histogram {
        kind: if is_float { HistogramKind::Float } else { HistogramKind::Integer },
        start_ms,
        sum: hex(&value["sum"]),
        count: hex(&value["count"]),
        zero_count: hex(&value["zero_count"]),
        schema: value["schema"].as_i64().unwrap(),
        zero_threshold: hex(&value["zero_threshold"]),
        bounds: list("custom_values"),
        positive: side("positive"),
        negative: side("negative"),
    };
    (time_ms, Sample::Histogram(Box::new(histogram)))
}

fn fixture_samples(name: &str) -> Samples {
    let text = fs::read_to_string(common::fixtures().join(format!("expected/{name}.ndjson"))).unwrap();
    let series = text.lines().skip(1).map(|line| {
        let series: Value = serde_json::from_str(line).unwrap();
        let samples = series["samples"].as_array().unwrap().iter().map(fixture_sample).collect();
        (common::labels(&series["labels"]).to_string(), samples)
    });
    series.collect()
}

/// Folder, its expected file, and what is said to be broken in it.
const FIXTURES: [(&str, &str, &[&str]); 20] = [
    ("crashed", "crashed", &[]),
    ("crashed_snapshot", "crashed_snapshot", &[]),
    ("head_only", "head_only", &[]),
    ("head_plain", "head_plain", &[]),
    ("head_zstd", "head_zstd", &[]),
    ("head_compressions", "head_compressions", &[]),
    ("head_st", "head_st", &[]),
    ("head_memsnap", "head_memsnap", &[]),
    ("head_ooo_restart", "head_ooo_restart", &[]),
    ("head_deleted_series", "head_deleted_series", &[]),
    ("head_chunks_stale", "head_chunks_stale", &[]),
    ("head_chunks_gap", "head_chunks_gap", &["head-chunks-gap"]),
    ("wal_torn", "wal_torn", &[]),
    // A server does not read the log of late samples after a repair.
    ("wal_torn_late", "wal_torn_late.rest", &[]),
    ("wal_zero_tail", "wal_zero_tail", &[]),
    ("wal_empty_segments", "wal_empty_segments", &[]),
    ("wal_corrupt_middle", "wal_corrupt_middle", &["damaged-log"]),
    // A server does not start on it. What is left is read.
    ("wal_gap", "wal_gap.rest", &["log-gap", "head-samples-lost"]),
    ("wal_old_format", "wal_old_format", &["foreign-log"]),
    ("wal_loki", "wal_loki", &["foreign-log"]),
];

#[test]
fn directories_of_killed_and_damaged_servers_have_what_the_server_answers() {
    for (name, expected, broken) in FIXTURES {
        let discovery = discovered(&common::fixtures().join(format!("datadirs/{name}/data")));
        assert_same(&samples(&discovery), &fixture_samples(expected), name);
        // A snapshot has its head in a block.
        if name != "crashed_snapshot" {
            account(&discovery);
        }
        assert_eq!(names(&discovery, Severity::Broken), broken, "{name}");
    }
    let folders = fs::read_dir(common::fixtures().join("datadirs")).unwrap().count();
    assert_eq!(folders, FIXTURES.len());
}

#[test]
fn a_snapshot_that_reaches_further_than_the_log_is_of_another_time() {
    let (_scratch, folder, _) = unpacked("datadir_memsnap");
    fs::remove_dir_all(folder.join("wal")).unwrap();
    let discovery = discovered(&folder);
    assert_eq!(names(&discovery, Severity::Broken), ["no-log", "head-samples-lost"]);
    let skipped = discovery.findings.iter().find(|finding| finding.name == "chunk-snapshot").unwrap();
    assert!(skipped.message.starts_with("not used, for the log ends before it"), "{skipped:?}");
    assert_eq!(discovery.blocks.len(), 3);
}

/// A segment with these records, each in a page of its own.
fn segment(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let end = bytes.len() + 32768;
        bytes.push(1);
        bytes.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        bytes.extend(crc32c::crc32c(record).to_be_bytes());
        bytes.extend(record);
        bytes.resize(end, 0);
    }
    bytes
}

#[test]
fn records_with_flipped_bits_and_right_checksums_leave_an_account_that_adds_up() {
    let (_scratch, folder, _) = unpacked("datadir_st_xor2");
    for log in ["wal/00000005", "wbl/00000007", "wal/checkpoint.00000003/00000000"] {
        let whole = fs::read(folder.join(log)).unwrap();
        let mut reader = SegmentReader::new(&whole);
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(record.payload.to_vec());
        }
        let total: usize = records.iter().map(Vec::len).sum();
        for number in 0..60 {
            let mut damaged = records.clone();
            let mut at = number * 7919 % total;
            for record in &mut damaged {
                if at < record.len() {
                    record[at] ^= 1 << (number % 8);
                    break;
                }
                at -= record.len();
            }
            fs::write(folder.join(log), segment(&damaged)).unwrap();
            account(&discovered(&folder));
        }
        fs::write(folder.join(log), whole).unwrap();
    }
}

/// Gives the head chunk at `offset` of a file to another series, and its checksum with it.
fn give_away(file: &mut [u8], offset: usize, data_bytes: usize) {
    file[offset..offset + 8].copy_from_slice(&987_654u64.to_be_bytes());
    // Times, encoding, a length of one or two bytes.
    let covered = 8 + 16 + 1 + if data_bytes < 128 { 1 } else { 2 } + data_bytes;
    let checksum = crc32c::crc32c(&file[offset..offset + covered]).to_be_bytes();
    file[offset + covered..offset + covered + 4].copy_from_slice(&checksum);
}

#[test]
fn late_samples_stay_when_the_chunk_that_their_marker_names_is_not_there() {
    let mut named = 0;
    for name in DIRECTORIES {
        let (_scratch, folder, expected) = unpacked(name);
        for entry in fs::read_dir(folder.join("chunks_head")).unwrap().flatten() {
            let number = entry.file_name().to_str().unwrap().parse().unwrap();
            let whole = fs::read(entry.path()).unwrap();
            let late = HeadChunks::open(whole.clone().into(), number, false).unwrap().map(Result::unwrap);
            for chunk in late.filter(|chunk| chunk.out_of_order) {
                let mut bytes = whole.clone();
                let offset = usize::try_from(chunk.chunk_ref.offset()).unwrap();
                give_away(&mut bytes, offset, chunk.chunk.data().len());
                fs::write(entry.path(), bytes).unwrap();
                let discovery = discovered(&folder);
                assert_same(&samples(&discovery), &expected, name);
                account(&discovery);
                // Chunks whose samples are in a block have no marker any more.
                named += names(&discovery, Severity::Note).len();
            }
            fs::write(entry.path(), whole).unwrap();
        }
    }
    assert!(named > 0, "no directory has a marker for a chunk");
}

/// A folder in which something happens before the file at `watched` is read or looked for; `server` is told how often
/// it was before.
struct Busy<F> {
    folder: LocalTree,
    watched: PathBuf,
    server: F,
    times: AtomicUsize,
}

impl<F: Fn(usize)> Busy<F> {
    fn meet(&self, path: &Path) {
        if path == self.watched {
            (self.server)(self.times.fetch_add(1, Ordering::Relaxed));
        }
    }
}

/// The file whose reads are counted: the first one of the log.
const FIRST_OF_LOG: &str = "wal/checkpoint.00000003/00000000";

impl<F: Fn(usize) + Send + Sync> Tree for Busy<F> {
    fn location(&self, path: &Path) -> String {
        self.folder.location(path)
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.folder.entries(folder)
    }

    fn has(&self, path: &Path) -> bool {
        self.meet(path);
        self.folder.has(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Bytes> {
        self.meet(path);
        self.folder.read(path, limit)
    }

    fn block(&self, folder: &Path) -> io::Result<Arc<dyn Source>> {
        self.folder.block(folder)
    }

    fn incomplete(&self, folder: &Path) -> Option<String> {
        self.folder.incomplete(folder)
    }
}

impl<F> fmt::Debug for Busy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder.fmt(f)
    }
}

/// What is found while `server` does something each time the log is begun.
fn discovered_while(folder: &Path, server: impl Fn(usize) + Send + Sync + 'static) -> Discovery {
    discovered_while_at(Path::new(FIRST_OF_LOG), folder, true, server)
}

/// What is found while `server` does something each time the file at `watched` is met.
fn discovered_while_at(
    watched: &Path,
    folder: &Path,
    include_head: bool,
    server: impl Fn(usize) + Send + Sync + 'static,
) -> Discovery {
    let folder = LocalTree::new(folder);
    let tree = Busy { folder, watched: watched.to_owned(), server, times: AtomicUsize::new(0) };
    discover_tree(Arc::new(tree), &ReadOptions { include_head, ..ReadOptions::default() }).unwrap()
}

#[test]
fn a_head_that_moves_into_blocks_while_it_is_read_is_found_there() {
    let (_scratch, folder, expected) = unpacked("datadir_plain");
    let at = folder.clone();
    let discovery = discovered_while(&folder, move |_| persist_head(&at));
    assert_same(&samples(&discovery), &expected, "moved");
    assert_eq!(names(&discovery, Severity::Broken), Vec::<&str>::new());
    assert!(discovery.heads.accounts.is_empty());
}

#[test]
fn a_directory_that_changes_each_time_it_is_read_is_read_as_it_is_and_named() {
    let (_scratch, folder, expected) = unpacked("datadir_plain");
    // Segments that the checkpoint stands for: a server removes them when it likes.
    let segment = |folder: &Path, number: usize| folder.join(format!("wal/{number:08}"));
    (1..4).for_each(|number| fs::write(segment(&folder, number), b"").unwrap());
    let at = folder.clone();
    let remove = move |times: usize| fs::remove_file(segment(&at, times + 1)).unwrap();
    let discovery = discovered_while(&folder, remove);
    assert_same(&samples(&discovery), &expected, "restless");
    assert_eq!(names(&discovery, Severity::Broken), ["changed-while-read"]);
    let broken = discovery.findings.iter().find(|finding| finding.name == "changed-while-read").unwrap();
    assert!(broken.message.starts_with("wal/00000003 vanished while it was read"), "{broken:?}");
    // All is quiet now.
    assert_eq!(names(&discovered(&folder), Severity::Broken), Vec::<&str>::new());
}

#[test]
fn a_log_that_grows_while_it_is_read_is_no_change() {
    let (_scratch, folder, expected) = unpacked("datadir_plain");
    let at = folder.clone();
    let discovery = discovered_while(&folder, move |times| {
        assert_eq!(times, 0, "read again");
        fs::write(at.join("wal/00000008"), b"").unwrap();
        fs::write(at.join("chunks_head/000099"), b"").unwrap();
    });
    assert_same(&samples(&discovery), &expected, "growing");
    assert_eq!(names(&discovery, Severity::Broken), Vec::<&str>::new());
}

/// Gives the block in `folder/from` another ULID, as if a compaction had made a new one of it.
fn compact(folder: &Path, from: &str, to: &str) {
    let (from, to) = (folder.join(from), folder.join(to));
    let mut meta: Value = serde_json::from_slice(&fs::read(from.join("meta.json")).unwrap()).unwrap();
    meta["ulid"] = to.file_name().unwrap().to_str().into();
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap().flatten() {
        fs::rename(entry.path(), to.join(entry.file_name())).unwrap();
    }
    fs::write(to.join("meta.json"), meta.to_string()).unwrap();
    fs::remove_dir(from).unwrap();
}

/// The first block in a folder, and names for what becomes of it.
fn first_block(folder: &Path) -> (String, [String; 4]) {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let mut names = names.into_iter().map(|name| name.into_string().unwrap());
    let first = names.find(|name| name.parse::<Ulid>().is_ok()).unwrap();
    (first, ["A", "B", "C", "D"].map(|end| format!("01KZZZZZZZZZZZZZZZZZZZZZZ{end}")))
}

#[test]
fn a_block_that_is_compacted_away_before_it_is_opened_is_read_where_its_samples_went() {
    // Before it is opened, and behind that.
    for (include_head, met) in [(false, "meta.json"), (false, "deletion-mark.json"), (true, "meta.json")] {
        let (_scratch, folder, _) = unpacked("datadir_plain");
        let read = ReadOptions { include_head, ..ReadOptions::default() };
        let expected = samples(&discover(std::slice::from_ref(&folder), &read).unwrap());
        let (first, [new, ..]) = first_block(&folder);
        let watched = Path::new(&first).join(met);
        let (at, to) = (folder.clone(), new.clone());
        let discovery = discovered_while_at(&watched, &folder, include_head, move |times| {
            if times == 0 {
                compact(&at, &first, &to);
            }
        });
        assert_same(&samples(&discovery), &expected, met);
        assert!(discovery.findings.iter().all(|finding| finding.name == "head"), "{:?}", discovery.findings);
        assert!(
            discovery.blocks.iter().any(|block| block.location.ends_with(&new)),
            "{:?}",
            discovery.blocks
        );
    }
}

#[test]
fn blocks_that_vanish_each_time_are_named_and_a_block_that_comes_is_no_change() {
    let (_scratch, folder, _) = unpacked("datadir_plain");
    let (first, new) = first_block(&folder);
    let at = folder.clone();
    // Named last, so met in every round.
    let last = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    fs::create_dir(folder.join(last)).unwrap();
    let all: Vec<String> = std::iter::once(first).chain(new).collect();
    let discovery = discovered_while_at(&Path::new(last).join("meta.json"), &folder, false, move |times| {
        compact(&at, &all[times], &all[times + 1]);
    });
    let broken = discovery.findings.iter().find(|finding| finding.name == "changed-while-read").unwrap();
    assert!(broken.message.contains(" appeared, "), "{broken:?}");
    assert!(broken.message.contains(" vanished while it was read, each of 3 times"), "{broken:?}");

    let at = folder.clone();
    let watched = Path::new(last).join("meta.json");
    let discovery = discovered_while_at(&watched, &folder, false, move |times| {
        assert_eq!(times, 0, "read again");
        fs::create_dir(at.join("01KZZZZZZZZZZZZZZZZZZZZZZE")).unwrap();
    });
    assert!(!names(&discovery, Severity::Broken).contains(&"changed-while-read"));
}
