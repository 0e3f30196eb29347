//! Chunk snapshots: what a server left of its open chunks when it was stopped, where the log before it is missing or
//! damaged.
//!
//! The log and the head chunks hold the same samples, so a snapshot is used only when the log before it is not whole:
//! then its series begin with their head chunks and the open chunk, and the log is read from where the snapshot was
//! taken. A server that writes snapshots reads no older log at all; one that does not ignores them.

use tsdb_reader::head::files::{HeadListing, SnapshotFolder, breaks};
use tsdb_reader::head::{RawRecord, SnapshotRecord};
use tsdb_reader::{DecodeError, Labels};

use super::account::Dropped;
use super::replay::Replay;
use super::series::LastKind;
use crate::build::BuildError;

/// The newest snapshot, and what it is good for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Snapshot<'a> {
    /// The log before it is not whole.
    Needed(&'a SnapshotFolder),
    /// No file of the log before it is missing.
    Covered(&'a SnapshotFolder),
    /// The log ends before it.
    Outdated(&'a SnapshotFolder),
}

impl<'a> Snapshot<'a> {
    /// That of a listing, if there is one.
    pub(super) fn of(listing: &'a HeadListing) -> Option<Self> {
        let snapshot = listing.snapshots.last().filter(|_| !listing.snapshot_segments.is_empty())?;
        if listing.wal.last().is_none_or(|last| last.number < snapshot.segment) {
            return Some(Self::Outdated(snapshot));
        }
        let checkpoint = listing.checkpoints.last().map(|checkpoint| checkpoint.number);
        let first = checkpoint.map_or(0, |covered| covered.saturating_add(1));
        let begins = listing.wal.iter().any(|segment| segment.number == first);
        let gap = breaks(&listing.wal)
            .any(|(before, after)| before.number >= first && after.number <= snapshot.segment);
        let is_whole = first > snapshot.segment || begins && !gap;
        Some(if is_whole { Self::Covered(snapshot) } else { Self::Needed(snapshot) })
    }
}

impl Replay<'_> {
    /// Applies a record of a snapshot.
    pub(super) fn apply_snapshot(
        &mut self,
        record: &RawRecord<'_>,
    ) -> Result<Result<(), DecodeError>, BuildError> {
        self.account.records += 1;
        match SnapshotRecord::open(record.payload) {
            Ok(SnapshotRecord::Series(series)) => {
                let mut labels = Labels::new();
                let (series_ref, open) = match series.decode(&mut labels) {
                    Ok(decoded) => decoded,
                    Err(error) => return Ok(Err(error)),
                };
                self.enter(series_ref, &mut labels)?;
                let (Some(open), Ok(series)) = (open, self.series.find(series_ref)) else {
                    return Ok(Ok(()));
                };
                let chunk = open.to_chunk();
                let samples = u64::from(chunk.num_samples().unwrap_or_default());
                self.account.chunks.read += samples;
                if series.last_chunk_ms.is_some_and(|last| last >= open.min_time_ms) {
                    self.account.chunks.drop(Dropped::InHeadChunks, samples);
                    return Ok(Ok(()));
                }
                let builder = &mut self.builders.in_order;
                let times_ms = (open.min_time_ms, open.max_time_ms);
                match builder.store_chunk(open.encoding, chunk.data(), times_ms)? {
                    Some(stored) => {
                        builder.attach(series.in_order, stored)?;
                        series.from_snapshot = samples;
                        series.last_ms = Some(open.max_time_ms);
                        series.last_kind = LastKind::of(open.encoding);
                    }
                    None => self.account.chunks.drop(Dropped::Undecodable, samples),
                }
            }
            Ok(SnapshotRecord::Tombstones(tombstones)) => {
                for entry in tombstones {
                    match entry {
                        Ok(entry) => self.delete(entry),
                        Err(error) => return Ok(Err(error)),
                    }
                }
            }
            Ok(SnapshotRecord::Exemplars(mut entries)) => {
                let mut labels = Labels::new();
                while let Ok(Some(_)) = entries.read_next(&mut labels) {
                    self.account.exemplars += 1;
                }
            }
            Ok(SnapshotRecord::Unknown(_)) => self.account.unknown_records += 1,
            Ok(SnapshotRecord::Empty) => {}
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }
}
