//! Blocks cut short at every length, and with flipped bits: a conversion gives the true samples, or says what is
//! missing. It never panics, hangs, or invents a sample.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Row, convert_to, copy_folder, fixtures, manifest, rows_in, scratch};
use tsdb_converter::finding::Severity;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::report::Report;
use tsdb_converter::sink::{Compression, Format, OutputOptions};
use tsdb_converter::time::PartitionBy;

/// One damage to one file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The file ends after so many bytes.
    Cut(usize),
    /// The bit (of 8) of the byte at this place is the other one.
    Flip(usize, u8),
}

impl Damage {
    fn apply(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Cut(len) => bytes.truncate(len),
            Self::Flip(at, bit) => bytes[at] ^= 1 << bit,
        }
        bytes
    }
}

fn cuts(len: usize, step: usize) -> Vec<Damage> {
    let near_an_end = |at: &usize| *at < 8 || at + 8 > len;
    (0..len).filter(|at| at % step == 0 || near_an_end(at)).map(Damage::Cut).collect()
}

fn flips(len: usize, step: usize) -> Vec<Damage> {
    // Neighbours have different bits flipped.
    let bit = |at: usize| u8::try_from((at * 5 + at / step) % 8).unwrap();
    (0..len).step_by(step).map(|at| Damage::Flip(at, bit(at))).collect()
}

/// What a sound conversion writes: the files by content, and the rows.
struct Truth {
    files: Vec<(String, u64, String)>,
    rows: BTreeSet<Row>,
}

fn files_of(dest: &Path) -> Vec<(String, u64, String)> {
    let units = manifest(dest).units;
    units.into_iter().flat_map(|unit| unit.files).map(|at| (at.table, at.rows, at.crc32c)).collect()
}

fn options() -> ConvertOptions {
    // One unit, as cheap as they come.
    let output = OutputOptions { compression: Compression::None, ..OutputOptions::new(Format::Parquet) };
    ConvertOptions { output, partition_by: PartitionBy::Month, ..ConvertOptions::default() }
}

/// Damages `file` of a block of a fixture in every way given.
fn damage(fixture: &str, block: usize, file: &str, damages: impl Fn(usize) -> Vec<Damage>) {
    let source = fixtures().join("blocks").join(fixture);
    let dest = scratch();
    convert_to(&source, dest.path(), &options(), 1).unwrap();
    let truth = Truth { files: files_of(dest.path()), rows: rows_in(dest.path()).into_iter().collect() };
    assert!(truth.rows.len() > 1, "{fixture}");

    let mut blocks: Vec<PathBuf> =
        fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path()).collect();
    blocks.sort();
    let block = blocks[block].file_name().unwrap();
    let sound = fs::read(source.join(block).join(file)).unwrap();
    let cases = damages(sound.len());
    let (next, told) = (AtomicUsize::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let folder = scratch();
                copy_folder(&source, folder.path());
                while let Some(&case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let damaged = folder.path().join(block);
                    // A new file each time: the one before may still be mapped.
                    fs::remove_file(damaged.join(file)).unwrap();
                    fs::write(damaged.join(file), case.apply(&sound)).unwrap();
                    let context = format!("{fixture}/{file} {case:?}");
                    *told.lock().unwrap() +=
                        usize::from(check(&context, folder.path(), &damaged, file, &truth));
                }
            });
        }
    });
    // Padding and the counts of meta.json apart, a checksum or the structure covers it.
    let told = told.into_inner().unwrap();
    assert!(file == "meta.json" || told * 2 >= cases.len(), "{fixture}/{file}: {told} of {}", cases.len());
}

/// True when the damage was told of.
fn check(context: &str, source: &Path, damaged: &Path, file: &str, truth: &Truth) -> bool {
    let dest = scratch();
    let report = convert_to(source, dest.path(), &options(), 1);
    let report = report.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.adds_up, "{context}: {report:#?}");
    let broken: Vec<_> =
        report.findings.list.iter().filter(|finding| finding.severity == Severity::Broken).collect();
    for finding in &broken {
        assert!(finding.place.contains(damaged.to_str().unwrap()), "{context}: {finding:?}");
        let text = &finding.message;
        assert!(text.contains(file) || text.contains("chunk reference"), "{context}: {finding:?}");
    }
    if files_of(dest.path()) != truth.files {
        let rows: BTreeSet<Row> = rows_in(dest.path()).into_iter().collect();
        let invented = rows.difference(&truth.rows).next();
        assert_eq!(invented, None, "{context}: {report:#?}");
        if rows.len() < truth.rows.len() {
            assert!(is_told(&report), "{context}: silently lost: {report:#?}");
            assert_eq!(report.exit_code(), 1, "{context}: {report:#?}");
        }
    }
    !broken.is_empty()
}

fn is_told(report: &Report) -> bool {
    report.findings.list.iter().any(|finding| finding.severity == Severity::Broken)
        || report.samples.lost_samples() > 0
}

#[test]
fn an_index_cut_at_any_length_loses_nothing_in_silence() {
    for fixture in ["no_metric_name", "labels_before_name", "one_sample_chunks"] {
        damage(fixture, 0, "index", |len| cuts(len, 1));
    }
    damage("index_v1", 0, "index", |len| cuts(len, 3));
    damage("index_v3", 0, "index", |len| cuts(len, 7));
    damage("consecutive", 1, "index", |len| cuts(len, 1));
    damage("many_series", 0, "index", |len| cuts(len, 997));
}

#[test]
fn an_index_with_any_byte_damaged_loses_nothing_in_silence() {
    for fixture in ["no_metric_name", "labels_before_name", "one_sample_chunks"] {
        damage(fixture, 0, "index", |len| flips(len, 1));
    }
    damage("index_v1", 0, "index", |len| flips(len, 3));
    damage("index_v3", 0, "index", |len| flips(len, 3));
    damage("external_labels", 0, "index", |len| flips(len, 1));
    damage("many_series", 0, "index", |len| flips(len, 499));
}

#[test]
fn a_chunk_segment_cut_at_any_length_loses_nothing_in_silence() {
    for fixture in ["no_metric_name", "one_sample_chunks", "stale_markers"] {
        damage(fixture, 0, "chunks/000001", |len| cuts(len, 1));
    }
    damage("many_segments", 0, "chunks/000007", |len| cuts(len, 3));
    damage("xor2_start_times", 0, "chunks/000001", |len| cuts(len, 101));
    damage("histograms", 0, "chunks/000001", |len| cuts(len, 11));
}

#[test]
fn a_chunk_segment_with_any_byte_damaged_loses_nothing_in_silence() {
    for fixture in ["no_metric_name", "one_sample_chunks", "stale_markers"] {
        damage(fixture, 0, "chunks/000001", |len| flips(len, 1));
    }
    damage("many_segments", 0, "chunks/000007", |len| flips(len, 3));
    damage("xor2_start_times", 0, "chunks/000001", |len| flips(len, 101));
    damage("histograms", 0, "chunks/000001", |len| flips(len, 7));
}

#[test]
fn damaged_tombstones_bring_nothing_back_that_was_deleted() {
    for fixture in ["tombstones", "tombstones_unmerged", "index_v1", "overlap_tombstones"] {
        damage(fixture, 0, "tombstones", |len| cuts(len, 1));
        damage(fixture, 0, "tombstones", |len| flips(len, 1));
    }
}

#[test]
fn a_damaged_meta_json_hides_nothing_in_silence() {
    damage("tombstones", 0, "meta.json", |len| cuts(len, 1));
    for bit in 0..8 {
        damage("no_metric_name", 0, "meta.json", |len| (0..len).map(|at| Damage::Flip(at, bit)).collect());
    }
    for fixture in ["times_around_zero", "consecutive", "superseded"] {
        damage(fixture, 0, "meta.json", |len| flips(len, 1));
    }
    // The result of a compaction, which takes its parents out of the run.
    damage("superseded", 2, "meta.json", |len| flips(len, 1));
}

#[test]
fn a_damaged_result_of_a_compaction_does_not_take_its_parents_along() {
    for step in [Damage::Cut(100), Damage::Flip(0, 0), Damage::Flip(6, 1)] {
        damage("superseded", 2, "index", |_| vec![step]);
    }
    damage("superseded", 2, "tombstones", |_| vec![Damage::Cut(0)]);
}
