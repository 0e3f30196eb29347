//! Windows over reruns: late blocks, blocks that expire, compaction, and a time range.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tsdb_converter::options::ConvertOptions;
use tsdb_converter::report::Report;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;

use super::common::windows::{Window, windows_in, write_block};
use super::common::{Sample, convert_to, scratch};
use super::{HOUR_MS, windows_of};

/// A midnight.
pub(super) const MIDNIGHT_MS: i64 = 1_741_651_200_000;
const MINUTE_MS: i64 = 60_000;

pub(super) fn labels() -> Labels {
    [(&b"__name__"[..], &b"requests_total"[..])].into_iter().collect()
}

/// Samples so many seconds from midnight on; the values are whole numbers.
pub(super) fn samples(seconds: &[(i64, u32)]) -> Vec<Sample> {
    let sample = |&(second, value): &(i64, u32)| (MIDNIGHT_MS + second * 1000, f64::from(value).to_bits(), 0);
    seconds.iter().map(sample).collect()
}

/// A SOURCE and a DEST.
pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) options: ConvertOptions,
}

impl Place {
    pub(super) fn new(options: ConvertOptions) -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("source")).unwrap();
        Self { folder, options }
    }

    pub(super) fn days() -> Self {
        Self::new(windows_of("5m", PartitionBy::Day))
    }

    pub(super) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(super) fn dest(&self) -> PathBuf {
        self.folder.path().join("dest")
    }

    pub(super) fn add(&self, age: u8, seconds: &[(i64, u32)]) -> PathBuf {
        write_block(&self.source(), age, &[(labels(), samples(seconds))]).unwrap()
    }

    pub(super) fn run(&self) -> Report {
        let report = convert_to(&self.source(), &self.dest(), &self.options, 1).unwrap();
        assert!(report.adds_up, "{report:#?}");
        report
    }

    /// Increases by the window's start, in minutes from midnight.
    pub(super) fn increases(&self) -> BTreeMap<i64, f64> {
        let windows = windows_in(&self.dest(), "samples_5m").into_values().flatten();
        let increase = |window: Window| ((window.start_ms - MIDNIGHT_MS) / MINUTE_MS, window.increase());
        windows.map(increase).collect()
    }
}

/// Done, skipped, frozen.
pub(super) fn units(report: &Report) -> (u64, u64, u64) {
    (report.units.done, report.units.skipped, report.units.frozen)
}

pub(super) fn increases(of: &[(i64, u32)]) -> BTreeMap<i64, f64> {
    of.iter().map(|&(minute, increase)| (minute, f64::from(increase))).collect()
}

#[test]
fn a_late_block_in_the_last_hour_of_a_day_changes_the_first_step_of_the_next() {
    let place = Place::days();
    place.add(1, &[(-7200, 10), (-600, 20)]);
    place.add(2, &[(30, 50), (60, 60), (7200, 70)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    // From −7200 to −600 it is more than the lookback.
    assert_eq!(place.increases(), increases(&[(-120, 0), (-10, 0), (0, 40), (120, 0)]));
    assert_eq!(units(&place.run()), (0, 2, 0));
    place.add(3, &[(-30, 45)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    assert_eq!(place.increases(), increases(&[(-120, 0), (-10, 0), (-5, 25), (0, 15), (120, 0)]));
}

#[test]
fn a_late_block_before_the_lookback_leaves_the_next_day_alone() {
    let place = Place::days();
    place.add(1, &[(-7200, 10), (-600, 20)]);
    place.add(2, &[(30, 50), (60, 60)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    place.add(3, &[(-7000, 12)]);
    assert_eq!(units(&place.run()), (1, 1, 0));
}

#[test]
fn when_the_block_before_a_partition_expires_its_first_step_stays() {
    let place = Place::days();
    let before = place.add(1, &[(-600, 20)]);
    place.add(2, &[(30, 50), (60, 60)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    let whole = place.increases();
    assert_eq!(whole, increases(&[(-10, 0), (0, 40)]));
    fs::remove_dir_all(before).unwrap();
    for expected in [(1, 0, 0), (0, 1, 0)] {
        let report = place.run();
        assert_eq!(units(&report), expected);
        assert_eq!(place.increases(), whole);
        assert!(report.findings.list.is_empty(), "{report:#?}");
    }
}

#[test]
fn a_first_step_does_not_grow_when_the_nearer_of_two_blocks_before_it_expires() {
    let place = Place::days();
    let nearer = place.add(1, &[(-600, 20), (-15, 45)]);
    place.add(2, &[(-30, 40)]);
    place.add(3, &[(30, 50), (60, 60)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    let whole = place.increases();
    assert_eq!(whole, increases(&[(-10, 0), (-5, 25), (0, 15)]));
    fs::remove_dir_all(nearer).unwrap();
    // The day that the block was of has fewer samples.
    let report = place.run();
    assert_eq!(units(&report), (1, 0, 1));
    assert_eq!(place.increases(), whole);
    let frozen = &report.findings.list[0];
    assert_eq!((frozen.name.as_str(), frozen.place.as_str()), ("frozen-unit", "2025-03-10-0000"));
    assert!(frozen.message.contains("fewer samples"), "{frozen:?}");
}

#[test]
fn what_expires_before_the_lookback_freezes_nothing() {
    let place = Place::days();
    let before = place.add(1, &[(-7200, 10), (-3601, 20)]);
    place.add(2, &[(30, 50), (60, 60)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    fs::remove_dir_all(before).unwrap();
    let report = place.run();
    assert_eq!(report.units.frozen, 0, "{report:#?}");
    assert_eq!(place.increases()[&0], 10.0);
}

/// Gives the block the sources of others.
fn set_sources(block: &Path, of: &[&Path]) {
    let path = block.join("meta.json");
    let mut meta: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let ulids: Vec<_> = of.iter().map(|block| block.file_name().unwrap().to_str().unwrap()).collect();
    meta["compaction"] = serde_json::json!({ "level": 2, "sources": ulids });
    fs::write(path, meta.to_string()).unwrap();
}

#[test]
fn compaction_over_the_lookback_redoes_nothing() {
    let place = Place::days();
    let seconds = [(-7200, 10), (-3600, 20), (-15, 30), (15, 40), (7200, 50)];
    let blocks = [place.add(1, &seconds[..3]), place.add(2, &seconds[3..])];
    for block in &blocks {
        set_sources(block, &[block]);
    }
    assert_eq!(units(&place.run()), (2, 0, 0));
    let whole = place.increases();
    let compacted = place.add(3, &seconds);
    set_sources(&compacted, &[&blocks[0], &blocks[1]]);
    blocks.iter().for_each(|block| fs::remove_dir_all(block).unwrap());
    assert_eq!(units(&place.run()), (0, 2, 0));
    assert_eq!(place.increases(), whole);
}

#[test]
fn increases_of_a_time_range_begin_alike_however_blocks_are_cut() {
    let mut options = windows_of("5m", PartitionBy::Day);
    options.min_time_ms = Some(MIDNIGHT_MS + 2 * HOUR_MS);
    let seconds = [(3600, 10), (7185, 20), (7200, 25), (7260, 35)];
    let [one, two] = [(); 2].map(|()| Place::new(options.clone()));
    one.add(1, &seconds);
    two.add(1, &seconds[..2]);
    two.add(2, &seconds[2..]);
    for place in [one, two] {
        place.run();
        assert_eq!(place.increases(), increases(&[(120, 15)]));
    }
}
