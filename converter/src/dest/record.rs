//! What DEST says of itself: plan, records of units, manifest.

use serde::{Deserialize, Serialize};

use crate::finding::Findings;
use crate::head::account::HeadAccount;
use crate::options::ConvertOptions;
use crate::plan::Ledger;
use crate::resolution::Resolution;
use crate::tally::Tally;
use crate::time::Partition;

/// What is chosen once per DEST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestPlan {
    /// Version of what is written.
    pub format_version: String,
    /// Options that shape the output.
    pub options: ConvertOptions,
    /// Metrics at which shards end.
    pub shard_bounds: Vec<String>,
}

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The table it belongs to.
    pub table: String,
    /// Path relative to DEST.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Smallest timestamp in it.
    pub min_time_ms: i64,
    /// Largest timestamp in it.
    pub max_time_ms: i64,
    /// CRC-32C of the file, 8 hex digits.
    pub crc32c: String,
}

/// What a committed unit read and wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Its name.
    pub unit: String,
    /// Its partition.
    pub partition: Partition,
    /// Position of its shard.
    pub shard: usize,
    /// Resolution of its tier.
    #[serde(default, skip_serializing_if = "Resolution::is_default")]
    pub resolution: Resolution,
    /// Hash of all that shapes its bytes.
    pub fingerprint: String,
    /// ULIDs of the blocks read.
    pub blocks: Vec<String>,
    /// Files written.
    pub files: Vec<FileRecord>,
    /// What became of every sample.
    pub tally: Tally,
    /// What could not be read.
    pub findings: Findings,
}

impl UnitRecord {
    /// True when a redo holds less than this in all. Tombstones do not count as shrinking; a compaction that applied them does not either.
    pub(super) fn shrinks_to(&self, redo: &Tally) -> bool {
        let with_tombstoned = |tally: &Tally| held(tally) + tally.tombstoned;
        held(redo) < held(&self.tally) && with_tombstoned(redo) < with_tombstoned(&self.tally)
    }
}

/// Samples that a unit holds in one form or another.
pub(super) fn held(tally: &Tally) -> u64 {
    // Another replica may stand for some samples now.
    tally.written + tally.unrolled + tally.aggregated + tally.left_out + tally.replica_removed
}

/// Why a unit stays as it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frozen {
    /// The redo has fewer samples, in all or of a series.
    Samples,
    /// The redo has no more samples, and knows some by the aggregates of downsampled blocks alone.
    Coarser,
    /// The redo has no more samples, and lacks what first steps began at.
    Steps,
}

impl Frozen {
    /// Why, as a sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::Samples => {
                "the input holds fewer samples than what is published, so the published unit stays"
            }
            Self::Coarser => {
                "some samples are gone from the input, which has only aggregates of them, and nothing is new in it, so the \
                 published unit stays"
            }
            Self::Steps => {
                "the histograms before its partition, which first steps begin at, are gone from the input, and nothing \
                 is new in it, so the published unit stays"
            }
        }
    }
}

/// A block as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Its ULID.
    pub ulid: String,
    /// Where it was read.
    pub location: String,
    /// First millisecond, by meta.json.
    pub min_time_ms: i64,
    /// First millisecond after it, by meta.json.
    pub max_time_ms: i64,
    /// Samples, by meta.json.
    pub samples: u64,
    /// Samples by the headers of the chunks read.
    pub read: u64,
}

/// `manifest.json`: what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of what is written.
    pub format_version: String,
    /// Options that shape the output.
    pub options: ConvertOptions,
    /// Metrics at which shards end.
    pub shard_bounds: Vec<String>,
    /// The column of each promoted label.
    pub label_columns: Vec<(String, String)>,
    /// What each level-1 source is known to cover.
    pub ledger: Ledger,
    /// Blocks of the last run.
    pub blocks: Vec<BlockRecord>,
    /// Findings of the last run.
    pub findings: Findings,
    /// What the last run read of heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<HeadAccount>,
    /// All units, of all runs.
    pub units: Vec<UnitRecord>,
}
