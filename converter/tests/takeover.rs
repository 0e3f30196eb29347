//! Finer samples beside aggregates: which of them are used, and where a counter's steps begin when one takes over from the
//! other.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::aggregates::write_aggregates;
use common::windows::{Window, steps, windows_in, write_block};
use common::{Sample, convert_to, copy_folder, fixtures, samples_in, scratch, written};
use serde_json::{Value, json};
use tsdb_converter::downsample::DownsampleOptions;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::report::Report;
use tsdb_converter::resolution::Resolution;
use tsdb_converter::tally::Loss;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;

const FIVE_MINUTES: i64 = 300_000;
const HOUR: i64 = 3_600_000;
/// A source that no block at hand descends from but the aggregates: their raw block is gone.
const GONE: &str = "01KDVDNAZ80000000000000000";

fn meta(block: &Path) -> Value {
    serde_json::from_slice(&fs::read(block.join("meta.json")).unwrap()).unwrap()
}

fn set_meta(block: &Path, edit: impl FnOnce(&mut Value)) {
    let mut meta = meta(block);
    edit(&mut meta);
    fs::write(block.join("meta.json"), serde_json::to_vec(&meta).unwrap()).unwrap();
}

/// The block of a fixture that has this resolution.
fn block_of(name: &str, resolution_ms: i64) -> PathBuf {
    let blocks = fs::read_dir(fixtures().join("thanos").join(name)).unwrap();
    let mut blocks = blocks.map(|block| block.unwrap().path());
    blocks.find(|block| meta(block)["thanos"]["downsample"]["resolution"] == resolution_ms).unwrap()
}

/// Copies a downsampled block, as compacted from one more source.
fn copy_aggregates(name: &str, resolution_ms: i64, to: &Path) -> PathBuf {
    let block = block_of(name, resolution_ms);
    let copy = to.join(block.file_name().unwrap());
    copy_folder(&block, &copy);
    set_meta(&copy, |meta| meta["compaction"]["sources"].as_array_mut().unwrap().push(json!(GONE)));
    copy
}

/// Writes a raw block with the Thanos section and the sources of `like`, edited.
fn write_raw(
    folder: &Path,
    like: &Path,
    series: &[(Labels, Vec<Sample>)],
    edit: impl FnOnce(&mut Value),
) -> Option<PathBuf> {
    let block = write_block(folder, 1, series)?;
    let like = meta(like);
    set_meta(&block, |meta| {
        meta["thanos"] =
            json!({ "version": 1, "labels": like["thanos"]["labels"], "downsample": { "resolution": 0 } });
        let sources = like["compaction"]["sources"].as_array().unwrap();
        let known: Vec<_> = sources.iter().filter(|source| **source != GONE).collect();
        meta["compaction"] = json!({ "level": 1, "sources": known });
        edit(meta);
    });
    Some(block)
}

fn is_stranger(meta: &mut Value) {
    meta["compaction"]["sources"] = json!([meta["ulid"]]);
}

fn at(resolution_ms: i64, partition_by: PartitionBy) -> ConvertOptions {
    let resolution = Resolution::windows(resolution_ms).unwrap();
    let downsampling = DownsampleOptions::at(resolution);
    ConvertOptions { downsampling, partition_by, ..ConvertOptions::default() }
}

fn converted(source: &Path, options: &ConvertOptions) -> (Report, BTreeMap<i64, Vec<Window>>) {
    let dest = scratch();
    let report = convert_to(source, dest.path(), options, 1).unwrap();
    assert_eq!(report.samples.difference(), 0, "{:?}", report.samples);
    let resolution = options.downsampling.resolutions().into_iter().max().unwrap();
    (report, windows_in(dest.path(), &format!("samples_{resolution}")))
}

/// Samples of a fixture's raw block by series.
fn raw_samples(name: &str) -> BTreeMap<i64, Vec<Sample>> {
    let dest = scratch();
    convert_to(&block_of(name, 0), dest.path(), &ConvertOptions::default(), 1).unwrap();
    samples_in(dest.path())
}

fn counter() -> Labels {
    written::labels("requests_total", &[("job", "api")])
}

/// The samples of fixture `day`.
struct Day {
    counter_id: i64,
    counter: Vec<Sample>,
    gauge: Vec<Sample>,
}

impl Day {
    fn read() -> Self {
        let (_, windows) = converted(&block_of("day", 0), &at(HOUR, PartitionBy::None));
        let counter_id = *windows.iter().find(|(_, windows)| windows[0].values[5].is_some()).unwrap().0;
        let mut samples = raw_samples("day");
        let counter = samples.remove(&counter_id).unwrap();
        Self { counter_id, counter, gauge: samples.pop_first().unwrap().1 }
    }
}

fn sum_of(windows: &[Window]) -> f64 {
    windows.iter().map(Window::increase).sum()
}

/// What every sample of the counter grew by, by a plain computation.
fn plain(samples: &[Sample]) -> f64 {
    steps(samples, HOUR).iter().map(|(_, step)| step).sum()
}

/// Windows of both and what is not counted: aggregates of `day`, with the raw samples that `is_there`.
fn beside_raw(
    own_ms: i64,
    to_ms: i64,
    day: &Day,
    is_there: impl Fn(i64) -> bool,
) -> [(Report, Vec<Window>); 2] {
    let source = scratch();
    let aggregates = copy_aggregates("day", own_ms, source.path());
    let there = |samples: &[Sample]| samples.iter().filter(|(at, ..)| is_there(*at)).copied().collect();
    let gauge = written::labels("queue_length", &[("job", "api")]);
    let series = [(counter(), there(&day.counter)), (gauge, there(&day.gauge))];
    write_raw(source.path(), &aggregates, &series, |_| {});
    [PartitionBy::Hour, PartitionBy::None].map(|by| {
        let (report, mut windows) = converted(source.path(), &at(to_ms, by));
        (report, windows.remove(&day.counter_id).unwrap())
    })
}

/// Starts of all windows of the samples but the first.
fn borders(samples: &[Sample], width_ms: i64) -> Vec<i64> {
    let mut starts: Vec<i64> = samples.iter().map(|at| at.0 - at.0.rem_euclid(width_ms)).collect();
    starts.dedup();
    starts.split_off(1)
}

/// The step to the first sample at or after a time.
fn step_at(samples: &[Sample], time_ms: i64) -> f64 {
    steps(samples, HOUR).into_iter().find(|(at, _)| *at >= time_ms).unwrap().1
}

#[test]
fn a_counter_adds_up_wherever_raw_samples_take_over_from_aggregates() {
    let day = Day::read();
    let all = plain(&day.counter);
    let mut unknown = 0;
    for (own_ms, to_ms, every) in [(FIVE_MINUTES, FIVE_MINUTES, 2), (FIVE_MINUTES, HOUR, 1), (HOUR, HOUR, 1)]
    {
        for border_ms in borders(&day.counter, to_ms).into_iter().step_by(every) {
            let [hours, whole] = beside_raw(own_ms, to_ms, &day, |time_ms| time_ms >= border_ms);
            let told = format!("{own_ms} {to_ms} {border_ms}");
            assert_eq!(hours.1, whole.1, "{told}");
            assert_eq!(whole.0.samples.lost_samples(), 0, "{told}: {:?}", whole.0.samples);
            let missing = all - sum_of(&whole.1);
            // Between two resets in one chunk a value is unknown: one step adds nothing.
            let step = if missing == 0.0 { 0.0 } else { step_at(&day.counter, border_ms) };
            assert_eq!(missing, step, "{told}");
            unknown += usize::from(missing != 0.0);
            let counted: i64 = whole.1.iter().map(|window| window.count).sum();
            assert_eq!(counted as usize, day.counter.len(), "{told}");
        }
    }
    assert!((1..30).contains(&unknown), "{unknown}");
}

#[test]
fn a_counter_adds_up_wherever_aggregates_go_on_after_raw_samples() {
    let day = Day::read();
    for (own_ms, to_ms, every) in [(FIVE_MINUTES, FIVE_MINUTES, 3), (FIVE_MINUTES, HOUR, 1), (HOUR, HOUR, 1)]
    {
        for border_ms in borders(&day.counter, to_ms).into_iter().step_by(every) {
            let [hours, whole] = beside_raw(own_ms, to_ms, &day, |time_ms| time_ms < border_ms);
            assert_eq!(hours.1, whole.1, "{own_ms} {to_ms} {border_ms}");
            assert_eq!(sum_of(&whole.1), plain(&day.counter), "{own_ms} {to_ms} {border_ms}");
            assert_eq!(whole.0.samples.lost_samples(), 0);
        }
    }
}

#[test]
fn raw_that_begins_inside_a_window_loses_that_window_and_no_step() {
    let day = Day::read();
    let begin_ms = 1_741_633_800_000 + 150_000;
    let [hours, whole] = beside_raw(FIVE_MINUTES, FIVE_MINUTES, &day, |time_ms| time_ms >= begin_ms);
    assert_eq!(hours.1, whole.1);
    assert_eq!((whole.0.exit_code(), &whole.0.samples.lost), (1, &[(Loss::MixedWindow, 2)].into()));
    assert_eq!(sum_of(&whole.1), plain(&day.counter));
    // In wider windows all aggregates of the hour are lost, with what they grew by.
    let [_, whole] = beside_raw(FIVE_MINUTES, HOUR, &day, |time_ms| time_ms >= begin_ms);
    assert_eq!(whole.0.samples.lost, [(Loss::MixedWindow, 6)].into());
    let hour_ms = begin_ms - begin_ms.rem_euclid(HOUR);
    let before: f64 = steps(&day.counter, HOUR)
        .iter()
        .filter(|(at, _)| (hour_ms..1_741_633_800_000).contains(at))
        .map(|(_, step)| step)
        .sum();
    assert_eq!(sum_of(&whole.1), plain(&day.counter) - before);
}

#[test]
fn aggregates_of_an_hour_go_on_in_those_of_five_minutes_and_these_in_raw_samples() {
    // Hours 0 to 5, of which 3 to 5 are there in five minutes, and 6 to 8 as samples.
    let source = scratch();
    let blocks = fs::read_dir(fixtures().join("thanos/bucket")).unwrap().map(|block| block.unwrap().path());
    let of_bucket = |meta: &Value| {
        (meta["minTime"].as_i64().unwrap(), meta["thanos"]["downsample"]["resolution"].as_i64().unwrap())
    };
    let wanted = [(1_741_604_400_000, FIVE_MINUTES), (1_741_615_200_000, 0)];
    for block in blocks.filter(|block| wanted.contains(&of_bucket(&meta(block)))) {
        copy_folder(&block, &source.path().join(block.file_name().unwrap()));
    }
    let hours = copy_aggregates("hours_left", HOUR, source.path());
    set_meta(&hours, |meta| {
        meta["compaction"]["sources"].as_array_mut().unwrap().push(json!("01KDVDNBYGP2J0JTVFKAD29JGN"))
    });
    let samples: Vec<Sample> = minutes(540);
    for by in [PartitionBy::Hour, PartitionBy::Day] {
        let (report, windows) = converted(source.path(), &at(HOUR, by));
        assert_eq!((report.samples.superseded, report.samples.lost_samples()), (6, 0));
        let counter = windows.values().find(|windows| windows[0].values[5].is_some()).unwrap();
        assert_eq!(sum_of(counter), plain(&samples));
    }
}

/// Converts the aggregates of fixture `raw_gone` beside a raw block of one series.
fn beside_block(
    labels: &Labels,
    samples: &[Sample],
    edit: impl FnOnce(&mut Value),
    options: &ConvertOptions,
) -> (Report, BTreeMap<i64, Vec<Window>>) {
    let source = scratch();
    let aggregates = copy_aggregates("raw_gone", FIVE_MINUTES, source.path());
    write_raw(source.path(), &aggregates, &[(labels.clone(), samples.to_vec())], edit);
    converted(source.path(), options)
}

/// A sample a minute, as the counters of fixtures `raw_gone`, `hours_left` and `bucket` have them.
fn minutes(samples: i64) -> Vec<Sample> {
    (0..samples).map(|at| (1_741_593_600_000 + at * 60_000, ((at % 250 * 3) as f64).to_bits(), 0)).collect()
}

#[test]
fn a_raw_block_supersedes_only_what_it_has_a_source_in_common_with() {
    let options = at(FIVE_MINUTES, PartitionBy::Day);
    let other = written::labels("backfilled", &[("job", "other")]);
    type Case = (&'static str, fn(&mut Value), u64);
    let kin: [Case; 6] = [
        ("the series was deleted from the block it was made of", |_| {}, 72),
        ("a backfill", is_stranger, 0),
        ("no sources", |meta| meta["compaction"]["sources"] = json!([]), 0),
        ("other labels", |meta| meta["thanos"]["labels"]["replica"] = json!("1"), 0),
        (
            "part of a split block",
            |meta| meta["thanos"]["extensions"] = json!({ "partition_info": { "p": 1 } }),
            0,
        ),
        ("a shard", |meta| meta["thanos"]["labels"]["__compactor_shard_id__"] = json!("1_of_2"), 0),
    ];
    for (what, edit, superseded) in kin {
        let mut samples = minutes(180);
        // It covers the last window, too.
        samples.push((1_741_604_400_000, 0, 0));
        let (report, windows) = beside_block(&other, &samples, edit, &options);
        assert_eq!((report.samples.superseded, report.exit_code()), (superseded, 0), "{what}");
        let aggregates: usize =
            windows.values().filter(|windows| windows[0].values[3].is_none()).map(Vec::len).sum();
        assert_eq!(aggregates as u64, 72 - superseded, "{what}");
    }
}

#[test]
fn samples_of_a_stranger_supersede_the_windows_that_they_are_all_of() {
    let options = at(FIVE_MINUTES, PartitionBy::Day);
    let (report, windows) = beside_block(&counter(), &minutes(180), is_stranger, &options);
    assert_eq!((report.samples.superseded, report.exit_code()), (36, 0), "{:?}", report.samples);
    let id = *windows.iter().find(|(_, windows)| windows[0].values[3].is_some()).unwrap().0;
    assert_eq!(sum_of(&windows[&id]), plain(&minutes(180)));
    // Some of the samples of two windows: there the aggregates are lost, elsewhere they stay.
    let some = [&minutes(180)[7..9], &minutes(180)[61..62]].concat();
    let (report, windows) = beside_block(&counter(), &some, is_stranger, &options);
    assert_eq!((report.exit_code(), &report.samples.lost), (1, &[(Loss::MixedWindow, 2)].into()));
    assert_eq!(report.samples.superseded, 0);
    let counts: Vec<i64> = windows[&id].iter().map(|window| window.count).collect();
    let mut expected = vec![5; 36];
    (expected[1], expected[12]) = (2, 1);
    assert_eq!(counts, expected);
    // Made wider, all of an hour with a raw sample is lost but that.
    let (report, windows) = beside_block(&counter(), &some, is_stranger, &at(HOUR, PartitionBy::Day));
    assert_eq!(report.samples.lost, [(Loss::MixedWindow, 24)].into());
    assert_eq!(windows[&id].iter().map(|window| window.count).collect::<Vec<_>>(), [2, 1, 60]);
}

#[test]
fn samples_of_a_replica_stand_for_the_windows_within_them() {
    let mut options = at(FIVE_MINUTES, PartitionBy::Day);
    options.labels.drop = ["replica".to_owned()].into();
    options.allow_merge = true;
    let replica = |meta: &mut Value| {
        is_stranger(meta);
        meta["thanos"]["labels"]["replica"] = json!("1");
    };
    // Scraped at other times, and not always.
    let mut samples: Vec<Sample> =
        minutes(180).into_iter().map(|(at, bits, _)| (at + 31_000, bits, 0)).collect();
    samples.drain(..42);
    samples.retain(|(at, ..)| at / 60_000 % 7 != 0);
    let (report, windows) = beside_block(&counter(), &samples, replica, &options);
    assert_eq!(report.samples.superseded, 27, "{:?}", report.samples);
    assert_eq!(report.samples.lost, [(Loss::MixedWindow, 1)].into());
    let of_counter = windows.values().find(|windows| windows[10].values[3].is_some()).unwrap();
    assert!(of_counter.iter().enumerate().all(|(at, window)| window.values[3].is_some() == (at >= 8)));
}

/// 2025-03-10 00:00.
const MIDNIGHT: i64 = 1_741_564_800_000;
const MINUTE: i64 = 60_000;

/// A counter with a sample in each of these minutes, some seconds after it begins.
fn each_minute(minutes: std::ops::Range<i64>, after_ms: i64, value: impl Fn(i64) -> i64) -> Vec<Sample> {
    minutes.map(|at| (MIDNIGHT + at * MINUTE + after_ms, (value(at) as f64).to_bits(), 0)).collect()
}

/// What the one counter of these blocks grew by; it does not depend on partitions.
fn grown(source: &Path, edit: impl Fn(&mut ConvertOptions)) -> (Report, f64) {
    let [hours, whole] = [PartitionBy::Hour, PartitionBy::None].map(|by| {
        let mut options = at(FIVE_MINUTES, by);
        edit(&mut options);
        let (report, mut windows) = converted(source, &options);
        (report, windows.pop_first().unwrap().1)
    });
    assert_eq!(hours.1, whole.1);
    (whole.0, sum_of(&whole.1))
}

/// Aggregates without some minutes, these raw beside them.
fn gap_filled(all: &[Sample], gap: std::ops::Range<i64>, filled: std::ops::Range<i64>) -> f64 {
    let source = scratch();
    let is_in = |minutes: &std::ops::Range<i64>, at: i64| minutes.contains(&((at - MIDNIGHT) / MINUTE));
    let (inside, others): (Vec<Sample>, Vec<Sample>) = all.iter().partition(|(at, ..)| is_in(&gap, *at));
    let block = write_aggregates(source.path(), (2, GONE), &json!({}), (&counter(), &others), FIVE_MINUTES);
    let raw: Vec<Sample> = inside.into_iter().filter(|(at, ..)| is_in(&filled, *at)).collect();
    write_raw(source.path(), &block, &[(counter(), raw)], is_stranger);
    let (report, sum) = grown(source.path(), |_| {});
    assert_eq!((report.exit_code(), report.samples.superseded), (0, 0));
    sum
}

#[test]
fn a_gap_inside_an_aggregate_chunk_that_raw_samples_fill_counts_once() {
    let all = each_minute(1..600, 5_000, |at| at);
    for minutes in [10, 60, 90, 200] {
        assert_eq!(gap_filled(&all, 240..240 + minutes, 0..600), 598.0, "{minutes}");
    }
    // What the samples leave open is one step: a short one counts, a long one does not.
    assert_eq!(gap_filled(&all, 240..300, 240..250), 598.0);
    assert_eq!(gap_filled(&all, 240..360, 240..250), 598.0 - 111.0);
    assert_eq!(gap_filled(&all, 240..420, 400..420), 598.0 - 161.0);
    // Resets: before the samples reach the value of before the gap, at their end, and after them.
    for reset in [250, 299, 300, 302, 310] {
        let all = each_minute(1..600, 5_000, |at| if at < reset { at } else { (at - reset) * 7 });
        let (sum, plain) = (gap_filled(&all, 240..300, 0..600), plain(&all));
        assert!(sum <= plain, "{reset}: {sum} of {plain}");
        assert!(sum >= plain - 2.0 * 300.0, "{reset}: {sum} of {plain}");
        if reset == 250 || reset == 310 {
            assert_eq!(sum, plain, "{reset}");
        }
    }
}

#[test]
fn a_gap_in_the_aggregates_of_one_replica_counts_once() {
    for minutes in [10, 90, 200] {
        let source = scratch();
        let all = each_minute(1..600, 5_000, |at| at);
        let some: Vec<Sample> = [&all[..239], &all[239 + minutes..]].concat();
        for (replica, samples) in [(1u8, &all), (2, &some)] {
            let external = json!({ "replica": replica.to_string() });
            let source_ulid = format!("01KDVDNAZ8000000000000000{replica}");
            write_aggregates(
                source.path(),
                (replica, &source_ulid),
                &external,
                (&counter(), samples),
                FIVE_MINUTES,
            );
        }
        let (report, sum) = grown(source.path(), |options| {
            options.labels.drop = ["replica".to_owned()].into();
            options.allow_merge = true;
        });
        assert_eq!((report.exit_code(), sum), (0, 598.0), "{minutes}");
    }
}

#[test]
fn as_many_samples_of_other_values_do_not_hold_a_window() {
    let source = scratch();
    let [own, others] = [5_000, 35_000].map(|after_ms| each_minute(100..200, after_ms, |at| at));
    let shifted: Vec<Sample> =
        others.iter().map(|&(at, bits, _)| (at, (f64::from_bits(bits) + 0.5).to_bits(), 0)).collect();
    let block = write_aggregates(source.path(), (2, GONE), &json!({}), (&counter(), &own), FIVE_MINUTES);
    write_raw(source.path(), &block, &[(counter(), shifted)], is_stranger);
    let (report, _) = grown(source.path(), |_| {});
    assert_eq!((report.samples.superseded, &report.samples.lost), (0, &[(Loss::MixedWindow, 20)].into()));
    // The same samples hold it.
    let source = scratch();
    let block = write_aggregates(source.path(), (2, GONE), &json!({}), (&counter(), &own), FIVE_MINUTES);
    write_raw(source.path(), &block, &[(counter(), own)], is_stranger);
    let (report, sum) = grown(source.path(), |_| {});
    assert_eq!((report.samples.superseded, report.exit_code(), sum), (20, 0, 99.0));
}

#[test]
fn histograms_that_raw_holds_in_full_are_superseded() {
    let source = scratch();
    let raw = block_of("histogram_batches", 0);
    copy_folder(&raw, &source.path().join(raw.file_name().unwrap()));
    let aggregates = copy_aggregates("histogram_batches", FIVE_MINUTES, source.path());
    set_meta(&aggregates, |meta| meta["maxTime"] = json!(meta["maxTime"].as_i64().unwrap() + HOUR));
    set_meta(&source.path().join(raw.file_name().unwrap()), is_stranger);
    let report = converted(source.path(), &at(FIVE_MINUTES, PartitionBy::None)).0;
    assert_eq!((report.exit_code(), report.samples.lost_samples()), (0, 0), "{:?}", report.samples);
    assert!(report.samples.superseded > 0);
}

#[test]
fn windows_that_begin_before_the_year_1_are_lost() {
    let first_ms = -62_135_596_800_000;
    let samples: Vec<Sample> = (0..20).map(|at| (first_ms + at * 60_000, 1f64.to_bits(), 0)).collect();
    let source = scratch();
    write_block(source.path(), 1, &[(counter(), samples)]).unwrap();
    let width_ms = 7 * 60_000;
    let before = width_ms - first_ms.rem_euclid(width_ms);
    let (report, windows) = converted(source.path(), &at(width_ms, PartitionBy::None));
    let lost = (before / 60_000) as u64;
    assert!(lost > 0 && before % 60_000 == 0);
    assert_eq!(report.samples.lost, [(Loss::TimestampOutOfRange, lost)].into());
    assert!(windows.values().flatten().all(|window| window.start_ms >= first_ms));
}
