//! Buckets as folders on a disk: which blocks are read, and every sample of them.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{convert_with, copy_folder, expected, fixtures, run_options, samples_in, scratch};
use serde_json::{Value, json};
use tsdb_converter::convert::RunOptions;
use tsdb_converter::discover::{Choice, DiscoverError, Discovery, ReadOptions, discover};
use tsdb_converter::finding::{Finding, Severity};
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::relabel::LabelOptions;
use tsdb_converter::time::TimeBounds;
use tsdb_reader::matcher::parse_matchers;

/// The time at which the fixtures are what they are: 2026-06-01T00:00:00Z.
const NOW_S: u64 = 1_780_272_000;

fn bucket(name: &str) -> PathBuf {
    fixtures().join("buckets").join(name)
}

fn at(age_s: i64) -> Choice {
    let now_s = NOW_S.checked_add_signed(age_s).unwrap();
    Choice { now: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(now_s)), ..Choice::default() }
}

fn chosen(source: &Path, choice: Choice) -> Discovery {
    try_chosen(source, choice).unwrap()
}

fn try_chosen(source: &Path, choice: Choice) -> Result<Discovery, DiscoverError> {
    discover(&[source.to_owned()], &ReadOptions { choice, ..ReadOptions::default() })
}

/// How many findings there are of each name.
fn names(findings: &[Finding]) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for finding in findings {
        *names.entry(finding.name.as_str()).or_default() += 1;
    }
    names
}

/// Values of an external label of the blocks read, without repetition.
fn values(discovery: &Discovery, label: &str) -> Vec<String> {
    let labels = discovery.blocks.iter().flat_map(|found| found.block.meta().external_labels());
    let mut values: Vec<_> = labels.filter(|(name, _)| *name == label).map(|(_, at)| at.to_owned()).collect();
    values.sort();
    values.dedup();
    values
}

fn convert_at(source: &Path, choice: Choice, dest: &Path) -> tsdb_converter::report::Report {
    let run = RunOptions { choice, ..run_options(2) };
    convert_with(source, dest, &ConvertOptions::default(), &run).unwrap()
}

#[test]
fn a_bucket_gives_the_samples_that_the_reference_reads_from_the_blocks_that_count() {
    for (name, broken) in [("thanos", 1), ("mimir", 0)] {
        let dest = scratch();
        let report = convert_at(&bucket(name), at(0), dest.path());
        assert!(report.adds_up, "{name}: {report:#?}");
        assert!(samples_in(dest.path()) == expected(&format!("buckets/{name}")).floats, "{name}");
        assert_eq!(report.exit_code(), broken, "{name}");
        // Again, and nothing is new.
        let again = convert_at(&bucket(name), at(0), dest.path());
        assert_eq!((again.units.done, again.units.frozen), (0, 0), "{name}");
    }
}

#[test]
fn everything_else_in_a_bucket_of_thanos_is_named() {
    let discovery = chosen(&bucket("thanos"), at(0));
    let found = names(&discovery.findings);
    let expected = [
        ("deletion-mark", 1),
        ("downsampled-block", 2),
        ("fresh-block", 1),
        ("marked-block", 1),
        ("partial-block", 1),
        ("superseded-block", 2),
    ];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{:#?}", discovery.findings);
    assert_eq!(values(&discovery, "replica"), ["a", "b"]);
}

#[test]
fn a_block_is_read_until_its_mark_is_older_than_the_delay_and_when_it_is_no_longer_fresh() {
    let count = |choice: Choice, name: &str| {
        let discovery = chosen(&bucket("thanos"), choice);
        names(&discovery.findings).get(name).copied().unwrap_or_default()
    };
    assert_eq!(count(at(23 * 3600), "marked-block"), 1);
    assert_eq!(count(at(23 * 3600 + 1), "marked-block"), 2);
    let month = Duration::from_secs(31 * 24 * 3600);
    assert_eq!(count(Choice { deletion_marks_delay: month, ..at(0) }, "marked-block"), 0);
    assert_eq!(count(at(20 * 60 - 1), "fresh-block"), 1);
    assert_eq!(count(at(20 * 60), "fresh-block"), 0);
    let no_delay = Some(Duration::ZERO);
    assert_eq!(count(Choice { consistency_delay: no_delay, ..at(0) }, "fresh-block"), 0);
}

#[test]
fn tenants_are_kept_apart_by_a_label_and_one_that_is_marked_is_left_out() {
    let discovery = chosen(&bucket("mimir"), at(0));
    let found: Vec<_> = names(&discovery.findings).into_iter().collect();
    assert_eq!(found, [("marked-block", 2), ("marked-tenant", 1)], "{:#?}", discovery.findings);
    let gone = discovery.findings.iter().find(|at| at.name == "marked-tenant").unwrap();
    assert!(gone.place.ends_with("team-gone"), "{gone:?}");
    assert_eq!(values(&discovery, "tenant"), ["team-a", "team-b"]);
    let choice = Choice { tenant_label: "org".to_owned(), ..at(0) };
    assert_eq!(values(&chosen(&bucket("mimir"), choice), "org"), ["team-a", "team-b"]);
}

#[test]
fn tenants_are_selected_by_name_and_one_that_is_not_there_is_an_error() {
    let only = |name: &str| Choice { tenants: [name.to_owned()].into(), ..at(0) };
    let discovery = chosen(&bucket("mimir"), only("team-b"));
    assert_eq!((values(&discovery, "tenant"), discovery.findings), (vec!["team-b".to_owned()], Vec::new()));
    for (source, name) in [("mimir", "team-c"), ("mimir", "__mimir_cluster"), ("thanos", "team-a")] {
        let error = try_chosen(&bucket(source), only(name)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("no tenant {name} in SOURCE ")), "{error}");
    }
}

#[test]
fn the_label_of_tenants_shapes_the_output_and_may_be_no_bookkeeping() {
    let labels = |name: &str| LabelOptions { tenant: Some(name.to_owned()), ..LabelOptions::default() };
    let (options, dest) = (ConvertOptions { labels: labels("org"), ..ConvertOptions::default() }, scratch());
    let run = RunOptions { choice: at(0), ..run_options(1) };
    convert_with(&bucket("mimir"), dest.path(), &options, &run).unwrap();
    let error = convert_with(&bucket("mimir"), dest.path(), &ConvertOptions::default(), &run)
        .unwrap_err()
        .to_string();
    assert!(error.contains("tenant"), "{error}");
    for name in ["", "__name__", "__org_id__"] {
        assert!(labels(name).check().is_err(), "{name}");
    }
}

#[test]
fn the_folder_of_a_tenant_is_a_source_of_its_own_with_the_marks_beside_its_blocks() {
    let discovery = chosen(&bucket("mimir/team-a"), at(0));
    assert_eq!(values(&discovery, "tenant"), Vec::<String>::new());
    assert_eq!(names(&discovery.findings).into_iter().collect::<Vec<_>>(), [("marked-block", 2)]);
    assert_eq!(discovery.blocks.len(), 3);
    let gone = chosen(&bucket("mimir/team-gone"), at(0));
    assert_eq!((gone.blocks.len(), names(&gone.findings)), (0, [("marked-tenant", 1)].into()));
}

#[test]
fn a_block_of_one_tenant_supersedes_none_of_another_even_if_they_have_the_same_name() {
    let source = scratch();
    let from = fixtures().join("blocks/superseded");
    for tenant in ["a", "b", "c"] {
        copy_folder(&from, &source.path().join(tenant));
        for block in fs::read_dir(source.path().join(tenant)).unwrap() {
            let block = block.unwrap().path();
            let mut meta: Value =
                serde_json::from_slice(&fs::read(block.join("meta.json")).unwrap()).unwrap();
            meta["thanos"] = json!({"source": "ingester"});
            if tenant == "b" && meta["compaction"]["level"] == 2 {
                fs::remove_dir_all(&block).unwrap();
            } else {
                fs::write(block.join("meta.json"), serde_json::to_vec(&meta).unwrap()).unwrap();
            }
        }
    }
    let discovery = chosen(source.path(), at(0));
    let of = |tenant: &str| {
        let is_own = |label: (&str, &str)| label == ("tenant", tenant);
        discovery.blocks.iter().filter(|found| found.block.meta().external_labels().any(is_own)).count()
    };
    assert_eq!((of("a"), of("b"), of("c")), (1, 2, 1));
    assert_eq!(names(&discovery.findings), [("superseded-block", 4)].into());
}

#[test]
fn a_label_that_a_block_has_already_is_no_label_for_its_tenant() {
    let source = scratch();
    copy_folder(&bucket("thanos"), &source.path().join("team"));
    let of = |label: &str| {
        let discovery = chosen(source.path(), Choice { tenant_label: label.to_owned(), ..at(0) });
        (discovery.blocks.len(), names(&discovery.findings).get("tenant-label").copied())
    };
    assert_eq!(of("tenant"), (4, None));
    assert_eq!(of("replica"), (0, Some(10)));
}

#[test]
fn copies_of_a_server_beside_each_other_are_no_tenants_unless_named() {
    let source = scratch();
    for name in ["20260101T000000Z-1", "20260102T000000Z-2"] {
        copy_folder(&fixtures().join("blocks/xor_basic"), &source.path().join(name));
    }
    let error = try_chosen(source.path(), at(0)).unwrap_err().to_string();
    assert!(error.ends_with("20260101T000000Z-1 holds some"), "{error}");
    let named = Choice { tenants: ["20260102T000000Z-2".to_owned()].into(), ..at(0) };
    assert_eq!(values(&chosen(source.path(), named), "tenant"), ["20260102T000000Z-2"]);
}

#[test]
fn blocks_are_selected_by_external_labels_and_the_others_are_one_finding() {
    let block_labels = vec![parse_matchers(r#"{cluster="eu",replica="b"}"#).unwrap()];
    let discovery = chosen(&bucket("thanos"), Choice { block_labels, ..at(0) });
    assert_eq!(values(&discovery, "replica"), ["b"]);
    let finding = discovery.findings.iter().find(|at| at.name == "unselected-block").unwrap();
    assert_eq!((finding.severity, finding.place.as_str()), (Severity::Skipped, "SOURCE"));
    assert_eq!(finding.message, "8 blocks have external labels that --block-label does not select");
}

#[test]
fn a_block_outside_the_time_asked_for_is_not_opened() {
    let source = scratch();
    copy_folder(&bucket("thanos"), source.path());
    // The end of the index of every block that begins before 06:00 of that day is lost.
    let mut cut = 0;
    for block in fs::read_dir(source.path()).unwrap() {
        let block = block.unwrap().path();
        let Ok(meta) = fs::read(block.join("meta.json")) else { continue };
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        if meta["minTime"].as_i64().unwrap() < 1_741_593_600_000 + 6 * 3_600_000 {
            let index = fs::read(block.join("index")).unwrap();
            fs::write(block.join("index"), &index[..index.len() - 7]).unwrap();
            cut += 1;
        }
    }
    assert_eq!(cut, 8);
    let asked = TimeBounds { min_ms: 1_741_593_600_000 + 6 * 3_600_000 + 60_000, max_ms: i64::MAX };
    let broken = |asked| {
        let discovery = chosen(source.path(), Choice { asked, ..at(0) });
        let broken = discovery.findings.iter().filter(|at| at.name == "unreadable-block").count();
        (discovery.blocks.len(), discovery.outside.len(), broken)
    };
    assert_eq!(broken(asked), (1, 4, 0));
    assert!(broken(TimeBounds::ALL).2 > 0);
}

#[test]
fn a_block_that_cannot_be_opened_is_read_from_its_other_copy() {
    let (first, second) = (scratch(), scratch());
    for copy in [&first, &second] {
        copy_folder(&fixtures().join("blocks/xor_basic"), copy.path());
    }
    let block = fs::read_dir(first.path()).unwrap().next().unwrap().unwrap().path();
    fs::write(block.join("index"), "no index").unwrap();
    let sources = [first.path().to_owned(), second.path().to_owned()];
    let discovery = discover(&sources, &ReadOptions::default()).unwrap();
    let [found] = discovery.blocks.as_slice() else { panic!("{:?}", discovery.findings) };
    assert!(found.location.starts_with(second.path().to_str().unwrap()));
    let [finding] = discovery.findings.as_slice() else { panic!("{:?}", discovery.findings) };
    assert_eq!((finding.name.as_str(), finding.severity), ("repeated-block", Severity::Skipped));
}
