//! Estimates: rows and bytes of a conversion before it is done.
//!
//! Counts of samples come from `meta.json`, all else from some of the series that are selected: bytes of labels, which
//! chunks lie within units to do and how far, and of some chunks how many samples they have, how many buckets
//! histograms have and how many classic series they become. With `--match` these tell the samples, too.
//!
//! BigQuery bills logical bytes: 8 for a number or a timestamp, 2 and its UTF-8 for a string, 0 for null. So a row of
//! the star layout with a metric name of 30 bytes has 8 (time) + 8 (value) + 8 (series_id) + 32 (metric) = 56; each
//! label column adds 2 and its value, the flat layout 2 and the labels as JSON.
//!
//! Where a tier has windows, a series is taken to be in all of them between its first and its last sample, unless it
//! has fewer samples; rules are not asked.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tsdb_reader::Labels;
use tsdb_reader::index::{ChunkMeta, Series};
use tsdb_reader::labels::METRIC_NAME;
use tsdb_reader::samples::HistogramColumns;

use crate::blocks::OpenBlock;
use crate::classic::Bounds;
use crate::convert::Planned;
use crate::distribute::DryRun;
use crate::options::ConvertOptions;
use crate::plan::{Shard, Unit, bytes_per_sample};
use crate::sink::Layout;
use crate::text::json;
use crate::time::TimeBounds;

/// Series looked at in each block.
const SAMPLED_SERIES: usize = 2000;
/// A time, a value, a series id.
const NUMBERS_BYTES: f64 = 24.0;
/// What a window has besides a time, a value and a series id: its width, the count, five more aggregates.
const WINDOW_BYTES: f64 = 56.0;
/// Samples that take as many bytes as a window, as stored.
const STORED_PER_WINDOW: f64 = 4.0;
/// Chunks looked at in each series.
const SAMPLED_CHUNKS: usize = 3;
/// Buckets looked at in each block, about.
const SAMPLED_BUCKETS: usize = 1 << 22;
/// Lower bound, upper bound and count of a bucket.
const BUCKET_BYTES: f64 = 24.0;
/// What a string takes besides its text.
const STRING_BYTES: f64 = 2.0;

/// What a conversion will write, about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows of the samples and histograms tables.
    pub rows: u64,
    /// Those of tables of windows. Part of `rows`.
    pub window_rows: u64,
    /// Those of the histograms table. Part of `rows`.
    pub histogram_rows: u64,
    /// Those that stand in the samples table for histograms, as classic series. Part of `rows`.
    pub classic_rows: u64,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Bytes that a query over all columns and rows of it is billed.
    pub bigquery_logical_bytes: u64,
}

/// Estimates what the units will write that DEST does not have yet.
#[expect(clippy::cast_possible_truncation, reason = "an estimate")]
pub fn estimate(dry_run: &DryRun, options: &ConvertOptions) -> Estimate {
    let planned = &dry_run.planned;
    let to_do = ToDo::new(planned, &dry_run.done);
    let mut looked = Looked::default();
    for block in &planned.blocks {
        let of_block = Looked::at(block, &to_do, options);
        let samples = of_block.samples;
        let histograms = samples * of_block.histograms.mean();
        looked.samples += samples;
        looked.windows += of_block.windows;
        looked.labels_bytes.add(of_block.labels_bytes.mean(), samples);
        looked.histograms.add(of_block.histograms.mean(), samples);
        looked.buckets.add(of_block.buckets.mean(), histograms);
        looked.classic.add(of_block.classic.mean(), histograms);
    }
    let Looked { samples, windows, .. } = looked;
    let histograms = samples * looked.histograms.mean();
    let if_asked = |asked: bool, rows: f64| if asked { rows } else { 0.0 };
    let nested = if_asked(options.histograms.are_nested(), histograms);
    let classic = if_asked(options.histograms.are_classic(), histograms * looked.classic.mean());
    let rows = samples - histograms + nested + classic;
    let buckets = nested * looked.buckets.mean();
    let logical_bytes =
        rows * (NUMBERS_BYTES + looked.labels_bytes.mean()) + windows * WINDOW_BYTES + buckets * BUCKET_BYTES;
    // A bucket is stored in about half of what a sample is.
    let stored = rows + windows * (STORED_PER_WINDOW - 1.0) + buckets / 2.0;
    Estimate {
        rows: rows.round() as u64,
        window_rows: windows.round() as u64,
        histogram_rows: nested.round() as u64,
        classic_rows: classic.round() as u64,
        size_bytes: (stored.round() as u64).saturating_mul(bytes_per_sample(options)),
        bigquery_logical_bytes: logical_bytes as u64,
    }
}

/// The units that DEST does not have yet.
struct ToDo<'a> {
    /// By their first millisecond and their shard.
    units: BTreeMap<(i64, usize), &'a Unit>,
    shards: Vec<Shard>,
}

impl<'a> ToDo<'a> {
    fn new(planned: &'a Planned, done: &BTreeSet<String>) -> Self {
        let key = |unit: &Unit| {
            let bounds = unit.partition.bounds().intersection(planned.asked)?;
            Some((bounds.min_ms, unit.shard))
        };
        let units = planned.units.iter().filter(|unit| !done.contains(&unit.unit));
        let units = units.filter_map(|unit| Some((key(unit)?, unit))).collect();
        Self { units, shards: Shard::between(&planned.shard_bounds) }
    }

    /// The unit that has rows of `metric` within `bounds`, which are planned for a block.
    fn unit(&self, metric: &[u8], bounds: TimeBounds) -> Option<&'a Unit> {
        let is_before = |shard: &Shard| shard.to.as_deref().is_some_and(|to| to <= metric);
        let shard = self.shards.partition_point(is_before);
        self.units.get(&(bounds.min_ms, shard)).copied()
    }
}

/// Samples of a series within bounds.
#[derive(Debug, Clone, Copy)]
struct Span {
    samples: f64,
    /// From the first to the last.
    times: TimeBounds,
}

/// What some series of a block, evenly spread, are like.
#[derive(Debug, Default)]
struct Looked {
    /// Rows that the samples of all series become, those of histograms counted once. Windows are among them.
    samples: f64,
    /// Windows that they become.
    windows: f64,
    /// Samples of a chunk.
    chunk: Mean,
    /// Logical bytes of metric and labels in a row.
    labels_bytes: Mean,
    /// Histograms among samples.
    histograms: Mean,
    /// Buckets of a histogram.
    buckets: Mean,
    /// Rows that a histogram becomes in classic series.
    classic: Mean,
}

impl Looked {
    fn at(block: &OpenBlock, to_do: &ToDo<'_>, options: &ConvertOptions) -> Self {
        let refs = block.all_refs().unwrap_or_default();
        let step = refs.len().div_ceil(SAMPLED_SERIES).max(1);
        let (mut series, mut identity, mut shaped) = (Series::default(), Labels::new(), Labels::new());
        let mut looked = Self::default();
        let (mut read, mut samples) = (0.0, 0.0);
        let mut buckets_left = SAMPLED_BUCKETS;
        for &series_ref in refs.iter().step_by(step) {
            if block.block.index().series(series_ref, &mut series).is_err() {
                continue;
            }
            block.relabel.identify(&series.labels, &mut identity);
            block.relabel.shape(&identity, &mut shaped);
            looked.labels_bytes.add(row_labels_bytes(&shaped, options), 1.0);
            let mut per_chunk = None;
            if buckets_left > 0 {
                let (buckets, found) = looked.add_chunks(block, &series.chunks);
                buckets_left = buckets_left.saturating_sub(buckets);
                per_chunk = found;
            }
            let per_chunk = per_chunk.unwrap_or_else(|| looked.chunk.mean());
            read += 1.0;
            samples += per_chunk * series.chunks.len() as f64;
            looked.add_rows(block, &series, per_chunk, to_do);
        }
        let stats = &block.block.meta().stats;
        let is_whole = options.selectors.is_empty() && stats.num_samples > 0;
        // What is known of all series is better than what some are like.
        let scale = match is_whole {
            true if samples > 0.0 => stats.num_samples as f64 / samples,
            _ if read > 0.0 => refs.len() as f64 / read,
            _ => 0.0,
        };
        looked.samples *= scale;
        looked.windows *= scale;
        // Before Prometheus 3.6 the kinds were not told apart.
        if is_whole
            && stats.num_float_samples.checked_add(stats.num_histogram_samples) == Some(stats.num_samples)
        {
            looked.histograms = Mean::default();
            looked.histograms.add(stats.num_histogram_samples as f64 / stats.num_samples as f64, 1.0);
        }
        looked
    }

    /// Adds the rows that a series has in units to do, its chunks of `per_chunk` samples each.
    fn add_rows(&mut self, block: &OpenBlock, series: &Series, per_chunk: f64, to_do: &ToDo<'_>) {
        let mut spans: BTreeMap<usize, Span> = BTreeMap::new();
        for chunk in &series.chunks {
            let times = TimeBounds { min_ms: chunk.min_time_ms, max_ms: chunk.max_time_ms };
            for at in block.planned_for(chunk) {
                let Some(both) = block.planned.get(at).and_then(|bounds| bounds.intersection(times)) else {
                    continue;
                };
                let samples = samples_within(both, per_chunk, times);
                let span = spans.entry(at).or_insert(Span { samples: 0.0, times: both });
                span.samples += samples;
                span.times.min_ms = span.times.min_ms.min(both.min_ms);
                span.times.max_ms = span.times.max_ms.max(both.max_ms);
            }
        }
        let metric = series.labels.metric().unwrap_or_default();
        for (at, Span { samples, times }) in spans {
            let unit = block.planned.get(at).and_then(|bounds| to_do.unit(metric, *bounds));
            self.samples += match unit {
                None => 0.0,
                Some(unit) if unit.resolution.is_raw() => samples,
                Some(unit) => {
                    let [first, last] =
                        [times.min_ms, times.max_ms].map(|time_ms| unit.resolution.window_start(time_ms));
                    let steps = last.saturating_sub(first) / unit.resolution.ms().max(1);
                    let windows = samples.min(steps as f64 + 1.0);
                    self.windows += windows;
                    windows
                }
            };
        }
    }

    /// Looks at some chunks of a series; returns how many buckets these have, and how many samples one has.
    fn add_chunks(&mut self, block: &OpenBlock, chunks: &[ChunkMeta]) -> (usize, Option<f64>) {
        let step = chunks.len().div_ceil(SAMPLED_CHUNKS).max(1);
        let refs: Vec<_> = chunks.iter().step_by(step).map(|chunk| chunk.chunk_ref).collect();
        let mut reads = Vec::new();
        block.chunks.read(&refs, &mut reads);
        let (mut columns, mut bounds) = (HistogramColumns::default(), Bounds::default());
        let mut of_chunk = Mean::default();
        for chunk in reads.iter().flatten() {
            let Ok(samples) = chunk.num_samples() else { continue };
            of_chunk.add(samples.into(), 1.0);
            if chunk.encoding().holds_histograms() {
                // What is wrong with it the conversion tells.
                let _told_later = chunk.append_histograms_to(&mut columns);
            } else {
                // As many chunks of the series are like it.
                self.histograms.add(0.0, f64::from(samples) * chunks.len() as f64 / refs.len() as f64);
            }
        }
        if of_chunk.weight <= 0.0 {
            return (0, None);
        }
        self.chunk.add(of_chunk.mean(), of_chunk.weight);
        if columns.is_empty() {
            return (0, Some(of_chunk.mean()));
        }
        bounds.add(&columns, i64::MIN);
        let weight = columns.len() as f64 * chunks.len() as f64 / refs.len() as f64;
        self.histograms.add(1.0, weight);
        self.buckets.add(columns.buckets.len() as f64 / columns.len() as f64, weight);
        self.classic.add(bounds.series() as f64, weight);
        (columns.buckets.len(), Some(of_chunk.mean()))
    }
}

/// How many of `samples` samples, evenly spread from the beginning to the end of `times`, lie within a part of these.
fn samples_within(part: TimeBounds, samples: f64, times: TimeBounds) -> f64 {
    if part == times {
        return samples;
    }
    let behind_start = |time_ms: i64| time_ms as f64 - times.min_ms as f64;
    let step = behind_start(times.max_ms) / (samples - 1.0).max(1.0);
    let first = (behind_start(part.min_ms) / step).ceil();
    let last = (behind_start(part.max_ms) / step).floor();
    (last - first + 1.0).clamp(0.0, samples)
}

fn row_labels_bytes(labels: &Labels, options: &ConvertOptions) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let string = |text: Option<&[u8]>| text.map_or(0.0, |text| STRING_BYTES + text.len() as f64);
    let promoted = options.output.label_columns.iter().map(|name| string(labels.get(name.as_bytes())));
    let mut bytes = string(labels.metric()) + promoted.sum::<f64>();
    if options.output.layout == Layout::Flat {
        let mut object = vec![b'{'];
        for (name, value) in labels.iter().filter(|&(name, _)| name != METRIC_NAME) {
            if object.len() > 1 {
                object.push(b',');
            }
            json::push_str(&mut object, name);
            object.push(b':');
            json::push_str(&mut object, value);
        }
        object.push(b'}');
        bytes += string(Some(&object));
    }
    bytes
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
    }

    fn mean(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::AtomicBool;

    use tsdb_reader::samples::FloatSample;
    use tsdb_reader::source::{BlockFile, Source};

    use super::*;
    use crate::build::BlockBuilder;
    use crate::convert::{RunOptions, convert};
    use crate::discover::Choice;
    use crate::distribute::dry_run;
    use crate::downsample::Tier;
    use crate::pipeline::Progress;
    use crate::resolution::Resolution;
    use crate::store::Stores;
    use crate::time::PartitionBy;

    const SERIES: u64 = 100;
    /// Of each series, one in 15 s: two hours.
    const SAMPLES: i64 = 480;

    fn write_block(folder: &Path) {
        let mut builder = BlockBuilder::new(std::env::temp_dir(), 1 << 20);
        for at in 0..SERIES {
            let (metric, value) = (format!("m{}", at % 2), at.to_string());
            let labels = [(METRIC_NAME, metric.as_bytes()), (b"s", value.as_bytes())];
            let series = builder.add_series(Labels::from_iter(labels));
            for timestamp_ms in (0..SAMPLES).map(|at| at * 15_000) {
                let sample = FloatSample { timestamp_ms, start_timestamp_ms: 0, value: 1.0 };
                builder.push_float(series, sample).unwrap();
            }
        }
        let built = builder.finish(|_| "01HF0000000000000000000001".parse().unwrap()).unwrap().unwrap();
        let folder = folder.join(built.ulid.to_string());
        fs::create_dir_all(folder.join("chunks")).unwrap();
        for file in [BlockFile::Meta, BlockFile::Index, BlockFile::Tombstones, BlockFile::Segment(1)] {
            let size = built.source.size(file).unwrap();
            let bytes = built.source.read(file, std::slice::from_ref(&(0..size))).unwrap();
            fs::write(folder.join(file.to_string()), &bytes[0]).unwrap();
        }
    }

    fn run_options() -> RunOptions {
        let (memory_limit, temp_dir) = (512 << 20, std::env::temp_dir());
        RunOptions {
            threads: 1,
            memory_limit,
            temp_dir,
            strict: false,
            include_head: false,
            stores: Stores::default(),
            choice: Choice::default(),
        }
    }

    fn estimated(source: &Path, dest: &Path, options: &ConvertOptions) -> Estimate {
        let dry_run = dry_run(&[source.to_owned()], &run_options().read(), dest, options);
        estimate(&dry_run.unwrap(), options)
    }

    #[test]
    fn rows_of_selected_series_within_the_times_asked_for_are_estimated() {
        let (source, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_block(source.path());
        let with = |selector: Option<&str>, times_ms: Option<(i64, i64)>| {
            let options = ConvertOptions {
                selectors: selector.map(str::to_owned).into_iter().collect(),
                min_time_ms: times_ms.map(|(min_ms, _)| min_ms),
                max_time_ms: times_ms.map(|(_, max_ms)| max_ms),
                partition_by: PartitionBy::Hour,
                shards: Some(2),
                ..ConvertOptions::default()
            };
            estimated(source.path(), dest.path(), &options).rows
        };
        let near = |rows: u64, expected: u64| rows.abs_diff(expected) <= expected / 20 + 1;
        assert_eq!(with(None, None), 48_000);
        assert_eq!(with(Some("{s=\"7\"}"), None), 480);
        assert_eq!(with(Some("m1"), None), 24_000);
        assert_eq!(with(Some("none"), None), 0);
        for (min_ms, max_ms) in [(600_000, 660_000), (3_590_000, 3_620_000), (0, 15_000)] {
            let expected = SERIES * u64::try_from((max_ms - min_ms) / 15_000).unwrap();
            let rows = with(None, Some((min_ms, max_ms)));
            assert!(near(rows, expected), "{rows} instead of {expected}");
        }
        let rows = with(Some("{s=\"7\"}"), Some((0, 3_600_000)));
        assert!(near(rows, 240), "{rows}");
    }

    #[test]
    fn windows_of_selected_series_are_estimated() {
        let (source, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_block(source.path());
        let mut options = ConvertOptions { selectors: vec!["m1".to_owned()], ..ConvertOptions::default() };
        options.downsampling.tiers =
            vec![Tier { min_age_ms: 0, resolution: Resolution::windows(300_000).unwrap() }];
        let estimate = estimated(source.path(), dest.path(), &options);
        assert_eq!((estimate.rows, estimate.window_rows), (50 * 24, 50 * 24));
    }

    #[test]
    fn units_that_are_done_are_left_out() {
        let (source, dest) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_block(source.path());
        let options = ConvertOptions::default();
        assert_eq!(estimated(source.path(), dest.path(), &options).rows, 48_000);
        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        convert(&[source.path().to_owned()], dest.path(), &options, &run_options(), &progress, &stop)
            .unwrap();
        assert_eq!(estimated(source.path(), dest.path(), &options), Estimate::default());
    }

    #[test]
    fn a_star_row_with_a_metric_name_of_30_bytes_has_56_logical_bytes() {
        let metric = "a".repeat(30);
        let labels = Labels::from_iter([(METRIC_NAME, metric.as_bytes()), (b"job", b"node")]);
        let mut options = ConvertOptions::default();
        assert_eq!(NUMBERS_BYTES + row_labels_bytes(&labels, &options), 56.0);
        options.output.layout = Layout::Flat;
        assert_eq!(NUMBERS_BYTES + row_labels_bytes(&labels, &options), 56.0 + 2.0 + 14.0);
    }
}
