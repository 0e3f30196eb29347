//! Replicas: of series that differ in replica labels alone, one at a time is followed.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::windows::{Window, windows_in, write_block};
use common::{Sample, Samples, convert_to, copy_folder, data_files, fixtures, samples_in, scratch};
use proptest::prelude::*;
use serde_json::{Value, json};
use tsdb_converter::convert::ConvertError;
use tsdb_converter::downsample::DownsampleOptions;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::relabel::LabelOptions;
use tsdb_converter::report::Report;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;

/// A midnight.
const MIDNIGHT_MS: i64 = 1_741_651_200_000;
const HOUR_MS: i64 = 3_600_000;

const PARTITIONS: [PartitionBy; 4] =
    [PartitionBy::None, PartitionBy::Month, PartitionBy::Day, PartitionBy::Hour];

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn up() -> Labels {
    labels(&[("__name__", "requests_total")])
}

fn with_replica_label(partition_by: PartitionBy) -> ConvertOptions {
    let labels = LabelOptions { replica: ["replica".to_owned()].into(), ..LabelOptions::default() };
    ConvertOptions { labels, partition_by, ..ConvertOptions::default() }
}

fn windows_of(width: &str, partition_by: PartitionBy) -> ConvertOptions {
    let downsampling = DownsampleOptions::at(width.parse().unwrap());
    ConvertOptions { downsampling, ..with_replica_label(partition_by) }
}

/// Gives a block its external labels.
fn label_block(block: &Path, labels: &[(&str, &str)]) {
    let file = block.join("meta.json");
    let mut meta: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let labels: Value = labels.iter().map(|&(name, value)| (name.to_owned(), json!(value))).collect();
    meta["thanos"] = json!({"labels": labels, "downsample": {"resolution": 0}, "source": "sidecar"});
    fs::write(file, serde_json::to_vec(&meta).unwrap()).unwrap();
}

/// A SOURCE and a DEST.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("source")).unwrap();
        Self { folder }
    }

    /// A block for each replica, whose label the block has.
    fn of_replicas(replicas: &[Vec<Sample>]) -> Self {
        let place = Self::new();
        for (replica, samples) in (0..).zip(replicas) {
            place.add(replica, samples);
        }
        place
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn dest(&self) -> PathBuf {
        self.folder.path().join("dest")
    }

    fn add(&self, replica: u8, samples: &[Sample]) {
        if let Some(block) = write_block(&self.source(), replica, &[(up(), samples.to_vec())]) {
            label_block(&block, &[("replica", &replica.to_string())]);
        }
    }

    fn run(&self, options: &ConvertOptions) -> Report {
        let report = convert_to(&self.source(), &self.dest(), options, 2).unwrap();
        assert!(report.adds_up, "{report:#?}");
        assert_eq!(report.exit_code(), 0, "{report:#?}");
        report
    }

    /// Into a DEST of its own.
    fn samples(&self, options: &ConvertOptions) -> (Report, Samples) {
        let dest = scratch();
        let report = convert_to(&self.source(), dest.path(), options, 2).unwrap();
        assert!(report.adds_up, "{report:#?}");
        (report, samples_in(dest.path()))
    }

    fn windows(&self, options: &ConvertOptions) -> Vec<Window> {
        let dest = scratch();
        let report = convert_to(&self.source(), dest.path(), options, 2).unwrap();
        assert!(report.adds_up, "{report:#?}");
        windows_in(dest.path(), "samples_5m").into_values().flatten().collect()
    }
}

/// What Thanos answers.
fn cases() -> Vec<Value> {
    let text = fs::read_to_string(fixtures().join("expected/thanos_replicas.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn samples_of(list: &Value) -> Vec<Sample> {
    let bits = |sample: &Value| u64::from_str_radix(sample[1].as_str().unwrap(), 16).unwrap();
    let samples = list.as_array().unwrap().iter();
    samples.map(|sample| (sample[0].as_i64().unwrap(), bits(sample), 0)).collect()
}

fn replicas_of(case: &Value) -> Vec<Vec<Sample>> {
    case["replicas"].as_array().unwrap().iter().map(samples_of).collect()
}

/// The samples of all hours.
fn followed(case: &Value) -> Vec<Sample> {
    case["hours"].as_array().unwrap().iter().flat_map(|hour| samples_of(&hour["samples"])).collect()
}

/// So many seconds from midnight on.
fn samples(of: &[(i64, u32)]) -> Vec<Sample> {
    of.iter().map(|&(second, value)| (MIDNIGHT_MS + second * 1000, f64::from(value).to_bits(), 0)).collect()
}

#[test]
fn blocks_that_differ_in_a_replica_label_give_the_samples_that_thanos_answers() {
    for case in cases() {
        let replicas = replicas_of(&case);
        let expected = followed(&case);
        let all: usize = replicas.iter().map(Vec::len).sum();
        for by in [PartitionBy::None, PartitionBy::Hour] {
            let (report, found) = Place::of_replicas(&replicas).samples(&with_replica_label(by));
            assert_eq!(found, Samples::from([(series_id(&up()), expected.clone())]), "{} {by}", case["name"]);
            assert_eq!(report.samples.read, all as u64);
            assert_eq!(report.samples.replica_removed, (all - expected.len()) as u64);
            assert_eq!((report.samples.duplicates, report.samples.merged_series), (0, 0));
        }
    }
}

#[test]
fn series_of_one_block_may_be_replicas() {
    for case in cases() {
        let series: Vec<_> = replicas_of(&case)
            .into_iter()
            .enumerate()
            .map(|(at, samples)| {
                (labels(&[("__name__", "requests_total"), ("replica", &at.to_string())]), samples)
            })
            .collect();
        let place = Place::new();
        write_block(&place.source(), 1, &series).unwrap();
        let (_, found) = place.samples(&with_replica_label(PartitionBy::Day));
        assert_eq!(found, Samples::from([(series_id(&up()), followed(&case))]), "{}", case["name"]);
    }
}

#[test]
fn without_the_option_replicas_stay_apart_and_a_note_names_the_label() {
    let place = Place::of_replicas(&replicas_of(&cases()[0]));
    let (report, found) = place.samples(&ConvertOptions::default());
    assert_eq!((found.len(), report.samples.replica_removed), (2, 0));
    let notes: Vec<_> = report.findings.list.iter().filter(|at| at.name == "replicas-apart").collect();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].message.contains("--replica-label replica"), "{}", notes[0].message);
    let (report, _) = place.samples(&with_replica_label(PartitionBy::Day));
    assert!(report.findings.list.iter().all(|at| at.name != "replicas-apart"));
}

#[test]
fn a_dest_refuses_other_replica_labels() {
    let place = Place::of_replicas(&replicas_of(&cases()[0]));
    place.run(&ConvertOptions::default());
    let other = convert_to(&place.source(), &place.dest(), &with_replica_label(PartitionBy::Day), 1);
    assert!(matches!(other, Err(ConvertError::Dest(_))), "{other:?}");
}

#[test]
fn a_replica_that_comes_later_is_taken_though_less_may_be_followed() {
    let place = Place::new();
    // Every 20 s; then one of every 30 s is followed, since it begins earlier.
    place.add(1, &samples(&[(25, 1), (45, 2), (65, 3), (85, 4), (105, 5), (125, 6), (145, 7)]));
    let alone = place.run(&with_replica_label(PartitionBy::Day));
    assert_eq!((alone.samples.written, alone.units.done), (7, 1));
    place.add(0, &samples(&[(10, 1), (24, 2), (54, 3), (84, 4), (114, 5), (144, 6)]));
    let both = place.run(&with_replica_label(PartitionBy::Day));
    assert_eq!((both.units.done, both.units.frozen), (1, 0), "{both:#?}");
    assert_eq!((both.samples.written, both.samples.replica_removed), (6, 7));
    assert_eq!(place.run(&with_replica_label(PartitionBy::Day)).units.skipped, 1);
    assert_eq!(data_files(&place.dest()).len(), 2);
}

#[test]
fn a_step_to_a_replica_that_is_behind_is_no_reset() {
    // The second replica is late, and is followed from its first sample on until it ends.
    let ahead = samples(&[(10, 1000), (25, 1010), (40, 1020), (55, 1030), (310, 1200), (325, 1210)]);
    let behind =
        samples(&[(20, 990), (35, 1000), (50, 1010), (65, 1020), (80, 1029), (95, 1050), (110, 1060)]);
    let windows = Place::of_replicas(&[ahead, behind]).windows(&windows_of("5m", PartitionBy::Day));
    let found: Vec<_> = windows.iter().map(|window| (window.count, window.increase())).collect();
    // From 1000 to 990 it is nothing, and from 1060, raised by 10, to 1200 it is 130.
    assert_eq!(found, [(8, 70.0), (2, 140.0)]);
}

#[test]
fn increases_within_an_hour_are_those_of_thanos() {
    let mut compared = 0;
    for case in cases().iter().filter(|case| case["name"] != "stale_marker") {
        let windows = Place::of_replicas(&replicas_of(case)).windows(&windows_of("5m", PartitionBy::Day));
        let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
        for hour in case["hours"].as_array().unwrap() {
            let totals = samples_of(&hour["counter"]);
            for pair in totals.windows(2) {
                let window_ms = pair[1].0.div_euclid(300_000) * 300_000;
                let step = f64::from_bits(pair[1].1) - f64::from_bits(pair[0].1);
                *expected.entry(window_ms).or_default() += step;
            }
            // Its first step begins in another hour.
            expected.insert(totals[0].0.div_euclid(300_000) * 300_000, f64::NAN);
        }
        assert_eq!(expected.len(), windows.len());
        for (window, (start_ms, increase)) in windows.iter().zip(expected) {
            assert_eq!(window.start_ms, start_ms);
            if !increase.is_nan() {
                assert!(
                    (window.increase() - increase).abs() < 1e-9,
                    "{} {window:?} {increase}",
                    case["name"]
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn increases_of_replicas_are_those_of_one_where_they_agree() {
    // Both see the same counter, reset in the middle of an hour and at a midnight; each has gaps.
    let value = |second: i64| match second {
        ..-2000 => (second + 9000) as f64,
        -2000..0 => (second + 2000) as f64,
        _ => second as f64,
    };
    let line = |first: i64, gap: std::ops::Range<i64>| -> Vec<Sample> {
        let seconds = (-7200 + first..7200).step_by(15).filter(|second| !gap.contains(second));
        seconds.map(|second| (MIDNIGHT_MS + second * 1000, value(second).to_bits(), 0)).collect()
    };
    let replicas = [line(0, -1000..-400), line(7, 3500..3900)];
    let place = Place::of_replicas(&replicas);
    let whole = place.windows(&windows_of("5m", PartitionBy::None));
    let total: f64 = whole.iter().map(Window::increase).sum();
    // All of the way, but for a scrape at each end and reset.
    assert!((14_330.0..=14_400.0).contains(&total), "{total}");
    for by in [PartitionBy::Day, PartitionBy::Hour] {
        assert_eq!(place.windows(&windows_of("5m", by)), whole, "{by}");
    }
}

#[test]
fn of_aggregates_of_two_replicas_one_is_in_a_window() {
    let place = Place::new();
    let day = fixtures().join("thanos/day/01KDVDNMQR61JABGG139GZPAAX");
    let mut of_one: Option<Vec<Window>> = None;
    for (replica, ulid) in [("0", "01KDVDNMQR61JABGG139GZPAAX"), ("1", "01KDVDNMQR61JABGG139GZPAAY")] {
        let block = place.source().join(ulid);
        copy_folder(&day, &block);
        let text = fs::read_to_string(block.join("meta.json")).unwrap();
        let mut meta: Value = serde_json::from_str(&text).unwrap();
        meta["ulid"] = json!(ulid);
        meta["compaction"]["sources"] = json!([ulid]);
        meta["thanos"]["labels"]["replica"] = json!(replica);
        fs::write(block.join("meta.json"), serde_json::to_vec(&meta).unwrap()).unwrap();
        let windows = place.windows(&windows_of("5m", PartitionBy::Day));
        assert!(!windows.is_empty());
        assert_eq!(of_one.get_or_insert_with(|| windows.clone()), &windows);
    }
    let report = place.run(&windows_of("5m", PartitionBy::Day));
    assert_eq!(report.samples.replica_removed, report.samples.aggregated);
    assert_eq!(report.samples.duplicates, 0);
}

/// Two replicas as the algorithm is written down, by times alone.
fn plain_pair(a: &[i64], b: &[i64]) -> Vec<i64> {
    let (mut next_a, mut next_b, mut penalty_a, mut penalty_b) = (0, 0, 0, 0);
    let mut followed: Vec<i64> = Vec::new();
    loop {
        if let Some(&last) = followed.last() {
            while a.get(next_a).is_some_and(|&at| at < last + 1 + penalty_a) {
                next_a += 1;
            }
            while b.get(next_b).is_some_and(|&at| at < last + 1 + penalty_b) {
                next_b += 1;
            }
        }
        let penalty = |at: i64| followed.last().map_or(5000, |&last| 2 * (at - last));
        let taken = match (a.get(next_a).copied(), b.get(next_b).copied()) {
            (None, None) => return followed,
            (Some(a), Some(b)) if a <= b => {
                (penalty_a, penalty_b) = (0, penalty(a));
                a
            }
            (Some(_), Some(b)) => {
                (penalty_a, penalty_b) = (penalty(b), 0);
                b
            }
            (Some(a), None) => {
                penalty_a = 0;
                a
            }
            (None, Some(b)) => {
                penalty_b = 0;
                b
            }
        };
        followed.push(taken);
    }
}

fn replica() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![8 => 14_000i64..16_000, 1 => 1i64..200_000, 1 => 200_000i64..8_000_000];
    (0i64..20_000, prop::collection::vec(step, 1..80)).prop_map(|(first, steps)| {
        let times = steps.iter().scan(MIDNIGHT_MS - HOUR_MS + first, |at, step| {
            *at += step;
            Some(*at)
        });
        times.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_hour_is_folded_from_the_left_however_output_is_cut(
        replicas in prop::collection::vec(replica(), 2..5)
    ) {
        let hour = |at: i64| at.div_euclid(HOUR_MS);
        let mut hours: Vec<i64> = replicas.iter().flatten().map(|&at| hour(at)).collect();
        hours.sort_unstable();
        hours.dedup();
        let of_hour = |number: i64| {
            let inside = |of: &Vec<i64>| of.iter().copied().filter(|&at| hour(at) == number).collect::<Vec<_>>();
            replicas.iter().map(inside).reduce(|a, b| plain_pair(&a, &b)).unwrap()
        };
        let expected: Vec<i64> = hours.into_iter().flat_map(of_hour).collect();
        let all: Vec<Vec<Sample>> = replicas
            .iter()
            .map(|times| times.iter().map(|&at| (at, 1f64.to_bits(), 0)).collect())
            .collect();
        let place = Place::of_replicas(&all);
        for by in PARTITIONS {
            let (_, found) = place.samples(&with_replica_label(by));
            let times: Vec<i64> = found.into_values().flatten().map(|(at, ..)| at).collect();
            prop_assert_eq!(&times, &expected);
        }
    }
}
