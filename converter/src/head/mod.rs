//! Head: from the head of a data directory to blocks in memory, as a server that starts on it would have it.
//!
//! ```text
//! chunks_head/ ─────────────────► chunks.rs ──┐
//! wal/checkpoint, wal/ ─► log.rs ─► replay.rs ─┼─► builder ─► block of in-order samples
//! (chunk_snapshot) ─────► log.rs ─► snapshot.rs┘
//! wbl/ ─────────────────► log.rs ─► late.rs ─────► builder ─► block of late samples
//! ```
//! What the head becomes is read, merged and written like any other block; both rank above all blocks on disk, and
//! supersede none. Their ULIDs come from their content: the same head under two paths is one block, and two heads
//! never share a name.
//!
//! Held in memory while a head is read: a file of it, up to 128 MiB; about 700 bytes per series with six labels, its open
//! chunk among it; 72 bytes of each finished chunk, and about 60 of each late sample that is in no chunk. Chunks beyond
//! the budget, and as much of an index, go to temporary files.
//! Every sample read is kept or counted with a reason ([`account`]); what is wrong with the files is a finding.
//! The order of things is defined by Prometheus' `tsdb/head.go` and `tsdb/head_wal.go`.

pub mod account;
pub mod changes;
mod chunks;
pub mod files;
mod late;
mod log;
mod replay;
mod series;
mod snapshot;

use std::path::Path;

use tsdb_reader::head::HeadFiles;
use tsdb_reader::head::files::{HeadListing, NumberedFile};
use tsdb_reader::{Labels, Ulid};

use crate::build::{BlockBuilder, BuildError, BuiltBlock};
use crate::error::error_chain;
use crate::finding::{Finding, Severity};
use crate::metadata::MetricMetadata;
use account::HeadAccount;
use chunks::MappedChunks;
use log::{Damage, End, Log};
use replay::Replay;
use snapshot::Snapshot;

/// How a head is read.
#[derive(Debug, Clone, Copy)]
pub struct HeadOptions<'a> {
    /// The end of the newest block that says how far the head was persisted; without one the smallest time.
    pub min_valid_time_ms: i64,
    /// Where chunks go that do not fit.
    pub temp_dir: &'a Path,
    /// Bytes of chunks that may be held in memory.
    pub budget_bytes: usize,
}

impl HeadOptions<'_> {
    /// An account of nothing yet.
    fn account(&self, location: &str) -> HeadAccount {
        let min_valid_time_ms = (self.min_valid_time_ms != i64::MIN).then_some(self.min_valid_time_ms);
        HeadAccount { location: location.to_owned(), min_valid_time_ms, ..HeadAccount::default() }
    }
}

/// What a head holds.
#[derive(Debug, Default)]
pub struct Head {
    /// In-order samples.
    pub in_order: Option<BuiltBlock>,
    /// Samples that came out of order.
    pub late: Option<BuiltBlock>,
    /// What became of every sample on disk.
    pub account: HeadAccount,
    /// What is to be known about the files.
    pub findings: Vec<Finding>,
    /// The newest metadata of series, where the server logged it.
    pub metadata: Vec<(Labels, MetricMetadata)>,
}

impl Head {
    /// One that cannot be read.
    fn without_samples(findings: Findings, options: &HeadOptions<'_>) -> Self {
        let account = options.account(&findings.location);
        Self { account, findings: findings.all, ..Self::default() }
    }
}

/// The two blocks that a head becomes.
struct Builders {
    in_order: BlockBuilder,
    late: BlockBuilder,
}

/// What is wrong with the files of one head.
struct Findings {
    location: String,
    all: Vec<Finding>,
}

impl Findings {
    /// None yet.
    fn of(files: &dyn HeadFiles) -> Self {
        Self { location: files.location(), all: Vec::new() }
    }

    fn push(&mut self, severity: Severity, name: &str, path: &str, message: impl Into<String>) {
        let place = if path.is_empty() { self.location.clone() } else { format!("{}/{path}", self.location) };
        let finding = Finding::new(severity, name, place, message);
        // The same of many chunks of one file is said once.
        if !self.all.contains(&finding) {
            self.all.push(finding);
        }
    }

    fn broken(&mut self, name: &str, path: &str, message: impl Into<String>) {
        self.push(Severity::Broken, name, path, message);
    }

    fn skipped(&mut self, name: &str, path: &str, message: impl Into<String>) {
        self.push(Severity::Skipped, name, path, message);
    }
}

/// The name of a block from a head: above all that were ever made, late samples above in-order ones, for a server
/// answers the late one of two samples of a series at one time.
fn ulid(in_order: bool, hash: u64) -> Ulid {
    let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
    let kind = if in_order { 0xfe } else { 0xff };
    Ulid::from_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, kind, 0, a, b, c, d, e, f, g, h])
}

/// Reads the head of the data directory behind `files`.
pub fn read_head(files: &dyn HeadFiles, options: &HeadOptions<'_>) -> Result<Head, BuildError> {
    let mut findings = Findings::of(files);
    let listing = match HeadListing::read(files) {
        Ok(listing) => listing,
        Err(error) => {
            let message = format!("{}; the head is not read", error_chain(&error));
            findings.broken("unreadable-head", "", message);
            return Ok(Head::without_samples(findings, options));
        }
    };
    let snapshot = Snapshot::of(&listing);
    let (head, damage) = read_listed(files, &listing, snapshot, options, findings)?;
    let (Some(Snapshot::Covered(folder)), Some(damage)) = (snapshot, damage) else { return Ok(head) };
    if damage.at >= (folder.segment, folder.offset) {
        return Ok(head);
    }
    let mut findings = Findings::of(files);
    let message = format!("{}; {} is read instead of the log before it", damage.error, folder.path);
    findings.broken("damaged-log", &damage.path, message);
    let (other, _) = read_listed(files, &listing, Some(Snapshot::Needed(folder)), options, findings)?;
    // The snapshot may be damaged too.
    Ok(if other.account.samples > head.account.samples { other } else { head })
}

/// Reads what is listed; says where the write-ahead log is damaged.
fn read_listed(
    files: &dyn HeadFiles,
    listing: &HeadListing,
    snapshot: Option<Snapshot<'_>>,
    options: &HeadOptions<'_>,
    mut findings: Findings,
) -> Result<(Head, Option<Damage>), BuildError> {
    let mut account = options.account(&findings.location);
    let builder = || BlockBuilder::new(options.temp_dir, options.budget_bytes / 2);
    let mut builders = Builders { in_order: builder(), late: builder() };
    let mapped = MappedChunks::read(
        files,
        &listing.head_chunks,
        options,
        &mut builders,
        &mut account.chunks,
        &mut findings,
    )?;
    let mut replay = Replay::new(options.min_valid_time_ms, &mapped, &mut builders, &mut account);
    let damage = match read_logs(files, listing, snapshot, &mut replay, &mut findings)? {
        End::Read => None,
        End::Damaged(damage) => Some(damage),
        End::Foreign => return Ok((Head::without_samples(findings, options), None)),
    };
    replay.count_chunks();
    let (forgotten, of_series) = replay.finish_late()?;
    if forgotten > 0 {
        let message = format!(
            "{forgotten} late samples of {of_series} series are in the log alone, before markers that say they were written; \
             they are read, but a server that starts on this directory forgets those that no block has"
        );
        findings.push(Severity::Note, "late-samples-unwritten", "wbl", message);
    }
    let Replay { series: mut table, metadata, .. } = replay;
    account.series = table.iter_mut().count() as u64;
    drop(table); // What comes now takes memory of its own.
    let metadata = metadata
        .into_iter()
        .filter_map(|(series, metadata)| Some((builders.in_order.labels(series)?, metadata)))
        .collect();
    let in_order = builders.in_order.finish(|hash| ulid(true, hash))?;
    let late = builders.late.finish(|hash| ulid(false, hash))?;
    account.samples = in_order.iter().chain(&late).map(|block| block.samples).sum();
    if account.lost() > 0 {
        let message = format!(
            "{} samples are lost: the log does not name their series, or they cannot be decoded",
            account.lost()
        );
        findings.broken("head-samples-lost", "", message);
    }
    Ok((Head { in_order, late, account, findings: findings.all, metadata }, damage))
}

/// Replays the logs: from the last checkpoint on, or from a snapshot when it is needed. Returns the first damage of
/// the write-ahead log.
fn read_logs(
    files: &dyn HeadFiles,
    listing: &HeadListing,
    snapshot: Option<Snapshot<'_>>,
    replay: &mut Replay<'_>,
    findings: &mut Findings,
) -> Result<End, BuildError> {
    let log = |segments| Log { files, segments, from: None, may_be_torn: false };
    if listing.wal.is_empty() && listing.checkpoint_segments.is_empty() && !listing.head_chunks.is_empty() {
        let message =
            "there is no write-ahead log that names the series of the head chunks; they are not read";
        findings.broken("no-log", "wal", message);
    }
    let mut from = None;
    let mut damage = None;
    let mut segments = listing.wal.as_slice();
    let behind = |number: u64| {
        let first = listing.wal.partition_point(|segment| segment.number < number);
        listing.wal.get(first..).unwrap_or_default()
    };
    if let Some(Snapshot::Needed(snapshot)) = snapshot {
        let message = "used, for the log before it is not whole";
        findings.push(Severity::Note, "chunk-snapshot", &snapshot.path, message);
        from = Some((snapshot.segment, snapshot.offset));
        segments = behind(snapshot.segment);
        let end =
            log(&listing.snapshot_segments).read(findings, &mut |record| replay.apply_snapshot(record))?;
        if end == End::Foreign {
            return Ok(end);
        }
    } else {
        match snapshot {
            Some(Snapshot::Covered(snapshot)) => {
                let message = "not needed, for the log is read";
                findings.skipped("chunk-snapshot", &snapshot.path, message);
            }
            Some(Snapshot::Outdated(snapshot)) => {
                let message =
                    "not used, for the log ends before it: a server takes it for one of another time";
                findings.skipped("chunk-snapshot", &snapshot.path, message);
            }
            _ => {}
        }
        if let Some(checkpoint) = listing.checkpoints.last() {
            segments = behind(checkpoint.number.saturating_add(1));
            match log(&listing.checkpoint_segments).read(findings, &mut |record| replay.apply(record))? {
                End::Read => {}
                // It stands for the segments up to its number.
                End::Damaged(in_it) => damage = Some(Damage { at: (checkpoint.number, u64::MAX), ..in_it }),
                End::Foreign => return Ok(End::Foreign),
            }
        }
        missing_start(listing, segments, findings);
    }
    let wal = Log { from, may_be_torn: true, ..log(segments) };
    match wal.read(findings, &mut |record| replay.apply(record))? {
        End::Read => {}
        End::Damaged(in_wal) => damage = damage.or(Some(in_wal)),
        End::Foreign => return Ok(End::Foreign),
    }
    let late = Log { may_be_torn: true, ..log(&listing.wbl) };
    match late.read(findings, &mut |record| Ok(replay.apply_late(record)))? {
        End::Foreign => Ok(End::Foreign),
        _ => Ok(damage.map_or(End::Read, End::Damaged)),
    }
}

/// Names a gap between the checkpoint and the first segment, or before the first one.
fn missing_start(listing: &HeadListing, segments: &[NumberedFile], findings: &mut Findings) {
    let Some(first) = segments.first() else { return };
    match listing.checkpoints.last() {
        Some(checkpoint) if checkpoint.number.saturating_add(1) != first.number => {
            findings.broken("log-gap", &first.path, log::gap(&checkpoint.path));
        }
        None if first.number != 0 => {
            let message = "the log begins here, without a checkpoint of what came before";
            findings.push(Severity::Note, "log-start", &first.path, message);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_sample_wins_over_an_in_order_one_as_a_server_answers_it() {
        assert!(ulid(false, 0) > ulid(true, u64::MAX));
    }
}
