//! Options of a conversion.

use serde::{Deserialize, Serialize};

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
        let fields = mine.as_object().into_iter().flatten();
        fields
            .filter(|(name, value)| others.get(name.as_str()) != Some(value))
            .map(|(name, value)| {
                let other = others.get(name.as_str()).unwrap_or(&serde_json::Value::Null);
                format!("{name}: {value} asked for, {other} in DEST")
            })
            .collect()
    }
}
