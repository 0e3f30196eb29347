//! What is selected and how labels are shaped: matchers, time ranges, labels, shards, and the order of rows.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use common::{Samples, convert_to, expected, fixtures, manifest, rows_in, samples_in, scratch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tsdb_converter::blocks::OpenBlock;
use tsdb_converter::convert::{ConvertError, open_blocks};
use tsdb_converter::discover::{ReadOptions, discover};
use tsdb_converter::finding::Findings;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::{ConvertOptions, StaleMarkers};
use tsdb_converter::order::Order;
use tsdb_converter::relabel::LabelOptions;
use tsdb_converter::report::Report;
use tsdb_converter::series::{Reach, SeriesError, SeriesMerge, Walk};
use tsdb_converter::sink::{Format, Layout, OutputOptions};
use tsdb_converter::time::PartitionBy;
use tsdb_reader::Labels;

fn fixture(name: &str) -> PathBuf {
    fixtures().join("blocks").join(name)
}

fn run(name: &str, options: &ConvertOptions) -> (Samples, Report) {
    let dest = scratch();
    let report = convert_to(&fixture(name), dest.path(), options, 2).unwrap();
    assert!(report.adds_up, "{name}: {report:#?}");
    let samples = samples_in(dest.path());
    let rows: usize = samples.values().map(Vec::len).sum();
    assert_eq!(rows as u64, report.samples.written, "{name}");
    (samples, report)
}

fn refused(name: &str, options: &ConvertOptions) -> ConvertError {
    let dest = scratch();
    convert_to(&fixture(name), dest.path(), options, 2).unwrap_err()
}

/// Expected samples of the series that `wanted` picks by its labels.
fn picked(name: &str, wanted: impl Fn(&Labels) -> bool) -> Samples {
    let expected = expected(name);
    let wanted = |id: &i64| wanted(&expected.labels[id]);
    expected.floats.iter().filter(|(id, _)| wanted(id)).map(|(id, at)| (*id, at.clone())).collect()
}

fn value<'l>(labels: &'l Labels, name: &str) -> &'l str {
    let found = labels.iter().find(|(at, _)| *at == name.as_bytes());
    found.map_or("", |(_, value)| std::str::from_utf8(value).unwrap())
}

fn matching(selectors: &[&str]) -> ConvertOptions {
    ConvertOptions { selectors: selectors.iter().map(|&at| at.to_owned()).collect(), ..Default::default() }
}

// Selectors.

/// What a selector should select.
type Wanted = fn(&Labels) -> bool;

#[test]
fn a_selector_selects_by_any_label() {
    let cases: [(&str, Wanted); 6] = [
        ("up", |at| value(at, "__name__") == "up"),
        (r#"{job="sensors"}"#, |at| value(at, "job") == "sensors"),
        (r#"{job=~"s.*", room!="cellar"}"#, |at| {
            value(at, "job") == "sensors" && value(at, "room") != "cellar"
        }),
        (r#"{room=""}"#, |at| value(at, "room").is_empty()),
        (r#"{__name__=~".*"}"#, |_| true),
        (r#"{__name__!~"up|random", instance="b:9090"}"#, |at| {
            !["up", "random"].contains(&value(at, "__name__")) && value(at, "instance") == "b:9090"
        }),
    ];
    for (selector, wanted) in cases {
        let truth = picked("xor_basic", wanted);
        assert!(!truth.is_empty(), "{selector}");
        for shards in [None, Some(3)] {
            let (samples, report) = run("xor_basic", &ConvertOptions { shards, ..matching(&[selector]) });
            assert!(samples == truth, "{selector}");
            assert_eq!(report.exit_code(), 0, "{selector}");
        }
    }
}

#[test]
fn several_selectors_select_what_any_of_them_does() {
    let selectors = [r#"{room="cellar"}"#, "up", r#"up{job="api"}"#, r#"{nothing="like this"}"#];
    let truth = picked("xor_basic", |at| value(at, "room") == "cellar" || value(at, "__name__") == "up");
    assert!(run("xor_basic", &matching(&selectors)).0 == truth);
}

#[test]
fn a_selector_that_selects_nothing_gives_no_rows_and_says_so() {
    let (samples, report) = run("xor_basic", &matching(&[r#"{job="none"}"#]));
    assert_eq!((samples.len(), report.samples.read, report.exit_code()), (0, 0, 0));
    let names: Vec<_> = report.findings.list.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names, ["nothing-selected"]);
}

#[test]
fn selectors_see_external_labels_and_not_what_they_override() {
    let cases: [(&str, Wanted); 4] = [
        (r#"{cluster="a"}"#, |at| value(at, "cluster") == "a"),
        (r#"{cluster=""}"#, |at| value(at, "cluster").is_empty()),
        (r#"{region="eu", cluster!="a"}"#, |at| value(at, "region") == "eu" && value(at, "cluster") != "a"),
        (r#"up{cluster=~"a|b"}"#, |at| !value(at, "cluster").is_empty() && value(at, "__name__") == "up"),
    ];
    for (selector, wanted) in cases {
        let truth = picked("external_labels", wanted);
        assert!(!truth.is_empty(), "{selector}");
        assert!(run("external_labels", &matching(&[selector])).0 == truth, "{selector}");
    }
}

#[test]
fn a_selector_that_does_not_parse_is_named() {
    let error = refused("xor_basic", &matching(&["up", "{job=}"])).to_string();
    assert!(error.contains("--match {job=}"), "{error}");
}

// Time.

fn between(min_time_ms: Option<i64>, max_time_ms: Option<i64>) -> ConvertOptions {
    ConvertOptions { min_time_ms, max_time_ms, ..Default::default() }
}

fn cut(samples: &Samples, keep: impl Fn(i64) -> bool) -> Samples {
    let mut samples = samples.clone();
    samples.values_mut().for_each(|at| at.retain(|&(time_ms, ..)| keep(time_ms)));
    samples.retain(|_, at| !at.is_empty());
    samples
}

#[test]
fn time_bounds_are_half_open_wherever_they_cut_a_chunk() {
    for name in ["xor_basic", "midnight", "times_around_zero", "overlap_three", "tombstones", "stale_markers"]
    {
        let all = expected(name).floats;
        let times: Vec<i64> = all.values().flatten().map(|&(time_ms, ..)| time_ms).collect();
        let times: Vec<i64> = times.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        for bound in
            [times[0], times[1], times[times.len() / 3] + 1, times[times.len() / 2], times[times.len() - 1]]
        {
            let (after, report) = run(name, &between(Some(bound), None));
            assert!(after == cut(&all, |at| at >= bound), "{name} from {bound}");
            assert_eq!(report.exit_code(), 0, "{name}: {report:#?}");
            let (before, report) = run(name, &between(None, Some(bound)));
            assert!(before == cut(&all, |at| at < bound), "{name} to {bound}");
            assert_eq!(report.exit_code(), 0, "{name}: {report:#?}");
            let (one, _) = run(name, &between(Some(bound), Some(bound + 1)));
            assert!(one == cut(&all, |at| at == bound), "{name} at {bound}");
        }
    }
}

#[test]
fn samples_outside_the_time_range_are_counted() {
    // Two series of 240 samples each in two chunks, 15 s apart.
    let bound = 1_741_593_600_000 + 100 * 15_000;
    let options =
        ConvertOptions { selectors: vec!["up".into()], ..between(Some(bound), Some(bound + 150_000)) };
    let (samples, report) = run("xor_basic", &options);
    let written: usize = samples.values().map(Vec::len).sum();
    assert_eq!(written, 20);
    assert_eq!(report.samples.outside_time_range + 20, report.samples.read);
    assert_eq!(report.samples.lost_samples(), 0);
    let (_, none) = run("xor_basic", &between(Some(0), Some(1)));
    assert_eq!((none.samples.read, none.exit_code()), (0, 0));
}

#[test]
fn an_empty_time_range_is_refused() {
    for (min, max) in [(5, 5), (6, 5), (i64::MAX, i64::MIN), (i64::MIN, i64::MIN), (0, -1)] {
        let error = refused("xor_basic", &between(Some(min), Some(max)));
        assert!(matches!(error, ConvertError::EmptyTimeRange { .. }), "{error:?}");
    }
    assert!(matches!(
        refused("xor_basic", &between(None, Some(i64::MIN))),
        ConvertError::EmptyTimeRange { .. }
    ));
    assert!(!run("xor_basic", &between(Some(i64::MIN), Some(i64::MAX))).0.is_empty());
}

// Labels.

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn dropping(labels: &[&str]) -> ConvertOptions {
    let labels = LabelOptions { drop: names(labels), ..LabelOptions::default() };
    ConvertOptions { labels, ..Default::default() }
}

/// Expected samples with labels changed by `shape`; series that become equal are merged.
fn shaped(name: &str, shape: impl Fn(&Labels) -> BTreeMap<Vec<u8>, Vec<u8>>) -> Samples {
    let expected = expected(name);
    let mut samples = Samples::new();
    for (id, of_series) in &expected.floats {
        let pairs = shape(&expected.labels[id]);
        let labels: Labels = pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        samples.entry(series_id(&labels)).or_default().extend(of_series);
    }
    samples.values_mut().for_each(|at| at.sort_unstable());
    samples
}

fn pairs(labels: &Labels) -> BTreeMap<Vec<u8>, Vec<u8>> {
    labels.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

#[test]
fn labels_are_dropped_kept_and_added() {
    let (dropped, _) = run("xor_basic", &dropping(&["instance", "no such label"]));
    let truth = shaped("xor_basic", |labels| {
        let mut pairs = pairs(labels);
        pairs.remove(&b"instance"[..]);
        pairs
    });
    assert!(dropped == truth);

    let keep = LabelOptions { keep: names(&["code", "room"]), ..LabelOptions::default() };
    let options = ConvertOptions { labels: keep, allow_merge: true, ..Default::default() };
    let truth = shaped("xor_basic", |labels| {
        let mut pairs = pairs(labels);
        pairs.retain(|name, _| [&b"__name__"[..], b"code", b"room"].contains(&name.as_slice()));
        pairs
    });
    assert_eq!(run("xor_basic", &options).0.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());

    let add = BTreeMap::from([("A".to_owned(), "first".to_owned()), ("job".to_owned(), "new".to_owned())]);
    let labels = LabelOptions { add, ..LabelOptions::default() };
    let truth = shaped("xor_basic", |labels| {
        let mut pairs = pairs(labels);
        pairs.insert(b"A".to_vec(), b"first".to_vec());
        pairs.insert(b"job".to_vec(), b"new".to_vec());
        pairs
    });
    assert!(run("xor_basic", &ConvertOptions { labels, ..Default::default() }).0 == truth);
}

#[test]
fn series_that_become_equal_are_refused_by_name_unless_merging_is_allowed() {
    let options = dropping(&["replica"]);
    let error = refused("replicas", &options);
    let ConvertError::Series(SeriesError::Merged { first, second, shaped: both }) = &error else {
        panic!("{error:?}")
    };
    assert!(first.contains(r#"replica="0""#) && second.contains(r#"replica="1""#), "{error}");
    assert!(both.contains("ticks_total") && !both.contains("replica"), "{error}");
    assert!(error.to_string().contains("--allow-merge"), "{error}");

    let (samples, report) = run("replicas", &ConvertOptions { allow_merge: true, ..options });
    let truth = shaped("replicas", |labels| {
        let mut pairs = pairs(labels);
        pairs.remove(&b"replica"[..]);
        pairs
    });
    assert!(samples == truth);
    assert_eq!((report.samples.merged_series, report.exit_code()), (1, 0));

    // The two are series of one block here.
    let error = refused("many_series", &dropping(&["instance"])).to_string();
    assert!(error.contains(r#"instance="host-00:9090""#) && error.contains("host-01"), "{error}");
    let (samples, report) =
        run("many_series", &ConvertOptions { allow_merge: true, ..dropping(&["instance"]) });
    let written: usize = samples.values().map(Vec::len).sum();
    assert_eq!(report.samples.read, report.samples.written + report.samples.duplicates);
    assert_eq!(written as u64, report.samples.written);
    assert!(report.samples.merged_series > 300, "{report:#?}");
}

#[test]
fn series_of_several_blocks_are_not_counted_as_merged() {
    for name in ["consecutive", "overlap_three", "external_labels", "replicas"] {
        assert_eq!(run(name, &ConvertOptions::default()).1.samples.merged_series, 0, "{name}");
    }
}

#[test]
fn promoted_labels_have_columns_of_their_own_in_both_tables() {
    for layout in [Layout::Star, Layout::Flat] {
        let output = OutputOptions {
            layout,
            label_columns: vec!["room".into(), "job".into()],
            ..OutputOptions::new(Format::Parquet)
        };
        let dest = scratch();
        let options = ConvertOptions { output, ..Default::default() };
        convert_to(&fixture("xor_basic"), dest.path(), &options, 1).unwrap();
        let labels = expected("xor_basic").labels;
        for table in ["samples", "series"] {
            let mut rows = 0;
            each_batch(dest.path(), table, |batch| {
                let column = |name: &str| batch.column_by_name(name).unwrap().clone();
                let ids = column("series_id");
                let ids = ids.as_primitive::<arrow_array::types::Int64Type>();
                for name in ["room", "job"] {
                    let of_label = column(name);
                    let of_label = of_label.as_string::<i32>();
                    for row in 0..batch.num_rows() {
                        let found = (!of_label.is_null(row)).then(|| of_label.value(row));
                        let expected = value(&labels[&ids.value(row)], name);
                        assert_eq!(found.unwrap_or(""), expected);
                        assert_eq!(found.is_none(), expected.is_empty());
                        rows += 1;
                    }
                }
            });
            assert!(rows > 0, "{table}");
        }
    }
}

fn each_batch(dest: &Path, table: &str, mut with: impl FnMut(&arrow_array::RecordBatch)) {
    for file in manifest(dest).units.iter().flat_map(|unit| &unit.files).filter(|file| file.table == table) {
        let open = std::fs::File::open(dest.join(&file.path)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(open).unwrap().build().unwrap() {
            with(&batch.unwrap());
        }
    }
}

#[test]
fn stale_markers_are_dropped_and_counted_when_asked_for() {
    let options = ConvertOptions { stale_markers: StaleMarkers::Drop, ..Default::default() };
    for name in ["stale_markers", "overlap_conflict", "nan_payloads"] {
        let mut truth = expected(name).floats;
        let all: usize = truth.values().map(Vec::len).sum();
        truth.values_mut().for_each(|at| at.retain(|&(_, bits, _)| bits != common::STALE));
        truth.retain(|_, at| !at.is_empty());
        let left: usize = truth.values().map(Vec::len).sum();
        let (samples, report) = run(name, &options);
        assert!(samples == truth, "{name}");
        assert_eq!(report.exit_code(), 0, "{name}");
        assert!(report.samples.stale_dropped >= (all - left) as u64, "{name}: {report:#?}");
    }
}

// Shards and order.

#[test]
fn shards_together_are_what_one_shard_is() {
    for name in common::fixture_names() {
        let convert = |shards| {
            let dest = scratch();
            // One partition, so that units follow in the order of their shards.
            let options = ConvertOptions {
                shards: Some(shards),
                partition_by: PartitionBy::None,
                ..Default::default()
            };
            convert_to(&fixture(&name), dest.path(), &options, 2).unwrap();
            let units = manifest(dest.path()).units.len();
            (rows_in(dest.path()), units)
        };
        let (one, units) = convert(1);
        assert!(units <= 1, "{name}");
        for shards in [3, 50] {
            let (rows, units) = convert(shards);
            assert!(rows == one, "{name} in {shards} shards");
            assert!(units <= shards, "{name}");
        }
    }
}

#[test]
fn rows_come_by_metric_with_none_first_then_labels_then_time() {
    let folders = common::fixture_names().into_iter().map(|name| (fixture(&name), name));
    for (source, name) in folders {
        let dest = scratch();
        let options = ConvertOptions { partition_by: PartitionBy::None, ..Default::default() };
        convert_to(&source, dest.path(), &options, 2).unwrap();
        let labels = expected(&name).labels;
        let mut last: Option<(Vec<u8>, i64)> = None;
        for (series_id, (time_ms, ..)) in rows_in(dest.path()) {
            let mut key = Vec::new();
            Order::Metric.key(&labels[&series_id], &mut key);
            let next = (key, time_ms);
            assert!(last.as_ref().is_none_or(|last| *last < next), "{name}: {}", labels[&series_id]);
            last = Some(next);
        }
    }
}

#[test]
fn series_out_of_label_order_in_the_index_come_out_in_order() {
    let dest = scratch();
    for threads in [1, 4] {
        let dest = dest.path().join(threads.to_string());
        convert_to(
            &fixtures().join("broken/series_out_of_order"),
            &dest,
            &ConvertOptions::default(),
            threads,
        )
        .unwrap();
        let mut metrics = Vec::new();
        each_batch(&dest, "series", |batch| {
            let labels = batch.column_by_name("labels").unwrap().as_string::<i32>();
            metrics.extend(labels.iter().map(|at| at.unwrap().to_owned()));
        });
        assert_eq!(metrics.len(), 3);
        assert!(metrics.is_sorted(), "{metrics:?}");
    }
}

/// Opens all blocks of a folder for a walk over their series.
fn open(source: &Path, options: &ConvertOptions) -> Vec<OpenBlock> {
    let found = discover(&[source.to_owned()], &ReadOptions::default()).unwrap().blocks;
    open_blocks(found, options, &[], &mut Findings::default())
}

#[test]
fn sorting_gives_the_same_order_in_memory_and_on_disk() {
    let temp = scratch();
    let sources = [
        fixture("many_series"),
        fixture("many_values"),
        fixture("labels_before_name"),
        fixture("external_labels"),
        fixtures().join("broken/series_out_of_order"),
    ];
    for source in sources {
        let add = BTreeMap::from([("00".to_owned(), "x".to_owned()), ("zz".to_owned(), "y".to_owned())]);
        for labels in [LabelOptions::default(), LabelOptions { add, ..LabelOptions::default() }] {
            let blocks = open(&source, &ConvertOptions { labels, ..Default::default() });
            let walk = |sort_budget_bytes| {
                let walk = Walk { order: Order::Metric, temp_dir: temp.path(), sort_budget_bytes };
                let mut merge =
                    SeriesMerge::new(&Reach::all(&blocks), walk, &|_| true, false, |_, _| true).unwrap();
                let mut keys = Vec::new();
                while let Some(series) = merge.next().unwrap() {
                    let mut key = Vec::new();
                    Order::Metric.key(&series.labels, &mut key);
                    keys.push(key);
                }
                keys
            };
            let held = walk(1 << 30);
            assert!(held.len() > 2 && held.is_sorted_by(|a, b| a < b), "{}", source.display());
            assert!(held == walk(0) && held == walk(2000), "{}", source.display());
        }
    }
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn sorting_without_a_temporary_folder_is_refused_by_the_flag_that_helps() {
    let blocks = open(&fixture("many_series"), &ConvertOptions::default());
    let missing = Path::new("/nonexistent/folder");
    let walk = Walk { order: Order::Metric, temp_dir: missing, sort_budget_bytes: 0 };
    let merge = SeriesMerge::new(&Reach::all(&blocks), walk, &|_| true, false, |_, _| true);
    let Err(error) = merge else { panic!("sorted in a folder that is not there") };
    assert!(error.to_string().contains("--temp-dir"), "{error}");
}
