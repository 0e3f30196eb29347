//! Accounts: what became of every sample that a head holds on disk.
//!
//! ```text
//! samples read = kept + dropped, by reason            for each of the log, the head chunks, the log of late samples
//! kept, of all three together = samples of the blocks that the head becomes
//! ```
//! Most of what is dropped is there twice: the log goes on holding what was written to head chunks and blocks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why a sample on disk is none of the head's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// Before the end of the newest block: it is there.
    InBlocks,
    /// Also in a head chunk.
    InHeadChunks,
    /// Not after the sample before it: the server refused it, or it is among the late ones.
    NotInOrder,
    /// Of a series that was logged anew since, or ended: it is in a block.
    SeriesEnded,
    /// Same series and time as another late sample.
    Duplicate,
    /// In a head chunk of a series that is no longer in the head, or not under that number: it is in a block.
    SeriesGone,
    /// The log does not say which series it is of: lost.
    UnknownSeries,
    /// A histogram of a schema that nobody knows, or behind an error in its chunk: lost.
    Undecodable,
}

impl Dropped {
    /// True when the sample is nowhere else.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::UnknownSeries | Self::Undecodable)
    }
}

/// Samples of one place on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleAccount {
    /// All of them.
    pub read: u64,
    /// Those that the head has.
    pub kept: u64,
    /// The others, by reason.
    pub dropped: BTreeMap<Dropped, u64>,
}

impl SampleAccount {
    /// Counts samples that are not kept.
    pub fn drop(&mut self, why: Dropped, samples: u64) {
        if samples > 0 {
            *self.dropped.entry(why).or_default() += samples;
        }
    }

    /// Takes samples back that were counted as kept.
    pub fn take_back(&mut self, why: Dropped, samples: u64) {
        self.kept = self.kept.saturating_sub(samples);
        self.drop(why, samples);
    }

    /// Samples that are nowhere else.
    pub fn lost(&self) -> u64 {
        self.dropped.iter().filter(|(why, _)| why.is_loss()).map(|(_, samples)| samples).sum()
    }

    fn adds_up(&self) -> bool {
        self.read == self.kept + self.dropped.values().sum::<u64>()
    }
}

/// What was read of the head of one data directory, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadAccount {
    /// The data directory.
    pub location: String,
    /// The end of the newest block, in milliseconds since the epoch; older samples of the log are in blocks.
    pub min_valid_time_ms: Option<i64>,
    /// Records of both logs.
    pub records: u64,
    /// Records of a type that nobody knows, which the server skips.
    pub unknown_records: u64,
    /// Exemplars, which are not converted.
    pub exemplars: u64,
    /// Series.
    pub series: u64,
    /// The checkpoint and the write-ahead log.
    pub log: SampleAccount,
    /// Head chunks, and the open chunks of a snapshot when it is used.
    pub chunks: SampleAccount,
    /// The log of late samples.
    pub late_log: SampleAccount,
    /// Samples of the blocks that the head became.
    pub samples: u64,
}

impl HeadAccount {
    /// True when every sample has its term.
    pub fn adds_up(&self) -> bool {
        let accounts = [&self.log, &self.chunks, &self.late_log];
        let kept: u64 = accounts.iter().map(|account| account.kept).sum();
        kept == self.samples && accounts.iter().all(|account| account.adds_up())
    }

    /// Samples that are nowhere else.
    pub fn lost(&self) -> u64 {
        self.log.lost() + self.chunks.lost() + self.late_log.lost()
    }
}
