//! Downsampled blocks of Thanos as input: rows equal the aggregates that Thanos' own code reads from them.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use common::{batches_in, convert_to, copy_folder, data_files, fixtures, int, labels, scratch};
use serde_json::Value;
use tsdb_converter::downsample::DownsampleOptions;
use tsdb_converter::finding::Finding;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::report::Report;
use tsdb_converter::resolution::Resolution;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;

/// What a window says: count, then sum, min, max, first, last, increase.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    count: i64,
    values: [Option<f64>; 6],
}

/// Windows by series and start.
type Windows = BTreeMap<(i64, i64), Window>;

const RAW: i64 = 0;
const FIVE_MINUTES: i64 = 300_000;
const HOUR: i64 = 3_600_000;

/// Copies the blocks of a fixture that have one of these resolutions.
fn copy_blocks(name: &str, resolutions: &[i64], to: &Path) -> usize {
    let mut copied = 0;
    for block in fs::read_dir(fixtures().join("thanos").join(name)).unwrap() {
        let block = block.unwrap().path();
        if resolutions.contains(&meta(&block)["thanos"]["downsample"]["resolution"].as_i64().unwrap()) {
            copy_folder(&block, &to.join(block.file_name().unwrap()));
            copied += 1;
        }
    }
    copied
}

fn meta(block: &Path) -> Value {
    serde_json::from_slice(&fs::read(block.join("meta.json")).unwrap()).unwrap()
}

fn at(resolution_ms: i64) -> ConvertOptions {
    let resolution = Resolution::windows(resolution_ms).unwrap_or(Resolution::RAW);
    ConvertOptions { downsampling: DownsampleOptions::at(resolution), ..ConvertOptions::default() }
}

/// Converts blocks of a fixture; the tally adds up whatever they hold.
fn converted(name: &str, resolutions: &[i64], to_ms: i64) -> Option<(Report, Windows)> {
    let (source, dest) = (scratch(), scratch());
    if copy_blocks(name, resolutions, source.path()) < resolutions.len() {
        return None;
    }
    Some(converted_from(source.path(), dest.path(), to_ms))
}

fn converted_from(source: &Path, dest: &Path, to_ms: i64) -> (Report, Windows) {
    let report = convert_to(source, dest, &at(to_ms), 1).unwrap();
    assert_eq!(report.samples.difference(), 0, "{:?}", report.samples);
    let windows = windows_in(dest, &format!("samples_{}", Resolution::windows(to_ms).unwrap()));
    assert!(report.samples.windows >= windows.len() as u64);
    (report, windows)
}

fn windows_in(dest: &Path, table: &str) -> Windows {
    let mut windows = Windows::new();
    for batch in batches_in(dest, table) {
        let ids = batch["series_id"].as_primitive::<Int64Type>();
        let times = batch["timestamp"].as_primitive::<TimestampMillisecondType>();
        let counts = batch["count"].as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let values = ["sum", "min", "max", "first", "last", "increase"].map(|name| {
                let column = batch[name].as_primitive::<Float64Type>();
                (!column.is_null(row)).then(|| column.value(row))
            });
            let window = Window { count: counts.value(row), values };
            let before = windows.insert((ids.value(row), times.value(row)), window);
            assert_eq!(before, None, "one row per series and window");
        }
    }
    windows
}

/// What Thanos reads from the blocks of a fixture that have this resolution, as windows of `to_ms`: samples of one window
/// are joined. Without increases.
fn expected(name: &str, resolution_ms: i64, to_ms: i64) -> Windows {
    let mut windows = Windows::new();
    for file in fs::read_dir(fixtures().join("expected/thanos").join(name)).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let block = &lines.next().unwrap()["blocks"][0];
        if block["resolution_ms"] != resolution_ms {
            continue;
        }
        for series in lines.filter(|series| !series["min"].is_null()) {
            let id = series_id(&with_external(&series["labels"], &block["external_labels"]));
            let column = |name: &str| {
                let samples = series[name].as_array().unwrap();
                samples
                    .iter()
                    .map(|at| {
                        (
                            int(&at[0]),
                            f64::from_bits(u64::from_str_radix(at[1].as_str().unwrap(), 16).unwrap()),
                        )
                    })
                    .collect::<Vec<_>>()
            };
            let [counts, sums, mins, maxs] = ["count", "sum", "min", "max"].map(column);
            for (row, (end_ms, count)) in counts.into_iter().enumerate() {
                let values = [sums[row].1, mins[row].1, maxs[row].1];
                let start = (id, end_ms - end_ms.rem_euclid(to_ms));
                let part = Window {
                    count: count as i64,
                    values: [Some(values[0]), Some(values[1]), Some(values[2]), None, None, None],
                };
                windows.entry(start).and_modify(|window| join(window, &part)).or_insert(part);
            }
        }
    }
    windows
}

fn join(window: &mut Window, part: &Window) {
    window.count += part.count;
    let [sum, min, max, ..] = &mut window.values;
    *sum = Some(sum.unwrap() + part.values[0].unwrap());
    *min = Some(min.unwrap().min(part.values[1].unwrap()));
    *max = Some(max.unwrap().max(part.values[2].unwrap()));
}

fn with_external(own: &Value, external: &Value) -> Labels {
    let mut all: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (name, value) in labels(own).iter() {
        all.insert(name.to_vec(), value.to_vec());
    }
    for (name, value) in external.as_object().into_iter().flatten() {
        all.insert(name.clone().into_bytes(), value.as_str().unwrap().as_bytes().to_vec());
    }
    all.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
}

/// Both have the same windows with the same counts, smallest and largest values, and with the same sums, or nearly.
fn assert_alike(name: &str, found: &Windows, expected: &Windows, sums_differ_by: f64) {
    let keys = |windows: &Windows| windows.keys().copied().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected), "{name}");
    for (key, found) in found {
        let expected = &expected[key];
        let bits = |window: &Window| [1, 2].map(|at| window.values[at].map(f64::to_bits));
        assert_eq!((found.count, bits(found)), (expected.count, bits(expected)), "{name} {key:?}");
        let (sum, other) = (found.values[0].unwrap(), expected.values[0].unwrap());
        let equal = sum.to_bits() == other.to_bits() || sum.is_nan() && other.is_nan();
        let near = (sum - other).abs() <= sums_differ_by * other.abs();
        assert!(equal || near, "{name} {key:?}: sums {sum} and {other}");
    }
}

/// Fixtures of floats alone whose samples all lie in years that rows can have.
const FLOATS: [&str; 10] = [
    "batches",
    "bucket",
    "day",
    "raw_gone",
    "windows",
    "xor_basic",
    "many_segments",
    "odd_values",
    "one_sample_chunks",
    "midnight",
];

#[test]
fn aggregates_of_five_minutes_come_out_bit_for_bit_where_raw_is_gone() {
    for name in FLOATS {
        let (report, found) = converted(name, &[FIVE_MINUTES], FIVE_MINUTES).unwrap();
        assert_alike(name, &found, &expected(name, FIVE_MINUTES, FIVE_MINUTES), 0.0);
        assert_eq!(report.exit_code(), 0, "{name}: {:?}", report.samples);
        assert_eq!(
            (report.samples.aggregated, report.samples.superseded),
            (report.samples.read, 0),
            "{name}"
        );
        assert!(
            found.values().all(|window| window.values[3].is_none() && window.values[4].is_none()),
            "{name}"
        );
    }
}

#[test]
fn windows_of_an_hour_are_combined_from_those_of_five_minutes() {
    for name in FLOATS.into_iter().filter(|&name| !["raw_gone", "windows", "odd_values"].contains(&name)) {
        let (report, found) = converted(name, &[FIVE_MINUTES], HOUR).unwrap();
        assert_alike(name, &found, &expected(name, HOUR, HOUR), 1e-12);
        assert_eq!(report.exit_code(), 0, "{name}: {:?}", report.samples);
    }
    let (_, hours) = converted("hours_left", &[HOUR], HOUR).unwrap();
    assert_alike("hours_left", &hours, &expected("hours_left", HOUR, HOUR), 0.0);
}

/// Counts and increases of the windows in both, where the counters have no gap beyond the lookback.
#[test]
fn increases_from_aggregates_are_those_of_the_raw_samples() {
    for name in ["day", "midnight", "batches", "one_sample_chunks"] {
        let windows = |resolution_ms: i64| {
            let (source, dest) = (scratch(), scratch());
            copy_blocks(name, &[resolution_ms], source.path());
            let mut options = at(FIVE_MINUTES);
            options.downsampling.counters = vec!["{__name__=~\".+\"}".to_owned()];
            convert_to(source.path(), dest.path(), &options, 1).unwrap();
            windows_in(dest.path(), "samples_5m")
        };
        let (raw, found) = (windows(RAW), windows(FIVE_MINUTES));
        let mut compared = 0;
        for (key, window) in &found {
            let raw = &raw[key];
            assert_eq!(window.count, raw.count, "{name} {key:?}");
            // Within a chunk a long step cannot be told from short ones.
            if found.range((key.0, key.1 - HOUR)..*key).next().is_none() {
                continue;
            }
            assert_eq!(window.values[5].is_some(), raw.values[5].is_some(), "{name} {key:?}");
            if let (Some(a), Some(b)) = (window.values[5], raw.values[5]) {
                assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{name} {key:?}: {a} and {b}");
                compared += 1;
            }
        }
        assert!(compared > 0, "{name}");
    }
}

#[test]
fn raw_samples_and_aggregates_meet_in_a_partition_and_increases_go_on() {
    let (source, dest, all_raw) = (scratch(), scratch(), scratch());
    // The oldest block has no raw samples any more; the 5 min block of the second is a copy of raw.
    copy_blocks("bucket", &[RAW, FIVE_MINUTES, HOUR], source.path());
    let (report, found) = converted_from(source.path(), dest.path(), FIVE_MINUTES);
    assert_eq!(report.exit_code(), 0, "{:?}", report.samples);
    let expected_first = expected("bucket", FIVE_MINUTES, FIVE_MINUTES);
    for (key, window) in &found {
        let is_raw = window.values[3].is_some();
        assert_eq!(is_raw, key.1 >= 1_741_604_400_000, "{key:?}");
        if !is_raw {
            assert_eq!(window.count, expected_first[key].count);
        }
    }
    // The step from the last aggregate to the first raw sample is there.
    let (_, raw) = converted_from(&only_raw("bucket", all_raw.path()), scratch().path(), FIVE_MINUTES);
    let first_raw = raw.iter().find(|(_, window)| window.values[5].is_some()).unwrap();
    let joined = &found[first_raw.0];
    assert!(joined.values[5].unwrap() > first_raw.1.values[5].unwrap(), "{joined:?} {first_raw:?}");
}

/// Rows of table `series`: id and samples.
fn series_in(dest: &Path) -> Vec<(i64, i64)> {
    let mut series = Vec::new();
    for batch in batches_in(dest, "series") {
        let int = |name: &str, row| batch[name].as_primitive::<Int64Type>().value(row);
        series.extend((0..batch.num_rows()).map(|row| (int("series_id", row), int("samples", row))));
    }
    series
}

#[test]
fn as_is_keeps_every_resolution_each_time_by_the_finest_block() {
    let (source, dest) = (scratch(), scratch());
    copy_blocks("bucket", &[RAW, FIVE_MINUTES, HOUR], source.path());
    set_sources(source.path(), Sources::OneMore);
    let options = ConvertOptions { downsampling: DownsampleOptions::as_is(), ..ConvertOptions::default() };
    let report = convert_to(source.path(), dest.path(), &options, 1).unwrap();
    assert_eq!((report.samples.difference(), report.exit_code()), (0, 0), "{:?}", report.samples);
    let raw = common::samples_in(dest.path());
    assert_eq!(raw.values().flatten().count(), 720);
    assert_eq!(report.samples.written, 720);
    let found = windows_in(dest.path(), "samples_5m");
    let mut first = expected("bucket", FIVE_MINUTES, FIVE_MINUTES);
    first.retain(|(_, start_ms), _| *start_ms < 1_741_604_400_000);
    assert_alike("5m", &found, &first, 0.0);
    assert_eq!(windows_in(dest.path(), "samples_1h").len(), 0, "5m covers the first hours, raw the others");
    let listed = series_in(dest.path());
    assert_eq!(listed.len() as u64, report.samples.series);
    assert_eq!(listed.iter().map(|(_, samples)| samples).sum::<i64>(), 720 + 360);
    // What an hour has beside five minutes and raw samples is in neither.
    assert!(report.samples.superseded > 0);
}

#[test]
fn as_is_keeps_hours_where_nothing_else_is_left() {
    let (source, dest) = (scratch(), scratch());
    copy_blocks("hours_left", &[HOUR], source.path());
    let options = ConvertOptions { downsampling: DownsampleOptions::as_is(), ..ConvertOptions::default() };
    let report = convert_to(source.path(), dest.path(), &options, 1).unwrap();
    assert_eq!((report.samples.difference(), report.exit_code()), (0, 0), "{:?}", report.samples);
    assert_alike("1h", &windows_in(dest.path(), "samples_1h"), &expected("hours_left", HOUR, HOUR), 0.0);
    assert_eq!(series_in(dest.path()).len(), 2);
}

fn only_raw(name: &str, to: &Path) -> std::path::PathBuf {
    copy_blocks(name, &[RAW], to);
    to.to_owned()
}

/// How downsampled blocks stand to finer ones.
#[derive(Debug, Clone, Copy)]
enum Sources {
    /// They have one more, whose raw block is gone.
    OneMore,
    /// They have their own, so that nothing tells that they are copies.
    Others,
}

/// Changes the sources of all downsampled blocks in `folder`.
fn set_sources(folder: &Path, sources: Sources) {
    for (at, block) in fs::read_dir(folder).unwrap().enumerate() {
        let block = block.unwrap().path();
        let mut meta = meta(&block);
        if meta["thanos"]["downsample"]["resolution"] != 0 {
            let own = serde_json::json!(format!("01KDVDNAZ{at:017}"));
            let list = meta["compaction"]["sources"].as_array_mut().unwrap();
            match sources {
                Sources::OneMore => list.push(own),
                Sources::Others => *list = vec![own],
            }
            fs::write(block.join("meta.json"), serde_json::to_vec(&meta).unwrap()).unwrap();
        }
    }
}

#[test]
fn what_finer_blocks_hold_is_superseded_whatever_its_sources_are() {
    for (name, sources) in ["bucket", "day", "batches"]
        .into_iter()
        .flat_map(|name| [Sources::OneMore, Sources::Others].map(|sources| (name, sources)))
    {
        let (source, copies) = (scratch(), scratch());
        copy_blocks(name, &[RAW, FIVE_MINUTES, HOUR], source.path());
        copy_blocks(name, &[RAW, FIVE_MINUTES, HOUR], copies.path());
        set_sources(copies.path(), sources);
        let name = format!("{name} {sources:?}");
        for resolution_ms in [FIVE_MINUTES, HOUR] {
            let (_, told) = converted_from(source.path(), scratch().path(), resolution_ms);
            let (report, found) = converted_from(copies.path(), scratch().path(), resolution_ms);
            assert!(report.samples.superseded > 0, "{name}: {:?}", report.samples);
            for (key, window) in &found {
                let bits = |window: &Window| window.values.map(|value| value.map(f64::to_bits));
                assert_eq!(
                    (window.count, bits(window)),
                    (told[key].count, bits(&told[key])),
                    "{name} {key:?}"
                );
            }
            assert_eq!(found.len(), told.len(), "{name}");
            // Hours cannot be part of five minutes.
            let lost = report.samples.lost_samples();
            assert_eq!(lost > 0, resolution_ms == FIVE_MINUTES, "{name}: {:?}", report.samples);
        }
    }
}

#[test]
fn raw_chunks_in_a_downsampled_block_are_aggregated_with_the_rest() {
    let (report, found) = converted("old_style", &[FIVE_MINUTES], HOUR).unwrap();
    assert_eq!(report.exit_code(), 0, "{:?}", report.samples);
    let expected = expected("old_style", HOUR, HOUR);
    let count = |windows: &Windows| windows.values().map(|window| window.count).sum::<i64>();
    assert_eq!(count(&found), count(&expected));
    assert_alike("old_style", &found, &expected, 1e-12);
}

#[test]
fn finer_blocks_that_come_later_are_read() {
    let (source, late, fresh) = (scratch(), scratch(), scratch());
    for resolution_ms in [HOUR, FIVE_MINUTES, RAW] {
        copy_blocks("day", &[resolution_ms], source.path());
        let of_late = converted_from(source.path(), late.path(), HOUR).0;
        assert_eq!(of_late.units.skipped + of_late.units.frozen, 0, "{resolution_ms}");
    }
    converted_from(source.path(), fresh.path(), HOUR);
    assert_eq!(windows_in(late.path(), "samples_1h"), windows_in(fresh.path(), "samples_1h"));
}

#[test]
fn windows_of_samples_are_not_replaced_by_those_of_aggregates_when_the_samples_are_gone() {
    let (raw, aggregates, dest) = (scratch(), scratch(), scratch());
    // One sample in each window: the counts of both are the same.
    copy_blocks("delta_classes", &[RAW], raw.path());
    copy_blocks("delta_classes", &[FIVE_MINUTES], aggregates.path());
    let options = ConvertOptions { partition_by: PartitionBy::None, ..at(FIVE_MINUTES) };
    convert_to(raw.path(), dest.path(), &options, 1).unwrap();
    let before = data_files(dest.path());
    let report = convert_to(aggregates.path(), dest.path(), &options, 1).unwrap();
    assert_eq!((report.units.done, report.units.frozen), (0, 1));
    let why = |finding: &Finding| {
        finding.name == "frozen-unit" && finding.message.contains("only aggregates of them")
    };
    assert!(report.findings.list.iter().any(why), "{:?}", report.findings.list);
    assert_eq!(data_files(dest.path()), before);
}

#[test]
fn aggregates_that_cannot_answer_are_lost_and_counted() {
    let (source, dest) = (scratch(), scratch());
    copy_blocks("raw_gone", &[FIVE_MINUTES], source.path());
    for resolution_ms in [RAW, 60_000, 420_000] {
        let mut options = at(resolution_ms);
        options.partition_by = PartitionBy::None;
        let report =
            convert_to(source.path(), &dest.path().join(resolution_ms.to_string()), &options, 1).unwrap();
        assert_eq!((report.samples.difference(), report.exit_code()), (0, 1));
        assert_eq!(report.samples.lost_samples(), report.samples.read);
    }
}

#[test]
fn windows_that_reach_out_of_the_time_range_are_left_out() {
    let (source, dest) = (scratch(), scratch());
    copy_blocks("raw_gone", &[FIVE_MINUTES], source.path());
    let options = ConvertOptions {
        min_time_ms: Some(1_741_593_600_000 + 60_000),
        max_time_ms: Some(1_741_593_600_000 + 1_260_000),
        ..at(FIVE_MINUTES)
    };
    let report = convert_to(source.path(), dest.path(), &options, 1).unwrap();
    assert_eq!(report.samples.difference(), 0);
    let starts: std::collections::BTreeSet<_> = windows_in(dest.path(), "samples_5m")
        .keys()
        .map(|(_, start)| (start - 1_741_593_600_000) / 60_000)
        .collect();
    assert_eq!(starts, [5, 10, 15].into());
}

#[test]
fn damaged_aggregates_are_counted_and_the_other_chunks_converted() {
    for folder in fs::read_dir(fixtures().join("thanos_broken")).unwrap() {
        let folder = folder.unwrap().path();
        let dest = scratch();
        let report = convert_to(&folder, dest.path(), &at(FIVE_MINUTES), 1).unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(report.samples.difference(), 0, "{name}: {:?}", report.samples);
        assert!(report.samples.windows > 0, "{name}");
        if name == "aggr_sound" {
            assert_eq!(report.exit_code(), 0);
        }
    }
}

/// Starts of windows, histograms in them, observations and their sum.
fn histogram_windows_in(dest: &Path, table: &str) -> BTreeMap<(i64, i64), (i64, f64, f64)> {
    let mut windows = BTreeMap::new();
    for batch in batches_in(dest, table) {
        let int = |name: &str, row| batch[name].as_primitive::<Int64Type>().value(row);
        let double = |name: &str, row| batch[name].as_primitive::<Float64Type>().value(row);
        for row in 0..batch.num_rows() {
            let start_ms = batch["timestamp"].as_primitive::<TimestampMillisecondType>().value(row);
            let said = (int("samples", row), double("count", row), double("sum", row));
            assert_eq!(windows.insert((int("series_id", row), start_ms), said), None);
        }
    }
    windows
}

#[test]
fn histogram_aggregates_say_what_the_raw_histograms_do() {
    for name in ["histogram_kinds", "histogram_batches", "histogram_alternating"] {
        let windows = |resolution_ms: i64| {
            let (source, dest) = (scratch(), scratch());
            copy_blocks(name, &[resolution_ms], source.path());
            let report = convert_to(source.path(), dest.path(), &at(HOUR), 1).unwrap();
            assert_eq!(report.samples.difference(), 0, "{name}: {:?}", report.samples);
            histogram_windows_in(dest.path(), "histograms_1h")
        };
        let (raw, found) = (windows(RAW), windows(FIVE_MINUTES));
        assert!(!found.is_empty() && found.keys().all(|key| raw.contains_key(key)), "{name}");
        if name != "histogram_kinds" {
            continue;
        }
        // What a counter grew by within its first window of five minutes is not told.
        let later = found.iter().filter(|(key, _)| found.range((key.0, i64::MIN)..**key).next().is_some());
        for (key, (samples, count, sum)) in later {
            let (raw_samples, raw_count, raw_sum) = raw[key];
            assert_eq!(*samples, raw_samples, "{key:?}");
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
            assert!(near(*count, raw_count) && near(*sum, raw_sum), "{key:?}: {count} and {raw_count}");
        }
    }
}

#[test]
fn what_every_fixture_holds_is_in_windows_or_counted() {
    for folder in fs::read_dir(fixtures().join("thanos")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        for (resolutions, to_ms) in [
            (&[FIVE_MINUTES][..], FIVE_MINUTES),
            (&[FIVE_MINUTES], HOUR),
            (&[HOUR], HOUR),
            (&[RAW, FIVE_MINUTES, HOUR], HOUR),
        ] {
            let (source, dest) = (scratch(), scratch());
            if copy_blocks(&name, resolutions, source.path()) > 0 {
                let options = ConvertOptions { partition_by: PartitionBy::None, ..at(to_ms) };
                let report = convert_to(source.path(), dest.path(), &options, 1).unwrap();
                assert_eq!(report.samples.difference(), 0, "{name}: {:?}", report.samples);
                // All times of one of them are beyond those of rows.
                assert!(report.samples.windows > 0 || name == "extreme_times", "{name}");
            }
        }
    }
}

/// Copies a block as another one with other sources, of another replica.
fn copy_as_replica(block: &Path, ulid: &str, to: &Path) {
    copy_folder(block, &to.join(ulid));
    let mut meta = meta(block);
    meta["ulid"] = ulid.into();
    meta["compaction"]["sources"] = serde_json::json!([ulid]);
    meta["thanos"]["labels"]["replica"] = "1".into();
    fs::write(to.join(ulid).join("meta.json"), serde_json::to_vec(&meta).unwrap()).unwrap();
}

#[test]
fn two_replicas_of_one_series_are_one_window_each() {
    let (source, one) = (scratch(), scratch());
    copy_blocks("raw_gone", &[FIVE_MINUTES], source.path());
    copy_blocks("raw_gone", &[FIVE_MINUTES], one.path());
    let block = fs::read_dir(one.path()).unwrap().next().unwrap().unwrap().path();
    copy_as_replica(&block, "01KDVDNMQS0000000000000001", source.path());
    let mut options = at(FIVE_MINUTES);
    options.labels.drop = ["replica".to_owned()].into();
    options.allow_merge = true;
    let convert = |source: &Path| {
        let dest = scratch();
        let report = convert_to(source, dest.path(), &options, 1).unwrap();
        assert_eq!((report.samples.difference(), report.exit_code()), (0, 0), "{:?}", report.samples);
        (report, windows_in(dest.path(), "samples_5m"))
    };
    let ((of_two, both), (of_one, alone)) = (convert(source.path()), convert(one.path()));
    assert_alike("replicas", &both, &alone, 0.0);
    assert_eq!((of_two.samples.duplicates, of_two.samples.conflicts), (72, 0));
    assert_eq!(of_two.samples.aggregated, of_one.samples.aggregated);
    // Raw samples of the one replica stand above aggregates of the other.
    let raw = scratch();
    copy_blocks("bucket", &[RAW], raw.path());
    copy_blocks("bucket", &[FIVE_MINUTES], one.path());
    for block in fs::read_dir(one.path()).unwrap() {
        let block = block.unwrap().path();
        let ulid = format!("{}1", &block.file_name().unwrap().to_str().unwrap()[..25]);
        copy_as_replica(&block, &ulid, raw.path());
    }
    let (report, found) = convert(raw.path());
    assert_eq!(report.samples.superseded, 72);
    assert!(found.iter().all(|(key, window)| window.values[3].is_some() == (key.1 >= 1_741_604_400_000)));
}
