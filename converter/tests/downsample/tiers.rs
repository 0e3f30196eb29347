//! Tiers and rules: which table a series is in, and what a partition leaves behind when it changes tier.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tsdb_converter::convert::ConvertError;
use tsdb_converter::dest::DestError;
use tsdb_converter::distribute::{PlanFile, commit, convert_units, plan};
use tsdb_converter::downsample::{Aggregate, DownsampleOptions, Tier, parse_rules};
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::pipeline::Progress;
use tsdb_converter::report::Report;
use tsdb_reader::Labels;

use super::common::windows::{windows_in, write_block};
use super::common::{Sample, convert_to, data_files, manifest, run_options, samples_in, scratch};
use super::{DAY_MS, HOUR_MS};

/// Three days from a midnight on.
const BEGIN_MS: i64 = 1_741_564_800_000;

fn labels(name: &str, job: &str) -> Labels {
    [(&b"__name__"[..], name.as_bytes()), (b"job", job.as_bytes())].into_iter().collect()
}

/// A block with a counter and a gauge of two jobs each, a sample every 20 minutes for three days.
fn source() -> tempfile::TempDir {
    let source = scratch();
    let samples = |scale: u32| -> Vec<Sample> {
        let sample = |at: u32| (BEGIN_MS + i64::from(at) * HOUR_MS / 3, f64::from(at * scale).to_bits(), 0);
        (0..3 * 72).map(sample).collect()
    };
    let series = [("load", "a", 3), ("load", "b", 4), ("ticks_total", "a", 1), ("ticks_total", "b", 2)];
    let series = series.map(|(name, job, scale)| (labels(name, job), samples(scale)));
    write_block(source.path(), 1, &series).unwrap();
    source
}

/// Raw; windows of 1 h where the end of the day is one day old; of 6 h where it is two.
fn tiers(now_ms: i64) -> ConvertOptions {
    let tier =
        |days: i64, width: &str| Tier { min_age_ms: days * DAY_MS, resolution: width.parse().unwrap() };
    let downsampling = DownsampleOptions {
        tiers: vec![tier(0, "raw"), tier(1, "1h"), tier(2, "6h")],
        now_ms: Some(now_ms),
        ..DownsampleOptions::default()
    };
    ConvertOptions { downsampling, ..ConvertOptions::default() }
}

fn run(source: &Path, dest: &Path, options: &ConvertOptions) -> Report {
    let report = convert_to(source, dest, options, 2).unwrap();
    assert!(report.adds_up, "{report:#?}");
    // What is on the disk is what the manifest says.
    let listed: BTreeSet<String> =
        manifest(dest).units.iter().flat_map(|unit| &unit.files).map(|file| file.path.clone()).collect();
    assert_eq!(data_files(dest).into_keys().collect::<BTreeSet<_>>(), listed);
    report
}

/// Table and day of each file of rows.
fn places(dest: &Path) -> Vec<String> {
    let folder = |path: String| path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap();
    let places: BTreeSet<String> = data_files(dest).into_keys().map(folder).collect();
    places.into_iter().filter(|place| !place.starts_with("series/")).collect()
}

#[test]
fn partitions_move_from_table_to_table_as_they_grow_old() {
    let (source, dest) = (source(), scratch());
    let day = |day: i64| BEGIN_MS + day * DAY_MS;
    run(source.path(), dest.path(), &tiers(day(1)));
    let raw = ["samples/dt=2025-03-10", "samples/dt=2025-03-11", "samples/dt=2025-03-12"];
    assert_eq!(places(dest.path()), raw);
    let whole = samples_in(dest.path());

    let report = run(source.path(), dest.path(), &tiers(day(3)));
    assert_eq!((report.units.done, report.units.skipped), (2, 1));
    let aged = ["samples/dt=2025-03-12", "samples_1h/dt=2025-03-11", "samples_6h/dt=2025-03-10"];
    assert_eq!(places(dest.path()), aged);
    let hours = windows_in(dest.path(), "samples_1h");
    assert!(hours.len() == 4 && hours.values().all(|windows| windows.len() == 24), "{hours:?}");
    // The step into the day is there, though the day before has other windows.
    let ticks = |job| tsdb_converter::identities::series_id(&labels("ticks_total", job));
    assert_eq!(hours[&ticks("b")].iter().map(|window| window.increase()).sum::<f64>(), 144.0);
    let days = windows_in(dest.path(), "samples_6h");
    assert_eq!(days[&ticks("b")].iter().map(|window| window.increase()).sum::<f64>(), 142.0);

    let report = run(source.path(), dest.path(), &tiers(day(4)));
    assert_eq!((report.units.done, report.units.skipped), (2, 1));
    let older = ["samples_1h/dt=2025-03-12", "samples_6h/dt=2025-03-10", "samples_6h/dt=2025-03-11"];
    assert_eq!(places(dest.path()), older);

    // Somebody else's clock: what was said last is done, as long as the samples are there.
    let report = run(source.path(), dest.path(), &tiers(day(1)));
    assert_eq!((report.units.done, report.units.frozen), (3, 0));
    assert_eq!(places(dest.path()), raw);
    assert_eq!(samples_in(dest.path()), whole);
}

#[test]
fn without_a_time_ages_are_counted_from_the_end_of_the_newest_block() {
    let (source, dest) = (source(), scratch());
    let mut options = tiers(0);
    options.downsampling.now_ms = None;
    run(source.path(), dest.path(), &options);
    // The block ends 20 minutes before the last day does: the day before is not a day old yet.
    assert_eq!(
        places(dest.path()),
        ["samples/dt=2025-03-11", "samples/dt=2025-03-12", "samples_1h/dt=2025-03-10"]
    );
}

#[test]
fn another_policy_than_that_of_dest_is_refused_another_time_is_not() {
    let (source, dest) = (source(), scratch());
    run(source.path(), dest.path(), &tiers(BEGIN_MS));
    run(source.path(), dest.path(), &tiers(BEGIN_MS + 2 * DAY_MS));
    let mut other = tiers(BEGIN_MS);
    other.downsampling.tiers.pop();
    let error = convert_to(source.path(), dest.path(), &other, 1).unwrap_err();
    assert!(matches!(&error, ConvertError::Dest(DestError::OtherOptions { .. })), "{error:?}");
}

#[test]
fn units_of_a_plan_keep_the_tiers_that_it_chose() {
    let (source, at_once, dest) = (source(), scratch(), scratch());
    let (sources, options, run_with) =
        ([source.path().to_owned()], tiers(BEGIN_MS + 3 * DAY_MS), run_options(1));
    run(source.path(), at_once.path(), &options);
    let (header, planned) = plan(&sources, &run_with.read(), dest.path(), &options).unwrap();
    // DEST knows no time, and by the end of the block other tiers would do.
    for unit in planned.units.iter().rev() {
        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        let unit = std::slice::from_ref(unit);
        convert_units(&sources, dest.path(), unit, &run_with, &progress, &stop).unwrap();
    }
    let report = commit(dest.path(), PlanFile { header: Some(header), units: planned.units }).unwrap();
    assert!(report.adds_up && report.units.done == 3, "{report:#?}");
    assert!(data_files(dest.path()) == data_files(at_once.path()));
}

#[test]
fn rules_choose_series_and_the_report_counts_what_they_did() {
    let (source, dest) = (source(), scratch());
    let rules = "rules:\n \
        - {match: 'load{job=\"a\"}', drop: true}\n \
        - {match: load, resolution: raw}\n \
        - {match: '{job=\"b\"}', resolution: 12h, aggregates: [max]}\n \
        - {match: up, drop: true}\n";
    let rules = parse_rules(Path::new("rules.yml"), rules).unwrap();
    let downsampling = DownsampleOptions { rules, ..DownsampleOptions::at("1h".parse().unwrap()) };
    let options = ConvertOptions { downsampling, ..ConvertOptions::default() };
    let report = run(source.path(), dest.path(), &options);

    let done = |selector: &str| {
        let rule = report.samples.rules[selector];
        (rule.series, rule.samples, rule.rows)
    };
    // A series is counted in each of its three units.
    assert_eq!(done(r#"load{job="a"}"#), (3, 216, 0));
    assert_eq!(done("load"), (3, 216, 216));
    assert_eq!(done(r#"{job="b"}"#), (3, 216, 6));
    assert_eq!(report.samples.rules.len(), 3);
    assert_eq!((report.samples.dropped_by_rule, report.samples.written), (216, 216));
    assert_eq!((report.samples.aggregated, report.samples.windows), (432, 72 + 6));

    let ids = |windows: std::collections::BTreeMap<i64, Vec<_>>| windows.into_keys().collect::<Vec<_>>();
    let id = |name, job| tsdb_converter::identities::series_id(&labels(name, job));
    assert_eq!(samples_in(dest.path()).into_keys().collect::<Vec<_>>(), [id("load", "b")]);
    assert_eq!(ids(windows_in(dest.path(), "samples_1h")), [id("ticks_total", "a")]);
    let halves = windows_in(dest.path(), "samples_12h").remove(&id("ticks_total", "b")).unwrap();
    assert_eq!(halves.len(), 6);
    for window in halves {
        assert_eq!(window.count, 36);
        let kept = Aggregate::ALL.into_iter().filter(|aggregate| window.value(*aggregate).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [Aggregate::Max]);
    }
}
