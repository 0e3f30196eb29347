//! What is left of the day before when its blocks have expired: first steps begin where they began.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tsdb_converter::downsample::DownsampleOptions;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::report::Report;
use tsdb_converter::time::PartitionBy;
use tsdb_reader::source::LocalSource;
use tsdb_reader::{Block, Labels};

use super::common::windows::{histogram_windows_in, windows_in, write_block};
use super::common::{manifest, written};
use super::reruns::{MIDNIGHT_MS, Place, increases, labels, samples, units};
use super::windows_of;

/// What the files hold, by partition, whatever they are called.
fn contents(place: &Place) -> BTreeSet<(String, String)> {
    let files = manifest(&place.dest()).units.into_iter().flat_map(|unit| unit.files);
    files.map(|file| (file.path.rsplit_once('/').unwrap().0.to_owned(), file.crc32c)).collect()
}

/// What one run over all of `blocks` writes.
fn at_once(blocks: &[&[(i64, u32)]]) -> BTreeSet<(String, String)> {
    let place = Place::days();
    blocks.iter().zip(1..).for_each(|(block, age)| _ = place.add(age, block));
    place.run();
    contents(&place)
}

fn names(report: &Report) -> Vec<&str> {
    report.findings.list.iter().map(|finding| finding.name.as_str()).collect()
}

#[test]
fn a_late_block_changes_a_day_as_if_the_day_before_were_still_there() {
    let blocks: [&[_]; 3] = [&[(-7200, 5), (-600, 20)], &[(60, 60), (120, 70)], &[(30, 50), (90, 65)]];
    let place = Place::days();
    let before = place.add(1, blocks[0]);
    place.add(2, blocks[1]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    fs::remove_dir_all(before).unwrap();
    place.add(3, blocks[2]);
    assert_eq!(units(&place.run()), (1, 0, 0));
    assert_eq!(place.increases(), increases(&[(-120, 0), (-10, 0), (0, 50)]));
    assert!(contents(&place) == at_once(&blocks));
    // And again, from what the last run has kept.
    place.add(4, &[(15, 25)]);
    assert_eq!(units(&place.run()), (1, 0, 0));
    assert!(contents(&place) == at_once(&[blocks[0], blocks[1], blocks[2], &[(15, 25)]]));
}

#[test]
fn a_late_block_before_the_partition_brings_a_nearer_sample_than_the_one_kept() {
    let place = Place::days();
    let before = place.add(1, &[(-600, 20), (-590, 30)]);
    place.add(2, &[(60, 60)]);
    place.run();
    fs::remove_dir_all(before).unwrap();
    place.add(3, &[(-30, 45)]);
    // The day before would have fewer samples, so it goes without the late one.
    assert_eq!(units(&place.run()), (1, 0, 1));
    assert_eq!(place.increases(), increases(&[(-10, 10), (0, 15)]));
}

#[test]
fn a_series_that_begins_with_a_late_block_has_its_first_step_too() {
    let other: Labels = [(&b"__name__"[..], &b"others_total"[..])].into_iter().collect();
    let place = Place::days();
    let series = [(labels(), samples(&[(-600, 20)])), (other.clone(), samples(&[(-30, 7)]))];
    let before = write_block(&place.source(), 1, &series).unwrap();
    place.add(2, &[(60, 60)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    fs::remove_dir_all(before).unwrap();
    // A run in between that knows nothing of the series.
    place.add(3, &[(70, 61)]);
    assert_eq!(units(&place.run()), (1, 0, 0));
    write_block(&place.source(), 4, &[(other, samples(&[(30, 9)]))]).unwrap();
    assert_eq!(units(&place.run()), (1, 0, 0));
    let windows = windows_in(&place.dest(), "samples_5m").into_values().flatten();
    let of_day = windows.filter(|window| window.start_ms >= MIDNIGHT_MS);
    let mut found: Vec<f64> = of_day.map(|window| window.increase()).collect();
    found.sort_by(f64::total_cmp);
    assert_eq!(found, [2.0, 41.0]);
}

#[test]
fn a_counter_that_metadata_calls_a_gauge_does_without_what_came_before() {
    let resolution = "5m".parse().unwrap();
    let options =
        ConvertOptions { downsampling: DownsampleOptions::at(resolution), ..ConvertOptions::default() };
    let mut place = Place::new(options);
    let before = place.add(1, &[(-600, 20)]);
    place.add(2, &[(60, 60)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    assert_eq!(place.increases(), increases(&[(-10, 0), (0, 40)]));
    fs::remove_dir_all(before).unwrap();
    let metadata = place.folder.path().join("metadata.json");
    fs::write(&metadata, r#"{"requests_total":[{"type":"gauge"}]}"#).unwrap();
    place.options.metadata = vec![metadata];
    let report = place.run();
    assert_eq!(units(&report), (1, 0, 0));
    assert!(report.findings.is_empty(), "{report:#?}");
    let windows = windows_in(&place.dest(), "samples_5m").into_values().next().unwrap();
    let increase = |at: usize| windows[at].value(tsdb_converter::downsample::Aggregate::Increase);
    assert_eq!((increase(0), increase(1)), (Some(0.0), None));
}

/// Deletes the samples of all series of a block, from one time to another.
fn delete(block: &Path, min_time_ms: i64, max_time_ms: i64) {
    let opened = Block::open(Arc::new(LocalSource::open(block).unwrap())).unwrap();
    let mut entries = Vec::new();
    let mut put = |mut value: u64| {
        while value >= 0x80 {
            entries.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        entries.push(value.to_le_bytes()[0]);
    };
    for series_ref in opened.index().all_postings().unwrap() {
        put(series_ref.0);
        [min_time_ms, max_time_ms].iter().for_each(|at| put(((at << 1) ^ (at >> 63)).cast_unsigned()));
    }
    let file = [&0x0130_ba30_u32.to_be_bytes()[..], &[1], &entries, &crc32c::crc32c(&entries).to_be_bytes()];
    fs::write(block.join("tombstones"), file.concat()).unwrap();
}

#[test]
fn a_first_step_does_not_begin_at_a_sample_that_is_deleted() {
    let place = Place::days();
    let before = place.add(1, &[(-600, 20), (-30, 45)]);
    place.add(2, &[(60, 60)]);
    place.run();
    assert_eq!(place.increases()[&0], 15.0);
    delete(&before, MIDNIGHT_MS - 30_000, MIDNIGHT_MS - 1);
    assert_eq!(units(&place.run()), (2, 0, 0));
    assert_eq!(place.increases(), increases(&[(-10, 0), (0, 40)]));
    delete(&before, MIDNIGHT_MS - 600_000, MIDNIGHT_MS - 1);
    place.run();
    assert_eq!(place.increases()[&0], 0.0);
    // Nothing of it comes back.
    fs::remove_dir_all(before).unwrap();
    place.add(3, &[(90, 65)]);
    place.run();
    assert_eq!(place.increases()[&0], 5.0);
}

/// Adds a block with a histogram of so many observations at each second from midnight on.
fn add_histograms(place: &Place, number: u8, seconds: &[(i64, u64)]) {
    written::write_block(&place.source(), number, |builder| {
        let series = builder.add_series(written::labels("latency", &[]));
        for &(second, count) in seconds {
            written::push_histogram(builder, series, MIDNIGHT_MS + second * 1000, &[count]);
        }
    });
}

fn expire(place: &Place, number: u8) {
    let ulid = tsdb_reader::Ulid::from_bytes([number; 16]);
    fs::remove_dir_all(place.source().join(ulid.to_string())).unwrap();
}

/// Increases of the histograms of the day, as counts.
fn counts(place: &Place) -> Vec<f64> {
    let windows = histogram_windows_in(&place.dest(), "histograms_5m").into_values().flatten();
    let of_day = windows.filter(|window| window.start_ms >= MIDNIGHT_MS);
    of_day.map(|window| f64::from_bits(window.values.count)).collect()
}

#[test]
fn late_histograms_are_taken_though_a_first_step_is_lost_and_told() {
    let place = Place::days();
    add_histograms(&place, 1, &[(-1200, 10), (-600, 20)]);
    add_histograms(&place, 2, &[(60, 60), (400, 70)]);
    assert_eq!(units(&place.run()), (2, 0, 0));
    assert_eq!(counts(&place), [40.0, 10.0]);
    expire(&place, 1);
    // Without anything new it stays.
    let report = place.run();
    assert_eq!((units(&report), names(&report)), ((0, 0, 1), vec!["frozen-unit"]));
    assert!(report.findings.list[0].message.contains("first steps"), "{report:#?}");
    assert_eq!(counts(&place), [40.0, 10.0]);

    add_histograms(&place, 3, &[(120, 65)]);
    let report = place.run();
    assert_eq!((units(&report), names(&report)), ((1, 0, 0), vec!["steps-lost"]));
    let told = &report.findings.list[0];
    assert_eq!(told.place, "2025-03-11-0000");
    assert!(told.message.contains("1 series"), "{told:?}");
    assert_eq!((report.samples.steps_lost, counts(&place)), (1, vec![5.0, 5.0]));
    // It is told as long as it is so.
    let report = place.run();
    assert_eq!((units(&report), names(&report)), ((0, 1, 0), vec!["steps-lost"]));
    add_histograms(&place, 4, &[(130, 66)]);
    let report = place.run();
    assert_eq!((units(&report), names(&report)), ((1, 0, 0), vec!["steps-lost"]));
    // The block comes back, and with it the step.
    add_histograms(&place, 1, &[(-1200, 10), (-600, 20)]);
    let report = place.run();
    assert!(report.findings.is_empty(), "{report:#?}");
    assert_eq!(counts(&place), [46.0, 4.0]);
}

#[test]
fn a_first_step_of_histograms_does_not_begin_too_early() {
    let place = Place::days();
    add_histograms(&place, 1, &[(-30, 45)]);
    add_histograms(&place, 2, &[(-600, 20)]);
    add_histograms(&place, 3, &[(60, 60), (400, 70)]);
    place.run();
    expire(&place, 1);
    add_histograms(&place, 4, &[(120, 65)]);
    let report = place.run();
    assert_eq!((report.units.done, report.samples.steps_lost), (1, 1));
    assert_eq!(counts(&place), [5.0, 5.0]);
}

#[test]
fn a_damaged_file_of_what_came_before_does_no_harm() {
    let place = Place::new(windows_of("5m", PartitionBy::Day));
    let before = place.add(1, &[(-600, 20)]);
    place.add(2, &[(60, 60)]);
    place.run();
    fs::remove_dir_all(before).unwrap();
    let file = place.dest().join("_promblock/units/2025-03-11-0000.context");
    let whole = fs::read(&file).unwrap();
    for len in 0..whole.len() {
        fs::write(&file, &whole[..len]).unwrap();
        assert_eq!(place.run().units.frozen, 0);
        assert_eq!(place.increases()[&0], 0.0);
    }
    fs::write(&file, [0xff; 48]).unwrap();
    place.run();
    assert_eq!(place.increases()[&0], 0.0);
}

#[test]
fn a_first_step_that_is_a_reset_by_its_start_time_is_not_lost() {
    let place = Place::days();
    // Seconds from midnight, observations, and when the counter began.
    let add = |number: u8, histograms: &[(i64, u64, i64)]| {
        written::write_block(&place.source(), number, |builder| {
            let series = builder.add_series(written::labels("latency", &[]));
            for &(second, count, began) in histograms {
                let [time_ms, start_ms] = [second, began].map(|second| MIDNIGHT_MS + second * 1000);
                written::push_histogram_since(builder, series, time_ms, start_ms, &[count]);
            }
        });
    };
    add(1, &[(-30, 45, -900)]);
    add(2, &[(60, 7, 10), (400, 9, 10)]);
    place.run();
    assert_eq!(counts(&place), [7.0, 2.0]);
    expire(&place, 1);
    add(3, &[(120, 8, 10)]);
    let report = place.run();
    assert_eq!((units(&report), report.samples.steps_lost), ((1, 0, 0), 0));
    assert_eq!(counts(&place), [8.0, 1.0]);
    // One that began before what is gone has been counted there.
    add(4, &[(20, 50, -900)]);
    let report = place.run();
    assert_eq!((units(&report), report.samples.steps_lost), ((1, 0, 0), 1));
    assert_eq!(counts(&place)[1], 1.0);
    assert!(counts(&place)[0] < 50.0);
}
