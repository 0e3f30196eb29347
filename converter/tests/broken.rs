//! Every damaged folder of `fixtures/broken`: what is sound in it is converted, what is not is named.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{
    Sample, Samples, convert_to, convert_with, data_files, fixtures, int, labels, run_options, samples_in,
    scratch,
};
use serde_json::Value;
use tsdb_converter::convert::RunOptions;
use tsdb_converter::discover::Choice;
use tsdb_converter::dump::{DumpFormat, DumpOptions, dump};
use tsdb_converter::finding::Severity;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::store::Stores;
use tsdb_reader::source::LocalSource;
use tsdb_reader::{Block, Series};

/// What is expected of one folder.
struct Case {
    name: &'static str,
    /// Names of the findings that say what is broken, ascending; without any the run ends with exit code 0.
    broken: &'static [&'static str],
    /// A note on what is odd, though nothing is missing.
    note: Option<&'static str>,
    /// Rows that the reference reads and this project does not write.
    missing: usize,
    /// Rows that this project writes and the reference does not read.
    extra: usize,
}

impl Case {
    const fn noting(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }

    const fn without(self, missing: usize) -> Self {
        Self { missing, ..self }
    }

    const fn beyond(self, extra: usize) -> Self {
        Self { extra, ..self }
    }
}

const fn sound(name: &'static str) -> Case {
    damaged(name, &[])
}

const fn damaged(name: &'static str, broken: &'static [&'static str]) -> Case {
    Case { name, broken, note: None, missing: 0, extra: 0 }
}

const CASES: &[Case] = &[
    // Not written: the reference takes a sample whose bits make no sense.
    damaged("chunk_bad_window", &["chunk-invalid"]).without(1),
    sound("chunk_count_small").noting("meta-count"),
    damaged("chunk_crc_flipped", &["chunk-checksum"]),
    damaged("chunk_cut_xor", &["chunk-truncated"]),
    damaged("chunk_cut_xor2", &["chunk-truncated"]),
    damaged("chunk_data_flipped", &["chunk-checksum"]),
    sound("chunk_duplicate"),
    sound("chunk_duplicate_copy"),
    damaged("chunk_empty_data", &["chunk-truncated"]),
    damaged("chunk_encoding_0", &["chunk-invalid"]),
    damaged("chunk_encoding_129", &["chunk-invalid"]),
    damaged("chunk_encoding_255", &["chunk-invalid"]),
    damaged("chunk_encoding_7", &["chunk-invalid"]),
    damaged("chunk_float_histogram_cut_2", &["chunk-truncated"]),
    damaged("chunk_float_histogram_cut_30", &["chunk-truncated"]),
    damaged("chunk_histogram_cut_1", &["chunk-truncated"]),
    damaged("chunk_histogram_cut_10", &["chunk-truncated"]),
    damaged("chunk_histogram_cut_2", &["chunk-truncated"]),
    damaged("chunk_histogram_cut_30", &["chunk-truncated"]),
    damaged("chunk_histogram_cut_4", &["chunk-truncated"]),
    damaged("chunk_histogram_cut_50", &["chunk-truncated"]),
    damaged("chunk_histogram_schema_-10", &["chunk-invalid"]),
    damaged("chunk_histogram_schema_53", &["chunk-invalid"]),
    damaged("chunk_histogram_spans_huge", &["chunk-truncated"]),
    damaged("chunk_histogram_st_cut_2", &["chunk-truncated"]),
    damaged("chunk_histogram_st_cut_30", &["chunk-truncated"]),
    damaged("chunk_length_huge", &["chunk-truncated"]),
    damaged("chunk_length_overflow", &["chunk-invalid"]),
    damaged("chunk_no_data", &["chunk-truncated"]),
    sound("chunk_no_samples"),
    sound("chunk_outside_block"),
    damaged("chunk_ref_before_first", &["chunk-checksum", "chunk-invalid", "chunk-truncated"]),
    damaged("chunk_ref_inside_chunk", &["chunk-checksum"]),
    damaged("chunk_ref_past_end", &["chunk-truncated"]),
    sound("chunk_shared"),
    sound("chunk_times_wrong"),
    sound("chunk_unreferenced").noting("meta-count"),
    sound("chunk_unreferenced_cut").noting("meta-count"),
    sound("chunk_unreferenced_damaged").noting("meta-count"),
    // Not written: the reference takes 4 bytes of a value for the value.
    damaged("chunk_xor_cut_12", &["chunk-truncated"]).without(1),
    damaged("chunk_xor_cut_17", &["chunk-truncated"]),
    damaged("chunk_xor_cut_3", &["chunk-truncated"]),
    damaged("chunk_xor_cut_8", &["chunk-truncated"]),
    damaged("chunks_folder_empty", &["missing-segment"]),
    damaged("chunks_missing", &["missing-segment"]),
    sound("chunks_out_of_order"),
    sound("chunks_overlapping"),
    sound("chunks_overlapping_conflict"),
    damaged("damaged_throughout", &["unreadable-block"]),
    sound("folder_foreign_name"),
    sound("folder_renamed"),
    sound("foreign_files"),
    damaged("half_copied", &["partial-block"]),
    damaged("index_empty", &["unreadable-block"]),
    damaged("index_four_bytes", &["unreadable-block"]),
    sound("index_gap"),
    damaged("index_magic", &["unreadable-block"]),
    damaged("index_magic_and_symbols", &["unreadable-block"]),
    damaged("index_missing", &["unreadable-block"]),
    sound("index_padding"),
    damaged("index_postings_crc", &["unreadable-block"]),
    damaged("index_series_crc", &["unreadable-series"]),
    damaged("index_symbols_crc", &["unreadable-block"]),
    damaged("index_table_crc", &["unreadable-block"]),
    damaged("index_toc_crc", &["unreadable-block"]),
    damaged("index_toc_lost", &["unreadable-block"]),
    damaged("index_truncated", &["unreadable-block"]),
    sound("index_v1_aligned"),
    sound("index_v1_in_meta_2"),
    sound("index_v2_marked_1"),
    sound("index_v2_marked_1_alone"),
    damaged("index_version_0", &["unreadable-block"]),
    damaged("index_version_4", &["unreadable-block"]),
    sound("label_index_crc"),
    sound("label_index_missing"),
    sound("label_index_out_of_order"),
    sound("label_index_two_names"),
    sound("label_index_unknown_symbol"),
    sound("label_index_v1_crc"),
    sound("label_index_wrong_value"),
    sound("label_table_crc"),
    sound("label_table_two_keys"),
    sound("label_table_wrong_offset"),
    // Not written: the reference knows no marks.
    sound("marked_long_ago").without(360),
    damaged("meta_bad_ulid", &["unreadable-block"]),
    damaged("meta_empty", &["unreadable-block"]),
    damaged("meta_missing", &["partial-block"]),
    sound("meta_no_counts"),
    damaged("meta_no_json", &["unreadable-block"]),
    damaged("meta_no_version", &["unreadable-block"]),
    damaged("meta_only", &["unreadable-block"]),
    sound("meta_range_reversed"),
    damaged("meta_truncated", &["unreadable-block"]),
    damaged("meta_version_9", &["unreadable-block"]),
    sound("meta_wrong_counts").noting("meta-count"),
    // Written: all series that any list names are read.
    damaged("postings_all_incomplete", &["postings-wrong"]).beyond(120),
    damaged("postings_count_huge", &["unreadable-block"]),
    // Not written: the whole block is left out when the list of all series or the table of lists is broken.
    damaged("postings_duplicate", &["unreadable-block"]).without(240),
    sound("postings_missing_series"),
    damaged("postings_name_double", &["postings-wrong"]),
    damaged("postings_name_missing", &["postings-wrong"]),
    damaged("postings_name_wrong", &["postings-wrong"]),
    damaged("postings_out_of_order", &["unreadable-block"]).without(360),
    sound("postings_unknown_series"),
    sound("postings_wrong_series"),
    sound("samples_out_of_order"),
    damaged("segment_empty", &["chunk-truncated"]),
    sound("segment_garbage_tail"),
    damaged("segment_magic", &["chunk-invalid"]),
    // Not written: the reference reads other series from the wrong file.
    damaged("segment_missing", &["missing-segment"]).without(60),
    damaged("segment_missing_damaged", &["missing-segment"]).without(60),
    damaged("segment_missing_last", &["missing-segment"]),
    sound("segment_padding"),
    damaged("segment_short_head", &["chunk-truncated"]),
    damaged("segment_truncated", &["chunk-truncated"]),
    // Written: the reference opens no block with a broken segment, named or not.
    sound("segment_unreferenced").beyond(360),
    damaged("segment_version_2", &["chunk-invalid"]),
    sound("segment_zero_tail"),
    sound("series_empty_label"),
    damaged("series_label_count_huge", &["unreadable-series"]),
    damaged("series_label_twice", &["postings-wrong"]),
    sound("series_labels_unsorted"),
    damaged("series_length_huge", &["unreadable-series"]),
    sound("series_out_of_order"),
    sound("series_twice"),
    damaged("series_unknown_symbol", &["unreadable-series"]),
    sound("superseded_broken"),
    damaged("symbols_count_huge", &["unreadable-block"]),
    sound("symbols_duplicate"),
    damaged("symbols_length_huge", &["unreadable-block"]),
    sound("symbols_out_of_order"),
    damaged("table_count_huge", &["unreadable-block"]).without(360),
    damaged("table_duplicate", &["unreadable-block"]).without(360),
    damaged("table_key_count_3", &["unreadable-block"]),
    sound("table_out_of_order"),
    sound("table_wrong_pair"),
    sound("tmp_folders"),
    damaged("toc_postings_table_wrong", &["unreadable-block"]),
    sound("toc_postings_wrong"),
    damaged("toc_series_past_end", &["unreadable-block"]).without(360),
    damaged("toc_symbols_zero", &["unreadable-block"]),
    damaged("tombstones_crc", &["unreadable-block"]),
    damaged("tombstones_cut_entry", &["unreadable-block"]),
    damaged("tombstones_eight_bytes", &["unreadable-block"]),
    damaged("tombstones_empty_file", &["unreadable-block"]),
    damaged("tombstones_four_bytes", &["unreadable-block"]),
    sound("tombstones_inverted"),
    damaged("tombstones_magic", &["unreadable-block"]),
    damaged("tombstones_truncated", &["unreadable-block"]),
    sound("tombstones_unknown_series"),
    damaged("tombstones_version_2", &["unreadable-block"]),
];

fn broken_folder(name: &str) -> std::path::PathBuf {
    fixtures().join("broken").join(name)
}

/// What the reference reads chunk by chunk, merged by the project's rules, tombstones applied.
fn reference(name: &str) -> Samples {
    let text = fs::read_to_string(fixtures().join(format!("expected/broken/{name}.ndjson"))).unwrap();
    let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut merged: BTreeMap<i64, BTreeMap<i64, (bool, Sample)>> = BTreeMap::new();
    // Folders ascend as their ULIDs do; a later one overrides, but for stale markers.
    let mut lines: Vec<_> = lines.filter(|line| line["error"].is_null()).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line["dir"].as_str().unwrap().to_owned()));
    for line in lines {
        let mut labels = labels(&line["labels"]);
        labels.sort(); // As this project reads labels that are out of order.
        let series_id = series_id(&labels);
        let deleted = deleted(&broken_folder(name).join(line["dir"].as_str().unwrap()), series_id);
        // What was decoded before an error counts last: padding may have passed for samples.
        let mut chunks: Vec<_> = line["chunks"].as_array().into_iter().flatten().collect();
        chunks.sort_by_key(|chunk| !chunk["error"].is_null());
        for chunk in chunks {
            for sample in chunk["samples"].as_array().into_iter().flatten() {
                let time_ms = int(&sample[0]);
                let bits = u64::from_str_radix(sample[1].as_str().unwrap(), 16).unwrap();
                if deleted.iter().any(|&(min_ms, max_ms)| (min_ms..=max_ms).contains(&time_ms)) {
                    continue;
                }
                let new = (bits == common::STALE, (time_ms, bits, int(&sample[2])));
                let of_series = merged.entry(series_id).or_default();
                let kept = of_series.entry(time_ms).or_insert(new);
                if kept.0 && !new.0 {
                    *kept = new;
                }
            }
        }
    }
    merged
        .into_iter()
        .filter(|(_, samples)| !samples.is_empty())
        .map(|(series_id, samples)| (series_id, samples.into_values().map(|(_, sample)| sample).collect()))
        .collect()
}

/// Intervals deleted from a series, as the block's tombstones say.
fn deleted(folder: &Path, wanted: i64) -> Vec<(i64, i64)> {
    let Ok(block) = Block::open(Arc::new(LocalSource::open(folder).unwrap())) else { return Vec::new() };
    let (Ok(tombstones), Ok(all)) = (block.tombstones(), block.index().all_postings()) else {
        return Vec::new();
    };
    let mut series = Series::default();
    let mut intervals = Vec::new();
    for series_ref in all {
        if block.index().series(series_ref, &mut series).is_ok() && series_id(&series.labels) == wanted {
            let of_series = tombstones.intervals(series_ref).iter();
            intervals.extend(of_series.map(|gone| (gone.min_time_ms, gone.max_time_ms)));
        }
    }
    intervals
}

fn flat(samples: &Samples) -> BTreeSet<(i64, Sample)> {
    samples.iter().flat_map(|(&id, samples)| samples.iter().map(move |&sample| (id, sample))).collect()
}

#[test]
fn every_broken_folder_has_a_case() {
    let mut folders: Vec<String> = fs::read_dir(fixtures().join("broken"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(folders, cases);
}

#[test]
fn broken_folders_give_what_is_sound_in_them_and_name_the_rest() {
    for case in CASES {
        check(case);
    }
}

fn check(case: &Case) {
    let Case { name, .. } = case;
    let folder = broken_folder(name);
    let dest = scratch();
    let report = convert_to(&folder, dest.path(), &ConvertOptions::default(), 2).unwrap();
    let of = |severity: Severity| {
        let list = report.findings.list.iter().filter(move |at| at.severity == severity);
        list.map(|at| at.name.as_str()).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(Severity::Broken), case.broken.iter().copied().collect(), "{name}: {report:#?}");
    assert_eq!(report.exit_code() == 0, case.broken.is_empty(), "{name}: {report:#?}");
    if case.broken.is_empty() {
        assert_eq!(of(Severity::Note), case.note.into_iter().collect(), "{name}: {report:#?}");
    }
    for finding in &report.findings.list {
        assert!(finding.place.contains(folder.to_str().unwrap()), "{name}: {finding:?}");
    }
    assert!(report.adds_up, "{name}: {report:#?}");

    let (found, reference) = (flat(&samples_in(dest.path())), flat(&reference(name)));
    assert_eq!(found.len() as u64, report.samples.written, "{name}");
    assert_eq!(found.difference(&reference).count(), case.extra, "{name}: {report:#?}");
    assert_eq!(reference.difference(&found).count(), case.missing, "{name}: {report:#?}");
}

#[test]
fn wrong_lists_lose_double_and_move_nothing_however_many_shards_there_are() {
    for case in CASES.iter().filter(|case| case.name.starts_with("postings_")) {
        let Case { name, .. } = case;
        let whole = scratch();
        let report = convert_to(&broken_folder(name), whole.path(), &ConvertOptions::default(), 1).unwrap();
        let samples = flat(&samples_in(whole.path()));
        assert_eq!(samples.len() as u64, report.samples.written, "{name}");

        let sharded = scratch();
        let options = ConvertOptions { shards: Some(3), ..ConvertOptions::default() };
        convert_to(&broken_folder(name), sharded.path(), &options, 1).unwrap();
        assert_eq!(flat(&samples_in(sharded.path())), samples, "{name}");

        let options = DumpOptions {
            sources: vec![broken_folder(name)],
            format: DumpFormat::Prom,
            selectors: Vec::new(),
            min_time_ms: None,
            max_time_ms: None,
            temp_dir: sharded.path().to_owned(),
            memory_limit: 64 << 20,
            include_head: false,
            stores: Stores::default(),
            choice: Choice::default(),
        };
        let mut text = Vec::new();
        dump(&options, &mut text).unwrap();
        assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), samples.len(), "{name}");
    }
}

#[test]
fn broken_folders_are_refused_before_anything_is_written_when_asked_to() {
    for case in CASES {
        let dest = scratch();
        let run = RunOptions { strict: true, ..run_options(1) };
        let refused = convert_with(&broken_folder(case.name), dest.path(), &ConvertOptions::default(), &run);
        if !case.broken.is_empty() {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("nothing was written"), "{}: {error}", case.name);
            assert_eq!(data_files(dest.path()).len(), 0, "{}", case.name);
        }
    }
}
