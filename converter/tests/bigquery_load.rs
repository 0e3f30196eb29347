//! load.sh against stand-ins for bq and gcloud that keep BigQuery's rules: which jobs run, and what the tables hold
//! in the end.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![cfg(unix)]

#[path = "bigquery/support.rs"]
mod support;

use std::fs;
use std::process::Command;

use support::{DAY_0_MS, DAY_MS, HOUR_MS, Project, Published, assets, compare};
use tsdb_converter::sink::{Compression, Format, OutputOptions};
use tsdb_converter::time::PartitionBy;

const STAGING: &str = "gs://bucket/staging";

#[test]
fn first_load_rerun_and_changed_partition_make_the_calls_expected() {
    let mut published = Published::days(3, 2);
    let project = Project::new(&published);
    let first = project.load(&["ds", STAGING]);
    let again = project.load(&["ds", STAGING]);
    published.change("2026-11-19");
    project.publish(&published);
    let changed = project.load(&["ds", STAGING]);
    let transcript = first.transcript("load.sh ds gs://bucket/staging")
        + &again.transcript("load.sh ds gs://bucket/staging   # nothing has changed")
        + &changed.transcript("load.sh ds gs://bucket/staging   # one partition has changed");
    compare("load_first_again_changed", &transcript);
    project.assert_loaded("ds", &published);
}

#[test]
fn new_partitions_of_later_runs_are_jobs_of_their_own() {
    let mut published = Published::days(2, 1);
    let project = Project::new(&published);
    project.load(&["ds", STAGING]);
    published.add(DAY_0_MS + 2 * DAY_MS, 1);
    published.add(DAY_0_MS + 3 * DAY_MS, 1);
    project.publish(&published);
    let run = project.load(&["ds", STAGING]);
    let expected = ["series$20261120", "series$20261121", "samples$20261120", "samples$20261121"];
    assert_eq!(run.targets(), expected.map(|table| format!("replace ds.{table}")));
    project.assert_loaded("ds", &published);
}

#[test]
fn failure_in_the_middle_is_gone_on_from() {
    let mut published = Published::days(3, 1);
    let project = Project::new(&published);
    project.next(&["ok", "fail"]);
    let failed = project.load(&["ds", STAGING]);
    assert_eq!((failed.code, failed.loads().len()), (1, 2));
    assert!(failed.stderr.contains("Error while reading data"), "{}", failed.stderr);
    let retried = project.load(&["ds", STAGING]);
    compare(
        "load_retried",
        &(failed.transcript("load.sh ds gs://bucket/staging   # the second job fails")
            + &retried.transcript("load.sh ds gs://bucket/staging")),
    );
    project.assert_loaded("ds", &published);
    // What changed between the tries is replaced, the rest still goes together.
    published.change("2026-11-18");
    project.publish(&published);
    assert_eq!(project.load(&["other", STAGING]).targets(), ["append other.series", "append other.samples"]);
}

#[test]
fn partition_that_changes_before_the_first_load_is_complete_is_replaced_and_the_rest_appended() {
    let mut published = Published::days(30, 1);
    let project = Project::new(&published);
    project.next(&["ok", "ok", "fail"]);
    assert_eq!(project.load(&["ds", STAGING]).code, 0);
    for day in 30..33 {
        published.add(DAY_0_MS + day * DAY_MS, 1);
    }
    published.change("2026-11-20");
    project.publish(&published);
    assert_eq!(project.load(&["ds", STAGING]).code, 1);
    assert_eq!(project.load(&["ds", STAGING]).code, 0);
    project.assert_loaded("ds", &published);
}

#[test]
fn job_that_succeeded_while_bq_failed_is_not_run_again() {
    let published = Published::days(2, 1);
    let project = Project::new(&published);
    project.next(&["lost", "lost"]);
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, run.loads().len()), (0, 2), "{}", run.stderr);
    project.assert_loaded("ds", &published);
}

#[test]
fn job_that_outlives_load_sh_is_waited_for_by_the_next_run() {
    let mut published = Published::days(2, 1);
    let project = Project::new(&published);
    project.next(&["ok", "killed"]);
    assert_eq!(project.load(&["ds", STAGING]).code, -9);
    // Meanwhile a partition changes, so that the job would get another id.
    published.change("2026-11-19");
    project.publish(&published);
    let run = project.load(&["ds", STAGING]);
    assert!(run.calls.iter().any(|call| call.contains(" wait promblock_samples_")), "{:?}", run.calls);
    assert_eq!(run.targets(), ["replace ds.series$20261119", "replace ds.samples$20261119"]);
    project.assert_loaded("ds", &published);
}

#[test]
fn line_that_a_killed_run_did_not_finish_is_no_trouble() {
    let published = Published::days(3, 1);
    let project = Project::new(&published);
    project.next(&["ok", "killed"]);
    project.load(&["ds", STAGING]);
    let mut state = project.loaded_tsv();
    state += "2026-11-21T00:00:00Z\tds\tsam";
    fs::write(project.kit_folder().join("loaded.tsv"), state).unwrap();
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, run.loads().len()), (0, 0), "{}", run.stderr);
    project.assert_loaded("ds", &published);
}

#[test]
fn table_that_loaded_tsv_does_not_name_is_left_alone() {
    let published = Published::days(2, 1);
    let project = Project::new(&published);
    project.load(&["ds", STAGING]);
    fs::remove_file(project.kit_folder().join("loaded.tsv")).unwrap();
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, run.loads().len()), (2, 0));
    assert!(run.stderr.contains("holds 200 rows that were not loaded from here"), "{}", run.stderr);
    project.assert_loaded("ds", &published);
}

#[test]
fn partition_that_changes_back_is_loaded_again() {
    let published = Published::days(2, 1);
    let mut changed = published.clone();
    changed.change("2026-11-19");
    let project = Project::new(&published);
    for state in [&published, &changed, &published, &changed, &published] {
        project.publish(state);
        assert_eq!(project.load(&["ds", STAGING]).loads().len(), 2);
        project.assert_loaded("ds", state);
    }
}

#[test]
fn table_that_was_removed_is_loaded_from_the_start() {
    let published = Published::days(2, 1);
    let project = Project::new(&published);
    project.load(&["ds", STAGING]);
    fs::remove_file(project.stub().join("tables/ds.samples")).unwrap();
    fs::remove_file(project.stub().join("tables/ds.samples.uris")).unwrap();
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, run.targets()), (0, vec!["append ds.samples".to_owned()]));
    project.assert_loaded("ds", &published);
}

#[test]
fn jobs_keep_to_the_limits_and_few_suffice_with_a_list_of_files() {
    for (days, files, jobs_with_list) in [(4_001, 1, 2), (4_000, 1, 1), (100, 100, 1), (101, 100, 2)] {
        let mut published = Published::days(days, files);
        published.dest_url = Some("gs://bucket/dest".to_owned());
        let project = Project::new(&published);
        let explicit = project.load(&["ds"]);
        assert_eq!(explicit.code, 0, "{}", explicit.stderr);
        project.assert_loaded("ds", &published);
        let samples = explicit.loads().iter().filter(|call| call.contains(" ds.samples ")).count();
        let bytes: usize = published.files.iter().map(|file| file.path.len() + 17).sum();
        assert!((2..=bytes / 100_000 + 1).contains(&samples), "{samples} jobs for {days} × {files} files");
        // The stand-in for bq reads lists from where the one for gcloud puts them.
        let listed = project.load(&["--file-set-manifest", "ds2"]);
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        project.assert_loaded("ds2", &published);
        let samples = listed.loads().iter().filter(|call| call.contains(" ds2.samples ")).count();
        assert_eq!(samples, jobs_with_list, "{days} × {files} files");
    }
}

#[test]
fn partition_with_too_many_files_for_a_command_line_is_loaded_by_a_list_in_one_job() {
    let mut published = Published::days(1, 10_001);
    published.dest_url = Some("gs://bucket/dest".to_owned());
    let project = Project::new(&published);
    for mode in ["append", "replace"] {
        let run = project.load(&["ds"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let samples = run.loads()[1].to_owned();
        assert!(samples.contains("--file_set_spec_type=NEW_LINE_DELIMITED_MANIFEST"), "{samples}");
        assert_eq!(run.targets().len(), 2);
        assert!(run.targets()[1].starts_with(mode));
        project.assert_loaded("ds", &published);
        published.change("2026-11-18");
        project.publish(&published);
    }
}

#[test]
fn more_jobs_than_a_day_allows_are_refused_before_anything_is_loaded() {
    let mut published = Published::days(1_401, 1);
    published.dest_url = Some("gs://bucket/dest".to_owned());
    let project = Project::new(&published);
    assert_eq!(project.load(&["ds"]).code, 0);
    for partition in published.partitions() {
        published.change(&partition);
    }
    project.publish(&published);
    let refused = project.load(&["ds"]);
    assert_eq!((refused.code, refused.loads().len()), (2, 0));
    assert!(refused.stderr.contains("needs 1401 load jobs"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--max-jobs N"), "{}", refused.stderr);
    let part = project.load(&["--max-jobs", "3", "ds"]);
    assert_eq!((part.code, part.loads().len()), (0, 6));
    assert!(part.stderr.contains("2796 jobs are left"), "{}", part.stderr);
    // Jobs that ran within a day count, failed ones as well.
    let mut state = project.loaded_tsv();
    let time = state.lines().last().unwrap().split('\t').next().unwrap().to_owned();
    for job in 0..1_390 {
        state += &format!("{time}\tds\tsamples\t1\t*\t*\tpromblock_samples_{job}\tfailed\n");
    }
    fs::write(project.kit_folder().join("loaded.tsv"), state).unwrap();
    assert_eq!(project.load(&["--max-jobs=9", "ds"]).code, 2);
    assert_eq!(project.load(&["--max-jobs=1", "ds"]).code, 0);
}

#[test]
fn more_partitions_than_a_table_can_have_are_refused() {
    let mut published = Published::days(10_001, 1);
    published.dest_url = Some("gs://bucket/dest".to_owned());
    let run = Project::new(&published).load(&["ds"]);
    assert_eq!((run.code, run.loads().len()), (2, 0));
    assert!(run.stderr.contains("coarser --partition-by"), "{}", run.stderr);
}

#[test]
fn output_without_partitions_is_replaced_as_a_whole_and_keeps_its_clustering() {
    let mut published = Published::new(OutputOptions::default(), PartitionBy::None);
    published.add(DAY_0_MS, 3);
    let project = Project::new(&published);
    let first = project.load(&["ds", STAGING]);
    published.change("all");
    project.publish(&published);
    let changed = project.load(&["ds", STAGING]);
    for run in [first, changed] {
        assert_eq!(run.targets(), ["replace ds.series", "replace ds.samples"]);
        assert!(run.loads()[1].contains("--clustering_fields=metric\\,series_id"), "{:?}", run.loads());
    }
    project.assert_loaded("ds", &published);
}

#[test]
fn hours_and_months_are_replaced_by_their_decorators() {
    for (partition_by, key, decorator) in
        [(PartitionBy::Hour, "2026-11-18T05", "2026111805"), (PartitionBy::Month, "2026-11", "202611")]
    {
        let mut published = Published::new(OutputOptions::new(Format::Ndjson), partition_by);
        published.add(DAY_0_MS + 5 * HOUR_MS, 2);
        published.add(DAY_0_MS + 20 * DAY_MS, 2);
        let project = Project::new(&published);
        let first = project.load(&["ds", STAGING]);
        assert_eq!(first.targets(), ["append ds.series", "append ds.samples"]);
        assert!(first.loads()[0].contains("--source_format=NEWLINE_DELIMITED_JSON"));
        published.change(key);
        project.publish(&published);
        let changed = project.load(&["ds", STAGING]);
        assert_eq!(changed.targets()[1], format!("replace ds.samples${decorator}"));
        project.assert_loaded("ds", &published);
    }
}

#[test]
fn partitions_that_dest_no_longer_has_are_named_and_removed_on_request() {
    let mut published = Published::days(3, 1);
    let project = Project::new(&published);
    project.load(&["ds", STAGING]);
    published.files.retain(|file| file.partition != "2026-11-18");
    project.publish(&published);
    let named = project.load(&["ds", STAGING]);
    assert_eq!(named.code, 0);
    assert!(named.stderr.contains("partition 2026-11-18 of ds.samples, which DEST no longer has, is kept"));
    let pruned = project.load(&["--prune", "ds", STAGING]);
    assert!(
        pruned.calls.iter().any(|call| call.ends_with(r"rm -f -t ds.samples\$20261118")),
        "{:?}",
        pruned.calls
    );
    project.assert_loaded("ds", &published);
    let again = project.load(&["--prune", "ds", STAGING]);
    assert!(again.calls.iter().all(|call| call.contains(" show ")), "{:?}", again.calls);
}

/// Four days of raw samples that are loaded; then the first two have windows of an hour and of 5 minutes instead.
fn after_a_change_of_tiers() -> (Project, Published) {
    let mut published = Published::days(4, 2).with_tiers();
    let project = Project::new(&published);
    assert_eq!(project.load(&["ds", STAGING]).code, 0);
    published.change_tier("2026-11-18", "samples_1h");
    published.change_tier("2026-11-19", "samples_5m");
    project.publish(&published);
    (project, published)
}

fn removals(run: &support::Run) -> Vec<&str> {
    run.calls.iter().filter_map(|call| call.split_once(" rm -f -t ")).map(|(_, table)| table).collect()
}

#[test]
fn partition_that_changes_its_tier_is_removed_from_the_old_table_after_it_is_loaded_into_the_new_one() {
    let (project, mut published) = after_a_change_of_tiers();
    compare(
        "load_dry_run_tiers",
        &project.load(&["--dry-run", "ds", STAGING]).transcript("load.sh --dry-run"),
    );
    let run = project.load(&["ds", STAGING]);
    compare(
        "load_tiers",
        &run.transcript("load.sh ds gs://bucket/staging   # two partitions have changed tier"),
    );
    project.assert_loaded("ds", &published);
    let again = project.load(&["ds", STAGING]);
    assert!(again.calls.iter().all(|call| call.contains(" show ")), "{:?}", again.calls);
    // On to the next tier, and back.
    for (table, from) in [("samples_1h", "samples_5m"), ("samples", "samples_1h")] {
        published.change_tier("2026-11-19", table);
        project.publish(&published);
        let run = project.load(&["ds", STAGING]);
        assert_eq!((run.code, removals(&run)), (0, vec![format!(r"ds.{from}\$20261119").as_str()]));
        // The names of files are the same in all tables, and a change back is one of files too.
        project.assert_loaded("ds", &published);
    }
}

#[test]
fn partition_that_changes_its_tier_stays_until_a_load_that_fails_or_is_put_off_has_succeeded() {
    let (project, published) = after_a_change_of_tiers();
    project.next(&["ok", "ok", "fail"]);
    let failed = project.load(&["ds", STAGING]);
    assert_eq!((failed.code, removals(&failed)), (1, Vec::new()));
    assert_eq!(project.holds("ds.samples").len(), 8);
    let part = project.load(&["--max-jobs=1", "ds", STAGING]);
    assert_eq!((part.code, removals(&part).len()), (0, 2), "{}", part.stderr);
    project.assert_loaded("ds", &published);

    let (project, mut published) = after_a_change_of_tiers();
    published.change_tier("2026-11-20", "samples_5m");
    project.load(&["ds", STAGING]);
    for partition in ["2026-11-18", "2026-11-19", "2026-11-20"] {
        published.change_tier(partition, "samples_1h");
    }
    project.publish(&published);
    for left in [true, false] {
        let part = project.load(&["--max-jobs=1", "ds", STAGING]);
        assert_eq!((part.code, removals(&part).len()), (0, 1), "{}", part.stderr);
        assert_eq!(part.stderr.contains("is kept until that is loaded"), left, "{}", part.stderr);
    }
    project.assert_loaded("ds", &published);
}

#[test]
fn run_that_is_killed_before_a_partition_is_removed_leaves_that_to_the_next() {
    let (project, published) = after_a_change_of_tiers();
    // series of both days, then samples_5m, then samples_1h.
    project.next(&["ok", "ok", "ok", "killed"]);
    assert_eq!(project.load(&["ds", STAGING]).code, -9);
    assert_eq!(project.holds("ds.samples").len(), 8);
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, run.loads().len(), removals(&run).len()), (0, 0, 2), "{}", run.stderr);
    project.assert_loaded("ds", &published);
    // Killed between the removal and its record, it removes once more.
    let state = project.loaded_tsv();
    let without: String = state
        .lines()
        .filter(|line| !line.ends_with("removed"))
        .fold(String::new(), |all, line| all + line + "\n");
    fs::write(project.kit_folder().join("loaded.tsv"), without).unwrap();
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, run.loads().len(), removals(&run).len()), (0, 0, 2));
    project.assert_loaded("ds", &published);
}

#[test]
fn partition_of_histograms_is_no_resolution_of_samples() {
    let mut published = Published::days(2, 1).with_tiers();
    let project = Project::new(&published);
    project.load(&["ds", STAGING]);
    published.change_tier("2026-11-18", "histograms_5m");
    project.publish(&published);
    let run = project.load(&["ds", STAGING]);
    assert_eq!((run.code, removals(&run)), (0, Vec::new()));
    assert!(run.stderr.contains("of ds.samples, which DEST no longer has, is kept; --prune removes it"));
    assert_eq!(removals(&project.load(&["--prune", "ds", STAGING])), [r"ds.samples\$20261118"]);
    project.assert_loaded("ds", &published);
}

#[test]
fn dry_run_prints_the_commands_and_runs_none() {
    let published = Published::days(2, 1);
    let project = Project::new(&published);
    let dry = project.load(&["--dry-run", "ds", STAGING]);
    assert!(dry.calls.is_empty());
    assert!(!project.kit_folder().join("loaded.tsv").exists());
    compare("load_dry_run", &dry.transcript("load.sh --dry-run ds gs://bucket/staging"));
}

#[test]
fn paths_with_spaces_quotes_and_wildcards_are_no_trouble() {
    let published = Published::days(2, 1);
    for name in ["my dest", "it's \"quoted\" $HOME", "star*[x]?", "-dash;&|"] {
        let project = Project::at(name, &published);
        let run = project.load(&["proj-1:ds", "gs://bucket/my staging/"]);
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        assert_eq!(run.targets(), ["append proj-1:ds.series", "append proj-1:ds.samples"]);
        assert!(run.calls.iter().any(|call| call.contains(r"gs://bucket/my\ staging/samples/part-")));
        project.assert_loaded("proj-1:ds", &published);
    }
}

#[test]
fn dest_on_gcs_is_loaded_from_where_it_is() {
    let mut published = Published::days(2, 1);
    published.dest_url = Some("gs://bucket/it's here/".to_owned());
    let project = Project::new(&published);
    let run = project.load(&["ds"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.calls.iter().all(|call| !call.starts_with("gcloud")), "{:?}", run.calls);
    assert!(run.loads()[1].contains("here/samples/dt=2026-11-18/part-2026-11-18-0000"), "{:?}", run.loads());
    // A full copy keeps DEST's folders.
    let copy = project.load(&["--dest", "gs://copy", "other"]);
    assert!(copy.loads()[1].contains("gs://copy/samples/dt=2026-11-18/part-"), "{:?}", copy.loads());
    // Other object stores: gcloud reads S3, and nothing else.
    published.dest_url = Some("s3://source/dest".to_owned());
    project.publish(&published);
    let run = project.load(&["third", STAGING]);
    assert!(run.calls.iter().any(|call| call
        == "  < s3://source/dest/samples/dt=2026-11-18/part-2026-11-18-0000-1f0c9a77-0000.parquet"));
    published.dest_url = Some("az://source/dest".to_owned());
    project.publish(&published);
    let run = project.load(&["fourth", STAGING]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("load.sh --dest"), "{}", run.stderr);
}

#[test]
fn misuse_is_refused_with_what_to_do() {
    let project = Project::new(&Published::days(1, 1));
    for (args, message) in [
        (&[] as &[&str], "DATASET is missing"),
        (&["ds"], "is not on GCS, and BigQuery loads from there: give a GCS_STAGING"),
        (&["ds", "/local"], "is no gs:// URL"),
        (&["--dest", "out", "ds"], "--dest out is no gs:// URL"),
        (&["ds", "gs://a,b"], "use another prefix"),
        (&["ds", "gs://a/*"], "use another prefix"),
        (&["my-ds", STAGING], "is no dataset"),
        (&["a.b.c", STAGING], "is no dataset"),
        (&["ds", STAGING, "more"], "unexpected argument more"),
        (&["--fast", "ds"], "unknown flag --fast"),
        (&["--max-jobs", "0", "ds"], "is no number above 0"),
        (&["--max-jobs"], "--max-jobs needs a number"),
        (&["missing", STAGING], "make one with: bq --location=LOCATION mk -d missing"),
    ] {
        let run = project.load(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(message), "{args:?}: {}", run.stderr);
        assert!(run.loads().is_empty());
    }
    let help = project.load(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.starts_with("Usage: load.sh"));
}

#[test]
fn ndjson_with_zstd_is_explained_and_exits_2() {
    let output = OutputOptions { compression: Compression::Zstd, ..OutputOptions::new(Format::Ndjson) };
    let mut published = Published::new(output, PartitionBy::Day);
    published.add(DAY_0_MS, 1);
    let run = Project::new(&published).load(&["ds", STAGING]);
    assert_eq!((run.code, run.calls.len()), (2, 0));
    assert!(run.stderr.contains("--compression gzip"), "{}", run.stderr);
}

#[test]
fn bq_that_answers_nothing_suffices_for_a_load_and_a_rerun() {
    let published = Published::days(2, 1);
    let project = Project::new(&published);
    let stubs = assets().join("silent");
    let run = project.load_with(&stubs, &["ds", STAGING]);
    assert_eq!((run.code, run.loads().len()), (0, 2), "{}", run.stderr);
    assert!(project.load_with(&stubs, &["ds", STAGING]).loads().is_empty());
}

#[test]
fn load_needs_a_few_standard_tools_and_takes_gsutil_for_gcloud() {
    let published = Published::days(2, 1);
    let project = Project::new(&published);
    let tools = project.stub().join("tools");
    fs::create_dir_all(&tools).unwrap();
    let path = std::env::var("PATH").unwrap();
    // What --help names, of coreutils what is used.
    for tool in [
        "bash",
        "env",
        "awk",
        "sed",
        "grep",
        "basename",
        "cat",
        "cut",
        "date",
        "dirname",
        "head",
        "mkdir",
        "mktemp",
        "mv",
        "paste",
        "rm",
        "sha256sum",
        "sort",
        "tail",
        "tr",
        "wc",
    ] {
        let found =
            path.split(':').map(|folder| std::path::Path::new(folder).join(tool)).find(|at| at.exists());
        std::os::unix::fs::symlink(found.unwrap(), tools.join(tool)).unwrap();
    }
    for stub in ["bq", "gsutil"] {
        std::os::unix::fs::symlink(assets().join("silent").join(stub), tools.join(stub)).unwrap();
    }
    let run = project.load_in(tools.to_str().unwrap(), &["ds", STAGING]);
    assert_eq!((run.code, run.loads().len()), (0, 2), "{}", run.stderr);
    assert!(!run.stderr.contains("not found"), "{}", run.stderr);
    assert!(run.calls.contains(&format!("gsutil -m cp -I {STAGING}/samples/")), "{:?}", run.calls);
}

#[test]
fn scripts_pass_shellcheck_where_it_is_installed() {
    let Ok(version) = Command::new("shellcheck").arg("--version").output() else { return };
    assert!(version.status.success());
    let project = Project::new(&Published::days(1, 1));
    let stubs = assets().join("stub");
    let output = Command::new("shellcheck")
        .args([
            project.kit_folder().join("load.sh"),
            stubs.join("bq"),
            stubs.join("gcloud"),
            assets().join("silent/bq"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
