//! Options of a conversion.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::downsample::DownsampleOptions;
use crate::relabel::LabelOptions;
use crate::sink::OutputOptions;
use crate::time::{PartitionBy, TimeBounds};

/// What to do with stale markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StaleMarkers {
    /// Rows with a null value.
    #[default]
    Keep,
    /// No rows; counted.
    Drop,
}

/// How native histograms are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Histograms {
    /// Rows of table `histograms`.
    #[default]
    Nested,
    /// As series `_bucket`, `_count` and `_sum` of table `samples`.
    Classic,
    /// Both.
    Both,
}

impl Histograms {
    /// True when there are rows of table `histograms`.
    pub fn are_nested(self) -> bool {
        self != Self::Classic
    }

    /// True when there are classic series.
    pub fn are_classic(self) -> bool {
        self != Self::Nested
    }
}

/// Options that shape the output. A DEST keeps one set of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConvertOptions {
    /// Tables and files.
    pub output: OutputOptions,
    /// How output is cut by time.
    pub partition_by: PartitionBy,
    /// How many shards; as many as useful without it.
    pub shards: Option<usize>,
    /// The labels pipeline.
    pub labels: LabelOptions,
    /// Write series that became equal through the labels pipeline as one.
    pub allow_merge: bool,
    /// Series selectors, ORed; all series without any.
    pub selectors: Vec<String>,
    /// First millisecond wanted.
    pub min_time_ms: Option<i64>,
    /// First millisecond no longer wanted.
    pub max_time_ms: Option<i64>,
    /// What to do with stale markers.
    pub stale_markers: StaleMarkers,
    /// How native histograms are written. Left out when nested, so that what was planned before there was a choice
    /// stays what it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub histograms: Histograms,
    /// How samples are aggregated. Left out when they are not.
    #[serde(default, skip_serializing_if = "DownsampleOptions::shapes_nothing")]
    pub downsampling: DownsampleOptions,
    /// Files with type, unit and help of metrics. DEST keeps what they say, and may learn more with every run, so they
    /// are none of the options that stay the same.
    #[serde(skip)]
    pub metadata: Vec<PathBuf>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ConvertOptions {
    /// The time range asked for, closed; none when it is empty.
    pub fn asked(&self) -> Option<TimeBounds> {
        let min_ms = self.min_time_ms.unwrap_or(i64::MIN);
        let max_ms = match self.max_time_ms {
            None => i64::MAX,
            Some(end) => end.checked_sub(1)?,
        };
        (min_ms <= max_ms).then_some(TimeBounds { min_ms, max_ms })
    }

    /// All that shapes the output, as canonical JSON: equal text means equal options.
    ///
    /// The number of shards is left out: their bounds are chosen once and recorded.
    pub fn shaping_json(&self) -> String {
        let shaping = Self { shards: None, ..self.clone() };
        serde_json::to_string(&shaping).unwrap_or_default()
    }

    /// Names of the options in which `other` differs, with both values: `format: parquet here, ndjson there`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let flat = |options: &Self| {
            let mut value =
                serde_json::to_value(Self { shards: None, ..options.clone() }).unwrap_or_default();
            if let Some(serde_json::Value::Object(output)) =
                value.as_object_mut().and_then(|fields| fields.remove("output"))
                && let Some(fields) = value.as_object_mut()
            {
                fields.extend(output);
            }
            value
        };
        let (mine, others) = (flat(self), flat(other));
        let names = |options: &serde_json::Value| -> Vec<String> {
            options.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let mut all = names(&mine);
        all.extend(names(&others).into_iter().filter(|name| mine.get(name).is_none()));
        let value = |options: &serde_json::Value, name: &str| match options.get(name) {
            Some(value) => value.to_string(),
            None => "the default".to_owned(),
        };
        all.iter()
            .map(|name| (name, value(&mine, name), value(&others, name)))
            .filter(|(_, mine, other)| mine != other)
            .map(|(name, mine, other)| format!("{name}: {mine} asked for, {other} in DEST"))
            .collect()
    }
}
