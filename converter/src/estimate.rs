//! Estimates: rows and bytes of a conversion before it is done.
//!
//! Rows come from the counts in `meta.json`, bytes of labels from a sample of series. BigQuery bills logical bytes:
//! 8 for a number or a timestamp, 2 and its UTF-8 for a string, 0 for null. So a row of the star layout with a metric
//! name of 30 bytes has 8 (time) + 8 (value) + 8 (series_id) + 32 (metric) = 56; each label column adds 2 and its
//! value, the flat layout 2 and the labels as JSON. How many buckets histograms have no `meta.json` says: a common number
//! is taken.

use serde::Serialize;
use tsdb_reader::Labels;
use tsdb_reader::index::Series;
use tsdb_reader::labels::METRIC_NAME;

use crate::blocks::OpenBlock;
use crate::convert::Planned;
use crate::options::ConvertOptions;
use crate::plan::bytes_per_sample;
use crate::sink::Layout;
use crate::text::json;

/// Series looked at in each block.
const SAMPLED_SERIES: usize = 2000;
/// A time, a value, a series id.
const NUMBERS_BYTES: f64 = 24.0;
/// Buckets of a native histogram, as many have.
const BUCKETS: u64 = 40;
/// Lower bound, upper bound and count of a bucket.
const BUCKET_BYTES: u64 = 24;
/// What a string takes besides its text.
const STRING_BYTES: f64 = 2.0;

/// What a conversion will write, about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows of the samples and histograms tables.
    pub rows: u64,
    /// Those of the histograms table, as far as `meta.json` tells: since Prometheus 3.6. Part of `rows`.
    pub histogram_rows: u64,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Bytes that a query over all columns and rows of it is billed.
    pub bigquery_logical_bytes: u64,
}

/// Estimates what the units of `planned` will write.
pub fn estimate(planned: &Planned, options: &ConvertOptions) -> Estimate {
    let rows: u64 = planned.units.iter().map(|unit| unit.weight).sum();
    let (mut labels_bytes, mut histograms) = (Mean::default(), Mean::default());
    for block in &planned.blocks {
        let stats = &block.block.meta().stats;
        let weight = stats.num_samples.max(1);
        labels_bytes.add(labels_per_row(block, options), weight);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        histograms.add((stats.num_histogram_samples as f64 / weight as f64).min(1.0), weight);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (logical, histogram_rows) =
        (rows as f64 * (NUMBERS_BYTES + labels_bytes.mean()), rows as f64 * histograms.mean());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and an estimate")]
    let (logical, histogram_rows) = (logical as u64, histogram_rows as u64);
    let buckets = histogram_rows.saturating_mul(BUCKETS);
    // A bucket is stored in about half of what a sample is.
    let samples = rows.saturating_add(buckets / 2);
    Estimate {
        rows,
        histogram_rows,
        size_bytes: samples.saturating_mul(bytes_per_sample(options)),
        bigquery_logical_bytes: logical.saturating_add(buckets.saturating_mul(BUCKET_BYTES)),
    }
}

/// Logical bytes of metric and labels in a row, by some series of the block, evenly spread.
fn labels_per_row(block: &OpenBlock, options: &ConvertOptions) -> f64 {
    let refs = block.all_refs().unwrap_or_default();
    let step = refs.len().div_ceil(SAMPLED_SERIES).max(1);
    let (mut series, mut identity, mut shaped) = (Series::default(), Labels::new(), Labels::new());
    let mut mean = Mean::default();
    for &series_ref in refs.iter().step_by(step) {
        if block.block.index().series(series_ref, &mut series).is_err() {
            continue;
        }
        block.relabel.identify(&series.labels, &mut identity);
        block.relabel.shape(&identity, &mut shaped);
        mean.add(row_labels_bytes(&shaped, options), 1);
    }
    mean.mean()
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
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn add(&mut self, value: f64, weight: u64) {
        self.sum += value * weight as f64;
        self.weight += weight as f64;
    }

    fn mean(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
