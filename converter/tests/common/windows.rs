//! Rows of windows, what Thanos makes of the same samples, and blocks made up by a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use serde_json::Value;
use tsdb_converter::build::BlockBuilder;
use tsdb_converter::downsample::Aggregate;
use tsdb_converter::identities::series_id;
use tsdb_reader::samples::FloatSample;
use tsdb_reader::{Labels, Ulid};

use super::{HistogramValues, Sample, batches_in, fixtures, hex, int, labels, string, values};

/// A row of a table such as `samples_5m`.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub start_ms: i64,
    pub count: i64,
    /// In the order of [`Aggregate::ALL`].
    pub values: [Option<f64>; 6],
}

impl Window {
    pub fn value(&self, aggregate: Aggregate) -> Option<f64> {
        self.values[aggregate as usize]
    }

    pub fn increase(&self) -> f64 {
        self.value(Aggregate::Increase).unwrap()
    }
}

/// Equal bit for bit, but for the sign and payload of a NaN that arose.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        let same = |pair: (&Option<f64>, &Option<f64>)| match pair {
            (Some(a), Some(b)) => same_bits(*a, *b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let head = |window: &Self| (window.start_ms, window.count);
        head(self) == head(other) && self.values.iter().zip(&other.values).all(same)
    }
}

pub fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

pub fn is_near(a: f64, b: f64, tolerance: f64) -> bool {
    same_bits(a, b) || (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

/// Rows of a table of windows by `series_id`, in time order.
pub fn windows_in(dest: &Path, table: &str) -> BTreeMap<i64, Vec<Window>> {
    let mut windows: BTreeMap<i64, Vec<Window>> = BTreeMap::new();
    for batch in batches_in(dest, table) {
        let times = batch["timestamp"].as_primitive::<TimestampMillisecondType>();
        let ids = batch["series_id"].as_primitive::<Int64Type>();
        let counts = batch["count"].as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let values = Aggregate::ALL.map(|aggregate| double(&batch, aggregate.name(), row));
            let window = Window { start_ms: times.value(row), count: counts.value(row), values };
            windows.entry(ids.value(row)).or_default().push(window);
        }
    }
    windows.values_mut().for_each(|of_series| of_series.sort_by_key(|window| window.start_ms));
    windows
}

fn double(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let doubles = batch[name].as_primitive::<Float64Type>();
    (!doubles.is_null(row)).then(|| doubles.value(row))
}

/// A row of a table such as `histograms_5m`.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramWindow {
    pub start_ms: i64,
    pub samples: i64,
    pub values: HistogramValues,
}

/// Rows of a table of windows of histograms by `series_id`, in time order.
pub fn histogram_windows_in(dest: &Path, table: &str) -> BTreeMap<i64, Vec<HistogramWindow>> {
    let mut windows: BTreeMap<i64, Vec<HistogramWindow>> = BTreeMap::new();
    for batch in batches_in(dest, table) {
        let times = batch["timestamp"].as_primitive::<TimestampMillisecondType>();
        let ids = batch["series_id"].as_primitive::<Int64Type>();
        let samples = batch["samples"].as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let values = super::histogram_values(&batch, row).unwrap();
            let window = HistogramWindow { start_ms: times.value(row), samples: samples.value(row), values };
            windows.entry(ids.value(row)).or_default().push(window);
        }
    }
    windows.values_mut().for_each(|of_series| of_series.sort_by_key(|window| window.start_ms));
    windows
}

/// A raw block and what Thanos made of it.
pub struct Pair {
    pub name: String,
    pub raw: PathBuf,
    pub downsampled: BTreeMap<i64, ThanosSeries>,
}

/// Aggregates of a series over all of its chunks, in the order of the index.
pub struct ThanosSeries {
    pub labels: Labels,
    /// Times of the first and the last window of each chunk.
    pub chunks: Vec<(i64, i64)>,
    aggregates: BTreeMap<String, Vec<(i64, ThanosValue)>>,
}

pub enum ThanosValue {
    Float(f64),
    Histogram(HistogramValues),
}

impl ThanosSeries {
    /// The floats of an aggregate.
    pub fn floats(&self, aggregate: &str) -> Vec<(i64, f64)> {
        let of_aggregate = self.aggregates.get(aggregate).into_iter().flatten();
        of_aggregate
            .filter_map(|(time_ms, value)| match value {
                ThanosValue::Float(value) => Some((*time_ms, *value)),
                ThanosValue::Histogram(_) => None,
            })
            .collect()
    }

    /// The histograms of an aggregate.
    pub fn histograms(&self, aggregate: &str) -> Vec<(i64, &HistogramValues)> {
        let of_aggregate = self.aggregates.get(aggregate).into_iter().flatten();
        of_aggregate
            .filter_map(|(time_ms, value)| match value {
                ThanosValue::Float(_) => None,
                ThanosValue::Histogram(value) => Some((*time_ms, value)),
            })
            .collect()
    }
}

/// The blocks of this resolution with the raw ones that they were made of.
pub fn thanos_pairs(resolution_ms: i64) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for folder in folders(&fixtures().join("thanos")) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let blocks: Vec<(PathBuf, Value)> = folders(&folder)
            .into_iter()
            .map(|block| {
                (block.clone(), serde_json::from_slice(&fs::read(block.join("meta.json")).unwrap()).unwrap())
            })
            .collect();
        let resolution_of = |meta: &Value| int(&meta["thanos"]["downsample"]["resolution"]);
        for (block, meta) in blocks.iter().filter(|(_, meta)| resolution_of(meta) == resolution_ms) {
            let is_raw =
                |(_, raw): &&(PathBuf, Value)| resolution_of(raw) == 0 && raw["minTime"] == meta["minTime"];
            let of_blocks = fixtures().join("blocks").join(&name);
            let raw = match blocks.iter().find(is_raw) {
                Some((raw, _)) => raw.clone(),
                None if of_blocks.is_dir() => folders(&of_blocks).remove(0),
                None => continue, // The raw block is gone.
            };
            let ulid = block.file_name().unwrap().to_str().unwrap();
            let expected = fixtures().join(format!("expected/thanos/{name}/{ulid}.ndjson"));
            pairs.push(Pair { name: name.clone(), raw, downsampled: thanos_series(&expected) });
        }
    }
    assert!(pairs.len() > 25, "fixtures are missing");
    pairs
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn thanos_series(path: &Path) -> BTreeMap<i64, ThanosSeries> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    let mut all = BTreeMap::new();
    for line in lines {
        let mut pairs: BTreeMap<Vec<u8>, Vec<u8>> =
            labels(&line["labels"]).iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        for (name, value) in header["blocks"][0]["external_labels"].as_object().into_iter().flatten() {
            pairs.insert(name.as_bytes().to_vec(), string(value));
        }
        let labels: Labels = pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let mut aggregates = BTreeMap::new();
        for name in ["count", "sum", "min", "max", "counter", "counter_without_resets"] {
            let samples = line[name].as_array().into_iter().flatten();
            let value = |sample: &Value| match &sample[1] {
                Value::String(_) => ThanosValue::Float(f64::from_bits(hex(&sample[1]))),
                histogram => ThanosValue::Histogram(values(histogram).unwrap()),
            };
            aggregates.insert(name.to_owned(), samples.map(|at| (int(&at[0]), value(at))).collect());
        }
        let chunks = line["chunks"].as_array().unwrap().iter();
        let chunks = chunks.map(|chunk| (int(&chunk[0]), int(&chunk[1]))).collect();
        all.insert(series_id(&labels), ThanosSeries { labels, chunks, aggregates });
    }
    all
}

/// What the steps of a counter add, by the rules as they are written down: a step for every sample that is no NaN.
pub fn steps(samples: &[Sample], lookback_ms: i64) -> Vec<(i64, f64)> {
    let mut steps = Vec::new();
    let mut before: Option<(i64, f64)> = None;
    for &(time_ms, bits, started_ms) in samples {
        let value = f64::from_bits(bits);
        if value.is_nan() {
            continue;
        }
        let near = before.filter(|(before_ms, _)| time_ms - before_ms <= lookback_ms);
        let begin_ms = match near {
            Some((before_ms, _)) => before_ms,
            None => time_ms - lookback_ms,
        };
        let began = started_ms != 0 && begin_ms < started_ms && started_ms <= time_ms;
        let step = match near {
            _ if began => value,
            None => 0.0,
            Some((_, before)) if value < before => value,
            Some((_, before)) if value == before => 0.0,
            Some((_, before)) => value - before,
        };
        steps.push((time_ms, step));
        before = Some((time_ms, value));
    }
    steps
}

/// A plain reference: the windows of a counter, window by window from its samples.
pub fn plain_windows(samples: &[Sample], width_ms: i64, lookback_ms: i64) -> Vec<Window> {
    let mut by_window: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    let values = samples.iter().map(|&(_, bits, _)| f64::from_bits(bits)).filter(|value| !value.is_nan());
    for ((time_ms, step), value) in steps(samples, lookback_ms).into_iter().zip(values) {
        by_window.entry(time_ms.div_euclid(width_ms) * width_ms).or_default().push((value, step));
    }
    let window = |(start_ms, inside): (i64, Vec<(f64, f64)>)| {
        let of_values = || inside.iter().map(|(value, _)| *value);
        let smallest = of_values().reduce(|least, value| if value < least { value } else { least });
        let largest = of_values().reduce(|most, value| if value > most { value } else { most });
        let sum = of_values().fold(0.0, |sum, value| sum + value);
        let increase = inside.iter().map(|(_, step)| *step).reduce(|sum, step| sum + step);
        let values = [Some(sum), smallest, largest, of_values().next(), of_values().next_back(), increase];
        Window { start_ms, count: i64::try_from(inside.len()).unwrap(), values }
    };
    by_window.into_iter().map(window).collect()
}

/// Writes a block of these series into `folder`; nothing without a sample. The greater `age`, the newer the block.
pub fn write_block(folder: &Path, age: u8, series: &[(Labels, Vec<Sample>)]) -> Option<PathBuf> {
    let mut builder = BlockBuilder::new(std::env::temp_dir(), 1 << 20);
    for (labels, samples) in series {
        let id = builder.add_series(labels.clone());
        for &(timestamp_ms, bits, start_timestamp_ms) in samples {
            let value = f64::from_bits(bits);
            builder.push_float(id, FloatSample { timestamp_ms, start_timestamp_ms, value }).unwrap();
        }
    }
    let ulid = |_| Ulid::from_bytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, age]);
    let built = builder.finish(ulid).unwrap()?;
    let block = folder.join(built.ulid.to_string());
    for (file, bytes) in &built.source.files {
        let path = block.join(file.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    Some(block)
}
