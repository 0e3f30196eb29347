//! `meta.json`: what a block says about itself.
//!
//! ```text
//! { ulid, minTime, maxTime, stats{…}, compaction{…}, version: 1,     Prometheus
//!   thanos: { labels, downsample, source, files, … },                Thanos, Cortex, Mimir
//!   out_of_order }                                                   Mimir
//! ```
//! Checked: the shape, ULIDs, both versions. Fields that are not known are kept, and written again when a meta is
//! serialised. Nothing here bounds anything: `stats` are informative, and no buffer is sized by them.
//! Defined in Prometheus' `tsdb/block.go` and Thanos' `pkg/block/metadata/meta.go`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::ulid::Ulid;

const VERSION: i64 = 1;
/// What Prometheus 2.1.0 wrote.
const VERSION_BY_MISTAKE: i64 = 2;
const THANOS_VERSION: i64 = 1;
/// How Go writes a time that is not set.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Fields this reader does not know.
pub type UnknownFields = Map<String, Value>;

/// A block's `meta.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockMeta {
    /// The block's id. Normally its folder's name; when they differ, this one counts.
    pub ulid: Ulid,
    /// First millisecond since the epoch that the block may hold.
    #[serde(rename = "minTime")]
    pub min_time_ms: i64,
    /// First millisecond since the epoch after the block: its range is half-open.
    #[serde(rename = "maxTime")]
    pub max_time_ms: i64,
    /// Counts, before tombstones are applied.
    #[serde(default, deserialize_with = "null_as_default")]
    pub stats: BlockStats,
    /// How the block came to be.
    #[serde(default, deserialize_with = "null_as_default")]
    pub compaction: Compaction,
    /// 1. See [`BlockMeta::written_as_version_2`].
    #[serde(default)]
    version: i64,
    /// What Thanos, Cortex and Mimir add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanos: Option<ThanosMeta>,
    /// Mimir: the block holds out-of-order samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_order: Option<bool>,
    /// Fields this reader does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
    #[serde(skip)]
    version_2_by_mistake: bool,
}

/// Counts of a block. Informative: a writer may be wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Float samples; written since Prometheus 3.6.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Histogram samples of both kinds; written since Prometheus 3.6.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted intervals.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
    /// Fields this reader does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// How a block came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// 1 straight from the head; a compaction's result is one above its highest input.
    pub level: i64,
    /// All level 1 blocks this one descends from; of level 1: itself.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub sources: Vec<Ulid>,
    /// Compacting this block gave nothing: all of it is deleted.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// What this block was made from, directly. Those blocks are superseded.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub parents: Vec<BlockDesc>,
    /// A compaction with this block failed.
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    /// `from-out-of-order`, `from-stale-series`, `from-selected-series`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub hints: Vec<String>,
    /// Fields this reader does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A block as another one's parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDesc {
    /// Its id; zeros for the head.
    pub ulid: Ulid,
    /// As in [`BlockMeta`].
    #[serde(rename = "minTime")]
    pub min_time_ms: i64,
    /// As in [`BlockMeta`].
    #[serde(rename = "maxTime")]
    pub max_time_ms: i64,
}

/// The part of `meta.json` that Thanos adds; Cortex and Mimir use the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThanosMeta {
    /// 1, or absent, which means the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// External labels: they belong to every series of the block and override labels of the same name.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// How far the block is downsampled.
    #[serde(deserialize_with = "null_as_default")]
    pub downsample: Downsample,
    /// Who made the block: `sidecar`, `receive`, `compactor`, `bucket.rewrite`, ….
    #[serde(deserialize_with = "null_as_default")]
    pub source: String,
    /// Names of the files in `chunks/`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub segment_files: Vec<String>,
    /// All files, by path. Objects may have been replaced since: check against what the store says.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub files: Vec<ThanosFile>,
    /// How `bucket rewrite` changed the block.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub rewrites: Vec<ThanosRewrite>,
    /// Sizes for planning reads.
    #[serde(skip_serializing_if = "IndexStats::is_empty", deserialize_with = "null_as_default")]
    pub index_stats: IndexStats,
    /// Free form: Cortex' partitions, marks of Parquet tools.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub extensions: Value,
    /// When the block was uploaded, as written (RFC 3339). See [`ThanosMeta::uploaded_at`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    /// Fields this reader does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// How far a block is downsampled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Downsample {
    /// 0 for raw samples, 300000 for 5 minutes, 3600000 for one hour.
    #[serde(rename = "resolution")]
    pub resolution_ms: i64,
    /// Fields this reader does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A file of the block, as Thanos lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThanosFile {
    /// Path below the block.
    pub rel_path: String,
    /// Its size; absent for `meta.json` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Fields this reader does not use, `hash` among them.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// One rewrite of a block.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThanosRewrite {
    /// The blocks it was made from.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub sources: Vec<Ulid>,
    /// Fields this reader does not use: `deletions_applied`, `relabels_applied`.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Sizes for planning reads; 0 = unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStats {
    /// Largest series entry of the index.
    #[serde(rename = "series_max_size", skip_serializing_if = "is_zero_signed")]
    pub series_max_size_bytes: i64,
    /// Largest chunk.
    #[serde(rename = "chunk_max_size", skip_serializing_if = "is_zero_signed")]
    pub chunk_max_size_bytes: i64,
    /// Fields this reader does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl BlockMeta {
    /// Parses a whole `meta.json`.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let mut meta: Self = serde_json::from_slice(json).map_err(|source| Error::Meta { source })?;
        match meta.version {
            VERSION => {}
            VERSION_BY_MISTAKE => (meta.version, meta.version_2_by_mistake) = (VERSION, true),
            version => return Err(Error::MetaVersion { version }),
        }
        match meta.thanos.as_ref().and_then(|thanos| thanos.version) {
            None | Some(0 | THANOS_VERSION) => Ok(meta),
            Some(version) => Err(Error::ThanosMetaVersion { version }),
        }
    }

    /// True for a block of Prometheus 2.1.0, whose meta said version 2 and whose index says version 1 over a body
    /// of version 2. The meta is that of version 1 otherwise, and is taken as such.
    pub fn written_as_version_2(&self) -> bool {
        self.version_2_by_mistake
    }

    /// True when `time_ms` lies in the block's half-open range.
    pub fn contains(&self, time_ms: i64) -> bool {
        self.min_time_ms <= time_ms && time_ms < self.max_time_ms
    }

    /// External labels; none without a Thanos part.
    pub fn external_labels(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        let labels = self.thanos.iter().flat_map(|thanos| &thanos.labels);
        labels.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Resolution in milliseconds; 0 for raw samples.
    pub fn resolution_ms(&self) -> i64 {
        self.thanos.as_ref().map_or(0, |thanos| thanos.downsample.resolution_ms)
    }
}

impl Compaction {
    /// Cut from out-of-order samples.
    pub const FROM_OUT_OF_ORDER: &str = "from-out-of-order";
    /// Cut early out of the head, only series that had gone stale.
    pub const FROM_STALE_SERIES: &str = "from-stale-series";
    /// Cut early out of the head, only a selection of series.
    pub const FROM_SELECTED_SERIES: &str = "from-selected-series";

    /// True when the block says nothing about how far the head was persisted.
    pub fn says_nothing_about_head(&self) -> bool {
        let partial = [Self::FROM_OUT_OF_ORDER, Self::FROM_STALE_SERIES, Self::FROM_SELECTED_SERIES];
        self.hints.iter().any(|hint| partial.contains(&hint.as_str()))
    }
}

impl ThanosMeta {
    /// When the block was uploaded (RFC 3339), if the writer said so.
    pub fn uploaded_at(&self) -> Option<&str> {
        self.upload_time.as_deref().filter(|time| *time != ZERO_TIME && !time.is_empty())
    }
}

impl IndexStats {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Go writes an empty list or map as `null` where its tag does not omit it.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero_signed(value: &i64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn meta_of_the_reference_parses_and_serialises_to_the_same_json() {
        for block in ["block_minimal.json", "block_rich.json"] {
            let json = testing::block_file(block, "meta.json");
            let meta = BlockMeta::parse(&json).unwrap();
            assert_eq!(
                serde_json::from_slice::<Value>(&json).unwrap(),
                serde_json::to_value(&meta).unwrap(),
                "{block}"
            );
            assert!(!meta.written_as_version_2());
            assert_eq!(meta.compaction.sources, [meta.ulid]);
        }
    }

    #[test]
    fn truncation_at_every_length_is_an_error() {
        let json = testing::block_file("block_minimal.json", "meta.json");
        for cut in 0..json.len() {
            assert!(BlockMeta::parse(&json[..cut]).is_err());
        }
    }

    #[test]
    fn damaged_meta_is_refused_as_recommended() {
        let mut cases = 0;
        for case in testing::malformed("meta.json") {
            let result = BlockMeta::parse(case.text.as_bytes());
            // Version 2 is what 2.1.0 wrote; the server repairs it, and so does this reader.
            let accepted = case.accept || case.name == "version_2";
            assert_eq!(result.is_ok(), accepted, "{}: {result:?}", case.name);
            cases += 1;
        }
        assert!(cases > 5);
    }

    const THANOS: &str = r#"{
        "ulid": "01HF0000000000000000000002", "minTime": -5, "maxTime": 10, "version": 1, "later": [1, 2.5],
        "stats": {"numSamples": 9, "numExemplars": 3},
        "compaction": {"level": 2, "sources": null, "hints": ["from-out-of-order"], "by": "x",
            "parents": [{"ulid": "00000000000000000000000000", "minTime": 0, "maxTime": 0}]},
        "out_of_order": true,
        "thanos": {
            "version": 1, "labels": {"replica": "b", "cluster": "é"}, "downsample": {"resolution": 300000},
            "source": "compactor", "segment_files": ["000001"],
            "files": [{"rel_path": "index", "size_bytes": 7, "hash": {"hashFunc": "SHA256"}},
                {"rel_path": "meta.json"}],
            "rewrites": [{"sources": ["01HF0000000000000000000001"], "relabels_applied": [{"a": 1}]}],
            "index_stats": {"series_max_size": 200}, "extensions": {"partition_info": {"partition_id": 1}},
            "upload_time": "2026-01-02T03:04:05Z", "source_offsets": {"7": -1}
        }
    }"#;

    #[test]
    fn thanos_part_parses_and_unknown_fields_of_every_level_survive() {
        let meta = BlockMeta::parse(THANOS.as_bytes()).unwrap();
        let labels: Vec<_> = meta.external_labels().collect();
        assert_eq!(labels, [("cluster", "é"), ("replica", "b")]);
        assert_eq!(meta.resolution_ms(), 300_000);
        assert!(meta.compaction.says_nothing_about_head() && meta.compaction.parents[0].ulid.is_zero());
        let thanos = meta.thanos.as_ref().unwrap();
        assert_eq!(thanos.files[0].size_bytes, Some(7));
        assert_eq!(thanos.index_stats.series_max_size_bytes, 200);
        assert_eq!(thanos.uploaded_at(), Some("2026-01-02T03:04:05Z"));

        let mut expected: Value = serde_json::from_str(THANOS).unwrap();
        expected["compaction"].as_object_mut().unwrap().remove("sources");
        assert_eq!(serde_json::to_value(&meta).unwrap(), expected);
    }

    #[test]
    fn absent_and_null_thanos_fields_are_empty() {
        let meta = |thanos: &str| {
            let json = format!(
                r#"{{"ulid":"01HF0000000000000000000002","minTime":0,"maxTime":1,"version":1,"thanos":{thanos}}}"#
            );
            BlockMeta::parse(json.as_bytes())
        };
        let thanos = meta(r#"{"labels":null,"files":null,"upload_time":"0001-01-01T00:00:00Z"}"#);
        let thanos = thanos.unwrap().thanos.unwrap();
        assert!(thanos.labels.is_empty() && thanos.files.is_empty());
        assert_eq!(thanos.uploaded_at(), None);
        assert!(meta("null").unwrap().thanos.is_none());
        assert!(meta(r#"{"version":0}"#).is_ok());
        assert!(matches!(meta(r#"{"version":2}"#), Err(Error::ThanosMetaVersion { version: 2 })));
    }

    #[test]
    fn version_2_by_mistake_is_taken_as_version_1_and_noted() {
        let json = br#"{"ulid":"01HF0000000000000000000002","minTime":0,"maxTime":1,"version":2}"#;
        let meta = BlockMeta::parse(json).unwrap();
        assert!(meta.written_as_version_2());
        assert_eq!(serde_json::to_value(&meta).unwrap()["version"], 1);
    }

    #[test]
    fn range_of_a_block_is_half_open() {
        let meta = BlockMeta::parse(THANOS.as_bytes()).unwrap();
        assert!(meta.contains(-5) && meta.contains(9));
        assert!(!meta.contains(-6) && !meta.contains(10));
    }
}
