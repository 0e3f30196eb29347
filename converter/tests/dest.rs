//! DEST: what a run refuses, what a rerun leaves alone, and what a killed one leaves behind.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use common::{
    convert_to, convert_with, copy_folder, data_files, expected, fixtures, manifest, run_options, samples_in,
    scratch,
};
use tsdb_converter::convert::{ConvertError, RunOptions, convert, plan_units};
use tsdb_converter::dest::{Dest, DestError};
use tsdb_converter::discover::ReadOptions;
use tsdb_converter::downsample::Policy;
use tsdb_converter::merge::Wanted;
use tsdb_converter::metadata::KnownMetadata;
use tsdb_converter::options::{ConvertOptions, Histograms, StaleMarkers};
use tsdb_converter::order::Order;
use tsdb_converter::pipeline::{self, Progress, UnitOutput, Work};
use tsdb_converter::plan::{Ledger, Shard, Unit};
use tsdb_converter::predecessors::Predecessors;
use tsdb_converter::report::{Report, UnitCounts};
use tsdb_converter::series::Walk;
use tsdb_converter::sink::{Encoder, Format, Layout, OutputOptions, Profile};
use tsdb_converter::time::{PartitionBy, TimeBounds};

const DEFAULTS: fn() -> ConvertOptions = ConvertOptions::default;

/// Options with many units and files.
fn many_units() -> ConvertOptions {
    let output = OutputOptions { target_file_size_bytes: 4096, ..OutputOptions::new(Format::Parquet) };
    ConvertOptions { output, shards: Some(24), partition_by: PartitionBy::Hour, ..DEFAULTS() }
}

fn snapshot() -> PathBuf {
    fs::read_dir(fixtures().join("snapshot")).unwrap().next().unwrap().unwrap().path()
}

fn fixture(name: &str) -> PathBuf {
    fixtures().join("blocks").join(name)
}

/// The block folders of a fixture, by ULID.
fn blocks_of(name: &str) -> Vec<PathBuf> {
    let mut blocks: Vec<_> =
        fs::read_dir(fixture(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    blocks.sort();
    blocks
}

/// A SOURCE and a DEST that change between runs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("source")).unwrap();
        Self { folder }
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn dest(&self) -> PathBuf {
        self.folder.path().join("dest")
    }

    fn add(&self, block: &Path) -> PathBuf {
        let target = self.source().join(block.file_name().unwrap());
        copy_folder(block, &target);
        target
    }

    fn remove(&self, block: &Path) {
        fs::remove_dir_all(self.source().join(block.file_name().unwrap())).unwrap();
    }

    fn run(&self) -> Report {
        let report = convert_to(&self.source(), &self.dest(), &DEFAULTS(), 2).unwrap();
        self.check_files();
        report
    }

    /// The manifest lists exactly what is on the disk, and nothing temporary is left.
    fn check_files(&self) {
        check_files(&self.dest());
    }

    fn state(&self) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        state(&self.dest())
    }
}

fn state(dest: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let modified = |path: &str| fs::metadata(dest.join(path)).unwrap().modified().unwrap();
    data_files(dest)
        .into_iter()
        .map(|(path, bytes)| {
            let time = modified(&path);
            (path, (bytes, time))
        })
        .collect()
}

fn check_files(dest: &Path) {
    let on_disk: BTreeSet<String> = data_files(dest).into_keys().collect();
    let manifest = manifest(dest);
    let listed: BTreeSet<String> =
        manifest.units.iter().flat_map(|unit| &unit.files).map(|file| file.path.clone()).collect();
    assert_eq!(on_disk, listed);
    let bytes = data_files(dest);
    for file in manifest.units.iter().flat_map(|unit| &unit.files) {
        assert_eq!(bytes[&file.path].len() as u64, file.size_bytes, "{}", file.path);
        assert_eq!(format!("{:08x}", crc32c::crc32c(&bytes[&file.path])), file.crc32c, "{}", file.path);
    }
    assert_eq!(temporary_files(dest), Vec::<PathBuf>::new());
}

fn temporary_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(temporary_files(&path));
        } else if path.file_name().unwrap().to_str().unwrap().starts_with(".tmp") {
            found.push(path);
        }
    }
    found
}

fn counts(done: u64, skipped: u64, frozen: u64) -> UnitCounts {
    UnitCounts { done, skipped, frozen }
}

// Kill and resume.

/// What the tests below start as a process of its own: a conversion as its environment says.
#[test]
fn child() {
    let (Some(source), Some(dest)) = (std::env::var_os("TEST_SOURCE"), std::env::var_os("TEST_DEST")) else {
        return;
    };
    if let Err(error) = convert_to(Path::new(&source), Path::new(&dest), &many_units(), 2) {
        println!("failed: {}", tsdb_converter::error::error_chain(&error));
        std::process::exit(7);
    }
}

fn child_command(program: &Path, source: &Path, dest: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("TEST_SOURCE", source).env("TEST_DEST", dest).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

const CHILD: [&str; 3] = ["--exact", "child", "--nocapture"];

#[test]
fn a_run_killed_at_any_moment_is_completed_by_the_next_one() {
    let undisturbed = scratch();
    let program = std::env::current_exe().unwrap();
    let source = snapshot();
    let start = Instant::now();
    assert!(child_command(&program, &source, undisturbed.path()).args(CHILD).status().unwrap().success());
    let whole = start.elapsed();
    let truth = data_files(undisturbed.path());
    assert!(truth.len() > 20, "{}", truth.len());

    const KILLS: u32 = 14;
    let mut unfinished = 0;
    for at in 0..KILLS {
        let dest = scratch();
        // Twice in a row, so that a resumed run is killed as well.
        for delay in [whole * at / KILLS, whole * (KILLS - at) / KILLS / 2] {
            let mut run = child_command(&program, &source, dest.path()).args(CHILD).spawn().unwrap();
            std::thread::sleep(delay);
            let _may_have_ended = run.kill();
            run.wait().unwrap();
            unfinished += u32::from(!dest.path().join("_promblock/manifest.json").exists());
        }
        let report = convert_to(&source, dest.path(), &many_units(), 2).unwrap();
        assert_eq!(report.exit_code(), 0, "{report:#?}");
        assert!(data_files(dest.path()) == truth, "other bytes after a kill at {at} of {KILLS}");
        check_files(dest.path());
    }
    assert!(unfinished > 5, "only {unfinished} runs were killed before their end");
}

#[cfg(unix)]
#[test]
fn a_file_system_that_takes_no_more_leaves_nothing_half_written() {
    let dest = scratch();
    let program = std::env::current_exe().unwrap();
    let source = fixture("xor_basic");
    // A file of more than 4 blocks of 512 bytes cannot be written; the signal of it is ignored.
    let mut limited = child_command(Path::new("/bin/sh"), &source, dest.path());
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 4; exec "$0" "$@""#]).arg(&program).args(CHILD);
    let output = limited.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains(&format!("failed: {}", dest.path().display())), "{told}");
    assert!(told.contains(" is larger than a file may be here: raise the limit (ulimit -f)"), "{told}");
    assert!(!dest.path().join("_promblock/manifest.json").exists());
    assert_eq!(temporary_files(dest.path()), Vec::<PathBuf>::new());
    for bytes in data_files(dest.path()).values() {
        assert!(bytes.ends_with(b"PAR1"));
    }

    convert_to(&source, dest.path(), &many_units(), 2).unwrap();
    check_files(dest.path());
    let undisturbed = scratch();
    convert_to(&source, undisturbed.path(), &many_units(), 2).unwrap();
    assert!(data_files(dest.path()) == data_files(undisturbed.path()));
}

#[test]
fn a_run_that_is_told_to_stop_leaves_what_is_committed_and_no_manifest() {
    let dest = scratch();
    let (stop, progress) = (AtomicBool::new(true), Progress::default());
    let source = [fixture("xor_basic")];
    let stopped = convert(&source, dest.path(), &many_units(), &run_options(2), &progress, &stop);
    assert!(matches!(stopped, Err(ConvertError::Stopped)), "{stopped:?}");
    assert!(!dest.path().join("_promblock/manifest.json").exists());
    stop.store(false, Ordering::Relaxed);
    convert(&source, dest.path(), &many_units(), &run_options(2), &progress, &stop).unwrap();
    check_files(dest.path());
}

// What is refused.

fn refused(dest: &Path, options: &ConvertOptions) -> String {
    let error = convert_to(&fixture("xor_basic"), dest, options, 1).unwrap_err();
    assert!(matches!(error, ConvertError::Dest(_)), "{error:?}");
    tsdb_converter::error::error_chain(&error)
}

#[test]
fn a_folder_with_other_files_is_refused_and_left_alone() {
    let dest = scratch();
    fs::write(dest.path().join("thesis.tex"), "years of work").unwrap();
    assert!(refused(dest.path(), &DEFAULTS()).contains("is not empty and not written by promblock"));
    let left: Vec<_> = fs::read_dir(dest.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.tex"]);
}

#[test]
fn a_dest_made_with_other_options_is_refused_with_each_difference() {
    let dest = scratch();
    convert_to(&fixture("xor_basic"), dest.path(), &DEFAULTS(), 1).unwrap();
    let before = state(dest.path());
    let output = |change: fn(&mut OutputOptions)| {
        let mut options = DEFAULTS();
        change(&mut options.output);
        options
    };
    let others: [(ConvertOptions, &[&str]); 10] = [
        (
            ConvertOptions { output: OutputOptions::new(Format::Ndjson), ..DEFAULTS() },
            &["format", "compression"],
        ),
        (output(|output| output.layout = Layout::Flat), &["layout"]),
        (output(|output| output.profile = Profile::Compact), &["profile"]),
        (output(|output| output.label_columns = vec!["job".into()]), &["label_columns", "job"]),
        (ConvertOptions { partition_by: PartitionBy::Hour, ..DEFAULTS() }, &["partition_by", "hour", "day"]),
        (ConvertOptions { shards: Some(2), ..DEFAULTS() }, &["shards: 2 asked for, 1 in DEST"]),
        (ConvertOptions { selectors: vec!["up".into()], ..DEFAULTS() }, &["selectors", "up"]),
        (ConvertOptions { min_time_ms: Some(5), ..DEFAULTS() }, &["min_time_ms: 5 asked for, null in DEST"]),
        (
            ConvertOptions { stale_markers: StaleMarkers::Drop, ..DEFAULTS() },
            &["stale_markers", "drop", "keep"],
        ),
        (
            ConvertOptions { histograms: Histograms::Both, ..DEFAULTS() },
            &["histograms: \"both\" asked for, the default in DEST"],
        ),
    ];
    for (options, differences) in others {
        let message = refused(dest.path(), &options);
        for part in differences.iter().chain(&["was written with other options"]) {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(before == state(dest.path()));
}

#[test]
fn two_runs_at_once_do_not_write_to_one_dest() {
    let dest = scratch();
    convert_to(&fixture("xor_basic"), dest.path(), &DEFAULTS(), 1).unwrap();
    let other = Dest::open(&dest.path().into(), &DEFAULTS()).unwrap();
    assert!(refused(dest.path(), &DEFAULTS()).contains("another promblock is writing"));
    assert!(matches!(Dest::open(&dest.path().into(), &DEFAULTS()), Err(DestError::Locked { .. })));
    drop(other);
    convert_to(&fixture("xor_basic"), dest.path(), &DEFAULTS(), 1).unwrap();
}

#[test]
fn a_damaged_file_of_dest_is_named() {
    for file in ["plan.json", "manifest.json", "units/2025-03-10-0000.json"] {
        for damage in ["", "{", "[]", "{}"] {
            let dest = scratch();
            convert_to(&fixture("xor_basic"), dest.path(), &DEFAULTS(), 1).unwrap();
            let before = data_files(dest.path());
            let path = dest.path().join("_promblock").join(file);
            assert!(path.exists(), "{file}");
            fs::write(&path, damage).unwrap();
            let message = refused(dest.path(), &DEFAULTS());
            assert!(message.contains(path.to_str().unwrap()), "{file} {damage}: {message}");
            assert!(before == data_files(dest.path()), "{file} {damage}");
        }
    }
}

// Reruns.

#[test]
fn a_rerun_with_nothing_new_does_nothing() {
    for name in ["xor_basic", "midnight", "tombstones", "overlap_conflict", "superseded", "times_around_zero"]
    {
        let place = Place::new();
        blocks_of(name).iter().for_each(|block| _ = place.add(block));
        let first = place.run();
        let (before, records) = (place.state(), manifest(&place.dest()).units);
        let again = place.run();
        assert_eq!(again.units, counts(0, first.units.done, 0), "{name}");
        assert!(before == place.state(), "{name}");
        assert_eq!(records, manifest(&place.dest()).units, "{name}");
        assert_eq!(again.exit_code(), 0, "{name}");
        assert_eq!(again.samples, first.samples, "{name}");
    }
}

#[test]
fn a_unit_with_a_missing_or_cut_file_is_done_again() {
    let place = Place::new();
    place.add(&blocks_of("midnight")[0]);
    place.run();
    let before = data_files(&place.dest());
    for (at, path) in before.keys().enumerate() {
        match at % 2 {
            0 => fs::remove_file(place.dest().join(path)).unwrap(),
            _ => fs::write(place.dest().join(path), b"PAR1").unwrap(),
        }
        let report = place.run();
        assert_eq!((report.units.done, report.units.frozen), (1, 0), "{path}");
        assert!(before == data_files(&place.dest()), "{path}");
    }
}

#[test]
fn a_new_block_redoes_its_own_partitions_only() {
    let place = Place::new();
    place.add(&blocks_of("xor_basic")[0]);
    place.run();
    let before = place.state();
    // Of the years 1931 to 1970.
    place.add(&blocks_of("times_around_zero")[0]);
    let report = place.run();
    assert_eq!((report.units.skipped, report.units.frozen), (1, 0));
    assert!(report.units.done > 1);
    let after = place.state();
    assert!(before.iter().all(|(path, file)| after.get(path) == Some(file)));
    // Of the same day.
    place.add(&blocks_of("consecutive")[0]);
    let report = place.run();
    assert_eq!((report.units.done, report.units.frozen), (1, 0));
    let truth = scratch();
    convert_to(&place.source(), truth.path(), &DEFAULTS(), 1).unwrap();
    assert_eq!(samples_in(&place.dest()), samples_in(truth.path()));
}

#[test]
fn a_block_that_is_gone_takes_nothing_along() {
    let place = Place::new();
    let blocks = blocks_of("consecutive");
    blocks.iter().chain(&blocks_of("times_around_zero")).for_each(|block| _ = place.add(block));
    place.run();
    let (before, samples) = (place.state(), samples_in(&place.dest()));
    // Another one of the same day is there: the unit is looked at, and stays.
    place.remove(&blocks[1]);
    let report = place.run();
    assert_eq!((report.units.done, report.units.frozen), (0, 1));
    assert_eq!(report.exit_code(), 0);
    assert!(report.findings.list.iter().any(|finding| finding.name == "frozen-unit"), "{report:#?}");
    assert!(before == place.state());
    // Nothing of that time is left.
    place.remove(&blocks_of("times_around_zero")[0]);
    place.run();
    assert!(before == place.state());
    assert_eq!(samples, samples_in(&place.dest()));
}

#[test]
fn a_frozen_unit_thaws_when_its_block_comes_back() {
    let place = Place::new();
    let blocks = blocks_of("consecutive");
    blocks.iter().for_each(|block| _ = place.add(block));
    place.run();
    place.remove(&blocks[2]);
    assert_eq!(place.run().units, counts(0, 0, 1));
    place.add(&blocks[2]);
    assert_eq!(place.run().units, counts(0, 1, 0));
}

#[test]
fn tombstones_that_come_later_delete_from_dest() {
    let place = Place::new();
    let block = place.add(&blocks_of("tombstones")[0]);
    fs::rename(block.join("tombstones"), place.folder.path().join("later")).unwrap();
    let full = place.run();
    assert_eq!(full.samples.written, 2160);
    fs::rename(place.folder.path().join("later"), block.join("tombstones")).unwrap();
    let report = place.run();
    assert_eq!((report.units.done, report.units.frozen), (full.units.done, 0));
    assert!(report.samples.tombstoned > 100);
    assert_eq!(samples_in(&place.dest()), expected("tombstones").floats);
}

#[test]
fn compaction_alone_redoes_nothing() {
    let place = Place::new();
    let blocks = blocks_of("superseded");
    let result = place.add(&blocks[2]);
    fs::remove_dir_all(result).unwrap();
    for parent in &blocks[..2] {
        // Without the deletion that the compaction applied.
        fs::remove_file(place.add(parent).join("tombstones")).unwrap();
    }
    let first = place.run();
    let before = place.state();
    place.add(&blocks[2]);
    assert_eq!(place.run().units, counts(0, first.units.done, 0));
    blocks[..2].iter().for_each(|parent| place.remove(parent));
    assert_eq!(place.run().units, counts(0, first.units.done, 0));
    assert!(before == place.state());
}

#[test]
fn compaction_that_applies_tombstones_keeps_the_rows_and_freezes_nothing() {
    let place = Place::new();
    let blocks = blocks_of("superseded");
    blocks[..2].iter().for_each(|parent| _ = place.add(parent));
    place.run();
    let samples = samples_in(&place.dest());
    assert_eq!(samples, expected("superseded").floats);
    place.add(&blocks[2]);
    assert_eq!(place.run().units.frozen, 0);
    blocks[..2].iter().for_each(|parent| place.remove(parent));
    assert_eq!(place.run().units.frozen, 0);
    assert_eq!(samples_in(&place.dest()), samples);
}

#[test]
fn a_block_of_the_same_sources_is_read_again_and_frozen_when_it_lacks_what_is_published() {
    let place = Place::new();
    let sound = &blocks_of("consecutive")[0];
    // First a copy with fewer samples, of other series: of another fixture, under the same sources.
    let other = &blocks_of("overlap_three")[2];
    let name = |block: &Path| block.file_name().unwrap().to_str().unwrap().to_owned();
    let meta = place.add(other).join("meta.json");
    let as_sound = fs::read_to_string(&meta).unwrap().replace(&name(other), &name(sound));
    fs::remove_file(&meta).unwrap();
    fs::write(&meta, as_sound).unwrap();
    assert_eq!(place.run().samples.written, 20);
    place.remove(other);
    place.add(sound);
    let report = place.run();
    // The sound one has more samples, and none of the series that are published: those stay.
    assert_eq!((report.units, report.samples.written), (counts(0, 0, 1), 20));
    assert_eq!(report.findings.list[0].name, "frozen-unit");
}

#[test]
fn a_unit_with_losses_is_tried_again_and_healed_by_a_sound_copy() {
    let place = Place::new();
    let block = place.add(&blocks_of("xor_basic")[0]);
    let segment = block.join("chunks/000001");
    let sound = fs::read(&segment).unwrap();
    let mut damaged = sound.clone();
    damaged[100] ^= 1;
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, damaged).unwrap();
    let (first, second) = (place.run(), place.run());
    assert_eq!((first.exit_code(), second.exit_code()), (1, 1));
    assert_eq!(first.samples, second.samples);
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, sound).unwrap();
    let healed = place.run();
    assert_eq!((healed.exit_code(), healed.units), (0, counts(1, 0, 0)));
    assert_eq!(samples_in(&place.dest()), expected("xor_basic").floats);
}

#[test]
fn a_block_damaged_after_it_was_converted_takes_nothing_along() {
    let place = Place::new();
    let block = place.add(&blocks_of("xor_basic")[0]);
    place.run();
    let before = place.state();
    let segment = block.join("chunks/000001");
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, b"").unwrap();
    // Another late block has the unit done again.
    place.add(&blocks_of("consecutive")[0]);
    let report = place.run();
    assert_eq!(report.units, counts(0, 0, 1), "{report:#?}");
    assert!(before == place.state());
    // Nothing is missing from DEST, but the block should be looked after.
    assert_eq!(report.exit_code(), 1);
    assert!(report.findings.list.iter().any(|finding| finding.name == "chunk-truncated"), "{report:#?}");
}

#[test]
fn what_a_killed_run_may_leave_is_swept_and_a_strange_file_is_not() {
    let place = Place::new();
    place.add(&blocks_of("midnight")[0]);
    place.run();
    let before = place.state();
    let dest = place.dest();
    let folder = dest.join(before.keys().next().unwrap()).parent().unwrap().to_owned();
    let rubbish = [
        folder.join(".tmp-part-2025-03-10-0000-00000000-0000.parquet"),
        folder.join("part-2025-03-10-0000-00000000-0007.parquet"),
        dest.join("_promblock/units/.tmp-2025-03-10-0000.json"),
        dest.join("_promblock/units/.tmp-2025-03-10-0000.ids"),
        dest.join("_promblock/.tmp-manifest.json"),
        dest.join("_promblock/.tmp-plan.json"),
    ];
    for path in &rubbish {
        fs::write(path, "{\"half").unwrap();
    }
    let strange = folder.join("README");
    fs::write(&strange, "mine").unwrap();
    convert_to(&place.source(), &dest, &DEFAULTS(), 1).unwrap();
    assert!(rubbish.iter().all(|path| !path.exists()));
    assert_eq!(fs::read(&strange).unwrap(), b"mine");
    fs::remove_file(&strange).unwrap();
    assert!(before == place.state());
    place.check_files();
}

// Memory.

#[test]
fn a_memory_limit_that_is_too_small_is_refused_with_the_figure_that_is_enough() {
    let dest = scratch();
    let run = |memory_limit| {
        let run = RunOptions { memory_limit, ..run_options(2) };
        convert_with(&fixture("xor_basic"), dest.path(), &DEFAULTS(), &run)
    };
    for limit in [0, 1, 1 << 20, 64 << 20] {
        let Err(ConvertError::MemoryLimit { limit: named, needed }) = run(limit) else { panic!("{limit}") };
        assert_eq!(named, limit);
        assert!(!dest.path().join("_promblock").exists());
        assert!(matches!(run(needed - 9), Err(ConvertError::MemoryLimit { .. })));
        run(needed).unwrap();
        fs::remove_dir_all(dest.path().join("_promblock")).unwrap();
        fs::remove_dir_all(dest.path().join("samples")).unwrap();
        fs::remove_dir_all(dest.path().join("series")).unwrap();
    }
}

#[test]
fn memory_limit_and_threads_never_change_a_byte() {
    let convert = |threads, memory_limit| {
        let dest = scratch();
        let run = RunOptions { memory_limit, ..run_options(threads) };
        convert_with(&snapshot(), dest.path(), &many_units(), &run).unwrap();
        data_files(dest.path())
    };
    let truth = convert(1, 120 << 20);
    assert!(truth == convert(8, 4 << 30));
    assert!(truth == convert(3, 200 << 20));
}

// Threads.

/// Runs all units of `source` through the pipeline alone, in tiny slices.
fn run_pipeline(
    source: &Path,
    dest: &Path,
    options: &ConvertOptions,
    threads: usize,
    commit: &(dyn Fn(&Unit, UnitOutput) -> Result<(), ConvertError> + Sync),
) {
    let planned = plan_units(
        &[source.to_owned()],
        &ReadOptions::default(),
        options,
        None,
        Ledger::new(),
        KnownMetadata::default(),
        &AtomicBool::new(false),
    )
    .unwrap();
    let encoder = Encoder::new(options.output.clone()).unwrap();
    let temp = std::env::temp_dir();
    let work = Work {
        blocks: &planned.blocks,
        metadata: &planned.metadata,
        shards: &Shard::between(&planned.shard_bounds),
        encoder: &encoder,
        root: dest,
        wanted: Wanted {
            bounds: TimeBounds::ALL,
            asked: TimeBounds::ALL,
            writable: TimeBounds::ROWS,
            drop_stale: false,
            nested: true,
            lookback_ms: 0,
        },
        walk: Walk { order: Order::Metric, temp_dir: &temp, sort_budget_bytes: 1 << 20 },
        allow_merge: false,
        has_replicas: false,
        classic: false,
        policy: &Policy::new(&options.downsampling).unwrap(),
        folder: &|unit| unit.partition.key.clone(),
        kept: &|_| Ok(Predecessors::default()),
        commit,
        threads,
        rows_per_slice: 1,
        slices_in_flight: threads * 2 + 1,
        progress: &Progress::default(),
        stop: &AtomicBool::new(false),
    };
    pipeline::run(&work, planned.units.iter()).unwrap();
}

#[test]
fn a_worker_that_panics_ends_the_run_instead_of_hanging_it() {
    let dest = scratch();
    let run = std::panic::AssertUnwindSafe(|| {
        run_pipeline(&fixture("many_series"), dest.path(), &many_units(), 3, &|_, _| panic!("on purpose"));
    });
    assert!(std::panic::catch_unwind(run).is_err());
    assert_eq!(temporary_files(dest.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_unit_that_begins_again_to_be_sorted_keeps_its_files() {
    let source = fixtures().join("broken/series_out_of_order");
    for _ in 0..200 {
        let dest = scratch();
        let written = AtomicU64::new(0);
        let commit = |_: &Unit, output: UnitOutput| {
            for part in output.parts {
                let part = part.publish()?;
                assert!(dest.path().join(&part.path).exists());
            }
            written.fetch_add(output.tally.written, Ordering::Relaxed);
            assert_eq!(output.tally.difference(), 0);
            Ok(())
        };
        run_pipeline(&source, dest.path(), &DEFAULTS(), 4, &commit);
        assert_eq!(written.into_inner(), 30);
        assert_eq!(temporary_files(dest.path()), Vec::<PathBuf>::new());
    }
}
