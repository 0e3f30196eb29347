//! What the integration tests share: fixtures, their expected samples, and a conversion in one call.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

pub mod aggregates;
pub mod windows;
pub mod written;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tsdb_converter::convert::{ConvertError, RunOptions, convert};
use tsdb_converter::dest::Manifest;
use tsdb_converter::discover::Choice;
use tsdb_converter::identities::series_id;
use tsdb_converter::options::ConvertOptions;
use tsdb_converter::pipeline::Progress;
use tsdb_converter::report::Report;
use tsdb_converter::store::Stores;
use tsdb_reader::Labels;

/// Bits of the stale marker.
pub const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A sample: time, bits of the value, start time.
pub type Sample = (i64, u64, i64);

/// Series by `series_id`.
pub type Samples = BTreeMap<i64, Vec<Sample>>;

/// A native histogram, doubles as their bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    pub time_ms: i64,
    pub start_ms: i64,
    /// None for a stale marker.
    pub values: Option<HistogramValues>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HistogramValues {
    pub count: u64,
    pub sum: u64,
    pub schema: i64,
    pub zero_threshold: u64,
    pub zero_count: u64,
    pub hint: String,
    /// Lower bound, upper bound, count.
    pub buckets: Vec<[u64; 3]>,
}

/// Histograms by `series_id`, in time order.
pub type Histograms = BTreeMap<i64, Vec<Histogram>>;

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// A folder for outputs, in memory where the system has one: each file is synced, which takes a disk its time.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Names of the fixtures that have expected samples.
pub fn fixture_names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixtures().join("blocks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            name != "hash_collision" && fixtures().join(format!("expected/{name}.ndjson")).exists()
        })
        .collect();
    names.sort();
    assert!(names.len() > 30, "fixtures are missing");
    names
}

/// What the reference reads from a fixture.
pub struct Expected {
    /// The first line: counts per block.
    pub header: Value,
    /// Float samples.
    pub floats: Samples,
    /// Native histograms; their hints as the reference has them chunk by chunk.
    pub histograms: Histograms,
    /// Labels of every series.
    pub labels: BTreeMap<i64, Labels>,
}

pub fn expected(name: &str) -> Expected {
    let text = fs::read_to_string(fixtures().join(format!("expected/{name}.ndjson"))).unwrap();
    let mut lines = text.lines();
    let header = serde_json::from_str(lines.next().unwrap()).unwrap();
    let (mut floats, mut labels_by_id, mut histograms) = (Samples::new(), BTreeMap::new(), Histograms::new());
    for line in lines {
        let series: Value = serde_json::from_str(line).unwrap();
        let labels = labels(&series["labels"]);
        let (mut samples, mut of_series) = (Vec::new(), Vec::new());
        for sample in series["samples"].as_array().into_iter().flatten() {
            let (time_ms, start_ms) = (int(&sample[0]), int(&sample[2]));
            match &sample[1] {
                Value::String(_) => samples.push((time_ms, hex(&sample[1]), start_ms)),
                histogram => of_series.push(Histogram { time_ms, start_ms, values: values(histogram) }),
            }
        }
        for run in series["runs"].as_array().into_iter().flatten() {
            let bits = u64::from_str_radix(run[3].as_str().unwrap(), 16).unwrap();
            for n in 0..int(&run[2]) {
                samples.push((int(&run[0]) + n * int(&run[1]), bits, int(&run[4])));
            }
        }
        let series_id = series_id(&labels);
        labels_by_id.insert(series_id, labels);
        if !of_series.is_empty() {
            histograms.insert(series_id, of_series);
        }
        if !samples.is_empty() {
            assert!(floats.insert(series_id, samples).is_none(), "{name}: two series with one id");
        }
    }
    Expected { header, floats, histograms, labels: labels_by_id }
}

/// A histogram of an expected file; none for a stale marker.
fn values(histogram: &Value) -> Option<HistogramValues> {
    if histogram["stale"] == true {
        return None;
    }
    let is_float = histogram["float"] == true;
    let count = |count: &Value| match (count, is_float) {
        (_, true) => hex(count),
        (Value::String(digits), false) => (digits.parse::<u64>().unwrap() as f64).to_bits(),
        (count, false) => (count.as_u64().unwrap() as f64).to_bits(),
    };
    let buckets = histogram["buckets"].as_array().unwrap().iter();
    Some(HistogramValues {
        count: count(&histogram["count"]),
        sum: hex(&histogram["sum"]),
        schema: int(&histogram["schema"]),
        zero_threshold: hex(&histogram["zero_threshold"]),
        zero_count: count(&histogram["zero_count"]),
        hint: match int(&histogram["hint"]) {
            0 => "unknown".to_owned(),
            1 => "reset".to_owned(),
            2 => "not_reset".to_owned(),
            _ => "gauge".to_owned(),
        },
        buckets: buckets.map(|at| [hex(&at[0]), hex(&at[1]), count(&at[2])]).collect(),
    })
}

/// Bits in hexadecimal digits.
fn hex(bits: &Value) -> u64 {
    u64::from_str_radix(bits.as_str().unwrap(), 16).unwrap()
}

/// A label set of an expected file.
pub fn labels(pairs: &Value) -> Labels {
    let mut labels = Labels::new();
    for pair in pairs.as_array().unwrap() {
        labels.push(&string(&pair[0]), &string(&pair[1]));
    }
    labels
}

fn string(value: &Value) -> Vec<u8> {
    match value.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            let hex = value["hex"].as_str().unwrap();
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        }
    }
}

pub fn int(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// A row of `samples`: series id, and its sample.
pub type Row = (i64, Sample);

/// Rows of `samples` in the order of the manifest's files: by unit, so by partition, then shard.
pub fn rows_in(dest: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    batches_in(dest, "samples").iter().for_each(|batch| add_rows(batch, &mut rows));
    rows
}

/// All of a table in the order of the manifest's files.
pub fn batches_in(dest: &Path, table: &str) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for unit in manifest(dest).units {
        for file in unit.files.iter().filter(|file| file.table == table) {
            let open = fs::File::open(dest.join(&file.path)).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(open).unwrap().build().unwrap();
            let before = batches.len();
            batches.extend(reader.map(Result::unwrap));
            let rows: usize = batches[before..].iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows as u64, file.rows, "{}", file.path);
        }
    }
    batches
}

/// Rows of `histograms` by series, in time order.
pub fn histograms_in(dest: &Path) -> Histograms {
    let mut histograms = Histograms::new();
    for batch in batches_in(dest, "histograms") {
        for row in 0..batch.num_rows() {
            let id = batch["series_id"].as_primitive::<Int64Type>().value(row);
            histograms.entry(id).or_default().push(histogram(&batch, row));
        }
    }
    histograms.values_mut().for_each(|of_series| of_series.sort_by_key(|at| at.time_ms));
    histograms
}

fn histogram(batch: &RecordBatch, row: usize) -> Histogram {
    let time = |name: &str| {
        let times = batch[name].as_primitive::<TimestampMillisecondType>();
        (!times.is_null(row)).then(|| times.value(row))
    };
    Histogram {
        time_ms: time("timestamp").unwrap(),
        start_ms: time("start_timestamp").unwrap_or(0),
        values: histogram_values(batch, row),
    }
}

/// The fields from `count` on; none for a stale marker.
fn histogram_values(batch: &RecordBatch, row: usize) -> Option<HistogramValues> {
    let double = |name: &str| {
        let doubles = batch[name].as_primitive::<Float64Type>();
        (!doubles.is_null(row)).then(|| doubles.value(row).to_bits())
    };
    let schemas = batch["histogram_schema"].as_primitive::<Int64Type>();
    let hints = batch["counter_reset_hint"].as_string::<i32>();
    let lists = batch["buckets"].as_list::<i32>();
    assert!(!lists.is_null(row));
    let list = lists.value(row);
    let fields = ["lower", "upper", "count"].map(|name| {
        let doubles = list.as_struct().column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
        assert_eq!(doubles.null_count(), 0);
        doubles
    });
    let buckets: Vec<_> =
        (0..list.len()).map(|at| fields.each_ref().map(|field| field.value(at).to_bits())).collect();
    let values = double("count").map(|count| HistogramValues {
        count,
        sum: double("sum").unwrap(),
        schema: schemas.value(row),
        zero_threshold: double("zero_threshold").unwrap(),
        zero_count: double("zero_count").unwrap(),
        hint: hints.value(row).to_owned(),
        buckets: buckets.clone(),
    });
    if values.is_none() {
        let empty = buckets.is_empty() && schemas.is_null(row) && hints.is_null(row);
        assert!(empty && ["sum", "zero_threshold", "zero_count"].iter().all(|name| double(name).is_none()));
    }
    values
}

/// The same by series, in time order.
pub fn samples_in(dest: &Path) -> Samples {
    let mut samples = Samples::new();
    for (series_id, sample) in rows_in(dest) {
        samples.entry(series_id).or_default().push(sample);
    }
    samples.values_mut().for_each(|of_series| of_series.sort_unstable());
    samples
}

fn add_rows(batch: &RecordBatch, rows: &mut Vec<Row>) {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let ids = column("series_id").as_primitive::<Int64Type>();
    let times = column("timestamp").as_primitive::<TimestampMillisecondType>();
    let values = column("value").as_primitive::<Float64Type>();
    let starts = column("start_timestamp").as_primitive::<TimestampMillisecondType>();
    for row in 0..batch.num_rows() {
        let bits = if values.is_null(row) { STALE } else { values.value(row).to_bits() };
        let start = if starts.is_null(row) { 0 } else { starts.value(row) };
        rows.push((ids.value(row), (times.value(row), bits, start)));
    }
}

pub fn run_options(threads: usize) -> RunOptions {
    let (memory_limit, temp_dir) = (512 << 20, std::env::temp_dir());
    RunOptions {
        threads,
        memory_limit,
        temp_dir,
        strict: false,
        include_head: false,
        stores: Stores::default(),
        choice: Choice::default(),
    }
}

pub fn convert_to(
    source: &Path,
    dest: &Path,
    options: &ConvertOptions,
    threads: usize,
) -> Result<Report, ConvertError> {
    convert_with(source, dest, options, &run_options(threads))
}

pub fn convert_with(
    source: &Path,
    dest: &Path,
    options: &ConvertOptions,
    run: &RunOptions,
) -> Result<Report, ConvertError> {
    let stop = AtomicBool::new(false);
    convert(&[source.to_owned()], dest, options, run, &Progress::default(), &stop)
}

pub fn manifest(dest: &Path) -> Manifest {
    serde_json::from_slice(&fs::read(dest.join("_promblock/manifest.json")).unwrap()).unwrap()
}

/// Files below DEST with their bytes, those that are not data apart.
pub fn data_files(dest: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(dest, dest, &mut files);
    files.retain(|path, _| !path.starts_with("_promblock/"));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_folder(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}
