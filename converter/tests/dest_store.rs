//! DEST in an object store: the files of a folder, whatever fails, and one run at a time.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;
mod failing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use common::{convert_to, copy_folder, fixtures, run_options, scratch};
use failing::{Failing, How};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tsdb_converter::convert::{ConvertError, RunOptions, convert};
use tsdb_converter::dest::{Dest, DestError, Destination, LeaseTimes};
use tsdb_converter::discover::ReadOptions;
use tsdb_converter::distribute::{PlanFile, commit, convert_units, plan};
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::pipeline::Progress;
use tsdb_converter::report::{Report, UnitCounts};
use tsdb_converter::sink::{Format, OutputOptions};
use tsdb_converter::store::{Store, WriteIf};
use tsdb_converter::time::PartitionBy;

/// Options with many units and files.
fn many_units() -> ConvertOptions {
    let output = OutputOptions { target_file_size_bytes: 4096, ..OutputOptions::new(Format::Parquet) };
    ConvertOptions { output, shards: Some(3), partition_by: PartitionBy::Hour, ..ConvertOptions::default() }
}

fn fixture(name: &str) -> PathBuf {
    fixtures().join("blocks").join(name)
}

fn at(objects: Arc<dyn ObjectStore>) -> Store {
    Store::new(objects, "gs://bucket/some/dest", "some/dest").unwrap()
}

/// A DEST whose leases last two seconds.
fn dest(store: &Store) -> Destination {
    let millis = Duration::from_millis;
    let times = LeaseTimes { lasts: millis(2000), renewed: millis(100), watched: millis(50) };
    Destination::Store(store.clone(), times)
}

fn run(source: &Path, store: &Store, options: &ConvertOptions) -> Result<Report, ConvertError> {
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    convert(&[source.to_owned()], dest(store), options, &run_options(2), &progress, &stop)
}

fn message(error: &(dyn std::error::Error + 'static)) -> String {
    tsdb_converter::error::error_chain(error)
}

/// All objects below DEST.
fn objects(store: &Store) -> BTreeMap<String, Bytes> {
    let read = |path: String| {
        let bytes = store.read(&path, u64::MAX).unwrap();
        (path, bytes)
    };
    store.list_all("").unwrap().into_iter().map(|object| read(object.path)).collect()
}

/// All files below a folder, but for its lock.
fn files(root: &Path) -> BTreeMap<String, Bytes> {
    fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Bytes>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap().into());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(root, root, &mut found);
    found.remove("_promblock/lock");
    found
}

#[test]
fn a_store_gets_the_very_files_that_a_folder_gets() {
    for (name, options) in
        [("xor_basic", ConvertOptions::default()), ("midnight", many_units()), ("tombstones", many_units())]
    {
        let folder = scratch();
        convert_to(&fixture(name), folder.path(), &options, 2).unwrap();
        let store = at(Arc::new(InMemory::new()));
        run(&fixture(name), &store, &options).unwrap();
        let (mut expected, mut found) = (files(folder.path()), objects(&store));
        // These two name the place.
        for (name, line) in [
            ("load.sh", "dest_url='gs://bucket/some/dest'"),
            ("README.txt", "gcloud storage rsync gs://bucket/some/dest/_promblock/bigquery kit"),
        ] {
            let name = format!("_promblock/bigquery/{name}");
            assert!(String::from_utf8_lossy(&found.remove(&name).unwrap()).contains(line));
            expected.remove(&name).unwrap();
        }
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        assert!(expected == found, "{name}");
    }
}

#[test]
fn nothing_of_a_run_stays_in_the_temporary_folder() {
    let (temp, store) = (scratch(), at(Arc::new(InMemory::new())));
    let run = RunOptions { temp_dir: temp.path().to_owned(), ..run_options(2) };
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    convert(&[fixture("midnight")], dest(&store), &many_units(), &run, &progress, &stop).unwrap();
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    let run = RunOptions { temp_dir: temp.path().join("nowhere"), ..run };
    let error =
        convert(&[fixture("xor_basic")], dest(&store), &many_units(), &run, &progress, &stop).unwrap_err();
    assert!(message(&error).contains("give another folder with --temp-dir"), "{error}");
}

#[test]
fn a_rerun_does_what_is_new_and_a_missing_or_cut_object_is_written_again() {
    let (source, store) = (scratch(), at(Arc::new(InMemory::new())));
    let add = |name: &str| {
        for block in fs::read_dir(fixture(name)).unwrap() {
            let block = block.unwrap().path();
            copy_folder(&block, &source.path().join(block.file_name().unwrap()));
        }
    };
    let again = || run(source.path(), &store, &ConvertOptions::default()).unwrap().units;
    add("xor_basic");
    assert_eq!(again(), UnitCounts { done: 1, skipped: 0, frozen: 0 });
    let first = objects(&store);
    assert_eq!(again(), UnitCounts { done: 0, skipped: 1, frozen: 0 });
    assert!(first == objects(&store));
    for path in first.keys().filter(|path| path.ends_with(".parquet") || path.ends_with(".ids")) {
        store.remove(path).unwrap();
        assert_eq!(again().done, 1, "{path}");
        store.write(path, Bytes::from_static(b"PAR1"), WriteIf::Always).unwrap();
        assert_eq!(again().done, 1, "{path}");
        assert!(first == objects(&store), "{path}");
    }
    add("times_around_zero");
    let counts = again();
    assert_eq!((counts.skipped, counts.frozen), (1, 0));
    assert!(
        first.iter().all(|(path, bytes)| path.starts_with("_promblock/") || objects(&store)[path] == *bytes)
    );
}

#[test]
fn what_no_unit_names_is_swept_and_a_strange_object_is_not() {
    let store = at(Arc::new(InMemory::new()));
    run(&fixture("midnight"), &store, &ConvertOptions::default()).unwrap();
    let before = objects(&store);
    let put = |path: &str| _ = store.write(path, Bytes::from_static(b"half"), WriteIf::Always).unwrap();
    let left_over = [
        "samples/dt=2025-03-10/part-2025-03-10-0000-00000000-0007.parquet",
        "_promblock/units/2025-03-10-0000.lock",
    ];
    left_over.iter().for_each(|path| put(path));
    put("samples/dt=2025-03-10/README");
    run(&fixture("midnight"), &store, &ConvertOptions::default()).unwrap();
    store.remove("samples/dt=2025-03-10/README").unwrap();
    assert!(before == objects(&store));
}

#[test]
fn a_run_whose_requests_fail_anywhere_is_completed_by_the_next_one() {
    for (name, options, step) in [("xor_basic", ConvertOptions::default(), 1), ("midnight", many_units(), 13)]
    {
        for how in [How::Refused, How::AnswerLost, How::DeadFromThenOn] {
            check_failures(&fixture(name), &options, how, step);
        }
    }
}

fn check_failures(source: &Path, options: &ConvertOptions, how: How, step: usize) {
    let truth = at(Arc::new(InMemory::new()));
    run(source, &truth, options).unwrap();
    let truth = objects(&truth);
    let mut failures = 0;
    for n in (0..).step_by(step) {
        let memory = InMemory::new();
        let failing = Arc::new(Failing::new(memory.clone(), n, how));
        let failed = run(source, &at(Arc::clone(&failing) as Arc<dyn ObjectStore>), options);
        let store = at(Arc::new(memory));
        for (path, bytes) in objects(&store).iter().filter(|(path, _)| path.ends_with(".parquet")) {
            assert!(bytes.ends_with(b"PAR1"), "{path} after {how:?} {n}");
        }
        failures += u32::from(failed.is_err());
        if let Err(error) = failed {
            assert!(message(&error).contains("gs://bucket/"), "{how:?} {n}: {}", message(&error));
        }
        let report = run(source, &store, options).unwrap();
        assert_eq!(report.exit_code(), 0);
        let found = objects(&store);
        assert_eq!(truth.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{how:?} {n}");
        assert!(truth == found, "other bytes after {how:?} {n}");
        if !failing.has_failed() {
            break;
        }
    }
    assert!(failures > 3, "{how:?}: {failures}");
}

#[test]
fn two_runs_at_once_do_not_write_to_one_dest() {
    let store = at(Arc::new(InMemory::new()));
    let options = ConvertOptions::default();
    let first = Dest::open(&dest(&store), &options).unwrap();
    let error = run(&fixture("xor_basic"), &store, &options).unwrap_err();
    assert!(matches!(&error, ConvertError::Dest(DestError::Leased { .. })), "{error:?}");
    assert!(message(&error).starts_with("another promblock (process "), "{error}");
    drop(first);
    run(&fixture("xor_basic"), &store, &options).unwrap();
    assert!(store.head("_promblock/lock").is_err());
}

#[test]
fn of_many_runs_that_begin_at_once_one_wins() {
    let store = at(Arc::new(InMemory::new()));
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let open = || Dest::open(&dest(&store), &ConvertOptions::default()).map(|opened| opened.dest);
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .flat_map(|outcome| outcome.as_ref().err())
            .all(|error| { matches!(error, DestError::Leased { .. }) })
    );
}

#[test]
fn the_lease_of_a_killed_run_and_the_lock_of_a_copied_folder_are_taken_over() {
    let killed = r#"{"id": "1", "owner": "process 1 on a host", "lease_seconds": 1, "renewed": 7}"#;
    for left in [killed, "", "{}"] {
        let store = at(Arc::new(InMemory::new()));
        store.write("_promblock/lock", Bytes::from_static(left.as_bytes()), WriteIf::New).unwrap();
        run(&fixture("xor_basic"), &store, &ConvertOptions::default()).unwrap();
        assert!(store.head("_promblock/lock").is_err(), "{left}");
    }
}

#[test]
fn a_run_that_has_lost_its_lease_writes_nothing_more_and_leaves_the_others_alone() {
    let store = at(Arc::new(InMemory::new()));
    let opened = Dest::open(&dest(&store), &ConvertOptions::default()).unwrap();
    let others = Bytes::from_static(br#"{"id": "2", "owner": "b", "lease_seconds": 1, "renewed": 0}"#);
    store.write("_promblock/lock", others.clone(), WriteIf::Always).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let error = opened.dest.write_metadata(&Default::default()).unwrap_err();
    assert!(matches!(error, DestError::LeaseLost { .. }), "{error:?}");
    drop(opened);
    assert_eq!(objects(&store), BTreeMap::from([("_promblock/lock".to_owned(), others)]));
}

#[test]
fn units_converted_by_workers_and_committed_are_those_of_one_run() {
    let (source, options) = ([fixture("midnight")], many_units());
    let whole = at(Arc::new(InMemory::new()));
    run(&source[0], &whole, &options).unwrap();

    let store = at(Arc::new(InMemory::new()));
    let (header, planned) = plan(&source, &ReadOptions::default(), dest(&store), &options).unwrap();
    let units = planned.units;
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let convert =
        |units: &[_]| convert_units(&source, dest(&store), units, &run_options(1), &progress, &stop);
    let (some, rest) = units.split_at(units.len() / 2);
    let worker = Dest::join(&dest(&store)).unwrap();
    let locks = worker.dest.lock_units(rest).unwrap();
    // Beside a worker another one may be, but for the same units, and nobody who wants to be alone.
    convert(some).unwrap();
    let refused = convert(rest).unwrap_err();
    assert!(matches!(refused, ConvertError::Dest(DestError::Leased { .. })), "{refused:?}");
    let refused = run(&source[0], &store, &options).unwrap_err();
    assert!(matches!(refused, ConvertError::Dest(DestError::Leased { .. })), "{refused:?}");
    drop((locks, worker));
    convert(rest).unwrap();
    commit(dest(&store), PlanFile { header: Some(header), units }).unwrap();
    let (expected, found) = (objects(&whole), objects(&store));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    let data = |objects: BTreeMap<String, Bytes>| -> Vec<_> {
        objects.into_iter().filter(|(path, _)| !path.starts_with("_promblock/")).collect()
    };
    assert!(data(expected) == data(found));
}

#[test]
fn a_dest_that_was_made_in_a_folder_goes_on_in_a_store() {
    let (folder, store) = (scratch(), at(Arc::new(InMemory::new())));
    let done = convert_to(&fixture("midnight"), folder.path(), &many_units(), 2).unwrap().units.done;
    let mut copied = files(folder.path());
    copied.insert("_promblock/lock".to_owned(), Bytes::new());
    for (path, bytes) in copied {
        store.write(&path, bytes, WriteIf::New).unwrap();
    }
    let report = run(&fixture("midnight"), &store, &many_units()).unwrap();
    assert_eq!(report.units, UnitCounts { done: 0, skipped: done, frozen: 0 });
}

#[test]
fn a_prefix_that_is_not_ours_lies_in_a_block_or_cannot_be_locked_is_refused() {
    let put =
        |store: &Store, path: &str| _ = store.write(path, Bytes::from_static(b"{}"), WriteIf::New).unwrap();
    let refused = |store: &Store| {
        let before = objects(store);
        let error = run(&fixture("xor_basic"), store, &ConvertOptions::default()).unwrap_err();
        assert!(before == objects(store), "{error}");
        message(&error)
    };
    let strange = at(Arc::new(InMemory::new()));
    put(&strange, "thesis.tex");
    assert!(
        refused(&strange).starts_with("DEST gs://bucket/some/dest is not empty and not written by promblock")
    );

    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    put(&Store::new(Arc::clone(&bucket), "gs://bucket", "").unwrap(), "some/meta.json");
    let message = refused(&at(bucket));
    assert!(
        message.starts_with("DEST gs://bucket/some/dest lies inside block gs://bucket/some;"),
        "{message}"
    );

    let careless = at(Arc::new(Failing::new(InMemory::new(), 0, How::IgnoresConditions)));
    let message = refused(&careless);
    assert!(message.contains("does not write on condition that nothing is there"), "{message}");
}
